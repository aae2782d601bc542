"""README's examples run as they are printed."""

import re
from pathlib import Path

import pytest
import torch
import yaml
from lightning.pytorch import Trainer

import sketchgan
from sketchgan import CycleGAN, GANModule, Pix2Pix
from sketchgan.cli import run
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
    with pytest.raises(ValueError, match=r"written by test_readme.SmoothPix2Pix, which is not imported; import the"):
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


def test_another_network_in_yaml():
    Path("own.yaml").write_text(block("yaml", "class_path"))
    assert yaml.safe_load(block("yaml", "class_path"))["model"]["init_args"]["lambda_l1"] == 50
    data = ["--data=OpenMoji", "--data.init_args.image_size=32", "--data.init_args.batch_size=2"]
    quick = ["--trainer.fast_dev_run=1", "--trainer.accelerator=cpu", "--trainer.enable_progress_bar=false"]
    cli = run(["fit", "--config=own.yaml", *data, *quick])
    assert isinstance(cli.model.generator, ResnetGenerator)


def test_every_python_block_is_run():
    held = ["trainer.fit", "class SmoothPix2Pix", "lambda_l1=50", "swapped.ckpt"]
    assert len(blocks("python")) == len(held)
    assert issubclass(CycleGAN, GANModule)
