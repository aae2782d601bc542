"""Files of official weights to ours and back, through the command line and what takes the files."""

import json
import os
import pickle
import sys
import zipfile
from collections import OrderedDict
from pathlib import Path

import pytest
import torch
from golden_cases import assert_close, golden
from lightning.pytorch import Trainer
from PIL import Image
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from torch import nn
from training import same, save

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
    assert not same(cli.model.generator_ab, module.generator_ab)
    moved = cli.model.generator_ab.head[1].bias - module.generator_ab.head[1].bias
    assert 0 < moved.abs().max() < 1e-3  # one step of Adam from the converted weights
    cli.trainer.save_checkpoint("after.ckpt")
    assert same(sketchgan.load("after.ckpt").generator_ab, cli.model.generator_ab)

    model = sketchgan.load("start.ckpt")
    trainer = Trainer(accelerator="cpu", logger=False, max_epochs=1, limit_train_batches=1, limit_val_batches=0)
    trainer.fit(model, OpenMoji(image_size=32, paired=False, groups=["activities"]), ckpt_path="start.ckpt")
    assert model.batches_seen == 1


def test_fit_does_not_choose_the_data_of_a_checkpoint(cyclegan_folder):
    convert("official", "start.ckpt")
    with pytest.raises(SystemExit, match=r"no config.yaml beside start.ckpt: say what to train on with --data or"):
        main(["fit", "--ckpt_path", "start.ckpt"])


def test_a_folder_of_all_networks_loads_trains_and_its_checkpoints_load(pix2pix_folder):
    convert("official", "all.safetensors")
    module = sketchgan.load("all.safetensors", lambda_l1=7.0)
    assert module.lambda_l1 == 7
    assert module.conditional
    trainer = Trainer(accelerator="cpu", logger=False, max_epochs=1, limit_train_batches=1, limit_val_batches=0)
    trainer.fit(module, OpenMoji(image_size=32, groups=["activities"]))
    assert module.training  # load hands out modules in evaluation mode
    before, after = pix2pix_folder["G"].state_dict(), module.generator.state_dict()
    assert not torch.equal(before["down.1.2.running_mean"], after["down.1.2.running_mean"])
    trainer.save_checkpoint("after.ckpt")
    again = sketchgan.load("after.ckpt")  # its networks came from recipes, so they are not asked for
    assert same(again.generator, module.generator)
    assert again.lambda_l1 == 7


def test_a_lone_generator_is_trained_on_with_a_discriminator_of_ones_own():
    network = UNetGenerator(num_downs=5, ngf=2)
    official_file(network, "facades.pth")
    convert("facades.pth", "facades.safetensors")
    judge = PatchDiscriminator(6, ndf=2, n_layers=1)
    module = sketchgan.load("facades.safetensors", discriminator=judge)
    assert module.discriminator is judge
    assert same(module.generator, network)
    trainer = Trainer(accelerator="cpu", logger=False, max_epochs=1, limit_train_batches=1, limit_val_batches=0)
    trainer.fit(module, OpenMoji(image_size=32, groups=["activities"]))
    assert module.batches_seen == 1


class Smooth(Pix2Pix):
    """A user's subclass, with a child that has no weights."""

    def __init__(self, lambda_tv: float = 0.1, **kwargs):
        super().__init__(**kwargs)
        self.lambda_tv = lambda_tv
        self.distance = nn.L1Loss()


class Fixed(Pix2Pix):
    """One that builds its networks itself."""

    def __init__(self, lambda_l1: float = 3.0):
        judge = PatchDiscriminator(6, ndf=1, n_layers=1)
        super().__init__(UNetGenerator(num_downs=5, ngf=1), judge, lambda_l1=lambda_l1)


def test_subclasses_keep_their_settings_round_the_house(pix2pix_folder):
    convert("official", "all.safetensors")
    parent = sketchgan.load("all.safetensors")
    for name, module in (("smooth", Smooth(0.7, lambda_l1=5.0, betas=(0.4, 0.9))), ("fixed", Fixed(2.0))):
        if name == "smooth":
            module.generator, module.discriminator = parent.generator, parent.discriminator
            recipes = {key: parent.hparams[key] for key in ("generator", "discriminator")}
            module.hparams.update(recipes)
        save(module, f"{name}.ckpt")
        convert(f"{name}.ckpt", f"{name}.safetensors")
        convert(f"{name}.safetensors", f"{name}2.ckpt")
        for file in (f"{name}.ckpt", f"{name}.safetensors", f"{name}2.ckpt"):
            again = sketchgan.load(file)
            assert type(again) is type(module)
            assert same(again, module)
            assert again.lambda_l1 == module.lambda_l1
            assert tuple(again.betas) == tuple(module.betas)
            assert getattr(again, "lambda_tv", 0.7) == 0.7


def test_a_discriminator_of_the_output_alone_is_not_conditional():
    official_file(UNetGenerator(num_downs=5, ngf=1), "official/3_net_G.pth")
    official_file(PatchDiscriminator(3, ndf=2), "official/3_net_D.pth")
    convert("official", "gan.safetensors", epoch="3")
    assert not sketchgan.load("gan.safetensors").conditional
    official_file(PatchDiscriminator(4, ndf=2), "official/3_net_D.pth")
    with pytest.raises(ValueError, match="3_net_D.pth has 4 channels, which does not belong to a generator of 3 to 3"):
        convert("official", "other.safetensors", epoch="3")


def test_networks_of_a_cycle_agree_on_their_channels(cyclegan_folder):
    for letters, network in (("G_B", ResnetGenerator(1, 3, 2, 1)), ("D_A", PatchDiscriminator(1, 2, norm="instance"))):
        official_file(network, f"official/latest_net_{letters}.pth")
        with pytest.raises(ValueError, match=f"latest_net_{letters}.pth has 1.* channels, which does not belong to"):
            convert("official", "x.ckpt")
        official_file(cyclegan_folder[letters], f"official/latest_net_{letters}.pth")


def test_folders_of_contrastive_translation_are_asked_about():
    official_file(ResnetGenerator(ngf=2, n_blocks=1), "cut/latest_net_G.pth")
    official_file(PatchDiscriminator(3, ndf=2, norm="instance"), "cut/latest_net_D.pth")
    with pytest.raises(ValueError, match="cut may be of Pix2Pix without condition, or of CUT: give module"):
        convert("cut", "x.safetensors")
    convert("cut", "x.safetensors", module="Pix2Pix")
    torch.save({"mlp_0.0.weight": torch.zeros(2, 2)}, "cut/latest_net_F.pth")
    with pytest.raises(ValueError, match="cut holds latest_net_F.pth, of no module here; convert the file"):
        convert("cut", "y.safetensors")
    convert("cut/latest_net_G.pth", "y.safetensors")
    assert type(sketchgan.load("y.safetensors")) is CycleGAN


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


def test_a_network_is_not_written_under_the_name_of_another(pix2pix_folder):
    official_file(ResnetGenerator(ngf=2, n_blocks=1), "latest_net_G_B.pth")
    convert("latest_net_G_B.pth", "back.safetensors")
    for name in ("latest_net_G_A.pth", "latest_net_D_B.pth"):
        with pytest.raises(ValueError, match=rf"which network shall {name} hold\? Name the file latest_net_G_B.pth"):
            convert("back.safetensors", name)
    convert("back.safetensors", "zebra.pth")
    convert("official", "ours.safetensors")
    with pytest.raises(ValueError, match=r"which network shall latest_net_D_A.pth hold"):
        convert("ours.safetensors", "latest_net_D_A.pth")
    assert sorted(path.name for path in Path().glob("*.pth")) == ["latest_net_G_B.pth", "zebra.pth"]


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
    Path("renamed.pth").write_bytes(Path("out.safetensors").read_bytes())
    with pytest.raises(ValueError, match=r"renamed.pth is a safetensors file; rename it to renamed.safetensors"):
        sketchgan.load("renamed.pth")
    Path("renamed.safetensors").write_bytes(Path("whole.pth").read_bytes())
    with pytest.raises(ValueError, match=r"renamed.safetensors was written by torch.save; rename it to renamed.pth"):
        sketchgan.load("renamed.safetensors")
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


@pytest.fixture
def with_settings(cyclegan_folder):
    """Files of ours, both kinds, with other settings than were written."""
    convert("official", "g.safetensors")
    with safe_open("g.safetensors", "pt") as file:
        record = json.loads(file.metadata()["sketchgan"])

    def write(change):
        changed = json.loads(json.dumps(record))
        change(changed)
        save_file(load_file("g.safetensors"), "x.safetensors", {"sketchgan": json.dumps(changed)})
        torch.save(
            {
                "state_dict": load_file("g.safetensors"),
                "hyper_parameters": changed["hyper_parameters"],
                "sketchgan": {"class_path": changed["class_path"], "injected": {}},
                "pytorch-lightning_version": "2.6.0",
            },
            "x.ckpt",
        )

    return write


POPEN = {"class_path": "subprocess.Popen", "init_args": {"args": "touch owned", "shell": True}}
LINEAR = {"class_path": "torch.nn.Linear", "init_args": {"in_features": 1, "out_features": 1}}


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"generator_ab": POPEN}, "wants subprocess.Popen, which is not an imported Module or AdversarialLoss"),
        ({"generator_ab": {**LINEAR, "init_args": {**LINEAR["init_args"], "device": POPEN}}}, "wants subprocess.Popen"),
        ({"lr": [POPEN]}, "wants subprocess.Popen"),
        ({"generator_ab": {"class_path": "evil.Net"}}, "wants evil.Net, which is not an imported Module"),
        ({"generator_ab": {"class_path": "sketchgan.cli.Path"}}, "wants sketchgan.cli.Path, which is not an imported"),
        ({"generator_ab": {"class_path": "sketchgan.__main__.main"}}, "wants sketchgan.__main__.main"),
        ({"generator_ab": {"class_path": 5}}, "wants 5, which is not an imported Module"),
        (
            {"generator_ab": {"class_path": "torchmetrics.image.fid.NoTrainInceptionV3"}},
            "not built on a checkpoint's word",
        ),
        ({"generator_ab": {"class_path": "sketchgan.Pix2Pix"}}, "not built on a checkpoint's word"),
        ({"generator_ab": {**LINEAR, "dict_kwargs": {"a": 1}}}, "has to it more than a class and arguments"),
        ({"generator_ab": {**LINEAR, "init_args": [1]}}, "has to it more than a class and arguments"),
        (
            {"generator_ab": {"class_path": "torch.nn.ModuleList", "init_args": {"modules": ["evil.Net"]}}},
            "cannot build",
        ),
        ({"generator_ab": "evil.Net"}, "do not fit"),
        ({"generator_ab": '{"class_path": "evil.Net"}'}, "do not fit"),
        ({"generator_ab": "class_path: evil.Net"}, "do not fit"),
        ({"adversarial": "evil.Loss"}, "evil.Loss"),
        ({"nonsense": 3}, None),
        ({"_class_path": "evil.Net", "_instantiator": "os.system"}, None),
    ],
)
def test_settings_in_a_file_run_nothing(with_settings, monkeypatch, settings, message):
    Path("evil.py").write_text("import os; os.mkdir('owned'); from torch import nn\nclass Net(nn.Module): pass\n")
    with_settings(lambda record: record["hyper_parameters"].update(settings))
    monkeypatch.syspath_prepend(os.getcwd())
    if message is None:  # names that no argument has, and Lightning's own marks, mean nothing
        assert {type(sketchgan.load(file)) for file in ("x.safetensors", "x.ckpt")} == {CycleGAN}
        return
    for file in ("x.safetensors", "x.ckpt"):
        with pytest.raises(ValueError, match=message):
            sketchgan.load(file)
    commands = [["translate", "x.safetensors", "in", "--out=out"], ["convert", "x.safetensors", "back"]]
    commands += [["translate", "x.ckpt", "in", "--out=out"], ["predict", "--ckpt_path=x.ckpt"]]
    commands += [[command, "--ckpt_path=x.ckpt", "--data=OpenMoji"] for command in ("predict", "fit")]
    for args in commands:
        with pytest.raises(SystemExit, match=f"sketchgan.*: .*({message}|is no value of \\w+)"):
            main(args)
    assert "evil" not in sys.modules
    assert not Path("owned").exists()


@pytest.mark.parametrize(
    "change",
    [
        lambda record: record.update(class_path=5),
        lambda record: record.update(hyper_parameters=[1]),
        lambda record: record.update(hyper_parameters=None),
        lambda record: record.update(data=[]),
        lambda record: record.pop("data"),
    ],
)
def test_damaged_records_say_so(with_settings, change):
    with_settings(lambda record: None)
    with safe_open("x.safetensors", "pt") as file:
        record = json.loads(file.metadata()["sketchgan"])
    change(record)
    for text in (json.dumps(record), "{", "3", "[" * 100_000):
        save_file(load_file("g.safetensors"), "y.safetensors", {"sketchgan": text})
        with pytest.raises(ValueError, match=r"y.safetensors is damaged"):
            sketchgan.load("y.safetensors")


@pytest.mark.parametrize("record", [None, torch.zeros(1), {}, {"class_path": "a.B"}])
def test_damaged_checkpoints_say_so(record):
    torch.save({"sketchgan": record, "state_dict": {}, "hyper_parameters": {}}, "x.ckpt")
    with pytest.raises(ValueError, match=r"x.ckpt is damaged: what it says of its module"):
        sketchgan.load("x.ckpt")


def test_a_checkpoint_does_not_say_which_files_to_delete(cyclegan_folder):
    convert("official", "start.ckpt")
    checkpoint = torch.load("start.ckpt", weights_only=True)
    Path("victim").mkdir()
    there = f"local://{Path('victim').resolve()}"
    checkpoint["callbacks"] = {
        "LastCheckpoint": {
            "best_model_path": there,
            "last_model_path": there,
            "best_model_score": None,
        }
    }
    torch.save(checkpoint, "x.ckpt")
    data = ["--data=OpenMoji", "--data.init_args.image_size=32", "--data.init_args.paired=false"]
    with_validation = [option for option in QUICK if "limit_val" not in option and "logger" not in option]
    run(["fit", "--ckpt_path=x.ckpt", *data, *with_validation, "--trainer.limit_val_batches=1"])
    assert Path("victim").is_dir()


def test_what_comes_from_an_address_is_not_unpickled():
    cli = run(["fit", "--model=Pix2Pix", "--data=OpenMoji", "--trainer.fast_dev_run=1", "--trainer.accelerator=cpu",
               "--model.generator=ResnetGenerator", "--model.generator.ngf=1", "--model.generator.n_blocks=1",
               "--trainer.enable_progress_bar=false"])  # fmt: skip
    assert cli.config.fit.weights_only is True


class Lenient(Pix2Pix):
    """A subclass with hooks of Lightning that loading respects."""

    def __init__(self, _hidden: int = 2, **kwargs):
        super().__init__(**kwargs)
        self.hidden = _hidden
        self.strict_loading = False

    def on_load_checkpoint(self, checkpoint):
        super().on_load_checkpoint(checkpoint)
        checkpoint["state_dict"] = {key: value * 0 for key, value in checkpoint["state_dict"].items() if "up.0" in key}


def test_loading_keeps_to_lightnings_hooks():
    networks = {
        "generator": UNetGenerator(num_downs=5, ngf=1),
        "discriminator": PatchDiscriminator(6, ndf=1, n_layers=1),
    }
    module = Lenient(_hidden=7, **networks)
    save(module, "x.ckpt")
    fresh = {"generator": UNetGenerator(num_downs=5, ngf=1), "discriminator": PatchDiscriminator(6, ndf=1, n_layers=1)}
    again = Lenient.load_from_checkpoint("x.ckpt", map_location=lambda storage, place: storage, **fresh)
    assert again.hidden == 7
    assert again.generator.up[0][1].weight.abs().max() == 0
    assert again.generator.up[1][1].weight.abs().max() > 0


def test_a_class_that_is_asked_for_need_not_be_found_by_its_path(pix2pix_folder):
    class Smooth(Pix2Pix):
        pass

    convert("official", "start.ckpt")
    checkpoint = torch.load("start.ckpt", weights_only=True)
    checkpoint["sketchgan"]["class_path"] = "train_script.Smooth"
    torch.save(checkpoint, "x.ckpt")
    assert type(Smooth.load_from_checkpoint("x.ckpt")) is Smooth
    with pytest.raises(ValueError, match=r"wants train_script.Smooth, which is not an imported GANModule"):
        sketchgan.load("x.ckpt")


def test_compressed_archives_are_read_as_they_should_be():
    network = ResnetGenerator(ngf=1, n_blocks=1)
    official_file(network, "g.pth")
    with zipfile.ZipFile("g.pth") as there, zipfile.ZipFile("z.pth", "w", zipfile.ZIP_DEFLATED) as here:
        for entry in there.namelist():
            here.writestr(entry, there.read(entry))
    convert("z.pth", "z.safetensors")
    assert same(sketchgan.load("z.safetensors").generator_ab, network)


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
    with pytest.raises(ValueError, match="module must be one of Pix2Pix, CycleGAN, UGATIT, .*, got 'UNIT'"):
        convert(generator, "x.safetensors", module="UNIT")
    with pytest.raises(ValueError, match="official has networks D_A, D_B, G_A, G_B, which Pix2Pix has not"):
        convert("official", "x.safetensors", module="Pix2Pix")
    convert(generator, "one.safetensors")
    convert("one.safetensors", "back")
    with pytest.raises(FileExistsError, match="latest_net_G_A.pth exists"):
        convert("one.safetensors", "back")
    with pytest.raises(FileNotFoundError, match="no checkpoint nowhere"):
        convert("nowhere.pth", "x.safetensors")
    with pytest.raises(ValueError, match="one.safetensors is a file of ours and says what it holds; module, dropout"):
        convert("one.safetensors", "back2", module="CycleGAN", dropout=0.1)
    with pytest.raises(ValueError, match=r"typo.safetensor must be NAME.safetensors, NAME.ckpt, NAME.pth or a folder"):
        convert("one.safetensors", "typo.safetensor")
    Path("notes").write_text("mine")
    with pytest.raises(FileExistsError, match="notes is a file; give a folder"):
        convert("one.safetensors", "notes")
    with pytest.raises(ValueError, match=r"epoch is part of a file name, such as latest or 200, got '../x'"):
        convert("one.safetensors", "back2", epoch="../x")
    with pytest.raises(ValueError, match="image_size must be positive, got 0"):
        convert(generator, "x.safetensors", image_size=0)
    with pytest.raises(ValueError, match=r"dropout must be at least 0 and below 1, got nan"):
        convert(generator, "x.safetensors", dropout=float("nan"))
    torch.save({"a": torch.zeros(1)}, "bad.pth")
    with pytest.raises(ValueError, match="bad.pth: these are weights of none of"):
        convert("bad.pth", "deep/er/x.safetensors")
    assert not Path("deep").exists()
    assert not [name for name in os.listdir() if name.startswith((".", "x", "typo"))]


def test_a_broken_weight_is_named_with_its_file():
    state = to_official(UNetGenerator(num_downs=5, ngf=1))
    del state["model.model.3.bias"]
    torch.save(state, "g.pth")
    with pytest.raises(SystemExit, match=r"sketchgan convert: g.pth: 1 of \d+ entries do not fit the U-Net generator"):
        main(["convert", "g.pth", "x.safetensors"])


def test_modules_with_objects_that_are_not_stored_need_python():
    module = Pix2Pix(UNetGenerator(num_downs=5, ngf=1), PatchDiscriminator(6, ndf=1, n_layers=1))
    save(module, "objects.ckpt")
    with pytest.raises(ValueError, match="made with networks passed as objects"):
        convert("objects.ckpt", "x.safetensors")
    assert same(from_official(to_official(module.generator)), module.generator)
