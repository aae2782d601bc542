"""Order and position of the training data, so that a resumed run sees exactly what an unbroken one would."""

from collections.abc import Iterator
from itertools import islice, repeat
from typing import Any

import torch
from torch.utils.data import DataLoader, Dataset
from torch.utils.data.distributed import DistributedSampler

from sketchgan.data.curriculum import SketchCurriculum


class KeyedSampler(DistributedSampler):
    """A shuffled order that follows from (seed, epoch) alone; yields ``(epoch, index)``.

    The data set seeds its augmentation from that pair, so samples do not depend on workers, and skipping some costs
    nothing. It is a ``DistributedSampler`` so that Lightning leaves it as it is.

    Args:
        dataset: anything with a length.
        seed: of the order.
        num_replicas: number of processes that share the data.
        rank: of this process.

    Attributes:
        skip: samples that the next iteration leaves out, once.
        batches_before: batches that the loader gave out in earlier epochs.

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
        self.batches_before = 0

    def __iter__(self) -> Iterator[Any]:
        start, self.skip = self.skip, 0
        return zip(repeat(self.epoch), islice(super().__iter__(), start, None), strict=False)


class MixtureSampler(KeyedSampler):
    """Keys for a mixture of two sources: ``(epoch, index, share, judged)``.

    ``share`` follows from the number of batches before this one, over all epochs. ``judged`` says that the sample is
    for an update of the discriminator: those come first in every batch, in ``d_iterations`` of ``d_iterations + 1``
    equal parts.

    Args:
        dataset: anything with a length.
        seed: of the order.
        num_replicas: number of processes that share the data.
        rank: of this process.
        batch_size: samples per batch and process.
        d_iterations: updates of the discriminator per batch.
        curriculum: of the share; none stands for 1.

    Examples:
        >>> sampler = MixtureSampler(range(4), batch_size=2, d_iterations=1)
        >>> [(share, judged) for _, _, share, judged in sampler]
        [(1.0, True), (1.0, False), (1.0, True), (1.0, False)]
    """

    def __init__(
        self,
        dataset: Dataset,
        seed: int = 0,
        num_replicas: int = 1,
        rank: int = 0,
        batch_size: int = 1,
        d_iterations: int = 0,
        curriculum: SketchCurriculum | None = None,
    ) -> None:
        super().__init__(dataset, seed, num_replicas, rank)
        if batch_size % (d_iterations + 1):
            raise ValueError(
                f"batch_size {batch_size} is no multiple of {d_iterations + 1}: a batch is cut into equal parts, one "
                f"for each of {d_iterations} updates of the discriminator and one for the generator's"
            )
        self.batch_size = batch_size
        self.judged = batch_size * d_iterations // (d_iterations + 1)
        self.curriculum = curriculum

    def __iter__(self) -> Iterator[Any]:
        first = self.skip
        for position, (epoch, index) in enumerate(super().__iter__(), first):
            batch, place = divmod(position, self.batch_size)
            share = 1.0 if self.curriculum is None else self.curriculum.share(self.batches_before + batch)
            yield epoch, index, share, place < self.judged


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

    It counts the batches it has given out (workers are ahead of that), in this epoch and before it, and has a generator
    of its own, so that starting an epoch does not move the global random numbers.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        # setdefault: Lightning may build the loader again from its own arguments.
        kwargs.setdefault("generator", torch.Generator().manual_seed(0))
        super().__init__(*args, **kwargs)
        self._before = 0
        self._given = 0
        self._resume: dict[str, int] | None = None

    def __iter__(self) -> Iterator[Any]:  # type: ignore[override]
        sampler: Any = self.sampler
        resume, self._resume = self._resume, None
        # A checkpoint from the end of an epoch is followed by the next one, from its beginning.
        if resume and resume["epoch"] == sampler.epoch:
            self._before, self._given = resume["before"], resume["given"]
        else:
            self._before += self._given
            self._given = 0
        sampler.skip = self._given * (self.batch_size or 1)
        sampler.batches_before = self._before
        for batch in super().__iter__():
            self._given += 1
            yield batch

    def state_dict(self) -> dict[str, int]:
        """Epoch, number of batches given out in it, and before it."""
        return {"epoch": self.sampler.epoch, "given": self._given, "before": self._before}  # type: ignore[attr-defined]

    def load_state_dict(self, state: dict[str, int]) -> None:
        """Start the next iteration where ``state_dict`` was taken."""
        self._resume = {"before": 0, **state}  # states of earlier versions do not say
        self._before, self._given = self._resume["before"], self._resume["given"]
