"""Where edges come from: photos to edge strength."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from sketchgan.networks.hed import pretrained_hed
from sketchgan.networks.pretrained import load_weights, weights_of

Detector = Callable[[Tensor], Tensor]
"""Photos ``(N, 3, H, W)``, RGB in [0, 1], to edge strength ``(N, H, W)`` in [0, 1]."""

NAMES = ("hed", "dexined", "canny", "sobel")
DEXINED = "https://huggingface.co/kornia/dexined/resolve/main/DexiNed_BIPED_10.pth"
LUMA = (0.299, 0.587, 0.114)


def detector(
    which: str | Detector = "hed",
    weights: str | Path | None = None,
    channel_order: Literal["bgr", "rgb"] = "bgr",
) -> Detector:
    """A detector by its name.

    Args:
        which: "hed" (`sketchgan.networks.HED`), "dexined" (Poma et al., WACV 2020, arXiv 1909.01955) or "canny" (1986)
            of the package kornia, "sobel", or a callable of one's own.
        weights: of "hed" or "dexined", a local file; by default they are downloaded once.
        channel_order: of "hed", see `sketchgan.networks.HED`.

    Raises:
        ValueError: for an unknown name, weights of a detector that has none, or weights that do not fit.
        FileNotFoundError: if there are no such weights, or they cannot be downloaded.
        ImportError: for "dexined" and "canny" without kornia.
    """
    if weights is not None and which not in ("hed", "dexined"):
        raise ValueError(f"weights are for the detectors hed and dexined, not for {which!r}")
    if callable(which):
        return which
    if which == "hed":
        return _Network(pretrained_hed(weights, channel_order))
    if which == "dexined":
        return _Network(_DexiNed(weights).eval().requires_grad_(False))
    if which == "canny":
        _kornia("canny")
        return canny
    if which == "sobel":
        return sobel
    raise ValueError(f"a detector is {', '.join(NAMES)} or a callable, got {which!r}")


class _Network:
    """A network that follows the photos to their device."""

    def __init__(self, network: nn.Module) -> None:
        self.network = network

    def __call__(self, photos: Tensor) -> Tensor:
        return self.network.to(photos.device)(photos)


class _DexiNed(nn.Module):
    means: Tensor

    def __init__(self, weights: str | Path | None) -> None:
        super().__init__()
        with torch.device("meta"):  # without initialising what is overwritten
            self.network = _kornia("dexined")(pretrained=False)
        self.network.to_empty(device="cpu")
        load_weights(self.network, weights_of(weights, DEXINED), weights or DEXINED)
        # Blue, green, red, as in the code of its authors.
        self.register_buffer("means", torch.tensor([103.939, 116.779, 123.68]).view(3, 1, 1), persistent=False)

    def forward(self, photos: Tensor) -> Tensor:
        return self.network(photos.flip(1) * 255 - self.means)[:, 0].sigmoid()


def _kornia(which: str) -> Any:
    """What a detector takes from kornia."""
    try:
        if which == "canny":
            from kornia.filters import canny

            return canny
        from kornia.filters.dexined import DexiNed

        return DexiNed
    except ImportError as error:
        raise ImportError(f"the detector {which} is kornia's (pip install 'sketchgan[edges]')") from error


def canny(photos: Tensor, low: float = 0.1, high: float = 0.2) -> Tensor:
    """Slope of the grey values where kornia's Canny finds an edge, otherwise 0.

    Args:
        photos: float ``(N, 3, H, W)`` in [0, 1].
        low: weaker pixels are no edges; 1 is the slope of a straight step from black to white.
        high: each edge has a pixel that is stronger.

    Returns:
        float ``(N, H, W)`` in [0, 1].

    Raises:
        ImportError: without kornia.
        ValueError: unless 0 < low <= high.
    """
    if not 0 < low <= high:
        raise ValueError(f"Canny's thresholds must be 0 < low <= high, got {low} and {high}")
    slope, edges = _kornia("canny")(photos, low * _STEP, high * _STEP)
    return (slope / _STEP * (edges > 0)).clamp(max=1)[:, 0]


_STEP = 2.59  # kornia's slope of a step from 0 to 1 behind its Gaussian


def sobel(photos: Tensor) -> Tensor:
    """Gradient of the slightly blurred grey values, of each photo's largest.

    Args:
        photos: float ``(N, 3, H, W)`` in [0, 1].

    Returns:
        float ``(N, H, W)`` in [0, 1]; 0 everywhere in a photo of one colour.
    """
    grey = (photos * photos.new_tensor(LUMA).view(3, 1, 1)).sum(1, keepdim=True)
    grey = F.pad(grey, (2, 2, 2, 2), mode="replicate")
    # Sobel's filters behind a blur of 1 2 1.
    blur = photos.new_tensor([1, 4, 6, 4, 1]) / 16
    slope = photos.new_tensor([-1, -2, 0, 2, 1]) / 8
    across = F.conv2d(F.conv2d(grey, blur.view(1, 1, 5, 1)), slope.view(1, 1, 1, 5))
    down = F.conv2d(F.conv2d(grey, slope.view(1, 1, 5, 1)), blur.view(1, 1, 1, 5))
    strength = torch.hypot(across, down)[:, 0]
    largest = strength.amax((1, 2), keepdim=True)
    return torch.where(largest > 1e-6, strength / largest, 0.0)  # otherwise there is nothing but rounding
