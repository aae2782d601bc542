"""In how many pictures of each class a classifier finds that class."""

import torch
from torch import Tensor
from torchmetrics import Metric


class ClassAccuracy(Metric):
    """Share of pictures whose class is found, and the same class by class.

    Args:
        num_classes: labels and predictions are ``0 … num_classes - 1``.

    Shapes: predictions and labels, integers ``(N,)``; ``compute`` returns a dict of ``accuracy``, a scalar,
    ``class_accuracy`` and ``counts``, each ``(num_classes,)``. The accuracy of a class without pictures is NaN.

    Raises:
        ValueError: from ``update``, for a label outside the classes.

    Examples:
        >>> score = ClassAccuracy(num_classes=3)
        >>> score.update(torch.tensor([0, 1, 0]), torch.tensor([0, 0, 1]))
        >>> score.compute()["class_accuracy"], score.compute()["counts"]
        (tensor([0.5000, 0.0000,    nan]), tensor([2, 1, 0]))
    """

    is_differentiable = False
    higher_is_better = True
    full_state_update = False
    hits: Tensor
    counts: Tensor

    def __init__(self, num_classes: int) -> None:
        super().__init__()
        self.num_classes = num_classes
        self.add_state("hits", torch.zeros(num_classes, dtype=torch.int64), dist_reduce_fx="sum")
        self.add_state("counts", torch.zeros(num_classes, dtype=torch.int64), dist_reduce_fx="sum")

    def update(self, predictions: Tensor, labels: Tensor) -> None:
        if len(labels) and not 0 <= int(labels.min()) <= int(labels.max()) < self.num_classes:
            raise ValueError(
                f"labels must lie in 0…{self.num_classes - 1}, got {int(labels.min())}…{int(labels.max())}; the "
                "classifier and the data must have the same classes"
            )
        self.hits += labels[predictions == labels].bincount(minlength=self.num_classes)
        self.counts += labels.bincount(minlength=self.num_classes)

    def compute(self) -> dict[str, Tensor]:
        return {
            "accuracy": self.hits.sum() / self.counts.sum(),
            "class_accuracy": self.hits / self.counts,
            "counts": self.counts,
        }
