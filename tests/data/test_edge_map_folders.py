import json
import pickle
import re
import shutil
import warnings

import numpy as np
import pytest
import torch
from PIL import Image, ImageDraw

from sketchgan.data import EdgeMapFolders, make_edge_maps
from sketchgan.edges import EdgePipeline, sketch_to_distance

SIZE = 16


def drawing(i, size=SIZE):
    picture = Image.new("L", (size, size), 255)
    ImageDraw.Draw(picture).line([(0, i), (size, size)], 0, 1)
    return picture


def pixels(picture):
    return torch.tensor(np.asarray(picture))


def make_shards(root, photos, keep):
    """What ``sketchgan edges`` writes for six photos in two classes, one of them blank, in shards of four."""
    job = {"root": str(photos), "images": 6, "shard_size": 4, "pipeline": {"detector": "sobel", "size": SIZE}}
    root.mkdir()
    (root / "edges.json").write_text(json.dumps(job))
    for i in range(6):
        name = f"{'cat' if i < 3 else 'dog'}/{i}"
        shard = root / f"shard-{i // 4:05d}"
        row = {"source": f"{name}.jpg", "class": name[:3], "edges": None, "distance": None, "width": 40, "height": 30}
        row["status"] = "blank" if i == 1 else "ok"
        photo = photos / f"{name}.jpg"
        photo.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (40, 30), (40 * i, 10, 20)).save(photo)
        if i != 1:
            row |= {"edges": f"edges/{name}.png", "distance": f"distance/{name}.png"}
            files = {row["edges"]: drawing(i), row["distance"]: Image.new("L", (SIZE, SIZE), i)}
            if keep:
                row["photo"] = f"photo/{name}.png"
                files[row["photo"]] = Image.new("RGB", (SIZE, SIZE), (0, 0, 40 * i))
            for path, picture in files.items():
                (shard / path).parent.mkdir(parents=True, exist_ok=True)
                picture.save(shard / path)
        with (shard / "manifest.jsonl").open("a") as file:
            file.write(json.dumps(row) + "\n")
    return root


@pytest.fixture
def shards(tmp_path):
    return make_shards(tmp_path / "maps", tmp_path / "photos", keep=True)


def test_shards_with_their_photos(shards):
    (shards / ".shard-00007.0-of-2").mkdir()  # of a job that still runs
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        source = EdgeMapFolders(shards)
    assert source.classes == ("cat", "dog")
    names = [source.sketch_name(i) for i in range(len(source))]
    assert names == ["cat/0.png", "cat/2.png", "dog/3.png", "dog/4.png", "dog/5.png"]
    assert [source.label(i) for i in range(len(source))] == [0, 0, 1, 1, 1]
    assert source.photo_name(2) == "dog/3.png"
    assert torch.equal(source.sketch(2), pixels(drawing(3)))
    assert source.distance(2).unique().tolist() == [3]  # the one that is stored
    assert source.photo(2)[:, 0, 0].tolist() == [0, 0, 120]
    assert len(pickle.loads(pickle.dumps(source))) == 5


def test_photos_where_they_were_or_have_moved_to(tmp_path):
    root = make_shards(tmp_path / "maps", tmp_path / "photos", keep=False)
    source = EdgeMapFolders(root)
    assert source.photo_name(3) == "dog/4.jpg"
    assert source.photo(3).shape == (3, SIZE, SIZE)
    assert abs(int(source.photo(3)[0, 3, 3]) - 160) < 3
    shown = source.photo(3)
    (tmp_path / "photos").rename(tmp_path / "moved")
    with pytest.raises(FileNotFoundError, match=r"no folder .*photos, where the photos were.*say with photos="):
        EdgeMapFolders(root).check()
    assert torch.equal(EdgeMapFolders(root, photos=tmp_path / "moved").photo(3), shown)


@pytest.mark.parametrize("keep", [None, "png"])
def test_what_the_command_makes(keep, tmp_path):
    rng = np.random.default_rng(0)
    for i, name in enumerate(("cat/1", "cat/2", "dog/1")):
        (tmp_path / "photos" / name).parent.mkdir(parents=True, exist_ok=True)
        levels = rng.integers(0, 2, (5, 5 + i, 3), dtype=np.uint8) * 255
        Image.fromarray(levels).resize((60, 50), Image.Resampling.NEAREST).save(tmp_path / "photos" / f"{name}.png")
    pipeline = EdgePipeline("sobel", size=48, border=8)
    report = make_edge_maps(tmp_path / "photos", tmp_path / "maps", pipeline, keep, shard_size=2, num_workers=0)
    assert report.ok == 3
    source = EdgeMapFolders(tmp_path / "maps")
    assert source.classes == ("cat", "dog")
    assert [source.sketch_name(i) for i in range(3)] == ["cat/1.png", "cat/2.png", "dog/1.png"]
    for i in range(3):
        maps = pipeline(source.photo(i).unsqueeze(0) / 255)
        assert torch.equal(source.sketch(i) == 0, maps.edges[0])
        assert torch.equal(source.distance(i), maps.distance[0])


def test_fields_of_another_size_are_computed_anew(shards):
    source = EdgeMapFolders(shards, size=2 * SIZE)
    assert source.distance(0).shape == source.sketch(0).shape == source.photo(0).shape[1:] == (2 * SIZE, 2 * SIZE)
    assert torch.equal(source.distance(0), sketch_to_distance(pixels(drawing(0)), 2 * SIZE))


def test_trees_of_ones_own(tmp_path):
    for i, name in enumerate(("b/x", "a/y", "b/z")):
        for kind, suffix, size in (("edges", "png", 20), ("photos", "jpg", 30)):
            (tmp_path / kind / name).parent.mkdir(parents=True, exist_ok=True)
            picture = drawing(i, size) if kind == "edges" else Image.new("RGB", (size, size), (i, 100, 0))
            picture.save(tmp_path / kind / f"{name}.{suffix}")
    source = EdgeMapFolders(tmp_path)
    assert source.classes == ("a", "b")
    assert [source.sketch_name(i) for i in range(3)] == ["a/y.png", "b/x.png", "b/z.png"]
    assert [source.photo_name(i) for i in range(3)] == ["a/y.jpg", "b/x.jpg", "b/z.jpg"]
    assert source.photo(1).shape == (3, 256, 256)
    assert torch.equal(source.distance(1), sketch_to_distance(pixels(drawing(0, 20)), 256))
    (tmp_path / "photos" / "b" / "z.jpg").unlink()
    with pytest.raises(ValueError, match="only in A: b/z"):
        EdgeMapFolders(tmp_path).check()


def test_classes_are_chosen(shards):
    source = EdgeMapFolders(shards, classes=["dog"])
    assert source.classes == ("dog",)
    assert [source.sketch_name(i) for i in range(3)] == ["dog/3.png", "dog/4.png", "dog/5.png"]
    assert [source.label(i) for i in range(3)] == [0, 0, 0]
    assert source.distance(1).unique().tolist() == [4]
    with pytest.raises(ValueError, match="no class cow; there are cat, dog"):
        EdgeMapFolders(shards, classes=["cow"]).check()


def test_a_fraction_is_held_out(shards):
    source = EdgeMapFolders(shards, val_fraction=0.4)
    parts = [{part.sketch_name(i) for i in range(len(part))} for part in (source, source.part("val"))]
    assert [len(part) for part in parts] == [3, 2]
    assert not parts[0] & parts[1]
    with pytest.raises(ValueError, match="are held out for validation; give val_fraction"):
        EdgeMapFolders(shards).part("val").check()


def test_what_is_wrong_is_named(shards, tmp_path):
    with pytest.raises(FileNotFoundError, match="no folder nowhere"):
        EdgeMapFolders("nowhere").check()
    with pytest.raises(FileNotFoundError, match="has neither edges.json.*it holds shard-00000"):
        EdgeMapFolders(make_other(shards, tmp_path / "without")).check()
    manifest = shards / "shard-00001" / "manifest.jsonl"
    text = manifest.read_text()
    manifest.write_text(text[:-20])
    with pytest.raises(ValueError, match=r"shard-00001/manifest.jsonl is damaged \(.*\); remove .*shard-00001,"):
        EdgeMapFolders(shards).check()
    manifest.write_text(text.replace('"dog"', "null"))
    with pytest.raises(ValueError, match=r"photo/dog/4\.png .*has no class"):
        EdgeMapFolders(shards).check()
    manifest.write_text("".join(text.splitlines(keepends=True)[:-1]))
    with pytest.raises(ValueError, match=r"manifest.jsonl has \d lines for \d pictures; remove .*shard-00001, and run"):
        EdgeMapFolders(shards).check()
    shutil.rmtree(shards / "shard-00000")
    manifest.write_text(re.sub('"status": "[a-z]*"', '"status": "blank"', text))
    with (
        pytest.warns(UserWarning, match="only 1 of 2 shards of .* are finished"),
        pytest.raises(ValueError, match="no finished shard"),
    ):
        EdgeMapFolders(shards).check()
    (shards / "edges.json").write_text('{"images": 3')
    with pytest.raises(ValueError, match=r"edges\.json is damaged \(JSONDecodeError.*run sketchgan edges anew"):
        EdgeMapFolders(shards).check()


def make_other(shards, folder):
    shutil.copytree(shards, folder)
    (folder / "edges.json").unlink()
    return folder
