"""Colours for single pixels of a drawing: drawn at random as in PaintsChainer's training, and as a network's input."""

import torch
from torch import Tensor

STEP = 20
"""Simulated colours are multiples of this, in levels of 0..255."""
NEIGHBOURS = ((0, 0), (0, 1), (0, -1), (1, 0), (-1, 0))
"""Rows and columns from a point: itself, right, left, below, above."""


def simulate_hints(images: Tensor, most: int = 100, generator: torch.Generator | None = None) -> Tensor:
    """What a person who points at colours might give: those of a few random pixels, roughly.

    Of the pictures, 40 % get no hint, 30 % 2 to 15 points, and 30 % 16 to ``most - 1``. A point has the picture's
    colour with Gaussian noise of 5 levels in each channel, rounded to a multiple of 20; with probability one half its
    right and left neighbours have it too, and with one half those below and above. Where points meet, the last one
    counts. They keep one pixel away from the edges, so that all neighbours are there.

    The numbers are drawn on the CPU in float32, and so are the same on every device and in every precision.

    Args:
        images: ``(N, C, H, W)`` in 0..255, of any colour space.
        most: upper limit of the number of points, not reached; PaintsChainer's ``leak``.
        generator: of the random numbers, on the CPU; torch's own by default.

    Returns:
        ``(N, C + 1, H, W)``: the hints' colours, 0 where there is none, and last a mask of 0 and 1. Colours are not
        clipped: white comes out as 260.

    Raises:
        ValueError: if ``most`` is below 17, or a side shorter than 3 pixels.

    Examples:
        >>> hints = simulate_hints(torch.full((8, 3, 32, 32), 100.0), generator=torch.Generator().manual_seed(0))
        >>> hints.shape, hints[:, :3].max().item()
        (torch.Size([8, 4, 32, 32]), 120.0)
    """
    n, channels, height, width = images.shape
    if most < 17:
        raise ValueError(f"most must be at least 17, as a third of the pictures get 16 to most - 1 hints, got {most}")
    if min(height, width) < 3:
        raise ValueError(f"hints keep one pixel away from the edges, which leaves no place in {height}x{width} pixels")
    single = torch.float32  # whatever the default is: bfloat16 would know 256 places
    kind, share = torch.rand(2, n, 1, generator=generator, dtype=single)
    rows, columns, across, down = torch.rand(4, n, most - 1, generator=generator, dtype=single)
    noise = 5 * torch.randn(n, channels, most - 1, generator=generator, dtype=single)

    few, many = 2 + (14 * share).long(), 16 + ((most - 16) * share).long()
    counts = torch.where(kind < 0.4, 0, torch.where(kind < 0.7, few, many))  # (N, 1)
    points = torch.arange(most - 1)
    placed = points < counts  # (N, P)
    wide, tall = placed & (across < 0.5), placed & (down < 0.5)
    written = torch.stack([placed, wide, wide, tall, tall], dim=-1).flatten(1)  # (N, P * 5)
    at = (1 + ((height - 2) * rows).long()) * width + 1 + ((width - 2) * columns).long()  # (N, P) of H * W
    steps = torch.tensor([row * width + column for row, column in NEIGHBOURS])
    pixels = (at[..., None] + steps).flatten(1)

    last = torch.zeros(n, height * width, dtype=torch.int64)  # number of the last point there, counted from 1
    numbers = (points + 1).repeat_interleave(len(NEIGHBOURS)) * written
    last.scatter_reduce_(1, pixels, numbers, "amax")
    last, at, noise = last.to(images.device), at.to(images.device), noise.to(images)

    true = images.flatten(2).gather(2, at[:, None].expand(-1, channels, -1))
    colours = torch.floor((true + noise) / STEP + 0.5) * STEP  # (N, C, P)
    colours = torch.cat([torch.zeros_like(colours[..., :1]), colours], dim=2)
    hints = colours.gather(2, last[:, None].expand(-1, channels, -1))
    mask = (last > 0).to(images)[:, None]
    return torch.cat([hints, mask], dim=1).view(n, channels + 1, height, width)


def hint_channels(hints: Tensor) -> Tensor:
    """Colour hints as three channels of a network's input: colour times opacity, 0 where there is none.

    Args:
        hints: ``(N, 4, H, W)``, RGB in [-1, 1], and opacity in [0, 1]; colours of opacity 0 do not matter.

    Returns:
        ``(N, 3, H, W)`` in [-1, 1].

    Raises:
        ValueError: for other numbers of channels.

    Examples:
        >>> hint_channels(torch.tensor([1.0, 0.0, -1.0, 0.5]).view(1, 4, 1, 1)).flatten()
        tensor([ 0.5000,  0.0000, -0.5000])
    """
    if hints.shape[1] != 4:
        raise ValueError(f"hints have four channels, colour and opacity, got {tuple(hints.shape)}")
    colour, opacity = hints[:, :3], hints[:, 3:]
    return torch.where(opacity > 0, colour * opacity, 0)
