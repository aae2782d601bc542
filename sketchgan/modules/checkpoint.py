"""Reading checkpoints safely, and saying what is wrong with them."""

import re
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from sketchgan.modules.building import class_path
from sketchgan.modules.weights import SUFFIX, read_weights
from sketchgan.networks.chainer_files import array_names, read_chainer


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
    if array_names(path):
        return read_chainer(path)
    try:
        return torch.load(path, map_location="cpu", weights_only=True, mmap=_can_be_mapped(path))
    except Exception as error:
        raise ValueError(f"{path} {_what_is_wrong(path, error)}") from error


def _can_be_mapped(path: Path) -> bool:
    """Whether the tensors lie in the file as they are in memory.

    Files from before PyTorch 1.6, such as most official weights, are no archives; others may have been compressed.
    """
    if not zipfile.is_zipfile(path):
        return False
    with zipfile.ZipFile(path) as archive:
        return all(entry.compress_type == zipfile.ZIP_STORED for entry in archive.infolist())


def _what_is_wrong(path: Path, error: Exception) -> str:
    with path.open("rb") as file:
        start = file.read(64)
    if not start:
        return "is empty"
    if start.lstrip().startswith(b"<"):
        return "is a web page, not weights: the download failed"
    if start.startswith(b"version https://git-lfs"):
        return "is a pointer of Git LFS, not the file itself: fetch it with git lfs pull"
    if start[8:9] == b"{":
        return f"is a safetensors file; rename it to {path.with_suffix(SUFFIX).name}"
    if asked := re.search(r"GLOBAL ([\w.]+)", str(error)):
        return f"asks for {asked[1]}, code that weights never need; nothing was run. Save a state_dict() alone"
    if start.startswith(b"\x80") and "Unsupported operand" in str(error):
        return "holds pickled objects that are not weights, or is damaged; nothing was run"
    if start.startswith((b"PK", b"\x80")):
        return f"is cut off or damaged ({type(error).__name__}); get it again"
    return f"is not a file of weights, or is damaged ({type(error).__name__})"


def record_of(checkpoint: Any, path: Any) -> dict[str, Any]:
    """What a `GANModule` wrote of itself into a checkpoint.

    Raises:
        ValueError: if it wrote nothing, or not this.
    """
    if not isinstance(checkpoint, dict) or "sketchgan" not in checkpoint:
        keys = list(checkpoint)[:3] if isinstance(checkpoint, dict) else [type(checkpoint).__name__]
        raise ValueError(
            f"{path} was not written by a sketchgan module (it starts with {keys}); weights of official code become "
            "a file that can be loaded with: sketchgan convert OFFICIAL.pth OURS.safetensors"
        )
    record = checkpoint["sketchgan"]
    whole = (
        isinstance(record, dict)
        and isinstance(record.get("class_path"), str)
        and isinstance(record.get("injected"), dict)
        and isinstance(record.get("data"), str | None)
        and isinstance(checkpoint.get("hyper_parameters", {}), dict)
        and isinstance(checkpoint.get("state_dict"), dict)
        and all(isinstance(name, str) for name in checkpoint.get("hyper_parameters", {}))
        and all(isinstance(value, Tensor) for value in checkpoint["state_dict"].values())
        and isinstance(data_settings(checkpoint), dict)
    )
    if not whole:
        raise ValueError(f"{path} is damaged: what it says of its module is not what a sketchgan module writes")
    return record


def data_settings(checkpoint: dict[str, Any]) -> dict[str, Any]:
    """What the data module of the training run wrote into a checkpoint, for inference."""
    return checkpoint.get(checkpoint["sketchgan"].get("data"), {})


def settings_of(checkpoint: Mapping[str, Any]) -> dict[str, Any]:
    """The module's arguments, with recipes (``class_path``, ``init_args``) for networks."""
    settings = dict(checkpoint.get("hyper_parameters", {}))
    for of_lightning in ("_class_path", "_instantiator"):
        settings.pop(of_lightning, None)
    return settings


def forget_remote_files(checkpoint: dict[str, Any]) -> None:
    """Take paths with a protocol out of the callbacks' states.

    Lightning's ``ModelCheckpoint`` deletes earlier checkpoints by the paths in its state. It compares plain ones with
    its own folder, but not those with a protocol, among them ``local://`` for any folder of this machine.
    """
    states = checkpoint.get("callbacks")
    for state in states.values() if isinstance(states, dict) else ():
        if isinstance(state, dict):
            for key in ("best_model_path", "last_model_path", "kth_best_model_path"):
                if _is_remote(state.get(key)):
                    state[key] = ""
            if isinstance(best := state.get("best_k_models"), dict):
                state["best_k_models"] = {path: score for path, score in best.items() if not _is_remote(path)}


def _is_remote(path: Any) -> bool:
    return isinstance(path, str) and ("://" in path or "::" in path)


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


def refuse_other_class(cls: type, record: Mapping[str, Any]) -> None:
    """Raise if a checkpoint is of another module."""
    # By name: a script's class has another path when it is run than when it is imported.
    if record["class_path"].rpartition(".")[2] not in {base.__name__ for base in cls.__mro__}:
        raise ValueError(
            f"the checkpoint holds {record['class_path']}, not {class_path(cls)}; load it with sketchgan.load, or "
            "through its own class"
        )
