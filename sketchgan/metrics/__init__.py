"""Scores as torchmetrics has them or builds them, and the networks that they look through."""

from sketchgan.metrics.class_accuracy import ClassAccuracy
from sketchgan.metrics.distribution import DistributionScores, block_kid, inception_score
from sketchgan.metrics.features import FeatureNet, auxiliary_net, feature_net, lpips
from sketchgan.metrics.frechet import frechet_distance
from sketchgan.metrics.matrix_effects import matrix_effects
from sketchgan.metrics.palette import palette_distance
from sketchgan.metrics.segmentation import FCNScore
from sketchgan.networks import openmoji_classifier

__all__ = [
    "ClassAccuracy",
    "DistributionScores",
    "FCNScore",
    "FeatureNet",
    "auxiliary_net",
    "block_kid",
    "feature_net",
    "frechet_distance",
    "inception_score",
    "lpips",
    "matrix_effects",
    "openmoji_classifier",
    "palette_distance",
]
