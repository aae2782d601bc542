"""Memory and time of the index of a folder with a million (empty) pictures.

    python tests/benchmarks/index_memory.py [--names 1000000]

Prints bytes per name: held by the index, at the peak of scanning, and what a loader process adds of its own after
reading every name (Linux: its private memory).
"""

import argparse
import resource
import tempfile
import time
from pathlib import Path

import torch
from torch.utils.data import DataLoader, Dataset

from sketchgan.data.index import NameIndex, match, scan


def fill(folder: Path, count: int, suffix: str) -> None:
    """Empty files in sub-folders of a thousand, with names as long as those of common data sets."""
    for i in range(0, count, 1000):
        inside = folder / f"n{i // 1000:08d}"
        inside.mkdir(parents=True)
        for j in range(i, min(i + 1000, count)):
            (inside / f"n{i // 1000:08d}_{j:08d}.{suffix}").touch()


def peak() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def private() -> int:
    lines = Path("/proc/self/smaps_rollup").read_text().splitlines()
    return 1024 * sum(int(line.split()[1]) for line in lines if line.startswith("Private"))


class Names(Dataset):
    """Reads a share of the names per item, and says how much memory the process has of its own."""

    def __init__(self, index: NameIndex) -> None:
        self.index = index

    def __len__(self) -> int:
        return 100

    def __getitem__(self, i: int) -> torch.Tensor:
        for j in range(i, len(self.index), 100):
            _ = self.index[j]
        return torch.tensor(private())


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--names", type=int, default=1_000_000)
    count = parser.parse_args().names
    with tempfile.TemporaryDirectory() as root:
        start = time.perf_counter()
        for side in "AB":
            fill(Path(root, side), count if side == "A" else count // 10, "jpg" if side == "A" else "png")
        print(f"{count:,} files made in {time.perf_counter() - start:.0f} s")

        before, start = peak(), time.perf_counter()
        index = scan(Path(root, "A"))
        seconds, grown = time.perf_counter() - start, peak() - before
        assert len(index) == count
        print(f"scan: {seconds:.1f} s, peak {grown / count:.0f} bytes a name, held {index.nbytes / count:.0f}")

        memory = [int(value) for value in DataLoader(Names(index), batch_size=None, num_workers=2)]
        print(
            f"loader process, first to last of its items: {(max(memory) - min(memory)) / count:.1f} bytes a name more"
        )

        few = scan(Path(root, "B"))
        before, start = peak(), time.perf_counter()
        match(few, few, "benchmark")
        print(f"match of {len(few):,} pairs: {time.perf_counter() - start:.1f} s, {peak() - before:,} bytes more")


if __name__ == "__main__":
    main()
