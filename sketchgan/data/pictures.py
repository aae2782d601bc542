"""Reading picture files of every kind that people have, and refusing the rest by name."""

import contextlib
from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageOps
from PIL.ImageFile import ImageFile
from torch import Tensor

from sketchgan.data.transforms import Picture

SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".ppm", ".pgm", ".bmp", ".tif", ".tiff", ".webp", ".gif", ".npy"})
# Not Pillow's whole list: PostScript, for one, would be handed to an interpreter.
FORMATS = ("JPEG", "PNG", "PPM", "BMP", "TIFF", "WEBP", "GIF")
MAX_PIXELS = 89_478_485  # Pillow's own limit, a quarter of a gigabyte of RGB

ValueRange = tuple[float, float]


class PictureError(ValueError):
    """A file that is no picture, or not one that can be used as it is."""


def read_picture(
    path: str | Path, value_range: ValueRange | None = None, alpha: bool = False, max_pixels: int = MAX_PIXELS
) -> Picture:
    """Read the first frame of a picture file, upright.

    Pictures of 8 bits stay Pillow pictures ("L", "RGB"): CMYK and other colour spaces are converted, palettes and
    transparency composited on white. 16-bit pictures become float tensors, divided by 65535; float TIFF and ``.npy``
    arrays (``(H, W)`` or ``(H, W, C)``, any C) must lie in [0, 1]. 16-bit colour is read at full depth from PNG and at
    8 bits from TIFF, which is what Pillow does.

    Args:
        path: a file with one of `SUFFIXES`.
        value_range: what 0 and 1 stand for in pictures that are not of 8 bits, for instance (0, 4095). PGM files that
            name a maximum of their own are scaled by that.
        alpha: keep transparency as a fourth channel.
        max_pixels: larger pictures are refused before they are unpacked; beyond twice its default, raise
            ``PIL.Image.MAX_IMAGE_PIXELS`` too.

    Returns:
        A Pillow picture, or a float tensor ``(C, H, W)`` in [0, 1].

    Raises:
        PictureError: naming the file, what is wrong with it, and what to do.
    """
    path = Path(path)
    try:
        if path.stat().st_size == 0:
            raise PictureError("is empty (0 bytes)")
        if path.suffix.lower() == ".npy":
            return _read_array(path, value_range, max_pixels)
        return _read_image(path, value_range, alpha, max_pixels)
    except PictureError as error:
        raise PictureError(f"{path} {error}") from None
    except Image.DecompressionBombError as error:
        raise PictureError(f"{path} may be a decompression bomb: {error}") from None
    except Exception as error:  # decoders fail in every way on broken files
        raise PictureError(f"{path} cannot be read as a picture: {type(error).__name__}: {error}") from error


def with_channels(picture: Picture, channels: int) -> Picture:
    """Convert to a number of channels: grey to colour by repetition, colour to grey by luma (0.299, 0.587, 0.114).

    Four are colour and opacity, which is full where there was none.

    Raises:
        PictureError: for any other change.
    """
    if isinstance(picture, Image.Image):
        if channels not in (1, 3, 4):
            raise PictureError(f"has {len(picture.getbands())} channels where {channels} are wanted; store it as .npy")
        mode = {1: "L", 3: "RGB", 4: "RGBA"}[channels]
        if picture.mode == "RGBA" and mode != "RGBA":
            picture = _on_white(picture)
        return picture if picture.mode == mode else picture.convert(mode)
    have = len(picture)
    if have == channels:
        return picture
    if have in (1, 3) and channels == 4:
        return torch.cat([picture.expand(3, -1, -1), torch.ones_like(picture[:1])])
    if have == 1:
        return picture.expand(channels, -1, -1)
    if have == 3 and channels == 1:
        return (torch.tensor([0.299, 0.587, 0.114]).view(3, 1, 1) * picture).sum(0, keepdim=True)
    raise PictureError(f"has {have} channels where {channels} are wanted; set channels_a, channels_b to what it has")


def _read_image(path: Path, value_range: ValueRange | None, alpha: bool, max_pixels: int) -> Picture:
    # Through a handle: opened by path, Pillow maps uncompressed TIFFs into memory, and scrambles rotated ones.
    with path.open("rb") as file, Image.open(file, formats=FORMATS) as image:
        _check_pixels(*image.size, max_pixels)
        if _is_deep_png(image):
            return _read_deep_png(path, alpha)
        mode = image.mode
        by_itself = image.format == "PPM" and image.tile[0][0] != "raw"  # Pillow scales to 65535 by the file's maximum
        image.load()
        upright = ImageOps.exif_transpose(image)
        if mode.startswith("I;16") or (mode == "I" and image.format in ("PNG", "PPM")):
            return _scaled(np.asarray(upright), (not by_itself and value_range) or (0, 65535))
        if mode in ("I", "F"):
            return _scaled(np.asarray(upright), value_range)
        if upright.has_transparency_data or mode in ("La", "RGBa"):
            upright = upright.convert("LA" if mode == "La" else "RGBA").convert("RGBA")
            return upright if alpha else _on_white(upright)
        return upright.convert("L" if mode in ("1", "L") else "RGB")


def _on_white(image: Image.Image) -> Image.Image:
    return Image.alpha_composite(Image.new("RGBA", image.size, "white"), image).convert("RGB")


def _is_deep_png(image: ImageFile) -> bool:
    """Colour with 16 bits a channel, of which Pillow keeps eight."""
    with contextlib.suppress(AttributeError, IndexError):
        return image.format == "PNG" and image.mode in ("RGB", "RGBA", "LA") and "16" in str(image.tile[0][3])
    return False


def _read_deep_png(path: Path, alpha: bool) -> Tensor:
    from torchvision.io import ImageReadMode, decode_image

    data = torch.frombuffer(bytearray(path.read_bytes()), dtype=torch.uint8)
    picture = decode_image(data, ImageReadMode.UNCHANGED, apply_exif_orientation=True).float() / 65535
    if len(picture) in (1, 3):
        return picture
    colour, opacity = picture[:-1], picture[-1:]
    return torch.cat([colour.expand(3, -1, -1), opacity]) if alpha else colour * opacity + (1 - opacity)


def _read_array(path: Path, value_range: ValueRange | None, max_pixels: int) -> Picture:
    array = np.load(path, mmap_mode="r", allow_pickle=False)
    if array.ndim not in (2, 3) or 0 in array.shape:
        raise PictureError(f"has the shape {array.shape}; a picture is (H, W) or (H, W, C)")
    _check_pixels(array.shape[1], array.shape[0], max_pixels)
    if array.ndim == 3 and array.shape[2] > 32 and array.shape[0] <= 4:
        raise PictureError(f"has the shape {array.shape}; channels come last, (H, W, C)")
    if array.dtype == np.bool_:
        value_range = (0, 1)
    elif array.dtype == np.uint8:
        value_range = (0, 255)
    elif array.dtype == np.uint16:
        value_range = value_range or (0, 65535)
    elif array.dtype.kind not in "iuf":
        raise PictureError(f"holds {array.dtype}, which is no kind of number that a picture has")
    return _scaled(array, value_range)


def _scaled(array: np.ndarray, value_range: ValueRange | None) -> Tensor:
    """``(H, W)`` or ``(H, W, C)`` of any kind of number to float ``(C, H, W)`` in [0, 1]."""
    values = torch.from_numpy(np.array(array, dtype=np.float32))
    values = values.unsqueeze(0) if values.ndim == 2 else values.permute(2, 0, 1).contiguous()
    low, high = value_range or (0.0, 1.0)
    smallest, largest = values.aminmax()
    if not (smallest >= low and largest <= high):
        what = f"holds values from {smallest:g} to {largest:g}, outside [{low:g}, {high:g}]"
        if not values.isfinite().all():
            what = "holds NaN or infinite values"
        raise PictureError(f"{what}; say with value_range=(low, high) what 0 and 1 stand for")
    return ((values - low) / (high - low)).clamp_(0, 1)


def _check_pixels(width: int, height: int, max_pixels: int) -> None:
    if width * height > max_pixels:
        raise PictureError(
            f"has {width}x{height} pixels, more than max_pixels={max_pixels}, and may be a decompression bomb; shrink "
            "it, or raise max_pixels"
        )
