"""Resizing as TensorFlow 1 did it, which code and figures of that time depend on."""

import torch
from torch import Tensor

Size = int | tuple[int, int]


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


def resize_area(images: Tensor, size: Size) -> Tensor:
    """Mean over the area that each new pixel covers, as ``tf.image.resize_area``; exact for any factor, up and down.

    Args:
        images: float ``(..., H, W)``; gradients flow.
        size: side, or (height, width), of the result in pixels.

    Returns:
        ``(..., height, width)`` of the same kind; ``images`` itself if it has that size.

    Raises:
        ValueError: for a size below 1.
        TypeError: for integers, whose means are none.

    Examples:
        >>> resize_area(torch.tensor([[0.0, 1.0, 2.0]]), (1, 2))
        tensor([[0.3333, 1.6667]])
    """
    if not images.is_floating_point():
        raise TypeError(f"resize_area takes float images, got {images.dtype}")
    width, height = _pair(size)
    if images.shape[-1] != width:
        images = images @ _coverage(images.shape[-1], width).to(images).T
    if images.shape[-2] != height:
        images = _coverage(images.shape[-2], height).to(images) @ images
    return images


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


def _coverage(size: int, wanted: int) -> Tensor:
    """Share of each old pixel in each new one, float64 ``(wanted, size)``."""
    edges = torch.arange(wanted + 1, dtype=torch.float64) * size / wanted
    old = torch.arange(size, dtype=torch.float64)
    covered = torch.minimum(edges[1:, None], old + 1) - torch.maximum(edges[:-1, None], old)
    return covered.clamp_(min=0) * (wanted / size)
