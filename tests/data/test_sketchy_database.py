import pickle
import shutil

import numpy as np
import pytest
import torch
from PIL import Image
from sketchy_tree import CLASSES, VARIANT, make_sketchy

from sketchgan.data import SKETCHYGAN_CLASSES, SketchyDatabase
from sketchgan.edges import sketch_to_distance

ALL = list(CLASSES)


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    return make_sketchy(tmp_path_factory.mktemp("data") / "Sketchy")


@pytest.fixture
def copy(root, tmp_path):
    return shutil.copytree(root, tmp_path / "copy")


def names(source):
    return [source.sketch_name(i) for i in range(len(source))]


def test_the_50_classes_are_sorted():
    assert len(SKETCHYGAN_CLASSES) == 50
    assert tuple(sorted(SKETCHYGAN_CLASSES)) == SKETCHYGAN_CLASSES
    assert SketchyDatabase("nowhere").classes == SKETCHYGAN_CLASSES


def test_training_has_neither_test_photos_nor_flagged_sketches(root):
    source = SketchyDatabase(root, classes=ALL)
    # 3 classes x 3 photos x 2 sketches, less one flagged sketch per class.
    assert len(source) == 15
    found = names(source)
    assert not [name for name in found if "_3-" in name]
    assert "ant/n00000000_0-1.png" in found
    assert "ant/n00000000_0-2.png" not in found  # wrong pose


def test_testing_has_every_sketch_of_the_test_photos(root):
    for split in ("val", "test"):
        source = SketchyDatabase(root, classes=ALL).part(split)
        assert names(source) == [f"{name}/n{k:08d}_3-{i}.png" for k, name in enumerate(CLASSES) for i in (1, 2)]
    unflagged = SketchyDatabase(root, "test", classes=ALL, test_leave_out=["error"])
    assert names(unflagged) == [f"{name}/n{k:08d}_3-2.png" for k, name in enumerate(CLASSES)]


def test_flags_and_limits_are_arguments(root):
    assert len(SketchyDatabase(root, classes=ALL, leave_out=())) == 18
    assert len(SketchyDatabase(root, classes=ALL, leave_out=["context"])) == 17
    assert len(SketchyDatabase(root, classes=ALL, leave_out=(), max_strokes=10)) == 9
    assert len(SketchyDatabase(root, classes=ALL, leave_out=(), max_difficulty=2)) == 12
    assert len(SketchyDatabase(root, classes=ALL, max_strokes=10).part("test")) == 6


def test_a_record_is_a_sketch_its_photo_and_its_class(root):
    source = SketchyDatabase(root, classes=["zebra", "car_(sedan)"])
    assert source.classes == ("car_(sedan)", "zebra")
    index = names(source).index("zebra/n00000002_1-2.png")
    assert source.label(index) == 1
    assert source.photo_name(index) == "zebra/n00000002_1.jpg"
    folder = root / "rendered_256x256" / "256x256"
    photo = np.asarray(Image.open(folder / "photo" / VARIANT / "zebra" / "n00000002_1.jpg"))
    assert torch.equal(source.photo(index), torch.tensor(photo).permute(2, 0, 1))
    sketch = torch.tensor(np.asarray(Image.open(folder / "sketch" / VARIANT / "zebra" / "n00000002_1-2.png")))[..., 0]
    assert torch.equal(source.sketch(index), sketch)
    assert torch.equal(source.distance(index), sketch_to_distance(sketch))
    assert source.attributes(index) == {
        "Difficulty": 2, "Stroke_Count": 20, "WrongPose?": 0, "Context?": 0, "Ambiguous?": 0, "Error?": 0,
    }  # fmt: skip


def test_colours_of_a_sketch_become_their_mean_cut_off(copy):
    source = SketchyDatabase(copy, classes=["ant"])
    Image.new("RGB", (4, 4), (10, 20, 31)).save(source.sketches / source.sketch_name(0))
    assert source.sketch(0).unique().tolist() == [20]


def test_all_takes_every_folder(root):
    assert SketchyDatabase(root, classes="all").classes == CLASSES


def test_a_source_can_be_sent_to_another_process(root):
    source = SketchyDatabase(root, classes=ALL)
    assert names(pickle.loads(pickle.dumps(source))) == names(source)


def test_sketches_without_a_file_are_left_out(copy):
    source = SketchyDatabase(copy, classes=ALL)
    (source.sketches / "ant" / "n00000000_1-2.png").unlink()
    (source.photos / "ant" / "n00000000_2.jpg").unlink()
    with pytest.warns(UserWarning, match=r"3 of 15 train sketches of .* left out.*ant/n00000000_1-2\.png"):
        assert len(source) == 12


@pytest.mark.parametrize(
    ("gone", "error", "message"),
    [
        ("", FileNotFoundError, "no folder .*the Sketchy database is expected as published"),
        ("info/stats.csv", FileNotFoundError, r"no file .*stats\.csv; the database's archive of annotations"),
        ("info/testset.txt", FileNotFoundError, r"no file .*testset\.txt"),
        (f"rendered_256x256/256x256/photo/{VARIANT}", FileNotFoundError, f"no folder .*photo/{VARIANT}; the Sketchy"),
        (
            f"rendered_256x256/256x256/sketch/{VARIANT}/ant",
            FileNotFoundError,
            r"no folder .*there are car_\(sedan",
        ),
    ],
)
def test_missing_parts_say_so(copy, gone, error, message):
    path = copy / gone
    shutil.rmtree(path) if path.is_dir() else path.unlink()
    with pytest.raises(error, match=message):
        SketchyDatabase(copy, classes=ALL).check()


def test_wrong_tables_say_so(copy):
    stats = copy / "info" / "stats.csv"
    text = stats.read_text()
    stats.write_text(text.replace("Error?", "Mistake?"))
    with pytest.raises(ValueError, match=r"stats\.csv has no column Error\?; it has CategoryID"):
        SketchyDatabase(copy, classes=ALL).check()
    stats.write_text(text.replace("n00000000_0,1,1,10", "n00000000_0,1,1,many"))
    with pytest.raises(ValueError, match=r"stats\.csv: Stroke_Count is 'many', not a number"):
        SketchyDatabase(copy, classes=ALL).check()
    stats.write_text(text.splitlines()[0])
    with pytest.raises(ValueError, match="has no train sketch of ant"):
        SketchyDatabase(copy, classes=ALL).check()


def test_wrong_arguments_say_so():
    with pytest.raises(ValueError, match="unknown flag 'ugly'; there are pose"):
        SketchyDatabase("x", leave_out=["ugly"])
    with pytest.raises(ValueError, match="split must be .* got 'training'"):
        SketchyDatabase("x", split="training")
