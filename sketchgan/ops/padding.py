"""Pictures of any size through networks that take multiples of something."""

import torch
from torch import Tensor


def pad_to_multiple(images: Tensor, multiple: int, least: int = 8) -> Tensor:
    """Reflect images at the right and lower edge until both sides are multiples; of any size, also a single pixel.

    Args:
        images: ``(N, C, H, W)``.
        multiple: of what the sides are to be.
        least: sides are padded to this at least; normalisation needs a few pixels at the narrowest layer.

    Returns:
        ``images`` itself where nothing is to do.

    Examples:
        >>> pad_to_multiple(torch.zeros(1, 3, 30, 33), 16).shape
        torch.Size([1, 3, 32, 48])
    """
    for dim in (-2, -1):
        size = images.shape[dim]
        wanted = -(-max(size, least) // multiple) * multiple
        if wanted != size:
            images = images.index_select(dim, _reflected(size, wanted).to(images.device))
    return images


def _reflected(size: int, wanted: int) -> Tensor:
    """Positions 0, 1, …, size - 1, size - 2, …, 1, 0, 1 and so on."""
    period = max(2 * (size - 1), 1)
    position = torch.arange(wanted) % period
    return torch.where(position < size, position, period - position)
