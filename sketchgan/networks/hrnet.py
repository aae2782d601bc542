"""HRNet for classification (Wang et al., TPAMI 2020, arXiv 1908.07919): branches of four sizes, fused repeatedly."""

from collections.abc import Sequence
from functools import reduce
from itertools import pairwise
from operator import add

import torch.nn.functional as F
from torch import Tensor, nn


class HRNetClassifier(nn.Module):
    """A classifier of pictures with branches at 1/4, 1/8, 1/16 and 1/32 of their size, fused after every stage.

    The default is the smallest published one, W18-small-v1, which AODA (arXiv 2104.05703) trains on its photos; entries
    of the state dict have the names of the official code. Its weights start as PyTorch draws them. Pictures are in
    [-1, 1], without another normalisation. Unlike the official code it takes sides that are not multiples of 32: what
    a smaller branch adds is resized to the larger one.

    Args:
        n_classes: number of classes.
        in_channels: channels of a picture.
        stem: width of the two convolutions that quarter the picture.
        layer1: inner width of the bottleneck after them; four times as much comes out.
        branches: widths of the four branches, largest picture first.
        heads: inner widths of the bottlenecks at the branches' ends; four times as much comes out.
        features: values that describe a picture, before the last layer.

    Shapes: ``(N, in_channels, H, W)`` → logits ``(N, n_classes)``.

    Raises:
        ValueError: for other than four ``branches`` or ``heads``, or widths below 1; from ``forward``, in training,
            for one picture of at most 32×32 px, of which batch norm would see a single pixel.

    Examples:
        >>> import torch
        >>> network = HRNetClassifier(n_classes=5, branches=(2, 4, 8, 16), heads=(2, 4, 8, 16), features=32)
        >>> photos = torch.zeros(2, 3, 64, 64)
        >>> network(photos).shape, network.features(photos).shape
        (torch.Size([2, 5]), torch.Size([2, 32]))
    """

    def __init__(
        self,
        n_classes: int = 10,
        in_channels: int = 3,
        stem: int = 64,
        layer1: int = 32,
        branches: Sequence[int] = (16, 32, 64, 128),
        heads: Sequence[int] = (32, 64, 128, 256),
        features: int = 2048,
    ) -> None:
        super().__init__()
        for name, widths in {"branches": branches, "heads": heads}.items():
            if len(widths) != 4 or min(widths) < 1:
                raise ValueError(f"{name} must be four widths of at least 1, got {tuple(widths)}")
        sizes = {"n_classes": n_classes, "in_channels": in_channels, "stem": stem, "layer1": layer1}
        for name, size in {**sizes, "features": features}.items():
            if size < 1:
                raise ValueError(f"{name} must be at least 1, got {size}")
        self.n_classes = n_classes
        self.conv1 = _conv3(in_channels, stem, stride=2)
        self.bn1 = nn.BatchNorm2d(stem)
        self.conv2 = _conv3(stem, stem, stride=2)
        self.bn2 = nn.BatchNorm2d(stem)
        self.layer1 = nn.Sequential(_Bottleneck(stem, layer1))
        self.transition1 = _transition([4 * layer1], branches[:2])
        self.stage2 = nn.Sequential(_Stage(branches[:2]))
        self.transition2 = _transition(branches[:2], branches[:3])
        self.stage3 = nn.Sequential(_Stage(branches[:3]))
        self.transition3 = _transition(branches[:3], branches)
        self.stage4 = nn.Sequential(_Stage(branches))
        self.incre_modules = nn.ModuleList(
            nn.Sequential(_Bottleneck(width, head)) for width, head in zip(branches, heads, strict=True)
        )
        self.downsamp_modules = nn.ModuleList(
            _conv_norm(4 * fine, 4 * coarse, stride=2, bias=True) for fine, coarse in pairwise(heads)
        )
        self.final_layer = _conv_norm(4 * heads[-1], features, kernel_size=1, bias=True)
        self.classifier = nn.Linear(features, n_classes)

    def features(self, photos: Tensor) -> Tensor:
        """What the last layer sees of the pictures: ``(N, in_channels, H, W)`` → ``(N, features)``, at least 0."""
        n, _, height, width = photos.shape
        if self.training and n == 1 and max(height, width) <= 32:
            raise ValueError(
                f"one picture of {height}x{width} px is too little for batch norm in training: HRNetClassifier halves "
                "it to a single pixel; use pictures above 32 px, a larger batch, or eval()"
            )
        x = F.relu_(self.bn1(self.conv1(photos)))
        x = self.layer1(F.relu_(self.bn2(self.conv2(x))))  # (N, 4 * layer1, H / 4, W / 4)
        xs = [x]
        for transition, stage in (
            (self.transition1, self.stage2),
            (self.transition2, self.stage3),
            (self.transition3, self.stage4),
        ):
            xs = stage([layer(xs[min(i, len(xs) - 1)]) for i, layer in enumerate(transition)])
        y, *smaller = [head(x) for head, x in zip(self.incre_modules, xs, strict=True)]
        for x, downsample in zip(smaller, self.downsamp_modules, strict=True):
            y = x + downsample(y)
        return self.final_layer(y).mean((2, 3))

    def forward(self, photos: Tensor) -> Tensor:
        return self.classifier(self.features(photos))


class _Stage(nn.Module):
    """Two residual blocks per branch, then each branch gets the sum of all, brought to its size and width."""

    def __init__(self, widths: Sequence[int]) -> None:
        super().__init__()
        self.branches = nn.ModuleList(nn.Sequential(_BasicBlock(width), _BasicBlock(width)) for width in widths)
        self.fuse_layers = nn.ModuleList(
            nn.ModuleList(_bring(widths[source], widths[target], target - source) for source in range(len(widths)))
            for target in range(len(widths))
        )

    def forward(self, xs: list[Tensor]) -> list[Tensor]:
        xs = [branch(x) for branch, x in zip(self.branches, xs, strict=True)]
        return [self._fused(target, xs) for target in range(len(xs))]

    def _fused(self, target: int, xs: list[Tensor]) -> Tensor:
        terms = [bring(x) for bring, x in zip(self.fuse_layers[target].children(), xs, strict=True)]
        size = xs[target].shape[-2:]
        terms[target + 1 :] = [F.interpolate(term, size) for term in terms[target + 1 :]]  # nearest
        return F.relu_(reduce(add, terms))


class _BasicBlock(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.conv1 = _conv3(width, width)
        self.bn1 = nn.BatchNorm2d(width)
        self.conv2 = _conv3(width, width)
        self.bn2 = nn.BatchNorm2d(width)

    def forward(self, x: Tensor) -> Tensor:
        y = F.relu_(self.bn1(self.conv1(x)))
        return F.relu_(x + self.bn2(self.conv2(y)))


class _Bottleneck(nn.Module):
    """``in_channels`` → ``4 * width`` at the same size; the input has a convolution of its own where widths differ."""

    def __init__(self, in_channels: int, width: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(in_channels, width, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.conv2 = _conv3(width, width)
        self.bn2 = nn.BatchNorm2d(width)
        self.conv3 = nn.Conv2d(width, 4 * width, 1, bias=False)
        self.bn3 = nn.BatchNorm2d(4 * width)
        same = in_channels == 4 * width
        self.downsample = nn.Identity() if same else _conv_norm(in_channels, 4 * width, kernel_size=1, relu=False)

    def forward(self, x: Tensor) -> Tensor:
        y = F.relu_(self.bn1(self.conv1(x)))
        y = F.relu_(self.bn2(self.conv2(y)))
        return F.relu_(self.bn3(self.conv3(y)) + self.downsample(x))


def _conv3(in_channels: int, out_channels: int, stride: int = 1) -> nn.Conv2d:
    return nn.Conv2d(in_channels, out_channels, 3, stride, padding=1, bias=False)


def _conv_norm(
    in_channels: int, out_channels: int, kernel_size: int = 3, stride: int = 1, bias: bool = False, relu: bool = True
) -> nn.Sequential:
    conv = nn.Conv2d(in_channels, out_channels, kernel_size, stride, padding=kernel_size // 2, bias=bias)
    return nn.Sequential(conv, nn.BatchNorm2d(out_channels), *([nn.ReLU(inplace=True)] if relu else []))


def _transition(before: Sequence[int], after: Sequence[int]) -> nn.ModuleList:
    """What there is stays, in the new width; one branch is added, of half the size of the last."""
    kept = (nn.Identity() if a == b else _conv_norm(a, b) for a, b in zip(before, after, strict=False))
    return nn.ModuleList([*kept, nn.Sequential(_conv_norm(before[-1], after[-1], stride=2))])


def _bring(in_channels: int, out_channels: int, halvings: int) -> nn.Module:
    """Features of one branch in the width of another, and in its size if that is so many halvings smaller."""
    if halvings == 0:
        return nn.Identity()
    if halvings < 0:
        return _conv_norm(in_channels, out_channels, kernel_size=1, relu=False)
    steps = [_conv_norm(in_channels, in_channels, stride=2) for _ in range(halvings - 1)]
    return nn.Sequential(*steps, _conv_norm(in_channels, out_channels, stride=2, relu=False))
