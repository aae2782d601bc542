"""Other colours for flat pictures, so that a drawing does not tell them: paper stays white, lines stay black."""

import colorsys
import random
from itertools import combinations
from typing import Literal, NamedTuple

import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor
from torchvision.transforms.v2 import functional as TF

RecolourMode = Literal["hue", "palette"]

MOST_COLOURS = 6  # of a picture, beside black and white, that are exchanged; the others lie between these
LEAST_SHARE = 1 / 1000  # of a picture that a colour covers in squares of 2 by 2 pixels if it is one of these
APART = 24  # levels by which two colours of a picture differ at least
FLAT = 4  # levels below which a pixel has one of these colours
FAR = 1e3  # squared levels that count against a colour that is not in the neighbourhood
ENDS = torch.tensor([[255.0] * 3, [0.0] * 3])  # paper and lines, which stay
CODE = torch.tensor([65536, 256, 1]).view(3, 1, 1)


class Turn(NamedTuple):
    """One draw of the mode "hue"."""

    hue: float
    saturation: float
    gamma: float


def draw_turn(rng: random.Random) -> Turn:
    """A turn of the hue by any angle, saturation by a factor of 0.6 to 1.4, values to a power of 0.7 to 1.4."""
    return Turn(rng.uniform(-0.5, 0.5), rng.uniform(0.6, 1.4), 2 ** rng.uniform(-0.5, 0.5))


def turned(picture: Image.Image, turn: Turn) -> Image.Image:
    """Turn all hues alike. Brightness is changed by a power, which leaves white and black as they are; greys stay grey.

    Args:
        picture: RGB.
        turn: see `draw_turn`.
    """
    levels = TF.pil_to_tensor(picture).float() / 255
    levels = TF.adjust_hue(TF.adjust_saturation(levels, turn.saturation), turn.hue)
    return _to_picture(TF.adjust_gamma(levels, turn.gamma) * 255)


def draw_palette(rng: random.Random) -> Tensor:
    """Colours ``(MOST_COLOURS, 3)`` in 0 to 255: any hue, saturation 0.2 to 1, value 0.3 to 1."""
    colours = [colorsys.hsv_to_rgb(rng.random(), rng.uniform(0.2, 1), rng.uniform(0.3, 1)) for _ in range(MOST_COLOURS)]
    return torch.tensor(colours) * 255


def exchanged(picture: Image.Image, palette: Tensor) -> Image.Image:
    """Give every flat colour of a picture, greys too, another one of its own.

    Pixels between two colours, which smooth the edges, stay as far between the new ones.

    Args:
        picture: RGB.
        palette: see `draw_palette`; its first colour takes the place of the most frequent one.
    """
    levels = TF.pil_to_tensor(picture)
    colours = flat_colours(levels)
    old, new = torch.cat([ENDS, colours]), torch.cat([ENDS, palette[: len(colours)]])
    pixels = levels.float().flatten(1).T  # (P, 3)
    i, j = torch.tensor(list(combinations(range(len(old)), 2))).T
    way = old[j] - old[i]
    along = pixels @ way.T - (old[i] * way).sum(1)  # (P, pairs)
    at = (along / way.square().sum(1)).clamp(0, 1)
    # Whole numbers below 2 ** 24 up to here: what adds them up in which order does not matter.
    apart = pixels.square().sum(1, keepdim=True) - 2 * pixels @ old.T + old.square().sum(1)  # (P, K), squared
    off = apart[:, i] - 2 * at * along + at.square() * way.square().sum(1)
    # A grey lies between black and white, but also between black and a lighter grey: the neighbourhood tells.
    missing = 1 - _nearby(apart, levels.shape[1:])
    best = (off + FAR * (missing[:, i] + missing[:, j])).argmin(1, keepdim=True)
    made = torch.lerp(new[i][best[:, 0]], new[j][best[:, 0]], at.gather(1, best))
    return _to_picture(made.T.view_as(levels))


def _nearby(apart: Tensor, size: torch.Size) -> Tensor:
    """Whether each colour is at a pixel or beside it, ``(P, K)``; black always: thin lines are nowhere quite black."""
    same = apart < FLAT**2
    near = F.max_pool2d(same.float().T.view(-1, *size), 3, 1, 1).flatten(1).T
    near[:, 1] = 1
    return near


def flat_colours(levels: Tensor) -> Tensor:
    """The most frequent colours of a picture, but for black and white: ``(K, 3)`` float, ``K`` at most `MOST_COLOURS`.

    Args:
        levels: uint8 ``(3, H, W)``.
    """
    code = (levels.long() * CODE).sum(0)
    corner = code[:-1, :-1]
    whole = (corner == code[1:, :-1]) & (corner == code[:-1, 1:]) & (corner == code[1:, 1:])  # no smoothed edge is
    codes, counts = corner[whole].unique(return_counts=True)
    often = counts >= LEAST_SHARE * levels[0].numel()
    order = counts[often].argsort(descending=True, stable=True)
    found = [*ENDS]
    for colour in (codes[often][order, None] // CODE.flatten() % 256).float():
        if len(found) < MOST_COLOURS + 2 and all((colour - other).abs().max() > APART for other in found):
            found.append(colour)
    return torch.stack(found)[2:]


def _to_picture(levels: Tensor) -> Image.Image:
    return TF.to_pil_image(levels.round().clamp(0, 255).to(torch.uint8))
