"""PaintsChainer's networks against the official code."""

import math

import pytest
import torch
from chainer_names import ours
from golden_cases import assert_close, golden, golden_json
from torch import nn

from sketchgan.networks import PaintsChainerDiscriminator, PaintsChainerUNet
from sketchgan.networks.paintschainer import lecun_normal, normalise_with_batches

DTYPES = pytest.mark.parametrize("dtype", [torch.float32, torch.float64])


def official(name: str, dtype: torch.dtype = torch.float32) -> nn.Module:
    """The network of the reference run, whose widths are those of the official one divided by 16."""
    build = {
        "unet": lambda: PaintsChainerUNet(ngf=2),
        "lnet": lambda: PaintsChainerUNet(3, 1, ngf=2),
        "dis": lambda: PaintsChainerDiscriminator(ndf=2, image_size=48),
    }
    network = build[name]()
    network.load_state_dict(ours(golden("paintschainer_forward").under(f"state.{name}")))
    return network.to(dtype)


def given(name: str, dtype: torch.dtype) -> torch.Tensor:
    return golden("paintschainer_forward").tensors[f"in.{name}"].to(dtype)


def expected(name: str) -> torch.Tensor:
    return golden("paintschainer_forward").tensors[f"out.{name}"]


@DTYPES
def test_unet_in_evaluation(dtype):
    made = official("unet", dtype).eval()(given("x", dtype))
    assert_close(made, expected("eval"), 1e-6 * expected("eval").abs().max().item())


@DTYPES
def test_unet_in_training(dtype):
    network = official("unet", dtype).train()
    made = network(given("x", dtype))
    assert_close(made, expected("train"), 2.3e-5 * 63)
    after = ours(golden("paintschainer_forward").under("after_trainfwd.unet"))
    state, compared = network.state_dict(), 0
    for key, value in after.items():
        if key.endswith("num_batches_tracked"):
            continue  # Chainer counts only where it averages over all batches
        torch.testing.assert_close(state[key], value.to(dtype), rtol=1e-5, atol=1e-5, msg=key)
        compared += 1
    assert compared == 2 * 17


@DTYPES
def test_discriminator(dtype):
    network, pictures = official("dis", dtype), given("t", dtype)
    assert_close(network.eval()(pictures), expected("dis_eval"), 1e-5)
    assert_close(network.train()(pictures), expected("dis_train"), 1e-5)


@DTYPES
def test_line_network(dtype):
    made = official("lnet", dtype).eval()((given("t", dtype) - 128) / 128)
    assert_close(made, expected("lnet_eval"), 3e-6)


@pytest.mark.parametrize(
    ("name", "build", "count"),
    [
        ("unet", PaintsChainerUNet, 18_639_619),
        ("lnet", lambda: PaintsChainerUNet(3, 1), 18_638_177),
        ("dis", PaintsChainerDiscriminator, 918_082),
    ],
)
def test_full_size(name, build, count):
    with torch.device("meta"):
        network = build()
    assert sum(p.numel() for p in network.parameters()) == count
    names = {key: torch.empty(shape, device="meta") for key, shape in golden_json("paintschainer_keys")[name].items()}
    shapes = {key: tensor.shape for key, tensor in ours(names).items()}
    state = {key: value.shape for key, value in network.state_dict().items() if "running_" not in key}
    assert {key: shape for key, shape in shapes.items() if "running_" not in key} == state


def test_initial_weights():
    network = PaintsChainerUNet(ngf=8)
    for name, fan_in in (("c8", 128 * 9), ("dc8", 128 * 16), ("dc1", 16 * 9)):
        layer = network.get_submodule(name)
        assert layer.weight.std().item() == pytest.approx(fan_in**-0.5, rel=0.1), name
        assert not layer.bias.any()
    judge = PaintsChainerDiscriminator()
    scale = math.sqrt(0.02 * math.sqrt(8 * 8 * 256) / 2)  # of a He-normal draw
    assert judge.l8l.weight.std().item() == pytest.approx(scale * math.sqrt(2 / (8 * 8 * 256)), rel=0.02)
    assert judge.c7.weight.std().item() == pytest.approx((128 * 16) ** -0.5, rel=0.02)
    layer = nn.Linear(100, 100, bias=False)
    lecun_normal(layer)
    assert layer.weight.std().item() == pytest.approx(0.1, rel=0.1)


def test_every_parameter_gets_a_gradient():
    for network, x in (
        (PaintsChainerUNet(ngf=2), torch.randn(2, 4, 32, 48)),
        (PaintsChainerDiscriminator(ndf=2, image_size=32), torch.randn(2, 3, 32, 32)),
    ):
        network(x).square().sum().backward()
        assert [name for name, p in network.named_parameters() if p.grad is None] == []
        # Of biases before batch norm it is 0, but for rounding.
        assert [name for name, p in network.named_parameters() if name.endswith("weight") and not p.grad.any()] == []


def test_a_network_that_takes_rgb_sees_yuv():
    network, plain = PaintsChainerUNet(3, 1, ngf=2, rgb=True), PaintsChainerUNet(3, 1, ngf=2)
    plain.load_state_dict(network.state_dict())
    red = torch.tensor([1.0, -1.0, -1.0]).view(1, 3, 1, 1).expand(1, 3, 16, 16)
    yuv = torch.tensor([76.245, 90.4875, 284.768]).view(1, 3, 1, 1).expand(1, 3, 16, 16)
    torch.testing.assert_close(network.eval()(red), plain.eval()((yuv - 128) / 128), rtol=0, atol=1e-5)
    with pytest.raises(ValueError, match="rgb=True takes pictures of 3 channels, got in_channels=4"):
        PaintsChainerUNet(rgb=True)


def test_batch_statistics_without_memory():
    """In training it is normalised with the batch and does not drift; in evaluation nothing changes."""
    network, x = official("unet"), given("x", torch.float32)
    train, evaluated = network.train()(x), network.eval()(x)
    frozen = normalise_with_batches(official("unet")).requires_grad_(False)
    before = {key: value.clone() for key, value in frozen.state_dict().items()}
    assert torch.equal(frozen.train()(x), train)
    assert all(torch.equal(value, before[key]) for key, value in frozen.state_dict().items())
    assert torch.equal(frozen.eval()(x), official("unet").eval()(x))
    assert not torch.equal(frozen(x), evaluated)  # whose averages have moved


def test_other_sizes_are_refused():
    with pytest.raises(ValueError, match=r"multiples of 16, got 32x40; resize them, or pad them by .*pad_to_multiple"):
        PaintsChainerUNet(ngf=2)(torch.zeros(1, 4, 32, 40))
    with pytest.raises(ValueError, match=r"of 32x32 pixels, got 48x32; give the data that size"):
        PaintsChainerDiscriminator(ndf=2, image_size=32)(torch.zeros(1, 3, 48, 32))
    with pytest.raises(ValueError, match="image_size must be a multiple of 16, got 40"):
        PaintsChainerDiscriminator(image_size=40)
