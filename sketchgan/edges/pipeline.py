"""Photos to sketch-like edge maps: the stages of SketchyGAN's scripts (Chen and Hays, CVPR 2018, arXiv 1801.02753)."""

from collections.abc import Callable
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, Literal, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from sketchgan.edges.backend import Backend
from sketchgan.edges.components import remove_small
from sketchgan.edges.detectors import Detector, detector
from sketchgan.edges.distance import distance_field
from sketchgan.edges.morphology import clean, shrink, spur, thin, zhang
from sketchgan.edges.suppression import suppress
from sketchgan.ops import resize_area

Stage = Callable[[Tensor], Tensor]


class EdgeMaps(NamedTuple):
    """What becomes of a batch of photos."""

    edges: Tensor
    """bool ``(N, H, W)``, true on a line."""
    distance: Tensor
    """uint8 ``(N, H, W)``: 0 on a line, 255 where a line is farthest."""


@dataclass(frozen=True)
class EdgePipeline:
    """Detect edges in photos, and make lines of them that look like a sketch's.

    The stages, in their order: strength (the detector's), suppressed (all but ridges set to 0), binary, thinned,
    cleaned (of single pixels), large (components), shrunk, edges (spurs removed), distance.

    Args:
        detector: "hed", "dexined", "canny", "sobel" or a callable, see `sketchgan.edges.detector`.
        order: "official" as in the released script; "paper" as the authors describe it, without suppression and with
            Zhang and Suen's thinning instead of Guo and Hall's.
        size: photos of another size are resized to this side first, with area interpolation and regardless of their
            aspect ratio; None leaves them.
        border: pixels of mirror image around a photo while the detector looks at it. At most one less than its side.
        threshold: strength from which on a pixel is on a line.
        small_edge: pixels of the smallest components that stay.
        shrink: iterations of `sketchgan.edges.shrink`.
        spur: iterations of `sketchgan.edges.spur`.
        backend: see `sketchgan.edges.distance_transform`.
        weights: of the detector, see `sketchgan.edges.detector`.
        channel_order: of the detector "hed", see `sketchgan.networks.HED`.

    Raises:
        ValueError: for an unknown order, detector or backend, or a number out of range.
        FileNotFoundError: if the detector's weights are missing, or cannot be downloaded.
        ImportError: if the detector needs a package that is missing.

    Examples:
        >>> photos = torch.zeros(2, 3, 64, 64)
        >>> photos[:, :, 20:44, 20:44] = 1
        >>> maps = EdgePipeline("sobel", size=64, border=16)(photos)
        >>> maps.edges.shape, maps.distance.dtype
        (torch.Size([2, 64, 64]), torch.uint8)
    """

    detector: str | Detector = "hed"
    order: Literal["official", "paper"] = "official"
    size: int | None = 256
    border: int = 128
    threshold: float = 25 / 255
    small_edge: int = 5
    shrink: int = 1
    spur: int = 1
    backend: Backend = "auto"
    weights: str | Path | None = None
    channel_order: Literal["bgr", "rgb"] = "bgr"
    _detect: Detector = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        if self.order not in ("official", "paper"):
            raise ValueError(f'order must be "official" or "paper", got {self.order!r}')
        if self.backend not in ("auto", "torch", "scipy"):
            raise ValueError(f'backend must be "auto", "torch" or "scipy", got {self.backend!r}')
        for name in ("border", "small_edge", "shrink", "spur"):
            if getattr(self, name) < 0:
                raise ValueError(f"{name} must not be negative, got {getattr(self, name)}")
        if self.size is not None and self.size < 2:
            raise ValueError(f"size must be at least 2, got {self.size}")
        if not 0 < self.threshold <= 1:
            raise ValueError(f"threshold must be above 0 and at most 1, got {self.threshold}")
        object.__setattr__(self, "_detect", detector(self.detector, self.weights, self.channel_order))

    def __call__(self, photos: Tensor) -> EdgeMaps:
        """Edge maps and their distance fields.

        Args:
            photos: float ``(N, 3, H, W)``, RGB in [0, 1].
        """
        return self.from_strength(self.strength(photos))

    @torch.no_grad()
    def from_strength(self, strength: Tensor) -> EdgeMaps:
        """Edge maps and their distance fields.

        Args:
            strength: float ``(N, H, W)`` in [0, 1], of a detector.
        """
        stages = self.functions()
        if self.order == "official":  # weaker pixels do not pass the threshold
            stages["suppressed"] = lambda given: suppress(_stored(given), self.threshold)
        for name, stage in stages.items():
            strength = stage(strength)
            if name == "edges":
                edges = strength
        return EdgeMaps(edges, strength)

    def stages(self, photos: Tensor) -> dict[str, Tensor]:
        """The result of every stage by its name, in their order."""
        return self.stages_from_strength(self.strength(photos))

    @torch.no_grad()
    def stages_from_strength(self, strength: Tensor) -> dict[str, Tensor]:
        """`stages` of what a detector gave."""
        results = {"strength": strength}
        for name, stage in self.functions().items():
            strength = results[name] = stage(strength)
        return results

    def functions(self) -> dict[str, Stage]:
        """The stages after the detector by their names, in their order: each takes what the one before it gave."""
        if self.order == "official":
            begin: dict[str, Stage] = {"suppressed": lambda strength: suppress(_stored(strength))}
            thinned: Stage = thin
        else:
            begin, thinned = {}, lambda lines: zhang(lines, backend=self.backend)
        return begin | {
            "binary": lambda strength: strength >= self.threshold,
            "thinned": thinned,
            "cleaned": clean,
            "large": lambda lines: remove_small(lines, self.small_edge, self.backend),
            "shrunk": lambda lines: shrink(lines, self.shrink),
            "edges": lambda lines: spur(lines, self.spur),
            "distance": lambda lines: distance_field(lines, self.backend),
        }

    @torch.no_grad()
    def strength(self, photos: Tensor) -> Tensor:
        """The detector's edge strength, float ``(N, H, W)`` in [0, 1].

        Raises:
            ValueError: for photos of another shape or smaller than the border, or if the detector gives another shape
                or NaN.
            TypeError: unless photos are float.
        """
        if photos.ndim != 4 or photos.shape[1] != 3:
            raise ValueError(f"photos are (N, 3, H, W), got {tuple(photos.shape)}")
        if not photos.is_floating_point():
            raise TypeError(f"photos are float in [0, 1], got {photos.dtype}: divide them by 255")
        if self.size is not None and photos.shape[2:] != (self.size, self.size):
            photos = resize_area(photos, self.size, self.size)
        b, (height, width) = self.border, photos.shape[2:]
        if b >= min(height, width):
            raise ValueError(
                f"a border of {b} pixels cannot be mirrored in photos of {height}x{width}: it must be smaller than them"
            )
        found = self._detect(F.pad(photos, (b, b, b, b), mode="reflect"))
        expected = (len(photos), height + 2 * b, width + 2 * b)
        if found.shape != expected:
            raise ValueError(f"the detector {self.detector} gave {tuple(found.shape)} instead of {expected}")
        if found.isnan().any():
            raise ValueError(f"the detector {self.detector} gave NaN where the strength should be from 0 to 1")
        return found[:, b : height + b, b : width + b].float()

    def settings(self) -> dict[str, Any]:
        """Plain values: the detector by its name, and the numbers."""
        plain = {entry.name: getattr(self, entry.name) for entry in fields(self) if entry.init}
        named = self.detector if isinstance(self.detector, str) else _name(self.detector)
        return plain | {"detector": named, "weights": None if self.weights is None else str(self.weights)}


def _stored(strength: Tensor) -> Tensor:
    """Edge strength as the script stores it, as its difference to 1, which rounds it."""
    return 1 - (1 - strength)


def _name(function: Any) -> str:
    kind = function if hasattr(function, "__qualname__") else type(function)
    return f"{kind.__module__}.{kind.__qualname__}"
