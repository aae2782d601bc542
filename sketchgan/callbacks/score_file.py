"""Where scores go: to the loggers, to the terminal and to a file that says how they were measured."""

import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.utilities import rank_zero_info


def write_down(scores: Sequence[dict[str, Any]], trainer: Trainer, module: LightningModule) -> None:
    """Log scores, print those that a network took part in, and append all to ``scores.jsonl`` in the log folder.

    Args:
        scores: dicts with ``score`` (its name), ``value`` and what must be said beside it, the same on all processes;
            ``classes``, the values class by class, go to the file alone.
        trainer: of the run.
        module: that logs.
    """
    folder = trainer.log_dir  # asked for by all processes
    lines = []
    for line in scores:
        module.log(line["score"], line["value"])
        about = {key: value for key, value in line.items() if key not in ("score", "value")}
        value = float(line["value"])
        if "net" in line:
            said = ", ".join(f"{key} {what}" for key, what in about.items() if key != "classes")
            rank_zero_info(f"{line['score']} {value:.4g} ({said})")
        # The PSNR of a perfect picture is infinite, which JSON cannot say.
        finite = value if math.isfinite(value) else str(value)
        lines.append(json.dumps({"score": line["score"], "value": finite, **about, "epoch": trainer.current_epoch}))
    if folder is not None and trainer.is_global_zero and lines:
        Path(folder).mkdir(parents=True, exist_ok=True)
        with Path(folder, "scores.jsonl").open("a", encoding="utf-8") as file:
            file.writelines(f"{line}\n" for line in lines)
