"""SketchyGAN's networks (Chen and Hays, CVPR 2018, arXiv 1801.02753), layer by layer as in the released code."""

from collections.abc import Sequence
from itertools import pairwise
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from sketchgan.blocks import (
    BlockKind,
    NormActivation,
    SameConv2d,
    ScalarPReLU,
    ScaleBlock,
    SpectralNormConv2d,
    SpectralNormEmbedding,
    SpectralNormLinear,
    Unit,
    image_pyramid,
)
from sketchgan.blocks.spectral_norm import Update, raw_weight
from sketchgan.ops import init_weights

_STEM = 8  # channels after the first convolution, at every width


class SketchyGANGenerator(nn.Module):
    """Encoder and decoder of masked residual units that read the sketch again at every scale.

    The class enters through conditional batch norm alone, the noise at a sixteenth of the size. There is no other
    norm. Its statistics are those of the batch in evaluation too; `sketchgan.ops.use_statistics` can change that.

    Args:
        n_classes: number of classes.
        ngf: filters of the first encoder unit; the innermost has eight times as many.
        image_size: side of the pictures that the noise is made for; for others its map is enlarged or reduced.
        in_channels: channels of the sketch.
        out_channels: channels of the picture.
        noise_dim: length of the noise vector.
        encoder: kind of the encoder's blocks: "v3" as released, "v1", "v2" or "paper" for the other masked residual
            units, "resnet" or "dcgan" for plain ones.
        decoder: kind of the decoder's blocks; "v2" as released.
        skips: let the decoder read the encoder's feature maps beside the sketch.
        n_blocks: blocks per unit.

    Shapes: sketch ``(N, in_channels, H, W)`` in [-1, 1], sides multiples of 32, labels ``(N,)``, one or several noises
    ``(N, noise_dim)`` → a picture ``(N, out_channels, H, W)`` in [-1, 1] for each noise.

    Raises:
        ValueError: for an ``image_size`` that is no multiple of 32, and for unknown kinds.
    """

    size_multiple = 32
    smallest_size = 32

    def __init__(
        self,
        n_classes: int = 50,
        ngf: int = 64,
        image_size: int = 64,
        in_channels: int = 3,
        out_channels: int = 3,
        noise_dim: int = 256,
        encoder: BlockKind = "v3",
        decoder: BlockKind = "v2",
        skips: bool = True,
        n_blocks: int = 1,
    ) -> None:
        super().__init__()
        if image_size < 32 or image_size % 32:
            raise ValueError(f"image_size must be a multiple of 32, got {image_size}")
        self.n_classes = n_classes
        self.noise_dim = noise_dim
        self.noise_shape = (ngf, image_size // 16, image_size // 16)
        self.skips = skips
        self.n_blocks = n_blocks

        self.stem = SameConv2d(in_channels, _STEM, kernel_size=7, stride=2)
        init_weights(self.stem)
        widths = (_STEM, ngf, 2 * ngf, 4 * ngf, 8 * ngf)
        self.encoder = nn.ModuleList(
            Unit(n_blocks, before, after, in_channels, encoder, "down", norm_last=after == 8 * ngf, n_classes=n_classes)
            for before, after in pairwise(widths)
        )

        noise_values = ngf * (image_size // 16) ** 2
        self.spread = nn.Linear(noise_dim, noise_values)
        nn.init.xavier_uniform_(self.spread.weight)
        nn.init.zeros_(self.spread.bias)
        self.norm_noise = NormActivation(noise_values, n_classes, "smooth_relu")

        read = (ngf, 2 * ngf, ngf, _STEM, 0) if skips else (ngf, 0, 0, 0, 0)  # noise, then the encoder's features
        filters = (8 * ngf, 6 * ngf, 4 * ngf, 2 * ngf, 2 * ngf, ngf)
        self.decoder = nn.ModuleList(
            Unit(n_blocks, before, after, in_channels + extra, decoder, "up", n_classes=n_classes)
            for (before, after), extra in zip(pairwise(filters), read, strict=True)
        )
        self.head = nn.Conv2d(ngf, out_channels, kernel_size=7, padding=3)
        init_weights(self.head)

    def forward(self, sketch: Tensor, labels: Tensor, *noises: Tensor) -> Any:
        """One picture, or one for each of several noises, which share what the encoder makes of the sketch."""
        pyramid = image_pyramid(sketch, 5)
        states = self.encode(pyramid, labels)
        pictures = tuple(self.decode(pyramid, states, labels, noise) for noise in noises)
        return pictures[0] if len(pictures) == 1 else pictures

    def encode(self, pyramid: Sequence[Tensor], labels: Tensor) -> list[list[Tensor]]:
        """The stem's and each encoder unit's states, from a half to a thirty-second of the size."""
        states = [[self.stem(pyramid[0])] * self.n_blocks]
        for unit, image in zip(self.encoder, pyramid[1:], strict=True):
            states.append(unit(states[-1], image, labels))
        return states

    def decode(
        self, pyramid: Sequence[Tensor], states: Sequence[list[Tensor]], labels: Tensor, noise: Tensor
    ) -> Tensor:
        """The picture for one noise."""
        noise_map = self.norm_noise(self.spread(noise), labels).view(len(noise), *self.noise_shape)
        size = pyramid[4].shape[-2:]
        if noise_map.shape[-2:] != size:
            noise_map = nn.functional.interpolate(noise_map, size, mode="bilinear")
        stem, first, second = (unit[-1] for unit in states[:3])
        extras = [noise_map, second, first, stem, None] if self.skips else [noise_map, None, None, None, None]
        hidden = states[-1]
        for unit, image, extra in zip(self.decoder, reversed(pyramid), extras, strict=True):
            hidden = unit(hidden, image if extra is None else torch.cat([image, extra], dim=1), labels)
        return self.head(hidden[-1]).tanh()


class ClassJudged(NamedTuple):
    """What a discriminator with an auxiliary classifier says.

    Attributes:
        score: logits ``(N, 1, h, w)``, one per patch.
        class_logits: ``(N, n_classes)``, or None without a classifier.
    """

    score: Tensor
    class_logits: Tensor | None


class SketchyGANDiscriminator(nn.Module):
    """Masked residual units that read the picture again at every scale, with heads for truth and class.

    No normalisation but spectral norm, whose vectors stay as they are until `sketchgan.ops.advance_spectral_norm`:
    the official code stores them in the generator's step alone, and lets gradients flow through the power iteration.

    Args:
        n_classes: number of classes.
        ndf: a half of the first unit's filters; the last one has twelve times as many.
        in_channels: channels of the picture.
        spectral_norm: divide all weights by their largest singular value.
        projection: judge with the class (projection discriminator, arXiv 1802.05637) instead of naming it.
        block: kind of the blocks: "v3" as released, or another of `Unit`'s.
        n_blocks: blocks per unit.
        sn_update: "manual" as described, "forward" to store the vectors in every training pass as torch does.
        sn_differentiable: let gradients flow through the power iteration.
        sn_iterations: of the power method, per pass.

    Shapes: pictures ``(N, in_channels, H, W)``, sides multiples of 16, labels ``(N,)`` for ``projection`` →
    `ClassJudged` with scores ``(N, 1, H / 16, W / 16)``.
    """

    def __init__(
        self,
        n_classes: int = 50,
        ndf: int = 64,
        in_channels: int = 3,
        spectral_norm: bool = True,
        projection: bool = False,
        block: BlockKind = "v3",
        n_blocks: int = 1,
        sn_update: Update = "manual",
        sn_differentiable: bool = True,
        sn_iterations: int = 1,
    ) -> None:
        super().__init__()
        options: dict[str, Any] = {
            "update": sn_update,
            "differentiable": sn_differentiable,
            "iterations": sn_iterations,
        }
        sn = options if spectral_norm else None
        conv: Any = SpectralNormConv2d if spectral_norm else nn.Conv2d
        linear: Any = SpectralNormLinear if spectral_norm else nn.Linear
        embedding: Any = SpectralNormEmbedding if spectral_norm else nn.Embedding
        options = sn or {}
        # Between two calls of advance_spectral_norm no sample depends on those beside it, nor on the passes before.
        self.per_sample = not spectral_norm or sn_update == "manual"
        self.n_blocks = n_blocks

        self.stem = conv(in_channels, _STEM, kernel_size=7, padding=3, **options)
        self.stem_activation = ScalarPReLU()
        widths = (_STEM, 2 * ndf, 4 * ndf, 8 * ndf, 12 * ndf)
        self.units = nn.ModuleList(
            Unit(n_blocks, before, after, in_channels, block, "down", after == 12 * ndf, None, "prelu", sn)
            for before, after in pairwise(widths)
        )
        self.score = conv(12 * ndf, 1, kernel_size=1, **options)
        self.embed = embedding(n_classes, 12 * ndf, **options) if projection else None
        self.classify = None if projection else linear(12 * ndf, n_classes, **options)

        for layer in (self.stem, self.score):
            init_weights(layer)
        if self.classify is not None:
            nn.init.xavier_uniform_(raw_weight(self.classify))
            nn.init.zeros_(self.classify.bias)

    def forward(self, pictures: Tensor, labels: Tensor | None = None) -> ClassJudged:
        pyramid = image_pyramid(pictures, 4)
        states = [self.stem_activation(self.stem(pictures))] * self.n_blocks
        for unit, image in zip(self.units, pyramid, strict=True):
            states = unit(states, image)
        features = states[-1]
        score = self.score(features)
        if self.embed is not None:
            if labels is None:
                raise ValueError("a projection discriminator judges a picture with its class; pass labels")
            score = score + (features * self.embed(labels)[:, :, None, None]).sum(1, keepdim=True)
        logits = None if self.classify is None else self.classify(features.mean((2, 3)))
        return ClassJudged(score, logits)


def decay_groups(network: nn.Module, conv: float, linear: float) -> list[dict[str, Any]]:
    """The parameters of a network as groups for an optimizer, with the official weight decay.

    Weights of convolutions inside units decay by one rate, but for the projections of blocks with two gates; those of
    linear layers by another; nothing else does.

    Args:
        network: any network; layers outside `ScaleBlock` and ``nn.Linear`` do not decay.
        conv: rate of the units' convolutions.
        linear: rate of linear layers.
    """
    rates: dict[nn.Parameter, float] = {}
    for module in network.modules():
        if isinstance(module, ScaleBlock):
            rates |= dict.fromkeys(module.decayed(), conv)
        elif isinstance(module, nn.Linear):
            rates[raw_weight(module)] = linear
    groups: dict[float, list[nn.Parameter]] = {0.0: []}
    for parameter in network.parameters():
        if parameter.requires_grad:
            groups.setdefault(rates.get(parameter, 0.0), []).append(parameter)
    return [{"params": parameters, "weight_decay": rate} for rate, parameters in groups.items() if parameters]
