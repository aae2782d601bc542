"""Anime2Sketch: line drawings from coloured ones."""

from typing import ClassVar, Literal

import torch.nn.functional as F
from torch import Tensor, nn

from sketchgan.losses import AdversarialLoss, AdversarialMode
from sketchgan.modules.aoda import AODA, Made
from sketchgan.modules.base import Batch
from sketchgan.networks import PatchDiscriminator, ResnetGenerator, UNetGenerator
from sketchgan.ops import LRPolicy


class Anime2Sketch(AODA):
    """Turn pictures (B) into line art (A): AODA's photo-to-sketch half, without classes and with a U-Net.

    Xiang, Liu, Yang, Zhu, Shen and Allebach: Anime2Sketch, a sketch extractor for anime arts with deep networks, 2021,
    which was released for inference only; the method is that of arXiv 2104.05703. How the released weights were trained
    is not published, so the defaults of training are ours: those of `AODA` in its official preset.

    Train it without pairs (the other half, from line art to pictures, is trained beside it), or with pairs of a
    picture and its line art. Pairs alone, as in pix2pix: ``lambda_pair=100, lambda_gan_b=0, lambda_a=0, lambda_b=0``.
    The published "improved" weights were distilled: pairs of pictures and what the first model drew of them,
    ``improved=True, pair_loss="l2", lambda_gan_a=0`` and the others 0 as before.

    Args:
        generator_ba: maps pictures to line art; default ``UNetGenerator(3, 1, norm="instance", dropout=0)``.
        generator_ab: maps line art to pictures, for the cycles; default ``ResnetGenerator(1, 3)``.
        discriminator_a: scores line art; default ``PatchDiscriminator(1, norm="instance")``.
        discriminator_b: scores pictures; default ``PatchDiscriminator(3, norm="instance")``.
        improved: give the default U-Net up-convolutions without fixed patterns in dark regions (``upsample="smooth"``).
        lambda_pair: weight of the distance to the line art that belongs to a picture; needs pairs.
        pair_loss: that distance, "l1" or "l2".
        preset: see `AODA`, as for all that follows; "paper" wants a threshold.
        adversarial: adversarial loss.
        lambda_gan_a: weight of the adversarial term of line art.
        lambda_gan_b: the same of pictures.
        lambda_a: weight of the cycle line art → picture → line art.
        lambda_b: weight of the cycle picture → line art → picture.
        lambda_identity: weight of the identity terms relative to their domain's cycle; wants networks with as many
            channels on both sides.
        threshold: a step is mixed with probability 1 - t.
        mixed_for: who sees the pictures of made line art.
        pool_size: number of past pictures of both kinds.
        sketch_pool_size: number of past line art for its discriminator.
        lr_g: learning rate of both generators.
        lr_d: of both discriminators.
        betas: Adam's coefficients.
        fused: run Adam as one kernel; by default unless the precision is "16-mixed".
        lr_policy: of the learning rates.
        n_epochs: epochs at the full rate.
        n_epochs_decay: epochs of decay.
        lr_step_size: epochs between the falls of "step".
        lr_monitor: what "plateau" watches.
        clip_g: largest gradient norm of both generators together; none by default.
        clip_d: largest gradient norm of both discriminators together; none by default.

    Shapes: A ``(N, 1, H, W)``, B ``(N, 3, H, W)`` in [-1, 1], sides multiples of 256 with the default U-Net.

    Raises:
        ValueError: as `AODA`, and for an unknown ``pair_loss``; in training with ``lambda_pair``, for line art of
            other channels than what ``generator_ba`` draws.
    """

    needs_labels = False
    resizes_back = True
    generators: ClassVar = {"BtoA": "generator_ba"}

    def __init__(
        self,
        generator_ba: nn.Module | None = None,
        generator_ab: nn.Module | None = None,
        discriminator_a: nn.Module | None = None,
        discriminator_b: nn.Module | None = None,
        improved: bool = False,
        lambda_pair: float = 0.0,
        pair_loss: Literal["l1", "l2"] = "l1",
        preset: Literal["official", "paper"] = "official",
        adversarial: AdversarialMode | AdversarialLoss | None = None,
        lambda_gan_a: float = 1.0,
        lambda_gan_b: float = 1.0,
        lambda_a: float | None = None,
        lambda_b: float | None = None,
        lambda_identity: float = 0.0,
        threshold: float | None = None,
        mixed_for: Literal["all", "generator"] | None = None,
        pool_size: int = 50,
        sketch_pool_size: int = 0,
        lr_g: float | None = None,
        lr_d: float | None = None,
        betas: tuple[float, float] = (0.5, 0.999),
        fused: bool | None = None,
        lr_policy: LRPolicy | None = None,
        n_epochs: int | None = None,
        n_epochs_decay: int | None = None,
        lr_step_size: int = 50,
        lr_monitor: str = "val/fid_a",
        clip_g: float | None = None,
        clip_d: float | None = None,
    ) -> None:
        if pair_loss not in ("l1", "l2"):
            raise ValueError(f'pair_loss must be "l1" or "l2", got {pair_loss!r}')
        if generator_ba is None:
            generator_ba = UNetGenerator(
                3, 1, norm="instance", dropout=0.0, upsample="smooth" if improved else "deconv"
            )
        super().__init__(
            generator_ab=ResnetGenerator(1, 3) if generator_ab is None else generator_ab,
            generator_ba=generator_ba,
            discriminator_a=PatchDiscriminator(1, norm="instance") if discriminator_a is None else discriminator_a,
            discriminator_b=discriminator_b,
            n_classes=0,
            preset=preset,
            adversarial=adversarial,
            lambda_gan_a=lambda_gan_a,
            lambda_gan_b=lambda_gan_b,
            lambda_a=lambda_a,
            lambda_b=lambda_b,
            lambda_identity=lambda_identity,
            threshold=threshold,
            mixed_for=mixed_for,
            pool_size=pool_size,
            sketch_pool_size=sketch_pool_size,
            lr_g=lr_g,
            lr_d=lr_d,
            betas=betas,
            fused=fused,
            lr_policy=lr_policy,
            n_epochs=n_epochs,
            n_epochs_decay=n_epochs_decay,
            lr_step_size=lr_step_size,
            lr_monitor=lr_monitor,
            clip_g=clip_g,
            clip_d=clip_d,
        )
        self.lambda_pair = lambda_pair
        self.pair_distance = F.l1_loss if pair_loss == "l1" else F.mse_loss
        self.needs_pairs = lambda_pair > 0

    def generator_losses(self, batch: Batch, made: Made) -> dict[str, Tensor]:
        """Those of `AODA`, and the distance to the line art that was drawn."""
        terms = super().generator_losses(batch, made)
        if self.lambda_pair:
            if (channels := batch["A"].shape[1]) != made.fake_a.shape[1]:  # the distance would repeat the one channel
                raise ValueError(
                    f"A has {channels} channels, what generator_ba draws {made.fake_a.shape[1]}; they must agree: give "
                    "the data channels_a=1, or other networks"
                )
            terms["pair"] = self.lambda_pair * self.pair_distance(made.fake_a, batch["A"])
        return terms

    def sample(self, batch: Batch) -> dict[str, Tensor]:
        """Pictures, the line art that was made of them and, where the batch has it, drawn line art."""
        drawn = {"real_A": batch["A"]} if "A" in batch else {}
        return super().sample(batch) | drawn
