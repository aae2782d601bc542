"""Reading pictures: how many per second and core, and what share of a training step that is."""

import os
import statistics
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

from benchmarks.report import Table, ratios, spread
from benchmarks.turns import Failure, Worker, alternate
from benchmarks.workloads import Job
from sketchgan.data import OpenMoji, PairedFolders, UnpairedFolders
from sketchgan.data.base import TranslationData

SIDE = 286
COUNT = 40
NAMES = 4  # of each file, so that an epoch takes long enough


def picture(seed: int) -> Image.Image:
    """A gradient between two colours, soft patches of 26 px on it, and grain of five levels."""
    random = np.random.default_rng(seed)
    colours = random.uniform(0, 255, (2, 3))
    angle = random.uniform(0, 2 * np.pi)
    y, x = np.mgrid[0:SIDE, 0:SIDE] / SIDE - 0.5
    along = (x * np.cos(angle) + y * np.sin(angle) + 0.7) / 1.4
    patches = Image.fromarray(random.integers(0, 256, (11, 11, 3), dtype=np.uint8)).resize((SIDE, SIDE), 3)
    smooth = colours[0] + along[..., None] * (colours[1] - colours[0]) + 0.5 * (np.asarray(patches) - 127.5)
    return Image.fromarray((smooth + random.normal(0, 5, smooth.shape)).clip(0, 255).astype(np.uint8))


def fill(root: Path, suffix: str) -> int:
    """Pictures in ``trainA`` and ``trainB``; returns their mean size in bytes."""
    sizes = []
    for side, name in enumerate(("trainA", "trainB")):
        (root / name).mkdir(parents=True)
        for i in range(COUNT):
            path = root / name / f"{i:04d}.{suffix}"
            picture(2 * i + side).save(path, quality=90)
            sizes.append(path.stat().st_size)
            for again in range(1, NAMES):
                os.link(path, path.with_stem(f"{i:04d}_{again}"))
    return round(statistics.mean(sizes))


def seconds_per_sample(data: TranslationData) -> Iterator[float]:
    """Time one epoch of the training loader after the other; the first, which starts workers, is not yielded."""
    loader = data.train_dataloader()
    epoch = 0
    while True:
        loader.sampler.set_epoch(epoch)
        start = time.perf_counter()
        samples = sum(len(batch["A"]) for batch in loader)
        if epoch:
            yield (time.perf_counter() - start) / samples
        epoch += 1


def step_times(device: str, rounds: int, limit: float) -> dict[int, float]:
    """Seconds per sample that Pix2Pix trains with, at 64 px in batches of 16 and at 256 px one by one."""
    times = {}
    for side, batch_size in ((64, 16), (256, 1)):
        try:
            with Worker(Job("Pix2Pix", side, batch_size, device, block=1 if device == "cpu" else 10), limit) as worker:
                times[side] = statistics.median(alternate([worker], rounds)[0]) / batch_size
        except Failure as failure:
            print(f"Pix2Pix at {side} px: {failure}")
    return times


def tables(device: str, rounds: int, limit: float) -> list[Table]:
    """One table; arguments as in `training.tables`."""
    header = "data|files|batch|pictures/s, one core|pictures/s, 2 workers|2 workers ÷ one core|ms/pair|of a step"
    table = Table("Training loaders", header.split("|"))
    steps = step_times(device, rounds, limit)
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        with tempfile.TemporaryDirectory() as folder:
            sizes = {suffix: fill(Path(folder, suffix), suffix) for suffix in ("jpg", "png")}
            kinds: list[tuple[Any, str, dict[str, Any], int]] = [(OpenMoji, "embedded", {}, 64)]
            kinds += [(d, s, {"root": Path(folder, s)}, 256) for d in (PairedFolders, UnpairedFolders) for s in sizes]
            for kind, files, arguments, side in kinds:
                one, two = (seconds_per_sample(kind(**arguments, num_workers=workers)) for workers in (0, 2))
                pairs = [(next(one), next(two)) for _ in range(rounds)]
                alone, shared = (statistics.median(column) for column in zip(*pairs, strict=True))
                faster = spread(ratios([a for a, _ in pairs], [b for _, b in pairs]), 2)
                batch = kind(**arguments).batch_size
                share = f"{alone / steps[side]:.1%}" if side in steps else "unknown"
                table.rows.append((kind.__name__, files, batch, 2 / alone, 2 / shared, faster, 1000 * alone, share))
    finally:
        torch.set_num_threads(threads)
    table.notes = [
        f"{COUNT} pictures of {SIDE} px for each domain, each under {NAMES} names, made up of a gradient, soft patches "
        f"and grain: JPEG of quality 90 ({sizes['jpg'] / 1000:.0f} kB each) and PNG ({sizes['png'] / 1000:.0f} kB), "
        "in the page cache; default preprocessing (resized to 286 px, cropped to 256 px, mirrored). “One core” is "
        "`num_workers=0` with one thread. Whole epochs are timed, by turns, after a first one that is not. A pair is "
        "one picture of each domain. The step is that of Pix2Pix in its published widths on the same machine "
        "(OpenMoji: 64 px, batch 16; folders: 256 px, batch 1), per pair; with `num_workers=0` reading adds this much "
        "to it."
    ]
    return [table]
