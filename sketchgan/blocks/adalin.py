"""Adaptive layer-instance normalisation (Kim et al., ICLR 2020, arXiv 1907.10830, equation 1) and its relatives."""

from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd import Function
from torch.autograd.function import FunctionCtx


class _ChannelStatistics(Function):
    """Mean and biased variance of every channel: ``(N, C, H, W)`` → two of ``(N, C)``, in float32 at least.

    By the kernel of group norm, whose normalised map is thrown away: on CPUs it is several times faster than
    ``torch.var_mean`` all the same. Differentiating keeps the input alone.
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> tuple[Tensor, Tensor]:
        n, c, h, w = x.shape
        exact = x.to(torch.promote_types(x.dtype, torch.float32)).contiguous()
        _, mean, rstd = torch.native_group_norm(exact, None, None, n, c, h * w, c, _TINY)
        ctx.save_for_backward(x, mean)
        return mean, rstd.pow(-2) - _TINY

    @staticmethod
    def backward(ctx: FunctionCtx, *grads: Tensor) -> Tensor:
        x, mean = ctx.saved_tensors  # type: ignore[attr-defined]
        of_mean, of_var = (grad / x[0, 0].numel() for grad in grads)
        slope = 2 * of_var
        return (x * _map(slope)).add_(_map(of_mean - slope * mean)).to(x.dtype)


_TINY = 1e-5  # keeps the kernel's square root away from zero; taken off again


def _map(vector: Tensor) -> Tensor:
    return vector[..., None, None]


def layer_instance_norm(
    x: Tensor, rho: Tensor, gamma: Tensor, beta: Tensor, eps: float = 1e-5, unbiased: bool = True
) -> Tensor:
    """Mix instance norm (``rho`` = 1) and layer norm (``rho`` = 0) per channel, then scale and shift.

    Both norms are linear in the map, so the mix is one multiply-add; the layer's statistics follow from the channels',
    so one reduction serves both, and differentiating keeps no map but the input. Statistics are taken in float32, also
    of half-precision maps.

    Args:
        x: ``(N, C, H, W)``.
        rho: share of the instance norm, broadcastable to ``(N, C)``; usually in [0, 1], which is not enforced.
        gamma: scale, broadcastable to ``(N, C)``.
        beta: shift, likewise.
        eps: added to variances.
        unbiased: divide variances by the number of values less one, as the official PyTorch code does; the TensorFlow
            code does not.

    Returns:
        ``(N, C, H, W)`` in the type of ``x``.

    Raises:
        ValueError: for maps of one pixel, which have no unbiased variance.

    Examples:
        >>> x = torch.tensor([[[[0.0, 2.0]], [[4.0, 6.0]]]])
        >>> one, zero = torch.ones(2), torch.zeros(2)
        >>> layer_instance_norm(x, one, one, zero, unbiased=False).flatten()
        tensor([-1.0000,  1.0000, -1.0000,  1.0000])
    """
    pixels, channels = x[0, 0].numel(), x.shape[1]
    if unbiased and pixels < 2:
        raise ValueError("a map of 1x1 pixels has no unbiased variance; use larger images")
    mean, var = _ChannelStatistics.apply(x)
    layer_mean = mean.mean(1, keepdim=True)
    layer_var = (var + (mean - layer_mean).square()).mean(1, keepdim=True)
    if unbiased:
        var = var * (pixels / (pixels - 1))
        layer_var = layer_var * (channels * pixels / (channels * pixels - 1))
    instance, layer = (var + eps).rsqrt(), (1 - rho) * (layer_var + eps).rsqrt()
    scale = gamma * (rho * instance + layer)
    shift = beta + gamma * layer * (mean - layer_mean) - scale * mean
    return (x * _map(scale)).add_(_map(shift)).to(x.dtype)


class AdaLIN(nn.Module):
    """Mix of instance and layer norm whose scale and shift are given with each map.

    Args:
        channels: C of the input.
        rho: where the learned share of instance norm begins (0.9 in the official PyTorch code, 1 in TensorFlow's).
        learn_rho: False keeps it there: 1 makes this AdaIN (Huang and Belongie, 2017, arXiv 1703.06868).
        unbiased: see `layer_instance_norm`.
        smoothing: taken off ``rho`` and the result clipped to [0, 1] in every pass; 0.1 in the TensorFlow code.

    Shapes: ``(N, C, H, W)``, ``gamma`` and ``beta`` ``(N, C)`` → ``(N, C, H, W)``.
    """

    rho: Tensor

    def __init__(
        self,
        channels: int,
        rho: float = 0.9,
        learn_rho: bool = True,
        unbiased: bool = True,
        smoothing: float = 0.0,
    ) -> None:
        super().__init__()
        self.unbiased = unbiased
        self.smoothing = smoothing
        if learn_rho:
            self.rho = nn.Parameter(torch.full((1, channels, 1, 1), rho))
        else:
            self.register_buffer("rho", torch.full((1, channels, 1, 1), rho), persistent=False)

    def forward(self, x: Tensor, gamma: Tensor, beta: Tensor) -> Tensor:
        rho = self.rho.flatten(1)
        if self.smoothing:
            rho = (rho - self.smoothing).clamp(0, 1)
        return layer_instance_norm(x, rho, gamma, beta, unbiased=self.unbiased)


class ILN(AdaLIN):
    """The same mix with a scale and a shift of its own (called LIN elsewhere), for the up-sampling layers.

    Args:
        channels: C of the input.
        rho: where the learned share of instance norm begins.
        learn_rho: False keeps it there: 1 makes this instance norm, 0 layer norm.
        unbiased: see `layer_instance_norm`.

    Shapes: ``(N, C, H, W)`` → the same.
    """

    def __init__(
        self,
        channels: int,
        rho: float = 0.0,
        learn_rho: bool = True,
        unbiased: bool = True,
    ) -> None:
        super().__init__(channels, rho, learn_rho, unbiased)
        self.gamma = nn.Parameter(torch.ones(1, channels, 1, 1))
        self.beta = nn.Parameter(torch.zeros(1, channels, 1, 1))

    def forward(self, x: Tensor) -> Tensor:  # type: ignore[override]
        return super().forward(x, self.gamma.flatten(1), self.beta.flatten(1))


class SoftAdaLIN(nn.Module):
    """AdaLIN whose scale and shift move from a style vector towards a content vector, as far as is learned.

    From photo2cartoon (Minivision AI, 2020). The content's share begins at 0.

    Args:
        channels: C of the input, and the width of both vectors.

    Shapes: ``(N, C, H, W)``, content ``(N, C)``, style ``(N, C)`` → ``(N, C, H, W)``.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.norm = AdaLIN(channels)
        self.w_gamma = nn.Parameter(torch.zeros(1, channels))
        self.w_beta = nn.Parameter(torch.zeros(1, channels))
        self.content_gamma = _mlp(channels)
        self.content_beta = _mlp(channels)
        self.style_gamma = nn.Linear(channels, channels)
        self.style_beta = nn.Linear(channels, channels)

    def forward(self, x: Tensor, content: Tensor, style: Tensor) -> Tensor:
        gamma = (1 - self.w_gamma) * self.style_gamma(style) + self.w_gamma * self.content_gamma(content)
        beta = (1 - self.w_beta) * self.style_beta(style) + self.w_beta * self.content_beta(content)
        return self.norm(x, gamma, beta)


def _mlp(channels: int) -> nn.Sequential:
    return nn.Sequential(nn.Linear(channels, channels), nn.ReLU(), nn.Linear(channels, channels))
