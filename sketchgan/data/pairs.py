"""Two trees of pictures put together side by side, the layout of the official pix2pix data."""

from pathlib import Path

from PIL import Image

from sketchgan.data.index import match, scan, stem_of
from sketchgan.data.pictures import PictureError, read_picture


def combine_pairs(a: str | Path, b: str | Path, out: str | Path) -> int:
    """Write each pair of pictures as one PNG with A in the left and B in the right half.

    Pairs have the same path but for the suffix (and an ending ``_A``, ``_B``); sub-folders such as ``train`` are kept.

    Args:
        a: tree of the A pictures.
        b: tree of the B pictures.
        out: folder to write to; it must not be inside ``a`` or ``b``.

    Returns:
        Number of pairs.

    Raises:
        FileNotFoundError: if a tree does not exist or is empty.
        ValueError: if pictures have no partner, or ``out`` is inside a tree.
        PictureError: if a picture cannot be read, is not of 8 bits, or is not of its partner's size.
    """
    folders = Path(a), Path(b)
    for folder in folders:
        if not folder.is_dir():
            raise FileNotFoundError(f"no folder {folder}")
        if Path(out).resolve().is_relative_to(folder.resolve()):
            raise ValueError(f"{out} is inside {folder}; write to a folder of its own")
    names = match(scan(folders[0]), scan(folders[1]), f"{a} and {b}")
    for pair in zip(*names, strict=True):
        paths = [folder / name for folder, name in zip(folders, pair, strict=True)]
        left, right = map(_of_eight_bits, paths)
        if left.size != right.size:
            sizes = " and ".join(f"{picture.width}x{picture.height}" for picture in (left, right))
            raise PictureError(f"{paths[0]} and {paths[1]} are {sizes} pixels; resize one of them")
        whole = Image.new("RGB", (2 * left.width, left.height))
        whole.paste(left, (0, 0))
        whole.paste(right, (left.width, 0))
        target = Path(out) / f"{stem_of(pair[0], 'A')}.png"
        target.parent.mkdir(parents=True, exist_ok=True)
        whole.save(target)
    return len(names[0])


def _of_eight_bits(path: Path) -> Image.Image:
    picture = read_picture(path)
    if not isinstance(picture, Image.Image):
        raise PictureError(f"{path} is not of 8 bits; PairedFolders reads it from trees A and B as they are")
    return picture.convert("RGB")
