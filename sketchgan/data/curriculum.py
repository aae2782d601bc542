"""How the share of human sketches grows during training (SketchyGAN, Chen and Hays, CVPR 2018)."""

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class SketchCurriculum:
    """The share of human sketches, as against edge maps of photos, at each iteration.

    With ``t = iteration / n_iterations``, the released code takes ``start + gain * min(1, t ** exponent)``, from 0.2
    to 0.8 at the end; the paper ``start + min(gain, t ** exponent)``, from 0.1 to 0.9, which it reaches after four
    fifths of the iterations. ``gain=0`` keeps the share constant.

    Args:
        form: "code" or "paper".
        start: share at the beginning; by default that of the form, 0.2 or 0.1.
        gain: what it grows by; by default that of the form, 0.6 or 0.8.
        exponent: lambda, which sets how fast it grows.
        n_iterations: generator updates, that is training batches, until t = 1.

    Raises:
        ValueError: for an unknown form, and numbers that lead to a share outside [0, 1].

    Examples:
        >>> [round(SketchCurriculum(n_iterations=100).share(i), 6) for i in (0, 50, 100, 200)]
        [0.2, 0.5, 0.8, 0.8]
        >>> [round(SketchCurriculum("paper", n_iterations=100).share(i), 6) for i in (0, 50, 80)]
        [0.1, 0.6, 0.9]
    """

    form: Literal["code", "paper"] = "code"
    start: float | None = None
    gain: float | None = None
    exponent: float = 1.0
    n_iterations: int = 300_000

    def __post_init__(self) -> None:
        if self.form not in ("code", "paper"):
            raise ValueError(f'form must be "code" or "paper", got {self.form!r}')
        start, gain = self._range
        if not (start >= 0 and gain >= 0 and start + gain <= 1 + 1e-9):
            raise ValueError(f"start and gain must not be negative, nor their sum above 1, got {start} and {gain}")
        if self.exponent <= 0 or self.n_iterations < 1:
            raise ValueError(
                f"exponent must be positive and n_iterations at least 1, got {self.exponent} and {self.n_iterations}"
            )

    @property
    def _range(self) -> tuple[float, float]:
        start, gain = {"code": (0.2, 0.6), "paper": (0.1, 0.8)}[self.form]
        return (start if self.start is None else self.start), (gain if self.gain is None else self.gain)

    def share(self, iteration: int) -> float:
        """Probability in [0, 1] of a human sketch, after so many training batches."""
        start, gain = self._range
        grown = (iteration / self.n_iterations) ** self.exponent
        return start + (gain * min(1.0, grown) if self.form == "code" else min(gain, grown))
