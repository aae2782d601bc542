"""Human sketches and edge maps of photos in one training set, in a proportion that changes (SketchyGAN)."""

import random
from dataclasses import asdict, is_dataclass
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import Dataset

from sketchgan.data.base import Split, TranslationData
from sketchgan.data.curriculum import SketchCurriculum
from sketchgan.data.index import stem_of
from sketchgan.data.loader import MixtureSampler, ResumableLoader
from sketchgan.data.sketch_input import PhotoForm, PhotoInput, SketchForm, SketchInput
from sketchgan.data.sketch_sources import SketchSource, numbers_of
from sketchgan.data.source import doubled_names
from sketchgan.data.transforms import Preprocess

MixtureKey = tuple[int, int, float, bool]


class Mixture(TranslationData):
    """Class-labelled pairs of a sketch (A) and a photo (B), from people's sketches and from edge maps of photos.

    A training sample first draws its source, sketches with the probability that the curriculum gives for this batch,
    then a record of that source, all alike. A batch also has ``"sketch_share"``, float ``(N,)``: that probability.
    Validation and test show every sketch of the held-out splits once, in order.

    SketchyGAN cuts a batch into equal parts, ``d_iterations`` for updates of the discriminator and the last for the
    generator's. In the last part A and B belong together. In the others the sketches alone are of the mixture, and B
    is another record's photo, of the sketches' source with the constant probability ``judged_share``: what the
    discriminator takes for real. With ``d_iterations=0``, for modules that use a batch once, everything is in pairs.

    Args:
        sketches: people's sketches, or a source that is to be used alone; its splits are those of the data set.
        edges: edge maps; none for sketches alone, with a share of 1.
        curriculum: of the share; by default that of SketchyGAN's code, over 300,000 batches.
        judged_share: share of the sketches' photos among those that the discriminator takes for real.
        d_iterations: updates of the discriminator per batch; by default as many as the trained module says by an
            attribute of this name, 0 for other modules.
        image_size: side in pixels.
        sketch: what A shows, "distance", "on_the_fly" or "strokes"; see `SketchInput`.
        photo: "official" or "plain"; see `PhotoInput`.
        eval_photo: the same for validation and test; by default ``photo``.
        jitter: of brightness, contrast and saturation of photos; see `PhotoInput`.
        flip: mirror half of the training samples.
        samples_per_epoch: by default as many as both sources have records.
        batch_size: pictures of each domain per batch and process; a multiple of ``d_iterations + 1``.
        eval_batch_size: of validation, test and prediction; by default ``batch_size``.
        num_workers: loader processes.
        seed: of everything that is drawn.

    Attributes:
        classes: names of the labels: the sketches'.

    Raises:
        ValueError: for settings that do not fit, and if ``edges`` has a class that ``sketches`` has not.
        FileNotFoundError: if a source lacks files.

    Examples:
        >>> from sketchgan.data import OpenMojiSketches
        >>> data = Mixture(OpenMojiSketches(), batch_size=4, d_iterations=1)
        >>> batch = next(iter(data.train_dataloader()))
        >>> batch["A"].shape, batch["A_label"].shape, batch["sketch_share"].tolist()
        (torch.Size([4, 3, 64, 64]), torch.Size([4]), [1.0, 1.0, 1.0, 1.0])
        >>> [a == b for a, b in zip(batch["A_path"], batch["B_path"])]
        [False, False, True, True]
    """

    paired = True
    labelled = True

    def __init__(
        self,
        sketches: SketchSource,
        edges: SketchSource | None = None,
        curriculum: SketchCurriculum | None = None,
        judged_share: float = 0.1,
        d_iterations: int | None = None,
        image_size: int = 64,
        sketch: SketchForm = "distance",
        photo: PhotoForm = "official",
        eval_photo: PhotoForm | None = None,
        jitter: float = 0.0,
        flip: bool = False,
        samples_per_epoch: int | None = None,
        batch_size: int = 32,
        eval_batch_size: int | None = None,
        num_workers: int = 0,
        seed: int = 0,
    ) -> None:
        super().__init__(batch_size, eval_batch_size, num_workers, seed)
        if not 0 <= judged_share <= 1:
            raise ValueError(f"judged_share must be between 0 and 1, got {judged_share}")
        if d_iterations is not None and d_iterations < 0:
            raise ValueError(f"d_iterations must not be negative, got {d_iterations}")
        if samples_per_epoch is not None and samples_per_epoch < 1:
            raise ValueError(f"samples_per_epoch must be at least 1, got {samples_per_epoch}")
        if curriculum is not None and edges is None:
            raise ValueError("a curriculum needs edges to mix with; without edges all sketches are people's")
        self.sketches = sketches
        self.edges = edges
        self.curriculum = None if edges is None else curriculum or SketchCurriculum()
        self.judged_share = judged_share
        self.d_iterations = d_iterations
        self.sketch_form: SketchForm = sketch
        self.image_size = image_size
        self.sketch_input = SketchInput(image_size, sketch)
        self.photo_input = PhotoInput(image_size, photo, jitter)
        self.eval_photo_input = PhotoInput(image_size, eval_photo or photo)
        self.flip = flip
        self.samples_per_epoch = samples_per_epoch

    def _set_hparams(self, hp: Any) -> None:
        """Plain values alone; sources are objects, unless the command line made them."""
        plain = {name: asdict(value) if _is_record(value) else value for name, value in hp.items()}
        super()._set_hparams({name: value for name, value in plain.items() if not isinstance(value, SketchSource)})

    @property
    def classes(self) -> tuple[str, ...]:  # type: ignore[override]
        return self.sketches.classes

    def setup(self, stage: str) -> None:
        for source in (self.sketches, self.edges):
            if source is not None:
                source.check()
        if stage != "fit":
            return
        wanted = self._asked_for()
        if self.d_iterations not in (None, wanted):
            raise ValueError(
                f"d_iterations={self.d_iterations} of the data does not go with the module, which makes {wanted} "
                "updates of its discriminator on pictures of their own per batch; leave it out"
            )
        if getattr(self.trainer, "reload_dataloaders_every_n_epochs", 0) and self.edges is not None:
            raise ValueError(
                "the curriculum goes by the batches that one loader has given out; use "
                "reload_dataloaders_every_n_epochs=0"
            )

    def _asked_for(self) -> int:
        """Updates of the discriminator, as the module says that is to be trained."""
        return getattr(self.trainer.lightning_module, "d_iterations", 0) if self.trainer else 0

    def state_dict(self) -> dict[str, Any]:
        preprocess = Preprocess("resize_and_crop", self.image_size, self.image_size, flip=False)
        return {
            "preprocess": preprocess.settings(),
            "channels_a": 3,
            "channels_b": 3,
            "value_range": None,
            "classes": list(self.classes),
            "sketch": SketchInput(self.image_size, self.sketch_form, self._drawing_size()).settings(),
        }

    def _drawing_size(self) -> int:
        """Side of the drawings that training sees."""
        return self.sketches.sketch(0).shape[-1]

    def dataset(self, split: Split) -> "MixtureSet":
        sketches = self.sketches.part(split)
        if split != "train":
            return MixtureSet(sketches, None, self.sketch_input, self.eval_photo_input)
        return MixtureSet(
            sketches,
            self.edges and self.edges.part(split),
            self.sketch_input,
            self.photo_input,
            True,
            self.judged_share,
            self.flip,
            self.samples_per_epoch,
            self.seed,
        )

    def train_dataloader(self) -> ResumableLoader:
        dataset = self.dataset("train")
        d_iterations = self._asked_for() if self.d_iterations is None else self.d_iterations
        sampler = MixtureSampler(dataset, self.seed, *self._world(), self.batch_size, d_iterations, self.curriculum)
        return self._train_loader(dataset, sampler)


def _is_record(value: Any) -> bool:
    return is_dataclass(value) and not isinstance(value, type)


class MixtureSet(Dataset):
    """Samples of one split; see `Mixture`.

    Args:
        sketches: source of people's sketches.
        edges: source of edge maps.
        sketch_input: how sketches become tensors.
        photo_input: likewise photos.
        training: samples are drawn, by the keys of `MixtureSampler`; otherwise they are the sketches in order.
        judged_share: share of the sketches' photos among those that are judged.
        flip: mirror half of the training samples.
        length: of training; by default as many as there are records.
        seed: of what is drawn.
    """

    def __init__(
        self,
        sketches: SketchSource,
        edges: SketchSource | None,
        sketch_input: SketchInput,
        photo_input: PhotoInput,
        training: bool = False,
        judged_share: float = 0.1,
        flip: bool = False,
        length: int | None = None,
        seed: int = 0,
    ) -> None:
        self.sketches = sketches
        self.edges = edges
        self.edge_labels = [] if edges is None else numbers_of(sketches.classes, edges.classes, type(edges).__name__)
        self.sketch_input = sketch_input
        self.photo_input = photo_input
        self.training = training
        self.judged_share = judged_share
        self.flip = flip
        self.length = length or len(sketches) + (0 if edges is None else len(edges))
        self.seed = seed
        names = () if training else map(sketches.sketch_name, range(len(sketches)))
        self.doubled = doubled_names(names)

    def __len__(self) -> int:
        return self.length

    def __getitem__(self, key: int | MixtureKey) -> dict[str, Any]:
        if isinstance(key, tuple):
            return self._drawn(*key)
        if not 0 <= key < len(self):
            raise IndexError(f"no sample {key} of {len(self)}")
        record = (self.sketches, key)
        name = self.sketches.sketch_name(key)
        written = f"{name}.png" if stem_of(name) in self.doubled else name
        names = {"A_name": written, "B_name": self.sketches.photo_name(key)}
        return self._side_a(record) | self._side_b(record, None) | names

    def _drawn(self, epoch: int, index: int, share: float, judged: bool) -> dict[str, Any]:
        """A training sample."""
        rng = random.Random(f"{self.seed}/{epoch}/{index}")
        record = self._record(rng, share)
        photographed = self._record(rng, self.judged_share) if judged else record
        draw = self.photo_input.make_params(rng)
        sample = self._side_a(record) | self._side_b(photographed, draw) | {"sketch_share": torch.tensor(share)}
        if self.flip and rng.random() < 0.5:
            sample |= {side: sample[side].flip(-1) for side in ("A", "B")}
        return sample

    def _record(self, rng: random.Random, share: float) -> tuple[SketchSource, int]:
        """The source first, then one of its records: so their numbers do not matter."""
        chance = rng.random()
        source = self.sketches if self.edges is None or chance < share else self.edges
        return source, rng.randrange(len(source))

    def _side_a(self, record: tuple[SketchSource, int]) -> dict[str, Any]:
        source, index = record
        a: Tensor = self.sketch_input.of_record(source, index)
        return {"A": a, "A_label": self._label(source, index), "A_path": source.sketch_name(index)}

    def _side_b(self, record: tuple[SketchSource, int], draw: Any) -> dict[str, Any]:
        source, index = record
        b = self.photo_input(source.photo(index), draw)
        return {"B": b, "B_label": self._label(source, index), "B_path": source.photo_name(index)}

    def _label(self, source: SketchSource, index: int) -> int:
        label = source.label(index)
        return self.edge_labels[label] if source is self.edges else label
