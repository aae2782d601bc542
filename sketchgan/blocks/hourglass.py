"""The hourglasses of photo2cartoon (Minivision AI, 2020), after Newell et al. (ECCV 2016, arXiv 1603.06937)."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from sketchgan.blocks.padding import ReflectionPad2d


class HourglassBlock(nn.Module):
    """Three convolutions in a row whose outputs, a half, a quarter and a quarter of the channels, are joined.

    Args:
        in_channels: C of the input.
        out_channels: C of the output, a multiple of 4.

    Shapes: ``(N, in_channels, H, W)`` → ``(N, out_channels, H, W)``.
    """

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__()
        half, quarter = out_channels // 2, out_channels // 4
        self.convs = nn.ModuleList(
            nn.Sequential(
                nn.InstanceNorm2d(before), nn.ReLU(), ReflectionPad2d(1), nn.Conv2d(before, after, 3, bias=False)
            )
            for before, after in ((in_channels, half), (half, quarter), (quarter, quarter))
        )
        self.shortcut = nn.Sequential(
            nn.InstanceNorm2d(in_channels), nn.ReLU(), nn.Conv2d(in_channels, out_channels, kernel_size=1, bias=False)
        )
        self.straight = in_channels == out_channels
        if self.straight:
            self.shortcut.requires_grad_(False)  # never runs, but official files hold its weights

    def forward(self, x: Tensor) -> Tensor:
        parts, y = [], x
        for conv in self.convs:
            y = conv(y)
            parts.append(y)
        return torch.cat(parts, dim=1) + (x if self.straight else self.shortcut(x))


class Hourglass(nn.Module):
    """Down some levels and up again, with a block on every way and a skip across every level.

    Args:
        channels: C of the input and the output.
        levels: halvings.

    Shapes: ``(N, C, H, W)``, sides multiples of ``2**levels``, of which there are two at least → the same.
    """

    def __init__(self, channels: int, levels: int = 4) -> None:
        super().__init__()
        self.skip, self.down, self.up = (
            nn.ModuleList(HourglassBlock(channels, channels) for _ in range(levels)) for _ in range(3)
        )
        self.centre = HourglassBlock(channels, channels)

    def forward(self, x: Tensor) -> Tensor:
        skipped = []
        for skip, down in zip(self.skip, self.down, strict=True):
            skipped.append(skip(x))
            x = down(F.avg_pool2d(x, 2))
        x = self.centre(x)
        for up in self.up:  # from the lowest level
            x = skipped.pop() + F.interpolate(up(x), scale_factor=2.0)
        return x


class HourglassModule(nn.Module):
    """An hourglass that also drafts a picture, and joins both to its input.

    Args:
        channels: C of the input.
        residual: return features; otherwise the draft itself.
        out_channels: channels of the draft.
        levels: of the hourglass.

    Shapes: ``(N, C, H, W)`` → the same, or ``(N, out_channels, H, W)`` if not ``residual``.
    """

    def __init__(self, channels: int, residual: bool = True, out_channels: int = 3, levels: int = 4) -> None:
        super().__init__()
        self.features = nn.Sequential(
            Hourglass(channels, levels),
            HourglassBlock(channels, channels),
            nn.Conv2d(channels, channels, kernel_size=1, bias=False),
            nn.InstanceNorm2d(channels),
            nn.ReLU(),
        )
        self.draft = nn.Conv2d(channels, out_channels, kernel_size=1)
        self.from_features = nn.Conv2d(channels, channels, kernel_size=1) if residual else None
        self.from_draft = nn.Conv2d(out_channels, channels, kernel_size=1) if residual else None

    def forward(self, x: Tensor) -> Tensor:
        features = self.features(x)
        draft = self.draft(features)
        if self.from_features is None or self.from_draft is None:
            return draft
        return x + self.from_features(features) + self.from_draft(draft)
