"""SketchyGAN: photos of a class from a sketch, trained on sketches and edge maps."""

from collections.abc import Mapping, Sequence
from typing import Any, Literal

import torch
import torch.nn.functional as F
from lightning.pytorch.utilities import rank_zero_warn
from torch import Tensor, nn

from sketchgan.losses import (
    AdversarialLoss,
    AdversarialMode,
    PerceptualLoss,
    adversarial_loss,
    diversity_loss,
    focal_loss,
)
from sketchgan.modules.base import Batch, GANModule, refuse_batch_norm
from sketchgan.networks import (
    ClassJudged,
    SketchyGANDiscriminator,
    SketchyGANGenerator,
    decay_groups,
)
from sketchgan.ops import (
    TensorFlowAdam,
    advance_spectral_norm,
    floored_lr_by_iteration,
    frozen,
    inference_policy,
    seeds_of,
    together,
    use_statistics,
)


class SketchyGAN(GANModule):
    """Turn a sketch, a class and noise into a photo.

    Chen and Hays: SketchyGAN: Towards Diverse and Realistic Sketch to Image Synthesis, CVPR 2018, arXiv 1801.02753.
    Follows the released code, whose defaults are newer than the paper: logistic loss with spectral norm instead of
    DRAGAN, other rates.

    Every update sees pictures and noise of its own: a batch is cut into ``d_iterations + 1`` equal parts, the last one
    for the generator. A is the sketch (as published: the distance from its strokes), B the photo.
    `sketchgan.data.Mixture` gives the published blend of sketches and edge maps, whose share is logged as
    ``sketch_share``.

    The paper's ablations: other blocks ``SketchyGANGenerator(encoder="resnet", decoder="resnet")``, no skips
    ``SketchyGANGenerator(skips=False)``, a loss off by its weight 0, plain classification ``focal_gamma=0``. Its GAN:
    ``adversarial="dragan"`` and ``SketchyGANDiscriminator(spectral_norm=False)``.

    Args:
        generator: called with sketches, labels and one or two noises, returns as many pictures; default
            ``SketchyGANGenerator(n_classes, image_size=image_size)``. ``noise_dim`` says how long a noise is.
        discriminator: called with pictures and labels, returns scores or `ClassJudged`; default
            ``SketchyGANDiscriminator(n_classes)``.
        n_classes: of the default networks.
        image_size: of the default generator.
        adversarial: name of the adversarial loss, or an `AdversarialLoss`. Those with a gradient penalty ("dragan",
            "wgangp") are meant for ``SketchyGANDiscriminator(spectral_norm=False)``.
        perceptual: the perceptual distance; default ``PerceptualLoss()``, Inception-V4, whose weights are downloaded.
        lambda_gan: weight of the adversarial terms in both updates, the gradient penalty included.
        lambda_class_d: weight of the discriminator's classification of real photos.
        lambda_class_g: weight of the generator's, which plainly is cross-entropy.
        focal_gamma: how much the discriminator's classification looks at what it does not know yet; 0 for plain
            cross-entropy.
        lambda_l1: weight of the mean absolute distance to B.
        lambda_perceptual: weight of the perceptual distance.
        lambda_diversity: weight of the difference that two noises make; without it only one is drawn.
        relative_diversity: divide that difference by the distance of the noises.
        decay_conv: weight decay of the units' convolutions.
        decay_linear: weight decay of linear layers.
        lr_g: learning rate of the generator's Adam.
        lr_d: learning rate of the discriminator's.
        betas: coefficients of both.
        fused: run Adam as one kernel; by default unless the precision is "16-mixed".
        n_iterations: batches until the learning rates would have lost ``lr_decay`` of their value.
        lr_decay: see there.
        lr_floor: least share of the learning rates.
        d_iterations: updates of the discriminator before each of the generator.
        clip_g: largest gradient norm of the generator; none by default.
        clip_d: largest gradient norm of the discriminator; none by default.
        inference_norm: what the generator normalises with when translating: "batch", the pictures that are translated
            together, as the official test script does (of a single one the noise has no effect); or "running", the
            averages of training.

    Shapes: A and B ``(N, C, H, W)`` in [-1, 1], labels int64 ``(N,)``.

    Raises:
        ValueError: for unknown names, numbers that do not fit, and for a gradient penalty with batch norm in the
            discriminator.
    """

    needs_pairs = True
    needs_labels = True
    lr_interval = "iteration"

    def __init__(
        self,
        generator: nn.Module | None = None,
        discriminator: nn.Module | None = None,
        n_classes: int = 50,
        image_size: int = 64,
        adversarial: AdversarialMode | AdversarialLoss = "nonsaturating",
        perceptual: PerceptualLoss | None = None,
        lambda_gan: float = 1.0,
        lambda_class_d: float = 1.0,
        lambda_class_g: float = 0.5,
        focal_gamma: float = 2.0,
        lambda_l1: float = 10.0,
        lambda_perceptual: float = 3.0,
        lambda_diversity: float = 10.0,
        relative_diversity: bool = True,
        decay_conv: float = 1e-5,
        decay_linear: float = 1e-6,
        lr_g: float = 2e-4,
        lr_d: float = 4e-4,
        betas: tuple[float, float] = (0.0, 0.9),
        fused: bool | None = None,
        n_iterations: int = 300_000,
        lr_decay: float = 0.9,
        lr_floor: float = 0.2,
        d_iterations: int = 1,
        clip_g: float | None = None,
        clip_d: float | None = None,
        inference_norm: Literal["batch", "running"] = "batch",
    ) -> None:
        super().__init__()
        if d_iterations < 1:
            raise ValueError(f"d_iterations must be at least 1, got {d_iterations}")
        self.generator = SketchyGANGenerator(n_classes, image_size=image_size) if generator is None else generator
        self.discriminator = SketchyGANDiscriminator(n_classes) if discriminator is None else discriminator
        use_statistics(self.generator, inference_norm)
        self.adversarial = adversarial_loss(adversarial)
        if self.adversarial.lambda_gp:
            refuse_batch_norm(self.discriminator, "SketchyGANDiscriminator(spectral_norm=False)")
        self.perceptual = PerceptualLoss() if perceptual is None else perceptual
        self.lambda_gan = lambda_gan
        self.lambda_class_d = lambda_class_d
        self.lambda_class_g = lambda_class_g
        self.focal_gamma = focal_gamma
        self.lambda_l1 = lambda_l1
        self.lambda_perceptual = lambda_perceptual
        self.lambda_diversity = lambda_diversity
        self.relative_diversity = relative_diversity
        self.decays = (decay_conv, decay_linear)
        self.lr_g = lr_g
        self.lr_d = lr_d
        self.betas = betas
        self.fused = fused
        self.lr_curve = (n_iterations, lr_decay, lr_floor)
        self.d_iterations = d_iterations
        self.clip_g = clip_g
        self.clip_d = clip_d
        self.inference_norm = inference_norm

    def setup(self, stage: str) -> None:
        super().setup(stage)
        if stage == "fit" and self.lambda_perceptual:
            self.perceptual.prepare()  # missing weights show before the first batch

    def forward(
        self,
        sketch: Tensor,
        labels: Tensor,
        names: Sequence[str] | None = None,
        variants: Sequence[int] | None = None,
    ) -> Tensor:
        """Turn sketches into photos, each with a noise that follows from its name and variant alone.

        Args:
            sketch: ``(N, C, H, W)`` in [-1, 1].
            labels: classes, int64 ``(N,)``.
            names: one per sketch; by default its place in the batch.
            variants: a number for each; another one gives another photo of the same sketch. By default 0.

        Returns:
            Photos in [-1, 1].
        """
        if self.inference_norm == "batch" and len(sketch) == 1:
            rank_zero_warn(
                "a single sketch is normalised with itself, so its noise has no effect; translate several at once, or "
                'set inference_norm="running"'
            )
        if self.inference_norm == "running" and not (self._trainer and self._trainer.sanity_checking):
            self._warn_without_averages()
        seeds = seeds_of(list(map(str, range(len(sketch)))) if names is None else names, variants)
        draws = [torch.randn(self.noise_dim, generator=torch.Generator().manual_seed(seed)) for seed in seeds]
        with inference_policy(self.generator):
            return self.generator(sketch, labels, torch.stack(draws).to(sketch))

    def _warn_without_averages(self) -> None:
        norms = (module for module in self.generator.modules() if hasattr(module, "statistics"))
        if getattr(next(norms, None), "num_batches_tracked", 1) == 0:
            rank_zero_warn(
                'inference_norm="running", but the generator has no averages of training (weights of the official code '
                'hold none): use "batch", or train first'
            )

    def training_step(self, batch: Batch, batch_idx: int) -> None:
        opt_g, opt_d = self.optimizers()
        *for_d, for_g = self.parts(batch)
        for part in for_d:
            with frozen(self.generator):
                fake_b = self.generator(part["A"], part["A_label"], self.noise(part))
            if losses := self.discriminator_losses(part, fake_b):
                self.minimize(opt_d, losses, "d", self.clip_d)

        noises = [self.noise(for_g) for _ in range(2 if self.lambda_diversity else 1)]
        made = self.generator(for_g["A"], for_g["A_label"], *noises)
        with frozen(self.discriminator):
            self.minimize(opt_g, self.generator_losses(for_g, noises, made), "g", self.clip_g)
        advance_spectral_norm(self.discriminator)
        if self.is_logging_step and "sketch_share" in batch:
            self.log("sketch_share", batch["sketch_share"].mean())

    def parts(self, batch: Batch) -> list[dict[str, Any]]:
        """A batch cut into the pictures of each update."""
        count, size = self.d_iterations + 1, len(batch["A"])
        if size % count:
            raise ValueError(
                f"a batch of {size} cannot be cut into {count} equal parts, one for each update; make batch_size a "
                f"multiple of d_iterations + 1 = {count}"
            )
        step = size // count
        return [{key: value[i : i + step] for key, value in batch.items()} for i in range(0, size, step)]

    def noise(self, part: Mapping[str, Any]) -> Tensor:
        """Random vectors for the sketches of a part."""
        return torch.randn(len(part["A"]), self.noise_dim, device=part["A"].device, dtype=part["A"].dtype)

    @property
    def noise_dim(self) -> int:
        """Length of the noise that the generator takes."""
        return getattr(self.generator, "noise_dim", 256)

    def discriminator_losses(self, part: Mapping[str, Any], fake_b: Tensor) -> dict[str, Tensor]:
        """Weighted terms of the discriminator's loss on real photos and on what the sketches beside them became."""
        real_b, label_b, label_a = part["B"], part["B_label"], part["A_label"]
        real, fake = map(_judged, together(self.discriminator, (real_b, label_b), (fake_b.detach(), label_a)))
        terms = {}
        if self.lambda_gan:
            terms["real"] = self.lambda_gan * self.adversarial.real(real.score)
            terms["fake"] = self.lambda_gan * self.adversarial.fake(fake.score)
            if self.adversarial.lambda_gp:
                terms["gp"] = self.lambda_gan * self.adversarial.penalty(
                    lambda pictures: _judged(self.discriminator(pictures, label_b)).score, real_b, fake_b.detach()
                )
        if self.lambda_class_d and real.class_logits is not None:
            terms["class"] = self.lambda_class_d * focal_loss(real.class_logits, label_b, self.focal_gamma)
        return terms

    def generator_losses(
        self, part: Mapping[str, Any], noises: Sequence[Tensor], made: Tensor | tuple[Tensor, ...]
    ) -> dict[str, Tensor]:
        """Weighted terms of the generator's loss; ``made`` are the photos of one noise, or of two."""
        fake_b, *others = [made] if isinstance(made, Tensor) else made
        real_b, label_a = part["B"], part["A_label"]
        terms = {}
        if self.lambda_gan or self.lambda_class_g:
            score, class_logits = _judged(self.discriminator(fake_b, label_a))
            if self.lambda_gan:
                terms["gan"] = self.lambda_gan * self.adversarial.generator(score)
            if self.lambda_class_g and class_logits is not None:
                terms["class"] = self.lambda_class_g * focal_loss(class_logits, label_a, gamma=0)
        if self.lambda_l1:
            terms["l1"] = self.lambda_l1 * F.l1_loss(fake_b, real_b)
        if self.lambda_perceptual:
            terms["perceptual"] = self.lambda_perceptual * self.perceptual(real_b, fake_b)
        for other in others:
            diversity = diversity_loss(fake_b, other, noises[0], noises[1], self.relative_diversity)
            terms["diversity"] = self.lambda_diversity * diversity
        return terms

    def classify(self, pictures: Tensor) -> Tensor:
        """Logits of the classes ``(N, n_classes)`` that the discriminator sees in pictures ``(N, C, H, W)`` in [-1, 1].

        Raises:
            ValueError: if the discriminator has no classifier.
        """
        labels = torch.zeros(len(pictures), dtype=torch.int64, device=self.device)  # a projection would ask for them
        logits = _judged(self.discriminator(pictures.to(self.device), labels)).class_logits
        if logits is None:
            raise ValueError(f"this {type(self.discriminator).__name__} judges pictures without naming their class")
        return logits

    def configure_optimizers(self) -> Any:
        optimizers = [
            self.adam(groups=decay_groups(network, *self.decays), lr=lr, cls=TensorFlowAdam)
            for network, lr in ((self.generator, self.lr_g), (self.discriminator, self.lr_d))
        ]
        return optimizers, [floored_lr_by_iteration(optimizer, *self.lr_curve) for optimizer in optimizers]

    def sample(self, batch: Batch) -> dict[str, Tensor]:
        """Sketch, photo and, where the batch has it, the true photo."""
        pictures = {"real_A": batch["A"], **self.translate(batch)}
        return pictures | ({"real_B": batch["B"]} if "B" in batch else {})

    def translate(self, batch: Batch, seed: int = 0) -> dict[str, Tensor]:
        """The photo of each sketch; its noise follows from the file's name and the seed, the batch's own one added."""
        if "A_label" not in batch:
            raise ValueError("SketchyGAN needs the class of every sketch; give a label, or data with labels")
        variants = [seed + int(own) for own in batch.get("seed", [0] * len(batch["A"]))]
        return {"fake_B": self(batch["A"], batch["A_label"], batch.get("A_path"), variants)}


def _judged(made: Any) -> ClassJudged:
    """What a discriminator says; one without a classifier may return the scores alone."""
    return ClassJudged(made, None) if isinstance(made, Tensor) else made
