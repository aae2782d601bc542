"""Saving what ``Trainer.predict`` makes."""

import signal
from collections.abc import Sequence
from pathlib import Path, PurePath
from typing import Any

import numpy as np
from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.callbacks import BasePredictionWriter
from torch import Tensor
from torchvision.io import encode_png

from sketchgan.data.transforms import to_uint8


class PredictionWriter(BasePredictionWriter):
    """Write predicted pictures under their input's own name and sub-folder, a folder per kind.

    Writes ``<folder>/fake_B/<name of A>.png`` and, for modules that translate both ways, ``<folder>/fake_A/…``.
    Pictures of one or three channels become PNG, others ``.npy`` ``(H, W, C)`` in [0, 1]. Our folder data modules give
    inputs that differ only in their suffix names that keep it: ``x.png.png``, ``x.jpg.png``.

    Args:
        folder: where to write; by default ``predictions`` beside the logs.
        only: write this kind alone, straight into the folder.
        truncate: to 8 bits as the official code does, not rounded.
    """

    def __init__(self, folder: str | None = None, only: str | None = None, truncate: bool = False) -> None:
        super().__init__(write_interval="batch")
        self.folder = folder
        self.only = only
        self.truncate = truncate
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
            if made not in prediction or self.only not in (None, made):
                continue
            images = prediction[made]
            indices = batch_indices or range(batch_idx * len(images), (batch_idx + 1) * len(images))
            names = batch.get(f"{source}_name") or batch.get(f"{source}_path")
            names = names or [f"{index:06d}.png" for index in indices]
            for image, name in zip(images, names, strict=True):
                _save(image, self._target(made, name), self.truncate)
        if trainer.received_sigterm:  # Lightning catches it, and while it predicts does nothing about it
            raise SystemExit(128 + signal.SIGTERM)

    def _target(self, made: str, name: str) -> Path:
        """Where the translation of a file belongs, without a suffix; never outside the folder."""
        assert self.written is not None
        folder = self.written if self.only else self.written / made
        parts = (part for part in PurePath(name).parts if part not in ("..", PurePath(name).anchor))
        return folder.joinpath(*parts).with_suffix("")


def _save(image: Tensor, target: Path, truncate: bool) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    if len(image) in (1, 3):
        Path(f"{target}.png").write_bytes(encode_png(to_uint8(image, truncate).cpu()).numpy().tobytes())
    else:
        np.save(f"{target}.npy", (image.float() / 2 + 0.5).clamp(0, 1).permute(1, 2, 0).cpu().numpy())
