"""Non-maximum suppression of edge strength, as SketchyGAN's script does it (Dollár and Zitnick's edge toolbox)."""

import math

import torch
from torch import Tensor

RADIUS = 4  # of the triangle filter
FADE = 5  # pixels along each border whose strength fades to 0
MULTIPLIER = 1.01  # a pixel must be this much weaker than its neighbour to go


def suppress(strength: Tensor, least: float = 0.0) -> Tensor:
    """Keep the edge strength along the ridges of a map, and set it to 0 beside them.

    A ridge that is exactly horizontal, and the same along its whole length, has no mixed curvature. Like the script,
    this then takes the direction to be 0 and compares along the ridge, so that the pixels beside it stay.

    Args:
        strength: float ``(N, H, W)`` in [0, 1].
        least: what is weaker becomes 0 without a look at its neighbours, which takes less time where a threshold
            follows anyway.

    Returns:
        float ``(N, H, W)``; the five pixels along each border fade to 0. On a GPU, whose trigonometric functions round
        otherwise, single pixels may differ from those of a CPU.

    Raises:
        ValueError: if a side is smaller than two pixels.
    """
    strength = strength.contiguous()
    height, width = strength.shape[1:]
    weights = _border(height, strength).view(-1, 1), _border(width, strength)
    at = ((strength != 0) & (strength >= least)).view(-1).nonzero().view(-1)
    angle = _angle(*(part.view(-1).index_select(0, at) for part in _curvature(smooth(strength))))
    flat = strength.view(-1)
    image, place = at - at % (height * width), at % (height * width)
    y, x = (place // width).to(strength.dtype), (place % width).to(strength.dtype)
    value = flat.index_select(0, at)
    dx, dy = angle.cos(), angle.sin()
    strongest = torch.maximum(
        _sampled(flat, image, x - dx, y - dy, height, width), _sampled(flat, image, x + dx, y + dy, height, width)
    )
    kept = torch.zeros_like(strength)
    kept.view(-1)[at] = value.masked_fill(MULTIPLIER * value < strongest, 0)
    return kept.mul_(weights[1]).mul_(weights[0])  # in this order, to the last bit


def smooth(strength: Tensor) -> Tensor:
    """Edge strength through a triangle filter of radius 4; beyond a border lies its mirror image.

    Args:
        strength: float ``(N, H, W)``.
    """
    weights = [RADIUS + 1 - abs(i) for i in range(-RADIUS, RADIUS + 1)]
    for dim in (1, 2):
        size = strength.shape[dim]
        around = torch.arange(-RADIUS, size + RADIUS, device=strength.device) % (2 * size)
        mirrored = strength.index_select(dim, torch.minimum(around, 2 * size - 1 - around))
        strength = torch.zeros_like(strength)
        for i, weight in enumerate(weights):
            strength.add_(mirrored.narrow(dim, i, size), alpha=weight / sum(weights))
    return strength


def orientation(strength: Tensor) -> Tensor:
    """Angle across the edges, of the curvature of the smoothed strength.

    Args:
        strength: float ``(N, H, W)``.

    Returns:
        float ``(N, H, W)`` in [0, π], from the x axis towards the y axis.

    Raises:
        ValueError: if a side is smaller than two pixels.
    """
    return _angle(*_curvature(smooth(strength)))


def _curvature(smoothed: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Second derivatives by x and x, y and y, x and y."""
    if min(smoothed.shape[1:]) < 2:
        raise ValueError(f"edges have no direction in pictures of {tuple(smoothed.shape[1:])} pixels: give larger ones")
    by_y = _derivative(smoothed, 1)
    return _derivative(_derivative(smoothed, 2), 2), _derivative(by_y, 1), _derivative(by_y, 2)


def _derivative(images: Tensor, dim: int) -> Tensor:
    """Central differences, one-sided at the borders."""
    size = images.shape[dim]
    result = torch.empty_like(images)
    torch.sub(images.narrow(dim, 2, size - 2), images.narrow(dim, 0, size - 2), out=result.narrow(dim, 1, size - 2))
    result.narrow(dim, 1, size - 2).mul_(0.5)
    for at, first in ((0, 0), (size - 1, size - 2)):
        torch.sub(images.select(dim, first + 1), images.select(dim, first), out=result.select(dim, at))
    return result


def _angle(xx: Tensor, yy: Tensor, xy: Tensor) -> Tensor:
    return (yy * (-xy).sign() / (xx + 1e-5)).atan().remainder(math.pi)


def _sampled(flat: Tensor, image: Tensor, x: Tensor, y: Tensor, height: int, width: int) -> Tensor:
    """Strength between four pixels each, bilinear; ``image`` is where each picture begins in ``flat``."""
    x, y = x.clamp(0, width - 1.001), y.clamp(0, height - 1.001)
    left, top = x.floor(), y.floor()
    x, y = x - left, y - top
    at = image + top.long() * width + left.long()
    corners = (flat.index_select(0, at + step) for step in (0, 1, width, width + 1))
    upper_left, upper_right, lower_left, lower_right = corners
    return (1 - x) * (1 - y) * upper_left + x * (1 - y) * upper_right + (1 - x) * y * lower_left + x * y * lower_right


def _border(size: int, like: Tensor) -> Tensor:
    """Weights along a side: 0, 1/5, …, 4/5 from either end; in small pictures both apply."""
    ramp = (torch.arange(size, device=like.device) / FADE).clamp(max=1)
    return (ramp * ramp.flip(0)).to(like.dtype)
