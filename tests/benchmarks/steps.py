"""One configuration in a process of its own: a block of training steps whenever it is told to.

    python -m benchmarks.steps '{"paper": "Pix2Pix", "side": 256, "batch_size": 1}'

It answers with a line of JSON after the first step, and after each block for which a line "go" has asked.
"""

import json
import os
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import repeat
from typing import Any, TextIO

import torch
from lightning.pytorch import Callback, Trainer
from lightning.pytorch.loggers import CSVLogger
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from benchmarks import machine
from benchmarks.workloads import PAPERS, Job
from sketchgan.callbacks import Speed


class Turns:
    """The clock of a process, from the end of a step to the end of the last one of its block.

    Args:
        job: what is timed.
        asked: lines "go".
        answers: where the lines of JSON go.
    """

    def __init__(self, job: Job, asked: TextIO, answers: TextIO) -> None:
        self.job = job
        self.asked = asked
        self.answers = answers
        self.left = 1  # the first step warms up
        self.start = time.perf_counter()

    def step_done(self, **more: Any) -> bool:
        """Called after every step; at the end of a block it waits for the next turn, and is false if there is none."""
        self.left -= 1
        if self.left:
            return True
        machine.synchronize(self.job.device)
        seconds = time.perf_counter() - self.start
        print(json.dumps({"seconds": seconds, **more}), file=self.answers, flush=True)
        going = self.asked.readline().strip() == "go"
        self.left = self.job.block
        self.start = time.perf_counter()
        return going


@contextmanager
def counted(networks: dict[str, nn.Module]) -> Iterator[dict[str, Any]]:
    """Floating-point operations inside the block, forward and backward, and each network's forwards."""
    counts: dict[str, Any] = {}
    forwards: Counter[str] = Counter()
    hooks = [
        network.register_forward_hook(lambda *_, name=name: forwards.update([name]))
        for name, network in networks.items()
    ]
    with FlopCounterMode(display=False) as flops:
        yield counts
    for hook in hooks:
        hook.remove()
    counts |= {"flops": flops.get_total_flops(), "forwards": dict(forwards)}


def networks_of(module: nn.Module) -> dict[str, nn.Module]:
    return {name: child for name, child in module.named_children() if next(child.parameters(), None) is not None}


class TurnsInTrainer(Callback):
    """Take turns, and count in the first step (unless it is compiled, which the counter does not see into)."""

    def __init__(self, turns: Turns) -> None:
        self.turns = turns
        self.counting: Any = None

    def on_train_batch_start(self, trainer: Trainer, pl_module: Any, batch: Any, batch_idx: int) -> None:
        if batch_idx == 0 and not self.turns.job.compile:
            self.counting = counted(networks_of(pl_module))
            self.counts = self.counting.__enter__()

    def on_train_batch_end(self, trainer: Trainer, pl_module: Any, outputs: Any, batch: Any, batch_idx: int) -> None:
        more = {}
        if self.counting is not None:
            self.counting.__exit__(None, None, None)
            self.counting, more = None, self.counts
        if batch_idx == 0:
            machine.reset_peak(self.turns.job.device)
        if not self.turns.step_done(**more):
            trainer.should_stop = True


def fit(job: Job, callbacks: list[Callback], logs: str, batches: int | None = None) -> nn.Module:
    """Train the job's module on one batch, again and again, until a callback or ``batches`` stops it."""
    module = job.module()
    trainer = Trainer(
        accelerator="gpu" if job.device == "cuda" else "cpu",
        devices=1,
        precision=job.precision,
        max_epochs=1,
        limit_train_batches=batches,
        logger=CSVLogger(logs) if job.csv else False,
        log_every_n_steps=job.block,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        callbacks=[Speed(channels_last=job.channels_last, compile=job.compile), *callbacks],
    )
    trainer.fit(module, repeat(job.batch()))
    return module


def run_plainly(job: Job, step_done: Any) -> nn.Module:
    """The same without a Trainer."""
    plain = PAPERS[job.paper].plain
    assert plain is not None
    module = job.module().to(job.device).train()
    step, batch = plain(module), job.batch()
    step(batch)
    machine.reset_peak(job.device)
    while step_done():
        step(batch)
    return module


def run_officially(job: Job, step_done: Any) -> nn.Module:
    """As the official code trains: with networks and a loop of its own, and Adam as torch has it by default."""
    official = PAPERS[job.paper].official
    assert official is not None
    networks = official[0](job.side, job.width).to(job.device)
    step, batch = official[1](networks), job.batch()
    with counted(dict(networks.items())) as counts:
        step(batch)
    machine.reset_peak(job.device)
    going = step_done(**counts)
    while going:
        step(batch)
        going = step_done()
    return networks


def main() -> None:
    job = Job(**json.loads(sys.argv[1]))
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what others print does not get among the answers
    torch.manual_seed(0)
    try:
        said = measure(job, sys.stdin, answers)
    except Exception as error:  # a row of the table says so
        said = {"failed": f"{type(error).__name__}: {error}"}
    print(json.dumps(said), file=answers, flush=True)


def measure(job: Job, asked: TextIO, answers: TextIO) -> dict[str, Any]:
    """Train as long as asked to; returns the memory that it took."""
    before = machine.resident()
    with tempfile.TemporaryDirectory() as logs:
        turns = Turns(job, asked, answers)
        if job.loop == "plain":
            run_plainly(job, turns.step_done)
        elif job.loop == "official":
            run_officially(job, turns.step_done)
        else:
            fit(job, [TurnsInTrainer(turns)], logs)
    peak = machine.peak(job.device)
    return {"peak": peak, "growth": peak - before}


if __name__ == "__main__":
    main()
