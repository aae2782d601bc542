"""Style vectors on the disk, in blocks: each is written whole or not at all, and checked when it is opened."""

import contextlib
import hashlib
import json
import os
import tempfile
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from lightning.pytorch.utilities import rank_zero_warn
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

FORMAT = "sketchgan hints 1"
_DTYPES = {"F32": np.float32, "F16": np.float16}
_UNFINISHED = ".unfinished-"


@dataclass(frozen=True)
class Block:
    """Some pictures and their vectors.

    Attributes:
        names: hashes of the pictures' names, uint64 ``(n,)``.
        keys: hashes of names and contents likewise; see `hashes`.
        vectors: ``(n, D)``, on the disk until rows are asked for.
    """

    names: np.ndarray
    keys: np.ndarray
    vectors: np.ndarray


def hashes(texts: Iterable[str]) -> np.ndarray:
    """The first 64 bits of a hash of each text, uint64 ``(n,)``: eight bytes in place of a name."""
    digests = (hashlib.blake2b(os.fsencode(text), digest_size=8).digest() for text in texts)
    return np.fromiter((int.from_bytes(digest, "little") for digest in digests), np.uint64)


def write_block(folder: Path, block: Block, about: Mapping[str, str]) -> Path:
    """Write a block under a name that its contents decide.

    Args:
        folder: where to, which exists.
        block: what to write.
        about: what the vectors are; `read_blocks` takes no others.
    """
    metadata = {**about, "format": FORMAT, "index": _checksum(block.names, block.keys)}
    path = folder / f"block-{metadata['index'][:16]}.safetensors"
    with tempfile.TemporaryDirectory(prefix=_UNFINISHED, dir=folder) as hidden:
        unfinished = Path(hidden, path.name)
        with unfinished.open("wb") as file:  # not by the library, whose files are for their owner alone
            file.write(save({"names": block.names, "keys": block.keys, "vectors": block.vectors}, metadata))
            file.flush()
            os.fsync(file.fileno())  # a power cut must not leave the name without the contents
        os.replace(unfinished, path)
    return path


def read_blocks(folders: Sequence[Path], about: Mapping[str, str]) -> list[Block]:
    """Open all blocks; those that are damaged or of something else are removed with a warning.

    Args:
        folders: where to look; they may be missing.
        about: what the vectors must be.
    """
    blocks = []
    for path in [path for folder in folders for path in sorted(folder.glob("block-*.safetensors"))]:
        try:
            blocks.append(_read(path, about))
        except FileNotFoundError:  # another process has just removed it
            continue
        except OSError as error:
            rank_zero_warn(f"{path} cannot be read ({error.strerror}); its style hints are computed again")
        except (SafetensorError, ValueError, KeyError) as error:
            rank_zero_warn(
                f"{path} cannot be used ({str(error) or type(error).__name__}); it is removed, and its style hints are "
                "computed again"
            )
            with contextlib.suppress(OSError):
                path.unlink()
    return blocks


def remove_leftovers(folder: Path) -> None:
    """Remove what processes that were killed while they wrote have left: anything unfinished for an hour."""
    for leftover in folder.glob(f"{_UNFINISHED}*"):
        with contextlib.suppress(OSError):
            if leftover.stat().st_mtime < time.time() - 3600:
                for path in leftover.iterdir():
                    path.unlink()
                leftover.rmdir()


def _read(path: Path, about: Mapping[str, str]) -> Block:
    with path.open("rb"):  # what is wrong with the disk is no damage of the file
        pass
    with safe_open(path, "np") as file:  # compares the header with the length of the file
        metadata = file.metadata() or {}
        if wrong := [name for name, value in {**about, "format": FORMAT}.items() if metadata.get(name) != value]:
            raise ValueError(f"it says another {' and '.join(wrong)}")
        if missing := {"names", "keys", "vectors"} - set(file.keys()):
            raise ValueError(f"it has no {', '.join(sorted(missing))}")
        names, keys = file.get_tensor("names"), file.get_tensor("keys")
    if metadata.get("index") != _checksum(names, keys):
        raise ValueError("the checksum of its index is wrong")
    with path.open("rb") as file:
        length = int.from_bytes(file.read(8), "little")
        header: dict[str, Any] = json.loads(file.read(length))["vectors"]
    shape, dtype = tuple(header["shape"]), _DTYPES.get(header["dtype"])
    if dtype is None or dtype != np.dtype(about["dtype"]) or shape != (len(keys), int(about["hint_dim"])):
        raise ValueError(f"its vectors are {header['dtype']} {shape}")
    return Block(names, keys, np.memmap(path, dtype, "r", 8 + length + header["data_offsets"][0], shape))


def _checksum(names: np.ndarray, keys: np.ndarray) -> str:
    return hashlib.sha256(names.tobytes() + keys.tobytes()).hexdigest()
