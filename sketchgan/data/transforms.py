"""From pictures to tensors, with the drawing of random numbers apart from their use."""

import random
from dataclasses import dataclass
from typing import NamedTuple

import torch
from PIL import Image, ImageOps
from torch import Tensor
from torchvision.transforms.v2 import functional as F


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


def to_tensor(picture: Image.Image) -> Tensor:
    """8-bit picture to float ``(C, H, W)`` in [-1, 1], as the official code scales."""
    return F.to_dtype(F.pil_to_tensor(picture), torch.float32, scale=True).sub_(0.5).div_(0.5)


def to_uint8(images: Tensor) -> Tensor:
    """[-1, 1] to bytes, rounded."""
    return ((images.float() + 1) * 127.5).round_().clamp_(0, 255).to(torch.uint8)
