"""Style vectors of the training paintings, computed once and kept beside the data."""

import functools
import hashlib
import os
import shutil
import sys
import tempfile
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from lightning.pytorch.utilities import rank_zero_info
from torch import Tensor

from sketchgan.data.hint_blocks import Block, hashes, read_blocks, remove_leftovers, write_block
from sketchgan.networks.style_encoders import StyleEncoder
from sketchgan.ops.distributed import in_step

BLOCK = 512  # pictures that are computed again if the process is killed, at most


@dataclass(frozen=True)
class Paintings:
    """The pictures of side B that training uses: whole, in their own size, without augmentation.

    Attributes:
        count: how many.
        name: what batches call one, ``"B_path"``.
        stamp: text that changes when the picture does.
        read: one as float ``(3, h, w)`` in [-1, 1].
        scope: tells pictures of one name in several places apart.
        root: folder of the data, to keep vectors in; none for data that is embedded in the package.
    """

    count: int
    name: Callable[[int], str]
    stamp: Callable[[int], str]
    read: Callable[[int], Tensor]
    scope: str
    root: Path | None = None


class HintCache:
    """Style vectors by the names of pictures: called with ``batch["B_path"]``, it returns ``(N, D)`` float32.

    The vectors stay on the disk until they are asked for; a picture costs sixteen bytes of memory.

    Args:
        paintings: the pictures.
        names: hashes of their names.
        keys: hashes of their names and contents.
        blocks: which have the vectors of all of them.
    """

    def __init__(self, paintings: Paintings, names: np.ndarray, keys: np.ndarray, blocks: Sequence[Block]) -> None:
        order = np.argsort(names)
        self._scope = paintings.scope
        self._names = names[order]
        if (twice := np.flatnonzero(self._names[1:] == self._names[:-1])).size:
            one, other = (paintings.name(int(order[twice[0] + i])) for i in (0, 1))
            raise ValueError(f"the hash of {one} is that of {other}; rename one of them")
        stored = np.concatenate([block.keys for block in blocks])
        by_key = np.argsort(stored)
        self._rows = by_key[np.searchsorted(stored, keys[order], sorter=by_key)]
        self._starts = np.cumsum([0, *(len(block.keys) for block in blocks)])
        self._vectors = [block.vectors for block in blocks]

    def __len__(self) -> int:
        return len(self._names)

    @property
    def hint_dim(self) -> int:
        """Length of a vector."""
        return int(self._vectors[0].shape[1])

    def __call__(self, names: Sequence[str]) -> Tensor:
        """Vectors ``(N, D)``, float32 on the CPU, of the pictures of these names.

        Raises:
            ValueError: for the name of a picture that is not one of them.
        """
        wanted = hashes(f"{self._scope}/{name}" for name in names)
        places = np.searchsorted(self._names, wanted).clip(max=len(self) - 1)
        if (unknown := np.flatnonzero(self._names[places] != wanted)).size:
            raise ValueError(
                f"no style hint of {names[unknown[0]]} is cached, only those of the {len(self)} training pictures; "
                "encode it"
            )
        rows = self._rows[places]
        blocks = np.searchsorted(self._starts, rows, side="right") - 1
        found = [self._vectors[block][row - self._starts[block]] for block, row in zip(blocks, rows, strict=True)]
        return torch.from_numpy(np.stack(found).astype(np.float32))


def cache_hints(
    paintings: Paintings,
    encoder: StyleEncoder,
    hint_folder: str | Path | None = None,
    half: bool = False,
    device: torch.device | str = "cpu",
    batch_size: int = 16,
    world: tuple[int, int] = (1, 0),
    block: int = BLOCK,
) -> HintCache:
    """Compute the style vectors that are not stored yet, and open all of them.

    They are kept in ``.sketchgan/hints-<encoder>-<fingerprint>`` in the folder of the data; where nothing can be
    written, and for embedded data, in ``$XDG_CACHE_HOME/sketchgan`` (``~/.cache/sketchgan``). A vector is found by the
    encoder's layer, preprocessing and weights, and the picture's name, size and time of change; only what is not found
    is computed. Vectors of pictures that changed or are gone stay until the folder is deleted. A killed run goes on
    where it stopped, at most a block earlier. Processes share the work; if one fails, all stop.

    Args:
        paintings: the pictures.
        encoder: makes the vectors.
        hint_folder: where to keep them instead.
        half: store float16, half the size (the vectors of 100,000 paintings by "vgg19" take 1.6 GB in float32).
        device: to compute on.
        batch_size: pictures of one size that are encoded together.
        world: number of processes, and which of them this is.
        block: pictures per file.

    Raises:
        FileNotFoundError: if the encoder has no weights.
        PictureError: for a picture that cannot be read.
        OSError: if nothing can be written, or the disk is too small.
        ValueError: without pictures, for vectors that are not finite, and for a ``batch_size`` or ``block`` below 1.
        RuntimeError: if another process failed.
    """
    if min(batch_size, block) < 1:
        raise ValueError(f"batch_size and block must be at least 1, got {batch_size} and {block}")
    job = _Job(paintings, encoder, hint_folder, half, torch.device(device), batch_size)
    # A look together, so that nobody has written before everybody knows what is missing.
    if any(in_step(job.look, world)):
        job.announce()
        mine = job.missing[job.missing % world[0] == world[1]]
        with _bar(len(mine), world[1]) as job.advance:
            for number in range(max(in_step(lambda: -(-len(mine) // block), world))):
                # Every round ends together: none waits for another longer than a block takes.
                in_step(functools.partial(job.make, mine[number * block : (number + 1) * block]), world)
            in_step(lambda: job.make_rest(block), world)
    return HintCache(paintings, job.names, job.keys, job.blocks)


class _Job:
    """What one process does; see `cache_hints`."""

    def __init__(
        self,
        paintings: Paintings,
        encoder: StyleEncoder,
        hint_folder: str | Path | None,
        half: bool,
        device: torch.device,
        batch_size: int,
    ) -> None:
        self.paintings = paintings
        self.encoder = encoder
        self.hint_folder = hint_folder
        self.dtype = np.dtype(np.float16 if half else np.float32)
        self.device = device
        self.batch_size = batch_size
        self.advance: Callable[[int], None] = lambda count: None
        self.folders: list[Path] = []
        self.names = self.keys = np.empty(0, np.uint64)
        self.missing = np.empty(0, np.int64)
        self.blocks: list[Block] = []

    def look(self) -> int:
        """Find out what is missing."""
        paintings = self.paintings
        if not self.folders:
            if not paintings.count:
                raise ValueError("there are no paintings to encode the style of")
            self.about = {
                "encoder": self.encoder.name,
                "fingerprint": self.encoder.fingerprint(),
                "hint_dim": str(self.encoder.hint_dim),
                "dtype": self.dtype.name,
            }
            self.folders = self._folders()
            every = range(paintings.count)
            self.names = hashes(f"{paintings.scope}/{paintings.name(i)}" for i in every)
            self.keys = hashes(f"{paintings.scope}/{paintings.name(i)}\0{paintings.stamp(i)}" for i in every)
        self.blocks = read_blocks(self.folders, self.about)
        stored = np.concatenate([self.keys[:0], *(block.keys for block in self.blocks)])
        self.missing = np.flatnonzero(~np.isin(self.keys, stored))
        return len(self.missing)

    def _folders(self) -> list[Path]:
        """Where vectors may be, best first."""
        kind = "-half" if self.dtype == np.float16 else ""
        inside = f"hints-{self.encoder.name}{kind}-{self.about['fingerprint'][:12]}"
        if self.hint_folder is not None:
            return [Path(self.hint_folder, inside)]
        home = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache", "sketchgan")
        root = self.paintings.root
        if root is None:
            return [home / inside]
        root = root.absolute()
        away = f"{root.name}-{hashlib.sha256(os.fsencode(root)).hexdigest()[:12]}"
        return [root / ".sketchgan" / inside, home / away / inside]

    def announce(self) -> None:
        """Say once what is computed, and why."""
        known = np.concatenate([self.names[:0], *(block.names for block in self.blocks)])
        changed = int(np.isin(self.names[self.missing], known).sum())
        gone = len(np.setdiff1d(known, self.names))
        rank_zero_info(
            f"Style hints: {self.encoder.name} encodes {len(self.missing)} of {len(self.names)} paintings "
            f"({len(self.missing) - changed} new, {changed} changed" + (f"; {gone} others are stored)" if gone else ")")
        )

    def make(self, entries: np.ndarray) -> None:
        """Encode some pictures, if there are any, and write them as a block."""
        if not len(entries):
            return
        folder = self._writable(len(entries) * self.encoder.hint_dim * self.dtype.itemsize)
        vectors = np.empty((len(entries), self.encoder.hint_dim), self.dtype)
        for places, found in self._encoded(entries.tolist()):
            with np.errstate(over="ignore"):
                vectors[places] = found
            if (broken := np.flatnonzero(~np.isfinite(vectors[places]).all(1))).size:
                raise ValueError(
                    f"the style hint of {self.paintings.name(int(entries[places[broken[0]]]))} is not finite in "
                    f"{self.dtype.name}; " + ("use half=False" if np.isfinite(found).all() else "check the weights")
                )
            self.advance(len(places))
        write_block(folder, Block(self.names[entries], self.keys[entries], vectors), self.about)

    def make_rest(self, block: int) -> None:
        """What other processes have made but this one cannot see, as they wrote to another disk."""
        self.look()
        for start in range(0, len(self.missing), block):
            self.make(self.missing[start : start + block])
        self.look()

    def _encoded(self, entries: list[int]) -> Iterator[tuple[list[int], np.ndarray]]:
        """Vectors of pictures, with their places in ``entries``; the next ones are read meanwhile."""

        def read(place: int) -> Tensor:
            return self.encoder.fit(self.paintings.read(entries[place])[None])

        every = range(len(entries))
        chunks = [every[start : start + self.batch_size] for start in every[:: self.batch_size]]
        with ThreadPoolExecutor(min(self.batch_size, os.cpu_count() or 1)) as threads:
            ahead = [threads.submit(read, place) for place in chunks[0]]
            for chunk, following in zip(chunks, [*chunks[1:], ()], strict=True):
                pictures = [reading.result() for reading in ahead]
                ahead = [threads.submit(read, place) for place in following]
                of_size: dict[torch.Size, list[int]] = defaultdict(list)
                for i, picture in enumerate(pictures):
                    of_size[picture.shape].append(i)
                for alike in of_size.values():
                    batch = torch.cat([pictures[i] for i in alike]).to(self.device)
                    yield [chunk[i] for i in alike], self.encoder(batch).cpu().numpy()

    def _writable(self, needed: int) -> Path:
        """The best folder that a file can be written to."""
        problems = []
        for folder in self.folders:
            try:
                folder.mkdir(parents=True, exist_ok=True)
                with tempfile.TemporaryFile(dir=folder):
                    pass
            except OSError as error:
                problems.append(f"{folder}: {error.strerror or error}")
                continue
            remove_leftovers(folder)
            if (free := shutil.disk_usage(folder).free) < needed:
                raise OSError(
                    f"{folder} has {free / 1e9:.1f} GB left, and the next style hints need {needed / 1e9:.1f} GB; make "
                    "room, or give another hint_folder"
                )
            return folder
        raise PermissionError(f"style hints cannot be written ({'; '.join(problems)}); give a hint_folder that can be")


@contextmanager
def _bar(count: int, rank: int) -> Iterator[Callable[[int], None]]:
    """A progress bar of the first process on a terminal; what it gives is told how many pictures are done."""
    from rich.progress import Progress

    with Progress(disable=rank > 0 or not sys.stderr.isatty()) as progress:
        task = progress.add_task("Style hints", total=count)
        yield lambda done: progress.advance(task, done)
