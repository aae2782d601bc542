"""Sketches with the photos that they show and a class: what `Mixture` draws from."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor

from sketchgan.data.base import Split
from sketchgan.data.pictures import read_picture, with_channels
from sketchgan.data.transforms import Picture, to_levels
from sketchgan.edges import sketch_to_distance


class SketchSource(ABC):
    """Records of a sketch (by a person, or an edge map), its photo and its class, of one split.

    Pictures are bytes, 0 to 255, and square as a rule; a record's sketch and photo show the same place at the same
    size. Sources are plain objects that a loader process can take over, and serve alone as well.

    Attributes:
        classes: names of the labels, in the order of their numbers.
    """

    classes: tuple[str, ...]

    @abstractmethod
    def __len__(self) -> int: ...

    @abstractmethod
    def sketch(self, index: int) -> Tensor:
        """Dark lines on white, uint8 ``(H, W)``."""

    def distance(self, index: int) -> Tensor:
        """Distance field of the sketch, uint8 ``(H, W)``: 0 on a line, 255 where a line is farthest."""
        return sketch_to_distance(self.sketch(index))

    @abstractmethod
    def photo(self, index: int) -> Tensor:
        """Colours, uint8 ``(3, H, W)``."""

    @abstractmethod
    def label(self, index: int) -> int:
        """Number of the class."""

    @abstractmethod
    def sketch_name(self, index: int) -> str:
        """Path under which other records have none, without the folder that all share."""

    @abstractmethod
    def photo_name(self, index: int) -> str:
        """Path of the photo; several sketches may show one."""

    @abstractmethod
    def part(self, split: Split) -> "SketchSource":
        """The same source for another split."""

    def check(self) -> None:
        """Look for the files.

        Raises:
            FileNotFoundError: if something is missing.
            ValueError: if something is not as expected.
        """
        len(self)


def read_sketch(path: Path) -> Tensor:
    """A drawing's file as uint8 ``(H, W)``; of colours their mean, cut off, as SketchyGAN's record writer does.

    Raises:
        PictureError: naming the file.
    """
    return to_sketch(read_picture(path))


def to_sketch(picture: Picture) -> Tensor:
    """A picture as uint8 ``(H, W)``; of colours their mean, cut off."""
    levels = to_levels(picture)
    if all(torch.equal(levels[0], channel) for channel in levels[1:]):  # grey, as most drawings are
        return levels[0]
    return levels.double().mean(0).to(torch.uint8)


def read_photo(path: Path) -> Tensor:
    """A photo's file as uint8 ``(3, H, W)``.

    Raises:
        PictureError: naming the file.
    """
    return to_levels(with_channels(read_picture(path), 3))


def numbers_of(wanted: Sequence[str], offered: Sequence[str], whose: str) -> list[int]:
    """Where each of a source's classes stands among the wanted ones.

    Raises:
        ValueError: naming a class that is not among them.
    """
    if unknown := [name for name in offered if name not in wanted]:
        raise ValueError(
            f"{whose} has the class {unknown[0]!r}, which the sketches have not ({', '.join(wanted)}); "
            "give both the same classes=[…]"
        )
    return [wanted.index(name) for name in offered]
