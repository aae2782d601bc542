"""All benchmarks by one command, on a CPU or a GPU.

    python tests/benchmarks/run.py [--short] [--device cpu|cuda] [--page docs/benchmarks.md]

The short form takes about a quarter of an hour on two idle CPU cores, the long form about an hour. Both measure
the checkout in which this file lies.
"""

import argparse
import datetime
import sys
import time
from collections.abc import Sequence
from pathlib import Path

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE.parents[1]), str(HERE.parent)]

import torch  # noqa: E402

from benchmarks import (  # noqa: E402
    importing,
    inference,
    loading,
    machine,
    official,
    operators,
    overhead,
    report,
    training,
)
from benchmarks.workloads import PAPERS  # noqa: E402

PARTS = {
    "training": "Training steps",
    "overhead": "Overhead of the Trainer",
    "official": "Against the official loop",
    "inference": "Inference",
    "loading": "Reading pictures",
    "importing": "Import",
    "profile": "Profile",
}


def measure(part: str, args: argparse.Namespace) -> list[report.Table]:
    """The tables of one part."""
    rounds = args.rounds or (3 if args.short else 5 if args.device == "cpu" else 15)
    limit = 300.0 if args.short else 1800.0
    if part == "training":
        return training.tables(args.modules, args.short, args.device, rounds, limit)
    if part == "overhead":
        return overhead.tables(args.modules, args.short, args.device, rounds, limit)
    if part == "official":
        return official.tables(args.modules, args.short, args.device, rounds, limit)
    if part == "inference":
        return inference.tables(args.device, rounds)
    if part == "loading":
        return loading.tables(args.device, rounds, limit)
    if part == "importing":
        return importing.tables(rounds)
    return operators.tables(args.modules, args.device)


def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--short", action="store_true", help="few sizes and repetitions")
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--only", nargs="+", choices=PARTS, default=list(PARTS), help="some of the parts")
    parser.add_argument("--modules", nargs="+", choices=PAPERS, default=list(PAPERS), help="some of the modules")
    parser.add_argument("--rounds", type=int, help="repetitions of everything")
    parser.add_argument("--page", type=Path, help="also write the tables to this file")
    args = parser.parse_args(argv)

    words = list(sys.argv[1:] if argv is None else argv)
    command = " ".join(
        ["python tests/benchmarks/run.py", *(Path(w).name if Path(w).is_absolute() else w for w in words)]
    )
    facts = machine.facts(args.device)
    print("\n".join(f"{name}: {value}" for name, value in facts), "\n")
    sections, start = [], time.perf_counter()
    for part in args.only:
        tables = measure(part, args)
        sections.append((PARTS[part], tables))
        print("\n".join(map(report.markdown, tables)), f"({time.perf_counter() - start:.0f} s so far)\n", flush=True)
    if args.page:
        args.page.write_text(report.page(command, f"{datetime.date.today():%Y-%m-%d}", facts, sections))


if __name__ == "__main__":
    main()
