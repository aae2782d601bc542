"""Activations of SketchyGAN (Chen and Hays, CVPR 2018, arXiv 1801.02753)."""

from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

Activation = Literal["smooth_relu", "prelu", "relu"]

_WIDTH = 0.3  # (1 - 0.7) in the official code


class _SmoothReLU(torch.autograd.Function):
    """The gradient is y / root, with y that the next layer keeps anyway; torch would keep three maps."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        wide = x.to(torch.promote_types(x.dtype, torch.float32))  # squares of 256 overflow in half precision
        root = (wide * wide).add_(_WIDTH**2).sqrt_()
        y = torch.add(wide, root).mul_(0.5).to(x.dtype)
        ctx.save_for_backward(y, root.to(x.dtype))
        return y

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *grads: Tensor) -> Tensor:
        y, root = ctx.saved_tensors
        return torch.div(y, root).mul_(grads[0])


def smooth_relu(x: Tensor) -> Tensor:
    """``(x + sqrt(x² + 0.09)) / 2``: a ReLU with a rounded corner ("miu_relu" in the official code).

    Examples:
        >>> smooth_relu(torch.tensor([-100.0, 0.0, 100.0]))
        tensor([2.2507e-04, 1.5000e-01, 1.0000e+02])
    """
    return _SmoothReLU.apply(x)


class SmoothReLU(nn.Module):
    """`smooth_relu` as a layer."""

    def forward(self, x: Tensor) -> Tensor:
        return smooth_relu(x)


class ScalarPReLU(nn.Module):
    """``max(slope * x, x)`` with one learned slope.

    It differs from ``nn.PReLU(1)`` where the slope has grown beyond 1: the maximum changes sides.

    Args:
        init: first slope.
    """

    def __init__(self, init: float = 0.2) -> None:
        super().__init__()
        self.slope = nn.Parameter(torch.tensor(init))

    def forward(self, x: Tensor) -> Tensor:
        return torch.maximum(self.slope.to(x.dtype) * x, x)


def activation_layer(activation: Activation) -> nn.Module:
    """Build an activation by its name.

    Raises:
        ValueError: for an unknown name.
    """
    if activation == "smooth_relu":
        return SmoothReLU()
    if activation == "prelu":
        return ScalarPReLU()
    if activation == "relu":
        return nn.ReLU()
    raise ValueError(f'activation must be "smooth_relu", "prelu" or "relu", got {activation!r}')
