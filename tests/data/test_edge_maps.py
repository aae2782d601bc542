"""``sketchgan edges``: the same bytes however the work is divided and wherever it is killed."""

import io
import json
import multiprocessing
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from sketchgan.cli import main
from sketchgan.data import PictureError, make_edge_maps
from sketchgan.data.edge_batches import Photographs
from sketchgan.data.edge_maps import EdgeMaker, _cores, _own_gpu
from sketchgan.data.edge_shards import ShardWriter, open_job, read_edge_manifests
from sketchgan.edges import EdgePipeline
from sketchgan.ops.resize import resize_area

SIZE = 45  # odd, so that the rows of a batch begin anywhere in memory
SETTINGS = {"shard_size": 8, "accelerator": "cpu"}


def pipeline(**settings) -> EdgePipeline:
    return EdgePipeline(**{"detector": "sobel", "size": SIZE, "border": 16, **settings})


def draw(path: Path, number: int, size: tuple[int, int]) -> None:
    rng = np.random.default_rng(number)
    path.parent.mkdir(parents=True, exist_ok=True)
    blocks = Image.fromarray(rng.integers(0, 255, (4, 4, 3), dtype=np.uint8))
    blocks.resize(size, Image.Resampling.NEAREST).save(path)


@pytest.fixture(scope="module")
def photos(tmp_path_factory) -> Path:
    """Forty of two classes."""
    root = tmp_path_factory.mktemp("data") / "photos"
    for i in range(40):
        draw(root / ("ant" if i < 20 else "bee/small") / f"{i:02}.png", i, (48 + i % 5, 64 - i % 3))
    return root


@pytest.fixture(scope="module")
def unbroken(photos) -> Path:
    out = photos.parent / "unbroken"
    report = make_edge_maps(photos, out, pipeline(), num_workers=0, keep_photos="jpeg", **SETTINGS)
    assert (report.images, report.shards, report.finished, report.ok) == (40, 5, 5, 40)
    return out


def tree(out: Path) -> dict[str, bytes]:
    return {str(path.relative_to(out)): path.read_bytes() for path in out.rglob("*") if path.is_file()}


def rows(out: Path) -> dict[str, dict]:
    return {row["source"]: row for row in read_edge_manifests(out)}


def test_shards_hold_what_the_manifest_says(photos, unbroken):
    assert sorted(path.name for path in unbroken.iterdir()) == ["edges.json", *(f"shard-{k:05d}" for k in range(5))]
    found = rows(unbroken)
    assert list(found) == sorted(str(path.relative_to(photos)) for path in photos.rglob("*.png"))
    named = {f"{row['shard']}/{row[kind]}" for row in found.values() for kind in ("edges", "distance", "photo")}
    manifests = {f"shard-{k:05d}/manifest.jsonl" for k in range(5)}
    assert set(tree(unbroken)) == named | manifests | {"edges.json"}
    row = found["bee/small/23.png"]
    assert row["shard"] == "shard-00002"
    assert row["class"] == "bee"
    assert (row["width"], row["height"]) == (51, 62)
    assert json.loads((unbroken / "edges.json").read_text())["root"] == str(photos)


def test_maps_are_those_of_the_pipeline(photos, unbroken):
    row = rows(unbroken)["ant/07.png"]
    photo = torch.from_numpy(np.array(Image.open(photos / "ant/07.png"))).permute(2, 0, 1)
    maps = pipeline()(resize_area(photo, SIZE, SIZE).unsqueeze(0) / 255)
    edges, distance = (Image.open(unbroken / row["shard"] / row[kind]) for kind in ("edges", "distance"))
    assert edges.mode == distance.mode == "L"
    np.testing.assert_array_equal(np.array(edges), np.where(maps.edges[0], 0, 255))
    np.testing.assert_array_equal(np.array(distance), maps.distance[0])
    assert row["line_pixels"] == maps.edges.sum() > 0


def test_photos_are_kept_at_full_colour_resolution(photos, unbroken):
    kept = Image.open(unbroken / "shard-00000/photo/ant/00.jpg")
    assert kept.size == (SIZE, SIZE)
    assert [layer[1:3] for layer in kept.layer] == [(1, 1)] * 3  # no chroma subsampling
    buffer = io.BytesIO()
    kept.save(buffer, "JPEG", quality=95, subsampling=0)
    assert Image.open(buffer).quantization == kept.quantization


def make_slowly(photos: Path, out: Path) -> None:
    torch.set_num_threads(1)  # a forked process would wait for its parent's threads for ever
    write = ShardWriter.add

    def slowly(*args):
        time.sleep(0.02)
        write(*args)

    ShardWriter.add = slowly  # in a process of its own
    make_edge_maps(photos, out, pipeline(), keep_photos="jpeg", batch_size=4, num_workers=1, **SETTINGS)


@pytest.mark.parametrize(("number", "code"), [(signal.SIGKILL, -signal.SIGKILL), (signal.SIGTERM, 143)])
def test_killed_and_restarted_is_as_unbroken(number, code, photos, unbroken, tmp_path):
    out = tmp_path / "out"
    process = multiprocessing.get_context("fork").Process(target=make_slowly, args=(photos, out))
    process.start()
    try:
        while not (begun := list(out.glob(".shard-00002*/edges/*/*/*.png"))):  # in the middle of the third shard
            assert process.is_alive()
            time.sleep(0.005)
    finally:
        os.kill(process.pid, number)
        process.join()
    assert process.exitcode == code
    finished = sorted(path.name for path in out.glob("shard-*"))
    assert finished[:2] == ["shard-00000", "shard-00001"]
    assert len(finished) <= 2 + (number == signal.SIGTERM)  # which ends after a batch, perhaps the shard's last
    assert begun[0].exists() == (number == signal.SIGKILL)  # what the restart removes
    before = (out / "shard-00001/manifest.jsonl").stat().st_mtime_ns
    make_edge_maps(photos, out, pipeline(), num_workers=0, keep_photos="jpeg", **SETTINGS)
    assert tree(out) == tree(unbroken)
    assert (out / "shard-00001/manifest.jsonl").stat().st_mtime_ns == before


@pytest.mark.parametrize("division", [{"num_workers": 2}, {"num_workers": 0, "batch_size": 3}], ids=str)
def test_bytes_do_not_depend_on_workers_and_batches(division, photos, unbroken, tmp_path):
    make_edge_maps(photos, tmp_path / "out", pipeline(), keep_photos="jpeg", **SETTINGS, **division)
    assert tree(tmp_path / "out") == tree(unbroken)


def test_on_a_cpu_the_detector_sees_one_photo_at_a_time(mixed, tmp_path):
    seen = []

    def darkness(photos):
        seen.append(len(photos))
        return 1 - photos.mean(1)

    settings = {"num_workers": 0, "on_bad_image": "skip", **SETTINGS}
    make_edge_maps(mixed, tmp_path / "out", EdgePipeline(darkness, size=SIZE, border=0), **settings)
    assert set(seen) == {1}


def test_machines_share_the_shards(photos, unbroken, tmp_path, monkeypatch):
    out = tmp_path / "out"
    settings = {"num_workers": 0, "keep_photos": "jpeg", **SETTINGS}
    stale, others = out / ".shard-00001.1-of-2", out / ".shard-00000.0-of-2"
    for folder in (stale, others):
        folder.mkdir(parents=True)
    second = make_edge_maps(photos, out, pipeline(), rank=1, world=2, **settings)
    assert sorted(path.name for path in out.glob("shard-*")) == ["shard-00001", "shard-00003"]
    assert (second.finished, second.ok) == (2, 16)
    assert not stale.exists()
    assert others.exists()  # perhaps at work
    monkeypatch.setenv("RANK", "0")
    monkeypatch.setenv("WORLD_SIZE", "2")
    assert make_edge_maps(photos, out, pipeline(), **settings).finished == 5
    assert tree(out) == tree(unbroken)
    assert not others.exists()


def test_processes_on_a_machine_take_a_gpu_each(monkeypatch):
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    for number, device in (("0", 1), ("1", [1]), ("2", 1)):  # the last one sees its own GPU alone, or shares
        monkeypatch.setenv("LOCAL_RANK", number)
        assert _own_gpu("auto") == device
        assert _own_gpu("cpu") == 1


def test_batches_on_a_device_are_made_alike(photos, unbroken, tmp_path, monkeypatch):
    """The way that a GPU takes, on the CPU: maps in batches in the main process, files by threads."""
    real = EdgeMaker.predict_dataloader

    def as_on_a_device(self):
        loader = real(self)
        loader.dataset.pipeline = None
        return loader

    monkeypatch.setattr(EdgeMaker, "predict_dataloader", as_on_a_device)
    out = tmp_path / "out"
    make_edge_maps(photos, out, pipeline(), keep_photos="jpeg", num_workers=1, batch_size=5, **SETTINGS)
    assert tree(out) == tree(unbroken)


def test_finished_jobs_have_nothing_to_do(photos, unbroken, monkeypatch):
    monkeypatch.setattr(Photographs, "read", lambda *_: pytest.fail("reads"))
    report = make_edge_maps(photos, unbroken, pipeline(), num_workers=0, keep_photos="jpeg", **SETTINGS)
    assert (report.finished, report.ok) == (5, 40)


@pytest.fixture
def mixed(tmp_path) -> Path:
    """Good, broken and blank ones."""
    root = tmp_path / "photos"
    for i in range(4):
        draw(root / f"{i}.png", i, (50, 60))
    draw(root / "more/9.png", 9, (50, 60))
    (root / "1_broken.jpg").write_bytes(b"no picture")
    (root / "2_cut.png").write_bytes((root / "2.png").read_bytes()[:60])
    Image.new("RGB", (50, 60), "red").save(root / "3_blank.png")
    return root


def test_bad_pictures_stop_the_run(mixed, tmp_path):
    with pytest.raises(PictureError, match=r"(?s)shard-00001 cannot be read.*skip_bad.*1_broken\.jpg") as stopped:
        make_edge_maps(mixed, tmp_path / "a", pipeline(), num_workers=0, accelerator="cpu", shard_size=2)
    assert "2_cut" not in str(stopped.value)  # in a later shard
    assert [path.name for path in (tmp_path / "a").iterdir() if "shard" in path.name] == ["shard-00000"]


def test_skipped_and_blank_pictures_keep_their_rows(mixed, tmp_path):
    out = tmp_path / "out"
    report = make_edge_maps(mixed, out, pipeline(), num_workers=0, accelerator="cpu", shard_size=3, on_bad_image="skip")
    assert (report.finished, report.shards, report.ok, report.blank) == (3, 3, 5, 1)
    found = rows(out)
    assert [message.split()[0] for message in report.unreadable] == ["1_broken.jpg", "2_cut.png"]
    assert found["2_cut.png"]["message"] == report.unreadable[1]
    assert str(mixed) not in report.unreadable[0]
    blank = found["3_blank.png"]
    assert (blank["status"], blank["edges"], blank["line_pixels"], blank["class"]) == ("blank", None, 0, None)
    assert found["more/9.png"]["class"] == "more"
    assert len(list(out.rglob("*.png"))) == 2 * 5


def test_maps_that_are_black_at_64_pixels_are_blank(tmp_path):
    class Dense(EdgePipeline):
        def from_strength(self, strength):
            maps = super().from_strength(strength)
            maps.edges.zero_()[:, ::4, ::4] = True  # one pixel of every cell
            return maps

    draw(tmp_path / "photos/a.png", 1, (50, 60))
    report = make_edge_maps(tmp_path / "photos", tmp_path / "out", Dense("sobel", size=256), **SETTINGS, num_workers=0)
    assert (report.ok, report.blank) == (0, 1)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"pipeline": {"threshold": 0.5}}, "threshold was 0.09.*, now 0.5"),
        ({"shard_size": 9}, "shard_size was 8, now 9"),
        ({"keep_photos": "png"}, "keep_photos was jpeg, now png"),
        ({"inputs": ["photos/ant"]}, "images was 40, now 20"),
        ({"inputs": ["photos/ant", "photos/bee"]}, "the list of pictures differs in names"),
    ],
    ids=["threshold", "shards", "photos", "list", "names"],
)
def test_other_settings_are_refused(change, message, photos, unbroken):
    before = tree(unbroken)
    settings = {"keep_photos": "jpeg", "num_workers": 0, **SETTINGS, **change}
    inputs = [photos.parent / path for path in settings.pop("inputs", ["photos"])]
    with pytest.raises(ValueError, match=f"begun with something else.*{message}"):
        make_edge_maps(inputs, unbroken, pipeline(**settings.pop("pipeline", {})), **settings)
    assert tree(unbroken) == before


def test_other_names_are_refused(mixed, tmp_path):
    settings = {"num_workers": 0, "accelerator": "cpu", "on_bad_image": "skip"}
    make_edge_maps(mixed, tmp_path / "out", pipeline(), **settings)
    (mixed / "0.png").rename(mixed / "0_new.png")
    with pytest.raises(ValueError, match="the list of pictures differs in names"):
        make_edge_maps(mixed, tmp_path / "out", pipeline(), **settings)


def test_of_two_that_begin_together_the_first_wins(tmp_path, monkeypatch):
    link = os.link

    def slowly(mine, path):
        path.write_text('{"shard_size": 8}')  # another process's
        link(mine, path)

    monkeypatch.setattr(os, "link", slowly)
    with pytest.raises(ValueError, match="shard_size was 8, now 9"):
        open_job(tmp_path, {"shard_size": 9})
    assert [path.name for path in tmp_path.iterdir()] == ["edges.json"]


def test_a_second_process_of_one_part_is_refused(mixed, tmp_path):
    out = tmp_path / "out"
    settings = {"num_workers": 0, "accelerator": "cpu", "on_bad_image": "skip"}
    make_edge_maps(mixed, out, pipeline(), **settings)
    script = (
        "import fcntl, sys\nfile = open(sys.argv[1], 'rb+')\nfcntl.lockf(file, fcntl.LOCK_EX, 1, 1 << 20)\n"
        "print('locked', flush=True)\nsys.stdin.read()"
    )
    command = [sys.executable, "-c", script, str(out / "edges.json")]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as other:
        assert other.stdout.readline() == b"locked\n"
        with pytest.raises(BlockingIOError, match="another process is making part 0 of 1"):
            make_edge_maps(mixed, out, pipeline(), **settings)
        assert make_edge_maps(mixed, out, pipeline(), rank=0, world=2, **settings).ok == 5
        other.stdin.close()
    make_edge_maps(mixed, out, pipeline(), **settings)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"rank": 2, "world": 2}, "rank must be from 0 to world - 1, got rank=2, world=2"),
        ({"rank": 2}, "belong together"),
        ({"shard_size": 0}, "must be positive, got 0"),
        ({"keep_photos": "gif"}, 'must be "jpeg" or "png"'),
        ({"on_bad_image": "no"}, 'must be "raise" or "skip"'),
        ({"out": "photos/out"}, "is inside"),
        ({"pipeline": pipeline(size=None)}, "the pipeline needs a size"),
        ({"pipeline": pipeline(border=SIZE)}, "a border of 45 pixels"),
    ],
    ids=lambda value: value if isinstance(value, str) else " ",
)
def test_bad_arguments_are_refused(arguments, message, mixed, tmp_path):
    with pytest.raises(ValueError, match=message):
        make_edge_maps(mixed, **{"out": tmp_path / "out", "pipeline": pipeline(), **arguments})
    assert not (tmp_path / "out").exists()


def test_names_stay_apart(tmp_path):
    for name in ("a/x.png", "a/x.bmp", "b/y.png"):
        draw(tmp_path / name, 0, (9, 9))
    pictures = Photographs([tmp_path / "a"], 8)
    assert [pictures.name(i) for i in range(2)] == ["x.bmp", "x.png"]
    two = Photographs([tmp_path / "a/x.png", tmp_path / "b"], 8)
    assert [two.source(i) for i in range(2)] == ["a/x.png", "b/y.png"]
    draw(tmp_path / "c/d/x.png", 0, (9, 9))
    draw(tmp_path / "e/d/x.png", 0, (9, 9))
    with pytest.raises(ValueError, match="would be called d/x"):
        Photographs([tmp_path / "c", tmp_path / "e"], 8)


def test_command(mixed, tmp_path, capsys):
    command = [
        "edges",
        str(mixed),
        str(tmp_path / "out"),
        "--detector=sobel",
        "--size=48",
        "--border=16",
        "--accelerator=cpu",
    ]
    with pytest.raises(SystemExit) as stopped:
        main([*command, "--num_workers=0"])
    assert "2 of the 8 pictures of shard-00000 cannot be read" in str(stopped.value)
    with pytest.raises(SystemExit) as ended:
        main([*command, "--num_workers=0", "--skip_bad"])
    assert "5 edge maps" in capsys.readouterr().out
    assert "2_cut.png" in str(ended.value)


def test_processes_of_torchrun_share_the_cores(monkeypatch):
    alone = _cores()
    monkeypatch.setenv("LOCAL_WORLD_SIZE", "2")
    assert _cores() == max(1, alone // 2)
    monkeypatch.setenv("LOCAL_WORLD_SIZE", "1000")
    assert _cores() == 1
