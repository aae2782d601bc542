"""Eight neighbours as one byte: what thinning, cleaning, shrinking and spur removal look at.

A rule is a table of 256 truths, one for each set of neighbours, so that it costs one look-up per pixel. Only pixels on
a line are looked at, and deleting one clears its bit in the bytes of its neighbours.
"""

from collections.abc import Callable

import torch
from torch import Tensor

# Bit k of a byte is the neighbour (row, column) number k: E, NE, N, NW, W, SW, S, SE.
RING = ((0, 1), (-1, 1), (-1, 0), (-1, -1), (0, -1), (1, -1), (1, 0), (1, 1))


def table(rule: Callable[[list[bool]], bool]) -> Tensor:
    """A rule on the neighbours E, NE, N, NW, W, SW, S, SE as bool ``(256,)``."""
    return torch.tensor([rule([bool(code >> k & 1) for k in range(8)]) for code in range(256)])


def single_component(n: list[bool]) -> bool:
    """Whether the line around a pixel is in one piece, also without that pixel (8-connected)."""
    return sum(not n[k] and (n[k + 1] or n[(k + 2) % 8]) for k in range(0, 8, 2)) == 1


class Neighbourhoods:
    """Binary pictures from which pixels are deleted.

    Args:
        lines: bool ``(N, H, W)``, true on a line.
        outside: what is taken to lie outside the pictures.

    Attributes:
        pixels: those on a line at the beginning, int64 ``(n,)``: numbers into the pictures with a frame of one pixel.
        codes: the neighbours of every pixel, uint8, in that order.
    """

    def __init__(self, lines: Tensor, outside: bool = False) -> None:
        count, height, width = lines.shape
        shape = (count, height + 2, width + 2)
        framed = lines.new_zeros(shape)
        framed[:, 1:-1, 1:-1] = lines
        self.pixels = framed.view(-1).nonzero().view(-1)
        if outside:
            framed[:, :: height + 1] = True
            framed[:, :, :: width + 1] = True
        self._framed, self._width = framed, width + 2
        here = framed.view(torch.uint8).view(-1)
        self.codes = torch.zeros_like(here)
        # The frame's own codes take in pixels of other rows; nobody looks at them.
        edge = width + 3
        for k, offset in enumerate(self.offsets()):
            self.codes[edge:-edge].add_(here[edge + offset : len(here) - edge + offset], alpha=1 << k)

    def offsets(self) -> list[int]:
        """Steps to the eight neighbours."""
        return [y * self._width + x for y, x in RING]

    def fulfilling(self, pixels: Tensor, rule: Tensor) -> Tensor:
        """Which of the pixels fulfil a rule, bool ``(n,)``."""
        return rule.index_select(0, self.codes.index_select(0, pixels).int())

    def delete(self, pixels: Tensor) -> None:
        """Delete pixels: they leave the pictures, and the bytes of their neighbours."""
        self._framed.view(-1)[pixels] = False
        for k, offset in enumerate(self.offsets()):
            opposite = 1 << (k + 4) % 8
            neighbours = pixels + offset
            self.codes.scatter_(0, neighbours, self.codes.gather(0, neighbours) & (255 - opposite))

    def prune(self, pixels: Tensor, rule: Tensor) -> Tensor:
        """Delete at once those of the pixels that fulfil a rule; returns the others."""
        fulfilled = self.fulfilling(pixels, rule)
        self.delete(pixels[fulfilled])
        return pixels[~fulfilled]

    def alive(self, pixels: Tensor) -> Tensor:
        """The pixels that were not deleted."""
        return pixels[self._framed.view(-1).index_select(0, pixels)]

    def lattices(self, pixels: Tensor) -> dict[tuple[int, int], Tensor]:
        """The pixels by whether their row and their column, counted from 0, are even (0) or odd (1)."""
        row = (pixels // self._width % self._framed.shape[1] - 1) % 2
        column = (pixels % self._width - 1) % 2
        number = 2 * row + column
        return {(r, c): pixels[number == 2 * r + c] for r in (0, 1) for c in (0, 1)}

    def lines(self) -> Tensor:
        """The pictures as they are now, bool ``(N, H, W)``."""
        return self._framed[:, 1:-1, 1:-1].contiguous()
