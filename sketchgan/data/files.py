"""Pictures to translate, wherever they are."""

import functools
import os
import warnings
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal, get_args

import torch
from torch import Tensor
from torch.utils.data import ConcatDataset, Dataset
from torchvision.transforms.v2 import functional as F

from sketchgan.data.base import Split, TranslationData
from sketchgan.data.colour_hints import hint_files, read_hints
from sketchgan.data.index import NameIndex, scan, stem_of
from sketchgan.data.line_art import CleanLines, clean_picture
from sketchgan.data.pictures import MAX_PIXELS, ValueRange, read_picture, with_channels
from sketchgan.data.sketch_input import SketchInput
from sketchgan.data.source import PictureSet, Source, doubled_names, leave_out_bad
from sketchgan.data.transforms import Picture, Preprocess, to_levels


class PictureFiles(TranslationData):
    """Files and folders to translate, without the other side; for ``Trainer.predict`` alone.

    Pictures keep their size unless ``preprocess`` is given: modules pad them to what their networks take, and crop the
    translation back.

    Args:
        inputs: files, and folders that are searched; one or several.
        side: the domain that they belong to.
        preprocess: settings of a `Preprocess`, such as a checkpoint holds; by default the size is kept.
        channels: of the network's input.
        label: number of the class of all pictures, for networks that take one.
        classes: names of the classes; without ``label``, every picture's first sub-folder must be one of them.
        sketch: settings of a `SketchInput`, such as a checkpoint holds, which then takes the place of ``preprocess``:
            drawings of any size become what the network was trained on.
        samples: how often each picture is to be translated; for networks that draw random numbers.
        seed: of these numbers, together with a picture's name; each further sample has the next one.
        style_hint: vector ``(D,)`` of the style that all pictures are to have, for networks that take one.
        hints: colours for single places of the pictures, for networks that take them; see `read_hints`. A file for all
            pictures, or a folder with a file for each, under the picture's name; those without one get no hints.
        hint_saturation: factor of these colours' saturation.
        clean_lines: "plain" or "denoise", for scans and pencil drawings; see `clean_lines`. What is read becomes grey.
        value_range: what 0 and 1 stand for in pictures that are not of 8 bits.
        max_pixels: larger pictures are refused as decompression bombs.
        batch_size: pictures per batch; more than one needs pictures of one size.
        num_workers: loader processes.

    Attributes:
        skipped: messages on the files that cannot be read; they are left out, with a warning.

    Raises:
        FileNotFoundError: if an input or the hints do not exist, or a folder holds no picture.
        ValueError: without inputs, if two translations would have the same name, a picture has no class, the hints
            cannot be used or belong to none of the pictures, or options are unknown or do not go together.
        PictureError: if no input can be read.
    """

    def __init__(
        self,
        inputs: Sequence[str | Path] | str | Path,
        side: Literal["A", "B"] = "A",
        preprocess: dict[str, Any] | None = None,
        channels: int = 3,
        label: int | None = None,
        classes: Sequence[str] = (),
        sketch: dict[str, Any] | None = None,
        samples: int = 1,
        seed: int = 0,
        style_hint: Tensor | None = None,
        hints: str | Path | None = None,
        hint_saturation: float = 1.0,
        clean_lines: CleanLines | None = None,
        value_range: ValueRange | None = None,
        max_pixels: int = MAX_PIXELS,
        batch_size: int = 1,
        num_workers: int = 0,
    ) -> None:
        super().__init__(batch_size, num_workers=num_workers, seed=seed)
        if not inputs:
            raise ValueError("no inputs: give files, or folders of pictures")
        if samples < 1:
            raise ValueError(f"samples must be at least 1, got {samples}")
        given = [inputs] if isinstance(inputs, str | Path) else inputs
        self.inputs = list(dict.fromkeys(Path(path) for path in given))
        self.side = side
        self.preprocess = Preprocess("native", flip=False) if preprocess is None else Preprocess(**preprocess)
        self.channels = channels
        self.label = label
        self.classes = tuple(classes)
        self.sketch = None if sketch is None else SketchInput(**sketch)
        self.samples = samples
        if hints is not None and not Path(hints).exists():
            raise FileNotFoundError(f"no file or folder of hints {hints}")
        if hints is not None and sketch is not None:
            raise ValueError("hints follow a picture that is resized, but here drawings become distance fields")
        self.style_hint = style_hint
        self.hints = None if hints is None else Path(hints)
        self.hint_saturation = hint_saturation
        self.read: Callable[[Path], Picture] = functools.partial(
            read_picture, value_range=value_range, alpha=channels == 4, max_pixels=max_pixels
        )
        if clean_lines not in (None, *get_args(CleanLines)):
            raise ValueError(f"clean_lines must be one of {', '.join(get_args(CleanLines))}, got {clean_lines!r}")
        if clean_lines is not None:
            self.read = functools.partial(_read_clean, read=self.read, how=clean_lines)
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
            ValueError: if two would have the same name, or a file has no class.
        """
        targets: dict[str, Path] = {}
        for source in self.sources:
            for i in range(len(source)):
                path = source.folders[0] / source.name(i)
                self._class_of(source, i)
                for sample in range(self.samples):
                    name = stem_of(sample_name(source.written(i), sample, self.samples))
                    if name in targets:
                        raise ValueError(f"{targets[name]} and {path} would be written under one name; rename one")
                    targets[name] = path
        return targets

    def _class_of(self, source: Source, index: int) -> int | None:
        """Number of a picture's class."""
        if self.label is not None or not self.classes:
            return self.label
        name = source.name(index)
        first, separator, _ = name.partition(os.sep)
        if not separator or first not in self.classes:
            raise ValueError(
                f"{source.folders[0] / name} has no class: give a label, or put it into a sub-folder with the name of "
                f"one: {', '.join(self.classes)}"
            )
        return self.classes.index(first)

    @functools.cached_property
    def _pictures(self) -> Dataset:
        _ = self.targets  # two of one name are refused before anything is translated
        # An unreadable file must not cost the others their translation, nor go unnoticed.
        readable, self.skipped = leave_out_bad(self.sources, self._world(), "skip")
        preprocess = self.sketch or self.preprocess
        sets = [PictureSet([((self.side,), source)], preprocess) for source in readable if len(source)]
        labels = [self._class_of(source, i) for source in readable for i in range(len(source))]
        hints = self._hints_of([source.name(i) for source in readable for i in range(len(source))])
        requests = Requests(ConcatDataset(sets), self.side, labels, self.samples, self.seed, self.sketch is not None)
        if self.style_hint is None and hints is None:
            return requests
        return Coloured(requests, self.style_hint, hints, self.preprocess, self.hint_saturation)

    def _hints_of(self, names: Sequence[str]) -> list[Path | None] | None:
        """The file of hints of each picture, if any are given; all are read once, so that bad ones show at once."""
        if self.hints is None:
            return None
        files: list[Path | None] = [self.hints] * len(names)
        if self.hints.is_dir():
            by_name = hint_files(self.hints)
            files = [by_name.get(stem_of(name)) for name in names]
            if not any(files):
                raise ValueError(
                    f"none of the hints in {self.hints} has the name of a picture; {names[0]} would have "
                    f"{stem_of(names[0])}.png or {stem_of(names[0])}.json"
                )
            named = {stem_of(name) for name in names}
            if unused := [str(path) for name, path in by_name.items() if name not in named]:
                more = f" and {len(unused) - 3} more" if unused[3:] else ""
                warnings.warn(f"no picture has the name of the hints {', '.join(unused[:3])}{more}", stacklevel=2)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of hints lost at this size
            for path in dict.fromkeys(filter(None, files)):
                read_hints(path, (8, 8), self.hint_saturation)
        return files

    def drawing(self, name: str) -> Tensor:
        """The picture that a translation is made from, at its own size, in grey.

        Args:
            name: that the translation is written under, with or without its suffix.

        Returns:
            ``(1, H, W)`` in [0, 1].
        """
        picture = with_channels(self.read(self.targets[stem_of(name)]), 1)
        return to_levels(picture).float() / 255

    def dataset(self, split: Split) -> Dataset:
        if split != "test":
            raise ValueError("PictureFiles holds pictures to translate; to train use PairedFolders or UnpairedFolders")
        return self._pictures


class Requests(Dataset):
    """Pictures with what a translation may need besides: a class, and a seed for each of several samples.

    All pictures come for the first seed, then all of them for the next one.

    Args:
        pictures: samples of one side.
        side: "A" or "B".
        labels: numbers of the pictures' classes, or None.
        samples: how often each picture comes.
        seed: of the first time.
        of_drawings: the pictures are made from drawings; warn of empty ones.
    """

    def __init__(
        self,
        pictures: ConcatDataset,
        side: str,
        labels: Sequence[int | None],
        samples: int = 1,
        seed: int = 0,
        of_drawings: bool = False,
    ) -> None:
        self.pictures = pictures
        self.side = side
        self.labels = labels
        self.samples = samples
        self.seed = seed
        self.of_drawings = of_drawings

    def __len__(self) -> int:
        return self.samples * len(self.pictures)

    def __getitem__(self, key: int) -> dict[str, Any]:
        if not 0 <= key < len(self):
            raise IndexError(f"no sample {key} of {len(self)}")
        sample, index = divmod(key, len(self.pictures))
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", ".*have no line.*")  # without the file's name
            item: dict[str, Any] = {**self.pictures[index], "seed": self.seed + sample}
        if self.of_drawings and (item[self.side] == 1).all():
            warnings.warn(
                f"{item[f'{self.side}_path']} has no line: it is too faint, or not dark on white", stacklevel=2
            )
        name = f"{self.side}_name"
        item[name] = sample_name(item[name], sample, self.samples)
        if (label := self.labels[index]) is not None:
            item[f"{self.side}_label"] = label
        return item


class Coloured(Dataset):
    """Requests with the style and the colours that are wanted.

    Args:
        requests: what to colour.
        style_hint: vector of the style of all.
        hints: files of hints, one per picture.
        preprocess: what was done with the pictures; hints are resized and cropped alike.
        saturation: factor of the hints' saturation.
    """

    def __init__(
        self,
        requests: Requests,
        style_hint: Tensor | None,
        hints: Sequence[Path | None] | None,
        preprocess: Preprocess,
        saturation: float,
    ) -> None:
        self.requests = requests
        self.style_hint = style_hint
        self.hints = hints
        self.preprocess = preprocess
        self.saturation = saturation

    def __len__(self) -> int:
        return len(self.requests)

    def __getitem__(self, key: int) -> dict[str, Any]:
        item = self.requests[key]
        if self.style_hint is not None:
            item["style_hint"] = self.style_hint
        if self.hints is not None:
            path = self.hints[key % len(self.hints)]
            item["hints"] = self._hints(path, item[f"{self.requests.side}_size"].tolist())
        return item

    def _hints(self, path: Path | None, size: Sequence[int]) -> Tensor:
        """The hints of a picture of ``size`` (height, width)."""
        width, height = self.preprocess.scaled_size((size[1], size[0]))
        hints = torch.zeros(4, height, width) if path is None else read_hints(path, (height, width), self.saturation)
        if self.preprocess.crops:
            hints = F.center_crop(hints, [self.preprocess.crop_size])
        return hints


def _read_clean(path: Path, read: Callable[[Path], Picture], how: CleanLines) -> Picture:
    return clean_picture(read(path), how)


def sample_name(name: str, sample: int, samples: int) -> str:
    """The name that one of several translations of a picture is written under."""
    return name if samples == 1 else f"{stem_of(name)}_{sample + 1}.png"


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
