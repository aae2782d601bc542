"""Pictures of attention maps, as the U-GAT-IT code draws them."""

import torch
import torch.nn.functional as F
from torch import Tensor


def jet(levels: Tensor) -> Tensor:
    """Colours of the JET scale, from blue through green to red: ``(N, 1, H, W)`` in [0, 1] → ``(N, 3, H, W)``.

    Examples:
        >>> jet(torch.tensor([0.0, 0.5, 1.0]).view(3, 1, 1, 1)).view(3, 3)
        tensor([[0.0000, 0.0000, 0.5000],
                [0.5000, 1.0000, 0.5000],
                [0.5000, 0.0000, 0.0000]])
    """
    peaks = torch.tensor([3.0, 2.0, 1.0], device=levels.device, dtype=levels.dtype).view(3, 1, 1)
    return (1.5 - (4 * levels - peaks).abs()).clamp(0, 1)


@torch.no_grad()
def heatmap_picture(heatmap: Tensor, size: tuple[int, int]) -> Tensor:
    """Draw attention maps in colours, each from its least to its greatest value.

    As the official code does it: to 256 levels, then to ``size``, then to colours. A constant map is all blue.

    Args:
        heatmap: ``(N, 1, h, w)``.
        size: height and width of the pictures.

    Returns:
        ``(N, 3, *size)``, RGB in [-1, 1].
    """
    x = heatmap.float()
    x = x - x.amin((2, 3), keepdim=True)
    levels = (255 * x / x.amax((2, 3), keepdim=True).clamp(min=torch.finfo(x.dtype).tiny)).floor()
    levels = F.interpolate(levels, size, mode="bilinear", align_corners=False).round()
    return (255 * jet(levels / 255) + 0.5).floor() / 127.5 - 1
