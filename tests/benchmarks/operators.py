"""Where the time of one training step goes."""

from collections.abc import Sequence
from typing import Any

from lightning.pytorch import Callback
from torch.profiler import ProfilerActivity, profile

from benchmarks.report import Table
from benchmarks.steps import fit
from benchmarks.workloads import PAPERS, Job


class SecondStep(Callback):
    """Profile the second batch of a run."""

    def __init__(self, device: str) -> None:
        activities = [ProfilerActivity.CPU] + ([ProfilerActivity.CUDA] if device == "cuda" else [])
        self.profile = profile(activities=activities)

    def on_train_batch_start(self, trainer: Any, pl_module: Any, batch: Any, batch_idx: int) -> None:
        if batch_idx == 1:
            self.profile.__enter__()

    def on_train_batch_end(self, trainer: Any, pl_module: Any, outputs: Any, batch: Any, batch_idx: int) -> None:
        if batch_idx == 1:
            self.profile.__exit__(None, None, None)


def operators(job: Job) -> list[tuple[str, int, float, float]]:
    """Name, calls, milliseconds in the operator itself and their share, largest first."""
    second = SecondStep(job.device)
    fit(job, [second], logs="", batches=2)
    on_gpu = job.device == "cuda"
    rows = []
    for event in second.profile.key_averages():
        microseconds = event.self_device_time_total if on_gpu else event.self_cpu_time_total
        rows.append((event.key, event.count, microseconds / 1000))
    total = sum(row[2] for row in rows)
    return [(*row, row[2] / total) for row in sorted(rows, key=lambda row: -row[2])]


def tables(names: Sequence[str], device: str) -> list[Table]:
    """One table per module, of the ten largest operators."""
    made = []
    for name in (name for name in names if not PAPERS[name].variant):
        side, batch_size = PAPERS[name].short[0]
        table = Table(f"{name}, {side} px, batch {batch_size}", ["operator", "calls", "ms", "share"])
        for key, calls, milliseconds, share in operators(Job(name, side, batch_size, device))[:10]:
            table.rows.append((key, calls, milliseconds, f"{share:.1%}"))
        made.append(table)
    made[-1].notes = [
        f"One step under `torch.profiler`, after one that warms up; time in the operator itself on the {device.upper()}"
        ", without those that it calls."
    ]
    return made
