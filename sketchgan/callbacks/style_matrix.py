"""Every sketch in every style, as a picture and in numbers."""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from lightning.pytorch import Callback, LightningModule, Trainer
from PIL import Image
from torch import Tensor

from sketchgan.callbacks.grids import BACKGROUND, draw_grid, folder_of, publish
from sketchgan.data.transforms import to_uint8
from sketchgan.metrics import matrix_effects


class StyleMatrix(Callback):
    """After every validation, draw the same held-out sketches in the same held-out styles: a row each, a column each.

    Writes ``<log_dir>/styles/epoch=007.png`` (and ``latest.png``) with the sketches at the left and the styles above,
    and hands it to every logger that takes images. What the matrix owes to the sketches, to the styles and to both
    together is logged as ``val/matrix_sketch``, ``val/matrix_style`` and ``val/matrix_both``, shares of its variance
    that sum to 1 (`sketchgan.metrics.matrix_effects`): where the style is ignored, the latter two are 0. The root of
    that variance, in the units of [-1, 1], is ``val/matrix_spread``; shares of next to nothing mean nothing.

    Sketches and styles are taken in turns from samples that lie evenly over the validation set: a sample's A, or its
    ``style`` (its B, if it has none). With several processes, of what the first one sees, which draws alone.

    Works with modules that have ``takes_style``, ``encode_style(pictures) -> (N, D)`` and
    ``forward(sketches, vectors)``, and takes ``sketches * styles`` passes of one picture's size.

    Args:
        sketches: how many; fewer if the set is smaller.
        styles: how many.
        folder: where to write; by default ``styles`` beside the logs.

    Raises:
        ValueError: for fewer than two of either, a module without styles, and validation data of unknown length or
            without pictures of styles.
    """

    def __init__(self, sketches: int = 6, styles: int = 6, folder: str | None = None) -> None:
        for name, value in (("sketches", sketches), ("styles", styles)):
            if value < 2:
                raise ValueError(f"{name} must be at least 2, got {value}")
        self.sketches = sketches
        self.styles = styles
        self.folder = folder
        self.latest: Path | None = None
        self._sketches: list[Tensor] = []
        self._styles: list[Tensor] = []
        self._start = 0  # number of the batch's first sample
        self._wanted: dict[str, list[int]] = {}

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        if stage in ("fit", "validate"):
            _refuse_unstyled(pl_module)

    def on_validation_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._sketches, self._styles, self._start, self._wanted = [], [], 0, {}

    def on_validation_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        if dataloader_idx or not trainer.is_global_zero:
            return
        batches: Any = (trainer.num_sanity_val_batches if trainer.sanity_checking else trainer.num_val_batches)[0]
        if math.isinf(batches):
            raise ValueError(
                "StyleMatrix takes samples from all over the validation set, whose length is unknown; set the "
                "trainer's limit_val_batches"
            )
        styles = batch.get("style", batch.get("B"))
        if styles is None:
            raise ValueError("StyleMatrix takes styles from style or B of the validation data, which has neither")
        if not self._wanted:
            count = _most(trainer.val_dataloaders, batches * len(batch["A"]))
            self._wanted = {
                "sketches": _places(count, self.sketches, 0.25),
                "styles": _places(count, self.styles, 0.75),
            }
        last = batch_idx == batches - 1  # it may be shorter than was known: places behind its end are moved to it
        for pictures, kept, places in (
            (batch["A"], self._sketches, self._wanted["sketches"]),
            (styles, self._styles, self._wanted["styles"]),
        ):
            while places and (last or places[0] < self._start + len(pictures)):
                number = min(places.pop(0) - self._start, len(pictures) - 1)
                kept.append(pictures[number].clone())  # a view would keep the whole batch
        self._start += len(batch["A"])

    def on_validation_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        folder = folder_of(trainer, "styles", self.folder)
        effects: dict[str, float] = {}
        if self._sketches:  # on the first process
            with trainer.precision_plugin.forward_context():
                cells = paint_matrix(pl_module, self._sketches, self._styles)
            effects = matrix_effects(_of_one_size(cells)) if min(len(cells), len(cells[0])) > 1 else {}
            if not (trainer.sanity_checking or trainer.fast_dev_run):  # type: ignore[attr-defined]
                grid = _draw(self._sketches, self._styles, cells)
                self.latest = publish(grid, "styles", folder, trainer, pl_module)
        effects = trainer.strategy.broadcast(effects)
        if not trainer.sanity_checking:
            pl_module.log_dict({f"val/matrix_{name}": share for name, share in effects.items()})
        self._sketches, self._styles = [], []


def paint_matrix(module: Any, sketches: Sequence[Tensor], styles: Sequence[Tensor]) -> list[Tensor]:
    """Paint every sketch in every style.

    Args:
        module: takes styles; see `StyleMatrix`. It is run in evaluation mode, without gradients.
        sketches: each ``(C, H, W)`` in [-1, 1], of any size.
        styles: pictures ``(3, h, w)`` in [-1, 1], of any size.

    Returns:
        Per sketch ``(styles, 3, H, W)`` in [-1, 1], float32 and on the CPU.

    Raises:
        ValueError: if the module takes no styles.
    """
    _refuse_unstyled(module)
    modes = {part: part.training for part in module.modules()}
    module.eval()
    try:
        with torch.no_grad():
            vectors = torch.cat([module.encode_style(style[None].to(module.device)) for style in styles])
            cells = []
            for sketch in sketches:
                batch = {"A": sketch.to(module.device).expand(len(styles), -1, -1, -1)}
                made = module._at_any_size(lambda padded: {"fake_B": module(padded["A"], vectors)}, batch)
                cells.append(made["fake_B"].float().cpu())
            return cells
    finally:
        for part, training in modes.items():
            part.training = training


def draw_style_matrix(module: Any, sketches: Sequence[Tensor], styles: Sequence[Tensor]) -> Image.Image:
    """Draw every sketch in every style: sketches at the left, styles above.

    Args:
        module: as for `paint_matrix`.
        sketches: each ``(C, H, W)`` in [-1, 1].
        styles: pictures ``(3, h, w)`` in [-1, 1]; drawn no larger than the sketches.

    Returns:
        An RGB image.

    Raises:
        ValueError: if the module takes no styles.
    """
    return _draw(sketches, styles, paint_matrix(module, sketches, styles))


def _draw(sketches: Sequence[Tensor], styles: Sequence[Tensor], cells: Sequence[Tensor]) -> Image.Image:
    sides = tuple(max(pictures.shape[dim] for pictures in cells) for dim in (-2, -1))
    corner = torch.tensor(BACKGROUND, dtype=torch.uint8).view(3, 1, 1)
    rows = {"style": [corner, *(_fitted(to_uint8(style).cpu(), *sides) for style in styles)]}
    for i, (sketch, row) in enumerate(zip(sketches, cells, strict=True)):
        rows[f"sketch {i + 1}"] = [to_uint8(sketch).cpu(), *to_uint8(row)]
    return draw_grid(rows)


def _fitted(picture: Tensor, height: int, width: int) -> Tensor:
    """A picture shrunk to fit into a cell."""
    scale = min(height / picture.shape[-2], width / picture.shape[-1])
    if scale >= 1:
        return picture
    sides = [max(1, round(side * scale)) for side in picture.shape[-2:]]
    return F.interpolate(picture[None].float(), sides, mode="bilinear", antialias=True)[0].round().to(torch.uint8)


def _of_one_size(cells: Sequence[Tensor]) -> Tensor:
    """The matrix as one tensor; pictures of different sizes are averaged down to the smallest sides."""
    height, width = (min(pictures.shape[dim] for pictures in cells) for dim in (-2, -1))
    return torch.stack([F.adaptive_avg_pool2d(pictures, (height, width)) for pictures in cells])


def _most(loaders: Any, most: int) -> int:
    """How many samples the first validation set has for this process, at most as many as its batches could hold."""
    loader = loaders[0] if isinstance(loaders, list | tuple) else loaders
    sampler = getattr(loader, "sampler", None)
    counts = getattr(loader, "batch_size", None) is not None and hasattr(sampler, "__len__")
    return min(most, len(sampler)) if counts else most  # type: ignore[arg-type]


def _places(count: int, wanted: int, at: float) -> list[int]:
    """Numbers of samples, one from each of ``wanted`` equal parts of all: the one that lies at this share of it."""
    wanted = min(wanted, count)
    return [int((i + at) * count / wanted) for i in range(wanted)]


def _refuse_unstyled(module: Any) -> None:
    if not (getattr(module, "takes_style", False) and hasattr(module, "encode_style")):
        raise ValueError(
            f"a matrix of styles needs a module that takes them (takes_style, encode_style), which "
            f"{type(module).__name__} does not; use SampleGrid"
        )
