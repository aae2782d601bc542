"""Rewarding pictures that differ where their noises do (SketchyGAN, arXiv 1801.02753)."""

import torch
from torch import Tensor


def diversity_loss(first: Tensor, second: Tensor, noise: Tensor, other_noise: Tensor, relative: bool = True) -> Tensor:
    """Minus the mean absolute difference of two pictures of one sketch, gradients flowing into both.

    Args:
        first: pictures ``(N, C, H, W)``.
        second: pictures of the same sketches for the other noise.
        noise: of the first pictures, ``(N, D)``.
        other_noise: of the second ones.
        relative: divide each sample's difference by the distance of its noises, as the released code does.

    Examples:
        >>> diversity_loss(torch.zeros(1, 3, 2, 2), torch.ones(1, 3, 2, 2), torch.zeros(1, 4), torch.ones(1, 4))
        tensor(-0.5000)
    """
    difference = (first - second).to(torch.promote_types(first.dtype, torch.float32)).abs().flatten(1).mean(1)
    if relative:
        difference = difference / (noise - other_noise).to(difference.dtype).norm(dim=1)
    return -difference.mean()
