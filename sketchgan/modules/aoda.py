"""AODA: photos from sketches of many classes, some of which have no sketches to learn from."""

from typing import Any, Literal, NamedTuple

import torch.nn.functional as F
from torch import Tensor, nn

from sketchgan.losses import AdversarialLoss, AdversarialMode, focal_loss
from sketchgan.modules.base import Batch
from sketchgan.modules.two_way import Direction, TwoWayModule
from sketchgan.networks import AODAGenerator, HRNetClassifier, ResnetGenerator
from sketchgan.ops import Dice, ImagePool, LRPolicy, frozen, inference_policy, together

PRESETS: dict[str, dict[str, Any]] = {
    "official": {
        "adversarial": "vanilla",
        "lambda_a": 1.0,
        "lambda_b": 10.0,
        "threshold": 0.5,
        "mixed_for": "all",
        "lr_g": 1e-4,
        "lr_d": 4e-4,
        "lr_r": 2e-4,
        "lr_policy": "step",
        "n_epochs": 50,
        "n_epochs_decay": 150,
    },
    "paper": {
        "adversarial": "vanilla",
        "lambda_a": 0.0,
        "lambda_b": 10.0,
        "threshold": "openness",
        "mixed_for": "generator",
        "lr_g": 2e-4,
        "lr_d": 2e-4,
        "lr_r": 2e-4,
        "lr_policy": "halving",
        "n_epochs": 100,
        "n_epochs_decay": 100,
    },
}
"""Where the released code and the paper differ; each value is an argument of `AODA` too."""


class Made(NamedTuple):
    """The pictures that a training step makes, None where no term looks at them, and their classes, if there are any.

    Attributes:
        fake_a: sketches of the photos.
        rec_b: photos of these sketches and the photos' classes.
        fake_b: photos of the batch's sketches, or on a mixed step of made ones.
        label: the classes of ``fake_b``.
        shown_b: of these photos, what the discriminator and the classifier learn from, without a graph.
        shown_label: its classes.
    """

    fake_a: Tensor
    rec_b: Any
    fake_b: Any
    label: Any
    shown_b: Any
    shown_label: Any


class AODA(TwoWayModule):
    """Turn a sketch and a class into a photo, also of classes whose sketches were never seen; and photos into sketches.

    Xiang, Liu, Yang, Zhu, Shen and Allebach: Adversarial Open Domain Adaptation for Sketch-to-Photo Synthesis, WACV
    2022, arXiv 2104.05703. A is the sketch and B the photo; photos come with classes, sketches too, but not of all.
    The photo-to-sketch generator makes the missing ones. On a mixed step they are passed off as drawn, together with
    their photos' classes, so that "drawn" is no sign of a class that has sketches (section 3.2, algorithm 1).

    Follows the released code (``preset="official"``: what its README runs, with the classifier on) or the text
    (``preset="paper"``); every point where they differ is an argument, None standing for what the preset says. `mixes`
    draws whether a step is mixed, from ``module.mixing.draws``; replace either to drive it.

    With ``n_classes=0`` nothing is told of classes, and there is no classifier: CycleGAN with mixed steps.
    The paper's ablations: no mixing ``threshold=1``, no classifier ``lambda_class=0``.

    Args:
        generator_ab: called with sketches and, with classes, labels; default ``AODAGenerator(n_classes)``, without
            classes ``ResnetGenerator()``.
        generator_ba: maps photos to sketches; default ``ResnetGenerator()``.
        discriminator_a: scores sketches; default ``PatchDiscriminator(3, norm="instance")``.
        discriminator_b: scores photos; default likewise.
        classifier: maps photos to logits of the classes; default ``HRNetClassifier(n_classes)``.
        n_classes: number of classes; 0 for none.
        preset: "official" or "paper".
        adversarial: name of the adversarial loss, or an `AdversarialLoss`; "vanilla" in both presets.
        lambda_gan_a: weight of the adversarial term of made sketches (λ_s); 0 leaves their discriminator untouched.
        lambda_gan_b: the same of made photos (λ_p).
        lambda_a: weight of the cycle sketch → photo → sketch; 1 officially, none in the paper. The sketch to come back
            to is that of the batch on a mixed step too.
        lambda_b: weight of the cycle photo → sketch → photo (λ_pix); 10.
        lambda_identity: weight of the identity terms relative to their domain's cycle; 0 skips the two passes.
        lambda_class: weight of the made photos' classification (λ_η); 0 does without classifier.
        focal_gamma: of the focal loss in both places, sample by sample; 0, as in the released code, for plain
            cross-entropy.
        judge_reconstruction: also judge and classify what comes back from the cycle of photos ("mix_rec").
        threshold: t in [0, 1], a step is mixed with probability 1 - t; 0.5 officially. "openness", of the paper, mixes
            with the share of classes without sketches, which the data module says (``open_share``).
        mixed_for: who sees the photos of made sketches: "all", as in the released code, or "generator", as in algorithm
            1: the discriminator and the classifier learn from those of drawn ones.
        pool_size: number of past made sketches, with their classes, that mixed steps draw from, and of past made photos
            for their discriminator; 0 for none, which lets gradients through the mixed sketches.
        sketch_pool_size: number of past made sketches for theirs, which officially sees the newest.
        lr_g: learning rate of both generators' Adam; 1e-4 officially, 2e-4 in the paper.
        lr_d: of both discriminators'; 4e-4 and 2e-4.
        lr_r: of the classifier's; 2e-4.
        betas: coefficients of all three.
        fused: run Adam as one kernel; by default unless the precision is "16-mixed".
        lr_policy: "linear", "step" (official), "cosine", "halving" (paper), "plateau" (on the value logged as
            ``lr_monitor``) or "constant".
        n_epochs: epochs at the full rate (the period of "cosine"); 50 and 100.
        n_epochs_decay: epochs of linear decay, or at half the rate; 150 and 100.
        lr_step_size: epochs between the falls of "step".
        lr_monitor: what "plateau" watches.
        clip_g: largest gradient norm of both generators together; none by default.
        clip_d: largest gradient norm of both discriminators together; none by default.

    Shapes: A and B ``(N, C, H, W)`` in [-1, 1], sides multiples of 4; labels int64 ``(N,)``.

    Raises:
        ValueError: for unknown names, a threshold outside [0, 1], networks of other classes, data of more classes or
            without a share of open ones where it is asked for, and for a gradient penalty with batch norm in a
            discriminator.
    """

    needs_labels = True

    def __init__(
        self,
        generator_ab: nn.Module | None = None,
        generator_ba: nn.Module | None = None,
        discriminator_a: nn.Module | None = None,
        discriminator_b: nn.Module | None = None,
        classifier: nn.Module | None = None,
        n_classes: int = 10,
        preset: Literal["official", "paper"] = "official",
        adversarial: AdversarialMode | AdversarialLoss | None = None,
        lambda_gan_a: float = 1.0,
        lambda_gan_b: float = 1.0,
        lambda_a: float | None = None,
        lambda_b: float | None = None,
        lambda_identity: float = 0.0,
        lambda_class: float = 1.0,
        focal_gamma: float = 0.0,
        judge_reconstruction: bool = False,
        threshold: float | Literal["openness"] | None = None,
        mixed_for: Literal["all", "generator"] | None = None,
        pool_size: int = 50,
        sketch_pool_size: int = 0,
        lr_g: float | None = None,
        lr_d: float | None = None,
        lr_r: float | None = None,
        betas: tuple[float, float] = (0.5, 0.999),
        fused: bool | None = None,
        lr_policy: LRPolicy | None = None,
        n_epochs: int | None = None,
        n_epochs_decay: int | None = None,
        lr_step_size: int = 50,
        lr_monitor: str = "val/rec_b_l1",
        clip_g: float | None = None,
        clip_d: float | None = None,
    ) -> None:
        super().__init__()
        if preset not in PRESETS:
            raise ValueError(f"preset must be one of {', '.join(PRESETS)}, got {preset!r}")

        def chosen(name: str, value: Any) -> Any:
            return PRESETS[preset][name] if value is None else value

        if generator_ab is None:
            generator_ab = AODAGenerator(n_classes) if n_classes else ResnetGenerator()
        self.generator_ab = generator_ab
        self.generator_ba = ResnetGenerator() if generator_ba is None else generator_ba
        self.take_judges(discriminator_a, discriminator_b, chosen("adversarial", adversarial))
        self.classifier: Any = None
        if n_classes and lambda_class:
            self.classifier = HRNetClassifier(n_classes) if classifier is None else classifier
        for name in ("generator_ab", "classifier"):
            known = getattr(getattr(self, name), "n_classes", n_classes)
            if known != n_classes:
                raise ValueError(f"{name} knows {known} classes, the module n_classes={n_classes}; they must agree")
        self.n_classes = n_classes
        self.needs_labels = n_classes > 0
        self.lambda_gan_a = lambda_gan_a
        self.lambda_gan_b = lambda_gan_b
        self.lambda_a = chosen("lambda_a", lambda_a)
        self.lambda_b = chosen("lambda_b", lambda_b)
        self.lambda_identity = lambda_identity
        self.lambda_class = lambda_class
        self.focal_gamma = focal_gamma
        self.judge_reconstruction = judge_reconstruction
        self.threshold = chosen("threshold", threshold)
        if self.threshold != "openness" and not (isinstance(self.threshold, float | int) and 0 <= self.threshold <= 1):
            raise ValueError(f'threshold must be between 0 and 1, or "openness", got {self.threshold!r}')
        self.open_share = 0.0
        self.mixed_for = chosen("mixed_for", mixed_for)
        if self.mixed_for not in ("all", "generator"):
            raise ValueError(f'mixed_for must be "all" or "generator", got {self.mixed_for!r}')
        self.mixing = Dice()
        self.label_pool = ImagePool(pool_size)
        self.pool_a = ImagePool(sketch_pool_size)
        self.pool_b = ImagePool(pool_size)
        self.stateful |= {
            "mixing": self.mixing,
            "label_pool": self.label_pool,
            "pool_a": self.pool_a,
            "pool_b": self.pool_b,
        }
        self.lr_g = chosen("lr_g", lr_g)
        self.lr_d = chosen("lr_d", lr_d)
        self.lr_r = chosen("lr_r", lr_r)
        self.betas = betas
        self.fused = fused
        policy: LRPolicy = chosen("lr_policy", lr_policy)
        epochs, decay = chosen("n_epochs", n_epochs), chosen("n_epochs_decay", n_epochs_decay)
        self.plan_rates(policy, epochs, decay, lr_step_size, lr_monitor)
        self.clip_g = clip_g
        self.clip_d = clip_d

    def setup(self, stage: str) -> None:
        super().setup(stage)
        data = getattr(self.trainer, "datamodule", None)
        classes = getattr(data, "classes", ())
        if self.n_classes and len(classes) > self.n_classes:
            raise ValueError(
                f"the data has {len(classes)} classes ({', '.join(classes)}), the module n_classes={self.n_classes}; "
                "they must agree"
            )
        if stage == "fit" and self.threshold == "openness":
            if not (share := getattr(data, "open_share", 0.0)):
                source = "the data" if data is None else type(data).__name__
                raise ValueError(
                    "threshold='openness' mixes with the share of classes without sketches, but "
                    f"{source} knows of none; give threshold a number"
                )
            self.open_share = share

    def mixes(self) -> bool:
        """Draw whether this step is mixed."""
        threshold = 1 - self.open_share if self.threshold == "openness" else self.threshold
        return self.mixing.draws.uniform(0, 1) > threshold

    def training_step(self, batch: Batch, batch_idx: int) -> None:
        opt_g, opt_d, *opt_r = self.optimizers()
        mixed = self.mixes()
        made = self.make(batch, mixed)

        with frozen(*self._judges()):
            self.minimize(opt_g, self.generator_losses(batch, made), "g", self.clip_g)
        if losses := self.discriminator_losses(batch, made):
            self.minimize(opt_d, losses, "d", self.clip_d)
        if opt_r:
            self.minimize(opt_r[0], self.classifier_losses(batch, made), "r")
        if self.is_logging_step:
            self.log("mixed", float(mixed))

    def make(self, batch: Batch, mixed: bool) -> Made:
        """One step's passes of the generators, each picture made once; what no term looks at is not made."""
        fake_a = self.generator_ba(batch["B"])
        label_a, label_b = self._labels(batch, "A"), self._labels(batch, "B")
        sketch, label = batch["A"], label_a
        if mixed:
            sketch, label = self.label_pool.query_labelled(fake_a, label_b)

        judged = bool(self.lambda_gan_b or self.classifier is not None)
        cycled = bool(self.lambda_b or (self.judge_reconstruction and judged))
        painted = bool(self.lambda_a or judged)
        photos = self._paint(*[(fake_a, label_b)] * cycled, *[(sketch, label)] * painted)
        rec_b, fake_b = photos[0] if cycled else None, photos[-1] if painted else None
        shown_b, shown_label = fake_b, label
        if mixed and judged and self.mixed_for == "generator":
            with frozen(self.generator_ab):
                shown_b, shown_label = self._paint((batch["A"], label_a))[0], label_a
        return Made(fake_a, rec_b, fake_b, label, None if shown_b is None else shown_b.detach(), shown_label)

    def _paint(self, *pairs: tuple[Tensor, Tensor | None]) -> list[Tensor]:
        """Photos of sketches and their labels, if there are any; of one sketch one photo."""
        inputs = [(sketch,) if label is None else (sketch, label) for sketch, label in pairs]
        if len(pairs) == 2 and pairs[0][0] is pairs[1][0]:  # without a pool, on a mixed step
            return [self.generator_ab(*inputs[0])] * 2
        return together(self.generator_ab, *inputs) if inputs else []

    def _judges(self) -> list[nn.Module]:
        judges = [self.discriminator_a, self.discriminator_b]
        return judges if self.classifier is None else [*judges, self.classifier]

    def generator_losses(self, batch: Batch, made: Made) -> dict[str, Tensor]:
        """Weighted terms of both generators' loss."""
        terms = {}
        if self.lambda_gan_a:
            terms["gan_a"] = self.lambda_gan_a * self.adversarial.generator(self.discriminator_a(made.fake_a))
        if self.lambda_gan_b:
            terms["gan_b"] = self.lambda_gan_b * self.adversarial.generator(self.discriminator_b(made.fake_b))
            if self.judge_reconstruction:
                terms["gan_rec"] = self.lambda_gan_b * self.adversarial.generator(self.discriminator_b(made.rec_b))
        if self.lambda_b:
            terms["cycle_b"] = self.lambda_b * F.l1_loss(made.rec_b, batch["B"])
        if self.lambda_a:
            terms["cycle_a"] = self.lambda_a * F.l1_loss(self.generator_ba(made.fake_b), batch["A"])
        if self.classifier is not None:
            share = 0.5 if self.judge_reconstruction else 1.0
            terms["class"] = self.lambda_class * share * self._classified(made.fake_b, made.label)
            if self.judge_reconstruction:
                terms["class_rec"] = self.lambda_class * share * self._classified(made.rec_b, batch["B_label"])
        if identity_a := self.lambda_a * self.lambda_identity:
            terms["identity_a"] = identity_a * F.l1_loss(self.generator_ba(batch["A"]), batch["A"])
        if identity_b := self.lambda_b * self.lambda_identity:
            same_b = self._paint((batch["B"], self._labels(batch, "B")))[0]
            terms["identity_b"] = identity_b * F.l1_loss(same_b, batch["B"])
        return terms

    def discriminator_losses(self, batch: Batch, made: Made) -> dict[str, Tensor]:
        """Terms of both discriminators' loss on real pictures and on those that the pools show."""
        terms: dict[str, Tensor] = {}
        if self.lambda_gan_a:
            shown_a = self.pool_a.query(made.fake_a.detach())
            terms |= self.judge(self.discriminator_a, batch["A"], shown_a, "a")
        if self.lambda_gan_b:
            terms |= self.judge(self.discriminator_b, batch["B"], self.pool_b.query(made.shown_b), "b")
        return terms

    def classifier_losses(self, batch: Batch, made: Made) -> dict[str, Tensor]:
        """Terms of the classifier's loss on photos, made ones and true ones."""
        shown = {"fake": (made.shown_b, made.shown_label), "real": (batch["B"], batch["B_label"])}
        if self.judge_reconstruction:
            shown["rec"] = made.rec_b.detach(), batch["B_label"]
        return {name: self._classified(*pair) / len(shown) for name, pair in shown.items()}

    def _classified(self, photos: Tensor, labels: Tensor) -> Tensor:
        return focal_loss(self.classifier(photos), labels, self.focal_gamma)

    def classify(self, pictures: Tensor) -> Tensor:
        """Logits of the classes ``(N, n_classes)`` of photos ``(N, C, H, W)`` in [-1, 1].

        Raises:
            ValueError: without a classifier.
        """
        if self.classifier is None:
            raise ValueError("this AODA has no classifier (n_classes=0 or lambda_class=0)")
        with inference_policy(self.classifier):
            return self.classifier(pictures.to(self.device))

    def configure_optimizers(self) -> Any:
        optimizers = [
            self.adam(self.generator_ab, self.generator_ba, lr=self.lr_g),
            self.adam(self.discriminator_a, self.discriminator_b, lr=self.lr_d),
        ]
        if self.classifier is not None:
            optimizers.append(self.adam(self.classifier, lr=self.lr_r))
        return self.rated(*optimizers)

    def told(self, batch: Batch, direction: Direction, side: str) -> tuple[Tensor, ...]:
        """The classes of the pictures, where they become photos."""
        label = self._labels(batch, side) if direction == "AtoB" else None
        return () if label is None else (label,)

    def _labels(self, batch: Batch, side: str) -> Tensor | None:
        """The classes of a side's pictures, if there are classes."""
        if not self.n_classes:
            return None
        if f"{side}_label" not in batch:
            raise ValueError(
                f"AODA needs the class of every picture of {side}; give a label, or data with labels (n_classes=0 does "
                "without)"
            )
        return batch[f"{side}_label"]
