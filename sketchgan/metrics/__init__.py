"""Metrics that torchmetrics does not have."""

from sketchgan.metrics.segmentation import FCNScore

__all__ = ["FCNScore"]
