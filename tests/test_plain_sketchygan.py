"""The plain SketchyGAN of the benchmarks against the official code."""

import pytest
import torch
import torch.nn.functional as F
from benchmarks import plain_sketchygan as plain
from benchmarks.plain_sketchygan import Discriminator, Generator, Stem, Variables, iteration, sketchygan
from golden_cases import assert_close, golden, golden_json, whole
from torch import nn
from torch.optim import Adam

MODES = ["sn_logistic", "dragan", "wgan_gp"]
MRU = {
    "v3_enc_s2_proj": {},
    "v3_enc_s1_noproj": {"stride": 1},
    "v3_disc_s2_sn": {},
    "v3_disc_s2_nosn": {},
    "v3_deconv_s2": {},
    "v3_enc_normmask": {"norm": "mask"},
    "v3_unit_last": {},
    "v3_unit_2blocks": {},
    "v2_dec_s2_proj": {},
    "v2_dec_s2_noproj": {},
    "v2_conv_s2": {},
    "v1_conv_s2": {"sigmoid": True},
    "v1_conv_s1_noproj": {"stride": 1, "sigmoid": True},
    "v1_deconv_s2": {"sigmoid": True},
}


def assert_near(ours, theirs, rtol, what):
    """Up to ``rtol`` of the largest value."""
    assert_close(ours, theirs, rtol * theirs.abs().max().item(), what)


class Block(Variables):
    """A masked residual unit alone, or a unit of them with what follows the last one."""

    def __init__(self, name, case):
        activations = {"miu_relu": plain.miu_relu, "prelu": "prelu", "relu": F.relu}
        super().__init__(5, activations[case["act"]], normalised=case["norm"] is not None, spectral=case["sn"])
        self.name, self.case = name, case

    def forward(self, hidden, image, labels=None):
        case, outputs = self.case, self.case["filter_depth"]
        kind = self.residual if self.name.startswith("v3") else self.gated
        options = {key: value for key, value in MRU[self.name].items() if key != "stride"}
        scope = {
            "v3_unit_last": "block/mru_conv_unit_t_4_layer_0",
            "v3_unit_2blocks": "block/mru_conv_unit_t_1_layer_0",
        }
        if case.get("form") == "deconv":
            return kind(plain.upsample(hidden), image, "block", outputs, labels, **options)
        y = kind(hidden, image, scope.get(self.name, "block"), outputs, labels, **options)
        if case["stride"] == 2:
            y = F.avg_pool2d(y, 2)
        if self.name == "v3_unit_2blocks":
            y = kind(F.avg_pool2d(0.5 * hidden, 2), y, "block/mru_conv_unit_t_1_layer_1", outputs, labels)
        return self.act(y, "block/mru_conv_unit_last_norm", labels) if "unit" in self.name else y


@pytest.mark.parametrize("name", MRU)
def test_masked_residual_units(name):
    reference = golden("sketchygan_mru")
    given, expected = reference.under(f"in.{name}"), reference.under(f"out.{name}")
    block = Block(name, reference.case["sub_cases"][name])
    cotangent = given.pop("cotangent")
    with torch.no_grad():
        block(**given)
    block.load_state_dict(reference.under(f"state.{name}"))
    for key in ("hidden", "image"):
        given[key].requires_grad_(True)
    y = block(**given)
    assert_near(y, expected["y"], 1e-5, "y")
    (y * cotangent).sum().backward()
    compare(block, given, expected, 1e-5)


def compare(network, given, expected, rtol):
    """Gradients of what was given and of variables, and the power iteration."""
    block_of = {key: value for key, value in expected.items() if key.startswith("grad")}
    assert len(block_of) >= 2
    for key, value in block_of.items():
        kind, _, rest = key.partition("_" if key.startswith("grad_") else ".")
        gradient = given[rest].grad if key.startswith("grad_") else network.get_parameter(rest).grad
        assert_near(gradient, value, rtol, f"{kind} {rest}")
    network.store_u()
    for key, value in expected.items():
        if key.startswith("after_update."):
            assert_near(network.get_buffer(key.removeprefix("after_update.")), value, rtol, key)


def test_generator():
    reference = whole("sketchygan_generator")
    given, expected = reference.under("in"), reference.under("out")
    network = Generator(5, 4)
    network.load_state_dict(reference.under("state.G"))
    given["noise"].requires_grad_(True)
    features = network.features(given["sketch"], given["labels"], given["noise"])
    assert_close(features["image"], expected["image"], 5e-5, "image")
    for key, value in features.items():
        if key != "image":
            assert_near(value, expected[key], 1e-5, key)
    assert len(features) == 11
    (features["image"] * given["cotangent"]).sum().backward()
    compare(network, given, expected, 1e-5)
    other = network(given["sketch"], torch.tensor([1, 1, 0]), given["noise"])
    assert_close(other, expected["image_labels_1_1_0"], 5e-5, "other labels")


@pytest.mark.parametrize("name", ["D_sn", "D_plain", "D_proj"])
def test_discriminators(name):
    reference = golden("sketchygan_discriminator")
    given, expected = reference.under(f"in.{name}"), reference.under(f"out.{name}")
    network = Discriminator(5, 4, spectral=name != "D_plain", projection=name == "D_proj")
    network.load_state_dict(reference.under(f"state.{name}"))
    given["image"].requires_grad_(True)
    made = dict(zip(("disc", "logits"), network(given["image"], given["labels"]), strict=True))
    made = {key: value for key, value in made.items() if value is not None}
    assert made.keys() == expected.keys() & {"disc", "logits"}
    for key, value in made.items():
        assert_near(value, expected[key], 1e-5, key)
    sum((value * given[f"cotangent_{key}"]).sum() for key, value in made.items()).backward()
    compare(network, given, expected, 1e-5)
    assert len([key for key in expected if key.startswith("after")]) == (
        0 if name == "D_plain" else len(network.advanced)
    )


@pytest.fixture(scope="module")
def stem():
    weights = golden("sketchygan_perceptual").under("state.InceptionV4")
    network = Stem()
    network.load_state_dict({key: value.float() for key, value in weights.items()})
    return network


@pytest.mark.parametrize("mode", MODES)
def test_gan_losses(mode):
    reference = golden("sketchygan_losses")
    given, values = reference.under("in"), reference.under(f"loss.{mode}")
    penalty = 0.0
    if mode != "sn_logistic":
        network = Discriminator(5, 4, spectral=False)
        network.load_state_dict(golden("sketchygan_discriminator").under("state.D_plain"))
        network.get_parameter("discriminator/Conv_1/weights").data *= 6
        judge = lambda images: network(images, None)[0]  # noqa: E731
        penalty = plain.gradient_penalty(
            mode, judge, given["image_d"], given["gens"], given["gp_alpha"], given["dragan_uniform"]
        )
        assert_close(penalty, values["gradient_penalty"], 1e-5, "penalty")
        penalty.backward()
        for key, value in reference.under(f"out.{mode}.grad.gradient_penalty").items():
            assert_near(network.get_parameter(key).grad, value, 1e-5, key)
        penalty = penalty.detach()
    terms = {
        "gan_g": (lambda x: plain.gan_g(mode, x["fake_disc"]), ("fake_disc",)),
        "gan_d": (lambda x: plain.gan_d(mode, x["real_disc"], x["fake_disc"], penalty), ("real_disc", "fake_disc")),
    }
    check(reference, mode, terms)


def check(reference, mode, terms):
    """Values, and those gradients that are stored."""
    for name, (term, arguments) in terms.items():
        given = {key: x.clone().requires_grad_(key in arguments) for key, x in reference.under("in").items()}
        loss = term(given)
        assert_close(loss, reference.tensors[f"loss.{mode}.{name}"], 1e-5, name)
        gradients = reference.under(f"out.{mode}.grad.{name}")
        assert set(arguments) == gradients.keys() or mode != "sn_logistic"
        loss.backward()
        for key, value in gradients.items():
            assert_near(given[key].grad, value, 1e-5, f"{name} by {key}")


def test_losses_of_all_modes():
    reference = golden("sketchygan_losses")
    check(
        reference,
        "sn_logistic",
        {
            "ac_g": (lambda x: 0.5 * plain.classified(x["fake_logits"], x["labels_fake"], gamma=0), ("fake_logits",)),
            "ac_d": (lambda x: plain.classified(x["real_logits"], x["labels_real"], gamma=2), ("real_logits",)),
            "diversity": (
                lambda x: plain.diversity(x["gens"], x["gens_b"], x["noise_a"], x["noise_b"]),
                ("gens", "gens_b"),
            ),
        },
    )
    for name in ("ac_g", "ac_d", "diversity", "direct", "perceptual"):
        assert len({reference.tensors[f"loss.{mode}.{name}"].item() for mode in MODES}) == 1


def test_perceptual_loss(stem):
    reference = golden("sketchygan_losses")
    given, expected = reference.under("in"), reference.under("out")
    images, gens = given["images"], given["gens"].requires_grad_(True)
    layers = []
    stem.register_forward_hook(lambda network, inputs, made: layers.append(made))
    loss = plain.perceptual(stem, images, gens)
    for i, layer in enumerate(layers[0]):
        assert_near(layer.mean((2, 3)), expected[f"inception{i}_images_mean"], 2e-5, f"mean of layer {i}")
        assert_near(layer[:, :8, :6, :6], expected[f"inception{i}_images_crop"], 2e-5, f"crop of layer {i}")
    values = reference.under("loss.sn_logistic")
    assert_close(loss, values["perceptual"], 1e-5, "perceptual")
    assert_close((images - gens).abs().mean(), reference.tensors["loss.L1"], 1e-5, "L1")
    assert_close(plain.direct(None, images, gens) + 0.3 * loss, values["direct"], 1e-5, "direct")
    loss.backward()
    theirs = expected["sn_logistic.grad.perceptual.gens"]
    assert (gens.grad - theirs).norm() < 5e-3 * theirs.norm()


def has_no_gradient(name):
    """Biases before a conditional batch norm: their gradients are rounding errors, of which Adam makes whole steps."""
    if name == "generator/fully_connected/biases":
        return True
    *_, unit, layer, kind = name.split("/")
    if kind != "biases" or not unit.startswith("mru"):
        return False
    if unit.startswith("mru_deconv"):
        return layer in ("Conv_2", "Conv_3", "Conv_4")
    return layer == "Conv_1" or (layer in ("Conv_2", "Conv_3") and unit[len("mru_conv_unit_t_")] in "34")


def test_three_iterations(stem):
    reference = whole("sketchygan_train3")
    case = reference.case
    nets = sketchygan(case["num_classes"], case["size"], case["size"])
    nets["generator"].load_state_dict(reference.under("state.G"))
    nets["discriminator"].load_state_dict(reference.under("state.D"))
    nets["stem"] = stem
    step = iteration(nets, lr_g=case["lr_g"], lr_d=case["lr_d"], i_max=case["max_iter_step"])
    for k in (1, 2, 3):
        batches = [reference.under(f"in.step{k}.{net}") for net in "dg"]
        losses = step(
            *({key: x / 127.5 - 1 if x.dtype == torch.uint8 else x for key, x in batch.items()} for batch in batches)
        )
        expected = reference.under(f"loss.step{k}")
        assert losses.keys() == expected.keys()
        for key, value in expected.items():
            assert_close(losses[key], value, 2e-4, f"step {k} {key}")
        if k == 1:
            for key, value in reference.under("after_step1.D").items():
                assert_close(nets["discriminator"].state_dict()[key], value, 2e-6, key)
    apart = []
    for letter, name in (("G", "generator"), ("D", "discriminator")):
        after = reference.under(f"after.{letter}")
        assert after.keys() == nets[name].state_dict().keys()
        for key, value in after.items():
            ours = nets[name].state_dict()[key]
            if key.endswith("/u"):
                assert_close(ours, value, 2e-5, key)
            elif letter == "D" or not has_no_gradient(key):
                assert_close(ours, value, 6e-4, key)  # where gradients are near 0: three steps may add up to 5.5e-4
                apart.append((ours - value).abs().flatten())
    assert (torch.cat(apart) < 1e-5).float().mean() > 0.99


def test_published_shapes(monkeypatch):
    monkeypatch.setattr(nn.init, "normal_", lambda tensor, std=1.0: tensor)  # drawing them is what takes long
    published = golden_json("sketchygan_keys")["networks"]
    ours = {
        "G": Generator(50, 64),
        "D": Discriminator(50, 64),
        "D_proj_d": Discriminator(50, 64, projection=True),
        "D_no_sn": Discriminator(50, 64, spectral=False),
    }
    assert ours.keys() == published.keys()
    for name, theirs in published.items():
        assert {k: list(v.shape) for k, v in ours[name].state_dict().items()} == {
            k: v["torch"] for k, v in theirs.items()
        }
        assert {k for k, _ in ours[name].named_parameters()} == {k for k, v in theirs.items() if v["trainable"]}
    counts = {name: sum(p.numel() for p in net.parameters()) for name, net in ours.items()}
    assert counts == {"G": 22_235_107, "D": 17_178_977, "D_proj_d": 17_178_927, "D_no_sn": 17_178_977}


def test_operators():
    reference = golden("sketchygan_ops")
    given, expected = reference.under("in"), reference.under("out")
    for name, side in (("feat", 21), ("img32", 8), ("img64", 299)):
        resized = plain.legacy_bilinear(given[name], side)
        assert_near(resized, expected[f"legacy_bilinear_{given[name].shape[-1]}_to_{side}"], 2e-6, name)
    layers = Variables(5, spectral=False)
    for name, value in reference.under("state.ops").items():
        layers.register_parameter(name.replace("snw/u", "snw/snw/u"), nn.Parameter(value))
    assert_near(layers.conv(given["conv_x"], "c7/Conv", 4, 7, stride=2), expected["conv7_stride2_same"], 2e-6, "conv")
    for dimensions, x in ((4, given["cbn_x"]), (2, given["cbn_x2d"])):
        normalised = layers.norm(x, f"c{dimensions}", given["cbn_labels"])
        assert_near(normalised, expected[f"cbn_{dimensions}d"], 2e-6, f"norm of {dimensions} dimensions")
    layers.spectral = True
    weight = layers.weights("snw", (6, 4, 3, 3), nn.init.zeros_)
    (weight * given["sn_cotangent"]).sum().backward()
    assert_near(weight, expected["sn_weight"], 2e-6, "weight")
    assert_near(layers.get_parameter("snw/weights").grad, expected["sn_grad"], 2e-6, "gradient")
    assert_near(layers.advanced["snw/snw/u"], expected["sn_u_after"], 2e-6, "u")


def test_adam():
    reference = golden("sketchygan_ops")
    given = reference.under("in")
    variable = nn.Parameter(given["adam_dense0"].clone())
    adam = Adam([variable], betas=(0.0, 0.9))
    for t in (1, 2, 3):
        loss = (variable * given["adam_grad_dense"][t - 1]).sum()
        plain.update(adam, loss, reference.case["adam"]["lr"], t, None)
        assert_near(variable, reference.tensors[f"out.adam_dense{t}"], 2e-6, f"step {t}")
    small = nn.Parameter(torch.zeros(1))
    plain.update(Adam([small], betas=(0.0, 0.9)), 1e-8 * small.sum(), 1.0, 1, None)
    assert_close(small, torch.tensor([-(0.1**0.5) / (0.1**0.5 + 1)]), 1e-4, "a gradient as small as epsilon")


@pytest.mark.parametrize("mode", MODES[1:])
def test_modes_with_a_gradient_penalty(mode):
    nets = sketchygan(5, 2, 2, spectral=False)
    del nets["stem"]
    step = iteration(nets, mode)
    batch = {"sketch": torch.rand(2, 3, 64, 64), "labels": torch.tensor([1, 4])}
    batch |= {"photo": torch.rand(2, 3, 64, 64), "photo_d": torch.rand(2, 3, 64, 64), "labels_d": torch.tensor([0, 1])}
    before = {name: value.clone() for name, value in nets.named_parameters()}
    losses = [step(batch, batch) for _ in range(2)]
    assert all(value.isfinite() for loss in losses for value in loss.values())
    assert losses[0]["GAN_loss_d"] > (0 if mode == "dragan" else 5)  # the penalty: at first D is almost flat
    same = {name for name, value in nets.named_parameters() if torch.equal(value, before[name])}
    assert not [name for name in same if name.endswith("weights")]
