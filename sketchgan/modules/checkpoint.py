"""Reading checkpoints safely, and saying what is wrong with them."""

import importlib
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn


def read(path: str | Path) -> Any:
    """Map a checkpoint into memory without running anything from it."""
    if not Path(path).is_file():
        raise FileNotFoundError(f"no checkpoint {path}")
    try:
        return torch.load(path, map_location="cpu", weights_only=True, mmap=True)
    except Exception as error:
        raise ValueError(
            f"{path} is not a checkpoint that can be loaded safely (weights_only=True): {error}"
        ) from error


def record_of(checkpoint: Any, path: Any) -> dict[str, Any]:
    """What a `GANModule` wrote of itself into a checkpoint."""
    if not isinstance(checkpoint, dict) or "sketchgan" not in checkpoint:
        keys = list(checkpoint)[:3] if isinstance(checkpoint, dict) else [type(checkpoint).__name__]
        raise ValueError(
            f"{path} was not written by a sketchgan module (it starts with {keys}); weights alone, such as those of "
            "official code, are not a checkpoint"
        )
    return checkpoint["sketchgan"]


def data_settings(checkpoint: dict[str, Any]) -> dict[str, Any]:
    """What the data module of the training run wrote into a checkpoint, for inference."""
    return checkpoint.get(checkpoint["sketchgan"].get("data"), {})


def class_path(cls: type) -> str:
    """Where a class lives."""
    return f"{cls.__module__}.{cls.__qualname__}"


def find_class(path: str) -> type[nn.Module]:
    """The class of that path, from this package or from what the user has imported; nothing else is imported."""
    module, _, name = path.rpartition(".")
    if module.startswith("sketchgan."):
        importlib.import_module(module)
    found: Any = getattr(sys.modules.get(module), name, None)
    if not (isinstance(found, type) and issubclass(found, nn.Module)):
        raise ValueError(
            f"the checkpoint was written by {path}, which is not imported; import the module that defines it first "
            "(for safety nothing is imported on a checkpoint's word)"
        )
    return found


def is_plain(value: Any) -> bool:
    """Whether a hyperparameter may go into a checkpoint as it is."""
    if isinstance(value, Mapping):
        return all(is_plain(item) for pair in value.items() for item in pair)
    if isinstance(value, list | tuple | set):
        return all(is_plain(item) for item in value)
    # By exact type: a NumPy float is a float too, but does not load with weights_only.
    return value is None or type(value) in (bool, int, float, complex, str, bytes)


def compare_weights(module: nn.Module, state: Mapping[str, Tensor], absent: Mapping[str, str]) -> None:
    """Raise if weights do not fit a module.

    Args:
        module: to be filled.
        state: weights by name.
        absent: constructor arguments (and their classes' paths) that were objects when the weights were saved, and
            were not given now.

    Raises:
        ValueError: with a few of the differences and their likely cause.
    """
    ours = module.state_dict()
    missing, unknown = ours.keys() - state.keys(), state.keys() - ours.keys()
    differ = [key for key in ours.keys() & state.keys() if ours[key].shape != state[key].shape]
    if not (missing or unknown or differ):
        return
    if absent:
        given = ", ".join(f"{name}={path.rpartition('.')[2]}(…)" for name, path in sorted(absent.items()))
        raise ValueError(
            f"the checkpoint was made with networks passed as objects, which it does not store; pass them again: "
            f"load_from_checkpoint(path, {given})"
        )
    examples = [f"no {key} in the checkpoint" for key in sorted(missing)[:2]]
    examples += [f"{key} only in the checkpoint" for key in sorted(unknown)[:2]]
    examples += [f"{key} {tuple(state[key].shape)} there, {tuple(ours[key].shape)} here" for key in sorted(differ)[:2]]
    count = len(missing) + len(unknown) + len(differ)
    raise ValueError(
        f"{count} weights do not fit {type(module).__name__}: {'; '.join(examples)}. Build the module with the "
        "networks that the checkpoint was trained with"
    )
