"""HED, holistically-nested edge detection (Xie and Tu, ICCV 2015, arXiv 1504.06375)."""

from pathlib import Path
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from sketchgan.networks.pretrained import load_weights, weights_of

MEANS = (104.00698793, 116.66876762, 122.67891434)  # blue, green, red
WIDTHS = ((64, 64), (128, 128), (256, 256, 256), (512, 512, 512), (512, 512, 512))
PADDING = 35  # of the first convolution, so that the coarsest map covers the picture with room to spare
URL = "http://content.sniklaus.com/github/pytorch-hed/network-bsds500.pytorch"


class HED(nn.Module):
    """Edge strength from five depths of a VGG-16.

    Follows the network definition published with the paper, whose layers give the parameters their names. Its
    transposed convolutions are fixed to bilinear interpolation.

    Args:
        channel_order: of what the network sees. The published weights want "bgr"; SketchyGAN's script fed them "rgb",
            and subtracted the means of blue, green and red from red, green and blue all the same.
        width: channels are these times ``width`` / 64; published: 64.

    Shapes: ``(N, 3, H, W)``, RGB in [0, 1] → ``(N, H, W)`` in [0, 1].

    Raises:
        ValueError: for an unknown order of channels.

    Examples:
        >>> HED(width=2)(torch.rand(1, 3, 33, 20)).shape
        torch.Size([1, 33, 20])
    """

    means: Tensor

    def __init__(self, channel_order: Literal["bgr", "rgb"] = "bgr", width: int = 64) -> None:
        super().__init__()
        if channel_order not in ("bgr", "rgb"):
            raise ValueError(f'channel_order must be "bgr" or "rgb", got {channel_order!r}')
        self.channel_order = channel_order
        channels = 3
        for i, widths in enumerate(WIDTHS, 1):
            for j, out in enumerate((w * width // 64 for w in widths), 1):
                self.add_module(f"conv{i}_{j}", nn.Conv2d(channels, out, 3, padding=1 if (i, j) != (1, 1) else PADDING))
                channels = out
            self.add_module(f"score_dsn{i}", nn.Conv2d(channels, 1, 1))
        self.fuse = nn.Conv2d(len(WIDTHS), 1, 1)
        self.register_buffer("means", torch.tensor(MEANS).view(3, 1, 1), persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        return self.fuse(torch.cat(self.side_outputs(x), dim=1))[:, 0].sigmoid()

    def side_outputs(self, x: Tensor) -> list[Tensor]:
        """The logits of the five depths, each ``(N, 1, H, W)``."""
        height, width = x.shape[2:]
        x = (x.flip(1) if self.channel_order == "bgr" else x) * 255 - self.means
        margin = PADDING - 1  # what a convolution of 3x3 leaves of it
        sides = []
        for i, widths in enumerate(WIDTHS, 1):
            if i > 1:
                x = F.max_pool2d(x, 2, ceil_mode=True)
            for j in range(1, len(widths) + 1):
                x = self.get_submodule(f"conv{i}_{j}")(x).relu()
            side = self.get_submodule(f"score_dsn{i}")(x)
            if i > 1:
                side = F.interpolate(side, scale_factor=2 ** (i - 1), mode="bilinear")
            sides.append(side[:, :, margin : margin + height, margin : margin + width])
        return sides


def pretrained_hed(weights: str | Path | None = None, channel_order: Literal["bgr", "rgb"] = "bgr") -> HED:
    """HED with published weights, ready to use.

    Args:
        weights: a local file: of the PyTorch port sniklaus/pytorch-hed, or with the names of the paper's own layers
            (``conv1_1.weight``, ``score-dsn1.weight``, …, ``new-score-weighting.weight``); by default the former is
            downloaded once (59 MB).
        channel_order: see `HED`.

    Raises:
        FileNotFoundError: if there is no such file, or it cannot be downloaded.
        ValueError: if it holds something else, or cannot be loaded safely.
    """
    state = weights_of(weights, URL)
    network = HED(channel_order)
    if isinstance(state, dict):
        state = {_own_name(name): value for name, value in state.items()}
    load_weights(network, state, weights or URL)
    return network.eval().requires_grad_(False)


def _own_name(name: str) -> str:
    """Of a parameter that is called otherwise in the PyTorch port or in Caffe."""
    layer, _, kind = name.rpartition(".")
    layer = _PORT.get(layer.replace("module", "net", 1), layer)
    return f"{_CAFFE.get(layer, layer)}.{kind}"


_NUMERALS = ("One", "Two", "Thr", "Fou", "Fiv")
_PORT = {
    **{
        f"netVgg{numeral}.{2 * j + (i > 1)}": f"conv{i}_{j + 1}"
        for i, (numeral, widths) in enumerate(zip(_NUMERALS, WIDTHS, strict=True), 1)
        for j in range(len(widths))
    },
    **{f"netScore{numeral}": f"score_dsn{i}" for i, numeral in enumerate(_NUMERALS, 1)},
    "netCombine.0": "fuse",
}
_CAFFE = {**{f"score-dsn{i}": f"score_dsn{i}" for i in range(1, 6)}, "new-score-weighting": "fuse"}
