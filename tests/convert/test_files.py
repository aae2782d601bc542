"""Files of official weights to ours and back, through the command line and what takes the files."""

import os
import pickle
from collections import OrderedDict
from pathlib import Path

import pytest
import torch
from golden_cases import assert_close, golden
from lightning.pytorch import Trainer
from PIL import Image
from safetensors.torch import load_file, save_file
from torch import nn

import sketchgan
from sketchgan import CycleGAN, Pix2Pix
from sketchgan.cli import main, run
from sketchgan.convert import convert, from_official, to_official
from sketchgan.data import OpenMoji
from sketchgan.networks import PatchDiscriminator, ResnetGenerator, UNetGenerator

QUICK = ["--trainer.accelerator=cpu", "--trainer.max_epochs=1", "--trainer.limit_train_batches=1"]
QUICK += ["--trainer.limit_val_batches=0", "--trainer.enable_progress_bar=false", "--trainer.logger=false"]


def official_file(network, path, legacy=False):
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    torch.save(OrderedDict(to_official(network)), path, _use_new_zipfile_serialization=not legacy)
    return path


@pytest.fixture
def cyclegan_folder():
    networks = {
        "G_A": ResnetGenerator(ngf=2, n_blocks=1),
        "G_B": ResnetGenerator(ngf=2, n_blocks=2),
        "D_A": PatchDiscriminator(3, ndf=2, n_layers=1, norm="instance"),
        "D_B": PatchDiscriminator(3, ndf=2, n_layers=2, norm="instance"),
    }
    for letters, network in networks.items():
        official_file(network, f"official/latest_net_{letters}.pth")
        official_file(network, f"official/5_net_{letters}.pth")
    return networks


@pytest.fixture
def pix2pix_folder():
    networks = {
        "G": UNetGenerator(num_downs=5, ngf=2),
        "D": PatchDiscriminator(6, ndf=2, n_layers=1),
    }
    for letters, network in networks.items():
        official_file(network, f"official/latest_net_{letters}.pth")
    return networks


def same(network: nn.Module, other: nn.Module) -> bool:
    ours, theirs = network.state_dict(), other.state_dict()
    return ours.keys() == theirs.keys() and all(torch.equal(ours[key], theirs[key]) for key in ours)


@pytest.mark.parametrize("legacy", [False, True], ids=["archive", "before-1.6"])
def test_a_lone_generator_translates(legacy, capsys):
    network = ResnetGenerator(ngf=2, n_blocks=1)
    official_file(network, "horse2zebra.pth", legacy)
    main(["convert", "horse2zebra.pth", "made/horse2zebra.safetensors", "--image_size", "64"])
    said = capsys.readouterr().out
    assert "generator_ab: ResnetGenerator(in_channels=3, out_channels=3, ngf=2, n_blocks=1, norm='instance'" in said
    assert "16 entries of horse2zebra.pth; not visible in them, so assumed or given: padding" in said
    assert os.listdir("made") == ["horse2zebra.safetensors"]
    assert Path("made/horse2zebra.safetensors").stat().st_mode == Path("horse2zebra.pth").stat().st_mode  # the umask's

    module = sketchgan.load("made/horse2zebra.safetensors")
    assert type(module) is CycleGAN
    assert module.directions == ("AtoB",)
    x = torch.rand(2, 3, 16, 20) * 2 - 1
    assert torch.equal(module(x), network.eval()(x))

    Path("in").mkdir()
    Image.effect_noise((33, 18), 60).convert("RGB").save("in/a.png")
    main(["translate", "made/horse2zebra.safetensors", "in", "--out", "native", "--accelerator=cpu"])
    assert Image.open("native/a.png").size == (33, 18)
    main(["translate", "made/horse2zebra.safetensors", "in", "--out=official", "--preprocess=official"])
    assert Image.open("official/a.png").size == (64, 64)
    with pytest.raises(SystemExit, match="CycleGAN translates AtoB, not BtoA"):
        main(["translate", "made/horse2zebra.safetensors", "in", "--out", "back", "--direction", "BtoA"])


def test_another_class_is_refused():
    official_file(ResnetGenerator(ngf=1, n_blocks=1), "g.pth")
    convert("g.pth", "g.safetensors")
    assert type(CycleGAN.load_from_checkpoint("g.safetensors")) is CycleGAN
    with pytest.raises(ValueError, match=r"holds sketchgan.modules.cyclegan.CycleGAN, not .*Pix2Pix; load it with"):
        Pix2Pix.load_from_checkpoint("g.safetensors")


def test_a_lone_generator_is_not_trained_on_and_says_what_is_missing(tmp_path):
    official_file(UNetGenerator(num_downs=5, ngf=2), "facades.pth")
    convert("facades.pth", "facades.safetensors")
    module = sketchgan.load("facades.safetensors")
    assert type(module) is Pix2Pix
    trainer = Trainer(accelerator="cpu", logger=False, enable_checkpointing=False, enable_progress_bar=False)
    with pytest.raises(ValueError, match="facades.safetensors holds no discriminator; training needs all networks"):
        trainer.fit(module, OpenMoji(image_size=32))
    with pytest.raises(ValueError, match="holds no discriminator, which this needs"):
        module.discriminator(torch.zeros(1, 6, 32, 32))
    with pytest.raises(ValueError, match=r"needs all networks, and there is no discriminator; write to a .safetensors"):
        convert("facades.pth", "facades.ckpt")
    with pytest.raises(SystemExit, match="holds weights and no state of training; use sketchgan translate"):
        main(["predict", "--ckpt_path", "facades.safetensors"])
    assert {path.name for path in tmp_path.iterdir()} == {"facades.pth", "facades.safetensors"}


def test_the_other_direction_by_its_name():
    official_file(ResnetGenerator(1, 3, ngf=2, n_blocks=1), "5_net_G_B.pth")
    convert("5_net_G_B.pth", "back.safetensors")
    module = sketchgan.load("back.safetensors")
    assert module.directions == ("BtoA",)
    assert module.translate({"A": torch.zeros(1, 3, 8, 8), "B": torch.zeros(1, 1, 8, 8)}).keys() == {"fake_A"}
    Image.effect_noise((16, 16), 60).save("grey.png")
    main(["translate", "back.safetensors", "grey.png", "--out=out", "--direction=BtoA", "--accelerator=cpu"])
    assert Image.open("out/grey.png").mode == "RGB"


@pytest.mark.parametrize(
    ("build", "expected"),
    [
        (lambda: UNetGenerator(num_downs=5, ngf=1, norm="instance"), Pix2Pix),
        (lambda: ResnetGenerator(ngf=1, n_blocks=1, norm="batch"), Pix2Pix),
        (lambda: ResnetGenerator(ngf=1, n_blocks=1), CycleGAN),
    ],
)
def test_whose_a_lone_generator_is(build, expected):
    official_file(build(), "latest_net_G.pth")
    convert("latest_net_G.pth", "guessed.safetensors")
    assert type(sketchgan.load("guessed.safetensors")) is expected
    for name in ("Pix2Pix", "CycleGAN"):
        main(["convert", "latest_net_G.pth", f"{name}.safetensors", "--module", name])
        assert type(sketchgan.load(f"{name}.safetensors")).__name__ == name


def test_a_folder_becomes_a_checkpoint_that_trains_on(cyclegan_folder, recwarn):
    main(["convert", "official", "start.ckpt"])
    module = sketchgan.load("start.ckpt")
    for letters, name in (("G_A", "generator_ab"), ("G_B", "generator_ba"), ("D_A", "discriminator_b")):
        assert same(getattr(module, name), cyclegan_folder[letters])
    assert same(module.discriminator_a, cyclegan_folder["D_B"])

    data = ["--data=OpenMoji", "--data.init_args.image_size=32", "--data.init_args.paired=false"]
    cli = run(["fit", "--ckpt_path=start.ckpt", *data, "--data.init_args.groups=[activities]", *QUICK])
    assert cli.model.batches_seen == 1
    assert not [warning for warning in recwarn if "processes" in str(warning.message)]  # nothing that starts afresh
    assert cli.model.generator_ba.blocks[1] is not None
    assert not same(cli.model.generator_ab, module.generator_ab)
    moved = cli.model.generator_ab.head[1].bias - module.generator_ab.head[1].bias
    assert 0 < moved.abs().max() < 1e-3  # one step of Adam from the converted weights
    cli.trainer.save_checkpoint("after.ckpt")
    assert same(sketchgan.load("after.ckpt").generator_ab, cli.model.generator_ab)


def test_a_folder_of_all_networks_loads_trains_and_its_checkpoints_load(pix2pix_folder):
    convert("official", "all.safetensors")
    module = sketchgan.load("all.safetensors", lambda_l1=7.0)
    assert module.lambda_l1 == 7
    assert module.conditional
    trainer = Trainer(accelerator="cpu", logger=False, max_epochs=1, limit_train_batches=1, limit_val_batches=0)
    trainer.fit(module, OpenMoji(image_size=32, groups=["activities"]))
    trainer.save_checkpoint("after.ckpt")
    again = sketchgan.load("after.ckpt")  # its networks came from recipes, so they are not asked for
    assert same(again.generator, module.generator)
    assert again.lambda_l1 == 7


def test_a_discriminator_of_the_output_alone_is_not_conditional():
    official_file(UNetGenerator(num_downs=5, ngf=1), "official/3_net_G.pth")
    official_file(PatchDiscriminator(3, ndf=2), "official/3_net_D.pth")
    convert("official", "gan.safetensors", epoch="3")
    assert not sketchgan.load("gan.safetensors").conditional
    official_file(PatchDiscriminator(4, ndf=2), "official/3_net_D.pth")
    with pytest.raises(ValueError, match="judges 4 channels, the generator has 3 to 3: they do not belong"):
        convert("official", "other.safetensors", epoch="3")


@pytest.mark.parametrize("kind", ["ckpt", "safetensors"])
def test_ours_to_official_and_round_again(cyclegan_folder, kind):
    convert("official", f"ours.{kind}", epoch="5")
    main(["convert", f"ours.{kind}", "back", "--epoch", "9"])
    assert sorted(os.listdir("back")) == [f"9_net_{letters}.pth" for letters in ("D_A", "D_B", "G_A", "G_B")]
    for letters in cyclegan_folder:
        there, back = (torch.load(f"{f}_net_{letters}.pth", weights_only=True) for f in ("official/5", "back/9"))
        assert there.keys() == back.keys()
        assert all(torch.equal(there[key], back[key]) for key in there)
    convert(f"ours.{kind}", "latest_net_G_B.pth")
    assert same(from_official(torch.load("latest_net_G_B.pth", weights_only=True)), cyclegan_folder["G_B"])
    with pytest.raises(ValueError, match=r"which network shall zebra.pth hold\? Name the file latest_net_G_A.pth or"):
        convert(f"ours.{kind}", "zebra.pth")


def test_a_checkpoint_of_a_training_run_becomes_weights(pix2pix_folder):
    convert("official", "start.ckpt")
    data = ["--data=OpenMoji", "--data.init_args.image_size=32", "--data.init_args.groups=[activities]"]
    run(["fit", "--ckpt_path=start.ckpt", *data, *QUICK]).trainer.save_checkpoint("last.ckpt")
    convert("last.ckpt", "small.safetensors")
    small, whole = sketchgan.load("small.safetensors"), sketchgan.load("last.ckpt")
    assert same(small, whole)
    convert("small.safetensors", "again.ckpt")
    assert same(sketchgan.load("again.ckpt"), whole)
    Image.effect_noise((40, 50), 60).convert("RGB").save("a.png")
    for file in ("small.safetensors", "last.ckpt"):
        main(["translate", file, "a.png", "--out", file[:4], "--preprocess=official", "--accelerator=cpu"])
    assert Path("smal/a.png").read_bytes() == Path("last/a.png").read_bytes()
    convert("last.ckpt", "latest_net_G.pth")
    assert same(from_official(torch.load("latest_net_G.pth", weights_only=True)), whole.generator)


@pytest.mark.parametrize(
    ("case", "settings"),
    [
        ("cyclegan_resnet6_instance_antialias", {}),
        ("cyclegan_resnet6_instance_zeropad", {}),
        ("cyclegan_resnet9_instance_rect", {}),
        ("cyclegan_resnet6_batch_dropout_eval", {"inference_norm": "running", "inference_dropout": False}),
        ("pix2pix_unet64_batch_eval", {"inference_norm": "running", "inference_dropout": False}),
        ("pix2pix_unet256_batch_train_b1", {"inference_norm": "sample", "inference_dropout": False}),
    ],
)
def test_converted_golden_weights_give_the_golden_outputs(case, settings):
    reference = golden(case)
    torch.save(reference.under("state.G"), "latest_net_G.pth")
    convert("latest_net_G.pth", "ours.safetensors")
    module = sketchgan.load("ours.safetensors", **settings)
    with torch.no_grad():
        assert_close(module(reference.tensors["in.x"]), reference.tensors["out.y"], 2e-5)


# What is wrong with a file


class Evil:
    def __reduce__(self):
        return os.mkdir, ("owned",)


def evil(legacy):
    state = {**to_official(ResnetGenerator(ngf=1, n_blocks=1)), "model.1.weight": Evil()}
    torch.save(state, "evil.pth", _use_new_zipfile_serialization=not legacy)


@pytest.mark.parametrize("legacy", [False, True])
def test_code_in_a_file_is_not_run(legacy):
    evil(legacy)
    for take in (sketchgan.load, lambda path: convert(path, "out.safetensors")):
        with pytest.raises(ValueError, match=r"evil.pth asks for posix.mkdir, code that .* nothing was run"):
            take("evil.pth")
    for protocol, message in ((2, "asks for posix.mkdir"), (4, "holds pickled objects that are not weights")):
        Path("plain.pkl").write_bytes(pickle.dumps(Evil(), protocol))
        with pytest.raises(SystemExit, match=f"sketchgan convert: plain.pkl {message}"):
            main(["convert", "plain.pkl", "out.safetensors"])
    assert not Path("owned").exists()
    assert not Path("out.safetensors").exists()


@pytest.mark.parametrize("legacy", [False, True])
@pytest.mark.parametrize("share", [0.001, 0.1, 0.5, 0.9, 0.999])
def test_truncated_files_say_so(legacy, share):
    official_file(ResnetGenerator(ngf=4, n_blocks=1), "whole.pth", legacy)
    data = Path("whole.pth").read_bytes()
    Path("cut.pth").write_bytes(data[: int(share * len(data))])
    with pytest.raises(ValueError, match=r"cut.pth is cut off or damaged \(\w+\); get it again"):
        convert("cut.pth", "out.safetensors")
    convert("whole.pth", "out.safetensors")
    data = Path("out.safetensors").read_bytes()
    Path("cut.safetensors").write_bytes(data[: int(share * len(data))])
    with pytest.raises(ValueError, match=r"cut.safetensors is damaged, or not a safetensors file"):
        sketchgan.load("cut.safetensors")


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "is empty"),
        (b"\n<!DOCTYPE html><html>404</html>", "is a web page, not weights: the download failed"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:1", "is a pointer of Git LFS"),
        (b"\x89PNG\r\n\x1a\n and more", "is not a file of weights, or is damaged"),
    ],
)
def test_files_that_are_something_else(data, message):
    Path("x.pth").write_bytes(data)
    with pytest.raises(ValueError, match=f"x.pth {message}"):
        convert("x.pth", "out.safetensors")


def test_settings_in_a_file_build_nothing_but_imported_classes():
    official_file(ResnetGenerator(ngf=1, n_blocks=1), "g.pth")
    convert("g.pth", "g.safetensors")
    from safetensors import safe_open

    with safe_open("g.safetensors", "pt") as file:
        record = file.metadata()["sketchgan"]
    for old, new, message in (
        ("sketchgan.networks.resnet.ResnetGenerator", "antigravity.Geohash", "wants antigravity.Geohash, which is not"),
        ("sketchgan.modules.cyclegan.CycleGAN", "antigravity.Geohash", "written by antigravity.Geohash, which is not"),
        ("lightning.pytorch.cli.instantiate_module", "os.system", "asks to run os.system"),
        ("sketchgan.modules.cyclegan.CycleGAN", "sketchgan.cli.Path", "written by sketchgan.cli.Path"),
    ):
        assert old in record
        save_file(load_file("g.safetensors"), "x.safetensors", {"sketchgan": record.replace(old, new)})
        with pytest.raises(ValueError, match=message):
            sketchgan.load("x.safetensors")
    save_file(load_file("g.safetensors"), "x.safetensors", {"sketchgan": "{"})
    with pytest.raises(ValueError, match="x.safetensors is damaged"):
        sketchgan.load("x.safetensors")


def test_official_weights_are_not_loaded_as_ours_but_told_how():
    official_file(ResnetGenerator(ngf=1, n_blocks=1), "g.pth")
    with pytest.raises(ValueError, match=r"become a file that can be loaded with: sketchgan convert OFFICIAL.pth OURS"):
        sketchgan.load("g.pth")


def test_official_weights_in_safetensors_are_read_too():
    network = ResnetGenerator(ngf=1, n_blocks=1)
    save_file(to_official(network), "theirs.safetensors")
    convert("theirs.safetensors", "ours.safetensors")
    assert same(sketchgan.load("ours.safetensors").generator_ab, network)


def test_nothing_is_overwritten_and_what_cannot_be_done_is_said(cyclegan_folder):
    generator = "official/latest_net_G_A.pth"
    Path("there.safetensors").write_text("mine")
    with pytest.raises(SystemExit, match="there.safetensors exists; delete it, or choose another name"):
        main(["convert", generator, "there.safetensors"])
    assert Path("there.safetensors").read_text() == "mine"
    with pytest.raises(ValueError, match=r"is official weights; write them to NAME.safetensors or NAME.ckpt, not"):
        convert(generator, "x.pth")
    with pytest.raises(FileNotFoundError, match=r"holds no 7_net_….pth; epochs there: 5, latest"):
        convert("official", "x.safetensors", epoch="7")
    with pytest.raises(ValueError, match="latest_net_D_A.pth holds no generator; give the folder"):
        convert("official/latest_net_D_A.pth", "x.safetensors")
    with pytest.raises(ValueError, match="is the patch discriminator .*, where Pix2Pix has its generator"):
        convert("official/latest_net_D_A.pth", "x.safetensors", module="Pix2Pix")
    with pytest.raises(ValueError, match='module must be one of Pix2Pix, CycleGAN, got "UNIT"'.replace('"', "'")):
        convert(generator, "x.safetensors", module="UNIT")
    official_file(ResnetGenerator(ngf=1, n_blocks=1), "official/latest_net_F.pth")
    with pytest.raises(ValueError, match="official has networks F, which CycleGAN has not"):
        convert("official", "x.safetensors")
    convert(generator, "one.safetensors")
    convert("one.safetensors", "back")
    with pytest.raises(FileExistsError, match="latest_net_G_A.pth exists"):
        convert("one.safetensors", "back")
    with pytest.raises(FileNotFoundError, match="no checkpoint nowhere"):
        convert("nowhere.pth", "x.safetensors")


def test_a_broken_weight_is_named_with_its_file():
    state = to_official(UNetGenerator(num_downs=5, ngf=1))
    del state["model.model.3.bias"]
    torch.save(state, "g.pth")
    with pytest.raises(SystemExit, match=r"sketchgan convert: g.pth: 1 of \d+ entries do not fit the U-Net generator"):
        main(["convert", "g.pth", "x.safetensors"])


def test_modules_with_objects_that_are_not_stored_need_python(pix2pix_folder):
    module = Pix2Pix(UNetGenerator(num_downs=5, ngf=1), PatchDiscriminator(6, ndf=1, n_layers=1))
    trainer = Trainer(accelerator="cpu", logger=False, enable_progress_bar=False)
    module.trainer = trainer
    trainer.strategy.connect(module)
    trainer.save_checkpoint("objects.ckpt")
    with pytest.raises(ValueError, match="made with networks passed as objects"):
        convert("objects.ckpt", "x.safetensors")
    assert same(from_official(to_official(module.generator)), module.generator)
