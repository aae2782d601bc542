import os
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from PIL import Image

import sketchgan
from sketchgan.cli import main, run
from sketchgan.data import Preprocess
from sketchgan.data.transforms import to_uint8
from sketchgan.inference import translate
from sketchgan.ops import pad_to_multiple

QUIET = {
    "accelerator": "cpu",
    "enable_progress_bar": False,
    "enable_model_summary": False,
    "limit_train_batches": 1,
    "limit_val_batches": 0,
    "max_epochs": 1,
}
UNET = {"class_path": "UNetGenerator", "init_args": {"num_downs": 5, "ngf": 2, "dropout_levels": "lua"}}
RESNET = {"class_path": "ResnetGenerator", "init_args": {"ngf": 2, "n_blocks": 1}}


def judge(channels):
    return {"class_path": "PatchDiscriminator", "init_args": {"in_channels": channels, "ndf": 2, "n_layers": 1}}


PIX2PIX = {
    "model": {"class_path": "Pix2Pix", "init_args": {"generator": UNET, "discriminator": judge(6)}},
    "data": {"class_path": "OpenMoji", "init_args": {"image_size": 32, "batch_size": 2}},
}
CYCLEGAN = {
    "model": {
        "class_path": "CycleGAN",
        "init_args": {
            "generator_ab": RESNET,
            "generator_ba": RESNET,
            "discriminator_a": judge(3),
            "discriminator_b": judge(3),
        },
    },
    "data": {"class_path": "OpenMoji", "init_args": {"paired": False, "image_size": 32, "batch_size": 2}},
}


@pytest.fixture(scope="module")
def checkpoints(tmp_path_factory):
    """One training step of each, from the command line, so that the networks are in the checkpoint."""
    folder = tmp_path_factory.mktemp("checkpoints")
    for name, config in (("pix2pix", PIX2PIX), ("cyclegan", CYCLEGAN)):
        (folder / f"{name}.yaml").write_text(
            yaml.safe_dump({**config, "trainer": {**QUIET, "default_root_dir": str(folder)}})
        )
        with pytest.MonkeyPatch.context() as patch:
            patch.chdir(folder)
            run(["fit", "--config", f"{name}.yaml"]).trainer.save_checkpoint(folder / f"{name}.ckpt")
    return folder


SIZES = {"a.png": (33, 47), "deep/b.jpg": (64, 32), "tiny.bmp": (5, 3), "one.png": (1, 1), "wide, ü.png": (100, 7)}


@pytest.fixture
def inputs():
    for i, (name, size) in enumerate(SIZES.items()):
        path = Path("in", name)
        path.parent.mkdir(parents=True, exist_ok=True)
        pixels = np.random.default_rng(i).integers(0, 256, (size[1], size[0], 3), np.uint8)
        Image.fromarray(pixels).save(path)
    return "in"


def written(folder):
    return {str(path.relative_to(folder)): path.read_bytes() for path in Path(folder).rglob("*") if path.is_file()}


@pytest.mark.parametrize(("name", "direction"), [("pix2pix", "AtoB"), ("cyclegan", "AtoB"), ("cyclegan", "BtoA")])
def test_a_folder_of_odd_sizes_keeps_names_and_sizes_and_repeats_to_the_bit(checkpoints, inputs, name, direction):
    for out in ("first", "second"):
        torch.manual_seed(hash(out) % 1000)
        main(
            [
                "translate",
                f"{checkpoints}/{name}.ckpt",
                inputs,
                "--out",
                out,
                "--direction",
                direction,
                "--accelerator=cpu",
            ]
        )
    first, second = written("first"), written("second")
    assert first == second
    assert first.keys() == {str(Path(name).with_suffix(".png")) for name in SIZES}
    for file, size in SIZES.items():
        assert Image.open(Path("first", file).with_suffix(".png")).size == size


def test_translation_is_what_the_module_makes(checkpoints, inputs):
    translate(f"{checkpoints}/pix2pix.ckpt", [inputs], "out", accelerator="cpu")
    module = sketchgan.load(f"{checkpoints}/pix2pix.ckpt")
    picture = Image.open("in/a.png")
    padded = pad_to_multiple(Preprocess("native")(picture)[None], 32)
    assert padded.shape == (1, 3, 64, 64)
    with torch.no_grad():
        made = to_uint8(module(padded, ["elsewhere/a.jpg"]))[0, :, :47, :33]
    assert np.array_equal(np.array(Image.open("out/a.png")), made.permute(1, 2, 0).numpy())


def test_directions_of_a_cycle_differ(checkpoints, inputs):
    for direction in ("AtoB", "BtoA"):
        translate(f"{checkpoints}/cyclegan.ckpt", [inputs], direction, direction=direction, accelerator="cpu")
    assert written("AtoB")["a.png"] != written("BtoA")["a.png"]
    with pytest.raises(ValueError, match="Pix2Pix translates AtoB, not BtoA"):
        translate(f"{checkpoints}/pix2pix.ckpt", [inputs], "out", direction="BtoA")


def test_official_preprocessing_travels_with_the_checkpoint(checkpoints, inputs):
    args = ["--out", "out", "--preprocess=official", "--accelerator=cpu"]
    main(["translate", f"{checkpoints}/pix2pix.ckpt", inputs, *args])
    assert {Image.open(Path("out", name)).size for name in written("out")} == {(32, 32)}
    module = sketchgan.load(f"{checkpoints}/pix2pix.ckpt")
    resized = Image.open("in/a.png").resize((32, 32), Image.Resampling.BICUBIC)
    with torch.no_grad():
        made = to_uint8(module(Preprocess("native")(resized)[None], ["a"]), truncate=True)[0]
    assert np.array_equal(np.array(Image.open("out/a.png")), made.permute(1, 2, 0).numpy())
    main(["translate", f"{checkpoints}/pix2pix.ckpt", inputs, *args[2:], "--out=batched", "--batch_size=5"])
    for name, data in written("out").items():  # a batch adds up in another order
        pair = [np.array(Image.open(Path(folder, name))).astype(int) for folder in ("out", "batched")]
        assert data
        assert np.abs(pair[0] - pair[1]).max() <= 1


@pytest.mark.parametrize("name", ["pix2pix", "cyclegan"])
def test_single_files_and_names_that_differ_in_the_suffix(checkpoints, inputs, name):
    """The same picture has the same translation, whoever lies beside it: dropout is seeded by the name it has."""
    Image.open("in/a.png").save("in/a.bmp")
    translate(f"{checkpoints}/{name}.ckpt", "in/a.png", "alone", accelerator="cpu")
    translate(f"{checkpoints}/{name}.ckpt", ["in/a.bmp", "in/a.png", "in/a.png"], "out", accelerator="cpu")
    files = written("out")
    assert files.keys() == {"a.bmp.png", "a.png.png"}
    assert files["a.bmp.png"] == files["a.png.png"] == written("alone")["a.png"]


def test_inputs_are_never_overwritten_and_names_never_meet(checkpoints, inputs):
    checkpoint = f"{checkpoints}/cyclegan.ckpt"
    before = written(inputs)
    Path("in/in").mkdir()
    Image.new("RGB", (9, 9)).save("in/in/a.png")
    for given, out, message in (
        ([inputs], inputs, "in is inside in, whose pictures are the input"),
        ([inputs], f"{inputs}/out", "in/out is inside in"),
        (["in/a.png"], "in", r"in/a\.png is an input and would be overwritten"),
        ([inputs], ".", r"in/a\.png is an input and would be overwritten"),
        (["in/a.png"], "in/a.png", r"in/a\.png is a file; give a folder"),
        ([], "out", "no inputs: give files"),
    ):
        with pytest.raises(ValueError, match=message):
            translate(checkpoint, given, out, accelerator="cpu")
    assert {name: data for name, data in written(inputs).items() if name != "in/a.png"} == before
    translate(checkpoint, ["in/deep/b.jpg"], "in/deep", accelerator="cpu")  # harmless: b.png
    for name in ("x.bmp", "x.gif", "y.png"):
        Path("other").mkdir(exist_ok=True)
        Image.new("RGB", (9, 9)).save(Path("other", name))
    Image.new("RGB", (9, 9)).save("in/y.png")
    with pytest.raises(ValueError, match=r"in/y\.png and other/y\.png would be written under one name; rename one"):
        translate(checkpoint, [inputs, "other"], "out", accelerator="cpu")
    Image.new("RGB", (9, 9)).save("other/x.gif.png")
    with pytest.raises(ValueError, match=r"x\.gif and other/x\.gif\.png would be written under one name"):
        translate(checkpoint, ["other"], "out", accelerator="cpu")
    assert not Path("out").exists()


def test_names_that_are_no_utf8(checkpoints):
    Path("in").mkdir()
    name = os.fsdecode(b"caf\xe9.png")
    Image.new("RGB", (9, 9)).save(Path("in", name))
    translate(f"{checkpoints}/pix2pix.ckpt", ["in"], "out", accelerator="cpu")
    translate(f"{checkpoints}/pix2pix.ckpt", [f"in/{name}"], "again", accelerator="cpu")
    assert written("out") == written("again")
    assert list(written("out")) == [name]


def test_what_cannot_be_read_is_named_and_the_rest_translated(checkpoints, inputs):
    Path("in/broken.png").write_bytes(b"not a picture")
    with pytest.warns(UserWarning, match=r"1 of 6 pictures"), pytest.raises(SystemExit) as end:
        main(["translate", f"{checkpoints}/cyclegan.ckpt", inputs, "--out", "out", "--accelerator=cpu"])
    assert str(end.value.code).startswith("1 files could not be read:\nin/broken.png cannot be read as a picture")
    assert len(written("out")) == len(SIZES)


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (["nowhere.ckpt", "in", "--out=out"], "sketchgan translate: no checkpoint nowhere.ckpt"),
        (["{}/cyclegan.ckpt", "nowhere", "--out=out"], "sketchgan translate: no file or folder nowhere"),
        (["{}/cyclegan.ckpt", "empty", "--out=out"], "sketchgan translate: no pictures in empty"),
        (
            ["in/a.png", "in", "--out=out"],
            "sketchgan translate: in/a.png is not a file of weights",
        ),
    ],
)
def test_bad_input_ends_with_a_sentence(checkpoints, inputs, args, message):
    Path("empty").mkdir()
    with pytest.raises(SystemExit) as end:
        main(["translate", *(arg.format(checkpoints) for arg in args)])
    assert str(end.value.code).startswith(message)


def test_channels_and_value_range_travel_too():
    """A network for one 12-bit channel: what it was trained with is what it translates."""
    rng = np.random.default_rng(0)
    for folder in ("data/trainA", "data/trainB", "in"):
        Path(folder).mkdir(parents=True)
        for i in range(3):
            np.save(f"{folder}/{i}.npy", rng.integers(0, 4096, (20, 20), np.uint16))
    generator = {**RESNET, "init_args": {**RESNET["init_args"], "in_channels": 1, "out_channels": 1}}
    data = {
        "root": "data",
        "load_size": 18,
        "crop_size": 16,
        "channels_a": 1,
        "channels_b": 1,
        "value_range": [0, 4095],
    }
    config = {
        "model": {"class_path": "Pix2Pix", "init_args": {"generator": generator, "discriminator": judge(2)}},
        "data": {"class_path": "PairedFolders", "init_args": data},
        "trainer": QUIET,
    }
    Path("deep.yaml").write_text(yaml.safe_dump(config))
    run(["fit", "--config", "deep.yaml"]).trainer.save_checkpoint("deep.ckpt")
    stored = torch.load("deep.ckpt", weights_only=True)["PairedFolders"]
    assert stored == {
        "preprocess": {
            "mode": "resize_and_crop",
            "load_size": 16,
            "crop_size": 16,
            "flip": False,
            "resample": "bicubic",
            "clahe_clip": 0.0,
        },
        "channels_a": 1,
        "channels_b": 1,
        "value_range": (0, 4095),
    }
    assert translate("deep.ckpt", ["in"], "out", accelerator="cpu") == []
    assert {Image.open(path).mode for path in Path("out").iterdir()} == {"L"}
    values = torch.from_numpy(np.load("in/0.npy").astype(np.float32))[None, None] / 4095 * 2 - 1
    with torch.no_grad():
        made = to_uint8(sketchgan.load("deep.ckpt")(values))[0, 0]
    assert np.array_equal(np.array(Image.open("out/0.png")), made.numpy())


def test_checkpoints_with_networks_passed_as_objects_ask_for_them(inputs):
    from training import quiet_trainer

    from sketchgan.data import OpenMoji
    from sketchgan.networks import ResnetGenerator

    trainer = quiet_trainer(max_epochs=1, limit_train_batches=1, limit_val_batches=0)
    trainer.fit(sketchgan.Pix2Pix(ResnetGenerator(ngf=2, n_blocks=0)), OpenMoji(image_size=32, batch_size=1))
    trainer.save_checkpoint("object.ckpt")
    with pytest.raises(ValueError, match="networks passed as objects"):
        translate("object.ckpt", [inputs], "out")


def test_padding_reflects_any_size():
    image = torch.arange(3.0).view(1, 1, 1, 3)
    padded = pad_to_multiple(image, 4, least=1)
    assert padded[0, 0].tolist() == [[0, 1, 2, 1]] * 4
    assert pad_to_multiple(image, 7, least=1)[0, 0, 0].tolist() == [0, 1, 2, 1, 0, 1, 2]
    whole = torch.zeros(1, 1, 8, 16)
    assert pad_to_multiple(whole, 8) is whole
    wide = torch.rand(2, 3, 10, 9)
    assert torch.equal(pad_to_multiple(wide, 8)[..., :10, :9], wide)
    reflected = torch.nn.functional.pad(wide, (0, 7, 0, 6), mode="reflect")
    assert torch.equal(pad_to_multiple(wide, 16), reflected)


def test_sigterm_ends_a_translation_after_its_batch(checkpoints, inputs, monkeypatch):
    """Lightning takes the signal for training and predicts on."""
    received = property(lambda trainer: len(list(Path("out").rglob("*.png"))) == 2)
    monkeypatch.setattr("lightning.pytorch.Trainer.received_sigterm", received)
    with pytest.raises(SystemExit) as end:
        translate(f"{checkpoints}/pix2pix.ckpt", inputs, "out", accelerator="cpu")
    assert end.value.code == 128 + 15
    assert len(list(Path("out").rglob("*.png"))) == 2
