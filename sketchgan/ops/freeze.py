"""Keeping a network out of another's update."""

from collections.abc import Iterator
from contextlib import contextmanager

from torch import nn


@contextmanager
def frozen(*networks: nn.Module) -> Iterator[None]:
    """Compute no weight gradients for ``networks`` inside the block; gradients still flow through to their input.

    Only parameters that were trainable are switched back on, also after an exception.

    Examples:
        >>> import torch
        >>> discriminator = nn.Linear(2, 1)
        >>> fake = torch.ones(1, 2, requires_grad=True)
        >>> with frozen(discriminator):
        ...     discriminator(fake).sum().backward()
        >>> discriminator.weight.grad is None, fake.grad is None
        (True, False)
    """
    trainable = [p for network in networks for p in network.parameters() if p.requires_grad]
    for parameter in trainable:
        parameter.requires_grad_(False)
    try:
        yield
    finally:
        for parameter in trainable:
            parameter.requires_grad_(True)
