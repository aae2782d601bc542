"""Networks against the official code, at the golden pages' tolerance for forward cases."""

import pytest
import torch
from golden_cases import Golden, assert_close, golden
from torch import nn

from sketchgan.convert.pix2pix_cyclegan import (
    from_official,
    patch_keys,
    pixel_keys,
    resnet_keys,
    to_official,
    unet_keys,
)
from sketchgan.networks import PatchDiscriminator, PixelDiscriminator, ResnetGenerator, UNetGenerator

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


def build(case: dict) -> tuple[nn.Module, dict, str]:
    """Our network of a case's settings, its key map, and its letter in the file."""
    if case["net"] == "UnetGenerator":
        dropout = 0.5 if case["use_dropout"] else 0.0
        network: nn.Module = UNetGenerator(
            case["input_nc"], case["output_nc"], case["num_downs"], case["ngf"], case["norm"], dropout
        )
        return network, unet_keys(case["num_downs"]), "G"
    if case["net"] == "ResnetGenerator":
        blur = {side: case.get(f"antialias_{side}", False) for side in ("down", "up")}
        network = ResnetGenerator(
            case["input_nc"],
            case["output_nc"],
            case["ngf"],
            case["n_blocks"],
            case["norm"],
            0.5 if case["use_dropout"] else 0.0,
            case["padding_type"],
            blur["down"],
            blur["up"],
        )
        keys = resnet_keys(case["n_blocks"], case["use_dropout"], case["padding_type"], blur["down"], blur["up"])
        return network, keys, "G"
    if case["net"] == "NLayerDiscriminator":
        blur_down = case.get("antialias_down", False)
        network = PatchDiscriminator(case["input_nc"], case["ndf"], case["n_layers"], case["norm"], blur_down)
        return network, patch_keys(case["n_layers"], blur_down), "D"
    return PixelDiscriminator(case["input_nc"], case["ndf"], case["norm"]), pixel_keys(), "D"


def loaded(reference: Golden) -> tuple[nn.Module, dict, str]:
    network, keys, letter = build(reference.case)
    network.load_state_dict(from_official(reference.under(f"state.{letter}"), keys))
    network.train(reference.case["mode"] == "train")
    return network, keys, letter


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


@pytest.mark.parametrize("name", ["pix2pix_unet64_instance", "cyclegan_resnet6_batch_dropout_eval"])
def test_keys_go_both_ways(name):
    reference = golden(name)
    network, keys, letter = loaded(reference)
    assert to_official(network.state_dict(), keys).keys() == reference.under(f"state.{letter}").keys()
    with pytest.raises(KeyError, match="model.99.weight"):
        from_official({"model.99.weight": torch.zeros(1)}, keys)
