"""Cross-entropy that looks at what is not yet known (Lin et al., ICCV 2017, arXiv 1708.02002)."""

import torch
import torch.nn.functional as F
from torch import Tensor


def focal_loss(logits: Tensor, labels: Tensor, gamma: float = 2.0, of_mean: bool = False) -> Tensor:
    """Mean over samples of ``(1 - p)^gamma * -log p``, where p is the probability of the true class.

    In float32 under autocast.

    Args:
        logits: ``(N, n_classes)``.
        labels: int64 ``(N,)``.
        gamma: 0 for plain cross-entropy.
        of_mean: take for p the geometric mean over the samples, as AODA's official code does.

    Examples:
        >>> focal_loss(torch.zeros(1, 2), torch.tensor([0]))
        tensor(0.1733)
    """
    logits = logits.to(torch.promote_types(logits.dtype, torch.float32))
    if not gamma:
        return F.cross_entropy(logits, labels)
    log_p = -F.cross_entropy(logits, labels, reduction="mean" if of_mean else "none")
    # Below gamma = 1 the factor is infinitely steep where p is 1.
    unknown = (-log_p.expm1()).clamp_min(torch.finfo(log_p.dtype).tiny)
    return -(unknown**gamma * log_p).mean()
