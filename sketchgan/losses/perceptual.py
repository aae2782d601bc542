"""The perceptual loss of SketchyGAN (Chen and Hays, CVPR 2018, arXiv 1801.02753), through any frozen network."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Literal

import torch
from torch import Tensor, nn

from sketchgan.networks.frozen_network import FrozenNetwork
from sketchgan.networks.inception_v4 import inception_v4_stem
from sketchgan.networks.openmoji_classifier import openmoji_classifier
from sketchgan.networks.pretrained import load_weights, read_weights
from sketchgan.ops import resize_legacy

_OPENMOJI_LAYERS = ("2", "5", "8")  # at 1/2, 1/4 and 1/8 of the size, as those of Inception-V4


class PerceptualLoss(FrozenNetwork):
    """Mean absolute difference of two pictures' feature maps, summed over layers.

    The network stays frozen, in evaluation mode and in float32 (float64 for pictures in float64), also under autocast.
    It is no part of a module that holds this loss: not of its checkpoints, its optimizers, or what processes exchange.
    Gradients flow to the fakes alone.

    By default as in the official code: Inception-V4 at 299 px, resized as TensorFlow 1 did, three layers of weight 1.
    That code shows it pictures in [0, 1], though it was trained on [-1, 1]; ``value_range=(-1, 1)`` would be right.

    Args:
        network: "inception_v4"; "openmoji", the packaged classifier of the embedded data, whose first three stages are
            compared; or a network of your own from pictures to a feature map, or to a sequence or mapping of them. It
            is frozen for good.
        weights: state dict of the network, a local file; for "inception_v4" see
            `sketchgan.networks.inception_v4_stem`, which downloads it by default.
        layers: names of the layers inside the network whose outputs are compared in place of its own output, such as
            ``["features.3", "features.8"]`` of torchvision's VGG; see its ``create_feature_extractor``.
        layer_weights: one per layer; 1 by default.
        size: side in pixels to resize to, by `sketchgan.ops.resize_legacy`; None to leave pictures as they are. By
            default 299 for "inception_v4", None for others.
        value_range: of the pictures that the network wants; by default (0, 1) for "inception_v4", (-1, 1) for others.

    Raises:
        ValueError: for an unknown network, a size below 1 or an empty value range.

    Examples:
        >>> loss = PerceptualLoss("openmoji")
        >>> pictures = torch.rand(2, 3, 64, 64) * 2 - 1
        >>> loss(pictures, pictures).item(), loss(pictures, -pictures).item() > 0
        (0.0, True)
    """

    def __init__(
        self,
        network: Literal["inception_v4", "openmoji"] | nn.Module = "inception_v4",
        weights: str | Path | None = None,
        layers: Sequence[str] | None = None,
        layer_weights: Sequence[float] | None = None,
        size: int | Literal["default"] | None = "default",
        value_range: tuple[float, float] | None = None,
    ) -> None:
        if isinstance(network, str) and network not in ("inception_v4", "openmoji"):
            raise ValueError(f'network must be "inception_v4", "openmoji" or a module, got {network!r}')
        inception = network == "inception_v4"
        self.network = network
        self.weights = weights
        self.layers = layers
        self.layer_weights = layer_weights
        self.size = (299 if inception else None) if size == "default" else size
        self.value_range = value_range or ((0.0, 1.0) if inception else (-1.0, 1.0))
        if isinstance(self.size, str) or (self.size is not None and self.size < 1):
            raise ValueError(f'size must be at least 1, "default" or None, got {self.size!r}')
        if self.value_range[0] >= self.value_range[1]:
            raise ValueError(f"value_range must be (low, high), got {self.value_range}")

    def build(self) -> nn.Module:
        network, layers = self._loaded(), self.layers
        if self.network == "openmoji":
            network, layers = network.stages, layers or _OPENMOJI_LAYERS  # type: ignore[assignment]
        if layers:
            from torchvision.models.feature_extraction import create_feature_extractor

            network = create_feature_extractor(network, list(layers))
        return network

    def _loaded(self) -> nn.Module:
        if self.network == "inception_v4":
            return inception_v4_stem(self.weights)
        network = openmoji_classifier() if self.network == "openmoji" else self.network
        if self.weights is not None:
            load_weights(network, read_weights(self.weights), self.weights)
        return network

    def __call__(self, real: Tensor, fake: Tensor) -> Tensor:
        """A scalar, for pictures ``(N, 3, H, W)`` in [-1, 1].

        Raises:
            ValueError: if there are not as many weights as layers.
        """
        with torch.no_grad():
            expected = self.features(real)
        found = self.features(fake)
        weights = [1.0] * len(found) if self.layer_weights is None else self.layer_weights
        if len(weights) != len(found):
            raise ValueError(f"layer_weights must be {len(found)} numbers, one per layer, got {len(weights)}")
        terms = [w * (a - b).abs().mean() for w, a, b in zip(weights, expected, found, strict=True)]
        return torch.stack(terms).sum()

    def features(self, images: Tensor) -> list[Tensor]:
        """The feature maps of pictures ``(N, 3, H, W)`` in [-1, 1]."""
        maps = self.look(images)
        if isinstance(maps, Tensor):
            return [maps]
        return list(maps.values() if isinstance(maps, Mapping) else maps)

    def shown(self, images: Tensor) -> Tensor:
        low, high = self.value_range
        if (low, high) != (-1, 1):
            images = (images + 1) / 2 * (high - low) + low
        return images if self.size is None else resize_legacy(images, self.size)
