"""taki0112/UGATIT, the TensorFlow code: its variables become networks with ``variant="tensorflow"``."""

import math
import re
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from sketchgan.convert.official import KeyMap, OfficialNetwork, State, recognise
from sketchgan.networks import UGATITDiscriminator, UGATITGenerator

_SLOT = re.compile(r"/(Adam|Adam_1)(:\d+)?$")  # of the optimizer


def ugatit_network(variables: Mapping[str, Any], scope: str) -> UGATITGenerator | UGATITDiscriminator:
    """Build a network of U-GAT-IT; see `sketchgan.convert.from_tensorflow`."""
    inside = {
        name.partition(":")[0].removeprefix(f"{scope}/"): torch.as_tensor(value)
        for name, value in variables.items()
        if name.startswith(f"{scope}/") and not _SLOT.search(name)
    }
    if not inside:
        scopes = ", ".join(sorted({name.partition("/")[0] for name in variables})) or "none"
        raise ValueError(f"there are no variables in the scope {scope}; scopes: {scopes}")
    if "MLP/linear_0/dense/kernel" in inside:
        inside["MLP/linear_0/dense/kernel"] = _channels_first(inside)
    state = dict(_entry(name, value, inside) for name, value in inside.items())
    network: Any = recognise(state, _NETWORKS).build()
    return network


def _entry(name: str, value: Tensor, inside: Mapping[str, Tensor]) -> tuple[str, Tensor]:
    """A variable as PyTorch has it: its name with dots, and its axes in PyTorch's order."""
    layer, _, entry = name.rpartition("/")
    if entry == "kernel":
        value = value.permute(3, 2, 0, 1) if value.ndim == 4 else value.t()
        entry = "weight_orig" if f"{layer}/u" in inside else "weight"
    elif entry == "u":
        value, entry = value.flatten(), "weight_u"
    elif "layer" in layer.rpartition("/")[2]:  # AdaLIN and ILN
        value = value.view(1, -1, 1, 1)
    elif entry in ("gamma", "beta"):
        entry = {"gamma": "weight", "beta": "bias"}[entry]
    return f"{layer.replace('/', '.')}.{entry}", value.contiguous()


def _channels_first(inside: Mapping[str, Tensor]) -> Tensor:
    """The first kernel of the style MLP, whose rows follow the map's rows, columns and channels, for channels first."""
    kernel = inside["MLP/linear_0/dense/kernel"]
    width = inside["MLP/linear_1/dense/kernel"].shape[0] if "MLP/linear_1/dense/kernel" in inside else 0
    side = math.isqrt(len(kernel) // width) if width else 0
    if side**2 * width != len(kernel):
        return kernel
    return kernel.view(side, side, width, -1).permute(2, 0, 1, 3).flatten(0, 2)


def tensorflow_generator_keys(n_blocks: int) -> KeyMap:
    """Key map of `UGATITGenerator` with ``variant="tensorflow"``; slashes are dots."""
    keys: KeyMap = {"conv.conv2d": "stem.1", "ins_norm": "stem.2"}
    for i in range(2):
        keys |= {f"conv_{i}.conv2d": f"down.{i}.1", f"ins_norm_{i}": f"down.{i}.2"}
        keys |= {f"up_conv_{i}.conv2d": f"up.{i}.2", f"layer_ins_norm_{i}": f"up.{i}.3"}
    for i in range(n_blocks):
        for n, conv in ((1, 1), (2, 6)):
            encoder, decoder = f"resblock_{i}.res{n}", f"adaptive_resblock{i}.res{n}"
            keys |= {f"{encoder}.conv_0.conv2d": f"blocks.{i}.body.{conv}"}
            keys |= {f"{encoder}.instance_norm": f"blocks.{i}.body.{conv + 1}"}
            keys |= {f"{decoder}.conv_0.conv2d": f"decoder.{i}.conv{n}"}
            keys |= {f"{decoder}.instance_layer_norm": f"decoder.{i}.norm{n}"}
    keys |= {"CAM_logit": "cam.gap_fc", "conv_1x1.conv2d": "cam.conv", "G_logit.conv2d": "head.1"}
    keys |= {"MLP.linear_0.dense": "style.0", "MLP.linear_1.dense": "style.2"}
    return keys | {"MLP.gamma.dense": "gamma", "MLP.beta.dense": "beta"}


def tensorflow_discriminator_keys(n_layers: int) -> KeyMap:
    """Key map of `UGATITDiscriminator` with ``variant="tensorflow"``; slashes are dots."""
    keys = {f"conv_{i}": f"layers.{i}" for i in range(n_layers - 2)} | {"conv_last": f"layers.{n_layers - 2}"}
    return keys | {"CAM_logit": "cam.gap_fc", "conv_1x1.conv2d": "cam.conv", "D_logit": "head"}


def _generator(state: State) -> dict[str, Any]:
    first, last = state["conv.conv2d.weight"], state["G_logit.conv2d.weight"]
    ngf, features = first.shape[0], state["MLP.linear_0.dense.weight"].shape[1]
    light = features == 4 * ngf
    return {
        "in_channels": first.shape[1],
        "out_channels": last.shape[0],
        "ngf": ngf,
        "n_blocks": len([key for key in state if re.fullmatch(r"resblock_\d{1,4}\.res1\.conv_0\.conv2d\.weight", key)]),
        "light": light,
        "image_size": 256 if light else max(4, 4 * math.isqrt(features // (4 * ngf))),
        "variant": "tensorflow",
    }


def _discriminator(state: State) -> dict[str, Any]:
    first = state["conv_0.weight_orig"]
    layers = max(1, len([key for key in state if re.fullmatch(r"conv_\d{1,4}\.weight_orig", key)]))
    return {"in_channels": first.shape[1], "ndf": first.shape[0], "n_layers": layers + 2, "variant": "tensorflow"}


def _old_generator(state: State) -> str:
    if "CAM_logit.dense.weight" not in state:
        return ""
    return (
        "CAM_logit/dense/kernel: these variables are from before 2019-08-20, when classifier and attention did not "
        "share their weights, and the networks of today cannot hold them"
    )


def _has(state: State, *keys: str) -> bool:
    return all(key in state and state[key].ndim > 1 for key in keys)


_NETWORKS = [
    OfficialNetwork(
        "the U-GAT-IT generator of the TensorFlow code",
        UGATITGenerator,
        lambda state: _has(state, "conv.conv2d.weight", "G_logit.conv2d.weight", "MLP.linear_0.dense.weight"),
        _generator,
        lambda state: {},
        lambda network: tensorflow_generator_keys(len(network.blocks)),
        old=_old_generator,
    ),
    OfficialNetwork(
        "the U-GAT-IT discriminator of the TensorFlow code",
        UGATITDiscriminator,
        lambda state: _has(state, "conv_0.weight_orig"),
        _discriminator,
        lambda state: {},
        lambda network: tensorflow_discriminator_keys(len(network.layers) + 1),
    ),
]
