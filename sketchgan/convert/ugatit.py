"""znxlwm/UGATIT-pytorch and minivision-ai/photo2cartoon, whose files hold six networks each."""

import math
import re
from typing import Any

from torch import nn

from sketchgan.blocks import ILN
from sketchgan.convert.official import KeyMap, OfficialNetwork, State
from sketchgan.networks import Photo2CartoonGenerator, UGATITDiscriminator, UGATITGenerator

UGATIT = {
    "genA2B": "generator_ab",
    "genB2A": "generator_ba",
    "disGA": "global_a",
    "disGB": "global_b",
    "disLA": "local_a",
    "disLB": "local_b",
}


def ugatit_generator_keys(n_blocks: int) -> KeyMap:
    """Key map of `UGATITGenerator`."""
    keys: KeyMap = {"DownBlock.1": "stem.1", "DownBlock.5": "down.0.1", "DownBlock.9": "down.1.1"}
    for i in range(n_blocks):
        encoder, decoder = f"DownBlock.{12 + i}.conv_block", f"UpBlock1_{i + 1}"
        keys |= {f"{encoder}.1": f"blocks.{i}.body.1", f"{encoder}.5": f"blocks.{i}.body.6"}
        keys |= {f"{decoder}.{layer}": f"decoder.{i}.{layer}" for layer in ("conv1", "norm1", "conv2", "norm2")}
    keys |= {"gap_fc": "cam.gap_fc", "gmp_fc": "cam.gmp_fc", "conv1x1": "cam.conv"}
    keys |= {"FC.0": "style.0", "FC.2": "style.2", "gamma": "gamma", "beta": "beta"}
    keys |= {"UpBlock2.2": "up.0.2", "UpBlock2.3": "up.0.3", "UpBlock2.7": "up.1.2", "UpBlock2.8": "up.1.3"}
    return keys | {"UpBlock2.11": "head.1"}


def ugatit_discriminator_keys(n_layers: int) -> KeyMap:
    """Key map of `UGATITDiscriminator`."""
    keys = {f"model.{1 + 3 * i}": f"layers.{i}" for i in range(n_layers - 1)}
    return keys | {"gap_fc": "cam.gap_fc", "gmp_fc": "cam.gmp_fc", "conv1x1": "cam.conv", "conv": "head"}


def _generator_keys(network: UGATITGenerator) -> KeyMap:
    stem, last_norm = network.stem[1], network.up[1][3]  # type: ignore[index]
    _refuse_variants(network, cam=network.cam, bias=stem.bias)
    if not (isinstance(last_norm, ILN) and isinstance(last_norm.rho, nn.Parameter)):
        raise ValueError('the official PyTorch code has no decoder without AdaLIN; only norm="adalin" goes back to it')
    return ugatit_generator_keys(len(network.blocks))


def _discriminator_keys(network: UGATITDiscriminator) -> KeyMap:
    _refuse_variants(network, cam=network.cam, bias=network.head.bias)
    return ugatit_discriminator_keys(len(network.layers) + 1)


def _refuse_variants(network: nn.Module, cam: Any, bias: Any) -> None:
    name = type(network).__name__
    if bias is not None:
        raise ValueError(f'{name}(variant="tensorflow") has no counterpart in the official PyTorch code')
    if cam is None:
        raise ValueError(f"the official PyTorch code has no {name}(cam=False)")


def _photo2cartoon_network_keys(network: Photo2CartoonGenerator) -> KeyMap:
    if network.levels != 4:
        raise ValueError(f"the official code has no hourglasses of {network.levels} levels, only of 4")
    return photo2cartoon_keys()


def photo2cartoon_keys() -> KeyMap:
    """Key map of `Photo2CartoonGenerator`."""
    keys: KeyMap = {"ConvBlock1.1": "stem.1", "ConvBlock2.1": "head.1"}
    for i in range(2):
        keys |= {f"DownBlock{i + 1}.1": f"down.{i}.1"}
        keys |= {f"UpBlock{i + 1}.2": f"up.{i}.2", f"UpBlock{i + 1}.3": f"up.{i}.3"}
        keys |= _hourglass_keys(f"HourGlass{i + 1}", f"hourglasses_in.{i}")
        keys |= _hourglass_keys(f"HourGlass{i + 3}", f"hourglasses_out.{i}", residual=i == 0)
    for i in range(4):
        encoder = f"EncodeBlock{i + 1}.conv_block"
        keys |= {f"{encoder}.1": f"blocks.{i}.body.1", f"{encoder}.5": f"blocks.{i}.body.6"}
        for n in (1, 2):
            theirs, ours = f"DecodeBlock{i + 1}.norm{n}", f"decoder.{i}.norm{n}"
            keys |= {f"DecodeBlock{i + 1}.conv{n}": f"decoder.{i}.conv{n}"}
            keys |= {theirs: ours, f"{theirs}.norm": f"{ours}.norm"}
            for what in ("gamma", "beta"):
                keys[f"{theirs}.s_{what}"] = f"{ours}.style_{what}"
                keys |= {f"{theirs}.c_{what}.{at}": f"{ours}.content_{what}.{at}" for at in (0, 2)}
    keys |= {"gap_fc": "cam.gap_fc", "gmp_fc": "cam.gmp_fc", "conv1x1": "cam.conv"}
    return keys | {"FC.0": "style.0", "FC.2": "style.2"}


def _hourglass_keys(theirs: str, ours: str, residual: bool = True) -> KeyMap:
    blocks = {"HG.1": "features.1"}
    for level in range(4):
        blocks |= {f"HG.0.ConvBlock{level + 1}_1": f"features.0.skip.{level}"}
        blocks |= {f"HG.0.ConvBlock{level + 1}_2": f"features.0.down.{level}"}
        blocks |= {f"HG.0.ConvBlock{level + 6}": f"features.0.up.{level}"}
    blocks["HG.0.ConvBlock5"] = "features.0.centre"
    keys = {"HG.2": "features.2", "Conv1": "draft"}
    if residual:
        keys |= {"Conv2": "from_features", "Conv3": "from_draft"}
    for block, mine in blocks.items():
        keys |= {f"{block}.ConvBlock{n + 1}.3": f"{mine}.convs.{n}.3" for n in range(3)}
        keys[f"{block}.ConvBlock4.2"] = f"{mine}.shortcut.2"
    return {f"{theirs}.{key}": f"{ours}.{mine}" for key, mine in keys.items()}


def _style_settings(state: State, ngf: int, multiple: int, least: int) -> dict[str, Any]:
    """Light or full, and the size of a full one's pictures, from the width of the style MLP."""
    features = state["FC.0.weight"].shape[1]
    if features == 4 * ngf:
        return {"light": True}
    side = 4 * math.isqrt(features // (4 * ngf))
    return {"light": False, "image_size": max(least, side - side % multiple)}


def _ugatit(state: State) -> dict[str, Any]:
    first = state["DownBlock.1.weight"]
    blocks = {found[1] for key in state if (found := re.match(r"UpBlock1_(\d{1,4})\.conv1\.weight", key))}
    return {
        "in_channels": first.shape[1],
        "out_channels": state["UpBlock2.11.weight"].shape[0],
        "ngf": first.shape[0],
        "n_blocks": len(blocks),
        **_style_settings(state, first.shape[0], multiple=4, least=4),
    }


def _photo2cartoon(state: State) -> dict[str, Any]:
    first = state["ConvBlock1.1.weight"]
    return {
        "in_channels": first.shape[1],
        "out_channels": state["ConvBlock2.1.weight"].shape[0],
        "ngf": first.shape[0],
        **_style_settings(state, first.shape[0], multiple=16, least=32),
    }


def _discriminator(state: State) -> dict[str, Any]:
    first = state["model.1.weight_orig"]
    layers = {key for key in state if re.fullmatch(r"model\.\d{1,4}\.weight_orig", key)}
    return {"in_channels": first.shape[1], "ndf": first.shape[0], "n_layers": max(3, len(layers) + 1)}


def _nothing(state: State) -> dict[str, Any]:
    return {}


def _old_generator(state: State) -> str:
    if "FC.1.weight" not in state or "FC.2.weight" in state:
        return ""
    return (
        "FC.1.weight in place of FC.2.weight: these weights are from before 2019-08-07, when the official code got "
        "the ReLUs of the style MLP; with them another network comes out, so train anew or use the code of that time"
    )


def _are_weights(state: State, layers: dict[str, int]) -> bool:
    """Whether layers have weights of so many dimensions."""
    weights = {layer: state.get(f"{layer}.weight") for layer in layers}
    return all(weight is not None and weight.ndim == layers[layer] for layer, weight in weights.items())


NETWORKS = [
    OfficialNetwork(
        "the U-GAT-IT generator",
        UGATITGenerator,
        lambda state: _are_weights(state, {"DownBlock.1": 4, "UpBlock2.11": 4, "FC.0": 2}),
        _ugatit,
        _nothing,
        _generator_keys,
        old=_old_generator,
    ),
    OfficialNetwork(
        "the photo2cartoon generator",
        Photo2CartoonGenerator,
        lambda state: _are_weights(state, {"ConvBlock1.1": 4, "ConvBlock2.1": 4, "FC.0": 2}),
        _photo2cartoon,
        _nothing,
        _photo2cartoon_network_keys,
    ),
    OfficialNetwork(
        "the U-GAT-IT discriminator",
        UGATITDiscriminator,
        lambda state: "model.1.weight_orig" in state and state["model.1.weight_orig"].ndim == 4,
        _discriminator,
        _nothing,
        _discriminator_keys,
    ),
]
