"""PaintsChainer: Chainer's archives to ours and back."""

import io
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch
from golden_cases import assert_close, golden, golden_json
from PIL import Image
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from training import same

import sketchgan
from sketchgan.cli import main
from sketchgan.convert import convert, from_official, to_official
from sketchgan.convert.official import compare
from sketchgan.convert.systems import official_network
from sketchgan.modules import PaintsChainer, PaintsChainerRefiner
from sketchgan.networks import PaintsChainerDiscriminator, PaintsChainerUNet
from sketchgan.networks.chainer_files import array_names, read_arrays
from sketchgan.networks.pretrained import load_weights, read_weights

FULL_SIZE = {
    "unet": (PaintsChainerUNet, {}),
    "lnet": (PaintsChainerUNet, {"in_channels": 3, "out_channels": 1}),
    "dis": (PaintsChainerDiscriminator, {}),
}
PARAMETERS = {"unet": 18_639_619, "lnet": 18_638_177, "dis": 918_082}
GOLDEN = golden("paintschainer_forward")


def slashed(state):
    """Under the names of the files, in which the golden page writes a dot."""
    return {name.replace(".", "/"): value for name, value in state.items()}


def arrays(name="unet"):
    """A golden network as ``save_npz`` names and types it."""
    return {key: value.numpy() for key, value in slashed(GOLDEN.under(f"state.{name}")).items()}


def save(path, content, compress=True):
    with Path(path).open("wb") as file:  # a path without an ending stays one
        (np.savez_compressed if compress else np.savez)(file, **content)


def assert_equal(ours, theirs):
    assert ours.keys() == theirs.keys()
    for name, value in theirs.items():
        ours_too = np.asarray(ours[name])
        assert (ours_too.shape, ours_too.dtype) == (np.shape(value), np.asarray(value).dtype), name
        assert ours_too.tobytes() == np.asarray(value).tobytes(), name


# Names


@pytest.mark.parametrize("name", FULL_SIZE)
def test_full_size_names_go_both_ways(name):
    cls, settings = FULL_SIZE[name]
    shapes = {key.replace(".", "/"): tuple(shape) for key, shape in golden_json("paintschainer_keys")[name].items()}
    with torch.device("meta"):
        network = cls(**settings)
        state = {key: torch.empty(shape) for key, shape in shapes.items()}
    assert sum(value.numel() for value in network.parameters()) == PARAMETERS[name]
    assert {key: tuple(value.shape) for key, value in to_official(network).items()} == shapes
    official = official_network(network)
    assert official.recognises(state)
    compare(network, state, official.keys(network), official.name)  # the other way: nothing missing, nothing unknown
    with torch.device("meta"):
        again = cls(**official.visible(state))
    assert repr(again) == repr(network)


def test_every_full_size_network_is_in_the_table():
    assert golden_json("paintschainer_keys").keys() == FULL_SIZE.keys()


@pytest.mark.parametrize(
    "network",
    [
        PaintsChainerUNet(ngf=1),
        PaintsChainerUNet(3, 1, 2),
        PaintsChainerUNet(1, 4, 3),
        PaintsChainerDiscriminator(3, 16),
        PaintsChainerDiscriminator(2, 80, 1),
    ],
)
def test_every_size_is_recognised(network):
    again = from_official(to_official(network))
    assert repr(again) == repr(network)
    assert same(again, network)


def test_every_name_means_what_it_meant():
    names = {"W": "weight", "b": "bias", "gamma": "weight", "beta": "bias"}
    names |= {"avg_mean": "running_mean", "avg_var": "running_var", "N": "num_batches_tracked"}
    theirs = slashed(GOLDEN.under("state.unet"))
    ours = from_official(theirs).state_dict()
    assert len(ours) == len(theirs)
    for name, value in theirs.items():
        layer, entry = name.split("/")
        assert torch.equal(ours[f"{layer}.{names[entry]}"], value), name


# Files


@pytest.mark.parametrize("compress", [True, False])
@pytest.mark.parametrize("file", ["unet_128_standard", "cnn_128_iter_10000", "model_m_1.6", "mine.npz"])
def test_a_painter_goes_round(file, compress, capsys):
    save(file, arrays(), compress)
    main(["convert", file, "ours.safetensors"])
    said = capsys.readouterr().out
    assert "PaintsChainer:\n  generator: PaintsChainerUNet(in_channels=4, out_channels=3, ngf=2), 121 entries" in said
    assert "\n  units='official'\n" in said
    module = sketchgan.load("ours.safetensors")
    assert type(module) is PaintsChainer
    assert module.hparams["units"] == "official"
    assert module.data_settings["channels_a"] == 1
    assert module.data_settings["preprocess"]["load_size"] == 128
    with torch.no_grad():
        made = module.generator(GOLDEN.tensors["in.x"])
    assert_close(made, GOLDEN.tensors["out.eval"], 6e-7 * GOLDEN.tensors["out.eval"].abs().max().item())
    main(["convert", "ours.safetensors", "back.npz"])
    assert_equal(read_arrays(Path("back.npz")), arrays())
    convert("ours.safetensors", "server/unet_128_standard")
    assert_equal(read_arrays(Path("server/unet_128_standard")), arrays())


@pytest.mark.parametrize("file", ["unet_512_standard", "cnn_x2_iter_10000"])
def test_a_refiner_is_told_by_its_name(file):
    save(file, arrays())
    convert(file, "ours.safetensors")
    module = sketchgan.load("ours.safetensors")
    assert type(module) is PaintsChainerRefiner
    assert module.hparams["units"] == "official"
    assert same(module.generator, from_official(slashed(GOLDEN.under("state.unet"))))
    convert("ours.safetensors", "folder")
    assert [path.name for path in Path("folder").iterdir()] == ["unet_512_standard"]
    assert_equal(read_arrays(Path("folder/unet_512_standard")), arrays())


def test_the_module_may_be_given():
    save("a_512", arrays())
    save("b", arrays())
    convert("a_512", "a.safetensors", module="PaintsChainer")
    convert("b", "b.safetensors", module="PaintsChainerRefiner")
    assert type(sketchgan.load("a.safetensors")) is PaintsChainer
    assert type(sketchgan.load("b.safetensors")) is PaintsChainerRefiner


def training_run(*steps):
    """What the official training script leaves in its folder."""
    Path("result").mkdir()
    for i in steps:
        save(f"result/cnn_128_iter_{i}", {name: value + i for name, value in arrays().items()})
        save(f"result/cnn_128_dis_iter_{i}", {name: value + i for name, value in arrays("dis").items()})
        save(f"result/snapshot_iter_{i}", {f"updater/model:cnn/{name}": value for name, value in arrays().items()})
    save("result/optimizer_", {"t": np.array(1), "c0/W/m": np.ones(2, np.float32)})
    save("result/liner_f", arrays("lnet"))
    Path("result/log").write_text("[]")


def test_a_folder_becomes_a_checkpoint_to_train_on():
    training_run(0)
    said = convert("result", "ours.ckpt")
    assert [line.partition(",")[0] for line in said[1:3]] == [
        "  discriminator: PaintsChainerDiscriminator(ndf=2",
        "  generator: PaintsChainerUNet(in_channels=4",
    ]
    module = PaintsChainer.load_from_checkpoint("ours.ckpt")
    with torch.no_grad():
        logits = module.discriminator.eval()(GOLDEN.tensors["in.t"])
    assert_close(logits, GOLDEN.tensors["out.dis_eval"], 1e-5)
    convert("ours.ckpt", "OFFICIAL")
    assert sorted(path.name for path in Path("OFFICIAL").iterdir()) == ["dis", "unet_128_standard"]
    assert_equal(read_arrays(Path("OFFICIAL/dis")), arrays("dis"))
    assert_equal(read_arrays(Path("OFFICIAL/unet_128_standard")), arrays())
    convert("ours.ckpt", "my_dis.npz")
    assert_equal(read_arrays(Path("my_dis.npz")), arrays("dis"))
    convert("ours.ckpt", "mine.npz")
    assert_equal(read_arrays(Path("mine.npz")), arrays())


def test_steps_of_a_folder_are_told_apart():
    training_run(1, 2)
    with pytest.raises(ValueError, match="two of the same kind, cnn_128_dis_iter_1 and cnn_128_dis_iter_2; say which"):
        convert("result", "ours.safetensors")
    convert("result", "ours.safetensors", epoch="2")
    convert("ours.safetensors", "back")
    for name, file in (("unet", "unet_128_standard"), ("dis", "dis")):
        assert_equal(read_arrays(Path("back", file)), {key: value + 2 for key, value in arrays(name).items()})
    with pytest.raises(FileNotFoundError, match=r"result holds no …_3; there are cnn_128_dis_iter_1, .*, liner_f"):
        convert("result", "other.safetensors", epoch="3")


def test_both_stages_are_one_refiner():
    Path("models").mkdir()
    draft = {name: value + 1 for name, value in arrays().items()}
    save("models/unet_128_standard", draft)
    save("models/unet_512_standard", arrays())
    save("models/liner_f", arrays("lnet"))
    for target in ("ours.safetensors", "ours.ckpt"):
        convert("models", target)
        module = sketchgan.load(target)
        assert type(module) is PaintsChainerRefiner
        assert same(module.generator, from_official(slashed(GOLDEN.under("state.unet"))))
        assert torch.equal(module.draft.c0.bias, module.generator.c0.bias + 1)
        assert module.data_settings["channels_a"] == 1
        folder = Path(f"back_{target[5:]}")
        convert(target, folder)
        assert sorted(path.name for path in folder.iterdir()) == ["unet_128_standard", "unet_512_standard"]
        assert_equal(read_arrays(folder / "unet_128_standard"), draft)
        assert_equal(read_arrays(folder / "unet_512_standard"), arrays())


@pytest.mark.parametrize("stage", ["128", "models"])
def test_a_converted_painter_colours(stage):
    save("unet_128", arrays())
    Path("models").mkdir()
    for name in ("unet_128_standard", "unet_512_standard"):
        save(f"models/{name}", arrays())
    convert("unet_128" if stage == "128" else "models", "ours.safetensors")
    Image.effect_noise((80, 70), 60).save("line.png")
    hints = Image.new("RGBA", (80, 70))
    hints.paste((255, 0, 0, 255), (10, 10, 30, 30))
    hints.save("hints.png")
    module = sketchgan.load("ours.safetensors")
    line = torch.rand(1, 1, 64, 64) * 2 - 1
    dot = torch.zeros(1, 4, 64, 64)
    dot[:, :, 20:24, 20:24] = 1
    with torch.no_grad():
        assert not torch.equal(module(line, dot), module(line))
    for name, given in (("plain", []), ("hinted", ["--hints", "hints.png"])):
        main(["translate", "ours.safetensors", "line.png", "--out", name, "--accelerator=cpu", *given])
    plain, hinted = (Image.open(f"{name}/line.png") for name in ("plain", "hinted"))
    assert plain.size == hinted.size == (80, 70)
    assert plain.mode == "RGB"
    assert plain.tobytes() != hinted.tobytes()


@pytest.mark.parametrize("file", ["unet_128_standard", "unet_512_standard"])
def test_what_knows_colours_in_other_units_is_not_written(file):
    save(file, arrays())
    convert(file, "official.safetensors")
    with safe_open("official.safetensors", "pt") as weights:
        about = weights.metadata()
    about["sketchgan"] = about["sketchgan"].replace('"units": "official"', '"units": "normalised"')
    save_file(load_file("official.safetensors"), "ours.safetensors", about)
    assert sketchgan.load("ours.safetensors").units == "normalised"
    for target in ("back.npz", "folder"):
        with pytest.raises(ValueError, match=r'ours\.safetensors was trained with units="normalised", .* levels'):
            convert("ours.safetensors", target)
        assert not Path(target).exists()


def test_a_refiner_alone_lacks_its_draft():
    save("unet_512_standard", arrays())
    convert("unet_512_standard", "ours.safetensors")
    module = sketchgan.load("ours.safetensors")
    with pytest.raises(ValueError, match="ours.safetensors holds no draft, which this needs; load a file with all"):
        module(torch.zeros(1, 1, 64, 64))
    draft = from_official(slashed(GOLDEN.under("state.unet")))
    assert sketchgan.load("ours.safetensors", draft=draft)(torch.zeros(1, 1, 64, 64)).shape == (1, 3, 64, 64)
    with pytest.raises(ValueError, match="needs all networks, and there is no draft"):
        convert("unet_512_standard", "ours.ckpt")


def test_a_refiner_and_a_discriminator_are_of_two_stages():
    training_run(0)
    save("result/cnn_x2_iter_0", arrays())
    with pytest.raises(ValueError, match="result has networks dis, which PaintsChainerRefiner has not; convert the"):
        convert("result", "x.safetensors")
    with pytest.raises(ValueError, match="has networks unet_512_standard, which PaintsChainer has not"):
        convert("result", "x.safetensors", module="PaintsChainer")


def test_loading_says_how_to_convert():
    save("unet_128_standard", arrays())
    with pytest.raises(
        ValueError, match="unet_128_standard was not written by a sketchgan module .* sketchgan convert"
    ):
        sketchgan.load("unet_128_standard")


def test_what_ours_counts_is_written_as_chainer_counts():
    network = PaintsChainerUNet(ngf=1).train()
    network(torch.rand(2, 4, 32, 32))
    official = to_official(network)
    assert official["bnc0/N"].dtype == torch.int64
    assert official["bnc0/N"].item() == 1
    assert same(from_official(official), network)


@pytest.mark.parametrize("file", ["liner_f", "liner.npz"])
def test_the_line_network_is_read_as_it_is(file):
    save(file, arrays("lnet"))
    network = PaintsChainerUNet(3, 1, 2)
    load_weights(network, read_weights(file), file)
    for read in (network, from_official(slashed(GOLDEN.under("state.lnet")))):
        with torch.no_grad():
            lines = read.eval()((GOLDEN.tensors["in.t"] - 128) / 128)
        assert_close(lines, GOLDEN.tensors["out.lnet_eval"], 6e-7 * GOLDEN.tensors["out.lnet_eval"].abs().max().item())
    with pytest.raises(ValueError, match=rf"{file} is the line network, which is not converted: .* line_weights"):
        convert(file, "ours.safetensors")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda v: v.pop("bnd3/avg_var"), r"liner holds no weights of PaintsChainerUNet \(missing: bnd3.running_var\)"),
        (lambda v: v.update({"c9/W": v["c0/W"]}), r"liner holds no .* \(unknown: c9.weight\)"),
        (lambda v: v.update({"c8/W": v["c8/W"][:, :3]}), r"liner holds no .* \(of another shape: c8.weight\)"),
        (lambda v: v.update({"c0/b": np.asarray(None)}), "liner is damaged, or holds more than arrays of numbers"),
    ],
)
def test_a_line_network_that_does_not_fit(change, message):
    content = arrays("lnet")
    change(content)
    save("liner", content)
    with pytest.raises(ValueError, match=message):
        load_weights(PaintsChainerUNet(3, 1, 2), read_weights("liner"), "liner")


def test_official_files_are_read_for_training_too():
    save("liner_f", arrays("lnet"))
    save("unet_128_standard", arrays())
    lines = PaintsChainer(PaintsChainerUNet(ngf=1), PaintsChainerDiscriminator(1, 32), line_weights="liner_f").lines
    lines.prepare()
    assert same(lines.network, from_official(slashed(GOLDEN.under("state.lnet"))))
    networks = {"generator": PaintsChainerUNet(ngf=1), "draft": PaintsChainerUNet(ngf=2)}
    refiner = PaintsChainerRefiner(**networks, units="official")
    refiner.read_draft("unet_128_standard")
    assert torch.equal(refiner.draft.c8.weight, GOLDEN.tensors["state.unet.c8.W"])
    with pytest.raises(ValueError, match='unet_128_standard was trained with units="official"; train its'):
        PaintsChainerRefiner(**networks).read_draft("unet_128_standard")


# What is refused


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda v: v.pop("c0/W"), "unet_128_standard: .* do not fit the PaintsChainer U-Net: no c0/W"),
        (lambda v: v.pop("bnd3/avg_var"), "1 of 121 entries do not fit the PaintsChainer U-Net: no bnd3/avg_var"),
        (lambda v: v.update({"c9/W": v["c0/W"]}), "unknown c9/W"),
        (lambda v: v.update({"c8/W": v["c8/W"][:, :3]}), r"c8/W \(32, 3, 3, 3\) instead of \(32, 32, 3, 3\)"),
        (lambda v: v.update({"c0/b": v["c0/b"] * np.nan}), "c0/b holds values that are NaN"),
        (lambda v: v.update({"c0/b": np.asarray(None)}), "is damaged, or holds more than arrays of numbers: Object"),
        (lambda v: v.update({"c0/b": np.array(["x"])}), "c0/b is no array of numbers"),
        (lambda v: v.update({"c0/W": v["c0/W"].astype(np.int32)}), "c0/W is no weight: int32"),
    ],
)
def test_arrays_that_do_not_fit(change, message):
    content = arrays()
    change(content)
    save("unet_128_standard", content)
    with pytest.raises(SystemExit, match=f"sketchgan convert: .*{message}"):
        main(["convert", "unet_128_standard", "x.safetensors"])
    assert not Path("x.safetensors").exists()


@pytest.mark.parametrize("share", [0.0, 0.3, 0.999])
@pytest.mark.parametrize("file", ["unet_128_standard", "theirs.npz"])
def test_cut_off_files_say_so(file, share):
    buffer = io.BytesIO()
    np.savez(buffer, **arrays())
    Path(file).write_bytes(buffer.getvalue()[: int(share * len(buffer.getvalue()))])
    with pytest.raises(ValueError, match=rf"{file} is (empty|cut off)"):
        convert(file, "x.safetensors")
    with pytest.raises(ValueError, match=f"{file} (is cut off|cannot be loaded safely as weights)"):
        read_weights(file)


def test_damaged_values_say_so():
    save("unet_128_standard", arrays())
    with zipfile.ZipFile("unet_128_standard") as archive:
        at = archive.getinfo("c8/W.npy").header_offset + 200
    content = bytearray(Path("unet_128_standard").read_bytes())
    content[at : at + 20] = bytes(20)
    Path("unet_128_standard").write_bytes(content)
    with pytest.raises(ValueError, match="unet_128_standard is damaged"):
        convert("unet_128_standard", "x.safetensors")


def test_no_archive_fills_the_memory():
    save("unet_128_standard", {"c0/W": np.zeros(10_000_000, np.float32)})
    with pytest.raises(ValueError, match="unet_128_standard is damaged, .* it would unpack to"):
        convert("unet_128_standard", "x.safetensors")


def test_other_files_of_a_training_run_are_told_apart():
    training_run(0)
    with pytest.raises(ValueError, match="result/snapshot_iter_0 is a snapshot of a whole run of Chainer; give the"):
        convert("result/snapshot_iter_0", "x.safetensors")
    with pytest.raises(ValueError, match="result/optimizer_ is the state of an optimizer of Chainer; give the file"):
        convert("result/optimizer_", "x.safetensors")
    with pytest.raises(ValueError, match="result/cnn_128_dis_iter_0 holds no generator"):
        convert("result/cnn_128_dis_iter_0", "x.safetensors")
    with pytest.raises(FileNotFoundError, match="no checkpoint nothing"):
        convert("nothing", "x.safetensors")


def test_variables_of_tensorflow_are_not_taken_for_chainers():
    save("theirs.npz", {"generator/Conv/weights": np.ones((1, 1, 1, 1), np.float32)})
    with pytest.raises(ValueError, match="theirs.npz: generator: .* do not fit the SketchyGAN generator"):
        convert("theirs.npz", "x.safetensors")
    save("theirs", {"generator_B/encoder/conv_0/kernel": np.ones((1, 1, 1, 1), np.float32)})
    with pytest.raises(ValueError, match="theirs holds variables of TensorFlow, but not SketchyGAN's"):
        convert("theirs", "x.safetensors")
    assert array_names(Path("theirs.npz")) == ["generator/Conv/weights"]


def test_files_of_ours_have_one_form():
    save("unet_128_standard", arrays())
    convert("unet_128_standard", "ours.safetensors")
    for target in ("back.pth", "back.pt", "back.bin"):
        with pytest.raises(ValueError, match=f"an archive of its own: write NAME.npz or a folder, not {target}"):
            convert("ours.safetensors", target)
    with pytest.raises(FileExistsError, match="unet_128_standard exists"):
        convert("ours.safetensors", "unet_128_standard")
    with pytest.raises(ValueError, match=r"there is no discriminator to write to dis.npz; give a folder"):
        convert("ours.safetensors", "dis.npz")
    Path("file").write_text("")
    with pytest.raises(FileExistsError, match=r"file is a file; give a folder, or NAME.npz"):
        convert("ours.safetensors", "file")
    with pytest.raises(ValueError, match="dropout is no setting of PaintsChainerUNet"):
        convert("unet_128_standard", "x.safetensors", dropout=0.5)
    with pytest.raises(ValueError, match="the PaintsChainer U-Net, which the code of SketchyGAN does not have"):
        convert("unet_128_standard", "x.safetensors", module="SketchyGAN")
