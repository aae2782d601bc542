"""Units of several blocks at one scale, and blocks without gates to compare with (SketchyGAN, arXiv 1801.02753)."""

from typing import Any, Literal

import torch
from torch import Tensor, nn

from sketchgan.blocks.activation import Activation
from sketchgan.blocks.mru import MRU, GatedMRU
from sketchgan.blocks.scale_block import NormActivation, Resize, ScaleBlock, double, halve

BlockKind = Literal["v1", "v2", "v3", "paper", "resnet", "dcgan"]


class PlainBlock(ScaleBlock):
    """A block without gates, for the paper's comparison; it reads hidden state and image side by side.

    The code of that comparison was never released.

    Args:
        *args: of all blocks.
        kind: "resnet" is the pre-activation residual block of improved WGANs (arXiv 1704.00028), "dcgan" one
            convolution with norm and activation (arXiv 1511.06434).
        **kwargs: of all blocks, by name.
    """

    def __init__(self, *args: Any, kind: Literal["resnet", "dcgan"] = "resnet", **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        channels, filters, image_channels = self.channels, self.filters, self.image_channels
        self.kind = kind
        self.conv1 = self.conv(channels + image_channels, filters)
        self.norm1 = self.norm_activation(filters)
        if kind == "resnet":
            self.norm_in = self.norm_activation(channels + image_channels)
            self.conv2 = self.conv(filters, filters)
            self.project = self.conv(channels + image_channels, filters, 1)

    def compute(self, x: Tensor, image: Tensor, labels: Tensor | None) -> Tensor:
        x = torch.cat([x, image], dim=1)
        if self.kind == "dcgan":
            return self.norm1(self.conv1(x), labels)
        return self.project(x) + self.conv2(self.norm1(self.conv1(self.norm_in(x, labels)), labels))


class Unit(nn.Module):
    """Several blocks at one scale: the first changes resolution, each further one reads the block before as its image.

    Every block has a hidden state of its own, which it gets from the same block of the unit before.

    Args:
        n_blocks: how many.
        channels: of every hidden state.
        filters: of every output.
        image_channels: of the image.
        kind: "v1", "v2", "v3", "paper", "resnet" or "dcgan".
        resize: "down", "up" or "none".
        norm_last: normalise and activate the last block's output.
        n_classes: of the conditional batch norm; None for no normalisation.
        activation: "smooth_relu", "prelu" or "relu".
        spectral_norm: options of `SpectralNormConv2d` for every convolution; None for plain convolutions.

    Shapes: ``n_blocks`` hidden states ``(N, channels, H, W)``, image ``(N, image_channels, H, W)``, labels ``(N,)`` or
    None → as many states ``(N, filters, H', W')``. The last one is the unit's result.

    Raises:
        ValueError: for an unknown kind, or no blocks.
    """

    def __init__(
        self,
        n_blocks: int,
        channels: int,
        filters: int,
        image_channels: int,
        kind: BlockKind,
        resize: Resize,
        norm_last: bool = False,
        n_classes: int | None = None,
        activation: Activation = "smooth_relu",
        spectral_norm: dict[str, Any] | None = None,
    ) -> None:
        super().__init__()
        if n_blocks < 1:
            raise ValueError(f"n_blocks must be at least 1, got {n_blocks}")
        self.resize = resize
        self.blocks = nn.ModuleList()
        for k in range(n_blocks):
            read = image_channels if k == 0 else filters
            shape = (channels, filters, read, resize if k == 0 else "none", n_classes, activation, spectral_norm)
            self.blocks.append(make_block(kind, *shape))
        self.norm_last = NormActivation(filters, n_classes, activation) if norm_last else None

    def forward(self, hidden: list[Tensor], image: Tensor, labels: Tensor | None = None) -> list[Tensor]:
        states = []
        for k, (block, state) in enumerate(zip(self.blocks, hidden, strict=True)):
            if k > 0 and self.resize != "none":
                state = halve(state) if self.resize == "down" else double(state)
            image = block(state, image, labels)
            states.append(image)
        if self.norm_last is not None:
            states[-1] = self.norm_last(states[-1], labels)
        return states


def make_block(kind: BlockKind, *args: Any, **kwargs: Any) -> ScaleBlock:
    """Build a block by its kind; the other arguments are those of all blocks.

    Raises:
        ValueError: for an unknown kind.
    """
    if kind == "v3":
        return MRU(*args, **kwargs)
    if kind in ("v1", "v2", "paper"):
        return GatedMRU(*args, kind=kind, **kwargs)
    if kind in ("resnet", "dcgan"):
        return PlainBlock(*args, kind=kind, **kwargs)
    raise ValueError(f'kind must be "v1", "v2", "v3", "paper", "resnet" or "dcgan", got {kind!r}')
