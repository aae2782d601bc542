"""The networks of PaintsChainer (Taizan Yonetsuji, Preferred Networks, 2017; no paper), named as in its code."""

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from sketchgan.ops.colour import rgb_to_yuv

EPS = 2e-5  # of Chainer's batch norm


class PaintsChainerUNet(nn.Module):
    """A U-Net of five resolutions that ends in a plain convolution: whatever units the targets have, it makes.

    `sketchgan.PaintsChainer` colours a line (grey) with colour hints (YUV) by it, and brings the result to four times
    the size by another one. With 3 and 1 channels it is the line network, which the colouring is compared through.

    Args:
        in_channels: channels of the input; grey and hints are 4.
        out_channels: channels of the output.
        ngf: width at full resolution; it doubles at every halving, up to ``16 * ngf``.
        rgb: take RGB in [-1, 1] and turn it into YUV, minus 128 and divided by 128, which is what a line network is
            shown in `sketchgan.PaintsChainer`. So it can be trained by a module that knows nothing of YUV.

    Shapes: ``(N, in_channels, H, W)`` → ``(N, out_channels, H, W)``, sides multiples of 16.

    Raises:
        ValueError: if ``rgb`` is wanted of other than three channels; from ``forward``, if a side is not a multiple of
            16.

    Examples:
        >>> network = PaintsChainerUNet(ngf=2)
        >>> network(torch.zeros(2, 4, 32, 48)).shape
        torch.Size([2, 3, 32, 48])
    """

    size_multiple = 16

    def __init__(self, in_channels: int = 4, out_channels: int = 3, ngf: int = 32, rgb: bool = False) -> None:
        super().__init__()
        if rgb and in_channels != 3:
            raise ValueError(f"rgb=True takes pictures of 3 channels, got in_channels={in_channels}")
        self.rgb = rgb
        self.c0 = nn.Conv2d(in_channels, ngf, kernel_size=3, padding=1)
        self.bnc0 = _norm(ngf)
        for level in range(1, 5):
            width = ngf * 2**level
            self._add(f"c{2 * level - 1}", nn.Conv2d(width // 2, width, kernel_size=4, stride=2, padding=1))
            self._add(f"c{2 * level}", nn.Conv2d(width, width, kernel_size=3, padding=1))
        for level in range(4, 0, -1):
            width = ngf * 2**level
            # The lowest one joins two maps of the same resolution, the others an encoder's map with the decoder's.
            self._add(f"dc{2 * level}", nn.ConvTranspose2d(2 * width, width, kernel_size=4, stride=2, padding=1))
            self._add(f"dc{2 * level - 1}", nn.Conv2d(width, width // 2, kernel_size=3, padding=1))
        self.dc0 = nn.Conv2d(2 * ngf, out_channels, kernel_size=3, padding=1)
        lecun_normal(self)

    def _add(self, name: str, conv: nn.Conv2d | nn.ConvTranspose2d) -> None:
        self.add_module(name, conv)
        self.add_module(f"bn{name.replace('dc', 'd')}", _norm(conv.out_channels))

    def forward(self, x: Tensor) -> Tensor:
        height, width = x.shape[-2:]
        if height % self.size_multiple or width % self.size_multiple:
            raise ValueError(
                f"pictures for a PaintsChainerUNet must have sides that are multiples of 16, got {height}x{width}; "
                "resize them, or pad them by sketchgan.ops.pad_to_multiple"
            )
        if self.rgb:
            x = (rgb_to_yuv(x) - 128) / 128
        encoded = [x := self._step("c0", x)]
        for i in range(1, 9):
            encoded.append(x := self._step(f"c{i}", x))
        x = self._step("dc7", self._step("dc8", torch.cat([encoded[7], encoded[8]], dim=1)))
        for i in (6, 4, 2):
            x = self._step(f"dc{i - 1}", self._step(f"dc{i}", torch.cat([encoded[i], x], dim=1)))
        return self.dc0(torch.cat([encoded[0], x], dim=1))

    def _step(self, name: str, x: Tensor) -> Tensor:
        x = self.get_submodule(name)(x)
        return F.relu(self.get_submodule(f"bn{name.replace('dc', 'd')}")(x))


class PaintsChainerDiscriminator(nn.Module):
    """Tells painted pictures from coloured ones, whole pictures of one size, without seeing the line.

    Args:
        ndf: width after the first convolution; it doubles at every halving after the first.
        image_size: side of the square pictures in pixels, a multiple of 16.
        in_channels: channels of the pictures.

    Shapes: ``(N, in_channels, image_size, image_size)`` → logits of two classes ``(N, 2)``: painted (0), coloured (1).

    Raises:
        ValueError: if ``image_size`` is no multiple of 16; from ``forward``, for pictures of another size.

    Examples:
        >>> PaintsChainerDiscriminator(ndf=2, image_size=32)(torch.zeros(3, 3, 32, 32)).shape
        torch.Size([3, 2])
    """

    def __init__(self, ndf: int = 32, image_size: int = 128, in_channels: int = 3) -> None:
        super().__init__()
        if image_size < 16 or image_size % 16:
            raise ValueError(f"image_size must be a multiple of 16, got {image_size}")
        self.image_size = image_size
        widths = [in_channels, ndf, ndf, 2 * ndf, 2 * ndf, 4 * ndf, 4 * ndf, 8 * ndf]
        for i in range(1, 8):
            kernel, stride = (4, 2) if i % 2 else (3, 1)  # halves and refines in turn
            self.add_module(f"c{i}", nn.Conv2d(widths[i - 1], widths[i], kernel, stride, padding=1))
            self.add_module(f"bnc{i}", _norm(widths[i]))
        features = widths[-1] * (image_size // 16) ** 2
        self.l8l = nn.Linear(features, 2)
        lecun_normal(self)
        nn.init.normal_(self.l8l.weight, std=math.sqrt(0.02 / math.sqrt(features)))

    def forward(self, x: Tensor) -> Tensor:
        if tuple(x.shape[-2:]) != (self.image_size, self.image_size):
            raise ValueError(
                f"this PaintsChainerDiscriminator judges pictures of {self.image_size}x{self.image_size} pixels, got "
                f"{x.shape[-2]}x{x.shape[-1]}; give the data that size, or the discriminator another image_size"
            )
        for i in range(1, 8):
            x = F.relu(self.get_submodule(f"bnc{i}")(self.get_submodule(f"c{i}")(x)))
        return self.l8l(x.flatten(1))


def normalise_with_batches(network: nn.Module) -> nn.Module:
    """Let a frozen network's batch norm use the batch's own statistics in training mode, and remember none of them.

    In evaluation mode it uses its running averages, as ever.

    Returns:
        ``network``, changed in place.
    """
    for module in network.modules():
        if isinstance(module, _BatchNorm):
            module.track_running_stats = False
    return network


def lecun_normal(network: nn.Module) -> None:
    """Draw the weights of all layers anew as Chainer does by default: variance 1 / fan-in; biases 0.

    Chainer takes the fan-in from the second axis also of transposed convolutions, where it is the fan-out.
    """
    for module in network.modules():
        if isinstance(module, nn.Conv2d | nn.ConvTranspose2d | nn.Linear):
            nn.init.normal_(module.weight, std=module.weight[0].numel() ** -0.5)
            if module.bias is not None:
                nn.init.zeros_(module.bias)


def _norm(channels: int) -> nn.BatchNorm2d:
    return nn.BatchNorm2d(channels, eps=EPS, momentum=0.1)
