"""AODA and Anime2Sketch: official files to ours and back."""

import os
from collections import OrderedDict
from pathlib import Path

import pytest
import torch
from golden_cases import assert_close, golden, golden_json
from PIL import Image
from training import same

import sketchgan
from sketchgan import CycleGAN, Pix2Pix
from sketchgan.cli import main, run
from sketchgan.convert import convert, from_official, to_official
from sketchgan.convert.official import compare
from sketchgan.convert.systems import official_network
from sketchgan.modules import AODA, Anime2Sketch
from sketchgan.networks import AODAGenerator, HRNetClassifier, PatchDiscriminator, ResnetGenerator, UNetGenerator

OURS = {
    "G_A": "generator_ba",
    "G_B": "generator_ab",
    "D_A": "discriminator_a",
    "D_B": "discriminator_b",
    "R": "classifier",
}
"""The paper page's names, so that a change of the table under test shows."""

FULL_SIZE = {
    ("aoda", "G_A"): (ResnetGenerator, {}),
    ("aoda", "G_B"): (AODAGenerator, {}),
    ("aoda", "D_A"): (PatchDiscriminator, {"norm": "instance"}),
    ("aoda", "D_B"): (PatchDiscriminator, {"norm": "instance"}),
    ("aoda", "R"): (HRNetClassifier, {}),
    ("anime2sketch", "default"): (UNetGenerator, {"out_channels": 1, "norm": "instance", "dropout": 0.0}),
    ("anime2sketch", "improved"): (
        UNetGenerator,
        {"out_channels": 1, "norm": "instance", "dropout": 0.0, "upsample": "smooth"},
    ),
}


@pytest.mark.parametrize(("paper", "name"), FULL_SIZE)
def test_full_size_keys_go_both_ways(paper, name):
    cls, settings = FULL_SIZE[paper, name]
    keys = golden_json(f"{paper}_keys")
    shapes = {key: tuple(shape) for key, shape in keys["keys"][name].items()}
    with torch.device("meta"):
        network = cls(**settings)
        state = {key: torch.empty(shape) for key, shape in shapes.items()}
    state |= {key: torch.ones(shapes[key]) for key in shapes if key.endswith("smooth.kernel")}  # a constant
    assert sum(value.numel() for value in network.parameters()) == keys["parameters"][name]
    official = official_network(network)
    back = official.to_official(to_official(network))
    assert {key: tuple(value.shape) for key, value in back.items()} == shapes
    assert official.recognises(state)
    compare(network, official.to_torch(state), official.keys(network), official.name)  # nothing missing or unknown
    with torch.device("meta"):
        again = cls(**{"dropout": 0.0} if cls is UNetGenerator else {}, **official.visible(state))
    assert repr(again) == repr(network)


def test_every_full_size_network_is_in_the_table():
    names = {(paper, name) for paper in ("aoda", "anime2sketch") for name in golden_json(f"{paper}_keys")["keys"]}
    assert names == FULL_SIZE.keys()


def classifier(n_classes=5, in_channels=3, **widths):
    return HRNetClassifier(n_classes, in_channels, 8, **{"layer1": 4, **TINY, **widths})


TINY = {"branches": (2, 4, 8, 16), "heads": (2, 4, 8, 16), "features": 32}


@pytest.mark.parametrize(
    "build",
    [
        lambda: AODAGenerator(1, 1, 2, 3, 1),
        lambda: AODAGenerator(14, 3, 3, 2, 2),
        lambda: classifier(),
        lambda: classifier(1, 1, branches=(16, 3, 2, 1), heads=(4, 1, 2, 3)),  # some layers fall away
        lambda: UNetGenerator(2, 1, 3, 2, "instance", 0.0, upsample="smooth"),
        lambda: UNetGenerator(2, 1, 6, 2, "instance", 0.0, upsample="smooth"),
    ],
)
@pytest.mark.parametrize("prefix", ["", "module."])
def test_every_size_is_recognised(build, prefix):
    network = build()
    again = from_official({f"{prefix}{key}": value for key, value in to_official(network).items()})
    assert same(again, network)
    assert repr(again) == repr(network)


def test_converted_line_art_is_the_official_one():
    reference = golden("anime2sketch_improved")
    torch.save(reference.under("state.improved"), "improved.bin")
    convert("improved.bin", "ours.safetensors")
    module = sketchgan.load("ours.safetensors")
    assert type(module) is Anime2Sketch
    assert module.hparams["improved"]
    picture = reference.tensors["in.image_u8"].float() / 127.5 - 1
    with torch.no_grad():
        assert_close(module(picture, "BtoA"), reference.tensors["out.sketch"], 2e-4)


# Folders of AODA


def official_file(network, path, prefix=""):
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    torch.save(OrderedDict((prefix + key, value) for key, value in to_official(network).items()), path)


def small(n_classes=5):
    return {
        "G_A": ResnetGenerator(ngf=2, n_blocks=1),
        "G_B": AODAGenerator(n_classes, ngf=2, n_blocks=2) if n_classes else ResnetGenerator(ngf=2, n_blocks=2),
        "D_A": PatchDiscriminator(3, ndf=2, n_layers=1, norm="instance"),
        "D_B": PatchDiscriminator(3, ndf=2, n_layers=2, norm="instance"),
        **({"R": classifier(n_classes)} if n_classes else {}),
    }


def official_folder(networks, epoch="latest"):
    for name, network in networks.items():
        official_file(network, f"run/models/{epoch}_net_{name}.pth", "" if name == "R" else "module.")
    return networks


def test_a_folder_goes_round(capsys):
    networks = official_folder(small(), "iter_7")
    main(["convert", "run/models", "ours.ckpt", "--epoch=iter_7"])
    said = capsys.readouterr().out
    assert said.startswith("AODA:\n")
    for part in ("generator_ab: AODAGenerator(n_classes=5, in_channels=3", "iter_7_net_R.pth", "\n  n_classes=5\n"):
        assert part in said
    module = sketchgan.load("ours.ckpt")
    assert type(module) is AODA
    assert module.directions == ("AtoB", "BtoA")
    assert module.n_classes == 5
    for name, network in networks.items():
        assert same(getattr(module, OURS[name]), network), name
    preprocess = {"mode": "resize_and_crop", "load_size": 256, "crop_size": 256, "flip": False, "resample": "bicubic"}
    assert module.data_settings == {  # no names of classes: files do not tell them
        "preprocess": preprocess,
        "channels_a": 3,
        "channels_b": 3,
        "value_range": None,
    }

    main(["convert", "ours.ckpt", "back", "--epoch=iter_7"])
    assert sorted(os.listdir("back")) == [f"iter_7_net_{name}.pth" for name in sorted(OURS)]
    for name in OURS:
        there, back = (torch.load(f"{at}/iter_7_net_{name}.pth", weights_only=True) for at in ("run/models", "back"))
        assert type(back) is OrderedDict
        assert list(back) == list(there)
        assert all(torch.equal(back[key], there[key]) for key in there), name
        assert all(key.startswith("module.") == (name != "R") for key in back), name
    convert("ours.ckpt", "iter_7_net_G_B.pth")
    assert same(from_official(torch.load("iter_7_net_G_B.pth", weights_only=True)), networks["G_B"])


def test_losses_of_converted_networks_are_the_official_ones():
    """What the first step of the official code has seen of its networks, all five at once."""
    reference = golden("aoda_train")
    Path("run").mkdir()
    for name in OURS:
        prefix = "" if name == "R" else "module."
        state = {prefix + key: value for key, value in reference.under(f"state.{name}").items()}
        torch.save(state, f"run/latest_net_{name}.pth")
    convert("run", "ours.safetensors")
    module = sketchgan.load("ours.safetensors").train()
    photo, sketch = (reference.tensors[f"in.step1.{name}_u8"].float() / 127.5 - 1 for name in ("photo", "sketch"))
    labels = {side: reference.tensors[f"in.step1.{name}_label"] for side, name in (("A", "sketch"), ("B", "photo"))}
    batch = {"A": sketch.expand(-1, 3, -1, -1), "B": photo, "A_label": labels["A"], "B_label": labels["B"]}
    with torch.no_grad():
        made = module.make(batch, mixed=True)
        g, d = module.generator_losses(batch, made), module.discriminator_losses(batch, made)
        r = module.classifier_losses(batch, made)
    losses = {"G_A": g["gan_a"], "G_B": g["gan_b"], "cons": g["cycle_a"] + g["cycle_b"], "eta": g["class"]}
    losses |= {"D_A": d["real_a"] + d["fake_a"], "D_B": d["real_b"] + d["fake_b"], "R": r["real"] + r["fake"]}
    for name, loss in losses.items():
        assert_close(loss, reference.tensors[f"loss.step1.{name}"], 1e-5, name)


def test_training_goes_on():
    official_folder(small(7))
    convert("run/models", "start.ckpt")
    before = sketchgan.load("start.ckpt")
    options = ["--data=OpenMoji", "--data.init_args.image_size=64", "--data.init_args.paired=false"]
    options += ["--data.init_args.groups=[activities]", "--trainer.accelerator=cpu", "--trainer.max_epochs=1"]
    options += ["--trainer.limit_train_batches=1", "--trainer.limit_val_batches=0", "--trainer.logger=false"]
    cli = run(["fit", "--ckpt_path=start.ckpt", *options, "--trainer.enable_progress_bar=false"])
    assert cli.model.batches_seen == 1
    layers = {"generator_ab": "head.1.weight", "generator_ba": "head.1.weight", "discriminator_a": "0.weight"}
    for name, layer in {**layers, "discriminator_b": "0.weight", "classifier": "classifier.weight"}.items():
        moved = cli.model.get_submodule(name).get_parameter(layer) - before.get_submodule(name).get_parameter(layer)
        assert 0 < moved.abs().max() < 1e-3, name  # one step of Adam
    cli.trainer.save_checkpoint("after.ckpt")
    convert("after.ckpt", "after")
    assert same(from_official(torch.load("after/latest_net_R.pth", weights_only=True)), cli.model.classifier)


def test_training_without_the_classifier_has_none():
    networks = {name: network for name, network in official_folder(small()).items() if name != "R"}
    Path("run/models/latest_net_R.pth").unlink()
    assert "  lambda_class=0.0" in convert("run/models", "ours.ckpt")
    module = sketchgan.load("ours.ckpt")
    assert module.classifier is None
    assert module.n_classes == 5
    convert("ours.ckpt", "back")
    assert sorted(os.listdir("back")) == [f"latest_net_{name}.pth" for name in sorted(networks)]


def test_without_classes_the_module_says_whose_networks_they_are():
    networks = official_folder(small(0))
    convert("run/models", "cycle.safetensors")
    assert type(sketchgan.load("cycle.safetensors")) is CycleGAN
    main(["convert", "run/models", "ours.ckpt", "--module=AODA"])
    module = sketchgan.load("ours.ckpt")
    assert type(module) is AODA
    assert module.n_classes == 0
    assert module.classifier is None
    for name, network in networks.items():
        assert same(getattr(module, OURS[name]), network), name
    convert("ours.ckpt", "back")
    assert sorted(os.listdir("back")) == [f"latest_net_{name}.pth" for name in sorted(networks)]


# One file of AODA


@pytest.mark.parametrize(
    ("name", "network", "options", "expected"),
    [
        ("latest_net_G_B.pth", "G_B", {}, "AODA: generator_ab"),
        ("photos.pth", "G_B", {}, "AODA: generator_ab"),
        ("latest_net_G.pth", "G_B", {}, "AODA: generator_ab"),
        ("latest_net_G_A.pth", "G_A", {"module": "AODA"}, "AODA: generator_ba"),
        ("sketches.pth", "G_A", {"module": "AODA"}, "AODA: generator_ba"),
        ("latest_net_G_B.pth", "G_A", {"module": "AODA"}, "AODA: generator_ab"),  # of training without classes
        ("latest_net_G_A.pth", "G_A", {}, "CycleGAN: generator_ab"),
        ("sketches.pth", "G_A", {}, "CycleGAN: generator_ab"),
    ],
)
def test_whose_a_lone_file_is(name, network, options, expected):
    official_file(small()[network], name, "module.")
    assert " ".join(convert(name, "ours.safetensors", **options)).startswith(expected.replace(" ", "   "))


def test_a_lone_file_goes_round():
    network = small()["G_B"]
    official_file(network, "photos.pth", "module.")
    convert("photos.pth", "ours.safetensors")
    module = sketchgan.load("ours.safetensors")
    assert module.directions == ("AtoB",)
    assert module.n_classes == 5
    assert same(module.generator_ab, network)
    convert("ours.safetensors", "back.pth")
    there, back = (torch.load(file, weights_only=True) for file in ("photos.pth", "back.pth"))
    assert list(there) == list(back)
    assert all(torch.equal(there[key], back[key]) for key in there)


def test_a_lone_generator_translates_the_class_that_is_said():
    official_file(AODAGenerator(4, 1, 3, 2, 1), "photos.pth")
    convert("photos.pth", "ours.safetensors", image_size=32)
    Image.effect_noise((40, 20), 60).save("drawing.png")
    for label in ("1", "3"):
        main(["translate", "ours.safetensors", "drawing.png", "--out", label, "--label", label, "--accelerator=cpu"])
    one, other = (Image.open(f"{label}/drawing.png") for label in ("1", "3"))
    assert (one.size, one.mode) == ((40, 20), "RGB")
    assert one.tobytes() != other.tobytes()
    official = ["--out=official", "--preprocess=official", "--label=3", "--accelerator=cpu"]
    main(["translate", "ours.safetensors", "drawing.png", *official])
    assert Image.open("official/drawing.png").size == (32, 32)
    official_file(ResnetGenerator(3, 1, 2, 1), "latest_net_G_A.pth")
    convert("latest_net_G_A.pth", "back.safetensors", module="AODA")
    main(["translate", "back.safetensors", "3/drawing.png", "--out=back", "--accelerator=cpu"])
    assert Image.open("back/drawing.png").mode == "L"
    with pytest.raises(SystemExit, match="does not name its classes; say with label=NUMBER"):
        main(["translate", "ours.safetensors", "drawing.png", "--out=x"])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"R": classifier(4)}, "latest_net_R.pth has n_classes=4, the generator 5"),
        ({"R": classifier(5, 1)}, "latest_net_R.pth has 1 channels, which does not belong to a generator of 3 to 3"),
        ({"G_B": ResnetGenerator(ngf=2, n_blocks=1)}, "R belongs to a G_B with classes, but here G_B has none"),
        ({"G_A": AODAGenerator(5, ngf=2, n_blocks=1)}, "G_A draws sketches and knows no classes, but here it does"),
        ({"D_A": classifier()}, "latest_net_D_A.pth is the AODA classifier, where AODA has its discriminator_a"),
        ({"R": PatchDiscriminator(3, 2)}, "latest_net_R.pth is the patch discriminator .* AODA has its classifier"),
        ({"D_A": PatchDiscriminator(1, 2)}, "latest_net_D_A.pth has 1 channels, which does not belong to"),
        ({"G_A": UNetGenerator(num_downs=5, ngf=1)}, "is the U-Net .*, which the code of AODA does not have"),
    ],
)
def test_networks_that_do_not_belong_together(change, message):
    official_folder(small() | change)
    with pytest.raises(ValueError, match=message):
        convert("run/models", "x.safetensors")
    assert not Path("x.safetensors").exists()


def test_what_is_wrong_is_said():
    official_folder(small())
    with pytest.raises(FileNotFoundError, match=r"run holds no latest_net_….pth; .*; give run/models"):
        convert("run", "x.safetensors")
    with pytest.raises(ValueError, match="latest_net_R.pth holds no generator"):
        convert("run/models/latest_net_R.pth", "x.safetensors")
    with pytest.raises(ValueError, match="run/models has networks R, which CycleGAN has not"):
        convert("run/models", "x.safetensors", module="CycleGAN")
    with pytest.raises(ValueError, match="is the AODA generator of photos, which the code of CycleGAN does not have"):
        convert("run/models/latest_net_G_B.pth", "x.safetensors", module="CycleGAN")
    with pytest.raises(ValueError, match="a checkpoint to train on from needs all networks, and there is no"):
        convert("run/models/latest_net_G_B.pth", "x.ckpt")
    whole = to_official(small()["G_B"])
    for key in ("tail.9.weight", "body.0.adain1.emb.weight", "hat.1.bias"):
        torch.save({name: value for name, value in whole.items() if name != key}, "g.pth")
        with pytest.raises(ValueError, match=rf"g.pth: \d+ of \d+ entries do not fit the AODA generator.*no {key}"):
            convert("g.pth", "x.safetensors")
    with pytest.raises(ValueError, match="1 of .* do not fit the AODA classifier: no stage2.0.branches.0.0.bn1.bias"):
        from_official({k: v for k, v in to_official(classifier()).items() if k != "stage2.0.branches.0.0.bn1.bias"})


# Anime2Sketch


def line_drawer(upsample="deconv", out_channels=1, num_downs=8, norm="instance", dropout=0.0):
    return UNetGenerator(3, out_channels, num_downs, 1, norm, dropout, upsample=upsample)


@pytest.mark.parametrize(
    ("file", "network", "expected"),
    [
        ("netG.pth", line_drawer(), Anime2Sketch),
        ("mine.pth", line_drawer(), Anime2Sketch),
        ("improved.bin", line_drawer("smooth"), Anime2Sketch),
        ("latest_net_G.pth", line_drawer("smooth", num_downs=6), Anime2Sketch),
        ("latest_net_G.pth", line_drawer(), Pix2Pix),  # the name of pix2pix's code
        ("latest_net_G_A.pth", line_drawer(), CycleGAN),
        ("netG.pth", line_drawer(num_downs=7), Pix2Pix),
        ("netG.pth", line_drawer(out_channels=3), Pix2Pix),
        ("netG.pth", line_drawer(norm="batch"), Pix2Pix),
    ],
)
def test_whose_a_unet_is(file, network, expected):
    official_file(network, file)
    said = convert(file, "ours.safetensors")
    assert said[0] == f"{expected.__name__}:"
    assert f"dropout={0.0 if expected is Anime2Sketch else 0.5}" in said[1]
    assert "not visible in them, so assumed or given: dropout" in said[1]
    assert "dropout=0.25" in convert(file, "given.safetensors", dropout=0.25)[1]


def test_the_module_that_is_said_decides():
    official_file(line_drawer(), "netG.pth")
    for module, dropout in (("Pix2Pix", 0.5), ("Anime2Sketch", 0.0)):
        said = convert("netG.pth", f"{module}.safetensors", module=module)
        assert said[0] == f"{module}:"
        assert f"dropout={dropout}" in said[1]


@pytest.mark.parametrize(("file", "upsample"), [("netG.pth", "deconv"), ("improved.bin", "smooth")])
def test_anime2sketch_goes_round(file, upsample, capsys):
    network = line_drawer(upsample)
    official_file(network, file, "module." if upsample == "deconv" else "")
    main(["convert", file, "ours.safetensors"])
    assert f"\n  improved={upsample == 'smooth'}\n" in capsys.readouterr().out
    module = sketchgan.load("ours.safetensors")
    assert type(module) is Anime2Sketch
    assert module.directions == ("BtoA",)
    assert same(module.generator_ba, network)
    assert module.data_settings == {
        "preprocess": {
            "mode": "resize_and_crop",
            "load_size": 512,
            "crop_size": 512,
            "flip": False,
            "resample": "bicubic",
        },
        "channels_a": 1,
        "channels_b": 3,
        "value_range": None,
    }
    main(["convert", "ours.safetensors", f"back/{file}"])
    there, back = (torch.load(f"{at}{file}", weights_only=True) for at in ("", "back/"))
    there = {key.removeprefix("module."): value for key, value in there.items()}
    assert list(back) == list(there)
    assert all(torch.equal(back[key], there[key]) for key in there)
    assert sum(key.endswith("smooth.kernel") for key in back) == (6 if upsample == "smooth" else 0)


def test_converted_anime2sketch_draws_pictures_of_any_size():
    official_file(line_drawer(), "netG.pth")
    convert("netG.pth", "ours.safetensors", image_size=256)
    Image.effect_noise((60, 30), 60).convert("RGB").save("picture.png")
    main(["translate", "ours.safetensors", "picture.png", "--out=official", "--preprocess=official"])
    assert Image.open("official/picture.png").size == (60, 30)  # resized back from 256


def test_anime2sketch_has_one_network():
    official_file(line_drawer(), "netG.pth")
    with pytest.raises(ValueError, match="needs all networks, and there is no generator_ab"):
        convert("netG.pth", "x.ckpt")
    convert("netG.pth", "ours.safetensors", image_size=256)
    assert sketchgan.load("ours.safetensors").data_settings["preprocess"]["load_size"] == 256
    with pytest.raises(ValueError, match=r"the code of Anime2Sketch has one network alone: write NAME.pth, not back"):
        convert("ours.safetensors", "back")
    official_file(PatchDiscriminator(1, 2), "D.pth")
    with pytest.raises(ValueError, match="is the patch discriminator .*, where Anime2Sketch has its generator_ba"):
        convert("D.pth", "x.safetensors", module="Anime2Sketch")
    state = to_official(line_drawer("smooth"))
    state["model.model.1.model.5.smooth.kernel"] = torch.ones(1, 1, 3, 3) / 9
    torch.save(state, "improved.bin")
    with pytest.raises(ValueError, match=r"improved.bin: up.6.1.smooth.filt is a constant of .* holds other values"):
        convert("improved.bin", "x.safetensors")
