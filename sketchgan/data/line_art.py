"""Cleaning up scans and pencil drawings before a network colours them, as Style2Paints' server does."""

from typing import Literal

import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor

from sketchgan.data.pictures import with_channels
from sketchgan.data.transforms import Picture

CleanLines = Literal["plain", "denoise"]
SAMPLED = 64
"""Side of the small copy whose darkest and lightest levels become ink and paper."""


def clean_lines(grey: Tensor, denoise: bool = False) -> Tensor:
    """Stretch a drawing's levels to black ink on white paper, and deepen what is grey.

    With the darkest and lightest level m and M of a copy of 64 × 64 pixels, a level g becomes the square of
    ``(g - m) / (M - m)``, limited to [0, 1]. The copy is bilinear and not antialiased, as on Style2Paints' first
    server, so that ink stays dark in it; it is computed in float here, and on the server rounded to levels.

    Args:
        grey: ``(..., H, W)`` in [0, 1], dark ink on light paper.
        denoise: take everything above nine tenths of the range for paper.

    Returns:
        The same shape, in [0, 1]. A drawing of one level throughout is left as it is.

    Examples:
        >>> clean_lines(torch.tensor([[[0.2, 0.5, 0.8]]]))
        tensor([[[0.0000, 0.2500, 1.0000]]])
    """
    copy = F.interpolate(grey.reshape(1, -1, *grey.shape[-2:]), (SAMPLED, SAMPLED), mode="bilinear")
    low, high = copy.aminmax()
    if high - low < 1e-6:
        return grey
    share = (grey - low) / (high - low)
    if denoise:
        share = share / 0.9
    return share.clamp(0, 1) ** 2


def clean_picture(picture: Picture, how: CleanLines) -> Picture:
    """`clean_lines` for a picture as it was read, which comes out grey; bytes are cut off, as on the server."""
    grey = with_channels(picture, 1)
    if isinstance(grey, Tensor):
        return clean_lines(grey, how == "denoise")
    levels = torch.frombuffer(bytearray(grey.tobytes()), dtype=torch.uint8).view(1, grey.height, grey.width)
    cleaned = (clean_lines(levels / 255, how == "denoise") * 255 + 1e-3).to(torch.uint8)  # paper is 255, not 254.9999
    return Image.fromarray(cleaned[0].numpy())
