"""Files as people have them, made here; each is read as specified, or refused by name."""

import io
import struct
import zlib

import numpy as np
import pytest
import torch
from PIL import Image

from sketchgan.data import PictureError, read_picture
from sketchgan.data.pictures import with_channels
from sketchgan.data.transforms import to_tensor

HEIGHT, WIDTH = 6, 8


def ramp(channels=3):
    y, x, c = np.mgrid[0:HEIGHT, 0:WIDTH, 0:channels]
    return ((20 * y + 11 * x + 50 * c) % 256).astype(np.uint8)


RGB = ramp()
GREY = RGB[..., 0]
DEEP = (GREY.astype(np.uint16) * 257) ^ 0x0055  # sixteen bits, with something in the lower eight
DEEP_RGB = (RGB.astype(np.uint16) * 257) ^ 0x0033


def saved(picture, path, **kwargs):
    picture.save(path, **kwargs)
    return path


def png(path, depth, colour, rows, extra=b""):
    """A PNG by hand, for what Pillow does not write."""

    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", WIDTH, HEIGHT, depth, colour, 0, 0, 0)
    pixels = zlib.compress(b"".join(b"\0" + row.tobytes() for row in rows))
    path.write_bytes(
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + extra + chunk(b"IDAT", pixels) + chunk(b"IEND", b"")
    )
    return path


def array(path, values):
    np.save(path, values)
    return path


def exif(orientation):
    tags = Image.Exif()
    tags[0x0112] = orientation
    return tags


def on_white(rgb, alpha):
    opacity = alpha[..., None] / 255
    return rgb * opacity + 255 * (1 - opacity)


ALPHA = (255 - 30 * np.arange(WIDTH)[None].repeat(HEIGHT, 0)).astype(np.uint8)


def palette_picture():
    picture = Image.fromarray(RGB).quantize(16)
    return picture, np.array(picture.convert("RGB"))


def animated(path, **kwargs):
    frames = [Image.fromarray(RGB), Image.fromarray(255 - RGB)]
    return saved(frames[0], path, save_all=True, append_images=frames[1:], **kwargs)


def premultiplied(path):
    """Grey times opacity: Pillow reads it as "La", but does not write it."""
    values = np.dstack([(GREY * (ALPHA / 255)).round().astype(np.uint8), ALPHA])
    Image.fromarray(values, "LA").save(path, tiffinfo={338: 1})
    data = bytearray(path.read_bytes())
    place = data.index(struct.pack("<HHI", 338, 3, 1)) + 8
    data[place : place + 2] = struct.pack("<H", 1)
    path.write_bytes(data)
    assert Image.open(path).mode == "La"
    return path


# name, how the file is made, what is read (in levels of 8 bits, (H, W) or (H, W, C)), tolerance in levels
GOOD = [
    ("rgb.png", lambda p: saved(Image.fromarray(RGB), p), RGB, 0),
    ("grey.png", lambda p: saved(Image.fromarray(GREY), p), GREY, 0),
    ("bilevel.png", lambda p: saved(Image.fromarray(GREY > 127), p), 255 * (GREY > 127), 0),
    ("SUFFIX.PNG", lambda p: saved(Image.fromarray(RGB), p), RGB, 0),
    ("baseline.jpg", lambda p: saved(Image.fromarray(RGB), p, quality=100, subsampling=0), RGB, 3),
    ("progressive.jpg", lambda p: saved(Image.fromarray(RGB), p, quality=100, subsampling=0, progressive=True), RGB, 3),
    ("grey.jpeg", lambda p: saved(Image.fromarray(GREY), p, quality=100), GREY, 3),
    ("cmyk.jpg", lambda p: saved(Image.fromarray(RGB).convert("CMYK"), p, quality=100, subsampling=0), RGB, 4),
    ("cmyk.tif", lambda p: saved(Image.fromarray(RGB).convert("CMYK"), p), RGB, 1),
    ("ycbcr.tif", lambda p: saved(Image.fromarray(RGB).convert("YCbCr"), p), RGB, 3),
    ("lab.tif", lambda p: saved(Image.new("LAB", (WIDTH, HEIGHT), (255, 128, 128)), p), np.full((6, 8, 3), 255), 1),
    ("lzw.tiff", lambda p: saved(Image.fromarray(RGB), p, compression="tiff_lzw"), RGB, 0),
    ("pages.tif", lambda p: animated(p), RGB, 0),
    ("lossless.webp", lambda p: saved(Image.fromarray(RGB), p, lossless=True), RGB, 0),
    ("animated.webp", lambda p: animated(p, lossless=True), RGB, 0),
    ("animated.png", lambda p: animated(p), RGB, 0),
    ("animated.gif", lambda p: animated(p), np.array(Image.fromarray(RGB)), 60),
    ("bitmap.bmp", lambda p: saved(Image.fromarray(RGB), p), RGB, 0),
    ("plain.ppm", lambda p: saved(Image.fromarray(RGB), p), RGB, 0),
    ("plain.pgm", lambda p: saved(Image.fromarray(GREY), p), GREY, 0),
    ("palette.png", lambda p: saved(palette_picture()[0], p), palette_picture()[1], 0),
    (
        "palette_alpha.png",  # the first entry of the palette is transparent
        lambda p: saved(palette_picture()[0], p, transparency=0),
        np.where((np.array(palette_picture()[0]) == 0)[..., None], 255, palette_picture()[1]),
        0,
    ),
    ("rgba.png", lambda p: saved(Image.fromarray(np.dstack([RGB, ALPHA])), p), on_white(RGB, ALPHA), 1),
    ("rgba.webp", lambda p: saved(Image.fromarray(np.dstack([RGB, ALPHA])), p, lossless=True), on_white(RGB, ALPHA), 1),
    (
        "grey_alpha.png",
        lambda p: saved(Image.fromarray(np.dstack([GREY, ALPHA]), "LA"), p),
        on_white(np.dstack([GREY] * 3), ALPHA),
        1,
    ),
    (
        "colour_key.png",  # one colour is transparent
        lambda p: saved(Image.fromarray(RGB), p, transparency=tuple(map(int, RGB[0, 0]))),
        np.where((RGB[0, 0] == RGB).all(-1, keepdims=True), 255, RGB),
        0,
    ),
    ("deep_grey.png", lambda p: saved(Image.fromarray(DEEP), p), DEEP / 257, 1e-3),
    ("deep_grey.tif", lambda p: saved(Image.fromarray(DEEP), p), DEEP / 257, 1e-3),
    ("deep_rgb.png", lambda p: png(p, 16, 2, DEEP_RGB.astype(">u2").reshape(HEIGHT, -1)), DEEP_RGB / 257, 1e-3),
    (
        "deep_rgba.png",
        lambda p: png(p, 16, 6, np.dstack([DEEP_RGB, ALPHA.astype(np.uint16) * 257]).astype(">u2").reshape(HEIGHT, -1)),
        on_white(DEEP_RGB / 257, ALPHA),
        1e-2,
    ),
    ("deep.pgm", lambda p: saved(Image.fromarray(DEEP), p), DEEP / 257, 1e-3),
    (
        "twelve_bits.pgm",
        lambda p: written(p, b"P5 %d %d 4095\n" % (WIDTH, HEIGHT) + (DEEP >> 4).astype(">u2").tobytes()),
        (DEEP >> 4) / 4095 * 255,
        1e-2,
    ),
    ("premultiplied.tif", lambda p: premultiplied(p), on_white(np.dstack([GREY] * 3), ALPHA), 3),
    ("rotated.tif", lambda p: saved(Image.fromarray(GREY), p, exif=exif(6)), np.rot90(GREY, -1), 0),
    ("many.npy", lambda p: array(p, ramp(40).repeat(7, 0)), ramp(40).repeat(7, 0), 1e-3),
    ("float.tif", lambda p: saved(Image.fromarray(GREY.astype(np.float32) / 255), p), GREY, 1e-3),
    ("rotated.jpg", lambda p: saved(Image.fromarray(GREY), p, quality=100, exif=exif(6)), np.rot90(GREY, -1), 3),
    ("mirrored.png", lambda p: saved(Image.fromarray(RGB), p, exif=exif(2)), RGB[:, ::-1], 0),
    ("rotated_deep.png", lambda p: saved(Image.fromarray(DEEP), p, exif=exif(8)), np.rot90(DEEP / 257), 1e-3),
    ("bytes.npy", lambda p: array(p, RGB), RGB, 1e-3),
    ("words.npy", lambda p: array(p, DEEP), DEEP / 257, 1e-3),
    ("floats.npy", lambda p: array(p, RGB / 255), RGB, 1e-3),
    ("half.npy", lambda p: array(p, (GREY / 255).astype(np.float16)), GREY, 0.1),
    ("five.npy", lambda p: array(p, ramp(5)), ramp(5), 1e-3),
    ("mask.npy", lambda p: array(p, GREY > 127), 255 * (GREY > 127), 1e-3),
    ("name with spaces, Ümläute.png", lambda p: saved(Image.fromarray(RGB), p), RGB, 0),
]


@pytest.mark.parametrize(("name", "make", "expected", "tolerance"), GOOD, ids=[case[0] for case in GOOD])
def test_reads(tmp_path, name, make, expected, tolerance):
    picture = read_picture(make(tmp_path / name))
    levels = (to_tensor(picture).numpy() + 1) * 127.5
    expected = np.asarray(expected, dtype=np.float64)
    expected = expected[None] if expected.ndim == 2 else expected.transpose(2, 0, 1)
    assert levels.shape == expected.shape
    assert np.abs(levels - expected).max() <= tolerance + 1e-4


def cut(path, data, keep):
    path.write_bytes(data[: int(len(data) * keep)])
    return path


def encoded(picture, kind):
    buffer = io.BytesIO()
    picture.save(buffer, kind)
    return buffer.getvalue()


BIG = Image.effect_noise((64, 64), 80)


def bomb(path):
    """The header is enough: nothing is unpacked."""
    png(path, 8, 2, RGB.reshape(HEIGHT, -1))
    data = bytearray(path.read_bytes())
    data[16:24] = struct.pack(">II", 12_000, 12_000)
    data[29:33] = struct.pack(">I", zlib.crc32(data[12:29]))
    path.write_bytes(data)
    return path


def flipped_byte(path):
    data = bytearray(encoded(BIG, "png"))
    data[len(data) // 2] ^= 0xFF
    path.write_bytes(data)
    return path


def written(path, data):
    path.write_bytes(data)
    return path


BAD = [
    ("empty.png", lambda p: written(p, b""), r"is empty \(0 bytes\)"),
    ("cut.jpg", lambda p: cut(p, encoded(BIG, "jpeg"), 0.5), "truncated"),
    ("cut.png", lambda p: cut(p, encoded(BIG, "png"), 0.5), "cannot be read as a picture"),
    ("cut.tif", lambda p: cut(p, encoded(BIG, "tiff"), 0.6), "cannot be read as a picture"),
    ("cut.webp", lambda p: cut(p, encoded(BIG.convert("RGB"), "webp"), 0.5), "cannot be read as a picture"),
    ("cut_in_the_header.png", lambda p: cut(p, encoded(BIG, "png"), 0.004), "cannot be read as a picture"),
    ("flipped.png", flipped_byte, "cannot be read as a picture"),
    ("page.jpg", lambda p: written(p, b"<html>404</html>"), "cannot identify image file"),
    ("zeros.jpg", lambda p: written(p, bytes(1000)), "cannot identify image file"),
    ("bomb.png", bomb, r"has 12000x12000 pixels, more than max_pixels=89478485, and may be a decompression bomb"),
    ("outside.tif", lambda p: saved(Image.fromarray(GREY.astype(np.float32)), p), r"outside \[0, 1\]; say with value_"),
    ("outside.npy", lambda p: array(p, RGB.astype(np.float32) / 127.5 - 1), r"from -1 to .*outside \[0, 1\]"),
    ("nan.npy", lambda p: array(p, np.full((4, 4), np.nan)), "holds NaN or infinite values"),
    ("words32.npy", lambda p: array(p, RGB.astype(np.int32) * 9), "say with value_range="),
    ("vector.npy", lambda p: array(p, np.zeros(7)), r"has the shape \(7,\); a picture is \(H, W\) or \(H, W, C\)"),
    ("first.npy", lambda p: array(p, np.zeros((3, 64, 64))), r"has the shape \(3, 64, 64\); channels come last"),
    ("objects.npy", lambda p: array(p, np.array([[print]])), "cannot be read as a picture: .*Python objects"),
    ("text.npy", lambda p: array(p, np.array([["a"]])), "holds <U1, which is no kind of number"),
    ("script.png", lambda p: written(p, b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n"), "cannot identify image"),
    ("bomb.npy", lambda p: array(p, np.broadcast_to(np.uint8(0), (10_000, 10_000))), "may be a decompression bomb"),
    ("missing.png", lambda p: p, "FileNotFoundError"),
]


@pytest.mark.parametrize(("name", "make", "message"), BAD, ids=[case[0] for case in BAD])
def test_refuses_by_name(tmp_path, name, make, message):
    path = make(tmp_path / name)
    with pytest.raises(PictureError, match=message) as caught:
        read_picture(path)
    assert str(path) in str(caught.value)


def test_there_are_forty():
    assert len(GOOD) >= 40 - len(BAD)
    assert len(GOOD) + len(BAD) >= 40


def test_value_range_says_what_0_and_1_are(tmp_path):
    deep = array(tmp_path / "twelve_bits.npy", np.array([[0, 4095]], np.uint16))
    assert read_picture(deep, value_range=(0, 4095)).tolist() == [[[0, 1]]]
    signed = array(tmp_path / "signed.npy", np.array([[-1, 0, 1]], np.float32))
    assert read_picture(signed, value_range=(-1, 1)).tolist() == [[[0, 0.5, 1]]]
    grey = saved(Image.fromarray(GREY), tmp_path / "grey.png")
    assert np.array_equal(np.array(read_picture(grey, value_range=(0, 4095))), GREY)  # of 8 bits: left alone


def test_pgm_follows_its_own_maximum_or_the_range(tmp_path):
    full = written(tmp_path / "full.pgm", b"P5 2 1 65535\n" + np.array([0, 4095], ">u2").tobytes())
    assert read_picture(full, value_range=(0, 4095)).tolist() == [[[0, 1]]]
    own = written(tmp_path / "own.pgm", b"P5 2 1 4095\n" + np.array([0, 4095], ">u2").tobytes())
    assert read_picture(own, value_range=(0, 4095)).tolist() == [[[0, 1]]]


def test_beyond_pillows_own_limit_the_file_is_named(tmp_path, monkeypatch):
    path = saved(Image.fromarray(RGB), tmp_path / "large.png")
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 10)
    with pytest.raises(PictureError, match=r"large\.png may be a decompression bomb"):
        read_picture(path, max_pixels=10**9)


def test_opacity_is_added_where_there_was_none(tmp_path):
    grey = read_picture(saved(Image.fromarray(DEEP), tmp_path / "grey.png"))
    assert torch.equal(with_channels(grey, 4), torch.cat([grey.expand(3, -1, -1), torch.ones_like(grey)]))
    deep = read_picture(png(tmp_path / "rgb.png", 16, 2, DEEP_RGB.astype(">u2").reshape(HEIGHT, -1)))
    assert torch.equal(with_channels(deep, 4)[3], torch.ones(HEIGHT, WIDTH))
    both = np.dstack([DEEP, ALPHA.astype(np.uint16) * 257]).astype(">u2")
    path = png(tmp_path / "la.png", 16, 4, both.reshape(HEIGHT, -1))
    kept = read_picture(path, alpha=True)
    assert kept.shape == (4, HEIGHT, WIDTH)
    assert np.allclose(kept[3], ALPHA / 255, atol=1e-6)


def test_alpha_can_be_kept(tmp_path):
    path = saved(Image.fromarray(np.dstack([RGB, ALPHA])), tmp_path / "rgba.png")
    picture = read_picture(path, alpha=True)
    assert picture.mode == "RGBA"
    assert np.array_equal(np.array(with_channels(picture, 4))[..., 3], ALPHA)
    levels = np.array(with_channels(picture, 3))
    assert np.abs(levels - on_white(RGB, ALPHA)).max() <= 1


def test_channels_are_converted_as_in_the_official_code():
    colour = Image.fromarray(RGB)
    luma = RGB @ np.array([0.299, 0.587, 0.114])
    assert np.abs(np.array(with_channels(colour, 1)) - luma).max() <= 0.5 + 1e-3
    tensor = torch.from_numpy(RGB).permute(2, 0, 1) / 255
    assert torch.allclose(with_channels(tensor, 1)[0] * 255, torch.from_numpy(luma).float(), atol=1e-3)
    assert np.array_equal(np.array(with_channels(Image.fromarray(GREY), 3)), np.dstack([GREY] * 3))
    assert with_channels(tensor[:1], 5).shape == (5, HEIGHT, WIDTH)
    with pytest.raises(PictureError, match=r"has 3 channels where 5 are wanted; store it as \.npy"):
        with_channels(colour, 5)
    with pytest.raises(PictureError, match="has 3 channels where 2 are wanted; set channels_a, channels_b"):
        with_channels(tensor, 2)
