"""Runs stopped from outside and resumed end like runs that were not."""

import multiprocessing
import os
import runpy
import signal
import sys
import time
from multiprocessing.process import BaseProcess
from pathlib import Path

import pytest
import torch
import yaml

# Processes of their own, which are forked from one that has imported everything: to import takes longer than to train.
PROCESSES = multiprocessing.get_context("forkserver")
PROCESSES.set_forkserver_preload(["sketchgan.cli"])

SETTINGS = {
    "Pix2Pix": {
        "generator": {"class_path": "UNetGenerator", "init_args": {"num_downs": 5, "ngf": 4, "dropout_levels": "lua"}},
        "discriminator": {"class_path": "PatchDiscriminator", "init_args": {"in_channels": 6, "ndf": 4, "n_layers": 1}},
    },
    "CycleGAN": {
        "pool_size": 10,
        **{
            f"generator_{d}": {"class_path": "ResnetGenerator", "init_args": {"ngf": 4, "n_blocks": 1, "dropout": 0.5}}
            for d in ("ab", "ba")
        },
        **{
            f"discriminator_{d}": {"class_path": "PatchDiscriminator", "init_args": {"ndf": 4, "n_layers": 1}}
            for d in ("a", "b")
        },
    },
}


def fit(folder: Path, options: tuple[str, ...]) -> None:
    os.setsid()
    os.chdir(folder)
    with open("log.txt", "a") as log:
        os.dup2(log.fileno(), 1)
        os.dup2(log.fileno(), 2)
    sys.argv[1:] = ["fit", *options]
    runpy.run_module("sketchgan", run_name="__main__")


def start(folder: Path, *options: str) -> BaseProcess:
    process = PROCESSES.Process(target=fit, args=(folder, options))
    process.start()
    return process


def wait(process: BaseProcess) -> int | None:
    process.join(120)
    return process.exitcode


def finish(process: BaseProcess, folder: Path) -> dict:
    assert wait(process) == 0, (folder / "log.txt").read_text()
    path = max(folder.glob("runs/tiny/version_*/checkpoints/last.ckpt"), key=lambda path: path.stat().st_mtime)
    return torch.load(path, weights_only=True)


def recipe(folder: Path, name: str, workers: int) -> str:
    """Write a small configuration; return the option that names it."""
    config = {
        "seed_everything": 7,
        "model": {"class_path": name, "init_args": {**SETTINGS[name], "n_epochs": 3, "n_epochs_decay": 3}},
        "data": {
            "class_path": "OpenMoji",
            "init_args": {
                "paired": name == "Pix2Pix",
                "image_size": 32,
                "groups": ["activities"],
                "batch_size": 8,
                "num_workers": workers,
            },
        },
        "trainer": {
            "max_epochs": 6,
            "limit_val_batches": 1,
            "accelerator": "cpu",
            "deterministic": True,
            "enable_progress_bar": False,
            "log_every_n_steps": 4,
        },
    }
    path = folder / "tiny.yaml"
    path.write_text(yaml.safe_dump(config))
    return f"--config={path}"


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "number", "workers"),
    [("Pix2Pix", signal.SIGINT, 2), ("CycleGAN", signal.SIGKILL, 0)],
)
def test_stopped_and_resumed_equals_unbroken(tmp_path, name, number, workers):
    unbroken, broken = tmp_path / "unbroken", tmp_path / "broken"
    unbroken.mkdir()
    broken.mkdir()
    expected = finish(start(unbroken, recipe(unbroken, name, workers=0)), unbroken)
    process = start(broken, recipe(broken, name, workers))
    checkpoints = broken / "runs/tiny/version_0/checkpoints"
    deadline = time.monotonic() + 120
    while not (checkpoints / "last.ckpt").is_file():
        assert process.is_alive(), (broken / "log.txt").read_text()
        assert time.monotonic() < deadline
        time.sleep(0.02)
    time.sleep(0.1)
    os.killpg(process.pid, number)  # the whole group, as a terminal's Ctrl-C
    code = wait(process)
    assert code == (-signal.SIGKILL if number == signal.SIGKILL else 1), "it had ended before the signal"
    point = checkpoints / ("interrupted.ckpt" if number == signal.SIGINT else "last.ckpt")
    if number == signal.SIGINT:
        assert f"--ckpt_path={point.relative_to(broken)}" in (broken / "log.txt").read_text().replace("\n", "")
    assert torch.load(point, weights_only=True)["sketchgan"]["batches_seen"] < expected["sketchgan"]["batches_seen"]

    actual = finish(start(broken, f"--ckpt_path={point.relative_to(broken)}"), broken)
    assert actual["sketchgan"]["batches_seen"] == expected["sketchgan"]["batches_seen"]
    differ = [key for key, value in expected["state_dict"].items() if not torch.equal(value, actual["state_dict"][key])]
    assert differ == []
