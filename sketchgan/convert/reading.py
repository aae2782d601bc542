"""Official files: which networks are in them, and which module those belong to."""

import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from sketchgan.convert.official import Recognised, recognise, refuse_shared_values
from sketchgan.convert.paintschainer import is_line_network, is_paintschainer, name_of, refuse_training_state
from sketchgan.convert.pix2pix_cyclegan import CYCLEGAN
from sketchgan.convert.sketchygan import left_out, networks_of
from sketchgan.convert.systems import NETWORKS, SYSTEMS, System
from sketchgan.convert.tensorflow import find_bundle, read_tensorflow
from sketchgan.modules.checkpoint import read
from sketchgan.networks import (
    AODAGenerator,
    HRNetClassifier,
    PaintsChainerDiscriminator,
    PaintsChainerUNet,
    Photo2CartoonGenerator,
    SketchyGANDiscriminator,
    SketchyGANGenerator,
    UGATITDiscriminator,
    UGATITGenerator,
)
from sketchgan.networks.chainer_files import array_names, read_arrays

_JOINT = {name for system in SYSTEMS.values() if system.joint == ".pt" for name in system.names}
_LETTERS = re.compile(rf"(net_(?P<letters>[A-Z](_[A-Z])?)|(^|_)(?P<name>{'|'.join(sorted(_JOINT))}))$")
_MAKERS = ("generator", "draft")
"""What the names of networks begin with that make pictures."""

_TENSORFLOW = re.compile(r".*\.(npz|index|meta|data-\d{5}-of-\d{5})")


@dataclass(frozen=True)
class OfficialWeights:
    """A network read from an official file.

    Attributes:
        source: the file, and for one of several networks in it, which.
        found: what the weights show.
    """

    source: str
    found: Recognised

    @cached_property
    def network(self) -> nn.Module:
        """Ours, with the weights.

        Raises:
            ValueError: if they do not fit it.
        """
        try:
            return self.found.build()
        except ValueError as error:
            raise ValueError(f"{self.source}: {error}") from error

    @property
    def kind(self) -> type[nn.Module]:
        """Its class."""
        return self.found.official.network

    @property
    def role(self) -> str:
        """What it is in its system: "generator", "discriminator" or "classifier"."""
        if self.kind is HRNetClassifier:
            return "classifier"
        return "generator" if "out_channels" in self.settings else "discriminator"

    @property
    def settings(self) -> dict[str, Any]:
        return self.found.settings

    @property
    def channels(self) -> tuple[int, ...]:
        """What goes in, and for a generator what comes out."""
        return tuple(self.settings[key] for key in ("in_channels", "out_channels") if key in self.settings)

    def __str__(self) -> str:
        settings = ", ".join(f"{key}={value!r}" for key, value in self.settings.items())
        line = f"{self.kind.__name__}({settings}), {len(self.found.state)} entries of {Path(self.source).name}"
        if self.found.assumed:
            line += f"; not visible in them, so assumed or given: {', '.join(self.found.assumed)}"
        return "; ".join([line, *self.found.notes])


def letters_of(path: Path) -> str:
    """The name of the network that a file's name ends in, such as ``G_A``; empty if in none."""
    found = _LETTERS.search(path.stem)
    return (found["letters"] or found["name"]) if found else ""


def is_tensorflow(src: Path) -> bool:
    """Whether a path is of a TensorFlow checkpoint, which is often given without its files' endings, or of arrays."""
    if src.is_dir():
        return any(src.glob("*.index")) and not any(src.glob("*.pt*"))
    if _TENSORFLOW.fullmatch(src.name) or array_names(src):
        return True
    return not src.is_file() and find_bundle(src) is not None


def read_official(src: Path, epoch: str, settings: Mapping[str, Any]) -> dict[str, OfficialWeights]:
    """The networks of an official file, or of a folder of them, by their official names.

    Args:
        src: a file or a folder.
        epoch: which files of a folder.
        settings: of the generators, see `sketchgan.convert.from_official`.

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: if a file does not hold what it should.
    """
    if archives := _archives(src, epoch):
        return _read_archives(src, archives, settings)
    if is_tensorflow(src):
        return _read_variables(src, epoch, settings)
    if src.is_dir():
        states = {letters: (str(path), read(path)) for letters, path in _official_files(src, epoch).items()}
    else:
        content = read(src)
        if isinstance(content, Mapping) and content.keys() & _JOINT:
            states = _joint_states(src, content)
        else:
            states = {letters_of(src): (str(src), content)}
    # A name that begins with d is a discriminator's.
    return {
        name: _network(source, state, {} if name[:1] in ("D", "d") else settings)
        for name, (source, state) in states.items()
    }


def _read_variables(src: Path, epoch: str, settings: Mapping[str, Any]) -> dict[str, OfficialWeights]:
    """The networks of a checkpoint of TensorFlow, or of its variables in an ``.npz``."""
    path = src / f"model.ckpt-{epoch}" if src.is_dir() and epoch != "latest" else src
    others: Counter[str] = Counter()

    def wanted(name: str) -> bool:
        kind = left_out(name.partition(":")[0])
        others.update([kind] if kind else [])
        return not kind

    states, unknown = networks_of(read_tensorflow(path, wanted))
    if not states:
        scopes = ", ".join(sorted({name.partition("/")[0] for name in unknown})[:5]) or "nothing but an optimizer's"
        raise ValueError(
            f"{path} holds variables of TensorFlow, but not SketchyGAN's, which are in the scopes generator and "
            f"discriminator (there: {scopes}); of U-GAT-IT's code, give sketchgan.convert.read_tensorflow(PATH) to "
            "sketchgan.convert.from_tensorflow"
        )
    if unknown:
        raise ValueError(f"{path} holds {', '.join(unknown[:3])}, which SketchyGAN's networks do not have")
    networks: dict[str, OfficialWeights] = {
        name: _network(f"{path}: {name}", states[name], settings if name == "generator" else {})
        for name in ("generator", "discriminator")
        if name in states
    }
    notes = next(iter(networks.values())).found.notes
    notes += [f"left out: {', '.join(f'{kind} ({count})' for kind, count in others.items())}"] if others else []
    return networks


def _archives(src: Path, epoch: str) -> list[Path]:
    """The archives with a network of PaintsChainer that a path means."""
    if not src.is_dir():
        refuse_training_state(names := array_names(src), src)
        return [src] if is_paintschainer(names) else []
    if any(src.glob("*_net_*.pth")):
        return []
    found = [path for path in sorted(src.iterdir()) if is_paintschainer(array_names(path))]
    chosen = [path for path in found if epoch == "latest" or path.name.endswith(f"_{epoch}")]
    if found and not chosen:
        raise FileNotFoundError(f"{src} holds no …_{epoch}; there are {', '.join(path.name for path in found)}")
    return chosen


def _read_archives(src: Path, paths: list[Path], settings: Mapping[str, Any]) -> dict[str, OfficialWeights]:
    networks: dict[str, OfficialWeights] = {}
    for path in paths:
        state = {name: torch.as_tensor(array) for name, array in read_arrays(path).items()}
        one = _network(str(path), state, settings)
        if src.is_dir() and is_line_network(one.settings):
            continue
        name = name_of(one.kind, one.settings, path) or ("unet_128_standard" if src.is_dir() else "")
        if name in networks:
            raise ValueError(
                f"{src} holds two of the same kind, {Path(networks[name].source).name} and {path.name}; say which with "
                "epoch (20000 for …_iter_20000), or give one file"
            )
        networks[name] = one
    return networks


def _joint_states(src: Path, content: Mapping[Any, Any]) -> dict[str, tuple[str, Any]]:
    if unknown := [str(name) for name in content if name not in _JOINT]:
        raise ValueError(f"{src} holds {', '.join(unknown[:3])} beside networks; save the networks alone")
    entries = [state for state in content.values() if isinstance(state, Mapping)]
    refuse_shared_values([value for state in entries for value in state.values() if isinstance(value, Tensor)], src)
    return {name: (f"{src}: {name}", state) for name, state in content.items()}


def _official_files(folder: Path, epoch: str) -> dict[str, Path]:
    files = {path: path.stem.removesuffix(f"_net_{letters_of(path)}") for path in sorted(folder.glob("*_net_*.pth"))}
    chosen = {letters_of(path): path for path, of in files.items() if of == epoch}
    if not chosen:
        there = ", ".join(sorted(set(files.values()))) or "none"
        joint = next(iter(sorted(folder.glob("*.pt"))), None)
        hint = f"; give a file with all networks, such as {joint}" if joint else ""
        if any((folder / "models").glob("*_net_*.pth")):
            hint = f"; give {folder / 'models'}"
        raise FileNotFoundError(f"{folder} holds no {epoch}_net_….pth; epochs there: {there}{hint}")
    known = {letters for system in SYSTEMS.values() if not system.joint for letters in system.names}
    if unknown := chosen.keys() - known:
        names = ", ".join(f"{epoch}_net_{letters}.pth" for letters in sorted(unknown))
        raise ValueError(f"{folder} holds {names}, of no module here; convert the file of one generator by itself")
    return chosen


def _network(source: str, state: Any, settings: Mapping[str, Any]) -> OfficialWeights:
    if not isinstance(state, Mapping):
        raise ValueError(f"{source} holds a {type(state).__name__}, not a state dict")
    try:
        return OfficialWeights(source, recognise(state, NETWORKS, **settings))
    except ValueError as error:
        raise ValueError(f"{source}: {error}") from error


def place(
    networks: Mapping[str, OfficialWeights], module: str | None, src: Path, settings: Mapping[str, Any]
) -> tuple[System, dict[str, OfficialWeights]]:
    """Which module networks belong to, and as what.

    Args:
        networks: by their official names.
        module: which module, if it is known.
        src: where they are from.
        settings: those that were given; of the others the module's official code knows more than the weights show.

    Raises:
        ValueError: if to none, or the module given has no such networks, or weights do not fit.
    """
    module = module or _guess(networks, src)
    if module not in SYSTEMS:
        raise ValueError(f"module must be one of {', '.join(SYSTEMS)}, got {module!r}")
    system = SYSTEMS[module]
    if len(networks) == 1 and not networks.keys() & system.names.keys():  # named in no way, or only "G"
        only = next(iter(networks.values()))
        networks = {system.alone.get(only.kind, next(iter(system.names))): only}
    if unknown := networks.keys() - system.names.keys():
        raise ValueError(
            f"{src} has networks {', '.join(sorted(unknown))}, which {module} has not; convert the file of one "
            "generator by itself"
        )
    assumed = {name: value for name, value in system.assumed.items() if name not in settings}
    named = {system.names[key]: replace(one, found=one.found.assuming(assumed)) for key, one in networks.items()}
    for name, one in named.items():
        if one.role != _role(name):
            raise ValueError(f"{one.source} is {one.found.official.name}, where {module} has its {name}")
        if one.found.official not in system.networks:
            raise ValueError(f"{one.source} is {one.found.official.name}, which the code of {module} does not have")
    if not set(system.module.generators.values()) & named.keys():
        raise ValueError(f"{src} holds no generator; give the folder with both, or the generator's file")
    for one in named.values():
        _ = one.network  # which must fit before anything else is said of it
    return system, named


def _role(name: str) -> str:
    return name if name == "classifier" else "generator" if name.startswith(_MAKERS) else "discriminator"


def _guess(networks: Mapping[str, OfficialWeights], src: Path) -> str:
    classes = {one.kind for one in networks.values()}
    if Photo2CartoonGenerator in classes:
        return "Photo2Cartoon"
    if classes & {UGATITGenerator, UGATITDiscriminator}:
        return "UGATIT"
    if classes & {SketchyGANGenerator, SketchyGANDiscriminator}:
        return "SketchyGAN"
    if classes & {AODAGenerator, HRNetClassifier}:
        return "AODA"
    if classes & {PaintsChainerUNet, PaintsChainerDiscriminator}:
        return "PaintsChainerRefiner" if "unet_512_standard" in networks else "PaintsChainer"
    settings = (networks.get("G") or next(iter(networks.values()))).settings
    if len(networks) == 1 and (settings.get("upsample") == "smooth" or ("" in networks and _draws_lines(settings))):
        return "Anime2Sketch"
    if networks.keys() & CYCLEGAN.keys():
        return "CycleGAN"
    if "num_downs" in settings or settings["norm"] == "batch":
        return "Pix2Pix"
    if not {"G", "D"} <= networks.keys():
        return "CycleGAN"
    if networks["D"].channels == (sum(networks["G"].channels),):
        return "Pix2Pix"
    raise ValueError(
        f"{src} may be of Pix2Pix without condition, or of CUT: give module, or the file of the generator by itself"
    )


def _draws_lines(settings: Mapping[str, Any]) -> bool:
    """Whether a U-Net is as large as Anime2Sketch's, and has its norm."""
    size = [settings.get(key) for key in ("in_channels", "out_channels", "num_downs", "norm")]
    return size == [3, 1, 8, "instance"]


def ends(named: Mapping[str, OfficialWeights]) -> tuple[int, int]:
    """Channels of A and of B.

    Args:
        named: networks by our names.

    Raises:
        ValueError: if the networks do not agree on them.
    """
    forth = named.get("generator", named.get("generator_ab"))
    a, b = forth.channels if forth else named["generator_ba"].channels[::-1]
    for name, one in named.items():
        if one.channels not in _expected(name, a, b):
            raise ValueError(
                f"{one.source} has {' to '.join(map(str, one.channels))} channels, which does not belong to a "
                f"generator of {a} to {b}"
            )
    return a, b


def _expected(name: str, a: int, b: int) -> list[tuple[int, ...]]:
    if name.startswith(_MAKERS):
        return [(b, a)] if name == "generator_ba" else [(a, b)]
    if name == "discriminator":
        return [(a + b,), (b,)]
    return [(a,)] if name.endswith("_a") else [(b,)]
