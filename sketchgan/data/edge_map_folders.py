"""Edge maps of photos, as ``sketchgan edges`` writes them or in the user's own folders."""

import copy
import functools
import json
import math
import os
import random
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from lightning.pytorch.utilities import rank_zero_warn
from torch import Tensor

from sketchgan.data.base import Split
from sketchgan.data.edge_shards import read_edge_manifests
from sketchgan.data.index import NameIndex, match, scan
from sketchgan.data.sketch_sources import SketchSource, read_photo, read_sketch
from sketchgan.data.source import class_of
from sketchgan.edges import sketch_to_distance
from sketchgan.ops import resize_area


class EdgeMapFolders(SketchSource):
    """Edge maps with their photos and classes, in one of two layouts.

    - The output of ``sketchgan edges``: ``root/edges.json`` and ``root/shard-…/manifest.jsonl``. Blank and unreadable
      pictures are left out. Photos come from the shards, or else from where they were when the maps were made.
    - Two trees of the user's: ``root/edges/<class>/x.png``, dark lines on white, with ``root/photos/<class>/x.jpg``.

    Args:
        root: the folder.
        split: "train" or "val"; "test" is "val" too.
        classes: sub-folders to take; by default every one. Labels are numbered in the order of their names.
        photos: folder of the photos that the maps were made from, if it has moved; for the first layout.
        val_fraction: of the pictures that is held out for validation, at random; none by default.
        size: side in pixels that pictures of other sizes are resized to, by area means and without regard to their
            proportions; by default that of the maps in the first layout, 256 in the second.
        seed: of the held-out fraction.

    Raises:
        FileNotFoundError: if a folder, a manifest or the photos are missing.
        ValueError: for an unknown class, a damaged manifest, maps without a photo, or if nothing remains.
    """

    def __init__(
        self,
        root: str | Path,
        split: Split = "train",
        classes: list[str] | None = None,
        photos: str | Path | None = None,
        val_fraction: float = 0.0,
        size: int | None = None,
        seed: int = 0,
    ) -> None:
        if split not in ("train", "val", "test"):
            raise ValueError(f'split must be "train", "val" or "test", got {split!r}')
        if not 0 <= val_fraction < 1:
            raise ValueError(f"val_fraction must be at least 0 and below 1, got {val_fraction}")
        self.root = Path(root)
        self.split = split
        self.wanted = classes
        self.photos = photos
        self.val_fraction = val_fraction
        self.asked_size = size
        self.seed = seed

    def part(self, split: Split) -> "EdgeMapFolders":
        part = copy.copy(self)  # with what was found: millions of rows are read once
        part.split = split
        part.__dict__.pop("_entries", None)
        return part

    @property
    def classes(self) -> tuple[str, ...]:  # type: ignore[override]
        """Names of the labels."""
        return self._found.classes

    def __len__(self) -> int:
        return len(self._entries)

    def sketch(self, index: int) -> Tensor:
        return self._resized(read_sketch(self.root / self._found.edges[self._entry(index)]).unsqueeze(0))[0]

    def distance(self, index: int) -> Tensor:
        found = self._found
        if found.distances is not None:
            field = read_sketch(self.root / found.distances[self._entry(index)])
            if field.shape == (found.size, found.size):  # a resized one would not be that of the resized lines
                return field
        return sketch_to_distance(read_sketch(self.root / found.edges[self._entry(index)]), found.size)

    def photo(self, index: int) -> Tensor:
        return self._resized(read_photo(self._found.photo_root / self._found.photos[self._entry(index)]))

    def label(self, index: int) -> int:
        return int(self._found.labels[self._entry(index)])

    def sketch_name(self, index: int) -> str:
        return self._found.edges[self._entry(index)].partition(f"edges{os.sep}")[2]

    def photo_name(self, index: int) -> str:
        name = self._found.photos[self._entry(index)]
        return name.partition(f"photo{os.sep}")[2] if name.startswith("shard-") else name

    def _entry(self, index: int) -> int:
        return int(self._entries[index])

    def _resized(self, levels: Tensor) -> Tensor:
        return resize_area(levels, self._found.size, self._found.size)

    @functools.cached_property
    def _entries(self) -> Tensor:
        """Which of all records are in this split."""
        count = len(self._found.labels)
        held_out = round(self.val_fraction * count)
        if self.split != "train" and not held_out:
            raise ValueError(
                f"no edge maps of {self.root} are held out for validation; give val_fraction, such as 0.05"
            )
        if self.split == "train" and held_out == count:
            raise ValueError(f"val_fraction {self.val_fraction} leaves none of the {count} edge maps of {self.root}")
        chosen = torch.zeros(count, dtype=torch.bool)
        chosen[random.Random(f"val/{self.seed}").sample(range(count), held_out)] = True
        return (~chosen if self.split == "train" else chosen).nonzero().flatten()

    @functools.cached_property
    def _found(self) -> "Found":
        if not self.root.is_dir():
            raise FileNotFoundError(f"no folder {self.root}")
        if (self.root / "edges.json").is_file():
            found = _in_shards(self.root, self.photos)
        elif (self.root / "edges").is_dir():
            found = _in_folders(self.root)
        else:
            raise FileNotFoundError(
                f"{self.root} has neither edges.json, which sketchgan edges writes, nor folders edges and photos; it "
                f"holds {', '.join(sorted(path.name for path in self.root.iterdir())[:8]) or 'nothing'}"
            )
        found = found if self.wanted is None else found.only(tuple(sorted(set(self.wanted))), self.root)
        return found if self.asked_size is None else replace(found, size=self.asked_size)


@dataclass(frozen=True)
class Found:
    """All records of a folder.

    Attributes:
        edges: maps, relative to the folder.
        distances: their distance fields likewise, if there are any.
        photos: relative to ``photo_root``.
        photo_root: a folder.
        labels: int64.
        classes: names of the labels.
        size: side in pixels that everything is brought to.
    """

    edges: NameIndex
    distances: NameIndex | None
    photos: NameIndex
    photo_root: Path
    labels: Tensor
    classes: tuple[str, ...]
    size: int

    def only(self, classes: tuple[str, ...], root: Path) -> "Found":
        """Some of the classes."""
        if unknown := [name for name in classes if name not in self.classes]:
            raise ValueError(f"{root} has no class {', '.join(unknown)}; there are {', '.join(self.classes)}")
        number = torch.tensor([classes.index(name) if name in classes else -1 for name in self.classes])
        labels = number[self.labels]
        kept = (labels >= 0).nonzero().flatten()

        def of(names: NameIndex) -> NameIndex:
            return NameIndex(os.fsencode(names[i]) for i in kept.tolist())

        distances = None if self.distances is None else of(self.distances)
        return replace(
            self,
            edges=of(self.edges),
            distances=distances,
            photos=of(self.photos),
            labels=labels[kept],
            classes=classes,
        )


def _in_folders(root: Path) -> Found:
    if not (root / "photos").is_dir():
        raise FileNotFoundError(f"no folder {root / 'photos'}, though {root / 'edges'} is there; both must be")
    edges, photos = match(scan(root / "edges"), scan(root / "photos"), f"{root}/edges and {root}/photos")
    names = [class_of(name, root / "edges") for name in edges]
    classes = tuple(sorted(set(names)))
    return Found(
        NameIndex(os.fsencode(os.path.join("edges", name)) for name in edges),
        None,
        photos,
        root / "photos",
        torch.tensor([classes.index(name) for name in names]),
        classes,
        256,
    )


def _in_shards(root: Path, photo_root: str | Path | None) -> Found:
    try:
        job = json.loads((root / "edges.json").read_text())
        expected, size = math.ceil(job["images"] / job["shard_size"]), int(job["pipeline"]["size"])
    except (KeyError, TypeError, ValueError) as error:
        raise ValueError(f"{root / 'edges.json'} is damaged ({error!r}); run sketchgan edges anew") from None
    if (finished := len(list(root.glob("shard-*")))) < expected:
        rank_zero_warn(f"only {finished} of {expected} shards of {root} are finished; the others are left out")
    edges: list[bytes] = []
    distances: list[bytes] = []
    photos: list[bytes] = []
    names: list[str] = []
    kept = None
    shard = "the first shard"
    try:
        for row in read_edge_manifests(root):
            shard = row["shard"]
            if row["status"] != "ok":
                continue
            kept = bool(row.get("photo")) if kept is None else kept
            edges.append(os.fsencode(os.path.join(shard, row["edges"])))
            distances.append(os.fsencode(os.path.join(shard, row["distance"])))
            photos.append(os.fsencode(os.path.join(shard, row["photo"]) if kept else row["source"]))
            names.append(row["class"])
    except (KeyError, TypeError) as error:
        raise ValueError(
            f"a manifest of {root} is damaged, in or after {shard}: {error!r}; remove that shard and make it again"
        ) from None
    if not names:
        raise ValueError(f"no finished shard of {root} holds an edge map; run sketchgan edges to its end")
    if None in names:
        at = os.fsdecode(photos[names.index(None)])  # type: ignore[arg-type]
        raise ValueError(f"{at} in {root} has no class; photos of a class are to lie in a sub-folder of its name")
    where = root if kept else Path(photo_root or job["root"])
    if not where.is_dir():
        raise FileNotFoundError(
            f"no folder {where}, where the photos were when the edge maps of {root} were made; say with photos= where "
            "they are"
        )
    classes = tuple(sorted(set(names)))
    number = {name: label for label, name in enumerate(classes)}
    labels = torch.tensor([number[name] for name in names])
    return Found(NameIndex(edges), NameIndex(distances), NameIndex(photos), where, labels, classes, size)
