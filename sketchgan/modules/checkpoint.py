"""Reading checkpoints safely, and saying what is wrong with them."""

import importlib
import re
import sys
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from sketchgan.modules.weights import SUFFIX, read_weights

_INSTANTIATORS = (None, "lightning.pytorch.cli.instantiate_module")


def read(path: str | Path) -> Any:
    """Map a checkpoint, or weights of any origin, into memory without running anything from the file.

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: saying what is wrong with it.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"no checkpoint {path}")
    if path.suffix == SUFFIX:
        return read_weights(path)
    try:
        # Files from before PyTorch 1.6, such as most official weights, are no archives and cannot be mapped.
        return torch.load(path, map_location="cpu", weights_only=True, mmap=zipfile.is_zipfile(path))
    except Exception as error:
        raise ValueError(f"{path} {_what_is_wrong(path, error)}") from error


def _what_is_wrong(path: Path, error: Exception) -> str:
    with path.open("rb") as file:
        start = file.read(64)
    if not start:
        return "is empty"
    if start.lstrip().startswith(b"<"):
        return "is a web page, not weights: the download failed"
    if start.startswith(b"version https://git-lfs"):
        return "is a pointer of Git LFS, not the file itself: fetch it with git lfs pull"
    if asked := re.search(r"GLOBAL ([\w.]+)", str(error)):
        return f"asks for {asked[1]}, code that weights never need; nothing was run. Save a state_dict() alone"
    if start.startswith(b"\x80") and "Unsupported operand" in str(error):
        return "holds pickled objects that are not weights, or is damaged; nothing was run"
    if start.startswith((b"PK", b"\x80")):
        return f"is cut off or damaged ({type(error).__name__}); get it again"
    return f"is not a file of weights, or is damaged ({type(error).__name__})"


def record_of(checkpoint: Any, path: Any) -> dict[str, Any]:
    """What a `GANModule` wrote of itself into a checkpoint."""
    if not isinstance(checkpoint, dict) or "sketchgan" not in checkpoint:
        keys = list(checkpoint)[:3] if isinstance(checkpoint, dict) else [type(checkpoint).__name__]
        raise ValueError(
            f"{path} was not written by a sketchgan module (it starts with {keys}); weights of official code become "
            "a file that can be loaded with: sketchgan convert OFFICIAL.pth OURS.safetensors"
        )
    settings = checkpoint.get("hyper_parameters", {})
    if settings.get("_instantiator") not in _INSTANTIATORS:
        raise ValueError(f"{path} asks to run {settings['_instantiator']} when it is loaded; nothing was run")
    for named in _named_classes(settings):
        find_class(named, object)
    return checkpoint["sketchgan"]


def _named_classes(settings: Any) -> list[str]:
    """Classes that settings would have built."""
    if not isinstance(settings, Mapping):
        return [named for item in settings for named in _named_classes(item)] if isinstance(settings, list) else []
    inside = [named for value in settings.values() for named in _named_classes(value)]
    return inside + ([settings["class_path"]] if isinstance(settings.get("class_path"), str) else [])


def data_settings(checkpoint: dict[str, Any]) -> dict[str, Any]:
    """What the data module of the training run wrote into a checkpoint, for inference."""
    return checkpoint.get(checkpoint["sketchgan"].get("data"), {})


def class_path(cls: type) -> str:
    """Where a class lives."""
    return f"{cls.__module__}.{cls.__qualname__}"


def find_class(path: str, base: type = nn.Module) -> type[Any]:
    """The class of that path, from this package or from what the user has imported; nothing else is imported."""
    module, _, name = path.rpartition(".")
    if module.startswith("sketchgan."):
        importlib.import_module(module)
    found: Any = getattr(sys.modules.get(module), name, None)
    if not (isinstance(found, type) and issubclass(found, base)):
        raise ValueError(
            f"the checkpoint was written by {path}, which is not imported; import the module that defines it first "
            "(for safety nothing is imported on a checkpoint's word)"
            if base is nn.Module
            else f"the checkpoint wants {path}, which is not imported; import the module that defines it first"
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
