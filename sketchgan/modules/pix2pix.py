"""pix2pix: image-to-image translation from aligned pairs."""

from collections.abc import Sequence
from typing import Any, Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from sketchgan.losses import AdversarialLoss, AdversarialMode, adversarial_loss
from sketchgan.modules.base import Batch, GANModule, refuse_batch_norm
from sketchgan.networks import PatchDiscriminator, UNetGenerator
from sketchgan.ops import LRPolicy, frozen, inference_policy, seeds_of


class Pix2Pix(GANModule):
    """Translate A to B, judged together with A by a patch discriminator and held to B by an L1 term.

    Isola, Zhu, Zhou and Efros: Image-to-Image Translation with Conditional Adversarial Networks, CVPR 2017,
    arXiv 1611.07004, equations 1 to 4. Follows the official PyTorch code where it differs from the paper: dropout on
    the inner decoder levels only, linear decay of the learning rate in the second half, D's loss halved.

    The paper's ablations: L1 alone ``lambda_gan=0``, cGAN alone ``lambda_l1=0``, GAN instead of cGAN
    ``conditional=False``, encoder-decoder
    ``generator=EncoderDecoderGenerator()``, other patches ``discriminator=PatchDiscriminator(6, n_layers=…)``.

    Args:
        generator: maps A to B; default ``UNetGenerator()``, for sides that are multiples of 256.
        discriminator: scores A and B joined along channels (B alone if not ``conditional``); default
            ``PatchDiscriminator(6)``, the 70×70 PatchGAN.
        adversarial: name of the adversarial loss, or an `AdversarialLoss`. "wgangp" needs a discriminator without
            batch norm.
        lambda_gan: weight of the generator's adversarial term; 0 leaves the discriminator untouched.
        lambda_l1: weight of the mean absolute distance to B.
        lambda_l2: weight of the mean squared distance to B.
        conditional: show A to the discriminator too.
        d_loss_scale: factor on the discriminator's loss; 1 in the Torch original.
        lr: learning rate of both Adam optimizers.
        betas: Adam's coefficients.
        fused: run Adam as one kernel; by default unless the precision is "16-mixed".
        lr_policy: "linear", "step", "cosine", "plateau" (on the value logged as ``lr_monitor``) or "constant".
        n_epochs: epochs at the full rate (the period of "cosine").
        n_epochs_decay: epochs of linear decay.
        lr_step_size: epochs between the falls of "step".
        lr_monitor: what "plateau" watches.
        clip_g: largest gradient norm of the generator; none by default.
        clip_d: largest gradient norm of the discriminator; none by default.
        inference_norm: "sample" normalises in the generator's batch norm with the image's own statistics, as the
            official test script does; "running" with the averages of training.
        inference_dropout: keep dropout on when translating, as the official test script does; seeded by file name.

    Shapes: A and B ``(N, C, H, W)`` in [-1, 1].

    Raises:
        ValueError: for unknown names, and for "wgangp" with batch norm in the discriminator.
    """

    needs_pairs = True

    def __init__(
        self,
        generator: nn.Module | None = None,
        discriminator: nn.Module | None = None,
        adversarial: AdversarialMode | AdversarialLoss = "vanilla",
        lambda_gan: float = 1.0,
        lambda_l1: float = 100.0,
        lambda_l2: float = 0.0,
        conditional: bool = True,
        d_loss_scale: float = 0.5,
        lr: float = 2e-4,
        betas: tuple[float, float] = (0.5, 0.999),
        fused: bool | None = None,
        lr_policy: LRPolicy = "linear",
        n_epochs: int = 100,
        n_epochs_decay: int = 100,
        lr_step_size: int = 50,
        lr_monitor: str = "val/l1",
        clip_g: float | None = None,
        clip_d: float | None = None,
        inference_norm: Literal["sample", "running"] = "sample",
        inference_dropout: bool = True,
    ) -> None:
        super().__init__()
        if inference_norm not in ("sample", "running"):
            raise ValueError(f'inference_norm must be "sample" or "running", got {inference_norm!r}')
        self.generator = UNetGenerator() if generator is None else generator
        if discriminator is None:
            discriminator = PatchDiscriminator(3 + 3 if conditional else 3)
        self.discriminator = discriminator
        self.adversarial = adversarial_loss(adversarial)
        if self.adversarial.lambda_gp:
            refuse_batch_norm(self.discriminator, "PatchDiscriminator(6, norm='instance')")
        self.lambda_gan = lambda_gan
        self.lambda_l1 = lambda_l1
        self.lambda_l2 = lambda_l2
        self.conditional = conditional
        self.d_loss_scale = d_loss_scale
        self.lr = lr
        self.betas = betas
        self.fused = fused
        self.plan_rates(lr_policy, n_epochs, n_epochs_decay, lr_step_size, lr_monitor)
        self.clip_g = clip_g
        self.clip_d = clip_d
        self.inference_norm = inference_norm
        self.inference_dropout = inference_dropout

    def forward(
        self, a: Tensor, names: Sequence[str] | None = None, variants: Sequence[int] | Tensor | None = None
    ) -> Tensor:
        """Translate images as the official test script does, or as ``inference_norm`` and ``inference_dropout`` say.

        Args:
            a: ``(N, C, H, W)`` in [-1, 1].
            names: one per image, to seed its dropout; by default its place in the batch.
            variants: one per name, for other dropout; see `seeds_of`.

        Returns:
            The translation in [-1, 1].
        """
        seeds = None if names is None else seeds_of(names, variants)
        with inference_policy(self.generator, self.inference_norm == "sample", self.inference_dropout, seeds):
            return self.generator(a)

    def training_step(self, batch: Batch, batch_idx: int) -> None:
        real_a, real_b = batch["A"], batch["B"]
        opt_g, opt_d = self.optimizers()
        fake_b = self.generator(real_a)  # one pass serves both updates

        if self.lambda_gan:
            self.minimize(opt_d, self.discriminator_losses(real_a, real_b, fake_b.detach()), "d", self.clip_d)
        with frozen(self.discriminator):
            self.minimize(opt_g, self.generator_losses(real_a, real_b, fake_b), "g", self.clip_g)

    def discriminator_losses(self, real_a: Tensor, real_b: Tensor, fake_b: Tensor) -> dict[str, Tensor]:
        """Weighted terms of the discriminator's loss; ``fake_b`` is detached."""
        real, fake = self.judged(real_a, real_b), self.judged(real_a, fake_b)
        # Fake first, as in the official code: the order shows in batch norm's running statistics.
        terms = {
            "fake": self.d_loss_scale * self.adversarial.fake(self.discriminator(fake)),
            "real": self.d_loss_scale * self.adversarial.real(self.discriminator(real)),
        }
        if self.adversarial.lambda_gp:
            terms["gp"] = self.adversarial.penalty(self.discriminator, real, fake)
        return terms

    def generator_losses(self, real_a: Tensor, real_b: Tensor, fake_b: Tensor) -> dict[str, Tensor]:
        """Weighted terms of the generator's loss."""
        terms = {}
        if self.lambda_gan:
            score = self.discriminator(self.judged(real_a, fake_b))
            terms["gan"] = self.lambda_gan * self.adversarial.generator(score)
        if self.lambda_l1:
            terms["l1"] = self.lambda_l1 * F.l1_loss(fake_b, real_b)
        if self.lambda_l2:
            terms["l2"] = self.lambda_l2 * F.mse_loss(fake_b, real_b)
        return terms

    def judged(self, a: Tensor, b: Tensor) -> Tensor:
        """What the discriminator looks at."""
        return torch.cat([a, b], dim=1) if self.conditional else b

    def configure_optimizers(self) -> Any:
        return self.rated(self.adam(self.generator), self.adam(self.discriminator))

    def sample(self, batch: Batch) -> dict[str, Tensor]:
        """Input, translation and, where the batch has it, the true picture."""
        pictures = {"real_A": batch["A"], "fake_B": self(batch["A"], batch.get("A_path"), batch.get("seed"))}
        return pictures | ({"real_B": batch["B"]} if "B" in batch else {})
