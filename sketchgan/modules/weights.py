"""Weights and settings in one safetensors file: enough for inference, and if all networks are in, for training."""

import json
import os
from collections.abc import Mapping
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


def write_weights(path: Path, state: Mapping[str, Tensor], record: Mapping[str, Any]) -> None:
    """Write weights and what belongs to them; an interrupted writing leaves no file of that name.

    Args:
        path: of the file.
        state: the module's weights by name; networks may be missing as a whole.
        record: plain values: ``class_path`` and ``hyper_parameters`` of the module, and ``data``, the settings of the
            data module.
    """
    unfinished = path.with_name(path.name + ".part")
    metadata = {"format": "pt", "sketchgan": json.dumps(record)}
    unfinished.touch()
    mode = unfinished.stat().st_mode  # what the user's umask allows; safetensors allows nobody else to read
    save_file({name: tensor.detach().contiguous() for name, tensor in state.items()}, unfinished, metadata)
    unfinished.chmod(mode)
    os.replace(unfinished, path)


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
            "weights_only": True,
        }
    except (SafetensorError, json.JSONDecodeError, KeyError, TypeError) as error:
        raise ValueError(f"{path} is damaged, or not a safetensors file: {error}") from error


def mark_absent(module: nn.Module, state: Mapping[str, Tensor], source: str) -> None:
    """Put `Absent` for every network of which there is no weight."""
    present = {key.partition(".")[0] for key in state}
    for name, network in list(module.named_children()):
        if name not in present and next(network.parameters(), None) is not None:
            setattr(module, name, Absent(name, source))
