"""Keeping learned shares inside their limits."""

from collections.abc import Mapping

import torch
from torch import Tensor, nn


@torch.no_grad()
def clamp_parameters(network: nn.Module, limits: Mapping[str, float]) -> None:
    """Clamp all parameters of some names to [0, limit], in place.

    Args:
        network: anything.
        limits: largest value by the last part of a parameter's name, such as ``{"rho": 1.0}``.

    Examples:
        >>> network = nn.Module()
        >>> network.rho = nn.Parameter(torch.tensor([-0.5, 0.5, 1.5]))
        >>> clamp_parameters(network, {"rho": 1.0})
        >>> network.rho.tolist()
        [0.0, 0.5, 1.0]
    """
    for name, limit in limits.items():
        found: list[Tensor] = [p for key, p in network.named_parameters() if key.rpartition(".")[2] == name]
        if found:
            torch._foreach_clamp_min_(found, 0.0)
            torch._foreach_clamp_max_(found, limit)
