"""The documentation runs as it is printed: examples, configurations, commands, flags, names, pictures."""

import argparse
import ast
import importlib
import inspect
import re
import runpy
import shlex
import shutil
import subprocess
from pathlib import Path
from typing import Any

import lightning
import numpy as np
import pytest
import torch
import yaml
from lightning.pytorch import Trainer
from PIL import Image

import sketchgan
import sketchgan.cli
from sketchgan import (
    AODA,
    UGATIT,
    Anime2Sketch,
    CycleGAN,
    PaintsChainer,
    PaintsChainerRefiner,
    Photo2Cartoon,
    Pix2Pix,
    SketchyGAN,
    Style2Paints,
)
from sketchgan.convert import to_official
from sketchgan.data import OpenMoji, PairedFolders
from sketchgan.losses import PerceptualLoss
from sketchgan.networks import (
    AODAGenerator,
    HRNetClassifier,
    MobileFaceNet,
    PaintsChainerDiscriminator,
    PaintsChainerUNet,
    PatchDiscriminator,
    Photo2CartoonGenerator,
    ResnetGenerator,
    SketchyGANDiscriminator,
    SketchyGANGenerator,
    Style2PaintsDiscriminator,
    Style2PaintsGenerator,
    StyleEncoder,
    UGATITDiscriminator,
    UGATITGenerator,
    UNetGenerator,
    style_encoder,
)
from sketchgan.recipes import describe, recipes

ROOT = Path(__file__).parent.parent
DOCS = ROOT / "docs"
PAGES = sorted(str(path.relative_to(ROOT)) for path in DOCS.rglob("*.md"))
PAPERS = {
    "docs/papers/anime2sketch.md": [Anime2Sketch],
    "docs/papers/aoda.md": [AODA],
    "docs/papers/cyclegan.md": [CycleGAN],
    "docs/papers/paintschainer.md": [PaintsChainer, PaintsChainerRefiner],
    "docs/papers/photo2cartoon.md": [Photo2Cartoon],
    "docs/papers/pix2pix.md": [Pix2Pix],
    "docs/papers/sketchygan.md": [SketchyGAN],
    "docs/papers/style2paints.md": [Style2Paints],
    "docs/papers/ugatit.md": [UGATIT],
}
PACKAGES = [
    "",
    ".blocks",
    ".callbacks",
    ".convert",
    ".data",
    ".edges",
    ".losses",
    ".metrics",
    ".modules",
    ".networks",
    ".ops",
]
BESIDE = ("convert", "edges", "faces", "pairs", "recipes", "sketches", "translate")  # no part of the LightningCLI
OTHER_PROGRAMS = {".", "pip", "pytest", "python", "tensorboard"}


def blocks(page: str, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", (ROOT / page).read_text(), re.DOTALL | re.MULTILINE)


def with_blocks(language: str, pages: list[str] = PAGES) -> list[str]:
    return [page for page in pages if blocks(page, language)]


@pytest.mark.parametrize("page", PAGES)
def test_every_block_is_of_a_kind_that_is_checked(page):
    fences = re.findall(r"^\s*(?:```|~~~).*$", (ROOT / page).read_text(), re.MULTILINE)
    kinds = [len(blocks(page, kind)) for kind in ("python", "yaml", "sh", "bash", "text")]
    assert len(fences) == 2 * sum(kinds)


def test_there_are_blocks():
    counts = {kind: sum(len(blocks(page, kind)) for page in PAGES) for kind in ("python", "yaml", "sh", "bash")}
    assert counts["python"] >= 24
    assert counts["yaml"] >= 5
    assert counts["sh"] >= 22
    assert counts["bash"] >= 4


# What pages presume: small default networks, a Trainer for a batch, checkpoints, official weights, folders of pictures


def small_unet(*args: Any, **kwargs: Any) -> UNetGenerator:
    return UNetGenerator(*args, **(kwargs | {"ngf": 2}))  # of the published depth: pictures must fit it


def small_judge(in_channels: int = 3, **kwargs: Any) -> PatchDiscriminator:
    return PatchDiscriminator(in_channels, **({"n_layers": 1} | kwargs | {"ndf": 2}))


def small_resnet(*args: Any, **kwargs: Any) -> ResnetGenerator:
    return ResnetGenerator(*args, **(kwargs | {"ngf": 2, "n_blocks": 1}))


def small_ugatit(*args: Any, **kwargs: Any) -> UGATITGenerator:
    return UGATITGenerator(*args, **(kwargs | {"ngf": 2, "n_blocks": 1}))


def small_cartoonist(*args: Any, **kwargs: Any) -> Photo2CartoonGenerator:
    return Photo2CartoonGenerator(*args, **(kwargs | {"ngf": 4}))


def small_attentive_judge(*args: Any, **kwargs: Any) -> UGATITDiscriminator:
    return UGATITDiscriminator(*args, **({"n_layers": 3} | kwargs | {"ndf": 2}))


def small_painter(*args: Any, **kwargs: Any) -> SketchyGANGenerator:
    return SketchyGANGenerator(*args, **(kwargs | {"ngf": 2}))


def small_classifying_judge(*args: Any, **kwargs: Any) -> SketchyGANDiscriminator:
    return SketchyGANDiscriminator(*args, **(kwargs | {"ndf": 2}))


def small_class_painter(n_classes: int) -> AODAGenerator:
    return AODAGenerator(n_classes, ngf=2, n_blocks=1)


def small_classifier(n_classes: int) -> HRNetClassifier:
    return HRNetClassifier(n_classes, stem=4, layer1=2, branches=(2, 2, 4, 4), heads=(2, 2, 2, 2), features=8)


def small_perceptual() -> PerceptualLoss:
    return PerceptualLoss("openmoji")  # the default is downloaded


def small_colourist(*args: Any, **kwargs: Any) -> Style2PaintsGenerator:
    return Style2PaintsGenerator(*args, **(kwargs | {"ngf": 2, "mid": 8}))


def small_judge_of_styles(**kwargs: Any) -> Style2PaintsDiscriminator:
    return Style2PaintsDiscriminator(**(kwargs | {"ndf": 2, "pool": 1}))


def small_style_encoder(which: Any, weights: Any) -> StyleEncoder:
    return style_encoder("openmoji") if which == "vgg19" else style_encoder(which, weights)  # the default is downloaded


def small_chainer(*args: Any, **kwargs: Any) -> PaintsChainerUNet:
    return PaintsChainerUNet(*args, **(kwargs | {"ngf": 2}))


def small_judge_of_colours(**kwargs: Any) -> PaintsChainerDiscriminator:
    return PaintsChainerDiscriminator(**(kwargs | {"ndf": 2}))


class QuickTrainer(Trainer):
    """A page's Trainer, for a batch on the CPU."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**{**kwargs, "accelerator": "cpu", "precision": "32-true", "enable_progress_bar": False})

    def fit(self, *args: Any, **kwargs: Any) -> None:
        epochs = 2 if kwargs.get("ckpt_path") else 1
        quick = {"limit_train_batches": 1, "limit_val_batches": 1, "num_sanity_val_steps": 0, "max_epochs": epochs}
        callbacks = [c for c in self.callbacks if type(c).__module__.startswith("sketchgan")]
        once = Trainer(accelerator="cpu", logger=False, enable_progress_bar=False, callbacks=callbacks, **quick)
        self.fitted = once
        once.fit(*args, **kwargs)

    def save_checkpoint(self, *args: Any, **kwargs: Any) -> None:
        self.fitted.save_checkpoint(*args, **kwargs)


def shrink(patch: pytest.MonkeyPatch) -> None:
    patch.setattr("sketchgan.modules.pix2pix.UNetGenerator", small_unet)
    patch.setattr("sketchgan.modules.pix2pix.PatchDiscriminator", small_judge)
    patch.setattr("sketchgan.modules.cyclegan.ResnetGenerator", small_resnet)
    patch.setattr("sketchgan.modules.two_way.PatchDiscriminator", small_judge)
    patch.setattr("sketchgan.modules.ugatit.UGATITGenerator", small_ugatit)
    patch.setattr("sketchgan.modules.ugatit.UGATITDiscriminator", small_attentive_judge)
    patch.setattr("sketchgan.modules.photo2cartoon.Photo2CartoonGenerator", small_cartoonist)
    patch.setattr("sketchgan.modules.photo2cartoon.UGATITDiscriminator", small_attentive_judge)
    patch.setattr("sketchgan.modules.sketchygan.SketchyGANGenerator", small_painter)
    patch.setattr("sketchgan.modules.sketchygan.SketchyGANDiscriminator", small_classifying_judge)
    patch.setattr("sketchgan.modules.sketchygan.PerceptualLoss", small_perceptual)
    patch.setattr("sketchgan.modules.aoda.AODAGenerator", small_class_painter)
    patch.setattr("sketchgan.modules.aoda.ResnetGenerator", small_resnet)
    patch.setattr("sketchgan.modules.aoda.HRNetClassifier", small_classifier)
    patch.setattr("sketchgan.modules.anime2sketch.UNetGenerator", small_unet)
    patch.setattr("sketchgan.modules.anime2sketch.ResnetGenerator", small_resnet)
    patch.setattr("sketchgan.modules.anime2sketch.PatchDiscriminator", small_judge)
    patch.setattr("sketchgan.modules.style2paints.Style2PaintsGenerator", small_colourist)
    patch.setattr("sketchgan.modules.style2paints.Style2PaintsDiscriminator", small_judge_of_styles)
    patch.setattr("sketchgan.modules.style2paints.style_encoder", small_style_encoder)
    patch.setattr("sketchgan.modules.paintschainer.PaintsChainerUNet", small_chainer)
    patch.setattr("sketchgan.modules.paintschainer.PaintsChainerDiscriminator", small_judge_of_colours)
    patch.setattr("sketchgan.modules.paintschainer_refiner.PaintsChainerUNet", small_chainer)


@pytest.fixture(scope="module")
def files(tmp_path_factory) -> Path:
    """What pages speak of as if it were there."""
    folder = tmp_path_factory.mktemp("files")
    for name in ("trainA", "trainB", "valA", "valB"):
        (folder / "pictures" / name).mkdir(parents=True)
        for i in range(2):
            Image.effect_noise((300, 280), 50).convert("RGB").save(folder / "pictures" / name / f"{i}.png")
    (folder / "paintings/train/paint").mkdir(parents=True)
    for i in range(5):
        Image.effect_noise((64, 64), 50).convert("RGB").save(folder / f"paintings/train/paint/{i}.jpg")
    sketchy = runpy.run_path(str(Path(__file__).with_name("data") / "sketchy_tree.py"))
    sketchy["make_sketchy"](folder / "Sketchy")
    for name in ("ant", "zebra"):
        (folder / "flickr-edges/edges" / name).mkdir(parents=True)
        (folder / "flickr-edges/photos" / name).mkdir(parents=True)
        for i in range(3):
            drawing = Image.new("L", (64, 64), 255)
            drawing.paste(0, (10, 8 * i + 8, 50, 8 * i + 9))
            drawing.save(folder / "flickr-edges/edges" / name / f"{i}.png")
            Image.effect_noise((64, 64), 50).convert("RGB").save(folder / "flickr-edges/photos" / name / f"{i}.jpg")
    (folder / "portraits").mkdir()
    Image.new("RGBA", (300, 300), (200, 150, 120, 128)).save(folder / "portraits/anna.png")
    torch.save(MobileFaceNet().state_dict(), folder / "model_mobilefacenet.pth")
    (folder / "drawings").mkdir()
    Image.new("RGB", (30, 20)).save(folder / "drawings/a.png")
    with pytest.MonkeyPatch.context() as patch:
        shrink(patch)
        for name, model in (
            ("last.ckpt", Pix2Pix()),
            ("swapped.ckpt", Pix2Pix(generator=small_resnet())),
            ("photo2cartoon.ckpt", Photo2Cartoon(lambda_face=0)),
        ):
            quick = {"limit_train_batches": 1, "limit_val_batches": 0, "max_epochs": 1}
            trainer = Trainer(
                accelerator="cpu", logger=False, enable_checkpointing=False, enable_progress_bar=False, **quick
            )
            data = {
                "last.ckpt": PairedFolders(folder / "pictures"),
                "swapped.ckpt": OpenMoji(image_size=32, batch_size=2),
                "photo2cartoon.ckpt": OpenMoji(image_size=96, batch_size=2, paired=False),
            }
            trainer.fit(model, data[name])
            trainer.save_checkpoint(folder / name)
    for place in ("runs/pix2pix-openmoji/version_0", "runs/cyclegan-openmoji/version_0"):
        (folder / place / "checkpoints").mkdir(parents=True)
        shutil.copy(folder / "last.ckpt", folder / place / "checkpoints")
        shutil.copy(recipes()[place.split("/")[1]], folder / place / "config.yaml")
    shutil.copy(folder / "last.ckpt", folder / "maps.ckpt")
    return folder


@pytest.fixture
def here(files, tmp_path, monkeypatch) -> Path:
    """A folder with all of that, and the modules that the pages define beside it."""
    shutil.copytree(files, tmp_path, dirs_exist_ok=True)
    torch.save(to_official(small_resnet()), "latest_net_G.pth")
    np.savez("theirs.npz", **{k: v.numpy() for k, v in to_official(SketchyGANGenerator(2, ngf=1)).items()})
    for page in PAGES:
        for text in blocks(page, "python"):
            if name := re.match(r"# (\w+\.py)\n", text):
                Path(name[1]).write_text(text)
    monkeypatch.syspath_prepend(tmp_path)
    return tmp_path


# Examples


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("page", with_blocks("python"))
def test_examples_run(page, here, monkeypatch):
    shrink(monkeypatch)
    for name, small in (
        ("UNetGenerator", small_unet),
        ("ResnetGenerator", small_resnet),
        ("PatchDiscriminator", small_judge),
        ("UGATITGenerator", small_ugatit),
        ("UGATITDiscriminator", small_attentive_judge),
        ("Photo2CartoonGenerator", small_cartoonist),
    ):
        monkeypatch.setattr(f"sketchgan.networks.{name}", small)
    monkeypatch.setattr(lightning, "Trainer", QuickTrainer)
    names: dict[str, Any] = {"__name__": "docs"}
    for text in blocks(page, "python"):
        exec(compile(text, page, "exec"), names)
    # What the page trained, it trained for a batch.
    trainers = [value.fitted for value in names.values() if hasattr(value, "fitted")]
    assert all(trainer.lightning_module.batches_seen > 0 for trainer in trainers)
    if "import translate" in (ROOT / page).read_text():
        assert Image.open("translated/a.png").size == Image.open("drawings/a.png").size


@pytest.mark.parametrize("page", with_blocks("yaml"))
def test_configurations_parse(page, here, capsys):
    for text in blocks(page, "yaml"):
        Path("own.yaml").write_text(text)
        printed = parse(["fit", "--config=own.yaml"], capsys)
        given = yaml.safe_load(text)
        assert printed["model"]["class_path"] == given["model"]["class_path"]


# Commands


class Parsed(BaseException):
    """Raised in place of running a command whose arguments are in order."""


@pytest.fixture
def only_parse(monkeypatch):
    real = argparse.ArgumentParser.parse_args

    def parse_args(self: argparse.ArgumentParser, args: Any = None, namespace: Any = None) -> Any:
        parsed = real(self, args, namespace)
        if self.prog.split()[-1] in BESIDE:
            raise Parsed
        return parsed

    monkeypatch.setattr(argparse.ArgumentParser, "parse_args", parse_args)


def parse(args: list[str], capsys: pytest.CaptureFixture) -> dict[str, Any]:
    """The whole configuration of a command of the LightningCLI; nothing is built."""
    capsys.readouterr()
    with pytest.raises(SystemExit) as end:
        sketchgan.cli.run([*args, "--print_config"])
    printed = capsys.readouterr()
    assert end.value.code == 0, f"{shlex.join(args)}: {printed.err}"
    return yaml.safe_load(printed.out)


def commands(text: str) -> list[list[str]]:
    """The words of every command of a script."""
    found = []
    for line in text.replace("\\\n", " ").splitlines():
        words = shlex.split(line, comments=True)
        while "&&" in words:
            found.append(words[: words.index("&&")])
            words = words[words.index("&&") + 1 :]
        found += [words] if words else []
    return found


CHECKED: set[str] = set()  # pages repeat each other's commands


def check(args: list[str], capsys: pytest.CaptureFixture) -> None:
    """Arguments of ``sketchgan`` are such as it takes."""
    if shlex.join(args) in CHECKED:
        return
    CHECKED.add(shlex.join(args))
    if args[:1] == ["recipes"]:
        sketchgan.cli.main(args)
    elif args[:1] and args[0] in BESIDE:
        with pytest.raises(Parsed):
            sketchgan.cli.main(args)
    elif "--help" in args:
        with pytest.raises(SystemExit) as end:
            sketchgan.cli.run(args)
        assert end.value.code == 0
    else:
        parse([arg for arg in args if arg != "--print_config"], capsys)


def sketchgan_arguments(words: list[str]) -> list[str] | None:
    """What follows ``sketchgan`` or ``-m sketchgan`` in a command."""
    return words[words.index("sketchgan") + 1 :] if "sketchgan" in words else None


@pytest.mark.parametrize("page", with_blocks("sh", [*PAGES, "README.md"]))
def test_commands_parse(page, here, only_parse, capsys):
    Path("smooth.yaml").write_text("model: {class_path: my_gans.SmoothPix2Pix}\ndata: {class_path: OpenMoji}\n")
    Path("own.yaml").write_text("model: {class_path: Pix2Pix}\ndata: {class_path: OpenMoji}\n")
    checked = 0
    for text in blocks(page, "sh"):
        for words in commands(text):
            args = sketchgan_arguments(words)
            if args is None:
                assert words[0] in OTHER_PROGRAMS, words
            else:
                check(args, capsys)
            checked += 1
    assert checked


@pytest.mark.parametrize("page", with_blocks("bash"))
def test_scripts_are_sound(page, here, only_parse, capsys):
    for text in blocks(page, "bash"):
        assert subprocess.run(["bash", "-n"], input=text, text=True, capture_output=True).stderr == ""
        started = [args for words in script_commands(text) if (args := sketchgan_arguments(words))]
        assert started
        for args in started:
            check(args, capsys)


def script_commands(text: str) -> list[list[str]]:
    """Of a script, the commands that name the program; parameters that may be empty are left out."""
    lines = [line for line in text.replace("\\\n", " ").splitlines() if re.search(r"(^|-m |srun )sketchgan ", line)]
    return [shlex.split(re.sub(r"\$\{\w+:\+.*?\}", "", line)) for line in lines]


# Names


def rows(page: str, first: str) -> list[list[str]]:
    """Cells of the table whose first heading is ``first``."""
    found: list[list[str]] = []
    for line in (ROOT / page).read_text().splitlines():
        if line.startswith(f"| {first} |"):
            found = [[]]
        elif found and line.startswith("|"):
            found.append([cell.strip() for cell in line.strip("|").split(" | ")])
        elif found:
            break
    return found[2:]


def owner(name: str) -> Any:
    """The class that a flag belongs to."""
    places = [lightning.pytorch, *(importlib.import_module(f"sketchgan{package}") for package in PACKAGES)]
    return next(getattr(place, name) for place in places if hasattr(place, name))


FLAGS = [(page, row) for page in PAPERS for first in ("setting", "the paper leaves open") for row in rows(page, first)]


@pytest.mark.parametrize(("page", "row"), FLAGS, ids=lambda value: value[0] if isinstance(value, list) else value)
def test_flags_and_defaults_are_those_of_the_code(page, row):
    setting, *_, default, flag = row  # between them the paper, where there is one, and the official code
    named = re.findall(r"`(\w+)\.(\w+)`", flag)
    if not named:
        assert flag == "–" or flag.startswith(("override", "see")), f"{setting}: {flag}"
    for cls, argument in named:
        parameters = inspect.signature(owner(cls)).parameters
        assert argument in parameters, f"{setting}: no {cls}({argument})"
        if (literal := re.fullmatch(r"`(.*)`", default)) and "(" not in literal[1].lstrip("("):
            assert parameters[argument].default == ast.literal_eval(literal[1]), setting


@pytest.mark.parametrize("page", PAPERS)
def test_tables_of_settings_are_complete(page):
    flags = " ".join(row[-1] for p, row in FLAGS if p == page)
    for module in PAPERS[page]:
        named = set(re.findall(rf"`{module.__name__}\.(\w+)`", flags))
        assert named == set(inspect.signature(module).parameters)


@pytest.mark.parametrize("page", PAPERS)
def test_parameters_are_counted(page):
    names = {name: getattr(sketchgan.networks, name) for name in sketchgan.networks.__all__}
    counted = rows(page, "network")
    assert len(counted) >= 6
    for network, count, *_ in counted:
        with torch.device("meta"):  # without memory
            built = eval(network.strip("`"), dict(names))
        assert f"{sum(p.numel() for p in built.parameters()):,}" == count, network


def reference() -> set[str]:
    """What the pages of ``docs/api`` show."""
    text = "".join(path.read_text() for path in (DOCS / "api").glob("*.md"))
    (converters,) = re.findall(r"members: \[(.*)\]", text)
    shown = re.findall(r"^::: ([\w.]+)$", text, re.MULTILINE)
    return {*shown, *(f"sketchgan.convert.{name}" for name in converters.split(", "))} - {"sketchgan.convert"}


@pytest.mark.parametrize("package", PACKAGES)
def test_every_public_name_is_in_the_reference(package):
    """Names of the package itself are those of its modules."""
    names = getattr(importlib.import_module(f"sketchgan{package}"), "__all__", [])
    missing = [name for name in names if f"sketchgan{package or '.modules'}.{name}" not in reference()]
    assert missing == []


def test_every_name_in_the_reference_exists():
    for path in reference():
        place, _, name = path.rpartition(".")
        assert hasattr(importlib.import_module(place), name), path


def test_the_command_line_is_printed_as_it_is(capsys):
    texts = blocks("docs/api/command-line.md", "text")
    sketchgan.cli.main([])
    assert capsys.readouterr().out.strip() == texts[0].strip()
    assert texts[1].splitlines() == [f"{name:28}{describe(path)}" for name, path in recipes().items()]


def test_the_options_of_convert_are_all_named(monkeypatch):
    def options(self: argparse.ArgumentParser, args: Any = None, namespace: Any = None) -> Any:
        raise Parsed({name for name in self._option_string_actions if name.startswith("--")} - {"--help"})

    monkeypatch.setattr(argparse.ArgumentParser, "parse_args", options)
    with pytest.raises(Parsed) as taken:
        sketchgan.cli.main(["convert", "a", "b"])
    (listed,) = re.findall(r"^Options: (.*?);", (DOCS / "api/command-line.md").read_text(), re.MULTILINE)
    assert set(re.findall(r"`(--\w+)`", listed)) == taken.value.args[0]


def test_every_recipe_is_on_its_papers_page():
    listed = [(page, row[0].strip("`")) for page in PAPERS for row in rows(page, "recipe")]
    assert {name for _, name in listed} == set(recipes())
    assert all(name.split("-")[0] == Path(page).stem for page, name in listed)


# Pictures and pages


@pytest.mark.parametrize("page", [*PAGES, "README.md"])
def test_pictures_and_pages_that_are_linked_exist(page):
    text = re.sub(r"^```.*?^```$", "", (ROOT / page).read_text(), flags=re.DOTALL | re.MULTILINE)
    for target in re.findall(r"\]\(([^)#\s]+)", text):
        if "://" not in target:
            assert ((ROOT / page).parent / target).is_file(), target


def test_readme_and_start_page_show_the_same_pictures():
    def pictures(page: str) -> list[tuple[str, str, str]]:
        text = (ROOT / page).read_text()
        return re.findall(r"!\[(.*?)\]\((?:docs/)?(.*?)\)\n\n(\*.*?\*)$", text, re.DOTALL | re.MULTILINE)

    assert pictures("README.md") == pictures("docs/index.md")
    assert len(pictures("README.md")) == 2


def test_navigation_holds_every_page():
    text = (ROOT / "mkdocs.yml").read_text()
    assert sorted(f"docs/{page}" for page in re.findall(r"[\w/-]+\.md", text)) == PAGES


@pytest.mark.parametrize("page", PAGES)
def test_formulas_need_no_script(page):
    text = re.sub(r"```.*?```|`[^`]*`", "", (ROOT / page).read_text(), flags=re.DOTALL)
    assert not re.search(r"\$|\\\(|\\\[", text)
