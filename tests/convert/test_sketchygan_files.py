"""SketchyGAN: variables of the TensorFlow code to ours and back."""

from pathlib import Path

import numpy as np
import pytest
import torch
from bundles import write_bundle
from golden_cases import assert_close, golden, golden_json
from training import same

import sketchgan
from sketchgan.cli import main
from sketchgan.convert import convert, from_official, from_tensorflow, read_tensorflow, to_official
from sketchgan.convert.official import compare
from sketchgan.convert.sketchygan import left_out
from sketchgan.convert.systems import official_network
from sketchgan.data import SKETCHYGAN_CLASSES
from sketchgan.modules import SketchyGAN
from sketchgan.modules.checkpoint import read
from sketchgan.networks import SketchyGANDiscriminator, SketchyGANGenerator

FULL_SIZE = {
    "G": (SketchyGANGenerator, {}),
    "D": (SketchyGANDiscriminator, {}),
    "D_proj_d": (SketchyGANDiscriminator, {"projection": True}),
    "D_no_sn": (SketchyGANDiscriminator, {"spectral_norm": False}),
}
GENERATOR = golden("sketchygan_generator")
JUDGES = golden("sketchygan_discriminator")


def official_layout(state):
    """The golden tensors, which are PyTorch's, as TensorFlow lays them out."""
    variables = {}
    for name, value in state.items():
        entry = name.rpartition("/")[2]
        weight = state.get(f"{name.removesuffix('/biases')}/weights")
        if entry == "weights" and value.ndim == 4:
            value = torch.einsum("oihw->hwio", value)
        elif name.endswith("fully_connected/weights"):
            value = value.transpose(0, 1)
        elif entry == "biases" and weight.ndim == 4:
            value = value[None, :, None, None]
        elif entry == "u":
            value = value[None]
        variables[name] = value.contiguous().numpy()
    return variables


def both(judge="D_sn"):
    return official_layout(GENERATOR.under("state.G") | JUDGES.under(f"state.{judge}"))


def whole_checkpoint(judge="D_sn"):
    """All that the official code stores."""
    variables = both(judge)
    slots = {f"{name}/{slot}": np.ones(1, np.float32) for name in variables for slot in ("Adam", "Adam_1")}
    powers = {name: np.float32(0.5) for name in ("beta1_power", "beta2_power", "beta1_power_1", "beta2_power_1")}
    inception = {f"InceptionV4/Conv2d_1a_3x3/{name}": np.ones(2, np.float32) for name in ("weights", "BatchNorm/beta")}
    return {**variables, **slots, **powers, **inception, "Variable": np.int32(300000)}


def assert_equal(ours, theirs):
    assert ours.keys() == theirs.keys()
    for name, value in theirs.items():
        value = np.asarray(value)
        assert ours[name].shape == value.shape, name
        assert np.asarray(ours[name]).tobytes() == value.tobytes(), name


# Names and layouts


@pytest.mark.parametrize("name", FULL_SIZE)
def test_full_size_names_go_both_ways(name):
    cls, settings = FULL_SIZE[name]
    variables = golden_json("sketchygan_keys")["networks"][name]
    with torch.device("meta"):
        network = cls(**settings)
        state = {key: torch.empty(entry["tf"]) for key, entry in variables.items()}
    back = to_official(network)
    assert {key: list(value.shape) for key, value in back.items()} == {k: entry["tf"] for k, entry in variables.items()}
    official = official_network(network)
    assert official.recognises(state)
    state = official.to_torch(state)
    assert {k: list(value.shape) for k, value in state.items()} == {k: entry["torch"] for k, entry in variables.items()}
    compare(network, state, official.keys(network), official.name)  # the other way: nothing missing, nothing unknown
    with torch.device("meta"):
        again = cls(**official.visible(state))
    assert repr(again) == repr(network)


def test_every_full_size_network_is_in_the_table():
    assert golden_json("sketchygan_keys")["networks"].keys() == FULL_SIZE.keys()


@pytest.mark.parametrize(
    "network",
    [
        SketchyGANGenerator(3, ngf=2, image_size=96, in_channels=1, out_channels=2, noise_dim=5, n_blocks=2),
        SketchyGANDiscriminator(3, ndf=2, in_channels=2, n_blocks=2),
        SketchyGANDiscriminator(1, ndf=4, projection=True, spectral_norm=False),
        SketchyGANDiscriminator(2, ndf=1, projection=True),
    ],
)
def test_settings_are_recognised(network):
    again = from_official(to_official(network))
    assert repr(again) == repr(network)
    assert same(again, network)
    assert getattr(again, "noise_shape", None) == getattr(network, "noise_shape", None)


def test_golden_weights_go_there_and_back():
    for state in (
        GENERATOR.under("state.G"),
        *(JUDGES.under(f"state.{name}") for name in ("D_sn", "D_plain", "D_proj")),
    ):
        variables = official_layout(state)
        network = from_official({name: torch.from_numpy(value) for name, value in variables.items()})
        assert_equal(to_official(network), variables)


@pytest.mark.parametrize("judge", ["D_sn", "D_plain", "D_proj"])
def test_golden_judgement(judge):
    network = from_tensorflow({f"{name}:0": value for name, value in both(judge).items()}, "discriminator")
    inputs = JUDGES.under(f"in.{judge}")
    with torch.no_grad():
        made = network(inputs["image"], inputs["labels"].long())
    expected = JUDGES.under(f"out.{judge}")
    assert_close(made.score, expected["disc"], 1e-5 * expected["disc"].abs().max().item())
    if judge == "D_proj":
        assert made.class_logits is None
    else:
        assert_close(made.class_logits, expected["logits"], 1e-5 * expected["logits"].abs().max().item())


def test_what_ours_keeps_beside_is_not_written():
    network = SketchyGANGenerator(2, ngf=1, image_size=32, noise_dim=2).train()
    network(torch.rand(2, 3, 32, 32), torch.tensor([0, 1]), torch.rand(2, 2))
    names = to_official(network).keys()
    assert not [name for name in names if not name.startswith("generator/") or "running" in name]
    again = from_official(to_official(network))
    norm = again.encoder[0].blocks[0].norm_in.norm
    assert (norm.num_batches_tracked, norm.running_mean.abs().max()) == (0, 0)
    judge = SketchyGANDiscriminator(2, ndf=1, sn_update="forward")
    assert torch.equal(from_official(to_official(judge)).stem.weight_u, judge.stem.weight_u)


@pytest.mark.parametrize("slot", ["Adam", "Adam_1", "RMSProp", "RMSProp_1", "Adadelta", "Adadelta_1", "Adagrad"])
def test_slots_of_every_optimizer_of_the_official_code_are_left_out(slot):
    assert left_out(f"generator/Conv/weights/{slot}") == "optimizer state"
    assert not left_out(f"generator/{slot}/weights")


# Files


@pytest.mark.parametrize("form", ["bundle", "folder", "step", "npz"])
def test_files_with_both_networks(form, capsys):
    variables = whole_checkpoint()
    Path("run").mkdir()
    if form == "npz":
        np.savez("run/theirs.npz", **variables)
    else:
        if form == "step":
            write_bundle("run/model.ckpt-5", {name: value * 2 for name, value in variables.items()})
            write_bundle("run/model.ckpt-300000", {"other": np.ones(1, np.float32)})
        else:
            write_bundle("run/model.ckpt-300000", variables)
            write_bundle("run/model.ckpt-5", {"other": np.ones(1, np.float32)})
        Path("run/checkpoint").write_text('model_checkpoint_path: "/home/x/run/model.ckpt-300000"\n')
    src = {"bundle": "run/model.ckpt-300000", "npz": "run/theirs.npz"}.get(form, "run")
    main(["convert", src, "ours.safetensors", *(["--epoch", "5"] if form == "step" else [])])
    said = capsys.readouterr().out
    assert "SketchyGAN:\n  generator: SketchyGANGenerator(n_classes=5, ngf=4, image_size=64, in_channels=3" in said
    assert "discriminator: SketchyGANDiscriminator(n_classes=5, ndf=4, in_channels=3, spectral_norm=True" in said
    counts = 2 * len(both()) + 4
    assert f"left out: optimizer state ({counts}), " in said or f", optimizer state ({counts})" in said
    assert "variables of InceptionV4 (2)" in said
    assert "counters (1)" in said
    convert("ours.safetensors", "back.npz")
    assert_equal(read_tensorflow("back.npz"), {k: v * 2 if form == "step" else v for k, v in both().items()})


def test_golden_picture_through_a_file():
    write_bundle("model.ckpt-1", whole_checkpoint())
    convert("model.ckpt-1", "ours.safetensors")
    module = sketchgan.load("ours.safetensors")
    assert type(module) is SketchyGAN
    inputs = GENERATOR.under("in")
    with torch.no_grad():
        made = module.generator(inputs["sketch"], inputs["labels"].long(), inputs["noise"])
    assert_close(made, GENERATOR.tensors["out.image"], 5e-5)
    data = module.data_settings
    assert data["preprocess"]["crop_size"] == data["preprocess"]["load_size"] == 64
    assert (data["channels_a"], data["channels_b"]) == (3, 3)
    assert data["sketch"] == {"image_size": 64, "form": "distance", "drawing_size": 256}
    assert module.hparams["n_classes"] == 5
    assert "adversarial" not in module.hparams or module.adversarial.lambda_gp == 0
    assert "classes" not in data  # of five, which nobody knows


def test_a_checkpoint_to_train_on_from():
    np.savez("theirs.npz", **both("D_plain"))
    assert convert("theirs.npz", "ours.ckpt")[-1] == "  adversarial='dragan'"
    checkpoint = read("ours.ckpt")
    assert checkpoint["hyper_parameters"]["n_classes"] == 5
    assert checkpoint["hyper_parameters"]["image_size"] == 64
    assert checkpoint["sketchgan"]["batches_seen"] == 0
    convert("ours.ckpt", "back.npz")
    assert_equal(read_tensorflow("back.npz"), both("D_plain"))
    module = SketchyGAN.load_from_checkpoint("ours.ckpt")
    assert module.adversarial.lambda_gp > 0
    assert repr(module.discriminator) == repr(SketchyGANDiscriminator(5, ndf=4, spectral_norm=False))


def test_a_generator_alone():
    np.savez("theirs.npz", **official_layout(GENERATOR.under("state.G")))
    convert("theirs.npz", "ours.safetensors")
    convert("ours.safetensors", "back.npz")
    assert_equal(read_tensorflow("back.npz"), official_layout(GENERATOR.under("state.G")))
    with pytest.raises(ValueError, match="needs all networks, and there is no discriminator"):
        convert("theirs.npz", "ours.ckpt")


def test_fifty_classes_are_those_of_the_official_code():
    np.savez("theirs.npz", **{k: v.numpy() for k, v in to_official(SketchyGANGenerator(50, ngf=1)).items()})
    convert("theirs.npz", "ours.safetensors")
    classes = sketchgan.load("ours.safetensors").data_settings["classes"]
    assert len(classes) == len(set(classes)) == 50
    assert classes == sorted(classes)


def test_classes_have_the_official_numbers():
    assert [SKETCHYGAN_CLASSES[i] for i in (0, 11, 13, 49)] == ["airplane", "car_(sedan)", "cat", "zebra"]


# What is refused


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda v: v.pop("generator/Conv_1/biases"), "theirs.npz: generator: 1 of .* no generator/Conv_1/biases"),
        (lambda v: v.pop("generator/fully_connected/weights"), "no generator/fully_connected/weights"),
        (lambda v: v.pop("generator/Conv/weights"), "no generator/Conv/weights"),
        (
            lambda v: v.pop("discriminator/Conv/discriminator/Conv/u"),
            "theirs.npz: discriminator: 1 of .* no discriminator/Conv/discriminator/Conv/u",
        ),
        (
            lambda v: v.update({"discriminator/new/weights": v["generator/Conv/weights"]}),
            "unknown discriminator/new",
        ),
        (lambda v: v.update({"other/x": np.ones(1)}), "theirs.npz holds other/x, which SketchyGAN's networks do not"),
        (
            lambda v: v.update({"generator/Conv/weights": v["generator/Conv/weights"].transpose(3, 2, 0, 1)}),
            r"generator/Conv/weights \(7, 7, 8, 3\) instead of",
        ),
        (lambda v: v.update({"generator/Conv/biases": np.full((1, 8, 1, 1), np.nan)}), "biases holds values that are"),
        (lambda v: [v.pop(k) for k in list(v) if k.startswith("generator/")], "theirs.npz holds no generator"),
        (
            lambda v: v.update(
                {
                    name: value[:, :3] if name.endswith("weights") else value[..., :3]
                    for name, value in v.items()
                    if "fully_connected" in name and name.startswith("discriminator")
                }
            ),
            "theirs.npz: discriminator has n_classes=3, the generator 5",
        ),
        (
            lambda v: v.update({"generator/mru_conv_unit_t_1_layer_0/Conv_1/weights": np.ones((1, 1, 1, 100_000))}),
            "entries do not fit the SketchyGAN generator|cannot be as large",
        ),
    ],
)
def test_variables_that_do_not_fit(change, message):
    variables = both()
    change(variables)
    np.savez("theirs.npz", **variables)
    with pytest.raises(SystemExit, match=f"sketchgan convert: .*({message})"):
        main(["convert", "theirs.npz", "x.safetensors"])
    assert not Path("x.safetensors").exists()


def test_other_checkpoints_are_told_apart():
    with pytest.raises(SystemExit, match="no file nothing.npz"):
        main(["convert", "nothing.npz", "x.safetensors"])
    Path("model.ckpt-1.data-00000-of-00001").write_bytes(b"")
    with pytest.raises(SystemExit, match="no TensorFlow checkpoint model.ckpt-1.data-00000-of-00001"):
        main(["convert", "model.ckpt-1.data-00000-of-00001", "x.safetensors"])
    write_bundle("model.ckpt-1", {"generator/Conv/weights/Adam": np.ones(1, np.float32)})
    with pytest.raises(SystemExit, match=r"model.ckpt-1 holds .* not SketchyGAN's, .*nothing but an optimizer's"):
        main(["convert", "model.ckpt-1", "x.safetensors"])


def test_other_settings_are_refused():
    np.savez("theirs.npz", **both())
    with pytest.raises(ValueError, match="dropout is no setting of SketchyGANGenerator that could be given"):
        convert("theirs.npz", "x.safetensors", dropout=0.5)
    with pytest.raises(ValueError, match="image_size can be seen in the weights: it is 64, and cannot be 32"):
        convert("theirs.npz", "x.safetensors", image_size=32)
    with pytest.raises(ValueError, match="theirs.npz has networks discriminator, generator, which CycleGAN has not"):
        convert("theirs.npz", "x.safetensors", module="CycleGAN")
    with pytest.raises(ValueError, match="theirs.npz is official weights; write them to NAME.safetensors or"):
        convert("theirs.npz", "x.npz")


def test_files_of_ours_have_one_form():
    np.savez("theirs.npz", **both())
    convert("theirs.npz", "ours.safetensors")
    for target in ("back.pth", "back.pt", "folder"):
        with pytest.raises(ValueError, match=f"all networks in one file: write NAME.npz, not {target}"):
            convert("ours.safetensors", target)
    with pytest.raises(FileExistsError, match="theirs.npz exists"):
        convert("ours.safetensors", "theirs.npz")


@pytest.mark.parametrize("kind", ["v1", "v2", "paper", "resnet", "dcgan"])
def test_ablations_have_no_counterpart(kind):
    with pytest.raises(ValueError, match='no other SketchyGANGenerator than that of encoder="v3"'):
        to_official(SketchyGANGenerator(2, ngf=1, encoder=kind))
    with pytest.raises(ValueError, match='no other SketchyGANDiscriminator than that of block="v3"'):
        to_official(SketchyGANDiscriminator(2, ndf=1, block=kind))
    if kind != "v2":
        with pytest.raises(ValueError, match="no other SketchyGANGenerator"):
            to_official(SketchyGANGenerator(2, ngf=1, decoder=kind))


def test_a_generator_without_skips_has_no_counterpart():
    with pytest.raises(ValueError, match="no other SketchyGANGenerator .* skips=True"):
        to_official(SketchyGANGenerator(2, ngf=1, skips=False))
