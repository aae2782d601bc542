"""Colour hints as people give them: layers, points and strokes."""

import json
import re
from pathlib import Path

import pytest
import torch
from PIL import Image

from sketchgan.data import PictureError, draw_hints, read_hints
from sketchgan.data.colour_hints import hint_files, saturate

RED, GREEN, BLUE = [1.0, -1.0, -1.0], [-1.0, 1.0, -1.0], [-1.0, -1.0, 1.0]


def colour(hints: torch.Tensor, x: int, y: int) -> list[float]:
    assert hints[3, y, x] == 1
    return hints[:3, y, x].tolist()


@pytest.fixture
def layer(tmp_path):
    def paint(pixels, size=(40, 20), name="hints.png"):
        image = Image.new("RGBA", size)
        for place, rgba in pixels.items():
            image.putpixel(place, rgba)
        image.save(tmp_path / name)
        return tmp_path / name

    return paint


@pytest.fixture
def listed(tmp_path):
    def write(content, name="hints.json"):
        (tmp_path / name).write_text(content if isinstance(content, str) else json.dumps(content))
        return tmp_path / name

    return write


# Layers


def test_layer(layer):
    hints = read_hints(layer({(0, 0): (255, 0, 0, 255), (39, 19): (0, 255, 0, 51)}), (20, 40))
    assert hints.shape == (4, 20, 40)
    assert colour(hints, 0, 0) == RED
    assert hints[:, 19, 39].tolist() == pytest.approx([*GREEN, 0.2])
    assert (hints[3] > 0).sum() == 2


def test_layer_takes_the_nearest_pixels_and_mixes_nothing(layer):
    path = layer({(10, 10): (0, 0, 255, 255), (11, 10): (255, 0, 0, 255)})
    larger = read_hints(path, (40, 80))
    assert (larger[3] > 0).sum() == 8
    assert colour(larger, 20, 20) == BLUE
    assert colour(larger, 23, 21) == RED
    smaller = read_hints(path, (10, 20))
    assert colour(smaller, 5, 5) == BLUE
    assert (smaller[3] > 0).sum() == 1


def test_lost_hints_warn(layer):
    with pytest.warns(UserWarning, match="all hints are lost at 20x10 pixels"):
        read_hints(layer({(11, 11): (0, 0, 255, 255)}), (10, 20))


def test_empty_layer_is_no_hint(layer, recwarn):
    assert (read_hints(layer({}), (20, 40))[3] == 0).all()
    assert not recwarn


@pytest.mark.parametrize("mode", ["RGB", "L", "RGBA"])
def test_opaque_pictures_are_no_hints(tmp_path, mode):
    Image.new(mode, (4, 4), "white").save(tmp_path / "flat.png")
    with pytest.raises(PictureError, match=r"flat\.png has no transparency.*transparent layer"):
        read_hints(tmp_path / "flat.png", (4, 4))


def test_missing_and_broken_files(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"no file of hints .*none\.png"):
        read_hints(tmp_path / "none.png", (4, 4))
    (tmp_path / "broken.png").write_bytes(b"nothing")
    with pytest.raises(PictureError, match=r"broken\.png cannot be read"):
        read_hints(tmp_path / "broken.png", (4, 4))


# Points and strokes


def test_points():
    hints = draw_hints([{"x": 0.5, "y": 0.5, "colour": "#00ff00"}, {"x": 1, "y": 1.0, "colour": "blue"}], (10, 20))
    assert hints.shape == (4, 10, 20)
    assert (hints[3] > 0).sum() == 9 + 4
    assert colour(hints, 10, 5) == colour(hints, 9, 4) == colour(hints, 11, 6) == GREEN
    assert colour(hints, 19, 9) == BLUE


def test_later_hints_cover_earlier_ones():
    both = [{"x": 0.5, "y": 0.5, "colour": "red"}, {"x": 0.5, "y": 0.5, "colour": "#0000ff80", "radius": 0}]
    hints = draw_hints(both, (9, 9))
    assert colour(hints, 3, 4) == RED
    assert hints[:, 4, 4].tolist() == pytest.approx([*BLUE, 128 / 255])


def test_strokes():
    points = [[0, 0.5], [0.99, 0.5], [0.99, 0.99]]
    thin = draw_hints([{"points": points, "colour": [255, 0, 0], "width": 1}], (20, 20))
    assert (thin[3, 10] > 0).all()
    assert (thin[3, 10:, 19] > 0).all()
    assert (thin[3] > 0).sum() == 29
    assert colour(thin, 7, 10) == RED
    wide = draw_hints([{"points": points, "colour": [255, 0, 0]}], (20, 20))
    assert (wide[3, 9:12, :18] > 0).all()
    assert (wide[3, :9] == 0).all()


@pytest.mark.parametrize("radius", [1e300, 10**400, 100])
def test_a_huge_radius_covers_everything(radius):
    assert (draw_hints([{"x": 0, "y": 0, "colour": "red", "radius": radius}], (9, 13))[3] == 1).all()


def test_a_huge_width_covers_everything():
    stroke = {"points": [[0.1, 0.5], [0.9, 0.5]], "colour": "red", "width": 1e9}
    assert (draw_hints([stroke], (9, 13))[3, :, 2:11] == 1).all()


POINT = {"x": 0.5, "y": 0.5, "colour": "red"}


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        (POINT | {"x": 12}, "x is 12; it must be from 0 to 1, a share of the drawing's width"),
        (POINT | {"y": -0.1}, "y is -0.1.*height"),
        (POINT | {"x": float("nan")}, "x is nan"),
        (POINT | {"x": "left"}, "x is 'left'"),
        (POINT | {"y": True}, "y is True"),
        (POINT | {"radius": float("nan")}, "radius is nan; it must be a number of pixels, at least 0"),
        (POINT | {"radius": -1}, "radius is -1"),
        (POINT | {"colour": "skin"}, "no colour 'skin'; write #rrggbb"),
        (POINT | {"colour": [1, 2]}, r"\[1, 2\] is no colour"),
        (POINT | {"colour": [0.5, 0.2, 0.1]}, "whole numbers from 0 to 255"),
        (POINT | {"colour": [256, 0, 0]}, r"\[256, 0, 0\] is no colour"),
        (POINT | {"colour": None}, "None is no colour"),
        (POINT | {"color": "red"}, "it has color, which means nothing"),
        ({"x": 0.5, "colour": "red"}, "it lacks y; a point has x, y and colour"),
        ({"points": [[0, 0], [1, 1]]}, "it lacks colour"),
        ({"points": [[0, 0]], "colour": "red"}, "two or more"),
        ({"points": [[0, 0], [1]], "colour": "red"}, r"\[1\] is no place"),
        ({"points": [[0, 0], [2, 0]], "colour": "red"}, "x is 2"),
        ({"points": [[0, 0], [1, 0]], "colour": "red", "width": 0}, "width is 0"),
        ("red", "it lacks colour, x, y"),
    ],
)
def test_bad_entries_say_so(entry, message):
    with pytest.raises(ValueError, match=f"hint 2, .*: .*{message}"):
        draw_hints([POINT, entry], (8, 8))


def test_listed_hints(listed):
    path = listed([POINT])
    assert torch.equal(read_hints(path, (8, 8)), draw_hints([POINT], (8, 8)))
    assert (read_hints(listed([]), (8, 8))[3] == 0).all()


def test_palettes(listed):
    hints = [POINT | {"colour": "skin"}, {"x": 0, "y": 0, "colour": "hair"}]
    palette = {"skin": [255, 0, 0], "hair": "#00ff00"}
    made = read_hints(listed({"palette": palette, "hints": hints}), (12, 12))
    assert colour(made, 6, 6) == RED
    assert colour(made, 0, 0) == GREEN
    listed(palette, "character.json")
    by_name = listed({"palette": "character.json", "hints": hints})
    assert torch.equal(read_hints(by_name, (12, 12)), made)
    with pytest.raises(ValueError, match=r"hints\.json: hint 1.*no colour 'eyes'.*the palette's hair, skin,"):
        read_hints(listed({"palette": palette, "hints": [POINT | {"colour": "eyes"}]}), (8, 8))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("[{", "is not JSON"),
        ("3", "must hold a list of hints"),
        ('{"hint": []}', "has hint beside palette and hints"),
        ('{"palette": {}}', "must hold a list of hints"),
        ('{"palette": 3, "hints": []}', "a palette is"),
        ('[{"x": NaN, "y": 0, "colour": "red"}]', "hint 1, .*x is nan"),
    ],
)
def test_bad_lists_say_so(listed, content, message):
    with pytest.raises(ValueError, match=rf"hints\.json.*{message}"):
        read_hints(listed(content), (8, 8))


def test_the_guides_example(listed):
    guide = (Path(__file__).parents[2] / "docs/guides/translating.md").read_text()
    (example,) = re.findall(r"^```text\n(\{.*?)^```$", guide, re.DOTALL | re.MULTILINE)
    hints = read_hints(listed(example), (100, 100))
    levels = (torch.tensor([0xFF, 0xE0, 0xC8]) / 127.5 - 1).tolist()
    assert colour(hints, 51, 24) == pytest.approx(levels)
    assert colour(hints, 54, 12) == pytest.approx([40 / 127.5 - 1, 30 / 127.5 - 1, 90 / 127.5 - 1])
    assert (hints[3, 80, 10:30] == 1).all()


def test_missing_palette(listed):
    with pytest.raises(FileNotFoundError, match=r"hints\.json names the palette none\.json"):
        read_hints(listed({"palette": "none.json", "hints": []}), (8, 8))


# Colours


def test_saturation(listed):
    colours = torch.rand(3, 20, 20, generator=torch.Generator().manual_seed(0)) * 2 - 1
    torch.testing.assert_close(saturate(colours, 1), colours)
    for factor in (0.0, 0.5, 1.3, 1e6):
        made = saturate(colours, factor)
        assert made.min() >= -1 - 1e-6
        torch.testing.assert_close(made.amax(0), colours.amax(0))
    grey = saturate(colours, 0)
    torch.testing.assert_close(grey[0], grey[2])
    assert torch.equal(saturate(torch.zeros(3, 2, 2), 2), torch.zeros(3, 2, 2))
    pale = listed([POINT | {"colour": [200, 150, 150]}])
    assert read_hints(pale, (3, 3), saturation=2)[:, 1, 1].tolist() == pytest.approx(
        [145 / 255, -55 / 255, -55 / 255, 1]
    )
    with pytest.raises(ValueError, match=r"at least 0, got -0\.1"):
        saturate(colours, -0.1)


def test_hint_files(tmp_path, layer, listed):
    (tmp_path / "deep").mkdir()
    layer({}, name="a.png")
    listed([], "deep/b.json")
    listed([], ".hidden.json")
    (tmp_path / "notes.txt").write_text("")
    assert hint_files(tmp_path) == {"a": tmp_path / "a.png", "deep/b": tmp_path / "deep" / "b.json"}
    listed([], "a.json")
    with pytest.raises(ValueError, match=r"a\.json and .*a\.png are hints for one drawing"):
        hint_files(tmp_path)
    (tmp_path / "empty").mkdir()
    with pytest.raises(ValueError, match="no hints in"):
        hint_files(tmp_path / "empty")


@pytest.mark.parametrize("points", [[[0.5, 0.5], [0.5, 0.5]], [[0.5, 0.5], [0.51, 0.5]]])
@pytest.mark.parametrize("width", [1, 2, 3, 8])
def test_a_click_is_as_wide_as_a_stroke(points, width):
    hints = draw_hints([{"points": points, "colour": "red", "width": width}], (32, 32))
    there = hints[3].nonzero()
    assert len(there) == width**2
    assert (there.amax(0) - there.amin(0) + 1).tolist() == [width, width]
    assert colour(hints, 16, 16) == RED


def test_lists_from_windows_editors(tmp_path):
    path = tmp_path / "hints.json"
    path.write_text(json.dumps([{"x": 0, "y": 0, "colour": "red", "radius": 0}]), encoding="utf-8-sig")
    assert colour(read_hints(path, (4, 4)), 0, 0) == RED


def test_brackets_without_end(listed):
    with pytest.raises(ValueError, match="is not JSON"):
        read_hints(listed("[" * 100_000), (4, 4))
