"""The checksum of TensorFlow's checkpoints."""

import math

import numpy as np


def _byte_table() -> np.ndarray:
    table: np.ndarray = np.arange(256, dtype=np.uint32)
    for _ in range(8):
        table = table >> 1 ^ np.where(table & 1, np.uint32(0x82F63B78), np.uint32(0))
    return table


_TABLE = _byte_table()


def crc32c(data: bytes | np.ndarray) -> int:
    """The CRC-32C (Castagnoli) of bytes.

    The checksum is linear over the bits, so the rows of a square of bytes are taken side by side, and put together by
    what a row's length of zeros does to each of the 32 bits.

    Examples:
        >>> hex(crc32c(b"123456789"))
        '0xe3069283'
    """
    content = np.frombuffer(data, np.uint8) if isinstance(data, bytes) else data
    side = math.isqrt(len(content))
    square = np.zeros((side + 32, side), np.uint8)
    square[:side] = content[: side * side].reshape(side, side)
    rows = np.concatenate([np.zeros(side, np.uint32), np.uint32(1) << np.arange(32, dtype=np.uint32)])
    for column in np.ascontiguousarray(square.T):
        rows = _TABLE[(rows ^ column) & 255] ^ rows >> 8
    bits, crc = [int(row) for row in rows[side:]], 0xFFFFFFFF
    for row in rows[:side].tolist():
        for bit, moved in enumerate(bits):
            if crc >> bit & 1:
                row ^= moved
        crc = row
    for byte in content[side * side :].tolist():
        crc = int(_TABLE[(crc ^ byte) & 255]) ^ crc >> 8
    return crc ^ 0xFFFFFFFF


def masked(crc: int) -> int:
    """A checksum as it is stored, so that checksums over stored checksums stay good."""
    return ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF
