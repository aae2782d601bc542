import random

import numpy as np
import pytest
import torch
from golden_cases import golden
from PIL import Image, ImageOps

from sketchgan.data import Preprocess
from sketchgan.data.pictures import with_channels
from sketchgan.data.transforms import Draw, to_uint8

CASE = golden("pix2pix_preprocess")
UGATIT = golden("ugatit_preprocess")


def halves():
    whole = Image.fromarray(CASE.tensors["in.AB_uint8_hwc"].numpy())
    width = whole.width // 2
    return whole.crop((0, 0, width, whole.height)), whole.crop((width, 0, whole.width, whole.height))


@pytest.mark.parametrize("name", CASE.case["cases"])
def test_matches_the_official_loader(name):
    case = CASE.case["cases"][name]
    preprocess = Preprocess(case["preprocess"], case["load_size"], case["crop_size"])
    a, b = halves()
    a = with_channels(a, 1 if case["grayscale_A"] else 3)
    draw = preprocess.make_params(random.Random(int(name[-1])), a.size)
    assert draw == Draw(*case["crop_pos"], case["flip"])
    for side, picture in (("A", a), ("B", b)):
        made, expected = preprocess(picture, draw), CASE.tensors[f"out.{name}.{side}"]
        assert made.shape == expected.shape
        assert made.dtype == torch.float32
        # As measured: bit-exact with the same Pillow, two levels elsewhere.
        torch.testing.assert_close(made, expected, rtol=0, atol=2 / 255 * 2)
        if Image.__version__ == CASE.case["pillow"]:
            assert torch.equal(made, expected)


def ugatit():
    case = UGATIT.case
    preprocess = Preprocess("resize_and_crop", case["load_size"], case["img_size"], resample="bilinear")
    return preprocess, Image.fromarray(UGATIT.tensors["in.image_u8_hwc"].numpy())


def assert_equals_ugatit(made, name):
    torch.testing.assert_close(made, UGATIT.tensors[name], rtol=0, atol=2 / 255)
    if Image.__version__ == UGATIT.case["pillow"]:
        assert torch.equal(made, UGATIT.tensors[name])


@pytest.mark.parametrize("k", range(5))
def test_training_pictures_match_ugatit(k):
    """The official code mirrors first: seen from there, ours cuts at the same distance from the other side."""
    preprocess, picture = ugatit()
    (top, left), flip = UGATIT.case["crop_top_left"][k], UGATIT.case["flip"][k]
    room = preprocess.load_size - preprocess.crop_size
    made = preprocess(picture, Draw(room - left if flip else left, top, flip))
    assert_equals_ugatit(made, f"out.train{k}")


def test_evaluation_pictures_match_ugatit():
    preprocess, picture = ugatit()
    assert_equals_ugatit(preprocess.for_evaluation()(picture), "out.test")


@pytest.mark.parametrize("resample", ["bicubic", "bilinear"])
@pytest.mark.parametrize("size", [(200, 300), (256, 256), (301, 97), (47, 64), (1000, 31)])
def test_mirroring_before_the_resize_gives_the_same_picture(size, resample):
    picture = Image.effect_noise(size, 60).convert("RGB")
    preprocess = Preprocess("resize_and_crop", 286, 256, resample=resample)
    room = preprocess.load_size - preprocess.crop_size
    first = preprocess(ImageOps.mirror(picture), Draw(room - 7, 4, False))
    assert torch.equal(preprocess(picture, Draw(7, 4, True)), first)


@pytest.mark.parametrize("kind", ["tensor2im", "tensor2im_gray"])
def test_bytes_as_the_official_code_cuts_them(kind):
    made = to_uint8(CASE.tensors[f"in.{kind}"], truncate=True)[0].expand(3, -1, -1)
    assert torch.equal(made.permute(1, 2, 0), CASE.tensors[f"out.{kind}_uint8_hwc"])


@pytest.mark.parametrize("resample", ["bicubic", "bilinear"])
@pytest.mark.parametrize("mode", ["resize_and_crop", "crop", "scale_width", "scale_width_and_crop", "none", "native"])
def test_tensors_are_treated_like_pictures(mode, resample):
    """What Pillow cannot hold (16 bits, many channels) goes the same way as what it can."""
    picture = halves()[0]
    preprocess = Preprocess(mode, load_size=36, crop_size=32, resample=resample)
    tensor = torch.from_numpy(np.array(picture)).permute(2, 0, 1).float() / 255
    draw = preprocess.make_params(random.Random(1), picture.size)
    made, expected = preprocess(tensor, draw), preprocess(picture, draw)
    assert made.shape == expected.shape
    assert made.min() >= -1
    assert made.max() <= 1
    torch.testing.assert_close(made, expected, rtol=0, atol=6 / 255 if resample == "bicubic" else 3 / 255)


@pytest.mark.parametrize(
    ("mode", "size"),
    [
        ("resize_and_crop", (32, 32)),
        ("crop", (32, 32)),
        ("scale_width_and_crop", (32, 32)),
        ("scale_width", (44, 36)),
        ("none", (48, 40)),
        ("native", (48, 40)),
    ],
)
def test_evaluation_draws_nothing(mode, size):
    preprocess = Preprocess(mode, load_size=44, crop_size=32).for_evaluation()
    picture = halves()[0]
    made = preprocess(picture)
    assert tuple(made.shape[:0:-1]) == size
    assert not preprocess.flip
    if mode == "resize_and_crop":  # the official test script: load_size = crop_size
        assert torch.equal(made, preprocess(picture.resize((32, 32), Image.Resampling.BICUBIC)))
    if mode == "crop":
        assert torch.equal(made, Preprocess("native")(picture.crop((8, 4, 40, 36))))
    if mode == "native":
        assert preprocess.for_evaluation("none").mode == "none"


def test_odd_sizes_round_as_in_the_official_code():
    assert Preprocess("none").scaled_size((30, 50)) == (32, 48)  # 7.5 and 12.5 to the even neighbour
    assert Preprocess("none").scaled_size((1, 5)) == (4, 4)
    assert Preprocess("scale_width", 100, 80).scaled_size((100, 90)) == (100, 90)
    assert Preprocess("scale_width", 100, 80).scaled_size((200, 90)) == (100, 80)


def test_settings_travel():
    preprocess = Preprocess("scale_width", 100, 80, flip=False, resample="bilinear")
    assert Preprocess(**preprocess.settings()) == preprocess
    assert preprocess.for_evaluation() == preprocess
    older = {"mode": "scale_width", "load_size": 100, "crop_size": 80, "flip": False}
    assert Preprocess(**older) == Preprocess("scale_width", 100, 80, flip=False, resample="bicubic")


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"mode": "resize"}, "preprocess must be one of resize_and_crop, crop, .*, got 'resize'"),
        ({"resample": "area"}, "resample must be one of bicubic, bilinear, got 'area'"),
        ({"load_size": 200}, "load_size 200 is less than crop_size 256"),
        ({"crop_size": 0}, "sizes must be positive, got load_size 286, crop_size 0"),
    ],
)
def test_settings_that_do_not_fit_say_so(settings, message):
    with pytest.raises(ValueError, match=message):
        Preprocess(**settings)


def test_pictures_too_small_to_crop_say_so():
    with pytest.raises(ValueError, match=r"is 48x40 pixels, too few for crop_size 64; lower crop_size, or use"):
        Preprocess("crop", crop_size=64)(halves()[0])
