"""Pictures of attention maps, as the U-GAT-IT code draws them."""

import torch
import torch.nn.functional as F
from torch import Tensor


def jet(levels: Tensor) -> Tensor:
    """Colours of OpenCV's JET table, blue to red: ``(N, 1, H, W)`` → ``(N, 3, H, W)``, both from 0 to 255.

    Examples:
        >>> jet(torch.tensor([0.0, 128.0, 255.0]).view(3, 1, 1, 1)).view(3, 3)
        tensor([[  0.,   0., 128.],
                [130., 255., 126.],
                [128.,   0.,   0.]])
    """
    peaks = 255 * torch.tensor([3.0, 2.0, 1.0], device=levels.device).view(3, 1, 1)
    return (383 - (4 * levels - peaks).abs()).clamp(0, 255)


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
    return jet(levels) / 127.5 - 1
