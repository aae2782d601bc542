"""AODA: training steps against the official code, its pools, its switches."""

from collections.abc import Mapping
from itertools import chain
from typing import Any

import pytest
import torch
from golden_cases import Golden, assert_close, golden
from torch import Tensor, nn
from torch.utils.data import DataLoader
from training import quiet_trainer, save

import sketchgan
from sketchgan import AODA, Anime2Sketch
from sketchgan.blocks import ClassAdaIN
from sketchgan.convert.aoda import classifier_keys, generator_keys
from sketchgan.convert.official import KeyMap, renamed
from sketchgan.convert.pix2pix_cyclegan import patch_keys, resnet_keys
from sketchgan.data import OpenMoji
from sketchgan.losses import focal_loss
from sketchgan.networks import AODAGenerator, HRNetClassifier, PatchDiscriminator, ResnetGenerator, UNetGenerator
from sketchgan.ops import ImagePool

OFFICIAL = {
    "G_A": "generator_ba",
    "G_B": "generator_ab",
    "D_A": "discriminator_a",
    "D_B": "discriminator_b",
    "R": "classifier",
}


class Fed:
    """Random numbers from a list."""

    def __init__(self, *draws: float) -> None:
        self.draws = list(draws)

    def uniform(self, low: float, high: float) -> float:
        return self.draws.pop(0)

    def randint(self, low: int, high: int) -> int:
        return int(self.draws.pop(0))


def test_class_adain():
    reference = golden("aoda_g_b")
    norm = ClassAdaIN(channels=6, n_classes=4)
    norm.load_state_dict(renamed(reference.under("state.adain"), {"emb": "classes", "l1": "linear"}))
    labels = reference.tensors["in.adain_label"]
    made = norm(reference.tensors["in.adain_x"], labels)
    assert_close(made, reference.tensors["out.adain"], 5e-5)
    scale, shift = norm.styles()
    assert_close(scale[labels].flatten(), reference.tensors["out.adain_style_std"].flatten(), 5e-5)
    assert_close(shift[labels].flatten(), reference.tensors["out.adain_style_mean"].flatten(), 5e-5)


def test_class_generator():
    reference = golden("aoda_g_b")
    network = AODAGenerator(n_classes=5, ngf=4)
    network.load_state_dict(renamed(reference.under("state.G_B"), generator_keys(9)))
    given, out = reference.under("in"), reference.under("out")
    seen: dict[str, Tensor] = {}
    places = {"after_down": network.down, "after_block1": network.blocks[0], "after_block9": network.blocks[8]}
    for name, place in {**places, "before_tanh": network.head[1]}.items():
        place.register_forward_hook(lambda _, __, made, name=name: seen.__setitem__(name, made))
    photo = network(given["sketch"], given["label"])
    assert_close(photo, out["photo"], 5e-5)
    for name, made in seen.items():
        assert_close(made, out[name], 5e-5, name)
    same = network(given["sketch"][:1].expand(5, -1, -1, -1), torch.arange(5))
    assert_close(same, out["same_sketch_all_labels"], 5e-5)
    assert_close(network(given["sketch_36x44"], torch.tensor([2])), out["photo_36x44_label2"], 5e-5)


def test_shares_of_classes_blend_styles():
    torch.manual_seed(0)
    norm, x = ClassAdaIN(channels=2, n_classes=3), torch.randn(1, 2, 4, 4)
    ends = [norm(x, torch.tensor([i])) for i in (0, 2)]
    middle = norm(x, torch.tensor([[0.5, 0.0, 0.5]]))
    assert_close(middle, (ends[0] + ends[1]) / 2, 1e-6)


def test_number_of_weights():
    with torch.device("meta"):
        counts = {k: sum(p.numel() for p in AODAGenerator(k).parameters()) for k in (10, 3, 14)}
    assert counts == {10: 12_689_227, 3: 12_558_565, 14: 12_764_683}


@pytest.mark.parametrize("gamma", [0, 1, 2])
def test_focal_loss(gamma):
    reference = golden("aoda_focal")
    logits = reference.tensors["in.logits"].requires_grad_()
    loss = focal_loss(logits, reference.tensors["in.target"], gamma, of_mean=True)
    loss.backward()
    assert_close(loss, reference.tensors[f"loss.focal_gamma{gamma}"], 1e-6)
    assert_close(logits.grad, reference.tensors[f"grad.focal_gamma{gamma}"], 1e-6)


@pytest.mark.parametrize(
    "name", ["labelled_size3_batch2", "labelled_size2_batch1", "labelled_size0", "plain_size3_batch2"]
)
def test_pools(name):
    reference = golden("aoda_pool")
    settings = reference.case[name]
    pool = ImagePool(settings["pool_size"], Fed(*(value for query in settings["draws"] for _, value in query)))
    given, expected = reference.under(f"in.{name}"), reference.under(f"out.{name}")
    for k in range(len(given["images"])):
        labels = given["labels"][k] if "labels" in given else None
        images, shown_labels = pool.query_labelled(given["images"][k], labels)
        assert torch.equal(images, expected["images"][k])
        if labels is not None:
            assert torch.equal(shown_labels, expected["labels"][k])
    if pool.size:
        assert torch.equal(torch.stack(pool.images), reference.tensors[f"after.{name}.images"])
    if pool.size and "labels" in given:
        assert torch.equal(torch.stack(pool.labels), reference.tensors[f"after.{name}.labels"])
    assert not pool.draws.draws


def official_networks(reference: Golden) -> tuple[dict[str, nn.Module], dict[str, KeyMap]]:
    networks: dict[str, nn.Module] = {
        "G_A": ResnetGenerator(ngf=4),
        "G_B": AODAGenerator(n_classes=5, ngf=4),
        "D_A": PatchDiscriminator(3, ndf=4, norm="instance"),
        "D_B": PatchDiscriminator(3, ndf=4, norm="instance"),
        "R": HRNetClassifier(5, stem=8, layer1=4, branches=(2, 4, 8, 16), heads=(2, 4, 8, 16), features=32),
    }
    keys = {
        "G_A": resnet_keys(9),
        "G_B": generator_keys(9),
        "D_A": patch_keys(3),
        "D_B": patch_keys(3),
        "R": classifier_keys(networks["R"]),
    }
    for name, network in networks.items():
        network.load_state_dict(renamed(reference.under(f"state.{name}"), keys[name]))
    return networks, keys


def batch_of(reference: Golden, step: int) -> dict[str, Tensor]:
    given = reference.under(f"in.step{step}")
    sketch, photo = (given[f"{name}_u8"].float() / 127.5 - 1 for name in ("sketch", "photo"))
    labels = {"A_label": given["sketch_label"], "B_label": given["photo_label"]}
    return {"A": sketch.expand(-1, 3, -1, -1), "B": photo, **labels}


def feed(module: AODA, reference: Golden) -> None:
    """Hand every draw to who asks for it: the official code consumes them all from one source."""
    size, batch = reference.case["settings"]["pool_size"], reference.case["settings"]["batch_size"]
    fed: dict[str, list[float]] = {"mixing": [], "label_pool": [], "sketches": [], "pool_b": []}
    held = dict.fromkeys(fed, 0)
    for draws in reference.case["draws_per_step"]:
        left = [value for _, value in draws]
        fed["mixing"].append(left[0])
        mixed = left.pop(0) > reference.case["settings"]["rand_p"]
        for pool in ("label_pool", "sketches", "pool_b") if size else ():
            for _ in range(batch if mixed or pool != "label_pool" else 0):
                if held[pool] < size:
                    held[pool] += 1
                else:
                    taken = 2 if left[0] > 0.5 else 1
                    fed[pool] += left[:taken]
                    del left[:taken]
        assert not left
    for name in ("mixing", "label_pool", "pool_b"):
        getattr(module, name).draws = Fed(*fed[name])


def recorder(reference: Golden, networks: Mapping[str, nn.Module], **settings: Any) -> Any:
    """A module with the case's networks and settings, which keeps what it makes and its losses."""

    class Recorder(AODA):
        def setup(self, stage):
            super().setup(stage)
            self.losses, self.seen = [], []

        def make(self, batch, mixed):
            self.losses.append({})
            self.seen.append(super().make(batch, mixed))
            return self.seen[-1]

        def minimize(self, optimizer, losses, log_as, clip=None):
            self.losses[-1] |= {f"{log_as}/{name}": loss.item() for name, loss in losses.items()}
            super().minimize(optimizer, losses, log_as, clip)

    case = reference.case["settings"]
    return Recorder(
        **{OFFICIAL[name]: network for name, network in networks.items()},
        n_classes=5,
        adversarial=case["gan_mode"],
        lambda_a=case["lambda_B"],
        lambda_b=case["lambda_A"],
        lambda_class=case["lambda_E"],
        lambda_identity=case["lambda_identity"],
        judge_reconstruction=case["mix_rec"],
        threshold=case["rand_p"],
        pool_size=case["pool_size"],
        lr_g=case["lr_g"],
        lr_d=case["lr_d"],
        lr_r=case["lr"],
        **settings,
    )


def official_losses(ours: Mapping[str, float]) -> dict[str, float]:
    """Our terms under the official names."""
    of = {name: ours.get(name, 0.0) for name in chain(ours, GENERATOR)}
    return {
        "G_A": of["g/gan_a"],
        "G_B": of["g/gan_b"] + of["g/gan_rec"],
        "G_B_gen": of["g/gan_b"],
        "G_B_rec": of["g/gan_rec"],
        "cons": of["g/cycle_a"] + of["g/cycle_b"],
        "eta": of["g/class"] + of["g/class_rec"],
        "idt_A": of["g/identity_a"],
        "idt_B": of["g/identity_b"],
        "G": sum(value for name, value in ours.items() if name.startswith("g/")),
        "D_A": of["d/real_a"] + of["d/fake_a"],
        "D_B": of["d/real_b"] + of["d/fake_b"],
        "R": sum(value for name, value in ours.items() if name.startswith("r/")),
    }


GENERATOR = [
    f"g/{name}" for name in ("gan_a", "gan_b", "gan_rec", "cycle_a", "cycle_b", "class", "class_rec", "identity_a")
] + ["g/identity_b"]


@pytest.mark.parametrize("name", ["aoda_train", "aoda_train_options", "aoda_train_paper"])
def test_three_steps(name):
    reference = golden(name)
    networks, keys = official_networks(reference)
    module = recorder(reference, networks)
    feed(module, reference)
    steps = [batch_of(reference, k) for k in (1, 2, 3)]
    quiet_trainer(max_epochs=1).fit(module, DataLoader(steps, batch_size=None))

    for k in range(3):
        expected, losses = reference.under(f"loss.step{k + 1}"), official_losses(module.losses[k])
        assert losses.keys() == expected.keys()
        for loss, value in expected.items():
            tolerance = 1e-4 if k else 1e-5
            assert abs(losses[loss] - value.item()) < tolerance, f"step {k + 1} {loss}"
        out, made = reference.under(f"out.step{k + 1}"), module.seen[k]
        assert torch.equal(made.label, out["label_used"])
        for official, ours in (("fake_sketch", made.fake_a), ("fake_photo", made.fake_b)):
            if official in out:
                assert_close(ours, out[official], 1e-3, f"step {k + 1} {official}")
    for source in (module.mixing, module.label_pool, module.pool_b):
        assert not source.draws.draws

    apart = []
    for net, network in networks.items():
        state = network.state_dict()
        for key, expected in reference.under(f"after.{net}").items():
            (own,) = renamed({key: expected}, keys[net])
            difference = (state[own].float() - expected).abs().flatten()
            if "running" in key:
                assert difference.max() <= 1e-3 * expected.abs().max(), key
            elif "num_batches" in key:
                assert difference == 0, key
            elif f"{net}.{key}" not in reference.case["zero_gradient_keys"]:
                assert difference.max() < 2 * 3 * 4e-4, key
                apart.append(difference)
    assert (torch.cat(apart) < 1e-5).float().mean() > 0.99


def test_gradients_of_the_first_step():
    gradients = golden("aoda_train_grads")
    reference = golden("aoda_train")
    networks, keys = official_networks(reference)
    found: dict[str, Tensor] = {}
    module = recorder(reference, networks)

    def keep(optimizer, *args, **kwargs):
        owned = {id(p) for group in optimizer.param_groups for p in group["params"]}
        for net, network in networks.items():
            for own, parameter in network.named_parameters():
                if id(parameter) in owned:
                    found[f"{net}.{own}"] = parameter.grad.clone()

    feed(module, reference)
    module.on_before_optimizer_step = keep
    quiet_trainer(max_epochs=1).fit(module, DataLoader([batch_of(reference, 1)], batch_size=None))
    compared = 0
    for net in networks:
        expected = gradients.under(f"grad.{net}")
        largest = max(gradient.abs().max() for gradient in expected.values())
        for key, gradient in expected.items():
            (own,) = renamed({key: gradient}, keys[net])
            assert_close(found[f"{net}.{own}"], gradient, 1e-2 * largest, key)
            compared += 1
    assert compared == len(found)


# What may be switched


def small(**settings) -> AODA:
    torch.manual_seed(0)
    networks: dict[str, Any] = {
        "generator_ab": AODAGenerator(3, ngf=2, n_blocks=1) if settings.get("n_classes", 3) else None,
        "generator_ba": ResnetGenerator(ngf=2, n_blocks=1),
        "discriminator_a": PatchDiscriminator(3, ndf=2, n_layers=1, norm="instance"),
        "discriminator_b": PatchDiscriminator(3, ndf=2, n_layers=1, norm="instance"),
        "classifier": nn.Sequential(nn.AvgPool2d(16), nn.Flatten(), nn.Linear(3, 3)),
    }
    networks["generator_ab"] = networks["generator_ab"] or ResnetGenerator(ngf=2, n_blocks=1)
    return AODA(**{**networks, "n_classes": 3, "lambda_a": 0.0, "threshold": 1.0, **settings})


def batch(size: int = 2) -> dict[str, Any]:
    torch.manual_seed(1)
    pictures = {side: torch.rand(size, 3, 16, 16) * 2 - 1 for side in "AB"}
    return pictures | {"A_label": torch.arange(size) % 3, "B_label": (torch.arange(size) + 1) % 3}


def step(module: AODA, given: dict[str, Any] | None = None) -> tuple[set[str], tuple[int, ...]]:
    """Names of the terms of one training step, and how many pictures each network saw."""
    counts = dict.fromkeys(OFFICIAL.values(), 0)
    for name in counts:
        if (network := getattr(module, name)) is not None:
            network.register_forward_hook(
                lambda _, inputs, __, name=name: counts.__setitem__(name, counts[name] + len(inputs[0]) // 2)
            )
    trainer = quiet_trainer(max_epochs=1, log_every_n_steps=1)
    trainer.fit(module, DataLoader([given or batch()], batch_size=None))
    order = ("generator_ab", "generator_ba", "discriminator_a", "discriminator_b", "classifier")
    return {name for name in trainer.logged_metrics if "/" in name}, tuple(counts[name] for name in order)


JUDGED = {"d/real_a", "d/fake_a", "d/real_b", "d/fake_b"}
PLAIN = JUDGED | {"g/gan_a", "g/gan_b", "g/cycle_b", "g/class", "r/real", "r/fake"}


@pytest.mark.parametrize(
    ("settings", "terms", "passes"),
    [
        ({}, PLAIN, (2, 1, 3, 3, 3)),
        ({"lambda_a": 1.0}, PLAIN | {"g/cycle_a"}, (2, 2, 3, 3, 3)),
        ({"lambda_b": 0.0}, PLAIN - {"g/cycle_b"}, (1, 1, 3, 3, 3)),
        (
            {"lambda_identity": 0.5, "lambda_a": 1.0},
            PLAIN | {"g/cycle_a", "g/identity_a", "g/identity_b"},
            (3, 3, 3, 3, 3),
        ),
        ({"lambda_class": 0.0}, PLAIN - {"g/class", "r/real", "r/fake"}, (2, 1, 3, 3, 0)),
        ({"judge_reconstruction": True}, PLAIN | {"g/gan_rec", "g/class_rec", "r/rec"}, (2, 1, 3, 4, 5)),
        ({"lambda_gan_a": 0.0}, PLAIN - {"g/gan_a", "d/real_a", "d/fake_a"}, (2, 1, 0, 3, 3)),
        (
            {"lambda_gan_b": 0.0, "lambda_class": 0.0},
            {"g/gan_a", "g/cycle_b", "d/real_a", "d/fake_a"},
            (1, 1, 3, 0, 0),
        ),
        ({"threshold": 0.0}, PLAIN, (2, 1, 3, 3, 3)),
        ({"threshold": 0.0, "pool_size": 0}, PLAIN, (1, 1, 3, 3, 3)),
        ({"threshold": 0.0, "mixed_for": "generator"}, PLAIN, (3, 1, 3, 3, 3)),
        ({"adversarial": "wgangp"}, PLAIN | {"d/gp_a", "d/gp_b"}, (2, 1, 4, 4, 3)),
        ({"n_classes": 0}, PLAIN - {"g/class", "r/real", "r/fake"}, (2, 1, 3, 3, 0)),
    ],
)
def test_switches_compute_only_what_they_weigh(settings, terms, passes):
    module = small(**settings)
    given = batch() if settings.get("n_classes", 3) else {side: batch()[side] for side in "AB"}
    assert step(module, given) == (terms, passes)


def test_presets():
    with torch.device("meta"):
        official, paper = (AODA(n_classes=3, preset=preset) for preset in ("official", "paper"))
        mine = AODA(n_classes=3, preset="paper", lr_d=1e-3, threshold=0.25)
    for module, rates, threshold, mixed_for, lambda_a in (
        (official, (1e-4, 4e-4, 2e-4), 0.5, "all", 1.0),
        (paper, (2e-4, 2e-4, 2e-4), "openness", "generator", 0.0),
        (mine, (2e-4, 1e-3, 2e-4), 0.25, "generator", 0.0),
    ):
        assert (module.lr_g, module.lr_d, module.lr_r) == rates
        assert (module.threshold, module.mixed_for, module.lambda_a) == (threshold, mixed_for, lambda_a)
        assert module.lambda_b == 10.0
    assert official.planned_epochs is None
    assert paper.planned_epochs == 200
    factors = [
        scheduler.lr_lambdas[0](k) for scheduler in paper.configure_optimizers()[1][:1] for k in (0, 99, 100, 199)
    ]
    assert factors == [1.0, 1.0, 0.5, 0.5]


class TestMixing:
    def made(self, draw: float, **settings) -> tuple[AODA, dict, Any]:
        module = small(threshold=0.5, **settings)
        module.mixing.draws = Fed(draw)
        given = batch()
        return module, given, module.make(given, module.mixes())

    def test_drawn_sketches_at_the_threshold_and_below(self):
        module, given, made = self.made(0.5)
        assert torch.equal(made.label, given["A_label"])
        expected = module.generator_ab(given["A"], given["A_label"])
        assert_close(made.fake_b, expected, 1e-6)
        assert not module.label_pool.images

    def test_made_sketches_with_their_photos_classes_above(self):
        module, given, made = self.made(0.51)
        assert torch.equal(made.label, given["B_label"])
        assert_close(made.fake_b, made.rec_b, 1e-6)
        assert len(module.label_pool.images) == 2

    def test_no_gradient_passes_the_pool(self):
        for pool_size, passes in ((5, False), (0, True)):
            module, _, made = self.made(0.9, pool_size=pool_size)
            made.fake_b.sum().backward()
            assert (module.generator_ba.stem[1].weight.grad.abs().max() > 0) == passes

    def test_judges_may_learn_from_drawn_sketches_alone(self):
        module, given, made = self.made(0.9, mixed_for="generator")
        assert torch.equal(made.label, given["B_label"])
        assert torch.equal(made.shown_label, given["A_label"])
        assert_close(made.shown_b, module.generator_ab(given["A"], given["A_label"]), 1e-6)
        assert not made.shown_b.requires_grad
        assert made.fake_b.requires_grad
        learned = module.classifier_losses(given, made)["fake"]
        assert_close(learned, focal_loss(module.classifier(made.shown_b), given["A_label"], 0) / 2, 1e-6)
        judged = module.discriminator_losses(given, made)["fake_b"]
        assert_close(judged, module.adversarial.fake(module.discriminator_b(made.shown_b)) / 2, 1e-6)

    def test_openness_is_asked_of_the_data(self):
        data = OpenMoji(paired=False, open_domain=["objects", "activities"], image_size=16, batch_size=2)
        module = small(n_classes=7, generator_ab=AODAGenerator(7, ngf=2, n_blocks=1), threshold="openness")
        module.classifier[2] = nn.Linear(3, 7)
        quiet_trainer(max_epochs=1, limit_train_batches=1, limit_val_batches=0).fit(module, data)
        assert module.open_share == pytest.approx(2 / 7)
        module.mixing.draws = Fed(0.71, 0.72)
        assert [module.mixes(), module.mixes()] == [False, True]
        data = OpenMoji(paired=False, image_size=16, batch_size=2)
        module = small(n_classes=7, generator_ab=AODAGenerator(7, ngf=2, n_blocks=1), threshold="openness")
        with pytest.raises(ValueError, match="OpenMoji knows of none; give threshold a number"):
            quiet_trainer(max_epochs=1).fit(module, data)
        with pytest.raises(ValueError, match="the data knows of none; give threshold a number"):
            quiet_trainer(max_epochs=1).fit(small(threshold="openness"), DataLoader([batch()], batch_size=None))


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: small(preset="mine"), "preset must be one of official, paper, got 'mine'"),
        (lambda: small(threshold=1.5), "threshold must be between 0 and 1"),
        (lambda: small(threshold="half"), "threshold must be between 0 and 1"),
        (lambda: small(mixed_for="both"), 'mixed_for must be "all" or "generator"'),
        (lambda: small(n_classes=4), "generator_ab knows 3 classes, the module n_classes=4; they must agree"),
        (lambda: small(classifier=HRNetClassifier(2)), "classifier knows 2 classes, the module n_classes=3"),
        (
            lambda: small(n_classes=0, generator_ab=AODAGenerator(3, ngf=2, n_blocks=1)),
            "generator_ab knows 3 classes, the module n_classes=0",
        ),
        (lambda: small(lambda_class=0.0).classify(torch.zeros(1, 3, 16, 16)), "has no classifier"),
        (lambda: small().translate({"A": torch.zeros(1, 3, 16, 16)}), "needs the class of every picture of A"),
        (lambda: small(adversarial="wgangp", discriminator_a=PatchDiscriminator(3, ndf=2)), "gradient per sample"),
    ],
)
def test_errors(build, message):
    with pytest.raises(ValueError, match=message):
        build()


def test_more_classes_in_the_data_than_in_the_module():
    with pytest.raises(ValueError, match=r"the data has 7 classes \(animals-nature, .*n_classes=3"):
        quiet_trainer(max_epochs=1).fit(small(), OpenMoji(paired=False, image_size=16, batch_size=2))


def test_classifying_leaves_the_statistics_alone():
    module = small(classifier=HRNetClassifier(3, 3, 4, 2, (2, 2, 2, 2), (2, 2, 2, 2), 8))
    before = {name: value.clone() for name, value in module.classifier.named_buffers()}
    logits = module.classify(torch.zeros(2, 3, 64, 64))
    assert logits.shape == (2, 3)
    assert all(torch.equal(value, before[name]) for name, value in module.classifier.named_buffers())


def test_translation_both_ways():
    module, given = small().eval(), batch()
    made = module.sample(given)
    assert made.keys() == {"real_A", "fake_B", "rec_A", "real_B", "fake_A", "rec_B"}
    assert_close(made["fake_B"], module.generator_ab(given["A"], given["A_label"]), 1e-6)
    assert_close(made["rec_B"], module.generator_ab(made["fake_A"], given["B_label"]), 1e-6)
    assert_close(module(given["B"], "BtoA"), made["fake_A"], 0)


class ThreeClasses(AODA):
    """A subclass that decides on an argument itself, and hands on all others."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(n_classes=3, **kwargs)


def test_a_subclass_may_decide_on_arguments_itself():
    networks = dict(small().named_children())
    module = ThreeClasses(**networks, lambda_b=5.0)
    assert dict(module.hparams) == {"lambda_b": 5.0}
    save(module, "three.ckpt")
    again = sketchgan.load("three.ckpt", **networks)
    assert type(again) is ThreeClasses
    assert (again.n_classes, again.lambda_b) == (3, 5.0)


# Anime2Sketch


def extractor(**settings) -> Anime2Sketch:
    torch.manual_seed(0)
    return Anime2Sketch(
        generator_ba=UNetGenerator(3, 1, num_downs=3, ngf=2, norm="instance", dropout=0.0),
        generator_ab=ResnetGenerator(1, 3, ngf=2, n_blocks=1),
        discriminator_a=PatchDiscriminator(1, ndf=2, n_layers=1, norm="instance"),
        discriminator_b=PatchDiscriminator(3, ndf=2, n_layers=1, norm="instance"),
        **settings,
    )


ALONE = {"lambda_gan_b": 0.0, "lambda_a": 0.0, "lambda_b": 0.0}


@pytest.mark.parametrize(
    ("settings", "terms", "passes"),
    [
        ({}, JUDGED | {"g/gan_a", "g/gan_b", "g/cycle_a", "g/cycle_b"}, (2, 2, 3, 3, 0)),
        ({"lambda_pair": 100.0, **ALONE}, {"g/gan_a", "g/pair", "d/real_a", "d/fake_a"}, (0, 1, 3, 0, 0)),
        ({"lambda_pair": 1.0, "pair_loss": "l2", "lambda_gan_a": 0.0, **ALONE}, {"g/pair"}, (0, 1, 0, 0, 0)),
    ],
)
def test_extractor_with_and_without_pairs(settings, terms, passes):
    given = {"A": batch()["A"][:, :1], "B": batch()["B"]}
    module = extractor(**settings)
    assert module.needs_pairs == ("lambda_pair" in settings)
    assert step(module, given) == (terms, passes)


def test_pairs_of_other_channels_are_refused():
    module = extractor(lambda_pair=1.0, lambda_gan_a=0.0, **ALONE)
    with pytest.raises(ValueError, match="A has 3 channels, what generator_ba draws 1; .* channels_a=1"):
        step(module, {side: batch()[side] for side in "AB"})


def test_extractor_translates_pictures_alone():
    module, given = extractor().eval(), {"A": batch()["A"][:, :1], "B": batch()["B"]}
    assert module.directions == ("BtoA",)
    made = module.sample(given)
    assert made.keys() == {"real_A", "real_B", "fake_A"}
    assert made["fake_A"].shape == (2, 1, 16, 16)
    with pytest.raises(ValueError, match="direction must be \"BtoA\", got 'AtoB'"):
        module(given["A"], "AtoB")
    with pytest.raises(ValueError, match='pair_loss must be "l1" or "l2"'):
        extractor(pair_loss="huber")
