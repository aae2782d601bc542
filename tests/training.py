"""The Trainer that the tests use: on the CPU, quiet, and leaving nothing behind."""

from typing import Any

from lightning.pytorch import Trainer

QUIET = {
    "accelerator": "cpu",
    "logger": False,
    "enable_checkpointing": False,
    "enable_progress_bar": False,
    "enable_model_summary": False,
}


def quiet_trainer(**kwargs: Any) -> Trainer:
    return Trainer(**{**QUIET, **kwargs})
