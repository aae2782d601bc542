"""junyanz/pytorch-CycleGAN-and-pix2pix, and the anti-aliased networks of its successor CUT.

Names of layers there beside ours. The official discriminators' names cross (``netD_A`` judges domain B); ours do not.
"""

import re
from collections.abc import Mapping
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from sketchgan.blocks import BlurDownsample, BlurUpsample, SmoothUpsample
from sketchgan.convert.official import KeyMap, OfficialNetwork, State
from sketchgan.networks import PatchDiscriminator, PixelDiscriminator, ResnetGenerator, UNetGenerator

PIX2PIX = {"G": "generator", "D": "discriminator"}
CYCLEGAN = {
    "G_A": "generator_ab",
    "G_B": "generator_ba",
    "D_A": "discriminator_b",
    "D_B": "discriminator_a",
}


def pix2pix_arguments(settings: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """What the networks of pix2pix, by our names, say of the module's arguments."""
    if "discriminator" not in settings:
        return {}
    generator = settings["generator"]
    both = generator["in_channels"] + generator["out_channels"]
    return {"conditional": settings["discriminator"]["in_channels"] == both}


def unet_keys(num_downs: int, smooth: bool = False) -> KeyMap:
    """Key map of `UNetGenerator`: official levels nest, ours stand in a row; ``smooth`` is Anime2Sketch's improved."""
    keys: KeyMap = {"model.model.0": "down.0", "model.model.3": f"up.{num_downs - 1}.1"}
    for level in range(1, num_downs):
        block = "model.model.1" + ".model.3" * (level - 1) + ".model"
        up = f"up.{num_downs - 1 - level}"
        keys[f"{block}.1"] = f"down.{level}.1"
        if level < num_downs - 1:
            keys |= {f"{block}.2": f"down.{level}.2", f"{block}.5": f"{up}.1", f"{block}.6": f"{up}.2"}
            if smooth:
                keys |= {f"{block}.5.{layer}": f"{up}.1.{layer}" for layer in ("smooth", "conv", "mlp.0", "mlp.2")}
        else:
            keys |= {f"{block}.3": f"{up}.1", f"{block}.4": f"{up}.2"}
    return keys


def resnet_keys(
    n_blocks: int,
    dropout: bool = False,
    padding: str = "reflect",
    antialias_down: bool = False,
    antialias_up: bool = False,
) -> KeyMap:
    """Key map of `ResnetGenerator`: paddings, dropout and blurs take official places of their own."""
    keys: KeyMap = {"model.1": "stem.1", "model.2": "stem.2"}
    at = 4
    for i in range(2):
        keys |= {f"model.{at}": f"down.{i}.0", f"model.{at + 1}": f"down.{i}.1"}
        if antialias_down:
            keys[f"model.{at + 3}"] = f"down.{i}.3"
        at += 4 if antialias_down else 3
    pad = 0 if padding == "zero" else 1
    second = pad + 3 + (1 if dropout else 0) + pad
    for i in range(n_blocks):
        block = f"model.{at + i}.conv_block"
        keys |= {f"{block}.{pad}": f"blocks.{i}.body.1", f"{block}.{pad + 1}": f"blocks.{i}.body.2"}
        keys |= {f"{block}.{second}": f"blocks.{i}.body.6", f"{block}.{second + 1}": f"blocks.{i}.body.7"}
    at += n_blocks
    for i in range(2):
        conv = 0
        if antialias_up:
            keys[f"model.{at}"] = f"up.{i}.0"
            at, conv = at + 1, 1
        keys |= {f"model.{at}": f"up.{i}.{conv}", f"model.{at + 1}": f"up.{i}.{conv + 1}"}
        at += 3
    keys[f"model.{at + 1}"] = "head.1"
    return keys


def patch_keys(n_layers: int, antialias: bool = False) -> KeyMap:
    """Key map of `PatchDiscriminator`."""
    count = 3 * n_layers + 3 + (n_layers if antialias else 0)
    return {f"model.{i}": str(i) for i in range(count)}


def pixel_keys() -> KeyMap:
    """Key map of `PixelDiscriminator`."""
    return {f"net.{i}": str(i) for i in range(6)}


def _convolutions(state: State) -> list[str]:
    """Convolutions that are entries of a sequence, or of a residual block in it."""
    places = re.compile(r"model\.\d{1,4}\.(conv_block\.\d{1,4}\.)?weight")
    return [key for key, value in state.items() if value.ndim == 4 and places.fullmatch(key)]


def _norm(state: State, convolution: str) -> str:
    """The norm, from a convolution whose bias the official code ties to it."""
    if any(key.endswith(".running_mean") for key in state):
        return "batch"
    return "instance" if f"{convolution}.bias" in state else "none"


def _unet(state: State) -> dict[str, Any]:
    levels = [key for key in state if re.fullmatch(r"model\.model\.1(\.model\.3)*\.model\.1\.weight", key)]
    last = "model.model.3.weight"
    smooth = any(key.endswith(".model.5.conv.weight") for key in state)
    visible = {
        "in_channels": state["model.model.0.weight"].shape[1],
        "out_channels": state[last].shape[1] if _is_4d(state, last) else 3,
        "num_downs": max(2, 1 + len(levels)),
        "ngf": state["model.model.0.weight"].shape[0],
        "norm": _norm(state, "model.model.0"),
    }
    return visible | ({"upsample": "smooth"} if smooth else {})


def _unet_assumed(state: State) -> dict[str, Any]:
    return {"dropout": 0.0 if "upsample" in _unet(state) else 0.5}


def _unet_keys(network: UNetGenerator) -> KeyMap:
    if not network.skip:
        raise ValueError("the official PyTorch code has no encoder-decoder (UNetGenerator(skip=False))")
    return unet_keys(network.num_downs, any(isinstance(module, SmoothUpsample) for module in network.modules()))


def _unet_to_torch(state: State) -> dict[str, Tensor]:
    """The blurs of the improved Anime2Sketch as ours, which interpolate too; others become other filters."""
    made = dict(state)
    for key in [key for key in state if key.endswith(".smooth.kernel")]:
        layer = key.removesuffix(".smooth.kernel")
        kernel, weight = made.pop(key), state.get(f"{layer}.conv.weight")
        if kernel.shape != (1, 1, 3, 3) or weight is None or weight.ndim != 4:
            raise ValueError(f"{key} {tuple(kernel.shape)} is no blur of 3x3 pixels in front of a convolution")
        bilinear = torch.tensor([[1.0, 3.0, 3.0, 1.0]]) / 4
        both = F.conv2d((bilinear.T @ bilinear)[None, None], kernel.float(), padding=2)
        made[f"{layer}.smooth.filt"] = both.expand(weight.shape[1], 1, 6, 6)
    return made


def _unet_to_official(state: State) -> dict[str, Tensor]:
    """The reverse of `_unet_to_torch`."""
    row = torch.tensor([[1.0, 2.0, 1.0]]) / 4
    made = {}
    for key, value in state.items():
        layer = key.removesuffix(".smooth.filt")
        if layer != key:
            made[f"{layer}.smooth.kernel"] = (row.T @ row)[None, None]
        else:
            made[key] = value
    return made


def _resnet(state: State) -> dict[str, Any]:
    blocks = sorted({int(found[1]) for key in state if (found := re.match(r"model\.(\d{1,4})\.conv_block\.", key))})
    first = f"model.{blocks[0]}.conv_block." if blocks else " "
    places = sorted(int(key.split(".")[3]) for key in _convolutions(state) if key.startswith(first))[:2]
    zero = places[:1] == [0]
    last = max(_convolutions(state), key=lambda key: int(key.split(".")[1]))
    down = "model.7.filt" in state
    visible = {
        "in_channels": state["model.1.weight"].shape[1],
        "out_channels": state[last].shape[0],
        "ngf": state["model.1.weight"].shape[0],
        "n_blocks": len(blocks),
        "norm": _norm(state, "model.1"),
        "dropout": 0.5 if len(places) == 2 and places[1] - places[0] == (4 if zero else 5) else 0.0,
        "antialias_down": down,
        "antialias_up": any(key.endswith(".filt") and key not in ("model.7.filt", "model.11.filt") for key in state)
        or (not down and "model.11.filt" in state),
    }
    return visible | ({"padding": "zero"} if zero else {})


def _resnet_assumed(state: State) -> dict[str, Any]:
    return {} if "padding" in _resnet(state) else {"padding": "reflect"}


def _resnet_keys(network: ResnetGenerator) -> KeyMap:
    bodies: list[Any] = [block.body for block in network.blocks]
    return resnet_keys(
        len(bodies),
        any(body[4].p > 0 for body in bodies),
        "zero" if any(isinstance(body[0], nn.ZeroPad2d) for body in bodies) else "reflect",
        any(isinstance(module, BlurDownsample) for module in network.down.modules()),
        any(isinstance(module, BlurUpsample) for module in network.up.modules()),
    )


def _patch(state: State) -> dict[str, Any]:
    antialias = "model.2.filt" in state
    return {
        "in_channels": state["model.0.weight"].shape[1],
        "ndf": state["model.0.weight"].shape[0],
        "n_layers": max(1, len(_convolutions(state)) - 2),
        "norm": _norm(state, "model.3" if antialias else "model.2"),
        "antialias": antialias,
    }


def _patch_keys(network: PatchDiscriminator) -> KeyMap:
    convolutions = [module for module in network if isinstance(module, nn.Conv2d)]
    return patch_keys(len(convolutions) - 2, any(isinstance(module, BlurDownsample) for module in network))


def _pixel(state: State) -> dict[str, Any]:
    first = state["net.0.weight"]
    return {"in_channels": first.shape[1], "ndf": first.shape[0], "norm": _norm(state, "net.2")}


def _nothing(state: State) -> dict[str, Any]:
    return {}


def _is_4d(state: State, key: str) -> bool:
    return key in state and state[key].ndim == 4


NETWORKS = [
    OfficialNetwork(
        "the U-Net generator (unet_256, unet_128)",
        UNetGenerator,
        lambda state: _is_4d(state, "model.model.0.weight"),
        _unet,
        _unet_assumed,
        _unet_keys,
        to_torch=_unet_to_torch,
        to_official=_unet_to_official,
    ),
    OfficialNetwork(
        "the ResNet generator (resnet_9blocks, resnet_6blocks)",
        ResnetGenerator,
        lambda state: _is_4d(state, "model.1.weight"),
        _resnet,
        _resnet_assumed,
        _resnet_keys,
        {"padding": ("reflect", "replicate")},
    ),
    OfficialNetwork(
        "the patch discriminator (basic, n_layers)",
        PatchDiscriminator,
        lambda state: _is_4d(state, "model.0.weight"),
        _patch,
        _nothing,
        _patch_keys,
    ),
    OfficialNetwork(
        "the pixel discriminator (pixel)",
        PixelDiscriminator,
        lambda state: _is_4d(state, "net.0.weight"),
        _pixel,
        _nothing,
        lambda network: pixel_keys(),
    ),
]
