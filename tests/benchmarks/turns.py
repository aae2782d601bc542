"""Processes that take turns, so that whatever slows the machine down slows them all."""

import json
import os
import re
import selectors
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks.workloads import Job

ROOT = Path(__file__).parents[2]


def environment(**more: str) -> dict[str, str]:
    """Environment in which a process imports the benchmarks, and sketchgan from the checkout that they lie in."""
    path = os.pathsep.join([str(ROOT), str(ROOT / "tests"), os.environ.get("PYTHONPATH", "")])
    return os.environ | {"PYTHONPATH": path.rstrip(os.pathsep)} | more


class Failure(RuntimeError):
    """A configuration that could not be measured; the message is its process's error."""


class Worker:
    """A process that trains one configuration (see `benchmarks.steps`), used as a context manager.

    Args:
        job: the configuration.
        limit: seconds that the first step, or a block, may take.
    """

    def __init__(self, job: Job, limit: float) -> None:
        self.job = job
        self.limit = limit

    def __enter__(self) -> "Worker":
        self.start = time.perf_counter()
        self.folder = tempfile.TemporaryDirectory()
        self.process = subprocess.Popen(
            [sys.executable, "-m", "benchmarks.steps", json.dumps(self.job.settings())],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            env=environment(TORCHINDUCTOR_CACHE_DIR=self.folder.name),  # every compilation is a first one
        )
        try:
            self.first = self._answer()
        except Failure:
            self.__exit__()
            raise
        return self

    def turn(self) -> float:
        """Seconds per step of one block."""
        self._ask("go")
        return self._answer()["seconds"] / self.job.block

    def finish(self) -> dict[str, Any]:
        """What is known at the end: memory."""
        self._ask("stop")
        return self._answer()

    def __exit__(self, *_: object) -> None:
        print(f"{self.job} ({time.perf_counter() - self.start:.0f} s)", file=sys.stderr)
        self.process.kill()
        self.process.communicate()
        self.folder.cleanup()

    def _ask(self, word: str) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(f"{word}\n")
        self.process.stdin.flush()

    def _answer(self) -> dict[str, Any]:
        assert self.process.stdout is not None
        with selectors.DefaultSelector() as selector:
            selector.register(self.process.stdout, selectors.EVENT_READ)
            if not selector.select(self.limit):
                raise Failure(f"no answer within {self.limit:.0f} s")
        line = self.process.stdout.readline()
        answer = json.loads(line) if line else {"failed": f"it ended with exit code {self.process.wait()}"}
        if "failed" in answer:
            raise Failure(re.sub(r"(/[^\s/:]+)+/", "", answer["failed"])[:200])  # no folders in a table
        return answer


def alternate(workers: Sequence[Worker], rounds: int) -> list[list[float]]:
    """Seconds per step of each worker in each round; every second round goes backwards."""
    times: list[list[float]] = [[] for _ in workers]
    for i in range(rounds):
        for worker, taken in list(zip(workers, times, strict=True))[:: -1 if i % 2 else 1]:
            taken.append(worker.turn())
    return times
