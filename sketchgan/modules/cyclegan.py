"""CycleGAN: image-to-image translation without pairs."""

from typing import Any

import torch.nn.functional as F
from torch import Tensor, nn

from sketchgan.losses import AdversarialLoss, AdversarialMode
from sketchgan.modules.base import Batch
from sketchgan.modules.two_way import TwoWayModule
from sketchgan.networks import ResnetGenerator
from sketchgan.ops import ImagePool, LRPolicy, frozen


class CycleGAN(TwoWayModule):
    """Translate between two unpaired domains, so that there and back again is where one started.

    Zhu, Park, Isola and Efros: Unpaired Image-to-Image Translation using Cycle-Consistent Adversarial Networks,
    ICCV 2017, arXiv 1703.10593, equations 1 to 3 and section 5.2 (identity). Follows the official PyTorch code, whose
    identity term is on by default; the paper used it for paintings and flowers only (``lambda_identity=0`` elsewhere).

    The paper's ablations: GAN alone ``lambda_a=0, lambda_b=0``, GAN and forward cycle ``lambda_b=0``, GAN and backward
    cycle ``lambda_a=0`` (each without identity), cycle alone ``lambda_gan=0``.

    Args:
        generator_ab: maps A to B; default ``ResnetGenerator()``, nine blocks.
        generator_ba: maps B to A; default likewise.
        discriminator_a: scores images of domain A; default ``PatchDiscriminator(3, norm="instance")``.
        discriminator_b: scores images of domain B; default likewise.
        adversarial: name of the adversarial loss, or an `AdversarialLoss`.
        lambda_gan: weight of the adversarial terms; 0 leaves the discriminators untouched.
        lambda_a: weight of the cycle A → B → A.
        lambda_b: weight of the cycle B → A → B.
        lambda_identity: weight of the identity terms relative to their domain's cycle: a generator that is shown an
            image of its own target domain should return it. 0 skips the two passes.
        pool_size: number of past translations kept per domain for the discriminators; 0 for none.
        lr: learning rate of both Adam optimizers.
        betas: Adam's coefficients.
        fused: run Adam as one kernel; by default unless the precision is "16-mixed".
        lr_policy: "linear", "step", "cosine", "plateau" (on the value logged as ``lr_monitor``) or "constant".
        n_epochs: epochs at the full rate (the period of "cosine").
        n_epochs_decay: epochs of linear decay.
        lr_step_size: epochs between the falls of "step".
        lr_monitor: what "plateau" watches.
        clip_g: largest gradient norm of both generators together; none by default.
        clip_d: largest gradient norm of both discriminators together; none by default.

    Shapes: A and B ``(N, C, H, W)`` in [-1, 1], sides multiples of 4.

    Raises:
        ValueError: for unknown names, and for "wgangp" with batch norm in a discriminator.
    """

    def __init__(
        self,
        generator_ab: nn.Module | None = None,
        generator_ba: nn.Module | None = None,
        discriminator_a: nn.Module | None = None,
        discriminator_b: nn.Module | None = None,
        adversarial: AdversarialMode | AdversarialLoss = "lsgan",
        lambda_gan: float = 1.0,
        lambda_a: float = 10.0,
        lambda_b: float = 10.0,
        lambda_identity: float = 0.5,
        pool_size: int = 50,
        lr: float = 2e-4,
        betas: tuple[float, float] = (0.5, 0.999),
        fused: bool | None = None,
        lr_policy: LRPolicy = "linear",
        n_epochs: int = 100,
        n_epochs_decay: int = 100,
        lr_step_size: int = 50,
        lr_monitor: str = "val/rec_a_l1",
        clip_g: float | None = None,
        clip_d: float | None = None,
    ) -> None:
        super().__init__()
        self.generator_ab = ResnetGenerator() if generator_ab is None else generator_ab
        self.generator_ba = ResnetGenerator() if generator_ba is None else generator_ba
        self.take_judges(discriminator_a, discriminator_b, adversarial)
        self.lambda_gan = lambda_gan
        self.lambda_a = lambda_a
        self.lambda_b = lambda_b
        self.lambda_identity = lambda_identity
        self.pool_a = ImagePool(pool_size)
        self.pool_b = ImagePool(pool_size)
        self.stateful |= {"pool_a": self.pool_a, "pool_b": self.pool_b}
        self.lr = lr
        self.betas = betas
        self.fused = fused
        self.plan_rates(lr_policy, n_epochs, n_epochs_decay, lr_step_size, lr_monitor)
        self.clip_g = clip_g
        self.clip_d = clip_d

    def training_step(self, batch: Batch, batch_idx: int) -> None:
        real_a, real_b = batch["A"], batch["B"]
        opt_g, opt_d = self.optimizers()
        fake_b = self.generator_ab(real_a)  # one pass serves both updates
        fake_a = self.generator_ba(real_b)

        with frozen(self.discriminator_a, self.discriminator_b):
            self.minimize(opt_g, self.generator_losses(real_a, real_b, fake_a, fake_b), "g", self.clip_g)
        if self.lambda_gan:
            shown_b = self.pool_b.query(fake_b.detach())
            shown_a = self.pool_a.query(fake_a.detach())
            self.minimize(opt_d, self.discriminator_losses(real_a, real_b, shown_a, shown_b), "d", self.clip_d)

    def generator_losses(self, real_a: Tensor, real_b: Tensor, fake_a: Tensor, fake_b: Tensor) -> dict[str, Tensor]:
        """Weighted terms of both generators' loss; passes whose weight is 0 are not run."""
        terms = {}
        if self.lambda_gan:
            terms["gan_b"] = self.lambda_gan * self.adversarial.generator(self.discriminator_b(fake_b))
            terms["gan_a"] = self.lambda_gan * self.adversarial.generator(self.discriminator_a(fake_a))
        if self.lambda_a:
            terms["cycle_a"] = self.lambda_a * F.l1_loss(self.generator_ba(fake_b), real_a)
        if self.lambda_b:
            terms["cycle_b"] = self.lambda_b * F.l1_loss(self.generator_ab(fake_a), real_b)
        if identity_b := self.lambda_b * self.lambda_identity:
            terms["identity_b"] = identity_b * F.l1_loss(self.generator_ab(real_b), real_b)
        if identity_a := self.lambda_a * self.lambda_identity:
            terms["identity_a"] = identity_a * F.l1_loss(self.generator_ba(real_a), real_a)
        return terms

    def discriminator_losses(
        self, real_a: Tensor, real_b: Tensor, shown_a: Tensor, shown_b: Tensor
    ) -> dict[str, Tensor]:
        """Terms of both discriminators' loss on real images and on those that the pools show."""
        return {
            **self.judge(self.discriminator_b, real_b, shown_b, "b"),
            **self.judge(self.discriminator_a, real_a, shown_a, "a"),
        }

    def configure_optimizers(self) -> Any:
        return self.rated(
            self.adam(self.generator_ab, self.generator_ba),
            self.adam(self.discriminator_a, self.discriminator_b),
        )
