"""Drawings and photos as SketchyGAN's networks take them (Chen and Hays, CVPR 2018; the released code's numbers)."""

import random
from dataclasses import asdict, dataclass
from typing import Any, Literal, NamedTuple, get_args

import torch
from torch import Tensor

from sketchgan.data.sketch_sources import SketchSource, to_sketch
from sketchgan.data.transforms import Draw, Picture
from sketchgan.edges import drawn_lines, network_input, relative_distance, sketch_to_distance
from sketchgan.ops import resize_area, resize_legacy

SketchForm = Literal["distance", "on_the_fly", "strokes"]
PhotoForm = Literal["official", "plain"]

_ON_THE_FLY = 250  # below which a pixel is a line, in the official code's second way


@dataclass(frozen=True)
class SketchInput:
    """A drawing, dark on white, as a network's input.

    - ``distance``: its distance field in 8 bits, computed at ``drawing_size`` and then resized as TensorFlow 1 does, by
      decimation (``resize_legacy``); what SketchyGAN trains with by default;
    - ``on_the_fly``: the same with a threshold of 250 in place of 245, and not rounded to 8 bits;
    - ``strokes``: the drawing itself, resized by area means.

    Args:
        image_size: side of the result in pixels.
        form: one of these.
        drawing_size: side that a drawing from elsewhere is first brought to, by area means and without regard to its
            proportions: that of the drawings of the training data.

    Raises:
        ValueError: for an unknown form or a size below 1.

    Examples:
        >>> from PIL import Image
        >>> field = SketchInput(image_size=32)(Image.new("L", (300, 200), "black"))
        >>> field.shape, field.unique().tolist()
        (torch.Size([3, 32, 32]), [-1.0])
    """

    image_size: int = 64
    form: SketchForm = "distance"
    drawing_size: int = 256

    def __post_init__(self) -> None:
        if self.form not in get_args(SketchForm):
            raise ValueError(f"sketch must be one of {', '.join(get_args(SketchForm))}, got {self.form!r}")
        if min(self.image_size, self.drawing_size) < 1:
            raise ValueError(
                f"sizes must be positive, got image_size {self.image_size}, drawing_size {self.drawing_size}"
            )

    def make_params(self, rng: random.Random, size: tuple[int, int]) -> None:
        """There is nothing to draw at random, as there is in a `Preprocess`."""

    def __call__(self, picture: Picture, draw: Draw | None = None) -> Tensor:
        """A picture of any size to ``(3, image_size, image_size)`` in [-1, 1]; ``draw`` is not used."""
        drawing = resize_area(to_sketch(picture).unsqueeze(0), self.drawing_size, self.drawing_size)[0]
        return self._three(sketch_to_distance(drawing) if self.form == "distance" else drawing)

    def of_record(self, source: SketchSource, index: int) -> Tensor:
        """The sketch of a record to ``(3, image_size, image_size)`` in [-1, 1], at the size that it is stored at."""
        return self._three(source.distance(index) if self.form == "distance" else source.sketch(index))

    def _three(self, levels: Tensor) -> Tensor:
        """From a distance field of 8 bits, or for the other forms the drawing."""
        size = self.image_size
        if self.form == "strokes":
            made = resize_area(levels.unsqueeze(0), size, size)[0].float() / 127.5 - 1
        elif self.form == "on_the_fly":
            made = network_input(relative_distance(drawn_lines(levels, threshold=_ON_THE_FLY).unsqueeze(0))[0], size)
        else:
            made = network_input(levels, size)
        return made.expand(3, -1, -1)

    def settings(self) -> dict[str, Any]:
        """Plain values, which ``SketchInput(**settings)`` turns back."""
        return asdict(self)


class PhotoDraw(NamedTuple):
    """One draw of a photo's augmentation."""

    jitter: tuple[float, float, float]
    contrast: float
    noise_seed: int


@dataclass(frozen=True)
class PhotoInput:
    """A photo as the networks see it.

    - ``official``: resized by TensorFlow 1's bilinear interpolation (from 256 to 64: decimation); contrast changed by
      up to a fifth around each channel's mean; stretched to the range of the whole picture, ``(x - min) / (max - min +
      1)``; noise of up to one level added; brought to [-1, 1]. Without a draw neither contrast nor noise. The official
      change of brightness is left out: the stretching undoes it.
    - ``plain``: resized by area means, brought to [-1, 1].

    Args:
        image_size: side of the result in pixels.
        form: one of these.
        jitter: before all that, change brightness, contrast and saturation by factors within ``1 - jitter`` and
            ``1 + jitter``; not in the official code.

    Raises:
        ValueError: for an unknown form, a size below 1 or a jitter outside [0, 1).
    """

    image_size: int = 64
    form: PhotoForm = "official"
    jitter: float = 0.0

    def __post_init__(self) -> None:
        if self.form not in get_args(PhotoForm):
            raise ValueError(f"photo must be one of {', '.join(get_args(PhotoForm))}, got {self.form!r}")
        if self.image_size < 1 or not 0 <= self.jitter < 1:
            raise ValueError(
                "image_size must be positive and jitter at least 0 and below 1, got "
                f"{self.image_size} and {self.jitter}"
            )

    def make_params(self, rng: random.Random) -> PhotoDraw:
        """Draw once; everything is drawn in every form."""
        brightness, contrast, saturation = (rng.uniform(1 - self.jitter, 1 + self.jitter) for _ in range(3))
        return PhotoDraw((brightness, contrast, saturation), rng.uniform(0.8, 1.2), rng.getrandbits(62))

    def __call__(self, photo: Tensor, draw: PhotoDraw | None = None) -> Tensor:
        """A photo, uint8 ``(3, H, W)``, to ``(3, image_size, image_size)`` in [-1, 1]."""
        if self.form == "plain":
            levels = resize_area(photo, self.image_size, self.image_size).float()
        else:
            levels = resize_legacy(photo.float(), self.image_size)
        if draw is not None and self.jitter:
            levels = jittered(levels, *draw.jitter)
        if self.form == "plain":
            return levels / 127.5 - 1
        if draw is None:
            return stretched(levels)
        noise = torch.rand(levels.shape, generator=torch.Generator().manual_seed(draw.noise_seed)) / 256
        return stretched(with_contrast(levels, draw.contrast), noise)


def with_contrast(levels: Tensor, factor: float) -> Tensor:
    """Scale the distance to the mean of each channel; ``(3, H, W)``."""
    mean = levels.mean((1, 2), keepdim=True)
    return (levels - mean) * factor + mean


def stretched(levels: Tensor, noise: Tensor | None = None) -> Tensor:
    """The range of the whole picture, 256 levels of them, to [-1, 1]; ``noise`` is added in between, in [0, 1]."""
    low, high = levels.aminmax()
    scaled = (levels - low) / (high - low + 1)
    return (scaled if noise is None else scaled + noise) * 2 - 1


def jittered(levels: Tensor, brightness: float, contrast: float, saturation: float) -> Tensor:
    """Change brightness, contrast and saturation of ``(3, H, W)`` in [0, 255] by factors."""
    levels = with_contrast((levels * brightness).clamp(0, 255), contrast)
    grey = (torch.tensor([0.299, 0.587, 0.114]).view(3, 1, 1) * levels).sum(0, keepdim=True)
    return (grey + (levels - grey) * saturation).clamp_(0, 255)
