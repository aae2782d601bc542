"""Weight initialisation of the pix2pix family (arXiv 1611.07004, appendix 6.2)."""

from typing import Any, Literal

from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.modules.conv import _ConvNd

Init = Literal["normal", "xavier", "kaiming", "orthogonal"]


def init_weights(network: nn.Module, init: Init = "normal", gain: float = 0.02) -> None:
    """Draw the weights of all convolutions and linear layers anew, zero their biases; batch norm scales ~ N(1, gain).

    Args:
        network: changed in place.
        init: "normal" draws from N(0, gain²), "xavier" and "orthogonal" scale by ``gain``, "kaiming" ignores it.
        gain: standard deviation or gain; 0.02 in the paper.

    Raises:
        ValueError: if ``init`` is none of the four names.

    Examples:
        >>> layer = nn.Linear(400, 400)
        >>> init_weights(layer, gain=0.02)
        >>> round(layer.weight.std().item(), 3), layer.bias.abs().max().item()
        (0.02, 0.0)
    """
    if init not in ("normal", "xavier", "kaiming", "orthogonal"):
        raise ValueError(f'init must be "normal", "xavier", "kaiming" or "orthogonal", got {init!r}')
    for module in network.modules():
        if isinstance(module, _ConvNd | nn.Linear):
            weight: Any = getattr(module, "weight_orig", None)  # under spectral norm
            weight = module.weight if weight is None else weight
            if init == "normal":
                nn.init.normal_(weight, 0.0, gain)
            elif init == "xavier":
                nn.init.xavier_normal_(weight, gain)
            elif init == "kaiming":
                nn.init.kaiming_normal_(weight, a=0, mode="fan_in")
            else:
                nn.init.orthogonal_(weight, gain)
            if module.bias is not None:
                nn.init.zeros_(module.bias)
        elif isinstance(module, _BatchNorm) and module.affine:
            nn.init.normal_(module.weight, 1.0, gain)
            nn.init.zeros_(module.bias)
