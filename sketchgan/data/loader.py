"""Order and position of the training data, so that a resumed run sees exactly what an unbroken one would."""

from collections.abc import Iterator
from itertools import islice, repeat
from typing import Any

import torch
from torch.utils.data import DataLoader, Dataset
from torch.utils.data.distributed import DistributedSampler


class KeyedSampler(DistributedSampler):
    """A shuffled order that follows from (seed, epoch) alone; yields ``(epoch, index)``.

    The data set seeds its augmentation from that pair, so samples do not depend on workers, and skipping some costs
    nothing. It is a ``DistributedSampler`` so that Lightning leaves it as it is.

    Args:
        dataset: anything with a length.
        seed: of the order.
        num_replicas: number of processes that share the data.
        rank: of this process.

    Examples:
        >>> sampler = KeyedSampler(range(4), seed=1)
        >>> sampler.set_epoch(3)
        >>> first = list(sampler)
        >>> first == list(sampler), {epoch for epoch, _ in first}, sorted(index for _, index in first)
        (True, {3}, [0, 1, 2, 3])
    """

    def __init__(self, dataset: Dataset, seed: int = 0, num_replicas: int = 1, rank: int = 0) -> None:
        super().__init__(dataset, num_replicas, rank, shuffle=True, seed=seed, drop_last=True)
        self.skip = 0

    def __iter__(self) -> Iterator[Any]:
        start, self.skip = self.skip, 0
        return zip(repeat(self.epoch), islice(super().__iter__(), start, None), strict=False)


class ShareSampler(DistributedSampler):
    """Every sample once, in order, shared out among processes; some may have one more than others.

    Lightning's own sampler for evaluation repeats samples until all processes have equally many, which bends scores.

    Args:
        dataset: anything with a length.
        num_replicas: number of processes that share the data.
        rank: of this process.
    """

    def __init__(self, dataset: Dataset, num_replicas: int = 1, rank: int = 0) -> None:
        super().__init__(dataset, num_replicas, rank, shuffle=False)

    def _mine(self) -> range:
        return range(self.rank, len(self.dataset), self.num_replicas)  # type: ignore[arg-type]

    def __iter__(self) -> Iterator[Any]:
        return iter(self._mine())

    def __len__(self) -> int:
        return len(self._mine())


class ResumableLoader(DataLoader):
    """A loader that Lightning can save in the middle of an epoch and restore to the same batch.

    It counts the batches it has given out (workers are ahead of that) and has a generator of its own, so that starting
    an epoch does not move the global random numbers.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        # setdefault: Lightning may build the loader again from its own arguments.
        kwargs.setdefault("generator", torch.Generator().manual_seed(0))
        super().__init__(*args, **kwargs)
        self._given = 0
        self._resume: dict[str, int] | None = None

    def __iter__(self) -> Iterator[Any]:  # type: ignore[override]
        resume, self._resume = self._resume, None
        # A checkpoint from the end of an epoch is followed by the next one, from its beginning.
        self._given = resume["given"] if resume and resume["epoch"] == self.sampler.epoch else 0  # type: ignore[attr-defined]
        self.sampler.skip = self._given * (self.batch_size or 1)  # type: ignore[attr-defined]
        for batch in super().__iter__():
            self._given += 1
            yield batch

    def state_dict(self) -> dict[str, int]:
        """Epoch and number of batches given out in it."""
        return {"epoch": self.sampler.epoch, "given": self._given}  # type: ignore[attr-defined]

    def load_state_dict(self, state: dict[str, int]) -> None:
        """Start the next iteration where ``state_dict`` was taken."""
        self._resume = state
