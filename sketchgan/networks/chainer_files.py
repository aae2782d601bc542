"""Archives of arrays by name, as numpy.savez and Chainer's serializers write them; nothing in them is unpickled."""

import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

_MOST_UNPACKED = 200  # times the size of an archive: weights do not shrink to less

_NORM = {
    "weight": "gamma",
    "bias": "beta",
    "running_mean": "avg_mean",
    "running_var": "avg_var",
    "num_batches_tracked": "N",  # which Chainer counts only while it recomputes the statistics, and reads nowhere else
}
_OTHERS = {"weight": "W", "bias": "b"}


def array_names(path: Path) -> list[str]:
    """Names of the arrays in an archive, whatever its own name ends in; none if the file is no such archive."""
    if not path.is_file() or not zipfile.is_zipfile(path):
        return []
    with zipfile.ZipFile(path) as archive:
        files = archive.namelist()
    return [name.removesuffix(".npy") for name in files] if all(name.endswith(".npy") for name in files) else []


def read_arrays(path: Path, wanted: Callable[[str], bool] = lambda name: True) -> dict[str, np.ndarray]:
    """Read arrays of numbers by name.

    Args:
        path: of the archive, compressed or not.
        wanted: which names to read; all by default.

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: if it is cut off, damaged, or holds objects among those that are wanted.
    """
    if not path.is_file():
        raise FileNotFoundError(f"no file {path}")
    if not zipfile.is_zipfile(path):
        raise ValueError(f"{path} is cut off, or no archive of arrays as numpy.savez writes it")
    try:
        with zipfile.ZipFile(path) as archive:
            unpacked = sum(entry.file_size for entry in archive.infolist())
        if unpacked > _MOST_UNPACKED * path.stat().st_size:
            raise ValueError(f"it would unpack to {unpacked} bytes")
        with np.load(path, allow_pickle=False) as arrays:
            variables = {name: np.asarray(arrays[name]) for name in arrays.files if wanted(name)}
        if others := [name for name, value in variables.items() if value.dtype.kind not in "biuf"]:
            raise ValueError(f"{others[0]} is no array of numbers")
        return variables
    except Exception as error:  # zipfile, zlib and NumPy have many of their own
        raise ValueError(f"{path} is damaged, or holds more than arrays of numbers: {error}") from error


def chainer_names(network: nn.Module) -> dict[str, str]:
    """What Chainer calls the entries of a network whose layers have the same names there: its name → ours.

    Weights have the same axes in both.
    """
    layers = dict(network.named_modules())
    names = {}
    for key in network.state_dict():
        layer, _, entry = key.rpartition(".")
        entries = _NORM if isinstance(layers[layer], _BatchNorm) else _OTHERS
        names[f"{layer.replace('.', '/')}/{entries[entry]}"] = key
    return names


def read_chainer(path: str | Path) -> dict[str, Tensor]:
    """What ``chainer.serializers.save_npz`` wrote of a network, under the names of PyTorch.

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: if it is cut off, damaged, or holds objects.
    """
    ours = {theirs: entry for entries in (_NORM, _OTHERS) for entry, theirs in entries.items()}
    state = {}
    for name, array in read_arrays(Path(path)).items():
        layer, _, entry = name.rpartition("/")
        state[f"{layer.replace('/', '.')}.{ours[entry]}" if entry in ours else name] = torch.as_tensor(array)
    return state
