"""A guard against NaN that costs no synchronisation: flags on the device, read where one happens anyway."""

from collections.abc import Mapping

import torch
from torch import Tensor

_NEVER = torch.iinfo(torch.int64).max


class NonFiniteLossError(RuntimeError):
    """A loss or a weight became NaN or infinite."""


class FiniteGuard:
    """Remember for every term of every loss the first batch at which it was NaN or infinite."""

    def __init__(self) -> None:
        self._first_bad: dict[tuple[str, ...], Tensor] = {}

    def watch(self, losses: Mapping[str, Tensor], log_as: str, batch: int) -> None:
        """Look at the terms of a loss, which are scalars."""
        finite = torch.stack([loss.detach() for loss in losses.values()]).isfinite()
        now = torch.where(finite, _NEVER, batch)
        names = tuple(f"{log_as}/{name}" for name in losses)
        before = self._first_bad.get(names)
        self._first_bad[names] = now if before is None else torch.minimum(now, before)

    def check(self) -> None:
        """Raise if any term has been NaN or infinite.

        Raises:
            NonFiniteLossError: naming the term and the batch.
        """
        seen = {
            name: batch
            for names, first_bad in self._first_bad.items()
            for name, batch in zip(names, first_bad.tolist(), strict=True)
        }
        first = min(seen, key=lambda name: seen[name], default="")
        if first and seen[first] != _NEVER:
            raise NonFiniteLossError(
                f"loss {first} became NaN or infinite at batch {seen[first]}; the last checkpoint is from before it. "
                "Resume from there with a lower learning rate, clipping (clip_g, clip_d), or "
                'precision="bf16-mixed" instead of "16-mixed"'
            )
