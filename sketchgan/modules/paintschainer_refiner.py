"""PaintsChainer's second stage: a small colouring brought to the size of the drawing."""

from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from sketchgan.modules.base import Batch
from sketchgan.modules.checkpoint import read, settings_of
from sketchgan.modules.colouring import ColouringModule, Units, disturbed
from sketchgan.networks import PaintsChainerUNet
from sketchgan.networks.chainer_files import array_names
from sketchgan.networks.paintschainer import normalise_with_batches
from sketchgan.networks.pretrained import generator_weights, load_weights
from sketchgan.ops import LRPolicy, inference_policy, resize_area


class PaintsChainerRefiner(ColouringModule):
    """Colour a large line drawing (A) by a draft that a trained `PaintsChainer` makes of a small copy.

    The draft is enlarged (bicubic) and refined by a U-Net that sees the large line; hints are given to the draft alone.
    In training the draft's network is frozen, but for batch norm, which uses the statistics of the batch and remembers
    none; of the enlarged draft each channel is at random replaced by the painting's own, shrunk and enlarged. Follows
    the official Chainer code, which trains at 512 px with drafts of 128 px, without adversary. A draft's colours are
    clipped to those that there are before they are enlarged, in training too.

    The draft's network is saved with this module, so that nothing else is needed to colour.

    Args:
        generator: refines ``(N, 4, H, W)``, grey and the enlarged draft; default ``PaintsChainerUNet()``.
        draft: network that makes drafts, trained; it is frozen for good. Default ``PaintsChainerUNet()``, which needs
            ``draft_weights``.
        draft_weights: of it, a local file: a checkpoint of `PaintsChainer` in the same units, or a state dict. It is
            read when a new training starts.
        units: see `PaintsChainer`.
        scale: how many times as large as a draft the result is. Sides of drafts are rounded down to multiples of 16.
        lambda_l1: weight of the mean absolute distance to the painting, in levels of 0 to 255.
        hints: see `PaintsChainer`; drawn at the draft's size.
        evaluation_hints: see `PaintsChainer`.
        draft_share: probability with which a channel is the draft's in training.
        noise: largest standard deviation of the noise on small lines and paintings in training, in levels; officially
            5.
        line_noise: the same on large lines; officially 4.
        line_offset: standard deviation of how much brighter or darker a large line is made in training; officially 24.
        blur: side in pixels of a box whose mean darkens the line around ink before it is shrunk, so that thin lines
            stay; 0 for none. Only when translating.
        lr: learning rate of Adam.
        betas: Adam's coefficients.
        weight_decay: added to the gradients.
        fused: run Adam as one kernel; by default unless the precision is "16-mixed".
        lr_policy: "linear", "step", "cosine", "plateau" (on the value logged as ``lr_monitor``) or "constant".
        n_epochs: epochs at the full rate (the period of "cosine").
        n_epochs_decay: epochs of linear decay.
        lr_step_size: epochs between the falls of "step".
        lr_monitor: what "plateau" watches.
        clip_g: largest gradient norm of the generator; none by default.

    Shapes: A ``(N, 1 or 3, H, W)``, black on white, and B ``(N, 3, H, W)``, in [-1, 1], sides multiples of 16.

    Raises:
        ValueError: for unknown names, and numbers out of range; before training, for a draft in other units.
        FileNotFoundError: before training, if there is no draft.
    """

    def __init__(
        self,
        generator: nn.Module | None = None,
        draft: nn.Module | None = None,
        draft_weights: str | None = None,
        units: Units = "normalised",
        scale: int = 4,
        lambda_l1: float = 1.0,
        hints: int = 100,
        evaluation_hints: bool = True,
        draft_share: float = 0.8,
        noise: float = 0.0,
        line_noise: float = 0.0,
        line_offset: float = 0.0,
        blur: int = 0,
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
    ) -> None:
        super().__init__()
        self.work_in(units, hints, evaluation_hints)
        if scale < 1:
            raise ValueError(f"scale must be at least 1, got {scale}")
        if not 0 <= draft_share <= 1:
            raise ValueError(f"draft_share must be a probability, got {draft_share}")
        if blur < 0:
            raise ValueError(f"blur must be a number of pixels, or 0 for none, got {blur}")
        self.generator = PaintsChainerUNet() if generator is None else generator
        self.draft = PaintsChainerUNet() if draft is None else draft
        normalise_with_batches(self.draft).requires_grad_(False)
        self.draft_weights = draft_weights
        self._has_draft = draft is not None and draft_weights is None
        self.scale = scale
        self.lambda_l1 = lambda_l1
        self.draft_share = draft_share
        self.noise = noise
        self.line_noise = line_noise
        self.line_offset = line_offset
        self.blur = blur
        self.lr = lr
        self.betas = betas
        self.weight_decay = weight_decay
        self.fused = fused
        self.plan_rates(lr_policy, n_epochs, n_epochs_decay, lr_step_size, lr_monitor)
        self.clip_g = clip_g

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        super().on_load_checkpoint(checkpoint)
        self._has_draft = True

    def on_fit_start(self) -> None:
        if self._has_draft:
            return
        if self.draft_weights is None:
            raise FileNotFoundError(
                "PaintsChainerRefiner refines what a trained PaintsChainer drafts: give its checkpoint as "
                "draft_weights, or its network as draft"
            )
        self.read_draft(self.draft_weights)
        self._has_draft = True

    def read_draft(self, path: str) -> None:
        """Take the draft's weights from a file."""
        units = units_of(path)
        if units not in (None, self.units):
            raise ValueError(
                f'{path} was trained with units="{units}"; train its refiner in the same, not in "{self.units}"'
            )
        load_weights(self.draft, generator_weights(path), path, "give a checkpoint of PaintsChainer as draft_weights")

    def training_step(self, batch: Batch, batch_idx: int) -> None:
        x, real_b = self.input_and_target(batch)
        (opt_g,) = self.optimizers()
        fake_b = self.in_levels(self.generator(x))
        self.minimize(opt_g, self.generator_losses(real_b, fake_b), "g", self.clip_g)

    def input_and_target(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """What the generator sees, in its units, and what it should make of it, in levels."""
        line, real_b = self.line(batch["A"]), self.levels(batch["B"])
        size = self.draft_size(line)
        small_line = disturbed(resize_area(line, *size), self.noise).clamp(min=0)
        small_b = disturbed(resize_area(real_b, *size), self.noise)
        with torch.no_grad():
            drafted = self.drafted(small_line, self.hints_of(batch, small_b))
        replaced = torch.rand(len(line), 3, 1, 1, device=line.device) >= self.draft_share
        line = disturbed(line, self.line_noise, self.line_offset).clamp(0, 255)
        return self.with_draft(line, torch.where(replaced, small_b, drafted)), real_b

    def generator_losses(self, real_b: Tensor, fake_b: Tensor) -> dict[str, Tensor]:
        """The weighted distance of pictures in levels."""
        return {"l1": self.lambda_l1 * F.l1_loss(fake_b, real_b)} if self.lambda_l1 else {}

    def coloured(self, line: Tensor, hints: Tensor | None) -> Tensor:
        size = self.draft_size(line)
        small_hints = None if hints is None else shrunk_hints(hints, size)
        with inference_policy(self.draft), inference_policy(self.generator):
            drafted = self.drafted(resize_area(darkened(line, self.blur), *size), small_hints)
            return self.picture(self.in_levels(self.generator(self.with_draft(line, drafted))))

    # Drafts

    def draft_size(self, line: Tensor) -> tuple[int, int]:
        """Height and width of a drawing's draft."""
        height, width = (max(16, side // self.scale // 16 * 16) for side in line.shape[-2:])
        return height, width

    def drafted(self, line: Tensor, hints: Tensor | None) -> Tensor:
        """Levels that the draft's network makes of small lines, of colours that there are."""
        return self.levels(self.picture(self.in_levels(self.draft(self.with_hints(line, hints)))))

    def with_draft(self, line: Tensor, drafted: Tensor) -> Tensor:
        """Lines and small levels as the generator takes them, ``(N, 4, H, W)`` in its units."""
        large = F.interpolate(drafted, line.shape[-2:], mode="bicubic")
        return self.in_units(torch.cat([line, large.clamp(0, 255) if self.units == "official" else large], dim=1))

    def hints_of(self, batch: Batch, levels: Tensor) -> Tensor | None:
        hints = super().hints_of(batch, levels)
        return None if hints is None else shrunk_hints(hints, levels.shape[-2:])

    def simulated(self, levels: Tensor, generator: torch.Generator) -> Tensor:
        small = resize_area(levels, *self.draft_size(levels))
        return F.interpolate(super().simulated(small, generator), levels.shape[-2:], mode="nearest")

    def configure_optimizers(self) -> Any:
        return self.rated(self.adam(self.generator, weight_decay=self.weight_decay))


def units_of(path: str) -> str | None:
    """In which units the network in a file works, as far as the file tells."""
    if array_names(Path(path)):
        return "official"
    checkpoint = read(path)
    return settings_of(checkpoint).get("units", "normalised") if "sketchgan" in checkpoint else None


def shrunk_hints(hints: Tensor, size: tuple[int, ...]) -> Tensor:
    """Hints at fewer pixels, of which each has the most opaque of those that it replaces: no single one is lost.

    Args:
        hints: ``(N, 4, H, W)``, colour and opacity.
        size: height and width to come to.
    """
    if tuple(hints.shape[-2:]) == tuple(size):
        return hints
    opacity, where = F.adaptive_max_pool2d(hints[:, 3:], tuple(size), return_indices=True)
    colours = hints[:, :3].flatten(2).gather(2, where.flatten(2).expand(-1, 3, -1))
    return torch.cat([colours.unflatten(2, tuple(size)), opacity], dim=1)


def darkened(line: Tensor, blur: int) -> Tensor:
    """Lines in levels with what a box blur leaves of white subtracted, which keeps thin ink when they are shrunk.

    Args:
        line: ``(N, 1, H, W)``, both sides more than half of ``blur``.
        blur: side of the box in pixels; 0 for none.
    """
    if not blur:
        return line
    before, after = blur // 2, blur - 1 - blur // 2
    return line + F.avg_pool2d(F.pad(line, (before, after, before, after), mode="reflect"), blur, stride=1) - 255
