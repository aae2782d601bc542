"""Weights and settings in one safetensors file: enough for inference, and if all networks are in, for training."""

import json
import os
import tempfile
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

SUFFIX = ".safetensors"


class Absent(nn.Module):
    """Stands where a module has a network that its file of weights has not.

    Args:
        name: of the network.
        source: the file.
    """

    def __init__(self, name: str, source: str) -> None:
        super().__init__()
        self.name = name
        self.source = source

    def forward(self, *args: Any) -> Any:
        raise ValueError(f"{self.source} holds no {self.name}, which this needs; load a file with all networks")


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A file to write in place of another, which it becomes if all goes well; otherwise nothing is left of it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".", dir=path.parent) as folder:
        unfinished = Path(folder, path.name)
        yield unfinished
        os.replace(unfinished, path)


def write_weights(path: Path, state: Mapping[str, Tensor], record: Mapping[str, Any]) -> None:
    """Write weights and what belongs to them.

    Args:
        path: of the file.
        state: the module's weights by name; networks may be missing as a whole.
        record: plain values: ``class_path`` and ``hyper_parameters`` of the module, and ``data``, the settings of the
            data module.

    Raises:
        ValueError: if a value cannot be written as JSON.
    """
    try:
        metadata = {"format": "pt", "sketchgan": json.dumps(record)}
    except TypeError as error:
        raise ValueError(f"{path} cannot hold all settings of the module: {error}") from error
    with replacing(path) as unfinished:
        unfinished.touch()
        mode = unfinished.stat().st_mode  # what the user's umask allows; safetensors allows nobody else to read
        save_file({name: tensor.detach().contiguous() for name, tensor in state.items()}, unfinished, metadata)
        unfinished.chmod(mode)


def read_weights(path: Path) -> dict[str, Any]:
    """A safetensors file in the form of a checkpoint; of one that is not ours, the weights alone.

    Raises:
        ValueError: if it is damaged.
    """
    try:
        with safe_open(path, "pt") as file:
            metadata = file.metadata() or {}
            state = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118
        if "sketchgan" not in metadata:
            return state
        record = json.loads(metadata["sketchgan"])
        return {
            "state_dict": state,
            "hyper_parameters": record["hyper_parameters"],
            "sketchgan": {"class_path": record["class_path"], "injected": {}, "data": "data_settings"},
            "data_settings": record["data"],
        }
    except (SafetensorError, json.JSONDecodeError, KeyError, TypeError, RecursionError) as error:
        with path.open("rb") as opened:
            if opened.read(2) in (b"PK", b"\x80\x02"):
                raise ValueError(f"{path} was written by torch.save; rename it to {path.stem}.pth") from error
        raise ValueError(f"{path} is damaged, or not a safetensors file: {error}") from error


def fill_up(module: nn.Module, state: Mapping[str, Tensor], given: Collection[str], source: str) -> dict[str, Tensor]:
    """Put `Absent` for every network of which there is no weight, and which is not given.

    Returns:
        The weights, and those of the networks that were given in place of absent ones.

    Raises:
        ValueError: if there are no weights at all.
    """
    present = {key.partition(".")[0] for key in state}
    if not present:
        raise ValueError(f"{source} holds no weights")
    weights = dict(state)
    for name, network in list(module.named_children()):
        if name not in present and network.state_dict():
            if name in given:
                weights |= {f"{name}.{key}": value for key, value in network.state_dict().items()}
            else:
                setattr(module, name, Absent(name, source))
    return weights
