"""Lines of paintings: functions from pictures ``(N, 3, H, W)`` to line art ``(N, 1, H, W)``, both in [-1, 1].

Paper is +1, ink -1. All are deterministic, and make no gradients.
"""

import functools
import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from sketchgan.data.transforms import to_uint8
from sketchgan.networks.sketchkeras import SketchKerasUNet, pretrained_sketchkeras
from sketchgan.ops import pad_to_multiple, resize_area

LineExtractor = Callable[[Tensor], Tensor]
"""Paintings, RGB ``(N, 3, H, W)`` in [-1, 1], to lines ``(N, 1, H, W)`` in [-1, 1], dark on white."""

ExtractorName = Literal["high_pass", "dilation", "xdog", "sketchkeras"]
NAMES = get_args(ExtractorName)
LUMA = (0.299, 0.587, 0.114)
FAINT = 16 / 128  # sixteen levels: where no edge is stronger there is no line, only noise
CANVAS = 512


def line_extractor(which: str | LineExtractor = "xdog", weights: str | Path | None = None) -> LineExtractor:
    """An extractor by its name.

    Args:
        which: "high_pass", "dilation", "xdog" or "sketchkeras", or a callable of one's own.
        weights: of "sketchkeras", a local file.

    Raises:
        ValueError: for an unknown name, weights of an extractor that has none, or none where they are needed.
        FileNotFoundError: if there is no such file.
    """
    if callable(which):
        return which
    if which not in NAMES:
        raise ValueError(f"an extractor is {', '.join(NAMES)} or a callable, got {which!r}")
    if which == "sketchkeras":
        if weights is None:
            raise ValueError(
                "the extractor sketchkeras needs weights, a local file: model.pth of higumax/sketchKeras-pytorch, "
                "which says where to get it; no address is known to last, so nothing is downloaded. high_pass, "
                "dilation and xdog need none"
            )
        return SketchKeras(weights)
    if weights is not None:
        raise ValueError(f"weights are for the extractor sketchkeras, not for {which!r}")
    return XDoG() if which == "xdog" else high_pass_lines if which == "high_pass" else dilation_lines


@torch.no_grad()
def high_pass_lines(pictures: Tensor, sigma: float = 3.0, threshold: float = 0.1) -> Tensor:
    """What is darker than its surroundings: sketchKeras' preparation of pictures, without its network.

    Per channel, the Gaussian blur minus the value (sketchKeras, whose network sorts that out, has it the other way
    round, which is bright beside lines), relative to the largest such difference in the picture; the channels' maximum
    is ink. Pictures without an edge of 16 levels are empty.

    Args:
        pictures: ``(N, C, H, W)`` in [-1, 1].
        sigma: of the blur, in pixels.
        threshold: fainter ink is none; sketchKeras' cleaned variants have 0.1 and 0.18.

    Examples:
        >>> picture = torch.ones(1, 3, 9, 9)
        >>> picture[..., 4] = -1
        >>> high_pass_lines(picture)[0, 0, 0].round().tolist()
        [1.0, 1.0, 1.0, 1.0, -1.0, 1.0, 1.0, 1.0, 1.0]
    """
    levels = (pictures.float() + 1) * 127.5
    ink = (blurred(levels, sigma) - levels) / 128
    ink = (ink / ink.amax((1, 2, 3), keepdim=True).clamp_min(FAINT)).amax(1, keepdim=True)
    return 1 - 2 * _cleaned(ink, threshold)


@torch.no_grad()
def dilation_lines(pictures: Tensor, size: int = 5) -> Tensor:
    """What is darker than the brightest pixel nearby: the picture dilated, minus the picture, is ink.

    Made of OpenCV's filters, dilation and difference, this is what PaintsChainer's author used.

    Args:
        pictures: ``(N, C, H, W)`` in [-1, 1]; of three channels, the luma is taken.
        size: side of the neighbourhood in pixels, odd.

    Raises:
        ValueError: for a neighbourhood without a middle.
    """
    if size < 1 or size % 2 == 0:
        raise ValueError(f"size must be odd and positive, got {size}")
    grey = luma(pictures)
    return 1 - (F.max_pool2d(grey, size, 1, size // 2) - grey)


@dataclass(frozen=True)
class XDoG:
    """Extended difference of Gaussians (Winnemöller, Kyprianidis and Olsen, Computers & Graphics 36(6), 2012).

    On the luma in [0, 1], ``u = (1 + p) G(sigma) - p G(k sigma)``; white where ``u >= epsilon``, elsewhere
    ``1 + tanh(phi (u - epsilon))``.

    Args:
        sigma: of the narrow Gaussian, in pixels: how thick lines are.
        k: ratio of the two; the paper's is 1.6, the default is in common use for lines of anime.
        p: how strong lines are.
        epsilon: luma below which even regions are ink.
        phi: steepness; the default knows black and white alone.

    Raises:
        ValueError: for a ``sigma`` that is not positive, or ``k`` not above 1.

    Examples:
        >>> picture = torch.ones(1, 3, 9, 9)
        >>> picture[..., 4] = -1
        >>> XDoG()(picture)[0, 0, 0].tolist()
        [1.0, 1.0, 1.0, 1.0, -1.0, 1.0, 1.0, 1.0, 1.0]
    """

    sigma: float = 0.5
    k: float = 4.5
    p: float = 19.0
    epsilon: float = 0.01
    phi: float = 1e9

    def __post_init__(self) -> None:
        if self.sigma <= 0 or self.k <= 1:
            raise ValueError(f"sigma must be positive and k above 1, got sigma {self.sigma}, k {self.k}")

    @torch.no_grad()
    def __call__(self, pictures: Tensor) -> Tensor:
        grey = (luma(pictures) + 1) / 2
        u = (1 + self.p) * blurred(grey, self.sigma) - self.p * blurred(grey, self.k * self.sigma)
        return 2 * torch.where(u >= self.epsilon, 1.0, 1 + (self.phi * (u - self.epsilon)).tanh()) - 1


class SketchKeras:
    """Lines by the network of sketchKeras (lllyasviel/sketchKeras).

    The longer side is brought to 512 pixels (area interpolation), each channel's high pass to the network, and the
    lines back to the picture's size, which the published program leaves at 512.

    Args:
        weights: a local file, see `sketchgan.networks.pretrained_sketchkeras`, or a network.
        clean: "none" keeps faint grey, "enhanced" makes ink below 0.1 white, "pured" that below 0.18.

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: if it holds something else, or for an unknown ``clean``.
    """

    def __init__(
        self, weights: str | Path | SketchKerasUNet, clean: Literal["none", "enhanced", "pured"] = "enhanced"
    ) -> None:
        if clean not in CLEAN:
            raise ValueError(f"clean must be one of {', '.join(CLEAN)}, got {clean!r}")
        self.network = weights if isinstance(weights, nn.Module) else pretrained_sketchkeras(weights)
        self.clean = clean

    @torch.no_grad()
    def __call__(self, pictures: Tensor) -> Tensor:
        self.network.eval().to(pictures.device)
        return torch.cat([self._lines(picture) for picture in to_uint8(pictures).cpu()]).to(pictures.device)

    def _lines(self, picture: Tensor) -> Tensor:
        """Lines ``(1, 1, H, W)`` of a picture uint8 ``(3, H, W)``."""
        height, width = picture.shape[1:]
        longer = max(height, width)
        small = resize_area(picture, max(1, CANVAS * height // longer), max(1, CANVAS * width // longer)).float()
        high = (small - blurred(small[None], 3.0, of_levels=True)[0].round()) / 128
        high = high / high.max().clamp_min(1 / 128)  # where all is alike there is nothing to divide by
        canvas = torch.zeros(3, 1, CANVAS, CANVAS)
        canvas[:, 0, : small.shape[1], : small.shape[2]] = high  # top left, a channel each
        device = next(self.network.parameters()).device
        ink = self.network(canvas.to(device)).cpu()[:, :, : small.shape[1], : small.shape[2]].amax(0, keepdim=True)
        return resize_area(1 - 2 * _cleaned(ink, CLEAN[self.clean]), height, width).clamp(-1, 1)


CLEAN = {"none": 0.0, "enhanced": 0.1, "pured": 0.18}


@dataclass(frozen=True)
class NetworkLines:
    """Lines by a trained network, such as ``sketchgan.load("lines.ckpt").generator_ba`` of an `Anime2Sketch`.

    Pictures are padded to what it takes. Channels of its drawings are averaged to one.

    Args:
        network: pictures ``(N, 3, H, W)`` in [-1, 1] to drawings of the same size; it is put into evaluation mode.
    """

    network: nn.Module

    @torch.no_grad()
    def __call__(self, pictures: Tensor) -> Tensor:
        self.network.eval().to(pictures.device)
        made: Tensor = self.network(pad_to_multiple(pictures, getattr(self.network, "size_multiple", 1)))
        return made[..., : pictures.shape[-2], : pictures.shape[-1]].mean(1, keepdim=True).clamp(-1, 1)


def luma(pictures: Tensor) -> Tensor:
    """``(N, 3, H, W)`` → ``(N, 1, H, W)``, weights 0.299, 0.587, 0.114; one channel is returned as it is."""
    if pictures.shape[1] == 1:
        return pictures
    return (torch.tensor(LUMA, device=pictures.device).view(3, 1, 1) * pictures).sum(1, keepdim=True)


def blurred(images: Tensor, sigma: float, of_levels: bool = False) -> Tensor:
    """Gaussian blur with OpenCV's automatic size and its default border, which reflects without the last pixel.

    Args:
        images: float ``(N, C, H, W)``.
        sigma: in pixels.
        of_levels: of 8 bits, where OpenCV cuts the Gaussian off after 3 sigma instead of 4.
    """
    size = round(sigma * (3 if of_levels else 4) * 2 + 1) | 1
    kernel = [math.exp(-((i - size // 2) ** 2) / (2 * sigma**2)) for i in range(size)]
    for dim in (-2, -1):
        length = images.shape[dim]
        places = _reflected(torch.arange(-(size // 2), length + size // 2), length)
        wide = images.index_select(dim, places.to(images.device))
        # Tap by tap, so that the last bits, which XDoG may make black or white, do not depend on processes and threads.
        taps = (wide.narrow(dim, i, length) * (weight / sum(kernel)) for i, weight in enumerate(kernel))
        images = functools.reduce(torch.add, taps)
    return images


def _reflected(places: Tensor, length: int) -> Tensor:
    """Positions beyond the ends, reflected as often as needed."""
    period = max(2 * (length - 1), 1)
    places = places % period
    return torch.minimum(places, period - places) if length > 1 else torch.zeros_like(places)


def _cleaned(ink: Tensor, threshold: float) -> Tensor:
    """Ink in [0, 1] without what is fainter than a threshold."""
    return torch.where(ink < threshold, 0.0, ink).clamp(0, 1)
