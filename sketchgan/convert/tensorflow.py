"""Checkpoints of TensorFlow read without TensorFlow, and arrays exported from them.

A checkpoint (a "bundle") is an index, which is a table in the format of LevelDB, and one or more files of raw values.
The index maps each variable's name to a protocol buffer with its type, its shape, and where its values lie.
"""

import math
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from sketchgan.convert.crc import crc32c, masked
from sketchgan.networks.chainer_files import array_names, read_arrays

Variables = dict[str, np.ndarray]

_DATA = re.compile(r"\.(index|meta|data-\d{5}-of-\d{5})$")
_MAGIC = (0xDB4775248B80FB57).to_bytes(8, "little")  # a table ends in it
_FOOTER = 48
_TYPES = {1: "<f4", 2: "<f8", 3: "<i4", 4: "u1", 9: "<i8", 10: "?", 19: "<f2"}  # DT_FLOAT, DT_DOUBLE, …
_TEXT = 7  # TensorFlow 2 keeps a description of its objects under a name of its own
_LONGEST_NAME = 4096
_MOST_REPEATED = 16  # times the size of an index: of 16 names in a row TensorFlow writes one in full


class _Entry(NamedTuple):
    """Where a variable lies."""

    dtype: int
    shape: tuple[int, ...]
    shard: int
    offset: int
    size: int
    crc: int
    in_parts: bool


def read_tensorflow(path: str | Path, wanted: Callable[[str], bool] = lambda name: True) -> Variables:
    """Read variables from a checkpoint of TensorFlow, or from an archive of arrays by name.

    Nothing in the files is run or unpickled. Checksums are compared.

    Args:
        path: ``model.ckpt-N`` (without ending, or one of its files), a folder with a text file ``checkpoint`` that
            names the newest, or ``NAME.npz`` with the variables' names as keys.
        wanted: which names to read; all by default.

    Returns:
        Arrays of float16, float32, float64, bool, uint8, int32 or int64 by name.

    Raises:
        FileNotFoundError: if a file is missing.
        ValueError: if a file is cut off, damaged or of another kind, or a variable has another type.
    """
    path = Path(path)
    if path.suffix == ".npz" or array_names(path):
        return read_arrays(path, wanted)
    prefix = find_bundle(path)
    if prefix is None:
        raise FileNotFoundError(f"no TensorFlow checkpoint {path}: there is no {path.name}.index")
    index = Path(f"{prefix}.index")
    try:
        shards, entries = _read_index(index.read_bytes())
    except (ValueError, IndexError, TypeError) as error:
        raise ValueError(f"{index} is cut off or damaged, or no index of a TensorFlow checkpoint: {error}") from error
    return _read_values(prefix, shards, {name: entry for name, entry in entries.items() if wanted(name)})


def find_bundle(path: Path) -> Path | None:
    """The checkpoint that a path means, without the endings of its files; None if it is none.

    Raises:
        FileNotFoundError: if the text file of a folder names another checkpoint than there is.
        ValueError: if a folder has several and does not say which.
    """
    if not path.is_dir():
        prefix = path.with_name(_DATA.sub("", path.name))
        return prefix if Path(f"{prefix}.index").is_file() else None
    there = sorted(path.glob("*.index"))
    pointer = path / "checkpoint"
    if pointer.is_file():
        named = re.match(r'model_checkpoint_path: "(.*)"', pointer.read_text("utf-8", "replace"))
        name = Path(named[1].replace("\\", "/")).name if named else ""  # the folder may have been moved
        if name and (path / f"{name}.index").is_file():
            return path / name
        if named:
            raise FileNotFoundError(f"{pointer} names {named[1]}, but there is no {path / name}.index; give another")
    if len(there) > 1:
        raise ValueError(f"{path} holds {', '.join(index.stem for index in there)}; give one of them")
    return there[0].with_suffix("") if there else None


# The index


def _read_index(content: bytes) -> tuple[int, dict[str, _Entry]]:
    """Number of files of values, and the entries by name."""
    if content[-8:] != _MAGIC or len(content) < _FOOTER:
        raise ValueError("it does not end as one")
    footer = content[-_FOOTER:]
    unused, at = _handle(footer, 0)  # by checkpoints
    place, _ = _handle(footer, at)
    list(_block(content, *unused))
    shards, entries, last, names = 0, {}, b"", 0
    for _, handle in _block(content, *place):
        for key, value in _block(content, *_handle(handle, 0)[0]):
            if key <= last and (key or shards):
                raise ValueError("its names are not in order")
            names += len(key)
            if names > _MOST_REPEATED * len(content):
                raise ValueError("its names repeat each other more than they can")
            if key:
                entries[key.decode()] = _entry(value)
            else:
                shards = _header(value)
            last = key
    if not shards:
        raise ValueError("it has no header")
    return shards, entries


def _block(content: bytes, offset: int, size: int) -> Iterator[tuple[bytes, bytes]]:
    """Keys and values of a block; a key is stored as what differs from the one before."""
    block, trailer = content[offset : offset + size], content[offset + size : offset + size + 5]
    if len(trailer) < 5:
        raise ValueError("a block lies outside of it")
    if trailer[0]:
        raise ValueError("its blocks are compressed, which TensorFlow does not do")
    if masked(crc32c(block + trailer[:1])) != int.from_bytes(trailer[1:], "little"):
        raise ValueError("the checksum of a block differs")
    end = size - 4 - 4 * int.from_bytes(block[-4:], "little")
    at, key = 0, b""
    while at < end:
        shared, at = _varint(block, at)
        own, at = _varint(block, at)
        length, at = _varint(block, at)
        key = key[:shared] + block[at : at + own]
        if len(key) != shared + own or at + own + length > end or len(key) > _LONGEST_NAME:
            raise ValueError("an entry is longer than it can be")
        yield key, block[at + own : at + own + length]
        at += own + length


def _handle(content: bytes, at: int) -> tuple[tuple[int, int], int]:
    offset, at = _varint(content, at)
    size, at = _varint(content, at)
    return (offset, size), at


def _varint(content: bytes, at: int) -> tuple[int, int]:
    value = 0
    for shift in range(0, 70, 7):
        byte = content[at]
        at += 1
        value |= (byte & 127) << shift
        if byte < 128:
            return value, at
    raise ValueError("a number has too many bytes")


def _fields(message: bytes) -> Iterator[tuple[int, Any]]:
    """Numbers and values (int, or bytes of text and inner messages) of a protocol buffer's fields."""
    at = 0
    while at < len(message):
        tag, at = _varint(message, at)
        if tag & 7 == 0:
            value, at = _varint(message, at)
            yield tag >> 3, value
            continue
        if tag & 7 == 2:
            length, at = _varint(message, at)
        else:
            length = {1: 8, 5: 4}.get(tag & 7, len(message))
        inner = message[at : at + length]
        if len(inner) < length:
            raise ValueError("an entry is shorter than it says")
        at += length
        yield tag >> 3, inner if tag & 7 == 2 else int.from_bytes(inner, "little")


def _header(message: bytes) -> int:
    header = dict(_fields(message))
    if header.get(2):
        raise ValueError("it was written by a big-endian machine, which is not supported")
    if not 0 < header.get(1, 0) < 100_000:
        raise ValueError("it says nothing of its files of values")
    return header[1]


def _entry(message: bytes) -> _Entry:
    fields = list(_fields(message))
    by_number = dict(fields)
    dims = [value for number, value in _fields(by_number.get(2, b"")) if number == 2]
    shape = tuple(dict(_fields(dim)).get(1, 0) for dim in dims)  # a size of 0 is not written, as all zeros are not
    numbers = [by_number.get(number, 0) for number in (1, 3, 4, 5, 6)]
    if not all(isinstance(number, int) for number in (*shape, *numbers)):
        raise ValueError("an entry has text where numbers should be")
    dtype, shard, offset, size, crc = numbers
    return _Entry(dtype, shape, shard, offset, size, crc, 7 in by_number)


# Values


def _read_values(prefix: Path, shards: int, entries: dict[str, _Entry]) -> Variables:
    variables: Variables = {}
    files: dict[int, np.ndarray] = {}
    entries = {name: entry for name, entry in entries.items() if entry.dtype != _TEXT}
    for name, entry in entries.items():
        path = Path(f"{prefix}.data-{entry.shard:05d}-of-{shards:05d}")
        if entry.dtype not in _TYPES:
            raise ValueError(f"{prefix}: {name} is of TensorFlow's type {entry.dtype}, which cannot be read")
        if entry.in_parts:
            raise ValueError(f"{prefix}: {name} is stored in parts, which cannot be read; save it unpartitioned")
        if entry.shard not in files:
            if not path.is_file():
                raise FileNotFoundError(f"no {path}, which belongs to {prefix}.index; copy it there")
            files[entry.shard] = np.memmap(path, np.uint8, "r") if path.stat().st_size else np.zeros(0, np.uint8)
            if sum(e.size for e in entries.values() if e.shard == entry.shard) > len(files[entry.shard]):
                raise ValueError(f"{path} is cut off: it is smaller than the variables that {prefix}.index has in it")
        dtype = np.dtype(_TYPES[entry.dtype])
        values = files[entry.shard][entry.offset : entry.offset + entry.size]
        if math.prod(entry.shape) * dtype.itemsize != entry.size or len(values) != entry.size:
            raise ValueError(f"{prefix}.index is damaged: {name} {entry.shape} does not fill {entry.size} bytes")
        if masked(crc32c(values)) != entry.crc:
            raise ValueError(f"{path} is damaged: the checksum of {name} differs; get it again")
        variables[name] = np.frombuffer(values.tobytes(), dtype).reshape(entry.shape).copy()
    return variables
