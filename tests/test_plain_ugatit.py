"""The plain U-GAT-IT of the benchmarks against the official code."""

import pytest
import torch
import torch.nn.functional as F
from benchmarks import plain_ugatit
from benchmarks.plain_ugatit import Discriminator, iteration, ugatit
from golden_cases import assert_close, golden, golden_json
from torch import nn


def pictures(u8):
    return (u8 / 255 - 0.5) / 0.5


@pytest.mark.parametrize(
    ("name", "kind", "y", "logits", "heatmap", "gradient"),  # three times what float32 and float64 differ by
    [
        ("ugatit_gen_full", plain_ugatit.Generator, 1.2e-5, 3e-5, 4e-5, 2e-5),
        ("ugatit_gen_light", plain_ugatit.Generator, 2.7e-5, 6e-6, 3.6e-5, 2e-5),
    ],
)
def test_generators(name, kind, y, logits, heatmap, gradient):
    reference = golden(name)
    case, given, expected = reference.case, reference.under("in"), reference.under("out")
    network = kind(case["ngf"], case["img_size"], case["light"])
    network.load_state_dict(reference.under("state.G"))
    x = given["x"].requires_grad_(True)
    made = network(x)
    outputs = [("y", y), ("cam_logit", logits), ("heatmap", heatmap)]
    for ours, (what, atol) in zip(made, outputs, strict=True):
        assert_close(ours, expected[what], atol, what)
    ((made[0] * given["w"]).sum() + (made[1] * given["w_logit"]).sum()).backward()
    gradients = {key: network.get_parameter(key).grad for key in reference.under("out.grad_param")}
    assert len(gradients) >= 11
    for key, ours in [("grad_x", x.grad), *gradients.items()]:
        theirs = expected.get(f"grad_param.{key}", expected["grad_x"])
        assert_close(ours, theirs, gradient * theirs.abs().max().item(), key)
    if "x_rect" in given:
        for ours, (what, atol) in zip(network(given["x_rect"]), outputs, strict=True):
            assert_close(ours, expected[f"{what}_rect"], atol, what)


@pytest.mark.parametrize("name", ["ugatit_dis_global", "ugatit_dis_local"])
def test_discriminators(name):
    reference = golden(name)
    expected = reference.under("out")
    network = Discriminator(reference.case["ndf"], reference.case["n_layers"])
    network.load_state_dict(reference.under("state.D"))

    def compare(ours, theirs, what):
        assert_close(ours, theirs, 1e-6 * max(1.0, theirs.abs().max().item()), what)

    for k in (1, 2, 3, "_eval"):
        network.train(k != "_eval")
        x = pictures(reference.tensors[f"in.x{1 if k == '_eval' else k}_u8"]).requires_grad_(True)
        made = network(x)
        for ours, what in zip(made, ("logit", "cam_logit", "heatmap"), strict=True):
            compare(ours, expected[f"{what}{k}"], f"{what}{k}")
        for key, value in reference.under(f"after{3 if k == '_eval' else k}.D").items():
            compare(network.state_dict()[key], value, key)
        if k == 1:
            loss = sum(F.mse_loss(out, torch.ones_like(out)) for out in made[:2])
            compare(loss, reference.tensors["loss.pass1"], "loss")
            loss.backward()
            compare(x.grad[:, :, :64, :64], expected["grad_x1"], "grad_x1")
            gradients = reference.under("out.grad_param")
            assert len(gradients) == 7
            for key, value in gradients.items():
                compare(network.get_parameter(key).grad, value, key)


@pytest.mark.parametrize(("name", "rtol"), [("ugatit_train_full", 1e-9), ("ugatit_train_light", 1e-9)])
def test_three_iterations(name, rtol):
    reference = golden(name)
    case = reference.case
    nets = ugatit(case["ch"], case["ch"], case["img_size"], case["light"])
    nets.load_state_dict(reference.under("state"))
    nets.double()
    settings = ("lr", "weight_decay", "adv_weight", "cycle_weight", "identity_weight", "cam_weight")
    step = iteration(nets, **{key: case[key] for key in settings}, iterations=case["iteration"])
    for k in range(3):
        losses = step(*(pictures(reference.tensors[f"in.real_{domain}_u8"][k]).double() for domain in "AB"))
        expected = reference.under(f"loss.step{k + 1}")
        assert losses.keys() == expected.keys()
        for key, value in expected.items():
            assert_close(losses[key], value, rtol * value.item(), f"step {k + 1} {key}")
    after = reference.under("after")
    assert after.keys() == nets.state_dict().keys() or "left_out" in case
    for key, value in after.items():
        assert_close(nets.state_dict()[key], value, 1e-7, key)


def test_rho_is_clamped():
    nets = ugatit(2, 2, 96, light=True)
    rhos = [parameter for name, parameter in nets.named_parameters() if name.endswith("rho")]
    assert len(rhos) == 20
    for rho in rhos:
        nn.init.constant_(rho.data[:, ::2], -0.5)
        nn.init.constant_(rho.data[:, 1::2], 1.5)
    iteration(nets)(*torch.rand(2, 1, 3, 96, 96))
    for rho in rhos:
        assert set(rho.flatten().tolist()) == {0.0, 1.0}


def test_published_shapes():
    published = golden_json("ugatit_keys")
    for light in (True, False):
        with torch.device("meta"):
            nets = ugatit(64, 64, 256, light)
        generator = f"generator_{'light' if light else 'full'}"
        names = {"genA2B": generator, "disGA": "discriminator_global", "disLB": "discriminator_local"}
        for ours, theirs in names.items():
            assert {key: list(value.shape) for key, value in nets[ours].state_dict().items()} == published[theirs]
