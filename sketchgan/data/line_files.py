"""Folders of paintings turned into folders of line art."""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import torch
from PIL import Image

from sketchgan.data.files import PictureFiles, refuse_own_inputs
from sketchgan.data.line_extraction import LineExtractor, line_extractor
from sketchgan.data.pictures import PictureError, read_picture, with_channels
from sketchgan.data.transforms import to_tensor, to_uint8


class LineReport(NamedTuple):
    """What became of the pictures.

    Attributes:
        drawn: how many were drawn.
        kept: how many drawings were there already.
        problems: messages on those that could not be drawn.
    """

    drawn: int
    kept: int
    problems: list[str]


def draw_lines(
    inputs: str | Path | Sequence[str | Path],
    out: str | Path,
    extractor: str | LineExtractor = "xdog",
    weights: str | Path | None = None,
    overwrite: bool = False,
    device: str = "auto",
    progress: bool = False,
) -> LineReport:
    """Draw the lines of paintings and write them as grey PNG files of the paintings' names, sub-folders and sizes.

    Started again, it goes on: drawings that are there are kept, and none is ever half written.

    Args:
        inputs: files, and folders that are searched. One or several.
        out: folder to write to.
        extractor: "high_pass", "dilation", "xdog" or "sketchkeras", or a callable; see `line_extractor`.
        weights: of "sketchkeras", a local file.
        overwrite: draw again what is there.
        device: where it is done; "auto" takes a CUDA device if there is one.
        progress: show a bar.

    Raises:
        FileNotFoundError: if an input does not exist, or the weights.
        ValueError: for an unknown extractor, two inputs of one name, an ``out`` inside an input, a device that is not
            there, or if no picture could be drawn.
    """
    from rich.progress import track

    draw = line_extractor(extractor, weights)
    files = PictureFiles(inputs)
    targets = {Path(out) / f"{name}.png": path for name, path in files.targets.items()}
    refuse_own_inputs(files, Path(out))
    if device == "auto":
        device = "cuda" if torch.cuda.is_available() else "cpu"
    try:
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError) as error:  # the latter from a PyTorch without CUDA
        raise ValueError(f"device {device!r} cannot be used ({error}); choose cpu, or leave it out") from None
    left = {target: path for target, path in targets.items() if overwrite or not target.exists()}
    problems = []
    for target, path in track(left.items(), "Lines", len(left), disable=not progress):
        try:
            picture = to_tensor(with_channels(read_picture(path), 3)).unsqueeze(0)
        except PictureError as error:
            problems.append(str(error) if str(path) in str(error) else f"{path} {error}")
            continue
        lines = to_uint8(draw(picture.to(device)).cpu())[0, 0]
        target.parent.mkdir(parents=True, exist_ok=True)
        part = target.with_name(f".{target.name}.part")
        Image.fromarray(lines.numpy()).save(part, "PNG")
        part.replace(target)
    if problems and len(problems) == len(targets):
        raise ValueError("\n".join(["no picture could be drawn:", *problems]))
    return LineReport(len(left) - len(problems), len(targets) - len(left), problems)
