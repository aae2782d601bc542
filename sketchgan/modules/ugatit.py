"""U-GAT-IT: translation without pairs by attention and adaptive layer-instance normalisation."""

from collections.abc import Iterator
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from sketchgan.losses import AdversarialLoss, AdversarialMode, VanillaLoss, adversarial_loss
from sketchgan.modules.base import Batch
from sketchgan.modules.two_way import Direction, TwoWayModule
from sketchgan.networks import Attended, Judged, UGATITDiscriminator, UGATITGenerator
from sketchgan.ops import clamp_parameters, frozen, heatmap_picture, lr_by_iteration, together


class UGATIT(TwoWayModule):
    """Translate between two unpaired domains that differ in shape, guided by attention to what tells them apart.

    Kim, Kim, Kang and Lee: U-GAT-IT: Unsupervised Generative Attentional Networks with Adaptive Layer-Instance
    Normalization for Image-to-Image Translation, ICLR 2020, arXiv 1907.10830, section 2. Follows the official PyTorch
    code; networks with ``variant="tensorflow"`` follow the code that the paper's numbers come from.

    The paper's ablations (table 1): other norms ``UGATITGenerator(norm=…)``, no attention
    ``UGATITGenerator(cam=False)`` or ``UGATITDiscriminator(cam=False)``.

    Args:
        generator_ab: maps A to B; default ``UGATITGenerator(light=light, image_size=image_size)``. Any network that
            returns a picture will do; attention and its losses are for those that return `Attended`.
        generator_ba: maps B to A; default likewise.
        global_a: scores images of domain A as a whole; default ``UGATITDiscriminator(n_layers=7)``, from 96 px on.
        local_a: scores patches of them; default ``UGATITDiscriminator(n_layers=5)``.
        global_b: the same for domain B; default as ``global_a``.
        local_b: the same for domain B; default as ``local_a``.
        light: default generators of 10.6 instead of 279 million weights each, for pictures of any size.
        image_size: side of the square pictures of the default generators, if not ``light``.
        adversarial: name of the adversarial loss, or an `AdversarialLoss` without gradient penalty.
        lambda_gan: weight of the adversarial terms, in both updates.
        lambda_cycle: weight of the cycle terms.
        lambda_identity: weight of the identity terms: a generator that is shown an image of its own target domain
            should return it.
        lambda_cam: weight of the generators' auxiliary classifiers. Terms are logged with their weights, so their two
            start in the thousands (a classifier that knows nothing costs 1386).
        rho_clip: upper limit of the generators' shares of instance norm, which stay between 0 and this.
        lr: learning rate of both Adam optimizers.
        betas: Adam's coefficients.
        weight_decay: Adam's, added to the gradients of all weights.
        fused: run Adam as one kernel; by default unless the precision is "16-mixed".
        n_iterations: batches at the full rate.
        n_iterations_decay: batches of linear decay to zero; 0 for none.
        clip_g: largest gradient norm of both generators together; none by default.
        clip_d: largest gradient norm of all discriminators together; none by default.

    Shapes: A and B ``(N, C, H, W)`` in [-1, 1], sides multiples of 4, from 96 px on with the default discriminators.

    Raises:
        ValueError: for unknown names, and for a loss with gradient penalty.
    """

    lr_interval = "iteration"

    def __init__(
        self,
        generator_ab: nn.Module | None = None,
        generator_ba: nn.Module | None = None,
        global_a: nn.Module | None = None,
        local_a: nn.Module | None = None,
        global_b: nn.Module | None = None,
        local_b: nn.Module | None = None,
        light: bool = False,
        image_size: int = 256,
        adversarial: AdversarialMode | AdversarialLoss = "lsgan",
        lambda_gan: float = 1.0,
        lambda_cycle: float = 10.0,
        lambda_identity: float = 10.0,
        lambda_cam: float = 1000.0,
        rho_clip: float = 1.0,
        lr: float = 1e-4,
        betas: tuple[float, float] = (0.5, 0.999),
        weight_decay: float = 1e-4,
        fused: bool | None = None,
        n_iterations: int = 500_000,
        n_iterations_decay: int = 500_000,
        clip_g: float | None = None,
        clip_d: float | None = None,
    ) -> None:
        super().__init__()
        self.generator_ab = self.default_generator(light, image_size) if generator_ab is None else generator_ab
        self.generator_ba = self.default_generator(light, image_size) if generator_ba is None else generator_ba
        self.global_a = self.default_discriminator(n_layers=7) if global_a is None else global_a
        self.local_a = self.default_discriminator(n_layers=5) if local_a is None else local_a
        self.global_b = self.default_discriminator(n_layers=7) if global_b is None else global_b
        self.local_b = self.default_discriminator(n_layers=5) if local_b is None else local_b
        self.adversarial = adversarial_loss(adversarial)
        if self.adversarial.lambda_gp:
            raise ValueError(f"{type(self).__name__} has no gradient penalty; use another adversarial loss than wgangp")
        self.cam = VanillaLoss()
        self.lambda_gan = lambda_gan
        self.lambda_cycle = lambda_cycle
        self.lambda_identity = lambda_identity
        self.lambda_cam = lambda_cam
        self.limits = {"rho": rho_clip}
        self.lr = lr
        self.betas = betas
        self.weight_decay = weight_decay
        self.fused = fused
        self.lr_curve = (n_iterations, n_iterations_decay)
        self.clip_g = clip_g
        self.clip_d = clip_d

    @staticmethod
    def default_generator(light: bool, image_size: int) -> nn.Module:
        """The published generator."""
        return UGATITGenerator(light=light, image_size=image_size)

    @staticmethod
    def default_discriminator(n_layers: int) -> nn.Module:
        """The published discriminators: of 7 layers the global ones, of 5 the local ones."""
        return UGATITDiscriminator(n_layers=n_layers)

    def training_step(self, batch: Batch, batch_idx: int) -> None:
        real_a, real_b = batch["A"], batch["B"]
        opt_g, opt_d = self.optimizers()
        # One pass serves both updates, and carries translation and identity side by side.
        fake_b, same_b = self._translation_and_identity(self.generator_ab, real_a, real_b)
        fake_a, same_a = self._translation_and_identity(self.generator_ba, real_b, real_a)

        if self.lambda_gan:
            shown_a, shown_b = fake_a.image.detach(), fake_b.image.detach()
            self.minimize(opt_d, self.discriminator_losses(real_a, real_b, shown_a, shown_b), "d", self.clip_d)
        with frozen(self.global_a, self.local_a, self.global_b, self.local_b):
            losses = self.generator_losses(real_a, real_b, same_a, same_b, fake_a, fake_b)
            self.minimize(opt_g, losses, "g", self.clip_g)
        for generator in (self.generator_ab, self.generator_ba):
            clamp_parameters(generator, self.limits)

    def _translation_and_identity(self, generator: nn.Module, source: Tensor, target: Tensor) -> list[Attended]:
        if self.lambda_identity:
            return [_attended(made) for made in together(generator, source, target)]
        fake = _attended(generator(source))
        if self.lambda_cam and fake.cam_logit is not None:
            return [fake, _attended(generator(target))]
        return [fake, Attended(target, None, None)]  # which nothing looks at

    def discriminator_losses(
        self, real_a: Tensor, real_b: Tensor, shown_a: Tensor, shown_b: Tensor
    ) -> dict[str, Tensor]:
        """Weighted terms of all discriminators' loss on real images and detached translations."""
        terms = {}
        for name, discriminator in self._judges():
            pictures = (real_a, shown_a) if name.endswith("a") else (real_b, shown_b)
            real, fake = map(_judged, together(discriminator, *pictures))
            terms[f"real_{name}"] = self.lambda_gan * self.adversarial.real(real.score)
            terms[f"fake_{name}"] = self.lambda_gan * self.adversarial.fake(fake.score)
            if real.cam_logit is not None and fake.cam_logit is not None:
                terms[f"real_cam_{name}"] = self.lambda_gan * self.adversarial.real(real.cam_logit)
                terms[f"fake_cam_{name}"] = self.lambda_gan * self.adversarial.fake(fake.cam_logit)
        return terms

    def generator_losses(
        self,
        real_a: Tensor,
        real_b: Tensor,
        same_a: Attended,
        same_b: Attended,
        fake_a: Attended,
        fake_b: Attended,
    ) -> dict[str, Tensor]:
        """Weighted terms of both generators' loss; ``same_a`` is what ``generator_ba`` made of ``real_a``."""
        terms = {}
        if self.lambda_gan:
            for name, discriminator in self._judges():
                score, cam_logit = _judged(discriminator((fake_a if name.endswith("a") else fake_b).image))
                terms[f"gan_{name}"] = self.lambda_gan * self.adversarial.generator(score)
                if cam_logit is not None:
                    terms[f"gan_cam_{name}"] = self.lambda_gan * self.adversarial.generator(cam_logit)
        if self.lambda_cycle:
            terms["cycle_a"] = self.lambda_cycle * F.l1_loss(_attended(self.generator_ba(fake_b.image)).image, real_a)
            terms["cycle_b"] = self.lambda_cycle * F.l1_loss(_attended(self.generator_ab(fake_a.image)).image, real_b)
        if self.lambda_identity:
            terms["identity_a"] = self.lambda_identity * F.l1_loss(same_a.image, real_a)
            terms["identity_b"] = self.lambda_identity * F.l1_loss(same_b.image, real_b)
        # "Is this the source domain?": what is to be translated is, what is of the target domain is not.
        for name, fake, same in (("cam_a", fake_a, same_a), ("cam_b", fake_b, same_b)):
            if self.lambda_cam and fake.cam_logit is not None and same.cam_logit is not None:
                terms[name] = self.lambda_cam * (self.cam.real(fake.cam_logit) + self.cam.fake(same.cam_logit))
        return terms

    def _judges(self) -> Iterator[tuple[str, nn.Module]]:
        for name in ("global_a", "local_a", "global_b", "local_b"):
            yield name, getattr(self, name)

    def configure_optimizers(self) -> Any:
        generators = self.generator_ab, self.generator_ba
        discriminators = self.global_a, self.local_a, self.global_b, self.local_b
        optimizers = [self.adam(*networks, weight_decay=self.weight_decay) for networks in (generators, discriminators)]
        return optimizers, [lr_by_iteration(optimizer, *self.lr_curve) for optimizer in optimizers]

    def sample(self, batch: Batch) -> dict[str, Tensor]:
        """For each domain that the batch has, what the official sample sheet shows.

        The picture itself; what the generator to its own domain makes of it; the translation; and the way back. Above
        each of the three stands where attention lay (``cam_…``), if the generator has any.
        """
        pictures: dict[str, Tensor] = {}
        ways: tuple[tuple[str, str, Direction, Direction], ...]
        ways = ("A", "B", "AtoB", "BtoA"), ("B", "A", "BtoA", "AtoB")
        for start, end, there, back in ways:
            if start not in batch or there not in self.directions:
                continue
            real = pictures[f"real_{start}"] = batch[start]
            fake = _attended(self.generate(real, there))
            made = {f"fake_{end}": fake}
            if back in self.directions:
                same, rec = (_attended(self.generate(images, back)) for images in (real, fake.image))
                made = {f"same_{start}": same, **made, f"rec_{start}": rec}
            for name, attended in made.items():
                if attended.heatmap is not None:
                    pictures[f"cam_{name}"] = heatmap_picture(attended.heatmap, real.shape[-2:])
                pictures[name] = attended.image
        return pictures


def _attended(made: Any) -> Attended:
    """What a generator made; one without attention returns the picture alone."""
    return Attended(made, None, None) if isinstance(made, torch.Tensor) else made


def _judged(made: Any) -> Judged:
    return Judged(made, None) if isinstance(made, torch.Tensor) else made
