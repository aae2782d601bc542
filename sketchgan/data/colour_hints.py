"""Colours for single places of a drawing, as people give them: a painted layer, or a list of points and strokes."""

import json
import math
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from PIL import Image, ImageColor, ImageDraw
from torch import Tensor
from torchvision.transforms.v2 import functional as TF

from sketchgan.data.index import stem_of
from sketchgan.data.pictures import SUFFIXES, PictureError, read_picture

Size = tuple[int, int]
Palette = Mapping[str, Any]
POINT, STROKE = {"x", "y", "colour", "radius"}, {"points", "colour", "width"}


def draw_hints(entries: Sequence[Mapping[str, Any]], size: Size, palette: Palette | None = None) -> Tensor:
    """Draw points and strokes as a picture of hints; later ones cover earlier ones.

    A point ``{"x": 0.5, "y": 0.25, "colour": "#ff8000"}`` is a square of ``2 * radius + 1`` pixels around the pixel
    there; ``radius`` is 1 unless given. A stroke ``{"points": [[0.1, 0.2], [0.3, 0.2]], "colour": "red"}`` is a line
    through its points, ``width`` pixels wide, 3 unless given. Places are shares of width and height from the left
    upper corner, pixels are those of the network's input. Colours are ``"#rrggbb"`` (or ``"#rrggbbaa"``, with opacity),
    ``[r, g, b]`` from 0 to 255, a CSS name, or a name in the palette.

    Args:
        entries: points and strokes.
        size: height and width of the picture.
        palette: colours by name.

    Returns:
        ``(4, H, W)``: RGB in [-1, 1], and opacity in [0, 1], which is 0 where there is no hint.

    Raises:
        ValueError: naming the entry and what is wrong with it.

    Examples:
        >>> draw_hints([{"x": 0.5, "y": 0.5, "colour": "red", "radius": 0}], (2, 2))[:, 1, 1]
        tensor([ 1., -1., -1.,  1.])
    """
    height, width = size
    canvas = Image.new("RGBA", (width, height), (0, 0, 0, 0))
    pen = ImageDraw.Draw(canvas)
    for number, entry in enumerate(entries, 1):
        try:
            _draw(pen, entry, (width, height), palette or {})
        except ValueError as error:
            raise ValueError(f"hint {number}, {_short(entry)}: {error}") from None
    return _hints(TF.pil_to_tensor(canvas).float() / 255)


def read_hints(path: str | Path, size: Size, saturation: float = 1.0) -> Tensor:
    """Read the hints of a drawing: a picture with transparency, or a ``.json`` file of points and strokes.

    A picture is a layer over the drawing, painted where a colour is wanted and transparent elsewhere; it is resized to
    the drawing by taking the nearest pixels. A ``.json`` file holds a list of entries for `draw_hints`, or
    ``{"palette": {"skin": "#ffe0c8"}, "hints": [...]}``, where the palette may also be the name of a ``.json`` file
    of colours by name, relative to this one.

    Args:
        path: of the file.
        size: height and width of the drawing, as the network sees it.
        saturation: factor of the colours' saturation, see `saturate`.

    Returns:
        ``(4, H, W)``: RGB in [-1, 1], and opacity in [0, 1], which is 0 where there is no hint.

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: naming the file, what is wrong with it, and what to do.

    Warns:
        UserWarning: if all hints of a picture are lost because they are too fine for the size.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"no file of hints {path}")
    if path.suffix.lower() == ".json":
        entries, palette = _read_entries(path)
        try:
            hints = draw_hints(entries, size, palette)
        except ValueError as error:
            raise ValueError(f"{path}: {error}") from None
    else:
        layer = _read_layer(path)
        nearest = F.interpolate(layer[None], size, mode="nearest")[0]
        if (layer[3] > 0).any() and not (nearest[3] > 0).any():
            warnings.warn(
                f"{path}: all hints are lost at {size[1]}x{size[0]} pixels: they are too fine; paint larger dots",
                stacklevel=2,
            )
        hints = _hints(nearest)
    if saturation != 1:
        hints[:3] = saturate(hints[:3], saturation)
    return hints


def saturate(colours: Tensor, factor: float) -> Tensor:
    """Multiply the saturation of HSV, as far as the colour allows; hue and value stay.

    Style2Paints' first server does so with hints, by 1.3 to 1.0 from its lowest to its highest quality.

    Args:
        colours: RGB ``(3, H, W)`` in [-1, 1].
        factor: 0 for greys.

    Raises:
        ValueError: for a factor below 0.

    Examples:
        >>> saturate(torch.tensor([1.0, 0.0, 0.0]).view(3, 1, 1), 1.2).flatten()
        tensor([ 1.0000, -0.2000, -0.2000])
    """
    if not factor >= 0:
        raise ValueError(f"saturation must be a factor of at least 0, got {factor}")
    levels = (colours + 1) / 2
    value, range_ = levels.amax(0), levels.amax(0) - levels.amin(0)
    most = torch.where(range_ > 0, value / range_, 1.0)
    return (value - (value - levels) * most.clamp(max=factor)) * 2 - 1


def hint_files(folder: Path) -> dict[str, Path]:
    """Files of hints in a folder and its sub-folders, by their name relative to it, without suffix.

    Raises:
        ValueError: if there is none, or two have one name.
    """
    files: dict[str, Path] = {}
    for path in sorted(folder.rglob("*")):
        if path.name.startswith(".") or path.suffix.lower() not in SUFFIXES | {".json"} or not path.is_file():
            continue
        name = stem_of(str(path.relative_to(folder)))
        if name in files:
            raise ValueError(f"{files[name]} and {path} are hints for one drawing; remove one")
        files[name] = path
    if not files:
        raise ValueError(f"no hints in {folder}: put a .png or .json there for each drawing, with the drawing's name")
    return files


def _hints(picture: Tensor) -> Tensor:
    """RGBA in [0, 1] to colours in [-1, 1] and opacity."""
    return torch.cat([picture[:3] * 2 - 1, picture[3:]])


def _read_layer(path: Path) -> Tensor:
    """A painted layer as RGBA ``(4, H, W)`` in [0, 1]."""
    picture = read_picture(path, alpha=True)
    levels = TF.pil_to_tensor(picture).float() / 255 if isinstance(picture, Image.Image) else picture
    if len(levels) != 4 or levels[3].min() == 1:
        raise PictureError(
            f"{path} has no transparency, so every pixel would be a hint; paint the colours on a transparent layer of "
            "their own and save that as PNG"
        )
    return levels


def _read_entries(path: Path) -> tuple[list[Any], Palette]:
    content: Any = _read_json(path)
    palette: Any = {}
    if isinstance(content, dict):
        if unknown := content.keys() - {"palette", "hints"}:
            raise ValueError(f"{path} has {_listed(unknown)} beside palette and hints; remove that")
        palette = content.get("palette", {})
        content = content.get("hints")
    if not isinstance(content, list):
        raise ValueError(f'{path} must hold a list of hints, or {{"palette": {{…}}, "hints": […]}}')
    if isinstance(palette, str):
        file = path.parent / palette
        if not file.is_file():
            raise FileNotFoundError(f"{path} names the palette {palette}, but there is no file {file}")
        palette = _read_json(file)
    if not isinstance(palette, dict):
        raise ValueError(f'{path}: a palette is {{"name": "#rrggbb", …}} or the name of a file that holds it')
    return content, palette


def _read_json(path: Path) -> Any:
    try:
        return json.loads(path.read_text(encoding="utf-8-sig"))  # some editors on Windows mark the beginning
    except (ValueError, RecursionError) as error:  # broken JSON, broken text, brackets without end
        raise ValueError(f"{path} is not JSON: {error}") from None


def _draw(pen: ImageDraw.ImageDraw, entry: Mapping[str, Any], size: Size, palette: Palette) -> None:
    """Draw one point or stroke; ``size`` is width and height."""
    keys = entry.keys() if isinstance(entry, Mapping) else set()
    needed = {"points", "colour"} if "points" in keys else {"x", "y", "colour"}
    if missing := needed - keys:
        raise ValueError(f"it lacks {_listed(missing)}; a point has x, y and colour, a stroke points and colour")
    if unknown := keys - (STROKE if "points" in keys else POINT):
        raise ValueError(f"it has {_listed(unknown)}, which means nothing; remove that")
    colour = _colour(entry["colour"], palette)
    if "points" not in keys:
        x, y = _place((entry["x"], entry["y"]), size)
        radius = _length("radius", entry.get("radius", 1), 0, size)
        pen.rectangle((x - radius, y - radius, x + radius, y + radius), colour)
        return
    points = entry["points"]
    if not isinstance(points, Sequence) or isinstance(points, str) or len(points) < 2:
        raise ValueError("points must be two or more [x, y]")
    width = _length("width", entry.get("width", 3), 1, size)
    places = [_place(point, size) for point in points]
    if len(set(places)) > 1:
        pen.line(places, colour, width, joint="curve")
    else:  # a click, of which Pillow would draw one pixel, whatever the width
        x, y = (at - width // 2 for at in places[0])
        pen.rectangle((x, y, x + width - 1, y + width - 1), colour)


def _place(point: Any, size: Size) -> tuple[int, int]:
    """Pixel of a place given as shares of width and height."""
    if not isinstance(point, Sequence) or len(point) != 2:
        raise ValueError(f"{point!r} is no place; write [x, y]")
    for name, share in zip("xy", point, strict=True):
        if not _is_number(share) or not 0 <= share <= 1:
            side = "width" if name == "x" else "height"
            raise ValueError(f"{name} is {share!r}; it must be from 0 to 1, a share of the drawing's {side}")
    x, y = (min(int(share * length), length - 1) for share, length in zip(point, size, strict=True))
    return x, y


def _length(name: str, value: Any, least: int, size: Size) -> int:
    """A number of pixels, no longer than it takes to cover everything."""
    if not _is_number(value) or value < least:
        raise ValueError(f"{name} is {value!r}; it must be a number of pixels, at least {least}")
    return round(min(value, 2 * max(size)))


def _colour(value: Any, palette: Palette) -> tuple[int, ...]:
    """RGBA in levels."""
    if isinstance(value, str):
        value = palette.get(value, value)
    if isinstance(value, str):
        try:
            value = ImageColor.getrgb(value)
        except ValueError:
            names = f", the palette's {_listed(palette)}," if palette else ""
            raise ValueError(f"no colour {value!r}; write #rrggbb, [r, g, b]{names} or a name such as red") from None
    levels = isinstance(value, Sequence) and all(_is_number(level) and 0 <= level <= 255 for level in value)
    if not levels or len(value) not in (3, 4) or any(level != int(level) for level in value):
        raise ValueError(f"{value!r} is no colour; write [r, g, b], whole numbers from 0 to 255, or #rrggbb")
    return (*map(int, value), 255)[:4]


def _is_number(value: Any) -> bool:
    if isinstance(value, float):
        return math.isfinite(value)
    return isinstance(value, int) and not isinstance(value, bool)


def _listed(names: Any) -> str:
    return ", ".join(map(str, sorted(names, key=str)))


def _short(entry: Any) -> str:
    text = repr(entry)
    return text if len(text) <= 80 else f"{text[:77]}..."
