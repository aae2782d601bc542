"""Scores of many pictures together, from the features of one network."""

import math
import warnings
from collections.abc import Sequence
from itertools import pairwise
from typing import Any, Literal, get_args

import torch
from torch import Tensor, nn
from torchmetrics import Metric, SumMetric

from sketchgan.metrics.frechet import frechet_distance

DistributionScore = Literal["fid", "kid", "is"]
KID_SUBSET = 1000
IS_SPLITS = 10
FID_OF_CLASS = 10  # pictures of a class, made and real


def block_kid(made: Tensor, real: Tensor, block_size: int = 10) -> tuple[Tensor, Tensor]:
    """KID as the mean over blocks, with its standard error, as the authors of U-GAT-IT compute it.

    Both sets are cut in their order into equally many blocks, as many as it takes for none to hold more than
    ``block_size``; block sizes differ by one at most, and the smaller ones come first. Two blocks give the unbiased
    estimate with the kernel (x·y / D + 1)³ (Bińkowski et al., 2018, arXiv 1801.01401). Papers print 100 times the
    values.

    Args:
        made: features ``(N, D)`` of made pictures.
        real: features ``(M, D)`` of real ones.
        block_size: most pictures of a set in a block.

    Returns:
        Mean and standard error, in float64 and on the CPU; the error of a single block is NaN.

    Raises:
        ValueError: if a block would hold fewer than two pictures of a set.

    Examples:
        >>> features = torch.randn(40, 8, generator=torch.Generator().manual_seed(0))
        >>> mean, error = block_kid(features + 1, features)
        >>> round(mean.item(), 1), round(error.item(), 1)
        (6.4, 0.5)
    """
    blocks = math.ceil(max(len(made), len(real)) / block_size)
    if min(len(made), len(real)) < 2 * max(blocks, 1):
        raise ValueError(
            f"{blocks} blocks need two of each set at least, got {len(made)} made and {len(real)} real pictures; "
            "raise block_size"
        )
    cut = [features.cpu().double().split(_block_sizes(len(features), blocks)) for features in (made, real)]
    values = torch.stack([_kid(*pair) for pair in zip(*cut, strict=True)])
    return values.mean(), values.std() / math.sqrt(blocks) if blocks > 1 else values.new_tensor(math.nan)


def _block_sizes(count: int, blocks: int) -> list[int]:
    size, longer = divmod(count, blocks)
    return [size] * (blocks - longer) + [size + 1] * longer


def _kid(a: Tensor, b: Tensor) -> Tensor:
    """The unbiased estimate: of a picture with itself the kernel says nothing."""
    across = _kernel(a, b).mean()
    within = [(k.sum() - k.trace()) / (len(k) * (len(k) - 1)) for k in (_kernel(a, a), _kernel(b, b))]
    return within[0] + within[1] - 2 * across


def _kernel(a: Tensor, b: Tensor) -> Tensor:
    return (a @ b.T / a.shape[1] + 1) ** 3


def inception_score(probabilities: Tensor, splits: int = IS_SPLITS) -> tuple[Tensor, Tensor]:
    """Inception score as its authors compute it (Salimans et al., 2016, arXiv 1606.03498): mean and spread over splits.

    The rows are cut in their order, so pictures that are sorted by class score too low: shuffle them first.

    Args:
        probabilities: ``(N, classes)``, what a classifier gives N pictures; rows sum to 1.
        splits: number of parts, whose sizes differ by one at most.

    Returns:
        Mean and population standard deviation, in float64 and on the CPU.

    Raises:
        ValueError: for fewer rows than splits.

    Examples:
        >>> mean, std = inception_score(torch.eye(4).repeat(10, 1))
        >>> round(mean.item(), 2), round(std.item(), 2)
        (4.0, 0.0)
    """
    if not 1 <= splits <= len(probabilities):
        raise ValueError(f"{len(probabilities)} pictures cannot be cut into {splits} splits; lower splits")
    rows = probabilities.cpu().double()
    cuts = [i * len(rows) // splits for i in range(splits + 1)]
    values = torch.stack([_inception_score(rows[a:b]) for a, b in pairwise(cuts)])
    return values.mean(), values.std(correction=0)


def _inception_score(p: Tensor) -> Tensor:
    """Of one split; a probability of 0 contributes nothing."""
    return (torch.xlogy(p, p) - torch.xlogy(p, p.mean(0))).sum(1).mean().exp()


class DistributionScores:
    """FID, KID and Inception score of made pictures, which share one pass of the feature network.

    FID: Heusel et al., 2017, arXiv 1706.08500. KID: Bińkowski et al., 2018, arXiv 1801.01401, the mean over 100 subsets
    of at most 1000 (one, where a subset is the whole set), or over blocks (`block_kid`). Inception score: Salimans et
    al., 2016, arXiv 1606.03498, over ten splits (fewer, where one would hold a single picture; see `inception_score`).
    Subsets and splits are the same in every call and draw from no global generator. KID's subsets follow the order of
    the pictures, which several processes change. Blocks and splits do not change: pictures that processes took in turns
    are put back into order.

    Args:
        widths: numbers of features and of logits; see `FeatureNet`.
        scores: some of "fid", "kid", "is".
        device: where features arrive.
        kid_block_size: KID over blocks of at most so many pictures; by default over random subsets.
        is_shuffled: shuffle the pictures before they are split for the Inception score, with a seed of its own. False
            splits them in their order as the authors' code does: not for files that are sorted by class.
        per_class: keep features and labels for the FID of each class: 8 kB a picture at Inception's 2048 features,
            where two covariances of a class would take 67 MB.

    Raises:
        ValueError: for unknown scores, and blocks of less than two pictures.

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
        kid_block_size: int | None = None,
        is_shuffled: bool = True,
        per_class: bool = False,
    ) -> None:
        if kid_block_size is not None and kid_block_size < 2:
            raise ValueError(f"kid_block_size must be at least 2, got {kid_block_size}")
        if unknown := set(scores) - set(get_args(DistributionScore)):
            raise ValueError(f"unknown scores {', '.join(sorted(unknown))}; there are fid, kid and is")
        # Imported where used: torchmetrics' image package is slow to import.
        from torchmetrics.image import FrechetInceptionDistance, KernelInceptionDistance

        self.kid_block_size = kid_block_size
        self.is_shuffled = is_shuffled
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
            self._metrics["is"] = _Labelled()
        self._made, self._real = SumMetric(), SumMetric()
        self._kept = {real: _Labelled() for real in (False, True)} if per_class and "fid" in scores else {}
        for metric in (*self._metrics.values(), self._made, self._real, *self._kept.values()):
            metric.to(device)
        # No pictures are pictures too: processes that see none can then take part in every sum.
        self._nothing = torch.empty(0, widths[0], device=device), torch.empty(0, widths[1], device=device)
        self.update(*self._nothing, real=True)
        self.update(*self._nothing, real=False)

    def update(self, features: Tensor, logits: Tensor, real: bool, labels: Tensor | None = None) -> None:
        """Add pictures.

        Args:
            features: ``(N, widths[0])``.
            logits: ``(N, widths[1])``, for the Inception score.
            real: whether they are real pictures, or made ones.
            labels: integers ``(N,)``, classes of the pictures, for the scores of each.
        """
        (self._real if real else self._made).update(len(features))
        labels = logits.new_full((len(logits),), -1).long() if labels is None else labels
        if self._kept:
            self._kept[real].update(features, labels)
        for name, metric in self._metrics.items():
            if name == "is":
                if not real:
                    metric.update(logits, labels)
            else:
                metric.update(features, real=real)

    def counts(self) -> tuple[int, int]:
        """Made and real pictures so far, of all processes."""
        return int(self._made.compute()), int(self._real.compute())

    def protocol(self) -> dict[str, dict[str, Any]]:
        """How KID and the Inception score part the pictures; scores for which there are too few are missing."""
        made, real = self.counts()
        smaller, larger = sorted((made, real))
        parts: dict[str, dict[str, Any]] = {}
        for name in self._metrics:
            if (made if name == "is" else smaller) < 2:
                continue
            if name == "is":
                parts[name] = {"splits": _splits(made), "order": "shuffled" if self.is_shuffled else "of the files"}
            elif name == "fid":
                parts[name] = {}
            elif self.kid_block_size is None:
                size = min(KID_SUBSET, smaller)
                parts[name] = {"subset_size": size, "subsets": 100 if size < larger else 1}
            elif smaller >= 2 * (blocks := math.ceil(larger / self.kid_block_size)):
                parts[name] = {"block_size": self.kid_block_size, "blocks": blocks}
        return parts

    def compute(self) -> dict[str, Tensor]:
        """Scores by name, over all processes; those for which there are too few pictures are missing.

        ``kid_std`` is the standard deviation over subsets, or the standard error over blocks; ``is_std`` that over
        splits; of one there is none.
        """
        values: dict[str, Tensor] = {}
        for name, parts in self.protocol().items():
            metric = self._metrics[name]
            self._as_one_tensor(metric)
            if name == "is":
                value: Any = inception_score(self._probabilities()[0], parts["splits"])
            elif "blocks" in parts:
                with metric.sync_context():
                    made, real = _in_turns(metric.fake_features), _in_turns(metric.real_features)
                value = block_kid(made, real, parts["block_size"])
            else:
                for setting, number in parts.items():
                    setattr(metric, setting, number)
                with torch.random.fork_rng(devices=[]):
                    torch.default_generator.manual_seed(0)
                    value = metric.compute()
            values[name] = value[0] if isinstance(value, tuple) else value
            if isinstance(value, tuple) and max(parts.get(part, 0) for part in ("blocks", "subsets", "splits")) > 1:
                values[f"{name}_std"] = value[1]
        return values

    def inception_scores_of_classes(self) -> dict[int, tuple[float, int]]:
        """Inception score among the made pictures of each class, and their number.

        Classes of fewer than twenty pictures are missing, as are pictures without label. A high score says that the
        classifier sees many things in the pictures of a class, which for the class itself is no praise.
        """
        if "is" not in self._metrics or self.counts()[0] < 2:
            return {}
        self._as_one_tensor(self._metrics["is"])
        probabilities, labels = self._probabilities()
        scores = {}
        for label in labels[labels >= 0].unique().tolist():
            rows = probabilities[labels == label]
            if len(rows) >= 2 * IS_SPLITS:
                scores[label] = inception_score(rows)[0].item(), len(rows)
        return scores

    def fids_of_classes(self) -> dict[int, tuple[float, int, int]]:
        """FID of each class between its made and its real pictures, and their numbers; needs ``per_class``.

        Classes of fewer than ten pictures of either kind are missing, as are pictures without label. The fewer the
        pictures, the higher is the FID even of a perfect translation, and below ten the value says more about
        their number than about them: compare values of equally many pictures, not classes with each other and not
        with the FID of all.
        """
        if not self._kept:
            return {}
        for metric in self._kept.values():
            self._as_one_tensor(metric)
        (made, of_made), (real, of_real) = (self._kept[kind].compute() for kind in (False, True))
        scores = {}
        for label in of_made[of_made >= 0].unique().tolist():
            pair = made[of_made == label], real[of_real == label]
            counts = len(pair[0]), len(pair[1])
            if min(counts) >= FID_OF_CLASS:
                scores[label] = frechet_distance(*pair).item(), *counts
        return scores

    def _probabilities(self) -> tuple[Tensor, Tensor]:
        """Class probabilities and labels of the made pictures of all processes, in the order of their splits."""
        logits, labels = self._metrics["is"].compute()
        probabilities = logits.cpu().double().softmax(1)
        if not self.is_shuffled:
            return probabilities, labels.cpu()
        order = torch.randperm(len(logits), generator=torch.Generator().manual_seed(0))
        return probabilities[order], labels.cpu()[order]

    def reset(self) -> None:
        """Forget the made pictures; the real ones stay the same from validation to validation."""
        self._made.reset()
        for metric in (*self._metrics.values(), *([self._kept[False]] if self._kept else [])):
            metric.reset()
        self.update(*self._nothing, real=False)

    def _as_one_tensor(self, metric: Metric) -> None:
        """Processes with different numbers of batches would otherwise wait for each other for ever."""
        for name in ("real_features", "fake_features", "rows", "labels"):
            if isinstance(parts := getattr(metric, name, None), list):
                setattr(metric, name, [torch.cat(parts)])


class _Labelled(Metric):
    """Features or logits of the pictures of all processes, and their classes."""

    rows: list[Tensor]
    labels: list[Tensor]

    def __init__(self) -> None:
        super().__init__(compute_with_cache=False)  # which would be a second copy
        self.add_state("rows", [], dist_reduce_fx=None)
        self.add_state("labels", [], dist_reduce_fx=None)

    def update(self, rows: Tensor, labels: Tensor) -> None:
        self.rows.append(rows)
        self.labels.append(labels)

    def compute(self) -> tuple[Tensor, Tensor]:
        return _in_turns(self.rows), _in_turns(self.labels)


def _in_turns(parts: list[Tensor]) -> Tensor:
    """One row of each process after the other: the order of the pictures, if the processes took them in turns."""
    turns = [torch.arange(len(part)) * len(parts) + process for process, part in enumerate(parts)]
    return torch.cat(parts)[torch.cat(turns).argsort()]


def _splits(made: int) -> int:
    """Ten, or the most below that leave no picture alone, which would score 1 whatever it shows."""
    return min(IS_SPLITS, made // 2)
