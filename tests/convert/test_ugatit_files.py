"""U-GAT-IT and photo2cartoon: official files of six networks to ours and back."""

import os
from collections import OrderedDict
from pathlib import Path

import pytest
import torch
from bundles import write_bundle
from golden_cases import golden, golden_json
from PIL import Image
from safetensors.torch import save_file
from torch import nn
from training import quiet_trainer, same

import sketchgan
from sketchgan import UGATIT
from sketchgan.cli import main, run
from sketchgan.convert import convert, from_official, from_tensorflow, read_tensorflow, to_official
from sketchgan.convert.official import compare
from sketchgan.convert.systems import official_network
from sketchgan.data import OpenMoji
from sketchgan.modules import Photo2Cartoon
from sketchgan.modules.checkpoint import read
from sketchgan.networks import Photo2CartoonGenerator, ResnetGenerator, UGATITDiscriminator, UGATITGenerator

OURS = {
    "genA2B": "generator_ab",
    "genB2A": "generator_ba",
    "disGA": "global_a",
    "disGB": "global_b",
    "disLA": "local_a",
    "disLB": "local_b",
}
"""The paper pages' names, so that a change of the table under test shows."""

FULL_SIZE = {
    "ugatit": {
        "generator_full": (UGATITGenerator, {}),
        "generator_light": (UGATITGenerator, {"light": True}),
        "discriminator_global": (UGATITDiscriminator, {"n_layers": 7}),
        "discriminator_local": (UGATITDiscriminator, {"n_layers": 5}),
    },
    "photo2cartoon": {
        "generator_light": (Photo2CartoonGenerator, {}),
        "generator_full": (Photo2CartoonGenerator, {"light": False}),
        "discriminator_global": (UGATITDiscriminator, {"ndf": 32, "n_layers": 7}),
        "discriminator_local": (UGATITDiscriminator, {"ndf": 32, "n_layers": 5}),
    },
}


@pytest.mark.parametrize(("paper", "name"), [(paper, name) for paper in FULL_SIZE for name in FULL_SIZE[paper]])
def test_full_size_keys_go_both_ways(paper, name):
    cls, settings = FULL_SIZE[paper][name]
    shapes = {key: tuple(shape) for key, shape in golden_json(f"{paper}_keys")[name].items()}
    with torch.device("meta"):
        network = cls(**settings)
        state = {key: torch.empty(shape) for key, shape in shapes.items()}
    official = official_network(network)
    back = to_official(network)
    assert {key: tuple(value.shape) for key, value in back.items()} == shapes
    compare(network, state, official.keys(network), official.name)  # the other way: nothing missing, nothing unknown
    assert len(network.state_dict()) == len(shapes)
    assert official.recognises(state)
    seen = official.visible(state)
    with torch.device("meta"):
        again = cls(**seen)
    assert {key: value.shape for key, value in again.state_dict().items()} == {
        key: value.shape for key, value in network.state_dict().items()
    }
    assert repr(again) == repr(network)


def test_every_full_size_network_is_in_the_table():
    for paper, names in FULL_SIZE.items():
        assert golden_json(f"{paper}_keys").keys() - {"mobilefacenet", "_about"} == names.keys()


@pytest.mark.parametrize("light", [True, False])
@pytest.mark.parametrize("cls", [UGATITGenerator, Photo2CartoonGenerator])
def test_generators_are_recognised(cls, light):
    network = cls(2, 1, ngf=4, light=light, image_size=48)
    again = from_official(to_official(network))
    assert same(again, network)
    assert repr(again) == repr(network)
    assert again.light == light
    assert light or again.image_size == 48
    with pytest.raises(ValueError, match="ngf can be seen in the weights: it is 4, and cannot be 8"):
        from_official(to_official(network), ngf=8)


@pytest.mark.parametrize("n_blocks", [1, 2, 6])
def test_depths_are_recognised(n_blocks):
    network = UGATITGenerator(ngf=1, n_blocks=n_blocks, light=True)
    assert repr(from_official(to_official(network))) == repr(network)
    judge = UGATITDiscriminator(2, 3, n_layers=2 + n_blocks)
    assert same(from_official(to_official(judge)), judge)


def test_torch_takes_our_spectral_norm():
    judge = UGATITDiscriminator(3, 2, n_layers=5)
    state = to_official(judge)
    conv, fc = nn.utils.spectral_norm(nn.Conv2d(3, 2, 4, 2)), nn.utils.spectral_norm(nn.Linear(16, 1, bias=False))
    conv.load_state_dict({key.removeprefix("model.1."): value for key, value in state.items() if "model.1." in key})
    fc.load_state_dict({key.removeprefix("gap_fc."): value for key, value in state.items() if "gap_fc." in key})
    x = torch.rand(2, 3, 10, 10)
    for _ in range(2):
        torch.testing.assert_close(conv(x), judge.layers[0](x))
    torch.testing.assert_close(conv.weight_u, judge.layers[0].weight_u)


# Files


def small(paper, light=True):
    generator = {"ugatit": UGATITGenerator, "photo2cartoon": Photo2CartoonGenerator}[paper]
    settings = {"n_blocks": 1} if generator is UGATITGenerator else {}
    return {
        "genA2B": generator(ngf=4, light=light, image_size=32, **settings),
        "genB2A": generator(ngf=4, light=light, image_size=32, **settings),
        **{f"disG{side}": UGATITDiscriminator(ndf=2, n_layers=4) for side in "AB"},
        **{f"disL{side}": UGATITDiscriminator(ndf=2, n_layers=3) for side in "AB"},
    }


def official_file(networks, path, prefix=""):
    states = {
        name: OrderedDict((prefix + key, value) for key, value in to_official(network).items())
        for name, network in networks.items()
    }
    torch.save(states, path)
    return states


@pytest.mark.parametrize(
    ("paper", "expected", "light", "kind"),
    [
        ("ugatit", UGATIT, True, "ckpt"),
        ("ugatit", UGATIT, False, "safetensors"),
        ("photo2cartoon", Photo2Cartoon, True, "safetensors"),
        ("photo2cartoon", Photo2Cartoon, False, "ckpt"),
    ],
)
def test_files_go_round(paper, expected, light, kind, capsys):
    networks = small(paper, light)
    states = official_file(networks, "theirs.pt", prefix="module." if light else "")
    main(["convert", "theirs.pt", f"ours.{kind}"])
    said = capsys.readouterr().out
    assert said.startswith(f"{expected.__name__}:\n  generator_ab: {type(networks['genA2B']).__name__}(in_channels=3")
    assert f"{len(states['disLA'])} entries of theirs.pt: disLA\n" in said

    module = sketchgan.load(f"ours.{kind}")
    assert type(module) is expected
    assert module.directions == ("AtoB", "BtoA")
    for name, network in networks.items():
        assert same(getattr(module, OURS[name]), network), name
    assert module.hparams["light"] == light
    assert module.hparams["image_size"] == (256 if light else 32)
    preprocess = module.data_settings["preprocess"]
    side = 256 if light else 32
    assert preprocess == {"mode": "resize_and_crop", "load_size": side, "crop_size": side, "flip": False,
                          "resample": "bilinear"}  # fmt: skip

    main(["convert", f"ours.{kind}", "back.pt"])
    back = torch.load("back.pt", weights_only=True)
    assert list(back) == list(OURS)
    for name, state in back.items():
        expected_state = to_official(networks[name])
        assert type(state) is OrderedDict
        assert list(state) == list(expected_state)
        assert all(torch.equal(value, expected_state[key]) for key, value in state.items())


def test_training_goes_on_and_goes_back():
    networks = small("ugatit")
    official_file(networks, "theirs.pt")
    convert("theirs.pt", "start.ckpt", image_size=32)
    data = ["--data=OpenMoji", "--data.init_args.image_size=32", "--data.init_args.paired=false"]
    options = ["--trainer.accelerator=cpu", "--trainer.max_epochs=1", "--trainer.limit_train_batches=1"]
    options += ["--trainer.limit_val_batches=0", "--trainer.enable_progress_bar=false", "--trainer.logger=false"]
    cli = run(["fit", "--ckpt_path=start.ckpt", *data, "--data.init_args.groups=[activities]", *options])
    assert cli.model.batches_seen == 1
    cli.trainer.save_checkpoint("after.ckpt")
    convert("after.ckpt", "after.pt")
    after, before = torch.load("after.pt", weights_only=True), torch.load("theirs.pt", weights_only=True)
    assert after.keys() == before.keys()
    for name, state in after.items():
        assert state.keys() == before[name].keys()
        moved = state["conv1x1.weight"] - before[name]["conv1x1.weight"]
        assert 0 < moved.abs().max() < 1e-3, name  # one step of Adam
    assert not torch.equal(after["disGA"]["model.4.weight_u"], before["disGA"]["model.4.weight_u"])
    convert("after.pt", "again.safetensors")
    assert same(sketchgan.load("again.safetensors"), sketchgan.load("after.ckpt"))


def test_photo2cartoon_trains_on_without_the_face_network():
    official_file(small("photo2cartoon"), "theirs.pt")
    convert("theirs.pt", "start.ckpt")
    module = sketchgan.load("start.ckpt", lambda_face=0.0)
    before = module.generator_ab.head[1].weight.detach().clone()
    trainer = quiet_trainer(max_epochs=1, limit_train_batches=1, limit_val_batches=0)
    trainer.fit(module, OpenMoji(image_size=32, paired=False, groups=["activities"]), ckpt_path="start.ckpt")
    assert module.batches_seen == 1
    assert not torch.equal(module.generator_ab.head[1].weight, before)
    trainer.save_checkpoint("after.ckpt")
    convert("after.ckpt", "after.pt")
    assert list(torch.load("after.pt", weights_only=True)) == list(OURS)


@pytest.mark.parametrize(("paper", "light"), [("ugatit", False), ("photo2cartoon", True)])
def test_some_of_the_six_translate(paper, light):
    networks = {"genB2A": small(paper, light)["genB2A"]}
    official_file(networks, "theirs.pt")
    convert("theirs.pt", "ours.safetensors", image_size=64 if light else None)
    module = sketchgan.load("ours.safetensors")
    assert module.directions == ("BtoA",)
    with pytest.raises(ValueError, match="there is no generator_ab, global_a, local_a, global_b, local_b"):
        convert("theirs.pt", "ours.ckpt")
    Image.effect_noise((70, 50), 60).convert("RGB").save("in.png")
    args = ["translate", "ours.safetensors", "in.png", "--direction=BtoA", "--accelerator=cpu"]
    main([*args, "--out=official", "--preprocess=official"])
    assert Image.open("official/in.png").size == ((64, 64) if light else (32, 32))
    if light:
        main([*args, "--out=native"])
        assert Image.open("native/in.png").size == (70, 50)
    convert("ours.safetensors", "back.pt")
    assert list(torch.load("back.pt", weights_only=True)) == ["genB2A"]


def test_the_official_test_script_resizes_with_the_bilinear_filter():
    network = UGATITGenerator(ngf=2, n_blocks=1, light=True)
    official_file({"genA2B": network}, "theirs.pt")
    convert("theirs.pt", "ours.safetensors", image_size=32)
    picture = Image.effect_noise((70, 50), 60).convert("RGB")
    picture.save("in.png")
    main(["translate", "ours.safetensors", "in.png", "--out=out", "--preprocess=official", "--accelerator=cpu"])
    resized = picture.resize((32, 32), Image.Resampling.BILINEAR)
    x = torch.frombuffer(bytearray(resized.tobytes()), dtype=torch.uint8).view(1, 32, 32, 3).permute(0, 3, 1, 2)
    with torch.no_grad():
        y = network.eval()((x.float() / 255 - 0.5) / 0.5).image
    expected = ((y[0] * 0.5 + 0.5) * 255).permute(1, 2, 0)
    made = torch.frombuffer(bytearray(Image.open("out/in.png").tobytes()), dtype=torch.uint8).view(32, 32, 3)
    assert (made - expected).abs().max() < 1.01


@pytest.mark.parametrize(
    ("name", "direction", "kind"),
    [("mine", "AtoB", "pt"), ("selfie_genA2B", "AtoB", "pth"), ("genB2A", "BtoA", "safetensors")],
)
def test_a_bare_generator(name, direction, kind):
    network = Photo2CartoonGenerator(ngf=4)
    state = to_official(network)
    save_file(state, f"{name}.{kind}") if kind == "safetensors" else torch.save(state, f"{name}.{kind}")
    convert(f"{name}.{kind}", "ours.safetensors")
    module = sketchgan.load("ours.safetensors")
    assert type(module) is Photo2Cartoon
    assert module.directions == (direction,)
    x = torch.rand(1, 3, 32, 48)
    assert torch.equal(module(x, direction), network.eval()(x).image)


def test_the_module_can_be_said():
    official_file(small("ugatit"), "theirs.pt")
    main(["convert", "theirs.pt", "p2c.safetensors", "--module", "Photo2Cartoon"])
    assert type(sketchgan.load("p2c.safetensors")) is Photo2Cartoon
    torch.save(to_official(ResnetGenerator(ngf=1, n_blocks=1)), "g.pth")
    with pytest.raises(ValueError, match="g.pth is the ResNet generator .*, which the code of UGATIT does not have"):
        convert("g.pth", "x.safetensors", module="UGATIT")
    with pytest.raises(ValueError, match="theirs.pt has networks disGA, .*, which CycleGAN has not"):
        convert("theirs.pt", "x.safetensors", module="CycleGAN")
    torch.save(to_official(UGATITGenerator(ngf=1, n_blocks=1, light=True)), "u.pt")
    with pytest.raises(ValueError, match="u.pt is the U-GAT-IT generator, which the code of CycleGAN does not have"):
        convert("u.pt", "x.safetensors", module="CycleGAN")


@pytest.mark.parametrize("case", ["ugatit_gen_full", "ugatit_gen_light", "photo2cartoon_gen_light"])
def test_golden_weights_through_a_file(case):
    reference = golden(case)
    torch.save({"genA2B": reference.under("state.G")}, "theirs.pt")
    convert("theirs.pt", "ours.safetensors")
    with torch.no_grad():
        made = sketchgan.load("ours.safetensors")(reference.tensors["in.x"])
    torch.testing.assert_close(made, reference.tensors["out.y"], rtol=0, atol=6e-5)
    convert("ours.safetensors", "back.pt")
    back, expected = torch.load("back.pt", weights_only=True)["genA2B"], reference.under("state.G")
    assert back.keys() == expected.keys()
    assert all(torch.equal(back[key], expected[key]) for key in back)


# What is refused


def test_sizes_that_contradict_each_other_are_refused():
    networks = small("ugatit", light=False)
    official_file(networks, "theirs.pt")
    with pytest.raises(ValueError, match="image_size can be seen in the weights: it is 32, and cannot be 64"):
        convert("theirs.pt", "x.safetensors", image_size=64)
    networks["genB2A"] = UGATITGenerator(ngf=4, n_blocks=1, image_size=48)
    official_file(networks, "theirs.pt")
    with pytest.raises(ValueError, match="theirs.pt: genB2A has image_size=48, another generator 32"):
        convert("theirs.pt", "x.safetensors")
    networks = small("ugatit")
    networks["disLB"] = UGATITDiscriminator(1, ndf=2, n_layers=3)
    official_file(networks, "theirs.pt")
    with pytest.raises(ValueError, match="theirs.pt: disLB has 1 channels, which does not belong to a generator of 3"):
        convert("theirs.pt", "x.safetensors")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda s: s.update(optimizer={}), "theirs.pt holds optimizer beside networks; save the networks alone"),
        (lambda s: s.update(genA2B=torch.zeros(1)), "theirs.pt: genA2B holds a Tensor, not a state dict"),
        (lambda s: s.update(genA2B=s["disLA"]), "the tensors share or repeat their values"),
        (lambda s: s["disGA"].pop("conv1x1.bias"), "theirs.pt: disGA: 1 of .* no conv1x1.bias. Entries were removed"),
        (lambda s: s["disGA"].update(extra=torch.zeros(1)), "theirs.pt: disGA: 1 of .* unknown extra"),
        (lambda s: s["genA2B"].update({"gap_fc.weight": torch.zeros(1, 5)}), r"gap_fc.weight \(1, 5\) instead of"),
        (lambda s: s["genA2B"].update({"FC.0.weight": torch.zeros(16, 7)}), r"FC.0.weight \(16, 7\) instead of"),
        (lambda s: s.update(genA2B=s.pop("disLA")), "genA2B is the U-GAT-IT discriminator, where UGATIT has its gen"),
        (lambda s: (s.pop("genA2B"), s.pop("genB2A")), "theirs.pt holds no generator"),
        (
            lambda s: s["genA2B"].update({"FC.1.weight": s["genA2B"].pop("FC.2.weight")}),
            "theirs.pt: genA2B: FC.1.weight in place of FC.2.weight: these weights are from before 2019-08-07",
        ),
        (
            lambda s: s["disLA"].update({f"model.{3 * i + 1}.weight_orig": torch.ones(1, 1, 4, 4) for i in range(90)}),
            "disLA: the U-GAT-IT discriminator cannot be as large as these weights ask for",
        ),
    ],
)
def test_files_that_do_not_fit(change, message):
    states = official_file(small("ugatit"), "whole.pt")
    change(states)
    torch.save(states, "theirs.pt")
    with pytest.raises(SystemExit, match=f"sketchgan convert: .*{message}"):
        main(["convert", "theirs.pt", "x.safetensors"])
    assert not Path("x.safetensors").exists()


def test_code_in_a_file_is_not_run():
    class Evil:
        def __reduce__(self):
            return os.mkdir, ("owned",)

    states = official_file(small("ugatit"), "whole.pt")
    states["disLB"]["conv.weight_orig"] = Evil()
    torch.save(states, "evil.pt")
    with pytest.raises(ValueError, match=r"evil.pt asks for posix.mkdir, code that .* nothing was run"):
        convert("evil.pt", "x.safetensors")
    assert not Path("owned").exists()


def test_a_few_numbers_do_not_take_memory():
    state = {
        key: torch.zeros(1, *[1] * (value.ndim - 1)) for key, value in to_official(small("ugatit")["genA2B"]).items()
    }
    state["DownBlock.1.weight"] = torch.zeros(200_000, 1, 1, 1)
    with pytest.raises(ValueError, match="entries do not fit the U-GAT-IT generator"):
        from_official(state)  # as a network of this width it would take terabytes


@pytest.mark.parametrize("norm", ["adain", "instance", "layer", "group"])
@pytest.mark.parametrize("n_blocks", [0, 1])
def test_decoders_of_the_ablation_have_no_counterpart(norm, n_blocks):
    with pytest.raises(ValueError, match='no decoder without AdaLIN; only norm="adalin" goes back'):
        to_official(UGATITGenerator(ngf=2, n_blocks=n_blocks, light=True, norm=norm))


@pytest.mark.parametrize(
    "build", [lambda **k: UGATITGenerator(ngf=2, light=True, **k), lambda **k: UGATITDiscriminator(ndf=2, **k)]
)
def test_other_variants_have_no_counterpart(build):
    with pytest.raises(ValueError, match=r"the official PyTorch code has no UGATIT\w+\(cam=False\)"):
        to_official(build(cam=False))
    for cam in (True, False):
        with pytest.raises(ValueError, match=r'UGATIT\w+\(variant="tensorflow"\) has no counterpart'):
            to_official(build(cam=cam, variant="tensorflow"))


def test_files_of_ours_that_official_code_cannot_have():
    official_file(small("ugatit"), "theirs.pt")
    convert("theirs.pt", "ours.safetensors")
    for target in ("back.pth", "genA2B.pth", "folder"):
        with pytest.raises(
            ValueError, match=f"the code of UGATIT keeps all networks in one file: write NAME.pt, not {target}"
        ):
            convert("ours.safetensors", target)
    torch.save(to_official(ResnetGenerator(ngf=1, n_blocks=1)), "g.pth")
    convert("g.pth", "g.safetensors")
    with pytest.raises(ValueError, match="the code of CycleGAN keeps every network in a file of its own"):
        convert("g.safetensors", "g.pt")
    with pytest.raises(ValueError, match=r"theirs.pt is official weights; write them to NAME.safetensors or"):
        convert("theirs.pt", "other.pt")
    convert("ours.safetensors", "back.pt")
    with pytest.raises(FileExistsError, match="back.pt exists"):
        convert("ours.safetensors", "back.pt")
    assert not [path for path in Path().iterdir() if path.name.startswith(".") or path.is_dir()]


def test_networks_of_another_code_base_are_not_written_into_its_files():
    official_file(small("ugatit"), "theirs.pt")
    convert("theirs.pt", "ours.safetensors")
    recipe = {"class_path": "sketchgan.networks.resnet.ResnetGenerator", "init_args": {"ngf": 1, "n_blocks": 1}}
    module = UGATIT(ResnetGenerator(ngf=1, n_blocks=1), *(getattr(sketchgan.load("ours.safetensors"), name) for name in
                    ("generator_ba", "global_a", "local_a", "global_b", "local_b")))  # fmt: skip
    checkpoint = read("ours.safetensors")
    checkpoint["hyper_parameters"]["generator_ab"] = recipe
    checkpoint["state_dict"] = module.state_dict()
    torch.save(checkpoint, "mixed.ckpt")
    with pytest.raises(ValueError, match="ResnetGenerator has no counterpart in the official code of UGATIT"):
        convert("mixed.ckpt", "back.pt")


def test_a_folder_is_told_of_the_file_in_it():
    Path("model").mkdir()
    official_file(small("ugatit"), "model/selfie2anime_params_latest.pt")
    with pytest.raises(
        FileNotFoundError, match="give a file with all networks, such as .*selfie2anime_params_latest.pt"
    ):
        convert("model", "x.ckpt")


# Old weights


def test_a_missing_vector_is_what_the_power_iteration_makes_next(capsys):
    networks = small("ugatit")
    for network in networks.values():
        if isinstance(network, UGATITDiscriminator):
            network(torch.rand(2, 3, 32, 32))
    states = official_file(networks, "whole.pt")
    for name, state in states.items():
        for key in [key for key in state if key.endswith("weight_v")]:
            del state[key]
            if name == "disLA":  # and before PyTorch 1.0 the quotient was kept
                layer = key.removesuffix("weight_v")
                state[f"{layer}weight"] = state[f"{layer}weight_orig"] / 2
    torch.save(states, "old.pt")
    main(["convert", "old.pt", "ours.ckpt"])
    said = capsys.readouterr().out
    assert "entries of old.pt: disGA; 6 missing weight_v computed from weight_u" in said
    assert "entries of old.pt: disLA; 5 missing weight_v computed from weight_u" in said
    module = sketchgan.load("ours.ckpt")
    for layer in (*module.global_a.layers, module.local_a.head, module.local_b.cam.gap_fc):
        matrix = layer.weight_orig.detach().flatten(1)
        v = matrix.t() @ layer.weight_u
        torch.testing.assert_close(layer.weight_v, v / v.norm())
    x = torch.rand(2, 3, 32, 32)
    for name in ("disGA", "disLA"):  # in training the first step makes the vector anew, so nothing differs
        ours, theirs = getattr(module, OURS[name]).train(), networks[name].train()
        assert torch.equal(ours(x).score, theirs(x).score)


# TensorFlow


@pytest.mark.parametrize(
    "src", ["UGATIT.model-100.index", "UGATIT.model-100.data-00000-of-00001", "UGATIT.model-100", "."]
)
def test_tensorflow_checkpoints_are_told_what_to_do(src):
    variables = {name: value.numpy() for name, value in golden("ugatit_tf_variant").under("state.light").items()}
    write_bundle("UGATIT.model-100", variables)
    Path("UGATIT.model-100.meta").write_bytes(b"\x00")
    with pytest.raises(SystemExit, match=r"\(there: generator_B\); of U-GAT-IT's .*sketchgan.convert.from_tensorflow"):
        main(["convert", src, "x.safetensors"])
    assert same(from_tensorflow(read_tensorflow(src), "generator_B"), from_tensorflow(variables, "generator_B"))


def test_variables_of_tensorflow():
    variables = golden("ugatit_tf_variant").under("state.light")
    slots = {f"{name}/Adam": value for name, value in variables.items()} | {"beta1_power": torch.zeros(())}
    named = {f"{name}:0": value.numpy() for name, value in variables.items()}
    network = from_tensorflow({**named, **slots}, "generator_B")
    assert same(network, from_tensorflow(variables, "generator_B"))
    with pytest.raises(ValueError, match="no variables in the scope generator_A; scopes: generator_B"):
        from_tensorflow(variables, "generator_A")
    with pytest.raises(ValueError, match="1 of .* entries do not fit .* TensorFlow code: no G_logit.conv2d.bias"):
        from_tensorflow({k: v for k, v in variables.items() if k != "generator_B/G_logit/conv2d/bias"}, "generator_B")
    old = {**variables, "generator_B/CAM_logit/dense/kernel": torch.zeros(8, 1)}
    with pytest.raises(ValueError, match="CAM_logit/dense/kernel: these variables are from before 2019-08-20"):
        from_tensorflow(old, "generator_B")
    with pytest.raises(ValueError, match="has no counterpart in the official PyTorch code"):
        to_official(network)
