"""Building modules from what a checkpoint says of them, without taking its word for anything that runs."""

import inspect
import re
import sys
from collections.abc import Mapping, Set
from types import UnionType
from typing import Any, Literal, Union, get_args, get_origin

from torch import nn

from sketchgan.losses import AdversarialLoss
from sketchgan.networks import FrozenNetwork

_LIBRARIES = (
    "sketchgan", "torch", "torchvision", "torchmetrics", "torch_fidelity", "lightning", "lightning_fabric",
    "pytorch_lightning", "functorch", "torchgen", "timm", "transformers", "diffusers",
)  # fmt: skip


def class_path(cls: type) -> str:
    """Where a class lives."""
    return f"{cls.__module__}.{cls.__qualname__}"


def own_settings(cls: type, given: Set[str], settings: Mapping[str, Any]) -> dict[str, Any]:
    """Of the arguments of a class and its bases, which Lightning collects, those that it takes itself or was given.

    The others it has decided on, and another module that is built from its settings decides on them again.
    """
    own = inspect.signature(cls.__init__).parameters  # type: ignore[misc]
    unnamed = any(parameter.kind is parameter.VAR_POSITIONAL for parameter in own.values())
    return {name: value for name, value in settings.items() if unnamed or name in own or name in given}


def find_class(path: Any, *bases: type) -> type[Any]:
    """The class of that path, if it is imported and derives from one of ``bases``; nothing is imported.

    Raises:
        ValueError: if it is not.
    """
    module, _, name = str(path).rpartition(".")
    # Not getattr: some packages import more when they are asked for a name.
    found = vars(sys.modules[module]).get(name) if module in sys.modules else None
    if not (isinstance(found, type) and issubclass(found, bases)):
        raise ValueError(
            f"the checkpoint wants {path}, which is not an imported {' or '.join(base.__name__ for base in bases)}; "
            "import the module that defines it first (for safety nothing is imported on a checkpoint's word)"
        )
    return found


def find_part(recipe: Mapping[str, Any]) -> type[Any]:
    """The network or loss class of a recipe (``class_path``, ``init_args``).

    Ours, torch's layers and those that the user has imported are allowed; not those of the libraries that are imported
    here anyway, of which some load files or download when they are built.

    Raises:
        ValueError: for any other class, and for a recipe with more or less to it.
    """
    if recipe.keys() - {"class_path", "init_args"} or not isinstance(recipe.get("init_args", {}), Mapping):
        raise ValueError(f"the recipe of {recipe['class_path']} has to it more than a class and arguments by name")
    cls = find_class(recipe["class_path"], nn.Module, AdversarialLoss, FrozenNetwork)
    package = cls.__module__.partition(".")[0]
    ours = ("sketchgan.networks", "sketchgan.blocks", "sketchgan.losses", "torch.nn.modules")
    if package in _LIBRARIES and not cls.__module__.startswith(ours):
        raise ValueError(f"the checkpoint wants {recipe['class_path']}, which is not built on a checkpoint's word")
    return cls


def build(cls: type[Any], settings: Mapping[str, Any], given: Mapping[str, Any], path: Any) -> Any:
    """Build a module from a checkpoint's settings.

    Args:
        cls: of the module.
        settings: plain values, and recipes of networks and losses, whose classes must be imported.
        given: settings that go before them; here objects are allowed.
        path: of the checkpoint.

    Raises:
        ValueError: if a recipe is of another class, or the settings do not fit.
    """
    names = inspect.signature(cls).parameters
    anything = any(parameter.kind is parameter.VAR_KEYWORD for parameter in names.values())
    try:
        kept = {name: value for name, value in settings.items() if name not in given and (anything or name in names)}
        return cls(**{name: _built(value) for name, value in kept.items()}, **given)
    except Exception as error:  # whatever the settings made a constructor raise
        raise ValueError(f"{path}: cannot build {cls.__name__} with these settings: {error}") from error


def _built(value: Any) -> Any:
    if isinstance(value, Mapping):
        if "class_path" not in value:
            return {key: _built(item) for key, item in value.items()}
        return find_part(value)(**{key: _built(item) for key, item in value.get("init_args", {}).items()})
    return type(value)(map(_built, value)) if isinstance(value, list | tuple) else value


def refuse_hidden_recipes(cls: type, settings: Mapping[str, Any]) -> None:
    """Raise for settings on whose word the command line's parser would import or build something.

    That parser takes text for a class or a configuration where an argument may be an object, and builds whatever a
    recipe names where an argument has no type.

    Raises:
        ValueError: naming the setting.
    """
    for name, value in settings.items():
        if isinstance(value, Mapping) and "class_path" in value:
            refuse_hidden_recipes(find_part(value), value.get("init_args", {}))
        elif (isinstance(value, str) and not _is_text(cls, name, value)) or _holds_names(value):
            raise ValueError(f"the checkpoint's {name}={value!r} is no value of {cls.__name__}'s argument {name}")


def _holds_names(value: Any) -> bool:
    """Whether a list or mapping holds recipes, or text that may name something to import."""
    if not isinstance(value, Mapping | list | tuple):
        return False
    items = list(value.values()) if isinstance(value, Mapping) else list(value)
    if isinstance(value, Mapping) and "class_path" in value:
        return True
    return any(_holds_names(item) or (isinstance(item, str) and not re.fullmatch(r"[\w -]*", item)) for item in items)


def _is_text(cls: type, name: str, value: str) -> bool:
    """Whether an argument is declared to be text, and this text is allowed."""
    for base in cls.__mro__:
        parameter = inspect.signature(base.__init__, eval_str=True).parameters.get(name)  # type: ignore[misc]
        if parameter is not None and parameter.kind is not parameter.VAR_KEYWORD:
            union = get_origin(parameter.annotation) in (Union, UnionType)
            members = get_args(parameter.annotation) if union else (parameter.annotation,)
            return any(
                member is str or (get_origin(member) is Literal and value in get_args(member)) for member in members
            )
    return False


def is_plain(value: Any) -> bool:
    """Whether a hyperparameter may go into a checkpoint as it is."""
    if isinstance(value, Mapping):
        return all(is_plain(item) for pair in value.items() for item in pair)
    if isinstance(value, list | tuple | set):
        return all(is_plain(item) for item in value)
    # By exact type: a NumPy float is a float too, but does not load with weights_only.
    return value is None or type(value) in (bool, int, float, complex, str, bytes)
