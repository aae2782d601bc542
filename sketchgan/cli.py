"""The command line: ``sketchgan fit|validate|test|predict`` (a LightningCLI) and a few commands beside it."""

import sys
import time
import warnings
from pathlib import Path
from typing import Any

from lightning.pytorch import Trainer
from lightning.pytorch.callbacks import ModelCheckpoint
from lightning.pytorch.cli import LightningArgumentParser, LightningCLI
from lightning.pytorch.loggers import CSVLogger, TensorBoardLogger
from lightning.pytorch.utilities import rank_zero_only
from lightning.pytorch.utilities.exceptions import MisconfigurationException

from sketchgan.callbacks import (
    CollapseAlarm,
    GracefulStop,
    HintAlarm,
    ImageMetrics,
    PredictionWriter,
    SampleGrid,
    Speed,
)
from sketchgan.commands import COMMANDS
from sketchgan.data import TranslationData
from sketchgan.modules import GANModule
from sketchgan.modules.building import class_path, find_class, refuse_hidden_recipes
from sketchgan.modules.checkpoint import read, record_of, settings_of
from sketchgan.modules.quiet import HARMLESS
from sketchgan.modules.weights import SUFFIX
from sketchgan.recipes import find_recipe, recipes

MAIN_JOB = "pix2pix-openmoji"
RUNS = "runs"

_HELP = f"""sketchgan: image-to-image and sketch-to-photo GANs

  sketchgan fit                             train pix2pix on the embedded sketches ({MAIN_JOB})
  sketchgan fit --config NAME_OR_FILE       train a packaged recipe or your own configuration
  sketchgan fit --ckpt_path FILE            go on with an interrupted run
  sketchgan validate|test|predict --ckpt_path FILE
  sketchgan translate CKPT INPUT... --out DIR
                                            turn files and folders of pictures into pictures
  sketchgan convert SRC DST                 turn official weights into a file for translate or fit, or back
  sketchgan pairs A B OUT                   combine two trees of pictures side by side
  sketchgan faces IN... OUT                 turn photographs into upright portraits on white
  sketchgan edges IN... OUT                 turn photographs into edge maps and distance fields
  sketchgan sketches IN... OUT              turn paintings into line art
  sketchgan recipes                         list the packaged recipes
  sketchgan fit --help                      all options
"""


class LastCheckpoint(ModelCheckpoint):
    """Write ``last.ckpt`` after every validation; the best checkpoint's ``save_last`` would wait for a better score."""

    def __init__(self) -> None:
        super().__init__(filename="last", enable_version_counter=False)

    @property
    def state_key(self) -> str:
        return "LastCheckpoint"


class SketchGANCLI(LightningCLI):
    """LightningCLI with the callbacks that every run has, a folder per run, and a last line that says where things are.

    Attributes:
        run_name: name of the folder under ``runs``.
    """

    run_name = "run"

    def add_arguments_to_parser(self, parser: LightningArgumentParser) -> None:
        parser.add_lightning_class_args(ModelCheckpoint, "checkpoint")
        parser.add_lightning_class_args(ImageMetrics, "metrics")
        parser.add_lightning_class_args(SampleGrid, "samples")
        parser.add_lightning_class_args(Speed, "speed")
        parser.add_lightning_class_args(PredictionWriter, "predictions")
        # Not Lightning's "{step}", which counts the steps of every optimizer.
        parser.set_defaults({"checkpoint.filename": "{epoch:03d}", "speed.channels_last": False})

    def before_instantiate_classes(self) -> None:
        self.started = time.monotonic()
        self.config[self.subcommand].weights_only = True  # Lightning would unpickle what it gets from an address
        if self.subcommand == "predict":
            self.config.predict.return_predictions = False  # they are written, and would fill the memory

    def instantiate_trainer(self, **kwargs: Any) -> Trainer:
        # Not put into the configuration, which another run may start from: every run has a folder of its own.
        if self.config[self.subcommand].trainer.logger in (None, True):
            version = _next_version(Path(RUNS) / self.run_name)
            kwargs["logger"] = [logger(RUNS, self.run_name, version) for logger in (TensorBoardLogger, CSVLogger)]
        return super().instantiate_trainer(**kwargs)

    def _parse_ckpt_path(self) -> None:
        """Take the model's settings from the checkpoint, so that they need not be repeated.

        Replaces LightningCLI's version, which cannot place checkpoints that were not written from the command line.
        """
        subcommand = self.config.subcommand
        path = self.config[subcommand].get("ckpt_path")
        if not path or not Path(path).is_file():
            return
        if Path(path).suffix == SUFFIX:
            sys.exit(
                f"sketchgan: {path} holds weights and no state of training; use sketchgan translate, or train on from "
                "a checkpoint made by: sketchgan convert SRC NAME.ckpt"
            )
        try:
            checkpoint = read(path)
            cls = find_class(record_of(checkpoint, path)["class_path"], GANModule)
            settings = settings_of(checkpoint)
            refuse_hidden_recipes(cls, settings)
        except ValueError as error:
            sys.exit(f"sketchgan: {error}")
        model = {"class_path": class_path(cls), "init_args": settings}
        self.config = self.parser.parse_object({subcommand: {"model": model}}, self.config)

    def after_fit(self) -> None:
        trainer: Any = self.trainer
        if trainer.fast_dev_run:
            return
        best = trainer.checkpoint_callback.best_model_path
        grid = next(c for c in trainer.callbacks if isinstance(c, SampleGrid))
        scores = {k: v for k, v in trainer.callback_metrics.items() if k.startswith("val/")}
        minutes, seconds = divmod(round(time.monotonic() - self.started), 60)
        label = " --label CLASS" if self.model.needs_labels else " --style PICTURE" if self.model.needs_style else ""
        others = ", ".join(name for name in recipes() if name.endswith("-openmoji") and name != self.run_name)
        _say(
            f"Trained {type(self.model).__name__} in {minutes} min {seconds} s"
            + "".join(f", {name} {value:.4g}" for name, value in scores.items()),
            *([f"  pictures     {grid.latest}"] if grid.latest else []),
            f"  checkpoints  {best} and last.ckpt",
            f"  logs         tensorboard --logdir {RUNS}",
            f"Next: sketchgan translate {best} PICTURES --out FOLDER{label}, or another recipe: {others}",
        )

    def after_predict(self) -> None:
        trainer: Any = self.trainer
        writer = next(c for c in trainer.callbacks if isinstance(c, PredictionWriter))
        _say(f"Pictures are in {writer.written}")


@rank_zero_only
def _say(*lines: str) -> None:
    print("\n".join(("", *lines)), flush=True)


def _next_version(folder: Path) -> int:
    taken = [int(path.name.removeprefix("version_")) for path in folder.glob("version_*") if path.name[8:].isdigit()]
    return max(taken, default=-1) + 1


def _complete(args: list[str]) -> tuple[list[str], str]:
    """Put files for names of recipes, and the right configuration where none is given; also name the run."""
    args = _joined(args)
    name = ""
    for i, arg in enumerate(args):
        if arg.startswith("--config="):
            path = find_recipe(arg.partition("=")[2])
            args[i], name = f"--config={path}", _run_of(path)
    chosen = {arg.partition("=")[0] for arg in args} & {"--config", "--model", "--data", "-h", "--help"}
    checkpoint = next((arg.partition("=")[2] for arg in args if arg.startswith("--ckpt_path=")), None)
    if args[0] in ("fit", "validate", "test", "predict") and not chosen:
        if checkpoint and checkpoint not in ("best", "last", "hpc") and not Path(checkpoint).is_file():
            raise FileNotFoundError(f"no checkpoint {checkpoint}")
        beside = _config_beside(checkpoint)
        if checkpoint and not beside and args[0] == "fit" and Path(checkpoint).suffix != SUFFIX:
            raise FileNotFoundError(f"no config.yaml beside {checkpoint}: say what to train on with --data or --config")
        path = beside or find_recipe(MAIN_JOB)
        args.insert(1, f"--config={path}")
        name = _run_of(path)
    elif chosen == {"--data"} and checkpoint and Path(checkpoint).is_file():
        model = find_class(record_of(read(checkpoint), checkpoint)["class_path"], GANModule)
        args.insert(1, f"--model={class_path(model)}")  # its settings are taken over later
    return args, name or "run"


def _joined(args: list[str]) -> list[str]:
    """``--option value`` as ``--option=value`` for the two options that are looked at here."""
    names = {"-c": "--config", "--config": "--config", "--ckpt_path": "--ckpt_path"}
    joined: list[str] = []
    rest = iter(args)
    for arg in rest:
        joined.append(f"{names[arg]}={next(rest, '')}" if arg in names else arg)
    return joined


def _config_beside(checkpoint: str | None) -> Path | None:
    """The configuration that a run saved, from the path of its checkpoint."""
    if checkpoint is None:
        return None
    folders = Path(checkpoint).parent, Path(checkpoint).parent.parent
    return next((folder / "config.yaml" for folder in folders if (folder / "config.yaml").is_file()), None)


def _run_of(config: Path) -> str:
    """Name of the folder for runs of this configuration: its own, or that of the run that saved it."""
    return config.stem if config.name != "config.yaml" else config.resolve().parent.parent.name


def run(args: list[str]) -> SketchGANCLI:
    """Run a subcommand of the LightningCLI and return it, with its trainer, model and data."""
    for expected in (
        *HARMLESS,
        ".*Previous log files in this directory will be deleted.*",  # the two loggers share it
        ".*LightningCLI's args parameter is intended.*",
    ):
        warnings.filterwarnings("ignore", expected)
    try:
        args, name = _complete(list(args))
    except (FileNotFoundError, ValueError) as error:
        sys.exit(f"sketchgan: {error}")

    class Named(SketchGANCLI):
        run_name = name

        @staticmethod
        def subcommands() -> dict[str, set[str]]:
            every = LightningCLI.subcommands()  # four parsers take half a second to make, and one will do
            return {args[0]: every[args[0]]} if args[:1] and args[0] in every else every

    return Named(
        GANModule,
        TranslationData,
        subclass_mode_model=True,
        subclass_mode_data=True,
        seed_everything_default=0,
        # One device, as the published settings are for: several take strategy="ddp_find_unused_parameters_true".
        trainer_defaults={"devices": 1, "callbacks": [CollapseAlarm(), HintAlarm(), LastCheckpoint(), GracefulStop()]},
        save_config_kwargs={"overwrite": True},
        args=args,
    )


def main(args: list[str] | None = None) -> None:
    """Run the command line; ``args`` defaults to the process's own."""
    args = sys.argv[1:] if args is None else args
    if not args or args[0] in ("-h", "--help"):
        print(_HELP)
    elif args[0] in COMMANDS:
        try:
            COMMANDS[args[0]](args[1:])
        except (OSError, ValueError, MisconfigurationException) as error:
            sys.exit(f"sketchgan {args[0]}: {error}")
    else:
        run(args)
