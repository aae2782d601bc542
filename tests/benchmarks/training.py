"""Training steps: time, memory and arithmetic of each module, and what the options for speed change."""

import statistics
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import product
from typing import Any

from benchmarks import machine
from benchmarks.report import Table, ratios, spread
from benchmarks.turns import Failure, Worker, alternate
from benchmarks.workloads import PAPERS, Job

Peaks = dict[tuple[str, bool], tuple[float, str]]
"""FLOP/s of `machine.conv_peak`, and of which convolution, by precision and channels_last."""

PRECISIONS = ("32-true", "bf16-mixed", "16-mixed")
MEMORY = {
    "cpu": "Memory is the process's largest resident size after the first step; in brackets, what this is above the "
    "size before the networks were built.",
    "cuda": "Memory is the largest amount that torch's tensors held at once after the first step.",
}


def workloads(names: Sequence[str], short: bool, device: str) -> Iterator[tuple[Job, list[Job]]]:
    """Every module but variants at every size without options, each with the configurations to compare it with.

    The short form tries one option at a time, and compiles small pictures only. The long form tries all options
    together at the sizes of the short one, and the precisions at the others.
    """
    block = 10 if device == "cuda" else 1
    precisions = [{"precision": precision} for precision in PRECISIONS[1:]]
    for name in names:
        paper = PAPERS[name]
        if paper.variant:
            continue
        for size in paper.short:
            options = [{"channels_last": True}, {"fused": False}, *precisions] if short else all_options()
            yield compared(Job(name, *size, device, block=block), options)
        if short and paper.small:
            yield compared(Job(name, *paper.small, device, block=block), [{"compile": True}])
        for size in () if short else paper.long:
            yield compared(Job(name, *size, device, block=block), precisions)


def compared(plain: Job, options: Sequence[Mapping[str, Any]]) -> tuple[Job, list[Job]]:
    return plain, [replace(plain, **option) for option in options]


def all_options() -> list[dict[str, Any]]:
    """Every combination but the first, which is none."""
    names = ("precision", "channels_last", "compile", "fused")
    values = product(PRECISIONS, (False, True), (False, True), (True, False))
    return [dict(zip(names, chosen, strict=True)) for chosen in values][1:]


def tables(names: Sequence[str], short: bool, device: str, rounds: int, limit: float) -> list[Table]:
    """Two tables: the steps, and what is computed in them.

    Args:
        names: of modules, in `PAPERS`.
        short: the short form.
        device: "cpu" or "cuda".
        rounds: turns of each configuration.
        limit: seconds that a first step, with its compilation, or a block may take.
    """
    header = "module|px|batch|precision|channels_last|compile|fused|first step s|s/step|images/s|time ÷ plain|"
    steps = Table("Steps", [*f"{header}peak memory MiB|GFLOP/s|of peak".split("|")])
    counts = Table("Arithmetic of one step", ["module", "px", "batch", "GFLOP", "forwards"])
    peaks: Peaks = {}
    for plain, variants in workloads(names, short, device):
        try:
            with Worker(plain, limit) as worker:
                counted = worker.first
                forwards = ", ".join(f"{name} {count}" for name, count in counted["forwards"].items())
                counts.rows.append((*_where(plain), counted["flops"] / 1e9, forwards))
                mine = len(steps.rows)
                for job in variants:
                    steps.rows.append(_compared(job, worker, rounds, limit, counted["flops"], peaks))
                (times,) = alternate([worker], rounds)
                result = _row(plain, worker.first, times, ["1"], worker.finish(), counted["flops"], peaks)
            steps.rows.insert(mine, result)
        except Failure as failure:
            steps.rows.append(_refused(plain, f"failed: {failure}"))
    steps.notes = [
        "One process per configuration, under a `Trainer` with the `Speed` callback, on one batch that is already on "
        "the device; time from the end of a batch to the end of a later one. Images are those of one domain. "
        "“time ÷ plain” compares with the first line of the same size, turn by turn; below 1 is faster. "
        "The first step includes the start of the arithmetic, and compilation. " + MEMORY[device],
        "",
        "GFLOP/s are those of the next table over the median time; the peak is the best that the same machine does in "
        "forward and backward of a convolution of the same precision and layout: "
        + "; ".join(
            f"{peak / 1e9:,.0f} GFLOP/s in {precision}, {'channels_last' if last else 'contiguous'} ({shape})"
            for (precision, last), (peak, shape) in sorted(peaks.items())
        )
        + ".",
    ]
    counts.notes = [
        "Counted in a real step, forward and backward, with torch's `FlopCounterMode`: a multiplication and an "
        "addition are two operations, and only convolutions count."
    ]
    return [steps, counts]


def _compared(job: Job, plain: Worker, rounds: int, limit: float, flops: float, peaks: Peaks) -> list[object]:
    if not machine.supported(job.precision, job.device):
        return _refused(job, "not supported")
    try:
        with Worker(job, limit) as worker:
            reference, times = alternate([plain, worker], rounds)
            compared = [spread(ratios(times, reference))]
            return _row(job, worker.first, times, compared, worker.finish(), flops, peaks)
    except Failure as failure:
        return _refused(job, f"failed: {failure}")


def _row(
    job: Job,
    first: dict[str, Any],
    times: list[float],
    compared: list[str],
    memory: dict[str, float],
    flops: float,
    peaks: Peaks,
) -> list[object]:
    seconds = statistics.median(times)
    layout = (job.precision, job.channels_last)
    if layout not in peaks:
        peaks[layout] = machine.conv_peak(job.device, *layout, repetitions=2)
    mib = f"{memory['peak'] / 2**20:,.0f}"
    if job.device == "cpu":
        mib += f" ({memory['growth'] / 2**20:,.0f})"
    speed = flops / seconds
    share = f"{speed / peaks[layout][0]:.0%}"
    return [*_options(job), first["seconds"], seconds, job.batch_size / seconds, *compared, mib, speed / 1e9, share]


def _where(job: Job) -> tuple[object, ...]:
    return job.paper, job.side, job.batch_size


def _options(job: Job) -> tuple[object, ...]:
    return (*_where(job), job.precision, job.channels_last, job.compile, job.fused)


def _refused(job: Job, reason: str) -> list[object]:
    return [*_options(job), *[""] * 3, reason, *[""] * 3]
