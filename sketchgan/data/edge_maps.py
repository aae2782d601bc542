"""Photographs to edge maps and distance fields, by the million: `make_edge_maps`, which is ``sketchgan edges``."""

import contextlib
import math
import os
import signal
import warnings
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import torch
from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.callbacks import TQDMProgressBar
from lightning.pytorch.plugins.environments import LightningEnvironment
from lightning.pytorch.strategies import DDPStrategy
from torch.utils.data import DataLoader

from sketchgan.data.edge_batches import Batch, Batches, Files, PhotoFormat, Photographs, Pipeline, finish, make_maps
from sketchgan.data.edge_shards import (
    Row,
    ShardWriter,
    list_hash,
    open_job,
    read_edge_manifests,
    remove_all_leftovers,
    remove_leftovers,
    shard_folder,
    sole_process,
)
from sketchgan.data.files import refuse_inside
from sketchgan.data.pictures import PictureError
from sketchgan.data.source import OnBadImage
from sketchgan.edges import EdgePipeline


@dataclass(frozen=True)
class EdgeReport:
    """What a job has made so far.

    Attributes:
        images: number of pictures found.
        shards: how many there will be.
        finished: how many there are.
        ok: pictures with an edge map, in the finished shards.
        blank: pictures whose map was dropped, having nothing but lines or no lines.
        unreadable: messages on the pictures that cannot be read.
    """

    images: int
    shards: int
    finished: int
    ok: int
    blank: int
    unreadable: list[str]


def make_edge_maps(
    inputs: str | Path | Sequence[str | Path],
    out: str | Path,
    pipeline: Pipeline | None = None,
    keep_photos: PhotoFormat | None = None,
    shard_size: int = 1000,
    batch_size: int = 16,
    num_workers: int | None = None,
    accelerator: str = "auto",
    devices: int = 1,
    rank: int | None = None,
    world: int | None = None,
    on_bad_image: OnBadImage = "raise",
    progress: bool = False,
) -> EdgeReport:
    """Turn photographs into edge maps that look like sketches, and their distance fields, in shards.

    A shard is a folder, ``out/shard-00000`` and so on, of ``shard_size`` pictures in the order of their paths, and it
    appears when it is complete. Started again after whatever end, the job goes on with the shards that are missing. It
    holds ``edges/<name>.png`` (lines 0 on 255), ``distance/<name>.png`` (8 bits, 0 on a line), perhaps
    ``photo/<name>`` at the maps' size, and ``manifest.jsonl`` with a line per picture:

    - "source": path of the photograph, relative to "root" in ``out/edges.json``;
    - "class": its first sub-folder, or null;
    - "edges", "distance", "photo": paths in the shard, or null; "photo" only if photos are kept;
    - "width", "height" of the photograph, upright;
    - "line_pixels" of the map;
    - "status": "ok", "blank" (the map, at its size or at 64 x 64, has no lines or nothing else; it is dropped), or
      "unreadable", with a "message" that names the file.

    The bytes do not depend on ``num_workers``, ``rank``, ``world``, on interruptions, nor, on a CPU, on ``batch_size``:
    there every worker process takes its pictures through all stages, with one thread and the detector looking at one
    picture at a time, which needs no further communication and scales with the cores. On a GPU the workers read and
    resize, the stages run on the device in batches, and threads compress the results.

    Args:
        inputs: files, and folders that are searched; their sub-folders are kept. One or several.
        out: folder of the job.
        pipeline: detector and stages; by default ``EdgePipeline()``.
        keep_photos: also keep the photographs as resized (area interpolation, aspect ratio not kept): "jpeg" (quality
            95, colours at full resolution) or "png".
        shard_size: pictures per shard.
        batch_size: pictures that the device is given at a time, or a worker hands back at a time.
        num_workers: processes; by default one per CPU core, 0 is none.
        accelerator: of the ``Trainer``.
        devices: of the ``Trainer``; several share the shards, with a process each.
        rank: number of this process among those that share the job without a network between them; shard k is made by
            process k modulo ``world``. By default the environment variables RANK and WORLD_SIZE, if both are set and
            ``devices`` is 1, and otherwise 0 of 1. Each of them may have several devices.
        world: how many such processes there are.
        on_bad_image: "raise" stops at the end of a shard with unreadable pictures, without that shard; "skip" goes on.
        progress: show a bar.

    Returns:
        Counts over all finished shards, also those of other processes.

    Raises:
        FileNotFoundError: if an input is missing.
        PictureError: listing the unreadable pictures of a shard.
        ValueError: if an argument makes no sense, or ``out`` was begun with other pictures or settings.
        BlockingIOError: if another process is making the same part.
        ChildProcessError: if one of several devices' processes fails; its own error is printed.
    """
    if shard_size < 1 or batch_size < 1:
        raise ValueError(f"shard_size and batch_size must be positive, got {shard_size} and {batch_size}")
    if keep_photos not in (None, "jpeg", "png"):
        raise ValueError(f'keep_photos must be "jpeg" or "png", got {keep_photos!r}')
    if on_bad_image not in ("raise", "skip"):
        raise ValueError(f'on_bad_image must be "raise" or "skip", got {on_bad_image!r}')
    rank, world = _part(rank, world, devices)
    pipeline = EdgePipeline() if pipeline is None else pipeline
    if pipeline.size is None:
        raise ValueError("the pipeline needs a size, which all maps then have; got size=None")
    photographs = Photographs(inputs, pipeline.size)
    out = Path(out).absolute()
    refuse_inside(photographs.inputs, out)
    job = {
        "root": str(photographs.root),
        "images": len(photographs),
        # Names too: the inputs "photos" and "photos/cat" may find the same files, and name and class them differently.
        "files": list_hash(of(i) for i in range(len(photographs)) for of in (photographs.source, photographs.name)),
        "shard_size": shard_size,
        "keep_photos": keep_photos,
        "pipeline": pipeline.settings(),
    }
    make_maps(
        pipeline, torch.zeros(1, 3, pipeline.size, pipeline.size, dtype=torch.uint8)
    )  # errors now, not in a worker
    open_job(out, job)
    shards = math.ceil(len(photographs) / shard_size)

    trainer = Trainer(
        accelerator=accelerator,
        devices=_own_gpu(accelerator) if devices == 1 else devices,
        # The processes exchange nothing, and wait for each other at the end, where one may have a day of work left.
        strategy="auto" if devices == 1 else DDPStrategy(process_group_backend="gloo", timeout=timedelta(days=365)),
        plugins=[LightningEnvironment()] if devices == 1 else None,  # alone, whatever has started us
        use_distributed_sampler=False,  # it would tear shards apart
        logger=False,
        callbacks=[TQDMProgressBar()] if progress else [],
        enable_checkpointing=False,
        enable_model_summary=False,
        enable_progress_bar=progress,
    )
    maker = EdgeMaker(
        out,
        photographs,
        pipeline,
        shards,
        shard_size,
        keep_photos,
        batch_size,
        num_workers,
        (rank, world),
        on_bad_image,
    )
    try:
        with _one_thread(trainer.strategy.root_device.type == "cpu"), warnings.catch_warnings():
            for expected in (".*does not have many workers.*", ".*across ranks is zero.*"):  # all may be finished
                warnings.filterwarnings("ignore", expected)
            trainer.predict(maker, return_predictions=False)
    finally:
        maker.close()
    return _report(out, len(photographs), shards)


def _part(rank: int | None, world: int | None, devices: int) -> tuple[int, int]:
    """Which part of the job is this process's."""
    if rank is None and world is None and devices == 1 and {"RANK", "WORLD_SIZE"} <= os.environ.keys():
        rank, world = int(os.environ["RANK"]), int(os.environ["WORLD_SIZE"])
    if (rank is None) != (world is None):
        raise ValueError(f"rank and world belong together, got rank={rank}, world={world}")
    rank, world = rank or 0, 1 if world is None else world
    if not 0 <= rank < world:
        raise ValueError(f"rank must be from 0 to world - 1, got rank={rank}, world={world}")
    return rank, world


def _own_gpu(accelerator: str) -> int | list[int]:
    """One device: of several processes that torchrun starts on a machine, each has another GPU."""
    number = int(os.environ.get("LOCAL_RANK", 0))
    return [number] if accelerator in ("auto", "gpu", "cuda") and 0 < number < torch.cuda.device_count() else 1


@contextlib.contextmanager
def _one_thread(wanted: bool) -> Iterator[None]:
    """As in worker processes, so that sums do not depend on the number of cores."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1 if wanted else threads)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


def _report(out: Path, images: int, shards: int) -> EdgeReport:
    counts = {"ok": 0, "blank": 0, "unreadable": 0}
    unreadable = []
    for row in read_edge_manifests(out):
        counts[row["status"]] += 1
        if row["status"] == "unreadable":
            unreadable.append(row["message"])
    finished = sum(shard_folder(out, number).is_dir() for number in range(shards))
    if finished == shards:
        remove_all_leftovers(out)
    return EdgeReport(images, shards, finished, counts["ok"], counts["blank"], unreadable)


class EdgeMaker(LightningModule):
    """Lightning's prediction loop over `Batches`: `make_edge_maps` runs it, and says what the arguments are."""

    allow_zero_length_dataloader_with_multiple_devices = True  # all shards of a process may be finished

    def __init__(
        self,
        out: Path,
        photographs: Photographs,
        pipeline: Pipeline,
        shards: int,
        shard_size: int,
        keep_photos: PhotoFormat | None,
        batch_size: int,
        num_workers: int | None,
        part: tuple[int, int],
        on_bad_image: OnBadImage,
    ) -> None:
        super().__init__()
        self.out = out
        self.photographs = photographs
        self.pipeline = pipeline
        self.shards = shards
        self.shard_size = shard_size
        self.keep_photos: PhotoFormat | None = keep_photos
        self.batch_size = batch_size
        self.num_workers = num_workers
        self.part = part
        self.on_bad_image = on_bad_image
        self.writer: ShardWriter | None = None
        self.pending: deque[tuple[Row, Future[Files]]] = deque()
        self.held = contextlib.ExitStack()

    def setup(self, stage: str) -> None:
        """Take hold of this process's part of the job."""
        rank, world = self.part
        self.part = rank * self.trainer.world_size + self.trainer.global_rank, world * self.trainer.world_size
        self.held.enter_context(sole_process(self.out, *self.part))
        remove_leftovers(self.out, *self.part)
        self.cores = max(1, _cores() // self.trainer.num_devices)
        self.threads = self.held.enter_context(
            ThreadPoolExecutor(self.cores)
        )  # compressing leaves the interpreter free

    def close(self) -> None:
        """Let go of it; what is unfinished is removed."""
        for _, waiting in self.pending:
            waiting.cancel()
        if self.writer is not None:
            self.writer.discard()
        self.held.close()

    def predict_dataloader(self) -> DataLoader:
        numbers = [k for k in range(self.part[0], self.shards, self.part[1]) if not shard_folder(self.out, k).is_dir()]
        on_cpu = self.trainer.strategy.root_device.type == "cpu"
        pipeline = self.pipeline if on_cpu else None
        batches = Batches(self.photographs, numbers, self.shard_size, self.batch_size, pipeline, self.keep_photos)
        workers = (self.cores if self.cores > 1 else 0) if self.num_workers is None else self.num_workers
        return DataLoader(batches, batch_size=None, num_workers=workers)

    def transfer_batch_to_device(self, batch: Batch, device: torch.device, dataloader_idx: int) -> Batch:
        if batch.photos is not None:
            batch.photos = batch.photos.to(device)
        return batch

    def predict_step(self, batch: Batch) -> int:
        if self.trainer.received_sigterm:  # Lightning catches it, and while it predicts does nothing about it
            raise SystemExit(128 + signal.SIGTERM)
        if self.writer is None:
            self.writer = ShardWriter(self.out, batch.shard, *self.part)
        assert self.writer.number == batch.shard
        if batch.files is not None:
            for row, files in zip(batch.rows, batch.files, strict=True):
                self.writer.add(row, files)
        else:
            self._make(batch)
        while self.pending and (batch.last or self.pending[0][1].done()):
            row, made = self.pending.popleft()
            self.writer.add(row, made.result())
        if batch.last:
            self._finish(self.writer)
            self.writer = None
        return len(batch.rows)

    def _make(self, batch: Batch) -> None:
        """Maps on the device, and files by threads."""
        assert batch.photos is not None
        maps = make_maps(self.pipeline, batch.photos)
        values = zip(batch.photos.cpu(), maps.edges.cpu(), maps.distance.cpu(), strict=True)
        for row, name, (photo, edges, distance) in zip(batch.rows, batch.names, values, strict=True):
            made = self.threads.submit(finish, row, name, photo, edges, distance, self.keep_photos)
            self.pending.append((row, made))

    def _finish(self, writer: ShardWriter) -> None:
        assert len(writer.rows) == min(self.shard_size, len(self.photographs) - writer.number * self.shard_size)
        bad = [row for row in writer.rows if row["status"] == "unreadable"]
        if bad and self.on_bad_image == "raise":
            listed = "".join(f"\n  {row['message']}" for row in bad[:20])
            listed += f"\n  and {len(bad) - 20} more" if len(bad) > 20 else ""
            raise PictureError(
                f"{len(bad)} of the {len(writer.rows)} pictures of {writer.final.name} cannot be read; repair them, or "
                f"leave them out with on_bad_image='skip' (--skip_bad). Finished shards stay:{listed}"
            )
        writer.finish()

    def on_predict_end(self) -> None:
        try:
            self.trainer.strategy.barrier()
        except RuntimeError as error:
            raise ChildProcessError(
                "another process of this run has failed, see above; finished shards stay"
            ) from error


def _cores() -> int:
    """How many this process may use; several that torchrun starts on a machine share them."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, cores // int(os.environ.get("LOCAL_WORLD_SIZE", 1)))
