"""The U-Net generator of pix2pix (Isola et al., CVPR 2017, arXiv 1611.07004, section 3.2.1 and appendix 6.1.1)."""

from typing import Literal

import torch
from torch import Tensor, nn

from sketchgan.blocks import Norm, Upsampling, norm_layer, upsampling_conv
from sketchgan.ops.init import Init, init_weights


class UNetGenerator(nn.Module):
    """An encoder and a decoder that halve and double the image ``num_downs`` times, level by level connected.

    Follows the official PyTorch code: no norm at the bottleneck (the paper's text has one, which at batch size 1
    erases it) and dropout on the inner decoder levels. ``num_downs=8`` is the official ``unet_256``, 7 ``unet_128``.

    Args:
        in_channels: channels of the input image.
        out_channels: channels of the output image.
        num_downs: how often the image is halved; both sides must be multiples of ``2**num_downs``.
        ngf: width after the first convolution; it doubles per level up to ``8 * ngf``.
        norm: "batch", "instance" or "none".
        dropout: probability of the decoder's dropout; 0 for none.
        dropout_levels: "torch" drops where the official PyTorch code does (the levels of full width but for the
            bottleneck), "lua" where the Torch original does (the first three decoder layers).
        skip: concatenate each encoder level with its decoder level; False is the paper's encoder-decoder.
        upsample: "deconv" as published; "nearest" or "bilinear" avoid checkerboards; "smooth" is Anime2Sketch's
            improved network, which replaces all up-convolutions but the innermost and the outermost.
        init: weight initialisation, see `sketchgan.ops.init_weights`.
        init_gain: its standard deviation or gain.

    Shapes: ``(N, in_channels, H, W)`` → ``(N, out_channels, H, W)`` in [-1, 1].

    Raises:
        ValueError: from ``forward``, if a side of the image is not a multiple of ``2**num_downs``.

    Examples:
        >>> network = UNetGenerator(num_downs=5, ngf=4)
        >>> network(torch.zeros(2, 3, 64, 96)).shape
        torch.Size([2, 3, 64, 96])
    """

    def __init__(
        self,
        in_channels: int = 3,
        out_channels: int = 3,
        num_downs: int = 8,
        ngf: int = 64,
        norm: Norm = "batch",
        dropout: float = 0.5,
        dropout_levels: Literal["torch", "lua"] = "torch",
        skip: bool = True,
        upsample: Upsampling = "deconv",
        init: Init = "normal",
        init_gain: float = 0.02,
    ) -> None:
        super().__init__()
        if num_downs < 2:
            raise ValueError(f"num_downs must be at least 2, got {num_downs}")
        if dropout_levels not in ("torch", "lua"):
            raise ValueError(f'dropout_levels must be "torch" or "lua", got {dropout_levels!r}')
        self.num_downs = num_downs
        self.size_multiple = 2**num_downs
        self.skip = skip
        bias = norm == "instance"
        bottleneck = num_downs - 1
        widths = [ngf * min(2**level, 8) for level in range(num_downs)]
        inner = range(4, bottleneck) if dropout_levels == "torch" else range(max(1, num_downs - 3), num_downs)

        self.down = nn.ModuleList([nn.Conv2d(in_channels, widths[0], kernel_size=4, stride=2, padding=1, bias=bias)])
        for level in range(1, num_downs):
            layers: list[nn.Module] = [
                nn.LeakyReLU(0.2, inplace=True),
                nn.Conv2d(widths[level - 1], widths[level], kernel_size=4, stride=2, padding=1, bias=bias),
            ]
            if level < bottleneck:
                layers.append(norm_layer(norm, widths[level]))
            self.down.append(nn.Sequential(*layers))

        ends: Upsampling = "deconv" if upsample == "smooth" else upsample
        self.up = nn.ModuleList()
        for level in range(bottleneck, 0, -1):
            joined = widths[level] * (2 if skip and level < bottleneck else 1)
            layers = [
                nn.ReLU(inplace=True),
                upsampling_conv(joined, widths[level - 1], bias, ends if level == bottleneck else upsample),
                norm_layer(norm, widths[level - 1]),
            ]
            if dropout > 0 and level in inner:
                layers.append(nn.Dropout(dropout))
            self.up.append(nn.Sequential(*layers))
        joined = widths[0] * (2 if skip else 1)
        self.up.append(
            nn.Sequential(nn.ReLU(inplace=True), upsampling_conv(joined, out_channels, True, ends), nn.Tanh())
        )
        init_weights(self, init, init_gain)

    def forward(self, x: Tensor) -> Tensor:
        self._check_size(x)
        skips = []
        for down in self.down:
            x = down(x)
            skips.append(x)
        skips.pop()
        x = self.up[0](x)
        for up in self.up[1:]:
            encoded = skips.pop()
            # The official order: encoder first.
            x = up(torch.cat([encoded, x], dim=1) if self.skip else x)
        return x

    def _check_size(self, x: Tensor) -> None:
        height, width = x.shape[-2:]
        if height % self.size_multiple or width % self.size_multiple:
            fits = next((n for n in range(self.num_downs, 1, -1) if not (height % 2**n or width % 2**n)), None)
            remedy = f", or use UNetGenerator(num_downs={fits})" if fits else ""
            raise ValueError(
                f"image size {height}x{width} is not a multiple of {self.size_multiple} (2**num_downs); resize{remedy}"
            )


class EncoderDecoderGenerator(UNetGenerator):
    """The U-Net without its connections: the ablation of pix2pix, section 4.3, as the Torch original builds it.

    Args:
        in_channels: channels of the input image.
        out_channels: channels of the output image.
        num_downs: how often the image is halved.
        ngf: width after the first convolution.
        norm: "batch", "instance" or "none".
        dropout: probability on the first three decoder layers.
        init: weight initialisation.
        init_gain: its standard deviation or gain.
    """

    def __init__(
        self,
        in_channels: int = 3,
        out_channels: int = 3,
        num_downs: int = 8,
        ngf: int = 64,
        norm: Norm = "batch",
        dropout: float = 0.5,
        init: Init = "normal",
        init_gain: float = 0.02,
    ) -> None:
        super().__init__(
            in_channels, out_channels, num_downs, ngf, norm, dropout, "lua", False, "deconv", init, init_gain
        )
