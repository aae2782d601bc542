"""Resizing as the programs do it that prepared published data."""

import torch
from torch import Tensor

Size = int | tuple[int, int]


def resize_area(pictures: Tensor, height: int, width: int) -> Tensor:
    """Resize as OpenCV's area interpolation does: it averages when it shrinks.

    Args:
        pictures: uint8 ``(..., H, W)``, on the CPU, whose levels are rounded as OpenCV rounds them; or float.
        height: of the result, in pixels.
        width: of the result, in pixels.

    Returns:
        ``(..., height, width)`` of the same kind; ``pictures`` itself if it has that size.

    Examples:
        >>> resize_area(torch.tensor([[[0, 10, 20, 40]]], dtype=torch.uint8), 1, 2).tolist()
        [[[5, 30]]]
    """
    old = pictures.shape[-2:]
    if old == (height, width):
        return pictures
    levels = pictures.dtype == torch.uint8
    if old[0] >= height and old[1] >= width:
        means = _averaged(_averaged(pictures, -2, height), -1, width)
        if not levels:
            return means
        halved = tuple(old) == (2 * height, 2 * width)
        return ((means + 0.5).floor_() if halved else means.round_()).to(torch.uint8)  # OpenCV's ties go up, or to even
    # Otherwise a new pixel is an old one, or lies across the border of two and mixes them.
    (y, below), (x, right) = _neighbours(old[0], height), _neighbours(old[1], width)
    below = below.view(-1, 1)
    if not levels:
        x, y, right, below = x.to(pictures.device), y.to(pictures.device), right.to(pictures), below.to(pictures)
        mixed = torch.lerp(pictures[..., x[0]], pictures[..., x[1]], right)
        return torch.lerp(mixed[..., y[0], :], mixed[..., y[1], :], below)
    right, below = (right * 2048).round().long(), (below * 2048).round().long()  # it calculates in integers
    mixed = pictures[..., x[0]].long() * (2048 - right) + pictures[..., x[1]].long() * right
    upper = (mixed[..., y[0], :] >> 4) * (2048 - below) >> 16
    lower = (mixed[..., y[1], :] >> 4) * below >> 16
    return (upper + lower + 2 >> 2).to(torch.uint8)


def resize_legacy(images: Tensor, size: Size) -> Tensor:
    """Bilinear interpolation without half-pixel offset or antialiasing, ``tf.image.resize_bilinear`` of TensorFlow 1.

    The source coordinate of pixel ``i`` is ``i * old / new``, and the neighbour beyond the last pixel is the last
    pixel. To an integer fraction of the size this is plain decimation, from 256 to 64 ``x[..., ::4, ::4]``.

    Args:
        images: float ``(..., H, W)``; gradients flow. Bytes and other integers too where every pixel is taken as it is.
        size: side, or (height, width), of the result in pixels.

    Returns:
        ``(..., height, width)`` of the same kind; ``images`` itself if it has that size.

    Raises:
        ValueError: for a size below 1, and integers that would have to be blended.

    Examples:
        >>> resize_legacy(torch.arange(4.0).view(1, 1, 4), (1, 8))
        tensor([[[0.0000, 0.5000, 1.0000, 1.5000, 2.0000, 2.5000, 3.0000, 3.0000]]])
    """
    for dim, wanted in zip((-1, -2), _pair(size), strict=True):
        images = _resize_legacy(images, dim, wanted)
    return images


def _averaged(pictures: Tensor, dim: int, target: int) -> Tensor:
    """One side shrunk: the mean of the old pixels that lie in a new one, by their share of it; bytes become float64."""
    length, kind = pictures.shape[dim], torch.float64 if pictures.dtype == torch.uint8 else pictures.dtype
    if length == target:
        return pictures.to(kind)
    ends = torch.arange(target + 1, dtype=torch.float64) * length / target
    first = ends[:-1].floor().long()
    means = torch.zeros((), dtype=kind, device=pictures.device)
    for k in range(int((ends[1:].ceil().long() - first).max())):  # a matrix of the shares would be nearly all zeros
        old = first + k
        share = (torch.minimum(ends[1:], old + 1.0) - torch.maximum(ends[:-1], old.double())).clamp_(min=0)
        share = (share * target / length).to(pictures.device, kind)
        pixels = pictures.index_select(dim, old.clamp_(max=length - 1).to(pictures.device))
        means = means + pixels * (share.view(-1, 1) if dim == -2 else share)
    return means


def _neighbours(length: int, target: int) -> tuple[Tensor, Tensor]:
    """The two old pixels ``(2, target)`` of each new one, and the share of the second."""
    new = torch.arange(target, dtype=torch.float64)
    first = (new * length / target).floor()
    share = new + 1 - (first + 1) * target / length
    share = torch.where(share > 0, share - share.floor(), 0.0)
    pixels = torch.stack([first, first + 1]).long().clamp_(max=length - 1)
    return pixels, share


def _pair(size: Size) -> tuple[int, int]:
    """Width and height."""
    height, width = (size, size) if isinstance(size, int) else size
    if min(height, width) < 1:
        raise ValueError(f"size must be at least 1, got {size}")
    return width, height


def _resize_legacy(images: Tensor, dim: int, wanted: int) -> Tensor:
    size = images.shape[dim]
    if size == wanted:
        return images
    if size % wanted == 0:
        return images[..., :: size // wanted] if dim == -1 else images[..., :: size // wanted, :]
    if not images.is_floating_point():
        raise ValueError(f"{images.dtype} cannot be blended from {size} to {wanted} pixels; convert to float")
    # In float32, as the original: a coordinate that should be whole may come out just below.
    position = torch.arange(wanted, dtype=torch.float32, device=images.device) * torch.tensor(size / wanted)
    lower = position.floor().long().clamp_(max=size - 1)
    upper = (lower + 1).clamp_(max=size - 1)
    blend = (position - lower).to(images.dtype)
    low, high = images.index_select(dim, lower), images.index_select(dim, upper)
    return torch.addcmul(low, high - low, blend if dim == -1 else blend[:, None])
