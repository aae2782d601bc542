"""What every data module shares: loaders, splits and the batch contract."""

import signal
from abc import abstractmethod
from pathlib import Path
from typing import Any, Literal

import torch
from lightning.pytorch import LightningDataModule
from torch.utils.data import DataLoader, Dataset, default_collate

from sketchgan.data.hint_cache import HintCache, Paintings, cache_hints
from sketchgan.data.loader import KeyedSampler, ResumableLoader, ShareSampler
from sketchgan.networks.style_encoders import StyleEncoder

Split = Literal["train", "val", "test"]


class TranslationData(LightningDataModule):
    """Pictures of two domains, A (the sketch, where there is one) and B.

    Batches are dicts: ``"A"`` and ``"B"``, float ``(N, C, H, W)`` in [-1, 1]; ``"A_path"`` and ``"B_path"``, lists of
    names; with labels also ``"A_label"`` and ``"B_label"``, int64 ``(N,)``. In evaluation every picture comes once: of
    two unpaired domains, the smaller one is missing from the last batches; and there may be ``"A_name"`` and
    ``"B_name"``, under which a translation is written where ``x.jpg`` and ``x.png`` are both there, and ``"A_size"``
    and ``"B_size"``, int64 ``(N, 2)``: height and width of the pictures as they were read.

    A subclass builds the data set of a split in ``dataset(split)``; training sets are indexed by ``(epoch, index)``,
    the others by ``index``. What it returns from ``state_dict`` travels in checkpoints and tells inference how to
    prepare a picture: ``preprocess`` (settings of `Preprocess`), ``channels_a``, ``channels_b``, ``value_range``; with
    labels ``classes``, their names, and ``class_folders``, if their folders are called otherwise; ``sketch`` (settings
    of `SketchInput`) if A is made from drawings; ``open_domain`` where classes may lack sketches.

    Args:
        batch_size: pictures of each domain per batch and process.
        eval_batch_size: the same for validation, test and prediction; by default ``batch_size``.
        num_workers: loader processes; 0 loads in the main process. Results do not depend on it.
        seed: of order and augmentation.

    Attributes:
        paired: A and B of a batch show the same things.
        labelled: batches carry class labels.
        classes: names of the labels, in the order of their numbers.
        open_domain: names of the classes whose sketches training does not have, only their photos; none as a rule.
    """

    paired: bool = False
    labelled: bool = False
    classes: tuple[str, ...] = ()
    open_domain: tuple[str, ...] = ()

    def __init__(
        self, batch_size: int = 1, eval_batch_size: int | None = None, num_workers: int = 0, seed: int = 0
    ) -> None:
        super().__init__()
        if batch_size < 1:
            raise ValueError(f"batch_size must be at least 1, got {batch_size}")
        if eval_batch_size is not None and eval_batch_size < 1:
            raise ValueError(f"eval_batch_size must be at least 1, got {eval_batch_size}")
        self.batch_size = batch_size
        self.eval_batch_size = eval_batch_size or batch_size
        self.num_workers = num_workers
        self.seed = seed
        self.save_hyperparameters(logger=False)

    def _set_hparams(self, hp: Any) -> None:
        """Plain values, so that the checkpoint that says what data it was trained on loads safely."""
        hp = self._to_hparams_dict(hp)
        super()._set_hparams({name: str(value) if isinstance(value, Path) else value for name, value in hp.items()})

    @property
    def open_share(self) -> float:
        """Share of the training classes that have photos but no sketches, 0 to 1."""
        return len(self.open_domain) / len(self.classes) if self.open_domain else 0.0

    @abstractmethod
    def dataset(self, split: Split) -> Dataset:
        """Build the data set of a split."""

    def paintings(self) -> Paintings:
        """The pictures of side B in training, whole and as they are on the disk.

        Raises:
            ValueError: if there is no such thing.
        """
        raise ValueError(
            f"{type(self).__name__} does not say which files its paintings are, so their style hints cannot be cached; "
            "use cache_hints=False, or OpenMoji, PaintingFolders, PairedFolders or UnpairedFolders"
        )

    def cache_hints(
        self,
        encoder: StyleEncoder,
        hint_folder: str | Path | None = None,
        half: bool = False,
        device: torch.device | str | None = None,
        batch_size: int = 16,
    ) -> HintCache:
        """Style vectors of the training paintings, computed once and kept beside the data.

        Where they are kept, and what makes them be computed again: see `sketchgan.data.cache_hints`.

        Args:
            encoder: of styles.
            hint_folder: where to keep the vectors instead.
            half: store float16, half the size.
            device: to compute on; by default the Trainer's, or the CPU.
            batch_size: pictures of one size that are encoded together.

        Returns:
            The vectors, by ``"B_path"`` of the batches.

        Raises:
            FileNotFoundError: if the encoder has no weights.
            PictureError: for a picture that cannot be read.
            OSError: if nothing can be written, or the disk is too small.
            ValueError: if B is not in files, or its colours are drawn anew in every epoch (``recolour``).
        """
        if getattr(self, "recolour", 0):
            raise ValueError(
                f"recolour={getattr(self, 'recolour', 0)} draws the colours of paintings anew in every epoch, and a "
                "cached style hint would be that of other colours; use cache_hints=False, or recolour=0"
            )
        if device is None:
            device = self.trainer.strategy.root_device if self.trainer else "cpu"
        return cache_hints(self.paintings(), encoder, hint_folder, half, device, batch_size, self._world())

    def train_dataloader(self) -> ResumableLoader:
        dataset = self.dataset("train")
        return self._train_loader(dataset, KeyedSampler(dataset, self.seed, *self._world()))

    def _train_loader(self, dataset: Dataset, sampler: KeyedSampler) -> ResumableLoader:
        if len(sampler) < self.batch_size:
            raise ValueError(
                f"batch_size {self.batch_size} is more than the {len(sampler)} training samples per process of "
                f"{type(self).__name__}; lower batch_size"
            )
        # A ragged last batch would compile every network once more, and unbalance the updates.
        return ResumableLoader(dataset, batch_size=self.batch_size, sampler=sampler, drop_last=True, **self._loading())

    def val_dataloader(self) -> DataLoader:
        return self._eval_loader("val")

    def test_dataloader(self) -> DataLoader:
        return self._eval_loader("test")

    def predict_dataloader(self) -> DataLoader:
        return self.test_dataloader()

    def _eval_loader(self, split: Split) -> DataLoader:
        dataset = self.dataset(split)
        world, rank = self._world()
        if len(dataset) < world:  # type: ignore[arg-type]
            raise ValueError(
                f"{len(dataset)} {split} samples cannot be shared by {world} processes; "  # type: ignore[arg-type]
                "use fewer devices, or hold out more pictures"
            )
        # A generator of its own: a loader draws one number per pass, and validation must not move training.
        own = torch.Generator().manual_seed(0)
        sampler = ShareSampler(dataset, world, rank)
        return DataLoader(dataset, batch_size=self.eval_batch_size, sampler=sampler, generator=own, **self._loading())

    def _world(self) -> tuple[int, int]:
        """Number of processes, and which of them this is."""
        return (self.trainer.world_size, self.trainer.global_rank) if self.trainer else (1, 0)

    def _loading(self) -> dict[str, Any]:
        return {
            "num_workers": self.num_workers,
            "persistent_workers": self.num_workers > 0,
            "pin_memory": torch.cuda.is_available(),
            "worker_init_fn": _ignore_interrupt,
            "collate_fn": collate,
        }


def collate(samples: list[dict[str, Any]]) -> dict[str, Any]:
    """Put samples into a batch, key by key; a key that some samples lack holds those of the others.

    Raises:
        ValueError: naming sizes and files, if pictures of several sizes meet in a batch.
    """
    batch = {}
    for key in {key: None for sample in samples for key in sample}:
        values = [sample[key] for sample in samples if key in sample]
        sizes = {tuple(value.shape): i for i, value in enumerate(values) if isinstance(value, torch.Tensor)}
        if len(sizes) > 1:
            paths = [sample.get(f"{key}_path", "?") for sample in samples if key in sample]
            examples = ", ".join(f"{paths[i]} is {'x'.join(map(str, shape))}" for shape, i in list(sizes.items())[:2])
            raise ValueError(
                f"pictures of different sizes in a batch ({examples}); use batch_size=1 and eval_batch_size=1, or a "
                "preprocess that ends in crop"
            )
        batch[key] = default_collate(values)
    return batch


def _ignore_interrupt(worker: int) -> None:
    """A terminal sends Ctrl-C to every process; workers must live until the main one has finished its batch."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
