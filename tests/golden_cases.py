"""Reference runs of the official code: the smaller ones beside this file, all of them where SKETCHGAN_GOLDEN points.

Some of those beside this file lack their largest tensors (see golden_subset.py); what needs them is skipped.
"""

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
    _FOLDERS.insert(0, Path(os.environ["SKETCHGAN_GOLDEN"]).resolve())


def golden_path(file: str) -> Path:
    for folder in _FOLDERS:
        if (folder / file).is_file():
            return folder / file
    pytest.skip(f"{file} is not among the committed cases, nor where SKETCHGAN_GOLDEN points", allow_module_level=True)


class _Tensors(dict[str, Tensor]):
    """Of a case that lacks some."""

    def __missing__(self, key: str) -> Tensor:
        pytest.skip(f"{key} is left out of the committed case", allow_module_level=True)


@dataclass
class Golden:
    """Tensors and settings of one reference run."""

    case: dict[str, Any]
    tensors: dict[str, Tensor]

    def under(self, prefix: str) -> dict[str, Tensor]:
        """Tensors whose name starts with ``prefix.``, without it."""
        found = {k[len(prefix) + 1 :]: v for k, v in self.tensors.items() if k.startswith(f"{prefix}.")}
        if not found and "left_out" in self.case:
            pytest.skip(f"{prefix} is left out of the committed case", allow_module_level=True)
        return found


def golden(name: str) -> Golden:
    with safe_open(golden_path(f"{name}.safetensors"), "pt") as file:
        case = json.loads(file.metadata()["case"])
        tensors = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118
    return Golden(case, _Tensors(tensors) if "left_out" in case else tensors)


def whole(name: str) -> Golden:
    """A case of which nothing is left out."""
    case = golden(name)
    if "left_out" in case.case:
        pytest.skip(f"some of {name} is left out of the committed case")
    return case


def golden_json(name: str) -> Any:
    return json.loads(golden_path(f"{name}.json").read_text())


def assert_close(actual: Tensor, expected: Tensor, atol: float, what: str = "") -> None:
    torch.testing.assert_close(
        actual.to(expected.dtype), expected, rtol=0, atol=atol, msg=lambda text: f"{what}\n{text}"
    )
