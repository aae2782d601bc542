"""Drawings of one's own through networks that take a class and draw noise."""

import warnings

import numpy as np
import pytest
import torch
from lightning.pytorch import Trainer
from PIL import Image, ImageDraw
from torch import nn

from sketchgan.cli import main
from sketchgan.data import Mixture, OpenMoji, OpenMojiSketches, PictureFiles, SketchInput
from sketchgan.inference import class_number, translate
from sketchgan.modules import GANModule, Pix2Pix
from sketchgan.networks import PatchDiscriminator, UNetGenerator
from sketchgan.ops import seeds_of

GROUPS = ["animals-nature", "food-drink"]


class Painter(GANModule):
    """Red shows the input, green the class and blue the noise."""

    needs_labels = True

    def __init__(self):
        super().__init__()
        self.weight = nn.Linear(1, 1)

    def training_step(self, batch, batch_idx):
        self.minimize(self.optimizers()[0], {"x": self.weight(torch.ones(1, 1)).sum()}, "g")

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), 0.0)

    def sample(self, batch):
        seeds = seeds_of(batch["A_path"], batch.get("seed"))
        noise = torch.stack([torch.rand((), generator=torch.Generator().manual_seed(seed)) for seed in seeds])
        green, blue = (
            (value.view(-1, 1, 1) * 2 - 1).expand_as(batch["A"][:, 0]) for value in (batch["A_label"] / 10, noise)
        )
        return {"real_A": batch["A"], "fake_B": torch.stack([batch["A"][:, 0], green, blue], dim=1)}


def trained(path, module, data):
    quick = {"limit_train_batches": 1, "limit_val_batches": 0, "max_epochs": 1, "num_sanity_val_steps": 0}
    quiet = {"logger": False, "enable_progress_bar": False, "enable_model_summary": False}
    trainer = Trainer(accelerator="cpu", enable_checkpointing=False, **quick, **quiet)
    trainer.fit(module, data)
    trainer.save_checkpoint(path)
    return path


@pytest.fixture(scope="module")
def painter(tmp_path_factory):
    data = Mixture(OpenMojiSketches(groups=GROUPS), batch_size=2, image_size=32)
    return trained(tmp_path_factory.mktemp("painter") / "painter.ckpt", Painter(), data)


@pytest.fixture
def drawings(tmp_path):
    folder = tmp_path / "drawings"
    folder.mkdir()
    for name, size in (("cat", (300, 200)), ("pear", (90, 120))):
        picture = Image.new("RGB", size, "white")
        ImageDraw.Draw(picture).ellipse([20, 20, 80, 70], outline="black", width=3)
        picture.save(folder / f"{name}.png")
    return folder


def pixels(path):
    return np.asarray(Image.open(path)).astype(int)


@pytest.mark.parametrize("preprocess", ["native", "official"])
def test_a_drawing_of_any_size_becomes_a_field_at_the_size_of_training(painter, drawings, tmp_path, preprocess):
    translate(painter, drawings, tmp_path / "out", preprocess=preprocess, label="food-drink", accelerator="cpu")
    for name in ("cat", "pear"):
        made = pixels(tmp_path / "out" / f"{name}.png")
        field = SketchInput(32, drawing_size=64)(Image.open(drawings / f"{name}.png"))[0]
        assert made.shape == (32, 32, 3)
        assert np.abs(made[..., 0] - (field.numpy() + 1) * 127.5).max() <= 1
        assert np.abs(made[..., 1] - 0.1 * 255).max() <= 1


def test_drawings_of_several_sizes_fit_into_a_batch(painter, drawings, tmp_path):
    for size in (1, 2):
        translate(painter, drawings, tmp_path / str(size), label=1, batch_size=size, accelerator="cpu")
    for name in ("cat", "pear"):
        assert (pixels(tmp_path / "1" / f"{name}.png") == pixels(tmp_path / "2" / f"{name}.png")).all()


def test_samples_have_seeds_and_names_of_their_own(painter, drawings, tmp_path):
    def blue(folder):
        return {path.stem: int(pixels(path)[0, 0, 2]) for path in sorted((tmp_path / folder).iterdir())}

    translate(painter, drawings, tmp_path / "three", label=0, samples=3, batch_size=4, accelerator="cpu")
    three = blue("three")
    assert list(three) == ["cat_1", "cat_2", "cat_3", "pear_1", "pear_2", "pear_3"]
    assert len(set(three.values())) == 6
    translate(painter, drawings, tmp_path / "later", label=0, samples=1, seed=2, accelerator="cpu")
    assert blue("later") == {"cat": three["cat_3"], "pear": three["pear_3"]}
    translate(painter, drawings / "cat.png", tmp_path / "one", label=0, accelerator="cpu")
    assert blue("one") == {"cat": three["cat_1"]}


def test_sub_folders_are_classes(painter, drawings, tmp_path, capsys):
    for name, group in (("cat", GROUPS[0]), ("pear", GROUPS[1])):
        (drawings / group).mkdir()
        (drawings / f"{name}.png").rename(drawings / group / f"{name}.png")
    main(["translate", str(painter), str(drawings), "--out", "made", "--samples", "2", "--accelerator", "cpu"])
    assert abs(pixels(f"made/{GROUPS[0]}/cat_2.png")[..., 1]).max() == 0
    assert abs(pixels(f"made/{GROUPS[1]}/pear_1.png")[..., 1] - 25.5).max() < 1
    (drawings / "other").mkdir()
    (drawings / GROUPS[0] / "cat.png").rename(drawings / "other" / "cat.png")
    with pytest.raises(SystemExit) as end:
        main(["translate", str(painter), str(drawings), "--out", "more", "--accelerator", "cpu"])
    assert "other/cat.png has no class: give a label, or put it into a sub-folder with the name of one" in str(
        end.value
    )
    assert "animals-nature, food-drink" in str(end.value)


def test_an_empty_drawing_is_named(painter, tmp_path):
    for name, colour in (("empty", "white"), ("full", "black")):
        Image.new("L", (50, 50), colour).save(tmp_path / f"{name}.png")
    data = PictureFiles([tmp_path / "empty.png", tmp_path / "full.png"], label=0, sketch={"image_size": 16})
    dataset = data.dataset("test")
    with pytest.warns(UserWarning, match=r"empty\.png has no line"):
        assert (dataset[0]["A"] == 1).all()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert (dataset[1]["A"] == -1).all()


def test_class_numbers():
    classes = ["ant", "bee", "car_(sedan)"]
    assert [class_number(label, classes) for label in ("bee", 2, "2", 0)] == [1, 2, 2, 0]
    assert class_number("7", []) == 7
    called = ["5", "0", "9"]  # folders, which are numbers of another kind
    assert [class_number(label, classes, called) for label in ("bee", "5", "0", 1)] == [1, 0, 1, 1]
    with pytest.raises(ValueError, match="no class 'dog'; there are 5 "):
        class_number("dog", classes, called)
    for label in ("dog", "3", 3, "-1"):
        with pytest.raises(ValueError, match=rf"no class '?{label}'?; there are 0 ant, 1 bee, 2 car_\(sedan\)"):
            class_number(label, classes)
    with pytest.raises(ValueError, match="names no classes, so give a number"):
        class_number("dog", [])


def test_other_modules_take_samples_but_no_class(drawings, tmp_path):
    """pix2pix's noise is its dropout."""
    networks = {
        "generator": UNetGenerator(num_downs=5, ngf=2, dropout_levels="lua"),
        "discriminator": PatchDiscriminator(6, ndf=2, n_layers=1),
    }
    module = Pix2Pix(**networks)
    a = torch.rand(2, 3, 32, 32)
    first, again, other = (module(a, ["x", "y"], variants) for variants in (None, [0, 0], [0, 1]))
    assert torch.equal(first, again)
    assert torch.equal(first[0], other[0])
    assert not torch.equal(first[1], other[1])
    path = trained(tmp_path / "p.ckpt", UntrainedTranslator(), OpenMoji(image_size=32, batch_size=2))
    with pytest.raises(ValueError, match="UntrainedTranslator takes no class AtoB, but label=.food-drink. was given"):
        translate(path, drawings, tmp_path / "out", label="food-drink", accelerator="cpu")


class UntrainedTranslator(Painter):
    needs_labels = False


def test_a_class_is_asked_for(drawings, tmp_path):
    data = OpenMoji(image_size=32, batch_size=2)
    data.state_dict = lambda: {"preprocess": {}, "channels_a": 3}
    path = trained(tmp_path / "p.ckpt", Painter(), data)
    with pytest.raises(ValueError, match="does not name its classes; say with label=NUMBER"):
        translate(path, drawings, tmp_path / "out", accelerator="cpu")


def test_wrong_samples_say_so(tmp_path):
    with pytest.raises(ValueError, match="samples must be at least 1, got 0"):
        PictureFiles(tmp_path, samples=0)
    with pytest.raises(ValueError, match="1 variants for 2 names"):
        seeds_of(["a", "b"], [1])
