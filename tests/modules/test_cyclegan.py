import pytest
import torch
import torch.nn.functional as F
from torch.utils.data import DataLoader
from training import quiet_trainer

from sketchgan import CycleGAN
from sketchgan.networks import PatchDiscriminator, ResnetGenerator

BATCH = {"A": torch.rand(2, 3, 32, 32) * 2 - 1, "B": torch.rand(2, 3, 32, 32) * 2 - 1}


def build(norm="instance", **kwargs):
    return CycleGAN(
        *(ResnetGenerator(ngf=2, n_blocks=1) for _ in range(2)),
        *(PatchDiscriminator(3, ndf=2, n_layers=1, norm=norm) for _ in range(2)),
        **kwargs,
    )


GAN = {"g/gan_a", "g/gan_b", "d/real_a", "d/fake_a", "d/real_b", "d/fake_b"}
CYCLE = {"g/cycle_a", "g/cycle_b"}
IDENTITY = {"g/identity_a", "g/identity_b"}


@pytest.mark.parametrize(
    ("settings", "terms", "passes"),
    [
        ({}, GAN | CYCLE | IDENTITY, (3, 3, 2, 2)),
        ({"lambda_identity": 0.0}, GAN | CYCLE, (2, 2, 2, 2)),
        ({"lambda_a": 0.0, "lambda_b": 0.0}, GAN, (1, 1, 2, 2)),
        ({"lambda_b": 0.0}, GAN | {"g/cycle_a", "g/identity_a"}, (1, 3, 2, 2)),
        ({"lambda_a": 0.0, "lambda_identity": 0.0}, GAN | {"g/cycle_b"}, (2, 1, 2, 2)),
        ({"lambda_gan": 0.0}, CYCLE | IDENTITY, (3, 3, 0, 0)),
        ({"adversarial": "wgangp"}, GAN | CYCLE | IDENTITY | {"d/gp_a", "d/gp_b"}, (3, 3, 3, 3)),
    ],
)
def test_ablations_compute_only_what_they_weigh(settings, terms, passes):
    module = build(**settings)
    names = ("generator_ab", "generator_ba", "discriminator_a", "discriminator_b")
    counts = dict.fromkeys(names, 0)
    for name in names:

        def count(m, i, o, name=name):
            counts[name] += 1

        getattr(module, name).register_forward_hook(count)
    trainer = quiet_trainer(max_epochs=1, log_every_n_steps=1)
    trainer.fit(module, DataLoader([BATCH], batch_size=None))
    assert {name for name in trainer.logged_metrics if "/" in name} == terms
    assert tuple(counts.values()) == passes


def test_terms_are_what_the_paper_says():
    module = build(lambda_a=7.0, lambda_b=5.0, lambda_identity=0.25)
    a, b = BATCH["A"], BATCH["B"]
    fake_a, fake_b = module.generator_ba(b), module.generator_ab(a)
    terms = module.generator_losses(a, b, fake_a, fake_b)
    expected = {
        "gan_b": (module.discriminator_b(fake_b) - 1).square().mean(),
        "gan_a": (module.discriminator_a(fake_a) - 1).square().mean(),
        "cycle_a": 7 * F.l1_loss(module.generator_ba(fake_b), a),
        "cycle_b": 5 * F.l1_loss(module.generator_ab(fake_a), b),
        "identity_b": 5 * 0.25 * F.l1_loss(module.generator_ab(b), b),
        "identity_a": 7 * 0.25 * F.l1_loss(module.generator_ba(a), a),
    }
    assert terms.keys() == expected.keys()
    for name, value in expected.items():
        torch.testing.assert_close(terms[name], value, msg=name)
    judged = module.discriminator_losses(a, b, fake_a, fake_b)
    torch.testing.assert_close(judged["fake_a"], 0.5 * module.discriminator_a(fake_a).square().mean())
    torch.testing.assert_close(judged["real_b"], 0.5 * (module.discriminator_b(b) - 1).square().mean())


def test_paper_defaults():
    with torch.device("meta"):
        module = CycleGAN(pool_size=0)
    assert sum(p.numel() for p in module.generator_ab.parameters()) == 11_378_179
    assert sum(p.numel() for p in module.discriminator_b.parameters()) == 2_764_737


def test_directions():
    module = build().eval()
    x = BATCH["A"]
    with torch.no_grad():
        assert torch.equal(module(x), module.generator_ab(x))
        assert torch.equal(module(x, "BtoA"), module.generator_ba(x))
    assert module.sample({"A": x}).keys() == {"real_A", "fake_B", "rec_A"}
    with pytest.raises(ValueError, match='direction must be "AtoB" or "BtoA", got \'both\''):
        module(x, "both")


def test_pools_start_apart_and_penalty_refuses_batch_norm():
    module = build(pool_size=2)
    assert module.pool_a.draws.getstate() != module.pool_b.draws.getstate()
    with pytest.raises(ValueError, match="wgangp.*batch norm"):
        build(norm="batch", adversarial="wgangp")
