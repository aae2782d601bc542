"""Scores of many pictures together, from the features of one network."""

import warnings
from collections.abc import Sequence
from typing import Any, Literal, get_args

import torch
from torch import Tensor, nn
from torchmetrics import Metric, SumMetric

DistributionScore = Literal["fid", "kid", "is"]
KID_SUBSET = 1000


class DistributionScores:
    """FID, KID and Inception score of made pictures, which share one pass of the feature network.

    FID: Heusel et al., 2017, arXiv 1706.08500. KID: Bińkowski et al., 2018, arXiv 1801.01401, the mean over 100 subsets
    of at most 1000 (one, where a subset is the whole set). Inception score: Salimans et al., 2016, arXiv 1606.03498,
    the mean over ten splits (fewer, where one would hold a single picture). Subsets and splits are the same in every
    call and draw from no global generator; they follow the order of the pictures, which several processes change.

    Args:
        widths: numbers of features and of logits; see `FeatureNet`.
        scores: some of "fid", "kid", "is".
        device: where features arrive.

    Raises:
        ValueError: for unknown scores.

    Examples:
        >>> features = torch.arange(12.0).reshape(6, 2)
        >>> scores = DistributionScores(widths=(2, 2), scores=["fid"])
        >>> scores.update(features, features, real=True)
        >>> scores.update(features + 1, features, real=False)
        >>> round(scores.compute()["fid"].item(), 3), scores.counts()
        (2.0, (6, 6))
    """

    def __init__(
        self,
        widths: tuple[int, int],
        scores: Sequence[DistributionScore] = ("fid",),
        device: torch.device | str = "cpu",
    ) -> None:
        if unknown := set(scores) - set(get_args(DistributionScore)):
            raise ValueError(f"unknown scores {', '.join(sorted(unknown))}; there are fid, kid and is")
        # Imported where used: torchmetrics' image package is slow to import.
        from torchmetrics.image import FrechetInceptionDistance, InceptionScore, KernelInceptionDistance

        given = nn.Identity()  # in place of the feature network, which has run already
        given.num_features = widths[0]  # type: ignore[assignment]
        self._metrics: dict[str, Any] = {}
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", ".*will save all extracted features in buffer.*")
            if "fid" in scores:
                self._metrics["fid"] = FrechetInceptionDistance(feature=given, reset_real_features=False)
            if "kid" in scores:
                self._metrics["kid"] = KernelInceptionDistance(feature=given, reset_real_features=False)
            if "is" in scores:
                self._metrics["is"] = InceptionScore(feature=given)
        self._made, self._real = SumMetric(), SumMetric()
        for metric in (*self._metrics.values(), self._made, self._real):
            metric.to(device)
        # No pictures are pictures too: processes that see none can then take part in every sum.
        self._nothing = torch.empty(0, widths[0], device=device), torch.empty(0, widths[1], device=device)
        self.update(*self._nothing, real=True)
        self.update(*self._nothing, real=False)

    def update(self, features: Tensor, logits: Tensor, real: bool) -> None:
        """Add pictures.

        Args:
            features: ``(N, widths[0])``.
            logits: ``(N, widths[1])``, for the Inception score.
            real: whether they are real pictures, or made ones.
        """
        (self._real if real else self._made).update(len(features))
        for name, metric in self._metrics.items():
            if name == "is":
                if not real:
                    metric.update(logits)
            else:
                metric.update(features, real=real)

    def counts(self) -> tuple[int, int]:
        """Made and real pictures so far, of all processes."""
        return int(self._made.compute()), int(self._real.compute())

    def compute(self) -> dict[str, Tensor]:
        """Scores by name, over all processes; those for which there are too few pictures are missing."""
        made, real = self.counts()
        values: dict[str, Tensor] = {}
        for name, metric in self._metrics.items():
            if min(made, made if name == "is" else real) < 2:
                continue
            if name == "kid":
                metric.subset_size = min(KID_SUBSET, made, real)
                metric.subsets = 100 if metric.subset_size < max(made, real) else 1
            if name == "is":
                metric.splits = _splits(made)
            self._as_one_tensor(metric)
            with torch.random.fork_rng(devices=[]):
                torch.default_generator.manual_seed(0)
                value = metric.compute()
            values[name] = value[0] if isinstance(value, tuple) else value
        return values

    def reset(self) -> None:
        """Forget the made pictures; the real ones stay the same from validation to validation."""
        self._made.reset()
        for metric in self._metrics.values():
            metric.reset()
        self.update(*self._nothing, real=False)

    def _as_one_tensor(self, metric: Metric) -> None:
        """Processes with different numbers of batches would otherwise wait for each other for ever."""
        for name in ("real_features", "fake_features", "features"):
            if isinstance(parts := getattr(metric, name, None), list):
                setattr(metric, name, [torch.cat(parts)])


def _splits(made: int) -> int:
    """Ten, or the most below that leave no picture alone, which would score 1 whatever it shows."""
    return max(s for s in range(1, min(10, made // 2) + 1) if made % -(-made // s) != 1)
