"""Weights that others trained: downloaded or read from a local file, never unpickled."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch


def fetched(make: Callable[[], Any], *urls: str, otherwise: str) -> Any:
    """Build a network whose weights may have to be downloaded, with an error that says what to do offline.

    Args:
        make: builds it.
        *urls: what it may download.
        otherwise: what else helps, for instance "give its path as weights".

    Raises:
        FileNotFoundError: if the download fails.
    """
    try:
        return make()
    except OSError as error:  # URLError, timeouts
        places = [str(Path(torch.hub.get_dir(), "checkpoints", Path(url).name)) for url in urls]
        raise FileNotFoundError(
            f"cannot download {' and '.join(urls)} ({error}); fetch it elsewhere and put it at {' and '.join(places)}, "
            f"or {otherwise}"
        ) from error


def read_weights(path: str | Path) -> Any:
    """What a local file of weights holds.

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: if it holds more than tensors and plain values.
    """
    if not Path(path).is_file():
        raise FileNotFoundError(f"no weights {path}")
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
