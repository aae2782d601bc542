"""Weights that others trained: downloaded or read from a local file, never unpickled."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from sketchgan.networks.chainer_files import array_names, read_chainer


def fetched(make: Callable[[], Any], *urls: str, otherwise: str, files: Sequence[str] | None = None) -> Any:
    """Build a network whose weights may have to be downloaded, with an error that says what to do offline.

    Args:
        make: builds it.
        *urls: what it may download.
        otherwise: what else helps, for instance "give its path as weights".
        files: their names in torch.hub's folder, if they are not those in the addresses.

    Raises:
        FileNotFoundError: if the download fails.
    """
    try:
        return make()
    except OSError as error:  # URLError, timeouts
        places = [str(_hub_path(name)) for name in files or [Path(url).name for url in urls]]
        raise FileNotFoundError(
            f"cannot download {' and '.join(urls)} ({error}); fetch it elsewhere and put it at {' and '.join(places)}, "
            f"or {otherwise}"
        ) from error


def hub_file(url: str, name: str) -> Path:
    """Where a file lies in torch.hub's folder of checkpoints, downloaded if it is not there yet."""
    path = _hub_path(name)
    if not path.is_file():
        path.parent.mkdir(parents=True, exist_ok=True)
        torch.hub.download_url_to_file(url, str(path))
    return path


def _hub_path(name: str) -> Path:
    return Path(torch.hub.get_dir(), "checkpoints", name)


def read_weights(path: str | Path) -> Any:
    """What a local file of weights holds: ``.safetensors``, an archive of Chainer's, or anything that torch saved.

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: if it holds more than tensors and plain values.
    """
    if not Path(path).is_file():
        raise FileNotFoundError(f"no weights {path}")
    if Path(path).suffix == ".safetensors":
        try:
            return load_file(path)
        except Exception as error:
            raise ValueError(f"{path} is no readable safetensors file: {error}") from error
    if Path(path).suffix == ".npz" or array_names(Path(path)):
        return read_chainer(path)
    try:
        return torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:
        raise ValueError(f"{path} cannot be loaded safely as weights (weights_only=True): {error}") from error


def weights_of(path: str | Path | None, url: str) -> Any:
    """What a local file of weights holds, or by default one that is downloaded once.

    Raises:
        FileNotFoundError: if there is no such file, or it cannot be downloaded.
        ValueError: if it holds more than tensors and plain values.
    """
    if path is not None:
        return read_weights(path)
    return fetched(
        lambda: torch.hub.load_state_dict_from_url(url, map_location="cpu", weights_only=True),
        url,
        otherwise="give its path as weights",
    )


def generator_weights(path: str | Path) -> dict[str, Tensor]:
    """Weights of a network by its own names, also from a checkpoint of a module that has it as ``generator``.

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: if it holds more than tensors and plain values, or no weights.
    """
    state = read_weights(path)
    if isinstance(state, dict) and isinstance(state.get("state_dict"), dict):
        state = state["state_dict"]
    if not isinstance(state, dict):
        raise ValueError(f"{path} holds no state dict")
    prefix = "generator."
    own = {key.removeprefix(prefix): value for key, value in state.items() if str(key).startswith(prefix)}
    return own or state


def load_weights(network: nn.Module, state: Any, path: str | Path, remedy: str = "", assign: bool = False) -> None:
    """Load a state dict strictly; only the batch counters of batch norm may be missing.

    Args:
        network: to load into.
        state: what `read_weights` returned.
        path: of the file, to name it.
        remedy: what to do if it is the wrong one.
        assign: take the tensors themselves, for a network that has no memory yet.

    Raises:
        ValueError: if it is no state dict of that network.
    """
    remedy = remedy and f"; {remedy}"
    if not isinstance(state, dict):
        raise ValueError(f"{path} holds no state dict{remedy}")
    expected = network.state_dict()
    counters = {key for key in expected if key.endswith(".num_batches_tracked")}
    wrong = {
        "missing": [key for key in expected if key not in state and key not in counters],
        "unknown": [key for key in state if key not in expected],
        "of another shape": [key for key in expected if key in state and expected[key].shape != _shape(state[key])],
    }
    if any(wrong.values()):
        some = "; ".join(f"{what}: {_some(keys)}" for what, keys in wrong.items() if keys)
        raise ValueError(f"{path} holds no weights of {type(network).__name__} ({some}){remedy}")
    network.load_state_dict({**expected, **state}, assign=assign)


def _shape(value: object) -> torch.Size | None:
    return value.shape if isinstance(value, Tensor) else None


def _some(keys: list[str], most: int = 3) -> str:
    more = f" and {len(keys) - most} more" if len(keys) > most else ""
    return f"{', '.join(map(str, keys[:most]))}{more}"
