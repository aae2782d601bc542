"""Files of official weights to ours and back."""

import os
import re
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
from sketchgan.modules.checkpoint import class_path, read, record_of
from sketchgan.modules.quiet import quiet_lightning
from sketchgan.modules.weights import SUFFIX, write_weights

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
    checkpoint = {} if src.is_dir() else read(src)
    if isinstance(checkpoint, dict) and "sketchgan" in checkpoint:
        return _from_ours(src, checkpoint, dst, epoch)
    if dst.suffix not in (SUFFIX, ".ckpt"):
        raise ValueError(f"{src} is official weights; write them to NAME{SUFFIX} or NAME.ckpt, not {dst}")
    _refuse_existing(dst)
    files = _official_files(src, epoch) if src.is_dir() else {_letters_of(src): src}
    networks = {letters: _read_network(path, settings) for letters, path in files.items()}
    cls, named = _place(networks, module, src)
    hyper_parameters: dict[str, Any] = {"_instantiator": "lightning.pytorch.cli.instantiate_module"}
    state: dict[str, Tensor] = {}
    lines = []
    for name, one in named.items():
        state |= {f"{name}.{key}": value for key, value in one.network.state_dict().items()}
        hyper_parameters[name] = {"class_path": class_path(type(one.network)), "init_args": one.settings}
        lines.append(_describe(name, one))
    generator = named[next(name for name in cls.generators.values() if name in named)].settings
    ends = (generator["in_channels"], generator["out_channels"])
    if "AtoB" not in [way for way, name in cls.generators.items() if name in named]:
        ends = ends[::-1]
    if cls is Pix2Pix and "discriminator" in named:
        hyper_parameters["conditional"] = _conditional(named["discriminator"].settings["in_channels"], ends)
    evaluation = {"mode": "resize_and_crop", "load_size": image_size, "crop_size": image_size, "flip": False}
    data = {"preprocess": evaluation, "channels_a": ends[0], "channels_b": ends[1], "value_range": None}
    _write(cls, state, hyper_parameters, data, dst)
    return [f"{cls.__name__}:", *lines]


# Reading official files


def _letters_of(path: Path) -> str:
    found = _LETTERS.search(path.stem)
    return found["letters"] if found else ""


def _official_files(folder: Path, epoch: str) -> dict[str, Path]:
    files = {path: path.stem.removesuffix(f"_net_{_letters_of(path)}") for path in sorted(folder.glob("*_net_*.pth"))}
    chosen = {_letters_of(path): path for path, of in files.items() if of == epoch}
    if not chosen:
        there = ", ".join(sorted(set(files.values()))) or "none"
        raise FileNotFoundError(f"{folder} holds no {epoch}_net_….pth; epochs there: {there}")
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
    if module is None:
        if networks.keys() & CYCLEGAN.keys():
            module = "CycleGAN"
        elif "D" in networks:
            module = "Pix2Pix"
        else:
            settings = next(iter(networks.values())).settings
            module = "Pix2Pix" if "num_downs" in settings or settings["norm"] == "batch" else "CycleGAN"
    elif module not in MODULES:
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


def _conditional(judged: int, ends: tuple[int, int]) -> bool:
    if judged not in (sum(ends), ends[1]):
        raise ValueError(
            f"the discriminator judges {judged} channels, the generator has {ends[0]} to {ends[1]}: they do not belong "
            "to each other"
        )
    return judged == sum(ends)


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
    path.parent.mkdir(parents=True, exist_ok=True)


def _write(
    cls: type[GANModule], state: dict[str, Tensor], hyper_parameters: dict[str, Any], data: dict[str, Any], dst: Path
) -> None:
    record = {"class_path": class_path(cls), "hyper_parameters": hyper_parameters, "data": data}
    if dst.suffix == SUFFIX:
        write_weights(dst, state, record)
        return
    weights, unfinished = dst.with_name(f"{dst.name}.part{SUFFIX}"), dst.with_name(f"{dst.name}.part")
    try:
        write_weights(weights, state, record)
        _write_checkpoint(load(weights), data, unfinished)
        os.replace(unfinished, dst)
    finally:
        weights.unlink(missing_ok=True)
        unfinished.unlink(missing_ok=True)


def _write_checkpoint(module: GANModule, data: dict[str, Any], path: Path) -> None:
    """Write what a ``Trainer`` would before the first batch."""
    if missing := [name for name, network in module.named_children() if not network.state_dict()]:
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
        if injected := record_of(checkpoint, src)["injected"]:
            raise ValueError(f"{src} was made with objects that it does not store: {', '.join(injected)}")
        _refuse_existing(dst)
        _write(type(module), module.state_dict(), checkpoint.get("hyper_parameters", {}), module.data_settings, dst)
        return [f"{type(module).__name__}: {len(module.state_dict())} entries"]
    letters = next((letters for cls, letters in MODULES.values() if isinstance(module, cls)), None)
    if letters is None:
        raise ValueError(f"{src} is of {type(module).__name__}, for which there is no official code")
    present = {key: name for key, name in letters.items() if getattr(module, name).state_dict()}
    if dst.suffix == ".pth":
        named = _letters_of(dst)
        generators = [key for key, name in present.items() if name in module.generators.values()]
        if named not in present and len(generators) > 1:
            names = " or ".join(f"{epoch}_net_{key}.pth" for key in present)
            raise ValueError(f"which network shall {dst} hold? Name the file {names}, or give a folder for all")
        targets = {dst: present[named if named in present else generators[0]]}
    else:
        targets = {dst / f"{epoch}_net_{key}.pth": name for key, name in present.items()}
    states = {path: to_official(getattr(module, name)) for path, name in targets.items()}
    for path in states:
        _refuse_existing(path)
    for path, state in states.items():
        torch.save(OrderedDict(state), path)
    return [f"  {path}: {name}, {len(states[path])} entries" for path, name in targets.items()]


def _official(network: nn.Module) -> OfficialNetwork:
    for official in NETWORKS:
        if isinstance(network, official.network):
            return official
    raise ValueError(f"{type(network).__name__} has no counterpart in official code")
