"""What PaintsChainer's two stages share: colours as YUV, and hints of them."""

from abc import abstractmethod
from typing import Literal

import torch
from torch import Tensor

from sketchgan.modules.base import Batch, GANModule
from sketchgan.ops import grey, rgb_to_yuv, seeds_of, simulate_hints, yuv_to_rgb

Units = Literal["normalised", "official"]
NO_HINT = (-512.0, 128.0, 128.0)
"""What the network is told of a pixel without a hint, in levels of YUV."""


class ColouringModule(GANModule):
    """A module that colours lines (A), with hints where it is given some, and works in YUV.

    Pictures go in and come out as RGB in [-1, 1]. "Levels" are YUV as `sketchgan.ops.rgb_to_yuv` gives it, and "units"
    what the networks see of them.

    Attributes:
        units: "official" for levels, or "normalised" for ``(levels - 128) / 128``.
        hints: upper limit of the number of simulated hints, not reached; 0 for none.
        evaluation_hints: whether `sample` draws some, too.
    """

    needs_pairs = True
    takes_hints = True
    units: Units
    hints: int
    evaluation_hints: bool

    def work_in(self, units: Units, hints: int, evaluation_hints: bool) -> None:
        """Take these settings, for constructors.

        Raises:
            ValueError: for unknown units, and numbers of hints that cannot be drawn.
        """
        if units not in ("normalised", "official"):
            raise ValueError(f'units must be "normalised" or "official", got {units!r}')
        if hints != 0 and hints < 17:
            raise ValueError(
                f"hints must be 0 (none), or more than 16, of which a third of the pictures get, got {hints}"
            )
        self.units = units
        self.hints = hints
        self.evaluation_hints = evaluation_hints

    def forward(self, a: Tensor, hints: Tensor | None = None) -> Tensor:
        """Colour lines.

        Args:
            a: ``(N, 1 or 3, H, W)`` in [-1, 1], black on white.
            hints: colours for single pixels, ``(N, 4, H, W)``: RGB in [-1, 1], where the fourth channel is above 0.

        Returns:
            RGB ``(N, 3, H, W)``, clipped to [-1, 1].
        """
        return self.coloured(self.line(a), None if hints is None else self.in_yuv(hints))

    @abstractmethod
    def coloured(self, line: Tensor, hints: Tensor | None) -> Tensor:
        """RGB pictures of lines ``(N, 1, H, W)`` and hints ``(N, 4, H, W)`` in levels, in evaluation mode."""

    # Units

    def line(self, a: Tensor) -> Tensor:
        """Lines as levels of grey, ``(N, 1, H, W)``."""
        return (grey(a) + 1) * 127.5

    def levels(self, pictures: Tensor) -> Tensor:
        """Pictures as levels of YUV; in official units saturated, as in a picture of 8 bits."""
        yuv = rgb_to_yuv(pictures)
        return yuv.clamp(0, 255) if self.units == "official" else yuv

    def in_units(self, levels: Tensor) -> Tensor:
        """Levels as the networks see them, in the precision of their weights."""
        values = levels if self.units == "official" else (levels - 128) / 128
        return values.to(self.dtype)

    def in_levels(self, values: Tensor) -> Tensor:
        """What networks make, as levels, in float32 at least."""
        values = values.to(torch.promote_types(values.dtype, torch.float32))
        return values if self.units == "official" else values * 128 + 128

    def picture(self, levels: Tensor) -> Tensor:
        """RGB of levels, clipped to [-1, 1]; in official units levels are clipped first, as in the official code."""
        levels = levels.clamp(0, 255) if self.units == "official" else levels
        return yuv_to_rgb(levels).clamp(-1, 1)

    def with_hints(self, line: Tensor, hints: Tensor | None) -> Tensor:
        """Lines and hints as a network takes them, ``(N, 4, H, W)`` in its units."""
        nothing = line.new_tensor(NO_HINT).view(1, 3, 1, 1)
        if hints is None:
            colours = nothing.expand(len(line), -1, *line.shape[-2:])
        else:
            colours = torch.where(hints[:, 3:] > 0, hints[:, :3], nothing)
        return self.in_units(torch.cat([line, colours], dim=1))

    # Hints

    def in_yuv(self, hints: Tensor) -> Tensor:
        """A batch's hints, with colours as levels.

        Raises:
            ValueError: for other than four channels.
        """
        if hints.shape[1] != 4:
            raise ValueError(f"hints have four channels, colour and opacity, got {tuple(hints.shape)}")
        return torch.cat([self.levels(hints[:, :3]), hints[:, 3:]], dim=1)

    def hints_of(self, batch: Batch, levels: Tensor) -> Tensor | None:
        """A training batch's hints in levels, drawn at random from the painting's levels where it has none."""
        if "hints" in batch:
            return self.in_yuv(batch["hints"])
        return simulate_hints(levels, self.hints) if self.hints else None

    def evaluated_hints(self, batch: Batch) -> Tensor | None:
        """Hints for `sample`: the batch's, or such that follow from the names of the files alone."""
        if "hints" in batch:
            return self.in_yuv(batch["hints"])
        if not (self.hints and self.evaluation_hints and "B" in batch):
            return None
        names = batch.get("A_path", [str(i) for i in range(len(batch["A"]))])
        levels = self.levels(batch["B"]).split(1)
        draws = [torch.Generator().manual_seed(seed) for seed in seeds_of(names)]
        return torch.cat([self.simulated(one, draw) for one, draw in zip(levels, draws, strict=True)])

    def simulated(self, levels: Tensor, generator: torch.Generator) -> Tensor:
        """Hints at random for paintings in levels."""
        return simulate_hints(levels, self.hints, generator)

    # Evaluation

    def sample(self, batch: Batch) -> dict[str, Tensor]:
        """Line, colouring and painting; with hints also the colouring without (``other_B``) and the hints on the line.

        The hints are the batch's, or as in training, drawn from the painting by the names of the files.
        """
        line, hints = self.line(batch["A"]), self.evaluated_hints(batch)
        pictures = {"real_A": batch["A"], "fake_B": self.coloured(line, hints)}
        if "B" in batch:
            pictures["real_B"] = batch["B"]
        if hints is not None:
            pictures["other_B"] = self.coloured(line, None)
            pictures["hints"] = torch.where(hints[:, 3:] > 0, self.picture(hints[:, :3]), line / 127.5 - 1)
        return pictures

    def translate(self, batch: Batch) -> dict[str, Tensor]:
        """The colouring alone, with the hints that the batch brings and no others."""
        return {"fake_B": self(batch["A"], batch.get("hints"))}


def disturbed(levels: Tensor, sigma: float, offset: float = 0.0) -> Tensor:
    """Levels with noise, as the official training adds it.

    Args:
        levels: ``(N, C, H, W)``.
        sigma: the noise has a standard deviation between 0 and this, drawn for each picture.
        offset: standard deviation of a number that is added to a whole picture.
    """
    n = len(levels)
    if sigma:
        share = torch.rand(n, 1, 1, 1, device=levels.device, dtype=levels.dtype)
        levels = levels + sigma * share * torch.randn_like(levels)
    if offset:
        levels = levels + offset * torch.randn(n, 1, 1, 1, device=levels.device, dtype=levels.dtype)
    return levels
