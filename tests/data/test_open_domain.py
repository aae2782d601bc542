import pickle
import shutil

import numpy as np
import pytest
import torch
from golden_cases import assert_close, golden
from PIL import Image
from torchvision.models.detection import FasterRCNN_ResNet50_FPN_Weights

from sketchgan.cli import main
from sketchgan.data import SCRIBBLE_CLASSES, SKETCHYCOCO_CLASSES, OpenDomainFolders, PictureError, Preprocess
from sketchgan.data.pictures import with_channels
from sketchgan.data.transforms import Draw, to_uint8

CASE = golden("aoda_preprocess")
SMALL = {"load_size": 10, "crop_size": 8}
FRUIT = ("apple", "banana", "cherry")
SPLITS = ("train", "val", "test")


def picture(path, level=0):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.full((12, 12, 3), level, np.uint8)).save(path)


def tree(root, pattern="{split}{side}", drawn=FRUIT, classes=FRUIT, sketches=3, photos=4, splits=SPLITS):
    """Class k has grey levels from 10 k, photos 100 more; only training lacks sketches of what is not ``drawn``."""
    for split in splits:
        for k, name in enumerate(classes):
            for i in range(sketches if split != "train" or name in drawn else 0):
                picture(root / pattern.format(side="A", split=split) / name / f"{split}-s{i}.png", 10 * k + i)
            for i in range(photos):
                picture(root / pattern.format(side="B", split=split) / name / f"{split}-p{i}.jpg", 100 + 10 * k + i)
    return root


def samples(data, split="train", epoch=0):
    dataset = data.dataset(split)
    return [dataset[(epoch, i) if split == "train" else i] for i in range(len(dataset))]


def shown(data, split="train", epochs=1):
    """Class names of the sketches and of the photos, as labels and as folders say."""
    found = {"A": set(), "B": set()}
    for epoch in range(epochs):
        for sample in samples(data, split, epoch):
            for side in "AB":
                if side in sample:
                    folder = sample[f"{side}_path"].split("/")[0]
                    assert data.classes[sample[f"{side}_label"]] in (folder, SKETCHYCOCO_CLASSES.get(folder))
                    found[side].add(folder)
    return found


# Against the official code


def image():
    return Image.fromarray(CASE.tensors["in.image_u8"].permute(1, 2, 0).numpy())


def assert_matches(made, name):
    if Image.__version__ == CASE.case["pillow"]:
        assert_close(made, CASE.tensors[name], 1e-6, name)
    else:  # as measured for pix2pix: two levels elsewhere
        assert_close(made, CASE.tensors[name], 2 / 255 * 2, name)


@pytest.mark.parametrize(("name", "left", "top", "flip"), [("0_4_noflip", 0, 4, False), ("3_1_flip", 3, 1, True)])
def test_training_pictures_match_aoda(name, left, top, flip):
    made = Preprocess("resize_and_crop", 36, 32)(image(), Draw(left, top, flip))
    assert_matches(made, f"out.train_crop{name}")


def test_one_channel_matches_aoda():
    made = Preprocess("resize_and_crop", 36, 32)(with_channels(image(), 1), Draw(3, 1, True))
    assert_matches(made, "out.gray_crop3_1_flip")


@pytest.mark.parametrize(
    ("name", "preprocess"),
    [
        ("test_32", Preprocess("resize_and_crop", 36, 32).for_evaluation()),
        ("none", Preprocess("none", flip=False)),
        ("scale_width_40", Preprocess("scale_width", 40, 32, flip=False)),
    ],
)
def test_other_modes_match_aoda(name, preprocess):
    assert_matches(preprocess(image()), f"out.{name}")


def test_bytes_are_cut_off_as_in_aoda():
    made = to_uint8(CASE.tensors["in.tensor"], truncate=True)[0].expand(3, -1, -1)
    assert torch.equal(made.permute(1, 2, 0), CASE.tensors["out.tensor2im"])


def test_tables_of_classes_match_aoda():
    assert {name: number for number, name in enumerate(SCRIBBLE_CLASSES)} == CASE.case["scribble_index"]
    assert {name: number for number, name in enumerate(SKETCHYCOCO_CLASSES)} == CASE.case["sketchycoco_index"]
    names = FasterRCNN_ResNet50_FPN_Weights.COCO_V1.meta["categories"]
    assert {folder: names[int(folder)] for folder in SKETCHYCOCO_CLASSES} == SKETCHYCOCO_CLASSES


# Layouts


def two_roots(root, sketches, photos):
    return {"sketches": root / sketches, "photos": root / photos}


LAYOUTS = {
    "flat": ("{split}{side}", lambda root: {"root": root}),
    "trees": ("{side}/{split}", lambda root: {"root": root}),
    "two roots": ("{side}/{split}", lambda root: two_roots(root, "A", "B")),
    "two roots, official names": ("{side}s/{split}{side}", lambda root: two_roots(root, "As", "Bs")),
}


@pytest.mark.parametrize("layout", LAYOUTS)
def test_layouts(tmp_path, layout):
    pattern, roots = LAYOUTS[layout]
    tree(tmp_path, pattern, drawn=("apple", "cherry"), splits=SPLITS)
    data = OpenDomainFolders(**roots(tmp_path), **SMALL)
    assert data.classes == FRUIT
    assert data.open_domain == ("banana",)
    assert data.open_share == 1 / 3
    assert (data.labelled, data.paired) == (True, False)
    assert data.state_dict()["classes"] == list(FRUIT)
    assert data.state_dict()["open_domain"] == ["banana"]
    assert shown(data, epochs=4) == {"A": {"apple", "cherry"}, "B": set(FRUIT)}
    for split in ("val", "test"):
        assert shown(data, split) == {"A": set(FRUIT), "B": set(FRUIT)}
        found = samples(data, split)
        assert len(found) == 12
        assert sum("A" in sample for sample in found) == 9


def test_two_roots_without_splits(tmp_path):
    tree(tmp_path, "{side}", drawn=("apple",), splits=("train",), photos=20, sketches=20)
    data = OpenDomainFolders(sketches=tmp_path / "A", photos=tmp_path / "B", **SMALL)
    assert data.open_domain == ("banana", "cherry")
    assert [len(source) for _, source in data.dataset("train").sources] == [19, 57]
    assert [len(source) for _, source in data.dataset("val").sources] == [1, 3]


def test_an_empty_folder_of_sketches_makes_a_class_open(tmp_path):
    tree(tmp_path, drawn=("apple", "cherry"))
    (tmp_path / "trainA" / "banana").mkdir()
    (tmp_path / "trainA" / "banana" / "._x.png").touch()
    assert OpenDomainFolders(tmp_path, **SMALL).open_domain == ("banana",)


def test_sketchycoco_as_it_is_published(tmp_path):
    folders = tuple(SKETCHYCOCO_CLASSES)
    for kind, suffix in (("Sketch", "png"), ("GT", "png"), ("Edge", "png")):
        for split in ("train", "val"):
            for i, folder in enumerate(folders):
                picture(tmp_path / "Object" / kind / split / folder / f"{i}.{suffix}", i)
    data = OpenDomainFolders(
        sketches=tmp_path / "Object" / "Sketch",
        photos=tmp_path / "Object" / "GT",
        open_domain=["sheep", "giraffe"],
        class_order="sketchycoco",
        **SMALL,
    )
    assert data.classes == tuple(SKETCHYCOCO_CLASSES.values())
    assert data.open_domain == ("sheep", "giraffe")
    assert shown(data, epochs=6) == {"A": set(folders) - {"20", "25"}, "B": set(folders)}
    by_folder = {sample["A_path"].split("/")[0]: sample["A_label"] for sample in samples(data, "test")}
    assert by_folder == CASE.case["sketchycoco_index"]
    assert data.state_dict()["class_folders"] == list(folders)
    same = OpenDomainFolders(
        sketches=data.two_roots[0], photos=data.two_roots[1], open_domain=["25", "20"], class_order="sketchycoco"
    )
    assert same.open_domain == ("sheep", "giraffe")


# Which classes are open


def test_lists_withhold_sketches_that_are_there(tmp_path):
    tree(tmp_path)
    for lists in ({"open_domain": ["banana"]}, {"in_domain": ["cherry", "apple"]}):
        data = OpenDomainFolders(tmp_path, **lists, **SMALL)
        assert data.open_domain == ("banana",)
        assert len(data.dataset("train")) == 12
        assert shown(data, epochs=4) == {"A": {"apple", "cherry"}, "B": set(FRUIT)}
        assert shown(data, "test")["A"] == set(FRUIT)
    both = OpenDomainFolders(tmp_path, in_domain=["apple"], open_domain=["cherry", "banana"], **SMALL)
    assert both.open_domain == ("banana", "cherry")
    for lists in ({}, {"open_domain": []}, {"in_domain": list(FRUIT)}):
        data = OpenDomainFolders(tmp_path, **lists, **SMALL)
        assert (data.open_domain, data.open_share) == ((), 0)
        assert shown(data)["A"] == set(FRUIT)


def test_what_is_held_out_keeps_sketches_of_open_classes(tmp_path):
    tree(tmp_path, splits=("train",), sketches=20, photos=20)
    data = OpenDomainFolders(tmp_path, open_domain=["banana"], val_fraction=0.3, **SMALL)
    assert shown(data)["A"] == {"apple", "cherry"}
    assert shown(data, "val")["A"] == set(FRUIT)
    for side in (0, 1):
        train, val = (data.dataset(split).sources[side][1] for split in ("train", "val"))
        assert not {train.name(i) for i in range(len(train))} & {val.name(i) for i in range(len(val))}
        assert len(val) == 18


def test_sampling_is_aodas(tmp_path):
    """Sketches in turn, photos at random with replacement, whatever their classes."""
    data = OpenDomainFolders(tree(tmp_path, drawn=("apple",), sketches=5), **SMALL)
    found = samples(data)
    assert len(found) == 12  # as many as photos
    assert [sample["A_path"] for sample in found] == [f"apple/train-s{i % 5}.png" for i in range(12)]
    drawn = [sample["B_path"] for epoch in range(30) for sample in samples(data, epoch=epoch)]
    assert len(set(drawn[:12])) < 12
    assert len(set(drawn)) == 12
    counts = [drawn.count(path) for path in set(drawn)]
    assert max(counts) < 3 * min(counts)


# Orders


def orders(root, order, **settings):
    return OpenDomainFolders(root, class_order=order, **settings, **SMALL)


def test_order_of_classes(tmp_path):
    tree(tmp_path, drawn=FRUIT)
    assert orders(tmp_path, "sorted").classes == FRUIT
    data = orders(tmp_path, ["cherry", "apple", "banana"])
    assert data.classes == ("cherry", "apple", "banana")
    assert {sample["A_path"].split("/")[0]: sample["A_label"] for sample in samples(data, "test")[:9]} == {
        "cherry": 0, "apple": 1, "banana": 2,
    }  # fmt: skip


def test_a_list_leaves_out_the_other_classes(tmp_path):
    tree(tmp_path, drawn=("apple",))
    data = orders(tmp_path, ["cherry", "apple"])
    assert (data.classes, data.open_domain) == (("cherry", "apple"), ("cherry",))
    assert shown(data, epochs=4) == {"A": {"apple"}, "B": {"apple", "cherry"}}
    assert shown(data, "test") == {"A": {"apple", "cherry"}, "B": {"apple", "cherry"}}


def test_scribbles_order(tmp_path):
    drawn = ("pineapple", "cookie", "orange", "watermelon")
    data = orders(tree(tmp_path, classes=SCRIBBLE_CLASSES, drawn=drawn, photos=1, sketches=1), "scribble")
    assert data.classes == SCRIBBLE_CLASSES
    assert data.open_domain == ("strawberry", "basketball", "chicken", "cupcake", "moon", "soccer")
    assert data.open_share == 0.6
    assert {s["B_path"].split("/")[0]: s["B_label"] for s in samples(data, "test")} == CASE.case["scribble_index"]


def test_numbers_as_names_are_sorted_as_numbers(tmp_path):
    folders = tuple(map(str, range(12)))
    data = orders(tree(tmp_path, classes=folders, drawn=folders[:11], photos=1, sketches=1), "numeric")
    assert data.classes == folders
    assert data.open_domain == ("11",)
    assert all(sample["B_path"].split("/")[0] == str(sample["B_label"]) for sample in samples(data))


# What is wrong


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({}, "give either root, or sketches and photos; got none"),
        ({"root": "x", "photos": "y"}, "give either root, or sketches and photos; got root='x', photos='y'"),
        ({"sketches": "y"}, "give either root, or sketches and photos; got sketches='y'"),
        ({"root": "x", "class_order": "random"}, "class_order must be one of sorted, .* got 'random'"),
        ({"root": "x", "class_order": ["a", "b", "a"]}, "class_order names a more than once"),
        ({"root": "x", "open_domain": ["b", "b"]}, "open_domain names b more than once"),
        ({"root": "x", "val_fraction": 2}, "val_fraction must be between 0 and 1, got 2"),
    ],
)
def test_wrong_arguments_say_so(settings, message):
    with pytest.raises(ValueError, match=message):
        OpenDomainFolders(**settings)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (
            {"open_domain": ["kiwi"]},
            "open_domain names kiwi, which has neither sketches nor photos; there are apple, banana, cherry",
        ),
        ({"in_domain": ["kiwi"]}, "in_domain names kiwi, which has neither"),
        (
            {"class_order": ["kiwi", "apple", "cherry"]},
            r"class kiwi has neither sketches in .*trainA nor photos in .*trainB; add them, or leave the class out",
        ),
        ({"class_order": "scribble"}, "class pineapple has neither sketches in"),
        ({"class_order": "sketchycoco"}, r"class bicycle \(folder 2\) has neither sketches in"),
        ({"class_order": "numeric"}, r"takes folders called 0, 1, 2 .* none is called 0, 1, 2; .* have apple, banana"),
        ({"open_domain": ["apple"]}, r"banana should be in-domain, but .*trainA has no sketches of it; add sketches"),
        ({"in_domain": ["apple", "banana"]}, "banana should be in-domain"),
        ({"open_domain": []}, "banana should be in-domain"),
        ({"in_domain": ["apple"], "open_domain": ["banana"]}, "but cherry in neither; give one of the lists"),
        ({"in_domain": ["apple"], "open_domain": ["banana", "apple", "cherry"]}, "but apple in both"),
        ({"in_domain": []}, r"all classes are open \(apple, banana, cherry\); training needs sketches of one at least"),
    ],
)
def test_classes_that_do_not_fit_say_so(tmp_path, settings, message):
    data = OpenDomainFolders(tree(tmp_path, drawn=("apple", "cherry"), photos=1, sketches=1), **settings, **SMALL)
    with pytest.raises(ValueError, match=message):
        data.setup("fit")


def test_classes_without_pictures_say_so(tmp_path):
    tree(tmp_path)
    (tmp_path / "trainB" / "kiwi").mkdir()
    with pytest.raises(ValueError, match=r"class kiwi has neither sketches in .*trainA nor .* \(remove its folder"):
        OpenDomainFolders(tmp_path, **SMALL).setup("fit")
    picture(tmp_path / "trainA" / "kiwi" / "1.png")
    with pytest.raises(ValueError, match=r"class kiwi has sketches in .*trainA but no photos in .*trainB, .* add them"):
        OpenDomainFolders(tmp_path, **SMALL).setup("fit")
    assert OpenDomainFolders(tmp_path, class_order=list(FRUIT), **SMALL).open_domain == ()


def test_folders_that_do_not_fit_say_so(tmp_path):
    with pytest.raises(FileNotFoundError, match="no folder .*nowhere"):
        OpenDomainFolders(tmp_path / "nowhere").setup("fit")
    tree(tmp_path / "data", "{side}/{split}")
    for sketches, photos in (("nowhere", "B"), ("A", "nowhere")):
        with pytest.raises(FileNotFoundError, match=r"no folder .*nowhere \(the first lines"):
            OpenDomainFolders(sketches=tmp_path / "data" / sketches, photos=tmp_path / "data" / photos).setup("fit")
    shutil.rmtree(tmp_path / "data" / "B" / "test")
    with pytest.raises(FileNotFoundError, match="no folder .*test, though its counterpart is there"):
        OpenDomainFolders(sketches=tmp_path / "data" / "A", photos=tmp_path / "data" / "B").setup("fit")
    shutil.rmtree(tmp_path / "data" / "A" / "test")
    picture(tmp_path / "data" / "A" / "train" / "stray.png")
    with pytest.raises(ValueError, match=r"stray\.png is in no sub-folder"):
        OpenDomainFolders(tmp_path / "data").setup("fit")
    shutil.rmtree(tmp_path / "data" / "A")
    shutil.rmtree(tmp_path / "data" / "B" / "val")
    (tmp_path / "data" / "A" / "train").mkdir(parents=True)
    with pytest.raises(FileNotFoundError, match="no pictures in .*A/train"):
        OpenDomainFolders(tmp_path / "data").setup("fit")


def test_a_test_class_that_training_lacks_says_so(tmp_path):
    tree(tmp_path)
    picture(tmp_path / "testA" / "kiwi" / "1.png")
    with pytest.raises(ValueError, match="testA has the class 'kiwi', which training has not"):
        OpenDomainFolders(tmp_path, **SMALL).dataset("test")


def test_classes_that_lose_all_their_pictures_say_so(tmp_path):
    tree(tmp_path, splits=("train",), drawn=("apple", "banana"), photos=2, sketches=2)
    data = OpenDomainFolders(tmp_path, val_fraction=0.75, **SMALL)
    for _ in range(2):
        with pytest.raises(ValueError, match=r"no training sketches of \w+ remain in .*trainA: .*; lower val_fraction"):
            data.dataset("train")


def test_unreadable_pictures(tmp_path):
    tree(tmp_path, drawn=("apple",))
    (tmp_path / "trainB" / "cherry" / "train-p1.jpg").write_bytes(b"")
    with pytest.raises(PictureError, match=r"1 of 15 pictures cannot be used; .*\n.*train-p1\.jpg"):
        OpenDomainFolders(tmp_path, **SMALL).dataset("train")
    data = OpenDomainFolders(tmp_path, on_bad_image="skip", **SMALL)
    with pytest.warns(UserWarning, match=r"are left out:\n.*cherry/train-p1\.jpg"):
        assert len(data.dataset("train")) == 11
    for i in range(4):
        (tmp_path / "trainB" / "cherry" / f"train-p{i}.jpg").write_bytes(b"")
    data = OpenDomainFolders(tmp_path, on_bad_image="skip", **SMALL)
    with (
        pytest.warns(UserWarning, match="are left out"),
        pytest.raises(ValueError, match=r"no training photos of cherry remain in .*trainB: .* or unreadable"),
    ):
        data.dataset("train")


# Order and resumption


def test_samples_follow_from_seed_epoch_and_index(tmp_path):
    tree(tmp_path, drawn=("apple", "cherry"))
    first, same, other = (samples(OpenDomainFolders(tmp_path, seed=seed, **SMALL), epoch=3) for seed in (1, 1, 2))
    assert all(torch.equal(x[side], y[side]) for x, y in zip(first, same, strict=True) for side in "AB")
    assert [x["B_path"] for x in first] != [x["B_path"] for x in other]
    moved = pickle.loads(pickle.dumps(OpenDomainFolders(tmp_path, seed=1, **SMALL).dataset("train")))
    assert torch.equal(moved[(3, 5)]["B"], first[5]["B"])


@pytest.mark.parametrize("workers", [0, 2])
def test_resumes_with_the_same_batches(tmp_path, workers):
    tree(tmp_path)

    def loader():
        data = OpenDomainFolders(tmp_path, open_domain=["cherry"], batch_size=2, num_workers=workers, **SMALL)
        loader = data.train_dataloader()
        loader.sampler.set_epoch(2)
        return loader

    whole = loader()
    batches = iter(whole)
    for _ in range(2):
        next(batches)
    resumed = loader()
    resumed.load_state_dict(whole.state_dict())
    rest = list(zip(batches, resumed, strict=True))
    assert len(rest) == 4
    for x, y in rest:
        assert x["A_path"] == y["A_path"]
        assert torch.equal(x["A"], y["A"])
        assert torch.equal(x["B"], y["B"])
        assert torch.equal(x["B_label"], y["B_label"])


def test_the_command_line_takes_the_settings_of_folders(tmp_path, capsys):
    with pytest.raises(SystemExit):
        main(["fit", "--data.help", "sketchgan.data.OpenDomainFolders"])
    text = capsys.readouterr().out
    assert all(f"--data.{name} " in text for name in ("sketches", "open_domain", "class_order", "load_size", "seed"))
    assert not any(f"--data.{name} " in text for name in ("direction", "labels"))
