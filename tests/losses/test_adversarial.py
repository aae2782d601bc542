import math

import pytest
import torch
import torch.nn.functional as F
from golden_cases import assert_close, golden

from sketchgan.losses import (
    AdversarialLoss,
    LeastSquaresLoss,
    VanillaLoss,
    WassersteinGPLoss,
    adversarial_loss,
    focal_loss,
)

NAMES = ["vanilla", "lsgan", "wgangp", "hinge", "nonsaturating"]


@pytest.mark.parametrize("soft", [False, True])
@pytest.mark.parametrize("mode", ["vanilla", "lsgan", "wgangp"])
def test_matches_official(mode, soft):
    reference = golden("pix2pix_ganloss")
    labels = (0.9, 0.1) if soft else (1.0, 0.0)
    loss = {
        "vanilla": lambda: VanillaLoss(*labels),
        "lsgan": lambda: LeastSquaresLoss(*labels),
        "wgangp": WassersteinGPLoss,
    }[mode]()
    name = f"{mode}_soft" if soft else mode
    inputs = reference.under("in")
    real, fake = (inputs[k] for k in sorted(inputs, key=lambda k: "real" not in k))
    for term, score, function in (
        ("D_real", real, loss.real),
        ("D_fake", fake, loss.fake),
        ("G_fake", fake, loss.generator),
    ):
        score = score.clone().requires_grad_(True)
        value = function(score)
        assert_close(value, reference.tensors[f"loss.{name}.{term}"], 2e-5, term)
        (gradient,) = torch.autograd.grad(value, score)
        assert_close(gradient, reference.tensors[f"out.grad.{name}.{term}"], 2e-5, term)


def test_hinge_formula():
    loss = adversarial_loss("hinge")
    score = torch.tensor([-2.0, -0.5, 0.5, 2.0])
    assert loss.real(score).item() == pytest.approx((3 + 1.5 + 0.5 + 0) / 4)
    assert loss.fake(score).item() == pytest.approx((0 + 0.5 + 1.5 + 3) / 4)
    assert loss.generator(score).item() == pytest.approx(0.0)


def test_nonsaturating_formula():
    loss = adversarial_loss("nonsaturating")
    score = torch.tensor([[1.5]])
    assert loss.real(score).item() == pytest.approx(math.log1p(math.exp(-1.5)))
    assert loss.fake(score).item() == pytest.approx(math.log1p(math.exp(1.5)))
    assert loss.generator(score).item() == pytest.approx(math.log1p(math.exp(-1.5)))
    assert_close(loss.real(score), F.binary_cross_entropy_with_logits(score, torch.ones(1, 1)), 1e-6)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
@pytest.mark.parametrize("name", NAMES)
def test_half_precision_scores_give_float32(name, dtype):
    loss = adversarial_loss(name)
    score = torch.full((1, 1, 8, 8), 300.0, dtype=dtype)  # its square overflows float16
    for term in (loss.real(score), loss.fake(score), loss.generator(score)):
        assert term.dtype == torch.float32
        assert term.isfinite()


@pytest.mark.parametrize("name", NAMES)
def test_every_loss_pulls_the_right_way(name):
    loss = adversarial_loss(name)
    score = torch.full((3,), 0.5, requires_grad=True)
    signs = [torch.autograd.grad(f(score), score)[0].sign() for f in (loss.real, loss.fake, loss.generator)]
    assert [s[0].item() for s in signs] == [-1, 1, -1]


def test_own_loss_passes_through_and_unknown_names_do_not():
    own = LeastSquaresLoss(0.9)
    assert adversarial_loss(own) is own
    assert isinstance(own, AdversarialLoss)
    with pytest.raises(ValueError, match="one of vanilla, lsgan, wgangp, hinge, nonsaturating, dragan, got 'gan'"):
        adversarial_loss("gan")


@pytest.mark.parametrize("gamma", [0.0, 0.5, 1.0, 2.0])
def test_focal_loss_of_what_is_certain_has_a_gradient(gamma):
    logits = torch.tensor([[200.0, 0.0], [0.0, 200.0]], requires_grad=True)
    focal_loss(logits, torch.tensor([0, 0]), gamma).backward()
    assert torch.equal(logits.grad[0], torch.zeros(2))
    assert logits.grad[1].tolist() == pytest.approx([-0.5, 0.5])
