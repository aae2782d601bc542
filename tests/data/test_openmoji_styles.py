import hashlib

import pytest
import torch
from PIL import Image
from torchvision.transforms.v2 import functional as TF

from sketchgan.data import OpenMoji
from sketchgan.data.openmoji import GROUPS, PEOPLE, person_of
from sketchgan.data.recolouring import MOST_COLOURS, Turn, exchanged, flat_colours, turned

MODES = ["hue", "palette"]


def samples(count=40, epoch=3, split="train", **settings):
    dataset = OpenMoji(**settings).dataset(split)
    return [dataset[(epoch, i)] for i in range(count)]


def blocks(*colours, side=8):
    """Squares of flat colours side by side."""
    whole = Image.new("RGB", (side * len(colours), side))
    for i, colour in enumerate(colours):
        whole.paste(colour, (i * side, 0, (i + 1) * side, side))
    return whole


def test_without_these_settings_samples_are_as_before():
    """Bytes of what the data gave before it had them; batches have no styles."""
    digest = hashlib.sha256()
    for settings in ({}, {"paired": False}, {"direction": "BtoA"}):
        for sample in samples(count=10, **settings):
            assert sorted(sample) == ["A", "A_label", "A_path", "B", "B_label", "B_path"]
            digest.update(((sample["A"] + 1) * 127.5).round().byte().numpy().tobytes())
            digest.update(((sample["B"] + 1) * 127.5).round().byte().numpy().tobytes())
    assert digest.hexdigest() == "4bd7ed43fa45be7e8b1da96282c592f63a77dad91f093f1c3876a4eb6f894c92"


@pytest.mark.parametrize("mode", MODES)
def test_colours_are_drawn_anew_and_line_art_and_augmentation_stay(mode):
    plain = samples()
    first, again, other = (samples(epoch=epoch, recolour=1.0, recolour_mode=mode) for epoch in (3, 3, 4))
    changed = 0
    for a, b, c in zip(plain, first, again, strict=True):
        assert torch.equal(a["A"], b["A"])
        assert torch.equal(b["B"], c["B"])
        assert b["B"].dtype == torch.float32
        paper = (a["B"] == 1).all(0)
        assert (b["B"][:, paper] == 1).all()
        assert (b["B"][:, (a["B"] == -1).all(0)] == -1).all()
        changed += (a["B"] - b["B"]).abs().mean() > 0.02
    assert changed > 25
    assert not torch.equal(first[0]["B"], other[0]["B"])


def test_a_share_of_the_pairs_is_recoloured_and_nothing_in_evaluation():
    plain = samples(count=200)
    some = samples(count=200, recolour=0.3)
    changed = sum(not torch.equal(a["B"], b["B"]) for a, b in zip(plain, some, strict=True))
    assert 25 < changed < 85
    for split in ("val", "test"):
        held_out = OpenMoji(recolour=1.0).dataset(split)
        for i in range(5):
            assert torch.equal(held_out[i]["B"], OpenMoji().dataset(split)[i]["B"])


@pytest.mark.parametrize("mode", MODES)
def test_recoloured_data_does_not_depend_on_workers_and_resumes(mode):
    def loader(workers):
        loader = OpenMoji(
            recolour=0.5, recolour_mode=mode, styles="tone", groups=["people-body", "activities"], num_workers=workers
        ).train_dataloader()
        loader.sampler.set_epoch(1)
        return loader

    whole = loader(0)
    batches = iter(whole)
    for _ in range(3):
        next(batches)
    resumed = loader(2)
    resumed.load_state_dict(whole.state_dict())
    count = 0
    for a, b in zip(batches, resumed, strict=True):
        count += 1
        for side in ("A", "B", "style"):
            assert torch.equal(a[side], b[side])
    assert count > 3


def test_hues_turn_alike_and_greys_black_and_white_stay():
    picture = blocks("white", "black", (128, 128, 128), (200, 40, 40), (40, 40, 200))
    made = turned(picture, Turn(1 / 3, 1.0, 1.0))
    assert [made.getpixel((x, 4)) for x in (4, 12, 20, 28, 36)] == [
        (255, 255, 255),
        (0, 0, 0),
        (128, 128, 128),
        (40, 200, 40),
        (200, 40, 40),
    ]
    dark = turned(picture, Turn(0.0, 1.0, 2.0))
    assert [dark.getpixel((x, 4))[0] for x in (4, 12, 20)] == [255, 0, round(128**2 / 255)]
    grey = turned(picture, Turn(0.0, 0.0, 1.0)).getpixel((28, 4))
    assert max(grey) - min(grey) <= 1


def test_every_flat_colour_is_exchanged_and_edges_lie_between_the_new_ones():
    picture = blocks("white", (200, 40, 40), (150, 150, 150), "black")
    picture.putpixel((8, 4), (228, 148, 148))  # half way between white and red: an edge
    picture.putpixel((24, 4), (75, 75, 75))  # between grey and black
    palette = torch.tensor([[10.0, 200, 30], [40, 50, 240], *[[1.0, 2, 3]] * (MOST_COLOURS - 2)])
    made = exchanged(picture, palette)
    order = [made.getpixel((x, 1)) for x in (12, 20)]
    assert sorted(order) == [(10, 200, 30), (40, 50, 240)]
    red, grey = order
    assert [made.getpixel((x, 1)) for x in (2, 30)] == [(255, 255, 255), (0, 0, 0)]
    assert made.getpixel((8, 4)) == pytest.approx(tuple((255 + c) / 2 for c in red), abs=1.5)
    assert made.getpixel((24, 4)) == pytest.approx(tuple(c / 2 for c in grey), abs=1.5)


def test_colours_of_a_picture_are_those_that_cover_it():
    picture = blocks("white", (200, 40, 40), (201, 41, 40), (40, 40, 200), (40, 40, 200), "black")
    for x in range(8, 16):
        picture.putpixel((x, 3), (9, 200, 9))  # a line
    found = flat_colours(TF.pil_to_tensor(picture)).tolist()
    assert found[0] == [40, 40, 200]
    assert found[1] in ([200, 40, 40], [201, 41, 40])
    assert len(found) == 2
    assert len(flat_colours(TF.pil_to_tensor(blocks("white", "black")))) == 0
    assert exchanged(blocks("white", "black"), torch.zeros(6, 3)).tobytes() == blocks("white", "black").tobytes()


@pytest.mark.parametrize("split", ["train", "val", "test"])
def test_people_have_the_style_of_another_person_of_their_tone(split):
    data = OpenMoji(styles="tone", recolour=1.0, groups=["people-body", "objects"])
    dataset = data.dataset(split)
    everyone = {e["code"]: e for s in ("train", "val", "test") for e in data.dataset(s).entries}
    paintings = {
        OpenMoji(augment=False, groups=["people-body"]).dataset(s)[i]["B"].numpy().tobytes(): entry["code"]
        for s in ("train", "val", "test")
        for i, entry in enumerate(OpenMoji(groups=["people-body"]).dataset(s).entries)
    }
    people = 0
    for i, entry in enumerate(dataset.entries):
        sample = dataset[(0, i)]
        if GROUPS[sample["B_label"]] != PEOPLE:
            assert torch.equal(sample["style"], sample["B"])
            continue
        people += 1
        other = everyone[paintings[sample["style"].numpy().tobytes()]]
        assert other["skin_tone"] == entry["skin_tone"]
        assert person_of(other["code"]) != person_of(entry["code"])
        assert other["split"] == ("test" if split == "test" else "train")
        plain = OpenMoji(groups=["people-body", "objects"]).dataset(split)[(0, i)]
        assert torch.equal(plain["B"], sample["B"])  # its own colours, recolour or not
        if split != "train":
            assert torch.equal(dataset[i]["style"], sample["style"])
    assert people == {"train": 84, "val": 6, "test": 12}[split]


def test_other_people_are_drawn_anew_in_each_epoch():
    dataset = OpenMoji(styles="tone", groups=["people-body"]).dataset("train")
    assert len({dataset[(epoch, 0)]["style"].numpy().tobytes() for epoch in range(40)}) > 8
    batch = next(iter(OpenMoji(styles="tone", batch_size=4).train_dataloader()))
    assert batch["style"].shape == (4, 3, 64, 64)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"recolour": 1.5}, "recolour is a probability, 0 to 1, got 1.5"),
        ({"recolour": 0.5, "paired": False}, "recolour is for pairs, .*; use paired=True"),
        ({"recolour_mode": "grey"}, "recolour_mode must be one of hue, palette, got 'grey'"),
        ({"styles": "other"}, 'styles must be "own" or "tone", got \'other\''),
        ({"styles": "tone", "paired": False}, 'styles="tone" gives .*; use paired=True, direction="AtoB"'),
        ({"styles": "tone", "direction": "BtoA"}, 'styles="tone" gives .*; use paired=True, direction="AtoB"'),
    ],
)
def test_settings_that_do_not_fit_say_so(settings, message):
    with pytest.raises(ValueError, match=message):
        OpenMoji(**settings)
