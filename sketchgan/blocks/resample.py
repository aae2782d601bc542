"""Changing resolution: anti-aliased sampling (Zhang, ICML 2019, arXiv 1904.11486) and up-convolutions.

The blurs follow the networks of contrastive unpaired translation (Park et al., arXiv 2007.15651), which CycleGAN's
authors use for their anti-aliased CycleGAN. The filters are constants, so they are not part of the state dict.
"""

from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from sketchgan.blocks.padding import ReflectionPad2d

Upsampling = Literal["deconv", "nearest", "bilinear"]


def _binomial(taps: list[float], channels: int) -> Tensor:
    """A normalised separable filter, one copy per channel: ``(C, 1, k, k)``."""
    row = torch.tensor(taps)
    kernel = torch.outer(row, row)
    return (kernel / kernel.sum()).expand(channels, 1, -1, -1).clone()


class BlurDownsample(nn.Module):
    """Blur with [1, 2, 1] and keep every second pixel.

    Args:
        channels: C of the input.

    Shapes: ``(N, C, H, W)`` → ``(N, C, ceil(H / 2), ceil(W / 2))``.

    Examples:
        >>> BlurDownsample(3)(torch.zeros(1, 3, 7, 8)).shape
        torch.Size([1, 3, 4, 4])
    """

    filt: Tensor

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.pad = ReflectionPad2d(1)
        self.register_buffer("filt", _binomial([1.0, 2.0, 1.0], channels), persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        return F.conv2d(self.pad(x), self.filt, stride=2, groups=x.shape[1])


class BlurUpsample(nn.Module):
    """Double both sides and interpolate with [1, 3, 3, 1].

    Args:
        channels: C of the input.

    Shapes: ``(N, C, H, W)`` → ``(N, C, 2H, 2W)``.
    """

    filt: Tensor

    def __init__(self, channels: int) -> None:
        super().__init__()
        # Four times: zeros take the places between the samples, and brightness is to stay.
        self.register_buffer("filt", 4 * _binomial([1.0, 3.0, 3.0, 1.0], channels), persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        x = F.pad(x, (1, 1, 1, 1), mode="replicate")
        return F.conv_transpose2d(x, self.filt, stride=2, padding=2, groups=x.shape[1])[..., 1:-1, 1:-1]


def upsampling_conv(in_channels: int, out_channels: int, bias: bool, upsample: Upsampling = "deconv") -> nn.Module:
    """A layer that doubles both sides: the U-Net's 4×4 transposed convolution, or the remedy for its checkerboards.

    "nearest" and "bilinear" upsample, reflect by one pixel and convolve 3×3, as the official authors advise
    (https://distill.pub/2016/deconv-checkerboard); they change the weights' shape and thus the published network.

    Raises:
        ValueError: if ``upsample`` is not "deconv", "nearest" or "bilinear".
    """
    if upsample == "deconv":
        return nn.ConvTranspose2d(in_channels, out_channels, kernel_size=4, stride=2, padding=1, bias=bias)
    if upsample in ("nearest", "bilinear"):
        return nn.Sequential(
            nn.Upsample(scale_factor=2, mode=upsample),
            ReflectionPad2d(1),
            nn.Conv2d(in_channels, out_channels, kernel_size=3, bias=bias),
        )
    raise ValueError(f'upsample must be "deconv", "nearest" or "bilinear", got {upsample!r}')
