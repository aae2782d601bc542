"""Files of official weights to ours and back."""

import re
import tempfile
from collections import OrderedDict
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from lightning.pytorch import Trainer
from torch import Tensor, nn

from sketchgan.convert.lean import for_inference
from sketchgan.convert.official import recognise, to_official_names
from sketchgan.convert.paintschainer import refuse_other_units
from sketchgan.convert.reading import OfficialWeights, ends, is_tensorflow, letters_of, place, read_official
from sketchgan.convert.sketchygan import SKETCHYGAN, networks_of
from sketchgan.convert.systems import NETWORKS, System, official_network, system_of
from sketchgan.convert.ugatit_tensorflow import ugatit_network
from sketchgan.modules import GANModule, load
from sketchgan.modules.building import class_path
from sketchgan.modules.checkpoint import read, record_of, settings_of
from sketchgan.modules.quiet import quiet_lightning
from sketchgan.modules.weights import SUFFIX, Absent, replacing, write_weights

_LONE = (".pth", ".bin")
"""Endings of official files with a network each; Anime2Sketch has one of each."""


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
    return _official_state(network)


def from_tensorflow(variables: Mapping[str, Any], scope: str) -> nn.Module:
    """Build a network of U-GAT-IT or SketchyGAN from variables of the TensorFlow code.

    Args:
        variables: arrays by name, such as `read_tensorflow` reads from a checkpoint; those of other scopes, and the
            optimizer's, are left aside.
        scope: of SketchyGAN "generator" or "discriminator"; of U-GAT-IT "generator_B" (A to B), "generator_A" (B to
            A), or of a discriminator "discriminator_A/global", "discriminator_A/local" and the same of B.

    Returns:
        The network; of U-GAT-IT with ``variant="tensorflow"``, as the code has been since 2019-08-20. Until 2019-08-14
        its generators kept rho itself at most at 0.9, in place of the smoothing.

    Raises:
        ValueError: if the scope has no variables, or not those of the network.
    """
    if scope in SKETCHYGAN and scope in (networks := networks_of(variables)[0]):
        return from_official(networks[scope])
    return ugatit_network(variables, scope)


def convert(
    src: str | Path,
    dst: str | Path,
    module: str | None = None,
    epoch: str = "latest",
    image_size: int | None = None,
    inference: bool = False,
    **settings: Any,
) -> list[str]:
    """Convert official weights to a file of ours, or a file of ours to official weights.

    Args:
        src: official ``.pth`` or ``.bin`` file, a folder of them (``latest_net_G.pth``, …), a ``.pt`` file with all
            networks of U-GAT-IT or photo2cartoon, a TensorFlow checkpoint of SketchyGAN (``model.ckpt-300000``, or the
            folder that it is in) or an ``.npz`` of its variables, an archive of PaintsChainer's (``unet_128_standard``)
            or a folder of them, or a file of ours.
        dst: ``NAME.safetensors`` for weights with settings, which `sketchgan.load` and ``sketchgan translate`` take;
            ``NAME.ckpt`` for a checkpoint to train on from, which needs all networks; for official weights a
            ``NAME.pth`` (or ``NAME.bin``), or a folder, of U-GAT-IT and photo2cartoon ``NAME.pt``, and of SketchyGAN
            ``NAME.npz``; of PaintsChainer ``NAME.npz`` for one network, or a folder for all under their official names.
        module: whose networks official weights are: "Pix2Pix", "CycleGAN", "UGATIT", "Photo2Cartoon", "SketchyGAN",
            "AODA", "Anime2Sketch", "PaintsChainer" or "PaintsChainerRefiner". By default that of the generators or the
            classifier, as far as it has its own (``G_A``, ``D_A`` and ``D_B`` of AODA are CycleGAN's too, and so is
            everything without classes; PaintsChainer's is the refiner's if its file's name has 512 or x2 in it); else
            that of the file's name (``…_net_G_A.pth`` is CycleGAN's), Pix2Pix for a U-Net or batch norm, and CycleGAN
            for other generators.
        epoch: which files of a folder are read or written; of SketchyGAN the number of a checkpoint, by default that
            which the folder's file ``checkpoint`` names; of PaintsChainer what the files' names end in.
        image_size: side that the official test script resizes pictures to, which weights do not tell unless they are
            of SketchyGAN or of a full U-GAT-IT or photo2cartoon generator; 256 by default, 512 of Anime2Sketch and of
            PaintsChainer's refiner, 128 of PaintsChainer.
        inference: write a file of ours without discriminators, classifiers and the guide decoders of Style2Paints: it
            translates as the whole file does, and cannot be trained on.
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
    if image_size is not None and image_size < 1:
        raise ValueError(f"image_size must be positive, got {image_size}")
    if not 0 <= settings.get("dropout", 0.5) < 1:
        raise ValueError(f"dropout must be at least 0 and below 1, got {settings['dropout']}")
    if dst.suffix not in (SUFFIX, ".ckpt", *_LONE, ".pt", ".npz", "") and not dst.is_dir():
        raise ValueError(
            f"{dst} must be NAME{SUFFIX}, NAME.ckpt, NAME.pth or a folder, or for official files that hold all "
            "networks NAME.pt, and of SketchyGAN NAME.npz"
        )
    if inference and dst.suffix != SUFFIX:
        raise ValueError(f"a file for inference alone is NAME{SUFFIX}, not {dst}")
    checkpoint = {} if src.is_dir() or is_tensorflow(src) else read(src)
    if isinstance(checkpoint, dict) and "sketchgan" in checkpoint:
        if module or settings:
            given = ", ".join([*(["module"] if module else []), *settings])
            raise ValueError(f"{src} is a file of ours and says what it holds; {given} cannot be given")
        return _from_ours(src, checkpoint, dst, epoch, inference)
    if dst.suffix not in (SUFFIX, ".ckpt"):
        raise ValueError(f"{src} is official weights; write them to NAME{SUFFIX} or NAME.ckpt, not {dst}")
    if inference:
        raise ValueError(f"{src} is official weights, of which inference is no option; give the generator's file alone")
    _refuse_existing(dst)
    return _to_ours(src, dst, module, epoch, image_size, settings)


# From official files


def _to_ours(
    src: Path, dst: Path, module: str | None, epoch: str, image_size: int | None, settings: dict[str, Any]
) -> list[str]:
    system, named = place(read_official(src, epoch, settings), module, src, settings)
    channels = ends(named)
    hyper_parameters: dict[str, Any] = {}
    state: dict[str, Tensor] = {}
    for name, one in named.items():
        state |= {f"{name}.{key}": value for key, value in one.network.state_dict().items()}
        hyper_parameters[name] = {"class_path": class_path(type(one.network)), "init_args": one.settings}
    shared = _shared(system, named, image_size)
    all_settings = {name: one.settings for name, one in named.items()}
    arguments = system.arguments(all_settings)
    hyper_parameters |= shared | arguments
    side = shared.get("image_size", image_size or system.side)
    preprocess = {"mode": "resize_and_crop", "load_size": side, "crop_size": side, "flip": False}
    preprocess["resample"] = system.resample
    data = {"preprocess": preprocess, "channels_a": channels[0], "channels_b": channels[1], "value_range": None}
    data |= system.data(all_settings)
    _write(system.module, state, hyper_parameters, data, dst)
    said = [f"  {name}: {one}" for name, one in named.items()]
    return [f"{system.name}:", *said, *(f"  {name}={value!r}" for name, value in arguments.items())]


def _shared(system: System, named: Mapping[str, OfficialWeights], image_size: int | None) -> dict[str, Any]:
    """What networks say of their module, on which they must agree, with each other and with what is given."""
    told: dict[str, Any] = {}
    for name, one in named.items():
        for key in system.shared:
            if key in one.settings and told.setdefault(key, one.settings[key]) != one.settings[key]:
                other = "another generator" if name.startswith("generator") else "the generator"
                raise ValueError(f"{one.source} has {key}={one.settings[key]!r}, {other} {told[key]!r}")
    if image_size is not None and told.get("image_size", image_size) != image_size:
        raise ValueError(
            f"image_size can be seen in the weights: it is {told['image_size']}, and cannot be {image_size}"
        )
    return told


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


def _from_ours(src: Path, checkpoint: dict[str, Any], dst: Path, epoch: str, inference: bool) -> list[str]:
    module = load(src)
    if dst.suffix in (SUFFIX, ".ckpt"):
        if src.suffix != SUFFIX and dst.suffix == ".ckpt":
            raise ValueError(f"{src} is a checkpoint already; copy it, or write weights to NAME{SUFFIX}")
        networks = {name for name, _ in module.named_children()}  # those that load has built need not be stored
        if lost := record_of(checkpoint, src)["injected"].keys() - networks:
            raise ValueError(f"{src} was made with objects that it does not store: {', '.join(sorted(lost))}")
        _refuse_existing(dst)
        state, settings = module.state_dict(), settings_of(checkpoint)
        if inference:
            state, settings = for_inference(module, settings)
        _write(type(module), state, settings, module.data_settings, dst)
        return [f"{type(module).__name__}: {len(state)} entries"]
    system = system_of(module)
    if system is None:
        raise ValueError(f"{src} is of {type(module).__name__}, for which there is no official code")
    refuse_other_units(module, src)
    children = {key: getattr(module, name) for key, name in system.names.items()}  # None for one that it does without
    present = [key for key, network in children.items() if not isinstance(network, Absent | None)]
    targets = dict.fromkeys(present, _joint_file(system, dst)) if system.joint else _files(system, present, dst, epoch)
    states = {key: _official_state(children[key], system) for key in targets}
    for key in states.keys() & set(system.data_parallel):
        states[key] = OrderedDict((f"module.{name}", value) for name, value in states[key].items())
    for path in targets.values():
        _refuse_existing(path)
    contents: dict[Path, Any] = {dst: states} if system.joint else {targets[key]: states[key] for key in targets}
    for path, content in contents.items():
        with replacing(path) as unfinished:
            if system.archives:
                _write_arrays(unfinished, content)
            elif system.joint == ".npz":
                _write_arrays(unfinished, {name: value for state in content.values() for name, value in state.items()})
            else:
                torch.save(content, unfinished)
    return [f"  {path}: {system.names[key]}, {len(states[key])} entries" for key, path in targets.items()]


def _write_arrays(path: Path, state: Mapping[str, Tensor]) -> None:
    arrays: Any = {name: (v.float() if v.is_floating_point() else v).numpy() for name, v in state.items()}
    with path.open("wb") as file:  # to a path NumPy appends .npz
        np.savez(file, **arrays)


def _official_state(network: nn.Module, system: System | None = None) -> OrderedDict[str, Tensor]:
    official = official_network(network, system)
    return OrderedDict(official.to_official(to_official_names(network, official.keys(network))))


def _joint_file(system: System, dst: Path) -> Path:
    if dst.suffix != system.joint:
        raise ValueError(
            f"the code of {system.name} keeps all networks in one file: write NAME{system.joint}, not {dst}"
        )
    return dst


def _files(system: System, present: list[str], dst: Path, epoch: str) -> dict[str, Path]:
    """A file for each network that is there, or for the one that the name of the file says."""
    if system.archives:
        return _archives(system, present, dst)
    if dst.suffix in (".pt", ".npz"):
        raise ValueError(
            f"the code of {system.name} keeps every network in a file of its own: write NAME.pth or a folder, not {dst}"
        )
    if dst.suffix in _LONE:
        generators = [key for key in present if system.names[key] in system.module.generators.values()]
        wanted = letters_of(dst)
        if wanted in ("", "G") and len(generators) == 1:
            wanted = generators[0]
        if wanted not in present:
            names = " or ".join(f"{epoch}_net_{key}.pth" for key in present)
            raise ValueError(f"which network shall {dst} hold? Name the file {names}, or give a folder for all")
        return {wanted: dst}
    if len(system.names) == 1:
        raise ValueError(f"the code of {system.name} has one network alone: write NAME.pth, not {dst}")
    if dst.is_file():
        raise FileExistsError(f"{dst} is a file; give a folder")
    return {key: dst / f"{epoch}_net_{key}.pth" for key in present}


def _archives(system: System, present: list[str], dst: Path) -> dict[str, Path]:
    """The same of archives, whose official names have no ending."""
    if dst.suffix in (".pt", *_LONE):
        raise ValueError(
            f"the code of {system.name} keeps every network in an archive of its own: write NAME.npz or a folder, not "
            f"{dst}"
        )
    if dst.suffix != ".npz" and dst.name not in system.names:
        if dst.is_file():
            raise FileExistsError(f"{dst} is a file; give a folder, or NAME.npz")
        return {key: dst / key for key in present}
    said = (key for key in system.names if re.search(rf"(^|_){key}(_|$)", dst.name.removesuffix(".npz")))
    wanted = next(said, next(iter(system.names)))
    if wanted not in present:
        raise ValueError(f"there is no {system.names[wanted]} to write to {dst}; give a folder for all that there is")
    return {wanted: dst}
