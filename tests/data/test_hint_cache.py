"""Style vectors beside the data: computed once, again only where something changed, and never believed unchecked."""

import os
import shutil
import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch
from golden_cases import assert_close
from PIL import Image
from torch import Tensor, nn

import sketchgan.data.hint_cache
from sketchgan.data import (
    Mixture,
    OpenDomainFolders,
    OpenMoji,
    OpenMojiSketches,
    PaintingFolders,
    Paintings,
    PairedFolders,
    PictureError,
    UnpairedFolders,
    cache_hints,
    read_picture,
)
from sketchgan.data.hint_blocks import hashes
from sketchgan.data.transforms import to_tensor
from sketchgan.networks import StyleEncoder, style_encoder

DIM = 6


class Counting(StyleEncoder):
    """Means and extremes of the channels, and a record of what was asked."""

    name = "counting"
    hint_dim = DIM

    def __init__(self, scale: float = 1.0, dies_after: int | None = None) -> None:
        self.scale = nn.Parameter(torch.tensor(scale))
        self.protocol = "means and maxima"
        self.batches: list[tuple[int, ...]] = []
        self.dies_after = dies_after

    def build(self) -> nn.Module:
        network = nn.Module()
        network.scale = self.scale
        return network

    def encode(self, pictures: Tensor) -> Tensor:
        if self.dies_after is not None and self.count + len(pictures) > self.dies_after:
            raise KeyboardInterrupt
        self.batches.append(tuple(pictures.shape))
        return self.scale.detach() * torch.cat([pictures.mean((2, 3)), pictures.amax((2, 3))], 1)

    @property
    def count(self) -> int:
        return sum(shape[0] for shape in self.batches)


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "home"))
    return tmp_path / "home" / "sketchgan"


def paint(path, size=(12, 8)) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    levels = torch.randint(0, 256, (size[1], size[0], 3), dtype=torch.uint8)
    Image.fromarray(levels.numpy()).save(path)


@pytest.fixture
def folder(tmp_path):
    """Seven pairs in two trees, the paintings of two sizes, and one to validate with."""
    root = tmp_path / "pictures"
    for i in range(7):
        size = (12, 8) if i % 3 else (20, 14)
        paint(root / "trainA" / "some" / f"{i}.jpg", size)
        paint(root / "trainB" / "some" / f"{i}.png", size)
    for side in "AB":
        paint(root / f"val{side}" / "v.png")
    return root


def paired(folder, **settings) -> PairedFolders:
    return PairedFolders(folder, load_size=8, crop_size=6, **settings)


def of_file(path) -> Tensor:
    return Counting()(to_tensor(read_picture(path))[None])[0]


def stored(folder) -> list:
    return sorted(folder.glob("**/block-*.safetensors"))


def test_vectors_of_whole_pictures(folder):
    encoder = Counting()
    hints = paired(folder).cache_hints(encoder)
    assert (len(hints), hints.hint_dim, encoder.count) == (7, DIM, 7)
    assert set(encoder.batches) == {(4, 3, 8, 12), (3, 3, 14, 20)}  # whole, those of a size together
    data = paired(folder, batch_size=3)
    for batch in data.train_dataloader():
        found = hints(batch["B_path"])
        assert found.dtype == torch.float32
        expected = torch.stack([of_file(folder / "trainB" / name) for name in batch["B_path"]])
        assert_close(found, expected, 1e-6)
    (place,) = (folder / ".sketchgan").iterdir()
    assert place.name == f"hints-counting-{encoder.fingerprint()[:12]}"
    assert len(stored(folder)) == 1
    assert not [path for path in place.iterdir() if path.name.startswith(".")]
    assert not os.path.exists(os.environ["XDG_CACHE_HOME"])


def test_second_time_computes_and_writes_nothing(folder):
    first = paired(folder).cache_hints(Counting())
    before = [(path, path.stat().st_mtime_ns) for path in stored(folder)]
    encoder = Counting()
    second = paired(folder).cache_hints(encoder)
    assert encoder.count == 0
    assert [(path, path.stat().st_mtime_ns) for path in stored(folder)] == before
    names = [f"some/{i}.png" for i in (3, 0, 6, 3)]
    assert torch.equal(first(names), second(names))


def test_only_what_changed_is_computed_again(folder, monkeypatch):
    said = []
    monkeypatch.setattr("sketchgan.data.hint_cache.rank_zero_info", said.append)
    paired(folder).cache_hints(Counting())
    paint(folder / "trainB/some/2.png", (9, 9))  # changed
    paint(folder / "trainB/some/5.png")  # in size as before
    for side in "AB":
        paint(folder / f"train{side}/some/new.png")
    (folder / "trainA/some/6.jpg").unlink()
    (folder / "trainB/some/6.png").unlink()
    paint(folder / "trainA/some/0.jpg")  # a sketch
    paint(folder / "trainA/some/2.jpg", (9, 9))
    encoder = Counting()
    hints = paired(folder).cache_hints(encoder)
    assert encoder.count == 3
    assert len(hints) == 7
    for name in ("2", "5", "new", "0"):
        found = hints([f"some/{name}.png"])[0]
        assert_close(found, of_file(folder / f"trainB/some/{name}.png"), 1e-6)
    with pytest.raises(ValueError, match=r"no style hint of some/6.png is cached, only those of the 7 training"):
        hints(["some/0.png", "some/6.png"])
    messages = [text for text in said if "Style hints" in text]
    assert messages == [
        "Style hints: counting encodes 7 of 7 paintings (7 new, 0 changed)",
        "Style hints: counting encodes 3 of 7 paintings (1 new, 2 changed; 1 others are stored)",
    ]


def test_a_touched_file_counts_as_changed(folder):
    paired(folder).cache_hints(Counting())
    os.utime(folder / "trainB/some/1.png", ns=(1, 1))
    encoder = Counting()
    paired(folder).cache_hints(encoder)
    assert encoder.count == 1


def test_another_network_has_another_cache(folder):
    names = ["some/4.png"]
    one = paired(folder).cache_hints(Counting())(names)
    encoder = Counting(2.0)
    assert_close(paired(folder).cache_hints(encoder)(names), 2 * one, 1e-6)
    assert encoder.count == 7
    assert len(list((folder / ".sketchgan").iterdir())) == 2
    again = Counting()
    assert torch.equal(paired(folder).cache_hints(again)(names), one)
    assert again.count == 0


def damage_length(path):
    path.write_bytes(path.read_bytes()[:-5])


def damage_more(path):
    path.write_bytes(path.read_bytes() + b"more")


def damage_empty(path):
    path.write_bytes(b"")


def damage_header(path):
    data = bytearray(path.read_bytes())
    data[10] ^= 0xFF
    path.write_bytes(data)


def damage_index(path):
    data = path.read_bytes()
    vectors = 7 * DIM * 4
    places = data.index(b'"keys"')  # keys and names are of 8 bytes, and so before the vectors
    assert places < len(data) - vectors
    data = bytearray(data)
    data[-vectors - 3] ^= 1
    path.write_bytes(data)


def damage_pickle(path):
    torch.save({"keys": 1}, path)


@pytest.mark.parametrize(
    ("damage", "reason"),
    [
        (damage_length, "buffer|incomplete|Incomplete"),
        (damage_more, "buffer|incomplete|Incomplete"),
        (damage_empty, "small"),
        (damage_header, "eader"),
        (damage_index, "the checksum of its index is wrong"),
        (damage_pickle, "eader"),
    ],
)
def test_damage_is_found_and_mended(folder, damage, reason):
    names = [f"some/{i}.png" for i in range(7)]
    expected = paired(folder).cache_hints(Counting())(names)
    (path,) = stored(folder)
    damage(path)
    encoder = Counting()
    with pytest.warns(UserWarning, match=rf"(?s){path.name} cannot be used \(.*({reason}).*; it is removed"):
        hints = paired(folder).cache_hints(encoder)
    assert encoder.count == 7
    assert torch.equal(hints(names), expected)
    assert len(stored(folder)) == 1


def test_a_foreign_block_is_not_believed(folder):
    paired(folder).cache_hints(Counting(3.0))
    (foreign,) = stored(folder)
    expected = paired(folder).cache_hints(Counting(), half=True)(["some/1.png"])
    (place,) = [path.parent for path in stored(folder) if path.parent != foreign.parent]
    shutil.copy(foreign, place / "block-0000.safetensors")
    with pytest.warns(UserWarning, match=r"block-0000.* \(it says another fingerprint and dtype\); it is removed"):
        found = paired(folder).cache_hints(Counting(), half=True)(["some/1.png"])
    assert torch.equal(found, expected)
    assert not (place / "block-0000.safetensors").exists()


def test_what_the_disk_refuses_is_not_removed(folder):
    paired(folder).cache_hints(Counting())
    (path,) = stored(folder)
    kept = path.with_name("block-folder.safetensors")
    kept.mkdir()
    os.umask(mask := os.umask(0))
    assert path.stat().st_mode & 0o777 == 0o666 & ~mask  # others may read it as they may read the pictures
    encoder = Counting()
    with pytest.warns(UserWarning, match=r"block-folder.safetensors cannot be read \(Is a directory\)"):
        paired(folder).cache_hints(encoder)
    assert encoder.count == 0
    assert kept.exists()


def paintings(count: int, width: int = 4) -> Paintings:
    return Paintings(
        count, lambda i: f"{i}.png", lambda i: "same", lambda i: torch.full((3, 2, width), i / 100), "numbers"
    )


@pytest.mark.parametrize("seen", [0, 5, 9])
def test_a_killed_run_goes_on_where_it_stopped(tmp_path, seen):
    with pytest.raises(KeyboardInterrupt):
        cache_hints(paintings(10), Counting(dies_after=seen), tmp_path, batch_size=1, block=3)
    assert len(stored(tmp_path)) == seen // 3
    encoder = Counting()
    hints = cache_hints(paintings(10), encoder, tmp_path, batch_size=1, block=3)
    assert encoder.count == 10 - seen // 3 * 3
    assert_close(hints([f"{i}.png" for i in range(10)])[:, 0], torch.arange(10) / 100, 1e-6)


def test_what_a_kill_left_is_removed_when_it_is_old(tmp_path):
    cache_hints(paintings(2), Counting(), tmp_path)
    (place,) = tmp_path.glob("hints-*")
    for name, age in ((".unfinished-old", 7200), (".unfinished-new", 0)):
        (place / name).mkdir()
        (place / name / "block.safetensors").write_bytes(b"half")
        now = (place / name).stat().st_mtime
        os.utime(place / name, (now - age, now - age))
    cache_hints(paintings(3), Counting(), tmp_path)
    assert [path.name for path in place.glob(".*")] == [".unfinished-new"]


def test_many_blocks_and_batches(tmp_path):
    expected = cache_hints(paintings(50), Counting(), tmp_path / "one")
    names = [f"{i}.png" for i in torch.randperm(50).tolist()]
    encoder = Counting()
    hints = cache_hints(paintings(50), encoder, tmp_path / "many", batch_size=3, block=7)
    assert len(stored(tmp_path / "many")) == 8
    assert max(encoder.batches) == (3, 3, 2, 4)
    assert_close(hints(names), expected(names), 1e-6)


def test_float16(folder):
    names = [f"some/{i}.png" for i in range(7)]
    whole = paired(folder).cache_hints(Counting())(names)
    encoder = Counting()
    hints = paired(folder).cache_hints(encoder, half=True)
    assert encoder.count == 7
    assert hints(names).dtype == torch.float32
    assert torch.equal(hints(names), whole.half().float())
    (half,) = [path for path in stored(folder) if "-half-" in path.parent.name]
    (single,) = [path for path in stored(folder) if "-half-" not in path.parent.name]
    assert single.stat().st_size - half.stat().st_size >= 7 * DIM * 2 - 64  # headers differ a little


def test_what_is_not_finite_is_refused(tmp_path):
    huge = Counting(1e9)
    with pytest.raises(ValueError, match=r"hint of 1.png is not finite in float16; use half=False"):
        cache_hints(paintings(2), huge, tmp_path, half=True)
    cache_hints(paintings(2), huge, tmp_path)
    with pytest.raises(ValueError, match=r"hint of 0.png is not finite in float32; check the weights"):
        cache_hints(paintings(2), Counting(float("nan")), tmp_path)
    assert len(stored(tmp_path)) == 1


# Where they are kept


def test_own_folder(folder, tmp_path):
    paired(folder).cache_hints(Counting(), hint_folder=tmp_path / "elsewhere")
    assert stored(tmp_path / "elsewhere")
    assert not (folder / ".sketchgan").exists()


def unwritable(monkeypatch, *prefixes):
    temporary = sketchgan.data.hint_cache.tempfile.TemporaryFile

    def refuse(dir):
        if str(dir).startswith(prefixes):
            raise PermissionError(13, "Permission denied")
        return temporary(dir=dir)

    monkeypatch.setattr("sketchgan.data.hint_cache.tempfile.TemporaryFile", refuse)


def test_data_that_cannot_be_written_to(folder, home, monkeypatch):
    unwritable(monkeypatch, str(folder))
    paired(folder).cache_hints(Counting())
    assert not stored(folder)
    assert len(stored(home)) == 1
    assert stored(home)[0].parent.parent.name.startswith("pictures-")
    encoder = Counting()
    paired(folder).cache_hints(encoder)
    assert encoder.count == 0


def test_a_complete_cache_that_cannot_be_written_to_is_read(folder, home, monkeypatch):
    paired(folder).cache_hints(Counting())
    unwritable(monkeypatch, str(folder))
    os.utime(folder / "trainB/some/1.png", ns=(1, 1))
    encoder = Counting()
    paired(folder).cache_hints(encoder)
    assert encoder.count == 1  # the others are read where they are
    assert len(stored(home)) == 1


def test_nowhere_to_write(folder, home, monkeypatch):
    unwritable(monkeypatch, str(folder), str(home))
    with pytest.raises(PermissionError, match=r"\.sketchgan.*Permission denied; .*; give a hint_folder that can be"):
        paired(folder).cache_hints(Counting())


def test_full_disk(tmp_path, monkeypatch):
    monkeypatch.setattr("sketchgan.data.hint_cache.shutil.disk_usage", lambda path: shutil._ntuple_diskusage(9, 9, 10))
    with pytest.raises(OSError, match=r"has 0.0 GB left, and the next style hints need .* give another hint_folder"):
        cache_hints(paintings(2), Counting(), tmp_path)


# Which data


def test_side_by_side_and_swapped(tmp_path):
    root = tmp_path / "pairs"
    for i in range(4):
        paint(root / "train" / f"{i}.png", (24, 10))
    one = PairedFolders(root, load_size=8, crop_size=6)
    other = PairedFolders(root, load_size=8, crop_size=6, direction="BtoA")
    halves = one.cache_hints(Counting()), other.cache_hints(Counting())
    used = one.dataset("train").sources[0][1]
    assert len(halves[0]) == len(used) == 3
    for i in range(3):
        whole = to_tensor(read_picture(root / "train" / used.name(i)))
        for hints, half in zip(halves, (whole[..., 12:], whole[..., :12]), strict=True):
            assert_close(hints([used.name(i)])[0], Counting()(half[None])[0], 1e-6)


def test_unpaired_and_grey(folder):
    data = UnpairedFolders(folder, load_size=8, crop_size=6, channels_a=1, channels_b=1)
    hints = data.cache_hints(Counting())
    grey = read_picture(folder / "trainB/some/3.png").convert("L").convert("RGB")
    assert_close(hints(["some/3.png"])[0], Counting()(to_tensor(grey)[None])[0], 1e-6)
    encoder = Counting()
    swapped = UnpairedFolders(folder, load_size=8, crop_size=6, direction="BtoA").cache_hints(encoder)
    assert encoder.count == 7
    assert_close(swapped(["some/3.jpg"])[0], of_file(folder / "trainA/some/3.jpg"), 1e-6)


def test_two_roots(tmp_path):
    for i in range(3):
        paint(tmp_path / "lines/train/cat" / f"{i}.png")
        paint(tmp_path / "photos/train/cat" / f"{i}.png")
        paint(tmp_path / "photos/train/dog" / f"{i}.png")
    data = OpenDomainFolders(sketches=tmp_path / "lines", photos=tmp_path / "photos", load_size=8, crop_size=6)
    hints = data.cache_hints(Counting())
    names = data.dataset("train").sources[1][1]
    assert_close(hints([names.name(0)])[0], of_file(tmp_path / "photos/train" / names.name(0)), 1e-6)
    assert stored(tmp_path / "photos")


@pytest.mark.parametrize("lines", [(), ("line", "line_xdog")])
def test_paintings_and_lines(tmp_path, lines):
    root = tmp_path / "paintings"
    for split in ("train", "val"):
        for i in range(4):
            for place in ("paint", *lines):
                paint(root / split / place / f"{i}.png")
    data = PaintingFolders(root, None if lines else "dilation", load_size=8, crop_size=6)
    encoder = Counting()
    hints = data.cache_hints(encoder)
    assert encoder.count == 4
    for batch in data.train_dataloader():
        (name,) = batch["B_path"]
        assert_close(hints([name])[0], of_file(root / "train" / "paint" / name), 1e-6)


@pytest.mark.parametrize("settings", [{}, {"paired": False}, {"direction": "BtoA"}])
def test_openmoji(home, settings):
    data = OpenMoji(groups=["activities"], batch_size=4, augment=False, **settings)
    encoder = Counting()
    hints = data.cache_hints(encoder)
    assert encoder.count == len(hints) == len(data.dataset("train"))
    for batch in data.train_dataloader():
        assert_close(hints(batch["B_path"]), Counting()(batch["B"]), 1e-6)
    assert stored(home)
    data.cache_hints(encoder)
    assert encoder.count == len(hints)
    more = Counting()
    wider = OpenMoji(groups=["activities", "people-body"], **settings)
    wider.cache_hints(more)
    assert more.count == len(wider.dataset("train")) - len(hints)


def test_augmentation_changes_nothing():
    plain, moved = (OpenMoji(groups=["activities"], augment=augment) for augment in (False, True))
    names = next(iter(plain.train_dataloader()))["B_path"]
    encoder = Counting()
    assert torch.equal(plain.cache_hints(encoder)(names), moved.cache_hints(encoder)(names))
    assert encoder.count == len(plain.dataset("train"))


def test_colours_that_are_drawn_anew():
    data = OpenMoji(recolour=0.5)
    with pytest.raises(ValueError, match=r"recolour=0.5 draws the colours .*; use cache_hints=False, or recolour=0"):
        data.cache_hints(Counting())


def test_data_without_files():
    with pytest.raises(ValueError, match="Mixture does not say which files its paintings are, .*use cache_hints=False"):
        Mixture(OpenMojiSketches()).cache_hints(Counting())


def test_a_picture_that_cannot_be_read_is_named(folder):
    (folder / "trainB/some/4.png").write_bytes(b"no picture")
    with pytest.raises(PictureError, match=r"trainB/some/4.png cannot be read"):
        paired(folder, check_images=False).cache_hints(Counting())
    data = paired(folder, on_bad_image="skip")
    with pytest.warns(UserWarning, match="left out"):
        hints = data.cache_hints(Counting())
    assert len(hints) == 6


def test_wrong_numbers(tmp_path):
    with pytest.raises(ValueError, match="batch_size and block must be at least 1, got 0 and 512"):
        cache_hints(paintings(2), Counting(), tmp_path, batch_size=0)
    with pytest.raises(ValueError, match="there are no paintings"):
        cache_hints(paintings(0), Counting(), tmp_path)


def test_a_picture_costs_sixteen_bytes(tmp_path):
    hints = cache_hints(paintings(300), Counting(), tmp_path)
    assert sum(value.nbytes for value in vars(hints).values() if isinstance(value, np.ndarray)) <= 16 * 300 + 64
    assert all(isinstance(vectors, np.memmap) for vectors in hints._vectors)


# Several processes, as threads that meet as processes do


class Together:
    """Runs a function in several threads, and stands in for the gathering of objects between processes."""

    def __init__(self, world: int, monkeypatch) -> None:
        self.world = world
        self.barrier = threading.Barrier(world, timeout=20)
        self.slots = [None] * world
        self.rank = threading.local()
        monkeypatch.setattr("torch.distributed.all_gather_object", self.gather)

    def gather(self, every, mine) -> None:
        self.slots[self.rank.number] = mine
        self.barrier.wait()
        every[:] = self.slots
        self.barrier.wait()

    def run(self, work) -> list:
        def of(rank):
            self.rank.number = rank
            try:
                return work(rank)
            except Exception as error:
                return error

        with ThreadPoolExecutor(self.world) as threads:
            return list(threads.map(of, range(self.world)))


def test_processes_share_the_work(tmp_path, monkeypatch):
    encoders = [Counting() for _ in range(3)]
    together = Together(3, monkeypatch)
    names = [f"{i}.png" for i in range(20)]

    def work(rank):
        return cache_hints(paintings(20), encoders[rank], tmp_path, world=(3, rank), block=2)(names)

    first = together.run(work)
    assert [encoder.count for encoder in encoders] == [7, 7, 6]
    assert len(stored(tmp_path)) == 4 + 4 + 3
    for hints in first:
        assert_close(hints[:, 0], torch.arange(20) / 100, 1e-6)
    again = together.run(work)
    assert [encoder.count for encoder in encoders] == [7, 7, 6]
    assert all(torch.equal(hints, first[0]) for hints in again)


@pytest.mark.parametrize("fails_at", [0, 3])
def test_if_one_process_fails_all_stop(tmp_path, monkeypatch, fails_at):
    def work(rank):
        encoder = Counting()
        if rank == 1:
            encode = encoder.encode

            def fail(pictures):
                if encoder.count >= fails_at:
                    raise RuntimeError("out of memory")
                return encode(pictures)

            encoder.encode = fail
        return cache_hints(paintings(20), encoder, tmp_path, batch_size=1, world=(2, rank), block=2)

    other, failed = Together(2, monkeypatch).run(work)
    assert str(failed) == "out of memory"
    assert str(other) == "process 1 failed: RuntimeError: out of memory"


def test_if_one_process_has_no_weights_all_stop(tmp_path, monkeypatch):
    def work(rank):
        encoder = style_encoder("vgg19", "gone.pth") if rank else Counting()
        return cache_hints(paintings(4), encoder, tmp_path, world=(2, rank))

    other, failed = Together(2, monkeypatch).run(work)
    assert isinstance(failed, FileNotFoundError)
    assert str(other).startswith("process 1 failed: FileNotFoundError: no weights gone.pth")


def test_processes_with_a_disk_each(tmp_path, monkeypatch):
    encoders = [Counting(), Counting()]

    def work(rank):
        return cache_hints(paintings(9), encoders[rank], tmp_path / str(rank), world=(2, rank), block=2)

    for hints in Together(2, monkeypatch).run(work):
        assert_close(hints([f"{i}.png" for i in range(9)])[:, 0], torch.arange(9) / 100, 1e-6)
    assert [encoder.count for encoder in encoders] == [9, 9]


def test_two_names_of_one_hash(tmp_path, monkeypatch):
    monkeypatch.setattr("sketchgan.data.hint_cache.hashes", lambda texts: hashes(text[-5] for text in texts))
    with pytest.raises(ValueError, match=r"the hash of \d+.png is that of \d+.png; rename one of them"):
        cache_hints(paintings(12), Counting(), tmp_path)
