"""Pictures to translate, wherever they are."""

import functools
import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

import torch
from torch.utils.data import ConcatDataset, Dataset

from sketchgan.data.base import Split, TranslationData
from sketchgan.data.index import NameIndex, scan, stem_of
from sketchgan.data.pictures import MAX_PIXELS, ValueRange, read_picture
from sketchgan.data.source import PictureSet, Source, doubled_names, leave_out_bad
from sketchgan.data.transforms import Preprocess


class PictureFiles(TranslationData):
    """Files and folders to translate, without the other side; for ``Trainer.predict`` alone.

    Pictures keep their size unless ``preprocess`` is given: modules pad them to what their networks take, and crop the
    translation back.

    Args:
        inputs: files, and folders that are searched; one or several.
        side: the domain that they belong to.
        preprocess: settings of a `Preprocess`, such as a checkpoint holds; by default the size is kept.
        channels: of the network's input.
        value_range: what 0 and 1 stand for in pictures that are not of 8 bits.
        max_pixels: larger pictures are refused as decompression bombs.
        batch_size: pictures per batch; more than one needs pictures of one size.
        num_workers: loader processes.

    Attributes:
        skipped: messages on the files that cannot be read; they are left out, with a warning.

    Raises:
        FileNotFoundError: if an input does not exist, or a folder holds no picture.
        ValueError: without inputs, and if two translations would have the same name.
        PictureError: if no input can be read.
    """

    def __init__(
        self,
        inputs: Sequence[str | Path] | str | Path,
        side: Literal["A", "B"] = "A",
        preprocess: dict[str, Any] | None = None,
        channels: int = 3,
        value_range: ValueRange | None = None,
        max_pixels: int = MAX_PIXELS,
        batch_size: int = 1,
        num_workers: int = 0,
    ) -> None:
        super().__init__(batch_size, num_workers=num_workers)
        if not inputs:
            raise ValueError("no inputs: give files, or folders of pictures")
        given = [inputs] if isinstance(inputs, str | Path) else inputs
        self.inputs = list(dict.fromkeys(Path(path) for path in given))
        self.side = side
        self.preprocess = Preprocess("native", flip=False) if preprocess is None else Preprocess(**preprocess)
        self.channels = channels
        self.read = functools.partial(read_picture, value_range=value_range, alpha=channels == 4, max_pixels=max_pixels)
        self.skipped: list[str] = []

    @functools.cached_property
    def sources(self) -> list[Source]:
        """The inputs, one source each."""
        sources = []
        for path in self.inputs:
            if not path.exists():
                raise FileNotFoundError(f"no file or folder {path}")
            folder, names = (path, scan(path)) if path.is_dir() else (path.parent, NameIndex([os.fsencode(path.name)]))
            entries = torch.arange(len(names))
            sources.append(Source((folder,), (names,), entries, self.read, (self.channels,), self.preprocess))
        doubled = doubled_names(name for source in sources for name in source.names[0])
        return [replace(source, doubled=doubled) for source in sources]

    @functools.cached_property
    def targets(self) -> dict[str, Path]:
        """What each translation is called, without its suffix, and the file that it is made from.

        Raises:
            ValueError: if two would have the same name.
        """
        targets: dict[str, Path] = {}
        for source in self.sources:
            for i in range(len(source)):
                name, path = stem_of(source.written(i)), source.folders[0] / source.name(i)
                if name in targets:
                    raise ValueError(f"{targets[name]} and {path} would be written under one name; rename one")
                targets[name] = path
        return targets

    @functools.cached_property
    def _pictures(self) -> Dataset:
        _ = self.targets  # two of one name are refused before anything is translated
        # An unreadable file must not cost the others their translation, nor go unnoticed.
        readable, self.skipped = leave_out_bad(self.sources, self._world(), "skip")
        sets = [PictureSet([((self.side,), source)], self.preprocess) for source in readable if len(source)]
        return ConcatDataset(sets)

    def dataset(self, split: Split) -> Dataset:
        if split != "test":
            raise ValueError("PictureFiles holds pictures to translate; to train use PairedFolders or UnpairedFolders")
        return self._pictures


def refuse_inside(inputs: Sequence[Path], out: Path) -> None:
    """Do not read in the next run what this one wrote."""
    for path in inputs:
        if path.is_dir() and out.resolve().is_relative_to(path.resolve()):
            raise ValueError(f"{out} is inside {path}, whose pictures are the input; write to a folder elsewhere")
    if out.exists() and not out.is_dir():
        raise ValueError(f"{out} is a file; give a folder to write to")


def refuse_own_inputs(files: PictureFiles, out: Path) -> None:
    """Neither overwrite what is read, nor read in the next run what this one wrote."""
    refuse_inside(files.inputs, out)
    taken = {path.resolve() for path in files.targets.values()}
    for name in files.targets:
        if (out / f"{name}.png").resolve() in taken:
            raise ValueError(f"{out / name}.png is an input and would be overwritten; write to a folder elsewhere")
