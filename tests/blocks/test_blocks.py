import pytest
import torch
from golden_cases import assert_close

from sketchgan.blocks import BlurDownsample, BlurUpsample, ReflectionPad2d, ResidualBlock, upsampling_conv


def test_deterministic_reflection_is_the_same(monkeypatch):
    """The path for CUDA under deterministic algorithms, taken here by a tensor that claims to be there."""

    class OnCuda(torch.Tensor):
        is_cuda = True

    monkeypatch.setattr(torch, "are_deterministic_algorithms_enabled", lambda: True)
    pad = ReflectionPad2d((1, 2, 3, 4))
    x = torch.randn(2, 3, 7, 6, requires_grad=True)
    y = pad(x)
    z = pad(x.as_subclass(OnCuda))
    assert torch.equal(y, z.as_subclass(torch.Tensor))
    weight = torch.randn_like(y)
    (dy,) = torch.autograd.grad((y * weight).sum(), x)
    (dz,) = torch.autograd.grad((z * weight).sum(), x)
    assert_close(dz.as_subclass(torch.Tensor), dy, 1e-6)


@pytest.mark.parametrize("size", [(8, 6), (7, 5)])
def test_blurs_keep_brightness_and_change_size(size):
    x = torch.full((1, 2, *size), 0.7)
    down, up = BlurDownsample(2)(x), BlurUpsample(2)(x)
    assert down.shape == (1, 2, (size[0] + 1) // 2, (size[1] + 1) // 2)
    assert up.shape == (1, 2, 2 * size[0], 2 * size[1])
    assert_close(down, torch.full_like(down, 0.7), 1e-6)
    assert_close(up, torch.full_like(up, 0.7), 1e-6)
    assert not BlurDownsample(2).state_dict()


@pytest.mark.parametrize("mode", ["deconv", "nearest", "bilinear"])
def test_upsampling_doubles(mode):
    assert upsampling_conv(2, 3, True, mode)(torch.randn(1, 2, 4, 5)).shape == (1, 3, 8, 10)


def test_residual_block_adds_to_its_input():
    block = ResidualBlock(4, norm="none")
    for parameter in block.parameters():
        torch.nn.init.zeros_(parameter)
    x = torch.randn(1, 4, 6, 6)
    assert torch.equal(block(x), x)
