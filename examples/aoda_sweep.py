"""AODA's ablations: strategies trained for the same number of batches, scored on drawn sketches and on their own kind.

    python examples/aoda_sweep.py --seeds 0 1 2                              # on the embedded pictograms
    python examples/aoda_sweep.py --data SCRIBBLE --config aoda-scribble --strategies mixing none --threshold 0.25 0.5

docs/guides/aoda-ablations.md says what the strategies are. Options that are not listed by --help go to the
configuration, as in `sketchgan fit`: --trainer.precision=bf16-mixed. Each training has a folder in OUT; its scores are
a line of OUT/results.jsonl, and a training that has one is not repeated. OUT/table.md is the summary.
"""

import argparse
import io
import json
import os
import shutil
import statistics
import sys
import warnings
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from lightning.pytorch.cli import LightningCLI
from PIL import Image
from torch import Tensor
from torchvision.transforms.v2 import functional as F

from sketchgan.cli import SketchGANCLI
from sketchgan.data import OpenDomainFolders, PictureFiles, TranslationData
from sketchgan.data.index import stem_of
from sketchgan.data.openmoji import GROUPS, panel, read_archive
from sketchgan.edges import EdgePipeline
from sketchgan.inference import translate
from sketchgan.modules import GANModule
from sketchgan.modules.quiet import quiet_lightning
from sketchgan.recipes import find_recipe

STRATEGIES = ("mixing", "none", "edges", "two-stages", "all-sketches")
CHECKPOINT = "last.ckpt"
COLUMNS = ("fid", "fid_in", "fid_open", "accuracy", "accuracy_in", "accuracy_open")


@dataclass(frozen=True)
class Run:
    """One training.

    Attributes:
        strategy: one of `STRATEGIES`.
        threshold: of `sketchgan.AODA`, from 0 (always mix) to 1 (never), or "openness".
        open_domain: classes that are scored as open-domain ones, whose drawn sketches most strategies withhold.
        missing: number of these classes, if it is not that of the other runs.
        seed: of weights, order and augmentation.
    """

    strategy: str
    threshold: float | str
    open_domain: tuple[str, ...]
    missing: int | None
    seed: int

    @property
    def name(self) -> str:
        """Of the run, whatever its seed."""
        mixed = f"-t{self.threshold}" if self.strategy == "mixing" else ""
        return self.strategy + mixed + (f"-missing{self.missing}" if self.missing else "")


def plan(options: argparse.Namespace, classes: Sequence[str], open_domain: Sequence[str]) -> list[Run]:
    """All trainings in their order; the extractor of "two-stages" is that of "none", which goes before it.

    Raises:
        ValueError: for a number of missing classes that leaves none with sketches, or none without.
    """
    if bad := [count for count in options.missing if not 0 < count < len(classes)]:
        raise ValueError(f"--missing {bad[0]}: of {len(classes)} classes, 1 to {len(classes) - 1} can miss sketches")
    wanted = {*options.strategies, *(["none"] if "two-stages" in options.strategies else [])}
    order = [*open_domain, *(name for name in classes if name not in open_domain)]
    runs = []
    for seed in options.seeds:
        for strategy in (strategy for strategy in STRATEGIES if strategy in wanted):
            for threshold in options.threshold if strategy == "mixing" else [1.0]:
                named = "none" if threshold == 1 and strategy == "mixing" else strategy
                runs.append(Run(named, threshold, tuple(open_domain), None, seed))
        for count in options.missing:
            for threshold in options.threshold:
                others = count if set(order[:count]) != set(open_domain) else None
                named = "none" if threshold == 1 else "mixing"
                runs.append(Run(named, threshold, tuple(order[:count]), others, seed))
    return list(dict.fromkeys(runs))


# Pictures


def finished(folder: Path, make: Callable[[Path], None]) -> Path:
    """A folder that is made once, and is there only when it is complete."""
    if not folder.is_dir():
        part = folder.with_name(f"{folder.name}.part")
        shutil.rmtree(part, ignore_errors=True)
        make(part)
        part.rename(folder)
    return folder


def write_openmoji(size: int, root: Path) -> None:
    """The embedded pictograms as ``<split>A/<group>`` (line art) and ``<split>B/<group>`` (Noto Emoji)."""
    entries, pictures = read_archive(None)
    for entry in entries:
        triptych = Image.open(io.BytesIO(pictures[entry["code"]])).convert("RGB")
        for side, number in (("A", 0), ("B", 2)):
            path = root / f"{entry['split']}{side}" / entry["group"] / f"{entry['code']}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            picture = panel(triptych, number)
            (picture if picture.width == size else picture.resize((size, size))).save(path)


def splits_of(root: Path) -> list[str]:
    """Splits that a tree has.

    Raises:
        FileNotFoundError: if there is nothing to train on, or nothing to score.
    """
    for folder in ("trainA", "trainB", "testA", "testB"):
        if not (root / folder).is_dir():
            raise FileNotFoundError(f"no folder {root / folder}; a sweep needs trainA, trainB, testA and testB")
    return [split for split in ("train", "val", "test") if (root / f"{split}B").is_dir()]


def draw_edges(root: Path, detector: str, preprocess: dict[str, Any], out: Path) -> None:
    """An edge map of every photo, as ``<split>A/<class>/<name>.png``."""
    for split in splits_of(root):
        photos = PictureFiles(root / f"{split}B", side="B", preprocess=preprocess)
        for batch in photos.predict_dataloader():
            photo: Tensor = batch["B"] / 2 + 0.5
            lines = EdgePipeline(detector, size=None, border=min(128, min(photo.shape[-2:]) // 4))(photo).edges[0]
            path = out / f"{split}A" / f"{stem_of(batch['B_name'][0])}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            F.to_pil_image((~lines).float()).save(path)


def extract(checkpoint: Path, photos: Path, out: Path) -> None:
    """Sketches of photos by a trained photo-to-sketch generator, prepared as in its training."""
    if skipped := translate(checkpoint, photos, out, "BtoA", preprocess="official"):
        raise ValueError("\n".join([f"{len(skipped)} photos cannot be read:", *skipped]))


def link(folder: Path, to: Path) -> None:
    """Let a folder appear in a second place; where links are not allowed, as a copy."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    try:
        folder.symlink_to(to.resolve(), target_is_directory=True)
    except OSError:
        shutil.copytree(to, folder)


def extract_missing(checkpoint: Path, root: Path, is_open: dict[str, bool], out: Path) -> None:
    """Sketches of all photos, but for training drawn ones of the classes that have them; by folders of classes."""
    for folder, lacks in is_open.items():
        if lacks:
            extract(checkpoint, root / "trainB" / folder, out / "trainA" / folder)
        else:
            link(out / "trainA" / folder, root / "trainA" / folder)
    for split in splits_of(root)[1:]:
        extract(checkpoint, root / f"{split}B", out / f"{split}A")


def extract_for_test(checkpoint: Path, root: Path, out: Path) -> None:
    """Sketches of the test photos, beside the drawn ones of the other splits."""
    for split in splits_of(root):
        if split == "test":
            extract(checkpoint, root / "testB", out / "testA")
        else:
            link(out / f"{split}A", root / f"{split}A")


# Training and scoring


class Parts(LightningCLI):
    """Module, data and trainer of a recipe, built but not run."""

    def add_arguments_to_parser(self, parser: Any) -> None:
        SketchGANCLI.add_arguments_to_parser(self, parser)  # type: ignore[arg-type]


def parts(options: argparse.Namespace, run: Run, folder: Path) -> Parts:
    """What a run needs, from the recipe and the options."""
    roots = {} if options.data is None else {"root": "null", "sketches": options.data, "photos": options.data}
    epochs = [] if options.epochs is None else [f"--trainer.max_epochs={options.epochs}"]
    logger = {"save_dir": str(folder.parent), "name": folder.name, "version": ""}
    args = [
        f"--config={find_recipe(options.config)}",
        f"--seed_everything={run.seed}",
        f"--model.init_args.threshold={run.threshold}",
        f"--trainer.logger={json.dumps({'class_path': 'CSVLogger', 'init_args': logger})}",
        "--metrics.scores=[fid,accuracy]",
        f"--metrics.features={options.features}",
        f"--metrics.classifier={options.classifier}",
        # What the last batch leaves is scored, not the best epoch: all runs are of one length.
        f"--checkpoint.dirpath={folder}",
        "--checkpoint.monitor=null",
        f"--checkpoint.filename={Path(CHECKPOINT).stem}",
        *(f"--data.init_args.{name}={root}" for name, root in roots.items()),
        *epochs,
        *options.settings,
    ]
    return Parts(
        GANModule,
        TranslationData,
        subclass_mode_model=True,
        subclass_mode_data=True,
        save_config_callback=None,  # its data would be those of the recipe; hparams.yaml has the run's
        trainer_defaults={"devices": 1},
        run=False,
        args=args,
    )


def data_of(options: argparse.Namespace, base: Any, seed: int, **changes: Any) -> OpenDomainFolders:
    """The recipe's data with other sketches, or in the embedded data's place their tree."""
    if options.data is None:
        loading = {name: base.hparams[name] for name in ("batch_size", "eval_batch_size", "num_workers")}
        # The order of the groups is that of the classifier which measures the accuracy.
        return OpenDomainFolders(preprocess="none", class_order=list(GROUPS), seed=seed, **loading, **changes)
    own = ("root", "in_domain", "labels")  # LightningCLI adds some with an underscore
    kept = {name: value for name, value in base.hparams.items() if name not in own and name[0] != "_"}
    return type(base)(**{**kept, "seed": seed, **changes})


def check(options: argparse.Namespace, base: Any, root: Path, runs: Sequence[Run]) -> None:
    """Find out before hours of training whether the tree has the sketches that every run wants.

    Raises:
        ValueError: if it has not.
    """
    for run in {(run.strategy == "all-sketches", run.open_domain): run for run in runs}.values():
        missing = () if run.strategy == "all-sketches" else run.open_domain
        data = data_of(options, base, run.seed, sketches=root, photos=root, open_domain=list(missing))
        try:
            data.setup("fit")
        except ValueError as error:
            raise ValueError(
                f"{run.name} cannot be trained on {root}: {error}; or leave it out of --strategies"
            ) from error


def train_and_score(options: argparse.Namespace, run: Run, root: Path) -> dict[str, Any]:
    """Train, and score on the drawn test sketches and on the strategy's own kind; a line of the results."""
    folder = options.out / f"{run.name}-seed{run.seed}"
    shutil.rmtree(folder, ignore_errors=True)  # of a run that was not finished
    built = parts(options, run, folder)
    trainer = built.trainer

    def data(sketches: Path, open_domain: Sequence[str]) -> OpenDomainFolders:
        domains = {"sketches": sketches, "photos": root, "open_domain": list(open_domain)}
        return data_of(options, built.datamodule, run.seed, **domains)

    drawn = data(root, run.open_domain)
    own, trained_on, kind = folder / "sketches", drawn, "generated"
    if run.strategy == "edges":
        preprocess = drawn.state_dict()["preprocess"]
        own = finished(options.out / "edges", lambda out: draw_edges(root, options.edges, preprocess, out))
        trained_on, kind = data(own, ()), "edge maps"
    elif run.strategy == "two-stages":
        folders = drawn.dataset("train").sources[0][1].classes  # which are not always called as the classes
        is_open = {name: label in run.open_domain for name, label in zip(folders, drawn.classes, strict=True)}
        extract_missing(options.out / f"none-seed{run.seed}" / CHECKPOINT, root, is_open, own)
        trained_on, kind = data(own, ()), "extracted"
    elif run.strategy == "all-sketches":
        trained_on = data(root, ())

    # An epoch is as long as the larger side, and there may be more sketches of one kind than of the other.
    photos = max(1, len(trained_on.dataset("train").sources[1][1]) // trained_on.batch_size)
    trainer.limit_train_batches = min(options.batches or photos, photos)
    trainer.check_val_every_n_epoch = trainer.max_epochs
    trainer.fit(built.model, trained_on)
    if kind == "generated":
        extract_for_test(folder / CHECKPOINT, root, own)

    scores = {}
    for name, tested in (("drawn", drawn), (kind, data(own, run.open_domain))):
        (found,) = trainer.test(built.model, tested, verbose=False)
        scores[name] = {key.removeprefix("test/"): value for key, value in found.items()}
    return {"run": run.name, **asdict(run), "batches": built.model.batches_seen, "scores": scores}


# Results


def read_results(path: Path) -> list[dict[str, Any]]:
    """Lines of finished runs."""
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()] if path.is_file() else []


def write(path: Path, text: str) -> None:
    """Replace a file, whole or not at all."""
    part = path.with_name(f"{path.name}.part")
    part.write_text(text, encoding="utf-8")
    os.replace(part, path)


def table(lines: Sequence[dict[str, Any]]) -> str:
    """Means, and standard deviations over the seeds, as Markdown."""
    heads = ("strategy", "sketches", "runs", "FID", "in", "open", "accuracy", "in", "open")
    rows: list[Sequence[str]] = [heads, ["---"] * len(heads)]
    for run in dict.fromkeys(line["run"] for line in lines):
        of_run = [line["scores"] for line in lines if line["run"] == run]
        for kind in of_run[0]:
            values = ([scores[kind][name] for scores in of_run if name in scores[kind]] for name in COLUMNS)
            rows.append([run, kind, str(len(of_run)), *map(spread, COLUMNS, values)])
    return "".join(f"| {' | '.join(row)} |\n" for row in rows)


def spread(name: str, values: Sequence[float]) -> str:
    """Mean ± standard deviation of a score, of an accuracy in percent."""
    if not values:
        return "–"
    values = [100 * value for value in values] if name.startswith("accuracy") else values
    unit = " %" if name.startswith("accuracy") else ""
    deviation = f" ± {rounded(statistics.stdev(values), 2)}" if len(values) > 1 else ""
    return f"{rounded(statistics.mean(values), 3)}{deviation}{unit}"


def rounded(value: float, digits: int) -> str:
    """A number with so many digits, and without an exponent."""
    return f"{float(f'{value:.{digits}g}'):g}"


def begin(options: argparse.Namespace, open_domain: Sequence[str]) -> None:
    """Note what all runs of a folder have in common.

    Raises:
        ValueError: if the folder was begun with something else.
    """
    names = ("data", "config", "epochs", "batches", "features", "classifier", "edges", "settings")
    now = {name: getattr(options, name) for name in names} | {"open_domain": list(open_domain)}
    path = options.out / "sweep.json"
    before = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else now
    if changed := [name for name in now if now[name] != before.get(name)]:
        name = changed[0]
        raise ValueError(
            f"{options.out} was begun with {name} {before.get(name)}, now it is {now[name]}; runs are compared only if "
            "they share that: give another --out"
        )
    write(path, json.dumps(now, indent=1))


def threshold(text: str) -> float | str:
    """A number from 0 to 1, or "openness"."""
    if text != "openness" and not 0 <= float(text) <= 1:
        raise argparse.ArgumentTypeError(f'{text} is neither from 0 to 1 nor "openness"')
    return text if text == "openness" else float(text)


def parse(args: list[str] | None) -> argparse.Namespace:
    """The options, with what is left for the configuration in ``settings``."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False
    )
    parser.add_argument("--data", help="tree with trainA/CLASS, trainB/CLASS, testA/CLASS and testB/CLASS; A: sketches")
    parser.add_argument("--config", default="aoda-openmoji", help="recipe of networks, optimizers and preprocessing")
    parser.add_argument("--out", type=Path, default=Path("runs/aoda-ablations"))
    parser.add_argument("--strategies", nargs="+", default=list(STRATEGIES), choices=STRATEGIES)
    parser.add_argument("--threshold", nargs="+", type=threshold, default=[0.5], help="of mixing, or openness")
    parser.add_argument("--missing", nargs="+", type=int, default=[], help="mix with so many classes without sketches")
    parser.add_argument("--open", nargs="+", metavar="CLASS", help="open-domain classes (default: the recipe's)")
    parser.add_argument("--seeds", nargs="+", type=int, default=[0])
    parser.add_argument("--epochs", type=int, help="of each run (default: the recipe's)")
    parser.add_argument("--batches", type=int, help="of an epoch, at most (default: as many as the photos fill)")
    parser.add_argument("--features", help="of the FID: openmoji (default for the embedded data) or inception")
    parser.add_argument("--classifier", help="of the accuracy: openmoji likewise, or auxiliary, the run's own")
    parser.add_argument("--edges", default="sobel", help="detector of edges, see sketchgan edges")
    options, settings = parser.parse_known_args(args)
    options.settings = settings
    if options.data and options.config == parser.get_default("config"):
        parser.error("--data needs --config: a recipe whose data are OpenDomainFolders, such as aoda-scribble")
    options.features = options.features or ("inception" if options.data else "openmoji")
    options.classifier = options.classifier or ("auxiliary" if options.data else "openmoji")
    return options


def main(args: list[str] | None = None) -> None:
    """Train what is not trained yet, and print the table."""
    options = parse(args)
    with quiet_lightning():  # a sweep would say a hundred times what is in every scores.jsonl
        for expected in (".*LightningCLI's args parameter is intended.*", ".*exists and is not empty.*"):
            warnings.filterwarnings("ignore", expected)
        sweep(options)


def sweep(options: argparse.Namespace) -> None:
    """Do what the options ask for."""
    base: Any = parts(options, Run("none", 1.0, (), None, options.seeds[0]), options.out / "none").datamodule
    open_domain = base.open_domain if options.open is None else options.open
    options.out.mkdir(parents=True, exist_ok=True)
    begin(options, open_domain)
    if options.data is None:
        root = finished(options.out / "openmoji", lambda out: write_openmoji(base.image_size, out))
    else:
        root = Path(options.data)
    splits_of(root)

    runs = plan(options, base.classes, open_domain)
    check(options, base, root, runs)
    path = options.out / "results.jsonl"
    lines = read_results(path)
    for run in runs:
        if not any((line["run"], line["seed"]) == (run.name, run.seed) for line in lines):
            print(f"\n{run.name}, seed {run.seed}", flush=True)
            lines.append(train_and_score(options, run, root))
            write(path, "".join(f"{json.dumps(line)}\n" for line in lines))
            print(table(lines[-1:]), flush=True)
    write(options.out / "table.md", table(lines))
    print(f"\n{table(lines)}\n{options.out / 'table.md'}, {path}")


if __name__ == "__main__":
    try:
        main()
    except (OSError, ValueError) as error:
        sys.exit(f"aoda_sweep: {error}")
