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
    found: dict[str, list[Tensor]] = {name: [] for name in limits}
    for module in network.modules():  # not by full names, which take four times as long to make
        for name in limits:
            parameter = module._parameters.get(name)
            if parameter is not None:
                found[name].append(parameter)
    for name, parameters in found.items():
        if parameters:
            torch._foreach_clamp_min_(parameters, 0.0)
            torch._foreach_clamp_max_(parameters, limits[name])
