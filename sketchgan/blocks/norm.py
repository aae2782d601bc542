"""The choice of normalisation in the pix2pix and CycleGAN networks (arXiv 1611.07004, 1703.10593)."""

import math
from typing import Literal

from torch import nn

Norm = Literal["batch", "instance", "affine_instance", "group", "none"]


def norm_layer(norm: Norm, channels: int) -> nn.Module:
    """Build the normalisation that follows a convolution.

    As in the official code, batch norm is affine with running statistics, instance norm is neither, and "none" keeps
    its place as an identity. A convolution before it has a bias only for "instance" (where it is inert).
    "affine_instance" is that of U-GAT-IT's TensorFlow code; "group" (arXiv 1803.08494) has 32 groups, or as many as
    divide both 32 and the channels.

    Args:
        norm: "batch", "instance", "affine_instance", "group" or "none".
        channels: C of the input ``(N, C, H, W)``.

    Raises:
        ValueError: if ``norm`` is none of these names.

    Examples:
        >>> norm_layer("batch", 8).affine, norm_layer("instance", 8).affine
        (True, False)
    """
    if norm == "batch":
        return nn.BatchNorm2d(channels)
    if norm == "instance":
        return nn.InstanceNorm2d(channels)
    if norm == "affine_instance":
        return nn.InstanceNorm2d(channels, affine=True)
    if norm == "group":
        return nn.GroupNorm(math.gcd(32, channels), channels)
    if norm == "none":
        return nn.Identity()
    raise ValueError(f'norm must be "batch", "instance", "affine_instance", "group" or "none", got {norm!r}')
