"""Saving what ``Trainer.predict`` makes."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.callbacks import BasePredictionWriter
from torchvision.io import write_png

from sketchgan.data.transforms import to_uint8


class PredictionWriter(BasePredictionWriter):
    """Write predicted pictures as PNG under their input's own name, a folder per kind.

    Writes ``<folder>/fake_B/<name of A>.png`` and, for modules that translate both ways, ``<folder>/fake_A/…``.

    Args:
        folder: where to write; by default ``predictions`` beside the logs.
    """

    def __init__(self, folder: str | None = None) -> None:
        super().__init__(write_interval="batch")
        self.folder = folder
        self.written: Path | None = None

    def on_predict_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self.written = Path(self.folder or Path(trainer.log_dir or trainer.default_root_dir) / "predictions")

    def write_on_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        prediction: Any,
        batch_indices: Sequence[int] | None,
        batch: Any,
        batch_idx: int,
        dataloader_idx: int,
    ) -> None:
        for made, source in (("fake_B", "A"), ("fake_A", "B")):
            if made not in prediction:
                continue
            images = to_uint8(prediction[made]).cpu()
            indices = batch_indices or range(batch_idx * len(images), (batch_idx + 1) * len(images))
            names = batch.get(f"{source}_path") or [f"{index:06d}.png" for index in indices]
            assert self.written is not None
            folder = self.written / made
            folder.mkdir(parents=True, exist_ok=True)
            for image, name in zip(images, names, strict=True):
                write_png(image, str(folder / f"{Path(name).stem}.png"))
