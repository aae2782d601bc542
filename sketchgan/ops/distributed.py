"""What processes that train together must agree on."""

from collections.abc import Callable
from typing import Any, TypeVar

import torch
import torch.distributed as dist
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

T = TypeVar("T")


def average_batch_norm(module: nn.Module, device: torch.device) -> None:
    """Make the running statistics of all batch norms the mean over processes, in place.

    Every process sees other samples, so its statistics drift from the others'; DistributedDataParallel sends only
    gradients. Without this, processes validate with different networks, and only the first one's is saved.

    Args:
        module: with the batch norms, wherever they are.
        device: where processes can exchange tensors.
    """
    for norm in module.modules():
        if isinstance(norm, _BatchNorm) and norm.running_mean is not None and norm.running_var is not None:
            for statistic in (norm.running_mean, norm.running_var):
                mean = statistic.to(device, copy=True)
                dist.all_reduce(mean)
                statistic.copy_(mean / dist.get_world_size())


def in_step(work: Callable[[], T], world: tuple[int, int]) -> list[T]:
    """Do something in every process, and raise in all of them if it fails in one.

    Args:
        work: what to do; it returns plain values.
        world: number of processes, and which of them this is.

    Returns:
        What the work returned in each process.

    Raises:
        RuntimeError: if it failed in another process; in this one, its own error.
    """
    if world[0] == 1:
        return [work()]
    error, mine = None, None
    try:
        mine = work()
    except Exception as caught:  # the others must hear of it, whatever it is
        error = caught
    every: list[Any] = [None] * world[0]
    said = "" if error is None else f"{type(error).__name__}: {error}"
    dist.all_gather_object(every, (said, mine))
    if error is not None:
        raise error
    for rank, (problem, _) in enumerate(every):
        if problem:
            raise RuntimeError(f"process {rank} failed: {problem}")
    return [made for _, made in every]
