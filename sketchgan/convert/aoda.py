"""Mukosame/AODA, whose domain A is the photo: official ``G_A`` draws sketches, ours is ``generator_ba``."""

import re
from collections.abc import Mapping
from typing import Any

from torch import nn

from sketchgan.convert import pix2pix_cyclegan
from sketchgan.convert.official import KeyMap, OfficialNetwork, State
from sketchgan.networks import AODAGenerator, HRNetClassifier, UNetGenerator

AODA = {
    "G_A": "generator_ba",
    "G_B": "generator_ab",
    "D_A": "discriminator_a",
    "D_B": "discriminator_b",
    "R": "classifier",
}
ALONE: dict[type[nn.Module], str] = {AODAGenerator: "G_B", HRNetClassifier: "R"}
"""Which network it is, where a file's name does not say; others are ``G_A``."""

DATA_PARALLEL = ("G_A", "G_B", "D_A", "D_B")
"""Saved from inside `torch.nn.DataParallel`, and loaded there: the official code runs on GPUs alone."""


def generator_keys(n_blocks: int) -> KeyMap:
    """Key map of `AODAGenerator`."""
    keys = {"hat.1": "stem.1", "head.0": "down.0.0", "head.3": "down.1.0"}
    for i in range(n_blocks):
        for n in (1, 2):
            theirs, ours = f"body.{i}.adain{n}", f"blocks.{i}.norm{n}"
            keys |= {f"body.{i}.conv{n}": f"blocks.{i}.conv{n}"}
            keys |= {f"{theirs}.emb": f"{ours}.classes", f"{theirs}.l1": f"{ours}.linear"}
    return keys | {"tail.0": "up.0.0", "tail.4": "up.1.0", "tail.9": "head.1"}


def classifier_keys(network: HRNetClassifier) -> KeyMap:
    """Key map of `HRNetClassifier`, whose names are the official ones."""
    return {layer: layer for layer in (key.rpartition(".")[0] for key in network.state_dict())}


def module_arguments(settings: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """What the networks, by our names, say of the module's arguments.

    Official training has a classifier only if it is told so, which its README does not.

    Raises:
        ValueError: if they are not of one system.
    """
    if "n_classes" in settings.get("generator_ba", {}):
        raise ValueError("G_A draws sketches and knows no classes, but here it does: G_B's file has its name")
    if "classifier" in settings and "n_classes" not in settings.get("generator_ab", {"n_classes": 0}):
        raise ValueError("R belongs to a G_B with classes, but here G_B has none: they are of two training runs")
    n_classes = {**settings.get("generator_ab", {}), **settings.get("classifier", {})}.get("n_classes", 0)
    untold = n_classes and "discriminator_b" in settings and "classifier" not in settings
    return {"n_classes": n_classes} | ({"lambda_class": 0.0} if untold else {})


def _generator(state: State) -> dict[str, Any]:
    first, last = state["hat.1.weight"], state.get("tail.9.weight")
    blocks = {found[1] for key in state if (found := re.match(r"body\.(\d{1,4})\.", key))}
    return {
        "n_classes": _size(state, "body.0.adain1.emb.weight", 0),
        "in_channels": first.shape[1],
        "out_channels": 3 if last is None else last.shape[0],
        "ngf": first.shape[0],
        "n_blocks": len(blocks),
    }


def _classifier(state: State) -> dict[str, Any]:
    return {
        "n_classes": _size(state, "classifier.weight", 0),
        "in_channels": _size(state, "conv1.weight", 1),
        "stem": _size(state, "conv1.weight", 0),
        "layer1": _size(state, "layer1.0.conv1.weight", 0),
        "branches": [_size(state, f"stage4.0.branches.{i}.0.conv1.weight", 0) for i in range(4)],
        "heads": [_size(state, f"incre_modules.{i}.0.conv1.weight", 0) for i in range(4)],
        "features": _size(state, "final_layer.0.weight", 0),
    }


def _size(state: State, key: str, axis: int) -> int:
    """Side of an entry; 1 if it is not there, which is found when all of them are compared."""
    return state[key].shape[axis] if key in state and state[key].ndim > axis else 1


def _are_4d(state: State, *keys: str) -> bool:
    return all(key in state and state[key].ndim == 4 for key in keys)


OWN = [
    OfficialNetwork(
        "the AODA generator of photos",
        AODAGenerator,
        lambda state: _are_4d(state, "hat.1.weight"),
        _generator,
        lambda state: {},
        lambda network: generator_keys(len(network.blocks)),
    ),
    OfficialNetwork(
        "the AODA classifier",
        HRNetClassifier,
        lambda state: _are_4d(state, "stage4.0.branches.0.0.conv1.weight", "incre_modules.0.0.conv1.weight"),
        _classifier,
        lambda state: {},
        classifier_keys,
    ),
]
NETWORKS = [*OWN, *(known for known in pix2pix_cyclegan.NETWORKS if known.network is not UNetGenerator)]
