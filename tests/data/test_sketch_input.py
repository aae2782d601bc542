import random

import pytest
import torch
from golden_cases import assert_close, golden
from PIL import Image

from sketchgan.data import PhotoInput, SketchInput, SketchSource
from sketchgan.data.sketch_input import PhotoDraw, stretched, with_contrast
from sketchgan.ops import resize_area

OPS = golden("sketchygan_ops")
DRAWING = golden("sketchygan_edges")


class One(SketchSource):
    """A single record."""

    classes = ("thing",)

    def __init__(self, drawing, photo=None):
        self.drawing, self.picture = drawing, photo

    def __len__(self):
        return 1

    def sketch(self, index):
        return self.drawing

    def photo(self, index):
        return self.picture

    def label(self, index):
        return 0

    def sketch_name(self, index):
        return "thing/1-1.png"

    def photo_name(self, index):
        return "thing/1.jpg"

    def part(self, split):
        return self


def test_photo_matches_reference():
    photo = OPS.tensors["in.photo"].permute(2, 0, 1)
    factor = OPS.case["augment"]["contrast_factor"]
    # The official change of brightness comes first and adds a constant, which the stretching takes away again.
    brighter = photo + OPS.case["augment"]["brightness_delta"]
    for levels in (photo, brighter):
        made = stretched(with_contrast(levels, factor), OPS.tensors["in.dequant"].permute(2, 0, 1))
        assert_close(made, OPS.tensors["out.photo_network_input"], 2e-6)
    contrast = OPS.tensors["out.photo_contrast_1.13"].permute(2, 0, 1)
    assert_close(with_contrast(brighter, factor), contrast, 2e-6 * float(contrast.abs().max()))


def test_official_photo_is_decimated_and_stretched():
    photo = torch.randint(0, 256, (3, 32, 32), dtype=torch.uint8)
    inputs = PhotoInput(8)
    assert torch.equal(inputs(photo), stretched(photo[:, ::4, ::4].float()))
    draw = PhotoDraw((1, 1, 1), 1.0, 5)
    noise = torch.rand(3, 8, 8, generator=torch.Generator().manual_seed(5)) / 256
    torch.testing.assert_close(inputs(photo, draw), stretched(photo[:, ::4, ::4].float(), noise))
    draws = [inputs.make_params(random.Random(seed)) for seed in range(200)]
    factors = [draw.contrast for draw in draws]
    assert 0.8 <= min(factors) < 0.83
    assert 1.17 < max(factors) <= 1.2
    assert {draw.jitter for draw in draws} == {(1, 1, 1)}
    made = inputs(photo, draws[0])
    assert not torch.equal(made, inputs(photo, draws[1]))
    assert made.min() >= -1
    assert made.max() <= 1


def test_plain_photo_is_averaged_and_keeps_its_range():
    photo = torch.randint(50, 200, (3, 32, 32), dtype=torch.uint8)
    inputs = PhotoInput(8, "plain")
    expected = resize_area(photo, 8, 8).float() / 127.5 - 1
    assert torch.equal(inputs(photo), expected)
    assert torch.equal(inputs(photo, inputs.make_params(random.Random(0))), expected)
    jittered = PhotoInput(8, "plain", jitter=0.3)
    assert not torch.equal(jittered(photo, jittered.make_params(random.Random(0))), expected)


@pytest.mark.parametrize(("form", "name"), [("distance", "network64_from256"), ("on_the_fly", "network64_on_the_fly")])
def test_drawing_matches_reference(form, name):
    drawing = DRAWING.tensors["in.drawing256"]
    expected = DRAWING.tensors[f"out.drawing.{name}"].expand(3, -1, -1)
    assert_close(SketchInput(64, form).of_record(One(drawing), 0), expected, 1e-5)
    assert_close(SketchInput(64, form)(Image.fromarray(drawing.numpy())), expected, 1e-5)


def test_strokes_are_averaged():
    drawing = DRAWING.tensors["in.drawing256"]
    made = SketchInput(64, "strokes").of_record(One(drawing), 0)
    assert torch.equal(made[0], resize_area(drawing[None], 64, 64)[0].float() / 127.5 - 1)


def test_drawings_from_elsewhere_are_brought_to_the_size_of_training_first():
    """Also through colours and other proportions; a line of one pixel in 800 is still one."""
    picture = Image.new("RGB", (800, 600), "white")
    for x in range(800):
        picture.putpixel((x, 300), (255, 0, 0))
    made = SketchInput(64, drawing_size=64)(picture)
    assert made.shape == (3, 64, 64)
    assert (made[0] == -1).nonzero()[:, 0].unique().tolist() == [32]
    assert (made[0] == -1).sum() == 64


def test_settings_make_the_same_again():
    inputs = SketchInput(32, "on_the_fly", 128)
    assert SketchInput(**inputs.settings()) == inputs


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: SketchInput(form="lines"), "sketch must be one of distance, on_the_fly, strokes, got 'lines'"),
        (lambda: SketchInput(0), "image_size 0"),
        (lambda: PhotoInput(form="raw"), "photo must be one of official, plain, got 'raw'"),
        (lambda: PhotoInput(jitter=1), "got 64 and 1"),
    ],
)
def test_wrong_arguments_say_so(make, message):
    with pytest.raises(ValueError, match=message):
        make()
