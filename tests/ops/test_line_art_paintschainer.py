"""PaintsChainer's inputs, against its own code for inference."""

import pytest
import torch
from golden_cases import assert_close, golden
from torch.nn import functional as F

from sketchgan.ops import blur_lines, resize_area, rgb_to_yuv

CASE = golden("paintschainer_preproc").tensors
LINE = CASE["in.line_gray"][None, None].float()
SMALL, LARGE = (32, 126 * 32 // 90 // 16 * 16), (128, (126 * 128 // 90 + 8) // 16 * 16)


def yuv(bgr: torch.Tensor) -> torch.Tensor:
    """Levels ``(H, W, 3)`` in the order that OpenCV reads, as levels of YUV ``(1, 3, H, W)``."""
    rgb = bgr.flip(-1).permute(2, 0, 1)[None].float() / 127.5 - 1
    return rgb_to_yuv(rgb).round().clamp(0, 255)


def test_sizes():
    """The small long side is rounded down to a multiple of 16, the large one to the nearest."""
    assert CASE["out.small_input"].shape[1:] == SMALL
    assert CASE["out.large_line"].shape[1:] == LARGE


def test_lines():
    assert_close(resize_area(LINE, *SMALL)[0], CASE["out.small_input"][:1], 1e-4)
    assert_close(resize_area(LINE, *LARGE)[0], CASE["out.large_line"], 1e-4)


def test_blurred_lines():
    large = resize_area(LINE, *LARGE)
    assert_close(resize_area(blur_lines(large, 3, white=255), *SMALL)[0], CASE["out.small_input_blur3"][:1], 1e-4)


@pytest.mark.parametrize("kernel", [0, 1])
def test_no_blur(kernel):
    assert blur_lines(LINE, kernel) is LINE


@pytest.mark.parametrize("kernel", [2, 5])
def test_blur_keeps_size_and_paper(kernel):
    assert torch.equal(blur_lines(torch.ones(1, 1, 9, 11), kernel), torch.ones(1, 1, 9, 11))


def test_a_blur_wider_than_the_drawing():
    assert blur_lines(torch.ones(1, 1, 9, 4), 7).shape == (1, 1, 9, 4)
    with pytest.raises(ValueError, match="a blur of 8 pixels is too wide for lines of 9x4; use a smaller one"):
        blur_lines(torch.ones(1, 1, 9, 4), 8)


@pytest.mark.parametrize("name", ["small_input", "small_input_blur3"])
def test_hints(name):
    """Nearest pixels, whatever their opacity; within one level, as Y is rounded before U and V here and not there."""
    hints = F.interpolate(CASE["in.ref_bgra"].permute(2, 0, 1)[None].float(), SMALL, mode="nearest")[0].permute(1, 2, 0)
    there = hints[..., 3] > 0
    expected = CASE[f"out.{name}"][1:]
    none = torch.tensor([-512.0, 128.0, 128.0]).view(3, 1, 1)
    assert there.any()
    assert not there.all()
    assert_close(torch.where(there, yuv(hints[..., :3])[0], none), expected, 1)


def test_second_stage():
    """The draft as a picture of hints for every pixel; where the programs hand it on as a file, to the nearest."""
    made = CASE["out.second_stage_input"]
    assert_close(resize_area(LINE, 128, 128)[0], made[:1], 1e-4)
    assert_close(F.interpolate(yuv(CASE["in.small_bgr"]), (128, 128), mode="nearest")[0], made[1:], 1)
