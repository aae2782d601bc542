"""A warning when a generator has one answer for everything."""

from typing import Any

import torch
import torch.nn.functional as F
from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.utilities import rank_zero_warn
from torch import Tensor


class CollapseAlarm(Callback):
    """Warn after a validation whose translations are nearly all the same (mode collapse).

    Pictures are averaged down to 8x8; their standard deviation over the set is compared with that of real ones.

    Args:
        threshold: smallest ratio of the two that is no collapse.
        count: pictures to compare, the first of the validation set.

    Raises:
        ValueError: for a threshold outside (0, 1), or fewer than two pictures.
    """

    def __init__(self, threshold: float = 0.1, count: int = 64) -> None:
        if not 0 < threshold < 1:
            raise ValueError(f"threshold must be between 0 and 1, got {threshold}")
        if count < 2:
            raise ValueError(f"count must be at least 2, got {count}")
        self.threshold = threshold
        self.count = count
        self._small: dict[str, list[Tensor]] = {}

    def on_validation_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._small = {}

    def on_validation_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        if trainer.sanity_checking:
            return
        for name in ("fake_B", "real_B", "fake_A", "real_A"):
            if name in outputs:
                kept = self._small.setdefault(name, [])
                kept.extend(F.adaptive_avg_pool2d(outputs[name][: self.count - len(kept)].float(), 8))

    def on_validation_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        for domain in ("B", "A"):
            made, real = self._small.get(f"fake_{domain}", []), self._small.get(f"real_{domain}", [])
            if min(len(made), len(real)) < 2:
                continue
            spread, expected = (torch.stack(pictures).std(0).mean().item() for pictures in (made, real))
            if spread < self.threshold * expected:
                rank_zero_warn(
                    f"mode collapse? At epoch {trainer.current_epoch} the translations to {domain} are nearly all the "
                    f"same: they spread by {spread:.3g}, real pictures by {expected:.3g}. Look at the samples; an "
                    "earlier checkpoint, a lower learning rate or a stronger reconstruction term may help"
                )
