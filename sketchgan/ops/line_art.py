"""Line drawings made ready for being shrunk."""

import torch.nn.functional as F
from torch import Tensor


def blur_lines(lines: Tensor, kernel: int, white: float = 1.0) -> Tensor:
    """Lines with their own shadow, ``lines + box blur - white``: thin ones stay visible when they are shrunk.

    PaintsChainer offers it for the draft, on the drawing at the refined picture's size.

    Args:
        lines: ``(N, C, H, W)``, dark on white.
        kernel: side of the blur in pixels; 0 or 1 for none.
        white: what white paper is, 1 in [-1, 1] and 255 in levels.

    Returns:
        The same shape; the darkest lines come out darker than black.

    Raises:
        ValueError: if a side is not more than half of ``kernel``.

    Examples:
        >>> import torch
        >>> blur_lines(torch.tensor([1.0, 1.0, -0.8, 1.0, 1.0]).expand(1, 1, 3, 5), 3)[0, 0, 0]
        tensor([ 1.0000,  0.4000, -1.4000,  0.4000,  1.0000])
    """
    if kernel <= 1:
        return lines
    if kernel // 2 >= min(lines.shape[-2:]):
        height, width = lines.shape[-2:]
        raise ValueError(f"a blur of {kernel} pixels is too wide for lines of {height}x{width}; use a smaller one")
    before, after = kernel // 2, (kernel - 1) // 2
    padded = F.pad(lines, (before, after, before, after), mode="reflect")
    return lines + F.avg_pool2d(padded, kernel, stride=1) - white
