import random

import numpy as np
import pytest
import torch
import yaml
from jsonargparse import ArgumentParser
from lightning import Trainer
from PIL import Image

from sketchgan import Pix2Pix
from sketchgan.data import PaintingFolders, PictureError, TranslationData, XDoG, high_pass_lines
from sketchgan.data.paintings import LineJitter
from sketchgan.data.transforms import to_tensor
from sketchgan.networks import style_encoder

SIZES = {"load_size": 18, "crop_size": 16, "val_fraction": 0.25}


def save(path, level, size=(20, 20), mode="RGB"):
    """One grey level with a white corner."""
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.full((size[1], size[0]), level, np.uint8)
    pixels[: size[1] // 2, : size[0] // 2] = 255
    Image.fromarray(pixels).convert(mode).save(path)


def tree(root, splits=("train", "val", "test"), lines=("line",), count=4):
    """Paintings in levels from 100, lines in levels from 0 and 50 on."""
    for s, split in enumerate(splits):
        for i in range(count):
            save(root / split / "paint" / f"{i}.bmp", 100 + 10 * s + i)
            for number, name in enumerate(lines):
                save(root / split / name / f"{i}.png", 50 * number + 10 * s + i, mode="L")
    return root


def level(image):
    return round((image[0, -1, -1].item() + 1) * 127.5)


def test_lines_and_paintings_of_a_name_are_pairs(tmp_path):
    data = PaintingFolders(tree(tmp_path), **SIZES)
    assert data.paired
    for s, split in enumerate(("train", "val", "test")):
        dataset = data.dataset(split)
        assert len(dataset) == 4
        for i in range(4):
            sample = dataset[(0, i) if split == "train" else i]
            assert (level(sample["A"]), level(sample["B"])) == (10 * s + i, 100 + 10 * s + i)
            assert sample["A"].shape == (1, 16, 16)
            assert sample["B"].shape == (3, 16, 16)
            assert (sample["A_path"], sample["B_path"]) == (f"{i}.png", f"{i}.bmp")
            assert ((sample["A"][0] == 1) == (sample["B"][0] == 1)).all()  # one draw of crop and mirroring
    assert data.state_dict()["channels_a"] == 1
    assert data.state_dict()["preprocess"]["crop_size"] == 16
    assert set(data.dataset("val")[0]) >= {"A_name", "B_name", "A_size", "B_size"}


def test_without_splits_some_are_held_out(tmp_path):
    tree(tmp_path, splits=(".",), count=8)
    data = PaintingFolders(tmp_path, **SIZES)
    names = {
        split: {data.dataset(split)[i]["B_path"] for i in range(len(data.dataset(split)))} for split in ("train", "val")
    }
    assert len(names["val"]) == 2
    assert len(names["train"] | names["val"]) == 8
    assert {data.dataset("test")[i]["B_path"] for i in range(2)} == names["val"]


def test_of_several_drawings_training_draws_one_and_evaluation_takes_the_first(tmp_path):
    tree(tmp_path, lines=("line", "line_xdog", "line_by_hand"))
    (tmp_path / "train" / "lineage").mkdir()  # no folder of lines
    data = PaintingFolders(tmp_path, flip=False, preprocess="resize_and_crop", load_size=16, crop_size=16)
    dataset = data.dataset("train")
    drawn = [[level(dataset[(epoch, i)]["A"]) for epoch in range(60)] for i in range(4)]
    for i, levels in enumerate(drawn):
        assert {*levels} == {i, 50 + i, 100 + i}
        assert min(map(levels.count, {*levels})) > 8
    assert drawn[0] != [value - 1 for value in drawn[1]]
    for split, base in (("val", 10), ("test", 20)):
        assert [level(data.dataset(split)[i]["A"]) for i in range(4)] == [base + i for i in range(4)]
    alone = PaintingFolders(tree(tmp_path / "other", lines=("line_z", "line_b")), **SIZES)
    assert level(alone.dataset("val")[0]["A"]) == 60  # by name


@pytest.mark.parametrize("settings", [{}, {"extractor": "xdog"}], ids=["folders", "extractor"])
def test_samples_follow_from_seed_epoch_and_index_and_resume(tmp_path, settings):
    tree(tmp_path, splits=("train",), lines=() if settings else ("line", "line_2"), count=12)
    settings = {**settings, **SIZES, "line_intensity": 0.5, "line_thickness": 2.0, "batch_size": 2}

    def loader(workers):
        loader = PaintingFolders(tmp_path, num_workers=workers, **settings).train_dataloader()
        loader.sampler.set_epoch(2)
        return loader

    whole = loader(0)
    batches = iter(whole)
    first = next(batches)
    resumed = loader(2)
    resumed.load_state_dict(whole.state_dict())
    rest = list(zip(batches, resumed, strict=True))
    assert len(rest) == 3
    for a, b in rest:
        assert a["B_path"] == b["B_path"]
        assert torch.equal(a["A"], b["A"])
        assert torch.equal(a["B"], b["B"])
    other = PaintingFolders(tmp_path, seed=1, **settings).train_dataloader()
    assert next(iter(other))["B_path"] != first["B_path"]


def test_jitter_makes_other_pens_in_training_only(tmp_path):
    tree(tmp_path)
    for settings in ({"line_intensity": 0.9}, {"line_thickness": 3.0}):
        data = PaintingFolders(tmp_path, flip=False, **SIZES, **settings)
        plain = PaintingFolders(tmp_path, flip=False, **SIZES)
        differ = [
            not torch.equal(data.dataset("train")[(0, i)]["A"], plain.dataset("train")[(0, i)]["A"]) for i in range(4)
        ]
        assert all(differ)
        assert torch.equal(data.dataset("train")[(0, 0)]["B"], plain.dataset("train")[(0, 0)]["B"])
        assert torch.equal(data.dataset("val")[0]["A"], plain.dataset("val")[0]["A"])


def test_jitter_by_hand():
    lines = torch.ones(1, 5, 5)
    lines[0, 2, 2] = -1
    assert LineJitter.apply(lines, 0.25, 0.0)[0, 2].tolist() == [1, 1, 0.5, 1, 1]
    assert LineJitter.apply(lines, 1.0, 1.0)[0, 1].tolist() == [1, -1, -1, -1, 1]
    assert LineJitter.apply(lines, 1.0, 0.25)[0, 1].tolist() == [1, 0.5, 0.5, 0.5, 1]
    draws = [LineJitter(0.4, 2.0).make_params(random.Random(i)) for i in range(200)]
    factors, thicknesses = zip(*draws, strict=True)
    assert 0.6 <= min(factors) < 0.65 < 0.95 < max(factors) <= 1
    assert 0 <= min(thicknesses) < 0.2 < 1.8 < max(thicknesses) <= 2


def test_an_extractor_draws_where_there_are_no_lines(tmp_path):
    tree(tmp_path, splits=("val",))
    tree(tmp_path, splits=("train",), lines=())
    own = PaintingFolders(tmp_path, extractor=high_pass_lines, channels_a=3, **SIZES)
    sample = own.dataset("train")[(0, 1)]
    assert sample["A"].shape == (3, 16, 16)
    assert torch.equal(sample["A"], high_pass_lines(sample["B"][None])[0].expand(3, -1, -1))
    assert sample["A_path"] == sample["B_path"] == "1.bmp"
    assert level(own.dataset("val")[0]["A"]) == 0  # from the folder
    named = PaintingFolders(tmp_path, extractor="xdog", **SIZES).dataset("train")[(0, 1)]
    assert torch.equal(named["A"], XDoG()(named["B"][None])[0])
    evaluated = PaintingFolders(tree(tmp_path / "two", lines=()), extractor="dilation", **SIZES).dataset("val")[1]
    assert evaluated["A_name"] == evaluated["B_name"] == "1.bmp"
    assert evaluated["A_size"].tolist() == [20, 20]


def test_a_checkpoint_holds_plain_values_and_says_how_to_prepare_a_sketch(tmp_path):
    tree(tmp_path, lines=())
    data = PaintingFolders(
        tmp_path, extractor=high_pass_lines, batch_size=2, channels_a=3, load_size=256, crop_size=256
    )
    assert data.hparams["extractor"] == "high_pass_lines"
    assert data.hparams["root"] == str(tmp_path)
    module = Pix2Pix(torch.nn.Conv2d(3, 3, 1), torch.nn.Conv2d(6, 1, 4, 2))
    trainer = Trainer(
        max_epochs=1, limit_train_batches=1, limit_val_batches=1, logger=False, enable_progress_bar=False,
        enable_model_summary=False, default_root_dir=tmp_path, accelerator="cpu",
    )  # fmt: skip
    trainer.fit(module, data)
    trainer.save_checkpoint(tmp_path / "x.ckpt")
    stored = torch.load(tmp_path / "x.ckpt", weights_only=True)
    assert stored["PaintingFolders"]["channels_a"] == 3
    assert stored["PaintingFolders"]["preprocess"]["load_size"] == 256


@pytest.mark.parametrize("lines", [("line", "line_2"), ()], ids=["folders", "extractor"])
def test_style_hints_are_those_of_the_whole_paintings(tmp_path, lines):
    tree(tmp_path, lines=lines)
    data = PaintingFolders(tmp_path, extractor=None if lines else "xdog", batch_size=2, load_size=18, crop_size=8)
    encoder = style_encoder("palette")
    hints = data.cache_hints(encoder)
    assert len(hints) == 4
    for batch in data.train_dataloader():
        whole = [to_tensor(Image.open(tmp_path / "train/paint" / name)) for name in batch["B_path"]]
        torch.testing.assert_close(hints(batch["B_path"]), encoder(torch.stack(whole)))
    assert (
        len(PaintingFolders(tmp_path, extractor="xdog").dataset("train")) == 4
    )  # the hints are beside, not among them


def test_files_that_cannot_be_used(tmp_path):
    tree(tmp_path, lines=("line", "line_2"))
    (tmp_path / "train" / "line_2" / "1.png").write_bytes(b"no picture")
    (tmp_path / "train" / "paint" / "2.bmp").write_bytes(b"")
    with pytest.raises(PictureError, match=r"2 of 4 pictures cannot be used(.|\n)*line_2/1.png cannot be read"):
        PaintingFolders(tmp_path, **SIZES).dataset("train")
    data = PaintingFolders(tmp_path, on_bad_image="skip", **SIZES)
    with pytest.warns(UserWarning, match=r"2.bmp is empty"):
        data.dataset("train")
    assert len(data.skipped["train"]) == 2
    assert {data.dataset("train")[(e, i)]["B_path"] for e in range(9) for i in range(2)} == {"0.bmp", "3.bmp"}
    save(tmp_path / "val" / "line_2" / "3.png", 9, size=(24, 20))
    with pytest.raises(PictureError, match=r"3.png: A is 20x20 or 24x20 and B 20x20 pixels; a pair needs one size"):
        PaintingFolders(tmp_path, preprocess="native").dataset("val")


def test_missing_partners_are_listed(tmp_path):
    tree(tmp_path, lines=("line", "line_2"))
    (tmp_path / "train" / "line_2" / "1.png").unlink()
    with pytest.raises(ValueError, match=r"line_2 \(A\) and .*paint \(B\) do not match: only in B: 1"):
        PaintingFolders(tmp_path, **SIZES).dataset("train")
    save(tmp_path / "train" / "line_2" / "9.png", 9)
    with pytest.raises(ValueError, match=r"only in A: 9; only in B: 1"):
        PaintingFolders(tmp_path, **SIZES).dataset("train")


@pytest.mark.parametrize(
    ("settings", "error", "message"),
    [
        ({"line_intensity": 1.0}, ValueError, "line_intensity must be at least 0 and below 1, got 1.0"),
        ({"line_thickness": -1.0}, ValueError, "line_thickness must not be negative, got -1.0"),
        ({"extractor": "none"}, ValueError, "an extractor is high_pass, dilation, xdog"),
        ({"extractor": "xdog", "channels_a": 2}, ValueError, "draws lines of one channel .* got channels_a 2"),
        ({"extractor": "xdog", "channels_b": 1}, ValueError, "draws lines of one channel .* channels_b 1"),
        ({}, FileNotFoundError, "no folder nowhere"),
    ],
)
def test_settings_that_do_not_fit_say_so(settings, error, message):
    with pytest.raises(error, match=message):
        PaintingFolders("nowhere", **settings).setup("fit")


def test_folders_that_do_not_fit_say_so(tmp_path):
    tree(tmp_path, lines=())
    with pytest.raises(FileNotFoundError, match=r"sketchgan sketches \S+/train/paint \S+/train/line --extractor xdog"):
        PaintingFolders(tmp_path).setup("fit")
    save(tmp_path / "other" / "train" / "line" / "1.png", 0)
    with pytest.raises(FileNotFoundError, match=r"no folder \S+train/paint, where .*; \S+train holds line"):
        PaintingFolders(tmp_path / "other").setup("fit")


def test_the_command_line_takes_extractors_by_name_and_by_class(tmp_path):
    tree(tmp_path, lines=())
    parser = ArgumentParser()
    parser.add_subclass_arguments(TranslationData, "data")
    own = {"class_path": "sketchgan.data.XDoG", "init_args": {"sigma": 0.7}}
    for extractor, made in (
        ("xdog", XDoG()),
        (own, XDoG(sigma=0.7)),
        ("sketchgan.data.high_pass_lines", high_pass_lines),
    ):
        config = {"class_path": "sketchgan.data.PaintingFolders"}
        config["init_args"] = {"root": str(tmp_path), "extractor": extractor}
        parsed = parser.parse_string(yaml.safe_dump({"data": config}))
        assert parser.instantiate_classes(parsed).data.extractor == made
        saved = parser.parse_string(parser.dump(parsed))  # config.yaml, which a run is resumed with
        assert parser.instantiate_classes(saved).data.extractor == made


def test_levels_are_read_as_in_any_folder(tmp_path):
    tree(tmp_path)
    picture = Image.open(tmp_path / "val" / "paint" / "0.bmp")
    data = PaintingFolders(tmp_path, preprocess="native")
    assert torch.equal(data.dataset("val")[0]["B"], to_tensor(picture))
