"""Style2Paints' preprocessing, against the functions of its first and third server."""

import numpy as np
import pytest
import torch
from golden_cases import assert_close, golden
from PIL import Image
from torch.nn import functional as F

from sketchgan.data import Preprocess, clean_lines, draw_hints, read_hints, read_picture
from sketchgan.data.line_art import clean_picture
from sketchgan.data.transforms import to_levels
from sketchgan.ops import hint_channels, resize_area

CASE = golden("style2paints_preproc").tensors


def picture(levels: torch.Tensor) -> Image.Image:
    return Image.fromarray(levels.numpy())


def test_transparency_on_white(tmp_path):
    """Within a level: the server cuts off where Pillow rounds."""
    picture(CASE["in.rgba"]).save(tmp_path / "in.png")
    read = to_levels(read_picture(tmp_path / "in.png")).permute(1, 2, 0)
    assert_close(read, CASE["out.flattened"].float(), 1)


@pytest.mark.parametrize(("how", "expected"), [("plain", "norm_plain"), ("denoise", "norm_denoise")])
def test_clean_lines(how, expected):
    """Within a level: the server rounds the small copy's levels."""
    cleaned = to_levels(clean_picture(picture(CASE["in.gray"]), how))[0]
    assert_close(cleaned, CASE[f"out.{expected}"].float(), 1)


def test_clean_lines_where_the_small_copy_is_exact():
    """Of 64 x 64 pixels the small copy is the drawing itself, so levels are those of the formula."""
    grey = (torch.arange(4096) % 200 + 30).to(torch.uint8).view(64, 64)
    share = (np.arange(4096) % 200).astype(np.float32) / 199
    for how, bright in (("plain", 1), ("denoise", 0.9)):
        expected = (np.clip(share / np.float32(bright), 0, 1) ** 2 * 255).reshape(64, 64)
        cleaned = to_levels(clean_picture(picture(grey), how))[0]
        assert_close(cleaned, torch.from_numpy(np.floor(expected)), 1)
        assert (cleaned.numpy() == np.floor(expected)).mean() > 0.95


def test_clean_pictures_of_every_kind():
    colour = picture(torch.stack([CASE["in.gray"]] * 3, dim=-1))
    assert clean_picture(colour, "plain").mode == "L"
    deep = CASE["in.gray"][None] / 255
    assert_close(clean_picture(deep.expand(3, -1, -1), "plain"), clean_lines(deep), 1e-6)
    assert clean_lines(deep).dtype == torch.float32
    blank = torch.full((1, 20, 20), 0.7)
    assert torch.equal(clean_lines(blank), blank)


def test_net_input():
    """What the network sees is the clean drawing, averaged and turned round."""
    ink = 1 - resize_area(CASE["out.norm_plain"], 64, 64) / 255
    assert_close(ink, CASE["out.net_input_s4"], 1e-6)


@pytest.mark.parametrize("row", CASE["out.unet_resize_sizes"].tolist())
def test_size_rule(row):
    height, width, sixteenths, wanted_height, wanted_width = row
    preprocess = Preprocess("scale_short", load_size=16 * sixteenths, flip=False)
    assert preprocess.scaled_size((width, height)) == (wanted_width, wanted_height)


def test_local_hints(tmp_path):
    """The server resizes between pixels, we to the nearest, so compare where its hint fills a pixel; it changes the
    saturation in 8 bits, which costs up to two levels.
    """
    picture(CASE["in.hint_rgba"]).save(tmp_path / "hints.png")
    whole = read_hints(tmp_path / "hints.png", (150, 110), saturation=1.2)
    alpha = CASE["in.hint_rgba"].permute(2, 0, 1)[None, 3:].float() / 255
    assert_close(whole[3:], alpha[0], 0)

    def between(images):
        return F.interpolate(images, (64, 64), mode="bilinear")

    levels = between((whole[None, :3] + 1) * 127.5)
    made = (levels - 127) / 128 * CASE["out.local_hint_alpha"]
    assert_close(between(alpha)[0, 0], CASE["out.local_hint_alpha"], 1 / 255)
    assert_close(made[0].permute(1, 2, 0), CASE["out.local_hint"], 2.5 / 128)
    assert CASE["out.local_hint"].abs().max() > 0.8


def points(kind: int, radius: int) -> list[dict]:
    return [
        {"x": round(x, 4), "y": round(y, 4), "colour": [int(r), int(g), int(b)], "radius": radius}
        for x, y, r, g, b, type_ in CASE["in.points"].tolist()
        if type_ == kind
    ]


@pytest.mark.parametrize(("kind", "radius", "name"), [(0, 1, "points_type0_len1"), (2, 2, "points_type2_len2")])
def test_point_hints(kind, radius, name):
    expected = CASE[f"out.{name}"][..., [2, 1, 0, 3]].permute(2, 0, 1)  # blue first there
    drawn = draw_hints(points(kind, radius), (40, 56))
    there = drawn[3] > 0
    assert there.any()
    levels = torch.cat([torch.where(there, (drawn[:3] + 1) * 127.5, 0), drawn[3:] * 255])
    assert_close(levels, expected, 1e-4)


def test_point_hints_for_the_network():
    expected = CASE["out.points_net_hint"][..., [2, 1, 0]].permute(2, 0, 1)
    assert_close(hint_channels(draw_hints(points(2, 2), (40, 56))[None])[0], expected, 1e-6)
