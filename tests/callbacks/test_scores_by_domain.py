"""Scores apart for classes with and without sketches, and FID class by class."""

import json
from pathlib import Path

import pytest
import torch
from lightning.pytorch.loggers import CSVLogger
from torch import nn
from torch.nn import functional as F
from torch.utils.data import DataLoader
from torchmetrics.image import FrechetInceptionDistance
from training import quiet_trainer

from sketchgan import GANModule
from sketchgan.callbacks import ImageMetrics
from sketchgan.data import TranslationData
from sketchgan.data.transforms import to_uint8
from sketchgan.metrics import ClassAccuracy, DistributionScores

CLASSES = ("apple", "bee", "cat")
SCORES = ("fid", "kid", "is", "accuracy")


class Features(nn.Module):
    """Mean colours of the four quarters: twelve features, and three classes from them."""

    def __init__(self):
        super().__init__()
        self.linear = nn.Linear(12, 3, bias=False)
        nn.init.normal_(self.linear.weight, std=8.0, generator=torch.Generator().manual_seed(3))

    def forward(self, pictures):
        features = F.adaptive_avg_pool2d(pictures.float() / 255, 2).flatten(1)
        return features, self.linear(features)


class Darken(GANModule):
    """There and back without training."""

    generators = {"AtoB": "there", "BtoA": "back"}

    def __init__(self):
        super().__init__()
        self.there, self.back = nn.Conv2d(3, 3, 1), nn.Conv2d(3, 3, 1)
        for network in (self.there, self.back):
            network.load_state_dict({"weight": torch.eye(3)[..., None, None] * 0.8, "bias": torch.full((3,), -0.1)})

    def sample(self, batch):
        pictures = {}
        for start, end, network in (("A", "B", self.there), ("B", "A", self.back)):
            if start in batch:
                pictures |= {f"real_{start}": batch[start], f"fake_{end}": network(batch[start])}
        return pictures

    def training_step(self, batch, batch_idx):
        self.optimizers()[0].step()  # Lightning wants a step; the rate is 0

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=0.0)


class Drawn(TranslationData):
    """Given numbers of random pictures of each class, A and B in different orders, five at a time."""

    classes, labelled = CLASSES, True

    def __init__(self, of_a, of_b, open_domain=(), paired=False, size=8):
        super().__init__()
        self.open_domain, self.paired = open_domain, paired
        draw = torch.Generator().manual_seed(0)
        self.pictures, self.labels = {}, {}
        for side, counts in (("A", of_a), ("B", of_b)):
            labels = torch.arange(3).repeat_interleave(torch.tensor(counts))
            self.labels[side] = labels[torch.randperm(len(labels), generator=draw)]
            noise = torch.rand(len(labels), 3, size, size, generator=draw)
            self.pictures[side] = (noise + 0.4 * self.labels[side][:, None, None, None]).clamp(max=2) - 1

    def val_dataloader(self):
        batches = []
        for start in range(0, max(map(len, self.labels.values())), 5):
            batch = {}
            for side, labels in self.labels.items():
                if len(labels) > start:
                    batch[side] = self.pictures[side][start : start + 5]
                    batch[f"{side}_label"] = labels[start : start + 5]
            batches.append(batch)
        return DataLoader(batches, batch_size=None)

    train_dataloader = val_dataloader


def metrics(scores=SCORES, **kwargs):
    return ImageMetrics(scores, **{"features": (net := Features()), "classifier": net, **kwargs})


def validate(data, callback, **kwargs):
    return quiet_trainer(callbacks=[callback], **kwargs).validate(Darken(), data, verbose=False)[0]


def expected(data, side, keep):
    """Scores of the translations of one side's pictures whose label is kept, with those of the other that are kept."""
    module, net = Darken(), Features()
    end, network = ("B", module.there) if side == "A" else ("A", module.back)
    with torch.no_grad():
        chosen = {key: torch.isin(labels, torch.tensor(keep)) for key, labels in data.labels.items()}
        made = net(to_uint8(network(data.pictures[side][chosen[side]])))
        real = net(to_uint8(data.pictures[end][chosen[end]]))
    scores = DistributionScores((12, 3), ("fid", "kid", "is"))
    scores.update(*made, real=False)
    scores.update(*real, real=True)
    accuracy = ClassAccuracy(3)
    accuracy.update(made[1].argmax(1), data.labels[side][chosen[side]])
    return {**scores.compute(), "accuracy": accuracy.compute()["accuracy"]}


DOMAINS = (("", (0, 1, 2)), ("_in", (0, 2)), ("_open", (1,)))


def test_domains_are_scored_apart_in_both_directions():
    data = Drawn((7, 6, 3), (9, 12, 8), open_domain=("bee",))  # the last batches have no A
    logged = validate(data, metrics())
    for side, way in (("A", ""), ("B", "_a")):
        for domain, keep in DOMAINS:
            for score, value in expected(data, side, keep).items():
                name = f"val/{score}{way}{domain}"
                assert logged.pop(name) == pytest.approx(value.item(), rel=1e-5), name
    assert not logged
    values = validate(data, metrics("accuracy"))
    assert len({values["val/accuracy"], values["val/accuracy_in"], values["val/accuracy_open"]}) == 3


@pytest.mark.parametrize("stage", ["val", "test"])
def test_the_file_says_how_many_of_each_domain(tmp_path, stage):
    data = Drawn((7, 6, 3), (9, 12, 8), open_domain=("bee",))
    data.test_dataloader = data.val_dataloader
    run = quiet_trainer(callbacks=[metrics(("fid", "kid"))], logger=CSVLogger(tmp_path))
    (run.validate if stage == "val" else run.test)(Darken(), data, verbose=False)
    lines = {
        line["score"]: line for line in map(json.loads, Path(run.log_dir, "scores.jsonl").read_text().splitlines())
    }
    counts = {"": (16, 29), "_in": (10, 17), "_open": (6, 12), "_a": (29, 16), "_a_in": (17, 10), "_a_open": (12, 6)}
    for ending, (made, real) in counts.items():
        about = lines[f"{stage}/fid{ending}"]
        assert (about["made"], about["real"], about["pictures"]) == (made, real, "8 bits, 8x8")
        assert about["net"] == "Features, own resizing"
        assert lines[f"{stage}/kid_std{ending}"]["subset_size"] == min(made, real)


def test_without_open_classes_nothing_changes():
    closed, unaware = Drawn((7, 6, 3), (9, 12, 8)), Drawn((7, 6, 3), (9, 12, 8))
    del unaware.open_domain
    logged = validate(closed, metrics())
    assert logged == validate(unaware, metrics())
    whole = validate(Drawn((7, 6, 3), (9, 12, 8), open_domain=("bee",)), metrics())
    assert logged == {name: value for name, value in whole.items() if not name.endswith(("_in", "_open"))}


def test_domains_without_pictures_have_no_scores():
    logged = validate(Drawn((5, 0, 5), (5, 6, 5), open_domain=("bee",)), metrics())
    assert not {name for name in logged if name.endswith("_open") and "_a_" not in name}
    assert logged["val/accuracy"] == logged["val/accuracy_in"]
    assert {"val/accuracy_a_open", "val/is_a_open"} <= logged.keys()
    assert "val/fid_a_open" not in logged
    logged = validate(Drawn((5, 1, 5), (5, 6, 5), open_domain=("bee",)), metrics())
    assert {name for name in logged if name.endswith("_open") and "_a_" not in name} == {"val/accuracy_open"}


def test_real_pictures_are_counted_once_in_every_domain():
    """As in every validation after the first, and also where the first ones made no pictures of a domain."""
    seen = []

    class Keep(ImageMetrics):
        def on_validation_epoch_end(self, trainer, pl_module):
            super().on_validation_epoch_end(trainer, pl_module)
            seen.append({name: value.item() for name, value in trainer.callback_metrics.items() if "open" in name})

    class Later(Darken):
        """Makes no pictures in the first epoch."""

        def sample(self, batch):
            pictures = super().sample(batch)
            late = self.current_epoch == 0
            return {name: value for name, value in pictures.items() if not (late and name == "fake_B")}

    data = Drawn((7, 6, 3), (9, 12, 8), open_domain=("bee",))
    alone = validate(data, metrics("fid"))
    for module in (Darken(), Later()):
        seen.clear()
        callback = Keep("fid", features=Features())
        run = quiet_trainer(callbacks=[callback], max_epochs=3, limit_train_batches=1, num_sanity_val_steps=1)
        run.fit(module, data)
        for epoch in seen[2:]:  # after the sanity check and the first epoch
            assert epoch["val/fid_open"] == pytest.approx(alone["val/fid_open"], rel=1e-5)
            assert epoch["val/fid_a_open"] == pytest.approx(alone["val/fid_a_open"], rel=1e-5)
        assert len(seen) == 4
        assert ("val/fid_open" in seen[1]) == (type(module) is Darken)


def test_pairs_are_compared_apart_too(tmp_path):
    import torchvision

    torch.save(torchvision.models.squeezenet1_1(weights=None).state_dict(), tmp_path / "squeeze.pth")
    data = Drawn((2, 2, 3), (2, 2, 3), open_domain=("cat", "bee"), paired=True, size=40)
    for side in ("A", "B"):
        data.labels[side] = data.labels["A"]
    callback = ImageMetrics(("l1", "lpips"), lpips_net="squeeze", lpips_weights=str(tmp_path / "squeeze.pth"))
    logged = validate(data, callback)
    made = Darken().there(data.pictures["A"]).detach()
    distances = ((made / 2 + 0.5).clamp(0, 1) - (data.pictures["B"] / 2 + 0.5)).abs().mean((1, 2, 3))
    is_open = data.labels["A"] > 0
    assert logged["val/l1_in"] == pytest.approx(distances[~is_open].mean().item(), rel=1e-5)
    assert logged["val/l1_open"] == pytest.approx(distances[is_open].mean().item(), rel=1e-5)
    parts = (logged["val/lpips_in"] * 2 + logged["val/lpips_open"] * 5) / 7
    assert logged["val/lpips"] == pytest.approx(parts, rel=1e-5)
    assert logged["val/lpips_in"] != logged["val/lpips_open"]


def test_fid_of_each_class_is_torchmetrics_own(tmp_path):
    data = Drawn((20, 11, 9), (14, 30, 40), open_domain=("bee",))
    callback = metrics(("fid", "accuracy"), per_class=True)
    run = quiet_trainer(callbacks=[callback], logger=CSVLogger(tmp_path))
    for _ in range(2):
        run.validate(Darken(), data, verbose=False)
    lines = [json.loads(line) for line in Path(run.log_dir, "scores.jsonl").read_text().splitlines()]
    (table, again) = (line["classes"] for line in lines if line["score"] == "val/fid")
    assert table == again
    assert table.keys() == {"apple", "bee"}  # nine cats are too few
    module, net = Darken(), Features()
    for label, (made, real) in {0: (20, 14), 1: (11, 30)}.items():
        given = nn.Identity()
        given.num_features = 12
        metric = FrechetInceptionDistance(feature=given)
        with torch.no_grad():
            metric.update(net(to_uint8(module.there(data.pictures["A"][data.labels["A"] == label])))[0], real=False)
            metric.update(net(to_uint8(data.pictures["B"][data.labels["B"] == label]))[0], real=True)
        entry = table[CLASSES[label]]
        assert entry == {"value": pytest.approx(metric.compute().item(), rel=1e-4), "made": made, "real": real}
    (back,) = (line["classes"] for line in lines[: len(lines) // 2] if line["score"] == "val/fid_a")
    assert back["bee"]["made"], back["bee"]["real"] == (30, 11)
    assert {line["score"] for line in lines if "classes" in line} == {
        f"val/{score}{way}" for score in ("fid", "accuracy") for way in ("", "_a")
    }


def test_classes_keep_their_real_pictures_and_forget_the_made_ones():
    features = torch.randn(40, 6, generator=torch.Generator().manual_seed(0))
    labels = torch.tensor([0, 1]).repeat(20)
    scores = DistributionScores((6, 6), ("fid",), per_class=True)
    scores.update(features, features, True, labels)
    tables = []
    for shift in (1.0, 2.0, 1.0):
        scores.update(features + shift, features, False, labels)
        tables.append(scores.fids_of_classes())
        scores.reset()
    assert tables[0] == tables[2] == {label: (pytest.approx(6), 20, 20) for label in (0, 1)}
    assert tables[1] == {label: (pytest.approx(24), 20, 20) for label in (0, 1)}
    assert DistributionScores((6, 6), ("fid",)).fids_of_classes() == {}


def test_what_does_not_fit_says_so():
    with pytest.raises(ValueError, match="open_domain of Drawn names cow, but its classes are apple, bee, cat"):
        validate(Drawn((3, 3, 3), (3, 3, 3), open_domain=("bee", "cow")), metrics())
    data = Drawn((3, 3, 3), (3, 3, 3), open_domain=("bee",))
    data.labelled = False
    with pytest.raises(ValueError, match="names bee, but its classes are unknown, as it has no labels"):
        validate(data, metrics("fid"))

    class Mute(Drawn):
        def val_dataloader(self):
            batches = [{side: batch[side] for side in ("A", "B")} for batch in super().val_dataloader()]
            return DataLoader(batches, batch_size=None)

    with pytest.raises(ValueError, match=r"batch has no class labels \(A_label, B_label\)"):
        validate(Mute((3, 3, 3), (3, 3, 3), open_domain=("bee",)), metrics("fid"))


def test_the_modules_own_classifier_is_named(tmp_path):
    class Classifying(Darken):
        def classify(self, pictures):
            return pictures.mean((2, 3))

    run = quiet_trainer(callbacks=[metrics("accuracy", classifier="auxiliary")], logger=CSVLogger(tmp_path))
    run.validate(Classifying(), Drawn((3, 3, 3), (3, 3, 3)), verbose=False)
    lines = map(json.loads, Path(run.log_dir, "scores.jsonl").read_text().splitlines())
    judged = {line["score"]: line["net"] for line in lines if "accuracy" in line["score"]}
    assert judged == {"val/accuracy": "the trained module's own classifier"}  # of translations to B alone


@pytest.mark.parametrize("ways", [("BtoA",), ("AtoB", "BtoA")])
def test_pairs_are_compared_where_nothing_becomes_b(tmp_path, ways):
    class Back(Darken):
        generators = {way: Darken.generators[way] for way in ways}

        def sample(self, batch):
            pictures = super().sample(batch)
            return {name: image for name, image in pictures.items() if name != "fake_B" or "AtoB" in ways}

    data = Drawn((2, 2, 3), (2, 2, 3), paired=True, size=16)
    run = quiet_trainer(callbacks=[ImageMetrics(("l1", "psnr"))], logger=CSVLogger(tmp_path))
    logged = run.validate(module := Back(), data, verbose=False)[0]
    start, end, network = ("A", "B", module.there) if "AtoB" in ways else ("B", "A", module.back)
    made = network(data.pictures[start]).detach()
    distance = ((made / 2 + 0.5).clamp(0, 1) - (data.pictures[end] / 2 + 0.5)).abs().mean()
    assert logged.keys() == {"val/l1", "val/psnr"}
    assert logged["val/l1"] == pytest.approx(distance.item(), rel=1e-5)
    line = json.loads(Path(run.log_dir, "scores.jsonl").read_text().splitlines()[0])
    assert (line["made"], line["pictures"]) == (7, "16x16")
