import random
import zipfile
from collections import Counter

import pytest
import torch
from golden_cases import assert_close
from PIL import Image

from sketchgan.data import Augmentation, OpenMoji
from sketchgan.data.openmoji import GROUPS
from sketchgan.data.transforms import to_tensor, to_uint8


def test_batches_keep_the_contract():
    batch = next(iter(OpenMoji(batch_size=3).train_dataloader()))
    assert batch["A"].shape == batch["B"].shape == (3, 3, 64, 64)
    assert batch["A"].dtype == torch.float32
    assert batch["A"].min() >= -1
    assert batch["A"].max() == 1  # the white ground
    assert batch["A_label"].dtype == torch.int64
    assert batch["A_label"].tolist() == batch["B_label"].tolist()
    assert batch["A_path"] == batch["B_path"]
    assert all(path.endswith(".png") for path in batch["A_path"])


def test_splits_are_whole_disjoint_and_keep_skin_tones_together():
    data = OpenMoji()
    entries = {split: data.dataset(split).entries for split in ("train", "val", "test")}
    assert {split: len(e) for split, e in entries.items()} == {"train": 941, "val": 92, "test": 101}
    tones = ("1F3FB", "1F3FC", "1F3FD", "1F3FE", "1F3FF")
    people = {
        split: {"-".join(p for p in e["code"].split("-") if p not in tones) for e in found}
        for split, found in entries.items()
    }
    assert not people["train"] & people["val"]
    assert not people["train"] & people["test"]
    assert not people["val"] & people["test"]
    every = [e for found in entries.values() for e in found]
    assert len({e["code"] for e in every}) == 1134
    counts = Counter(e["group"] for e in every)
    assert counts.keys() == set(GROUPS)
    assert sum(counts.values()) - counts["people-body"] == 1032
    assert {e["skin_tone"] for e in every if e["group"] == "people-body"} == {0, 1, 2, 3, 4, 5}


def lines(image):
    return image.mean(0) < -0.5


def test_both_sides_of_a_pair_share_one_draw():
    """Where the line art is black, the coloured picture is dark too, shifted and mirrored or not."""
    dataset = OpenMoji(paired=True).dataset("train")
    for index in range(20):
        for epoch in range(3):
            sample = dataset[(epoch, index)]
            dark = sample["B"].mean(0)[lines(sample["A"])] < 0
            assert dark.float().mean() > 0.6, sample["A_path"]
    plain = OpenMoji(paired=True, augment=False).dataset("train")
    assert not torch.equal(plain[(0, 0)]["A"], dataset[(0, 0)]["A"])
    assert torch.equal(plain[(0, 0)]["A"], plain[(5, 0)]["A"])


def test_unpaired_partners_are_drawn_anew_each_epoch_and_augmented_apart():
    dataset = OpenMoji(paired=False).dataset("train")
    partners = {dataset[(epoch, 7)]["B_path"] for epoch in range(20)}
    assert len(partners) > 15
    assert len({dataset[(epoch, 7)]["A_path"] for epoch in range(20)}) == 1
    held_out = OpenMoji(paired=False).dataset("val")
    assert all(held_out[i]["A_path"] == held_out[i]["B_path"] for i in range(10))


@pytest.mark.parametrize("paired", [True, False])
def test_samples_follow_from_seed_epoch_and_index(paired):
    batches = {}
    for workers in (0, 2):
        loader = OpenMoji(paired=paired, num_workers=workers, seed=5, groups=["activities"]).train_dataloader()
        loader.sampler.set_epoch(3)
        batches[workers] = list(loader)
    assert len(batches[0]) == len(batches[2]) == 4
    for a, b in zip(batches[0], batches[2], strict=True):
        assert torch.equal(a["A"], b["A"])
        assert torch.equal(a["B"], b["B"])
        assert a["B_path"] == b["B_path"]
    other = OpenMoji(paired=paired, seed=6, groups=["activities"]).train_dataloader()
    other.sampler.set_epoch(3)
    assert next(iter(other))["A_path"] != batches[0][0]["A_path"]


def test_direction_swaps_the_domains():
    forward = OpenMoji(paired=True).dataset("train")[(1, 4)]
    backward = OpenMoji(paired=True, direction="BtoA").dataset("train")[(1, 4)]
    assert torch.equal(forward["A"], backward["B"])
    assert torch.equal(forward["B"], backward["A"])


def test_size_and_groups():
    data = OpenMoji(image_size=96, groups=["food-drink", "objects"])
    sample = data.dataset("val")[0]
    assert sample["A"].shape == (3, 96, 96)
    assert {GROUPS[data.dataset("val")[i]["A_label"]] for i in range(20)} == {"food-drink", "objects"}


OPEN = ["activities", "food-drink"]


def test_withheld_line_art_is_never_trained_on_though_its_pictures_are():
    data = OpenMoji(paired=False, open_domain=OPEN)
    assert data.open_domain == ("food-drink", "activities")
    assert data.open_share == 2 / 7
    assert data.state_dict()["open_domain"] == ["food-drink", "activities"]
    train, whole = data.dataset("train"), OpenMoji(paired=False).dataset("train")
    assert len(train) == len(whole) == 941  # as many as there are photos
    count = sum(entry["group"] not in OPEN for entry in whole.entries)
    samples = [train[(0, i)] for i in range(941)]
    labels = {side: {GROUPS[sample[f"{side}_label"]] for sample in samples} for side in "AB"}
    assert labels["A"] == set(GROUPS) - set(OPEN)
    assert labels["B"] == set(GROUPS)
    groups = {f"{entry['code']}.png": entry["group"] for entry in whole.entries}
    assert all(groups[sample["A_path"]] == GROUPS[sample["A_label"]] for sample in samples)
    visits = Counter(sample["A_path"] for sample in samples)
    assert len(visits) == count < 941
    assert set(visits.values()) == {941 // count, 941 // count + 1}
    assert samples[count]["A_path"] == samples[0]["A_path"]
    assert any(a["A_label"] != a["B_label"] for a in samples)


def test_evaluation_has_the_line_art_of_every_group():
    data, whole = OpenMoji(paired=False, open_domain=OPEN), OpenMoji(paired=False)
    for split in ("val", "test"):
        assert data.dataset(split).entries == data.dataset(split).drawn == whole.dataset(split).entries
        assert data.dataset(split)[-1]["A_path"] == whole.dataset(split)[-1]["A_path"]
        with pytest.raises(IndexError):
            data.dataset(split)[len(data.dataset(split))]


def test_some_of_the_groups_keep_their_numbers_when_others_are_open():
    data = OpenMoji(paired=False, groups=["objects", "activities", "food-drink"], open_domain=["objects"])
    assert data.open_share == 1 / 3
    assert data.classes == GROUPS
    train = data.dataset("train")
    samples = [train[(2, i)] for i in range(100)]
    assert {sample["A_label"] for sample in samples} == {1, 4}
    assert {sample["B_label"] for sample in samples} == {1, 3, 4}


def test_nothing_is_withheld_by_default():
    data = OpenMoji(paired=False)
    assert (data.open_domain, data.open_share) == ((), 0)
    assert data.state_dict()["open_domain"] == []
    # As before there was such a choice.
    assert [data.dataset("train")[(3, 7)][key] for key in ("A_path", "B_path")] == ["1F6F6.png", "1F55A.png"]


def test_open_data_resumes_in_the_middle_of_an_epoch():
    def loader(workers):
        loader = OpenMoji(
            paired=False, open_domain=OPEN, groups=["activities", "food-drink", "objects"], num_workers=workers
        ).train_dataloader()
        loader.sampler.set_epoch(1)
        return loader

    whole = loader(0)
    batches = iter(whole)
    for _ in range(3):
        next(batches)
    resumed = loader(2)
    resumed.load_state_dict(whole.state_dict())
    for a, b in zip(batches, resumed, strict=True):
        assert a["A_path"] == b["A_path"]
        assert torch.equal(a["A"], b["A"])
        assert torch.equal(a["B"], b["B"])


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"open_domain": ["objects"]}, "open_domain withholds line art, but paired=True .*; use paired=False"),
        ({"open_domain": ["objects"], "paired": False, "direction": "BtoA"}, 'which is A .*; use direction="AtoB"'),
        (
            {"open_domain": ["food"], "paired": False},
            "open_domain names food, of which .*; choose among animals-nature",
        ),
        (
            {"open_domain": ["objects"], "paired": False, "groups": ["activities"]},
            "open_domain names objects, of which there are no pictures; choose among activities",
        ),
        ({"open_domain": list(GROUPS), "paired": False}, r"line art of all groups \(.*people-body\); leave one"),
        ({"groups": ["food"]}, "unknown groups food; there are animals-nature, "),
        ({"direction": "AtoC"}, "direction must be .* got 'AtoC'"),
        ({"groups": ["activities"], "batch_size": 1000}, r"batch_size 1000 is more than the \d+ training samples"),
    ],
)
def test_bad_settings_say_so(settings, message):
    with pytest.raises(ValueError, match=message):
        OpenMoji(**settings).train_dataloader()


def test_bad_archives_say_so(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"no OpenMoji archive nowhere.zip; examples/build_openmoji.py builds"):
        OpenMoji(archive="nowhere.zip").dataset("val")
    (tmp_path / "text.zip").write_text("not a zip")
    with pytest.raises(ValueError, match=r"text.zip is not an archive of examples/build_openmoji.py"):
        OpenMoji(archive="text.zip").dataset("val")
    with zipfile.ZipFile("other.zip", "w") as archive:
        archive.writestr("a.txt", "a")
    with pytest.raises(ValueError, match=r"other.zip is not an archive"):
        OpenMoji(archive="other.zip").dataset("val")


def test_augmentation_draws_position_then_mirror_in_every_case():
    rng = random.Random(4)
    expected = (rng.randint(0, 6), rng.randint(0, 6), rng.random() > 0.5)
    assert Augmentation(8, shift=3, flip=False).make_params(random.Random(4)) == expected


def test_augmentation_moves_and_mirrors():
    picture = Image.new("RGB", (8, 8), "white")
    picture.putpixel((2, 5), (0, 0, 0))
    augment = Augmentation(8, shift=2, flip=True)
    draw = augment.make_params(random.Random(0))._replace(left=0, top=4, flip=True)
    out = augment(picture, draw)[0]
    assert (out == -1).nonzero().tolist() == [[3, 3]]  # down 5 - (4 - 2), across 2 + 2, then mirrored
    assert torch.equal(augment(picture), to_tensor(picture))


def test_bytes_round():
    x = torch.tensor([-1.2, -1.0, -0.9961, 0.0, 1.0, 1.2]).view(1, 1, 1, -1)
    assert to_uint8(x).flatten().tolist() == [0, 0, 0, 128, 255, 255]
    every = torch.arange(256).view(1, 16, 16).to(torch.uint8)
    picture = Image.fromarray(every[0].numpy())
    assert torch.equal(to_uint8(to_tensor(picture)), every)
    assert_close(to_tensor(picture).flatten()[128], torch.tensor(128 / 255 * 2 - 1), 1e-6)
