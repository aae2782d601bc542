"""Pictures of the progress."""

from pathlib import Path
from typing import Any

from lightning.pytorch import Callback, LightningModule, Trainer
from torch import Tensor

from sketchgan.callbacks.grids import draw_grid, folder_of, publish
from sketchgan.data.transforms import to_uint8


class SampleGrid(Callback):
    """After every validation, save the same held-out samples as a grid: a row per kind of picture, a column per sample.

    Writes ``<log_dir>/samples/epoch=007.png`` (and ``latest.png``), and hands the grid to every logger that takes
    images (TensorBoard, Weights & Biases and others with ``log_image``).

    Args:
        count: how many samples, the first of the validation set.
        folder: where to write; by default ``samples`` beside the logs.
    """

    def __init__(self, count: int = 12, folder: str | None = None) -> None:
        if count < 1:
            raise ValueError(f"count must be at least 1, got {count}")
        self.count = count
        self.folder = folder
        self.latest: Path | None = None
        self._rows: dict[str, list[Tensor]] = {}

    def on_validation_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._rows = {}

    def on_validation_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        if trainer.sanity_checking or not trainer.is_global_zero or dataloader_idx:
            return
        for name, images in outputs.items():
            row = self._rows.setdefault(name, [])
            row.extend(to_uint8(images[: self.count - len(row)]).cpu())

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        folder = folder_of(trainer, "samples", self.folder)
        if self._rows and not trainer.fast_dev_run:  # type: ignore[attr-defined]
            self.latest = publish(draw_grid(self._rows), "samples", folder, trainer, pl_module)
            self._rows = {}
