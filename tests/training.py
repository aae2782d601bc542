"""The Trainer that the tests use: on the CPU, quiet, and leaving nothing behind."""

from typing import Any

import torch
from lightning.pytorch import LightningModule, Trainer
from torch import nn

QUIET = {
    "accelerator": "cpu",
    "logger": False,
    "enable_checkpointing": False,
    "enable_progress_bar": False,
    "enable_model_summary": False,
}


def quiet_trainer(**kwargs: Any) -> Trainer:
    return Trainer(**{**QUIET, **kwargs})


def save(module: LightningModule, path: str) -> None:
    """Write the checkpoint of a module that has not been trained."""
    module.trainer = quiet_trainer()
    module.trainer.strategy.connect(module)
    module.trainer.save_checkpoint(path)


def same(network: nn.Module, other: nn.Module) -> bool:
    """Whether two networks have the same weights, bit for bit."""
    ours, theirs = network.state_dict(), other.state_dict()
    return ours.keys() == theirs.keys() and all(torch.equal(ours[key], theirs[key]) for key in ours)
