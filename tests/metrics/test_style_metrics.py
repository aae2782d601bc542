"""Distances of colours, and what a matrix of pictures owes to rows and columns."""

import numpy as np
import pytest
import torch

from sketchgan.metrics import matrix_effects, palette_distance


def filled(*colours):
    """Pictures of stripes, equally wide; colours in [0, 1]."""
    return (torch.tensor(colours).T.view(1, 3, -1, 1).expand(-1, -1, -1, 12) * 2 - 1).contiguous()


RED, BLUE, WHITE, PALE = (1.0, 0.0, 0.0), (0.0, 0.0, 1.0), (1.0, 1.0, 1.0), (0.95, 0.92, 0.91)


def test_palette_distance_is_half_the_difference_of_shares():
    assert palette_distance(filled(RED, BLUE), filled(BLUE, RED)).item() == 0
    assert palette_distance(filled(RED), filled(BLUE)).item() == pytest.approx(1)
    assert palette_distance(filled(RED, BLUE, BLUE, BLUE), filled(RED)).item() == pytest.approx(0.75)
    # White weighs a tenth: shares 10/11 and 1/11 against 1.
    assert palette_distance(filled(RED, WHITE), filled(RED)).item() == pytest.approx(1 / 11)
    assert palette_distance(filled(WHITE), filled(PALE)).item() == 0
    assert palette_distance(filled(RED, PALE), filled(RED, WHITE)).item() == 0
    # Between two colours of the grid, which are a third apart: half of each.
    assert palette_distance(filled((5 / 6, 0.0, 0.0)), filled(RED)).item() == pytest.approx(0.5)
    assert palette_distance(filled((5 / 6, 0.0, 0.0)), filled(RED), levels=2).item() == pytest.approx(1 / 6)


def test_palette_distance_is_of_pairs_whatever_their_sizes():
    pictures = torch.cat([filled(RED, BLUE), filled(BLUE, BLUE)])
    others = torch.cat([filled(RED, RED, RED, BLUE), filled(RED, RED, RED, RED)]).half()
    assert palette_distance(pictures, others).tolist() == pytest.approx([0.25, 1])
    assert palette_distance(others, pictures).tolist() == pytest.approx([0.25, 1])


def by_loops(cells):
    """The two-way table of every pixel."""
    sums = np.zeros(4)
    for pixel in cells.flatten(2).permute(2, 0, 1).double().numpy():
        grand = pixel.mean()
        sums[0] += ((pixel - grand) ** 2).sum()
        sums[1] += pixel.shape[1] * ((pixel.mean(1) - grand) ** 2).sum()
        sums[2] += pixel.shape[0] * ((pixel.mean(0) - grand) ** 2).sum()
        rest = pixel - pixel.mean(1, keepdims=True) - pixel.mean(0, keepdims=True) + grand
        sums[3] += (rest**2).sum()
    shares = dict(zip(("sketch", "style", "both"), sums[1:] / sums[0], strict=True))
    return shares | {"spread": np.sqrt(sums[0] / cells.numel())}


def test_matrix_effects_are_shares_of_the_variance():
    cells = torch.randn(3, 5, 3, 4, 2) + 2 * torch.randn(3, 1, 3, 4, 2) + torch.randn(1, 5, 3, 1, 1)
    effects = matrix_effects(cells)
    expected = by_loops(cells)
    assert effects == {name: pytest.approx(value, rel=1e-9) for name, value in expected.items()}
    assert list(effects) == ["sketch", "style", "both", "spread"]
    assert len(set(effects.values())) == 4


def test_matrix_effects_of_what_is_ignored():
    sketches, styles = torch.randn(4, 1, 3, 6, 6), torch.randn(1, 3, 3, 6, 6)
    # A style that colours one sketch and spares the other.
    inside = torch.tensor([1.0, 0.0]).view(2, 1, 1, 1, 1) * torch.tensor([1.0, -1.0]).view(1, 2, 1, 1, 1)
    same = torch.full((2, 3, 3, 4, 4), 0.1) + 1e-8 * torch.randn(2, 3, 3, 4, 4)
    for cells, expected in (
        (sketches.expand(-1, 3, -1, -1, -1), (1, 0, 0)),
        (styles.expand(4, -1, -1, -1, -1), (0, 1, 0)),
        (inside.expand(2, 2, 3, 4, 4), (0, 0.5, 0.5)),
        (same, (0, 0, 0)),
    ):
        *shares, spread = matrix_effects(cells).values()
        assert shares == [pytest.approx(share, abs=1e-9) for share in expected]
        assert (spread == 0) == (expected == (0, 0, 0))


@pytest.mark.parametrize("shape", [(1, 3, 3, 4, 4), (3, 1, 3, 4, 4), (6, 3, 4, 4)])
def test_matrix_effects_want_a_matrix(shape):
    with pytest.raises(ValueError, match=r"cells must be \(sketches, styles, C, H, W\), two each at least, got \("):
        matrix_effects(torch.zeros(shape))
