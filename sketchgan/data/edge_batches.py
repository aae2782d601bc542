"""Photographs in batches, and the files that are made of each: what the processes of `make_edge_maps` do."""

import bisect
import io
import itertools
import os
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Protocol

import torch
from torch import Tensor
from torch.utils.data import Dataset
from torchvision.transforms.v2 import functional as F

from sketchgan.data.edge_shards import Row
from sketchgan.data.files import PictureFiles
from sketchgan.data.index import stem_of
from sketchgan.data.pictures import PictureError
from sketchgan.data.transforms import to_levels
from sketchgan.edges import EdgeMaps, drawn_lines
from sketchgan.ops.resize import resize_area

PhotoFormat = Literal["jpeg", "png"]
Files = dict[str, bytes]

BLANK_SIZE = 64  # SketchyGAN's own; maps that are all black or all white there are of no use
PNG_LEVEL = 6


class Pipeline(Protocol):
    """What `make_edge_maps` needs of an `EdgePipeline`."""

    @property
    def size(self) -> int | None:
        """Side of the maps."""

    def strength(self, photos: Tensor) -> Tensor: ...

    def from_strength(self, strength: Tensor) -> EdgeMaps: ...

    def settings(self) -> dict[str, Any]: ...


class Photographs:
    """The pictures of one or several inputs, numbered, upright and resized to a square.

    Args:
        inputs: files, and folders that are searched.
        size: side in pixels.

    Attributes:
        inputs: as given.
        root: the folder that `source` is relative to.

    Raises:
        FileNotFoundError: if an input does not exist, or a folder holds no picture.
        ValueError: without inputs, and if maps of two pictures would have the same name.
    """

    def __init__(self, inputs: str | Path | Sequence[str | Path], size: int) -> None:
        files = PictureFiles(inputs)
        self.inputs, self.sources, self.size = files.inputs, files.sources, size
        self.starts = list(itertools.accumulate((len(source) for source in self.sources), initial=0))
        folders = [source.folders[0].absolute() for source in self.sources]
        self.root = Path(os.path.commonpath(folders))
        self.inside = [folder.relative_to(self.root) for folder in folders]
        names: set[str] = set()
        for i in range(len(self)):
            if (name := self.name(i)) in names:
                raise ValueError(f"maps of two pictures would be called {name}; rename {self.source(i)} or the other")
            names.add(name)

    def __len__(self) -> int:
        return self.starts[-1]

    def _find(self, index: int) -> tuple[int, int]:
        number = bisect.bisect_right(self.starts, index) - 1
        return number, index - self.starts[number]

    def name(self, index: int) -> str:
        """What its files are called, without suffix: its path in its input."""
        number, i = self._find(index)
        return stem_of(self.sources[number].written(i))

    def source(self, index: int) -> str:
        """Its path relative to ``root``."""
        number, i = self._find(index)
        return str(self.inside[number] / self.sources[number].name(i))

    def read(self, index: int) -> tuple[Row, Tensor]:
        """The beginnings of a manifest row, and the picture, uint8 ``(3, size, size)``; zeros if it cannot be read."""
        number, i = self._find(index)
        source = self.sources[number]
        folder, _, _ = source.name(i).rpartition(os.sep)
        row: Row = {"source": self.source(index), "class": folder.partition(os.sep)[0] or None}
        row |= dict.fromkeys(("edges", "distance", "width", "height", "line_pixels"))
        try:
            (picture,) = source.pictures(i)
        except PictureError as error:
            message = str(error).replace(str(source.folders[0] / source.name(i)), row["source"])
            row |= {"status": "unreadable", "message": message}
            return row, torch.zeros(3, self.size, self.size, dtype=torch.uint8)
        levels = to_levels(picture)
        row |= {"width": levels.shape[2], "height": levels.shape[1], "status": "ok"}
        return row, resize_area(levels, self.size, self.size)


@dataclass
class Batch:
    """Some pictures of one shard.

    Attributes:
        shard: its number.
        last: whether the shard is complete with them.
        rows: their manifest rows; ``names``: what their files are called.
        photos: uint8 ``(N, 3, size, size)``, if their maps are still to be made.
        files: their files, if they are made.
    """

    shard: int
    last: bool
    rows: list[Row]
    names: list[str]
    photos: Tensor | None = None
    files: list[Files] | None = None


class Batches(Dataset):
    """The work, batch by batch, none across two shards.

    Args:
        photographs: all pictures.
        numbers: of the shards to make.
        shard_size: pictures per shard.
        batch_size: pictures per batch.
        pipeline: makes the maps here, in the process that reads; without one the photos are handed on.
        keep_photos: as in `make_edge_maps`.
    """

    def __init__(
        self,
        photographs: Photographs,
        numbers: Sequence[int],
        shard_size: int,
        batch_size: int,
        pipeline: Pipeline | None,
        keep_photos: PhotoFormat | None,
    ) -> None:
        self.photographs = photographs
        self.pipeline = pipeline
        self.keep_photos: PhotoFormat | None = keep_photos
        self.batches: list[tuple[int, range, bool]] = []
        for number in numbers:
            shard = range(number * shard_size, min((number + 1) * shard_size, len(photographs)))
            for start in range(0, len(shard), batch_size):
                self.batches.append((number, shard[start : start + batch_size], start + batch_size >= len(shard)))

    def __len__(self) -> int:
        return len(self.batches)

    def __getitem__(self, index: int) -> Batch:
        number, indices, last = self.batches[index]
        rows, photos = zip(*map(self.photographs.read, indices), strict=True)
        batch = Batch(number, last, list(rows), [self.photographs.name(i) for i in indices])
        batch.photos = torch.stack(photos)
        if self.pipeline is not None:
            # On a CPU a network's sums may depend on the size of the batch, and one photo at a time stays in the cache;
            # the stages after it treat each pixel alike, and are faster together.
            maps = make_maps(self.pipeline, batch.photos, one_by_one=True)
            values = zip(batch.rows, batch.names, batch.photos, *maps, strict=True)
            batch.files, batch.photos = [finish(*each, self.keep_photos) for each in values], None
        return batch


def make_maps(pipeline: Pipeline, photos: Tensor, one_by_one: bool = False) -> EdgeMaps:
    """Edges and distance fields of photos, uint8 ``(N, 3, size, size)``, on their device.

    Args:
        pipeline: detector and stages.
        photos: any number of them.
        one_by_one: show the detector each photo alone.
    """
    with torch.inference_mode(), warnings.catch_warnings():
        warnings.filterwarnings("ignore", ".*no line.*")  # blank maps are counted
        parts = (photos.float() / 255).split(1 if one_by_one else len(photos))
        return pipeline.from_strength(torch.cat([pipeline.strength(part) for part in parts]))


def finish(
    row: Row, name: str, photo: Tensor, edges: Tensor, distance: Tensor, keep_photos: PhotoFormat | None
) -> Files:
    """Complete a picture's row, and encode its files unless it could not be read or its map is blank.

    Args:
        row: of the picture; it is changed.
        name: of the files, without suffix.
        photo: uint8 ``(3, S, S)``.
        edges: bool ``(S, S)``.
        distance: uint8 ``(S, S)``.
        keep_photos: as in `make_edge_maps`.
    """
    if row["status"] == "unreadable":
        return {}
    row["line_pixels"] = int(edges.sum())
    drawing = torch.where(edges, 0, 255).to(torch.uint8)
    small = drawn_lines(drawing, BLANK_SIZE) if len(drawing) > BLANK_SIZE else edges
    if edges.all() or small.all() or not small.any():
        row["status"] = "blank"
        return {}
    row |= {"edges": f"edges/{name}.png", "distance": f"distance/{name}.png"}
    files = {row["edges"]: _png(drawing), row["distance"]: _png(distance)}
    if keep_photos:
        row["photo"] = f"photo/{name}.{'jpg' if keep_photos == 'jpeg' else 'png'}"
        files[row["photo"]] = _jpeg(photo) if keep_photos == "jpeg" else _png(photo)
    return files


def _png(levels: Tensor) -> bytes:
    """Of uint8 ``(H, W)`` or ``(3, H, W)``."""
    buffer = io.BytesIO()
    F.to_pil_image(levels).save(buffer, "PNG", compress_level=PNG_LEVEL)
    return buffer.getvalue()


def _jpeg(photo: Tensor) -> bytes:
    """As the records of SketchyGAN's photographs."""
    buffer = io.BytesIO()
    F.to_pil_image(photo).save(buffer, "JPEG", quality=95, subsampling=0)
    return buffer.getvalue()
