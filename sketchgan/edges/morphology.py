"""Thinning, cleaning, shrinking and spur removal of binary pictures ``(N, H, W)``, true on a line.

Shrinking and spur removal are MATLAB's ``bwmorph`` as far as it is documented: its tables are not published, and single
pixels may differ.
"""

import functools
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from sketchgan.edges.backend import Backend, on_scipy
from sketchgan.edges.neighbourhoods import Neighbourhoods, single_component, table

# What scikit-image's table of Zhang and Suen's thinning has otherwise than their paper. Neighbours are the bits NW, N,
# NE, E, SE, S, SW, W, lowest first; bit 0 of the value: deleted by the first half of an iteration, bit 1: the second.
_SCIKIT_IMAGE = {
    **{3: 1, 6: 1, 10: 3, 11: 1, 12: 1, 14: 1, 24: 2, 26: 2, 40: 3, 48: 0, 56: 2, 96: 2, 104: 2, 108: 2, 129: 0},
    **{130: 3, 131: 1, 134: 1, 160: 3, 161: 1, 176: 2, 192: 2, 194: 1, 198: 1, 224: 2},
}


def thin(lines: Tensor, iterations: int | None = None) -> Tensor:
    """Thin lines to one pixel (Guo and Hall, Communications of the ACM, 1989).

    Gives what ``skimage.morphology.thin`` gives, and MATLAB's ``bwmorph(…, "thin")``.

    Args:
        lines: bool ``(N, H, W)``.
        iterations: each deletes on two sides; by default as many as change something.

    Examples:
        >>> bar = torch.zeros(1, 5, 7, dtype=torch.bool)
        >>> bar[:, 1:4, 1:6] = True
        >>> thin(bar)[0].int().sum(1).tolist()
        [0, 0, 3, 0, 0]
    """
    return _thinned(lines, _guo_hall(), iterations)


def zhang(lines: Tensor, iterations: int | None = None, backend: Backend = "auto") -> Tensor:
    """Thin lines to one pixel (Zhang and Suen, Communications of the ACM, 1984), in the form of scikit-image.

    Its table differs from the paper's rule for 25 of 256 neighbourhoods; `zhang_textbook` is the paper's rule.

    Args:
        lines: bool ``(N, H, W)``.
        iterations: each deletes on two sides; by default as many as change something.
        backend: "scipy" calls ``skimage.morphology.skeletonize``, "torch" does the same by itself; "auto" takes
            scikit-image on a CPU where it is installed, which is faster there.

    Raises:
        ImportError: if scikit-image is asked for and missing.
        ValueError: for an unknown backend, or if scikit-image, which knows no iterations, is to do some.
    """
    skeletonize = _skeletonize(backend) if on_scipy(lines, backend, faster=iterations is None) else None
    if skeletonize is None:
        return _thinned(lines, _zhang(), iterations)
    if iterations is not None:
        raise ValueError('scikit-image thins until nothing changes: iterations need backend="torch"')
    thinned = torch.empty(lines.shape, dtype=torch.bool)
    for picture, result in zip(lines.cpu().numpy(), thinned.numpy(), strict=True):
        result[:] = skeletonize(picture, method="zhang")
    return thinned.to(lines.device)


def _skeletonize(backend: Backend) -> Callable[..., Any] | None:
    try:
        from skimage.morphology import skeletonize
    except ImportError as error:
        if backend == "auto":
            return None
        raise ImportError(
            "scikit-image is missing (pip install 'sketchgan[edges]'); backend=\"torch\" gives the same without it"
        ) from error
    return skeletonize


def zhang_textbook(lines: Tensor, iterations: int | None = None) -> Tensor:
    """`zhang` by the rule that the paper states."""
    return _thinned(lines, _zhang_textbook(), iterations)


def clean(lines: Tensor) -> Tensor:
    """Delete pixels that have no neighbour.

    Args:
        lines: bool ``(N, H, W)``.
    """
    hoods = Neighbourhoods(lines)
    hoods.prune(hoods.pixels, _isolated().to(lines.device))
    return hoods.lines()


def shrink(lines: Tensor, iterations: int | None = 1) -> Tensor:
    """Shorten lines at their ends, and thin them, without breaking them.

    Each iteration looks at pixels of even rows and even columns, then odd and odd, even and odd, odd and even, and
    deletes those whose neighbours are in one piece; an end may lose several pixels in one iteration.

    Args:
        lines: bool ``(N, H, W)``.
        iterations: None for as many as change something.
    """
    hoods = Neighbourhoods(lines)
    rule = _shrinkable().to(lines.device)
    groups = hoods.lattices(hoods.pixels)

    def once() -> bool:
        before = sum(map(len, groups.values()))
        for parity in ((0, 0), (1, 1), (0, 1), (1, 0)):
            groups[parity] = hoods.prune(groups[parity], rule)
        return sum(map(len, groups.values())) < before

    _repeat(once, iterations)
    return hoods.lines()


def spur(lines: Tensor, iterations: int | None = 1) -> Tensor:
    """Shorten lines at their ends by a pixel; lines that leave the picture are not cut there.

    Args:
        lines: bool ``(N, H, W)``.
        iterations: pixels to take off; None for as many as change something.
    """
    hoods = Neighbourhoods(lines, outside=True)
    rule = _end_point().to(lines.device)
    pixels = hoods.pixels

    def once() -> bool:
        nonlocal pixels
        before = len(pixels)
        ends = hoods.lattices(pixels[hoods.fulfilling(pixels, rule)])
        for parity in ((0, 0), (0, 1), (1, 0), (1, 1)):
            hoods.prune(ends[parity], rule)  # two ends that touch do not both go
        pixels = hoods.alive(pixels)
        return len(pixels) < before

    _repeat(once, iterations)
    return hoods.lines()


def _thinned(lines: Tensor, rules: Sequence[Tensor], iterations: int | None) -> Tensor:
    hoods = Neighbourhoods(lines)
    pixels = hoods.pixels
    rules = [rule.to(lines.device) for rule in rules]

    def once() -> bool:
        nonlocal pixels
        before = len(pixels)
        for rule in rules:
            pixels = hoods.prune(pixels, rule)
        return len(pixels) < before

    _repeat(once, iterations)
    return hoods.lines()


def _repeat(once: Callable[[], bool], iterations: int | None) -> None:
    """Call as often as told, or until it says that nothing changes."""
    if iterations is not None and iterations < 0:
        raise ValueError(f"iterations must not be negative, got {iterations}")
    done = 0
    while (iterations is None or done < iterations) and once():
        done += 1


# Rules: tables over the neighbours E, NE, N, NW, W, SW, S, SE


@functools.cache
def _guo_hall() -> tuple[Tensor, Tensor]:
    def deletable(n: list[bool], turn: int) -> bool:
        first = sum(n[k] or n[k + 1] for k in range(0, 8, 2))
        second = sum(n[k + 1] or n[(k + 2) % 8] for k in range(0, 8, 2))
        east, north_east, north, south_east = (n[(k + turn) % 8] for k in (0, 1, 2, 7))
        open_side = not ((north_east or north or not south_east) and east)
        return single_component(n) and 2 <= min(first, second) <= 3 and open_side

    return table(lambda n: deletable(n, 0)), table(lambda n: deletable(n, 4))


@functools.cache
def _zhang_textbook() -> tuple[Tensor, Tensor]:
    def deletable(n: list[bool], first: bool) -> bool:
        east, _, north, _, west, _, south, _ = n
        begins = sum(n[k] and not n[k - 1] for k in range(8))
        if first:
            open_side = not (north and east and south) and not (east and south and west)
        else:
            open_side = not (north and east and west) and not (north and south and west)
        return 2 <= sum(n) <= 6 and begins == 1 and open_side

    return table(lambda n: deletable(n, True)), table(lambda n: deletable(n, False))


@functools.cache
def _zhang() -> tuple[Tensor, Tensor]:
    rules = tuple(rule.clone() for rule in _zhang_textbook())
    for code, halves in _SCIKIT_IMAGE.items():
        # From their order of bits (NW first, clockwise) to that of ours (E first, anticlockwise).
        ours = sum((code >> k & 1) << (3 - k) % 8 for k in range(8))
        for half, rule in enumerate(rules):
            rule[ours] = bool(halves >> half & 1)
    return rules[0], rules[1]


@functools.cache
def _isolated() -> Tensor:
    return table(lambda n: not any(n))


@functools.cache
def _shrinkable() -> Tensor:
    return table(single_component)


@functools.cache
def _end_point() -> Tensor:
    return table(lambda n: single_component(n) and sum(n) <= 3)
