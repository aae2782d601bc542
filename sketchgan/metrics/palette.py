"""How far the colours of two pictures are from each other, wherever the colours are."""

import torch
from torch import Tensor

from sketchgan.networks.style_encoders import palette

LEVELS = 4
PAPER = 0.8


def palette_distance(pictures: Tensor, others: Tensor, levels: int = LEVELS) -> Tensor:
    """Distance of the colours of pictures from those of others, one by one: half the sum of the differences of shares.

    Shares are those of a coarse grid of colours, so that another tint is a little distance and another colour a large
    one. Pixels with all three values above 0.8 are paper, which is most of a drawing: they count as white, and a tenth
    of others (`sketchgan.networks.style_encoders.palette`).

    Args:
        pictures: RGB ``(N, 3, H, W)`` in [-1, 1].
        others: RGB ``(N, 3, h, w)``, which may have another size.
        levels: of each channel in the grid, at least 2.

    Returns:
        ``(N,)``, 0 where all colours have the same shares, and 1 where no colour of the grid is near both pictures.

    Raises:
        ValueError: for fewer than two levels.

    Examples:
        >>> red = torch.tensor([1.0, -1.0, -1.0]).view(1, 3, 1, 1).expand(1, 3, 2, 2)
        >>> on_paper = torch.cat([red, torch.full_like(red, 0.9)], dim=2)
        >>> for other in (red, red * 0.9, on_paper, red.roll(1, dims=1)):
        ...     print(round(palette_distance(red, other).item(), 2))
        0.0
        0.39
        0.09
        1.0
    """
    one, two = (palette(_on_white(given), levels).square() for given in (pictures, others))
    return (one - two).abs().sum(1) / 2


def _on_white(pictures: Tensor) -> Tensor:
    """What a generator leaves of the paper is nearly white."""
    return torch.where(pictures.amin(1, keepdim=True) > PAPER, 1.0, pictures.float())
