"""Colour hints: simulated ones follow the recipe, and become a network's input."""

import pytest
import torch
from scipy.ndimage import find_objects, label

from sketchgan.ops import hint_channels, simulate_hints


def seeded(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def drawn(number: int, side: int = 48, most: int = 100, seed: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    """Random pictures, and hints for them."""
    images = torch.rand(number, 3, side, side, generator=seeded(1)) * 255
    return images, simulate_hints(images, most, seeded(seed))


def test_hints_repeat_by_generator():
    (_, a), (_, b), (_, c) = drawn(8), drawn(8), drawn(8, seed=2)
    assert torch.equal(a, b)
    assert not torch.equal(a, c)


def test_global_random_numbers_are_used_without_a_generator():
    images = torch.zeros(8, 3, 16, 16)
    torch.manual_seed(0)
    a = simulate_hints(images)
    torch.manual_seed(0)
    assert torch.equal(a, simulate_hints(images))


def test_hints_are_the_same_whatever_the_default_precision_is():
    _, expected = drawn(8)
    images = torch.rand(8, 3, 48, 48, generator=seeded(1)) * 255
    torch.set_default_dtype(torch.bfloat16)
    try:
        found = simulate_hints(images, generator=seeded(0))
    finally:
        torch.set_default_dtype(torch.float32)
    assert torch.equal(found, expected)


def test_mask_and_colours():
    _, hints = drawn(64)
    colours, mask = hints[:, :3], hints[:, 3:]
    assert set(mask.unique().tolist()) == {0, 1}
    assert (colours % 20 == 0).all()
    assert (colours * (1 - mask) == 0).all()
    assert colours.min() >= -20
    assert colours.max() <= 280


def islands(mask: torch.Tensor) -> int:
    """Separate points of one mask: centres of crosses, lines and dots, where none touch."""
    return label(mask.numpy())[1]


def test_numbers_of_points():
    """40 % none, 30 % 2 to 15, 30 % 16 to 99; on large pictures, where few points meet."""
    images = torch.zeros(1000, 1, 128, 128)
    masks = simulate_hints(images, 100, seeded(3))[:, 1]
    counts = torch.tensor([islands(mask) for mask in masks])
    none, few, many = (counts == 0), (counts > 0) & (counts < 16), counts >= 16
    for group, share in ((none, 0.4), (few, 0.3), (many, 0.3)):
        assert group.float().mean().item() == pytest.approx(share, abs=0.05)  # three deviations
    assert counts[few].float().mean().item() == pytest.approx(8.5, abs=0.75)
    assert counts[few].min() <= 3
    assert counts[few].max() == 15
    assert counts[many].float().mean().item() == pytest.approx(56, abs=5)  # 57.5, less those that meet
    assert counts[many].max() > 85
    few_at_most = simulate_hints(images[:200], 17, seeded(3))[:, 1]
    assert max(islands(mask) for mask in few_at_most) == 16


def test_shapes_of_points():
    """A point is a dot, a line across, a line down or a cross, each as often."""
    masks = simulate_hints(torch.zeros(3000, 1, 64, 64), 17, seeded(4))[:, 1]
    kinds = {1: 0, 3: 0, 5: 0}
    across = down = 0
    for mask in masks.numpy():
        spots = label(mask)[0]
        for number, box in enumerate(find_objects(spots), 1):
            size = (spots[box] == number).sum()
            shape = spots[box].shape
            if (size, shape) in ((1, (1, 1)), (3, (1, 3)), (3, (3, 1)), (5, (3, 3))):
                kinds[size] += 1
                across += shape == (1, 3)
                down += shape == (3, 1)
    total = sum(kinds.values())
    assert total > 10000
    for share in (kinds[1], across, down, kinds[5]):
        assert share / total == pytest.approx(0.25, abs=0.03)


def test_points_lie_anywhere_but_at_the_edge():
    images = torch.zeros(4000, 1, 6, 7)
    hints = simulate_hints(images, 17, seeded(5))
    mean = hints[:, 1].mean(0)
    assert (mean > 0).any(dim=1).all()
    assert (mean > 0).any(dim=0).all()  # neighbours reach the edge
    assert (mean[[0, 0, -1, -1], [0, -1, 0, -1]] == 0).all()  # but no point, whose neighbours would be outside


def test_colours_are_the_pictures_with_noise():
    """Of one level far from a border of rounding, noise of 5 moves few; the mean error is that of rounding."""
    for level, stays in ((100.0, 0.954), (110.0, 0.5)):  # 10 levels are two deviations
        hints = simulate_hints(torch.full((500, 3, 32, 32), level), 100, seeded(6))
        there = hints[:, 3] > 0
        values = hints[:, :3].movedim(1, -1)[there]
        upper = 100 if level == 100 else 120
        assert (values == upper).float().mean().item() == pytest.approx(stays, abs=0.02)
    channels = values.unique(dim=0)
    assert len(channels) > 1  # noise differs between channels
    assert (channels != channels[:, :1]).any()


def test_colour_comes_from_the_points_own_pixel():
    """Each pixel has a level of its own: the point's neighbours repeat the point's."""
    ramp = torch.arange(10.0).repeat_interleave(8).mul(20).expand(1, 3, 80, 80)  # multiples of 20, in columns
    hints = simulate_hints(ramp.expand(400, -1, -1, -1), 17, seeded(7))
    there = hints[:, 3] > 0
    off = (hints[:, 0] - ramp[0, 0])[there]
    assert (off == 0).float().mean() > 0.85


def test_last_point_wins():
    """Placed one by one in a loop, with the same random numbers, on pictures so small that points meet."""
    images, height, width = torch.rand(20, 3, 7, 9, generator=seeded(8)) * 255, 7, 9
    random = seeded(9)
    kind, share = torch.rand(2, 20, 1, generator=random)
    rows, columns, across, down = torch.rand(4, 20, 39, generator=random)
    noise = 5 * torch.randn(20, 3, 39, generator=random)
    expected = torch.zeros(20, 4, height, width)
    for i in range(20):
        count = 0 if kind[i] < 0.4 else 2 + int(14 * share[i]) if kind[i] < 0.7 else 16 + int(24 * share[i])
        for k in range(count):
            y, x = 1 + int((height - 2) * rows[i, k]), 1 + int((width - 2) * columns[i, k])
            colour = torch.floor((images[i, :, y, x] + noise[i, :, k]) / 20 + 0.5) * 20
            places = [(y, x)]
            places += [(y, x - 1), (y, x + 1)] if across[i, k] < 0.5 else []
            places += [(y - 1, x), (y + 1, x)] if down[i, k] < 0.5 else []
            for y, x in places:
                expected[i, :, y, x] = torch.cat([colour, torch.ones(1)])
    assert torch.equal(simulate_hints(images, 40, seeded(9)), expected)


def test_bad_arguments_say_so():
    with pytest.raises(ValueError, match="most must be at least 17.*got 16"):
        simulate_hints(torch.zeros(1, 3, 8, 8), 16)
    with pytest.raises(ValueError, match="2x8 pixels"):
        simulate_hints(torch.zeros(1, 3, 2, 8))


def test_hint_channels():
    hints = torch.tensor([[1.0, -1.0, 0.0, 0.5], [0.2, 0.4, 0.6, 1.0], [float("nan"), 1.0, 1.0, 0.0]])
    made = hint_channels(hints.T.view(1, 4, 1, 3))
    assert made.shape == (1, 3, 1, 3)
    torch.testing.assert_close(made[0, :, 0].T, torch.tensor([[0.5, -0.5, 0.0], [0.2, 0.4, 0.6], [0.0, 0.0, 0.0]]))
    with pytest.raises(ValueError, match="four channels"):
        hint_channels(torch.zeros(1, 3, 2, 2))
