"""Scores of pictures, during validation and test."""

import copy
import functools
import inspect
from collections import Counter
from collections.abc import Sequence
from typing import Any, Literal, get_args

import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.utilities import rank_zero_warn
from torch import Tensor, nn
from torchmetrics import MeanMetric, Metric

from sketchgan.callbacks.classes import class_names, domains, open_labels, plain, table
from sketchgan.callbacks.comparisons import DiversityScore, PairScore, comparisons, diversity, metric_of
from sketchgan.callbacks.score_file import write_down
from sketchgan.callbacks.style_scores import (
    StyleScore,
    is_style_score,
    recolours,
    refuse_unstyled,
    style_protocol,
    style_scores,
)
from sketchgan.data.transforms import to_uint8
from sketchgan.metrics import ClassAccuracy, DistributionScores, FeatureNet, auxiliary_net, feature_net, lpips

Score = Literal[
    "l1",
    "psnr",
    "ssim",
    "lpips",
    "fid",
    "kid",
    "is",
    "accuracy",
    "diversity",
    "diversity_lpips",
    "hint_effect",
    "style_similarity",
    "palette_distance",
]
_OF_SETS = ("fid", "kid", "is")


class ImageMetrics(Callback):
    """Log scores of validation and test pictures, each with the protocol that it was measured by.

    Where A and B are pairs, the translation is compared with B (with A, if nothing is translated to B): ``val/l1``,
    ``val/psnr``, ``val/ssim``, ``val/lpips``.
    Where a module goes there and back, the end is compared with the start: ``val/rec_a_l1``, ``val/rec_b_l1``. All
    translations to B are compared with all of B: ``val/fid`` (Heusel et al., 2017, arXiv 1706.08500), ``val/kid``
    (Bińkowski et al., 2018, arXiv 1801.01401; subsets of at most 1000, or blocks, with their spread in
    ``val/kid_std``: see `sketchgan.metrics.DistributionScores`), ``val/is`` (Salimans et al., 2016, arXiv 1606.03498;
    ten splits, with their spread in ``val/is_std``), and for modules with both ways, translations to A with all of A:
    ``val/fid_a``, …. ``val/accuracy`` is the share of translations in which a classifier finds the class of the picture
    they came from. Where a module draws noise, two translations of the same picture are compared: ``val/diversity``,
    the mean absolute difference in [0, 1], and ``val/diversity_lpips``; 0 means that the noise has no effect.

    Where a module colours every sketch a second time, in the style of another sample or without the colour hints,
    ``val/hint_effect`` is the mean absolute difference of the two colourings, in the units of [-1, 1]: at most 2, and 0
    where the hint has no effect. In another style, the second colouring should be like the picture whose style it
    was to take: ``val/style_similarity`` is the mean cosine of their style vectors, ``val/palette_distance`` the mean
    distance of their colours (`sketchgan.metrics.palette_distance`), in [0, 1]. ``val/style_similarity_own`` and
    ``val/palette_distance_own`` say the same of the first colouring and that picture: a module that ignores the style
    scores the same in both. ``val/fid_other``, ``val/kid_other`` and ``val/is_other`` are of all second colourings.
    A batch of one sample has no other style.

    Where the data module names classes in ``open_domain``, those that training has no sketches of, every score is also
    taken of pictures of the other classes and of these apart: ``val/fid_in``, ``val/fid_open``, ``val/fid_a_open``,
    …. Made pictures count by the class of the picture they came from, real ones by their own. A domain without
    pictures has no score, and one of a single picture no FID and KID. FID depends on the number of pictures: between
    domains compare KID. Its subsets, and splits and blocks of a domain, are other ones with several processes.

    L1, PSNR (decibels, the mean over pictures), SSIM and LPIPS are taken of pictures clamped and scaled to [0, 1], the
    others of the 8-bit pictures that would be saved. Scores are computed in float32 and equal on all processes; the
    sanity check tries them, and leaves no trace in them. The
    networks are no part of the module and of its checkpoints. Real pictures are looked at in the first validation only.
    Every pass appends its scores with counts, picture size, network and resize filter to ``scores.jsonl`` beside the
    logs. To keep the best epoch, let ``ModelCheckpoint`` monitor one of the names.

    Args:
        scores: some of "l1", "psnr", "ssim", "lpips", "fid", "kid", "is", "accuracy", "diversity",
            "diversity_lpips", "hint_effect", "style_similarity", "palette_distance"; those that need pairs are left out
            where there are none.
        features: what FID, KID and IS look through: "inception", "openmoji" or a module; see
            `sketchgan.metrics.feature_net`.
        weights: of Inception, a local file; downloaded by default.
        classifier: for the accuracy: "openmoji"; a module that maps uint8 pictures ``(N, 3, H, W)`` to logits; or
            "auxiliary", the one that the module trains itself and names in ``classify``, for translations to B.
        lpips_net: "alex", "vgg" or "squeeze".
        lpips_weights: torchvision's weights of that network, a local file; downloaded by default.
        kid_block_size: KID over blocks of at most so many pictures in the order of the files, as U-GAT-IT's authors
            compute it with 10 (they resize to Inception's 299 pixels with Pillow's bilinear filter, and print 100 times
            the value); by default over random subsets.
        is_shuffled: shuffle the pictures, always alike, before they are split for the Inception score. False splits
            them in the order of the files as its authors' code does: not for files that are sorted by class.
        per_class: write accuracy, FID and Inception score of each class to ``scores.jsonl`` too, as ``classes`` beside
            the score: FID of those with ten made and ten real pictures or more, the Inception score of those with
            twenty. FID of so few compares with equally many only; see
            `sketchgan.metrics.DistributionScores.fids_of_classes`.

    Raises:
        ValueError: for unknown scores, blocks of less than two, an accuracy without classifier or labels, scores of
            classes without accuracy, FID or Inception score, names in ``open_domain`` that are no classes, a diversity
            of modules without noise, and an effect of styles or hints on modules that take none.
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
        is_shuffled: bool = True,
        per_class: bool = False,
    ) -> None:
        scores = (scores,) if isinstance(scores, str) else scores
        if unknown := set(scores) - set(get_args(Score)):
            raise ValueError(f"unknown scores {', '.join(sorted(unknown))}; there are {', '.join(get_args(Score))}")
        if "accuracy" in scores and classifier is None:
            raise ValueError("scores has accuracy: say by which classifier, 'openmoji', 'auxiliary' or a module")
        if kid_block_size is not None and kid_block_size < 2:
            raise ValueError(f"kid_block_size must be at least 2, got {kid_block_size}")
        if per_class and not {"accuracy", "fid", "is"} & set(scores):
            raise ValueError(f"per_class is for the scores accuracy, fid and is, got {', '.join(scores)}")
        self.scores = tuple(scores)
        self.features = features
        self.weights = weights
        self.classifier = classifier
        self.lpips_net = lpips_net
        self.lpips_weights = lpips_weights
        self.kid_block_size = kid_block_size
        self.is_shuffled = is_shuffled
        self.per_class = per_class
        self._nets: dict[str, FeatureNet] = {}
        self._lpips: dict[str, Any] = {}  # by score
        self._classes: Sequence[str] = ()
        self._open = open_labels(None)
        self._begin()

    def _begin(self) -> None:
        self._metrics: dict[str, Metric] = {}  # of single pictures, by stage and score: "val/rec_a_l1"
        self._sets: dict[str, DistributionScores] = {}  # by stage, target and classes: "val/B", "val/B_open"
        self._known: set[str] = set()  # stages whose real pictures have been looked at
        # Pictures of this pass: ("score", "val/l1"), ("set", "val/B_in"), and by size ("size B", "64x64").
        self._seen: Counter[tuple[str, str]] = Counter()
        for metric in self._lpips.values():
            metric.reset()

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        self._begin()
        if stage == "predict":
            return
        if "accuracy" in self.scores and getattr(getattr(trainer, "datamodule", None), "labelled", True) is False:
            raise ValueError("an accuracy needs class labels; use data with labels=True, or leave it out of the scores")
        if set(get_args(DiversityScore)) & set(self.scores) and not _takes_seed(pl_module.translate):
            raise ValueError(
                f"diversity compares two noises, but {type(pl_module).__name__} translates without; leave it out of "
                "the scores"
            )
        refuse_unstyled(pl_module, self.scores)
        self._open = open_labels(getattr(trainer, "datamodule", None))
        if self.per_class:
            self._classes = class_names(getattr(trainer, "datamodule", None))
        if "accuracy" in self.scores and self.classifier == "auxiliary":
            if not hasattr(pl_module, "classify"):
                raise ValueError(f"{type(pl_module).__name__} has no auxiliary classifier; name another classifier")
            self._nets["classifier"] = auxiliary_net(pl_module.classify)  # type: ignore[arg-type]
        with torch.random.fork_rng(devices=[]):  # training draws the same numbers with and without scores
            self._load()

    def _load(self) -> None:
        if set(_OF_SETS) & set(self.scores) and "features" not in self._nets:
            self._nets["features"] = feature_net(self.features, self.weights)
        if "accuracy" in self.scores and "classifier" not in self._nets:
            shared = "features" in self._nets and self.classifier == self.features
            self._nets["classifier"] = self._nets["features"] if shared else feature_net(self.classifier or "")
        for score in ("lpips", "diversity_lpips"):
            if score in self.scores and score not in self._lpips:
                other = next(iter(self._lpips.values()), None)
                self._lpips[score] = copy.deepcopy(other) if other else lpips(self.lpips_net, self.lpips_weights)

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
            labels = batch.get("B_label" if score.startswith("rec_b") else "A_label")
            self._compare(f"{stage}/{score}", made, true, labels, pl_module.device)
        for target, origin in (("B", "A"), ("A", "B")):
            if (made := outputs.get(f"fake_{target}")) is not None:
                self._seen[f"size {target}", f"{made.shape[-1]}x{made.shape[-2]}"] += len(made)
                self._look(f"{stage}/{target}", made, batch.get(f"{origin}_label"), pl_module.device)
            # Of unpaired domains the last batches have one only, whose real pictures count all the same.
            real, ways = outputs.get(f"real_{target}"), getattr(pl_module, "directions", ())
            if real is not None and (made is not None or f"{origin}to{target}" in ways) and stage not in self._known:
                others = [f"{stage}/other_B"] if target == "B" and recolours(pl_module) else []
                labels = batch.get(f"{target}_label")
                self._look_at_real([f"{stage}/{target}", *others], real, labels, pl_module.device)
        self._compare_noises(stage, trainer, pl_module, outputs, batch)
        self._compare_styles(stage, pl_module, outputs, batch.get("A_label"))

    on_test_batch_end = on_validation_batch_end

    def _compare_noises(
        self, stage: str, trainer: Trainer, module: Any, pictures: dict[str, Tensor], batch: Any
    ) -> None:
        """Translate once more with another noise, where a score wants it."""
        wanted: Any = [score for score in self.scores if score in get_args(DiversityScore)]
        if not wanted:
            return
        with trainer.precision_plugin.forward_context():  # as the first ones were made
            again = module._at_any_size(functools.partial(module.translate, seed=1), batch)
        for score in wanted:
            made, other = diversity(pictures["fake_B"], again["fake_B"], score)
            self._compare(f"{stage}/{score}", made, other, batch.get("A_label"), module.device)

    def _compare_styles(self, stage: str, module: Any, pictures: dict[str, Tensor], labels: Tensor | None) -> None:
        """Compare the two colourings of each sketch, where there are two."""
        wanted: Any = [score for score in self.scores if score in get_args(StyleScore)]
        for score, made, other in style_scores(module, pictures, wanted):
            self._compare(f"{stage}/{score}", made, other, labels, module.device)
        if "features" in self._nets and "other_B" in pictures:
            seen = self._nets["features"](to_uint8(pictures["other_B"]))
            self._add(f"{stage}/other_B", seen, labels, False, module.device)

    def _compare(self, name: str, made: Tensor, true: Tensor, labels: Tensor | None, device: torch.device) -> None:
        """Add made and true pictures to their score, found and true classes, or values and their weights."""
        for domain, rows in domains(labels, self._open):
            self._seen["score", name + domain] += len(made[rows])
            self._metric(name + domain, device).update(made[rows], true[rows])

    def _look(self, name: str, made: Tensor, labels: Tensor | None, device: torch.device) -> None:
        """Show made pictures to the networks."""
        seen = {net: net(to_uint8(made)) for net in set(self._nets.values())}
        if net := self._nets.get("features"):
            self._add(name, seen[net], labels, False, device)
        net, (stage, target) = self._nets.get("classifier"), name.split("/")
        if net and not (target == "A" and self.classifier == "auxiliary"):  # which knows the pictures of B
            if labels is None:
                raise ValueError(
                    "an accuracy needs class labels in the batch; use data with labels=True, or leave it out"
                )
            found = seen[net][1].argmax(1)
            self._compare(f"{stage}/accuracy{_suffix(target)}", found, labels, labels, device)

    def _look_at_real(self, names: Sequence[str], real: Tensor, labels: Tensor | None, device: torch.device) -> None:
        if net := self._nets.get("features"):
            seen = net(to_uint8(real))
            for name in names:
                self._add(name, seen, labels, True, device)

    def _add(
        self, name: str, seen: tuple[Tensor, Tensor], labels: Tensor | None, real: bool, device: torch.device
    ) -> None:
        features, logits = seen
        for domain, rows in domains(labels, self._open):
            if not real:
                self._seen["set", name + domain] += len(features[rows])
            of_rows = None if labels is None else labels[rows]
            self._set(name + domain, device).update(features[rows], logits[rows], real, of_rows)

    def _set(self, name: str, device: torch.device) -> DistributionScores:
        if name not in self._sets:
            scores: Any = [score for score in self.scores if score in _OF_SETS]
            widths = self._nets["features"].widths
            per_class = self.per_class and plain(name) == name
            self._sets[name] = DistributionScores(
                widths, scores, device, self.kid_block_size, self.is_shuffled, per_class
            )
        return self._sets[name]

    def _metric(self, name: str, device: torch.device) -> Metric:
        if name not in self._metrics:
            score = name.rpartition("/")[2]
            if (whole := plain(score)) in self._lpips:
                if score not in self._lpips:
                    self._lpips[score] = copy.deepcopy(self._lpips[whole])
                    self._lpips[score].reset()
                metric: Metric = self._lpips[score]
            elif score.startswith("accuracy"):
                metric = ClassAccuracy(self._nets["classifier"].widths[1])
            elif is_style_score(whole) and whole != "hint_effect":
                metric = MeanMetric()
            else:
                metric = metric_of(whole)
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
                target, domain = (whole := plain(name)).rpartition("/")[2], name.removeprefix(whole)
                parts, real = scores.protocol(), scores.counts()[1]
                for score, value in scores.compute().items():
                    full = f"{stage}/{score}{_suffix(target)}{domain}"
                    about = parts[score.removesuffix("_std")] | {"made": count}
                    about |= {} if score.startswith("is") else {"real": real}
                    if self.per_class and not domain and score in ("fid", "is"):
                        of_classes = scores.fids_of_classes if score == "fid" else scores.inception_scores_of_classes
                        about |= table(of_classes(), self._classes)
                    lines.append({"score": full, "value": value, **self._protocol(full, seen, pl_module), **about})
                scores.reset()
            elif kind == "score":
                metric = self._metric(name, pl_module.device)
                value, about = metric.compute(), {"made": count}
                if isinstance(metric, ClassAccuracy):
                    if self.per_class and plain(name) == name:
                        pairs = zip(value["class_accuracy"].tolist(), value["counts"].tolist(), strict=True)
                        about |= table({label: pair for label, pair in enumerate(pairs) if pair[1]}, self._classes)
                    value = value["accuracy"]
                lines.append({"score": name, "value": value, **self._protocol(name, seen, pl_module), **about})
                metric.reset()
        absent = [s for s in self.scores if s in get_args(StyleScore) and ("score", f"{stage}/{s}") not in seen]
        if seen and absent:
            rank_zero_warn(
                f"no value for {', '.join(absent)}: no batch was coloured a second time. A batch of one sample has no "
                "other style to take (set the data's eval_batch_size to 2 or more), one without hints no effect of them"
            )
        self._seen.clear()
        self._known.add(stage)
        write_down(lines, trainer, pl_module)

    def _seen_by_all(self, trainer: Trainer) -> dict[tuple[str, str], int]:
        """Counts of all processes: one may have had no picture of a kind, but must take part in every sum."""
        parts: list[Any] = [self._seen]
        if trainer.world_size > 1:
            parts = [None] * trainer.world_size
            torch.distributed.all_gather_object(parts, self._seen)
        return dict(sorted(sum(parts, Counter()).items()))

    def _protocol(self, name: str, seen: dict[tuple[str, str], int], module: LightningModule) -> dict[str, str]:
        """What must be said beside a number."""
        name = plain(name)
        score = name.rpartition("/")[2].removesuffix("_a").removesuffix("_other").removesuffix("_std")
        target = "A" if name.endswith("_a") or "rec_a" in name else "B"  # as large as what it was made from or into
        by_target = {side: [size for kind, size in seen if kind == f"size {side}"] for side in "AB"}
        sizes = by_target[target] or by_target["A"]  # pairs of a module that translates to A alone
        size = ", ".join(sizes[:3]) + (", …" if len(sizes) > 3 else "")
        if score in (*_OF_SETS, "accuracy"):
            net = self._nets["features" if score in _OF_SETS else "classifier"]
            return {"net": net.protocol, "pictures": f"8 bits, {size}"}
        about = style_protocol(module, score) if is_style_score(score) else {}
        return about | ({"net": f"LPIPS {self.lpips_net}"} if score in self._lpips else {}) | {"pictures": size}


def _takes_seed(translate: Any) -> bool:
    return "seed" in inspect.signature(translate).parameters


def _suffix(target: str) -> str:
    """How scores of translations to A, and of second colourings, are named."""
    return {"A": "_a", "other_B": "_other"}.get(target, "")
