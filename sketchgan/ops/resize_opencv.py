"""Resizing as OpenCV does it, with which published data were prepared."""

import torch
from torch import Tensor


def resize_area_opencv(picture: Tensor, height: int, width: int) -> Tensor:
    """Resize uint8 ``(C, H, W)`` as OpenCV's area interpolation does: it averages when it shrinks.

    The levels are rounded as OpenCV rounds them, which `sketchgan.ops.resize_area` does not do.

    Examples:
        >>> resize_area_opencv(torch.tensor([[[0, 10, 20, 40]]], dtype=torch.uint8), 1, 2).tolist()
        [[[5, 30]]]
    """
    old = picture.shape[-2:]
    if old[0] >= height and old[1] >= width:
        means = _area_weights(old[0], height) @ picture.double() @ _area_weights(old[1], width).T
        halved = tuple(old) == (2 * height, 2 * width)
        return ((means + 0.5).floor_() if halved else means.round_()).to(torch.uint8)  # OpenCV's ties go up, or to even
    # Otherwise a new pixel is an old one, or lies across the border of two and mixes them, in integers.
    (y, below), (x, right) = _neighbours(old[0], height), _neighbours(old[1], width)
    levels = picture.long()
    mixed = levels[..., x[0]] * (2048 - right) + levels[..., x[1]] * right
    upper = (mixed[:, y[0]] >> 4) * (2048 - below).view(-1, 1) >> 16
    lower = (mixed[:, y[1]] >> 4) * below.view(-1, 1) >> 16
    return (upper + lower + 2 >> 2).to(torch.uint8)


def _area_weights(length: int, target: int) -> Tensor:
    """``(target, length)``: the share of each old pixel in each new one."""
    ends = torch.arange(target + 1, dtype=torch.float64) * length / target
    old = torch.arange(length, dtype=torch.float64)
    overlap = torch.minimum(ends[1:, None], old + 1) - torch.maximum(ends[:-1, None], old)
    return overlap.clamp_(min=0) * target / length


def _neighbours(length: int, target: int) -> tuple[Tensor, Tensor]:
    """The two old pixels ``(2, target)`` of each new one, and the share of the second in 2048ths."""
    new = torch.arange(target, dtype=torch.float64)
    first = (new * length / target).floor()
    share = new + 1 - (first + 1) * target / length
    share = torch.where(share > 0, share - share.floor(), 0.0)
    pixels = torch.stack([first, first + 1]).long().clamp_(max=length - 1)
    return pixels, (share * 2048).round().long()
