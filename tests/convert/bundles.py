"""TensorFlow checkpoints written without TensorFlow, to be read back, and wrong ones."""

from pathlib import Path

import numpy as np

from sketchgan.convert.crc import crc32c, masked

TYPES = {"float32": 1, "float64": 2, "int32": 3, "int64": 9, "float16": 19}


def varint(value):
    out = b""
    while value > 127:
        out += bytes([value & 127 | 128])
        value >>= 7
    return out + bytes([value])


def message(fields):
    """A protocol buffer of numbers and bytes."""
    out = b""
    for number, value in fields:
        if isinstance(value, bytes):
            out += varint(number << 3 | 2) + varint(len(value)) + value
        elif number == 6:
            out += varint(number << 3 | 5) + value.to_bytes(4, "little")
        else:
            out += varint(number << 3) + varint(value)
    return out


def block(entries):
    """Keys are stored as what differs from the one before, all of them after a single restart."""
    content, last = b"", b""
    for key, value in entries:
        shared = next((i for i, pair in enumerate(zip(last, key, strict=False)) if len(set(pair)) > 1), len(last))
        content += varint(shared) + varint(len(key) - shared) + varint(len(value)) + key[shared:] + value
        last = key
    content += (0).to_bytes(4, "little") + (1).to_bytes(4, "little") + b"\x00"
    return content + masked(crc32c(content)).to_bytes(4, "little")


def entry(value, offset, **changes):
    content = value.tobytes()
    fields = {
        1: TYPES[value.dtype.name],
        2: message([(2, message([(1, side)])) for side in value.shape]),
        4: offset,
        5: len(content),
        6: masked(crc32c(content)),
    }
    return message(sorted((fields | {int(key[1:]): change for key, change in changes.items()}).items()))


def write_bundle(prefix, variables, header=((1, 1),), **changes):
    """A checkpoint with one file of values; ``changes`` (``f5=3``) are of the fields of every entry."""
    offset, entries, data = 0, [(b"", message(header))], b""
    for name in sorted(variables, key=str.encode):
        value = np.asarray(variables[name])
        entries.append((name.encode(), entry(value, offset, **changes)))
        data += value.tobytes()
        offset = len(data)
    Path(f"{prefix}.data-00000-of-00001").write_bytes(data)
    write_index(prefix, entries)


def write_index(prefix, entries):
    values, nothing = block(entries), block([])
    handle = varint(0) + varint(len(values) - 5)
    index = block([(entries[-1][0] + b"\xff", handle)])
    footer = varint(len(values)) + varint(len(nothing) - 5) + varint(len(values + nothing)) + varint(len(index) - 5)
    magic = bytes.fromhex("57fb808b247547db")
    Path(f"{prefix}.index").write_bytes(values + nothing + index + footer.ljust(40, b"\x00") + magic)
