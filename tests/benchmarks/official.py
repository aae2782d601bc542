"""What sharing passes saves: our module under a Trainer against the official code's way to train."""

import statistics
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import replace

from benchmarks.report import Table, ratios, spread
from benchmarks.training import MEMORY
from benchmarks.turns import Failure, Worker, alternate
from benchmarks.workloads import PAPERS, Job


def jobs(names: Sequence[str], short: bool, device: str) -> Iterator[Job]:
    """Modules whose official loop is written out, at the sizes of the training steps."""
    for name in names:
        paper = PAPERS[name]
        for size in (*paper.short, *(() if short else paper.long)) if paper.official else ():
            yield Job(name, *size, device, loop="official", block=1 if device == "cpu" else 10)


def tables(names: Sequence[str], short: bool, device: str, rounds: int, limit: float) -> list[Table]:
    """Two tables; arguments as in `training.tables`."""
    header = "module|width|px|batch|official s/step|Trainer s/step|time ÷ official|"
    memory = "official peak MiB|Trainer peak MiB|memory ÷ official"
    table = Table("Trainer against the official loop", [*f"{header}{memory}".split("|")])
    counts = Table("Arithmetic of one step, official and ours", ["module", "px", "batch", "loop", "GFLOP", "forwards"])
    for job in jobs(names, short, device):
        pair = (job, replace(job, loop="trainer"))
        try:
            with ExitStack() as stack:
                workers = [stack.enter_context(Worker(j, limit)) for j in pair]
                official, ours = alternate(workers, rounds)
                peaks = [worker.finish()["peak" if device == "cuda" else "growth"] for worker in workers]
        except Failure as failure:
            table.rows.append((job.paper, job.width, job.side, job.batch_size, "", "", f"failed: {failure}", *[""] * 3))
            continue
        seconds = statistics.median(official), statistics.median(ours), spread(ratios(ours, official))
        mib = [peak / 2**20 for peak in peaks]
        table.rows.append((job.paper, job.width, job.side, job.batch_size, *seconds, *mib, f"{mib[1] / mib[0]:.2f}"))
        for name, worker in zip(("official", "Trainer"), workers, strict=True):
            forwards = ", ".join(f"{network} {count}" for network, count in worker.first["forwards"].items())
            where = (job.paper, job.side, job.batch_size, name)
            counts.rows.append((*where, worker.first["flops"] / 1e9, forwards))
    growth = " (here what this is above the size before the networks were built)" if device == "cpu" else ""
    table.notes = [
        "Two processes with networks of the same size, batch and threads take turns: the networks and the training "
        "iteration as the official code has them, and our module under a `Trainer` without a logger. Of UGATIT "
        "(`plain_ugatit.py`) every pass is computed anew, and nothing is detached or frozen; of SketchyGAN "
        "(`plain_sketchygan.py`; the batch is that of one update, of which a step has two) the encoder runs for each "
        "noise, and weight decay is a term of the losses; of AODA (`plain_aoda.py`; with the classifier, every second "
        "step mixed) each picture has a pass of its own, and the cycle of the sketch is computed even where its weight "
        "is 0, as it is in the paper; of Style2Paints (`plain_style2paints.py`, as public re-implementations train; "
        "VGG-19 has random weights) it looks at the paintings in every step, as ours does unless the batch brings "
        "their vectors, as a cache would; of PaintsChainer (`plain_paintschainer.py`) the network of lines keeps "
        "gradients for itself, and so do the discriminators of both in the generators' updates. All use torch's own "
        "layers and its Adam, not fused. Three iterations of each agree with a run of the official code, for "
        "Style2Paints with one of its definition (the tests compare). "
        + MEMORY[device].partition(";")[0].rstrip(".")
        + growth
        + "."
    ]
    return [table, counts]
