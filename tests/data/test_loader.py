import torch
from torch.utils.data import Dataset

from sketchgan.data import KeyedSampler, ResumableLoader


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
    assert state == {"epoch": 2, "given": 3}
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
