"""Scores of pictures, during validation and test."""

from collections import Counter
from collections.abc import Sequence
from typing import Any, Literal, get_args

import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from torch import Tensor, nn
from torchmetrics import MeanMetric, Metric

from sketchgan.callbacks.comparisons import PairScore, comparisons, metric_of
from sketchgan.callbacks.score_file import write_down
from sketchgan.data.transforms import to_uint8
from sketchgan.metrics import DistributionScores, FeatureNet, feature_net, lpips

Score = Literal["l1", "psnr", "ssim", "lpips", "fid", "kid", "is", "accuracy"]
_OF_SETS = ("fid", "kid", "is")


class ImageMetrics(Callback):
    """Log scores of validation and test pictures, each with the protocol that it was measured by.

    Where A and B are pairs, the translation is compared with B: ``val/l1``, ``val/psnr``, ``val/ssim``, ``val/lpips``.
    Where a module goes there and back, the end is compared with the start: ``val/rec_a_l1``, ``val/rec_b_l1``. All
    translations to B are compared with all of B: ``val/fid`` (Heusel et al., 2017, arXiv 1706.08500), ``val/kid``
    (Bińkowski et al., 2018, arXiv 1801.01401; subsets of at most 1000, or blocks, with their spread in
    ``val/kid_std``: see `sketchgan.metrics.DistributionScores`), ``val/is`` (Salimans et al., 2016, arXiv 1606.03498),
    and for modules with both ways, translations to A with all of A: ``val/fid_a``, ….
    ``val/accuracy`` is the share of translations in which a classifier finds the class of the picture they came from.

    L1, PSNR (decibels, the mean over pictures), SSIM and LPIPS are taken of pictures clamped and scaled to [0, 1], the
    others of the 8-bit pictures that would be saved. Scores are computed in float32 and equal on all processes; the
    sanity check tries them, and leaves no trace in them. The
    networks are no part of the module and of its checkpoints. Real pictures are looked at in the first validation only.
    Every pass appends its scores with counts, picture size, network and resize filter to ``scores.jsonl`` beside the
    logs. To keep the best epoch, let ``ModelCheckpoint`` monitor one of the names.

    Args:
        scores: some of "l1", "psnr", "ssim", "lpips", "fid", "kid", "is", "accuracy"; those that need pairs are left
            out where there are none.
        features: what FID, KID and IS look through: "inception", "openmoji" or a module; see
            `sketchgan.metrics.feature_net`.
        weights: of Inception, a local file; downloaded by default.
        classifier: for the accuracy: "openmoji", or a module that maps uint8 pictures ``(N, 3, H, W)`` to logits.
        lpips_net: "alex", "vgg" or "squeeze".
        lpips_weights: torchvision's weights of that network, a local file; downloaded by default.
        kid_block_size: KID over blocks of at most so many pictures in the order of the files, as U-GAT-IT's authors
            compute it with 10 (they resize to Inception's 299 pixels with Pillow's bilinear filter, and print 100 times
            the value); by default over random subsets.

    Raises:
        ValueError: for unknown scores, blocks of less than two, and for an accuracy without classifier or labels.
        FileNotFoundError: before training, if weights are neither there nor to be had.
    """

    def __init__(
        self,
        scores: Sequence[Score] | Score = ("l1", "psnr", "ssim"),
        features: str | nn.Module = "inception",
        weights: str | None = None,
        classifier: str | nn.Module | None = None,
        lpips_net: Literal["alex", "vgg", "squeeze"] = "alex",
        lpips_weights: str | None = None,
        kid_block_size: int | None = None,
    ) -> None:
        scores = (scores,) if isinstance(scores, str) else scores
        if unknown := set(scores) - set(get_args(Score)):
            raise ValueError(f"unknown scores {', '.join(sorted(unknown))}; there are {', '.join(get_args(Score))}")
        if "accuracy" in scores and classifier is None:
            raise ValueError("scores has accuracy: say by which classifier, 'openmoji' or a module")
        if kid_block_size is not None and kid_block_size < 2:
            raise ValueError(f"kid_block_size must be at least 2, got {kid_block_size}")
        self.scores = tuple(scores)
        self.features = features
        self.weights = weights
        self.classifier = classifier
        self.lpips_net = lpips_net
        self.lpips_weights = lpips_weights
        self.kid_block_size = kid_block_size
        self._nets: dict[str, FeatureNet] = {}
        self._lpips: Any = None
        self._begin()

    def _begin(self) -> None:
        self._metrics: dict[str, Metric] = {}  # of single pictures, by stage and score: "val/rec_a_l1"
        self._sets: dict[str, DistributionScores] = {}  # by stage and domain: "val/B"
        self._known: set[str] = set()  # those whose real pictures have been looked at
        # Pictures of this pass: ("score", "val/l1"), ("set", "val/B"), and by size ("size B", "64x64").
        self._seen: Counter[tuple[str, str]] = Counter()
        if self._lpips is not None:
            self._lpips.reset()

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        self._begin()
        if stage == "predict":
            return
        if "accuracy" in self.scores and getattr(getattr(trainer, "datamodule", None), "labelled", True) is False:
            raise ValueError("an accuracy needs class labels; use data with labels=True, or leave it out of the scores")
        if set(_OF_SETS) & set(self.scores) and "features" not in self._nets:
            self._nets["features"] = feature_net(self.features, self.weights)
        if "accuracy" in self.scores and "classifier" not in self._nets:
            shared = "features" in self._nets and self.classifier == self.features
            self._nets["classifier"] = self._nets["features"] if shared else feature_net(self.classifier or "")
        if "lpips" in self.scores and self._lpips is None:
            self._lpips = lpips(self.lpips_net, self.lpips_weights)

    def on_validation_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        for net in set(self._nets.values()):
            net.to(pl_module.device)

    on_test_start = on_validation_start

    def on_validation_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        stage = "test" if trainer.testing else "val"
        paired = getattr(getattr(trainer, "datamodule", None), "paired", True)
        # Lightning's autocast has ended here: scores are computed in float32.
        of_pairs: Any = [score for score in self.scores if score in get_args(PairScore)]
        for score, made, true in comparisons(outputs, of_pairs, paired):
            self._seen["score", f"{stage}/{score}"] += len(made)
            self._metric(f"{stage}/{score}", pl_module.device).update(made, true)
        for target, origin in (("B", "A"), ("A", "B")):
            if f"fake_{target}" in outputs:
                made = outputs[f"fake_{target}"]
                self._seen[f"size {target}", f"{made.shape[-1]}x{made.shape[-2]}"] += len(made)
                if self._nets:
                    self._look(stage, target, outputs, batch.get(f"{origin}_label"), pl_module.device)

    on_test_batch_end = on_validation_batch_end

    def _look(
        self, stage: str, target: str, pictures: dict[str, Tensor], labels: Tensor | None, device: torch.device
    ) -> None:
        """Show made pictures, and once the real ones, to the networks."""
        made, real = pictures[f"fake_{target}"], pictures.get(f"real_{target}")
        seen = {net: net(to_uint8(made)) for net in set(self._nets.values())}
        if net := self._nets.get("features"):
            self._seen["set", f"{stage}/{target}"] += len(made)
            scores = self._set(f"{stage}/{target}", device)
            scores.update(seen[net][0], seen[net][1], real=False)
            if real is not None and f"{stage}/{target}" not in self._known:
                features, logits = net(to_uint8(real))
                scores.update(features, logits, real=True)
        if net := self._nets.get("classifier"):
            if labels is None:
                raise ValueError(
                    "an accuracy needs class labels in the batch; use data with labels=True, or leave it out"
                )
            found = seen[net][1].argmax(1) == labels
            name = f"{stage}/accuracy{_suffix(target)}"
            self._seen["score", name] += len(made)
            self._metric(name, device).update(found.float())

    def _set(self, name: str, device: torch.device) -> DistributionScores:
        if name not in self._sets:
            scores: Any = [score for score in self.scores if score in _OF_SETS]
            widths = self._nets["features"].widths
            self._sets[name] = DistributionScores(widths, scores, device, self.kid_block_size)
        return self._sets[name]

    def _metric(self, name: str, device: torch.device) -> Metric:
        if name not in self._metrics:
            score = name.rpartition("/")[2]
            if score == "lpips":
                metric: Metric = self._lpips
            else:
                metric = MeanMetric() if score.startswith("accuracy") else metric_of(score)
            self._metrics[name] = metric.to(device)
        return self._metrics[name]

    def on_validation_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if trainer.sanity_checking:
            self._begin()  # all that could fail has been tried; its numbers are of no use
        else:
            self._finish("val", trainer, pl_module)

    def on_test_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._finish("test", trainer, pl_module)

    def _finish(self, stage: str, trainer: Trainer, pl_module: LightningModule) -> None:
        seen = self._seen_by_all(trainer)
        lines: list[dict[str, Any]] = []
        for (kind, name), count in seen.items():
            if kind == "set":
                scores = self._set(name, pl_module.device)
                parts, real = scores.protocol(), scores.counts()[1]
                for score, value in scores.compute().items():
                    full = f"{stage}/{score}{_suffix(name[-1])}"
                    counts = {"made": count} if score == "is" else {"made": count, "real": real}
                    parted = parts[score.removesuffix("_std")]
                    lines.append({"score": full, "value": value, **self._protocol(full, seen), **parted, **counts})
                scores.reset()
                if real:
                    self._known.add(name)
            elif kind == "score":
                metric = self._metric(name, pl_module.device)
                lines.append({"score": name, "value": metric.compute(), **self._protocol(name, seen), "made": count})
                metric.reset()
        self._seen.clear()
        write_down(lines, trainer, pl_module)

    def _seen_by_all(self, trainer: Trainer) -> dict[tuple[str, str], int]:
        """Counts of all processes: one may have had no picture of a kind, but must take part in every sum."""
        parts: list[Any] = [self._seen]
        if trainer.world_size > 1:
            parts = [None] * trainer.world_size
            torch.distributed.all_gather_object(parts, self._seen)
        return dict(sorted(sum(parts, Counter()).items()))

    def _protocol(self, name: str, seen: dict[tuple[str, str], int]) -> dict[str, str]:
        """What must be said beside a number."""
        score = name.rpartition("/")[2].removesuffix("_a").removesuffix("_std")
        target = "A" if name.endswith("_a") or "rec_a" in name else "B"  # as large as what it was made from or into
        sizes = [size for kind, size in seen if kind == f"size {target}"]
        size = ", ".join(sizes[:3]) + (", …" if len(sizes) > 3 else "")
        if score in (*_OF_SETS, "accuracy"):
            net = self._nets["features" if score in _OF_SETS else "classifier"]
            return {"net": net.protocol, "pictures": f"8 bits, {size}"}
        return ({"net": f"LPIPS {self.lpips_net}"} if score == "lpips" else {}) | {"pictures": size}


def _suffix(target: str) -> str:
    """Scores of translations to A are named so."""
    return "_a" if target == "A" else ""
