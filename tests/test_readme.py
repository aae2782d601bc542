"""README's examples run as they are printed."""

import re
from pathlib import Path

import pytest
import torch
import yaml
from lightning.pytorch import Trainer
from PIL import Image

import sketchgan
from sketchgan import CycleGAN, GANModule, Pix2Pix
from sketchgan.cli import run
from sketchgan.convert import to_official
from sketchgan.data import OpenMoji
from sketchgan.networks import PatchDiscriminator, ResnetGenerator, UNetGenerator

README = (Path(__file__).parent.parent / "README.md").read_text()


def blocks(language):
    return re.findall(rf"```{language}\n(.*?)```", README, re.DOTALL)


def block(language, holding):
    (found,) = [text for text in blocks(language) if holding in text]
    return found


class QuickTrainer(Trainer):
    """README's Trainer, for two batches."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs, accelerator="cpu", fast_dev_run=2, enable_progress_bar=False)


def test_training_in_python(monkeypatch):
    import lightning

    monkeypatch.setattr(lightning, "Trainer", QuickTrainer)
    monkeypatch.setattr("sketchgan.modules.cyclegan.ResnetGenerator", lambda: ResnetGenerator(ngf=2, n_blocks=1))
    names = {}
    exec(block("python", "trainer.fit"), names)
    assert names["trainer"].global_step == 2  # updates: fast_dev_run counts those


def test_subclass_with_an_extra_loss_trains_and_reloads():
    names = {"Pix2Pix": Pix2Pix, "__name__": __name__}
    exec(block("python", "class SmoothPix2Pix"), names)
    smooth = globals()["SmoothPix2Pix"] = names["SmoothPix2Pix"]
    networks = {
        "generator": UNetGenerator(num_downs=5, ngf=2),
        "discriminator": PatchDiscriminator(6, ndf=2, n_layers=1),
    }
    model = smooth(lambda_tv=0.3, **networks)
    trainer = Trainer(accelerator="cpu", max_epochs=1, limit_train_batches=1, log_every_n_steps=1, logger=False)
    trainer.fit(model, OpenMoji(image_size=32, batch_size=2))
    assert trainer.logged_metrics["g/tv"] > 0
    trainer.save_checkpoint("smooth.ckpt")
    for load in (smooth.load_from_checkpoint, GANModule.load_from_checkpoint, sketchgan.load):
        again = load("smooth.ckpt", **networks)
        assert type(again) is smooth
        assert again.lambda_tv == 0.3
    del globals()["SmoothPix2Pix"]
    with pytest.raises(ValueError, match=r"wants test_readme.SmoothPix2Pix, which is not an imported GANModule"):
        sketchgan.load("smooth.ckpt", **networks)


def test_another_network_and_loading(monkeypatch):
    names = {"Pix2Pix": Pix2Pix, "ResnetGenerator": ResnetGenerator, "sketchgan": sketchgan}
    monkeypatch.setattr("sketchgan.modules.pix2pix.UNetGenerator", lambda: UNetGenerator(num_downs=5, ngf=2))
    monkeypatch.setattr(
        "sketchgan.modules.pix2pix.PatchDiscriminator", lambda n: PatchDiscriminator(n, ndf=2, n_layers=1)
    )
    exec(block("python", "lambda_l1=50"), names)
    for path, model in (("swapped.ckpt", names["model"]), ("last.ckpt", Pix2Pix())):
        trainer = Trainer(accelerator="cpu", max_epochs=1, limit_train_batches=1, limit_val_batches=0, logger=False)
        trainer.fit(model, OpenMoji(image_size=32, batch_size=2))
        trainer.save_checkpoint(path)
    names["real_a"] = torch.zeros(1, 3, 32, 32)
    exec(block("python", "swapped.ckpt"), names)
    assert names["fake_b"].shape == (1, 3, 32, 32)
    with pytest.raises(ValueError, match=r"pass them again: load_from_checkpoint\(path, generator=ResnetGenerator"):
        Pix2Pix.load_from_checkpoint("swapped.ckpt")


def test_own_pictures(monkeypatch):
    for side in "AB":
        for i in range(3):
            path = Path("pictures", f"train{side}", f"{i}.png")
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.effect_noise((300, 280), 50).convert("RGB").save(path)
    monkeypatch.setattr("sketchgan.modules.pix2pix.UNetGenerator", lambda: UNetGenerator(num_downs=8, ngf=1))
    names = {"Trainer": QuickTrainer}
    exec(block("python", "PairedFolders"), names)
    assert names["data"].dataset("train")[(0, 0)]["A"].shape == (3, 256, 256)


def test_scores(tmp_path):
    names = {"Trainer": Trainer}
    exec(block("python", "ImageMetrics"), names)
    assert names["scores"].scores == ("l1", "ssim", "fid", "kid")
    assert {names["scores"], names["best"]} <= set(names["trainer"].callbacks)


def test_translation():
    Path("drawings").mkdir()
    Image.new("RGB", (30, 20)).save("drawings/a.png")
    model = {"class_path": "Pix2Pix", "init_args": {}}
    model["init_args"]["generator"] = {"class_path": "ResnetGenerator", "init_args": {"ngf": 2, "n_blocks": 1}}
    config = {"model": model, "data": {"class_path": "OpenMoji", "init_args": {"image_size": 32, "batch_size": 2}}}
    Path("tiny.yaml").write_text(yaml.safe_dump(config))
    quick = ["--trainer.max_epochs=1", "--trainer.limit_train_batches=1", "--trainer.accelerator=cpu"]
    run(["fit", "--config=tiny.yaml", *quick, "--trainer.enable_progress_bar=false"]).trainer.save_checkpoint(
        "last.ckpt"
    )
    exec(block("python", "translate("))
    assert Image.open("translated/a.png").size == (30, 20)


def test_speed(monkeypatch):
    names = {"Trainer": lambda **kwargs: Trainer(**kwargs, accelerator="cpu")}
    exec(block("python", "Speed"), names)
    assert names["trainer"].num_devices == 2


def test_official_weights():
    network = ResnetGenerator(ngf=2, n_blocks=1)
    torch.save(to_official(network), "latest_net_G.pth")
    names = {"sketchgan": sketchgan}
    exec(block("python", "convert("), names)
    assert names["official"].keys() == to_official(network).keys()
    assert repr(names["network"]) == repr(network)


def test_another_network_in_yaml():
    Path("own.yaml").write_text(block("yaml", "class_path"))
    assert yaml.safe_load(block("yaml", "class_path"))["model"]["init_args"]["lambda_l1"] == 50
    data = ["--data=OpenMoji", "--data.init_args.image_size=32", "--data.init_args.batch_size=2"]
    quick = ["--trainer.fast_dev_run=1", "--trainer.accelerator=cpu", "--trainer.enable_progress_bar=false"]
    cli = run(["fit", "--config=own.yaml", *data, *quick])
    assert isinstance(cli.model.generator, ResnetGenerator)


def test_every_python_block_is_run():
    held = ["trainer.fit", "class SmoothPix2Pix", "lambda_l1=50", "swapped.ckpt"]
    held += ["PairedFolders", "ImageMetrics", "translate(", "Speed", "convert("]
    assert len(blocks("python")) == len(held)
    assert issubclass(CycleGAN, GANModule)
