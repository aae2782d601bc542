"""What processes that train together must agree on."""

import torch
import torch.distributed as dist
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm


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
