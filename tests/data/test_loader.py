import pytest
import torch
from torch.utils.data import Dataset

from sketchgan.data import KeyedSampler, MixtureSampler, ResumableLoader, SketchCurriculum


class Numbers(Dataset):
    def __len__(self):
        return 11

    def __getitem__(self, key):
        return torch.tensor(key)


def loader(**kwargs):
    dataset = Numbers()
    return ResumableLoader(dataset, batch_size=2, sampler=KeyedSampler(dataset, seed=1, **kwargs), drop_last=True)


def epoch(given, number):
    given.sampler.set_epoch(number)
    return [batch.tolist() for batch in given]


class Keys(Numbers):
    def __getitem__(self, key):
        return key


def keys(given, number):
    given.sampler.set_epoch(number)
    return list(given)


def test_order_follows_from_seed_and_epoch():
    first = epoch(loader(), 0)
    assert first == epoch(loader(), 0)
    assert first != epoch(loader(), 1)
    assert len(first) == 5
    assert len({index for batch in first for _, index in batch}) == 10


def test_position_is_restored_within_its_epoch_only():
    unbroken = loader()
    whole = epoch(unbroken, 2)
    stopped = loader()
    stopped.sampler.set_epoch(2)
    iterator = iter(stopped)
    for _ in range(3):
        next(iterator)
    state = stopped.state_dict()
    assert state == {"epoch": 2, "given": 3, "before": 0}
    resumed = loader()
    resumed.load_state_dict(state)
    assert epoch(resumed, 2) == whole[3:]
    assert len(epoch(resumed, 3)) == 5  # the next epoch is whole
    late = loader()
    late.load_state_dict(unbroken.state_dict())
    assert len(epoch(late, 3)) == 5


def test_starting_an_epoch_leaves_the_global_random_numbers_alone():
    state = torch.get_rng_state()
    epoch(loader(), 0)
    assert torch.equal(state, torch.get_rng_state())


def test_processes_share_an_epoch_without_overlap():
    seen = [{index for batch in epoch(loader(num_replicas=2, rank=rank), 0) for _, index in batch} for rank in (0, 1)]
    assert len(seen[0]) == len(seen[1]) == 4
    assert not seen[0] & seen[1]


def mixed(**kwargs):
    dataset = Keys()
    curriculum = SketchCurriculum(start=0, gain=1, n_iterations=100)
    sampler = MixtureSampler(dataset, seed=1, batch_size=4, d_iterations=1, curriculum=curriculum)
    return ResumableLoader(dataset, batch_size=4, sampler=sampler, drop_last=True, collate_fn=list, **kwargs)


@pytest.mark.parametrize("stop", [(0, 0), (0, 1), (0, 2), (2, 1), (2, 2)])
def test_a_mixture_resumes_with_its_keys(stop):
    """Also at the end of an epoch, and for states from before there were mixtures."""
    unbroken, stopped = mixed(), mixed()
    whole = [batch for number in range(4) for batch in keys(unbroken, number)]
    last, given = stop
    for number in range(last):
        keys(stopped, number)
    stopped.sampler.set_epoch(last)
    iterator = iter(stopped)
    for _ in range(given):
        next(iterator)
    state = stopped.state_dict() if given else {"epoch": 0, "given": 0}
    resumed = mixed()
    resumed.load_state_dict(state)
    rest = [batch for number in range(last + (given == 2), 4) for batch in keys(resumed, number)]
    assert rest == whole[-len(rest) :]
    assert len(rest) == len(whole) - 2 * last - given


def test_share_follows_the_batches_of_all_epochs():
    unbroken = mixed()
    shares = [[key[2] for key in batch] for number in range(3) for batch in keys(unbroken, number)]
    torch.testing.assert_close(shares, [[batch / 100] * 4 for batch in range(6)])


def test_first_parts_of_a_batch_are_for_the_discriminator():
    assert [key[3] for key in keys(mixed(), 0)[1]] == [True, True, False, False]
    with pytest.raises(ValueError, match="batch_size 4 is no multiple of 3"):
        MixtureSampler(Keys(), batch_size=4, d_iterations=2)
