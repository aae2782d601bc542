"""Which picture files there are: found once, kept small, shared by loader processes."""

import os
from array import array
from collections.abc import Iterable, Iterator, Sequence
from itertools import pairwise
from pathlib import Path
from typing import overload

import torch

from sketchgan.data.pictures import SUFFIXES

_SUFFIXES = frozenset(map(os.fsencode, SUFFIXES))
_SEPARATOR = os.fsencode(os.sep)


class NameIndex(Sequence[str]):
    """A million names in two tensors.

    A list of strings costs about three times as much, and every loader process would copy it: reading a Python object
    writes its reference count. Tensors are shared, however the process was started.

    Args:
        names: as the file system encodes them (`os.fsencode`).
    """

    def __init__(self, names: Iterable[bytes]) -> None:
        text, ends = bytearray(), array("q")
        for name in names:
            text += name
            ends.append(len(text))
        self._text = torch.frombuffer(text or bytearray(1), dtype=torch.uint8)
        self._ends = torch.frombuffer(ends, dtype=torch.int64) if ends else torch.empty(0, dtype=torch.int64)

    def __len__(self) -> int:
        return len(self._ends)

    @overload
    def __getitem__(self, index: int) -> str: ...

    @overload
    def __getitem__(self, index: slice) -> list[str]: ...

    def __getitem__(self, index: int | slice) -> str | list[str]:
        if isinstance(index, slice):
            return [self[i] for i in range(*index.indices(len(self)))]
        if not -len(self) <= index < len(self):
            raise IndexError(f"no name {index} of {len(self)}")
        index %= len(self)
        ends, text = self._ends.numpy(), self._text.numpy()
        return os.fsdecode(text[ends[index - 1] if index else 0 : ends[index]].tobytes())

    def __iter__(self) -> Iterator[str]:
        text, start = self._text.numpy().data, 0
        for end in self._ends.numpy():
            yield os.fsdecode(bytes(text[start:end]))
            start = end

    @property
    def nbytes(self) -> int:
        """Memory in bytes."""
        return self._text.nbytes + self._ends.nbytes


def scan(folder: Path) -> NameIndex:
    """Find the pictures under a folder, following links, sorted by path as in the official code.

    Files whose name starts with a dot and files of other kinds are left out.

    Args:
        folder: where to look.

    Returns:
        Names relative to ``folder``.

    Raises:
        FileNotFoundError: if there is no picture.
    """
    names = NameIndex(_walk(os.fsencode(folder), b"", frozenset()))
    if not len(names):
        raise FileNotFoundError(f"no pictures in {folder} (jpg, png, tif, webp, npy and others are looked for)")
    return names


def _walk(root: bytes, inside: bytes, above: frozenset[tuple[int, int]]) -> Iterator[bytes]:
    here = os.path.join(root, inside)
    status = os.stat(here)
    if (identity := (status.st_dev, status.st_ino)) in above:
        return  # a link that leads back up
    found = []
    with os.scandir(here) as entries:
        for entry in entries:
            if entry.name.startswith(b"."):
                continue
            if entry.is_dir():
                found.append(entry.name + _SEPARATOR)  # so that sorting a folder at a time sorts whole paths
            elif os.path.splitext(entry.name)[1].lower() in _SUFFIXES:
                found.append(entry.name)
    for name in sorted(found):
        if name.endswith(_SEPARATOR):
            yield from _walk(root, inside + name, above | {identity})
        else:
            yield inside + name


def stem_of(name: str, side: str = "") -> str:
    """What the two files of a pair have in common: the path without suffix, and without an ending ``_A`` or ``_B``."""
    stem = os.path.splitext(name)[0]
    return stem.removesuffix(f"_{side}") if side else stem


def match(a: NameIndex, b: NameIndex, what: str) -> tuple[NameIndex, NameIndex]:
    """Order two folders' names so that those with the same stem stand at the same place.

    Args:
        a: names of side A.
        b: names of side B.
        what: folders, for the error.

    Raises:
        ValueError: listing names without a partner, or two names with one stem.
    """
    ordered_a, ordered_b = (sorted(names, key=lambda name: stem_of(name, side)) for names, side in ((a, "A"), (b, "B")))
    same = len(a) == len(b) and all(
        stem_of(x, "A") == stem_of(y, "B") for x, y in zip(ordered_a, ordered_b, strict=True)
    )
    if same:
        for side, ordered in (("A", ordered_a), ("B", ordered_b)):
            for x, y in pairwise(ordered):
                if stem_of(x, side) == stem_of(y, side):
                    raise ValueError(f"{what}: {x} and {y} have the same stem; pairs are matched by it, rename one")
        return NameIndex(map(os.fsencode, ordered_a)), NameIndex(map(os.fsencode, ordered_b))
    stems_a, stems_b = {stem_of(x, "A") for x in a}, {stem_of(y, "B") for y in b}
    alone = [_some(f"only in {side}", stems) for side, stems in (("A", stems_a - stems_b), ("B", stems_b - stems_a))]
    doubled = len(a) - len(stems_a) + len(b) - len(stems_b)
    problem = "; ".join(filter(None, alone)) or f"{doubled} stems occur twice"
    raise ValueError(
        f"{what} do not match: {problem}. Files of a pair have the same name apart from the suffix (and an ending _A, "
        "_B); add or remove the others, or use UnpairedFolders"
    )


def _some(what: str, names: Iterable[str], most: int = 5) -> str:
    ordered = sorted(names)
    if not ordered:
        return ""
    more = f" and {len(ordered) - most} more" if len(ordered) > most else ""
    return f"{what}: {', '.join(ordered[:most])}{more}"
