import pytest
import torch
from torch import nn
from torchmetrics.image import FrechetInceptionDistance

from sketchgan.metrics import frechet_distance


def pictures(count, width, seed):
    draw = torch.Generator().manual_seed(seed)
    return torch.randn(count, width, generator=draw) * (1 + torch.arange(width)) ** -0.5 + 0.1 * seed


@pytest.mark.parametrize(("made", "real", "width"), [(10, 12, 32), (50, 12, 32), (12, 50, 32), (60, 50, 8), (2, 2, 4)])
def test_it_is_torchmetrics_number(made, real, width):
    given = nn.Identity()
    given.num_features = width
    metric = FrechetInceptionDistance(feature=given)
    sets = pictures(made, width, 1), pictures(real, width, 2)
    metric.update(sets[0], real=False)
    metric.update(sets[1], real=True)
    value = frechet_distance(*sets)
    assert value.dtype == torch.float64
    # The roots of eigenvalues that are 0 but for rounding add to torchmetrics' own.
    assert value.item() == pytest.approx(metric.compute().item(), rel=1e-4)


def test_equal_sets_are_at_no_distance():
    features = pictures(10, 2048, 1)
    assert abs(frechet_distance(features, features.flip(0)).item()) < 1e-9


def test_one_picture_has_no_covariance():
    with pytest.raises(ValueError, match="two pictures of each set at least, got 1 made and 5 real ones"):
        frechet_distance(torch.zeros(1, 4), torch.zeros(5, 4))
