"""What a matrix of pictures owes to its rows and to its columns."""

import math

from torch import Tensor


def matrix_effects(cells: Tensor) -> dict[str, float]:
    """How much of the variance in a matrix of sketches and styles is due to the sketches, to the styles, and to both.

    A two-way analysis of variance without repetition, pixel by pixel and summed over pixels: "sketch" is the variance
    of the means over the rows, "style" that of the means over the columns, "both" what is left: what a style does to
    one sketch and not to another, such as colouring the inside of its shapes. Each is a share of the whole variance,
    whose root is "spread": where that is next to nothing, the shares say nothing.

    Where the styles have no effect, "sketch" is 1; where all sketches come out alike, "style" is 1; where all cells are
    the same, all are 0. Shapes that lie in different places let "sketch" prevail in any useful matrix.

    Args:
        cells: pictures ``(sketches, styles, C, H, W)``, in any range; a row per sketch, a column per style.

    Returns:
        "sketch", "style" and "both", which sum to 1, and "spread", in the units of the cells.

    Raises:
        ValueError: for another number of dimensions, and fewer than two rows or columns.

    Examples:
        >>> import torch
        >>> by_sketch, by_style = torch.tensor([0.0, 4.0]), torch.tensor([0.0, 3.0])
        >>> matrix_effects((by_sketch[:, None] + by_style)[..., None, None, None])
        {'sketch': 0.64, 'style': 0.36, 'both': 0.0, 'spread': 2.5}
    """
    if cells.ndim != 5 or min(cells.shape[:2]) < 2:
        raise ValueError(f"cells must be (sketches, styles, C, H, W), two each at least, got {tuple(cells.shape)}")
    cells = cells.double()
    apart = cells - cells.mean((0, 1))
    total = apart.square().mean().item()
    if total <= 1e-14 * cells.square().mean().item():  # what float32 makes of equal pictures
        return {"sketch": 0.0, "style": 0.0, "both": 0.0, "spread": 0.0}
    sketch, style = (apart.mean(dim).square().mean().item() / total for dim in (1, 0))
    return {"sketch": sketch, "style": style, "both": max(0.0, 1 - sketch - style), "spread": math.sqrt(total)}
