"""How far the colours of two pictures are from each other, wherever the colours are."""

import torch
from torch import Tensor

PAPER = 0.9  # a pixel whose three values are all above is paper: most of a drawing, and no matter of style


def palette(pictures: Tensor, bins: int = 6) -> Tensor:
    """Shares of colours in pictures, paper left out.

    A pixel is shared out among the eight colours around it (trilinear weights), so that a palette changes little where
    a colour does. Paper is what has all three values above 0.9; a picture of nothing else counts as white.

    Args:
        pictures: RGB ``(N, 3, H, W)`` in [-1, 1]; values outside are clamped.
        bins: levels of each channel, at least 2.

    Returns:
        Shares ``(N, bins ** 3)``, float32; rows sum to 1.

    Raises:
        ValueError: for pictures without three channels, and fewer than two levels.
    """
    if pictures.ndim != 4 or pictures.shape[1] != 3:
        raise ValueError(f"a palette is of RGB pictures (N, 3, H, W), got {tuple(pictures.shape)}")
    if bins < 2:
        raise ValueError(f"bins must be at least 2, got {bins}")
    colours = (pictures.float() / 2 + 0.5).clamp(0, 1).flatten(2)  # (N, 3, pixels)
    weight = (colours.amin(1) <= PAPER).float()  # (N, pixels)
    weight = torch.where(weight.sum(1, keepdim=True) > 0, weight, 1.0)
    at = colours * (bins - 1)
    low = at.floor().clamp(max=bins - 2)
    above = at - low
    shares = colours.new_zeros(len(colours), bins**3)
    for corner in torch.cartesian_prod(*[torch.arange(2, device=at.device)] * 3):
        offset = corner[:, None]  # (3, 1)
        index = ((low.long() + offset) * torch.tensor([[bins**2], [bins], [1]], device=at.device)).sum(1)
        shares.scatter_add_(1, index, weight * torch.where(offset == 1, above, 1 - above).prod(1))
    return shares / shares.sum(1, keepdim=True)


def palette_distance(pictures: Tensor, others: Tensor, bins: int = 6) -> Tensor:
    """Distance of the colours of pictures from those of others, one by one: half the sum of the differences of shares.

    Args:
        pictures: RGB ``(N, 3, H, W)`` in [-1, 1].
        others: RGB ``(N, 3, h, w)``, which may have another size.
        bins: levels of each channel; see `palette`.

    Returns:
        ``(N,)``, 0 where the shares of all colours are the same and 1 where no colour is in both; paper is left out.

    Raises:
        ValueError: as `palette`.

    Examples:
        >>> red = torch.tensor([1.0, -1.0, -1.0]).view(1, 3, 1, 1).expand(1, 3, 2, 2)
        >>> paper_below = torch.cat([red, torch.ones_like(red)], dim=2)
        >>> palette_distance(red, paper_below).item(), palette_distance(red, red.roll(1, dims=1)).item()
        (0.0, 1.0)
    """
    return (palette(pictures, bins) - palette(others, bins)).abs().sum(1) / 2
