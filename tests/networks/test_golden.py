"""Networks against the official code, at the tolerance measured for forward passes."""

import pytest
import torch
from golden_cases import Golden, assert_close, golden
from torch import nn

from sketchgan.convert import from_official, to_official
from sketchgan.convert.official import recognise
from sketchgan.convert.pix2pix_cyclegan import NETWORKS

ATOL = 2e-5

CASES = [
    "pix2pix_unet64_batch_eval",
    "pix2pix_unet64_batch_train",
    "pix2pix_unet64_instance",
    "pix2pix_unet64_none",
    "pix2pix_unet64_batch_eval_rect",
    "pix2pix_unet256_batch_eval",
    "pix2pix_unet256_batch_train_b1",
    "pix2pix_patchgan70_batch_eval",
    "pix2pix_patchgan70_batch_train",
    "pix2pix_nlayers1_rf16_batch_eval",
    "pix2pix_nlayers4_rf142_instance",
    "pix2pix_nlayers5_rf286_batch_eval",
    "pix2pix_pixel_rf1_batch_eval",
    "pix2pix_pixel_rf1_instance",
    "cyclegan_resnet6_instance",
    "cyclegan_resnet9_instance_rect",
    "cyclegan_resnet6_batch_dropout_eval",
    "cyclegan_resnet6_batch_train",
    "cyclegan_resnet6_instance_zeropad",
    "cyclegan_resnet6_instance_replicatepad",
    "cyclegan_resnet6_instance_size30",
    "cyclegan_resnet6_instance_antialias",
    "cyclegan_resnet6_instance_antialias_downonly",
    "cyclegan_patchgan70_instance",
    "cyclegan_patchgan_instance_antialias",
]


def expected_settings(case: dict) -> dict:
    """The arguments of our network that a case's settings stand for."""
    if case["net"] == "UnetGenerator":
        names = ("input_nc", "output_nc", "num_downs", "ngf", "norm")
    elif case["net"] == "ResnetGenerator":
        names = ("input_nc", "output_nc", "n_blocks", "ngf", "norm")
    elif case["net"] == "NLayerDiscriminator":
        names = ("input_nc", "ndf", "n_layers", "norm")
    else:
        names = ("input_nc", "ndf", "norm")
    settings = {
        name.replace("input_nc", "in_channels").replace("output_nc", "out_channels"): case[name] for name in names
    }
    if "use_dropout" in case:
        settings["dropout"] = 0.5 if case["use_dropout"] else 0.0
    if case["net"] == "ResnetGenerator":
        settings |= {f"antialias_{side}": case.get(f"antialias_{side}", False) for side in ("down", "up")}
        settings["padding"] = case["padding_type"]
    if case["net"] == "NLayerDiscriminator":
        settings["antialias"] = case.get("antialias_down", False)
    return settings


def loaded(reference: Golden) -> tuple[nn.Module, dict, str]:
    """Our network, built from the official weights alone and what they cannot show; its key map and letter."""
    case = reference.case
    letter = "G" if "Generator" in case["net"] else "D"
    hidden = {}
    if case["net"] == "UnetGenerator":
        hidden["dropout"] = 0.5 if case["use_dropout"] else 0.0
    if case.get("padding_type") == "replicate":
        hidden["padding"] = "replicate"
    found = recognise(reference.under(f"state.{letter}"), NETWORKS, **hidden)
    assert found.settings == expected_settings(case)
    network = from_official(reference.under(f"state.{letter}"), **hidden)
    network.train(case["mode"] == "train")
    return network, found.official.keys(network), letter


@pytest.mark.parametrize("name", CASES)
def test_matches_official(name):
    reference = golden(name)
    network, keys, letter = loaded(reference)
    x = reference.tensors["in.x"].requires_grad_(True)
    y = network(x)
    assert_close(y, reference.tensors["out.y"], ATOL)
    for key, expected in reference.under(f"after.{letter}").items():  # running statistics
        layer, _, entry = key.rpartition(".")
        assert_close(network.state_dict()[f"{keys[layer]}.{entry}"], expected, ATOL, key)
    for key, expected in reference.under("out").items():
        if key.startswith("input_grad_of_unit_"):
            row, column = map(int, key.rsplit("_", 2)[1:])
            (gradient,) = torch.autograd.grad(y[0, 0, row, column], x, retain_graph=True)
            assert_close(gradient, expected, ATOL, key)
            assert torch.equal(gradient == 0, expected == 0), "another receptive field"


def test_dropout_where_official_drops():
    reference = golden("pix2pix_unet128_dropout_masks")
    network, keys, _ = loaded(reference)
    masks = {path.rpartition(".model.")[0]: mask for path, mask in reference.under("in.dropout_mask").items()}
    blocks = {keys[f"{path}.model.5"]: mask for path, mask in masks.items()}  # the up-convolution of the same level
    dropped = 0
    for name, module in network.named_modules():
        if isinstance(module, nn.Dropout):
            mask = blocks[f"{name.rpartition('.')[0]}.1"]
            module.register_forward_hook(lambda m, inputs, out, mask=mask: inputs[0] * mask * 2)
            dropped += 1
    assert dropped == len(masks) == 2
    assert_close(network(reference.tensors["in.x"]), reference.tensors["out.y"], ATOL)


@pytest.mark.parametrize("name", CASES)
def test_goes_back_to_the_official_weights(name):
    reference = golden(name)
    network, _, letter = loaded(reference)
    official, expected = to_official(network), reference.under(f"state.{letter}")
    assert official.keys() == expected.keys()
    for key, value in expected.items():
        assert torch.equal(official[key], value), key
