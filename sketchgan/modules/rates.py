"""Stepping learning-rate schedulers, which Lightning does not do in manual optimization."""

import warnings
from collections.abc import Iterable
from typing import Any

from lightning.pytorch import Trainer
from torch import Tensor
from torch.optim.lr_scheduler import ReduceLROnPlateau


def catch_up(trainer: Trainer, finished: int, by_iteration: bool) -> None:
    """Step the schedulers as often as epochs (or iterations) are finished.

    Raises:
        ValueError: for a scheduler that counts backwards, from a damaged checkpoint.
    """
    for scheduler in _schedulers(trainer):
        if isinstance(scheduler, ReduceLROnPlateau):
            continue
        if scheduler.last_epoch < 0:
            raise ValueError(f"the checkpoint is damaged: a scheduler at {scheduler.last_epoch}")
        if scheduler.last_epoch == finished - 1 and by_iteration:
            scheduler.step()
            continue
        with warnings.catch_warnings():  # not at every batch: it makes other warnings forget that they were shown
            warnings.filterwarnings("ignore", "Detected call of `lr_scheduler.step")  # after a resume that is meant
            while scheduler.last_epoch < finished:
                scheduler.step()


def step_plateaus(trainer: Trainer, monitor: str) -> None:
    """Show a logged value to the schedulers that watch one.

    Raises:
        ValueError: if it was not logged.
    """
    for scheduler in _schedulers(trainer):
        if isinstance(scheduler, ReduceLROnPlateau):
            scheduler.step(_logged(trainer, monitor))


def _schedulers(trainer: Trainer) -> Iterable[Any]:
    return [config.scheduler for config in trainer.lr_scheduler_configs]


def _logged(trainer: Trainer, monitor: str) -> Tensor:
    logged = trainer.callback_metrics
    if monitor not in logged:
        raise ValueError(
            f"lr_policy='plateau' watches lr_monitor={monitor!r}, which was not logged; "
            f"there are {', '.join(sorted(logged)) or 'no logged values'} (the ImageMetrics callback logs more)"
        )
    return logged[monitor]
