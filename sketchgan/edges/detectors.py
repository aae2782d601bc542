"""Where edges come from: photos to edge strength."""

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

Detector = Callable[[Tensor], Tensor]
"""Photos ``(N, 3, H, W)``, RGB in [0, 1], to edge strength ``(N, H, W)`` in [0, 1]."""

NAMES = ("hed", "dexined", "canny", "sobel")


def detector(which: str | Detector) -> Detector:
    """A detector by its name.

    Args:
        which: "sobel" or a callable of one's own.

    Raises:
        ValueError: for an unknown name.
    """
    if callable(which):
        return which
    if which == "sobel":
        return sobel
    raise ValueError(f"a detector is {', '.join(NAMES)} or a callable, got {which!r}")


def sobel(photos: Tensor) -> Tensor:
    """Gradient of the slightly blurred grey values, of each photo's largest.

    Args:
        photos: float ``(N, 3, H, W)`` in [0, 1].

    Returns:
        float ``(N, H, W)`` in [0, 1]; 0 everywhere in a photo of one colour.
    """
    weights = torch.tensor([0.299, 0.587, 0.114], device=photos.device, dtype=photos.dtype)
    grey = F.pad((photos * weights.view(1, 3, 1, 1)).sum(1, keepdim=True), (2, 2, 2, 2), mode="replicate")
    # Binomial filters along each axis: Sobel's 1 2 1 and -1 0 1, each blurred by another 1 2 1.
    blur = torch.tensor([1.0, 4.0, 6.0, 4.0, 1.0], device=photos.device, dtype=photos.dtype) / 16
    slope = torch.tensor([-1.0, -2.0, 0.0, 2.0, 1.0], device=photos.device, dtype=photos.dtype) / 8
    across = F.conv2d(F.conv2d(grey, blur.view(1, 1, 5, 1)), slope.view(1, 1, 1, 5))
    down = F.conv2d(F.conv2d(grey, slope.view(1, 1, 5, 1)), blur.view(1, 1, 1, 5))
    strength = torch.hypot(across, down)[:, 0]
    largest = strength.amax((1, 2), keepdim=True)
    return strength / largest.where(largest > 1e-6, 1.0).clamp(min=1e-6) * (largest > 1e-6)
