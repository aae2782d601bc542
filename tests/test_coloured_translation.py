"""``sketchgan translate`` with styles, colour hints, clean and kept lines."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from PIL import Image

import sketchgan
from sketchgan import inference
from sketchgan.cli import main, run
from sketchgan.data import PictureFiles, Preprocess, read_hints
from sketchgan.data.line_art import clean_picture
from sketchgan.data.transforms import to_uint8
from sketchgan.inference import translate
from sketchgan.modules.base import GANModule
from sketchgan.ops import pad_to_multiple


class Echo(GANModule):
    """Shows what it was given: hints where there are any, elsewhere the style's mean colour, darkened by the sketch."""

    takes_style = needs_style = takes_hints = True
    size_multiple = 16

    def __init__(self) -> None:
        super().__init__()
        self.generator = torch.nn.Identity()
        self.encoded = 0
        self.batches: list[dict] = []

    def encode_style(self, pictures):
        self.encoded += 1
        return pictures.mean((2, 3))

    def sample(self, batch):
        self.batches.append(batch)
        paint = torch.minimum(batch["A"], batch["style_hint"][:, :, None, None])
        if "hints" in batch:
            paint = torch.where(batch["hints"][:, 3:] > 0, batch["hints"][:, :3], paint)
        return {"fake_B": paint}


@pytest.fixture
def echo(monkeypatch):
    module = Echo()
    monkeypatch.setattr(inference, "load", lambda path, **kwargs: module)
    return module


def save(path, colour, size=(40, 30), mode="RGB"):
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    Image.new(mode, size, colour).save(path)
    return str(path)


def shown(path):
    return np.array(Image.open(path)).astype(int)


def translated(*args, **kwargs):
    translate("echo.ckpt", *args, out="out", accelerator="cpu", **kwargs)


@pytest.fixture
def inputs():
    save("in/a.png", "white")
    save("in/deep/b.png", "white", (50, 20))
    return "in"


RED, BLUE = (200, 0, 0), (0, 0, 100)
DOT = [{"x": 0.5, "y": 0.5, "colour": "#00ff00"}]


# Styles


def test_a_style_is_encoded_once_for_all_inputs(echo, inputs):
    translated(inputs, style=save("style.png", RED, (7, 5)))
    assert echo.encoded == 1
    assert len(echo.batches) == 2
    for name, size in (("a", (30, 40)), ("deep/b", (20, 50))):
        assert shown(f"out/{name}.png").shape[:2] == size
        assert (shown(f"out/{name}.png") == RED).all()


@pytest.mark.parametrize(
    ("weights", "expected"), [(None, (100, 0, 50)), ([3, 1], (150, 0, 25)), ([0.0, 0.2], (0, 0, 100))]
)
def test_several_styles_are_mixed(echo, inputs, weights, expected):
    styles = [save("red.png", RED), save("blue.png", BLUE, (4, 9))]
    translated(inputs, style=styles, style_weights=weights)
    assert np.abs(shown("out/a.png") - expected).max() <= 1


def test_styles_are_flattened_on_white(echo, inputs):
    translated(inputs, style=save("none.png", (0, 0, 0, 0), mode="RGBA"))
    assert (shown("out/a.png") == 255).all()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({}, "Echo colours in the style of a picture; say which"),
        ({"style_weights": [1]}, "style_weights are shares of several"),
        ({"encoder_weights": "vgg.pth"}, "encoder_weights are of what looks at them; give those with style"),
        ({"style": "style.png", "hint_saturation": 1.2}, r"hint_saturation=1\.2 is of colour hints; give those with"),
        ({"style": "two.npy"}, r"style 'two\.npy': has 2 channels where 3 are wanted"),
        ({"style": "style.png", "style_weights": [1, 2]}, "2 style_weights for 1 style pictures"),
        ({"style": "style.png", "style_weights": [-1]}, r"at least 0 and not all 0, got \[-1\]"),
        ({"style": "style.png", "style_weights": [0]}, "not all 0"),
        ({"style": "style.png", "style_weights": [float("nan")]}, "not all 0"),
        ({"style": []}, "style has no picture"),
        ({"style": "style.png", "clean_lines": "hard"}, "clean_lines must be one of plain, denoise, got 'hard'"),
        ({"style": "style.png", "short_side": 64, "preprocess": "official"}, "short_side is for preprocess='native'"),
        ({"style": "style.png", "short_side": 0}, "sizes must be positive"),
        ({"style": "style.png", "keep_lines": True, "coloured_lines": True}, "choose one"),
    ],
)
def test_options_that_do_not_fit(echo, inputs, options, message):
    save("style.png", RED)
    np.save("two.npy", np.zeros((4, 4, 2), np.float32))
    with pytest.raises(ValueError, match=message):
        translated(inputs, **options)
    assert not Path("out").exists()


def test_missing_files(echo, inputs):
    with pytest.raises(FileNotFoundError, match=r"no style picture style\.png"):
        translated(inputs, style="style.png")
    with pytest.raises(FileNotFoundError, match=r"no file or folder of hints none\.png"):
        translated(inputs, style=save("style.png", RED), hints="none.png")


# Hints


def test_one_file_of_hints_for_all(echo, inputs):
    Path("hints.json").write_text(json.dumps(DOT))
    translated(inputs, style=save("style.png", RED), hints="hints.json")
    for name, (y, x) in (("a", (15, 20)), ("deep/b", (10, 25))):
        made = shown(f"out/{name}.png")
        assert (made[y - 1 : y + 2, x - 1 : x + 2] == (0, 255, 0)).all()
        assert (made == RED).all(-1).sum() == made.shape[0] * made.shape[1] - 9


def test_a_folder_of_hints(echo, inputs):
    Path("hints/deep").mkdir(parents=True)
    Path("hints/deep/b.json").write_text(json.dumps(DOT))
    translated(inputs, style=save("style.png", RED), hints="hints", batch_size=1, num_workers=1)
    assert (shown("out/a.png") == RED).all()
    assert (shown("out/deep/b.png")[10, 25] == (0, 255, 0)).all()
    assert [batch["hints"].shape[1:] for batch in echo.batches] == [(4, 32, 48), (4, 32, 64)]  # padded with A


def test_hints_that_belong_to_no_drawing_are_named(echo, inputs):
    Path("hints").mkdir()
    for name in "abcde":
        Path(f"hints/{name}.json").write_text(json.dumps(DOT))
    with pytest.warns(UserWarning, match=r"of the hints hints/b\.json, hints/c\.json, hints/d\.json and 1 more$"):
        translated(inputs, style=save("style.png", RED), hints="hints")


def test_hints_of_several_pictures_in_a_batch(echo):
    for name in "abc":
        save(f"in/{name}.png", "white")
    Path("hints").mkdir()
    Path("hints/b.json").write_text(json.dumps(DOT))
    translated("in", style=save("style.png", RED), hints="hints", batch_size=3)
    assert len(echo.batches) == 1
    assert [(shown(f"out/{name}.png") == (0, 255, 0)).all(-1).any() for name in "abc"] == [False, True, False]


def test_hints_for_every_sample(echo, inputs):
    Path("hints").mkdir()
    Path("hints/a.json").write_text(json.dumps(DOT))
    translated(inputs, style=save("style.png", RED), hints="hints", samples=2)
    for name, there in (("a_1", True), ("a_2", True), ("deep/b_1", False), ("deep/b_2", False)):
        assert (shown(f"out/{name}.png") == (0, 255, 0)).all(-1).any() == there


def test_hint_saturation(echo, inputs):
    Path("hints.json").write_text(json.dumps([DOT[0] | {"colour": [100, 50, 50]}]))
    translated(inputs, style=save("style.png", RED), hints="hints.json", hint_saturation=1.5)
    assert (shown("out/a.png")[15, 20] == (100, 25, 25)).all()


def test_bad_hints_show_before_anything_is_translated(echo, inputs):
    save("style.png", RED)
    Path("hints").mkdir()
    Path("hints/c.json").write_text(json.dumps(DOT))
    with pytest.raises(ValueError, match=r"none of the hints in hints.*a\.png would have a\.png or a\.json"):
        translated(inputs, style="style.png", hints="hints")
    Path("hints/a.json").write_text(json.dumps([{"x": 3}]))
    with pytest.raises(ValueError, match=r"hints/a\.json: hint 1"):
        translated(inputs, style="style.png", hints="hints")
    save("hints.png", "red")
    with pytest.raises(ValueError, match=r"hints\.png has no transparency"):
        translated(inputs, style="style.png", hints="hints.png")
    assert not list(Path().glob("out/**/*.png"))


@pytest.mark.parametrize(
    "preprocess",
    [
        {"mode": "native"},
        {"mode": "resize_and_crop", "load_size": 24, "crop_size": 24},
        {"mode": "scale_width", "load_size": 80, "crop_size": 8},
        {"mode": "scale_width_and_crop", "load_size": 64, "crop_size": 32},
        {"mode": "scale_short", "load_size": 64},
        {"mode": "crop", "crop_size": 20},
        {"mode": "none"},
    ],
)
def test_hints_follow_the_drawing(preprocess):
    """A drawing that is its own layer of hints: both end at the same places."""
    pixels = np.zeros((60, 80, 4), np.uint8)
    pixels[20:36, 40:56] = 0, 0, 0, 255
    Path("in").mkdir()
    Image.fromarray(pixels).save("in/a.png")
    files = PictureFiles("in", preprocess=preprocess | {"flip": False}, hints="in/a.png")
    item = files.dataset("test")[0]
    assert item["hints"].shape[1:] == item["A"].shape[1:]
    ink, hint = item["A"][0] < 0, item["hints"][3] > 0
    assert hint.any()
    assert (ink != hint).sum() <= 2 * (16 + 16) * max(1, hint.shape[1] // 80)  # but for the border
    assert (ink & hint).sum() > 0.7 * hint.sum()


def test_no_hints_for_distance_fields(inputs):
    save("hints.png", (0, 0, 0, 0), mode="RGBA")
    with pytest.raises(ValueError, match="here drawings become distance fields"):
        PictureFiles(inputs, sketch={}, hints="hints.png")


# Lines


def pencil(path="in/a.png"):
    """A grey drawing on grey paper."""
    grey = np.full((60, 80), 180, np.uint8)
    grey[20:30, 10:70] = 90
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(grey).save(path)
    return Image.open(path)


@pytest.mark.parametrize("how", ["plain", "denoise"])
def test_clean_lines(echo, how):
    clean = np.array(clean_picture(pencil(), how))
    assert clean.min() == 0
    assert clean.max() == 255
    translated("in", style=save("style.png", "white"), clean_lines=how)
    assert (shown("out/a.png") == clean[..., None]).all()


def test_keep_lines(echo):
    drawing = np.array(pencil())
    translated("in", style=save("style.png", (90, 200, 120)), keep_lines=True)
    paint = np.minimum(drawing[..., None].astype(int), (90, 200, 120))
    assert np.abs(shown("out/a.png") - paint * drawing[..., None] / 255).max() <= 0.51


@pytest.mark.parametrize("mode", ["crop", "scale_width_and_crop"])
def test_lines_of_a_part_cannot_be_kept(echo, mode):
    pencil()
    echo.data_settings = {"preprocess": {"mode": mode, "load_size": 64, "crop_size": 32, "flip": False}}
    options = {"style": save("style.png", RED), "preprocess": "official"}
    with pytest.raises(ValueError, match=rf"keep_lines is for whole drawings, .* cuts a part out \({mode}\)"):
        translated("in", keep_lines=True, **options)
    translated("in", **options)
    assert shown("out/a.png").shape == (32, 32, 3)


def test_clean_lines_are_the_ones_that_are_kept(echo):
    clean = np.array(clean_picture(pencil(), "plain"))[..., None].astype(int)
    translated("in", style=save("style.png", (90, 200, 120)), keep_lines=True, clean_lines="plain", samples=2)
    assert np.abs(shown("out/a_2.png") - np.minimum(clean, (90, 200, 120)) * clean / 255).max() <= 0.51


def test_short_side_resizes_before_and_back(echo):
    pencil()
    translated("in", style=save("style.png", (90, 200, 120)), short_side=32, keep_lines=True)
    assert echo.batches[0]["A"].shape == (1, 3, 32, 64)
    made = shown("out/a.png")
    assert made.shape == (60, 80, 3)
    drawing = np.array(Image.open("in/a.png"))
    edge = made[19:21, 40, 1]  # lines are those of the file: no blur over the edge of the stroke
    assert edge[0] > 1.5 * edge[1]
    assert (made[..., 1] <= drawing).all()
    translated("in", style="style.png", short_side=32)
    assert shown("out/a.png").shape == (60, 80, 3)


# Modules


def painter(channels, **settings):
    generator = {
        "class_path": "Style2PaintsGenerator",
        "init_args": {"hint_dim": 512, "in_channels": channels, "ngf": 2, "mid": 8},
    }
    return {"class_path": "Style2Paints", "init_args": {"generator": generator, "style": "palette", **settings}}


UNET = {"class_path": "UNetGenerator", "init_args": {"num_downs": 5, "ngf": 2}}
UNETS = {"class_path": "PaintsChainerUNet", "init_args": {"ngf": 2}}
COLOURED = {"class_path": "PaintsChainerDiscriminator", "init_args": {"ndf": 2, "image_size": 32}}
JUDGE = {"class_path": "PatchDiscriminator", "init_args": {"in_channels": 6, "ndf": 2, "n_layers": 1}}
SMALL = {"class_path": "Style2PaintsDiscriminator", "init_args": {"outputs": 1, "ndf": 2, "pool": 1}}
MODELS = {
    "hints": painter(4, colour_hints=True, discriminator=SMALL, adv_schedule="dcgan"),
    "free": painter(1, hint_dropout=0.5, discriminator=SMALL, adv_schedule="dcgan"),
    "chainer": {"class_path": "PaintsChainer", "init_args": {"generator": UNETS, "discriminator": COLOURED}},
    "pix2pix": {"class_path": "Pix2Pix", "init_args": {"generator": UNET, "discriminator": JUDGE}},
}


@pytest.fixture(scope="module")
def checkpoints(tmp_path_factory):
    """After one training step each, from the command line, so that the networks are in the checkpoint."""
    folder = tmp_path_factory.mktemp("checkpoints")
    trainer = {
        "accelerator": "cpu",
        "enable_progress_bar": False,
        "enable_model_summary": False,
        "limit_train_batches": 1,
        "limit_val_batches": 0,
        "max_epochs": 1,
        "default_root_dir": str(folder),
    }
    data = {"class_path": "OpenMoji", "init_args": {"image_size": 32, "batch_size": 2}}
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        for name, model in MODELS.items():
            Path(f"{name}.yaml").write_text(yaml.safe_dump({"model": model, "data": data, "trainer": trainer}))
            trained = run(["fit", "--config", f"{name}.yaml"])
            with torch.no_grad():
                for weight in trained.model.generator.parameters():
                    weight.mul_(8 if weight.ndim > 1 else 1)  # so that what they are told shows in 8 bits
            trained.trainer.save_checkpoint(f"{name}.ckpt")
    return folder


def test_style2paints_from_the_command_line(checkpoints, inputs):
    Path("hints.json").write_text(json.dumps(DOT))
    styles = [save("red.png", RED), save("blue.png", BLUE, (4, 9))]
    options = ["--accelerator=cpu", "--clean_lines", "--short_side=64", "--keep_lines"]
    args = ["translate", f"{checkpoints}/hints.ckpt", inputs, *options]
    style = ["--style", *styles, "--style_weights", "3", "1"]
    main([*args, "--out", "both", *style, "--hints", "hints.json", "--hint_saturation", "1.2"])
    main([*args, "--out", "again", *style, "--hints", "hints.json", "--hint_saturation", "1.2"])
    main([*args, "--out", "style", *style])
    main([*args, "--out", "other", "--style", styles[1]])
    both, again, style_alone, other = (shown(f"{out}/deep/b.png") for out in ("both", "again", "style", "other"))
    assert both.shape == (20, 50, 3)
    assert (both == again).all()
    assert (both != style_alone).any()
    assert (style_alone != other).any()


def test_style2paints_is_what_the_module_makes(checkpoints):
    pencil("in/a.png")
    Path("hints.json").write_text(json.dumps(DOT))
    style = Image.fromarray(np.random.default_rng(0).integers(0, 256, (9, 7, 3), np.uint8))
    style.save("style.png")
    translate(f"{checkpoints}/hints.ckpt", "in", "out", style="style.png", hints="hints.json", accelerator="cpu")
    module = sketchgan.load(f"{checkpoints}/hints.ckpt")
    pixels = torch.from_numpy(np.array(style)).permute(2, 0, 1)[None] / 127.5 - 1
    sketch = Preprocess("native")(Image.open("in/a.png").convert("RGB"))[None]
    sketch, hints = (pad_to_multiple(x, 32) for x in (sketch, read_hints("hints.json", (60, 80))[None]))
    with torch.no_grad():
        made = to_uint8(module(sketch, module.encode_style(pixels), hints))[0, :, :60, :80]
    assert (shown("out/a.png") == made.permute(1, 2, 0).numpy()).all()


def test_paintschainer_takes_hints_and_no_style(checkpoints, inputs):
    Path("hints.json").write_text(json.dumps([DOT[0] | {"radius": 9}]))
    args = ["translate", f"{checkpoints}/chainer.ckpt", inputs, "--accelerator=cpu"]
    main([*args, "--out", "none"])
    main([*args, "--out", "hints", "--hints", "hints.json"])
    without, with_hints = shown("none/deep/b.png"), shown("hints/deep/b.png")
    assert without.shape == (20, 50, 3)
    assert (without != with_hints).any()


@pytest.mark.parametrize(
    ("name", "args", "message"),
    [
        ("chainer", ["--style", "style.png"], "PaintsChainer takes no style, but"),
        ("hints", [], "Style2Paints colours in the style of a picture; say which with style=PICTURE"),
        ("free", ["--hints", "hints.json"], "takes no colour hints, .*train it with colour_hints=True"),
        ("pix2pix", ["--style", "style.png"], "Pix2Pix takes no style, but"),
        ("pix2pix", ["--hints", "hints.json"], "Pix2Pix as trained takes no colour hints, but hints='hints.json' was"),
        ("hints", ["--style", "style.png", "--hints", "none"], "no file or folder of hints none"),
        ("chainer", ["--encoder_weights", "x.pth"], "PaintsChainer takes no style, but encoder_weights='x.pth' was"),
        ("pix2pix", ["--encoder_weights", "x.pth"], "Pix2Pix takes no style, but encoder_weights='x.pth' was"),
        ("hints", ["--style", "style.png", "--encoder_weights", "x.pth"], "weights belong to style='vgg19'"),
    ],
)
def test_bad_input_ends_with_a_sentence(checkpoints, inputs, args, name, message):
    save("style.png", RED)
    Path("hints.json").write_text("[]")
    with pytest.raises((SystemExit, ValueError, FileNotFoundError), match=message):
        main(["translate", f"{checkpoints}/{name}.ckpt", inputs, "--out", "out", "--accelerator=cpu", *args])


def test_without_a_style_where_training_dropped_it(checkpoints, inputs):
    translate(f"{checkpoints}/free.ckpt", inputs, "out", accelerator="cpu")
    translate(f"{checkpoints}/free.ckpt", inputs, "red", style=save("style.png", RED), accelerator="cpu")
    assert (shown("out/a.png") != shown("red/a.png")).any()


def test_clean_and_kept_lines_are_for_every_network(checkpoints):
    pencil()
    translate(f"{checkpoints}/pix2pix.ckpt", "in", "out", accelerator="cpu", clean_lines="denoise", keep_lines=True)
    clean = np.array(clean_picture(Image.open("in/a.png"), "denoise"))
    made = shown("out/a.png")
    assert (made <= clean[..., None]).all()
    assert (made[clean == 0] == 0).all()
    assert (made[clean == 255] > 0).any()


def test_weights_of_the_style_encoder(checkpoints, inputs, monkeypatch):
    given = {}

    def load(path, **kwargs):
        given.update(kwargs)
        raise ValueError("far enough")

    monkeypatch.setattr(inference, "load", load)
    with pytest.raises(SystemExit, match="far enough"):
        main(["translate", "x.ckpt", inputs, "--out", "out", "--encoder_weights", "vgg.pth"])
    assert given == {"style_weights": "vgg.pth"}
