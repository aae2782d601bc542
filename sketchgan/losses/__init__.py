"""Losses: tensors in, scalars out."""

from sketchgan.losses.adversarial import (
    AdversarialLoss,
    AdversarialMode,
    HingeLoss,
    LeastSquaresLoss,
    NonSaturatingLoss,
    VanillaLoss,
    WassersteinGPLoss,
    adversarial_loss,
)
from sketchgan.losses.face_identity import FaceIdentityLoss, face_crop
from sketchgan.losses.frozen_network import FrozenNetworkLoss
from sketchgan.losses.perceptual import PerceptualLoss

__all__ = [
    "AdversarialLoss",
    "AdversarialMode",
    "FaceIdentityLoss",
    "FrozenNetworkLoss",
    "HingeLoss",
    "LeastSquaresLoss",
    "NonSaturatingLoss",
    "PerceptualLoss",
    "VanillaLoss",
    "WassersteinGPLoss",
    "adversarial_loss",
    "face_crop",
]
