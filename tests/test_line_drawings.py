"""Anime2Sketch's inference, file to file, and what `translate` offers for line drawings."""

from pathlib import Path

import numpy as np
import pytest
import torch
from golden_cases import assert_close, golden
from kornia.enhance import equalize_clahe
from PIL import Image
from training import quiet_trainer

import sketchgan
from sketchgan import Anime2Sketch
from sketchgan.callbacks import PredictionWriter
from sketchgan.cli import main
from sketchgan.convert import from_official
from sketchgan.data import Preprocess
from sketchgan.data.transforms import equalize_contrast, to_uint8
from sketchgan.inference import translate
from sketchgan.modules.weights import write_weights
from sketchgan.networks import UNetGenerator
from sketchgan.ops import pad_to_multiple

CASE = golden("anime2sketch_e2e")
GENERATOR = {"in_channels": 3, "out_channels": 1, "num_downs": 8, "ngf": 2, "norm": "instance", "dropout": 0.0}
PREPROCESS = {"mode": "resize_and_crop", "load_size": 256, "crop_size": 256, "flip": False}
DATA = {"preprocess": PREPROCESS, "channels_a": 1, "channels_b": 3, "value_range": None}


def write(path: str, module: str = "anime2sketch.Anime2Sketch", **data: object) -> str:
    """The official network of the case as a file of ours."""
    network = from_official(CASE.under("state.unet"), dropout=0.0)
    recipe = {"class_path": "sketchgan.networks.UNetGenerator", "init_args": GENERATOR}
    state = {f"generator_ba.{key}": value for key, value in network.state_dict().items()}
    record = {"class_path": f"sketchgan.modules.{module}", "hyper_parameters": {"generator_ba": recipe}}
    write_weights(Path(path), state, {**record, "data": DATA | data})
    return path


@pytest.fixture
def official() -> str:
    """Its checkpoint, and the case's picture beside two others."""
    Path("in/deep").mkdir(parents=True)
    picture().save("in/drawing.png")
    picture().resize((61, 40)).save("in/deep/small.png")
    return write("anime.safetensors")


def picture() -> Image.Image:
    return Image.fromarray(CASE.tensors["in.image_u8_hwc"].numpy())


def read(path: str) -> np.ndarray:
    return np.array(Image.open(path)).astype(int)


def assert_bytes(made: np.ndarray, expected: torch.Tensor) -> None:
    """The golden page's tolerance."""
    difference = np.abs(made - expected[..., 0].numpy().astype(int))
    assert difference.max() <= 1
    assert (difference == 0).mean() >= 0.999


def test_file_to_file_as_the_official_script(official):
    main(["translate", official, "in", "--out=out", "--preprocess=official", "--accelerator=cpu"])
    assert_bytes(read("out/drawing.png"), CASE.tensors["out.final_bytes_hwc"])
    assert Image.open("out/deep/small.png").size == (61, 40)
    translate(official, "in", "batched", preprocess="official", batch_size=2, accelerator="cpu")
    assert np.abs(read("out/deep/small.png") - read("batched/deep/small.png")).max() <= 1  # each at its own size
    assert np.abs(read("out/drawing.png") - read("batched/drawing.png")).max() <= 1


def test_bytes_before_they_are_resized_back(official):
    square = write("square.safetensors", "cyclegan.CycleGAN")  # whose script keeps the square
    translate(square, "in/drawing.png", "out", preprocess="official", accelerator="cpu")
    assert_bytes(read("out/drawing.png"), CASE.tensors["out.bytes_256"])


def test_input_and_output_of_the_network(official):
    shown = Preprocess(**PREPROCESS)(picture())
    assert_close(shown[None, :, ::4, ::4], CASE.tensors["out.net_input"], 5e-5)
    made = sketchgan.load(official)(shown[None], "BtoA")
    assert_close(made, CASE.tensors["out.net_output"], 5e-5)


def test_contrast_as_the_official_script_equalises_it(official):
    shown = Preprocess(**PREPROCESS, clahe_clip=2.0)(picture())
    assert_close(shown[None, :, ::4, ::4], CASE.tensors["out.clahe_input_clip2"], 5e-5)
    square = write("square.safetensors", "cyclegan.CycleGAN")
    main(
        ["translate", square, "in/drawing.png", "--out=out", "--preprocess=official", "--clahe=2", "--accelerator=cpu"]
    )
    assert_bytes(read("out/drawing.png"), CASE.tensors["out.clahe_bytes_256"])


def test_contrast_in_the_settings_of_the_data(official):
    """A stored clip limit holds with "official", unless another is given; with "native" none does."""
    stored = write("stored.safetensors", "cyclegan.CycleGAN", preprocess=PREPROCESS | {"clahe_clip": 2.0})
    for out, options in (("stored", {}), ("none", {"clahe": 0.0})):
        translate(stored, "in/drawing.png", out, preprocess="official", accelerator="cpu", **options)
    assert_bytes(read("stored/drawing.png"), CASE.tensors["out.clahe_bytes_256"])
    assert not np.array_equal(read("stored/drawing.png"), read("none/drawing.png"))
    for out, options in (("native", {}), ("equal", {"clahe": 2.0})):
        translate(stored, "in/drawing.png", out, accelerator="cpu", **options)
    for out, clip in (("native", 0.0), ("equal", 2.0)):
        shown = Preprocess("native", clahe_clip=clip)(picture())[None]
        made = to_uint8(sketchgan.load(official)(pad_to_multiple(shown, 256), "BtoA"))[0, 0, :150, :110]
        assert np.abs(read(f"{out}/drawing.png") - made.numpy().astype(int)).max() <= 1


def test_a_larger_side_before_the_network(official):
    options = ["--out=out", "--preprocess=official", "--load_size=512", "--accelerator=cpu"]
    main(["translate", official, "in/drawing.png", *options])
    larger = Preprocess("native")(picture().resize((512, 512), Image.Resampling.BICUBIC))
    levels = to_uint8(sketchgan.load(official)(larger[None], "BtoA"), truncate=True)[0, 0].numpy()
    expected = Image.fromarray(levels).resize(picture().size, Image.Resampling.BICUBIC)
    assert np.abs(read("out/drawing.png") - np.array(expected).astype(int)).max() <= 1


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"load_size": 512}, "load_size 512 is of no use where pictures keep their size; use preprocess='official'"),
        ({"load_size": 0, "preprocess": "official"}, "sizes must be positive, got load_size 0"),
        ({"clahe": -1.0}, "clahe_clip must be 0 for no equalisation, or positive, got -1.0"),
        ({"direction": "AtoB"}, "Anime2Sketch translates BtoA, not AtoB"),
    ],
)
def test_options_that_do_not_fit_say_so(official, options, message):
    with pytest.raises(ValueError, match=message):
        translate(official, "in", "out", **options)
    assert not Path("out").exists()


def test_pictures_that_keep_their_size_have_no_other(official):
    kept = write("native.safetensors", preprocess={"mode": "none", "flip": False})
    with pytest.raises(ValueError, match="load_size 512 is of no use where pictures keep their size; leave it out"):
        translate(kept, "in", "out", preprocess="official", load_size=512)


def test_any_size_costs_no_more_than_its_padding(official, monkeypatch):
    """Eight halvings: 300x384 is padded to 512x512, five by three pixels to 256x256, and cropped again."""
    shapes = []
    forward = UNetGenerator.forward
    monkeypatch.setattr(UNetGenerator, "forward", lambda self, x: shapes.append(tuple(x.shape)) or forward(self, x))
    Path("sizes").mkdir()
    for name, size in (("a", (384, 300)), ("b", (5, 3)), ("c", (256, 512))):
        picture().resize(size).save(f"sizes/{name}.png")
    translate(official, "sizes", "out", accelerator="cpu")
    assert shapes == [(1, 3, 512, 512), (1, 3, 256, 256), (1, 3, 512, 256)]
    assert [Image.open(f"out/{name}.png").size for name in "abc"] == [(384, 300), (5, 3), (256, 512)]
    whole = Preprocess("native")(picture().resize((384, 300)))[None]
    reflected = torch.nn.functional.pad(whole, (0, 128, 0, 212), mode="reflect")
    made = to_uint8(sketchgan.load(official)(reflected, "BtoA"))[0, 0, :300, :384]
    assert np.abs(read("out/a.png") - made.numpy().astype(int)).max() <= 1


def test_lines_in_the_colours_of_the_picture(official):
    translate(official, "in/drawing.png", "black", accelerator="cpu")
    main(["translate", official, "in/drawing.png", "--out=colour", "--coloured_lines", "--accelerator=cpu"])
    darkness = 1 - read("black/drawing.png")[..., None] / 255
    expected = 255 * (1 - darkness * (1 - np.array(picture()) / 255))
    assert read("colour/drawing.png").shape == (150, 110, 3)
    assert np.abs(read("colour/drawing.png") - expected).max() <= 1


def written(prediction: dict, batch: dict, **options: bool) -> None:
    writer = PredictionWriter("out", "fake_A", **options)
    trainer = quiet_trainer()
    writer.on_predict_start(trainer, Anime2Sketch)
    writer.write_on_batch_end(trainer, Anime2Sketch, prediction, None, batch, 0, 0)


def test_writer_resizes_what_is_no_picture_too():
    flat = torch.full((1, 2, 4, 4), 0.5)
    written({"fake_A": flat}, {"B_name": ["x"], "B_size": torch.tensor([[6, 3]])}, resize_back=True)
    made = np.load("out/x.npy")
    assert made.shape == (6, 3, 2)
    assert np.allclose(made, 0.75)


def test_writer_says_what_it_lacks():
    lines = torch.zeros(1, 1, 4, 4)
    with pytest.raises(ValueError, match="resize_back needs B_size in the batch"):
        written({"fake_A": lines}, {"B_name": ["x"]}, resize_back=True)
    with pytest.raises(ValueError, match="lines of 1 channels cannot have the colours of 4 channels"):
        written({"fake_A": lines}, {"B_name": ["x"], "B": torch.zeros(1, 4, 4, 4)}, coloured_lines=True)


# Equalisation


@pytest.mark.parametrize("size", [(9, 9), (30, 33), (64, 48)])
def test_equalisation_is_kornias(size):
    images = torch.rand(3, *size) * 2 - 1
    expected = equalize_clahe((images + 1) / 2, 2.0, (8, 8)) * 2 - 1
    assert_close(equalize_contrast(images, 2), expected, 1e-6)
    assert_close(equalize_contrast(torch.stack([images, images]), 2.0)[1], expected, 1e-6)


@pytest.mark.parametrize("size", [(1, 1), (5, 3), (8, 40)])
def test_pictures_smaller_than_the_tiles_are_equalised_too(size):
    made = Preprocess("native", clahe_clip=2.0)(Image.effect_noise(size, 50).convert("RGB"))
    assert made.shape == (3, size[1], size[0])
    assert made.abs().max() <= 1


def test_equalisation_is_off_by_default_and_travels():
    assert Preprocess().clahe_clip == 0
    settings = Preprocess("native", clahe_clip=2.5).for_evaluation().settings()
    assert Preprocess(**settings).clahe_clip == 2.5
    assert Preprocess(**PREPROCESS) == Preprocess("resize_and_crop", 256, 256, flip=False)  # settings of older files


def test_equalisation_without_kornia_says_what_to_install(official, monkeypatch):
    monkeypatch.setattr("sketchgan.data.transforms.find_spec", lambda name: None)
    with pytest.raises(SystemExit) as end:
        main(["translate", official, "in", "--out=out", "--clahe=2"])
    assert str(end.value.code) == (
        "sketchgan translate: equalisation with clahe_clip is kornia's (pip install 'sketchgan[edges]')"
    )
