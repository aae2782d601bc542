"""From pictures to tensors, with the drawing of random numbers apart from their use."""

import random
from dataclasses import asdict, dataclass, replace
from importlib.util import find_spec
from typing import Any, Literal, NamedTuple, get_args

import torch
from PIL import Image, ImageOps
from torch import Tensor
from torchvision.transforms.v2 import functional as F

from sketchgan.ops import pad_to_multiple

Picture = Image.Image | Tensor
"""A Pillow picture of 8 bits, or a float tensor ``(C, H, W)`` in [0, 1] for everything that Pillow cannot hold."""

PreprocessMode = Literal[
    "resize_and_crop", "crop", "scale_width", "scale_width_and_crop", "scale_short", "none", "native"
]
Resample = Literal["bicubic", "bilinear"]


class Draw(NamedTuple):
    """One draw of the augmentation; applied to both sides of a pair."""

    left: int
    top: int
    flip: bool


@dataclass(frozen=True)
class Augmentation:
    """Resize to a square, shift by up to ``shift`` pixels over a white margin, mirror half of the time.

    Args:
        image_size: side of the result in pixels.
        shift: largest shift in each direction; 0 for none.
        flip: mirror left to right with probability one half.

    Examples:
        >>> augmentation = Augmentation(image_size=32, shift=2, flip=True)
        >>> augmentation(Image.new("RGB", (64, 64)), Draw(left=0, top=4, flip=True)).shape
        torch.Size([3, 32, 32])
    """

    image_size: int
    shift: int = 0
    flip: bool = False

    def make_params(self, rng: random.Random) -> Draw:
        """Draw once, in the official order: position, then mirror; both are drawn in every case."""
        return Draw(rng.randint(0, 2 * self.shift), rng.randint(0, 2 * self.shift), rng.random() > 0.5)

    def __call__(self, picture: Image.Image, draw: Draw | None = None) -> Tensor:
        """Apply a draw (none: only resize) and convert to ``(3, image_size, image_size)`` in [-1, 1]."""
        size = (self.image_size, self.image_size)
        if picture.size != size:
            picture = picture.resize(size, Image.Resampling.BICUBIC)
        if draw is not None:
            if self.shift:
                picture = ImageOps.expand(picture, self.shift, "white")
                picture = picture.crop((draw.left, draw.top, draw.left + size[0], draw.top + size[1]))
            if self.flip and draw.flip:
                picture = ImageOps.mirror(picture)
        return to_tensor(picture)


@dataclass(frozen=True)
class Preprocess:
    """The preprocessing of the official pix2pix, CycleGAN and U-GAT-IT code, and one that leaves the size alone.

    - ``resize_and_crop``: resize to ``load_size`` x ``load_size``, crop ``crop_size`` x ``crop_size``;
    - ``crop``: crop the picture as it is;
    - ``scale_width``: resize to the width ``load_size``, keep the proportions (at least ``crop_size`` high);
    - ``scale_width_and_crop``: the same, then crop;
    - ``scale_short``: resize the short side to ``load_size``, the long one in proportion to the nearest multiple of 64,
      as Style2Paints' first server does;
    - ``none``: round both sides to multiples of four;
    - ``native``: keep the size, which the official code does not have.

    Resizing is antialiased (Pillow's, to the bit, for 8-bit pictures). U-GAT-IT and photo2cartoon take
    ``resize_and_crop`` with the bilinear filter, from 30 pixels more than the crop. They mirror before they resize and
    crop, which gives the same pictures: resizing treats left and right alike, and crops are as likely on both sides.

    Args:
        mode: one of these.
        load_size: side, width or short side after resizing, in pixels.
        crop_size: side of the crop.
        flip: mirror left to right with probability one half.
        resample: filter of the resizing, "bicubic" or "bilinear".
        clahe_clip: clip limit of the equalisation that Anime2Sketch offers for dark pictures and those of low contrast,
            see `equalize_contrast`, which comes last; 0 for none.

    Raises:
        ValueError: for an unknown mode or filter, sizes that do not fit each other, or a negative clip limit.
        ImportError: for a clip limit without the package kornia.

    Examples:
        >>> preprocess = Preprocess("resize_and_crop", load_size=36, crop_size=32)
        >>> picture = Image.new("RGB", (50, 40), "white")
        >>> draw = preprocess.make_params(random.Random(0), picture.size)
        >>> preprocess(picture, draw).shape, preprocess(picture, draw).max().item()
        (torch.Size([3, 32, 32]), 1.0)
        >>> preprocess.for_evaluation().load_size
        32
    """

    mode: PreprocessMode = "resize_and_crop"
    load_size: int = 286
    crop_size: int = 256
    flip: bool = True
    resample: Resample = "bicubic"
    clahe_clip: float = 0.0

    def __post_init__(self) -> None:
        if self.mode not in get_args(PreprocessMode):
            raise ValueError(f"preprocess must be one of {', '.join(get_args(PreprocessMode))}, got {self.mode!r}")
        if self.resample not in get_args(Resample):
            raise ValueError(f"resample must be one of {', '.join(get_args(Resample))}, got {self.resample!r}")
        if self.load_size < 1 or self.crop_size < 1:
            raise ValueError(f"sizes must be positive, got load_size {self.load_size}, crop_size {self.crop_size}")
        if self.mode in ("resize_and_crop", "scale_width_and_crop") and self.load_size < self.crop_size:
            raise ValueError(
                f"load_size {self.load_size} is less than crop_size {self.crop_size}: nothing can be cropped from it"
            )
        if self.clahe_clip < 0:
            raise ValueError(f"clahe_clip must be 0 for no equalisation, or positive, got {self.clahe_clip}")
        if self.clahe_clip and find_spec("kornia") is None:
            raise ImportError("equalisation with clahe_clip is kornia's (pip install 'sketchgan[edges]')")

    @property
    def crops(self) -> bool:
        """Whether every result is ``crop_size`` x ``crop_size``."""
        return self.mode.endswith("crop")

    def for_evaluation(self, mode: PreprocessMode | None = None) -> "Preprocess":
        """Without chance: ``resize_and_crop`` resizes to ``crop_size`` as the official test script does by default.

        The other modes keep ``load_size`` and take the middle where they crop.

        Args:
            mode: another mode for evaluation, for instance "scale_width" for whole pictures.
        """
        mode = mode or self.mode
        load_size = self.crop_size if mode == "resize_and_crop" else self.load_size
        return replace(self, mode=mode, load_size=load_size, flip=False)

    def make_params(self, rng: random.Random, size: tuple[int, int]) -> Draw:
        """Draw once for a picture of ``size`` (width, height), or a pair of them.

        As in the official code the three numbers are drawn in every mode, used or not.
        """
        width, height = size
        if self.mode == "resize_and_crop":
            width = height = self.load_size
        elif self.mode == "scale_width_and_crop":
            width, height = self.load_size, self.load_size * height // width
        left = rng.randint(0, max(0, width - self.crop_size))
        top = rng.randint(0, max(0, height - self.crop_size))
        return Draw(left, top, rng.random() > 0.5)

    def __call__(self, picture: Picture, draw: Draw | None = None) -> Tensor:
        """Apply a draw (none: the middle, not mirrored) and convert to ``(C, H, W)`` in [-1, 1].

        Raises:
            ValueError: if the picture is smaller than the crop.
        """
        width, height = self.scaled_size(size_of(picture))
        if (width, height) != size_of(picture):
            picture = resize_picture(picture, (width, height), self.resample)
        if self.crops:
            side = self.crop_size
            left, top = ((width - side) // 2, (height - side) // 2) if draw is None else (draw.left, draw.top)
            picture = F.crop(picture, top, left, side, side)
        if self.flip and draw is not None and draw.flip:
            picture = F.horizontal_flip(picture)
        tensor = to_tensor(picture)
        return equalize_contrast(tensor, self.clahe_clip) if self.clahe_clip else tensor

    def scaled_size(self, size: tuple[int, int]) -> tuple[int, int]:
        """Width and height that a picture of ``size`` (width, height) is resized to.

        Raises:
            ValueError: if nothing can be cropped from that.
        """
        width, height = size
        if self.mode == "resize_and_crop":
            width = height = self.load_size
        elif self.mode in ("scale_width", "scale_width_and_crop"):
            if width != self.load_size or height < self.crop_size:
                width, height = self.load_size, int(max(self.load_size * height / width, self.crop_size))
        elif self.mode == "scale_short":
            short = min(width, height)
            width, height = (
                self.load_size if side == short else max((int(side * (self.load_size / short)) + 32) // 64, 1) * 64
                for side in (width, height)
            )
        elif self.mode == "none":
            width, height = (max(4, round(side / 4) * 4) for side in size)
        if self.crops and min(width, height) < self.crop_size:
            raise ValueError(
                f"is {width}x{height} pixels, too few for crop_size {self.crop_size}; lower crop_size, or use "
                "preprocess='resize_and_crop'"
            )
        return width, height

    def settings(self) -> dict[str, Any]:
        """Plain values, which ``Preprocess(**settings)`` turns back."""
        return asdict(self)


def size_of(picture: Picture) -> tuple[int, int]:
    """Width and height."""
    return picture.size if isinstance(picture, Image.Image) else (picture.shape[-1], picture.shape[-2])


def resize_picture(picture: Picture, size: tuple[int, int], resample: Resample = "bicubic") -> Picture:
    """A picture resized to (width, height), antialiased; by Pillow if it is Pillow's."""
    filter_ = F.InterpolationMode(resample)
    resized = F.resize(picture, [size[1], size[0]], interpolation=filter_, antialias=True)
    return resized if isinstance(resized, Image.Image) else resized.clamp_(0, 1)  # bicubic overshoots


def equalize_contrast(images: Tensor, clip: float) -> Tensor:
    """Contrast limited adaptive histogram equalisation (CLAHE), per channel on 8 × 8 tiles, by kornia.

    Args:
        images: ``(..., C, H, W)`` in [-1, 1]; sides that are too short for the tiles are reflected, and cropped again.
        clip: limit of the histograms' peaks; the larger, the more contrast.

    Returns:
        Equalised images in [-1, 1].
    """
    from kornia.enhance import equalize_clahe  # takes a while to import

    height, width = images.shape[-2:]
    whole = pad_to_multiple(images.reshape(-1, *images.shape[-3:]), 1, least=9)  # kornia wants more pixels than tiles
    equal: Tensor = equalize_clahe((whole + 1) / 2, float(clip), (8, 8))
    return (equal * 2 - 1)[..., :height, :width].reshape(images.shape)


def to_tensor(picture: Picture) -> Tensor:
    """A picture to float ``(C, H, W)`` in [-1, 1], as the official code scales."""
    if isinstance(picture, Image.Image):
        return F.pil_to_tensor(picture).float().div_(255).sub_(0.5).div_(0.5)  # to_dtype multiplies: other last bits
    return (picture - 0.5) / 0.5


def to_levels(picture: Picture) -> Tensor:
    """A picture to bytes ``(C, H, W)``, 0 to 255."""
    return F.pil_to_tensor(picture) if isinstance(picture, Image.Image) else (picture * 255).round().to(torch.uint8)


def to_uint8(images: Tensor, truncate: bool = False) -> Tensor:
    """[-1, 1] to bytes, rounded.

    Args:
        images: float, any shape.
        truncate: cut the fraction off, as the official code does, which makes pictures half a level darker.
    """
    if truncate:
        return ((images.float().clamp(-1, 1) + 1) / 2 * 255).to(torch.uint8)
    return ((images.float() + 1) * 127.5).round_().clamp_(0, 255).to(torch.uint8)
