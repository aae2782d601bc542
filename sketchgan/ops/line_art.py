"""What PaintsChainer's programs do with line drawings before its two networks."""

import torch.nn.functional as F
from torch import Tensor

Size = tuple[int, int]


def draft_sizes(height: int, width: int, short: int = 128) -> tuple[Size, Size]:
    """At which sizes PaintsChainer drafts and refines a drawing.

    The draft's long side is rounded down to a multiple of 16, that of the refined picture, four times as large, to the
    nearest one; so the two grids may differ.

    Args:
        height: of the drawing, in pixels.
        width: of the drawing, in pixels.
        short: short side of the draft; a multiple of 16 for PaintsChainer's networks.

    Returns:
        Height and width of the draft, and of the refined picture.

    Examples:
        >>> draft_sizes(90, 126, short=32)
        ((32, 32), (128, 176))
    """
    low, high = sorted((height, width))
    small = short, max(int(high * (short / low)) // 16 * 16, 16)
    large = 4 * short, (int(high * (4 * short / low)) + 8) // 16 * 16
    return (small, large) if height <= width else (small[::-1], large[::-1])


def blur_lines(lines: Tensor, kernel: int, white: float = 1.0) -> Tensor:
    """Lines with their own shadow, ``lines + box blur - white``: thin ones stay visible when they are shrunk.

    PaintsChainer offers it for the draft, on the drawing at the refined picture's size.

    Args:
        lines: ``(N, C, H, W)``, dark on white.
        kernel: side of the blur in pixels; 0 or 1 for none.
        white: what white paper is, 1 in [-1, 1] and 255 in levels.

    Returns:
        The same shape; the darkest lines come out darker than black.

    Examples:
        >>> import torch
        >>> blur_lines(torch.tensor([1.0, 1.0, -0.8, 1.0, 1.0]).expand(1, 1, 3, 5), 3)[0, 0, 0]
        tensor([ 1.0000,  0.4000, -1.4000,  0.4000,  1.0000])
    """
    if kernel <= 1:
        return lines
    before, after = kernel // 2, (kernel - 1) // 2
    padded = F.pad(lines, (before, after, before, after), mode="reflect")
    return lines + F.avg_pool2d(padded, kernel, stride=1) - white
