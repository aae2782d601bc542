"""SketchyGAN's networks against the official code; in float64, as in float32 a min-max gate may take another pixel."""

import pytest
import torch
from golden_cases import assert_close, golden
from torch import Tensor

from sketchgan.blocks import image_pyramid
from sketchgan.convert.official import renamed
from sketchgan.convert.sketchygan import discriminator_keys, generator_keys
from sketchgan.networks import SketchyGANDiscriminator, SketchyGANGenerator
from sketchgan.networks.sketchygan import decay_groups
from sketchgan.ops import advance_spectral_norm


def assert_near(actual: Tensor, expected: Tensor, rtol: float, what: str) -> None:
    """By the golden page's "rel": differences as a share of the largest value."""
    assert_close(actual, expected, rtol * expected.abs().max().item(), what)


def inputs(case, prefix: str) -> dict[str, Tensor]:
    return {k: v.double() if v.is_floating_point() else v for k, v in case.under(prefix).items()}


def test_generator():
    case = golden("sketchygan_generator")
    generator = SketchyGANGenerator(n_classes=5, ngf=4)
    lacking = generator.load_state_dict(renamed(case.under("state.G"), generator_keys(generator)), strict=False)
    assert not lacking.unexpected_keys
    assert all("running" in key or "tracked" in key for key in lacking.missing_keys)
    generator.double()
    given = inputs(case, "in")
    noise = given["noise"].requires_grad_()
    pyramid = image_pyramid(given["sketch"], 5)
    states = generator.encode(pyramid, given["labels"])
    for level, state in enumerate(states):
        assert_near(state[-1], case.tensors[f"out.encoder{level}"], 1e-5, f"encoder {level}")
    seen = []
    for unit in generator.decoder:
        unit.register_forward_hook(lambda module, args, out: seen.append(out[-1]))
    image = generator(given["sketch"], given["labels"], noise)
    assert_close(image, case.tensors["out.image"], 5e-5, "image")
    for level, state in enumerate(seen):
        assert_near(state, case.tensors[f"out.decoder{level}"], 1e-5, f"decoder {level}")
    image.backward(given["cotangent"])
    assert_near(noise.grad, case.tensors["out.grad_noise"], 1e-5, "noise")
    assert_near(generator.stem.weight.grad, case.tensors["out.grad.generator/Conv/weights"], 1e-5, "stem")
    with torch.no_grad():
        other, same = generator(given["sketch"], torch.tensor([1, 1, 0]), noise, noise)
    assert_close(other, case.tensors["out.image_labels_1_1_0"], 5e-5, "other labels")
    assert torch.equal(other, same)


@pytest.mark.parametrize(
    ("name", "options"),
    [("D_sn", {}), ("D_plain", {"spectral_norm": False}), ("D_proj", {"projection": True})],
)
def test_discriminator(name, options):
    case = golden("sketchygan_discriminator")
    discriminator = SketchyGANDiscriminator(n_classes=5, ndf=4, **options)
    keys = discriminator_keys(discriminator)
    discriminator.load_state_dict(renamed(case.under(f"state.{name}"), keys))
    discriminator.double()
    given = inputs(case, f"in.{name}")
    picture = given["image"].requires_grad_()
    score, class_logits = discriminator(picture, given["labels"])
    assert_near(score, case.tensors[f"out.{name}.disc"], 1e-5, "score")
    total = (score * given["cotangent_disc"]).sum()
    assert (class_logits is None) == (name == "D_proj")
    if class_logits is not None:
        assert_near(class_logits, case.tensors[f"out.{name}.logits"], 1e-5, "classes")
        total = total + (class_logits * given["cotangent_logits"]).sum()
    total.backward()
    assert_near(picture.grad, case.tensors[f"out.{name}.grad_image"], 1e-5, "picture")
    parameters = dict(discriminator.named_parameters())
    gradients = renamed(case.under(f"out.{name}.grad"), keys)
    assert len(gradients) == 3
    for key, expected in gradients.items():
        assert_near(parameters[key].grad, expected, 1e-5, key)
    advance_spectral_norm(discriminator)
    advanced = renamed(case.under(f"out.{name}.after_update"), keys)
    assert bool(advanced) == (name != "D_plain")
    for key, expected in advanced.items():
        assert_near(discriminator.state_dict()[key], expected, 1e-5, key)


def test_every_network_of_the_ablations_trains():
    sketch, labels, noise = torch.rand(2, 3, 32, 32), torch.tensor([0, 2]), torch.randn(2, 8)
    for kind in ("v1", "v2", "v3", "paper", "resnet", "dcgan"):
        for options in ({"encoder": kind, "decoder": kind, "n_blocks": 2}, {"encoder": kind, "skips": False}):
            generator = SketchyGANGenerator(n_classes=3, ngf=2, image_size=32, noise_dim=8, **options)
            generator(sketch, labels, noise).square().mean().backward()
            idle = [name for name, p in generator.named_parameters() if p.grad is None or not p.grad.isfinite().all()]
            assert idle == [], (kind, options)
    for options in ({"block": "resnet"}, {"sn_update": "forward", "sn_iterations": 2}, {"n_blocks": 2}):
        discriminator = SketchyGANDiscriminator(n_classes=3, ndf=2, **options)
        score, class_logits = discriminator(sketch)
        (score.mean() + class_logits.mean()).backward()
        assert all(p.grad is not None for p in discriminator.parameters())


def test_other_sizes_get_a_noise_map_of_their_own():
    generator = SketchyGANGenerator(n_classes=3, ngf=2, image_size=64, noise_dim=8)
    picture = generator(torch.rand(2, 3, 96, 32), torch.tensor([0, 2]), torch.randn(2, 8))
    assert picture.shape == (2, 3, 96, 32)
    with pytest.raises(ValueError, match="image_size must be a multiple of 32, got 48"):
        SketchyGANGenerator(image_size=48)


def test_a_projection_needs_labels():
    with pytest.raises(ValueError, match="judges a picture with its class; pass labels"):
        SketchyGANDiscriminator(n_classes=3, ndf=2, projection=True)(torch.rand(2, 3, 32, 32))


def test_what_decays():
    """Convolutions inside units but for the projections of gated ones, and linear maps."""
    for network in (SketchyGANGenerator(n_classes=3, ngf=2), SketchyGANDiscriminator(n_classes=3, ndf=2)):
        names = {id(p): name for name, p in network.named_parameters()}
        rates = {names[id(p)]: g["weight_decay"] for g in decay_groups(network, 1e-5, 1e-6) for p in g["params"]}
        assert rates.keys() == set(names.values())
        for name, rate in rates.items():
            unit = name.startswith(("encoder", "decoder", "units"))
            weight = name.endswith(("weight", "weight_orig"))
            projection = name.startswith("decoder") and "project" in name
            expected = 1e-5 if unit and weight and not projection else 0.0
            if name.startswith(("spread", "classify")) and weight:
                expected = 1e-6
            assert rate == expected, name
