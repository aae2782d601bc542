"""The network of sketchKeras, which draws the lines of paintings (lllyasviel/sketchKeras, 2017; no paper).

Follows the public PyTorch port higumax/sketchKeras-pytorch, which re-states the published Keras file.
"""

import re
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from sketchgan.networks.pretrained import load_weights, read_weights


class SketchKerasUNet(nn.Module):
    """A U-Net of one channel in and one out, every convolution padded by reflection.

    Args:
        width: channels are these times ``width`` / 32; published: 32.

    Shapes: ``(N, 1, H, W)`` → ``(N, 1, H, W)``, sides multiples of 16 (published: 512) and at least 32, as two pixels
    are reflected at the narrowest map.

    Examples:
        >>> SketchKerasUNet(width=2)(torch.rand(1, 1, 32, 48)).shape
        torch.Size([1, 1, 32, 48])
    """

    size_multiple = 16
    smallest_size = 32

    def __init__(self, width: int = 32) -> None:
        super().__init__()
        w = width
        self.down1 = nn.Sequential(Unit(1, w))
        self.down2 = nn.Sequential(Unit(w, 2 * w, 4, 2), Unit(2 * w, 2 * w))
        self.down3 = nn.Sequential(Unit(2 * w, 4 * w, 4, 2), Unit(4 * w, 4 * w))
        self.down4 = nn.Sequential(Unit(4 * w, 8 * w, 4, 2), Unit(8 * w, 8 * w))
        self.down5 = nn.Sequential(Unit(8 * w, 16 * w, 4, 2))
        self.down6 = nn.Sequential(Unit(16 * w, 16 * w))
        self.up1 = nn.Sequential(Unit(32 * w, 16 * w, 4), Unit(16 * w, 8 * w))
        self.up2 = nn.Sequential(Unit(16 * w, 8 * w, 4), Unit(8 * w, 4 * w))
        self.up3 = nn.Sequential(Unit(8 * w, 4 * w, 4), Unit(4 * w, 2 * w))
        self.up4 = nn.Sequential(Unit(4 * w, 2 * w, 4), Unit(2 * w, w))
        self.out = nn.Conv2d(2 * w, 1, 3)

    def forward(self, x: Tensor) -> Tensor:
        d1 = self.down1(x)  # (N, w, H, W)
        d2 = self.down2(d1)
        d3 = self.down3(d2)
        d4 = self.down4(d3)
        d5 = self.down5(d4)  # (N, 16 w, H/16, W/16)
        u = self.up1(_doubled(d5, self.down6(d5)))
        u = self.up2(_doubled(d4, u))
        u = self.up3(_doubled(d3, u))
        u = self.up4(_doubled(d2, u))
        return self.out(F.pad(torch.cat([d1, u], dim=1), (1, 1, 1, 1), "reflect"))


class Unit(nn.Module):
    """Reflection, convolution, batch norm, ReLU; kernels of 4 keep the size by one pixel before and two after.

    Shapes: ``(N, in_channels, H, W)`` → ``(N, out_channels, H / stride, W / stride)``.
    """

    def __init__(self, in_channels: int, out_channels: int, kernel_size: int = 3, stride: int = 1) -> None:
        super().__init__()
        after = 2 if (kernel_size, stride) == (4, 1) else 1
        self.pad = nn.ReflectionPad2d((1, after, 1, after))
        self.conv = nn.Conv2d(in_channels, out_channels, kernel_size, stride)
        self.norm = nn.BatchNorm2d(out_channels, eps=1e-3)

    def forward(self, x: Tensor) -> Tensor:
        return self.norm(self.conv(self.pad(x))).relu()


def _doubled(skip: Tensor, x: Tensor) -> Tensor:
    return F.interpolate(torch.cat([skip, x], dim=1), scale_factor=2.0, mode="nearest")


def pretrained_sketchkeras(weights: str | Path) -> SketchKerasUNet:
    """The network with published weights, ready to use.

    Args:
        weights: a local file: a state dict of the port (``downblock_1.1.weight``, …) or of `SketchKerasUNet`
            (``down1.0.conv.weight``, …). The port's project links to one; no address is known to last, so nothing is
            downloaded. The width is read off the file.

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: if it holds something else, or cannot be loaded safely.
    """
    state = read_weights(weights)
    if isinstance(state, dict):
        state = {own_name(str(name)): value for name, value in state.items()}
    first = state.get("down1.0.conv.weight") if isinstance(state, dict) else None
    network = SketchKerasUNet(len(first) if isinstance(first, Tensor) and first.ndim and len(first) else 32)
    load_weights(network, state, weights, "sketchKeras wants those of higumax/sketchKeras-pytorch (model.pth)")
    return network.eval().requires_grad_(False)


def own_name(name: str) -> str:
    """Of a parameter that is called otherwise in the port, where paddings, ReLUs and up-sampling are counted too.

    Examples:
        >>> own_name("downblock_2.5.weight"), own_name("upblock_1.3.running_mean"), own_name("last_conv.bias")
        ('down2.1.conv.weight', 'up1.0.norm.running_mean', 'out.bias')
    """
    if name.startswith("last_conv."):
        return name.replace("last_conv", "out", 1)
    found = re.fullmatch(r"(down|up)block_(\d)\.(\d)\.(\w+)", name)
    if found is None:
        return name
    way, block, place, kind = found.groups()
    unit, layer = divmod(int(place) - (way == "up"), 4)  # of padding, convolution, norm, ReLU
    part = {1: "conv", 2: "norm"}.get(layer)
    return f"{way}{block}.{unit}.{part}.{kind}" if part else name
