import random

import pytest
import torch
from golden_cases import assert_close, golden, golden_json
from torch import nn

from sketchgan.convert.official import renamed
from sketchgan.convert.pix2pix_cyclegan import patch_keys
from sketchgan.networks import Attended, PatchDiscriminator, UNetGenerator
from sketchgan.ops import (
    ImagePool,
    cosine_decay,
    frozen,
    get_rng_state,
    gradient_penalty,
    inference_policy,
    init_weights,
    input_gradients,
    linear_decay,
    lr_scheduler,
    seeds_of,
    set_rng_state,
    step_decay,
    together,
)
from sketchgan.ops.lr import linear_decay_by_iteration

# Gradient penalty


@pytest.fixture
def penalty():
    reference = golden("pix2pix_gradient_penalty")
    discriminator = PatchDiscriminator(3, ndf=4, norm="instance")
    discriminator.load_state_dict(renamed(reference.under("state.D"), patch_keys(3)))
    # In float64, so that only the float32 reference's own rounding is left: about 1e-7 of the values (here up to
    # 2.5e-7) and 2.24e-4 in the parameter gradients.
    reference.tensors = {name: value.double() for name, value in reference.tensors.items()}
    return reference, discriminator.double()


@pytest.mark.parametrize("at", ["mixed", "real", "fake"])
def test_gradient_penalty_matches_official(penalty, at):
    reference, discriminator = penalty
    t = reference.tensors
    real, fake, alpha = t["in.real"], t["in.fake"], t["in.alpha"]
    value = 10 * gradient_penalty(discriminator, real, fake, at, alpha=alpha)
    torch.testing.assert_close(value, t[f"loss.gp_{at}"], rtol=3e-7, atol=0)
    share = alpha.reshape(-1, 1, 1, 1)
    x = {"mixed": share * real + (1 - share) * fake, "real": real, "fake": fake}[at]
    assert_close(input_gradients(discriminator, x), t[f"out.gradients_{at}"], 2e-5)


def test_gradient_penalty_trains_the_discriminator_as_official(penalty):
    reference, discriminator = penalty
    t = reference.tensors
    (10 * gradient_penalty(discriminator, t["in.real"], t["in.fake"], alpha=t["in.alpha"])).backward()
    expected = renamed(reference.under("out.param_grad.D"), patch_keys(3))
    assert len(expected) == 9  # the last bias has none
    for name, gradient in expected.items():
        assert_close(discriminator.get_parameter(name).grad, gradient, 2.25e-4, name)


def test_gradient_penalty_constant(penalty):
    reference, discriminator = penalty
    t = reference.tensors
    value = 3 * gradient_penalty(discriminator, t["in.real"], t["in.fake"], constant=0.5, alpha=t["in.alpha"])
    torch.testing.assert_close(value, t["loss.gp_mixed_const0.5_lambda3"], rtol=3e-7, atol=0)


def test_gradient_penalty_is_float32_under_autocast(penalty):
    reference, discriminator = penalty
    discriminator.float()
    t = reference.tensors
    with torch.autocast("cpu", torch.bfloat16):
        value = 10 * gradient_penalty(discriminator, t["in.real"].bfloat16(), t["in.fake"].bfloat16(), "real")
    assert value.dtype == torch.float32
    rounded = 10 * gradient_penalty(discriminator, t["in.real"].bfloat16().float(), t["in.fake"], "real")
    torch.testing.assert_close(value, rounded, rtol=1e-6, atol=0)


def test_gradient_penalty_draws_alpha_and_refuses_unknown_places(penalty):
    reference, discriminator = penalty
    real, fake = reference.tensors["in.real"], reference.tensors["in.fake"]
    assert gradient_penalty(discriminator, real, fake) != gradient_penalty(discriminator, real, fake)
    with pytest.raises(ValueError, match="at must be .* got 'between'"):
        gradient_penalty(discriminator, real, fake, "between")


# Image pool


class Replay:
    """The draws of a reference run, in its order."""

    def __init__(self, draws):
        self.draws = list(draws)

    def uniform(self, a, b):
        kind, value = self.draws.pop(0)
        assert kind == "uniform"
        return value

    def randint(self, a, b):
        kind, value = self.draws.pop(0)
        assert kind == "randint"
        return value


@pytest.mark.parametrize("name", ["cyclegan_image_pool", "cyclegan_image_pool_size0", "cyclegan_image_pool_bigbatch"])
def test_pool_matches_official(name):
    reference = golden(name)
    trace = reference.case["trace"]
    draws = Replay((draw["call"], draw["value"]) for query in trace for draw in query["draws"])
    pool = ImagePool(reference.case["pool_size"], draws)
    for i, query in enumerate(trace):
        assert torch.equal(pool.query(reference.tensors[f"in.query{i:02d}"]), reference.tensors[f"out.query{i:02d}"])
        assert [image.flatten()[0].item() for image in pool.images] == query["pool_after"]
    assert draws.draws == []


def test_pool_of_size_0_returns_the_batch_itself():
    x = torch.randn(2, 1, 2, 2)
    assert ImagePool(0).query(x) is x


def test_pool_resumes_exactly():
    def play(pool, start, stop):
        return [pool.query(torch.full((2, 1, 2, 2), float(i))) for i in range(start, stop)]

    pool = ImagePool(3)
    play(pool, 0, 6)
    other = ImagePool(3)
    other.load_state_dict(pool.state_dict())
    assert all(torch.equal(a, b) for a, b in zip(play(pool, 6, 20), play(other, 6, 20), strict=True))


def test_pool_keeps_no_graph_and_no_view():
    x = torch.randn(2, 1, 2, 2, requires_grad=True)
    pool = ImagePool(2)
    y = pool.query(x * 1)
    assert not y.requires_grad
    before = pool.images[0].clone()
    y.zero_()
    assert torch.equal(pool.images[0], before)
    with pytest.raises(ValueError, match="size must not be negative, got -1"):
        ImagePool(-1)


# Learning rates


@pytest.mark.parametrize(
    ("name", "curve"),
    [
        ("linear", lambda k, c: linear_decay(k, c["n_epochs"], c["n_epochs_decay"])),
        ("linear_resume_epoch_count_151", lambda k, c: linear_decay(k, c["n_epochs"], c["n_epochs_decay"], 151)),
        ("linear_short_2_3", lambda k, c: linear_decay(k, c["n_epochs"], c["n_epochs_decay"])),
        ("step_50", lambda k, c: step_decay(k, 50)),
        ("step_resume_epoch_count_51", lambda k, c: step_decay(k, 50)),
        ("cosine", lambda k, c: cosine_decay(k, c["n_epochs"])),
    ],
)
def test_rates_match_official(name, curve):
    case = golden_json("pix2pix_lr_schedules")[name]
    for k, rate in enumerate(case["lr"]):
        assert 2e-4 * curve(k, case) == pytest.approx(rate, abs=1e-12)


def test_linear_rate_never_turns_negative():
    assert [linear_decay(k, 1, 1) for k in range(5)] == [1.0, 0.5, 0.0, 0.0, 0.0]


@pytest.mark.parametrize(
    ("policy", "name"),
    [("linear", "linear"), ("step", "step_50"), ("cosine", "cosine"), ("plateau", "plateau_constant_metric")],
)
def test_schedulers_match_official(policy, name):
    case = golden_json("pix2pix_lr_schedules")[name]
    optimizer = torch.optim.Adam([nn.Parameter(torch.zeros(1))], 2e-4)
    scheduler = lr_scheduler(optimizer, policy, case["n_epochs"], case["n_epochs_decay"])
    for rate in case["lr"]:
        assert optimizer.param_groups[0]["lr"] == pytest.approx(rate, abs=1e-12)
        optimizer.step()
        scheduler.step(*([0.0] if policy == "plateau" else []))


def test_constant_and_unknown_policy():
    optimizer = torch.optim.Adam([nn.Parameter(torch.zeros(1))], 2e-4)
    assert lr_scheduler(optimizer, "constant").get_last_lr() == [2e-4]
    with pytest.raises(ValueError, match="lr_policy must be .* got 'exp'"):
        lr_scheduler(optimizer, "exp")


# Initialisation


@pytest.mark.parametrize(
    ("init", "gain", "std"),
    [
        ("normal", 0.05, 0.05),
        ("xavier", 0.5, 0.5 * (2 / (64 * 9 + 64 * 9)) ** 0.5),
        ("kaiming", 9.0, (2 / (64 * 9)) ** 0.5),
    ],
)
def test_init_spread(init, gain, std):
    conv = nn.Conv2d(64, 64, 3)
    init_weights(conv, init, gain)
    assert conv.weight.std().item() == pytest.approx(std, rel=0.03)
    assert not conv.bias.any()


def test_init_orthogonal_and_norms():
    network = nn.Sequential(nn.Linear(8, 8), nn.BatchNorm2d(4096), nn.InstanceNorm2d(3, affine=True))
    init_weights(network, "orthogonal", 0.5)
    assert_close(network[0].weight @ network[0].weight.T, 0.25 * torch.eye(8), 1e-6)
    assert network[1].weight.mean().item() == pytest.approx(1, abs=0.05)
    assert network[1].weight.std().item() == pytest.approx(0.5, rel=0.05)
    assert torch.equal(network[2].weight, torch.ones(3))  # instance norm is left alone


# Freezing


def test_frozen_restores_only_what_was_trainable_also_after_errors():
    network = nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 2))
    network[1].requires_grad_(False)
    x = torch.randn(1, 2, requires_grad=True)
    with frozen(network):
        network(x).sum().backward()
    with pytest.raises(ZeroDivisionError), frozen(network):
        _ = 1 / 0
    assert [p.requires_grad for p in network.parameters()] == [True, True, False, False]
    assert x.grad is not None
    assert all(p.grad is None for p in network.parameters())


# Inference policy


def test_sample_statistics_equal_training_mode_on_one_image():
    network = UNetGenerator(num_downs=5, ngf=2, dropout=0.0)
    network(torch.randn(4, 3, 32, 32))  # moves the running statistics
    before = {k: v.clone() for k, v in network.state_dict().items()}
    x = torch.randn(3, 3, 32, 32)
    with torch.no_grad(), inference_policy(network, sample_statistics=True):
        y = network(x)
    assert network.training
    assert all(torch.equal(v, before[k]) for k, v in network.state_dict().items())
    alone = [network(image[None]).detach() for image in x]
    assert_close(y, torch.cat(alone), 1e-6)


def test_dropout_depends_on_name_not_on_batch_or_global_stream():
    network = UNetGenerator(num_downs=6, ngf=2, norm="none", init="kaiming").eval()
    x = torch.randn(1, 3, 64, 64).expand(3, -1, -1, -1)
    seeds = seeds_of(["a.png", "b.png", "a.png"])
    state = torch.get_rng_state()
    with torch.no_grad(), inference_policy(network, dropout=True, seeds=seeds):
        y = network(x)
    with torch.no_grad(), inference_policy(network, dropout=True, seeds=seeds[:1]):
        alone = network(x[:1])
    assert torch.equal(state, torch.get_rng_state())
    assert_close(y[0], y[2], 1e-6)
    assert_close(y[0], alone[0], 1e-6)
    assert (y[0] - y[1]).abs().max() > 1e-3
    assert not network.training
    with torch.no_grad():
        assert (network(x)[0] - y[0]).abs().max() > 1e-3  # without the policy: no dropout
    with pytest.raises(ValueError, match="1 seeds for a batch of 3"), inference_policy(network, True, True, [1]):
        network(x)


def test_dropout_rate_and_scale():
    network = nn.Sequential(nn.Dropout(0.25))
    with inference_policy(network, dropout=True):
        y = network(torch.ones(2, 10_000))
    assert y.unique().tolist() == pytest.approx([0.0, 1 / 0.75])
    assert (y == 0).float().mean().item() == pytest.approx(0.25, abs=0.02)


# Random states


def test_rng_state_is_plain_and_restores(tmp_path):
    import numpy as np

    state = get_rng_state()
    torch.save(state, tmp_path / "rng.pt")
    drawn = [torch.rand(1).item(), random.random(), np.random.rand()]
    set_rng_state(torch.load(tmp_path / "rng.pt", weights_only=True))
    assert drawn == [torch.rand(1).item(), random.random(), np.random.rand()]


# Several batches in one pass


class Counting(nn.Module):
    def __init__(self, norm: nn.Module) -> None:
        super().__init__()
        self.norm = norm
        self.calls = 0

    def forward(self, x):
        self.calls += 1
        return Attended(self.norm(x), None, x.mean((1, 2, 3)))


@pytest.mark.parametrize(("per_sample", "widths", "calls"), [(True, (8, 8), 1), (True, (8, 6), 2), (False, (8, 8), 2)])
def test_together_is_the_same_as_one_by_one(per_sample, widths, calls):
    network = Counting(nn.InstanceNorm2d(3) if per_sample else nn.BatchNorm2d(3))
    if per_sample:
        network.per_sample = True
    batches = [torch.randn(2, 3, 8, width) for width in widths]
    expected = [network(batch) for batch in batches]
    network.calls = 0
    made = together(network, *batches)
    assert network.calls == calls
    for one, other in zip(made, expected, strict=True):
        assert type(one) is Attended
        assert one.cam_logit is None
        assert_close(one.image, other.image, 1e-6)
        assert_close(one.heatmap, other.heatmap, 1e-6)


def test_learning_rate_by_iteration():
    rates = [linear_decay_by_iteration(k, 3, 4) for k in range(9)]
    assert rates == [1, 1, 1, 0.75, 0.5, 0.25, 0, 0, 0]
    assert linear_decay_by_iteration(10**9, 3, 0) == 1
