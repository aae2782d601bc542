"""Ctrl-C and SIGTERM without losing work."""

import signal
import threading
from pathlib import Path
from types import FrameType
from typing import Any

from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.utilities import rank_zero_info


class GracefulStop(Callback):
    """On Ctrl-C or SIGTERM, finish the batch (or the validation), save a checkpoint, and stop.

    Between the updates of D and G a GAN is in no state to resume from, so nothing is saved in the middle of a batch.
    A second Ctrl-C stops at once, without saving. Outside the main thread no signals can be caught; there the callback
    does nothing.

    Args:
        filename: of the checkpoint, in the folder of the run's other checkpoints.
    """

    def __init__(self, filename: str = "interrupted.ckpt") -> None:
        self.filename = filename
        self.saved: Path | None = None
        self._received: int | None = None
        self._previous: dict[int, Any] = {}

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._received = None
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGINT, signal.SIGTERM):
                self._previous[number] = signal.signal(number, self._receive)

    def _receive(self, number: int, frame: FrameType | None) -> None:
        if self._received is not None and number == signal.SIGINT:
            raise KeyboardInterrupt
        self._received = number
        rank_zero_info("Stopping after this batch; press Ctrl-C again to stop at once, without saving")

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        if trainer.is_last_batch:  # Lightning resumes from here, but miscounts the epoch after: wait for its end
            return
        # Processes must agree, which costs a synchronisation: not at every batch.
        every = 1 if trainer.world_size == 1 else trainer.log_every_n_steps  # type: ignore[attr-defined]
        if (batch_idx + 1) % every == 0:
            self._stop_if_told(trainer)

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if not trainer.sanity_checking and trainer.state.fn == "fit":
            self._stop_if_told(trainer)

    def _stop_if_told(self, trainer: Trainer) -> None:
        if not trainer.strategy.reduce_boolean_decision(self._received is not None, all=False):
            return
        folder = getattr(trainer.checkpoint_callback, "dirpath", None) or Path(trainer.default_root_dir) / "checkpoints"
        self.saved = Path(folder) / self.filename
        trainer.save_checkpoint(self.saved)
        rank_zero_info(f"Saved {self.saved}; resume with --ckpt_path={self.saved}")
        raise KeyboardInterrupt

    # Before Lightning puts its own handlers back.
    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._restore()

    def on_exception(self, trainer: Trainer, pl_module: LightningModule, exception: BaseException) -> None:
        self._restore()

    def _restore(self) -> None:
        for number, handler in self._previous.items():
            signal.signal(number, handler or signal.SIG_DFL)
        self._previous = {}
