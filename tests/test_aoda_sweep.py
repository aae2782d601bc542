"""The sweep of AODA's ablations and its t-SNE, on a tree of a few small pictures and tiny networks."""

import importlib.util
import json
import random
import shutil
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from lightning.pytorch import Trainer
from PIL import Image, ImageDraw

from sketchgan.data import OpenMoji
from sketchgan.data.openmoji import GROUPS, read_archive

EXAMPLES = Path(__file__).parents[1] / "examples"
RECIPE = """# Tiny networks.
model:
  class_path: sketchgan.AODA
  init_args:
    generator_ab: {class_path: sketchgan.networks.AODAGenerator, init_args: {n_classes: 3, ngf: 2, n_blocks: 1}}
    generator_ba: {class_path: sketchgan.networks.ResnetGenerator, init_args: {ngf: 2, n_blocks: 1}}
    discriminator_a: &judge
      {class_path: sketchgan.networks.PatchDiscriminator, init_args: {in_channels: 3, ndf: 2, norm: instance}}
    discriminator_b: *judge
    classifier:
      class_path: sketchgan.networks.HRNetClassifier
      init_args: {n_classes: 3, stem: 2, layer1: 2, branches: [2, 2, 2, 2], heads: [2, 2, 2, 2], features: 8}
    n_classes: 3
data:
  class_path: sketchgan.data.OpenDomainFolders
  init_args: {root: nowhere, in_domain: [box, disc], load_size: 64, crop_size: 64, batch_size: 3, eval_batch_size: 3}
trainer: {max_epochs: 1, log_every_n_steps: 1, accelerator: cpu, num_sanity_val_steps: 0}
"""
SKETCHES = {"train": 4, "val": 1, "test": 2}
PHOTOS = {"train": 2, "val": 1, "test": 2}
CLASSES = ("box", "disc", "tilted")


def script(name):
    spec = importlib.util.spec_from_file_location(name, EXAMPLES / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # where dataclasses look for their annotations
    spec.loader.exec_module(module)
    return module


sweep, tsne = script("aoda_sweep"), script("aoda_tsne")


def drawing(kind, rng, coloured):
    picture = Image.new("RGB", (64, 64), "white")
    pen, at, size = ImageDraw.Draw(picture), rng.randrange(8, 20), rng.randrange(20, 36)
    inside = tuple(rng.randrange(200) for _ in range(3)) if coloured else None
    corners = [at, at, at + size, at + size]
    if kind == "box":
        pen.rectangle(corners, inside, "black")
    elif kind == "disc":
        pen.ellipse(corners, inside, "black")
    else:
        pen.polygon([(at, at + 10), (at + size, at), (at + 10, at + size)], inside, "black")
    return picture


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A recipe, and a tree whose open class has sketches too."""
    folder, rng = tmp_path_factory.mktemp("sweep"), random.Random(0)
    (folder / "tiny.yaml").write_text(RECIPE)
    for side, counts in (("A", SKETCHES), ("B", PHOTOS)):
        for split, count in counts.items():
            for kind in CLASSES:
                target = folder / "shapes" / f"{split}{side}" / kind
                target.mkdir(parents=True)
                for number in range(count):
                    drawing(kind, rng, side == "B").save(target / f"{number}.png")
    return folder


def arguments(place, *more):
    fixed = ["--data", str(place / "shapes"), "--config", str(place / "tiny.yaml"), "--out", str(place / "out")]
    scores = ["--features", "openmoji", "--classifier", "openmoji"]
    return [*fixed, *scores, "--trainer.enable_progress_bar=false", *more]


@pytest.fixture(scope="module")
def trained(place):
    """Three strategies; with each, what it was trained on: threshold, open classes, labels and pictures of A."""
    seen, real = [], Trainer.fit

    def fit(self, model, data):
        samples = [data.dataset("train")[0, i] for i in range(len(data.dataset("train")))]
        seen.append(
            {
                "threshold": model.threshold,
                "open": data.open_domain,
                "labels": {data.classes[sample["A_label"]] for sample in samples},
                "A": torch.stack([sample["A"] for sample in samples]),
                "seed": data.seed,
            }
        )
        return real(self, model, data)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Trainer, "fit", fit)
        sweep.main(arguments(place, "--strategies", "edges", "two-stages", "--seeds", "3"))
    return seen


def results(place):
    return [json.loads(line) for line in (place / "out" / "results.jsonl").read_text().splitlines()]


def test_every_strategy_is_scored_on_drawn_sketches_and_on_its_own(trained, place):
    lines = results(place)
    assert [(line["run"], line["seed"]) for line in lines] == [("none", 3), ("edges", 3), ("two-stages", 3)]
    assert [list(line["scores"]) for line in lines] == [["drawn", k] for k in ("generated", "edge maps", "extracted")]
    for line in lines:
        assert line["batches"] == 2  # as many as the photos fill, though there are more sketches
        for scores in line["scores"].values():
            assert {"fid", "fid_in", "fid_open", "accuracy", "accuracy_in", "accuracy_open"} <= scores.keys()
        drawn, own = line["scores"].values()
        assert drawn["fid"] != own["fid"]
    assert (place / "out" / "table.md").read_text().count("\n") == 2 + 2 * 3


def test_each_strategy_is_trained_on_its_sketches(trained, place):
    none, edges, two_stages = trained
    assert all(one["threshold"] == 1 and one["seed"] == 3 for one in trained)
    assert (none["open"], none["labels"]) == (("tilted",), {"box", "disc"})
    for one in (edges, two_stages):
        assert (one["open"], one["labels"]) == ((), set(CLASSES))
    assert set(edges["A"].unique().tolist()) == {-1.0, 1.0}
    assert (edges["A"] == 1).float().mean() > 0.5  # lines are dark
    sketches = place / "out" / "two-stages-seed3" / "sketches"
    assert (sketches / "trainA" / "box" / "3.png").read_bytes() == (
        place / "shapes" / "trainA" / "box" / "3.png"
    ).read_bytes()
    made = np.asarray(Image.open(sketches / "trainA" / "tilted" / "1.png"))
    module = sweep_module(place, "none")
    photo = torch.from_numpy(np.asarray(Image.open(place / "shapes" / "trainB" / "tilted" / "1.png")).copy())
    fake_a = module(photo.permute(2, 0, 1)[None] / 127.5 - 1, "BtoA")[0]
    expected = ((fake_a + 1) / 2 * 255).clamp(0, 255).permute(1, 2, 0).detach().numpy()
    assert np.abs(made - expected).max() < 1.01
    assert len(list((sketches / "trainA" / "tilted").iterdir())) == PHOTOS["train"]
    assert len(list((sketches / "testA").rglob("*.png"))) == 3 * PHOTOS["test"]


def sweep_module(place, run):
    from sketchgan import AODA

    return AODA.load_from_checkpoint(place / "out" / f"{run}-seed3" / "last.ckpt").eval()


def test_finished_runs_are_not_repeated(trained, place, monkeypatch, capsys):
    begun = []

    def train_and_score(options, run, root):
        begun.append(run.name)
        raise KeyboardInterrupt

    monkeypatch.setattr(sweep, "train_and_score", train_and_score)
    sweep.main(arguments(place, "--strategies", "edges", "two-stages", "--seeds", "3"))
    assert begun == []
    assert "| edges | edge maps | 1 |" in capsys.readouterr().out
    with pytest.raises(KeyboardInterrupt):
        sweep.main(arguments(place, "--strategies", "mixing", "edges", "--seeds", "3"))
    assert begun == ["mixing-t0.5"]
    assert len(results(place)) == 3


def test_runs_of_another_length_do_not_go_into_one_table(trained, place):
    with pytest.raises(ValueError, match=r"out was begun with epochs None, now it is 5; .* give another --out"):
        sweep.begin(sweep.parse(arguments(place, "--epochs", "5")), ["tilted"])
    with pytest.raises(ValueError, match=r"begun with open_domain \['tilted'\], now it is \['box'\]"):
        sweep.begin(sweep.parse(arguments(place)), ["box"])
    sweep.begin(sweep.parse(arguments(place, "--seeds", "4", "--strategies", "none")), ["tilted"])


def test_a_plan_trains_nothing_twice():
    options = sweep.parse(["--threshold", "0", "0.5", "1", "openness", "--missing", "1", "2", "--seeds", "0", "1"])
    names = [run.name for run in sweep.plan(options, "abcd", ["b"]) if run.seed == 1]
    assert names == [
        *("mixing-t0.0", "mixing-t0.5", "none", "mixing-topenness", "edges", "two-stages", "all-sketches"),
        *("mixing-t0.0-missing2", "mixing-t0.5-missing2", "none-missing2", "mixing-topenness-missing2"),
    ]
    missing = next(run for run in sweep.plan(options, "abcd", ["b"]) if run.missing)
    assert missing.open_domain == ("b", "a")
    only = sweep.parse(["--strategies", "two-stages"])
    assert [run.name for run in sweep.plan(only, "abcd", ["b"])] == ["none", "two-stages"]
    with pytest.raises(ValueError, match="--missing 4: of 4 classes, 1 to 3 can miss sketches"):
        sweep.plan(sweep.parse(["--missing", "4"]), "abcd", ["b"])


def test_the_table_has_means_and_deviations_over_seeds():
    scores = [{"fid": 10.0, "accuracy": 0.5, "accuracy_open": 0.25}, {"fid": 14.0, "accuracy": 0.5}]
    lines = [{"run": "none", "scores": {"drawn": one}} for one in scores]
    assert sweep.table(lines).splitlines()[2] == "| none | drawn | 2 | 12 ± 2.8 | – | – | 50 ± 0 % | – | 25 % |"
    assert [sweep.spread("fid", values) for values in ([0.01234], [1234.5], [100.0, 400.0])] == [
        *("0.0123", "1230", "250 ± 210")
    ]


def test_wrong_options_are_refused(place, capsys, tmp_path):
    for args, message in (
        (["--data", "x"], "--data needs --config"),
        (["--threshold", "2"], 'neither from 0 to 1 nor "openness"'),
    ):
        with pytest.raises(SystemExit):
            sweep.parse(args)
        assert message in capsys.readouterr().err
    (tmp_path / "trainA").mkdir()
    with pytest.raises(FileNotFoundError, match="trainB; a sweep needs trainA, trainB, testA and testB"):
        sweep.splits_of(tmp_path)


def test_missing_sketches_show_before_anything_is_trained(place, tmp_path, monkeypatch):
    root = tmp_path / "shapes"
    shutil.copytree(place / "shapes", root)
    shutil.rmtree(root / "trainA" / "tilted")
    begun = []

    def train_and_score(options, run, root):
        begun.append(run.name)
        return {"run": run.name, "seed": run.seed, "scores": {}}

    monkeypatch.setattr(sweep, "train_and_score", train_and_score)
    args = arguments(place, "--data", str(root), "--out", str(tmp_path / "out"))
    with pytest.raises(ValueError, match=r"all-sketches cannot be .*: tilted should be in-domain, .* of --strategies"):
        sweep.main(args)
    assert begun == []
    sweep.main([*args, "--strategies", "mixing", "edges"])
    assert begun == ["mixing-t0.5", "edges"]


def test_the_embedded_data_become_a_tree(tmp_path, monkeypatch):
    """Of the same pictures, splits and labels as `OpenMoji`; of training only every tenth here, which is quicker."""
    entries, pictures = read_archive(None)
    few = [entry for i, entry in enumerate(entries) if entry["split"] == "test" or not i % 10]
    monkeypatch.setattr(sweep, "read_archive", lambda path: (few, pictures))
    root = sweep.finished(tmp_path / "openmoji", lambda out: sweep.write_openmoji(64, out))
    base = OpenMoji(paired=False, batch_size=5)
    data = sweep.data_of(sweep.parse([]), base, 0, sketches=root, photos=root, open_domain=["activities"])
    assert (data.classes, data.open_domain, data.batch_size) == (GROUPS, ("activities",), 5)

    def contents(module):
        samples = module.dataset("test")
        return {
            (side, Path(sample[f"{side}_path"]).name, sample[f"{side}_label"], sample[side].sum().item())
            for sample in (samples[i] for i in range(len(samples)))
            for side in "AB"
        }

    assert contents(data) == contents(base)
    assert len(list((root / "trainA").rglob("*.png"))) == sum(entry["split"] == "train" for entry in few)


def test_a_folder_is_there_only_when_it_is_complete(tmp_path):
    def fail(out):
        (out / "sub").mkdir(parents=True)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        sweep.finished(tmp_path / "x", fail)
    assert not (tmp_path / "x").exists()
    sweep.finished(tmp_path / "x", lambda out: (out / "new").mkdir(parents=True))
    assert [path.name for path in (tmp_path / "x").iterdir()] == ["new"]


def test_a_recipe_may_know_sketches_and_photos_apart(place):
    """As aoda-sketchycoco does; what it says of classes and preprocessing is kept."""
    text = RECIPE.replace("root: nowhere", "sketches: nowhere, photos: nowhere, class_order: [tilted, disc, box]")
    (place / "apart.yaml").write_text(text)
    options = sweep.parse(arguments(place, "--config", str(place / "apart.yaml")))
    run = sweep.Run("none", 1.0, (), None, 0)
    base = sweep.parts(options, run, place / "apart").datamodule
    root = place / "shapes"
    data = sweep.data_of(options, base, 7, sketches=root, photos=root, open_domain=["box"])
    assert (base.open_domain, data.open_domain) == (("tilted",), ("box",))
    assert (data.classes, data.seed, data.batch_size) == (("tilted", "disc", "box"), 7, 3)


# t-SNE


def panels(place, *more):
    checkpoints = [str(place / "out" / f"{run}-seed3" / "last.ckpt") for run in ("none", "edges")]
    return [*checkpoints, "--data", str(place / "shapes"), *more]


def test_panels_are_drawn_and_do_not_change(trained, place, tmp_path, capsys):
    for name in ("a", "b"):
        tsne.main(panels(place, "--real", "--out", str(tmp_path / f"{name}.png")))
    assert "shows none-seed3, edges-seed3" in capsys.readouterr().out
    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()
    width, height = Image.open(tmp_path / "a.png").size
    assert width > 2 * height  # two panels and a legend


def test_panels_of_folders_of_one_name_are_told_apart(trained, place, tmp_path, monkeypatch):
    drawn = []
    monkeypatch.setattr(tsne, "draw", lambda panels, *rest: drawn.append(list(panels)))
    checkpoints = []
    for run in ("none", "edges"):
        checkpoints.append(str(tmp_path / run / "checkpoints" / "last.ckpt"))
        Path(checkpoints[-1]).parent.mkdir(parents=True)
        shutil.copy(place / "out" / f"{run}-seed3" / "last.ckpt", checkpoints[-1])
    first, *rest = panels(place)
    tsne.main([*checkpoints, first, *rest[1:], "--count", "1"])
    assert drawn == [[*checkpoints, "none-seed3"]]


def test_the_device_is_used(trained, place):
    with pytest.raises(RuntimeError, match="nowhere"):
        tsne.main(panels(place, "--device", "nowhere"))


def test_what_is_embedded(trained, place):
    module = sweep_module(place, "none")
    found = tsne.look(module, module.classifier.features, place / "shapes", 1, real=True)
    assert list(found) == ["drawn sketches", "generated sketches", "real photos"]
    for features, labels in found.values():
        assert features.shape == (3, 8)
        assert labels.tolist() == [0, 1, 2]
    batch = tsne.pictures_of(place / "shapes", "B", module.data_settings, 1)[2]
    photo = module.translate({"A": module.translate(batch)["fake_A"], "A_label": torch.tensor([2])})["fake_B"]
    with torch.no_grad():
        expected = module.classifier.features(photo)[0].numpy()
    np.testing.assert_allclose(found["generated sketches"][0][2], expected, rtol=1e-5, atol=1e-6)


def test_errors_of_the_panels_name_the_remedy(trained, place, tmp_path, monkeypatch):
    with pytest.raises(FileNotFoundError, match=r"testA has no folder of a class that was trained on \(box, disc"):
        tsne.main(panels(place, "--data", str(tmp_path)))
    module = sweep_module(place, "none")
    module.classifier = None
    with pytest.raises(ValueError, match="x.ckpt has no classifier; look through a common network: --features"):
        tsne.classifier_of(module, Path("x.ckpt"))
    monkeypatch.setitem(sys.modules, "sklearn", None)
    with pytest.raises(ImportError, match=r'pip install "sketchgan\[plots\]"'):
        tsne.main(panels(place))
