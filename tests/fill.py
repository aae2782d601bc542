"""Weights from a formula, for reference runs whose weights are too large to store.

A tensor's values follow from its full name in the official code alone; they have the spread of usual initial weights.
"""

import math
import zlib
from collections.abc import Mapping, Sequence
from typing import Any, Literal

import torch
from torch import Tensor, nn

Kind = Literal["weight", "transposed", "bias", "embedding", "scale", "shift", "mean", "variance", "input"]


def uniform(key: str, count: int) -> Tensor:
    """float64 numbers in [0, 1) that a name stands for."""
    x = torch.arange(count, dtype=torch.int64).mul_(1103515245).add_(zlib.crc32(key.encode()) & (2**31 - 1))
    x.bitwise_and_(2**31 - 1)
    x.bitwise_xor_(x >> 15)
    x.mul_(1597334677).bitwise_and_(2**31 - 1)
    x.bitwise_xor_(x >> 13)
    return x.double().div_(2**31)


def filled(key: str, shape: Sequence[int], kind: Kind, stride: int = 1) -> Tensor:
    """float32 values of the tensor that the official code knows as ``key``, network's prefix included.

    Args:
        key: such as ``G_A.model.1.weight``, or ``in.photo`` of an input.
        shape: of the tensor; of a "weight" ``(out, in, ...)``, of a "transposed" one ``(in, out, height, width)``.
        kind: "weight" of a convolution or linear layer, "transposed" convolution's weight, "bias" of any of them,
            "embedding", of a batch norm "scale", "shift", "mean" and "variance", or "input" in [-1, 1].
        stride: of a transposed convolution, in both directions.
    """
    u = uniform(key, math.prod(shape)).reshape(*shape)
    signed = 2 * u - 1
    if kind in ("weight", "transposed"):
        fan_in = math.prod(shape[1:]) if kind == "weight" else shape[0] * math.prod(shape[2:]) / stride**2
        values = signed * math.sqrt(4.5 / fan_in)
    elif kind == "scale":
        values = 0.5 + u
    elif kind == "variance":
        values = 1 + 2 * u
    else:
        values = signed * {"bias": 0.2, "embedding": 3, "shift": 0.3, "mean": 0.3, "input": 1}[kind]
    return values.float()


@torch.no_grad()
def fill(network: nn.Module, prefix: str, keys: Mapping[str, str] | None = None) -> None:
    """Fill a network's layers in place; other buffers keep their values.

    Args:
        network: ours.
        prefix: of the official network, without the dot.
        keys: layers by name, official → ours; by default they are the same.
    """
    official = {name: name for name, _ in network.named_modules()} if keys is None else {b: a for a, b in keys.items()}
    for name, layer in network.named_modules():
        kinds: dict[str, Any]
        if isinstance(layer, nn.ConvTranspose2d):
            kinds = {"weight": "transposed", "bias": "bias"}
        elif isinstance(layer, nn.Conv2d | nn.Linear):
            kinds = {"weight": "weight", "bias": "bias"}
        elif isinstance(layer, nn.Embedding):
            kinds = {"weight": "embedding"}
        elif isinstance(layer, nn.BatchNorm2d):
            kinds = {"weight": "scale", "bias": "shift", "running_mean": "mean", "running_var": "variance"}
            layer.num_batches_tracked.zero_()
        else:
            assert not list(layer.parameters(recurse=False)), f"{name}: the formula has no {type(layer).__name__}"
            continue
        for entry, kind in kinds.items():
            tensor = getattr(layer, entry)
            if tensor is not None:
                stride = layer.stride[0] if kind == "transposed" else 1
                tensor.copy_(filled(f"{prefix}.{official[name]}.{entry}", tensor.shape, kind, stride))
