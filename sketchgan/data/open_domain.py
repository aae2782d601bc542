"""Photos of all classes and sketches of some, in the user's own folders, as AODA is trained on."""

import functools
import os
from collections import Counter
from pathlib import Path
from typing import Any, Literal, get_args

from lightning.pytorch.utilities import rank_zero_info

from sketchgan.data.base import Split
from sketchgan.data.folders import SPLITS, Folders
from sketchgan.data.index import NameIndex
from sketchgan.data.source import PictureSet, SidesOf, class_of

SCRIBBLE_CLASSES = (
    "pineapple", "strawberry", "basketball", "chicken", "cookie", "cupcake", "moon", "orange", "soccer", "watermelon",
)  # fmt: skip
"""The classes of Scribble in the order of AODA's code."""
SKETCHYCOCO_CLASSES = {
    "2": "bicycle", "3": "car", "4": "motorcycle", "5": "airplane", "10": "traffic light", "11": "fire hydrant",
    "17": "cat", "18": "dog", "19": "horse", "20": "sheep", "21": "cow", "22": "elephant", "24": "zebra",
    "25": "giraffe",
}  # fmt: skip
"""SketchyCOCO's folders of objects, called by COCO's numbers, in the order of AODA's code, with COCO's names."""

NamedOrder = Literal["sorted", "numeric", "scribble", "sketchycoco"]


class OpenDomainFolders(Folders):
    """Photos (B) of all classes and sketches (A) of some; sub-folders are the classes.

    Layouts are those of `UnpairedFolders` with a folder per class, ``root/trainA/<class>/…`` for sketches and
    ``root/trainB/<class>/…`` for photos, or ``root/A/train/<class>/…`` and ``root/B/train/<class>/…``; likewise ``val``
    and ``test``. Or sketches and photos are in two folders of any name: ``sketches/train/<class>/…`` with
    ``photos/train/<class>/…``, also without splits, or ``sketches/trainA/<class>/…`` with ``photos/trainB/<class>/…``.

    A class without training sketches is *open*, the others are *in-domain*. With neither ``in_domain`` nor
    ``open_domain``, the open classes are those whose folder of sketches is missing or empty. Where a list is given,
    there may be sketches of open classes: training does not see them. Validation and test have all that there is.

    An epoch is as long as the larger domain. In training, A comes in shuffled order (again from the start if it is the
    smaller domain), B at random over all photos, without regard to classes, as in AODA's code. What is not said here is
    as in `Folders`.

    Args:
        root: the folder of both; or give ``sketches`` and ``photos``.
        sketches: folder of the sketches, if it is not in ``root``.
        photos: folder of the photos likewise.
        in_domain: classes with training sketches; the others are open.
        open_domain: classes without; the others are in-domain. An empty list stands for none.
        class_order: of the labels' numbers. "sorted": by the folders' names. "numeric": folders are called by the
            numbers themselves, 0, 1, 2 and so on, which AODA's code expects of all but two data sets. "scribble" and
            "sketchycoco": its tables for these, `SCRIBBLE_CLASSES` and `SKETCHYCOCO_CLASSES` (the latter also has the
            classes' names). Or a list of folders. The last three leave out folders that they do not name.
        **settings: those of `Folders`, without ``direction`` and ``labels``.

    Attributes:
        classes: names of the labels.
        open_domain: names of the open classes, in the labels' order.

    Raises:
        FileNotFoundError: if folders or pictures are missing.
        ValueError: for a class without photos, one with neither sketches nor photos, one that is listed but does not
            exist, or lists that contradict each other or the folders; and as `Folders`.
        PictureError: for files that cannot be read.
    """

    paired = False

    def __init__(
        self,
        root: str | Path | None = None,
        sketches: str | Path | None = None,
        photos: str | Path | None = None,
        in_domain: list[str] | None = None,
        open_domain: list[str] | None = None,
        class_order: NamedOrder | list[str] = "sorted",
        **settings: Any,
    ) -> None:
        if (root is None) == (photos is None) or (sketches is None) != (photos is None):
            given = {"root": root, "sketches": sketches, "photos": photos}
            raise ValueError(
                "give either root, or sketches and photos; got "
                + (", ".join(f"{name}={value!r}" for name, value in given.items() if value is not None) or "none")
            )
        super().__init__(root or photos or "", direction="AtoB", labels=True, **settings)
        if isinstance(class_order, str) and class_order not in get_args(NamedOrder):
            raise ValueError(
                f"class_order must be one of {', '.join(get_args(NamedOrder))}, or a list of folders, got "
                f"{class_order!r}"
            )
        for what, names in (("class_order", class_order), ("in_domain", in_domain), ("open_domain", open_domain)):
            if twice := [name for name, count in Counter([] if isinstance(names, str) else names).items() if count > 1]:
                raise ValueError(f"{what} names {', '.join(twice)} more than once")
        self.two_roots = None if sketches is None or photos is None else (Path(sketches), Path(photos))
        self.class_order = class_order
        self._listed = {"in_domain": in_domain, "open_domain": open_domain}

    def setup(self, stage: str) -> None:
        _ = self.open_domain  # wrong names show at once, not after networks for scores were downloaded

    def state_dict(self) -> dict[str, Any]:
        folders = {} if self._class_folders == self.classes else {"class_folders": list(self._class_folders)}
        return {**super().state_dict(), "open_domain": list(self.open_domain), **folders}

    def dataset(self, split: Split) -> PictureSet:
        built = super().dataset(split)
        if split == "train":
            needed = {"sketches": set(self.classes) - set(self.open_domain), "photos": set(self.classes)}
            for (what, names), (_, source) in zip(needed.items(), built.sources, strict=True):
                if gone := names - {self.classes[source.label(i)] for i in range(len(source))}:
                    raise ValueError(
                        f"no training {what} of {', '.join(sorted(gone))} remain in {source.folders[0]}: all are held "
                        "out for validation, or unreadable; lower val_fraction, change seed or add a val folder"
                    )
        return built

    def _sources(self, split: Split) -> list[SidesOf]:
        sources = super()._sources(split)
        if split == "train" and self.open_domain:
            (sides, sketches), photos = sources
            withheld = {self.classes.index(name) for name in self.open_domain}
            kept = sketches.only(i for i in range(len(sketches)) if sketches.label(i) not in withheld)
            sources = [(sides, kept), photos]
        return sources

    @functools.cached_property
    def _layout(self) -> dict[Split, tuple[Path, ...]]:
        return super()._layout if self.two_roots is None else _in_two_roots(*self.two_roots)

    def _scan(self, folder: Path) -> NameIndex:
        if folder in self._names:
            return self._names[folder]
        names = super()._scan(folder)
        if self.class_order not in ("sorted", "numeric"):  # these have no others
            names = NameIndex(os.fsencode(name) for name in names if class_of(name, folder) in self._order)
            self._names[folder] = names
        return names

    # From folders to classes

    @functools.cached_property
    def _order(self) -> dict[str, str]:
        """Folders of the classes and their names, in the order of their numbers."""
        folders = self._training_folders
        found = {path.name for folder in folders for path in folder.iterdir() if path.is_dir() and path.name[0] != "."}
        order = self.class_order
        if order == "numeric":
            numbers = {str(number): str(number) for number in range(len(found))}
            if gone := set(numbers) - found:
                raise ValueError(
                    f"class_order='numeric' takes folders called 0, 1, 2 and so on, but none is called "
                    f"{', '.join(sorted(gone))}; {' and '.join(map(str, folders))} have {', '.join(sorted(found))}"
                )
            return numbers
        if order == "sorted":
            return {name: name for name in sorted(found)}
        chosen = SKETCHYCOCO_CLASSES if order == "sketchycoco" else SCRIBBLE_CLASSES if order == "scribble" else order
        if others := found - set(chosen):
            rank_zero_info(f"Left out, as class_order does not name them: {', '.join(sorted(others))}")
        return dict(chosen) if isinstance(chosen, dict) else {name: name for name in chosen}

    @property
    def _training_folders(self) -> tuple[Path, ...]:
        """Of sketches and of photos; those of another split where there is no training data."""
        return self._layout[next(split for split in SPLITS if split in self._layout)]

    @functools.cached_property
    def classes(self) -> tuple[str, ...]:  # type: ignore[override]
        """Names of the labels in the order of their numbers."""
        _ = self.open_domain  # which is where they are checked
        return tuple(self._order.values())

    @property
    def _class_folders(self) -> tuple[str, ...]:
        return tuple(self._order)

    @functools.cached_property
    def open_domain(self) -> tuple[str, ...]:  # type: ignore[override]
        """Names of the classes whose sketches training does not have."""
        drawn, photographed = (
            {class_of(name, folder) for name in self._scan(folder)} for folder in self._training_folders
        )
        for folder, name in self._order.items():
            self._check_class(folder, name, folder in drawn, folder in photographed)
        without = [name for folder, name in self._order.items() if folder not in drawn]
        closed, opened = (self._named(what) for what in ("in_domain", "open_domain"))
        names = list(self._order.values())
        if closed is not None and opened is not None:
            both, neither = set(closed) & set(opened), set(names) - set(closed) - set(opened)
            if both or neither:
                raise ValueError(
                    f"every class is in one of in_domain and open_domain, but {', '.join(sorted(both or neither))} in "
                    + ("both" if both else "neither; give one of the lists, or leave classes out by class_order")
                )
        if opened is None:
            opened = without if closed is None else [name for name in names if name not in closed]
        if undrawn := [name for name in without if name not in opened]:
            raise ValueError(
                f"{', '.join(undrawn)} should be in-domain, but {self._training_folders[0]} has no sketches of it; add "
                "sketches, or list it in open_domain"
            )
        if not set(names) - set(opened):
            raise ValueError(f"all classes are open ({', '.join(names)}); training needs sketches of one at least")
        return tuple(name for name in names if name in opened)

    def _check_class(self, folder: str, name: str, drawn: bool, photographed: bool) -> None:
        sketches, photos = self._training_folders
        called = name if name == folder else f"{name} (folder {folder})"
        if photographed:
            return
        remedy = "add them, or leave the class out (remove its folder, or name the others in class_order)"
        if drawn:
            raise ValueError(
                f"the class {called} has sketches in {sketches} but no photos in {photos}, and nothing else shows what "
                f"its photos look like; {remedy}"
            )
        raise ValueError(f"the class {called} has neither sketches in {sketches} nor photos in {photos}; {remedy}")

    def _named(self, what: str) -> list[str] | None:
        """Names of the classes in a list of names or folders."""
        given = self._listed[what]
        if given is None:
            return None
        names = self._order | {name: name for name in self._order.values()}
        if unknown := [name for name in given if name not in names]:
            raise ValueError(
                f"{what} names {', '.join(unknown)}, which has neither sketches nor photos; there are "
                f"{', '.join(self._order.values())}"
            )
        return [names[name] for name in given]


def _in_two_roots(sketches: Path, photos: Path) -> dict[Split, tuple[Path, ...]]:
    """Folders of sketches and photos by split."""
    for root in (sketches, photos):
        if not root.is_dir():
            raise FileNotFoundError(f"no folder {root} (the first lines of a packaged recipe say where its data is)")
    for side_a, side_b in (("", ""), ("A", "B")):
        layout = {split: (sketches / f"{split}{side_a}", photos / f"{split}{side_b}") for split in SPLITS}
        found: dict[Split, tuple[Path, ...]] = {s: pair for s, pair in layout.items() if any(map(Path.is_dir, pair))}
        for folder in (folder for pair in found.values() for folder in pair):
            if not folder.is_dir():
                raise FileNotFoundError(f"no folder {folder}, though its counterpart is there; both must be")
        if found:
            return found
    return {"train": (sketches, photos)}
