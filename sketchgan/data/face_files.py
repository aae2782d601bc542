"""Folders of photographs turned into portraits: landmarks and masks from networks, files or functions."""

import functools
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from sketchgan.data.face_networks import CutOut, FindFaces, face_landmarks, largest_face, person_masks
from sketchgan.data.faces import WHITE, align_face, on_white
from sketchgan.data.files import PictureFiles, refuse_own_inputs
from sketchgan.data.pictures import SUFFIXES, PictureError, read_picture, with_channels
from sketchgan.data.transforms import Picture, to_levels
from sketchgan.ops import resize_area

LANDMARK_SUFFIXES = frozenset({".npy", ".csv", ".txt", ".pts"})


def prepare_faces(
    inputs: str | Path | Sequence[str | Path],
    out: str | Path,
    landmarks: str | Path | FindFaces | None = None,
    masks: str | Path | CutOut | None = None,
    keep_background: bool = False,
    size: int | None = None,
    rgba: bool = False,
    overwrite: bool = False,
    device: str = "auto",
    progress: bool = False,
) -> list[str]:
    """Turn photographs (or cartoons) into portraits as photo2cartoon is trained and used on, with their own names.

    A picture is turned until the eyes are level, cropped to head and shoulders, and its background made white. Of
    several faces the one with the largest box around its landmarks is taken.

    Args:
        inputs: files, and folders that are searched; their sub-folders are kept. One or several.
        out: folder to write PNG files to.
        landmarks: files of 68 points (x, y) in pixels of the upright picture: a folder with ``.npy``, ``.csv``,
            ``.txt`` or ``.pts`` of the pictures' names (``.pts`` counts from 1), or one file for one picture; or a
            function from a uint8 picture ``(3, H, W)`` to the landmarks of each face. By default the face-alignment
            package finds them, whose weights are downloaded once; its detector is S3FD, where the official code
            defaults to the older one of dlib.
        masks: a folder with grey pictures of the pictures' names and sizes, white for the person; or a function from
            a uint8 portrait ``(3, S, S)`` to its mask ``(1, S, S)``. By default the transparency of the picture, where
            it has any, or else torchvision's DeepLabV3, whose weights are downloaded once. (The authors' own network
            for this is in TensorFlow.)
        keep_background: make no masks.
        size: side of the portraits in pixels (area interpolation); by default that of the crop.
        rgba: keep the mask as a fourth channel and the background's colours, for `portrait_input`.
        overwrite: replace what is in ``out``.
        device: of the networks; "auto" takes a CUDA device if there is one.
        progress: show a bar.

    Returns:
        Messages on the pictures that were left out: unreadable, without a face, without landmarks or mask.

    Raises:
        FileNotFoundError: if an input, a folder, or the weights of a network are missing.
        FileExistsError: if a portrait exists already.
        ValueError: if arguments contradict each other, or no portrait could be made.
        ImportError: without the face-alignment package, where it is needed.
    """
    from rich.progress import track

    if keep_background and (masks is not None or rgba):
        raise ValueError("keep_background makes no masks: leave out masks and rgba")
    if size is not None and size < 1:
        raise ValueError(f"size must be positive, got {size}")
    files = PictureFiles(inputs)
    targets = {Path(out) / f"{name}.png": (name, path) for name, path in files.targets.items()}
    refuse_own_inputs(files, Path(out))
    there = [str(target) for target in targets if target.exists()]
    if there and not overwrite:
        raise FileExistsError(
            f"{there[0]} exists" + (f", and {len(there) - 1} more" if there[1:] else "") + "; write to another folder, "
            "or overwrite"
        )
    if device == "auto":
        device = "cuda" if torch.cuda.is_available() else "cpu"
    find = _finder(landmarks, files, device)
    mask_files = None if masks is None or callable(masks) else _by_name(Path(masks), SUFFIXES)
    cut = masks if callable(masks) else _everything if keep_background else person_masks(device)
    problems = []
    for target, (name, path) in track(targets.items(), "Portraits", len(targets), disable=not progress):
        try:
            picture, mask = _read(path, transparency=masks is None and not keep_background)
            if mask_files is not None:
                mask = _read_mask(_of_name(name, mask_files, "mask"), picture)
            made = _portrait(picture, mask, functools.partial(find, name), cut)
        except PictureError as error:  # says which file
            problems.append(str(error))
        except ValueError as error:
            problems.append(f"{path}: {error}")
        else:
            made = made if size is None else resize_area(made, size, size)
            made = made if rgba else on_white(made)
            target.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(made.permute(1, 2, 0).numpy()).save(target)
    if len(problems) == len(targets):
        raise ValueError("\n".join(["no portrait could be made:", *problems]))
    return problems


def _portrait(picture: Tensor, mask: Tensor | None, find: Callable[[Tensor], Tensor], cut: CutOut) -> Tensor:
    """A portrait with its mask, uint8 ``(4, S, S)``; the mask is given with the picture, or cut from the portrait."""
    if mask is not None:
        whole = torch.cat([picture, mask])
        return align_face(whole, find(on_white(whole)), outside=(WHITE, WHITE, WHITE, 0))
    portrait = align_face(picture, find(picture))
    return torch.cat([portrait, cut(portrait)])


def _everything(portrait: Tensor) -> Tensor:
    return torch.full_like(portrait[:1], 255)


def _finder(landmarks: object, files: PictureFiles, device: str) -> Callable[[str, Tensor], Tensor]:
    """A function from a picture's name and the picture to the landmarks of its face."""
    if isinstance(landmarks, str | Path):
        if Path(landmarks).is_file():
            if len(files.targets) > 1:
                raise ValueError(f"{landmarks} is one file for {len(files.targets)} pictures; give a folder")
            return lambda name, picture: read_landmarks(Path(landmarks))
        found = _by_name(Path(landmarks), LANDMARK_SUFFIXES)
        return lambda name, picture: read_landmarks(_of_name(name, found, "landmarks"))
    find: Any = face_landmarks(device) if landmarks is None else landmarks
    return lambda name, picture: largest_face(find(picture))


def read_landmarks(path: str | Path) -> Tensor:
    """Landmarks ``(68, 2)`` from ``.npy``, ``.csv`` or ``.txt`` (x and y in each line) or ``.pts``.

    Pixels are counted from 0, but from 1 in ``.pts``, as is usual there.

    Raises:
        PictureError: if the file holds something else.
    """
    path = Path(path)
    try:
        if path.suffix.lower() == ".npy":
            points = torch.from_numpy(np.load(path, allow_pickle=False).astype(np.float64))
        else:
            text = path.read_text()
            if path.suffix.lower() == ".pts":
                text = text.partition("{")[2].partition("}")[0]
            rows = [line.replace(",", " ").replace(";", " ").split() for line in text.splitlines()]
            points = torch.tensor([[float(value) for value in row] for row in rows if row], dtype=torch.float64)
            points = points - 1 if path.suffix.lower() == ".pts" else points
    except Exception as error:  # as varied as what the files may hold
        raise PictureError(f"{path} cannot be read as landmarks: {error}") from error
    if points.shape != (68, 2):
        raise PictureError(f"{path} holds {tuple(points.shape)} numbers where landmarks are 68 points (x, y)")
    return points


def _by_name(folder: Path, suffixes: frozenset[str]) -> dict[str, Path]:
    """The files under a folder by their names without suffix."""
    if not folder.is_dir():
        raise FileNotFoundError(f"no folder {folder}")
    found: dict[str, Path] = {}
    for path in sorted(folder.rglob("*")):
        if path.suffix.lower() in suffixes:
            name = str(path.relative_to(folder).with_suffix(""))
            if name in found:
                raise ValueError(f"{found[name]} and {path} are for one picture; remove one")
            found[name] = path
    return found


def _of_name(name: str, found: dict[str, Path], what: str) -> Path:
    if name not in found:
        raise ValueError(f"there is no file of {what} with the name {name}")
    return found[name]


def _read(path: Path, transparency: bool) -> tuple[Tensor, Tensor | None]:
    """A picture in colour, and its transparency as a mask if that is wanted and the picture has any."""
    picture = read_picture(path, alpha=transparency)
    levels = to_levels(picture)
    if transparency and len(levels) == 4:
        return levels[:3], levels[3:] if levels[3].min() < 255 else None
    return _converted(picture, 3, path), None


def _read_mask(path: Path, picture: Tensor) -> Tensor:
    """A mask of the picture's size: grey, or the transparency of a cut-out."""
    mask = read_picture(path, alpha=True)
    levels = to_levels(mask)
    if len(levels) != 4:
        levels = _converted(mask, 1, path)
    if levels.shape[1:] != picture.shape[1:]:
        sizes = (f"{tensor.shape[-1]}x{tensor.shape[-2]}" for tensor in (levels, picture))
        raise PictureError(f"{path} and its picture are {' and '.join(sizes)} pixels; masks are of the whole picture")
    return levels[-1:]


def _converted(picture: Picture, channels: int, path: Path) -> Tensor:
    try:
        return to_levels(with_channels(picture, channels))
    except PictureError as error:
        raise PictureError(f"{path} {error}") from None
