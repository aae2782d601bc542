"""Paintings and the lines of them, in the user's own folders."""

import functools
import random
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from sketchgan.data.base import Split
from sketchgan.data.folders import SPLITS, Folders
from sketchgan.data.index import match
from sketchgan.data.line_extraction import ExtractorName, LineExtractor, line_extractor
from sketchgan.data.source import PictureSet, SidesOf, Source
from sketchgan.data.transforms import Preprocess


class PaintingFolders(Folders):
    """Paintings (B) and line art of them (A), from one source of lines or several.

    ``root/train/paint/x.jpg`` with ``root/train/line/x.png``; likewise ``val`` and ``test``, and ``root/paint`` with
    ``root/line`` if there are no splits. Beside ``line``, or in its place, there may be ``line_xdog``, ``line_by_hand``
    and so on: each has lines of all paintings, training draws one of them for every sample, and evaluation takes the
    first (``line``, then by name). Files with the same name but for the suffix (and an ending ``_A``, ``_B``) are a
    pair; one draw of crop and mirroring serves both sides. What is not said here is as in `Folders`.

    Args:
        root: the folder.
        extractor: draws the lines of splits without a line folder: "high_pass", "dilation" or "xdog" (see
            `sketchgan.data.line_extraction`), or a callable from ``(N, 3, H, W)`` to ``(N, 1, H, W)``, both in [-1, 1].
            It sees the painting as the module does, at every visit again: ``sketchgan sketches`` does it once.
        line_intensity: in training, ink is multiplied by a number between 1 less this and 1.
        line_thickness: in training, lines grow at each side by up to this many pixels.
        channels_a: of the lines, as the module sees them.
        **settings: those of `Folders`, without ``direction`` and ``labels``.

    Raises:
        FileNotFoundError: if folders or pictures are missing.
        ValueError: for paintings without lines or lines without a painting, which are listed, settings that do not fit;
            and as `Folders`.
        PictureError: for files that cannot be read.
    """

    paired = True

    def __init__(
        self,
        root: str | Path,
        # Not LineExtractor, for which the command line takes no class; names first, or it writes none into config.yaml.
        extractor: ExtractorName | Callable | None = None,
        line_intensity: float = 0.0,
        line_thickness: float = 0.0,
        channels_a: int = 1,
        **settings: Any,
    ) -> None:
        super().__init__(root, direction="AtoB", channels_a=channels_a, labels=False, **settings)
        self.extractor = None if extractor is None else line_extractor(extractor)
        if self.extractor is not None and (channels_a not in (1, 3) or self.channels["B"] != 3):
            raise ValueError(
                "an extractor draws lines of one channel (or three alike) of paintings of three; got channels_a "
                f"{channels_a}, channels_b {self.channels['B']}"
            )
        self.jitter = LineJitter(line_intensity, line_thickness)

    def _set_hparams(self, hp: Any) -> None:
        plain = dict(hp)
        if callable(drawing := plain.get("extractor")):  # a checkpoint holds plain values
            plain["extractor"] = getattr(drawing, "__qualname__", type(drawing).__qualname__)
        super()._set_hparams(plain)

    def _pictures(self, sources: list[SidesOf], preprocess: Preprocess, training: bool) -> PictureSet:
        ((_, source),) = sources
        return PaintingSet(source, preprocess, training, self.seed, self.extractor, self.jitter, self.channels["A"])

    @functools.cached_property
    def _layout(self) -> dict[Split, tuple[Path, ...]]:
        """Folders of lines, and last that of the paintings."""
        root = self.root
        if not root.is_dir():
            raise FileNotFoundError(f"no folder {root} (the first lines of a packaged recipe say where its data is)")
        places: dict[Split, Path] = {split: root / split for split in SPLITS if (root / split).is_dir()}
        found: dict[Split, tuple[Path, ...]] = {}
        for split, place in (places or {"train": root}).items():
            paint = place / "paint"
            if not paint.is_dir():
                inside = ", ".join(sorted(path.name for path in place.iterdir())[:8])
                raise FileNotFoundError(
                    f"no folder {paint}, where the paintings are to lie; {place} holds {inside or 'nothing'}"
                )
            lines = sorted(path for path in place.glob("line*") if path.is_dir() and _of_lines(path.name))
            if not lines and self.extractor is None:
                raise FileNotFoundError(
                    f"no folder {place / 'line'} with the lines of {paint}; make them (sketchgan sketches {paint} "
                    f"{place / 'line'} --extractor xdog), or give an extractor"
                )
            found[split] = (*lines, paint)
        return found

    def _on_disk(self, split: Split) -> list[SidesOf]:
        if split not in self._found:
            *folders, paint = self._layout[split]
            paintings, names = self._scan(paint), []
            for folder in folders:
                lines, paintings = match(self._scan(folder), paintings, f"{folder} (A) and {paint} (B)")
                names.append(lines)
            sides = (*["A"] * len(folders), "B")
            self._found[split] = [(sides, self._source((*folders, paint), [*names, paintings], sides))]
        return self._found[split]


def _of_lines(name: str) -> bool:
    return name == "line" or name.startswith("line_")


@dataclass(frozen=True)
class LineJitter:
    """Other pens: fainter and thicker lines.

    Args:
        intensity: ink is multiplied by a number between 1 less this and 1.
        thickness: lines grow at each side by up to this many pixels; fractions are blended.

    Raises:
        ValueError: for an intensity outside [0, 1), or a negative thickness.

    Examples:
        >>> lines = torch.tensor([[[1.0, 1.0, 1.0, -1.0, 1.0]]])
        >>> LineJitter.apply(lines, 0.5, 1.5)
        tensor([[[1.0000, 0.5000, 0.0000, 0.0000, 0.0000]]])
    """

    intensity: float = 0.0
    thickness: float = 0.0

    def __post_init__(self) -> None:
        if not 0 <= self.intensity < 1:
            raise ValueError(f"line_intensity must be at least 0 and below 1, got {self.intensity}")
        if self.thickness < 0:
            raise ValueError(f"line_thickness must not be negative, got {self.thickness}")

    def make_params(self, rng: random.Random) -> tuple[float, float]:
        """Draw what to multiply ink by, and how many pixels to add at each side."""
        return 1 - self.intensity * rng.random(), self.thickness * rng.random()

    @staticmethod
    def apply(lines: Tensor, factor: float, thickness: float) -> Tensor:
        """Lines ``(C, H, W)`` in [-1, 1], white paper, by another pen."""
        ink = (1 - lines) / 2
        if thickness:
            whole = int(thickness)
            thin, thick = (F.max_pool2d(ink, 2 * more + 1, 1, more) for more in (whole, whole + 1))
            ink = torch.lerp(thin, thick, thickness - whole)
        return 1 - 2 * factor * ink


class PaintingSet(PictureSet):
    """Paintings with one of several drawings of their lines, or with lines that are drawn when they are asked for.

    Args:
        source: all drawings of an entry, and last the painting.
        preprocess: see `PictureSet`, as for the next two.
        training: draw which drawing it is, and the pen; otherwise it is the first one as it is.
        seed: of these draws.
        extractor: where the source has paintings alone.
        jitter: the pens.
        channels: of the lines.
    """

    def __init__(
        self,
        source: Source,
        preprocess: Preprocess,
        training: bool,
        seed: int,
        extractor: LineExtractor | None = None,
        jitter: LineJitter | None = None,
        channels: int = 1,
    ) -> None:
        drawings = range(len(source.names) - 1)
        sources: list[SidesOf] = [(("A", "B"), _with_one(source, number)) for number in drawings]
        self.pairs = [PictureSet([pair], preprocess, training, seed) for pair in sources or [(("B",), source)]]
        super().__init__(self.pairs[0].sources, preprocess, training, seed)
        self.extractor = None if drawings else extractor
        self.jitter = jitter or LineJitter()
        self.channels = channels

    def __getitem__(self, key: int | tuple[int, int]) -> dict[str, Any]:
        epoch, index = key if isinstance(key, tuple) else (0, key)
        rng = random.Random(f"lines/{self.seed}/{epoch}/{index}")
        sample = self.pairs[rng.randrange(len(self.pairs)) if self.training else 0][key]
        if self.extractor is not None:
            lines = self.extractor(sample["B"].unsqueeze(0))[0].expand(self.channels, -1, -1)
            sample = {"A": lines, **{f"A{name[1:]}": value for name, value in sample.items() if name != "B"}, **sample}
        if self.training and self.jitter != LineJitter():
            sample["A"] = LineJitter.apply(sample["A"], *self.jitter.make_params(rng))
        return sample


def _with_one(source: Source, number: int) -> Source:
    """Of several drawings, one, and the painting."""
    return replace(
        source,
        folders=(source.folders[number], source.folders[-1]),
        names=(source.names[number], source.names[-1]),
        channels=(source.channels[number], source.channels[-1]),
    )
