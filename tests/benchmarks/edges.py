"""Edge-map stages per core: sketchgan's against the same chain from NumPy, SciPy and scikit-image.

    python tests/benchmarks/edges.py [--rounds 9] [--batch 16] [--order official paper]

Eight photos of scikit-image and their mirror images at 256 px, with sketchgan's Sobel strength. One thread; the two
take turns, stage by stage on the same input, and where their results differ, a note says so. "All" is sketchgan's chain
as it runs, which does not look at pixels below the threshold. Detector and PNG are not timed. The clock counts the time
of the processor.
"""

import argparse
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE.parents[1]), str(HERE.parent)]

import numpy as np  # noqa: E402
import torch  # noqa: E402
from numpy.typing import NDArray  # noqa: E402
from scipy import ndimage  # noqa: E402
from skimage import data, morphology  # noqa: E402

from benchmarks.report import Table, markdown, ratios, spread  # noqa: E402
from sketchgan.edges import EdgePipeline, sobel  # noqa: E402

Stage = Callable[[NDArray], NDArray]
PHOTOS = ("astronaut", "camera", "chelsea", "clock", "coffee", "coins", "moon", "rocket")
WEIGHTS = np.array([[8, 4, 2], [16, 0, 1], [32, 64, 128]], dtype=np.uint8)  # E, NE, N, … as in sketchgan.edges


def photos(count: int, size: int = 256) -> torch.Tensor:
    """Float ``(count, 3, size, size)`` in [0, 1]."""
    made = []
    for name in PHOTOS:
        photo = torch.from_numpy(np.atleast_3d(getattr(data, name)())).movedim(2, 0)[None] / 255
        made.append(torch.nn.functional.interpolate(photo.expand(-1, 3, -1, -1), (size, size), mode="area"))
    both = torch.cat([*made, *(photo.flip(3) for photo in made)])
    return both[torch.arange(count) % len(both)]


# The reference, one picture at a time


def suppressed(strength: NDArray) -> NDArray:
    strength = (1 - (1 - strength)).astype(np.float32)
    triangle = np.array([1, 2, 3, 4, 5, 4, 3, 2, 1], dtype=np.float32) / 25
    smooth = ndimage.correlate1d(ndimage.correlate1d(strength, triangle, 0), triangle, 1)
    oy, ox = np.gradient(smooth)
    oxx = np.gradient(ox, axis=1)
    oyy, oxy = np.gradient(oy)
    angle = np.mod(np.arctan(oyy * np.sign(-oxy) / (oxx + np.float32(1e-5))), np.float32(np.pi))
    cos, sin = np.cos(angle), np.sin(angle)
    height, width = strength.shape
    y, x = np.mgrid[:height, :width].astype(np.float32)
    kept = strength.copy()
    for d in (-1, 1):
        sx, sy = np.clip(x + d * cos, 0, width - 1.001), np.clip(y + d * sin, 0, height - 1.001)
        left, top = sx.astype(int), sy.astype(int)
        fx, fy = sx - left, sy - top
        between = (1 - fx) * (1 - fy) * strength[top, left] + fx * (1 - fy) * strength[top, left + 1]
        between += (1 - fx) * fy * strength[top + 1, left] + fx * fy * strength[top + 1, left + 1]
        kept[np.float32(1.01) * strength < between] = 0
    for k in range(5):
        kept[:, [k, -1 - k]] *= np.float32(k / 5)
        kept[[k, -1 - k]] *= np.float32(k / 5)
    return kept


def codes(lines: NDArray, outside: int = 0) -> NDArray:
    return ndimage.correlate(lines.view(np.uint8), WEIGHTS, mode="constant", cval=outside)


def bits() -> NDArray:
    return (np.arange(256)[:, None] >> np.arange(8) & 1).astype(bool)


def in_one_piece() -> NDArray:
    n = bits()
    begins = [~n[:, k] & (n[:, k + 1] | n[:, (k + 2) % 8]) for k in range(0, 8, 2)]
    return np.sum(begins, axis=0) == 1


ONE_PIECE = in_one_piece()
END = ONE_PIECE & (bits().sum(1) <= 3)


def cleaned(lines: NDArray) -> NDArray:
    return lines & (codes(lines) != 0)


def large(lines: NDArray) -> NDArray:
    labels, _ = ndimage.label(lines, np.ones((3, 3)))
    keep = np.bincount(labels.ravel()) >= 5
    keep[0] = False
    return keep[labels]


def shrunk(lines: NDArray) -> NDArray:
    lines = lines.copy()
    for row, column in ((0, 0), (1, 1), (0, 1), (1, 0)):
        go = np.take(ONE_PIECE, codes(lines))
        lines[row::2, column::2] &= ~go[row::2, column::2]
    return lines


def spurs_removed(lines: NDArray) -> NDArray:
    lines = lines.copy()
    ends = lines & np.take(END, codes(lines, outside=1))
    for row, column in ((0, 0), (0, 1), (1, 0), (1, 1)):
        go = ends & np.take(END, codes(lines, outside=1))
        lines[row::2, column::2] &= ~go[row::2, column::2]
    return lines


def distance(lines: NDArray) -> NDArray:
    exact = ndimage.distance_transform_edt(~lines)
    return (exact / exact.max() * 255).astype(np.uint8)


def reference(order: str) -> dict[str, Stage]:
    after: dict[str, Stage] = {
        "cleaned": cleaned,
        "large": large,
        "shrunk": shrunk,
        "edges": spurs_removed,
        "distance": distance,
    }
    threshold = np.float32(25 / 255)
    if order == "official":
        return {"suppressed": suppressed, "binary": lambda x: x >= threshold, "thinned": morphology.thin} | after
    return {"binary": lambda x: x >= threshold, "thinned": morphology.skeletonize} | after


# Turns


def seconds(call: Callable[[], object]) -> float:
    start = time.process_time()
    call()
    return time.process_time() - start


def compared(order: str, batch: int, rounds: int, size: int = 256) -> Table:
    """Milliseconds per picture of both, stage by stage and in all."""
    strength = sobel(photos(batch, size))
    pipeline = EdgePipeline("sobel", order)  # type: ignore[arg-type]
    ours, theirs = pipeline.functions(), reference(order)
    table = Table(f"{order}, batch {batch}", ["stage", "reference, ms", "sketchgan, ms", "sketchgan ÷ reference"])
    given = strength
    for name in theirs:
        pictures = given.numpy()
        result = ours[name](given)
        expected = np.stack([theirs[name](picture) for picture in pictures])
        if not np.array_equal(result.numpy(), expected):
            count = int((result.numpy() != expected).sum())
            table.notes = [*table.notes, f"{name}: {count:,} of {expected.size:,} pixels differ."]
        one = lambda name=name, pictures=pictures: [theirs[name](picture) for picture in pictures]  # noqa: E731
        other = lambda name=name, given=given: ours[name](given)  # noqa: E731
        table.rows.append(row(name, *turns(one, other, rounds), batch))
        given = result
    whole = turns(lambda: chain(theirs, strength), lambda: pipeline.from_strength(strength), rounds)
    table.rows.append(row("all", *whole, batch))
    return table


def chain(stages: dict[str, Stage], strength: torch.Tensor) -> None:
    for picture in strength.numpy():
        for stage in stages.values():
            picture = stage(picture)


def turns(one: Callable[[], object], other: Callable[[], object], rounds: int) -> tuple[list[float], list[float]]:
    one(), other()  # the first ones warm up
    times: tuple[list[float], list[float]] = [], []
    for i in range(rounds):
        for j in (0, 1) if i % 2 else (1, 0):
            times[j].append(seconds((one, other)[j]))
    return times


def row(name: str, theirs: Sequence[float], ours: Sequence[float], batch: int) -> tuple[str, float, float, str]:
    per_picture = [1000 * statistics.median(times) / batch for times in (theirs, ours)]
    return name, per_picture[0], per_picture[1], spread(ratios(ours, theirs), 2)


def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--order", nargs="+", choices=("official", "paper"), default=["official", "paper"])
    args = parser.parse_args(argv)
    torch.set_num_threads(1)
    for order in args.order:
        print(markdown(compared(order, args.batch, args.rounds)))


if __name__ == "__main__":
    main()
