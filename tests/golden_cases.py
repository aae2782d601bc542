"""Reference runs of the official code: the smaller ones beside this file, all of them where SKETCHGAN_GOLDEN points."""

import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors import safe_open
from torch import Tensor

_FOLDERS = [Path(__file__).parent / "golden"]
if "SKETCHGAN_GOLDEN" in os.environ:
    _FOLDERS.append(Path(os.environ["SKETCHGAN_GOLDEN"]).resolve())


def golden_path(file: str) -> Path:
    for folder in _FOLDERS:
        if (folder / file).is_file():
            return folder / file
    pytest.skip(f"{file} is not among the committed cases, and SKETCHGAN_GOLDEN does not hold it")


@dataclass
class Golden:
    """Tensors and settings of one reference run."""

    case: dict[str, Any]
    tensors: dict[str, Tensor]

    def under(self, prefix: str) -> dict[str, Tensor]:
        """Tensors whose name starts with ``prefix.``, without it."""
        return {k[len(prefix) + 1 :]: v for k, v in self.tensors.items() if k.startswith(f"{prefix}.")}


def golden(name: str) -> Golden:
    with safe_open(golden_path(f"{name}.safetensors"), "pt") as file:
        return Golden(json.loads(file.metadata()["case"]), {key: file.get_tensor(key) for key in file.keys()})  # noqa: SIM118


def golden_json(name: str) -> Any:
    return json.loads(golden_path(f"{name}.json").read_text())


def assert_close(actual: Tensor, expected: Tensor, atol: float, what: str = "") -> None:
    torch.testing.assert_close(
        actual.to(expected.dtype), expected, rtol=0, atol=atol, msg=lambda text: f"{what}\n{text}"
    )
