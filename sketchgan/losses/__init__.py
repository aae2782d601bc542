"""Losses: tensors in, scalars out."""

from sketchgan.losses.adversarial import (
    AdversarialLoss,
    AdversarialMode,
    DRAGANLoss,
    HingeLoss,
    LeastSquaresLoss,
    NonSaturatingLoss,
    VanillaLoss,
    WassersteinGPLoss,
    adversarial_loss,
)
from sketchgan.losses.classification import focal_loss
from sketchgan.losses.diversity import diversity_loss
from sketchgan.losses.face_identity import FaceIdentityLoss, face_crop
from sketchgan.losses.lines import LineLoss
from sketchgan.losses.perceptual import PerceptualLoss
from sketchgan.losses.style import StyleAdversarialLoss, StyleMode, standardised

__all__ = [
    "AdversarialLoss",
    "AdversarialMode",
    "DRAGANLoss",
    "FaceIdentityLoss",
    "HingeLoss",
    "LeastSquaresLoss",
    "LineLoss",
    "NonSaturatingLoss",
    "PerceptualLoss",
    "StyleAdversarialLoss",
    "StyleMode",
    "VanillaLoss",
    "WassersteinGPLoss",
    "adversarial_loss",
    "diversity_loss",
    "face_crop",
    "focal_loss",
    "standardised",
]
