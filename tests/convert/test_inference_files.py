"""Files for inference alone, and modules that no official code has."""

from pathlib import Path

import pytest
import torch
from training import save

import sketchgan
from sketchgan import CycleGAN, Style2Paints
from sketchgan.cli import main
from sketchgan.convert import convert
from sketchgan.convert.lean import for_inference
from sketchgan.modules.checkpoint import read
from sketchgan.modules.weights import Absent
from sketchgan.networks import (
    PatchDiscriminator,
    ResnetGenerator,
    Style2PaintsDiscriminator,
    Style2PaintsGenerator,
    UNetGenerator,
)

RECIPE = "sketchgan.networks.style2paints.Style2Paints"


def painter(guides="two", **settings):
    """A module as the command line builds it: its networks are recipes."""
    networks = {
        "generator": Style2PaintsGenerator(64, 4 if settings.get("colour_hints") else 1, ngf=1, mid=48, guides=guides),
        "discriminator": Style2PaintsDiscriminator(64, ndf=2, logit=True),
    }
    module = Style2Paints(style="openmoji", **networks, **settings)
    recipes = {
        "generator": {
            "class_path": f"{RECIPE}Generator",
            "init_args": {
                "hint_dim": 64,
                "in_channels": 4 if settings.get("colour_hints") else 1,
                "ngf": 1,
                "mid": 48,
                "guides": guides,
            },
        },
        "discriminator": {
            "class_path": f"{RECIPE}Discriminator",
            "init_args": {"outputs": 64, "ndf": 2, "logit": True},
        },
    }
    module._remember(recipes, {})
    return module


@pytest.mark.parametrize("guides", ["two", "all", "none"])
def test_a_painter_without_its_guides(guides, capsys):
    module = painter(guides, colour_hints=True).eval()
    save(module, "last.ckpt")
    main(["convert", "last.ckpt", "painter.safetensors", "--inference"])
    lean = sketchgan.load("painter.safetensors")
    assert f"Style2Paints: {len(lean.generator.state_dict())} entries" in capsys.readouterr().out
    assert type(lean) is Style2Paints
    assert type(lean.discriminator) is Absent
    assert lean.generator.guides == ()
    assert not [key for key in read("painter.safetensors")["state_dict"] if "guide" in key or "discriminator" in key]
    assert lean.generator.state_dict().keys() == painter("none").generator.state_dict().keys()
    assert lean.hparams["generator"]["init_args"]["mid"] == 48
    a, style, hints = torch.rand(2, 1, 32, 64) * 2 - 1, torch.randn(2, 64), torch.rand(2, 4, 32, 64)
    with torch.no_grad():
        assert torch.equal(lean(a, style, hints), module(a, style, hints))
    assert Path("painter.safetensors").stat().st_size < Path("last.ckpt").stat().st_size
    convert("last.ckpt", "whole.safetensors")
    whole = sketchgan.load("whole.safetensors")
    assert whole.generator.guides == module.generator.guides
    assert type(whole.discriminator) is Style2PaintsDiscriminator
    with pytest.raises(ValueError, match="needs all networks, and there is no discriminator"):
        convert("painter.safetensors", "again.ckpt")


def test_a_default_painter_gets_a_recipe():
    with torch.device("meta"):
        module = Style2Paints(style="openmoji", colour_hints=True)
        state, settings = for_inference(module, {"style": "openmoji", "colour_hints": True})
        again = Style2PaintsGenerator(**settings["generator"]["init_args"])
    assert settings["generator"]["class_path"] == f"{RECIPE}Generator"
    assert settings["generator"]["init_args"] == {"hint_dim": 64, "in_channels": 4, "guides": "none"}
    assert {f"generator.{key}" for key in again.state_dict()} == state.keys()


def test_other_modules_lose_their_discriminators_alone():
    networks = {
        "generator_ab": ResnetGenerator(ngf=2, n_blocks=1),
        "generator_ba": ResnetGenerator(ngf=2, n_blocks=1),
        "discriminator_a": PatchDiscriminator(3, ndf=2),
        "discriminator_b": PatchDiscriminator(3, ndf=2),
    }
    module = CycleGAN(**networks)
    recipes = {name: {"class_path": f"{type(net).__module__}.{type(net).__name__}"} for name, net in networks.items()}
    for name, recipe in recipes.items():
        small = {"ngf": 2, "n_blocks": 1} if name.startswith("generator") else {"ndf": 2}
        recipe["init_args"] = {"in_channels": 3, **small}
    module._remember(recipes, {})
    save(module, "last.ckpt")
    convert("last.ckpt", "lean.safetensors", inference=True)
    lean = sketchgan.load("lean.safetensors")
    kept = {key for key in module.state_dict() if key.startswith("generator_")}
    assert read("lean.safetensors")["state_dict"].keys() == kept
    assert lean.directions == ("AtoB", "BtoA")
    with torch.no_grad():
        x = torch.zeros(1, 3, 32, 32)
        assert torch.equal(lean.generator_ba(x), module.generator_ba(x))


def test_where_there_is_nothing_to_leave_out():
    save(painter(), "last.ckpt")
    for target in ("again.ckpt", "OFFICIAL", "latest_net_G.pth"):
        with pytest.raises(ValueError, match=rf"a file for inference alone is NAME.safetensors, not {target}"):
            convert("last.ckpt", target, inference=True)
    torch.save(UNetGenerator(num_downs=5, ngf=2).state_dict(), "theirs.pth")
    with pytest.raises(ValueError, match="theirs.pth is official weights, of which inference is no option"):
        convert("theirs.pth", "x.safetensors", inference=True)


@pytest.mark.parametrize("target", ["OFFICIAL", "latest_net_G.pth", "theirs.npz", "theirs.pt"])
def test_style2paints_has_no_official_code(target):
    save(painter(), "last.ckpt")
    with pytest.raises(SystemExit, match="last.ckpt is of Style2Paints, for which there is no official code"):
        main(["convert", "last.ckpt", target])
    assert not Path(target).exists()
    with pytest.raises(ValueError, match="Style2PaintsGenerator has no counterpart in official code"):
        sketchgan.convert.to_official(Style2PaintsGenerator(4, ngf=1, mid=4))
