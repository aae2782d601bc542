"""Files of official weights to ours and back."""

import re
import tempfile
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import torch
from lightning.pytorch import Trainer
from torch import Tensor, nn

from sketchgan.convert.official import OfficialNetwork, Recognised, recognise, to_official_names
from sketchgan.convert.pix2pix_cyclegan import CYCLEGAN, NETWORKS, PIX2PIX
from sketchgan.modules import CycleGAN, GANModule, Pix2Pix, load
from sketchgan.modules.building import class_path
from sketchgan.modules.checkpoint import read, record_of, settings_of
from sketchgan.modules.quiet import quiet_lightning
from sketchgan.modules.weights import SUFFIX, Absent, replacing, write_weights

MODULES: dict[str, tuple[type[GANModule], dict[str, str]]] = {
    "Pix2Pix": (Pix2Pix, PIX2PIX),
    "CycleGAN": (CycleGAN, CYCLEGAN),
}
"""Our modules by name, and their networks by the letters of official file names."""

_LETTERS = re.compile(r"net_(?P<letters>[A-Z](_[A-Z])?)$")


def from_official(state: Mapping[str, Any], **settings: Any) -> nn.Module:
    """Build our network of official weights.

    Args:
        state: state dict of an official generator or discriminator.
        **settings: what cannot be seen in the weights, in place of the official defaults: ``dropout=0.5`` of the
            U-Net, ``padding="reflect"`` of the residual blocks.

    Returns:
        A network of `sketchgan.networks` with these weights.

    Raises:
        ValueError: if the weights are of no network that is known, or an entry is missing, unknown or misshapen.
    """
    return recognise(state, NETWORKS, **settings).build()


def to_official(network: nn.Module) -> dict[str, Tensor]:
    """The weights of one of our networks as the official code saves them.

    Args:
        network: a network of `sketchgan.networks`.

    Returns:
        State dict with official names, which the official network loads strictly.

    Raises:
        ValueError: if the official code has no such network.
    """
    return to_official_names(network, _official(network).keys(network))


def convert(
    src: str | Path,
    dst: str | Path,
    module: Literal["Pix2Pix", "CycleGAN"] | None = None,
    epoch: str = "latest",
    image_size: int = 256,
    **settings: Any,
) -> list[str]:
    """Convert official weights to a file of ours, or a file of ours to official weights.

    Args:
        src: official ``.pth`` file, a folder of them (``latest_net_G.pth``, …), or a file of ours.
        dst: ``NAME.safetensors`` for weights with settings, which `sketchgan.load` and ``sketchgan translate`` take;
            ``NAME.ckpt`` for a checkpoint to train on from, which needs all networks; for official weights a
            ``NAME.pth``, or a folder.
        module: whose networks official weights are. By default that of the file's name (``…_net_G_A.pth`` is
            CycleGAN's), else Pix2Pix for a U-Net or batch norm, and CycleGAN for other generators.
        epoch: which files of a folder are read or written.
        image_size: side that the official test script resizes pictures to, which weights do not tell.
        **settings: of the generators, see `from_official`.

    Returns:
        What was understood, one line each: networks, settings, assumptions.

    Raises:
        FileNotFoundError: if there is no such file.
        FileExistsError: if ``dst`` exists.
        ValueError: if a file does not hold what it should, with the likely cause.
    """
    src, dst = Path(src), Path(dst)
    if not re.fullmatch(r"\w+", epoch):
        raise ValueError(f"epoch is part of a file name, such as latest or 200, got {epoch!r}")
    if image_size < 1:
        raise ValueError(f"image_size must be positive, got {image_size}")
    if not 0 <= settings.get("dropout", 0.5) < 1:
        raise ValueError(f"dropout must be at least 0 and below 1, got {settings['dropout']}")
    if dst.suffix not in (SUFFIX, ".ckpt", ".pth", "") and not dst.is_dir():
        raise ValueError(f"{dst} must be NAME{SUFFIX}, NAME.ckpt, NAME.pth or a folder")
    checkpoint = {} if src.is_dir() else read(src)
    if isinstance(checkpoint, dict) and "sketchgan" in checkpoint:
        if module or settings:
            given = ", ".join([*(["module"] if module else []), *settings])
            raise ValueError(f"{src} is a file of ours and says what it holds; {given} cannot be given")
        return _from_ours(src, checkpoint, dst, epoch)
    if dst.suffix not in (SUFFIX, ".ckpt"):
        raise ValueError(f"{src} is official weights; write them to NAME{SUFFIX} or NAME.ckpt, not {dst}")
    _refuse_existing(dst)
    return _to_ours(src, dst, module, epoch, image_size, settings)


# From official files


def _to_ours(
    src: Path, dst: Path, module: str | None, epoch: str, image_size: int, settings: dict[str, Any]
) -> list[str]:
    files = _official_files(src, epoch) if src.is_dir() else {_letters_of(src): src}
    networks = {letters: _read_network(path, settings) for letters, path in files.items()}
    cls, named = _place(networks, module, src)
    ends = _channels(named)
    hyper_parameters: dict[str, Any] = {}
    state: dict[str, Tensor] = {}
    lines = []
    for name, one in named.items():
        state |= {f"{name}.{key}": value for key, value in one.network.state_dict().items()}
        hyper_parameters[name] = {"class_path": class_path(type(one.network)), "init_args": one.settings}
        lines.append(_describe(name, one))
    if "discriminator" in named:
        hyper_parameters["conditional"] = named["discriminator"].channels == (sum(ends),)
    evaluation = {"mode": "resize_and_crop", "load_size": image_size, "crop_size": image_size, "flip": False}
    data = {"preprocess": evaluation, "channels_a": ends[0], "channels_b": ends[1], "value_range": None}
    _write(cls, state, hyper_parameters, data, dst)
    return [f"{cls.__name__}:", *lines]


def _letters_of(path: Path) -> str:
    found = _LETTERS.search(path.stem)
    return found["letters"] if found else ""


def _official_files(folder: Path, epoch: str) -> dict[str, Path]:
    files = {path: path.stem.removesuffix(f"_net_{_letters_of(path)}") for path in sorted(folder.glob("*_net_*.pth"))}
    chosen = {_letters_of(path): path for path, of in files.items() if of == epoch}
    if not chosen:
        there = ", ".join(sorted(set(files.values()))) or "none"
        raise FileNotFoundError(f"{folder} holds no {epoch}_net_….pth; epochs there: {there}")
    known = {letters for _, names in MODULES.values() for letters in names}
    if unknown := chosen.keys() - known:
        names = ", ".join(f"{epoch}_net_{letters}.pth" for letters in sorted(unknown))
        raise ValueError(f"{folder} holds {names}, of no module here; convert the file of one generator by itself")
    return chosen


@dataclass(frozen=True)
class _OfficialFile:
    """A network read from an official file."""

    path: Path
    found: Recognised
    network: nn.Module

    @property
    def settings(self) -> dict[str, Any]:
        return self.found.settings

    @property
    def channels(self) -> tuple[int, ...]:
        """What goes in, and for a generator what comes out."""
        return tuple(self.settings[key] for key in ("in_channels", "out_channels") if key in self.settings)


def _read_network(path: Path, settings: dict[str, Any]) -> _OfficialFile:
    state = read(path)
    if not isinstance(state, Mapping):
        raise ValueError(f"{path} holds a {type(state).__name__}, not a state dict")
    given = {} if _letters_of(path).startswith("D") else settings
    try:
        found = recognise(state, NETWORKS, **given)
        return _OfficialFile(path, found, found.build())
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from error


def _place(
    networks: dict[str, _OfficialFile], module: str | None, src: Path
) -> tuple[type[GANModule], dict[str, _OfficialFile]]:
    """Which module the networks belong to, and as what."""
    module = module or _guess_module(networks, src)
    if module not in MODULES:
        raise ValueError(f"module must be one of {', '.join(MODULES)}, got {module!r}")
    cls, letters = MODULES[module]
    if len(networks) == 1 and not networks.keys() & letters.keys():  # one network, named in no way or only "G"
        networks = {next(iter(letters)): next(iter(networks.values()))}
    if unknown := networks.keys() - letters.keys():
        raise ValueError(
            f"{src} has networks {', '.join(sorted(unknown))}, which {module} has not; convert the file of one "
            "generator by itself"
        )
    named = {letters[key]: one for key, one in networks.items()}
    for name, one in named.items():
        if name.startswith("generator") != ("out_channels" in one.settings):
            raise ValueError(f"{one.path} is {one.found.official.name}, where {module} has its {name}")
    if not set(cls.generators.values()) & named.keys():
        raise ValueError(f"{src} holds no generator; give the folder with both, or the generator's file")
    return cls, named


def _guess_module(networks: dict[str, _OfficialFile], src: Path) -> str:
    if networks.keys() & CYCLEGAN.keys():
        return "CycleGAN"
    settings = (networks.get("G") or next(iter(networks.values()))).settings
    if "num_downs" in settings or settings["norm"] == "batch":
        return "Pix2Pix"
    if not {"G", "D"} <= networks.keys():
        return "CycleGAN"
    if networks["D"].channels == (sum(networks["G"].channels),):
        return "Pix2Pix"
    raise ValueError(
        f"{src} may be of Pix2Pix without condition, or of CUT: give module, or the file of the generator by itself"
    )


def _channels(named: dict[str, _OfficialFile]) -> tuple[int, int]:
    """Channels of A and of B, on which all networks must agree."""
    forth = named.get("generator", named.get("generator_ab"))
    a, b = forth.channels if forth else named["generator_ba"].channels[::-1]
    expected: dict[str, list[tuple[int, ...]]] = {
        "generator_ba": [(b, a)],
        "discriminator": [(a + b,), (b,)],
        "discriminator_a": [(a,)],
        "discriminator_b": [(b,)],
    }
    for name, one in named.items():
        if one.channels not in expected.get(name, [(a, b)]):
            raise ValueError(
                f"{one.path} has {' to '.join(map(str, one.channels))} channels, which does not belong to a generator "
                f"of {a} to {b}"
            )
    return a, b


def _describe(name: str, one: _OfficialFile) -> str:
    found = one.found
    settings = ", ".join(f"{key}={value!r}" for key, value in found.settings.items())
    line = f"  {name}: {type(one.network).__name__}({settings}), {len(found.state)} entries of {one.path.name}"
    if found.assumed:
        line += f"; not visible in them, so assumed or given: {', '.join(found.assumed)}"
    return line + (f"; {found.dropped} unused running statistics left out" if found.dropped else "")


# Writing


def _refuse_existing(path: Path) -> None:
    if path.exists():
        raise FileExistsError(f"{path} exists; delete it, or choose another name")


def _write(
    cls: type[GANModule], state: dict[str, Tensor], hyper_parameters: dict[str, Any], data: dict[str, Any], dst: Path
) -> None:
    record = {"class_path": class_path(cls), "hyper_parameters": hyper_parameters, "data": data}
    if dst.suffix == SUFFIX:
        write_weights(dst, state, record)
        return
    with tempfile.TemporaryDirectory() as folder, replacing(dst) as unfinished:
        weights = Path(folder, f"weights{SUFFIX}")
        write_weights(weights, state, record)
        _write_checkpoint(load(weights), data, unfinished)


def _write_checkpoint(module: GANModule, data: dict[str, Any], path: Path) -> None:
    """Write what a ``Trainer`` would before the first batch."""
    if missing := [name for name, network in module.named_children() if isinstance(network, Absent)]:
        raise ValueError(
            f"a checkpoint to train on from needs all networks, and there is no {', '.join(missing)}; write to a "
            f"{SUFFIX} file, or give the folder with all of them"
        )
    with quiet_lightning():
        trainer = Trainer(accelerator="cpu", max_epochs=1, logger=False, enable_checkpointing=False)
        module.trainer = trainer
        trainer.strategy.connect(module)
        trainer.save_checkpoint(path)
    checkpoint = torch.load(path, weights_only=True)
    checkpoint["sketchgan"] |= {"per_rank": [], "data": "data_settings"}  # no random states or pools to go on with
    torch.save(checkpoint | {"data_settings": data}, path)


# From ours


def _from_ours(src: Path, checkpoint: dict[str, Any], dst: Path, epoch: str) -> list[str]:
    module = load(src)
    if dst.suffix in (SUFFIX, ".ckpt"):
        if src.suffix != SUFFIX and dst.suffix == ".ckpt":
            raise ValueError(f"{src} is a checkpoint already; copy it, or write weights to NAME{SUFFIX}")
        networks = {name for name, _ in module.named_children()}  # those that load has built need not be stored
        if lost := record_of(checkpoint, src)["injected"].keys() - networks:
            raise ValueError(f"{src} was made with objects that it does not store: {', '.join(sorted(lost))}")
        _refuse_existing(dst)
        _write(type(module), module.state_dict(), settings_of(checkpoint), module.data_settings, dst)
        return [f"{type(module).__name__}: {len(module.state_dict())} entries"]
    letters = next((letters for cls, letters in MODULES.values() if isinstance(module, cls)), None)
    if letters is None:
        raise ValueError(f"{src} is of {type(module).__name__}, for which there is no official code")
    present = {key: name for key, name in letters.items() if not isinstance(getattr(module, name), Absent)}
    if dst.suffix == ".pth":
        generators = [key for key, name in present.items() if name in module.generators.values()]
        wanted = _letters_of(dst)
        if wanted in ("", "G") and len(generators) == 1:
            wanted = generators[0]
        if wanted not in present:
            names = " or ".join(f"{epoch}_net_{key}.pth" for key in present)
            raise ValueError(f"which network shall {dst} hold? Name the file {names}, or give a folder for all")
        targets = {dst: present[wanted]}
    else:
        if dst.is_file():
            raise FileExistsError(f"{dst} is a file; give a folder")
        targets = {dst / f"{epoch}_net_{key}.pth": name for key, name in present.items()}
    states = {path: to_official(getattr(module, name)) for path, name in targets.items()}
    for path in states:
        _refuse_existing(path)
    for path, state in states.items():
        with replacing(path) as unfinished:
            torch.save(OrderedDict(state), unfinished)
    return [f"  {path}: {name}, {len(states[path])} entries" for path, name in targets.items()]


def _official(network: nn.Module) -> OfficialNetwork:
    for official in NETWORKS:
        if isinstance(network, official.network):
            return official
    raise ValueError(f"{type(network).__name__} has no counterpart in official code")
