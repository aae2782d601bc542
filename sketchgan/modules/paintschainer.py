"""PaintsChainer: line drawings coloured, with hints of colours where one wants to say."""

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from sketchgan.losses import LineLoss
from sketchgan.modules.base import Batch
from sketchgan.modules.colouring import ColouringModule, Units, disturbed
from sketchgan.networks import PaintsChainerDiscriminator, PaintsChainerUNet
from sketchgan.ops import LRPolicy, frozen, inference_policy

PAINTED, COLOURED = 0, 1  # classes of the discriminator


class PaintsChainer(ColouringModule):
    """Colour a line drawing (A) like a painting (B), which is told by hints at single pixels: the first, small stage.

    PaintsChainer, Taizan Yonetsuji, Preferred Networks, 2017; there is no paper. Follows the official Chainer code.
    In training the hints are drawn at random from the painting, so that the network can do with none, few or many.

    The official code has colours in levels of 0 to 255, to which short trainings do not find: pictures stay green.
    By default the networks see ``(levels - 128) / 128`` instead. The losses are the same in both units: distances are
    counted in levels, and only the lines in 128 levels, as in the official code.

    Args:
        generator: colours ``(N, 4, H, W)``, grey and hint; default ``PaintsChainerUNet()``.
        discriminator: of two classes, painted and coloured; default ``PaintsChainerDiscriminator()``, for training at
            128 px. The official one does not see the line.
        line_network: of your own, for the line term; see `LineLoss`.
        line_weights: a local file with weights of the line network.
        units: in which networks see colours, "normalised" or "official"; converted official weights want the latter.
            In official units colours are also saturated to 0 to 255, which makes pure red paler.
        lambda_l1: weight of the mean absolute distance to the painting, in levels.
        lambda_gan: weight of the generator's adversarial term; 0 leaves the discriminator untouched.
        lambda_lines: weight of the line term; by default 10, as published, with a line network, and 0 without.
        hints: upper limit of the number of simulated hints, not reached; 0 for none, what the published script has.
        evaluation_hints: whether `sample` draws hints, too, from the names of the files; `translate` never does.
        noise: of each picture and its line in training, the largest standard deviation in levels; officially 5.
        line_offset: standard deviation of how much brighter or darker a line is made in training, in levels;
            officially 16.
        lr: learning rate of both Adam optimizers.
        betas: Adam's coefficients.
        weight_decay: of both, added to the gradients.
        fused: run Adam as one kernel; by default unless the precision is "16-mixed".
        lr_policy: "linear", "step", "cosine", "plateau" (on the value logged as ``lr_monitor``) or "constant".
        n_epochs: epochs at the full rate (the period of "cosine").
        n_epochs_decay: epochs of linear decay.
        lr_step_size: epochs between the falls of "step".
        lr_monitor: what "plateau" watches.
        clip_g: largest gradient norm of the generator; none by default.
        clip_d: largest gradient norm of the discriminator; none by default.

    Shapes: A ``(N, 1 or 3, H, W)``, black on white, and B ``(N, 3, H, W)``, in [-1, 1]; in training squares of the
    discriminator's size.

    Raises:
        ValueError: for unknown names, and numbers of hints between 1 and 16.
        FileNotFoundError: before training, if there is no line network for the line term.
    """

    def __init__(
        self,
        generator: nn.Module | None = None,
        discriminator: nn.Module | None = None,
        line_network: nn.Module | None = None,
        line_weights: str | None = None,
        units: Units = "normalised",
        lambda_l1: float = 1.0,
        lambda_gan: float = 1.0,
        lambda_lines: float | None = None,
        hints: int = 100,
        evaluation_hints: bool = True,
        noise: float = 0.0,
        line_offset: float = 0.0,
        lr: float = 1e-4,
        betas: tuple[float, float] = (0.9, 0.999),
        weight_decay: float = 1e-5,
        fused: bool | None = None,
        lr_policy: LRPolicy = "constant",
        n_epochs: int = 20,
        n_epochs_decay: int = 0,
        lr_step_size: int = 50,
        lr_monitor: str = "val/l1",
        clip_g: float | None = None,
        clip_d: float | None = None,
    ) -> None:
        super().__init__()
        self.work_in(units, hints, evaluation_hints)
        self.generator = PaintsChainerUNet() if generator is None else generator
        self.discriminator = PaintsChainerDiscriminator() if discriminator is None else discriminator
        self.lines = LineLoss(line_network, line_weights)
        if lambda_lines is None:
            lambda_lines = 0.0 if line_network is None and line_weights is None else 10.0
        self.lambda_l1 = lambda_l1
        self.lambda_gan = lambda_gan
        self.lambda_lines = lambda_lines
        self.noise = noise
        self.line_offset = line_offset
        self.lr = lr
        self.betas = betas
        self.weight_decay = weight_decay
        self.fused = fused
        self.plan_rates(lr_policy, n_epochs, n_epochs_decay, lr_step_size, lr_monitor)
        self.clip_g = clip_g
        self.clip_d = clip_d

    def setup(self, stage: str) -> None:
        super().setup(stage)
        if stage == "fit" and self.lambda_lines:
            self.lines.prepare()  # a missing network shows before the first batch

    def training_step(self, batch: Batch, batch_idx: int) -> None:
        x, real_b = self.input_and_target(batch)
        opt_g, opt_d = self.optimizers()
        fake_b = self.in_levels(self.generator(x))  # one pass serves both updates

        with frozen(self.discriminator):
            self.minimize(opt_g, self.generator_losses(real_b, fake_b), "g", self.clip_g)
        if self.lambda_gan:
            self.minimize(opt_d, self.discriminator_losses(real_b, fake_b.detach()), "d", self.clip_d)

    def input_and_target(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """What the generator sees, in its units, and what it should make of it, in levels."""
        real_b = disturbed(self.levels(batch["B"]), self.noise)
        line = disturbed(self.line(batch["A"]), self.noise, self.line_offset).clamp(min=0)
        return self.with_hints(line, self.hints_of(batch, real_b)), real_b

    def generator_losses(self, real_b: Tensor, fake_b: Tensor) -> dict[str, Tensor]:
        """Weighted terms of the generator's loss on pictures in levels."""
        terms = {}
        if self.lambda_l1:
            terms["l1"] = self.lambda_l1 * F.l1_loss(fake_b, real_b)
        if self.lambda_gan:
            terms["gan"] = self.lambda_gan * self.judged(fake_b, PAINTED)
        if self.lambda_lines:
            terms["lines"] = self.lambda_lines * self.lines((real_b - 128) / 128, (fake_b - 128) / 128)
        return terms

    def discriminator_losses(self, real_b: Tensor, fake_b: Tensor) -> dict[str, Tensor]:
        """Terms of the discriminator's loss; ``fake_b`` is detached, and from before the generator's update."""
        # Fake first, as in the official code: the order shows in batch norm's running statistics.
        fake = self.judged(fake_b, COLOURED)
        return {"real": self.judged(real_b, PAINTED), "fake": fake}

    def judged(self, levels: Tensor, kind: int) -> Tensor:
        """Cross entropy of pictures being taken for painted (0) or coloured (1)."""
        logits = self.discriminator(self.in_units(levels))
        logits = logits.to(torch.promote_types(logits.dtype, torch.float32))
        return F.cross_entropy(logits, torch.full((len(logits),), kind, device=logits.device))

    def coloured(self, line: Tensor, hints: Tensor | None) -> Tensor:
        with inference_policy(self.generator):
            return self.picture(self.in_levels(self.generator(self.with_hints(line, hints))))

    def configure_optimizers(self) -> Any:
        return self.rated(
            self.adam(self.generator, weight_decay=self.weight_decay),
            self.adam(self.discriminator, weight_decay=self.weight_decay),
        )
