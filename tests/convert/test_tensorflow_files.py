"""TensorFlow's checkpoints read without TensorFlow; data/make_bundle.py says where the stored one comes from."""

import os
import pickle
import shutil
import zipfile
from pathlib import Path

import numpy as np
import pytest
from bundles import block, entry, message, write_bundle, write_index

from sketchgan.convert import read_tensorflow
from sketchgan.convert.crc import crc32c

DATA = Path(__file__).parent / "data"
VALUES = np.load(DATA / "values.npz")


@pytest.fixture(autouse=True)
def in_a_folder_with_the_bundle(tmp_path, monkeypatch):
    shutil.copytree(DATA, tmp_path / "run")
    monkeypatch.chdir(tmp_path)


def assert_same(variables, names=VALUES.files):
    assert variables.keys() == set(names)
    for name, value in variables.items():
        assert (value.dtype, value.shape) == (VALUES[name].dtype, VALUES[name].shape)
        assert value.tobytes() == VALUES[name].tobytes()


@pytest.mark.parametrize(
    "path",
    ["run", "run/model.ckpt-7", "run/model.ckpt-7.index", "run/model.ckpt-7.data-00001-of-00002", "run/values.npz"],
)
def test_what_tensorflow_wrote(path):
    assert_same(read_tensorflow(path))


def test_only_what_is_wanted():
    names = [name for name in VALUES.files if name.startswith("generator/") and "/Adam" not in name]
    os.remove("run/model.ckpt-7.data-00001-of-00002")  # which has none of these
    os.remove("run/values.npz")
    in_first = [name for name in VALUES.files[::2] if name in names]
    assert len(in_first) == 2
    assert_same(read_tensorflow("run", wanted=set(in_first).__contains__), in_first)


def test_the_newest_of_a_folder():
    write_bundle("run/model.ckpt-10", {"x": np.float32([1, 2])})
    assert_same(read_tensorflow("run"))
    Path("run/checkpoint").write_text('model_checkpoint_path: "C:\\\\runs\\\\old\\\\model.ckpt-10"\n')
    assert read_tensorflow("run")["x"].tolist() == [1, 2]
    Path("run/checkpoint").write_text('model_checkpoint_path: "/elsewhere/model.ckpt-11"\n')
    with pytest.raises(FileNotFoundError, match=r"checkpoint names /elsewhere/model.ckpt-11, but there is no .*give"):
        read_tensorflow("run")
    os.remove("run/checkpoint")
    with pytest.raises(ValueError, match="run holds model.ckpt-10, model.ckpt-7; give one of them"):
        read_tensorflow("run")
    os.remove("run/model.ckpt-10.index")
    assert_same(read_tensorflow("run"))


@pytest.mark.parametrize("length", [0, 1, 2, 3, 4, 9, 31, 32, 33, 1000, 1024, 5003])
def test_checksum(length):
    data = np.random.default_rng(length).integers(0, 256, length).astype(np.uint8)
    crc = 0xFFFFFFFF
    for byte in data.tolist():
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ (0x82F63B78 if crc & 1 else 0)
    assert crc32c(data) == crc32c(data.tobytes()) == crc ^ 0xFFFFFFFF


# Damaged files


@pytest.mark.parametrize("ending", ["index", "data-00000-of-00002", "data-00001-of-00002"])
def test_a_changed_byte_is_found(ending):
    path = Path(f"run/model.ckpt-7.{ending}")
    whole = path.read_bytes()
    padding = whole.rstrip(whole[-8:]).rstrip(b"\x00") if ending == "index" else whole
    for at in range(3, len(padding), 11):
        path.write_bytes(whole[:at] + bytes([whole[at] ^ 0x41]) + whole[at + 1 :])
        with pytest.raises(ValueError, match=r"run/model.ckpt-7.* (is|are) (cut off or )?damaged"):
            read_tensorflow("run")


@pytest.mark.parametrize("ending", ["index", "data-00000-of-00002"])
@pytest.mark.parametrize("share", [0, 0.3, 0.99])
def test_files_that_are_cut_off(ending, share):
    path = Path(f"run/model.ckpt-7.{ending}")
    whole = path.read_bytes()
    path.write_bytes(whole[: int(share * len(whole))])
    with pytest.raises(ValueError, match=f"{path} is cut off"):
        read_tensorflow("run")


def test_missing_files():
    with pytest.raises(FileNotFoundError, match=r"no TensorFlow checkpoint nothing: there is no nothing.index"):
        read_tensorflow("nothing")
    os.remove("run/model.ckpt-7.data-00001-of-00002")
    with pytest.raises(FileNotFoundError, match=r"no run/model.ckpt-7.data-00001-of-00002, which belongs to run/model"):
        read_tensorflow("run")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"header": ()}, "x.index is cut off or damaged, .*: it says nothing of its files"),
        ({"header": ((1, 1), (2, 1))}, "x.index .*: it was written by a big-endian machine"),
        ({"f1": 14}, "x: v is of TensorFlow's type 14, which cannot be read"),
        ({"f2": message([(2, message([(1, 3)]))])}, r"x.index is damaged: v \(3,\) does not fill 8 bytes"),
        ({"f2": message([(2, message([(1, 2**40)]))] * 2)}, r"x.index is damaged: v .* does not fill 8 bytes"),
        ({"f5": 2**50}, "x.data-00000-of-00001 is cut off: it is smaller than"),
        ({"f4": 4}, r"x.index is damaged: v \(2,\) does not fill 8 bytes"),
        ({"f3": 3}, "no x.data-00003-of-00001"),
        ({"f6": 1}, "x.data-00000-of-00001 is damaged: the checksum of v differs"),
        ({"f7": b"\x0a\x00"}, "x: v is stored in parts"),
        ({"f2": message([(2, message([(1, b"aa")]))])}, "x.index .*: an entry has text where numbers should be"),
        ({"f4": b"a"}, "x.index .*: an entry has text where numbers should be"),
        ({"f2": 5}, "x.index is cut off or damaged"),
        ({"header": ((1, b"a"),)}, "x.index is cut off or damaged"),
    ],
)
def test_wrong_entries(changes, message):
    write_bundle("x", {"v": np.float32([1, 2])}, **changes)
    with pytest.raises((ValueError, FileNotFoundError), match=message):
        read_tensorflow("x")


def test_indices_that_would_fill_the_memory():
    value = np.zeros(1000, np.float32)
    Path("x.data-00000-of-00001").write_bytes(value.tobytes())
    many = [(b"", message([(1, 1)]))] + [(b"v%04d" % i, entry(value, 0)) for i in range(100)]
    write_index("x", many)
    with pytest.raises(ValueError, match="x.data-00000-of-00001 is cut off: it is smaller than the variables"):
        read_tensorflow("x")
    write_index("x", [*many[:2], many[1]])
    with pytest.raises(ValueError, match=r"x.index .* its names are not in order"):
        read_tensorflow("x")
    write_index("x", [many[0], (b"v" * 5000, many[1][1])])
    with pytest.raises(ValueError, match=r"x.index .* an entry is longer than it can be"):
        read_tensorflow("x")
    write_index("x", [many[0], *((b"v" * 4000 + b"%03d" % i, b"") for i in range(200))])
    assert Path("x.index").stat().st_size < 20_000
    with pytest.raises(ValueError, match=r"x.index .* its names repeat each other more than they can"):
        read_tensorflow("x")


def test_foreign_files():
    Path("x.index").write_bytes(b"<html>" * 100)
    with pytest.raises(ValueError, match=r"x.index is cut off or damaged, or no index of a TensorFlow checkpoint"):
        read_tensorflow("x")
    whole = Path("run/model.ckpt-7.index").read_bytes()
    end = whole.index(block([]))  # of the first block, whose type stands five bytes before
    Path("run/model.ckpt-7.index").write_bytes(whole[: end - 5] + b"\x01" + whole[end - 4 :])
    with pytest.raises(ValueError, match="its blocks are compressed"):
        read_tensorflow("run/model.ckpt-7")


def test_text_is_left_out():
    write_bundle("x", {"v": np.float32([1, 2])}, f1=7)
    assert read_tensorflow("x") == {}


# Archives of arrays


def test_archives_that_are_none(tmp_path):
    class Evil:
        def __reduce__(self):
            return os.mkdir, (str(tmp_path / "owned"),)

    np.savez("objects.npz", x=np.array([Evil()], object))
    with zipfile.ZipFile("pickle.npz", "w") as archive:
        archive.writestr("x.npy", pickle.dumps(Evil()))
    Path("page.npz").write_text("<html>")
    Path("cut.npz").write_bytes(Path("run/values.npz").read_bytes()[:-30])
    np.savez_compressed("bomb.npz", x=np.zeros(10_000_000, np.uint8))
    for name, said in {
        "objects": "is damaged, or holds more than arrays of numbers: .*allow_pickle=False",
        "pickle": "is damaged, or holds more than arrays of numbers: x is no array of numbers",
        "page": "is cut off, or no archive of arrays as numpy.savez writes it",
        "cut": "is cut off, or no archive of arrays",
        "bomb": "is damaged, .*: it would unpack to 10000128 bytes",
    }.items():
        with pytest.raises(ValueError, match=f"{name}.npz {said}"):
            read_tensorflow(f"{name}.npz")
    assert not Path("owned").exists()
    with pytest.raises(FileNotFoundError, match="no file nothing.npz"):
        read_tensorflow("nothing.npz")
    np.savez_compressed("small.npz", **VALUES)
    assert_same(read_tensorflow("small.npz"))
