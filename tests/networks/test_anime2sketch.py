"""Anime2Sketch's networks against the official code, at the tolerances of the golden page."""

import pytest
import torch
import torch.nn.functional as F
from fill import fill, filled
from golden_cases import Golden, assert_close, golden, golden_json
from torch import Tensor, nn

from sketchgan.blocks import BlurUpsample, SmoothUpsample, upsampling_conv
from sketchgan.convert import from_official, to_official
from sketchgan.convert.official import recognise
from sketchgan.convert.pix2pix_cyclegan import NETWORKS, unet_keys
from sketchgan.networks import UNetGenerator

UNET = {"in_channels": 3, "out_channels": 1, "norm": "instance", "dropout": 0.0}
NAMES = {"input_nc": "in_channels", "output_nc": "out_channels", "num_downs": "num_downs", "ngf": "ngf", "norm": "norm"}


def loaded(reference: Golden, prefix: str, **hidden: float) -> nn.Module:
    state = reference.under(f"state.{prefix}")
    found = recognise(state, NETWORKS, **hidden)
    expected = {NAMES[name]: value for name, value in reference.case["settings"].items() if name in NAMES}
    expected |= {"dropout": 0.0} | ({"upsample": "smooth"} if prefix == "improved" else {})
    assert found.settings == expected
    return from_official(state, **hidden)


@pytest.mark.parametrize("training", [False, True])
def test_default_network_matches_official(training):
    reference = golden("anime2sketch_unet")
    network = loaded(reference, "unet", dropout=0.0).train(training)
    picture = reference.tensors["in.image"]
    with torch.no_grad():
        assert_close(network.down[0](picture), reference.tensors["out.after_down1"], 5e-5)
        assert_close(network(picture), reference.tensors["out.sketch"], 5e-5)
        wide = network(reference.tensors["in.image_64x128"])
    assert_close(wide, reference.tensors["out.sketch_64x128"], 5e-5)


def test_improved_layer_matches_official_step_by_step():
    reference = golden("anime2sketch_improved")
    layer = SmoothUpsample(6, 4)
    state = reference.under("state.upsample")
    kernel = state.pop("smooth.kernel")
    layer.load_state_dict(state)
    features, out = reference.tensors["in.features"], reference.under("out")
    assert_close(BlurUpsample(6)(features), out["bilinear"], 1e-5)
    with torch.no_grad():
        assert_close(layer.smooth(features), out["smooth"], 1e-5)
        assert_close(layer.conv(out["smooth"]), out["conv"], 1e-5)
        assert_close(layer(features), out["upsample"], 1e-5)
    assert_close(official_smooth(features, kernel), out["smooth"], 1e-6)  # so the reference below is the official one


def official_smooth(x: Tensor, kernel: Tensor) -> Tensor:
    """The two steps that the official code makes of what is one here."""
    x = F.interpolate(x, scale_factor=2, mode="bilinear", align_corners=False)
    return F.conv2d(F.pad(x, (1, 1, 1, 1), mode="replicate"), kernel.expand(x.shape[1], 1, 3, 3), groups=x.shape[1])


@pytest.mark.parametrize("size", [(1, 1), (1, 2), (2, 3), (9, 4), (16, 16)])
def test_one_filter_is_two_at_every_border(size):
    row = torch.tensor([1.0, 2.0, 1.0], dtype=torch.float64) / 4
    x = torch.randn(2, 3, *size, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    smooth = BlurUpsample(3, (1.0, 5.0, 10.0, 10.0, 5.0, 1.0)).double()
    assert_close(smooth(x), official_smooth(x, torch.outer(row, row)[None, None]), 1e-12)
    bilinear = F.interpolate(x, scale_factor=2, mode="bilinear", align_corners=False)
    assert_close(BlurUpsample(3).double()(x), bilinear, 1e-12)


def test_improved_network_matches_official():
    reference = golden("anime2sketch_improved")
    network = loaded(reference, "improved")
    with torch.no_grad():
        made = network(reference.tensors["in.image_u8"].float() / 127.5 - 1)
    assert_close(made, reference.tensors["out.sketch"], 2e-4)


@pytest.mark.parametrize(("case", "prefix"), [("anime2sketch_unet", "unet"), ("anime2sketch_improved", "improved")])
def test_goes_back_to_the_official_weights(case, prefix):
    reference = golden(case)
    expected = reference.under(f"state.{prefix}")
    official = to_official(loaded(reference, prefix, dropout=0.0))
    assert official.keys() == expected.keys()
    for key, value in expected.items():
        assert torch.equal(official[key], value), key


def test_other_blurs_are_refused():
    state = to_official(UNetGenerator(3, 1, 4, ngf=2, norm="instance", upsample="smooth"))
    (first, *_) = [key for key in state if key.endswith(".smooth.kernel")]
    box = state | {first: torch.full((1, 1, 3, 3), 1 / 9)}
    with pytest.raises(ValueError, match=r"up\.1\.1\.smooth\.filt is a constant of the U-Net .* other values"):
        from_official(box)
    with pytest.raises(ValueError, match=r"smooth\.kernel \(1, 1, 5, 5\) is no blur of 3x3 pixels"):
        from_official(state | {first: torch.ones(1, 1, 5, 5)})
    del state[first]
    with pytest.raises(ValueError, match=r"1 of \d+ entries do not fit the U-Net generator .*no .*smooth\.filt"):
        from_official(state)


@pytest.mark.parametrize(("upsample", "model"), [("deconv", "default"), ("smooth", "improved")])
def test_released_sizes_have_the_official_keys_and_shapes(upsample, model):
    expected = golden_json("anime2sketch_keys")
    with torch.device("meta"):  # without memory
        network = UNetGenerator(**UNET, upsample=upsample)
    official = to_official(network)
    assert {key: list(value.shape) for key, value in official.items()} == expected["keys"][model]
    assert sum(weight.numel() for weight in network.parameters()) == expected["parameters"][model]


def test_only_the_middle_levels_are_smooth():
    network = UNetGenerator(num_downs=5, ngf=2, upsample="smooth")
    assert [type(up[1]) for up in network.up] == [nn.ConvTranspose2d, *[SmoothUpsample] * 3, nn.ConvTranspose2d]
    assert not any("filt" in key for key in network.state_dict())
    network(torch.randn(1, 3, 32, 64)).sum().backward()
    assert all(weight.grad is not None for weight in network.parameters())
    with pytest.raises(
        ValueError, match='upsample must be "deconv", "nearest", "bilinear" or "smooth", got \'bicubic\''
    ):
        upsampling_conv(2, 2, True, "bicubic")


@pytest.mark.parametrize(("upsample", "model"), [("deconv", "default"), ("smooth", "improved")])
def test_released_sizes_match_official(upsample, model):
    expected = golden("anime2sketch_fullsize").tensors[f"out.{model}"]
    network = UNetGenerator(**UNET, upsample=upsample)
    fill(network, f"unet_{model}", unet_keys(8, upsample == "smooth"))
    with torch.no_grad():
        assert_close(network(filled("in.image", (1, 3, 256, 256), "input")), expected, 1e-4)
