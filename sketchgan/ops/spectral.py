"""Spectral norm whose vectors move only when the training step says so."""

from torch import nn


def advance_spectral_norm(network: nn.Module) -> None:
    """Store one step of the power iteration in every spectral norm of a network that has ``update="manual"``.

    Args:
        network: with the layers, wherever they are; others are left alone.
    """
    for module in network.modules():
        if getattr(module, "update", None) == "manual":
            module.advance()  # type: ignore[operator]
