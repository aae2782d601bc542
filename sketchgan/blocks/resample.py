"""Changing resolution: anti-aliased sampling (Zhang, ICML 2019, arXiv 1904.11486) and up-convolutions.

The blurs follow the networks of contrastive unpaired translation (Park et al., arXiv 2007.15651), which CycleGAN's
authors use for their anti-aliased CycleGAN. The filters are constants, so they are not part of the state dict.
"""

from collections.abc import Sequence
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from sketchgan.blocks.padding import ReflectionPad2d

Upsampling = Literal["deconv", "nearest", "bilinear", "smooth"]


def _separable(taps: Sequence[float], channels: int) -> Tensor:
    """A separable filter of sum 1, one copy per channel: ``(C, 1, k, k)``."""
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
        self.register_buffer("filt", _separable([1.0, 2.0, 1.0], channels), persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        return F.conv2d(self.pad(x), self.filt, stride=2, groups=x.shape[1])


class BlurUpsample(nn.Module):
    """Double both sides and interpolate, beyond the border with its pixels, in one transposed convolution per channel.

    Args:
        channels: C of the input.
        taps: of the filter along each side, an even number of at least four. (1, 3, 3, 1) is that of the anti-aliased
            networks, and bilinear interpolation; (1, 5, 10, 10, 5, 1) is bilinear interpolation and then the blur
            (1, 2, 1), at the border too.

    Shapes: ``(N, C, H, W)`` → ``(N, C, 2H, 2W)``.

    Examples:
        >>> BlurUpsample(1)(torch.tensor([[[[0.0, 4.0]]]]))[0, 0, 0]
        tensor([0., 1., 3., 4.])
    """

    filt: Tensor

    def __init__(self, channels: int, taps: Sequence[float] = (1.0, 3.0, 3.0, 1.0)) -> None:
        super().__init__()
        # Four times: zeros take the places between the samples, and brightness is to stay.
        self.register_buffer("filt", 4 * _separable(taps, channels), persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        cut = self.filt.shape[-1] // 2 + 1  # half the filter, and half of the two pixels that the border is repeated by
        x = F.pad(x, (1, 1, 1, 1), mode="replicate")
        return F.conv_transpose2d(x, self.filt, stride=2, padding=cut, groups=x.shape[1])


class SmoothUpsample(nn.Module):
    """Double both sides without checkerboards: the up-convolution of Anime2Sketch's improved network.

    From https://github.com/Mukosame/Anime2Sketch (2023): bilinear interpolation and a blur, which are one filter here;
    a 3×3 convolution; and a residual pair of 1×1 convolutions, four times as wide in between. All have biases.

    Args:
        in_channels: channels of the input.
        out_channels: channels of the result.

    Shapes: ``(N, in_channels, H, W)`` → ``(N, out_channels, 2H, 2W)``.

    Examples:
        >>> SmoothUpsample(6, 4)(torch.zeros(1, 6, 5, 7)).shape
        torch.Size([1, 4, 10, 14])
    """

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__()
        self.smooth = BlurUpsample(in_channels, (1.0, 5.0, 10.0, 10.0, 5.0, 1.0))
        self.conv = nn.Conv2d(in_channels, out_channels, kernel_size=3, padding=1)
        self.mlp = nn.Sequential(
            nn.Conv2d(out_channels, 4 * out_channels, kernel_size=1),
            nn.GELU(),
            nn.Conv2d(4 * out_channels, out_channels, kernel_size=1),
        )

    def forward(self, x: Tensor) -> Tensor:
        x = self.conv(self.smooth(x))
        return x + self.mlp(x)


def upsampling_conv(in_channels: int, out_channels: int, bias: bool, upsample: Upsampling = "deconv") -> nn.Module:
    """A layer that doubles both sides: the U-Net's 4×4 transposed convolution, or the remedy for its checkerboards.

    "nearest" and "bilinear" upsample, reflect by one pixel and convolve 3×3, as the official authors advise
    (https://distill.pub/2016/deconv-checkerboard); they change the weights' shape and thus the published network.
    "smooth" is Anime2Sketch's improved layer, `SmoothUpsample`, which has biases whatever ``bias`` says.

    Raises:
        ValueError: if ``upsample`` is not "deconv", "nearest", "bilinear" or "smooth".
    """
    if upsample == "deconv":
        return nn.ConvTranspose2d(in_channels, out_channels, kernel_size=4, stride=2, padding=1, bias=bias)
    if upsample in ("nearest", "bilinear"):
        return nn.Sequential(
            nn.Upsample(scale_factor=2, mode=upsample),
            ReflectionPad2d(1),
            nn.Conv2d(in_channels, out_channels, kernel_size=3, bias=bias),
        )
    if upsample == "smooth":
        return SmoothUpsample(in_channels, out_channels)
    raise ValueError(f'upsample must be "deconv", "nearest", "bilinear" or "smooth", got {upsample!r}')
