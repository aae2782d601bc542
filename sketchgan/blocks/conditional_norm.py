"""Batch norm whose scale and offset depend on a class (Dumoulin et al., 2017, arXiv 1610.07629)."""

from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

Statistics = Literal["batch", "running"]


class ConditionalBatchNorm(_BatchNorm):
    """Normalise over batch and pixels, then scale and shift by the rows of two tables that the labels choose.

    Running statistics are kept in training, though SketchyGAN's official code has none: it normalises with the batch
    in every case, and so does this layer in evaluation unless ``statistics`` is "running".

    Args:
        channels: C of the input.
        n_classes: rows of both tables.
        eps: added to the variance.
        momentum: of the running statistics; None averages over all batches since they were reset.

    Attributes:
        statistics: what evaluation normalises with, "batch" or "running".

    Shapes: x ``(N, C)`` or ``(N, C, H, W)``, labels ``(N,)`` → like x.

    Examples:
        >>> norm = ConditionalBatchNorm(channels=4, n_classes=3)
        >>> norm(torch.randn(2, 4, 8, 8), torch.tensor([0, 2])).shape
        torch.Size([2, 4, 8, 8])
    """

    def __init__(self, channels: int, n_classes: int, eps: float = 1e-5, momentum: float | None = 0.1) -> None:
        super().__init__(channels, eps, momentum, affine=False)
        self.scale = nn.Parameter(torch.ones(n_classes, channels))
        self.offset = nn.Parameter(torch.zeros(n_classes, channels))
        self.statistics: Statistics = "batch"

    def forward(self, x: Tensor, labels: Tensor) -> Tensor:  # type: ignore[override]
        by_batch = self.training or self.statistics == "batch"
        mean, variance = self.running_mean, self.running_var
        if by_batch and not (self.training and x.numel() > x.shape[1]):
            mean = variance = None  # one value has no variance to remember
        factor = self.momentum
        if self.training and self.num_batches_tracked is not None:
            self.num_batches_tracked.add_(1)
            factor = 1 / float(self.num_batches_tracked) if factor is None else factor
        # Not functional.batch_norm, which refuses a single value per channel; it becomes 0, but for rounding.
        x = torch.batch_norm(x, None, None, mean, variance, by_batch, factor or 0.0, self.eps, True)
        shape = (*x.shape[:2], *[1] * (x.dim() - 2))
        return torch.addcmul(self.offset[labels].view(shape).to(x.dtype), x, self.scale[labels].view(shape).to(x.dtype))
