import pytest
import torch
from golden_cases import assert_close, golden

from sketchgan.ops import resize_area, resize_legacy

CASE = golden("sketchygan_ops")


@pytest.mark.parametrize(
    ("name", "source", "size"),
    [
        ("legacy_bilinear_8_to_21", "feat", 21),
        ("legacy_bilinear_32_to_8", "img32", 8),
        ("legacy_bilinear_64_to_299", "img64", 299),
    ],
)
def test_legacy_matches_tensorflow(name, source, size):
    expected = CASE.tensors[f"out.{name}"]
    assert_close(resize_legacy(CASE.tensors[f"in.{source}"], size), expected, 2e-6 * float(expected.abs().max()))


@pytest.mark.parametrize("size", [2, 4])
def test_area_matches_tensorflow(size):
    expected = CASE.tensors[f"out.area_{size}"]
    assert_close(resize_area(CASE.tensors["in.feat"], size, size), expected, 2e-6 * float(expected.abs().max()))


def test_a_quarter_of_the_size_is_decimation_of_any_kind():
    images = torch.randint(0, 256, (3, 32, 32), dtype=torch.uint8)
    assert torch.equal(resize_legacy(images, 8), images[:, ::4, ::4])
    with pytest.raises(ValueError, match="blended from 32 to 12 pixels"):
        resize_legacy(images, 12)


def test_sides_differ():
    images = torch.rand(2, 3, 10, 12)
    assert resize_legacy(images, (5, 7)).shape == (2, 3, 5, 7)
    assert torch.equal(resize_legacy(images, (10, 12)), images)
    # One side after the other: a resized row depends on its own row alone where heights stay.
    assert torch.equal(resize_legacy(images, (10, 7))[:, :, :1], resize_legacy(images[:, :, :1], (1, 7)))


def test_gradients_flow():
    images = torch.rand(1, 1, 4, 5, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda x: resize_legacy(x, 7), images)
    assert torch.autograd.gradcheck(lambda x: resize_legacy(x, 3), images)


def test_bad_arguments_say_so():
    with pytest.raises(ValueError, match="size must be at least 1, got 0"):
        resize_legacy(torch.rand(1, 4, 4), 0)
