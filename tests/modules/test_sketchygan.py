"""SketchyGAN: three training steps against the official code, its switches, and its noise."""

import re
import warnings

import pytest
import torch
from golden_cases import Golden, assert_close, golden
from torch import Tensor, nn
from torch.utils.data import DataLoader
from training import quiet_trainer

from sketchgan import CycleGAN, SketchyGAN
from sketchgan.callbacks import ImageMetrics
from sketchgan.convert.official import renamed
from sketchgan.convert.sketchygan import discriminator_keys, generator_keys
from sketchgan.losses import PerceptualLoss
from sketchgan.modules.strategy import refuse_sync_batch_norm
from sketchgan.networks import (
    InceptionV4Stem,
    SketchyGANDiscriminator,
    SketchyGANGenerator,
    inception_v4_from_tf,
)

# Biases before a conditional batch norm: their gradients are rounding errors, of which Adam makes whole steps.
WITHOUT_GRADIENT = re.compile(
    r"generator/(fully_connected|mru_conv_unit_t_\d_layer_0/Conv_1|mru_conv_unit_t_[34]_layer_0/Conv_[23]"
    r"|mru_deconv_unit_t_\d_layer_0/Conv_[234])/biases"
)


def stem() -> nn.Module:
    network = InceptionV4Stem()
    network.load_state_dict(inception_v4_from_tf(golden("sketchygan_perceptual").under("state.InceptionV4")))
    return network


def batches(reference: Golden) -> tuple[list[dict[str, Tensor]], list[Tensor]]:
    """What the two updates of each step saw, side by side, and the noises in the order of their use."""
    made, noises = [], []
    for k in (1, 2, 3):
        d, g = reference.under(f"in.step{k}.d"), reference.under(f"in.step{k}.g")
        sides = {
            "A": (d["sketch"], g["sketch"]),
            "A_label": (d["labels"], g["labels"]),
            "B": (d["photo_d"], g["photo"]),
            "B_label": (d["labels_d"], g["labels"]),
        }
        joined = {name: torch.cat(parts) for name, parts in sides.items()}
        made.append({k: v if "label" in k else (v.float() / 127.5 - 1).double() for k, v in joined.items()})
        noises += [d["noise_a"].double(), g["noise_a"].double(), g["noise_b"].double()]
    return made, noises


def test_three_steps():
    reference = golden("sketchygan_train3")
    networks = {"generator": SketchyGANGenerator(5, ngf=4), "discriminator": SketchyGANDiscriminator(5, ndf=4)}
    keys = {"G": generator_keys(networks["generator"]), "D": discriminator_keys(networks["discriminator"])}
    for letter, network in zip("GD", networks.values(), strict=True):
        network.load_state_dict(renamed(reference.under(f"state.{letter}"), keys[letter]), strict=letter == "D")
    steps, noises = batches(reference)
    draws = iter(noises)
    losses: list[dict[str, Tensor]] = [{}, {}, {}]

    class Recorder(SketchyGAN):
        def noise(self, part):
            return next(draws)

        def minimize(self, optimizer, terms, log_as, clip=None):
            decay = sum(
                group["weight_decay"] / 2 * weight.detach().square().sum()
                for group in optimizer.param_groups
                for weight in group["params"]
            )
            recorded = {f"{log_as}/{k}": v.detach() for k, v in terms.items()} | {f"{log_as}/decay": decay}
            losses[self.batches_seen - 1].update(recorded | {log_as: sum(recorded.values())})
            super().minimize(optimizer, terms, log_as, clip)

        def on_train_batch_end(self, *args):
            if self.batches_seen == 1:
                state = self.discriminator.state_dict()
                for key, expected in renamed(reference.under("after_step1.D"), keys["D"]).items():
                    assert_close(state[key], expected, 7e-6, f"after step 1, {key}")

    perceptual = PerceptualLoss(stem(), size=299, value_range=(0, 1))
    module = Recorder(**networks, perceptual=perceptual, n_iterations=10)
    quiet_trainer(max_epochs=1, precision="64-true").fit(module, DataLoader(steps, batch_size=None))
    assert next(draws, None) is None

    for k, ours in enumerate(losses, 1):
        official = {
            "d_total": ours["d"],
            "GAN_loss_d": ours["d/real"] + ours["d/fake"],
            "ACGAN_loss_d": ours["d/class"],
            "weight_decay_loss_d": ours["d/decay"],
            "g_total": ours["g"],
            "GAN_loss_g": ours["g/gan"],
            "ACGAN_loss_g": ours["g/class"],
            "direct_loss": (ours["g/l1"] + ours["g/perceptual"]) / 10,
            "diversity_loss": ours["g/diversity"] / 10,
            "weight_decay_loss_g": ours["g/decay"],
        }
        expected = reference.under(f"loss.step{k}")
        assert official.keys() == expected.keys()
        for name, value in expected.items():
            assert_close(official[name], value, 2e-4, f"step {k} {name}")

    apart = []
    for letter, network in zip("GD", networks.values(), strict=True):
        state = network.state_dict()
        for key, expected in reference.under(f"after.{letter}").items():
            (name,) = renamed({key: expected}, keys[letter])
            difference = (state[name].float() - expected).abs().flatten()
            if key.endswith("/u"):
                assert difference.max() < 7e-6, key
            elif not WITHOUT_GRADIENT.fullmatch(key):
                assert difference.max() < 5.5e-4, key  # 5.01e-4 where a gradient is next to nothing
                apart.append(difference)
    assert (torch.cat(apart) < 1e-5).float().mean() > 0.993


def small(**settings) -> SketchyGAN:
    torch.manual_seed(0)
    return SketchyGAN(
        generator=SketchyGANGenerator(n_classes=3, ngf=2, image_size=32, noise_dim=4),
        **{"discriminator": SketchyGANDiscriminator(3, ndf=2), "lambda_perceptual": 0.0, **settings},
    )


def batch(size: int) -> dict:
    torch.manual_seed(1)
    labels = torch.arange(size) % 3
    pictures = {"A": torch.rand(size, 3, 32, 32) * 2 - 1, "B": torch.rand(size, 3, 32, 32) * 2 - 1}
    return pictures | {"A_label": labels, "B_label": labels.flip(0), "A_path": [f"{i}.png" for i in range(size)]}


def terms_of(module: SketchyGAN, size: int = 4) -> set[str]:
    """Names of the logged losses of one training step."""
    trainer = quiet_trainer(max_epochs=1, log_every_n_steps=1)
    trainer.fit(module, DataLoader([batch(size)], batch_size=None))
    assert all(torch.isfinite(value) for value in trainer.logged_metrics.values())
    return {name for name in trainer.logged_metrics if "/" in name}


ALL = {"d/real", "d/fake", "d/class", "g/gan", "g/class", "g/l1", "g/diversity"}


@pytest.mark.parametrize(
    ("settings", "terms"),
    [
        ({}, ALL),
        ({"lambda_diversity": 0.0, "lambda_l1": 0.0}, ALL - {"g/diversity", "g/l1"}),
        ({"lambda_class_g": 0.0, "lambda_class_d": 0.0}, ALL - {"d/class", "g/class"}),
        ({"lambda_gan": 0.0, "focal_gamma": 0.0}, ALL - {"d/real", "d/fake", "g/gan"}),
        ({"adversarial": "dragan", "spectral_norm": False}, ALL | {"d/gp"}),
        ({"adversarial": "wgangp", "spectral_norm": False}, ALL | {"d/gp"}),
        ({"projection": True, "n_blocks": 2}, ALL - {"d/class", "g/class"}),
        ({"sn_update": "forward"}, ALL),
        (dict.fromkeys(("lambda_gan", "lambda_class_d", "lambda_class_g"), 0.0), {"g/l1", "g/diversity"}),
    ],
)  # fmt: skip
def test_losses_can_be_left_out(settings, terms):
    of_d = {
        name: settings.pop(name)
        for name in ("spectral_norm", "projection", "sn_update", "n_blocks")
        if name in settings
    }
    assert terms_of(small(discriminator=SketchyGANDiscriminator(3, ndf=2, **of_d), **settings)) == terms


def test_the_perceptual_term_is_weighted():
    module = small(lambda_perceptual=3.0, perceptual=PerceptualLoss("openmoji"))
    given = batch(4)
    made = torch.rand(4, 3, 32, 32)
    losses = module.generator_losses(given, [], made)
    assert losses["perceptual"] == 3 * module.perceptual(given["B"], made)


def test_every_update_has_its_own_part_of_the_batch():
    """Two discriminator updates on the first two thirds, the generator's on the last, by their labels."""
    seen = []

    class Recorder(SketchyGAN):
        def discriminator_losses(self, part, fake_b):
            seen.append(("d", part["A_path"], part["B_label"].tolist()))
            return super().discriminator_losses(part, fake_b)

        def generator_losses(self, part, noises, made):
            seen.append(("g", part["A_path"], part["B_label"].tolist()))
            return super().generator_losses(part, noises, made)

    module = small(d_iterations=2)
    module.__class__ = Recorder
    terms_of(module, size=6)
    labels = batch(6)["B_label"].tolist()
    paths = [["0.png", "1.png"], ["2.png", "3.png"], ["4.png", "5.png"]]
    assert seen == [(n, p, labels[i : i + 2]) for n, p, i in zip("ddg", paths, (0, 2, 4), strict=True)]
    with pytest.raises(ValueError, match=r"a batch of 4 cannot be cut into 3 equal parts.*a multiple of d_iter"):
        module.parts(batch(4))


def test_noise_follows_from_name_and_seed():
    module = small().eval()
    given = batch(4)
    first = module.translate(given)["fake_B"]
    torch.rand(3)
    assert torch.equal(module.translate(given)["fake_B"], first)
    assert not torch.equal(module.translate(given, seed=1)["fake_B"], first)
    numbered = {**given, "seed": torch.tensor([1, 1, 1, 1])}
    assert torch.equal(module.translate(numbered)["fake_B"], module.translate(given, seed=1)["fake_B"])
    assert not torch.equal(module.translate({**given, "A_path": ["a", "b", "c", "d"]})["fake_B"], first)
    state = torch.get_rng_state()
    module.translate(given)
    assert torch.equal(torch.get_rng_state(), state)


def test_statistics_of_the_batch_or_of_training():
    module = small()
    terms_of(module)
    given = batch(4)
    one = {key: value[:1] for key, value in given.items()}
    with pytest.warns(UserWarning, match="a single sketch is normalised with itself, so its noise has no effect"):
        alone = module.translate(one)["fake_B"]
    torch.testing.assert_close(alone, module.translate(one, seed=5)["fake_B"], atol=1e-4, rtol=0)
    assert not torch.allclose(alone, module.translate(given)["fake_B"][:1], atol=1e-4)

    running = small(inference_norm="running")
    running.load_state_dict(module.state_dict())
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        alone = running.translate(one)["fake_B"]
    torch.testing.assert_close(alone, running.translate(given)["fake_B"][:1], atol=1e-5, rtol=0)
    assert not torch.equal(alone, running.translate(one, seed=5)["fake_B"])
    with pytest.warns(UserWarning, match="the generator has no averages of training"):
        small(inference_norm="running").translate(given)
    with pytest.raises(ValueError, match='statistics must be "batch" or "running", got \'mean\''):
        small(inference_norm="mean")


def test_vectors_of_the_spectral_norm_move_once_a_step():
    module = small(d_iterations=3)
    before = module.discriminator.stem.weight_u.clone()
    held = []
    minimize = module.minimize

    def watch(optimizer, losses, log_as, clip=None):
        minimize(optimizer, losses, log_as, clip)
        held.append(torch.equal(module.discriminator.stem.weight_u, before))

    module.minimize = watch
    terms_of(module, size=8)
    assert held == [True] * 4
    assert not torch.equal(module.discriminator.stem.weight_u, before)


def test_what_is_refused():
    with pytest.raises(ValueError, match="d_iterations must be at least 1, got 0"):
        small(d_iterations=0)
    with pytest.raises(ValueError, match="needs the class of every sketch"):
        small().translate({"A": torch.zeros(2, 3, 32, 32)})
    with pytest.raises(ValueError, match="n_iterations must be at least 1, got 0"):
        terms_of(small(n_iterations=0))
    nothing = dict.fromkeys(("lambda_gan", "lambda_class_g", "lambda_l1", "lambda_diversity"), 0.0)
    with pytest.raises(ValueError, match="the loss g has no terms"):
        terms_of(small(**nothing))


def test_synchronised_batch_norm_is_refused():
    """It would turn the conditional norms into plain ones."""
    run = quiet_trainer(devices=2, strategy="ddp_find_unused_parameters_true", sync_batchnorm=True)
    with pytest.raises(ValueError, match="would make generator.encoder.*ConditionalBatchNorm; leave it out"):
        refuse_sync_batch_norm(run, small())
    refuse_sync_batch_norm(run, nn.BatchNorm2d(3))
    refuse_sync_batch_norm(quiet_trainer(), small())


def test_accuracy_by_its_own_classifier():
    """Which stays in the discriminator: not frozen, and not moved into the callback."""
    module = small()
    scores = ImageMetrics("accuracy", classifier="auxiliary")
    data = DataLoader([batch(6)], batch_size=None)
    run = quiet_trainer(max_epochs=1, callbacks=[scores])
    run.fit(module, DataLoader([batch(4)], batch_size=None), data)
    assert all(p.requires_grad for p in module.discriminator.parameters())
    found = module.classify(module.translate(batch(6))["fake_B"].mul(127.5).add(127.5).round() / 127.5 - 1).argmax(1)
    assert run.callback_metrics["val/accuracy"] == (found == batch(6)["A_label"]).float().mean()
    with pytest.raises(ValueError, match="judges pictures without naming their class"):
        small(discriminator=SketchyGANDiscriminator(3, ndf=2, projection=True)).classify(torch.rand(2, 3, 32, 32))
    with pytest.raises(ValueError, match="CycleGAN has no auxiliary classifier; name another"):
        quiet_trainer(callbacks=[scores]).validate(CycleGAN(), data)
