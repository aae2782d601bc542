"""AODA's networks against the official code: the classifier, and the networks of older papers as AODA uses them."""

import pytest
import torch
from fill import fill, filled
from golden_cases import assert_close, golden, golden_json
from torch import nn

from sketchgan.convert.aoda import generator_keys
from sketchgan.convert.official import load_renamed
from sketchgan.convert.pix2pix_cyclegan import patch_keys, pixel_keys, resnet_keys
from sketchgan.losses import adversarial_loss
from sketchgan.networks import (
    AODAGenerator,
    HRNetClassifier,
    PatchDiscriminator,
    PixelDiscriminator,
    ResnetGenerator,
)


def small_classifier(n_classes: int = 5) -> HRNetClassifier:
    return HRNetClassifier(n_classes, stem=8, layer1=4, branches=(2, 4, 8, 16), heads=(2, 4, 8, 16), features=32)


def official_classifier() -> tuple[HRNetClassifier, dict]:
    reference = golden("aoda_r")
    network = small_classifier()
    network.load_state_dict(reference.under("state.R"))
    return network, reference


def official(network: nn.Module, reference: str, name: str, keys: dict[str, str]) -> nn.Module:
    load_renamed(network, golden(reference).under(f"state.{name}"), keys, name)
    return network


def photo_to_sketch(name: str, out_channels: int) -> ResnetGenerator:
    network = ResnetGenerator(3, out_channels, ngf=4, n_blocks=9)
    return official(network, "aoda_g_a", name, resnet_keys(9))


def test_classifier_in_evaluation():
    network, reference = official_classifier()
    assert_close(network.eval()(reference.tensors["in.photo"]), reference.tensors["out.eval_logits"], 1e-4)


def test_stages_of_the_classifier():
    network, reference = official_classifier()
    made = {}
    for name in ("layer1", "stage2"):
        network.get_submodule(name).register_forward_hook(lambda m, inputs, out, name=name: made.update({name: out}))
    network.eval()(reference.tensors["in.photo"])
    assert_close(made["layer1"], reference.tensors["out.eval_after_layer1"], 1e-4)
    assert len(made["stage2"]) == 2
    for branch, x in enumerate(made["stage2"]):
        assert_close(x, reference.tensors[f"out.eval_stage2_{branch}"], 1e-4, f"branch {branch}")


def test_classifier_in_training():
    network, reference = official_classifier()
    assert_close(network.train()(reference.tensors["in.photo"]), reference.tensors["out.train_logits"], 1e-4)
    buffers = dict(network.named_buffers())
    after = reference.under("after.R")
    assert after.keys() <= buffers.keys()
    assert "left_out" in reference.case or after.keys() == buffers.keys()
    for key, expected in after.items():
        assert_close(buffers[key], expected, 1e-4, key)


@pytest.mark.parametrize(("n_classes", "parameters"), [(3, 11_144_611), (10, 11_158_954), (14, 11_167_150)])
def test_size_of_the_classifier(n_classes, parameters):
    with torch.device("meta"):
        network = HRNetClassifier(n_classes)
    assert sum(p.numel() for p in network.parameters()) == parameters
    assert sum(b.numel() for b in network.buffers()) == 24_123


def test_classifier_has_the_official_names():
    with torch.device("meta"):
        state = HRNetClassifier().state_dict()
    assert {key: list(value.shape) for key, value in state.items()} == golden_json("aoda_keys")["keys"]["R"]


def test_branches_that_have_their_width_already_need_no_convolution():
    network = HRNetClassifier(4, stem=16, layer1=4, branches=(16, 4, 4, 4), heads=(4, 4, 4, 4), features=8)
    names = network.state_dict().keys()
    assert not any(
        name.startswith(("layer1.0.downsample", "transition1.0", "incre_modules.0.0.downs")) for name in names
    )
    assert network(torch.zeros(2, 3, 64, 64)).shape == (2, 4)


@pytest.mark.parametrize("size", [(8, 8), (32, 32), (36, 44), (33, 50), (100, 256)])
def test_classifier_takes_any_size_in_evaluation(size):
    network = small_classifier().eval()
    features = network.features(torch.randn(1, 3, *size))
    assert features.shape == (1, 32)
    assert features.min() >= 0
    assert torch.isfinite(network.classifier(features)).all()


@pytest.mark.parametrize(("n", "height", "width"), [(1, 33, 33), (1, 32, 33), (2, 32, 32), (2, 8, 8), (1, 36, 44)])
def test_every_weight_of_the_classifier_gets_a_gradient(n, height, width):
    network = small_classifier()
    network(torch.randn(n, 3, height, width)).square().sum().backward()
    assert [name for name, p in network.named_parameters() if p.grad is None] == []


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: HRNetClassifier(branches=(16, 32, 64)), r"branches must be four widths .* got \(16, 32, 64\)"),
        (lambda: HRNetClassifier(heads=(32, 64, 128, 0)), r"heads must be four widths .* got \(32, 64, 128, 0\)"),
        (lambda: HRNetClassifier(n_classes=0), "n_classes must be at least 1, got 0"),
        (lambda: HRNetClassifier(features=0), "features must be at least 1, got 0"),
        (
            lambda: small_classifier()(torch.zeros(1, 3, 32, 24)),
            "one picture of 32x24 px .* above 32 px, a larger batch",
        ),
    ],
)
def test_bad_arguments_say_so(build, message):
    with pytest.raises(ValueError, match=message):
        build()


def test_photo_to_sketch_generator():
    network, tensors = photo_to_sketch("G_A", 3), golden("aoda_g_a").tensors
    assert_close(network(tensors["in.photo"]), tensors["out.sketch"], 5e-5)


def test_photo_to_sketch_generator_on_a_rectangle():
    network, tensors = photo_to_sketch("G_A", 3), golden("aoda_g_a").tensors
    assert_close(network(tensors["in.photo_36x44"]), tensors["out.sketch_36x44"], 5e-5)


def test_photo_to_sketch_generator_of_one_channel():
    network, tensors = photo_to_sketch("G_A_gray", 1), golden("aoda_g_a").tensors
    assert_close(network(tensors["in.photo"]), tensors["out.sketch_gray"], 5e-5)


def test_stages_of_the_photo_to_sketch_generator():
    network, tensors = photo_to_sketch("G_A", 3), golden("aoda_g_a").tensors
    x = network.down(network.stem(tensors["in.photo"]))
    assert_close(x, tensors["out.after_down"], 5e-5)
    assert_close(network.blocks[0](x), tensors["out.after_block1"], 5e-5)
    x = network.blocks(x)
    assert_close(x, tensors["out.after_block9"], 5e-5)
    assert_close(network.head[:-1](network.up(x)), tensors["out.before_tanh"], 5e-5)


@pytest.mark.parametrize(
    ("name", "build", "keys", "image"),
    [
        ("D_A", lambda: PatchDiscriminator(3, ndf=4, norm="instance"), patch_keys(3), "image"),
        ("D_A_gray", lambda: PatchDiscriminator(1, ndf=4, norm="instance"), patch_keys(3), "gray"),
        ("D_B", lambda: PatchDiscriminator(3, ndf=4, norm="instance"), patch_keys(3), "image"),
        ("D_pixel", lambda: PixelDiscriminator(3, ndf=4, norm="instance"), pixel_keys(), "image"),
    ],
)
def test_discriminators(name, build, keys, image):
    network, tensors = official(build(), "aoda_d", name, keys), golden("aoda_d").tensors
    assert_close(network(tensors[f"in.{image}"]), tensors[f"out.{name}"], 1e-5)


@pytest.mark.parametrize("mode", ["vanilla", "lsgan", "wgangp"])
def test_adversarial_losses(mode):
    loss, tensors = adversarial_loss(mode), golden("aoda_d").tensors
    assert_close(loss.real(tensors["out.D_A"]), tensors[f"loss.{mode}.real"], 1e-5)
    assert_close(loss.generator(tensors["out.D_A"]), tensors[f"loss.{mode}.real"], 1e-5)
    assert_close(loss.fake(tensors["out.D_A"]), tensors[f"loss.{mode}.fake"], 1e-5)


@pytest.mark.parametrize(
    ("name", "build", "keys", "inputs"),
    [
        ("G_A", ResnetGenerator, resnet_keys(9), ["photo"]),
        ("G_B", AODAGenerator, generator_keys(9), ["sketch", "label"]),
        ("D_A", lambda: PatchDiscriminator(3, norm="instance"), patch_keys(3), ["sketch"]),
        ("D_B", lambda: PatchDiscriminator(3, norm="instance"), patch_keys(3), ["photo"]),
        ("R", HRNetClassifier, None, ["sketch"]),
    ],
)
@torch.no_grad()
def test_full_size(name, build, keys, inputs):
    tensors = golden("aoda_fullsize").tensors
    for key in ("in.photo", "in.sketch"):
        assert torch.equal(filled(key, tensors[key].shape, "input"), tensors[key]), key
    network = build()
    fill(network, name, keys)
    given = [tensors[f"in.{key}"] for key in inputs]
    if name == "R":
        assert_close(network.eval()(*given), tensors["out.R_eval"], 1e-4)
        assert_close(network.train()(*given), tensors["out.R_train"], 1e-4)
    else:
        assert_close(network(*given), tensors[f"out.{name}"], 1e-4)
