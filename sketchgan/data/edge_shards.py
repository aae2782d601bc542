"""Shards of a long job: made by any number of processes, each written whole or not at all."""

import contextlib
import hashlib
import json
import os
import shutil
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]

JOB = "edges.json"
MANIFEST = "manifest.jsonl"

Row = dict[str, Any]
"""A picture's line in the manifest of its shard; see `make_edge_maps`."""


class ShardWriter:
    """One shard, written under a hidden name until it is complete.

    Args:
        out: folder of the job.
        number: of the shard.
        rank: which process makes it.
        world: of how many.
    """

    def __init__(self, out: Path, number: int, rank: int, world: int) -> None:
        self.number = number
        self.final = shard_folder(out, number)
        self.folder = out / f".{self.final.name}{_ending(rank, world)}"
        self.folder.mkdir()
        self.rows: list[Row] = []

    def add(self, row: Row, files: Mapping[str, bytes]) -> None:
        """Write the files of a picture; their names are relative to the shard's folder."""
        for name, data in files.items():
            path = self.folder / name
            try:
                path.write_bytes(data)
            except FileNotFoundError:  # rarely, so that folders are not looked up for every file
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(data)
        self.rows.append(row)

    def finish(self) -> None:
        """Give the shard its name, and with that make it count."""
        lines = "".join(json.dumps(row) + "\n" for row in self.rows)
        (self.folder / MANIFEST).write_text(lines)
        # A power cut must not leave the name without the contents. One sync of everything takes a twentieth of the
        # time of one per file.
        if hasattr(os, "sync"):
            os.sync()
        try:
            self.folder.rename(self.final)
        except OSError:
            if not self.final.is_dir():
                raise
            self.discard()  # processes of another division were faster; they write the same bytes

    def discard(self) -> None:
        """Remove what is written."""
        shutil.rmtree(self.folder, ignore_errors=True)


def shard_folder(out: Path, number: int) -> Path:
    """Where a shard is once it is complete."""
    return out / f"shard-{number:05d}"


def remove_leftovers(out: Path, rank: int, world: int) -> None:
    """Remove the unfinished shards of a killed process that had the same part of the job; others may be alive."""
    for folder in out.glob(f".shard-*{_ending(rank, world)}"):
        shutil.rmtree(folder)


def remove_all_leftovers(out: Path) -> None:
    """Remove unfinished shards when every shard is finished, and nobody can be at work."""
    for folder in out.glob(".shard-*"):
        shutil.rmtree(folder, ignore_errors=True)


def _ending(rank: int, world: int) -> str:
    return f".{rank}-of-{world}"


@contextlib.contextmanager
def sole_process(out: Path, rank: int, world: int) -> Iterator[None]:
    """Refuse a second process with the same part of the job: each would remove what the other is writing.

    A lock on a byte of the job's file, which the system releases however the process ends; it also holds between
    machines on file systems that have such locks, and does nothing on the others and on Windows.

    Raises:
        BlockingIOError: if there is one.
    """
    with (out / JOB).open("rb+") as file:
        if fcntl is not None:
            try:
                fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB, 1, (world << 20) + rank)
            except (BlockingIOError, PermissionError):
                raise BlockingIOError(
                    f"another process is making part {rank} of {world} of {out}; wait for it, or stop it first"
                ) from None
            except OSError:
                pass  # a file system without locks
        yield


def list_hash(names: Iterable[str]) -> str:
    """SHA-256 of a list of file names, in hexadecimal."""
    digest = hashlib.sha256()
    for name in names:
        digest.update(os.fsencode(name) + b"\0")
    return digest.hexdigest()


def open_job(out: Path, job: Mapping[str, Any]) -> None:
    """Start a job, or check that one is continued as it was started.

    Args:
        out: its folder.
        job: what the results depend on, plain values, and "root", the folder of the pictures, which may have moved.

    Raises:
        ValueError: naming what differs.
    """
    path = out / JOB
    if not path.exists():
        if any(out.glob("shard-*")):
            raise ValueError(f"{out} holds shards but no {JOB}, so nothing says how they were made; use another folder")
        out.mkdir(parents=True, exist_ok=True)
        # Never half a file; of several processes that start together the first wins, and the others compare below.
        mine = out / f".{JOB}.{os.uname().nodename if hasattr(os, 'uname') else ''}-{os.getpid()}"
        mine.write_text(json.dumps(job, indent=2) + "\n")
        try:
            os.link(mine, path)  # not replacing a file that another process already holds a lock on
            mine.unlink()
        except FileExistsError:
            mine.unlink()
        except OSError:  # a file system without links
            mine.replace(path)
    try:
        there = json.loads(path.read_text())
        differences = _differences(there, json.loads(json.dumps(job)))
    except (json.JSONDecodeError, AttributeError) as error:
        raise ValueError(f"{path} is damaged ({error}); remove {out}, or write to another folder") from None
    if differences:
        raise ValueError(
            f"{out} was begun with something else, see {path}: {'; '.join(differences)}. Go on as it was begun, or "
            "write to another folder"
        )


def _differences(there: Mapping[str, Any], here: Mapping[str, Any]) -> list[str]:
    """What differs, in words; the root may."""
    found = []
    for key in dict.fromkeys([*there, *here]):
        old, new = there.get(key), here.get(key)
        if old == new or key == "root":
            continue
        if isinstance(old, dict) and isinstance(new, dict):
            found += _differences(old, new)
        elif key == "files":
            found.append("the list of pictures differs" + (" in names" if there["images"] == here["images"] else ""))
        else:
            found.append(f"{key} was {old}, now {new}")
    return found


def read_edge_manifests(out: str | Path) -> Iterator[Row]:
    """The manifest lines of all finished shards, in order, each with its "shard" besides.

    Args:
        out: folder of the job.

    Raises:
        FileNotFoundError: if it is none.
        ValueError: if a manifest is damaged.
    """
    if not (Path(out) / JOB).is_file():
        raise FileNotFoundError(f"no {JOB} in {out}: it is not a folder of sketchgan edges")
    job = json.loads((Path(out) / JOB).read_text())
    for folder in sorted(Path(out).glob("shard-*")):
        with (folder / MANIFEST).open() as lines:
            try:
                rows = [json.loads(line) for line in lines]
            except json.JSONDecodeError as error:
                raise ValueError(
                    f"{folder / MANIFEST} is damaged ({error}); remove {folder}, and run sketchgan edges again to make "
                    "it anew"
                ) from None
        before = int(folder.name.removeprefix("shard-")) * job["shard_size"]
        expected = min(job["shard_size"], job["images"] - before)
        if len(rows) != expected:
            raise ValueError(
                f"{folder / MANIFEST} has {len(rows)} lines for {expected} pictures; remove {folder}, and run "
                "sketchgan edges again to make it anew"
            )
        for row in rows:
            yield {"shard": folder.name, **row}
