"""Time and memory of ``import sketchgan``, beside that of ``import lightning``."""

import json
import re
import statistics
import subprocess
import sys
from collections import defaultdict

from benchmarks.report import Table, ratios, spread
from benchmarks.turns import environment

MEASURE = """
import time, json
start = time.perf_counter()
import {name}
seconds = time.perf_counter() - start
peak = next(int(line.split()[1]) for line in open("/proc/self/status") if line.startswith("VmHWM"))
print(json.dumps([seconds, peak / 1024]))
"""
NAMES = ("lightning", "sketchgan")


def measured(name: str) -> tuple[float, float]:
    """Seconds and MiB of an import in a fresh process."""
    code = MEASURE.format(name=name)
    said = subprocess.run([sys.executable, "-c", code], env=environment(), stdout=subprocess.PIPE, check=True).stdout
    seconds, mib = json.loads(said.splitlines()[-1])
    return seconds, mib


def self_times(log: str, after: str) -> list[tuple[str, float]]:
    """Milliseconds by top-level package, from a log of ``-X importtime``, of what was imported after a module."""
    times: defaultdict[str, float] = defaultdict(float)
    counting = False
    for line in log.splitlines():
        found = re.match(r"import time:\s+(\d+) \|\s+\d+ \| ( *)(\S+)$", line)
        if found and counting:
            times[found[3].partition(".")[0]] += int(found[1]) / 1000
        counting = counting or bool(found and not found[2] and found[3] == after)
    return sorted(times.items(), key=lambda item: -item[1])


def tables(pairs: int) -> list[Table]:
    """Two tables: the imports, measured ``pairs`` times each by turns, and what sketchgan's adds."""
    for name in NAMES:
        measured(name)  # into the page cache, and compiled to bytecode
    runs = [[measured(name) for name in NAMES] for _ in range(pairs)]
    table = Table("Time and memory", ["import", "s", "MiB", "time ÷ lightning", "memory ÷ lightning"])
    for i, name in enumerate(NAMES):
        seconds, mib = ([run[i][k] for run in runs] for k in (0, 1))
        compared = [spread(ratios([r[i][k] for r in runs], [r[0][k] for r in runs]), 2) for k in (0, 1)]
        table.rows.append((name, statistics.median(seconds), statistics.median(mib), *(compared if i else ("1", "1"))))
    table.notes = [
        f"{pairs} fresh processes each, by turns, after one that is not counted; the files are in the page cache. Time "
        "is that of the import statement alone; memory is the largest resident size of the process."
    ]
    code = "import lightning\nimport sketchgan"
    log = subprocess.run(
        [sys.executable, "-X", "importtime", "-c", code], env=environment(), stderr=subprocess.PIPE, text=True
    ).stderr
    added = Table("What sketchgan imports and lightning does not", ["package", "ms"])
    added.rows = list(self_times(log, after="lightning")[:10])
    added.notes = [
        "From one run with `-X importtime`, which slows imports down: the time in the modules of each top-level "
        "package themselves, for modules that were not there after `import lightning`."
    ]
    return [table, added]
