"""Which pictures of a batch are compared one by one, and by what."""

from collections.abc import Iterator, Sequence
from typing import Literal

from torch import Tensor
from torchmetrics import MeanAbsoluteError, Metric

PairScore = Literal["l1", "psnr", "ssim", "lpips"]
DiversityScore = Literal["diversity", "diversity_lpips"]
_COMPARED = (
    ("", "fake_B", "real_B"),
    ("", "fake_A", "real_A"),
    ("rec_a_", "rec_A", "real_A"),
    ("rec_b_", "rec_B", "real_B"),
)


def comparisons(
    pictures: dict[str, Tensor], scores: Sequence[PairScore], paired: bool
) -> Iterator[tuple[str, Tensor, Tensor]]:
    """What can be compared: translations with true pictures where A and B are pairs, and cycles with their starts.

    Of translations both ways those to B are compared.

    Args:
        pictures: of ``sample()``, in [-1, 1].
        scores: of pairs; cycles have L1 alone, in every case.
        paired: whether A and B are.

    Yields:
        Name of the score, made pictures and true pictures in [0, 1].
    """
    for prefix, made, true in _COMPARED:
        if made in pictures and true in pictures and not (made == "fake_A" and "fake_B" in pictures):
            pair = [_scaled(pictures[name]) for name in (made, true)]
            if prefix:
                yield f"{prefix}l1", pair[0], pair[1]
            elif paired:
                for score in scores:
                    if score == "lpips":
                        yield score, _rgb(pair[0]), _rgb(pair[1])
                    else:
                        yield score, pair[0], pair[1]


def diversity(first: Tensor, second: Tensor, score: DiversityScore) -> tuple[Tensor, Tensor]:
    """Two translations of the same pictures, in [-1, 1], as the score compares them."""
    pair = _scaled(first), _scaled(second)
    return pair if score == "diversity" else (_rgb(pair[0]), _rgb(pair[1]))


def metric_of(score: str) -> Metric:
    """The torchmetrics class of a score by its name, "l1", "psnr", "ssim", "rec_a_l1", …; LPIPS needs a network."""
    # Imported where used: torchmetrics' image package is slow to import.
    from torchmetrics.image import PeakSignalNoiseRatio, StructuralSimilarityIndexMeasure

    if score == "psnr":
        return PeakSignalNoiseRatio(data_range=1.0, dim=(1, 2, 3))
    if score == "ssim":
        return StructuralSimilarityIndexMeasure(data_range=1.0)
    return MeanAbsoluteError()


def _scaled(pictures: Tensor) -> Tensor:
    return (pictures.float() / 2 + 0.5).clamp(0, 1)


def _rgb(pictures: Tensor) -> Tensor:
    return pictures.expand(-1, 3, -1, -1) if pictures.shape[1] == 1 else pictures
