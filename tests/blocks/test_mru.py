"""Masked residual units against the official code."""

import re
from copy import deepcopy

import pytest
import torch
from golden_cases import golden
from torch import Tensor, nn

from sketchgan.blocks import SpectralNormLinear, Unit, make_block, min_max_gate, smooth_relu

V3 = {
    "norm_activation_in": ("norm_in",),
    "update_gate": ("gate", "norm_gate"),
    "Conv": ("read",),
    "norm_activation_merge_1": ("norm_merged",),
    "Conv_1": ("conv1", "norm1"),
    "Conv_2": ("conv2",),
    "Conv_3": ("project",),
}
V2 = {
    "Conv": ("gate_in",),
    "Conv_1": ("gate_out",),
    "Conv_2": ("conv1", "norm1"),
    "Conv_3": ("conv2", "norm2"),
    "Conv_4": ("project", "norm_project"),
}


def our_name(official: str, spectral: bool) -> str:
    """A variable of one block, or of a unit of them, under our name."""
    *scopes, name = [part for part in official.replace("prelu/param", "prelu").split("/") if part != "block"]
    prefix = ""
    for scope in list(scopes):
        if unit := re.fullmatch(r"mru_conv_unit_t_\d_layer_(\d)", scope):
            prefix = f"blocks.{unit[1]}."
            scopes.remove(scope)
    layer = scopes[0]
    if layer == "mru_conv_unit_last_norm":
        return f"norm_last.norm.{name}"
    places = (V2 if our_name.gated else V3)[layer]
    if name in ("weights", "biases", "u"):
        weight = "weight_orig" if spectral else "weight"
        return prefix + places[0] + "." + {"weights": weight, "biases": "bias", "u": "weight_u"}[name]
    if name == "prelu":
        return f"{prefix}{places[-1]}.activation.slope"
    return f"{prefix}{places[-1]}." + ("" if places[-1] == "norm_gate" else "norm.") + name


def build(sub: dict) -> nn.Module:
    resize = "none" if sub["stride"] == 1 else "down" if sub.get("form", "conv") == "conv" else "up"
    shape = (sub["hidden"], sub["filter_depth"], sub["image_channels"])
    options = {
        "n_classes": 5 if sub["norm"] else None,
        "activation": {"miu_relu": "smooth_relu"}.get(sub["act"], sub["act"]),
        "spectral_norm": {"differentiable": True, "update": "manual"} if sub["sn"] else None,
    }
    if "unit" in sub["block"]:
        return Unit(2 if "two" in sub["block"] else 1, *shape, "v3", resize, norm_last=True, **options)
    kind = sub["block"][:2]
    if kind == "v3":
        options |= {"norm_input": sub.get("norm_input", True), "norm_gate": sub.get("norm_mask", False)}
    return make_block(kind, *shape, resize, **options)


def close(actual: Tensor, expected: Tensor, rtol: float, what: str) -> None:
    """By the golden page's "rel": differences as a share of the largest value."""
    scale = expected.abs().max().clamp_min(1e-30)
    assert (actual - expected).abs().max() / scale < rtol, what


CASES = golden("sketchygan_mru").case["sub_cases"]


@pytest.mark.parametrize("name", CASES)
def test_official(name):
    reference = golden("sketchygan_mru")
    block = build(CASES[name])
    our_name.gated = name[:2] != "v3"
    names = {key: our_name(key, CASES[name]["sn"]) for key in reference.under(f"state.{name}")}
    missing = block.load_state_dict(
        {names[key]: value for key, value in reference.under(f"state.{name}").items()}, strict=False
    )
    assert not missing.unexpected_keys
    assert all("running" in key or "tracked" in key for key in missing.missing_keys)

    inputs = reference.under(f"in.{name}")
    hidden, image = inputs["hidden"].requires_grad_(), inputs["image"].requires_grad_()
    if isinstance(block, Unit):
        y = block([hidden, 0.5 * hidden][: len(block.blocks)], image, inputs["labels"])[-1]
    else:
        y = block(hidden, image, inputs.get("labels"))
    close(y, reference.tensors[f"out.{name}.y"], 1e-5, "y")
    y.backward(inputs["cotangent"])
    close(hidden.grad, reference.tensors[f"out.{name}.grad_hidden"], 1e-5, "hidden")
    close(image.grad, reference.tensors[f"out.{name}.grad_image"], 1e-5, "image")
    parameters = dict(block.named_parameters())
    gradients = reference.under(f"out.{name}.grad")
    assert len(gradients) >= 5
    for key, expected in gradients.items():
        close(parameters[names[key]].grad, expected, 1e-5, key)

    advanced = reference.under(f"out.{name}.after_update")
    assert bool(advanced) == CASES[name]["sn"]
    for module in block.modules():
        if getattr(module, "update", None) == "manual":
            module.advance()
    for key, expected in advanced.items():
        close(block.state_dict()[names[key]], expected, 1e-5, key)


@pytest.mark.parametrize("run", ["forward", "advance"])
def test_the_power_iteration_runs_in_full_precision_under_autocast(run, monkeypatch):
    layer = SpectralNormLinear(4, 4, update="manual")
    iterated, seen = layer._iterated, []

    def watch(*args):
        seen.append(torch.is_autocast_enabled("cpu"))
        return iterated(*args)

    monkeypatch.setattr(layer, "_iterated", watch)
    with torch.autocast("cpu", torch.bfloat16):
        layer(torch.rand(1, 4)) if run == "forward" else layer.advance()
    assert seen == [False]


def test_a_channel_without_contrast_gives_no_nan():
    flat = torch.zeros(1, 2, 4, 4, requires_grad=True)
    gate = min_max_gate(flat)
    assert torch.equal(gate, torch.zeros_like(flat))
    gate.sum().backward()
    assert flat.grad.isfinite().all()
    wide = torch.tensor([[[[-6e4, 0.0], [1.0, 6e4]]]], dtype=torch.float16)  # whose span is beyond half precision
    assert min_max_gate(wide).flatten().tolist() == pytest.approx([0, 1 / 6, 1 / 6, 1], abs=1e-3)


def test_the_paper_turns_the_output_gate_round():
    """With the opposite gate, and sigmoids on both sides of 0, the paper's form is v1."""
    paper, v1 = (make_block(kind, 4, 4, 3, n_classes=5) for kind in ("paper", "v1"))
    v1.load_state_dict(paper.state_dict())
    with torch.no_grad():
        for value in (v1.gate_out.weight, v1.gate_out.bias):
            value.neg_()
    given = torch.randn(2, 4, 8, 8), torch.randn(2, 3, 8, 8), torch.tensor([0, 3])
    torch.testing.assert_close(paper(*given), v1(*given))


@pytest.mark.parametrize("kind", ["v2", "v3"])
def test_blocks_compile_alike(kind):
    """The whole networks would take a minute each."""
    options = {"spectral_norm": {"differentiable": True, "update": "manual"}, "activation": "prelu"}
    block = make_block(kind, 4, 6, 3, "up", **(options if kind == "v3" else {"n_classes": 5}))
    given = torch.randn(2, 4, 4, 4), torch.randn(2, 3, 8, 8), torch.tensor([0, 3])
    torch._dynamo.reset()
    made = []
    for run in (block, torch.compile(deepcopy(block), backend="aot_eager", fullgraph=True)):
        y = run(*given)
        y.square().mean().backward()
        made.append([y, *(p.grad for p in run.parameters()), *run.buffers()])
    torch._dynamo.reset()
    torch.testing.assert_close(made[1], made[0])


def test_smooth_relu_of_large_values_in_half_precision():
    x = torch.tensor([-3e4, -4.0, 0.0, 3e4], dtype=torch.float16, requires_grad=True)
    y = smooth_relu(x)
    assert y.tolist() == pytest.approx([0, 0.0056, 0.15, 3e4], abs=2e-4)
    y.sum().backward()
    assert x.grad.tolist() == pytest.approx([0, 0.0014, 0.5, 1], abs=2e-4)
    exact = torch.randn(20, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(smooth_relu, exact)
