import numpy as np
import pytest
import scipy.linalg
import torch

from sketchgan.metrics import DistributionScores
from sketchgan.metrics.distribution import _splits

FEATURES = 16


def sets(made=60, real=50):
    rng = np.random.default_rng(0)
    mix = rng.normal(size=(FEATURES, FEATURES))
    return (
        torch.from_numpy(rng.normal(size=(made, FEATURES)) @ mix + 0.3).float(),
        torch.from_numpy(rng.normal(size=(real, FEATURES))).float(),
        torch.from_numpy(rng.normal(size=(made, 7))).float(),
    )


def filled(scores=("fid", "kid", "is"), **sizes):
    made, real, logits = sets(**sizes)
    metric = DistributionScores((FEATURES, 7), scores)
    for part, of_logits in zip(made.split(8), logits.split(8), strict=True):
        metric.update(part, of_logits, real=False)
    for part in real.split(8):
        metric.update(part, logits[:8], real=True)
    return metric


def fid(made, real):
    """Heusel et al. 2017, equation 6, in float64."""
    a, b = made.double().numpy(), real.double().numpy()
    root = scipy.linalg.sqrtm(np.cov(a, rowvar=False) @ np.cov(b, rowvar=False)).real
    distance = ((a.mean(0) - b.mean(0)) ** 2).sum()
    return distance + np.trace(np.cov(a, rowvar=False) + np.cov(b, rowvar=False) - 2 * root)


def kid(made, real):
    """Unbiased squared MMD with the kernel (x·y / d + 1)^3, in float64."""
    a, b = made.double().numpy(), real.double().numpy()
    kernel = lambda x, y: (x @ y.T / x.shape[1] + 1) ** 3  # noqa: E731
    within = [(kernel(x, x).sum() - np.trace(kernel(x, x))) / (len(x) * (len(x) - 1)) for x in (a, b)]
    return sum(within) - 2 * kernel(a, b).mean()


def test_fid_agrees_with_a_direct_evaluation():
    made, real, _ = sets()
    assert filled().compute()["fid"].item() == pytest.approx(fid(made, real), rel=1e-5)


def test_kid_agrees_with_a_direct_evaluation():
    made, real, _ = sets(made=50, real=50)
    assert filled(made=50, real=50).compute()["kid"].item() == pytest.approx(kid(made, real), rel=1e-4)


def test_kid_of_sets_of_different_sizes_takes_subsets_of_the_smaller():
    made, real, _ = sets(made=60, real=50)
    value = filled(made=60, real=50).compute()["kid"].item()
    assert value == pytest.approx(kid(made, real), rel=0.2)


def test_inception_score_is_that_of_its_splits():
    _, _, logits = sets()
    value = filled().compute()["is"].item()
    with torch.random.fork_rng():
        torch.manual_seed(0)
        p = logits[torch.randperm(len(logits))].double().softmax(1)
    scores = [(q * (q.log() - q.mean(0).log())).sum(1).mean().exp() for q in p.chunk(10)]
    assert value == pytest.approx(torch.stack(scores).mean().item(), rel=1e-5)


@pytest.mark.parametrize("made", [2, 3, 5, 7, 19, 21, 25, 41, 91, 1000])
def test_no_split_holds_a_single_picture(made):
    parts = torch.zeros(made).chunk(_splits(made))
    assert min(map(len, parts)) > 1
    assert len(parts) <= 10
    assert made < 20 or len(parts) >= 5


def test_values_repeat_and_leave_the_global_generator_alone():
    before = torch.get_rng_state()
    metric = filled()
    first = metric.compute()
    assert torch.equal(torch.get_rng_state(), before)
    torch.manual_seed(7)
    assert first == metric.compute() == filled().compute()


def test_real_pictures_outlast_a_reset():
    metric = filled()
    first = metric.compute()
    metric.reset()
    assert metric.counts() == (0, 50)
    assert metric.compute() == {}
    made, _, logits = sets()
    metric.update(made, logits, real=False)
    assert metric.compute()["fid"].item() == pytest.approx(first["fid"].item(), rel=1e-6)
    assert metric.counts() == (60, 50)


def test_too_few_pictures_give_no_score():
    metric = DistributionScores((FEATURES, 7), ("fid", "kid", "is"))
    made, real, logits = sets(made=2, real=1)
    metric.update(made, logits, real=False)
    metric.update(real, logits[:1], real=True)
    assert metric.compute().keys() == {"is"}


def test_unknown_scores_are_named():
    with pytest.raises(ValueError, match="unknown scores frechet; there are fid, kid and is"):
        DistributionScores((FEATURES, 7), ("frechet",))
