"""Pictures in the user's own folders."""

import functools
import random
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

import torch
from lightning.pytorch.utilities import rank_zero_info

from sketchgan.data.base import Split, TranslationData
from sketchgan.data.hint_cache import Paintings
from sketchgan.data.index import NameIndex, match, scan
from sketchgan.data.pictures import MAX_PIXELS, PictureError, ValueRange, read_picture
from sketchgan.data.source import OnBadImage, PictureSet, SidesOf, Source, class_of, doubled_names, leave_out_bad
from sketchgan.data.transforms import Preprocess, PreprocessMode, Resample

SPLITS: tuple[Split, ...] = ("train", "val", "test")
_OTHER_NAMES = (*SPLITS, "training", "valid", "validation", "testing")  # in any case, "Train" for one


class Folders(TranslationData):
    """What `PairedFolders` and `UnpairedFolders` share: files, labels, preprocessing and the check.

    Sub-folders are searched. Without a ``val`` folder, a fraction of the training pictures is held out; without
    ``test``, the validation pictures are used, as it is done with the official maps and Cityscapes data. Nothing is
    drawn in evaluation (`Preprocess.for_evaluation`).

    Args:
        root: the folder.
        preprocess: "resize_and_crop", "crop", "scale_width", "scale_width_and_crop", "none" or "native"; see
            `Preprocess`.
        load_size: side or width after resizing, in pixels.
        crop_size: side of the crop.
        flip: mirror half of the training samples.
        resample: filter of the resizing, "bicubic" or "bilinear".
        eval_preprocess: another mode for evaluation, for instance "scale_width" for whole pictures.
        direction: "BtoA" swaps the two domains.
        channels_a: of A as the module sees it; 1 converts colour to grey.
        channels_b: of B likewise.
        value_range: what 0 and 1 stand for in pictures that are not of 8 bits; by default 65535 for 16 bits.
        labels: sub-folders are class labels.
        val_fraction: of the training pictures that is held out if there is no ``val``, at least one picture.
        on_bad_image: "raise" lists the files that cannot be used, "skip" warns and leaves them out.
        check_images: read every file once before training; without it a bad file stops the run when it is reached.
        max_pixels: larger pictures are refused as decompression bombs.
        batch_size: pictures of each domain per batch and process.
        eval_batch_size: the same for validation, test and prediction; by default ``batch_size``.
        num_workers: loader processes.
        seed: of order, partners, augmentation and the held-out fraction.

    Attributes:
        classes: names of the labels.
        skipped: messages on the files that were left out, by split.

    Raises:
        FileNotFoundError: if folders or pictures are missing.
        ValueError: for settings that do not fit, several layouts in one folder, and pairs without a partner.
        PictureError: for files that cannot be read.
    """

    def __init__(
        self,
        root: str | Path,
        preprocess: PreprocessMode = "resize_and_crop",
        load_size: int = 286,
        crop_size: int = 256,
        flip: bool = True,
        resample: Resample = "bicubic",
        eval_preprocess: PreprocessMode | None = None,
        direction: Literal["AtoB", "BtoA"] = "AtoB",
        channels_a: int = 3,
        channels_b: int = 3,
        value_range: ValueRange | None = None,
        labels: bool = False,
        val_fraction: float = 0.05,
        on_bad_image: OnBadImage = "raise",
        check_images: bool = True,
        max_pixels: int = MAX_PIXELS,
        batch_size: int = 1,
        eval_batch_size: int | None = None,
        num_workers: int = 0,
        seed: int = 0,
    ) -> None:
        super().__init__(batch_size, eval_batch_size, num_workers, seed)
        self.root = Path(root)
        self.preprocess = Preprocess(preprocess, load_size, crop_size, flip, resample)
        self.eval_preprocess = self.preprocess.for_evaluation(eval_preprocess)
        if direction not in ("AtoB", "BtoA"):
            raise ValueError(f'direction must be "AtoB" or "BtoA", got {direction!r}')
        if min(channels_a, channels_b) < 1:
            raise ValueError(f"channels must be at least 1, got channels_a {channels_a}, channels_b {channels_b}")
        if value_range is not None and not (
            isinstance(value_range, tuple | list) and len(value_range) == 2 and value_range[0] < value_range[1]
        ):
            raise ValueError(f"value_range must be (low, high) with low < high, got {value_range}")
        if not 0 < val_fraction < 1:
            raise ValueError(f"val_fraction must be between 0 and 1, got {val_fraction}")
        if on_bad_image not in ("raise", "skip"):
            raise ValueError(f'on_bad_image must be "raise" or "skip", got {on_bad_image!r}')
        if on_bad_image == "skip" and not check_images:
            raise ValueError("on_bad_image='skip' finds out what to skip by check_images=True; leave it on")
        self.sides = ("A", "B") if direction == "AtoB" else ("B", "A")  # what the domains on the disk are to the module
        self.channels = {"A": channels_a, "B": channels_b}
        self.value_range = value_range
        self.labelled = labels
        self.val_fraction = val_fraction
        self.on_bad_image = on_bad_image
        self.check_images = check_images
        self.max_pixels = max_pixels
        self.skipped: dict[Split, list[str]] = {}
        self._datasets: dict[Split, PictureSet] = {}
        self._names: dict[Path, NameIndex] = {}
        self._found: dict[Split, list[SidesOf]] = {}

    def setup(self, stage: str) -> None:
        _ = self._layout  # missing folders show at once, not after networks for scores were downloaded

    def state_dict(self) -> dict[str, Any]:
        return {
            "preprocess": self.eval_preprocess.settings(),
            "channels_a": self.channels["A"],
            "channels_b": self.channels["B"],
            "value_range": self.value_range,
            **({"classes": list(self.classes)} if self.labelled else {}),
        }

    def dataset(self, split: Split) -> PictureSet:
        if split not in self._datasets:
            training = split == "train"
            preprocess = self.preprocess if training else self.eval_preprocess
            sides, sources = zip(*self._sources(split), strict=True)
            prepared = [replace(source, preprocess=preprocess) for source in sources]
            if not training:
                prepared = [replace(source, doubled=doubled_names(source.names[0])) for source in prepared]
            if self.check_images:
                prepared = self._usable(split, prepared)
            self._datasets[split] = self._pictures(list(zip(sides, prepared, strict=True)), preprocess, training)
        return self._datasets[split]

    def paintings(self) -> Paintings:
        sides, source = next((sides, source) for sides, source in self.dataset("train").sources if "B" in sides)
        return source.paintings(sides.index("B"), self.root, f"{self.value_range}")

    def _pictures(self, sources: list[SidesOf], preprocess: Preprocess, training: bool) -> PictureSet:
        """The data set of prepared sources."""
        return PictureSet(sources, preprocess, training, self.seed)

    def _usable(self, split: Split, sources: list[Source]) -> list[Source]:
        """Sources without the files that cannot be read, or an error that lists them."""
        rank_zero_info(f"Reading {sum(map(len, sources))} {split} pictures of {self.root} once (check_images=True)")
        readable, self.skipped[split] = leave_out_bad(sources, self._world(), self.on_bad_image)
        for source in readable:
            if not len(source):
                raise PictureError(f"none of the {split} pictures in {source.folders[0]} can be used")
        return readable

    # From a split's name to its files

    def _sources(self, split: Split) -> list[SidesOf]:
        layout = self._layout
        held_out = "val" not in layout
        place: Split = split
        if split == "test" and "test" not in layout:
            place = split = "val"  # as the official maps and Cityscapes data are used
        if split == "val" and held_out:
            place = "train"
        if place not in layout:
            raise FileNotFoundError(f"{self.root} has no {place} pictures; it has {', '.join(layout)}")
        sources = self._on_disk(place)
        if place == "train" and held_out:
            sources = [(sides, self._part(source, split)) for sides, source in sources]
        return sources

    def _part(self, source: Source, split: Split) -> Source:
        """Training without, or validation with, the fraction that is held out where there is no ``val`` folder."""
        if len(source) < 2:
            raise ValueError(f"{source.folders[0]} has one picture; one for validation must remain beside it")
        count = min(len(source) - 1, max(1, round(self.val_fraction * len(source))))
        chosen = set(random.Random(f"val/{self.seed}").sample(range(len(source)), count))
        return source.only(chosen if split == "val" else (i for i in range(len(source)) if i not in chosen))

    @functools.cached_property
    def _layout(self) -> dict[Split, tuple[Path, ...]]:
        root = self.root
        if not root.is_dir():
            raise FileNotFoundError(f"no folder {root} (the first lines of a packaged recipe say where its data is)")
        found: dict[str, dict[Split, tuple[Path, ...]]] = {
            "A/train and B/train": {s: (root / "A" / s, root / "B" / s) for s in SPLITS},
            "trainA and trainB": {s: (root / f"{s}A", root / f"{s}B") for s in SPLITS},
            "train with A and B side by side": {s: (root / s,) for s in SPLITS},
        }
        if not self.paired:
            found.popitem()
        for name, layout in found.items():
            found[name] = {s: folders for s, folders in layout.items() if any(map(Path.is_dir, folders))}
        if not found["A/train and B/train"] and _has_sides(root):
            inside = [path.name for side in ("A", "B") for path in (root / side).iterdir() if path.is_dir()]
            if almost := [name for name in inside if name.lower() in _OTHER_NAMES]:
                raise ValueError(f"{root}/A and {root}/B have {', '.join(almost)}; splits are train, val and test")
            found["A/train and B/train"] = {"train": (root / "A", root / "B")}  # no splits
        found = {name: layout for name, layout in found.items() if layout}
        if len(found) > 1:
            raise ValueError(f"{root} can be read in several ways ({'; '.join(found)}); move one of them elsewhere")
        if not found:
            hint = "; pairs side by side in one picture are for PairedFolders" if (root / "train").is_dir() else ""
            hint = "; it has train/A and train/B" if _has_sides(root / "train") else hint
            inside = sorted(path.name for path in root.iterdir())[:8]
            raise FileNotFoundError(
                f"{root} has no folders trainA and trainB, or A/train and B/train"
                + (", or train with A and B side by side in one picture" if self.paired else "")
                + f"{hint}; it holds {', '.join(inside) or 'nothing'}"
            )
        (layout,) = found.values()
        for split, folders in layout.items():
            if len(folders) == 1 and not self.labelled and _has_sides(*folders):
                raise ValueError(f"{root} has {split}/A and {split}/B; move them to A/{split} and B/{split}")
        for folder in (folder for folders in layout.values() for folder in folders):
            if not folder.is_dir():
                raise FileNotFoundError(f"no folder {folder}, though its counterpart is there; both must be")
        return layout

    def _on_disk(self, split: Split) -> list[SidesOf]:
        if split in self._found:
            return self._found[split]
        folders = self._layout[split]
        names = [self._scan(folder) for folder in folders]
        if self.labelled:
            for folder, index in zip(folders, names, strict=True):
                if unknown := {class_of(name, folder) for name in index} - set(self._class_folders):
                    raise ValueError(
                        f"{folder} has the class {sorted(unknown)[0]!r}, which training has not "
                        f"({', '.join(self._class_folders)}); labels=True takes sub-folders as classes"
                    )
        if self.paired and len(folders) == 2:
            names = list(match(names[0], names[1], f"{folders[0]} and {folders[1]}"))
        if self.paired:
            self._found[split] = [(self.sides, self._source(folders, names, self.sides))]
        else:
            self._found[split] = [
                ((side,), self._source((folder,), [index], (side,)))
                for side, folder, index in zip(self.sides, folders, names, strict=True)
            ]
        return self._found[split]

    def _scan(self, folder: Path) -> NameIndex:
        if folder not in self._names:  # a million names are looked up once
            self._names[folder] = scan(folder)
        return self._names[folder]

    def _source(self, folders: tuple[Path, ...], names: list[NameIndex], sides: tuple[str, ...]) -> Source:
        channels = tuple(self.channels[side] for side in sides)
        return Source(
            folders,
            tuple(names),
            torch.arange(len(names[0])),
            functools.partial(
                read_picture, value_range=self.value_range, alpha=4 in channels, max_pixels=self.max_pixels
            ),
            channels,
            self.preprocess,
            self._class_folders,
        )

    @functools.cached_property
    def classes(self) -> tuple[str, ...]:  # type: ignore[override]
        """Names of the labels in the order of their numbers: the sub-folders of training, of both domains."""
        if not self.labelled:
            return ()
        split = next(split for split in SPLITS if split in self._layout)
        folders = self._layout[split]
        return tuple(sorted({class_of(name, folder) for folder in folders for name in self._scan(folder)}))

    @property
    def _class_folders(self) -> tuple[str, ...]:
        """Sub-folders of the classes, in the order of their numbers."""
        return self.classes


def _has_sides(folder: Path) -> bool:
    return (folder / "A").is_dir() and (folder / "B").is_dir()


class PairedFolders(Folders):
    """Pairs of pictures in folders: A and B of the same thing.

    Three layouts are recognised: ``root/train/x.jpg`` with A in the left and B in the right half,
    ``root/A/train/x.jpg`` with ``root/B/train/x.png``, and ``root/trainA/x.jpg`` with ``root/trainB/x.png``; likewise
    ``val`` and ``test``, and ``root/A/…`` with ``root/B/…`` if there are no splits. In two trees, files with the same
    name but for the suffix (and an ending ``_A``, ``_B``) are a pair. One draw of crop and mirroring serves both sides.
    ``sketchgan pairs A B OUT`` makes the first layout from two trees. Arguments and errors are those of `Folders`.
    """

    paired = True


class UnpairedFolders(Folders):
    """Two collections of pictures in folders, A and B, without pairs.

    Two layouts are recognised: ``root/trainA/…`` with ``root/trainB/…``, and ``root/A/train/…`` with
    ``root/B/train/…``; likewise ``val`` and ``test``, and ``root/A/…`` with ``root/B/…`` if there are no splits.

    An epoch is as long as the larger domain. In training, A comes in shuffled order (again from the start if it is the
    smaller domain) and B at random, each with its own crop and mirroring, as in the official code. Arguments and errors
    are those of `Folders`.
    """

    paired = False
