"""From a picture to one vector that says what it is coloured like: the hint that Style2Paints works by."""

import hashlib
import re
from pathlib import Path
from typing import Literal

import torch
from torch import Tensor, nn

from sketchgan.networks.frozen_network import FrozenNetwork
from sketchgan.networks.openmoji_classifier import openmoji_classifier
from sketchgan.networks.pretrained import load_weights, read_weights
from sketchgan.networks.vgg import SIDE, WIDTHS, FrozenVGG, check_pictures


class StyleEncoder(FrozenNetwork):
    """A vector for each picture; frozen, without gradient, in float32 also under autocast.

    Called with pictures ``(N, 3, h, w)`` in [-1, 1] of any size, or grey ones ``(N, 1, h, w)``, it returns
    ``(N, hint_dim)`` float32 on their device. A subclass says what the network is (``build``), how pictures are shown
    to it (``shown``), and sets the attributes.

    Attributes:
        name: short, for messages and file names.
        hint_dim: length of the vectors, known before weights are loaded.
        protocol: which layer it is, and how pictures are prepared; together with the weights it says what the numbers
            mean.
    """

    name: str
    hint_dim: int
    protocol: str
    _fingerprint = ""

    def __call__(self, pictures: Tensor) -> Tensor:
        """Vectors ``(N, hint_dim)``.

        Raises:
            FileNotFoundError: if there are no weights.
            ValueError: for pictures that are not float ``(N, 3, h, w)`` or ``(N, 1, h, w)``, or if the network returns
                something else than vectors.
        """
        check_pictures(pictures)
        with torch.no_grad(), torch.autocast(pictures.device.type, enabled=False):
            return self.encode(pictures.float().expand(-1, 3, -1, -1))

    def encode(self, pictures: Tensor) -> Tensor:
        """Vectors of pictures ``(N, 3, h, w)`` in float32."""
        hints: Tensor = self.look(pictures)
        return hints

    def fit(self, pictures: Tensor) -> Tensor:
        """Pictures in the size that the network gets them in, where it has one; doing it earlier changes nothing.

        It makes pictures of several sizes into one batch.
        """
        return pictures

    def fingerprint(self) -> str:
        """SHA-256 of name, protocol, layers, their plain settings and weights, in hexadecimal; computed once.

        It loads the weights. What ``forward`` does with them is not looked at: change ``name`` or ``protocol`` with it.
        """
        self.prepare()
        if not self._fingerprint:
            layers = re.sub(r" at 0x[0-9a-f]+", "", repr(self.network))
            settings = [f"{name}: {_settings(layer)}" for name, layer in self.network.named_modules()]
            about = [self.name, str(self.hint_dim), self.protocol, layers, *settings]
            digest = hashlib.sha256("\n".join([*about, ""]).encode())
            for key, value in sorted(self.network.state_dict().items()):
                # In float32, which it was loaded in, wherever and in whatever precision it has worked since.
                value = value.detach().cpu().float() if value.is_floating_point() else value.cpu()
                digest.update(f"{key} {value.dtype} {tuple(value.shape)}\n".encode())
                digest.update(value.contiguous().numpy().data)
            self._fingerprint = digest.hexdigest()
        return self._fingerprint


def _settings(layer: nn.Module) -> list[tuple[str, object]]:
    """Plain values that a layer of one's own keeps and may not print."""
    kept = (item for item in vars(layer).items() if item[0] != "training")
    return sorted((name, value) for name, value in kept if _is_plain(value))


def _is_plain(value: object) -> bool:
    if isinstance(value, tuple | list):
        return all(map(_is_plain, value))
    return isinstance(value, int | float | str)


class VGGStyle(StyleEncoder):
    """The first fully connected layer of VGG-19 before its ReLU: 4096 numbers, as published.

    Pictures are resized to 224 px by area, whatever their aspect.

    Args:
        weights: state dict with torchvision's names, a local file; by default torchvision's ImageNet weights, which are
            downloaded once (548 MB).
        convention: what the weights want to see, "torchvision" or "caffe"; see `FrozenVGG`.
        widths: channels of the five blocks and of the layer, for weights of a narrower network.

    Raises:
        ValueError: for an unknown convention, and "caffe" without weights.
    """

    name = "vgg19"

    def __init__(
        self,
        weights: str | Path | None = None,
        convention: Literal["torchvision", "caffe"] = "torchvision",
        widths: tuple[int, ...] = WIDTHS,
    ) -> None:
        self.vgg = FrozenVGG("fc1", 19, weights, convention, SIDE, widths)
        self.hint_dim = widths[5]
        self.protocol = f"fc1 before its ReLU, {convention} preprocessing, area to {SIDE}x{SIDE}"

    def build(self) -> nn.Module:
        return self.vgg.build()

    def fit(self, pictures: Tensor) -> Tensor:
        return self.vgg.fit(pictures)

    def shown(self, images: Tensor) -> Tensor:
        return self.vgg.shown(images)

    def encode(self, pictures: Tensor) -> Tensor:
        hints: Tensor = self.look(pictures)["fc1"]
        return hints


class OpenMojiStyle(StyleEncoder):
    """The 64 features of the packaged classifier: cheap and without a download, for the embedded data."""

    name = "openmoji"
    hint_dim = 64
    protocol = "features, antialiased bilinear to 64x64"

    def build(self) -> nn.Module:
        return openmoji_classifier()

    def shown(self, images: Tensor) -> Tensor:
        return (images + 1) * 127.5

    def encode(self, pictures: Tensor) -> Tensor:
        hints, _ = self.look(pictures)
        return hints


class PaletteStyle(StyleEncoder):
    """Which colours a picture has and how much of each, and nothing else; no weights. See `palette`."""

    name = "palette"
    hint_dim = 512
    protocol = "square roots of shares, 8x8x8 RGB, paper weighs a tenth"

    def build(self) -> nn.Module:
        return nn.Identity()

    def encode(self, pictures: Tensor) -> Tensor:
        return palette(pictures, bins=8)


def palette(pictures: Tensor, bins: int = 8) -> Tensor:
    """Colour histograms of pictures, in which neither paper nor large areas drown the rest.

    Each pixel is shared among the eight colours of an RGB grid that surround it (trilinear), so that a slightly other
    tint makes a slightly other vector. A white pixel weighs a tenth of others, and one nearly white accordingly more
    up to full weight where a channel is a tenth below white: in drawings most pixels are paper. The numbers are the
    square roots of the colours' shares. That makes every vector one of length 1, lifts small areas (a hundredth of the
    picture gives 0.1), and its dot product with another picture's is the overlap of the two histograms (Bhattacharyya).

    Args:
        pictures: float ``(N, 3, h, w)`` in [-1, 1], RGB; what lies beyond is clipped.
        bins: colours of the grid per channel.

    Returns:
        ``(N, bins ** 3)`` float32; red varies slowest, blue fastest.

    Raises:
        ValueError: for fewer than two bins.

    Examples:
        >>> black_and_white = torch.cat([torch.full((1, 3, 8, 8), -1.0), torch.full((1, 3, 8, 8), 1.0)], dim=3)
        >>> hint = palette(black_and_white, bins=2)
        >>> hint.shape, (hint[0, [0, -1]] ** 2 * 11).tolist()  # shares of black and white, paper weighs a tenth
        (torch.Size([1, 8]), [10.0, 1.0])
    """
    if bins < 2:
        raise ValueError(f"bins must be at least 2, got {bins}")
    colours = (pictures.float().clamp(-1, 1) + 1).flatten(2) / 2  # (N, 3, P)
    weights = 0.1 + 9 * (1 - colours.amin(1)).clamp(max=0.1)
    shares = colours.new_zeros(len(pictures), bins * bins, bins)
    centres = torch.arange(bins, device=colours.device, dtype=colours.dtype).view(-1, 1)
    for some, weight in zip(colours.split(1 << 16, 2), weights.split(1 << 16, 1), strict=True):  # to save memory
        near = (1 - (some[:, :, None] * (bins - 1) - centres).abs()).clamp(min=0)  # (N, 3, bins, P)
        red_green = (near[:, 0, :, None] * near[:, 1, None]).flatten(1, 2)
        shares += (red_green * weight[:, None]) @ near[:, 2].mT
    shares = shares.flatten(1)
    return (shares / shares.sum(1, keepdim=True)).sqrt()


class ModuleStyle(StyleEncoder):
    """A network of one's own, which is frozen for good.

    Args:
        network: pictures ``(N, 3, h, w)`` in [-1, 1], of whatever size they come in, to vectors ``(N, D)`` or to maps
            ``(N, D, h, w)``, which are averaged over the picture. It is tried with a picture of 224 px.
        weights: its state dict, a local file.

    Raises:
        ValueError: if the network fails with that picture, or returns something else.
    """

    protocol = "vectors, or means of maps"

    def __init__(self, network: nn.Module, weights: str | Path | None = None) -> None:
        self.name = re.sub(r"\W", "", type(network).__name__.lower())
        self.given = network.eval().requires_grad_(False)
        self.weights = weights
        first = next((p for p in network.parameters() if p.is_floating_point()), torch.zeros(()))
        with torch.inference_mode(False), torch.no_grad(), torch.random.fork_rng(devices=[]):
            try:
                found = network(torch.zeros(1, 3, SIDE, SIDE, device=first.device, dtype=first.dtype))
            except Exception as error:  # whatever a network of others may raise
                raise ValueError(
                    f"style: {type(network).__name__} fails with a picture (1, 3, {SIDE}, {SIDE}) ({error}); it must "
                    "take RGB pictures of any size"
                ) from error
        self.hint_dim = self._vectors(found).shape[1]

    def build(self) -> nn.Module:
        if self.weights is not None:
            load_weights(self.given, read_weights(self.weights), self.weights)
        return self.given

    def encode(self, pictures: Tensor) -> Tensor:
        return self._vectors(self.look(pictures)).float()

    def _vectors(self, found: object) -> Tensor:
        if not isinstance(found, Tensor) or found.ndim not in (2, 4):
            got = f"a tensor {tuple(found.shape)}" if isinstance(found, Tensor) else type(found).__name__
            raise ValueError(
                f"style: {type(self.given).__name__} must return vectors (N, D) or maps (N, D, h, w), got {got}"
            )
        return found.mean((2, 3)) if found.ndim == 4 else found


def style_encoder(which: str | nn.Module | StyleEncoder = "vgg19", weights: str | Path | None = None) -> StyleEncoder:
    """A style encoder by name, or one's own.

    Args:
        which: "vgg19" (4096 numbers, as published), "openmoji" (64, of the packaged classifier), "palette" (512, a
            histogram of colours), or a module from pictures ``(N, 3, h, w)`` in [-1, 1] to vectors or maps; see
            `ModuleStyle`. A `StyleEncoder` is returned as it is.
        weights: of "vgg19", a local file, by default downloaded; or of a module of one's own.

    Raises:
        ValueError: for an unknown name, and for weights where none are taken.

    Examples:
        >>> encode = style_encoder("palette")
        >>> encode(torch.rand(2, 3, 48, 64) * 2 - 1).shape
        torch.Size([2, 512])
    """
    if which == "vgg19":
        return VGGStyle(weights)
    if isinstance(which, nn.Module):
        return ModuleStyle(which, weights)
    if weights is not None and (which in ("openmoji", "palette") or isinstance(which, StyleEncoder)):
        raise ValueError(f"weights belong to style='vgg19' or a module of your own, got {weights} for {which!r}")
    if isinstance(which, StyleEncoder):
        return which
    if which == "openmoji":
        return OpenMojiStyle()
    if which == "palette":
        return PaletteStyle()
    raise ValueError(f'style must be "vgg19", "openmoji", "palette", a module or a StyleEncoder, got {which!r}')
