from itertools import pairwise

import numpy as np
import pytest
import scipy.linalg
import torch
from golden_cases import golden

from sketchgan.metrics import DistributionScores, block_kid, inception_score
from sketchgan.metrics.distribution import _in_turns

FEATURES = 16


def sets(made=60, real=50):
    rng = np.random.default_rng(0)
    mix = rng.normal(size=(FEATURES, FEATURES))
    return (
        torch.from_numpy(rng.normal(size=(made, FEATURES)) @ mix + 0.3).float(),
        torch.from_numpy(rng.normal(size=(real, FEATURES))).float(),
        torch.from_numpy(rng.normal(size=(made, 7))).float(),
    )


def filled(scores=("fid", "kid", "is"), kid_block_size=None, **sizes):
    made, real, logits = sets(**sizes)
    metric = DistributionScores((FEATURES, 7), scores, kid_block_size=kid_block_size)
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


def test_spread_of_kid_is_that_of_its_subsets(monkeypatch):
    monkeypatch.setattr("sketchgan.metrics.distribution.KID_SUBSET", 20)
    made, real, _ = sets()
    metric, values = filled(("kid",)), []
    with torch.random.fork_rng():
        torch.manual_seed(0)
        for _ in range(100):
            of_real, of_made = torch.randperm(len(real))[:20], torch.randperm(len(made))[:20]
            values.append(kid(made[of_made], real[of_real]))
    computed = metric.compute()
    assert metric.protocol() == {"kid": {"subset_size": 20, "subsets": 100}}
    assert computed["kid"].item() == pytest.approx(np.mean(values), rel=1e-4)
    assert computed["kid_std"].item() == pytest.approx(np.std(values), rel=1e-4)


def test_a_subset_that_is_the_whole_set_has_no_spread():
    metric = filled(("kid",), made=50, real=50)
    assert metric.protocol() == {"kid": {"subset_size": 50, "subsets": 1}}
    assert metric.compute().keys() == {"kid"}


UGATIT = golden("ugatit_kid").tensors


def ugatit(*scores, **kwargs):
    metric = DistributionScores((48, 48), scores, **kwargs)
    for part in UGATIT["in.fake"].split(7):
        metric.update(part, part, real=False)
    for part in UGATIT["in.real"].split(5):
        metric.update(part, part, real=True)
    return metric


def test_kid_over_blocks_is_that_of_ugatits_authors():
    made, real = UGATIT["in.fake"], UGATIT["in.real"]
    mean, error = block_kid(made, real)
    assert mean.item() == pytest.approx(UGATIT["out.kid_mean_block10"].item(), abs=2e-7, rel=0)
    assert error.item() == pytest.approx(UGATIT["out.kid_std_block10"].item(), abs=2e-7, rel=0)
    mean, error = block_kid(made, real, block_size=1000)
    assert mean.item() == pytest.approx(UGATIT["out.kid_mean_block1000"].item(), abs=2e-7, rel=0)
    assert error.isnan()
    assert mean.item() == pytest.approx(kid(made, real), rel=1e-9)


def test_scores_over_blocks_are_those_of_ugatits_authors():
    metric = ugatit("fid", "kid", kid_block_size=10)
    assert metric.protocol() == {"fid": {}, "kid": {"block_size": 10, "blocks": 4}}
    values = metric.compute()
    assert values["kid"].item() == pytest.approx(UGATIT["out.kid_mean_block10"].item(), abs=2e-7, rel=0)
    assert values["kid_std"].item() == pytest.approx(UGATIT["out.kid_std_block10"].item(), abs=2e-7, rel=0)
    assert values["fid"].item() == pytest.approx(UGATIT["out.fid"].item(), rel=1e-6)
    one = ugatit("kid", kid_block_size=1000)
    assert one.protocol() == {"kid": {"block_size": 1000, "blocks": 1}}
    assert one.compute().keys() == {"kid"}


def test_blocks_that_would_hold_one_picture_give_no_score():
    made, real, _ = sets(made=60, real=11)
    with pytest.raises(ValueError, match="6 blocks need two of each set at least, got 60 made and 11 real pictures"):
        block_kid(made, real)
    assert filled(("kid",), kid_block_size=10, made=60, real=11).compute() == {}
    assert filled(("kid",), kid_block_size=10, made=60, real=12).compute().keys() == {"kid", "kid_std"}
    with pytest.raises(ValueError, match="0 blocks need two"):
        block_kid(made[:0], real[:0])


@pytest.mark.parametrize("processes", [1, 2, 3])
@pytest.mark.parametrize("count", [0, 1, 7, 9])
def test_what_processes_took_in_turns_is_put_back_into_order(processes, count):
    whole = torch.arange(2.0 * count).reshape(count, 2)
    assert torch.equal(_in_turns([whole[process::processes] for process in range(processes)]), whole)
    assert torch.equal(_in_turns([whole, *[whole[:0]] * (processes - 1)]), whole)


def test_inception_score_matches_official():
    tensors = golden("sketchygan_ops").tensors
    mean, std = inception_score(tensors["in.is_probs"])
    assert mean.item() == pytest.approx(tensors["out.is_mean"].item(), rel=2e-6)
    assert std.item() == pytest.approx(tensors["out.is_std"].item(), rel=2e-6)
    metric = DistributionScores((2, 7), ("is",), is_shuffled=False)
    for part in tensors["in.is_probs"].split(32):
        metric.update(part[:, :2], part.log(), real=False)
    values = metric.compute()
    assert values["is"].item() == pytest.approx(tensors["out.is_mean"].item(), rel=2e-6)
    assert values["is_std"].item() == pytest.approx(tensors["out.is_std"].item(), rel=2e-6)
    assert metric.protocol() == {"is": {"splits": 10, "order": "of the files"}}


def test_inception_score_is_that_of_its_splits():
    p = sets(made=64)[2].double().softmax(1)
    cuts = [64 * i // 10 for i in range(11)]
    scores = [(q * (q.log() - q.mean(0).log())).sum(1).mean().exp().item() for q in (p[a:b] for a, b in pairwise(cuts))]
    mean, std = inception_score(p)
    assert (mean.item(), std.item()) == (pytest.approx(np.mean(scores)), pytest.approx(np.std(scores)))
    with pytest.raises(ValueError, match="3 pictures cannot be cut into 10 splits"):
        inception_score(p[:3])


def test_pictures_are_shuffled_alike_before_they_are_split():
    """Files sorted by class would otherwise score as if there were few classes."""
    logits = 20 * torch.eye(10).repeat_interleave(20, 0)
    values = {}
    for shuffled in (True, False):
        metric = DistributionScores((10, 10), ("is",), is_shuffled=shuffled)
        metric.update(logits, logits, real=False)
        values[shuffled] = metric.compute()["is"].item()
        assert metric.compute()["is"].item() == values[shuffled]
    assert values[False] == pytest.approx(1, abs=1e-3)
    assert values[True] > 6


def test_inception_scores_of_classes():
    _, _, logits = sets()
    labels = torch.tensor([0] * 25 + [2] * 19 + [-1] * 16)
    metric = DistributionScores((7, 7), ("is",), is_shuffled=False)
    for part, of in zip(logits.split(8), labels.split(8), strict=True):
        metric.update(part, part, real=False, labels=of)
    expected = inception_score(logits[:25].softmax(1))[0].item()
    assert metric.inception_scores_of_classes() == {0: (pytest.approx(expected, rel=1e-5), 25)}
    assert filled(("is",)).inception_scores_of_classes() == {}
    assert filled(("kid",)).inception_scores_of_classes() == {}
    assert DistributionScores((7, 7), ("is",)).inception_scores_of_classes() == {}


@pytest.mark.parametrize("made", [2, 3, 5, 19, 21])
def test_no_split_holds_a_single_picture(made):
    metric = DistributionScores((7, 7), ("is",))
    logits = sets(made=made)[2]
    metric.update(logits, logits, real=False)
    splits = metric.protocol()["is"]["splits"]
    sizes = [b - a for a, b in pairwise([made * i // splits for i in range(splits + 1)])]
    assert min(sizes) > 1
    assert splits == min(10, made // 2)
    assert ("is_std" in metric.compute()) == (splits > 1)


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
    with pytest.raises(ValueError, match="kid_block_size must be at least 2, got 1"):
        DistributionScores((FEATURES, 7), ("kid",), kid_block_size=1)
