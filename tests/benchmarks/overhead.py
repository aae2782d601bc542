"""What the Trainer costs: our module under it against the same arithmetic in a plain loop."""

import statistics
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import replace

from benchmarks.report import Table, ratios, spread
from benchmarks.turns import Failure, Worker, alternate
from benchmarks.workloads import PAPERS, Job


def jobs(names: Sequence[str], short: bool, device: str) -> Iterator[Job]:
    """The papers' networks, and small ones on small pictures, where what a step costs besides arithmetic shows."""
    for name in names:
        if PAPERS[name].plain is None:
            continue
        side, batch_size = PAPERS[name].overhead if short else (128, 4)
        yield Job(name, side, batch_size, device, block=1 if device == "cpu" else 20)
        yield Job(name, 32, 1, device, width=4, block=10)


def tables(names: Sequence[str], short: bool, device: str, rounds: int, limit: float) -> list[Table]:
    """One table; arguments as in `training.tables`."""
    header = "module|width|px|batch|logger|plain s/step|Trainer s/step|Trainer ÷ plain|ms more"
    table = Table("Trainer against a plain loop", header.split("|"))
    for job in jobs(names, short, device):
        trained = [job, replace(job, csv=True)] if job.width < 64 or not short else [job]
        where = (job.paper, job.width, job.side, job.batch_size)
        try:
            with ExitStack() as stack:
                workers = [stack.enter_context(Worker(j, limit)) for j in (replace(job, loop="plain"), *trained)]
                plain, *others = alternate(workers, 2 * rounds)
        except Failure as failure:
            table.rows.append((*where, "", "", "", f"failed: {failure}", ""))
            continue
        for name, times in zip(("none", "CSVLogger"), others, strict=False):
            more = statistics.median(a - b for a, b in zip(times, plain, strict=True))
            medians = statistics.median(plain), statistics.median(times)
            table.rows.append((*where, name, *medians, spread(ratios(times, plain)), 1000 * more))
    blocks = ", ".join(f"{job.block} at width {job.width}" for job in list(jobs(names, short, device))[:2])
    table.notes = [
        "Three processes with the same networks, batch and threads take turns: a loop in which forward, update of the "
        "discriminator and update of the generator are written out (`plain.py`), and the module under a `Trainer` "
        "without and with a logger. The Trainer's time is all that passes from the end of a batch to the end of a "
        "later one. With the logger, losses are logged once in each block, which is more often than the default of "
        f"every 50 steps (steps in a block: {blocks}). “ms more” is the median of the differences per step; it hardly "
        "depends on the size of the networks and is best read off the small ones."
    ]
    return [table]
