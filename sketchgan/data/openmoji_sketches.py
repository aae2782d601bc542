"""OpenMoji's pictograms in the place of sketches and of edge maps, for trials without any download."""

import io

import torch
from PIL import Image
from torch import Tensor
from torchvision.transforms.v2 import functional as F

from sketchgan.data.base import Split
from sketchgan.data.openmoji import GROUPS, panel, read_archive
from sketchgan.data.sketch_sources import SketchSource, to_sketch
from sketchgan.edges import EdgePipeline


class OpenMojiSketches(SketchSource):
    """The line art as sketches and the coloured pictures as photos; classes are the groups, as in `OpenMoji`.

    Args:
        split: "train", "val" or "test".
        groups: some of the seven groups; all by default.
        archive: another archive of ``examples/build_openmoji.py``; the embedded one is of 64 px.

    Raises:
        ValueError: for an unknown group.
        FileNotFoundError: if the archive does not exist.

    Examples:
        >>> source = OpenMojiSketches()
        >>> source.sketch(0).shape, source.photo(0).shape, source.classes[source.label(0)]
        (torch.Size([64, 64]), torch.Size([3, 64, 64]), 'people-body')
    """

    def __init__(self, split: Split = "train", groups: list[str] | None = None, archive: str | None = None) -> None:
        if unknown := set(groups or ()) - set(GROUPS):
            raise ValueError(f"unknown groups {', '.join(sorted(unknown))}; there are {', '.join(GROUPS)}")
        self.split = split
        self.groups = groups
        self.archive = archive
        self.classes = tuple(group for group in GROUPS if group in (groups or GROUPS))
        entries, self._pictures = read_archive(archive)
        self._entries = [entry for entry in entries if entry["split"] == split and entry["group"] in self.classes]

    def part(self, split: Split) -> "OpenMojiSketches":
        return type(self)(split, self.groups, self.archive)

    def __len__(self) -> int:
        return len(self._entries)

    def sketch(self, index: int) -> Tensor:
        return to_sketch(self._panel(index, 0))

    def photo(self, index: int) -> Tensor:
        return F.pil_to_tensor(self._panel(index, 1))

    def label(self, index: int) -> int:
        return self.classes.index(self._entries[index]["group"])

    def sketch_name(self, index: int) -> str:
        return f"{self._entries[index]['code']}.png"

    def photo_name(self, index: int) -> str:
        return self.sketch_name(index)

    def _panel(self, index: int, number: int) -> Image.Image:
        triptych = Image.open(io.BytesIO(self._pictures[self._entries[index]["code"]]))
        return panel(triptych.convert("RGB"), number)


class OpenMojiEdges(OpenMojiSketches):
    """Edge maps of the coloured pictures, in the place of those of photos.

    Each is made when it is first asked for and then kept.

    Args:
        split: "train", "val" or "test".
        groups: some of the seven groups; all by default.
        archive: another archive of ``examples/build_openmoji.py``.
        detector: of edges; see `sketchgan.edges.EdgePipeline`.
        threshold: strength from which an edge counts, 0 to 1.
    """

    def __init__(
        self,
        split: Split = "train",
        groups: list[str] | None = None,
        archive: str | None = None,
        detector: str = "sobel",
        threshold: float = 25 / 255,
    ) -> None:
        super().__init__(split, groups, archive)
        self.detector = detector
        self.threshold = threshold
        self._maps: dict[str, tuple[Tensor, Tensor]] = {}

    def part(self, split: Split) -> "OpenMojiEdges":
        part = type(self)(split, self.groups, self.archive, self.detector, self.threshold)
        part._maps = self._maps
        return part

    def sketch(self, index: int) -> Tensor:
        return torch.where(self._map(index)[0], 0, 255).to(torch.uint8)

    def distance(self, index: int) -> Tensor:
        return self._map(index)[1]

    def _map(self, index: int) -> tuple[Tensor, Tensor]:
        code = self._entries[index]["code"]
        if code not in self._maps:
            photo = self.photo(index)
            side = photo.shape[-1]
            pipeline = EdgePipeline(detector=self.detector, size=side, border=side // 4, threshold=self.threshold)
            maps = pipeline(photo.unsqueeze(0).float() / 255)
            self._maps[code] = maps.edges[0], maps.distance[0]
        return self._maps[code]
