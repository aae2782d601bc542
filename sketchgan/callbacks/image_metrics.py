"""Scores of pictures, during validation and test."""

from typing import Any

import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from torchmetrics import MeanAbsoluteError, MetricCollection

# Which pictures of ``sample()`` are compared: name of the score, made picture, true picture, whether B must match A.
_COMPARISONS = (
    ("", "fake_B", "real_B", True),
    ("rec_a_", "rec_A", "real_A", False),
    ("rec_b_", "rec_B", "real_B", False),
)


class ImageMetrics(Callback):
    """Log L1, PSNR and SSIM (Wang et al., 2004) of validation and test pictures.

    Where A and B are pairs, the translation is compared with B: ``val/l1``, ``val/psnr``, ``val/ssim``. Where a module
    goes there and back, the end is compared with the start: ``val/rec_a_l1``, ``val/rec_b_l1``. Pictures are clamped
    and scaled to [0, 1]; L1 is the mean absolute difference on that scale, PSNR is in decibels.
    Scores are computed in float32, skipped in the sanity check and equal on all processes; none enters checkpoints.
    """

    def __init__(self) -> None:
        self._metrics: dict[str, MetricCollection] = {}

    def on_validation_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        if trainer.sanity_checking:
            return
        paired = getattr(getattr(trainer, "datamodule", None), "paired", True)
        for prefix, made, true, needs_pairs in _COMPARISONS:
            if made not in outputs or true not in outputs or (needs_pairs and not paired):
                continue
            if prefix not in self._metrics:
                self._metrics[prefix] = _collection(needs_pairs).to(pl_module.device)
            with torch.autocast(pl_module.device.type, enabled=False):
                self._metrics[prefix].update(*((outputs[name].float() / 2 + 0.5).clamp(0, 1) for name in (made, true)))

    on_test_batch_end = on_validation_batch_end

    def _log(self, pl_module: LightningModule, stage: str) -> None:
        for prefix, metrics in self._metrics.items():
            for name, value in metrics.compute().items():
                pl_module.log(f"{stage}/{prefix}{name}", value)
        self._metrics = {}

    def on_validation_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._log(pl_module, "val")

    def on_test_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._log(pl_module, "test")


def _collection(paired: bool) -> MetricCollection:
    # Imported where used: torchmetrics' image package is slow to import.
    from torchmetrics.image import PeakSignalNoiseRatio, StructuralSimilarityIndexMeasure

    if not paired:
        return MetricCollection({"l1": MeanAbsoluteError()})
    return MetricCollection(
        {
            "l1": MeanAbsoluteError(),
            "psnr": PeakSignalNoiseRatio(data_range=1.0),
            "ssim": StructuralSimilarityIndexMeasure(data_range=1.0),
        },
        compute_groups=False,
    )
