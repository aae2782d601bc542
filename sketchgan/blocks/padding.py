"""Paddings of the residual generators."""

from typing import Literal

import torch
from torch import Tensor, nn

Padding = Literal["reflect", "replicate", "zero"]


def _reflected(size: int, before: int, after: int, device: torch.device) -> Tensor:
    """Source index of every position along one side of a reflection-padded image."""
    index = torch.arange(-before, size + after, device=device).abs()
    return (size - 1) - ((size - 1) - index).abs()


class ReflectionPad2d(nn.ReflectionPad2d):
    """Reflection padding that also runs under ``torch.use_deterministic_algorithms``.

    The CUDA backward of torch's own has no deterministic version; two ``index_select`` have, and give the same values.

    Shapes: ``(N, C, H, W)`` → ``(N, C, H + top + bottom, W + left + right)``.
    """

    def forward(self, input: Tensor) -> Tensor:
        if not (input.is_cuda and torch.are_deterministic_algorithms_enabled()):
            return super().forward(input)
        left, right, top, bottom = self.padding
        rows = _reflected(input.shape[-2], top, bottom, input.device)
        columns = _reflected(input.shape[-1], left, right, input.device)
        return input.index_select(-2, rows).index_select(-1, columns)


def pad_layer(padding: Padding, width: int) -> nn.Module:
    """Build a padding of ``width`` pixels on every side.

    Raises:
        ValueError: if ``padding`` is not "reflect", "replicate" or "zero".
    """
    if padding == "reflect":
        return ReflectionPad2d(width)
    if padding == "replicate":
        return nn.ReplicationPad2d(width)
    if padding == "zero":
        return nn.ZeroPad2d(width)
    raise ValueError(f'padding must be "reflect", "replicate" or "zero", got {padding!r}')
