"""The Sketchy database: people's sketches of photos (Sangkloy et al., SIGGRAPH 2016)."""

import csv
import functools
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Literal

import torch
from lightning.pytorch.utilities import rank_zero_warn
from torch import Tensor

from sketchgan.data.base import Split
from sketchgan.data.index import NameIndex
from sketchgan.data.sketch_sources import SketchSource, read_photo, read_sketch

SKETCHYGAN_CLASSES = (
    "airplane", "ant", "apple", "banana", "bear", "bee", "bell", "bench", "bicycle", "candle", "cannon", "car_(sedan)",
    "castle", "cat", "chair", "church", "couch", "cow", "cup", "dog", "elephant", "geyser", "giraffe", "hammer",
    "hedgehog", "horse", "hotdog", "hourglass", "jellyfish", "knife", "lion", "motorcycle", "mushroom", "pig",
    "pineapple", "pizza", "pretzel", "rifle", "scissors", "scorpion", "sheep", "snail", "spoon", "starfish",
    "strawberry", "tank", "teapot", "tiger", "volcano", "zebra",
)  # fmt: skip
"""The 50 classes that SketchyGAN is trained on: 31 that ImageNet has, 19 that COCO has."""
FLAGS = {"pose": "WrongPose?", "context": "Context?", "ambiguous": "Ambiguous?", "error": "Error?"}
_NUMBERS = ("Difficulty", "Stroke_Count", *FLAGS.values())
_COLUMNS = ("ImageNetID", "SketchID", "Category", *_NUMBERS)
_VARIANT = "tx_000000000000"

Flag = Literal["pose", "context", "ambiguous", "error"]


class SketchyDatabase(SketchSource):
    """Sketches of the Sketchy database with the photos that they were drawn from, at 256 x 256 pixels.

    Expected in ``root``, as in the published archives: ``info/stats.csv`` and ``info/testset.txt``,
    ``rendered_256x256/256x256/photo/<variant>/<class>/<photo>.jpg`` and
    ``rendered_256x256/256x256/sketch/<variant>/<class>/<photo>-<number>.png``. Sketches without a file are left out.

    As SketchyGAN does it, a sketch is in the test set if its photo is in ``testset.txt``; training leaves out sketches
    with any flag, testing takes all of them. There is no validation set: "val" is the test set too.

    Args:
        root: the folder ``Sketchy``.
        split: "train", or "val" and "test", which are the same.
        classes: folders to take; by default the 50 of SketchyGAN (`SKETCHYGAN_CLASSES`), with "all" every one that is
            there. Labels are numbered in the order of their names.
        leave_out: flags that exclude a sketch from training: wrong pose, context, ambiguous, error.
        test_leave_out: the same for the test set.
        max_strokes: in training, leave out sketches of more strokes.
        max_difficulty: in training, leave out sketches that were rated more difficult.
        photo_variant: "tx_000000000000" is the photo squeezed to a square, "tx_000100000000" its object with a margin.
        sketch_variant: likewise; it must show the same place as the photo.

    Raises:
        FileNotFoundError: if a part of the database is missing, or there is no folder of a class.
        ValueError: for an unknown flag or split, a table without the expected columns, or if no sketch remains.
    """

    def __init__(
        self,
        root: str | Path,
        split: Split = "train",
        classes: list[str] | Literal["all"] | None = None,
        leave_out: Sequence[Flag] = ("pose", "context", "ambiguous", "error"),
        test_leave_out: Sequence[Flag] = (),
        max_strokes: int | None = None,
        max_difficulty: float | None = None,
        photo_variant: str = _VARIANT,
        sketch_variant: str = _VARIANT,
    ) -> None:
        if split not in ("train", "val", "test"):
            raise ValueError(f'split must be "train", "val" or "test", got {split!r}')
        for flag in (*leave_out, *test_leave_out):
            if flag not in FLAGS:
                raise ValueError(f"unknown flag {flag!r}; there are {', '.join(FLAGS)}")
        self._arguments: dict[str, Any] = {
            "root": root,
            "classes": classes,
            "leave_out": leave_out,
            "test_leave_out": test_leave_out,
            "max_strokes": max_strokes,
            "max_difficulty": max_difficulty,
            "photo_variant": photo_variant,
            "sketch_variant": sketch_variant,
        }
        self.root = Path(root)
        self.split = split
        self.wanted = classes
        self.most = {FLAGS[flag]: 0.0 for flag in (leave_out if split == "train" else test_leave_out)}
        if split == "train":
            limits = {"Stroke_Count": max_strokes, "Difficulty": max_difficulty}
            self.most |= {column: float(limit) for column, limit in limits.items() if limit is not None}
        rendered = self.root / "rendered_256x256" / "256x256"
        self.photos = rendered / "photo" / photo_variant
        self.sketches = rendered / "sketch" / sketch_variant

    def part(self, split: Split) -> "SketchyDatabase":
        return SketchyDatabase(split=split, **self._arguments)

    @functools.cached_property
    def classes(self) -> tuple[str, ...]:  # type: ignore[override]
        """Names of the labels: the folders' names, sorted."""
        if self.wanted is None:
            return SKETCHYGAN_CLASSES
        if self.wanted == "all":
            return tuple(sorted(entry.name for entry in os.scandir(_folder(self.sketches)) if entry.is_dir()))
        return tuple(sorted(set(self.wanted)))

    def __len__(self) -> int:
        return len(self._labels)

    def sketch(self, index: int) -> Tensor:
        return read_sketch(self.sketches / self.sketch_name(index))

    def photo(self, index: int) -> Tensor:
        return read_photo(self.photos / self.photo_name(index))

    def label(self, index: int) -> int:
        return int(self._labels[index])

    def sketch_name(self, index: int) -> str:
        return self._names[index]

    def photo_name(self, index: int) -> str:
        return f"{self._names[index].rpartition('-')[0]}.jpg"

    def attributes(self, index: int) -> dict[str, float]:
        """What ``stats.csv`` says of the sketch: Difficulty, Stroke_Count, and the flags as 0 or 1."""
        return dict(zip(_NUMBERS, self._records[2][index].tolist(), strict=True))

    @property
    def _names(self) -> NameIndex:
        return self._records[0]

    @property
    def _labels(self) -> Tensor:
        return self._records[1]

    @functools.cached_property
    def _records(self) -> tuple[NameIndex, Tensor, Tensor]:
        """Sketches' names, ``<class>/<photo>-<number>.png``, labels and attributes, in the table's order."""
        number = {name: label for label, name in enumerate(self.classes)}
        sketches = {name: _files(self.sketches, name) for name in self.classes}
        photos = {name: _files(self.photos, name) for name in self.classes}
        tested = self._test_photos()
        names: list[str] = []
        attributes: list[list[float]] = []
        labels: list[int] = []
        absent = []
        for row in self._rows():
            name = row["Category"].strip().replace(" ", "_")
            if name not in number:
                continue
            values = {column: self._number(row, column) for column in _NUMBERS}
            if any(values[column] > limit for column, limit in self.most.items()):
                continue
            photo, sketch = f"{row['ImageNetID']}.jpg", f"{row['ImageNetID']}-{row['SketchID']}.png"
            if (f"{name}/{photo}" in tested) == (self.split == "train"):
                continue
            if sketch in sketches[name] and photo in photos[name]:
                names.append(f"{name}/{sketch}")
                labels.append(number[name])
                attributes.append(list(values.values()))
            else:
                absent.append(f"{name}/{sketch}")
        if absent:
            rank_zero_warn(
                f"{len(absent)} of {len(absent) + len(names)} {self.split} sketches of {self.root} are left out, as "
                f"they have no file or no photo, for instance {absent[0]}"
            )
        if not names:
            raise ValueError(
                f"{self.root} has no {self.split} sketch of {', '.join(self.classes[:5])}…; info/stats.csv and "
                "info/testset.txt decide"
            )
        return NameIndex(map(os.fsencode, names)), torch.tensor(labels), torch.tensor(attributes)

    def _rows(self) -> Iterator[dict[str, str]]:
        path = self._info("stats.csv")
        with path.open(newline="", encoding="utf-8", errors="replace") as file:
            reader = csv.DictReader(file)
            if missing := [column for column in _COLUMNS if column not in (reader.fieldnames or ())]:
                raise ValueError(
                    f"{path} has no column {', '.join(missing)}; it has {', '.join(reader.fieldnames or ())}"
                )
            yield from reader

    def _number(self, row: dict[str, str], column: str) -> float:
        try:
            return float(row[column] or 0)
        except ValueError:
            raise ValueError(f"{self._info('stats.csv')}: {column} is {row[column]!r}, not a number") from None

    def _test_photos(self) -> set[str]:
        return {line.strip() for line in self._info("testset.txt").read_text().splitlines()}

    def _info(self, name: str) -> Path:
        path = _folder(self.root) / "info" / name
        if not path.is_file():
            raise FileNotFoundError(f"no file {path}; the database's archive of annotations (info) has it")
        return path


def _folder(path: Path) -> Path:
    if not path.is_dir():
        raise FileNotFoundError(
            f"no folder {path}; the Sketchy database is expected as published: root/info and "
            "root/rendered_256x256/256x256/{photo,sketch}/<variant>/<class>"
        )
    return path


def _files(folder: Path, name: str) -> set[str]:
    """Names in a class's folder."""
    if not (folder / name).is_dir():
        there = sorted(entry.name for entry in os.scandir(_folder(folder)) if entry.is_dir())
        raise FileNotFoundError(f"no folder {folder / name}; there are {', '.join(there[:10])}… ({len(there)})")
    return {entry.name for entry in os.scandir(folder / name)}
