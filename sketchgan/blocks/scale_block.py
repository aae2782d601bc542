"""What SketchyGAN's blocks are made of (Chen and Hays, CVPR 2018, arXiv 1801.02753).

All blocks are called with a hidden state, an image at its resolution (once more, at every scale) and class labels.
"""

from typing import Any, Literal

import torch.nn.functional as F
from torch import Tensor, nn

from sketchgan.blocks.activation import Activation, activation_layer
from sketchgan.blocks.conditional_norm import ConditionalBatchNorm
from sketchgan.blocks.spectral_norm import SpectralNormConv2d, raw_weight

Resize = Literal["down", "up", "none"]


class NormActivation(nn.Module):
    """Conditional batch norm, if there are classes, and an activation."""

    def __init__(self, channels: int, n_classes: int | None, activation: Activation) -> None:
        super().__init__()
        self.norm = None if n_classes is None else ConditionalBatchNorm(channels, n_classes)
        self.activation = activation_layer(activation)

    def forward(self, x: Tensor, labels: Tensor | None) -> Tensor:
        return self.activation(x if self.norm is None else self.norm(x, labels))


class ScaleBlock(nn.Module):
    """What the blocks of SketchyGAN share: how layers are made, and where resolution changes.

    Args:
        channels: of the hidden state.
        filters: of the output.
        image_channels: of the image.
        resize: "down" averages the output over 2 × 2 pixels, "up" repeats the pixels of the hidden state, so that the
            image is twice as large; "none" keeps the size.
        n_classes: of the conditional batch norm; None for no normalisation.
        activation: "smooth_relu", "prelu" or "relu".
        spectral_norm: options of `SpectralNormConv2d` for every convolution; None for plain convolutions.

    Shapes: hidden ``(N, channels, H, W)``, image ``(N, image_channels, H, W)``, labels ``(N,)`` or None →
    ``(N, filters, H', W')``.
    """

    def __init__(
        self,
        channels: int,
        filters: int,
        image_channels: int,
        resize: Resize = "none",
        n_classes: int | None = None,
        activation: Activation = "smooth_relu",
        spectral_norm: dict[str, Any] | None = None,
    ) -> None:
        super().__init__()
        if resize not in ("down", "up", "none"):
            raise ValueError(f'resize must be "down", "up" or "none", got {resize!r}')
        self.channels = channels
        self.filters = filters
        self.image_channels = image_channels
        self.resize = resize
        self.n_classes = n_classes
        self.kind_of_activation = activation
        self.spectral_norm = spectral_norm

    def conv(self, in_channels: int, out_channels: int, kernel_size: int = 3) -> nn.Conv2d:
        """A convolution that keeps the size, with weights from N(0, 0.02²)."""
        options: dict[str, Any] = {"kernel_size": kernel_size, "padding": kernel_size // 2}
        if self.spectral_norm is None:
            conv = nn.Conv2d(in_channels, out_channels, **options)
        else:
            conv = SpectralNormConv2d(in_channels, out_channels, **options, **self.spectral_norm)
        nn.init.normal_(raw_weight(conv), 0.0, 0.02)
        nn.init.zeros_(conv.bias)  # type: ignore[arg-type]
        return conv

    def norm_activation(self, channels: int) -> NormActivation:
        return NormActivation(channels, self.n_classes, self.kind_of_activation)

    def decayed(self) -> list[nn.Parameter]:
        """The weights that the official code decays: those of convolutions."""
        return [raw_weight(module) for module in self.modules() if isinstance(module, nn.Conv2d)]

    def forward(self, hidden: Tensor, image: Tensor, labels: Tensor | None = None) -> Tensor:
        if self.resize == "up":
            hidden = double(hidden)
        y = self.compute(hidden, image, labels)
        return halve(y) if self.resize == "down" else y

    def compute(self, x: Tensor, image: Tensor, labels: Tensor | None) -> Tensor:
        """The block at one resolution."""
        raise NotImplementedError


def image_pyramid(image: Tensor, levels: int) -> list[Tensor]:
    """The image and its halvings by 2 × 2 means, ``levels`` of them in all."""
    pyramid = [image]
    while len(pyramid) < levels:
        pyramid.append(halve(pyramid[-1]))
    return pyramid


def halve(x: Tensor) -> Tensor:
    """Means over 2 × 2 pixels."""
    return F.avg_pool2d(x, 2)


def double(x: Tensor) -> Tensor:
    """Every pixel as 2 × 2."""
    return F.interpolate(x, scale_factor=2, mode="nearest")
