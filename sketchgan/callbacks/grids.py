"""Drawing pictures into a grid, and where grids go."""

from pathlib import Path
from typing import Any

import torch
from lightning.pytorch import LightningModule, Trainer
from PIL import Image, ImageDraw
from torch import Tensor

BACKGROUND = (40, 40, 40)
_MARGIN = 52  # for the names of the rows, in Pillow's built-in font, whose letters are six pixels wide


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
    grid = Image.new("RGB", size, BACKGROUND)
    pen = ImageDraw.Draw(grid)
    for y, (name, pictures) in enumerate(rows.items()):
        pen.text((4, y * (height + gap) + height // 2 - 6), name, fill="white")
        for x, picture in enumerate(pictures):
            drawn = picture[:3] if len(picture) >= 3 else picture[:1]
            pixels = drawn.expand(3, -1, -1).permute(1, 2, 0).numpy()
            grid.paste(Image.fromarray(pixels), (margin + x * (width + gap), y * (height + gap)))
    return grid


def folder_of(trainer: Trainer, name: str, given: str | None) -> Path:
    """Where grids are written, by default in a folder beside the logs; to be asked for on every process."""
    return Path(given or Path(trainer.log_dir or trainer.default_root_dir) / name)


def publish(grid: Image.Image, name: str, folder: Path, trainer: Trainer, module: LightningModule) -> Path:
    """Write a grid as ``epoch=007.png`` and ``latest.png``, and hand it to every logger that takes images.

    Args:
        grid: RGB.
        name: under which loggers file it.
        folder: made if it is not there.
        trainer: of the run.
        module: whose ``batches_seen`` is the step, if it counts them.

    Returns:
        The path of ``latest.png``.
    """
    folder.mkdir(parents=True, exist_ok=True)
    grid.save(folder / f"epoch={trainer.current_epoch:03d}.png")
    latest = folder / "latest.png"
    grid.save(latest)
    step = getattr(module, "batches_seen", trainer.global_step)
    logger: Any
    for logger in trainer.loggers:
        if hasattr(logger, "log_image"):
            logger.log_image(name, [grid], step=step)
        elif hasattr(logger.experiment, "add_image"):
            pixels = torch.frombuffer(bytearray(grid.tobytes()), dtype=torch.uint8)
            logger.experiment.add_image(name, pixels.view(grid.height, grid.width, 3), step, dataformats="HWC")
    return latest
