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

__all__ = [
    "AdversarialLoss",
    "AdversarialMode",
    "HingeLoss",
    "LeastSquaresLoss",
    "NonSaturatingLoss",
    "VanillaLoss",
    "WassersteinGPLoss",
    "adversarial_loss",
]
