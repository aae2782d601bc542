import pickle

import pytest
import torch
from lightning.pytorch import Trainer
from sketchy_tree import CLASSES, make_sketchy
from torch import nn

from sketchgan.cli import run
from sketchgan.data import (
    EdgeMapFolders,
    Mixture,
    OpenMojiEdges,
    OpenMojiSketches,
    SketchCurriculum,
    SketchyDatabase,
)
from sketchgan.edges import network_input
from sketchgan.modules import GANModule

QUIET = {
    "accelerator": "cpu",
    "logger": False,
    "enable_progress_bar": False,
    "enable_model_summary": False,
    "num_sanity_val_steps": 0,
    "limit_val_batches": 0,
}


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    return make_sketchy(tmp_path_factory.mktemp("data") / "Sketchy")


@pytest.fixture(scope="module")
def sources(root):
    """The Sketchy tree, and OpenMoji's edges under its class names: only names and labels are looked at."""
    edges = OpenMojiEdges(groups=["animals-nature", "food-drink", "objects"])
    edges.classes, edges.groups = CLASSES, None
    edges.label = lambda index: index % 3
    edges.part = lambda split: edges
    return SketchyDatabase(root, classes=list(CLASSES)), edges


class Recorder(GANModule):
    """Writes down what it is trained on."""

    needs_labels = needs_pairs = True

    def __init__(self, d_iterations=1):
        super().__init__()
        self.weight = nn.Linear(1, 1)
        self.d_iterations = d_iterations
        self.seen = []

    def training_step(self, batch, batch_idx):
        keys = ("A_path", "B_path", "A_label", "B_label", "sketch_share")
        sums = batch["A"].sum((1, 2, 3)), batch["B"].sum((1, 2, 3))
        self.seen.append([value if isinstance(value, list) else value.tolist() for value in map(batch.get, keys)])
        self.seen[-1] += [value.tolist() for value in sums]
        self.minimize(self.optimizers()[0], {"x": self.weight(torch.ones(1, 1)).sum()}, "g")

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), 0.01)


FOOD = {"sketches": OpenMojiSketches(groups=["food-drink"]), "edges": OpenMojiEdges(groups=["food-drink"])}


def mixture(**kwargs):
    """Of the embedded pictures."""
    arguments = {"curriculum": SketchCurriculum(start=0, gain=1, n_iterations=20), "samples_per_epoch": 40, "seed": 3}
    return Mixture(**{**FOOD, **arguments, "image_size": 16, "batch_size": 8, **kwargs})


def seen(data, ckpt_path=None, save_at=None, path=None, **trainer):
    module = Recorder()
    fit = Trainer(**QUIET, enable_checkpointing=False, **trainer)
    if save_at is not None:
        original = module.on_train_batch_end

        def save(outputs, batch, batch_idx):
            original(outputs, batch, batch_idx)
            if module.batches_seen == save_at:
                fit.save_checkpoint(path)

        module.on_train_batch_end = save
    fit.fit(module, data, ckpt_path=ckpt_path)
    return module.seen


@pytest.mark.parametrize(("save_at", "workers"), [(1, 0), (6, 0), (7, 2)])
def test_resumes_with_the_same_pictures_and_shares(save_at, workers, tmp_path):
    """In the middle and at the end of an epoch of three batches, of five that there are."""
    limits = {"limit_train_batches": 3, "max_epochs": 4}
    path = tmp_path / "middle.ckpt"
    whole = seen(mixture(num_workers=2 - workers), save_at=save_at, path=path, **limits)
    torch.testing.assert_close([batch[4][0] for batch in whole], [i / 20 for i in range(12)])
    resumed = seen(mixture(num_workers=workers), ckpt_path=path, **limits)
    assert resumed == whole[save_at:]


def test_shares_are_kept(sources):
    """Of sketches among the drawings, and of their photos among the judged and the paired ones."""
    sketches, edges = sources
    curriculum = SketchCurriculum(start=0.3, gain=0)
    data = Mixture(sketches, edges, curriculum, judged_share=0.1, d_iterations=1, batch_size=40, samples_per_epoch=4000)
    data.train_dataloader()
    dataset = data.dataset("train")
    chosen = {"A": [], "B": []}
    dataset._side_a = lambda record: chosen["A"].append(record[0] is sketches or record[0] is not edges) or {"A": 0}
    dataset._side_b = lambda record, draw: chosen["B"].append(record[0] is not edges) or {"B": 0}
    for judged, expected in ((True, 0.1), (False, 0.3)):
        for side in chosen.values():
            side.clear()
        for index in range(4000):
            dataset[0, index, 0.3, judged]
        assert sum(chosen["A"]) / 4000 == pytest.approx(0.3, abs=0.03)
        assert sum(chosen["B"]) / 4000 == pytest.approx(expected, abs=0.03)


def test_records_of_a_source_are_drawn_alike(sources):
    dataset = Mixture(sources[0], samples_per_epoch=3000).dataset("train")
    counts = torch.zeros(len(sources[0]), dtype=torch.int64)
    dataset._side_a = lambda record: counts[record[1]].add_(1) and {"A": 0}
    dataset._side_b = lambda record, draw: {"B": 0}
    for index in range(3000):
        dataset[0, index, 1.0, False]
    assert counts.min() > 140  # 200 are expected of each of 15
    assert counts.max() < 260


def test_parts_of_a_batch(sources):
    data = Mixture(*sources, d_iterations=2, batch_size=24, samples_per_epoch=48)
    for batch in data.train_dataloader():
        shown = [path.rpartition("-")[0] or path[:-4] for path in batch["A_path"]]
        same = [a == b[:-4] for a, b in zip(shown, batch["B_path"], strict=True)]
        assert all(same[16:])
        assert sum(same[:16]) < 6
        assert torch.equal(batch["A_label"][16:], batch["B_label"][16:])
        assert batch["A"].shape == batch["B"].shape == (24, 3, 64, 64)
        assert batch["A"].dtype == batch["sketch_share"].dtype == torch.float32
        assert torch.equal(batch["A"][:, 0], batch["A"][:, 2])
        assert batch["A_label"].dtype == torch.int64


def test_no_photo_is_read_in_vain(sources, monkeypatch):
    sketches, _ = sources
    reads = []
    photo = SketchyDatabase.photo
    monkeypatch.setattr(SketchyDatabase, "photo", lambda self, i: reads.append(i) or photo(self, i))
    data = Mixture(sketches, d_iterations=1, batch_size=6, samples_per_epoch=6)
    next(iter(data.train_dataloader()))
    assert len(reads) == 6


def test_sketches_alone_have_a_share_of_one(sources):
    batch = next(iter(Mixture(sources[0], batch_size=8).train_dataloader()))
    assert batch["sketch_share"].tolist() == [1.0] * 8
    assert [a.rpartition("-")[0] for a in batch["A_path"]] == [b[:-4] for b in batch["B_path"]]  # nothing is judged


def test_edge_maps_alone(tmp_path):
    from PIL import Image

    for kind in ("edges", "photos"):
        (tmp_path / kind / "cat").mkdir(parents=True)
        for i in range(4):
            picture = Image.new("L", (64, 64), 255)
            picture.putpixel((i, i), 0)
            picture.save(tmp_path / kind / "cat" / f"{i}.png")
    data = Mixture(EdgeMapFolders(tmp_path, val_fraction=0.25, size=64), batch_size=3)
    assert len(next(iter(data.train_dataloader()))["A_path"]) == 3
    assert len(next(iter(data.val_dataloader()))["A_path"]) == 1


def test_evaluation_shows_the_held_out_sketches_in_order(sources):
    sketches, edges = sources
    data = Mixture(sketches, edges, eval_photo="plain", eval_batch_size=4, image_size=32)
    batches = list(data.test_dataloader())
    held_out = sketches.part("test")
    names = [name for batch in batches for name in batch["A_path"]]
    assert names == [held_out.sketch_name(i) for i in range(len(held_out))]
    assert set(batches[0]) == {"A", "A_label", "A_path", "A_name", "B", "B_label", "B_path", "B_name"}
    assert torch.equal(batches[0]["A"][1, 0], network_input(held_out.distance(1)))
    assert torch.equal(batches[0]["B"][1], held_out.photo(1).float() / 127.5 - 1)
    assert [batch["A"].tolist() for batch in data.test_dataloader()] == [batch["A"].tolist() for batch in batches]


def test_both_sides_are_mirrored_together(sources):
    plain, mirrored = (
        Mixture(sources[0], photo="plain", image_size=32, flip=flip, samples_per_epoch=30).dataset("train")
        for flip in (False, True)
    )
    flipped = 0
    for index in range(30):
        a, b = (dataset[0, index, 1.0, False] for dataset in (plain, mirrored))
        if not torch.equal(a["A"], b["A"]):
            flipped += 1
            assert torch.equal(a["A"].flip(-1), b["A"])
            assert torch.equal(a["B"].flip(-1), b["B"])
        else:
            assert torch.equal(a["B"], b["B"])
    assert 5 < flipped < 25


def test_labels_go_by_name(sources):
    sketches = OpenMojiSketches()
    edges = OpenMojiEdges(groups=["objects"])
    dataset = Mixture(sketches, edges).dataset("train")
    sample = dataset[0, 0, 0.0, False]
    assert sketches.classes[sample["A_label"]] == sketches.classes[sample["B_label"]] == "objects"
    with pytest.raises(ValueError, match="OpenMojiSketches has the class 'animals-nature', which the sketch"):
        Mixture(edges, sketches).dataset("train")


def test_checkpoints_say_how_to_prepare_a_drawing(tmp_path):
    """With plain values alone, whether the data was made in Python or by the command line."""
    data = mixture()
    seen(data, save_at=1, path=tmp_path / "a.ckpt", max_steps=1)
    settings = torch.load(tmp_path / "a.ckpt", weights_only=True)["Mixture"]
    assert settings["classes"] == ["food-drink"]
    assert settings["sketch"] == {"image_size": 16, "form": "distance", "drawing_size": 64}
    assert settings["preprocess"]["crop_size"] == settings["preprocess"]["load_size"] == 16
    assert (settings["channels_a"], settings["channels_b"], settings["value_range"]) == (3, 3, None)
    assert pickle.loads(pickle.dumps(data.hparams))["curriculum"]["gain"] == 1


def test_updates_follow_the_module():
    data = mixture()
    for module, judged in ((Recorder(d_iterations=3), 6), (Recorder(d_iterations=0), 0)):
        data.trainer = Trainer(**QUIET, enable_checkpointing=False)
        data.trainer.strategy._lightning_module = module
        data.setup("fit")
        assert data.train_dataloader().sampler.judged == judged
    data.d_iterations = 1
    with pytest.raises(ValueError, match="d_iterations=1 of the data .* module, which makes 0 updates"):
        data.setup("fit")


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"judged_share": 1.5}, "judged_share must be between 0 and 1, got 1.5"),
        ({"d_iterations": -1}, "d_iterations must not be negative"),
        ({"edges": None}, "a curriculum needs edges"),
        ({"samples_per_epoch": 0}, "samples_per_epoch must be at least 1, got 0"),
        ({"sketch": "lines"}, "sketch must be one of"),
    ],
)
def test_wrong_arguments_say_so(wrong, message):
    with pytest.raises(ValueError, match=message):
        mixture(**wrong)


def test_the_command_line_builds_it(root, tmp_path, capsys):
    """Recipes name the sources by class; the checkpoint of such a run loads safely."""
    config = tmp_path / "own.yaml"
    config.write_text(f"""
model:
  class_path: Pix2Pix
  init_args:
    generator: {{class_path: UNetGenerator, init_args: {{num_downs: 5, ngf: 2}}}}
    discriminator: {{class_path: PatchDiscriminator, init_args: {{in_channels: 6, ndf: 2, n_layers: 1}}}}
data:
  class_path: Mixture
  init_args:
    sketches: {{class_path: SketchyDatabase, init_args: {{root: {root}, classes: [ant, zebra]}}}}
    edges: {{class_path: SketchyDatabase, init_args: {{root: {root}, classes: [ant]}}}}
    curriculum: {{form: paper, n_iterations: 100}}
    image_size: 32
    batch_size: 2
trainer: {{max_epochs: 1, limit_train_batches: 1, limit_val_batches: 0, accelerator: cpu, enable_progress_bar: false}}
""")
    with pytest.raises(SystemExit) as end:
        run(["fit", f"--config={config}", "--print_config"])
    assert end.value.code == 0
    assert "form: paper" in capsys.readouterr().out
    cli = run(["fit", f"--config={config}"])
    assert cli.datamodule.curriculum == SketchCurriculum("paper", n_iterations=100)
    saved = next(tmp_path.rglob("last.ckpt"), None) or next(tmp_path.rglob("*.ckpt"))
    checkpoint = torch.load(saved, weights_only=True)
    assert checkpoint["Mixture"]["classes"] == ["ant", "zebra"]
    assert checkpoint["datamodule_hyper_parameters"]["image_size"] == 32
