"""Networks of official code and ours: recognise by keys, rename, and check that nothing is left over.

A file of official weights holds tensors and no word on the network that they belong to. What the keys and shapes show
is read off them; what they do not show (a U-Net's dropout) is assumed as the official default, and can be given.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

KeyMap = dict[str, str]
"""Layers by name, or single entries: official → ours."""

State = Mapping[str, Tensor]

_RECOMPUTED = ("running_mean", "running_var", "num_batches_tracked", "weight_v")
"""Entries of ours that a layer can be without: some official networks do not keep them."""


@dataclass(frozen=True)
class OfficialNetwork:
    """A network of an official code base, and which of ours it is.

    Attributes:
        name: as the official code calls it.
        network: our class.
        recognises: whether weights are such a network's, by a key that no other network has.
        visible: the arguments of our class that keys and shapes show.
        assumed: those that they do not show, as far as they matter, with the official defaults.
        keys: the key map of one of our networks.
        choices: of an assumed setting that is one of a few.
        old: how weights show that they are of an earlier state of the official code, which differs, and what to say.
        to_torch: values as the official code lays them out, as PyTorch does.
        to_official: the reverse.
    """

    name: str
    network: type[nn.Module]
    recognises: Callable[[State], bool]
    visible: Callable[[State], dict[str, Any]]
    assumed: Callable[[State], dict[str, Any]]
    keys: Callable[[Any], KeyMap]
    choices: Mapping[str, tuple[Any, ...]] = field(default_factory=dict)
    old: Callable[[State], str] = lambda state: ""
    to_torch: Callable[[State], State] = lambda state: state
    to_official: Callable[[State], State] = lambda state: state


@dataclass(frozen=True)
class Recognised:
    """Official weights, cleaned (``notes`` say how), and the network that they belong to."""

    official: OfficialNetwork
    state: State
    settings: dict[str, Any]
    assumed: dict[str, Any]
    notes: list[str]

    def assuming(self, settings: Mapping[str, Any]) -> "Recognised":
        """The same with other values of what the weights do not show."""
        other = {name: value for name, value in settings.items() if name in self.assumed}
        return replace(self, settings=self.settings | other, assumed=self.assumed | other)

    def build(self) -> nn.Module:
        """Our network with these weights.

        Raises:
            ValueError: if a key or a shape does not fit, with a few of them and the likely cause.
        """
        if old := self.official.old(self.state):
            raise ValueError(old)
        try:
            with torch.device("meta"):  # no memory before all shapes are known to fit
                shapes = self.official.network(**self.settings)
        except (RuntimeError, TypeError, OverflowError) as error:  # sizes beyond what a tensor can have
            raise ValueError(f"{self.official.name} cannot be as large as these weights ask for") from error
        compare(shapes, self.state, self.official.keys(shapes), self.official.name)
        network = self.official.network(**self.settings)
        load_renamed(network, self.state, self.official.keys(network), self.official.name)
        return network


def recognise(state: Mapping[str, Any], networks: list[OfficialNetwork], **given: Any) -> Recognised:
    """Find out which network official weights belong to.

    Args:
        state: official state dict; `torch.nn.DataParallel`'s prefix is allowed.
        networks: to choose from.
        **given: settings that cannot be seen in the weights, in place of the official defaults.

    Raises:
        ValueError: if these are no weights, of no such network, or a given setting contradicts them.
    """
    clean: State
    clean, notes = cleaned(state)
    official = next((candidate for candidate in networks if candidate.recognises(clean)), None)
    if official is None:
        raise ValueError(f"these are weights of none of {', '.join(n.name for n in networks)}: {_guess(list(clean))}")
    clean = official.to_torch(clean)
    visible, assumed = official.visible(clean), official.assumed(clean)
    for name, value in given.items():
        if name in visible and visible[name] != value:
            raise ValueError(f"{name} can be seen in the weights: it is {visible[name]!r}, and cannot be {value!r}")
        if name not in visible and name not in assumed:
            raise ValueError(
                f"{name} is no setting of {official.network.__name__} that could be given; "
                f"there is {', '.join(assumed) or 'none'}"
            )
        if name in assumed and value not in official.choices.get(name, (value,)):
            raise ValueError(f"{name} must be one of {', '.join(official.choices[name])}, got {value!r}")
    assumed |= {name: value for name, value in given.items() if name in assumed}
    return Recognised(official, clean, visible | assumed, assumed, notes)


def cleaned(state: Mapping[str, Any]) -> tuple[dict[str, Tensor], list[str]]:
    """Bring weights of any age into today's form.

    Strips `torch.nn.DataParallel`'s prefix, drops the running statistics that instance norm kept (and never used)
    before PyTorch 0.4.1, and fills in the batch counts that batch norm did not have then. Spectral norm kept the
    quotient instead of its second vector before PyTorch 1.0; the first step of the power iteration makes that vector of
    what is there.

    Returns:
        The weights, and what was dropped or filled in.

    Raises:
        ValueError: if there is anything but tensors by name.
    """
    others = [key for key, value in state.items() if not (isinstance(key, str) and isinstance(value, Tensor))]
    if others or not state:
        raise ValueError(f"these are no weights by name: {_guess(list(state))}")
    refuse_shared_values(state.values())
    _refuse_odd_tensors(state)
    while all(key.startswith("module.") for key in state):
        state = {key.removeprefix("module."): value for key, value in state.items()}
    clean: dict[str, Tensor] = {}
    dropped = filled = 0
    for key, value in state.items():
        layer, _, entry = key.rpartition(".")
        if entry in ("running_mean", "running_var", "num_batches_tracked") and f"{layer}.weight" not in state:
            dropped += 1
            continue
        if entry == "weight" and _lacks_vector(state, layer):
            continue
        clean[key] = value
        if entry == "running_mean" and f"{layer}.num_batches_tracked" not in state:
            clean[f"{layer}.num_batches_tracked"] = torch.tensor(0)
        if entry == "weight_u" and _lacks_vector(state, layer):
            matrix = state[f"{layer}.weight_orig"].flatten(1)
            clean[f"{layer}.weight_v"] = F.normalize(matrix.float().t() @ value.float(), dim=0, eps=1e-12)
            filled += 1
    notes = [f"{dropped} unused running statistics left out"] if dropped else []
    return clean, notes + ([f"{filled} missing weight_v computed from weight_u"] if filled else [])


def _lacks_vector(state: State, layer: str) -> bool:
    """Whether a layer with spectral norm lacks its second vector, and the first fits the weight."""
    weight, u = state.get(f"{layer}.weight_orig"), state.get(f"{layer}.weight_u")
    if weight is None or u is None or f"{layer}.weight_v" in state:
        return False
    return weight.ndim > 1 and u.shape == weight.shape[:1]


def refuse_shared_values(tensors: Iterable[Tensor], source: Any = "") -> None:
    """Raise for views of one storage and for repeated values, which would let a small file fill the memory.

    Raises:
        ValueError: naming the source, if it has a name.
    """
    tensors = list(tensors)
    plain = [value for value in tensors if value.layout == torch.strided and not (value.is_quantized or value.is_meta)]
    storages = {value.untyped_storage().data_ptr(): value.untyped_storage().nbytes() for value in plain}
    if sum(value.numel() * value.element_size() for value in plain) > sum(storages.values()):
        start = f"{source}: " if source else ""
        raise ValueError(f"{start}the tensors share or repeat their values, and are larger than what the file holds")


def _refuse_odd_tensors(state: State) -> None:
    for key, value in state.items():
        if value.layout != torch.strided or value.is_quantized or value.is_meta:
            raise ValueError(f"{key} is a {str(value.layout)[6:]} tensor on {value.device}, not plain numbers")
        count = key.endswith((".num_batches_tracked", "/N"))
        if value.numel() == 0 or not (value.is_floating_point() or count):
            raise ValueError(f"{key} is no weight: {str(value.dtype)[6:]} of shape {tuple(value.shape)}")
        if not value.float().isfinite().all():
            raise ValueError(f"{key} holds values that are NaN, infinite or too large for float32")


def renamed(state: State, layers: Mapping[str, str]) -> dict[str, Tensor]:
    """The same entries under the names that a map gives to them or to their layers.

    Raises:
        KeyError: with the first entry that the map has neither by itself nor with its layer.
    """
    entries = {}
    for key, value in state.items():
        layer, _, entry = key.rpartition(".")
        if key in layers:
            entries[layers[key]] = value
            continue
        if layer not in layers:
            raise KeyError(key)
        entries[f"{layers[layer]}.{entry}"] = value
    return entries


def compare(network: nn.Module, state: State, keys: KeyMap, name: str) -> None:
    """Raise unless official weights have exactly the entries of a network.

    Raises:
        ValueError: with a few of the differences and the likely cause.
    """
    official = to_official_names(network, keys)
    unknown, missing = sorted(state.keys() - official.keys()), sorted(official.keys() - state.keys())
    differ = [key for key in sorted(state.keys() & official.keys()) if state[key].shape != official[key].shape]
    if unknown or missing or differ:
        examples = [f"no {key}" for key in missing[:2]] + [f"unknown {key}" for key in unknown[:2]]
        examples += [f"{key} {tuple(state[key].shape)} instead of {tuple(official[key].shape)}" for key in differ[:2]]
        count = len(unknown) + len(missing) + len(differ)
        raise ValueError(
            f"{count} of {len(state.keys() | official.keys())} entries do not fit {name}: {'; '.join(examples)}. "
            f"{_cause(unknown, missing, differ, state)}"
        )


def load_renamed(network: nn.Module, state: State, keys: KeyMap, name: str) -> None:
    """Fill one of our networks with official weights that fit it.

    Constants that official files hold (the filters of blurs) must equal ours.

    Raises:
        ValueError: if they do not.
    """
    weights = renamed(state, keys)
    entries = network.state_dict()
    for key in weights.keys() - entries.keys():
        if not torch.allclose(weights[key].float(), network.get_buffer(key), atol=1e-6):
            raise ValueError(f"{key} is a constant of {name}, but the file holds other values")
    network.load_state_dict({key: weights.get(key, value) for key, value in entries.items()})


def to_official_names(network: nn.Module, keys: KeyMap) -> dict[str, Tensor]:
    """The network's weights, and the constants that official files hold, under official names, as PyTorch has them.

    Raises:
        ValueError: if a layer has no official counterpart.
    """
    official = {ours: theirs for theirs, ours in keys.items()}
    entries = {key: value.detach() for key, value in network.state_dict().items()}
    entries |= {key: value for key, value in network.named_buffers() if key.rpartition(".")[0] in official}
    by_entry = {key.rpartition(".")[0] for key in official.keys() & entries.keys()}
    for key in [key for key in entries if key not in official and key.endswith(_RECOMPUTED)]:
        if key.rpartition(".")[0] in by_entry:
            del entries[key]
    try:
        return renamed(entries, official)
    except KeyError as error:
        raise ValueError(f"{error.args[0]} of {type(network).__name__} has no place in the official network") from None


def _guess(keys: list[Any]) -> str:
    """What a dict that is not understood may be."""
    names = [str(key) for key in keys]
    start = f"it holds {', '.join(names[:3])}, …" if names else "it is empty"
    for wrapper in ("state_dict", "model", "params", "genA2B", "netG"):
        if wrapper in names:
            return f"{start}; if the weights are under {wrapper!r}, save that entry alone"
    if "param_groups" in names:
        return f"{start}; this is the state of an optimizer"
    if any(name.startswith("module.") for name in names):
        return f"{start}; some keys begin with 'module.' and some do not: several files were put together"
    prefixes = {name.partition(".")[0] for name in names}
    if len(prefixes) == 1 and (prefix := prefixes.pop()) not in ("model", "net", ""):
        return f"{start}; all keys begin with {prefix + '.'!r}: save the weights of the network inside"
    return f"{start}; the file is of another system, or its keys were renamed"


def _cause(unknown: list[str], missing: list[str], differ: list[str], state: State) -> str:
    if any(key.startswith("module.") for key in unknown):
        return "Some keys begin with 'module.' and some do not: several files were put together"
    if unknown and not missing and not differ and all(state[key].ndim == 1 for key in unknown):
        return (
            "The norm layers have weights of their own but no running statistics: this is affine instance norm "
            "(the Torch original) or group norm, which the official PyTorch networks do not have"
        )
    if missing and not unknown and not differ:
        return "Entries were removed from the file, or it was saved in part"
    if missing and unknown and len(missing) == len(unknown):
        return "Entries were renamed"
    return "The network is a variant that the official code does not build"
