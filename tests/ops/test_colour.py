import pytest
import torch
from golden_cases import golden

from sketchgan.ops import grey, rgb_to_yuv, yuv_to_rgb


def some_pictures(dtype=torch.float64):
    return torch.rand(2, 3, 5, 7, dtype=dtype, generator=torch.Generator().manual_seed(1)) * 2 - 1


def test_yuv_against_the_official_code():
    """OpenCV rounds Y before U and V are made of it, which changes them by less than a level."""
    case = golden("paintschainer_preproc").tensors
    rgb = case["in.yuv_bgr"].flip(-1).permute(2, 0, 1)[None].double()
    expected = case["out.yuv"].permute(2, 0, 1)[None].double()
    yuv = rgb_to_yuv(rgb / 127.5 - 1)
    assert torch.equal(yuv[:, 0].round(), expected[:, 0])
    y = expected[:, 0]
    exact = torch.stack([y, yuv[:, 1] + 0.492 * (yuv[:, 0] - y), yuv[:, 2] + 0.877 * (yuv[:, 0] - y)], dim=1)
    assert torch.equal(exact.round().clamp(0, 255), expected)
    assert (yuv.round().clamp(0, 255) - expected).abs().max() <= 1
    assert (yuv[:, 2] > 255).any()  # there was something to clip


@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float64, 1e-14), (torch.float32, 1e-6)])
def test_there_and_back(dtype, tolerance):
    pictures = some_pictures(dtype)
    back = yuv_to_rgb(rgb_to_yuv(pictures))
    assert back.dtype == dtype
    torch.testing.assert_close(back, pictures, rtol=0, atol=tolerance)


def test_colours_beyond_the_screen_are_not_clipped():
    bright = yuv_to_rgb(torch.tensor([300.0, 128.0, 128.0]).view(1, 3, 1, 1))
    torch.testing.assert_close(bright, torch.full((1, 3, 1, 1), 300 / 127.5 - 1))


def test_grey_weighs_the_channels_and_keeps_the_range():
    channels = torch.eye(3).view(3, 3, 1, 1)
    torch.testing.assert_close(grey(channels).flatten(), torch.tensor([0.30, 0.59, 0.11]))
    torch.testing.assert_close(grey(-torch.ones(1, 3, 2, 2)), -torch.ones(1, 1, 2, 2))
    one = torch.rand(2, 1, 3, 3)
    assert grey(one) is one


def test_gradients_flow():
    pictures = some_pictures().requires_grad_()
    assert torch.autograd.gradcheck(lambda x: yuv_to_rgb(rgb_to_yuv(x)) + grey(x), pictures[..., :2, :2])


@pytest.mark.parametrize("convert", [rgb_to_yuv, yuv_to_rgb, grey])
def test_other_channels_are_refused(convert):
    with pytest.raises(ValueError, match=r"3 channels, got 2|\(N, 3, H, W\), got \(1, 2, 4, 4\)"):
        convert(torch.zeros(1, 2, 4, 4))
