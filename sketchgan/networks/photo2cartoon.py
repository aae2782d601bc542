"""The generator of photo2cartoon (Minivision AI, 2020, https://github.com/minivision-ai/photo2cartoon)."""

from functools import partial
from typing import Any

from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from sketchgan.blocks import CAM, AdaptiveResidualBlock, HourglassModule, ReflectionPad2d, ResidualBlock, SoftAdaLIN
from sketchgan.networks.ugatit import Attended, double, halve, stem

_BLOCKS = 4


class Photo2CartoonGenerator(nn.Module):
    """U-GAT-IT's generator between hourglasses, whose decoder keeps what the encoder saw of the content (Soft-AdaLIN).

    Args:
        in_channels: channels of the input image.
        out_channels: channels of the output image.
        ngf: width at full size; 2 and 4 times as much at a half and a quarter; a multiple of 4.
        light: pool the attended map before the style MLP; the full version takes pictures of ``image_size`` alone.
        image_size: side of the square pictures of the full version.
        levels: halvings inside each hourglass; fewer for small pictures.
        checkpointing: compute the hourglasses once more in the backward pass instead of keeping their maps.

    Shapes: ``(N, in_channels, H, W)``, sides multiples of ``2**levels`` (of 4 at least), which fit into them twice →
    `Attended`.

    Raises:
        ValueError: for sizes that do not fit, also from ``forward``.

    Examples:
        >>> import torch
        >>> network = Photo2CartoonGenerator(ngf=4)
        >>> network(torch.zeros(1, 3, 32, 48)).image.shape
        torch.Size([1, 3, 32, 48])
    """

    per_sample = True  # no sample depends on the batch around it

    def __init__(
        self,
        in_channels: int = 3,
        out_channels: int = 3,
        ngf: int = 32,
        light: bool = True,
        image_size: int = 256,
        levels: int = 4,
        checkpointing: bool = False,
    ) -> None:
        super().__init__()
        if ngf % 4:
            raise ValueError(f"ngf must be a multiple of 4, got {ngf}")
        if levels < 1:
            raise ValueError(f"levels must be at least 1, got {levels}")
        self.size_multiple = max(4, 2**levels)  # of sides that come out as they went in
        self.smallest_size = 2 * self.size_multiple
        if image_size < self.smallest_size or image_size % self.size_multiple:
            raise ValueError(
                f"image_size must be a multiple of {self.size_multiple} and at least {self.smallest_size}, "
                f"got {image_size}"
            )
        width = 4 * ngf
        self.light = light
        self.image_size = image_size
        self.checkpointing = checkpointing
        self.stem = stem(in_channels, ngf)
        self.levels = levels
        hourglass = partial(HourglassModule, ngf, levels=levels)
        self.hourglasses_in = nn.Sequential(hourglass(), hourglass())
        self.down = nn.Sequential(halve(ngf, 2 * ngf), halve(2 * ngf, width))
        self.blocks = nn.ModuleList(ResidualBlock(width, bias=False) for _ in range(_BLOCKS))
        self.cam = CAM(width, nn.ReLU(), bias=True)
        features = width if light else width * (image_size // 4) ** 2
        self.style = nn.Sequential(nn.Linear(features, width), nn.ReLU(), nn.Linear(width, width), nn.ReLU())
        norm = partial(SoftAdaLIN, width)
        self.decoder = nn.ModuleList(AdaptiveResidualBlock(width, norm) for _ in range(_BLOCKS))
        self.up = nn.Sequential(double(width, 2 * ngf), double(2 * ngf, ngf))
        self.hourglasses_out = nn.Sequential(hourglass(), hourglass(residual=False, out_channels=out_channels))
        self.head = nn.Sequential(
            ReflectionPad2d(3), nn.Conv2d(out_channels, out_channels, kernel_size=7, bias=False), nn.Tanh()
        )

    def forward(self, x: Tensor) -> Attended:
        self._check(*x.shape[-2:])
        x = self.down(self._kept(self.hourglasses_in, self.stem(x)))
        contents = []
        for block in self.blocks:
            x = block(x)
            contents.append(x.mean((2, 3)))
        x, logits = self.cam(x)
        heatmap = x.detach().sum(1, keepdim=True)
        style = self.style(x.mean((2, 3)) if self.light else x.flatten(1))
        for block in self.decoder:
            # The last content first; in effect they are all the same, as every block adds a map of mean zero.
            x = block(x, contents.pop(), style)
        return Attended(self.head(self._kept(self.hourglasses_out, self.up(x))), logits, heatmap)

    def _kept(self, hourglasses: nn.Sequential, x: Tensor) -> Tensor:
        for hourglass in hourglasses:
            again: Any = partial(checkpoint, hourglass, use_reentrant=False, preserve_rng_state=False)
            x = again(x) if self.checkpointing else hourglass(x)
        return x

    def _check(self, height: int, width: int) -> None:
        if height % self.size_multiple or width % self.size_multiple or min(height, width) < self.smallest_size:
            raise ValueError(
                f"pictures of {height}x{width} pixels do not fit the hourglasses, which want multiples of "
                f"{self.size_multiple} from {self.smallest_size} on"
            )
        if not self.light and (height, width) != (self.image_size, self.image_size):
            raise ValueError(
                f"this photo2cartoon generator takes pictures of {self.image_size}x{self.image_size} pixels, got "
                f"{height}x{width}; resize them, or train with light=True, which takes any size"
            )
