"""Every sketch in every style."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from lightning.pytorch.loggers import TensorBoardLogger
from PIL import Image
from styled import Tinted, Tints
from torch.utils.data import DataLoader
from training import quiet_trainer

from sketchgan import Pix2Pix, Style2Paints
from sketchgan.callbacks import StyleMatrix, draw_style_matrix, paint_matrix
from sketchgan.cli import run
from sketchgan.data import OpenMoji
from sketchgan.data.transforms import to_uint8
from sketchgan.metrics import matrix_effects
from sketchgan.networks import PatchDiscriminator, Style2PaintsDiscriminator, Style2PaintsGenerator, UNetGenerator

LEFT, STEP = 58, 18  # of a grid of 16 px: the names' margin, and from one picture to the next


def validate(module, data, callback, **kwargs):
    return quiet_trainer(callbacks=[callback], **kwargs).validate(module, data, verbose=False)[0]


def cell(grid, row, column):
    """Pixels of a picture of the grid, as uint8 ``(C, H, W)``."""
    left, top = LEFT + column * STEP, row * STEP
    return torch.from_numpy(np.array(grid.crop((left, top, left + 16, top + 16)))).permute(2, 0, 1)


def style2paints(**kwargs):
    torch.manual_seed(0)
    return Style2Paints(
        Style2PaintsGenerator(hint_dim=512, ngf=2, mid=16),
        Style2PaintsDiscriminator(outputs=512, ndf=2, pool=1),
        **{"style": "palette", "adv_schedule": "style", "n_epochs": 1, "n_epochs_decay": 0, **kwargs},
    )


def test_rows_are_sketches_and_columns_styles_from_all_over_the_set():
    data, module = Tints(count=16), Tinted()
    callback = StyleMatrix(sketches=4, styles=2)
    logged = validate(module, data, callback)
    grid = Image.open(callback.latest)
    assert grid.size == (LEFT + 3 * STEP, 5 * STEP)
    sketches, styles = data.sketches[[1, 5, 9, 13]], data.paintings[[6, 14]]
    for row, sketch in enumerate(sketches, 1):
        assert torch.equal(cell(grid, row, 0), to_uint8(sketch).expand(3, -1, -1))
        for column, style in enumerate(styles, 1):
            assert torch.equal(cell(grid, 0, column), to_uint8(style))
            made = 0.4 * sketch + 0.5 * style.mean((1, 2))[:, None, None]
            assert (cell(grid, row, column).int() - to_uint8(made).int()).abs().max() <= 1
    assert set(cell(grid, 0, 0).flatten().tolist()) == {40}
    made = 0.4 * sketches[:, None] + 0.5 * styles[None].mean((3, 4), keepdim=True)
    expected = matrix_effects(made)
    assert {f"val/matrix_{name}": pytest.approx(share, abs=1e-6) for name, share in expected.items()} == logged
    assert logged["val/matrix_style"] > 0.05
    assert logged["val/matrix_both"] == pytest.approx(0, abs=1e-6)


@pytest.mark.parametrize(("count", "batch_size"), [(13, 4), (9, 4), (9, 8), (5, 1), (4, 4), (2, 4)])
def test_places_exist_in_every_set(count, batch_size):
    seen = {}

    class Look(StyleMatrix):
        def on_validation_epoch_end(self, trainer, pl_module):
            seen.update(sketches=list(self._sketches), styles=list(self._styles))
            super().on_validation_epoch_end(trainer, pl_module)

    data = Tints(count=count, batch_size=batch_size)
    callback = Look(sketches=3, styles=4)
    validate(Tinted(), data, callback)
    for kept, pictures, wanted in ((seen["sketches"], data.sketches, 3), (seen["styles"], data.paintings, 4)):
        numbers = [next(i for i in range(count) if torch.equal(pictures[i], one)) for one in kept]
        assert len(numbers) == min(wanted, count)
        assert numbers == sorted(numbers)
        assert numbers[0] < count / 3
        assert numbers[-1] >= count / 2
        assert all(one.untyped_storage().nbytes() == one.nbytes for one in kept)  # and not of its whole batch
    assert callback.latest.is_file()


def test_the_same_samples_every_time_to_file_and_logger_and_training_does_not_notice(tmp_path):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    weights = []
    for callbacks in ([], [StyleMatrix(2, 3)]):
        torch.manual_seed(0)
        module = Tinted()
        run = quiet_trainer(callbacks=callbacks, max_epochs=2, logger=TensorBoardLogger(tmp_path))
        run.fit(module, Tints())
        weights.append([module.scale.weight.item(), torch.rand(1).item()])
    assert weights[0] == weights[1]
    folder = Path(run.log_dir) / "styles"
    assert sorted(path.name for path in folder.iterdir()) == ["epoch=000.png", "epoch=001.png", "latest.png"]
    first, second = (Image.open(folder / f"epoch=00{i}.png") for i in (0, 1))
    for column in (1, 2, 3):
        assert torch.equal(cell(first, 0, column), cell(second, 0, column))
    assert torch.equal(cell(first, 1, 0), cell(second, 1, 0))
    assert not torch.equal(cell(first, 1, 1), cell(second, 1, 1))
    events = EventAccumulator(str(folder.parent), size_guidance={"images": 0}).Reload()
    assert [image.step for image in events.Images("styles")] == [3, 6]
    assert "val/matrix_style" in events.Tags()["scalars"]


def test_styles_that_samples_bring_are_taken_before_their_paintings():
    data, callback = Tints(count=8, given=True), StyleMatrix(2, 2, folder="here")
    validate(Tinted(), data, callback)
    assert callback.latest == Path("here/latest.png")
    grid = Image.open(callback.latest)
    shown = cell(grid, 0, 1)  # 8x24, shrunk to 5x16
    assert torch.equal(shown[:, :5, :16], to_uint8(data.styles[3][:, :1, :1]).expand(-1, 5, 16))
    assert set(shown[:, 6:].flatten().tolist()) == {40}


def test_sketches_of_all_sizes_are_drawn():
    class Sizes(Tints):
        def dataset(self, split):
            return [{"A": side["A"][..., : 7 + i, :], "B": side["B"]} for i, side in enumerate(super().dataset(split))]

    callback = StyleMatrix(3, 2)
    logged = validate(Tinted(), Sizes(count=6, batch_size=1), callback)
    assert Image.open(callback.latest).height == 4 * (11 + 2)  # of sketches 0, 2 and 4
    assert sum(logged[f"val/matrix_{name}"] for name in ("sketch", "style", "both")) == pytest.approx(1)


def test_without_training_in_evaluation_mode_and_modes_as_before():
    module = style2paints().train()
    module.generator.enc.eval()
    sketches = [torch.rand(1, 40, 70) * 2 - 1, torch.rand(3, 64, 64) * 2 - 1]
    styles = [torch.rand(3, 20, 50) * 2 - 1, -torch.rand(3, 100, 100)]
    statistics = module.generator.mid_norm.running_mean.clone()
    cells = paint_matrix(module, sketches, styles)
    assert [tuple(pictures.shape) for pictures in cells] == [(2, 3, 40, 70), (2, 3, 64, 64)]
    assert torch.equal(statistics, module.generator.mid_norm.running_mean)
    assert module.training
    assert module.generator.training
    assert not module.generator.enc[0].training
    grid = draw_style_matrix(module, sketches, styles)
    assert grid.size == (LEFT + 3 * 72, 3 * 66)
    module.eval()
    with torch.no_grad():
        alone = module(sketches[1][None], module.encode_style(styles[1][None]))[0]
    assert torch.allclose(cells[1][1], alone, atol=1e-5)
    assert not cells[0].requires_grad


def test_own_modules_are_painted_with_in_evaluation_mode_too():
    seen = []

    class Watched(Tinted):
        def forward(self, a, hint):
            seen.append((self.training, self.scale.training, torch.is_grad_enabled()))
            return super().forward(a, hint)

    paint_matrix(module := Watched().train(), [torch.zeros(1, 16, 16)], [torch.zeros(3, 4, 4)])
    assert seen == [(False, False, False)]
    assert module.scale.training


def test_an_untrained_style2paints_already_differs_by_style(tmp_path):
    callback = StyleMatrix(2, 2)
    run = quiet_trainer(callbacks=[callback], max_epochs=1, limit_train_batches=1, limit_val_batches=2)
    run.fit(style2paints(), OpenMoji(image_size=32, batch_size=4))
    shares = {name: run.callback_metrics[f"val/matrix_{name}"].item() for name in ("sketch", "style", "both")}
    assert min(shares["style"], shares["sketch"]) > 0
    assert sum(shares.values()) == pytest.approx(1, abs=1e-5)
    assert callback.latest.is_file()


def test_nothing_is_written_in_a_dry_run():
    callback = StyleMatrix(2, 2, folder="here")
    quiet_trainer(callbacks=[callback], fast_dev_run=True).fit(Tinted(), Tints())
    assert callback.latest is None
    assert not Path("here").exists()


def test_what_has_no_styles_is_refused_before_training():
    plain = Pix2Pix(UNetGenerator(num_downs=5, ngf=2), PatchDiscriminator(6, ndf=2, n_layers=1))
    with pytest.raises(ValueError, match=r"a matrix of styles needs a module that takes them .*, which Pix2Pix does"):
        quiet_trainer(callbacks=[StyleMatrix()], max_epochs=1).fit(plain, OpenMoji(image_size=32))
    with pytest.raises(ValueError, match="a matrix of styles needs a module"):
        draw_style_matrix(plain, [torch.zeros(1, 32, 32)], [torch.zeros(3, 32, 32)])
    for wrong in ("sketches", "styles"):
        with pytest.raises(ValueError, match=f"{wrong} must be at least 2, got 1"):
            StyleMatrix(**{wrong: 1})

    class Endless(torch.utils.data.IterableDataset):
        def __iter__(self):
            yield {"A": torch.zeros(1, 16, 16), "B": torch.zeros(3, 16, 16)}

    run = quiet_trainer(callbacks=[StyleMatrix()])
    with pytest.raises(ValueError, match=r"whose length is unknown; set the\s+trainer's limit_val_batches"):
        run.validate(Tinted(), DataLoader(Endless()), verbose=False)

    class Bare(Tinted):
        def sample(self, batch):
            return {"real_A": batch["A"]}

    with pytest.raises(ValueError, match="takes styles from style or B of the validation data, which has neither"):
        run.validate(Bare(), DataLoader([{"A": torch.zeros(1, 16, 16)}]), verbose=False)


def test_a_recipe_adds_matrix_alarm_and_scores(tmp_path):
    config = {
        "model": {
            "class_path": "sketchgan.Style2Paints",
            "init_args": {
                "generator": {
                    "class_path": "sketchgan.networks.Style2PaintsGenerator",
                    "init_args": {"hint_dim": 512, "ngf": 2, "mid": 16},
                },
                "discriminator": {
                    "class_path": "sketchgan.networks.Style2PaintsDiscriminator",
                    "init_args": {"outputs": 512, "ndf": 2, "pool": 1},
                },
                **{"style": "palette", "adv_schedule": "style", "n_epochs": 1, "n_epochs_decay": 0},
            },
        },
        "data": {"class_path": "sketchgan.data.OpenMoji", "init_args": {"image_size": 32, "batch_size": 4}},
        "trainer": {
            "max_epochs": 1,
            "callbacks": [
                {"class_path": "sketchgan.callbacks.StyleMatrix", "init_args": {"sketches": 3, "styles": 2}},
                {"class_path": "sketchgan.callbacks.HintAlarm"},
            ],
            **{"accelerator": "cpu", "enable_progress_bar": False, "enable_model_summary": False},
            **{"limit_train_batches": 1, "limit_val_batches": 2, "num_sanity_val_steps": 0},
        },
        "metrics": {"scores": ["l1", "hint_effect", "style_similarity", "palette_distance"]},
        "checkpoint": {"monitor": "val/matrix_style", "mode": "max"},
    }
    Path("styles.yaml").write_text(yaml.safe_dump(config))
    cli = run(["fit", "--config", "styles.yaml"])
    folder = tmp_path / "runs" / "styles" / "version_0"
    assert Image.open(folder / "styles" / "latest.png").size == (LEFT + 3 * 34, 4 * 34)
    scored = {json.loads(line)["score"] for line in (folder / "scores.jsonl").read_text().splitlines()}
    assert {"val/hint_effect", "val/style_similarity", "val/palette_distance_own"} < scored
    assert cli.trainer.checkpoint_callback.best_model_score > 0
