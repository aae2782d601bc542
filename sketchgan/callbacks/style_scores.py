"""Whether the wanted style, or colour hints, have an effect, and the right one."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Literal, get_args

import torch
import torch.nn.functional as F
from torch import Tensor

from sketchgan.metrics import palette_distance

StyleScore = Literal["hint_effect", "style_similarity", "palette_distance"]
OF_STYLES: tuple[StyleScore, ...] = ("style_similarity", "palette_distance")


def is_style_score(score: str) -> bool:
    """Whether it is one of `StyleScore`, or what one of them is compared with."""
    return score.removesuffix("_own") in get_args(StyleScore)


def refuse_unstyled(module: Any, scores: Sequence[str]) -> None:
    """Raise if scores are asked of a module that has nothing to be scored by them.

    Raises:
        ValueError: naming the score and the module.
    """
    name = type(module).__name__
    wanted = [score for score in scores if score in get_args(StyleScore)]
    if wanted and not recolours(module):
        raise ValueError(
            f"{wanted[0]} compares two colourings of a sketch, but {name} takes neither styles nor hints (takes_style, "
            "takes_hints); leave it out of the scores"
        )
    of_styles = [score for score in wanted if score in OF_STYLES]
    if of_styles and not getattr(module, "takes_style", False):
        raise ValueError(
            f"{of_styles[0]} is of styles, but {name} takes none (takes_style); leave it out of the scores"
        )
    if "style_similarity" in wanted and not hasattr(module, "encode_style"):
        raise ValueError(
            f"style_similarity compares vectors of encode_style(pictures), which {name} does not have; leave it out of "
            "the scores"
        )


def recolours(module: Any) -> bool:
    """Whether ``sample()`` of the module may have ``other_B``."""
    return getattr(module, "takes_style", False) or getattr(module, "takes_hints", False)


def style_scores(
    module: Any, pictures: Mapping[str, Tensor], scores: Sequence[StyleScore]
) -> Iterator[tuple[str, Tensor, Tensor]]:
    """What can be said of a batch in which the sketches were coloured twice.

    Args:
        module: with ``encode_style(pictures) -> (N, D)``, for "style_similarity".
        pictures: of ``sample()``, in [-1, 1]: ``fake_B``, ``other_B`` and ``other_style``, the pictures whose style
            the latter was to take. Without ``other_B`` there is nothing.
        scores: that are wanted.

    Yields:
        Name of the score and what its metric takes: for "hint_effect" both colourings, for the others the values of all
        pictures and their weights, 1. With the name's ending "_own" the same is said of ``fake_B``, which has its own
        style.
    """
    if "other_B" not in pictures:
        return
    fake, other = pictures["fake_B"], pictures["other_B"]
    if "hint_effect" in scores:
        yield "hint_effect", fake.float().contiguous(), other.float().contiguous()  # padding leaves views
    if "other_style" not in pictures:
        return
    style = pictures["other_style"]
    vectors = module.encode_style(style) if "style_similarity" in scores else None
    for ending, made in (("", _rgb(other)), ("_own", _rgb(fake))):
        if vectors is not None:
            values = F.cosine_similarity(module.encode_style(made).float(), vectors.float())
            yield f"style_similarity{ending}", values, torch.ones_like(values)
        if "palette_distance" in scores:
            values = palette_distance(made, style)
            yield f"palette_distance{ending}", values, torch.ones_like(values)


def style_protocol(module: Any, score: str) -> dict[str, str]:
    """What must be said beside a score."""
    if score == "hint_effect":
        return {"range": "pictures in [-1, 1]"}
    if score.startswith("palette"):
        return {"palette": "4 levels a channel, paper counts a tenth"}
    style = getattr(module, "style", None)
    return {"net": f"style vectors of {getattr(style, 'name', type(module).__name__)}"}


def _rgb(pictures: Tensor) -> Tensor:
    return pictures.expand(-1, 3, -1, -1) if pictures.shape[1] == 1 else pictures
