"""SketchyGAN's losses in its three modes, and the operators of its networks, against the official code."""

import pytest
import torch
from golden_cases import assert_close, golden
from torch import Tensor, nn

from sketchgan.blocks import (
    ConditionalBatchNorm,
    SameConv2d,
    SpectralNormConv2d,
    double,
    halve,
    image_pyramid,
    smooth_relu,
)
from sketchgan.convert.official import renamed
from sketchgan.convert.sketchygan import discriminator_keys
from sketchgan.losses import adversarial_loss, diversity_loss, focal_loss
from sketchgan.networks import SketchyGANDiscriminator
from sketchgan.ops import TensorFlowAdam, dragan_penalty, floored_decay_by_iteration, gradient_penalty

MODES = {"sn_logistic": "nonsaturating", "dragan": "dragan", "wgan_gp": "wgangp"}
OPS = golden("sketchygan_ops")


def near(actual: Tensor, expected: Tensor, rtol: float, what: str = "") -> None:
    """By the golden page's "rel": differences as a share of the largest value."""
    assert_close(actual, expected, rtol * max(expected.abs().max().item(), 1e-30), what)


@pytest.mark.parametrize("mode", MODES)
def test_terms(mode):
    case = golden("sketchygan_losses")
    given, expected = case.under("in"), case.under(f"loss.{mode}")
    loss = adversarial_loss(MODES[mode])
    fake, real = given["fake_disc"].requires_grad_(), given["real_disc"].requires_grad_()
    gan_g, gan_d = loss.generator(fake), loss.real(real) + loss.fake(fake)
    penalty = expected.get("gradient_penalty", torch.zeros(()))
    assert_close(gan_g, expected["gan_g"], 1e-5, "gan_g")
    assert_close(gan_d + loss.lambda_gp * penalty, expected["gan_d"], 1e-5, "gan_d")
    real_logits, fake_logits = given["real_logits"].requires_grad_(), given["fake_logits"].requires_grad_()
    ac_d = focal_loss(real_logits, given["labels_real"])
    ac_g = 0.5 * focal_loss(fake_logits, given["labels_fake"], gamma=0)
    assert_close(ac_d, expected["ac_d"], 1e-5, "ac_d")
    assert_close(ac_g, expected["ac_g"], 1e-5, "ac_g")
    gens, gens_b = given["gens"].requires_grad_(), given["gens_b"].requires_grad_()
    diversity = diversity_loss(gens, gens_b, given["noise_a"], given["noise_b"])
    assert_close(diversity, expected["diversity"], 1e-5, "diversity")
    l1 = (given["images"] - gens).abs().mean()
    assert_close(l1, case.tensors["loss.L1"], 1e-5, "l1")
    assert_close(l1 + 0.3 * expected["perceptual"], expected["direct"], 1e-5, "direct")

    if mode == "sn_logistic":
        terms = {
            "gan_g.fake_disc": (gan_g, fake),
            "gan_d.fake_disc": (gan_d, fake),
            "gan_d.real_disc": (gan_d, real),
            "ac_d.real_logits": (ac_d, real_logits),
            "ac_g.fake_logits": (ac_g, fake_logits),
            "diversity.gens": (diversity, gens),
            "diversity.gens_b": (diversity, gens_b),
        }
        for name, (term, variable) in terms.items():
            (gradient,) = torch.autograd.grad(term, variable, retain_graph=True)
            near(gradient, case.tensors[f"out.{mode}.grad.{name}"], 1e-5, name)


@pytest.mark.parametrize("mode", ["dragan", "wgan_gp"])
def test_penalties(mode):
    case = golden("sketchygan_losses")
    discriminator = SketchyGANDiscriminator(n_classes=5, ndf=4, spectral_norm=False)
    keys = discriminator_keys(discriminator)
    state = golden("sketchygan_discriminator").under("state.D_plain")
    state["discriminator/Conv_1/weights"] = 6 * state["discriminator/Conv_1/weights"]
    discriminator.load_state_dict(renamed(state, keys))
    given = case.under("in")

    def score(pictures: Tensor) -> Tensor:
        return discriminator(pictures).score

    if mode == "dragan":
        penalty = dragan_penalty(score, given["image_d"], given["gp_alpha"], given["dragan_uniform"])
    else:  # our alpha is the real picture's share
        penalty = gradient_penalty(score, given["image_d"], given["gens"], alpha=1 - given["gp_alpha"])
    assert_close(penalty, case.tensors[f"loss.{mode}.gradient_penalty"], 1e-5)
    penalty.backward()
    gradients = renamed(case.under(f"out.{mode}.grad.gradient_penalty"), keys)
    assert len(gradients) == 2
    for key, expected in gradients.items():
        near(discriminator.get_parameter(key).grad, expected, 1e-5, key)


def test_activations_and_sizes():
    given, expected = OPS.under("in"), OPS.under("out")
    near(smooth_relu(given["act_x"]), expected["miu_relu"], 2e-6)
    near(nn.functional.leaky_relu(given["act_x"], 0.2), expected["lrelu_gate_0.2"], 2e-6)
    near(halve(given["feat"]), expected["mean_pool"], 2e-6)
    near(double(given["feat"]), expected["upsample"], 2e-6)
    for side, level in ((4, 1), (2, 2)):
        near(image_pyramid(given["feat"], 3)[level], expected[f"area_{side}"], 2e-6)


@pytest.mark.parametrize(("table", "x", "out"), [("c4", "cbn_x", "cbn_4d"), ("c2", "cbn_x2d", "cbn_2d")])
def test_conditional_batch_norm(table, x, out):
    norm = ConditionalBatchNorm(channels=4, n_classes=5)
    for name in ("scale", "offset"):
        getattr(norm, name).data = OPS.tensors[f"state.ops.{table}/{name}"]
    given = OPS.under("in")
    for training in (True, False):  # by the batch in evaluation too
        near(norm.train(training)(given[x], given["cbn_labels"]), OPS.tensors[f"out.{out}"], 2e-6)


def test_convolution_pads_as_tensorflow_does():
    conv = SameConv2d(3, 4, kernel_size=7, stride=2)
    conv.load_state_dict(
        {"weight": OPS.tensors["state.ops.c7/Conv/weights"], "bias": OPS.tensors["state.ops.c7/Conv/biases"]}
    )
    near(conv(OPS.tensors["in.conv_x"]), OPS.tensors["out.conv7_stride2_same"], 2e-6)


def test_spectral_norm():
    """Gradients run through the power iteration; without them they would be off by a quarter."""
    layers = [
        SpectralNormConv2d(4, 6, kernel_size=3, bias=False, update="manual", differentiable=through)
        for through in (True, False)
    ]
    for layer in layers:
        layer.load_state_dict(
            {"weight_orig": OPS.tensors["state.ops.snw/weights"], "weight_u": OPS.tensors["state.ops.snw/u"]}
        )
        weight = layer.normalised_weight()
        near(weight, OPS.tensors["out.sn_weight"], 2e-6)
        near((layer.weight_orig / weight).mean(), OPS.tensors["out.sn_sigma"], 2e-6)
        (weight * OPS.tensors["in.sn_cotangent"]).sum().backward()
        layer.advance()
        near(layer.weight_u, OPS.tensors["out.sn_u_after"], 2e-6)
    expected = OPS.tensors["out.sn_grad"]
    near(layers[0].weight_orig.grad, expected, 2e-6)
    assert (layers[1].weight_orig.grad - expected).abs().max() > 0.1 * expected.abs().max()


def test_adam():
    """Also of a gradient that epsilon decides over, which the official numbers do not show."""
    variable = nn.Parameter(OPS.tensors["in.adam_dense0"].clone())
    adam = TensorFlowAdam([variable], lr=2e-3, betas=(0.0, 0.9))
    table = nn.Parameter(OPS.tensors["in.adam_table0"].clone())
    rows = TensorFlowAdam([table], lr=2e-3, betas=(0.0, 0.9))
    for k in range(3):
        variable.grad = OPS.tensors["in.adam_grad_dense"][k]
        table.grad = torch.zeros_like(table)
        table.grad.index_add_(0, OPS.tensors["in.adam_ids"][k], OPS.tensors["in.adam_grad_rows"][k])
        adam.step()
        rows.step()
        near(variable, OPS.tensors[f"out.adam_dense{k + 1}"], 2e-6)
        near(table, OPS.tensors[f"out.adam_table{k + 1}"], 2e-6)
    tiny = nn.Parameter(torch.zeros(1, dtype=torch.float64))
    adam = TensorFlowAdam([tiny], lr=1.0, betas=(0.0, 0.9))
    tiny.grad = torch.full_like(tiny, 1e-8)
    adam.step()
    root = 0.1**0.5  # of one less beta2: the first step is root * g / (root * g + epsilon)
    assert tiny.item() == pytest.approx(-root / (root + 1), rel=1e-9)
    again = TensorFlowAdam([nn.Parameter(torch.zeros(1))], lr=1.0, betas=(0.0, 0.9))
    again.load_state_dict(adam.state_dict())
    again.step()
    assert again.param_groups[0]["steps"] == 2
    assert again.param_groups[0]["eps"] == pytest.approx(1e-8 / (1 - 0.9**2) ** 0.5)


def test_learning_rate():
    rates = [floored_decay_by_iteration(i) for i in OPS.tensors["in.iters"].tolist()]
    near(torch.tensor(rates), OPS.tensors["out.lr_decay"], 2e-6)
