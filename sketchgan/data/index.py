"""Which picture files there are: found once, kept small, shared by loader processes."""

import os
from collections.abc import Iterable, Sequence
from itertools import pairwise
from pathlib import Path
from typing import overload

import numpy as np
import torch

from sketchgan.data.pictures import SUFFIXES


class NameIndex(Sequence[str]):
    """A million names in two tensors.

    A list of strings costs about three times as much, and every loader process would copy it: reading a Python object
    writes its reference count. Tensors are shared, however the process was started.

    Args:
        names: as the file system encodes them (`os.fsencode`).
    """

    def __init__(self, names: Sequence[bytes]) -> None:
        ends = np.cumsum(np.fromiter(map(len, names), np.int64, len(names)))
        self._ends = torch.from_numpy(ends)
        self._text = torch.frombuffer(bytearray(b"".join(names)) or bytearray(1), dtype=torch.uint8)

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
        start = int(self._ends[index - 1]) if index else 0
        return os.fsdecode(self._text[start : int(self._ends[index])].numpy().tobytes())

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
    """
    names: list[bytes] = []
    suffixes = {suffix.encode() for suffix in SUFFIXES}
    waiting = [(b"", frozenset[tuple[int, int]]())]
    while waiting:
        inside, above = waiting.pop()
        here = os.path.join(os.fsencode(folder), inside)
        status = os.stat(here)
        if (identity := (status.st_dev, status.st_ino)) in above:
            continue  # a link that leads back up
        with os.scandir(here) as entries:
            for entry in entries:
                if entry.name.startswith(b"."):
                    continue
                name = os.path.join(inside, entry.name)
                if entry.is_dir():
                    waiting.append((name, above | {identity}))
                elif os.path.splitext(entry.name)[1].lower() in suffixes:
                    names.append(name)
    names.sort()
    return NameIndex(names)


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
        return NameIndex([os.fsencode(x) for x in ordered_a]), NameIndex([os.fsencode(y) for y in ordered_b])
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
