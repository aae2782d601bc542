"""Pictures of the progress."""

from pathlib import Path
from typing import Any

import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from PIL import Image, ImageDraw
from torch import Tensor

from sketchgan.data.transforms import to_uint8

_MARGIN = 52  # for the names of the rows, in Pillow's built-in font, whose letters are six pixels wide


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
        folder = Path(self.folder or Path(trainer.log_dir or trainer.default_root_dir) / "samples")  # on every process
        if not self._rows or trainer.fast_dev_run:  # type: ignore[attr-defined]
            return
        grid = draw_grid(self._rows)
        folder.mkdir(parents=True, exist_ok=True)
        grid.save(folder / f"epoch={trainer.current_epoch:03d}.png")
        self.latest = folder / "latest.png"
        grid.save(self.latest)
        step = getattr(pl_module, "batches_seen", trainer.global_step)
        logger: Any
        for logger in trainer.loggers:
            if hasattr(logger, "log_image"):
                logger.log_image("samples", [grid], step=step)
            elif hasattr(logger.experiment, "add_image"):
                pixels = torch.frombuffer(bytearray(grid.tobytes()), dtype=torch.uint8)
                logger.experiment.add_image("samples", pixels.view(grid.height, grid.width, 3), step, dataformats="HWC")
        self._rows = {}


def draw_grid(rows: dict[str, list[Tensor]], gap: int = 2) -> Image.Image:
    """Draw named rows of pictures.

    Args:
        rows: per name, pictures ``(C, H, W)``, uint8; of more than three channels, the first three are drawn. Cells are
            as large as the largest picture.
        gap: pixels between pictures.

    Returns:
        An RGB image with the names at the left.
    """
    height, width = (max(picture.shape[dim] for pictures in rows.values() for picture in pictures) for dim in (-2, -1))
    columns = max(map(len, rows.values()))
    margin = max(_MARGIN, 6 * max(map(len, rows)) + 10)
    size = (margin + columns * (width + gap), len(rows) * (height + gap))
    grid = Image.new("RGB", size, (40, 40, 40))
    pen = ImageDraw.Draw(grid)
    for y, (name, pictures) in enumerate(rows.items()):
        pen.text((4, y * (height + gap) + height // 2 - 6), name, fill="white")
        for x, picture in enumerate(pictures):
            drawn = picture[:3] if len(picture) >= 3 else picture[:1]
            pixels = drawn.expand(3, -1, -1).permute(1, 2, 0).numpy()
            grid.paste(Image.fromarray(pixels), (margin + x * (width + gap), y * (height + gap)))
    return grid
