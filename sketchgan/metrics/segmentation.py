"""Scores of a segmentation, as in the FCN score of pix2pix (arXiv 1611.07004, section 4)."""

import torch
from torch import Tensor
from torchmetrics import Metric


class FCNScore(Metric):
    """Pixel accuracy, class accuracy and class IoU of class maps, from one confusion matrix over all images.

    pix2pix translates Cityscapes labels to photos, segments the photos with a fixed network and compares the result
    with the labels. This is the comparison; bring any segmenter. As in the official script a class that never occurs
    counts as 0 in both means, so the number of classes in the data matters.

    Args:
        num_classes: 19 for Cityscapes. Pixels whose label lies outside ``0 … num_classes - 1`` are ignored.

    Shapes: predictions and labels, integers of any equal shape; ``compute`` returns a dict of three scalars and of
    ``class_acc`` and ``class_iou``, each ``(num_classes,)``, all in [0, 1] and float64.

    Raises:
        ValueError: from ``update``, if shapes differ or a prediction at a counted pixel is no class.

    Examples:
        >>> score = FCNScore(num_classes=2)
        >>> score.update(torch.tensor([[0, 0], [1, 1]]), torch.tensor([[0, 0], [0, 1]]))
        >>> {name: round(value.item(), 3) for name, value in score.compute().items() if value.ndim == 0}
        {'pixel_acc': 0.75, 'mean_class_acc': 0.833, 'mean_iou': 0.583}
    """

    is_differentiable = False
    higher_is_better = True
    full_state_update = False
    confusion: Tensor

    def __init__(self, num_classes: int = 19) -> None:
        super().__init__()
        self.num_classes = num_classes
        self.add_state("confusion", torch.zeros(num_classes, num_classes, dtype=torch.int64), dist_reduce_fx="sum")

    def update(self, prediction: Tensor, label: Tensor) -> None:
        """Add class maps; rows of the confusion matrix are labels, columns predictions."""
        if prediction.shape != label.shape:
            raise ValueError(f"prediction {tuple(prediction.shape)} and label {tuple(label.shape)} differ in shape")
        label, prediction = label.flatten().long(), prediction.flatten().long()
        counted = (label >= 0) & (label < self.num_classes)
        label, prediction = label[counted], prediction[counted]
        if prediction.numel() and not 0 <= int(prediction.min()) <= int(prediction.max()) < self.num_classes:
            raise ValueError(
                f"predictions must lie in 0…{self.num_classes - 1}, got {int(prediction.min())}…{int(prediction.max())}"
            )
        cells = torch.bincount(label * self.num_classes + prediction, minlength=self.num_classes**2)
        self.confusion += cells.reshape(self.num_classes, self.num_classes)

    def compute(self) -> dict[str, Tensor]:
        """The three means and their parts per class."""
        confusion = self.confusion.double()
        hits, labels, predictions = confusion.diagonal(), confusion.sum(1), confusion.sum(0)
        class_acc = hits / (labels + 1e-12)
        class_iou = hits / (labels + predictions - hits + 1e-12)
        return {
            "pixel_acc": hits.sum() / (confusion.sum() + 1e-12),
            "mean_class_acc": class_acc.mean(),
            "mean_iou": class_iou.mean(),
            "class_acc": class_acc,
            "class_iou": class_iou,
        }
