import os
import pickle
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from sketchgan.data import PairedFolders, PictureError, PictureFiles, Preprocess, UnpairedFolders, combine_pairs
from sketchgan.data.index import NameIndex, scan

SMALL = {"load_size": 18, "crop_size": 16}


def picture(path, level=0, size=(20, 20)):
    """A picture of one grey level with a mark in the upper left corner."""
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.full((size[1], size[0], 3), level, np.uint8)
    pixels[: size[1] // 2, : size[0] // 2] = 255
    Image.fromarray(pixels).save(path)


def level(image):
    """The grey level of a sample's picture."""
    return round((image[0, -1, -1].item() + 1) * 127.5)


def two_trees(root, splits=("train", "val", "test"), count=4, pattern="{side}/{split}"):
    """A in levels from 0, B in levels from 100; the same number for a pair."""
    for s, split in enumerate(splits):
        for side, base in (("A", 0), ("B", 100)):
            for i in range(count):
                folder = root / pattern.format(side=side, split=split)
                picture(folder / f"{split}{i}.{'png' if side == 'A' else 'bmp'}", base + 10 * s + i)


def side_by_side(root, splits=("train", "val", "test"), count=4):
    for s, split in enumerate(splits):
        for i in range(count):
            whole = Image.new("RGB", (41, 20), (10 * s + i,) * 3)
            whole.paste(Image.new("RGB", (21, 20), (100 + 10 * s + i,) * 3), (20, 0))
            path = root / split / f"{split}{i}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            whole.save(path)


LAYOUTS = {
    "trees": two_trees,
    "flat": lambda root: two_trees(root, pattern="{split}{side}"),
    "side by side": side_by_side,
}


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("direction", ["AtoB", "BtoA"])
def test_pairs_in_three_layouts(tmp_path, layout, direction):
    LAYOUTS[layout](tmp_path)
    data = PairedFolders(tmp_path, direction=direction, batch_size=2, **SMALL)
    for s, split in enumerate(("train", "val", "test")):
        dataset = data.dataset(split)
        assert len(dataset) == 4
        samples = [dataset[(0, i) if split == "train" else i] for i in range(4)]
        a, b = ("A", "B") if direction == "AtoB" else ("B", "A")
        assert [level(sample[a]) for sample in samples] == [10 * s + i for i in range(4)]
        assert [level(sample[b]) for sample in samples] == [100 + 10 * s + i for i in range(4)]
        assert all(
            Path(sample["A_path"]).stem == Path(sample["B_path"]).stem == f"{split}{i}"
            for i, sample in enumerate(samples)
        )
    batch = next(iter(data.train_dataloader()))
    assert batch["A"].shape == batch["B"].shape == (2, 3, 16, 16)
    assert batch["A_path"][0].startswith("train")


@pytest.mark.parametrize("layout", ["trees", "flat"])
def test_domains_in_two_layouts(tmp_path, layout):
    LAYOUTS[layout](tmp_path)
    for i in range(4, 7):
        folder = tmp_path / ("A/train" if layout == "trees" else "trainA")
        picture(folder / f"train{i}.png", i)
    data = UnpairedFolders(tmp_path, **SMALL)
    train = data.dataset("train")
    assert len(train) == 7  # the larger domain
    assert [level(train[(0, i)]["A"]) for i in range(7)] == list(range(7))
    partners = {level(train[(epoch, 0)]["B"]) for epoch in range(30)}
    assert partners == {100, 101, 102, 103}
    assert train[(3, 2)]["B_path"] == train[(3, 2)]["B_path"]


def test_evaluation_shows_every_picture_once(tmp_path):
    two_trees(tmp_path, count=5)
    for i in range(3):
        (tmp_path / "B" / "test" / f"test{i}.bmp").unlink()
    data = UnpairedFolders(tmp_path, eval_batch_size=2, **SMALL)
    batches = list(data.test_dataloader())
    assert [path for batch in batches for path in batch["A_path"]] == [f"test{i}.png" for i in range(5)]
    assert [path for batch in batches for path in batch.get("B_path", [])] == ["test3.bmp", "test4.bmp"]
    assert "B" not in batches[1]
    assert batches[0]["A"].shape == batches[0]["B"].shape == (2, 3, 16, 16)


def test_one_draw_serves_both_sides_of_a_pair_and_two_serve_two_domains(tmp_path):
    two_trees(tmp_path, count=6)
    marks = {}
    for data in (PairedFolders(tmp_path, **SMALL), UnpairedFolders(tmp_path, **SMALL)):
        train = data.dataset("train")
        samples = [train[(epoch, i)] for epoch in range(4) for i in range(6)]
        marks[data.paired] = [torch.equal(sample["A"] == 1, sample["B"] == 1) for sample in samples]
    assert all(marks[True])
    assert not all(marks[False])


def test_samples_follow_from_seed_epoch_and_index(tmp_path):
    two_trees(tmp_path)
    make = [UnpairedFolders(tmp_path, seed=seed, **SMALL).dataset("train") for seed in (1, 1, 2)]
    assert all(torch.equal(make[0][(5, i)][side], make[1][(5, i)][side]) for i in range(4) for side in "AB")
    assert not all(torch.equal(make[0][(5, i)][side], make[2][(5, i)][side]) for i in range(4) for side in "AB")


def test_a_fraction_of_train_becomes_val_and_val_serves_as_test(tmp_path):
    two_trees(tmp_path, splits=("train",), count=20)
    data = PairedFolders(tmp_path, val_fraction=0.1, **SMALL)
    held_out = {data.dataset("val")[i]["A_path"] for i in range(len(data.dataset("val")))}
    trained = {data.dataset("train")[(0, i)]["A_path"] for i in range(len(data.dataset("train")))}
    assert len(held_out) == 2
    assert len(trained) == 18
    assert not held_out & trained
    assert {data.dataset("test")[i]["A_path"] for i in range(2)} == held_out
    again = PairedFolders(tmp_path, val_fraction=0.1, **SMALL).dataset("val")
    assert {again[i]["A_path"] for i in range(2)} == held_out
    few = PairedFolders(tmp_path, val_fraction=0.001, **SMALL)
    assert len(few.dataset("val")) == 1
    most = PairedFolders(tmp_path, val_fraction=0.99, **SMALL)
    assert len(most.dataset("train")) == 1
    unpaired = UnpairedFolders(tmp_path, val_fraction=0.1, **SMALL)
    assert [len(source) for _, source in unpaired.dataset("val").sources] == [2, 2]
    assert [len(source) for _, source in unpaired.dataset("train").sources] == [18, 18]


def test_two_collections_with_test_and_without_val(tmp_path):
    """As selfie2anime and others of U-GAT-IT come, with every suffix that its official code takes."""
    suffixes = ("jpg", "JPEG", "png", "ppm", "bmp", "PGM", "tif")
    for split, count in (("train", 20), ("test", 7)):
        for side in "AB":
            for i in range(count):
                picture(tmp_path / f"{split}{side}" / f"{i:02}.{suffixes[i % 7]}", i)
    data = UnpairedFolders(tmp_path, val_fraction=0.1, eval_batch_size=7, **SMALL)
    names = {
        split: [{source.name(i) for i in range(len(source))} for _, source in data.dataset(split).sources]
        for split in ("train", "val", "test")
    }
    assert {split: [*map(len, both)] for split, both in names.items()} == {
        "train": [18] * 2,
        "val": [2] * 2,
        "test": [7] * 2,
    }
    assert [len(train | val) for train, val in zip(names["train"], names["val"], strict=True)] == [20, 20]
    (batch,) = data.test_dataloader()
    assert batch["A_path"] == [f"{i:02}.{suffix}" for i, suffix in enumerate(suffixes)]


@pytest.mark.parametrize("resample", ["bicubic", "bilinear"])
def test_filter_of_the_resizing(tmp_path, resample):
    for side in "AB":
        for i in range(2):
            path = tmp_path / f"train{side}" / f"{i}.png"
            path.parent.mkdir(exist_ok=True)
            Image.effect_noise((40, 30), 60).convert("RGB").save(path)
    data = UnpairedFolders(tmp_path, resample=resample, **SMALL)
    sample = data.dataset("test")[0]
    picture = Image.open(tmp_path / "trainA" / sample["A_path"])
    resized = picture.resize((16, 16), Image.Resampling[resample.upper()])
    assert torch.equal(sample["A"], Preprocess("native")(resized))
    assert data.dataset("train").preprocess.resample == resample
    assert data.state_dict()["preprocess"]["resample"] == resample


def test_domains_without_splits(tmp_path):
    for i in range(6):
        picture(tmp_path / "A" / f"{i}.png", i)
        picture(tmp_path / "B" / "deeper" / f"{i}.jpg", 100 + i)
    data = UnpairedFolders(tmp_path, **SMALL)
    assert len(data.dataset("train")) == 5
    assert data.dataset("train")[(0, 0)]["B_path"].startswith("deeper/")


def test_sub_folders_are_labels_only_when_wanted(tmp_path):
    for side in "AB":
        for split in ("train", "val"):
            for i, name in enumerate(("cats", "dogs")):
                picture(tmp_path / f"{split}{side}" / name / f"{i}.png", i)
    picture(tmp_path / "trainB" / "zebras" / "9.png", 9)
    plain = UnpairedFolders(tmp_path, **SMALL)
    assert not plain.labelled
    assert "A_label" not in plain.dataset("train")[(0, 0)]
    data = UnpairedFolders(tmp_path, labels=True, **SMALL)
    assert data.labelled
    assert data.classes == ("cats", "dogs", "zebras")
    batch = next(iter(UnpairedFolders(tmp_path, labels=True, eval_batch_size=2, **SMALL).val_dataloader()))
    assert batch["A_label"].tolist() == [0, 1]
    assert batch["A_label"].dtype == torch.int64
    picture(tmp_path / "valA" / "unicorns" / "1.png")
    with pytest.raises(
        ValueError, match=r"valA has the class 'unicorns', which training has not \(cats, dogs, zebras\)"
    ):
        UnpairedFolders(tmp_path, labels=True, **SMALL).dataset("val")
    picture(tmp_path / "trainA" / "stray.png")
    with pytest.raises(ValueError, match=r"stray\.png is in no sub-folder; with class labels every picture lies in"):
        UnpairedFolders(tmp_path, labels=True, **SMALL).dataset("train")


def test_channels_per_side(tmp_path):
    for i in range(3):
        (tmp_path / "trainA").mkdir(exist_ok=True)
        np.save(tmp_path / "trainA" / f"{i}.npy", np.random.default_rng(i).random((20, 20, 5)))
        picture(tmp_path / "trainB" / f"{i}.png", i)
    data = PairedFolders(tmp_path, channels_a=5, channels_b=1, **SMALL)
    batch = next(iter(data.train_dataloader()))
    assert batch["A"].shape == (1, 5, 16, 16)
    assert batch["B"].shape == (1, 1, 16, 16)
    assert data.state_dict()["channels_a"] == 5
    swapped = PairedFolders(tmp_path, channels_a=1, channels_b=5, direction="BtoA", **SMALL)
    assert next(iter(swapped.train_dataloader()))["B"].shape == (1, 5, 16, 16)


def test_pairs_match_by_stem_or_say_what_has_no_partner(tmp_path):
    two_trees(tmp_path, splits=("train", "val"))
    picture(tmp_path / "A" / "train" / "city" / "x_A.png", 50)
    picture(tmp_path / "B" / "train" / "city" / "x_B.jpg", 150)
    assert len(PairedFolders(tmp_path, **SMALL).dataset("train")) == 5
    for i in range(7):
        picture(tmp_path / "A" / "train" / f"alone{i}.png")
    picture(tmp_path / "B" / "train" / "widow.png")
    message = (
        r"only in A: alone0, .*alone4 and 2 more; only in B: widow.*add or remove the others, or use UnpairedFolders"
    )
    with pytest.raises(ValueError, match=message):
        PairedFolders(tmp_path, **SMALL).dataset("train")
    for path in [*(tmp_path / "A" / "train").glob("alone*"), tmp_path / "B" / "train" / "widow.png"]:
        path.unlink()
    picture(tmp_path / "A" / "train" / "train0.jpg")
    picture(tmp_path / "B" / "train" / "train0.jpg")
    with pytest.raises(ValueError, match=r"train0\.jpg and train0\.png have the same stem"):
        PairedFolders(tmp_path, **SMALL).dataset("train")


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda root: None, FileNotFoundError, "has no folders trainA and trainB, or A/train.*it holds nothing"),
        (lambda root: (root / "photos").mkdir(), FileNotFoundError, "it holds photos"),
        (lambda root: (two_trees(root), side_by_side(root)), ValueError, "can be read in several ways"),
        (
            lambda root: two_trees(root, pattern="{split}/{side}"),
            ValueError,
            "has train/A and train/B; move them to A/",
        ),
        (
            lambda root: two_trees(root, pattern="{side}/{split}", splits=("Train", "Test")),
            ValueError,
            r"have .*Train.*splits are train, val and test",
        ),
        (
            lambda root: picture(root / "trainA" / "a.png"),
            FileNotFoundError,
            r"no folder .*trainB, though its counterpart is there",
        ),
        (lambda root: (root / "train").mkdir(), FileNotFoundError, r"no pictures in .*train \(jpg, png"),
        (lambda root: two_trees(root, splits=("test",)), FileNotFoundError, "has no train pictures; it has test"),
        (lambda root: two_trees(root, splits=("train",), count=1), ValueError, "has one picture; one for validation"),
    ],
)
def test_folders_that_do_not_fit_say_so(tmp_path, make, error, message):
    make(tmp_path)
    with pytest.raises(error, match=message):
        PairedFolders(tmp_path, **SMALL).dataset("train")


def test_letters_as_classes_are_no_sides(tmp_path):
    for name in "ABC":
        picture(tmp_path / "train" / name / f"{name}.png", size=(40, 20))
    data = PairedFolders(tmp_path, labels=True, **SMALL)
    assert data.classes == ("A", "B", "C")
    assert len(data.dataset("train")) == 2


def test_missing_folders_show_when_training_is_set_up():
    with pytest.raises(FileNotFoundError, match="no folder nowhere"):
        PairedFolders("nowhere").setup("fit")


def test_written_names_are_told_apart_and_paths_stay_true(tmp_path):
    two_trees(tmp_path)
    picture(tmp_path / "A" / "val" / "val0.jpg")
    batches = list(UnpairedFolders(tmp_path, **SMALL).val_dataloader())
    assert [batch["A_path"][0] for batch in batches[:3]] == ["val0.jpg", "val0.png", "val1.png"]
    assert [batch["A_name"][0] for batch in batches[:3]] == ["val0.jpg.png", "val0.png.png", "val1.png"]


def test_unpaired_data_side_by_side_is_pointed_to_paired_folders(tmp_path):
    side_by_side(tmp_path)
    with pytest.raises(FileNotFoundError, match="pairs side by side in one picture are for PairedFolders"):
        UnpairedFolders(tmp_path).dataset("train")


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"direction": "BtoC"}, 'direction must be "AtoB" or "BtoA"'),
        ({"channels_a": 0}, "channels must be at least 1"),
        ({"value_range": (1, 0)}, "low < high"),
        ({"value_range": 255}, "low < high"),
        ({"value_range": (0,)}, "low < high"),
        ({"eval_batch_size": 0}, "eval_batch_size must be at least 1"),
        ({"val_fraction": 1.0}, "val_fraction must be between 0 and 1, got 1.0"),
        ({"on_bad_image": "ignore"}, 'on_bad_image must be "raise" or "skip"'),
        ({"on_bad_image": "skip", "check_images": False}, "leave it on"),
        ({"preprocess": "resize"}, "preprocess must be one of"),
        ({"resample": "area"}, "resample must be one of"),
        ({"batch_size": 0}, "batch_size must be at least 1"),
    ],
)
def test_settings_that_do_not_fit_say_so(settings, message):
    with pytest.raises(ValueError, match=message):
        PairedFolders("nowhere", **settings)


def spoil(root):
    two_trees(root, count=10)
    (root / "A" / "train" / "train3.png").write_bytes(b"")
    (root / "B" / "train" / "train7.bmp").write_bytes(b"<html>")


@pytest.mark.parametrize("cls", [PairedFolders, UnpairedFolders])
def test_bad_pictures_are_listed_before_training(tmp_path, cls):
    spoil(tmp_path)
    with pytest.raises(PictureError, match="pictures cannot be used; .*on_bad_image='skip'") as caught:
        cls(tmp_path, **SMALL).train_dataloader()
    assert "train3.png is empty (0 bytes)" in str(caught.value)
    assert "train7.bmp cannot be read" in str(caught.value)
    assert ("2 of 10" if cls is PairedFolders else "2 of 20") in str(caught.value)


def test_bad_pictures_are_skipped_with_a_report(tmp_path):
    spoil(tmp_path)
    paired = PairedFolders(tmp_path, on_bad_image="skip", **SMALL)
    with pytest.warns(UserWarning, match=r"2 of 10 pictures cannot be used and are left out:\n.*train3.png is empty"):
        dataset = paired.dataset("train")
    assert [dataset[(0, i)]["A_path"] for i in range(len(dataset))] == [
        f"train{i}.png" for i in (0, 1, 2, 4, 5, 6, 8, 9)
    ]
    assert len(paired.skipped["train"]) == 2
    unpaired = UnpairedFolders(tmp_path, on_bad_image="skip", **SMALL)
    with pytest.warns(UserWarning, match="2 of 20 pictures"):
        assert [len(source) for _, source in unpaired.dataset("train").sources] == [9, 9]
    for path in (tmp_path / "A" / "test").iterdir():
        path.write_bytes(b"")
    with pytest.raises(PictureError, match="none of the pictures can be used"):
        paired.dataset("test")


@pytest.mark.parametrize("workers", [0, 2])
def test_without_the_check_a_bad_picture_stops_the_run_by_name(tmp_path, workers):
    spoil(tmp_path)
    loader = PairedFolders(tmp_path, check_images=False, num_workers=workers, **SMALL).train_dataloader()
    with pytest.raises(PictureError, match=r"train3\.png is empty|train7\.bmp cannot be read"):
        list(loader)


def test_pictures_too_small_and_pairs_of_two_sizes_are_found_before_training(tmp_path):
    two_trees(tmp_path)
    with pytest.raises(PictureError, match=r"train0\.png is 20x20 pixels, too few for crop_size 32"):
        PairedFolders(tmp_path, preprocess="crop", crop_size=32).dataset("train")
    picture(tmp_path / "A" / "train" / "train1.png", size=(30, 20))
    with pytest.raises(PictureError, match=r"train1\.png: A is 30x20 and B 20x20 pixels; a pair needs one size"):
        PairedFolders(tmp_path, preprocess="crop", crop_size=16).dataset("train")
    PairedFolders(tmp_path, **SMALL).dataset("train")


def test_sizes_that_differ_in_a_batch_are_named(tmp_path):
    two_trees(tmp_path)
    picture(tmp_path / "A" / "val" / "val1.png", size=(30, 20))
    data = UnpairedFolders(tmp_path, eval_preprocess="native", eval_batch_size=4, **SMALL)
    with pytest.raises(
        ValueError, match=r"different sizes in a batch \(val3\.png is 3x20x20, val1\.png is 3x20x30\); use"
    ):
        list(data.val_dataloader())


def test_index_of_names_is_small_exact_and_can_be_sent(tmp_path):
    names = sorted([f"folder{i % 7}/Ünï {i}.png" for i in range(100)], key=os.fsencode)
    index = NameIndex([os.fsencode(name) for name in names])
    assert list(index) == names
    assert index[-1] == names[-1]
    assert index[2:5] == names[2:5]
    assert index.nbytes < sum(map(len, names)) * 1.5 + 8 * 100
    assert list(pickle.loads(pickle.dumps(index))) == names
    with pytest.raises(IndexError):
        index[100]
    assert len(NameIndex([])) == 0


def test_scan_follows_links_and_survives_a_circle(tmp_path):
    picture(tmp_path / "root" / "b.png")
    picture(tmp_path / "root" / "a" / "z.PNG")
    picture(tmp_path / "elsewhere" / "linked.jpg")
    (tmp_path / "root" / "notes.txt").write_text("no picture")
    picture(tmp_path / "root" / "._b.png")
    (tmp_path / "root" / "link").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "root" / "a" / "circle").symlink_to(tmp_path / "root")
    assert list(scan(tmp_path / "root")) == ["a/z.PNG", "b.png", "link/linked.jpg"]


def test_scan_sorts_whole_paths_as_the_official_code_does(tmp_path):
    names = ["a.png", "a-b/x.png", "a/x.png", "a/b/c.jpg", "a b.png", "aa.png", "a/b.jpg", "B/0.png"]
    for name in names:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    assert list(scan(tmp_path)) == sorted(names)


def test_pairs_side_by_side(tmp_path, capsys):
    two_trees(tmp_path, splits=("train", "val"))
    assert combine_pairs(tmp_path / "A", tmp_path / "B", tmp_path / "AB") == 8
    trees = PairedFolders(tmp_path, flip=False, **SMALL).dataset("val")
    halves = PairedFolders(tmp_path / "AB", flip=False, **SMALL).dataset("val")
    assert all(torch.equal(trees[i][side], halves[i][side]) for i in range(4) for side in "AB")
    picture(tmp_path / "A" / "val" / "val1.png", size=(30, 20))
    with pytest.raises(PictureError, match=r"val1\.png and .*val1\.bmp are 30x20 and 20x20 pixels"):
        combine_pairs(tmp_path / "A", tmp_path / "B", tmp_path / "again")
    with pytest.raises(ValueError, match="is inside"):
        combine_pairs(tmp_path / "A", tmp_path / "B", tmp_path / "A" / "out")
    with pytest.raises(FileNotFoundError, match="no folder"):
        combine_pairs(tmp_path / "C", tmp_path / "B", tmp_path / "out")
    (tmp_path / "D").mkdir()
    with pytest.raises(FileNotFoundError, match="no pictures in"):
        combine_pairs(tmp_path / "D", tmp_path / "D", tmp_path / "out")


def test_side_by_side_needs_two_columns(tmp_path):
    side_by_side(tmp_path)
    Image.new("RGB", (1, 20)).save(tmp_path / "train" / "thin.png")
    with pytest.raises(PictureError, match=r"thin\.png is one pixel wide"):
        PairedFolders(tmp_path, preprocess="scale_width", **SMALL).dataset("train")


def test_fewer_pictures_than_processes_is_said(tmp_path):
    two_trees(tmp_path, count=3)
    data = PairedFolders(tmp_path, check_images=False, **SMALL)
    data._world = lambda: (4, 2)
    with pytest.raises(ValueError, match="3 val samples cannot be shared by 4 processes; use fewer devices"):
        data.val_dataloader()


def test_files_to_translate_keep_their_size_and_leave_out_what_cannot_be_read(tmp_path):
    picture(tmp_path / "in" / "deep" / "a.png", size=(21, 13))
    picture(tmp_path / "b.png", size=(9, 30))
    (tmp_path / "in" / "broken.jpg").write_bytes(b"")
    data = PictureFiles([str(tmp_path / "in"), str(tmp_path / "b.png")])
    with pytest.warns(UserWarning, match=r"1 of 3 pictures .*left out:\n.*broken.jpg is empty"):
        batches = list(data.predict_dataloader())
    assert [batch["A_path"] for batch in batches] == [["deep/a.png"], ["b.png"]]
    assert [tuple(batch["A"].shape) for batch in batches] == [(1, 3, 13, 21), (1, 3, 30, 9)]
    assert len(data.skipped) == 1
    with pytest.raises(PictureError, match="none of the pictures can be used"):
        PictureFiles([str(tmp_path / "in" / "broken.jpg")]).predict_dataloader()
    with pytest.raises(FileNotFoundError, match="no file or folder"):
        PictureFiles([str(tmp_path / "nowhere")]).predict_dataloader()
    with pytest.raises(ValueError, match="PictureFiles holds pictures to translate"):
        data.train_dataloader()
