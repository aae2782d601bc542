"""Saving what ``Trainer.predict`` makes."""

import signal
from collections.abc import Sequence
from pathlib import Path, PurePath
from typing import Any

import numpy as np
import torch
from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.callbacks import BasePredictionWriter
from torch import Tensor
from torchvision.io import encode_png
from torchvision.transforms.v2 import functional as F

from sketchgan.data.pictures import with_channels
from sketchgan.data.transforms import resize_picture, to_levels, to_uint8


class PredictionWriter(BasePredictionWriter):
    """Write predicted pictures under their input's own name and sub-folder, a folder per kind.

    Writes ``<folder>/fake_B/<name of A>.png`` and, for modules that translate both ways, ``<folder>/fake_A/…``.
    Pictures of one or three channels become PNG, others ``.npy`` ``(H, W, C)`` in [0, 1]. Our folder data modules give
    inputs that differ only in their suffix names that keep it: ``x.png.png``, ``x.jpg.png``.

    Args:
        folder: where to write; by default ``predictions`` beside the logs.
        only: write this kind alone, straight into the folder.
        truncate: to 8 bits as the official code does, not rounded.
        resize_back: resize to the size of the input's file, by Pillow's bicubic filter on bytes; for batches with
            ``A_size`` or ``B_size``, such as our folder data modules give.
        coloured_lines: of dark lines on white, keep the input's colour as far as the line is dark.
        keep_lines: of drawings that are coloured, multiply the result by the drawing, at the size of its file where the
            data module is `PictureFiles`, otherwise as the network saw it.

    Raises:
        ValueError: if lines are to be coloured and kept; while writing, if the batch does not say how large the inputs
            were, or the pictures have more channels than lines can be coloured with or kept in.
    """

    def __init__(
        self,
        folder: str | None = None,
        only: str | None = None,
        truncate: bool = False,
        resize_back: bool = False,
        coloured_lines: bool = False,
        keep_lines: bool = False,
    ) -> None:
        super().__init__(write_interval="batch")
        if coloured_lines and keep_lines:
            raise ValueError("coloured_lines is for drawn lines, keep_lines for coloured drawings; choose one")
        self.folder = folder
        self.only = only
        self.truncate = truncate
        self.resize_back = resize_back
        self.coloured_lines = coloured_lines
        self.keep_lines = keep_lines
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
            if self.coloured_lines:
                images = colour_lines(images, batch[source])
            sizes = [None] * len(images)
            if self.resize_back:
                if f"{source}_size" not in batch:
                    raise ValueError(f"resize_back needs {source}_size in the batch: height and width of the inputs")
                sizes = batch[f"{source}_size"].tolist()
            indices = batch_indices or range(batch_idx * len(images), (batch_idx + 1) * len(images))
            names = batch.get(f"{source}_name") or batch.get(f"{source}_path")
            names = names or [f"{index:06d}.png" for index in indices]
            drawings = self._drawings(trainer, batch[source], names) if self.keep_lines else [None] * len(images)
            for image, name, size, drawing in zip(images, names, sizes, drawings, strict=True):
                _save(image, self._target(made, name), self.truncate, size, drawing)
        if trainer.received_sigterm:  # Lightning catches it, and while it predicts does nothing about it
            raise SystemExit(128 + signal.SIGTERM)

    def _drawings(self, trainer: Trainer, seen: Tensor, names: Sequence[str]) -> list[Tensor]:
        """What was coloured, grey in [0, 1]: the files, where there are any, or what the network saw."""
        read = getattr(getattr(trainer, "datamodule", None), "drawing", None)
        if read is not None:
            return [read(name) for name in names]
        return [torch.as_tensor(with_channels((image.float().cpu() + 1) / 2, 1)) for image in seen]

    def _target(self, made: str, name: str) -> Path:
        """Where the translation of a file belongs, without a suffix; never outside the folder."""
        assert self.written is not None
        folder = self.written if self.only else self.written / made
        parts = (part for part in PurePath(name).parts if part not in ("..", PurePath(name).anchor))
        return folder.joinpath(*parts).with_suffix("")


def colour_lines(lines: Tensor, pictures: Tensor) -> Tensor:
    """Black lines on white in the colours of a picture: as much of its colour as the line is dark, the rest white.

    Args:
        lines: ``(N, 1 or 3, H, W)`` in [-1, 1].
        pictures: ``(N, 1 or 3, H, W)`` in [-1, 1], which they were drawn from.

    Raises:
        ValueError: for other numbers of channels.

    Examples:
        >>> import torch
        >>> colour_lines(torch.tensor([-1.0, 0.0, 1.0]).view(1, 1, 1, 3), torch.full((1, 1, 1, 3), 0.2)).flatten()
        tensor([0.2000, 0.6000, 1.0000])
    """
    if {lines.shape[1], pictures.shape[1]} - {1, 3}:
        raise ValueError(
            f"lines of {lines.shape[1]} channels cannot have the colours of {pictures.shape[1]} channels: "
            "coloured_lines is for pictures of one or three"
        )
    return 1 - (1 - lines) * (1 - pictures) / 2


def _save(
    image: Tensor,
    target: Path,
    truncate: bool,
    size: tuple[int, int] | None = None,
    drawing: Tensor | None = None,
) -> None:
    """Write a picture.

    Args:
        image: ``(C, H, W)`` in [-1, 1].
        target: where to, without suffix.
        truncate: cut levels off.
        size: height and width to resize it to.
        drawing: ``(1, h, w)`` in [0, 1], to resize it to and multiply it by.
    """
    if drawing is not None:
        if len(image) not in (1, 3):
            raise ValueError(f"keep_lines is for pictures of one or three channels, these have {len(image)}")
        size = (drawing.shape[1], drawing.shape[2])
    target.parent.mkdir(parents=True, exist_ok=True)
    resized = size is not None and tuple(size) != tuple(image.shape[1:])
    if len(image) in (1, 3):
        levels = to_uint8(image, truncate).cpu()
        if size is not None and resized:
            levels = to_levels(resize_picture(F.to_pil_image(levels), (size[1], size[0])))
        if drawing is not None:
            levels = (levels * drawing).round().to(torch.uint8)
        Path(f"{target}.png").write_bytes(encode_png(levels).numpy().tobytes())
    else:
        values = (image.float() / 2 + 0.5).clamp(0, 1).cpu()
        if size is not None and resized:
            values = torch.as_tensor(resize_picture(values, (size[1], size[0])))
        np.save(f"{target}.npy", values.permute(1, 2, 0).numpy())
