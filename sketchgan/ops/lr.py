"""Learning-rate curves of the official code, as factors: by epochs or by iterations.

Every curve takes the number of finished epochs, or iterations, ``k`` (0 during the first). The off-by-ones are the
official ones and part of the published numbers.
"""

import math
from functools import partial
from typing import Literal, get_args

from torch.optim import Optimizer
from torch.optim.lr_scheduler import LambdaLR, LRScheduler, ReduceLROnPlateau

LRPolicy = Literal["linear", "step", "cosine", "halving", "plateau", "constant"]


def linear_decay(k: int, n_epochs: int = 100, n_epochs_decay: int = 100, epoch_count: int = 1) -> float:
    """Constant for ``n_epochs``, then straight towards zero, which the last of ``n_epochs_decay`` just misses.

    Args:
        k: finished epochs of this run.
        n_epochs: epochs at the full rate.
        n_epochs_decay: epochs of decay.
        epoch_count: number of the run's first epoch, counted from 1.

    Examples:
        >>> [round(linear_decay(k, n_epochs=2, n_epochs_decay=3), 2) for k in range(5)]
        [1.0, 1.0, 0.75, 0.5, 0.25]
    """
    # Beyond the plan the official rule turns negative, which would undo the training.
    return max(0.0, 1.0 - max(0, k + epoch_count - n_epochs) / (n_epochs_decay + 1))


def step_decay(k: int, step_size: int = 50, gamma: float = 0.1) -> float:
    """Multiply by ``gamma`` every ``step_size`` epochs."""
    return gamma ** (k // step_size)


def cosine_decay(k: int, n_epochs: int = 100) -> float:
    """Half a cosine down to zero at epoch ``n_epochs``; it rises again beyond, so plan no epochs of decay with it."""
    return (1.0 + math.cos(math.pi * k / n_epochs)) / 2.0


def halving(k: int, n_epochs: int = 100) -> float:
    """Half the rate from epoch ``n_epochs`` on (AODA, arXiv 2104.05703, supplement A.4)."""
    return 1.0 if k < n_epochs else 0.5


def lr_scheduler(
    optimizer: Optimizer,
    policy: LRPolicy = "linear",
    n_epochs: int = 100,
    n_epochs_decay: int = 100,
    step_size: int = 50,
) -> LRScheduler:
    """Build the scheduler of a named policy, to be stepped once per epoch.

    "plateau" is torch's ``ReduceLROnPlateau`` with the official settings and wants a score at each step, lower being
    better.

    Raises:
        ValueError: if ``policy`` is unknown.
    """
    if policy == "linear":
        return LambdaLR(optimizer, partial(linear_decay, n_epochs=n_epochs, n_epochs_decay=n_epochs_decay))
    if policy == "step":
        return LambdaLR(optimizer, partial(step_decay, step_size=step_size))
    if policy == "cosine":
        return LambdaLR(optimizer, partial(cosine_decay, n_epochs=n_epochs))
    if policy == "halving":
        return LambdaLR(optimizer, partial(halving, n_epochs=n_epochs))
    if policy == "constant":
        return LambdaLR(optimizer, _one)
    if policy == "plateau":
        return ReduceLROnPlateau(optimizer, mode="min", factor=0.2, threshold=0.01, patience=5)
    raise ValueError(f"lr_policy must be one of {', '.join(get_args(LRPolicy))}, got {policy!r}")


def _one(k: int) -> float:
    return 1.0


def linear_decay_by_iteration(k: int, n_iterations: int = 500_000, n_iterations_decay: int = 500_000) -> float:
    """Constant for ``n_iterations``, then straight to zero, which the last iteration reaches (U-GAT-IT).

    Args:
        k: finished iterations.
        n_iterations: iterations at the full rate.
        n_iterations_decay: iterations of decay; 0 for none.

    Examples:
        >>> [linear_decay_by_iteration(k, n_iterations=2, n_iterations_decay=2) for k in range(5)]
        [1.0, 1.0, 0.5, 0.0, 0.0]
    """
    return max(0.0, 1.0 - max(0, k + 1 - n_iterations) / n_iterations_decay) if n_iterations_decay else 1.0


def lr_by_iteration(optimizer: Optimizer, n_iterations: int = 500_000, n_iterations_decay: int = 500_000) -> LambdaLR:
    """The scheduler of `linear_decay_by_iteration`, to be stepped once per batch.

    Raises:
        ValueError: if a number is negative.
    """
    if min(n_iterations, n_iterations_decay) < 0:
        raise ValueError(f"iterations must not be negative, got {n_iterations} and {n_iterations_decay}")
    curve = partial(linear_decay_by_iteration, n_iterations=n_iterations, n_iterations_decay=n_iterations_decay)
    return LambdaLR(optimizer, curve)


def floored_decay_by_iteration(k: int, n_iterations: int = 300_000, decay: float = 0.9, floor: float = 0.2) -> float:
    """Straight down from 1 by ``decay`` in ``n_iterations``, but never below ``floor`` (SketchyGAN).

    Args:
        k: finished iterations.
        n_iterations: length of the training.
        decay: what is lost by its end.
        floor: least factor.

    Examples:
        >>> [round(floored_decay_by_iteration(k, n_iterations=10), 2) for k in (0, 5, 9, 10)]
        [1.0, 0.55, 0.2, 0.2]
    """
    return max(floor, 1.0 - decay * k / n_iterations)


def floored_lr_by_iteration(
    optimizer: Optimizer, n_iterations: int = 300_000, decay: float = 0.9, floor: float = 0.2
) -> LambdaLR:
    """The scheduler of `floored_decay_by_iteration`, to be stepped once per batch.

    Raises:
        ValueError: if ``n_iterations`` is not positive.
    """
    if n_iterations < 1:
        raise ValueError(f"n_iterations must be at least 1, got {n_iterations}")
    return LambdaLR(optimizer, partial(floored_decay_by_iteration, n_iterations=n_iterations, decay=decay, floor=floor))
