"""From picture files to samples: which files belong together, and what is drawn for them."""

import os
import random
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import torch
from lightning.pytorch.utilities import rank_zero_warn
from torch import Tensor
from torch.utils.data import Dataset
from torchvision.transforms.v2 import functional as F

from sketchgan.data.hint_cache import Paintings
from sketchgan.data.index import NameIndex, stem_of
from sketchgan.data.pictures import PictureError, with_channels
from sketchgan.data.sketch_input import SketchInput
from sketchgan.data.transforms import Picture, Preprocess, size_of, to_tensor

OnBadImage = Literal["raise", "skip"]


@dataclass(frozen=True)
class Source:
    """The picture files of a split: one per entry, or several that belong together, or one that holds two side by side.

    Attributes:
        folders: where they are; two for pairs in two trees, more where A exists several times.
        names: relative to the folders.
        entries: which of the names, int64.
        read: reads a file.
        channels: of the pictures of an entry.
        preprocess: what will be done with them; here only asked whether they are large enough.
        classes: sub-folders that are labels, if they are.
        doubled: names without suffix that several files have; see ``written``.
    """

    folders: tuple[Path, ...]
    names: tuple[NameIndex, ...]
    entries: Tensor
    read: Callable[[Path], Picture]
    channels: tuple[int, ...]
    preprocess: Preprocess
    classes: tuple[str, ...] = ()
    doubled: frozenset[str] = frozenset()

    def __len__(self) -> int:
        return len(self.entries)

    def name(self, index: int, side: int = 0) -> str:
        """Of one file of an entry, relative to its folder."""
        return self.names[side % len(self.names)][int(self.entries[index])]

    def written(self, index: int, side: int = 0) -> str:
        """The name that its translation is written under, once the suffix is replaced: that of no other file."""
        name = self.name(index, side)
        return f"{name}.png" if stem_of(name) in self.doubled else name

    def label(self, index: int) -> int:
        """Number of the entry's class."""
        return self.classes.index(class_of(self.name(index), self.folders[0]))

    def pictures(self, index: int) -> list[Picture]:
        """Read an entry.

        Raises:
            PictureError: naming the file.
        """
        paths = [folder / self.name(index, side) for side, folder in enumerate(self.folders)]
        pictures = [self.read(path) for path in paths]
        if len(pictures) < len(self.channels):  # side by side
            width, height = size_of(pictures[0])
            if width < 2:
                raise PictureError(f"{paths[0]} is one pixel wide; it has no room for A and B side by side")
            half = width // 2
            pictures = [F.crop(pictures[0], 0, *at) for at in ((0, height, half), (half, height, width - half))]
        try:
            pictures = [with_channels(p, channels) for p, channels in zip(pictures, self.channels, strict=True)]
            sizes = {self.preprocess.scaled_size(size_of(picture)) for picture in pictures}
        except ValueError as error:
            raise PictureError(f"{paths[0]} {error}") from None
        if len(sizes) > 1:
            *a, b = ("x".join(map(str, size_of(picture))) for picture in pictures)
            raise PictureError(
                f"{paths[0]}: A is {' or '.join(a)} and B {b} pixels; a pair needs one size unless "
                "preprocess='resize_and_crop'"
            )
        return pictures

    def paintings(self, side: int, root: Path, settings: str = "") -> Paintings:
        """The pictures of one side, for their style.

        Args:
            side: which of the one or two pictures of an entry.
            root: folder of the data.
            settings: of the reading, if pictures depend on any.
        """
        folder = self.folders[side % len(self.folders)]
        half = side if len(self.folders) < len(self.channels) else ""  # side by side in a file

        def stamp(index: int) -> str:
            status = os.stat(folder / self.name(index, side))
            return f"{status.st_size} {status.st_mtime_ns} {half} {self.channels[side]} {settings}"

        def read(index: int) -> Tensor:
            if len(self.folders) == 1:
                return to_tensor(with_channels(self.pictures(index)[side], 3))
            path = folder / self.name(index, side)
            picture = self.read(path)  # without its partner
            try:
                return to_tensor(with_channels(with_channels(picture, self.channels[side]), 3))
            except PictureError as error:
                raise PictureError(f"{path} {error}") from None

        scope = os.path.relpath(folder, root)
        return Paintings(len(self), lambda index: self.name(index, side), stamp, read, scope, root)

    def only(self, entries: Iterable[int]) -> "Source":
        """Some of the entries."""
        return replace(self, entries=self.entries[torch.tensor(sorted(entries), dtype=torch.int64)])

    def find_bad(self, world: tuple[int, int]) -> dict[int, str]:
        """Read everything once, shared among the processes, and say what cannot be read.

        Args:
            world: number of processes, and which of them this is.

        Returns:
            Messages by entry.
        """

        def problem(index: int) -> str:
            try:
                self.pictures(index)
            except PictureError as error:
                return str(error)
            return ""

        size, rank = world
        workers = max(1, (os.cpu_count() or 1) // size)
        bad: dict[int, str] = {}
        with ThreadPoolExecutor(workers) as threads:  # decoders leave the interpreter free
            for start in range(rank, len(self), 4096 * size):  # piecewise: a million waiting tasks take memory too
                block = range(start, min(start + 4096 * size, len(self)), size)
                bad |= {i: message for i, message in zip(block, threads.map(problem, block), strict=True) if message}
        if size > 1:
            parts: list[Any] = [None] * size
            torch.distributed.all_gather_object(parts, bad)
            bad = {i: message for part in parts for i, message in part.items()}
        return dict(sorted(bad.items()))


SidesOf = tuple[tuple[str, ...], Source]
"""A source, and which sides its pictures are: ``("A", "B")`` for pairs, ``("A",)`` for a domain."""


def leave_out_bad(
    sources: list[Source], world: tuple[int, int], on_bad_image: OnBadImage
) -> tuple[list[Source], list[str]]:
    """Find the entries that cannot be read, and leave them out.

    Args:
        sources: all entries.
        world: number of processes, and which of them this is.
        on_bad_image: "skip" warns, "raise" does not accept any.

    Returns:
        Sources without those entries, some perhaps with none left, and messages on what was left out.

    Raises:
        PictureError: listing the files.
    """
    bad = [source.find_bad(world) for source in sources]
    messages = [message for found in bad for message in found.values()]
    if not messages:
        return sources, []
    problem = f"{len(messages)} of {sum(map(len, sources))} pictures cannot be used"
    listed = "".join(f"\n  {message}" for message in messages[:10])
    listed += f"\n  and {len(messages) - 10} more" if len(messages) > 10 else ""
    if on_bad_image == "raise":
        raise PictureError(f"{problem}; repair or remove them, or leave them out with on_bad_image='skip':{listed}")
    if len(messages) == sum(map(len, sources)):
        raise PictureError(f"none of the pictures can be used:{listed}")
    rank_zero_warn(f"{problem} and are left out:{listed}")
    readable = [
        source.only(i for i in range(len(source)) if i not in found) if found else source
        for source, found in zip(sources, bad, strict=True)
    ]
    return readable, messages


def doubled_names(names: Iterable[str]) -> frozenset[str]:
    """Names without suffix that occur more than once, for instance x of x.jpg and x.png."""
    once: set[str] = set()
    twice: set[str] = set()
    for name in names:
        (twice if stem_of(name) in once else once).add(stem_of(name))
    return frozenset(twice)


def class_of(name: str, folder: Path) -> str:
    """The sub-folder that is a picture's label."""
    first, separator, _ = name.partition(os.sep)
    if not separator:
        raise ValueError(
            f"{folder / name} is in no sub-folder; with class labels every picture lies in the sub-folder of its class"
        )
    return first


class PictureSet(Dataset):
    """Samples of the batch contract from one source of pairs, or from one source per domain.

    Args:
        sources: each with the names of the sides that it gives: ``("A", "B")`` for pairs, ``("A",)`` for a domain.
        preprocess: how pictures become tensors; in training with one draw per source. (`SketchInput` draws nothing.)
        training: samples are indexed by (epoch, index), partners and augmentation drawn; otherwise nothing is.
        seed: of these draws.
    """

    def __init__(
        self, sources: list[SidesOf], preprocess: Preprocess | SketchInput, training: bool = False, seed: int = 0
    ) -> None:
        self.sources = sources
        self.preprocess = preprocess
        self.training = training
        self.seed = seed

    def __len__(self) -> int:
        return max(len(source) for _, source in self.sources)

    def __getitem__(self, key: int | tuple[int, int]) -> dict[str, Any]:
        epoch, index = key if isinstance(key, tuple) else (0, key)
        if not 0 <= index < len(self):
            raise IndexError(f"no sample {index} of {len(self)}")
        rng = random.Random(f"{self.seed}/{epoch}/{index}")
        sample: dict[str, Any] = {}
        for number, (sides, source) in enumerate(self.sources):
            i = index
            if self.training:  # the second domain at random, as in the official code
                i = rng.randrange(len(source)) if number else index % len(source)
            elif index >= len(source):
                continue
            pictures = source.pictures(i)
            draw = self.preprocess.make_params(rng, size_of(pictures[0])) if self.training else None
            for place, (side, picture) in enumerate(zip(sides, pictures, strict=True)):
                sample[side] = self.preprocess(picture, draw)
                sample[f"{side}_path"] = source.name(i, place)
                if not self.training:
                    width, height = size_of(picture)
                    sample |= {f"{side}_name": source.written(i, place), f"{side}_size": torch.tensor([height, width])}
                if source.classes:
                    sample[f"{side}_label"] = source.label(i)
        return sample
