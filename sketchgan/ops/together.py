"""One pass of a network over several batches."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn


def together(network: nn.Module, *batches: Tensor | tuple[Tensor, ...]) -> list[Any]:
    """What a network makes of several batches, in one pass where that is the same as a pass for each.

    It is for a network that says ``per_sample = True`` (no sample depends on those beside it), and for one that says
    ``joins_passes = True`` (it takes ``passes=`` and tells them apart, as spectral norm must); other networks, and
    batches of different shapes, get a pass each.

    Args:
        network: returns a tensor, or a named tuple of tensors and None, with the batch in front.
        *batches: inputs ``(N, …)``, or tuples of them for a network that takes several.

    Returns:
        One output per batch.

    Examples:
        >>> network = nn.Conv2d(1, 1, kernel_size=1)
        >>> network.per_sample = True
        >>> first, second = together(network, torch.zeros(2, 1, 4, 4), torch.ones(2, 1, 4, 4))
        >>> first.shape
        torch.Size([2, 1, 4, 4])
    """
    passes = bool(getattr(network, "joins_passes", False))
    inputs = [(batch,) if isinstance(batch, Tensor) else batch for batch in batches]
    shapes = {tuple(tensor.shape for tensor in tensors) for tensors in inputs}
    if len(shapes) > 1 or not (passes or getattr(network, "per_sample", False)):
        return [network(*tensors) for tensors in inputs]
    options = {"passes": len(batches)} if passes else {}
    joined = [torch.cat(tensors) for tensors in zip(*inputs, strict=True)]
    return list(_split(network(*joined, **options), len(batches)))


def _split(out: Any, parts: int) -> Sequence[Any]:
    if out is None:
        return [None] * parts
    if isinstance(out, Tensor):
        return out.chunk(parts)
    return [type(out)(*fields) for fields in zip(*(_split(field, parts) for field in out), strict=True)]
