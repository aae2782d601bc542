"""A warning when a generator does not look at the style or the hints that it is given."""

from typing import Any

from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.utilities import rank_zero_warn


class HintAlarm(Callback):
    """Warn when another style, or no colour hints, has changed the pictures by next to nothing in several validations.

    Compares the mean |fake_B - other_B|, what the hint changes, with the mean |fake_B - real_B|, what is left to learn.
    A network that ignores its hint paints the same average tints whatever it is shown. Modules that colour no sketch
    twice are left alone.

    Args:
        threshold: smallest ratio of the two with which hints count as used.
        patience: validations in a row below it, at which the warning comes; it comes once. Hints are learned later than
            lines, so the first validations say little.

    Raises:
        ValueError: for a threshold outside (0, 1), or a patience below 1.
    """

    def __init__(self, threshold: float = 0.02, patience: int = 5) -> None:
        if not 0 < threshold < 1:
            raise ValueError(f"threshold must be between 0 and 1, got {threshold}")
        if patience < 1:
            raise ValueError(f"patience must be at least 1, got {patience}")
        self.threshold = threshold
        self.patience = patience
        self._below = 0
        self._changed = self._error = 0.0

    def on_validation_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._changed = self._error = 0.0

    def on_validation_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        if not trainer.sanity_checking and {"fake_B", "other_B", "real_B"} <= outputs.keys():
            fake = outputs["fake_B"].float()
            self._changed += (fake - outputs["other_B"]).abs().sum().item()
            self._error += (fake - outputs["real_B"]).abs().sum().item()

    def on_validation_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if not self._error:
            return
        ratio = self._changed / self._error
        self._below = self._below + 1 if ratio < self.threshold else 0
        if self._below == self.patience:
            rank_zero_warn(
                f"are the hints ignored? At epoch {trainer.current_epoch}, and in the {self.patience - 1} validations "
                f"before, another hint changes the pictures by {ratio:.2g} of their distance from the true ones. Look "
                "at the samples; styles that differ more, or guide decoders, may help"
            )
