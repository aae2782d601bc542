"""Style2Paints: three steps of its definition, and what the suite over all modules does not ask."""

import warnings

import pytest
import torch
from golden_cases import assert_close, golden
from torch import nn
from torch.utils.data import DataLoader
from training import quiet_trainer

from sketchgan import Style2Paints
from sketchgan.data import OpenMoji
from sketchgan.networks import PatchDiscriminator, Style2PaintsDiscriminator, Style2PaintsGenerator


class MeanColour(nn.Module):
    """A style of three numbers, and zeros."""

    def __init__(self, length: int = 6) -> None:
        super().__init__()
        self.length = length

    def forward(self, pictures):
        return nn.functional.pad(pictures.mean((2, 3)), (0, self.length - 3))


def small(**settings) -> Style2Paints:
    hints = settings.get("colour_hints", False)
    heads = {"dcgan": {"outputs": 1}, "style": {}}.get(settings.get("adv_schedule", "switch"), {"logit": True})
    discriminator = {"outputs": 6, "ndf": 2, "pool": 1, "in_channels": 3 + settings.get("conditional", False), **heads}
    return Style2Paints(
        **{
            "generator": Style2PaintsGenerator(hint_dim=6, in_channels=4 if hints else 1, ngf=2, mid=8),
            "discriminator": Style2PaintsDiscriminator(**discriminator),
            "style": MeanColour(),
            "lr_policy": "constant",
            **settings,
        }
    )


def batch(n: int = 2, size: int = 32, **more):
    torch.manual_seed(3)
    return {"A": torch.rand(n, 1, size, size) * 2 - 1, "B": torch.rand(n, 3, size, size) * 2 - 1, **more}


def fit(module: Style2Paints, *batches, **settings):
    """Train one epoch, and return the loss terms of every step."""
    steps = []
    minimize = module.minimize

    def record(optimizer, terms, log_as, clip=None):
        steps.append({f"{log_as}/{name}": term.detach() for name, term in terms.items()})
        minimize(optimizer, terms, log_as, clip)

    module.minimize = record
    quiet_trainer(**{"max_epochs": 1, **settings}).fit(module, DataLoader(list(batches), batch_size=None))
    return [d | g for d, g in zip(steps[::2], steps[1::2], strict=True)]


@pytest.mark.parametrize(
    ("mode", "precision", "loss_rtol", "weights"),
    [
        ("style", "64-true", 2.3e-6, 7e-7),
        ("dcgan", "64-true", 9.5e-7, 8.5e-7),
        # In float32 a ReLU at a map of two pixels decides otherwise, and Adam makes a step of it.
        ("style", "32-true", 1e-4, 4e-4),
        ("dcgan", "32-true", 1e-4, 4e-4),
    ],
)
def test_three_steps(mode, precision, loss_rtol, weights):
    reference = golden(f"style2paints_ref_train_{mode}")
    case, tensors = reference.case, reference.tensors
    outputs = case["hint_dim"] if mode == "style" else 1
    generator = Style2PaintsGenerator(case["hint_dim"], ngf=case["w"], mid=case["mid"], skip=case["skip"])
    generator.load_state_dict(reference.under("state.G"), strict=False)
    discriminator = Style2PaintsDiscriminator(outputs, ndf=case["ndf"], pool=case["pool"])
    discriminator.load_state_dict(reference.under("state.D"), strict=False)
    module = Style2Paints(
        generator,
        discriminator,
        style=MeanColour(case["hint_dim"]),  # not asked: the batches bring their vectors
        adv_schedule=mode,
        lambda_l1=case["lam"],
        alpha=case["alpha"],
        beta=case["beta"],
        lr=case["adam"]["lr"],
        betas=tuple(case["adam"]["betas"]),
        lr_policy="constant",
    )
    dtype = torch.float64 if precision == "64-true" else torch.float32
    steps = [
        {
            "A": 1 - 2 * tensors[f"in.step{k}.sketch"].to(dtype),
            "B": tensors[f"in.step{k}.paint"].to(dtype),
            "style_hint": tensors[f"in.step{k}.hint"].to(dtype),
        }
        for k in (1, 2, 3)
    ]
    for k, ours in enumerate(fit(module, *steps, precision=precision), 1):
        final, guide1, guide2 = (ours[f"g/{name}"] / case["lam"] for name in ("l1", "l1_guide1", "l1_guide2"))
        found = {
            "D_real": ours["d/real"],
            "D_fake": ours["d/fake"],
            "D": ours["d/real"] + ours["d/fake"],
            "G_adv": ours["g/gan"],
            "G_l1_final": final,
            "G_l1_guide1": guide1 / case["alpha"],
            "G_l1_guide2": guide2 / case["beta"],
            "G_l1": final + guide1 + guide2,
            "G": ours["g/gan"] + case["lam"] * (final + guide1 + guide2),
        }
        expected = reference.under(f"loss.step{k}")
        assert found.keys() == expected.keys()
        for name, value in expected.items():
            assert_close(found[name], value, loss_rtol * value.abs().item(), f"step {k} {name}")
    for name, network in (("G", generator), ("D", discriminator)):
        after = reference.under(f"after.{name}")
        assert len(after) > 15
        for key, expected in after.items():
            assert_close(network.state_dict()[key], expected, weights, f"{name}.{key}")


def test_switch_of_the_adversary():
    """The first half of the planned epochs has the plain head, the second that of styles."""
    module = small(n_epochs=1, n_epochs_decay=1)
    heads = []
    module.discriminator.fc.register_forward_hook(lambda *_: heads.append("style"))
    module.discriminator.fc_logit.register_forward_hook(lambda *_: heads.append("plain"))
    fit(module, batch(), max_epochs=2)
    assert heads == ["plain"] * 3 + ["style"] * 3


def test_alternating_adversaries():
    module = small(adv_schedule="alternate")
    first, second = fit(module, batch(), batch())
    assert first["d/fake"] != pytest.approx(second["d/fake"].item())
    heads = []
    module.discriminator.fc.register_forward_hook(lambda *_: heads.append("style"))
    module.discriminator.fc_logit.register_forward_hook(lambda *_: heads.append("plain"))
    fit(small(adv_schedule="alternate", discriminator=module.discriminator), batch(), batch(), batch())
    assert heads == ["plain"] * 3 + ["style"] * 3 + ["plain"] * 3


def test_any_discriminator_of_real_and_fake():
    judge = PatchDiscriminator(3, ndf=2, n_layers=1)
    (losses,) = fit(small(adv_schedule="dcgan", discriminator=judge, adversarial="lsgan"), batch())
    assert losses["d/real"].isfinite()


@pytest.mark.parametrize(("schedule", "head"), [("dcgan", "fc_logit"), ("style", "fc")])
def test_of_two_heads_the_schedule_trains_the_right_one(schedule, head):
    judge = Style2PaintsDiscriminator(outputs=6, ndf=2, pool=1, logit=True)
    before = {key: value.clone() for key, value in judge.state_dict().items() if key.startswith("fc")}
    fit(small(adv_schedule=schedule, discriminator=judge), batch())
    changed = {key for key, value in before.items() if not torch.equal(value, judge.state_dict()[key])}
    assert changed == {f"{head}.weight", f"{head}.bias"}


@pytest.mark.parametrize("outputs", [1, 5])
def test_scores_must_be_as_long_as_styles(outputs):
    judge = Style2PaintsDiscriminator(outputs=outputs, ndf=2, pool=1)
    with pytest.raises(ValueError, match=rf"scores are \(2, {outputs}\) and the styles \(2, 6\); it must have"):
        fit(small(adv_schedule="style", discriminator=judge), batch())


def test_a_switch_that_never_comes_is_told():
    planned = {"n_epochs": 2, "n_epochs_decay": 0}
    with pytest.warns(UserWarning, match="adversary of styles after 1 epochs, .* but max_epochs is 1; lower n_epochs"):
        fit(small(**planned), batch())
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        fit(small(**planned), batch(), max_epochs=2)
        fit(small(**planned, adv_schedule="dcgan"), batch())
    assert not [warning for warning in said if "adv_schedule" in str(warning.message)]


def test_conditional_discriminator_sees_the_ink():
    module = small(conditional=True, colour_hints=True)
    seen = []
    module.discriminator.register_forward_pre_hook(lambda m, inputs: seen.append(inputs[0]))
    given = batch()
    fit(module, given)
    assert [pictures.shape[1] for pictures in seen] == [4, 4, 4]
    assert torch.equal(seen[0], torch.cat([(1 - given["A"]) / 2, given["B"]], dim=1))


def test_terms_of_weight_zero_run_nothing():
    module = small(lambda_gan=0.0)
    module.discriminator.register_forward_hook(lambda *_: pytest.fail("the discriminator ran"))
    steps = []
    module.minimize = lambda optimizer, terms, log_as, clip=None: steps.append(terms)
    quiet_trainer(max_epochs=1).fit(module, DataLoader([batch()], batch_size=None))
    assert [set(terms) for terms in steps] == [{"l1", "l1_guide1", "l1_guide2"}]
    (losses,) = fit(small(alpha=0.0), batch())
    assert "g/l1_guide1" not in losses


def test_a_generator_without_guides():
    generator = Style2PaintsGenerator(hint_dim=6, ngf=2, mid=8, guides="none")
    (losses,) = fit(small(generator=generator), batch())
    assert set(losses) == {"d/real", "d/fake", "g/gan", "g/l1"}


def test_a_batch_may_bring_another_picture_as_style():
    """The generator is told that one's style, the discriminator's target is the painting's own."""
    module = small(adv_schedule="style")
    given = batch(style=torch.full((2, 3, 16, 16), 0.7))
    told, asked = [], []
    module.generator.register_forward_pre_hook(lambda m, inputs: told.append(inputs[1]))
    real = module.style_loss.real
    module.style_loss.real = lambda score, style: asked.append(style) or real(score, style)
    fit(module, given)
    assert_close(told[0][:, :3], torch.full((2, 3), 0.7), 1e-6)
    assert_close(asked[0][:, :3], given["B"].mean((2, 3)), 1e-6)


def test_colour_hints_in_training():
    """A batch's own, or such as a person might give."""
    module = small(colour_hints=True)
    seen = []
    module.generator.register_forward_pre_hook(lambda m, inputs: seen.append(inputs[0]))
    hints = torch.cat([torch.full((8, 3, 32, 32), 0.5), torch.ones(8, 1, 32, 32)], dim=1)
    torch.manual_seed(0)
    fit(module, batch(8, hints=hints), batch(8))
    assert torch.equal(seen[0][:, 1:], torch.full((8, 3, 32, 32), 0.5))
    simulated = seen[1][:, 1:]
    assert 0 < (simulated != 0).float().mean() < 0.3
    white = module.hints_of({"B": torch.ones(8, 3, 32, 32)})
    assert white[:, :3].max() == 1  # as a person gives it
    without = module.eval()(batch()["A"], torch.zeros(2, 6))
    assert without.shape == (2, 3, 32, 32)


def test_dropped_hints():
    """With probability one half, and only then can the module colour without a style."""
    module = small(hint_dropout=0.5)
    torch.manual_seed(0)
    dropped = (module.dropped(torch.ones(1000, 6)) == 0).float().mean(1)
    assert set(dropped.tolist()) == {0, 1}
    assert 0.4 < dropped.mean() < 0.6
    assert not module.needs_style
    a = batch()["A"]
    assert torch.equal(module.eval().translate({"A": a})["fake_B"], module(a, torch.zeros(2, 6)))
    strict = small()
    assert strict.needs_style
    with pytest.raises(ValueError, match="the batch has no style"):
        strict.translate({"A": a})


def test_samples():
    """The next sample's style makes the other picture."""
    module = small().eval()
    given = batch(3)
    made = module.sample(given)
    assert set(made) == {"real_A", "fake_B", "real_B", "other_B", "other_style"}
    assert torch.equal(made["other_style"], given["B"][[1, 2, 0]])
    style = module.encode_style(given["B"])
    assert torch.equal(made["other_B"], module(given["A"], style[[1, 2, 0]]))
    assert set(module.sample({key: value[:1] for key, value in given.items()})) == {"real_A", "fake_B", "real_B"}
    assert set(module.translate(given)) == {"fake_B"}


def test_samples_of_any_size():
    """What is reflected to pad a painting is no part of its style, and pictures of styles keep their size."""
    module = small().eval()
    given = {"A": batch(size=40)["A"], "B": batch(size=40)["B"]}
    vectors = []
    module.generator.register_forward_pre_hook(lambda m, inputs: vectors.append(inputs[1]))
    made = module.validation_step(given, 0)
    assert_close(vectors[0], module.encode_style(given["B"]), 0)
    assert {name: tuple(pictures.shape[-2:]) for name, pictures in made.items()} == dict.fromkeys(made, (40, 40))
    assert torch.equal(made["other_style"], given["B"].flip(0))
    styled = module.test_step({"A": given["A"], "style": torch.rand(2, 3, 64, 48)}, 0)  # without B
    assert styled["other_B"].shape[-2:] == (40, 40)
    assert styled["other_style"].shape[-2:] == (64, 48)


def test_samples_of_sketches_smaller_than_styles():
    """What is made of a sketch is as large as the sketch, and pictures of styles stay as they are."""
    module = small(colour_hints=True).eval()
    given = batch(style=torch.rand(2, 3, 100, 90), hints=torch.zeros(2, 4, 32, 32))
    given = {key: images if key == "style" else images[..., :20, :31] for key, images in given.items()}
    sizes = {name: tuple(images.shape[2:]) for name, images in module.validation_step(given, 0).items()}
    assert sizes == {name: (100, 90) if name == "other_style" else (20, 31) for name in sizes}
    made = module.predict_step({key: images for key, images in given.items() if key != "B"}, 0)
    assert made["fake_B"].shape == (2, 3, 20, 31)


def test_vectors_from_the_cache_are_those_of_the_pictures(tmp_path, monkeypatch):
    """The style network sees each painting once, before training, and the generator is told the same."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    data = OpenMoji(groups=["activities"], augment=False, batch_size=4, image_size=64)
    told = {}
    for cached in (False, True):
        module = small(style="palette", cache_hints=cached, generator=None, discriminator=None)
        module.generator = Style2PaintsGenerator(module.style.hint_dim, ngf=2, mid=8)
        module.discriminator = Style2PaintsDiscriminator(module.style.hint_dim, ndf=2, pool=1, logit=True)
        if cached:
            module.encode_style = lambda pictures: pytest.fail("a style was computed in training")
        told[cached] = seen = []
        module.generator.register_forward_pre_hook(lambda m, inputs, seen=seen: seen.append(inputs[1]))
        quiet_trainer(max_epochs=1, limit_train_batches=3, limit_val_batches=0).fit(module, data)
    for one, other in zip(told[False], told[True], strict=True):
        assert_close(other, one, 1e-6)
        assert (one[0] - one[1]).abs().max() > 0.01


def test_bad_arguments():
    for settings, message in (
        ({"adv_schedule": "x"}, "adv_schedule must be one of"),
        ({"hint_dropout": 1.0}, "probability below 1"),
        ({"adversarial": "wgangp"}, "without gradient penalty"),
        ({"style_loss": "x"}, "style_loss must be one of"),
    ):
        with pytest.raises(ValueError, match=message):
            small(**settings)


def test_a_cache_needs_data_that_can_keep_it():
    with pytest.raises(ValueError, match="cache_hints=True needs a data module"):
        fit(small(cache_hints=True), batch())
