"""The face-ID loss of photo2cartoon (Minivision, 2020): the cartoon should be recognised as the same person."""

from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from sketchgan.networks.frozen_network import FrozenNetwork
from sketchgan.networks.mobilefacenet import MobileFaceNet
from sketchgan.networks.pretrained import load_weights, read_weights

OFFICIAL = "model_mobilefacenet.pth, which https://github.com/TreB1eN/InsightFace_Pytorch links to as Mobilefacenet"


def face_crop(images: Tensor) -> Tensor:
    """The face in aligned portraits, resized to 112 × 112 (bilinear, corners aligned) for a face network.

    The box is fixed: it relies on portraits as `sketchgan.data.prepare_faces` makes them.

    Shapes: ``(N, C, H, W)`` → ``(N, C, 112, 112)``.

    Raises:
        ValueError: if the pictures are narrower than the box, which is 0.63 times as wide as they are high.

    Examples:
        >>> face_crop(torch.zeros(1, 3, 256, 256)).shape
        torch.Size([1, 3, 112, 112])
    """
    height, width = images.shape[-2:]
    top = int(height / 2.1 * (0.8 - 0.33))
    bottom = int(height - height / 2.1 * 0.3)
    left = int(width / 2 - (bottom - top) / 2)
    right = left + bottom - top
    if left < 0 or right > width or bottom == top:
        raise ValueError(f"the face of a portrait {height} pixels high is {bottom - top} wide, got a width of {width}")
    box = images[..., top:bottom, left:right]
    return F.interpolate(box, (MobileFaceNet.side, MobileFaceNet.side), mode="bilinear", align_corners=True)


class FaceIdentityLoss(FrozenNetwork):
    """One minus the cosine between the features of two portraits' faces, averaged over the samples.

    The network stays frozen, in evaluation mode and in float32 (float64 for pictures in float64), also under autocast.
    It is no part of a module that holds this loss: not of its checkpoints, its optimizers, or what processes exchange.
    Gradients flow to the fakes alone.

    The official code feeds R, G, B, and so does this class by default, though the public weights were trained on
    B, G, R. Its authors found those weights clearly worse than their own, which are not public, and advise to leave
    the loss out where it disturbs the training.

    Args:
        network: of your own, ``(N, 3, 112, 112)`` in [-1, 1] → features ``(N, D)``; it is frozen for good. By default a
            `MobileFaceNet`, which needs ``weights``.
        weights: state dict of the network, a local file.
        swap_channels: feed B, G, R.

    Examples:
        >>> loss = FaceIdentityLoss(network=nn.Flatten())
        >>> portraits = torch.rand(2, 3, 64, 64)
        >>> loss(portraits, portraits).item() < 1e-6
        True
    """

    def __init__(
        self, network: nn.Module | None = None, weights: str | Path | None = None, swap_channels: bool = False
    ) -> None:
        self.network = network
        self.weights = weights
        self.swap_channels = swap_channels

    def build(self) -> nn.Module:
        if self.network is None and self.weights is None:
            raise FileNotFoundError(
                f"the face-ID loss needs the weights of a face network: fetch {OFFICIAL}, and give its path as weights "
                "(face_weights of Photo2Cartoon, which does without them under lambda_face=0)"
            )
        network = MobileFaceNet() if self.network is None else self.network
        if self.weights is not None:
            remedy = f"give {OFFICIAL}" if isinstance(network, MobileFaceNet) else ""
            load_weights(network, read_weights(self.weights), self.weights, remedy)
        return network

    def __call__(self, real: Tensor, fake: Tensor) -> Tensor:
        """A scalar, for portraits ``(N, 3, H, W)`` in [-1, 1]."""
        with torch.no_grad():
            expected = self.features(real)
        return (1 - F.cosine_similarity(expected, self.features(fake), dim=1)).mean()

    def features(self, images: Tensor) -> Tensor:
        """What the network says of the faces in portraits."""
        return self.look(images)

    def shown(self, images: Tensor) -> Tensor:
        faces = face_crop(images)
        return faces.flip(1) if self.swap_channels else faces
