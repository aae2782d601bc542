"""The command line: ``sketchgan fit|validate|test|predict`` (a LightningCLI) and a few commands beside it."""

import argparse
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

from sketchgan.callbacks import CollapseAlarm, GracefulStop, ImageMetrics, PredictionWriter, SampleGrid, Speed
from sketchgan.convert import convert
from sketchgan.convert.systems import SYSTEMS
from sketchgan.data import TranslationData, combine_pairs, make_edge_maps, prepare_faces
from sketchgan.edges import EdgePipeline
from sketchgan.inference import translate
from sketchgan.modules import GANModule
from sketchgan.modules.building import class_path, find_class, refuse_hidden_recipes
from sketchgan.modules.checkpoint import read, record_of, settings_of
from sketchgan.modules.quiet import HARMLESS, quiet_lightning
from sketchgan.modules.weights import SUFFIX
from sketchgan.recipes import describe, find_recipe, recipes

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
        others = ", ".join(name for name in recipes() if name.endswith("-openmoji") and name != self.run_name)
        _say(
            f"Trained {type(self.model).__name__} in {minutes} min {seconds} s"
            + "".join(f", {name} {value:.4g}" for name, value in scores.items()),
            *([f"  pictures     {grid.latest}"] if grid.latest else []),
            f"  checkpoints  {best} and last.ckpt",
            f"  logs         tensorboard --logdir {RUNS}",
            f"Next: sketchgan translate {best} PICTURES --out FOLDER, or another recipe: {others}",
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
        trainer_defaults={"devices": 1, "callbacks": [CollapseAlarm(), LastCheckpoint(), GracefulStop()]},
        save_config_kwargs={"overwrite": True},
        args=args,
    )


def _translate(args: list[str]) -> None:
    """``sketchgan translate CKPT INPUT... --out DIR``."""
    parser = argparse.ArgumentParser("sketchgan translate", description="Translate pictures with a trained network.")
    parser.add_argument("checkpoint")
    parser.add_argument("inputs", nargs="+", metavar="INPUT", help="picture files, and folders that are searched")
    parser.add_argument("--out", required=True, help="folder to write to, under the inputs' own names")
    parser.add_argument("--direction", default="AtoB", choices=("AtoB", "BtoA"))
    parser.add_argument(
        "--preprocess",
        default="native",
        choices=("native", "official"),
        help="native keeps the size; official resizes and rounds as the official test script does",
    )
    parser.add_argument(
        "--label",
        metavar="NAME_OR_NUMBER",
        help="class of the pictures, if the network takes one and no sub-folder says",
    )
    parser.add_argument("--samples", type=int, default=1, help="translations of each picture, if the network has noise")
    parser.add_argument("--seed", type=int, default=0, help="of that noise, together with a picture's name")
    parser.add_argument("--batch_size", type=int, default=1, help="more than one needs pictures of one size")
    parser.add_argument("--num_workers", type=int, default=0)
    parser.add_argument("--accelerator", default="auto")
    parser.add_argument("--precision", default="32-true")
    options = vars(parser.parse_args(args))
    skipped = translate(**options, progress=sys.stderr.isatty())
    print(f"Pictures are in {options['out']}")
    if skipped:
        sys.exit("\n".join([f"{len(skipped)} files could not be read:", *skipped]))


def _convert(args: list[str]) -> None:
    """``sketchgan convert SRC DST``."""
    parser = argparse.ArgumentParser(
        "sketchgan convert",
        description="Convert official weights of pix2pix, CycleGAN, anti-aliased CUT, U-GAT-IT, photo2cartoon and "
        "SketchyGAN, or back.",
    )
    parser.add_argument(
        "src",
        metavar="SRC",
        help="official .pth file or folder of them, .pt file of several networks, TensorFlow checkpoint of SketchyGAN "
        "(model.ckpt-300000, or its folder) or .npz of its variables, or file of ours",
    )
    parser.add_argument(
        "dst",
        metavar="DST",
        help="NAME.safetensors for translate and load, NAME.ckpt for fit --ckpt_path (needs all networks), or from a "
        "file of ours NAME.pth or a folder for official code, NAME.pt for that of U-GAT-IT and photo2cartoon, NAME.npz "
        "for SketchyGAN's variables",
    )
    parser.add_argument("--module", choices=tuple(SYSTEMS), help="whose the weights are, if not as guessed")
    parser.add_argument(
        "--epoch", default="latest", help="which files of a folder (default: latest), or which step of SketchyGAN's"
    )
    parser.add_argument(
        "--image_size", type=int, help="side that the official test script resizes to, if not visible (default: 256)"
    )
    parser.add_argument("--dropout", type=float, help="of a U-Net, whose weights do not show it (default: 0.5)")
    parser.add_argument("--padding", choices=("reflect", "replicate"), help="of residual blocks (default: reflect)")
    options = vars(parser.parse_args(args))
    print(*convert(**{name: value for name, value in options.items() if value is not None}), sep="\n")
    print(f"Written: {options['dst']}")


def _pairs(args: list[str]) -> None:
    """``sketchgan pairs A B OUT``."""
    parser = argparse.ArgumentParser(
        "sketchgan pairs", description="Combine pictures of the same name in two trees side by side, for PairedFolders."
    )
    parser.add_argument("a", metavar="A", help="tree of the A pictures; sub-folders such as train are kept")
    parser.add_argument("b", metavar="B", help="tree of the B pictures")
    parser.add_argument("out", metavar="OUT")
    options = parser.parse_args(args)
    print(f"{combine_pairs(options.a, options.b, options.out)} pairs are in {options.out}")


def _faces(args: list[str]) -> None:
    """``sketchgan faces IN... OUT``."""
    parser = argparse.ArgumentParser(
        "sketchgan faces", description="Turn photographs into upright portraits on white, as photo2cartoon takes them."
    )
    parser.add_argument("inputs", nargs="+", metavar="IN", help="picture files, and folders that are searched")
    parser.add_argument("out", metavar="OUT", help="folder to write to, under the inputs' own names")
    parser.add_argument(
        "--landmarks", help="folder with .npy, .csv, .txt or .pts of 68 points for each picture, or a file for one"
    )
    masks = parser.add_mutually_exclusive_group()
    masks.add_argument("--masks", help="folder with a grey picture for each picture, white for the person")
    masks.add_argument("--no-masks", action="store_true", dest="keep_background", help="keep the background")
    parser.add_argument("--size", type=int, help="side of the portraits in pixels (default: that of the crop)")
    parser.add_argument("--rgba", action="store_true", help="keep background and mask, as a fourth channel")
    parser.add_argument("--overwrite", action="store_true", help="replace portraits that exist")
    parser.add_argument("--device", default="auto", help="for the networks that find faces and people")
    options = vars(parser.parse_args(args))
    try:
        skipped = prepare_faces(**options, progress=sys.stderr.isatty())
    except ImportError as error:
        sys.exit(f"sketchgan faces: {error}")
    print(f"Portraits are in {options['out']}")
    if skipped:
        sys.exit("\n".join([f"{len(skipped)} pictures were left out:", *skipped]))


def _edges(args: list[str]) -> None:
    """``sketchgan edges IN... OUT``."""
    parser = argparse.ArgumentParser(
        "sketchgan edges", description="Turn photographs into edge maps that look like sketches, and distance fields."
    )
    parser.add_argument("inputs", nargs="+", metavar="IN", help="picture files, and folders that are searched")
    parser.add_argument("out", metavar="OUT", help="folder for the shards; started again, the job goes on there")
    stages = parser.add_argument_group("stages", "defaults are those of EdgePipeline")
    stages.add_argument("--detector", choices=("hed", "dexined", "canny", "sobel"), help="what finds edges")
    stages.add_argument("--weights", help="file with the weights of hed or dexined, instead of a download")
    stages.add_argument("--order", choices=("official", "paper"))
    stages.add_argument("--size", type=int, help="side of the maps in pixels")
    stages.add_argument("--border", type=int, help="pixels that the photo is reflected by at each side")
    stages.add_argument("--threshold", type=float, help="of the edge strength, 0 to 1")
    stages.add_argument("--small_edge", type=int, help="lines of fewer pixels are removed")
    parser.add_argument("--keep_photos", choices=("jpeg", "png"), help="also keep the photographs as resized")
    parser.add_argument("--shard_size", type=int, default=1000, help="pictures per shard")
    parser.add_argument("--batch_size", type=int, default=16, help="pictures at a time on a GPU")
    parser.add_argument("--num_workers", type=int, help="processes (default: one per CPU core)")
    parser.add_argument("--accelerator", default="auto")
    parser.add_argument("--devices", type=int, default=1, help="they share the shards")
    parser.add_argument("--rank", type=int, help="number of this process, of --world that share the shards")
    parser.add_argument("--world", type=int)
    parser.add_argument("--skip_bad", action="store_const", const="skip", default="raise", dest="on_bad_image")
    options = vars(parser.parse_args(args))
    taken = ("detector", "weights", "order", "size", "border", "threshold", "small_edge")
    settings = {name: value for name in taken if (value := options.pop(name)) is not None}
    try:
        with quiet_lightning():
            report = make_edge_maps(pipeline=EdgePipeline(**settings), **options, progress=sys.stderr.isatty())
    except ImportError as error:
        sys.exit(f"sketchgan edges: {error}")
    _say(
        f"{report.ok} edge maps, {report.blank} blank ones dropped, {len(report.unreadable)} unreadable pictures, of "
        f"{report.images}; {report.finished} of {report.shards} shards are in {options['out']}"
    )
    if report.unreadable:
        more = [f"and {len(report.unreadable) - 20} more, see the manifests"] if report.unreadable[20:] else []
        sys.exit("\n".join([f"{len(report.unreadable)} pictures were left out:", *report.unreadable[:20], *more]))


def _recipes(args: list[str]) -> None:
    """``sketchgan recipes``."""
    for name, path in recipes().items():
        print(f"{name:28}{describe(path)}")


def main(args: list[str] | None = None) -> None:
    """Run the command line; ``args`` defaults to the process's own."""
    args = sys.argv[1:] if args is None else args
    beside = {
        "recipes": _recipes,
        "translate": _translate,
        "convert": _convert,
        "pairs": _pairs,
        "faces": _faces,
        "edges": _edges,
    }
    if not args or args[0] in ("-h", "--help"):
        print(_HELP)
    elif args[0] in beside:
        try:
            beside[args[0]](args[1:])
        except (OSError, ValueError, MisconfigurationException) as error:
            sys.exit(f"sketchgan {args[0]}: {error}")
    else:
        run(args)
