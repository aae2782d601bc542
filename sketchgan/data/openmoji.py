"""Sketches and pictures by people, embedded in the package: OpenMoji and Noto Emoji."""

import functools
import hashlib
import io
import json
import random
import zipfile
from importlib.resources import files
from pathlib import Path
from typing import Any, Literal, get_args

from PIL import Image
from torch import Tensor
from torch.utils.data import Dataset

from sketchgan.data.base import Split, TranslationData
from sketchgan.data.hint_cache import Paintings
from sketchgan.data.recolouring import RecolourMode, draw_palette, draw_turn, exchanged, turned
from sketchgan.data.transforms import Augmentation, Preprocess, to_tensor

GROUPS = (
    "animals-nature",
    "food-drink",
    "travel-places",
    "objects",
    "activities",
    "smileys-emotion",
    "people-body",
)
PEOPLE = GROUPS[-1]
TONES = ("1F3FB", "1F3FC", "1F3FD", "1F3FE", "1F3FF")  # in the codes of people


class OpenMoji(TranslationData):
    """Pictograms that exist three times: as line art, coloured (OpenMoji), and drawn by others (Noto Emoji).

    A is the line art. ``paired=True`` gives the coloured OpenMoji of the same drawing as B, aligned to the pixel;
    ``paired=False`` gives Noto Emoji, drawn at random in training, which show the same kinds of things in other shapes.
    The embedded archive holds 1,134 pictograms of 64 px in a fixed split (train 941, val 92, test 101) that keeps the
    skin tones of a person together; ``examples/build_openmoji.py`` builds it at any size and with more people.

    Licences: OpenMoji (https://openmoji.org) CC BY-SA 4.0, Noto Emoji Apache 2.0; the texts are in the archive.

    With ``open_domain``, training has no line art of some groups, as AODA expects it: A comes in shuffled order from
    the other groups (again from the start, as there is less of it), B at random from all of them.

    A drawing tells most of its colours (faces are yellow, leaves green), and a network that learns from such pairs may
    ignore the picture whose style is wanted. With ``recolour``, training draws the colours of paintings anew, and only
    the painting tells them. With ``styles="tone"``, batches have ``"style"``: for people, of whose line art there are
    six skin tones, the painting of another person of the same tone, so that there is a true picture to what another
    picture's style was asked for; for everything else, the painting itself.

    Args:
        paired: OpenMoji's colours as B (True) or Noto Emoji (False).
        image_size: side in pixels; other than the archive's, pictures are resized.
        groups: some of the seven groups; all by default. They are the class labels, numbered in `GROUPS`' order.
        direction: "BtoA" swaps the two domains.
        augment: shift by up to a sixteenth of the side and mirror, in training; one draw for both sides of a pair.
        archive: another archive of ``examples/build_openmoji.py``.
        batch_size: pictures of each domain per batch and process.
        eval_batch_size: the same for validation, test and prediction; by default ``batch_size``.
        num_workers: loader processes.
        seed: of order and augmentation.
        open_domain: groups whose line art is withheld from training, though not from validation and test; only with
            ``paired=False``.
        recolour: probability with which a training pair's colours are drawn anew, for ``paired=True``; those of people
            are kept with ``styles="tone"``.
        recolour_mode: "hue" turns all hues by one angle and changes saturation and brightness, so that shades remain
            shades, and greys grey; "palette" gives every colour of a picture, greys too, another one of its own.
        styles: "own" gives no styles, which is for modules to take B; "tone" see above, for ``paired=True`` and
            ``direction="AtoB"``. The other person is drawn in training and always the same in evaluation, and not
            shifted or mirrored; it is of the same split, or of training where the split has no other of that tone
            (the embedded archive has one person to validate with).

    Attributes:
        groups: those in use.

    Raises:
        ValueError: for an unknown group, direction, mode or style, an ``open_domain`` that leaves no line art or is
            asked of pairs or of swapped domains, a ``recolour`` or ``styles`` that is asked of what has none, or a file
            that is no such archive.
        FileNotFoundError: if the archive does not exist.

    Examples:
        >>> batch = next(iter(OpenMoji(batch_size=2).val_dataloader()))
        >>> batch["A"].shape, batch["A_label"].dtype, sorted(batch)
        (torch.Size([2, 3, 64, 64]), torch.int64, ['A', 'A_label', 'A_path', 'B', 'B_label', 'B_path'])
    """

    labelled = True
    classes = GROUPS

    def __init__(
        self,
        paired: bool = True,
        image_size: int = 64,
        groups: list[str] | None = None,
        direction: Literal["AtoB", "BtoA"] = "AtoB",
        augment: bool = True,
        archive: str | None = None,
        batch_size: int = 16,
        eval_batch_size: int | None = None,
        num_workers: int = 0,
        seed: int = 0,
        open_domain: list[str] | None = None,
        recolour: float = 0.0,
        recolour_mode: RecolourMode = "hue",
        styles: Literal["own", "tone"] = "own",
    ) -> None:
        super().__init__(batch_size, eval_batch_size, num_workers, seed)
        if unknown := set(groups or ()) - set(GROUPS):
            raise ValueError(f"unknown groups {', '.join(sorted(unknown))}; there are {', '.join(GROUPS)}")
        if direction not in ("AtoB", "BtoA"):
            raise ValueError(f'direction must be "AtoB" or "BtoA", got {direction!r}')
        self.paired = paired
        self.groups = groups or list(GROUPS)
        self.direction = direction
        self.open_domain = self._withheld(open_domain or [])
        self.image_size = image_size
        self.augmentation = Augmentation(image_size, shift=image_size // 16, flip=True)
        self.augment = augment
        self.archive = archive
        self.recolour = recolour
        self.recolour_mode = recolour_mode
        self.styles = styles
        self._check_colours()

    def _check_colours(self) -> None:
        if not 0 <= self.recolour <= 1:
            raise ValueError(f"recolour is a probability, 0 to 1, got {self.recolour}")
        if self.recolour_mode not in get_args(RecolourMode):
            raise ValueError(
                f"recolour_mode must be one of {', '.join(get_args(RecolourMode))}, got {self.recolour_mode!r}"
            )
        if self.styles not in ("own", "tone"):
            raise ValueError(f'styles must be "own" or "tone", got {self.styles!r}')
        if self.recolour and not self.paired:
            raise ValueError("recolour is for pairs, whose drawings tell colours; use paired=True, or leave it at 0")
        if self.styles == "tone" and not (self.paired and self.direction == "AtoB"):
            raise ValueError(
                'styles="tone" gives styles to line art that has a painting; use paired=True, direction="AtoB"'
            )

    def state_dict(self) -> dict[str, Any]:
        preprocess = Preprocess("resize_and_crop", self.image_size, self.image_size, flip=False)
        channels = {"channels_a": 3, "channels_b": 3}
        classes = {"classes": list(GROUPS), "open_domain": list(self.open_domain)}
        return {"preprocess": preprocess.settings(), **channels, "value_range": None, **classes}

    @property
    def open_share(self) -> float:
        return len(self.open_domain) / len(set(self.groups))

    def _withheld(self, groups: list[str]) -> tuple[str, ...]:
        """Groups without line art, in `GROUPS`' order."""
        if unknown := set(groups) - set(self.groups):
            raise ValueError(
                f"open_domain names {', '.join(sorted(unknown))}, of which there are no pictures; choose among "
                f"{', '.join(self.groups)}"
            )
        if groups and self.paired:
            raise ValueError(
                "open_domain withholds line art, but paired=True has some with every picture; use paired=False"
            )
        if groups and self.direction == "BtoA":
            raise ValueError(
                'open_domain withholds line art, which is A to what learns from it; use direction="AtoB", and let the '
                "network translate from B"
            )
        if groups and not set(self.groups) - set(groups):
            raise ValueError(
                f"open_domain withholds the line art of all groups ({', '.join(self.groups)}); leave one of them out"
            )
        return tuple(group for group in GROUPS if group in groups)

    def paintings(self) -> Paintings:
        entries, pictures = read_archive(self.archive)
        codes = [entry["code"] for entry in entries if entry["split"] == "train" and entry["group"] in self.groups]
        number = 0 if self.direction == "BtoA" else 1 if self.paired else 2

        def read(index: int) -> Tensor:
            triptych = Image.open(io.BytesIO(pictures[codes[index]])).convert("RGB")
            return to_tensor(panel(triptych, number))

        return Paintings(
            len(codes),
            lambda index: f"{codes[index]}.png",
            lambda index: hashlib.sha256(pictures[codes[index]]).hexdigest(),
            read,
            f"{Path(self.archive or 'openmoji').name}, {('line art', 'colour', 'Noto')[number]}",
            None if self.archive is None else Path(self.archive).parent,
        )

    def dataset(self, split: Split) -> Dataset:
        entries, pictures = read_archive(self.archive)
        in_use = [entry for entry in entries if entry["group"] in self.groups]
        chosen = [entry for entry in in_use if entry["split"] == split]
        return OpenMojiSplit(
            chosen,
            pictures,
            self.augmentation,
            paired=self.paired,
            swap=self.direction == "BtoA",
            training=split == "train",
            augment=self.augment,
            seed=self.seed,
            withheld=self.open_domain,
            recolour=self.recolour if split == "train" else 0.0,
            recolour_mode=self.recolour_mode,
            partners=style_partners(chosen, in_use) if self.styles == "tone" else None,
        )


@functools.lru_cache(maxsize=2)
def read_archive(path: str | None) -> tuple[list[dict[str, Any]], dict[str, bytes]]:
    """Index and encoded pictures; a few megabytes, which forked workers share."""
    source = Path(path) if path else files("sketchgan.data") / "openmoji64.zip"
    if not source.is_file():
        raise FileNotFoundError(f"no OpenMoji archive {source}; examples/build_openmoji.py builds one")
    try:
        with source.open("rb") as file, zipfile.ZipFile(file) as archive:
            entries = json.loads(archive.read("index.json"))["entries"]
            return entries, {entry["code"]: archive.read(f"{entry['code']}.webp") for entry in entries}
    except (zipfile.BadZipFile, KeyError, json.JSONDecodeError) as error:
        raise ValueError(f"{source} is not an archive of examples/build_openmoji.py: {error}") from error


def style_partners(entries: list[dict[str, Any]], everyone: list[dict[str, Any]]) -> dict[str, list[dict[str, Any]]]:
    """For each person in ``entries``, by code: the other people of the same skin tone, or if none those of training."""
    partners = {}
    for entry in (entry for entry in entries if entry["group"] == PEOPLE):
        others = [
            other
            for other in everyone
            if other["group"] == PEOPLE
            and other["skin_tone"] == entry["skin_tone"]
            and person_of(other["code"]) != person_of(entry["code"])
        ]
        near = [other for other in others if other["split"] == entry["split"]]
        partners[entry["code"]] = near or [other for other in others if other["split"] == "train"]
    return partners


def person_of(code: str) -> str:
    """Code without the skin tone, and without the mark that one emoji has only where it has no tone."""
    return "-".join(part for part in code.split("-") if part not in (*TONES, "FE0F"))


class OpenMojiSplit(Dataset):
    """One split; see `OpenMoji`. Line art of the groups in ``withheld`` is left out of training.

    Where there are ``partners``, they hold those whose style a person may be wanted in, by the person's code.
    """

    def __init__(
        self,
        entries: list[dict[str, Any]],
        pictures: dict[str, bytes],
        augmentation: Augmentation,
        paired: bool,
        swap: bool,
        training: bool,
        augment: bool,
        seed: int,
        withheld: tuple[str, ...] = (),
        recolour: float = 0.0,
        recolour_mode: RecolourMode = "hue",
        partners: dict[str, list[dict[str, Any]]] | None = None,
    ) -> None:
        self.entries = entries
        self.drawn = [entry for entry in entries if not training or entry["group"] not in withheld]
        self.pictures = pictures
        self.augmentation = augmentation
        self.paired = paired
        self.swap = swap
        self.training = training
        self.augment = augment
        self.seed = seed
        self.recolour = recolour
        self.recolour_mode = recolour_mode
        self.partners = partners

    def __len__(self) -> int:
        return len(self.entries)

    def __getitem__(self, key: int | tuple[int, int]) -> dict[str, Any]:
        epoch, index = key if isinstance(key, tuple) else (0, key)
        rng = random.Random(f"{self.seed}/{epoch}/{index}")
        a = b = self.drawn[range(len(self))[index] % len(self.drawn)]
        if self.training and not self.paired:
            b = rng.choice(self.entries)
        draw_a = draw_b = None
        if self.training and self.augment:
            draw_a = draw_b = self.augmentation.make_params(rng)
            if not self.paired:
                draw_b = self.augmentation.make_params(rng)
        triptych_a = self._triptych(a)
        triptych_b = triptych_a if b is a else self._triptych(b)
        painting = panel(triptych_b, 1 if self.paired else 2)
        others = (self.partners or {}).get(b["code"])
        if self.recolour and not others and rng.random() < self.recolour:
            painting = self._recoloured(painting, rng)
        sides = {"A": (panel(triptych_a, 0), draw_a, a), "B": (painting, draw_b, b)}
        if self.swap:
            sides = {"A": sides["B"], "B": sides["A"]}
        sample: dict[str, Any] = {}
        for side, (picture, draw, entry) in sides.items():
            sample[side] = self.augmentation(picture, draw)
            sample[f"{side}_label"] = GROUPS.index(entry["group"])
            sample[f"{side}_path"] = f"{entry['code']}.png"
        if self.partners is not None:
            other = self.augmentation(panel(self._triptych(rng.choice(others)), 1)) if others else sample["B"]
            sample["style"] = other
        return sample

    def _recoloured(self, painting: Image.Image, rng: random.Random) -> Image.Image:
        if self.recolour_mode == "palette":
            return exchanged(painting, draw_palette(rng))
        return turned(painting, draw_turn(rng))

    def _triptych(self, entry: dict[str, Any]) -> Image.Image:
        return Image.open(io.BytesIO(self.pictures[entry["code"]])).convert("RGB")


def panel(triptych: Image.Image, number: int) -> Image.Image:
    """Line art (0), colour (1) or Noto (2)."""
    side = triptych.height
    return triptych.crop((number * side, 0, (number + 1) * side, side))
