"""wchen342/SketchyGAN, the TensorFlow code: variables of one checkpoint become two networks, and back."""

import math
import re
from collections.abc import Iterable, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from sketchgan.blocks import MRU
from sketchgan.convert.official import KeyMap, OfficialNetwork, State
from sketchgan.data import SKETCHYGAN_CLASSES
from sketchgan.networks import SketchyGANDiscriminator, SketchyGANGenerator

SKETCHYGAN = {"generator": "generator", "discriminator": "discriminator"}

_LEFT_OUT = {
    "optimizer state": re.compile(r".*/(Adam|RMSProp|Adadelta|Adagrad)(_1)?|beta[12]_power(_\d+)?"),
    "counters": re.compile(r"Variable(_\d+)?|global_step"),
    "variables of InceptionV4": re.compile(r"InceptionV4/.*"),
}

_V3 = {
    "norm_activation_in": "norm_in",
    "update_gate": "gate",
    "Conv": "read",
    "norm_activation_merge_1": "norm_merged",
    "Conv_1": "conv1 norm1",
    "Conv_2": "conv2",
    "Conv_3": "project",
}
_V2 = {
    "Conv": "gate_in",
    "Conv_1": "gate_out",
    "Conv_2": "conv1 norm1",
    "Conv_3": "conv2 norm2",
    "Conv_4": "project norm_project",
}
"""Scopes of a block: ours, and where two of our layers share one, both."""

_ENTRIES = {
    "weights": ("weight", "weight_orig"),
    "biases": ("bias",),
    "{scope}/u": ("weight_u",),  # the official code repeats the scope in it
    "offset": ("norm.offset",),
    "scale": ("norm.scale",),
    "prelu/param": ("activation.slope", "slope"),
}


def left_out(name: str) -> str:
    """What a variable is that no network has; empty for any other."""
    return next((what for what, pattern in _LEFT_OUT.items() if pattern.fullmatch(name)), "")


def networks_of(variables: Mapping[str, Any]) -> tuple[dict[str, dict[str, Tensor]], list[str]]:
    """The networks that are in the variables of a checkpoint, and what else there is.

    Args:
        variables: arrays by name.

    Returns:
        Variables of the scopes ``generator`` and ``discriminator``, as far as they are there; names that belong to
        neither, and are nothing that could be left out.
    """
    networks: dict[str, dict[str, Tensor]] = {}
    unknown = []
    for full_name, value in variables.items():
        name = full_name.partition(":")[0]  # as TensorFlow's variables call themselves
        scope = name.partition("/")[0]
        if left_out(name):
            continue
        if scope in SKETCHYGAN:
            networks.setdefault(scope, {})[name] = torch.as_tensor(value)
        else:
            unknown.append(name)
    return networks, unknown


# Layout: convolutions HWIO, linear maps (in, out), biases of convolutions (1, C, 1, 1), power iterations (1, C)


def _to_torch(state: State) -> dict[str, Tensor]:
    """Values in PyTorch's layout, under their official names."""
    return {name: _first_to_last(name, value).contiguous() for name, value in state.items()}


def _first_to_last(name: str, value: Tensor) -> Tensor:
    if name.endswith("/weights") and value.ndim == 4:
        return value.permute(3, 2, 0, 1)
    if name.endswith("/fully_connected/weights") and value.ndim == 2:
        return value.t()
    return value.flatten() if name.endswith(("/biases", "/u")) else value


def _to_tensorflow(state: State) -> dict[str, Tensor]:
    """Values in the official layout; the reverse of `_to_torch`."""
    return {name: _last_to_first(name, value, state).contiguous() for name, value in state.items()}


def _last_to_first(name: str, value: Tensor, state: State) -> Tensor:
    if name.endswith("/weights") and value.ndim == 4:
        return value.permute(2, 3, 1, 0)
    if name.endswith("/fully_connected/weights"):
        return value.t()
    if name.endswith("/u"):
        return value.view(1, -1)
    if name.endswith("/biases") and state[f"{name.removesuffix('biases')}weights"].ndim == 4:
        return value.view(1, -1, 1, 1)
    return value


# Names


def generator_keys(network: SketchyGANGenerator) -> KeyMap:
    """Names of variables beside ours, of the whole generator.

    Raises:
        ValueError: if the official code has no such generator.
    """
    kinds = [(unit, "v3") for unit in network.encoder] + [(unit, "v2") for unit in network.decoder]
    if not network.skips or any(_kind(unit) != kind for unit, kind in kinds):
        raise ValueError(
            'the official code has no other SketchyGANGenerator than that of encoder="v3", decoder="v2" and skips=True'
        )
    scopes = {"Conv": "stem", "fully_connected": "spread norm_noise", "Conv_1": "head"}
    scopes |= _units("mru_conv_unit_t_{}_layer_{}", network.encoder, "encoder", _V3, range(1, 5))
    scopes |= {"mru_conv_unit_last_norm": "encoder.3.norm_last"}
    scopes |= _units("mru_deconv_unit_t_{}_layer_{}", network.decoder, "decoder", _V2, range(0, 10, 2))
    return _variables("generator", scopes, network)


def discriminator_keys(network: SketchyGANDiscriminator) -> KeyMap:
    """Names of variables beside ours, of the whole discriminator.

    Raises:
        ValueError: if the official code has no such discriminator.
    """
    if any(_kind(unit) != "v3" for unit in network.units):
        raise ValueError('the official code has no other SketchyGANDiscriminator than that of block="v3"')
    scopes = {"Conv": "stem stem_activation", "fully_connected": "classify", "embedding": "embed", "Conv_1": "score"}
    scopes |= _units("mru_conv_unit_t_{}_layer_{}", network.units, "units", _V3, range(1, 5))
    scopes |= {"mru_conv_unit_last_norm": "units.3.norm_last"}
    return _variables("discriminator", scopes, network)


def _kind(unit: Any) -> str:
    block = unit.blocks[0]
    return "v3" if isinstance(block, MRU) else getattr(block, "kind", "")


def _units(pattern: str, units: Iterable[Any], ours: str, layers: Mapping[str, str], counts: range) -> dict[str, str]:
    return {
        f"{pattern.format(count, k)}/{scope}": " ".join(f"{ours}.{i}.blocks.{k}.{layer}" for layer in both.split())
        for i, (unit, count) in enumerate(zip(units, counts, strict=True))
        for k in range(len(unit.blocks))
        for scope, both in layers.items()
    }


def _variables(root: str, scopes: Mapping[str, str], network: nn.Module) -> KeyMap:
    """All variables that scopes may have, as far as the network has them."""
    entries = network.state_dict()
    return {
        f"{root}/{scope}/{variable.format(scope=f'{root}/{scope}')}": f"{layer}.{entry}"
        for scope, layers in scopes.items()
        for layer in layers.split()
        for variable, choices in _ENTRIES.items()
        for entry in choices
        if f"{layer}.{entry}" in entries
    }


# Settings


def module_arguments(settings: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """What the networks, by our names, say of the module's arguments.

    Without spectral norm the official code trains with DRAGAN's loss, or if told so with WGAN's, which do not show.
    """
    return {} if settings.get("discriminator", {}).get("spectral_norm", True) else {"adversarial": "dragan"}


def data_settings(settings: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """What `sketchgan.data.Mixture` would write: how drawings were prepared, and the classes, if they are the usual."""
    generator = settings["generator"]
    data: dict[str, Any] = {}
    if generator["in_channels"] == 3:
        data["sketch"] = {"image_size": generator["image_size"], "form": "distance", "drawing_size": 256}
    if generator["n_classes"] == len(SKETCHYGAN_CLASSES):
        data["classes"] = list(SKETCHYGAN_CLASSES)
    return data


def _generator(state: State) -> dict[str, Any]:
    ngf = _size(state, "generator/mru_conv_unit_t_1_layer_0/Conv_1/weights", 0)
    noise_values = _size(state, "generator/fully_connected/weights", 0)
    return {
        "n_classes": _size(state, "generator/mru_conv_unit_last_norm/offset", 0),
        "ngf": ngf,
        "image_size": max(32, 16 * math.isqrt(noise_values // ngf) // 32 * 32),
        "in_channels": _size(state, "generator/Conv/weights", 1),
        "out_channels": _size(state, "generator/Conv_1/weights", 0),
        "noise_dim": _size(state, "generator/fully_connected/weights", 1),
        "n_blocks": _n_blocks(state, "generator"),
    }


def _discriminator(state: State) -> dict[str, Any]:
    projection = any(name.startswith("discriminator/embedding/") for name in state)
    return {
        "n_classes": _size(state, f"discriminator/{'embedding' if projection else 'fully_connected'}/weights", 0),
        "ndf": max(1, _size(state, "discriminator/mru_conv_unit_t_1_layer_0/Conv_1/weights", 0) // 2),
        "in_channels": _size(state, "discriminator/Conv/weights", 1),
        "spectral_norm": any(name.endswith("/u") for name in state),
        "projection": projection,
        "n_blocks": _n_blocks(state, "discriminator"),
    }


def _size(state: State, name: str, axis: int) -> int:
    """Side of a variable; 1 if it is not there, which is found when all of them are compared."""
    return state[name].shape[axis] if name in state and state[name].ndim > axis else 1


def _n_blocks(state: State, root: str) -> int:
    pattern = re.compile(root + r"/mru_conv_unit_t_1_layer_(\d{1,4})/")
    return max(1, len({found[1] for name in state if (found := pattern.match(name))}))


NETWORKS = [
    OfficialNetwork(
        "the SketchyGAN generator",
        SketchyGANGenerator,
        lambda state: any(name.startswith("generator/") for name in state),
        _generator,
        lambda state: {},
        generator_keys,
        to_torch=_to_torch,
        to_official=_to_tensorflow,
    ),
    OfficialNetwork(
        "the SketchyGAN discriminator",
        SketchyGANDiscriminator,
        lambda state: any(name.startswith("discriminator/") for name in state),
        _discriminator,
        lambda state: {},
        discriminator_keys,
        to_torch=_to_torch,
        to_official=_to_tensorflow,
    ),
]
