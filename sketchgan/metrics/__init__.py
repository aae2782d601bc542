"""Scores as torchmetrics has them or builds them, and the networks that they look through."""

from sketchgan.metrics.distribution import DistributionScores, block_kid
from sketchgan.metrics.features import FeatureNet, feature_net, lpips
from sketchgan.metrics.segmentation import FCNScore
from sketchgan.networks import openmoji_classifier

__all__ = ["DistributionScores", "FCNScore", "FeatureNet", "block_kid", "feature_net", "lpips", "openmoji_classifier"]
