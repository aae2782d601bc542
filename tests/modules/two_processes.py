"""What test_distributed.py runs in two processes: every module of the zoo once; results go to files, one a process.

python -m torch.distributed.run --standalone --nproc_per_node=2 two_processes.py FOLDER
"""

import sys
import warnings
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE), str(HERE.parent)]  # not on the path of a script, as they are on pytest's

import torch  # noqa: E402
from lightning.pytorch import Callback, LightningModule, Trainer, seed_everything  # noqa: E402
from training import quiet_trainer  # noqa: E402
from zoo import ZOO, Entry  # noqa: E402

from sketchgan import GANModule  # noqa: E402
from sketchgan.callbacks import ImageMetrics  # noqa: E402
from sketchgan.data import UnpairedFolders  # noqa: E402
from sketchgan.metrics import DistributionScores  # noqa: E402

STRATEGY = "ddp_find_unused_parameters_true"
SCORES = ("l1", "psnr", "ssim", "fid", "kid", "accuracy")


def trainer(processes: int, **kwargs: Any) -> Trainer:
    several = {"devices": processes, "strategy": STRATEGY} if processes > 1 else {}
    return quiet_trainer(**{"num_sanity_val_steps": 0, "deterministic": True, **several, **kwargs})


def weights(module: torch.nn.Module) -> dict[str, torch.Tensor]:
    return {name: value.clone() for name, value in module.state_dict().items()}


def joint_batch(entry: Entry, processes: int) -> dict[str, torch.Tensor]:
    """Two steps in float64 on four samples, however many processes share them."""
    seed_everything(1)
    module = entry.cls(**entry.per_sample(), **entry.per_sample_settings)
    run = trainer(processes, precision="64-true", max_epochs=1, limit_train_batches=2, limit_val_batches=0)
    run.fit(module, entry.datamodule(batch_size=4 // processes))
    return weights(module)


def scores(entry: Entry, processes: int) -> dict[str, float]:
    """Of a validation set whose pictures cannot be shared out evenly."""
    seed_everything(1)
    metrics = ImageMetrics(SCORES, features="openmoji", classifier="openmoji", kid_block_size=2)
    run = trainer(processes, callbacks=[metrics])
    data = entry.datamodule(batch_size=3)
    return {name: float(value) for name, value in run.validate(entry.build(), data, verbose=False)[0].items()}


class Watch(Callback):
    """Remember the weights with which a process validates, and save in the middle of an epoch."""

    def __init__(self, path: str | None) -> None:
        self.path = path
        self.validated: list[dict[str, torch.Tensor]] = []
        self.before_saving: dict[str, torch.Tensor] = {}

    def on_validation_batch_start(self, trainer: Trainer, pl_module: LightningModule, *args: Any) -> None:
        self.validated.append(weights(pl_module))

    def on_train_batch_end(self, trainer: Trainer, pl_module: Any, *args: Any) -> None:
        if self.path and pl_module.batches_seen == 3:
            self.before_saving = weights(pl_module)
            trainer.save_checkpoint(self.path)


def training(entry: Entry, folder: Path, name: str) -> dict[str, Any]:
    """With batch norm, dropout and pools: two epochs of two batches, and once more from the third batch."""
    path = str(folder / f"{name}.ckpt")
    results: dict[str, Any] = {}
    for part, resume in (("unbroken", None), ("resumed", path)):
        seed_everything(1 if resume is None else 99)
        module: GANModule = entry.build()
        watch = Watch(None if resume else path)
        run = trainer(2, max_epochs=2, limit_train_batches=2, limit_val_batches=1, callbacks=[watch])
        run.fit(module, entry.datamodule(batch_size=2), ckpt_path=resume)
        results[part] = weights(module)
        results[f"{part} validated"] = watch.validated
        results[f"{part} before saving"] = watch.before_saving
        pools = {key: state.state_dict() for key, state in module.stateful.items()}
        results[f"{part} pools"] = {key: state["images"] for key, state in pools.items() if "images" in state}
    return results


def refusals(entry: Entry) -> str:
    try:
        quiet_trainer(devices=2, strategy="ddp", num_sanity_val_steps=0, max_epochs=1).fit(
            entry.build(), entry.datamodule()
        )
    except ValueError as error:
        return str(error)
    return ""


def one_sided(takes_part: bool) -> dict[str, float]:
    """Scores of sets of which one process has seen everything and the other nothing."""
    draw = torch.Generator().manual_seed(0)
    made, real, logits = (torch.randn(count, width, generator=draw) for count, width in ((9, 6), (7, 6), (9, 4)))
    metric = DistributionScores((6, 4), ("fid", "kid", "is"))
    if takes_part:
        metric.update(made, logits, real=False)
        metric.update(real, logits[:7], real=True)
    return {name: float(value) for name, value in metric.compute().items()}


def uneven(folder: Path, processes: int) -> dict[str, float]:
    """One picture in A and five in B: some processes have none of A."""
    seed_everything(1)
    run = trainer(processes, callbacks=[ImageMetrics(("fid", "kid", "is"), features="openmoji")])
    data = UnpairedFolders(folder / "uneven", load_size=32, crop_size=32)
    module = ZOO["cyclegan"].build()
    return {name: float(value) for name, value in run.test(module, data, verbose=False)[0].items()}


def apart(folder: Path, processes: int) -> dict[str, float]:
    """Scores by domain where one process has no drawing of the open class."""
    seed_everything(1)
    callback = ImageMetrics(("fid", "kid", "accuracy"), features="openmoji", classifier="openmoji", per_class=True)
    run = trainer(processes, callbacks=[callback], default_root_dir=folder)
    data = UnpairedFolders(folder / "apart", load_size=32, crop_size=32, labels=True)
    data.open_domain = ("open",)
    module = ZOO["cyclegan"].build()
    return {name: float(value) for name, value in run.test(module, data, verbose=False)[0].items()}


def main(folder: Path) -> None:
    warnings.simplefilter("ignore")
    torch.set_num_threads(1)
    results: dict[str, Any] = {"uneven": uneven(folder, 2)}
    results["apart"] = apart(folder, 2)
    results["one-sided"] = one_sided(torch.distributed.get_rank() == 0)
    for name, entry in ZOO.items():
        results[name] = {"joint": joint_batch(entry, 2), "training": training(entry, folder, name)}
        if entry.whole:
            results[name] |= {"scores": scores(entry, 2), "refusal": refusals(entry)}
    rank = torch.distributed.get_rank()
    torch.save(results, folder / f"{rank}.pt")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
