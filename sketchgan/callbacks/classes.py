"""What a data module says of its classes, and the pictures of a batch apart by it."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

IN, OPEN = "_in", "_open"


def class_names(data: Any) -> Sequence[str]:
    """Names of the labels, where a data module has them or will write them to checkpoints."""
    if data is None or not getattr(data, "labelled", False):
        return ()
    return getattr(data, "classes", None) or data.state_dict().get("classes") or ()


def open_labels(data: Any) -> Tensor:
    """Labels ``(K,)`` of the classes in ``open_domain``, those that training has no sketches of; mostly none.

    Raises:
        ValueError: for names that are no classes of the data.
    """
    wanted = tuple(getattr(data, "open_domain", ()))
    names = list(class_names(data)) if wanted else []
    if unknown := [name for name in wanted if name not in names]:
        raise ValueError(
            f"open_domain of {type(data).__name__} names {', '.join(unknown)}, but its classes are "
            f"{', '.join(names) or 'unknown, as it has no labels'}"
        )
    return torch.tensor([names.index(name) for name in wanted], dtype=torch.int64)


def domains(labels: Tensor | None, of_open: Tensor) -> Iterator[tuple[str, Any]]:
    """Rows of a batch: all, and where some classes are open, those in the domain and the others.

    Args:
        labels: classes of the pictures, ``(N,)``.
        of_open: labels of the open classes.

    Yields:
        Ending of the score's name, "", "_in" or "_open", and what picks the rows; domains without rows are left out.

    Raises:
        ValueError: if classes are open and the batch has no labels.
    """
    yield "", slice(None)
    if not len(of_open):
        return
    if labels is None:
        raise ValueError("open_domain parts the scores by class, but the batch has no class labels (A_label, B_label)")
    is_open = torch.isin(labels, of_open.to(labels.device))
    for ending, rows in ((IN, ~is_open), (OPEN, is_open)):
        if rows.any():
            yield ending, rows


def plain(score: str) -> str:
    """The name of a score without its domain."""
    return score.removesuffix(IN).removesuffix(OPEN)


def table(values: Mapping[int, Sequence[float]], names: Sequence[str]) -> dict[str, Any]:
    """Values and numbers of pictures by the names of the classes, or their numbers where they have no names.

    Args:
        values: by label: value, number of made pictures and, where they matter, of real ones.
        names: of the labels.
    """
    named = dict(enumerate(names))
    keys = ("value", "made", "real")
    return {
        "classes": {named.get(label, str(label)): dict(zip(keys, row, strict=False)) for label, row in values.items()}
    }
