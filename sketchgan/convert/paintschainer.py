"""pfnet/PaintsChainer, in Chainer: an archive of arrays for each network, whose layers have the same names here."""

import math
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from torch import nn

from sketchgan.convert.official import OfficialNetwork, State
from sketchgan.modules import GANModule
from sketchgan.modules.colouring import ColouringModule
from sketchgan.networks import PaintsChainerDiscriminator, PaintsChainerUNet
from sketchgan.networks.chainer_files import chainer_names

PAINTSCHAINER = {"unet_128_standard": "generator", "dis": "discriminator"}
REFINER = {"unet_512_standard": "generator", "unet_128_standard": "draft"}
ALONE: dict[type[nn.Module], str] = {PaintsChainerDiscriminator: "dis"}

_ENTRIES = "/(W|b|gamma|beta|avg_mean|avg_var|N)"
_OF_ANY = re.compile(rf"((c|dc|bnc|bnd)\d|l8l){_ENTRIES}")
_OF_A_UNET = re.compile(rf"(c0|dc\d|bnc0|bnd\d){_ENTRIES}")
_OF_AN_OPTIMIZER = re.compile(r".*/(W|b|gamma|beta)/[a-z]+|t|epoch")
_OF_THE_REFINER = re.compile(r"512|x2")  # unet_512_standard, and what its training script writes: cnn_x2_iter_10000


def is_paintschainer(names: Iterable[str]) -> bool:
    """Whether arrays of these names are a network of PaintsChainer."""
    return any(_OF_ANY.fullmatch(name) for name in names)


def refuse_training_state(names: Iterable[str], path: Any) -> None:
    """Raise for what Chainer writes of a training run beside the networks.

    Raises:
        ValueError: saying what to give instead.
    """
    names = list(names)
    snapshot = any(name.startswith("updater/") for name in names)
    if snapshot or (names and all(_OF_AN_OPTIMIZER.fullmatch(name) for name in names)):
        raise ValueError(
            f"{path} is {'a snapshot of a whole run' if snapshot else 'the state of an optimizer'} of Chainer; give "
            "the file of a network, which PaintsChainer's training scripts write beside it (cnn_128_iter_…, "
            "cnn_128_dis_iter_…, cnn_x2_iter_…)"
        )


def name_of(kind: type[nn.Module], settings: Mapping[str, Any], path: Path) -> str:
    """The name of a network, which for a U-Net only its file's name tells; empty if it does not.

    Raises:
        ValueError: for the line network, which is no part of a file of ours.
    """
    if kind is PaintsChainerDiscriminator:
        return "dis"
    if is_line_network(settings):
        raise ValueError(
            f"{path} is the line network, which is not converted: PaintsChainer's training takes the file as it is, as "
            "line_weights"
        )
    if _OF_THE_REFINER.search(path.name):
        return "unet_512_standard"
    return "unet_128_standard" if "128" in path.name else ""


def refuse_other_units(module: GANModule, path: Path) -> None:
    """Raise if the official code, which shows its networks levels, would show them something else than training did.

    Raises:
        ValueError: saying what can be converted.
    """
    if isinstance(module, ColouringModule) and module.units != "official":
        raise ValueError(
            f'{path} was trained with units="{module.units}", so its networks know colours as (levels - 128) / 128, '
            'but the official code shows them levels; train with units="official" what is to be written for it'
        )


def is_line_network(settings: Mapping[str, Any]) -> bool:
    """Whether a U-Net of these settings makes line art."""
    return settings.get("out_channels") == 1


def module_arguments(settings: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """Official weights know colours as YUV in 0..255."""
    return {"units": "official"}


def data_settings(settings: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """A is the line alone; the network's other inputs are the hints, or the draft."""
    return {"channels_a": 1}


def _unet(state: State) -> dict[str, Any]:
    return {
        "in_channels": _size(state, "c0/W", 1),
        "out_channels": _size(state, "dc0/W", 0),
        "ngf": _size(state, "c0/W", 0),
    }


def _discriminator(state: State) -> dict[str, Any]:
    ndf = _size(state, "c1/W", 0)
    return {
        "ndf": ndf,
        "image_size": 16 * max(1, math.isqrt(_size(state, "l8l/W", 1) // (8 * ndf))),
        "in_channels": _size(state, "c1/W", 1),
    }


def _size(state: State, name: str, axis: int) -> int:
    """Side of an array; 1 if it is not there, which is found when all of them are compared."""
    return state[name].shape[axis] if name in state and state[name].ndim > axis else 1


NETWORKS = [
    OfficialNetwork(
        "the PaintsChainer U-Net",
        PaintsChainerUNet,
        lambda state: any(_OF_A_UNET.fullmatch(name) for name in state),
        _unet,
        lambda state: {},
        chainer_names,
    ),
    OfficialNetwork(
        "the PaintsChainer discriminator",
        PaintsChainerDiscriminator,
        is_paintschainer,
        _discriminator,
        lambda state: {},
        chainer_names,
    ),
]
