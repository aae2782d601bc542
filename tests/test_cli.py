import re
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from golden_cases import golden
from lightning.pytorch import Trainer
from PIL import Image

import sketchgan
from sketchgan import CycleGAN, GANModule, Pix2Pix
from sketchgan.callbacks import Speed
from sketchgan.cli import MAIN_JOB, _complete, main, run
from sketchgan.data import SCRIBBLE_CLASSES, SKETCHYCOCO_CLASSES, OpenMoji
from sketchgan.networks import ResnetGenerator
from sketchgan.recipes import find_recipe, recipes

QUIET = [
    "--trainer.accelerator=cpu",
    "--trainer.enable_progress_bar=false",
    "--trainer.enable_model_summary=false",
    "--trainer.limit_train_batches=2",
    "--trainer.limit_val_batches=1",
    "--trainer.limit_test_batches=1",
    "--trainer.limit_predict_batches=1",
    "--trainer.log_every_n_steps=1",
]
TINY = {
    "model": {
        "class_path": "sketchgan.Pix2Pix",
        "init_args": {
            "generator": {"class_path": "sketchgan.networks.ResnetGenerator", "init_args": {"ngf": 2, "n_blocks": 1}},
            "discriminator": {"class_path": "PatchDiscriminator", "init_args": {"in_channels": 6, "ndf": 2}},
            "lambda_l1": 50,
            "n_epochs": 1,
            "n_epochs_decay": 0,
        },
    },
    "data": {"class_path": "OpenMoji", "init_args": {"image_size": 32, "groups": ["activities"], "batch_size": 4}},
    "trainer": {"max_epochs": 1},
}


@pytest.fixture
def tiny(tmp_path):
    path = tmp_path / "tiny.yaml"
    path.write_text(yaml.safe_dump(TINY))
    return str(path)


@pytest.mark.parametrize("name", recipes())
def test_every_recipe_parses_and_those_on_embedded_data_run(name, capsys):
    config = yaml.safe_load(recipes()[name].read_text())
    assert re.match(r"# \S.{20,}\.\n", recipes()[name].read_text()), "the first line describes the recipe"
    if not name.endswith("-openmoji"):
        with pytest.raises(SystemExit) as end:
            run(["fit", "--config", name, "--print_config"])
        assert end.value.code == 0
        parsed = yaml.safe_load(capsys.readouterr().out)
        model, data = parsed["model"]["init_args"], parsed["data"]["init_args"]
        if name == "sketchygan-sketchy":
            assert data["curriculum"]["n_iterations"] == model["n_iterations"] == 300_000
            assert parsed["trainer"]["max_steps"] == 2 * 300_000, "Lightning counts the updates of both optimizers"
            with pytest.raises(FileNotFoundError, match="datasets/Sketchy"):
                run(["fit", "--config", name, *QUIET])
            return
        if name.startswith("aoda") or name == "anime2sketch":
            _check_aoda(name, model, data, parsed)
            return
        if name.startswith("paintschainer"):
            side, batch = (512, 4) if name.endswith("refiner") else (128, 16)
            assert (data["load_size"], data["crop_size"], data["batch_size"]) == (side, side, batch)
            assert (model["lr"], model["betas"], model["weight_decay"]) == (1e-4, [0.9, 0.999], 1e-5)
            assert (model["units"], model["n_epochs"], parsed["trainer"]["max_epochs"]) == ("official", 20, 20)
            return
        load_size = 256 if name == "style2paints" else 286  # a painting's style is that of the whole
        assert (model["betas"], data["load_size"], data["crop_size"]) == ([0.5, 0.999], load_size, 256)
        if "n_epochs" in model:
            assert model["n_epochs"] + model["n_epochs_decay"] == parsed["trainer"]["max_epochs"]
            assert (model["lr"], data["resample"], parsed["checkpoint"]["monitor"]) == (2e-4, "bicubic", "val/fid")
        else:
            assert (model["n_iterations"], model["n_iterations_decay"]) == (500_000, 500_000)
            batches = 200_000 if name == "photo2cartoon" else 1_000_000
            assert parsed["trainer"]["max_steps"] == 2 * batches, "Lightning counts the updates of both optimizers"
            assert (model["lr"], data["resample"]) == (1e-4, "bilinear")
            assert model["light"] == ("light" in name or name == "photo2cartoon")
            assert parsed["metrics"]["kid_block_size"] == (10 if "anime" in name else None)
        with pytest.raises(FileNotFoundError, match=rf"no folder {data['root']} \(the first lines of"):
            getattr(sketchgan.data, parsed["data"]["class_path"].rpartition(".")[2])(**data).train_dataloader()
        return
    cli = run(["fit", "--config", name, *QUIET, "--trainer.max_epochs=1", "--data.init_args.batch_size=2"])
    assert cli.trainer.global_step == 2 * len(cli.trainer.optimizers), "Lightning counts the updates of all optimizers"
    planned, epochs = cli.model.planned_epochs, config["trainer"]["max_epochs"]
    if planned is None:
        size = config["data"]["init_args"]["batch_size"]
        batches = len(cli.datamodule.dataset("train")) // size
        counted = cli.model.lr_curve[0] if name.startswith("sketchygan") else sum(cli.model.lr_curve)
        assert counted == epochs * batches, "the learning rate fits the length of the run"
    else:
        assert planned == epochs, "the learning rate fits the length of the run"


def _check_aoda(name, model, data, parsed):
    epochs = {"aoda-scribble": 200, "aoda-sketchycoco": 100, "aoda-qmul": 400, "anime2sketch": 200}[name]
    assert model["n_epochs"] + model["n_epochs_decay"] == parsed["trainer"]["max_epochs"] == epochs
    assert (model["preset"], data["batch_size"]) == ("official" if name == "anime2sketch" else "paper", 1)
    assert (data["load_size"], data["crop_size"]) == ((520, 512) if name == "anime2sketch" else (260, 256))
    made = getattr(sketchgan.data, parsed["data"]["class_path"].rpartition(".")[2])(**data)
    if name != "anime2sketch":
        order = {"scribble": SCRIBBLE_CLASSES, "sketchycoco": SKETCHYCOCO_CLASSES}.get(str(made.class_order))
        assert len(order or made.class_order) == model["n_classes"]
    with pytest.raises(FileNotFoundError, match=r"no folder datasets/\w+.* \(the first lines of"):
        made.train_dataloader()


def test_main_job_is_what_fit_does_alone(capsys):
    cli = run(["fit", *QUIET, "--trainer.max_epochs=1"])
    assert type(cli.model) is Pix2Pix
    assert cli.model.generator.num_downs == 6
    place = Path("runs") / MAIN_JOB / "version_0"
    made = {str(path.relative_to(place)) for path in place.rglob("*") if path.is_file()}
    assert {
        "config.yaml",
        "metrics.csv",
        "samples/latest.png",
        "checkpoints/last.ckpt",
        "checkpoints/epoch=000.ckpt",
    } <= made
    assert any("tfevents" in name for name in made)
    said = capsys.readouterr().out
    for expected in (
        "Trained Pix2Pix in",
        "val/l1",
        "samples/latest.png",
        "tensorboard --logdir runs",
        "Next: sketchgan",
    ):
        assert expected in said
    run(["fit", *QUIET, "--trainer.max_epochs=1"])
    assert (Path("runs") / MAIN_JOB / "version_1" / "metrics.csv").is_file()


@pytest.mark.parametrize(
    ("given", "completed", "name"),
    [
        (["fit"], ["fit", "--config=RECIPE"], MAIN_JOB),
        (
            ["fit", "--data.init_args.batch_size", "8"],
            ["fit", "--config=RECIPE", "--data.init_args.batch_size", "8"],
            MAIN_JOB,
        ),
        (["test", "-c", MAIN_JOB], ["test", "--config=RECIPE"], MAIN_JOB),
        (["fit", "--config", "own.yaml"], ["fit", "--config=own.yaml"], "own"),
        (["fit", "--model=Pix2Pix"], ["fit", "--model=Pix2Pix"], "run"),
        (["fit", "--help"], ["fit", "--help"], "run"),
    ],
)
def test_arguments_are_completed(given, completed, name):
    Path("own.yaml").touch()
    recipe = str(find_recipe(MAIN_JOB))
    assert _complete(given) == ([arg.replace("RECIPE", recipe) for arg in completed], name)


def test_other_subcommands_find_the_configuration_beside_the_checkpoint(tiny, capsys):
    run(["fit", "--config", tiny, *QUIET])
    checkpoint = "runs/tiny/version_0/checkpoints/last.ckpt"
    for command in ("validate", "test", "predict"):
        cli = run([command, "--ckpt_path", checkpoint, *QUIET])
        assert type(cli.model.generator).__name__ == "ResnetGenerator"
        assert cli.model.lambda_l1 == 50
        assert command != "predict" or cli.config.predict.return_predictions is False
    assert "Pictures are in runs/tiny/version_3/predictions" in capsys.readouterr().out
    assert len(list(Path("runs/tiny/version_3/predictions/fake_B").glob("*.png"))) == 4
    cli = run(["fit", f"--ckpt_path={checkpoint}", *QUIET, "--trainer.max_epochs=2"])
    assert cli.model.batches_seen == 4


def test_speed_is_a_flag(tiny):
    speed = ["--speed.compile=true", "--speed.backend=eager", "--speed.channels_last=auto"]
    short = ["--trainer.limit_train_batches=1", "--trainer.limit_val_batches=0"]
    cli = run(["fit", "--config", tiny, *QUIET, *short, *speed, "--model.init_args.fused=false"])
    assert not cli.trainer.optimizers[0].param_groups[0]["fused"]
    assert {
        type(network).__name__
        for network in next(callback for callback in cli.trainer.callbacks if isinstance(callback, Speed))._compiled
    } == {"ResnetGenerator", "PatchDiscriminator"}
    torch._dynamo.reset()


def test_swapped_generator_in_yaml_reloads(tiny):
    run(["fit", "--config", tiny, *QUIET])
    path = "runs/tiny/version_0/checkpoints/last.ckpt"
    state = torch.load(path, weights_only=True)["state_dict"]
    for load in (Pix2Pix.load_from_checkpoint, GANModule.load_from_checkpoint, sketchgan.load):
        model = load(path)
        assert type(model) is Pix2Pix
        assert type(model.generator).__name__ == "ResnetGenerator"
        assert all(torch.equal(value, state[key]) for key, value in model.state_dict().items())


def test_checkpoint_from_python_serves_the_command_line(monkeypatch):
    monkeypatch.setattr("sketchgan.modules.cyclegan.ResnetGenerator", lambda: ResnetGenerator(ngf=2, n_blocks=1))
    trainer = Trainer(max_epochs=1, limit_train_batches=1, limit_val_batches=0, logger=False, accelerator="cpu")
    trainer.fit(CycleGAN(lambda_identity=0.0), OpenMoji(paired=False, image_size=32, batch_size=1))
    trainer.save_checkpoint("python.ckpt")
    data = ["--data=OpenMoji", "--data.init_args.paired=false", "--data.init_args.image_size=32"]
    cli = run(
        ["predict", "--model=CycleGAN", *data, "--data.init_args.batch_size=1", "--ckpt_path=python.ckpt", *QUIET]
    )
    assert cli.model.lambda_identity == 0.0


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (("lambda_l1", "lambda_11"), "lambda_11"),
        (("sketchgan.Pix2Pix", "sketchgan.Pix2Pics"), "Pix2Pics"),
        (("max_epochs", "max_epoch"), "max_epoch"),
        (("ngf", "nfg"), "nfg"),
        (("batch_size: 4", "batch_size: four"), "four"),
    ],
)
def test_typo_in_yaml_stops_before_training(tiny, capsys, change, message):
    text = Path(tiny).read_text()
    assert change[0] in text
    Path(tiny).write_text(text.replace(*change))
    with pytest.raises(SystemExit) as error:
        run(["fit", "--config", tiny, *QUIET])
    assert error.value.code == 2
    assert message in capsys.readouterr().err
    assert not Path("runs").exists()


def test_unknown_recipe_names_the_ones_that_come_close():
    with pytest.raises(SystemExit, match=r"no file and no recipe 'cyclgan-openmoji'; did you mean cyclegan-openmoji"):
        run(["fit", "--config", "cyclgan-openmoji"])
    assert find_recipe("pix2pix-openmoji").is_file()


def test_missing_checkpoint_is_named():
    with pytest.raises(SystemExit, match=r"sketchgan: no checkpoint nowhere\.ckpt"):
        run(["fit", "--ckpt_path", "nowhere.ckpt"])


def test_a_finished_run_has_nothing_to_show(tiny, capsys):
    run(["fit", "--config", tiny, *QUIET])
    run(["fit", "--ckpt_path", "runs/tiny/version_0/checkpoints/last.ckpt", *QUIET])
    assert "None" not in capsys.readouterr().out.rpartition("Trained")[2]


def test_wrong_checkpoint_is_named(tiny):
    torch.save({"model.0.weight": torch.zeros(1)}, "official.pth")
    with pytest.raises(SystemExit, match="sketchgan: official.pth was not written by a sketchgan module"):
        run(["predict", "--config", tiny, "--ckpt_path=official.pth", *QUIET])


def test_wrong_size_is_refused_before_training(tiny):
    config = yaml.safe_load(Path(tiny).read_text())
    config["model"]["init_args"]["generator"] = {"class_path": "UNetGenerator", "init_args": {"ngf": 2}}
    Path(tiny).write_text(yaml.safe_dump(config))
    with pytest.raises(ValueError, match=r"image size 32x32 is not a multiple of 256 .*UNetGenerator\(num_downs=5\)"):
        run(["fit", "--config", tiny, *QUIET])


def test_recipes_and_help(capsys):
    main(["recipes"])
    listed = capsys.readouterr().out
    assert all(name in listed for name in recipes())
    assert "Colour line drawings" in listed
    main([])
    assert "sketchgan recipes" in capsys.readouterr().out


def test_faces(capsys, monkeypatch):
    official = golden("photo2cartoon_preprocess").tensors
    Path("photos").mkdir()
    Image.fromarray(official["in.image0"].numpy()).save("photos/a.png")
    Path("photos/b.png").write_bytes(b"nothing")
    Path("landmarks").mkdir()
    np.save("landmarks/a.npy", official["in.landmarks0"].numpy())
    with pytest.raises(SystemExit) as end:
        main(["faces", "photos", "out", "--landmarks", "landmarks", "--no-masks"])
    assert str(end.value.code).startswith("1 pictures were left out:\nphotos/b.png cannot be read as a picture")
    assert capsys.readouterr().out == "Portraits are in out\n"
    assert np.array_equal(np.array(Image.open("out/a.png")), official["out.crop0"].numpy())
    with pytest.raises(SystemExit, match="sketchgan faces: out/a.png exists"):
        main(["faces", "photos/a.png", "out", "--landmarks", "landmarks/a.npy", "--no-masks"])
    Image.new("L", (100, 120), 255).save("a.png")
    options = ["--landmarks=landmarks", "--masks=.", "--rgba", "--size=32", "--overwrite", "--device=cpu"]
    main(["faces", "photos/a.png", "out", *options])
    assert np.array(Image.open("out/a.png")).shape == (32, 32, 4)
    monkeypatch.setitem(sys.modules, "face_alignment", None)
    with pytest.raises(SystemExit, match="sketchgan faces: landmarks are found by the package face-alignment"):
        main(["faces", "photos", "elsewhere"])
    with pytest.raises(SystemExit) as end:
        main(["faces", "photos", "elsewhere", "--masks", "masks", "--no-masks"])
    assert end.value.code == 2
