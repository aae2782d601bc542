"""Scores as torchmetrics has them or builds them, and the networks that they look through."""

from sketchgan.metrics.distribution import DistributionScores, block_kid
from sketchgan.metrics.features import FeatureNet, feature_net, lpips, openmoji_classifier
from sketchgan.metrics.segmentation import FCNScore

__all__ = ["DistributionScores", "FCNScore", "FeatureNet", "block_kid", "feature_net", "lpips", "openmoji_classifier"]
