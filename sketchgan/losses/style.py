"""The adversary of Style2Paints, which knows styles (Zhang et al., ACPR 2017, arXiv 1706.03319, section 3.2)."""

from typing import Literal, get_args

import torch
import torch.nn.functional as F
from torch import Tensor

StyleMode = Literal["regression", "log_abs"]

_MOST = 1 - 1e-7  # a distance of 1 would cost infinitely much


def standardised(style: Tensor) -> Tensor:
    """Style vectors ``(N, D)`` with mean 0 and variance 1 each, in float32 at least.

    So the zeros that fakes are to get are a meaningful opposite of a style.

    Examples:
        >>> standardised(torch.tensor([[1.0, 3.0]]))
        tensor([[-1.0000,  1.0000]])
    """
    return F.layer_norm(style.to(torch.promote_types(style.dtype, torch.float32)), style.shape[1:])


class StyleAdversarialLoss:
    """The discriminator finds the style vector of a real painting, and zeros for a made one.

    The printed formula, ``log(D(y) + 1 - V(y)) + log(1 - D(G))``, cannot be meant literally: V is unbounded, and the
    first term rises with D beyond V. "regression" does what the text says, as mean squared distances; "log_abs" is the
    nearest repaired reading of the formula, on the logistic functions of both and with the distance in place of the
    difference.

    Args:
        mode: "regression" or "log_abs".

    Shapes: scores and styles ``(N, D)`` → scalars. Styles are standardised here.

    Raises:
        ValueError: for an unknown mode, and for scores that are not of the styles' shape.

    Examples:
        >>> loss, style = StyleAdversarialLoss(), torch.tensor([[1.0, 3.0]])
        >>> round(loss.real(torch.zeros(1, 2), style).item(), 3), loss.fake(torch.zeros(1, 2)).item()
        (1.0, 0.0)
    """

    def __init__(self, mode: StyleMode = "regression") -> None:
        if mode not in get_args(StyleMode):
            raise ValueError(f"style_loss must be one of {', '.join(get_args(StyleMode))}, got {mode!r}")
        self.mode = mode

    def real(self, score: Tensor, style: Tensor) -> Tensor:
        """The discriminator's loss on scores of real paintings, whose styles these are."""
        if score.shape != style.shape:  # which would be spread over each other
            raise ValueError(
                f"the discriminator's scores are {tuple(score.shape)} and the styles {tuple(style.shape)}; it must "
                "have as many outputs as a style has numbers"
            )
        wanted = standardised(style.to(torch.promote_types(style.dtype, score.dtype)))
        score = score.to(wanted.dtype)
        if self.mode == "regression":
            return F.mse_loss(score, wanted)
        distance = (score.sigmoid() - wanted.sigmoid()).abs().clamp(max=_MOST)
        return -torch.log1p(-distance).mean()

    def fake(self, score: Tensor) -> Tensor:
        """The discriminator's loss on scores of made paintings."""
        score = score.to(torch.promote_types(score.dtype, torch.float32))
        return score.square().mean() if self.mode == "regression" else F.softplus(score).mean()

    def generator(self, score: Tensor, style: Tensor) -> Tensor:
        """The generator's loss on scores of its paintings, which are to be in these styles."""
        return self.real(score, style)
