"""Style2Paints v1: sketches coloured in the style of a picture."""

from typing import Any, Literal, get_args

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from sketchgan.losses import AdversarialLoss, AdversarialMode, StyleAdversarialLoss, StyleMode, adversarial_loss
from sketchgan.modules.base import Batch, GANModule
from sketchgan.networks import Painted, Style2PaintsDiscriminator, Style2PaintsGenerator
from sketchgan.networks.style_encoders import StyleEncoder, style_encoder
from sketchgan.ops import LRPolicy, frozen, grey, hint_channels, inference_policy, simulate_hints

Schedule = Literal["switch", "style", "dcgan", "alternate"]


class Style2Paints(GANModule):
    """Colour a sketch (A) in the style of a painting, given as a vector of features; learned from paintings (B).

    Zhang, Ji, Lin and Liu: Style Transfer for Anime Sketches with Enhanced Residual U-net and Auxiliary Classifier
    GAN, ACPR 2017, arXiv 1706.03319, equations 1 to 4. In training each painting is the style of its own sketch; that
    others serve too is expected of a large and varied set. There is no official training code: what the paper leaves
    open is listed in the documentation, with what was chosen.

    The paper's comparisons: a discriminator that sees the sketch too ``conditional=True``, a plain one
    ``adv_schedule="dcgan"``, no guide decoders ``generator=Style2PaintsGenerator(guides="none")``.

    Args:
        generator: paints from the sketch's ink and a style vector, and returns the picture or a `Painted`; default
            ``Style2PaintsGenerator`` for the vectors of ``style``.
        discriminator: finds the style vector of a painting; default ``Style2PaintsDiscriminator``, with the outputs
            that ``adv_schedule`` needs.
        style: what makes vectors of pictures: "vgg19" (4096 numbers before the first dense layer's ReLU), "openmoji"
            (the packaged classifier), "palette" (colours alone), a network of your own or a `StyleEncoder`. Never
            trained nor saved.
        style_weights: its weights, a local file; "vgg19" downloads them by default.
        cache_hints: compute the vectors of the training paintings once, before training, and keep them beside the data;
            needs a data module that can.
        lambda_gan: weight of the generator's adversarial term; 0 leaves the discriminator untouched.
        lambda_l1: weight of all mean absolute distances to the painting; not given in the paper, pix2pix's here.
        alpha: weight among them of guide decoders that paint in grey.
        beta: weight among them of guide decoders that paint in colour.
        style_loss: how the discriminator's vectors are compared; see `StyleAdversarialLoss`.
        adversarial: the plain adversary's loss, by name or an `AdversarialLoss`, without gradient penalty.
        adv_schedule: the plain adversary in the first half of the planned epochs and that of styles in the second
            ("switch"), one of them all the time ("dcgan", "style"), or each in every other batch ("alternate").
        conditional: show the sketch to the discriminator too, which the paper advises against.
        colour_hints: also take colours for single pixels. In training, batches without hints get simulated ones.
        hint_dropout: probability with which training takes a vector of zeros, so that sketches can be coloured without
            a style.
        lr: learning rate of both Adam optimizers.
        betas: Adam's coefficients.
        fused: run Adam as one kernel; by default unless the precision is "16-mixed".
        lr_policy: "linear", "step", "cosine", "plateau" (on the value logged as ``lr_monitor``) or "constant".
        n_epochs: epochs at the full rate (the period of "cosine").
        n_epochs_decay: epochs of linear decay.
        lr_step_size: epochs between the falls of "step".
        lr_monitor: what "plateau" watches.
        clip_g: largest gradient norm of the generator; none by default.
        clip_d: largest gradient norm of the discriminator; none by default.

    Shapes: A ``(N, 1 or 3, H, W)``, black ink on white paper, and B ``(N, 3, H, W)``, in [-1, 1].

    Raises:
        ValueError: for unknown names, a loss with gradient penalty, a probability outside [0, 1), or ``cache_hints``
            with data that cannot.
        FileNotFoundError: before training, if the weights of ``style`` are not there.
    """

    needs_pairs = True
    takes_style = True

    def __init__(
        self,
        generator: nn.Module | None = None,
        discriminator: nn.Module | None = None,
        style: str | nn.Module | StyleEncoder = "vgg19",
        style_weights: str | None = None,
        cache_hints: bool = False,
        lambda_gan: float = 1.0,
        lambda_l1: float = 100.0,
        alpha: float = 0.3,
        beta: float = 0.9,
        style_loss: StyleMode = "regression",
        adversarial: AdversarialMode | AdversarialLoss = "vanilla",
        adv_schedule: Schedule = "switch",
        conditional: bool = False,
        colour_hints: bool = False,
        hint_dropout: float = 0.0,
        lr: float = 2e-4,
        betas: tuple[float, float] = (0.5, 0.999),
        fused: bool | None = None,
        lr_policy: LRPolicy = "linear",
        n_epochs: int = 50,
        n_epochs_decay: int = 50,
        lr_step_size: int = 50,
        lr_monitor: str = "val/l1",
        clip_g: float | None = None,
        clip_d: float | None = None,
    ) -> None:
        super().__init__()
        if adv_schedule not in get_args(Schedule):
            raise ValueError(f"adv_schedule must be one of {', '.join(get_args(Schedule))}, got {adv_schedule!r}")
        if not 0 <= hint_dropout < 1:
            raise ValueError(f"hint_dropout must be a probability below 1, got {hint_dropout}")
        self.style = style_encoder(style, style_weights)
        if generator is None:
            generator = Style2PaintsGenerator(self.style.hint_dim, in_channels=4 if colour_hints else 1)
        self.generator = generator
        if discriminator is None:
            discriminator = Style2PaintsDiscriminator(
                outputs=1 if adv_schedule == "dcgan" else self.style.hint_dim,
                in_channels=4 if conditional else 3,
                logit=adv_schedule in ("switch", "alternate"),
            )
        self.discriminator = discriminator
        self.style_loss = StyleAdversarialLoss(style_loss)
        self.adversarial = adversarial_loss(adversarial)
        if self.adversarial.lambda_gp:
            raise ValueError("adversarial must be a loss without gradient penalty: the discriminator has batch norm")
        self.cache_hints = cache_hints
        self.lambda_gan = lambda_gan
        self.lambda_l1 = lambda_l1
        self.alpha = alpha
        self.beta = beta
        self.adv_schedule = adv_schedule
        self.switch_epoch = (n_epochs + n_epochs_decay) / 2
        self.conditional = conditional
        self.takes_hints = colour_hints
        self.needs_style = hint_dropout == 0
        self.hint_dropout = hint_dropout
        self.lr = lr
        self.betas = betas
        self.fused = fused
        self.plan_rates(lr_policy, n_epochs, n_epochs_decay, lr_step_size, lr_monitor)
        self.clip_g = clip_g
        self.clip_d = clip_d
        self._cached: Any = None

    def forward(self, a: Tensor, style: Tensor, hints: Tensor | None = None) -> Tensor:
        """Colour sketches.

        Args:
            a: ``(N, 1 or 3, H, W)`` in [-1, 1].
            style: vectors ``(N, D)`` of `encode_style`; mixtures of them are styles too.
            hints: colours for single pixels, as in a batch; only with ``colour_hints``.

        Returns:
            Paintings ``(N, 3, H, W)`` in [-1, 1].
        """
        with inference_policy(self.generator):  # which runs no guide decoders
            return self.paint(self.ink(a, hints), style).image

    def training_step(self, batch: Batch, batch_idx: int) -> None:
        paint = batch["B"]
        true_style = self.own_style(batch)
        style = self.wanted_style(batch, true_style)
        ink = self.ink(batch["A"], self.hints_of(batch))
        opt_g, opt_d = self.optimizers()
        painted = self.paint(ink, self.dropped(style))  # one pass serves both updates

        if self.lambda_gan:
            losses = self.discriminator_losses(ink, paint, painted.image.detach(), true_style)
            self.minimize(opt_d, losses, "d", self.clip_d)
        with frozen(self.discriminator):
            self.minimize(opt_g, self.generator_losses(ink, paint, painted, true_style), "g", self.clip_g)

    def discriminator_losses(self, ink: Tensor, paint: Tensor, fake: Tensor, style: Tensor) -> dict[str, Tensor]:
        """Weighted terms of the discriminator's loss; ``fake`` is detached, ``style`` that of the real painting."""
        real_score, fake_score = self.score(ink, paint), self.score(ink, fake)
        if self.is_plain:
            return {"real": self.adversarial.real(real_score), "fake": self.adversarial.fake(fake_score)}
        return {"real": self.style_loss.real(real_score, style), "fake": self.style_loss.fake(fake_score)}

    def generator_losses(self, ink: Tensor, paint: Tensor, painted: Painted, style: Tensor) -> dict[str, Tensor]:
        """Weighted terms of the generator's loss: equation 2, and the adversary."""
        terms = {}
        if self.lambda_gan:
            score = self.score(ink, painted.image)
            found = self.adversarial.generator(score) if self.is_plain else self.style_loss.generator(score, style)
            terms["gan"] = self.lambda_gan * found
        if self.lambda_l1:
            terms["l1"] = self.lambda_l1 * F.l1_loss(painted.image, paint)
        for number, guide in enumerate(painted.guides, 1):
            in_grey = guide.shape[1] == 1
            weight = self.lambda_l1 * (self.alpha if in_grey else self.beta)
            if weight:
                terms[f"l1_guide{number}"] = weight * F.l1_loss(guide, grey(paint) if in_grey else paint)
        return terms

    @property
    def is_plain(self) -> bool:
        """Whether this batch's adversary is the plain one."""
        if self.adv_schedule == "switch":
            return self.current_epoch < self.switch_epoch
        return self.adv_schedule == "dcgan" or (self.adv_schedule == "alternate" and self.batches_seen % 2 == 1)

    def score(self, ink: Tensor, paint: Tensor) -> Tensor:
        """What the discriminator says of paintings: vectors of styles, or how real they are."""
        shown = torch.cat([ink[:, :1], paint], dim=1) if self.conditional else paint
        both = self.adv_schedule in ("switch", "alternate")
        return self.discriminator(shown, plain=self.is_plain) if both else self.discriminator(shown)

    def paint(self, ink: Tensor, style: Tensor) -> Painted:
        """The generator's pass, also of one that returns nothing but a picture."""
        made = self.generator(ink, style)
        return made if isinstance(made, Painted) else Painted(made)

    # What the generator is told

    def ink(self, a: Tensor, hints: Tensor | None = None) -> Tensor:
        """Sketches as the generator takes them, 0 for paper and 1 for ink; with ``colour_hints`` also the colours."""
        ink = (1 - grey(a)) / 2
        if not self.takes_hints:
            return ink
        if hints is None:
            hints = a.new_zeros(len(a), 4, *a.shape[-2:])
        return torch.cat([ink, hint_channels(hints).to(ink.dtype)], dim=1)

    def hints_of(self, batch: Batch) -> Tensor | None:
        """A training batch's colour hints, simulated from the painting where it has none."""
        if not self.takes_hints or "hints" in batch:
            return batch.get("hints")
        simulated = simulate_hints((batch["B"] + 1) * 127.5)
        colours = (simulated[:, :3] / 127.5 - 1).clamp(-1, 1)  # white is simulated as 260 levels
        return torch.cat([colours, simulated[:, 3:]], dim=1)

    def encode_style(self, pictures: Tensor) -> Tensor:
        """Style vectors ``(N, D)`` of pictures ``(N, 3, h, w)`` in [-1, 1] of any size."""
        return self.style(pictures)

    def own_style(self, batch: Batch) -> Tensor:
        """The style vectors of the paintings themselves: the batch's, those of the cache, or new ones."""
        if "style_hint" in batch:
            return batch["style_hint"]
        if self.training and self._cached is not None:
            return self._cached(batch["B_path"]).to(batch["B"].device)
        return self.encode_style(batch["B"])

    def wanted_style(self, batch: Batch, own: Tensor | None = None) -> Tensor:
        """The style vectors that a batch is to be painted in: those that it brings, else those of its paintings.

        Raises:
            ValueError: if there is nothing to take a style from, unless training knew that (``hint_dropout``).
        """
        if "style" in batch and "style_hint" not in batch:
            return self.encode_style(batch["style"])
        if "B" in batch or "style_hint" in batch:
            return self.own_style(batch) if own is None else own
        if self.needs_style:
            raise ValueError('the batch has no style: give it "style" (a picture), "style_hint" (a vector) or "B"')
        return batch["A"].new_zeros(len(batch["A"]), self.style.hint_dim)

    def dropped(self, style: Tensor) -> Tensor:
        """Style vectors, some of them zeros."""
        if not self.hint_dropout:
            return style
        return style * (torch.rand(len(style), 1, device=style.device) >= self.hint_dropout)

    def setup(self, stage: str) -> None:
        super().setup(stage)
        if stage != "fit":
            return
        self.style.prepare()  # missing weights show before the first batch
        if self.cache_hints and not hasattr(getattr(self.trainer, "datamodule", None), "cache_hints"):
            raise ValueError(
                "cache_hints=True needs a data module that can keep vectors beside its paintings, such as "
                "PaintingFolders or OpenMoji; pass one to fit, or use cache_hints=False"
            )

    def on_train_start(self) -> None:
        super().on_train_start()
        if self.cache_hints:
            self._cached = self.trainer.datamodule.cache_hints(self.style)  # type: ignore[attr-defined]

    def configure_optimizers(self) -> Any:
        return self.rated(self.adam(self.generator), self.adam(self.discriminator))

    def sample(self, batch: Batch) -> dict[str, Tensor]:
        """Sketch and painting in the style of the true one, and in that of the next sample in the batch.

        ``other_B`` is the latter, ``other_style`` the picture whose style it was to take; a batch of one has neither.
        """
        a, style = batch["A"], self.wanted_style(batch)
        pictures = {"real_A": a, "fake_B": self(a, style, batch.get("hints"))}
        if "B" in batch:
            pictures["real_B"] = batch["B"]
        if len(a) > 1:
            pictures["other_B"] = self(a, style.roll(-1, 0), batch.get("hints"))
            shown = batch.get("style", batch.get("B"))
            if shown is not None and "style_hint" not in batch:
                pictures["other_style"] = shown.roll(-1, 0)
        return pictures

    def translate(self, batch: Batch) -> dict[str, Tensor]:
        """The paintings alone."""
        return {"fake_B": self(batch["A"], self.wanted_style(batch), batch.get("hints"))}
