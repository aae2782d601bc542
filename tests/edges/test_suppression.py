import math

import pytest
import torch
from golden_cases import assert_close, golden

from sketchgan.edges import orientation, smooth, suppress

GOLDEN = golden("sketchygan_edges").tensors


@pytest.mark.parametrize("i", range(4))
def test_golden(i):
    strength = 1 - (1 - GOLDEN[f"in.prob{i}"][None])  # as the script stores it
    assert_close(smooth(strength)[0], GOLDEN[f"out.official{i}.smoothed"], 1.2e-7)
    across = (orientation(strength)[0] - GOLDEN[f"out.official{i}.orientation"]).abs()
    assert torch.minimum(across, math.pi - across).max() < 1e-3  # where the curvature is near 0, rounding turns it
    assert torch.equal(suppress(strength)[0], GOLDEN[f"out.official{i}.nms"])


@pytest.mark.parametrize("least", [0.098, 0.3])
def test_weak_pixels_need_no_look(least):
    strength = torch.cat([GOLDEN[f"in.prob{i}"][None] for i in range(3)])
    whole = suppress(strength)
    expected = whole.masked_fill(strength < least, 0)
    assert torch.equal(suppress(strength, least), expected)
    assert 0 < expected.count_nonzero() < whole.count_nonzero()
    assert torch.equal(suppress(strength), torch.cat([suppress(picture[None]) for picture in strength]))


def test_a_ridge_stays():
    strength = torch.zeros(1, 30, 21)
    strength[..., 9:12] = torch.tensor([0.5, 0.9, 0.5])
    kept = suppress(strength)[0]
    assert kept[10, 9].item() == kept[10, 11].item() == 0
    assert (kept[:7, 10] / 0.9).tolist() == pytest.approx([0, 0.2, 0.4, 0.6, 0.8, 1, 1])
    assert kept[:, 10].flip(0).tolist() == kept[:, 10].tolist()
    flat = suppress(strength.mT)[0]  # horizontal
    assert flat[9, 10].item() == flat[11, 10].item() == 0.5


def test_smoothing_keeps_the_mean_of_small_pictures():
    assert_close(smooth(torch.full((2, 3, 2), 0.7)), torch.full((2, 3, 2), 0.7), 1e-6)
    assert_close(smooth(torch.rand(1, 40, 40)).mean(), torch.tensor(0.5), 0.05)


@pytest.mark.parametrize("shape", [(2, 2, 2), (1, 3, 9), (0, 8, 8)])
def test_small_pictures(shape):
    assert suppress(torch.rand(shape)).shape == shape


def test_lines_of_pixels_say_so():
    with pytest.raises(ValueError, match=r"no direction in pictures of \(1, 8\) pixels"):
        suppress(torch.rand(1, 1, 8))
