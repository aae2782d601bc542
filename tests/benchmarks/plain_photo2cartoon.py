"""photo2cartoon's generator and face crop, written out like `plain_ugatit`; the rest of it is U-GAT-IT's."""

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from benchmarks.plain_ugatit import ILN, AdaLIN, Judged, ResnetBlock, attention, conv, ugatit


class ConvBlock(nn.Module):
    """Three convolutions of which each sees the one before, side by side; ``ConvBlock4`` is there, but not used."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        half, quarter = channels // 2, channels // 4
        self.ConvBlock1 = nn.Sequential(nn.InstanceNorm2d(channels), nn.ReLU(), *conv(channels, half, 3))
        self.ConvBlock2 = nn.Sequential(nn.InstanceNorm2d(half), nn.ReLU(), *conv(half, quarter, 3))
        self.ConvBlock3 = nn.Sequential(nn.InstanceNorm2d(quarter), nn.ReLU(), *conv(quarter, quarter, 3))
        shortcut = nn.Conv2d(channels, channels, 1, bias=False)
        self.ConvBlock4 = nn.Sequential(nn.InstanceNorm2d(channels), nn.ReLU(), shortcut)

    def forward(self, x: Tensor) -> Tensor:
        half = self.ConvBlock1(x)
        quarter = self.ConvBlock2(half)
        return x + torch.cat([half, quarter, self.ConvBlock3(quarter)], dim=1)


class HourGlassBlock(nn.Module):
    def __init__(self, channels: int) -> None:
        super().__init__()
        for name in ("1_1", "1_2", "2_1", "2_2", "3_1", "3_2", "4_1", "4_2", "5", "6", "7", "8", "9"):
            setattr(self, f"ConvBlock{name}", ConvBlock(channels))

    def forward(self, x: Tensor) -> Tensor:
        skips = []
        for level in (1, 2, 3, 4):
            skips.append(getattr(self, f"ConvBlock{level}_1")(x))
            x = getattr(self, f"ConvBlock{level}_2")(F.avg_pool2d(x, 2))
        x = self.ConvBlock5(x)
        for i in (6, 7, 8, 9):
            x = skips.pop() + F.interpolate(getattr(self, f"ConvBlock{i}")(x), scale_factor=2)
        return x


class HourGlass(nn.Module):
    def __init__(self, channels: int, residual: bool = True) -> None:
        super().__init__()
        last = [nn.Conv2d(channels, channels, 1, bias=False), nn.InstanceNorm2d(channels), nn.ReLU()]
        self.HG = nn.Sequential(HourGlassBlock(channels), ConvBlock(channels), *last)
        self.Conv1 = nn.Conv2d(channels, 3, 1)
        self.residual = residual
        if residual:
            self.Conv2 = nn.Conv2d(channels, channels, 1)
            self.Conv3 = nn.Conv2d(3, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        seen = self.HG(x)
        drawn = self.Conv1(seen)
        return x + self.Conv2(seen) + self.Conv3(drawn) if self.residual else drawn


class SoftAdaLIN(nn.Module):
    def __init__(self, channels: int) -> None:
        super().__init__()
        self.norm = AdaLIN(channels)
        self.w_gamma, self.w_beta = nn.Parameter(torch.zeros(1, channels)), nn.Parameter(torch.zeros(1, channels))
        self.c_gamma, self.c_beta = (
            nn.Sequential(nn.Linear(channels, channels), nn.ReLU(), nn.Linear(channels, channels)) for _ in range(2)
        )
        self.s_gamma, self.s_beta = nn.Linear(channels, channels), nn.Linear(channels, channels)

    def forward(self, x: Tensor, content: Tensor, style: Tensor) -> Tensor:
        gamma = (1 - self.w_gamma) * self.s_gamma(style) + self.w_gamma * self.c_gamma(content)
        beta = (1 - self.w_beta) * self.s_beta(style) + self.w_beta * self.c_beta(content)
        return self.norm(x, gamma, beta)


class ResnetSoftAdaLINBlock(nn.Module):
    def __init__(self, channels: int) -> None:
        super().__init__()
        self.pad, self.conv1 = conv(channels, channels, 3)
        _, self.conv2 = conv(channels, channels, 3)
        self.norm1, self.norm2 = SoftAdaLIN(channels), SoftAdaLIN(channels)

    def forward(self, x: Tensor, content: Tensor, style: Tensor) -> Tensor:
        out = F.relu(self.norm1(self.conv1(self.pad(x)), content, style))
        return x + self.norm2(self.conv2(self.pad(out)), content, style)


class Generator(nn.Module):
    def __init__(self, ngf: int, side: int, light: bool) -> None:
        super().__init__()
        self.light, width = light, 4 * ngf
        self.ConvBlock1 = nn.Sequential(*conv(3, ngf, 7), nn.InstanceNorm2d(ngf), nn.ReLU())
        for i, channels in enumerate((ngf, 2 * ngf), 1):
            layers = [*conv(channels, 2 * channels, 3, 2), nn.InstanceNorm2d(2 * channels), nn.ReLU()]
            setattr(self, f"DownBlock{i}", nn.Sequential(*layers))
        for i in (1, 2, 3, 4):
            setattr(self, f"HourGlass{i}", HourGlass(ngf, residual=i < 4))
            setattr(self, f"EncodeBlock{i}", ResnetBlock(width))
            setattr(self, f"DecodeBlock{i}", ResnetSoftAdaLINBlock(width))
        self.gap_fc, self.gmp_fc = nn.Linear(width, 1), nn.Linear(width, 1)
        self.conv1x1 = nn.Conv2d(2 * width, width, 1)
        first = nn.Linear(width if light else width * (side // 4) ** 2, width)
        self.FC = nn.Sequential(first, nn.ReLU(), nn.Linear(width, width), nn.ReLU())
        for i, channels in enumerate((width, width // 2), 1):
            layers = [nn.Upsample(scale_factor=2), *conv(channels, channels // 2, 3), ILN(channels // 2), nn.ReLU()]
            setattr(self, f"UpBlock{i}", nn.Sequential(*layers))
        self.ConvBlock2 = nn.Sequential(*conv(3, 3, 7), nn.Tanh())

    def forward(self, x: Tensor) -> Judged:
        x = self.HourGlass2(self.HourGlass1(self.ConvBlock1(x)))
        x = self.DownBlock2(self.DownBlock1(x))
        contents = []
        for i in (1, 2, 3, 4):
            x = getattr(self, f"EncodeBlock{i}")(x)
            contents.append(F.adaptive_avg_pool2d(x, 1).flatten(1))
        x, logits, heatmap = attention(self, x, F.relu)
        style = self.FC((F.adaptive_avg_pool2d(x, 1) if self.light else x).flatten(1))
        for i in (1, 2, 3, 4):
            x = getattr(self, f"DecodeBlock{i}")(x, contents.pop(), style)  # the last one first
        x = self.HourGlass4(self.HourGlass3(self.UpBlock2(self.UpBlock1(x))))
        return self.ConvBlock2(x), logits, heatmap


def face(pictures: Tensor) -> Tensor:
    """Where faces are after alignment, at 112 px."""
    height, width = pictures.shape[2:]
    top, bottom = int(height / 2.1 * (0.8 - 0.33)), int(height - height / 2.1 * 0.3)
    side = bottom - top
    left = int(width / 2 - side / 2)
    crop = pictures[:, :, top:bottom, left : left + side]
    return F.interpolate(crop, size=(112, 112), mode="bilinear", align_corners=True)


def photo2cartoon(ngf: int, ndf: int, side: int, light: bool = True, global_layers: int = 7) -> Any:
    """The six networks under their names in official checkpoints."""
    return ugatit(ngf, ndf, side, light, Generator, global_layers)
