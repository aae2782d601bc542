"""What every module must do: one suite over the whole zoo. One training of each serves many tests."""

import inspect
import math
import warnings
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import pytest
import torch
from lightning.pytorch import Callback, Trainer, seed_everything
from lightning.pytorch.callbacks import ModelCheckpoint
from lightning.pytorch.loggers import CSVLogger
from lightning.pytorch.plugins import MixedPrecision
from PIL import Image
from training import save
from witness import (
    BATCHES,
    EPOCHS,
    SaveAt,
    Seeded,
    Witness,
    assert_same_end,
    end_of,
    fresh,
    gradient_norm,
    same,
    trainer,
    unchanged,
    weights,
)
from zoo import SIZE, ZOO, Entry

import sketchgan
from sketchgan import GANModule
from sketchgan.callbacks import CollapseAlarm, ImageMetrics, PredictionWriter, SampleGrid
from sketchgan.data import PictureFiles, TranslationData

SCORES = ("l1", "ssim", "fid", "kid", "is", "accuracy")


@pytest.fixture(params=ZOO, scope="module")
def entry(request) -> Entry:
    return ZOO[request.param]


@pytest.fixture(params=[name for name, entry in ZOO.items() if entry.whole])
def whole_entry(request) -> Entry:
    """Modules of small networks, for what is the same in all modules and takes long."""
    return ZOO[request.param]


@pytest.fixture(params=[name for name, entry in ZOO.items() if "n_epochs" in entry.settings])
def epoch_entry(request) -> Entry:
    """Modules whose learning rate counts epochs."""
    return ZOO[request.param]


def sides(entry: Entry) -> tuple[str, str]:
    """Which side the entry translates from, and what it makes."""
    return ("A", "fake_B") if entry.way == "AtoB" else ("B", "fake_A")


# One training with everything that may look on


@dataclass
class Trained:
    """Two epochs of two batches with validation, scores, sample grids and logs."""

    module: GANModule
    data: TranslationData
    run: Trainer
    before: dict
    witness: Witness
    grid: SampleGrid
    writer: PredictionWriter
    logged: dict
    checkpoint: Path


@pytest.fixture(scope="module")
def trained(entry, tmp_path_factory) -> Trained:
    folder = tmp_path_factory.mktemp("trained")
    module, data = fresh(entry), entry.datamodule()
    before = weights(module)
    witness, grid, writer = Witness(entry.forwards), SampleGrid(count=3), PredictionWriter()
    run = trainer(
        max_epochs=EPOCHS,
        limit_val_batches=1,
        limit_test_batches=1,
        limit_predict_batches=2,
        logger=CSVLogger(folder),
        callbacks=[
            Seeded(),
            witness,
            grid,
            ImageMetrics(SCORES, features="openmoji", classifier="openmoji"),
            CollapseAlarm(),
            writer,
        ],
    )
    run.fit(module, data)
    run.save_checkpoint(folder / "end.ckpt")
    logged = dict(run.logged_metrics)
    return Trained(module, data, run, before, witness, grid, writer, logged, folder / "end.ckpt")


def test_fit_validate_test_predict(entry, trained):
    module, data, run, logged = trained.module, trained.data, trained.run, trained.logged
    assert unchanged(module, trained.before) == []
    assert module.batches_seen == EPOCHS * BATCHES
    assert set(entry.updates) <= logged.keys()
    assert all(math.isfinite(value) for value in logged.values())
    scores = [name for name in logged if name.startswith("val/")]
    assert ("val/ssim" in scores) == data.paired
    end = "" if entry.way == "AtoB" else "_a"
    assert {f"val/fid{end}", f"val/is{end}", f"val/accuracy{end}"} <= set(scores)

    picture = Image.open(trained.grid.latest)
    rows = len(module.sample(next(iter(data.val_dataloader()))))
    assert picture.height == rows * (SIZE + 2)

    assert run.validate(module, data, verbose=False)[0].keys() == set(scores)
    assert run.test(module, data, verbose=False)[0].keys() == {name.replace("val/", "test/") for name in scores}
    run.predict(module, data, return_predictions=False)
    side, made = sides(entry)
    written = trained.writer.written / made
    held_out = data.predict_dataloader()
    expected = [held_out.dataset[i][f"{side}_path"] for i in range(min(2 * held_out.batch_size, len(held_out.dataset)))]
    assert {path.name for path in written.iterdir()} == set(expected)
    assert Image.open(written / expected[0]).size == (SIZE, SIZE)


def test_forwards_per_step(entry, trained):
    """No pass is computed twice; evaluation does not run in between."""
    steps, batch_size = EPOCHS * BATCHES, trained.data.batch_size
    seen = {name: trained.witness.samples[name] / batch_size for name in entry.forwards}
    assert seen == {name: steps * number for name, number in entry.forwards.items()}
    assert trained.witness.calls == {name: steps * number for name, number in entry.calls.items()}


def test_no_gradient_is_computed_and_thrown_away(trained):
    """Right before each step, exactly that optimizer's parameters hold new gradients."""
    assert trained.witness.faults == []
    optimizers = trained.run.optimizers
    stepped = Counter(p for optimizer in optimizers for group in optimizer.param_groups for p in group["params"])
    assert [name for name, p in trained.module.named_parameters() if stepped[p] != p.requires_grad] == []
    assert len(trained.witness.norms) == EPOCHS * BATCHES * len(trained.module.optimizers())


def test_learning_rate_follows_its_curve(entry, trained):
    made = entry.build().configure_optimizers()
    groups = [optimizer.param_groups[0] for optimizer in (made[0] if isinstance(made, tuple) else made)]
    initial = [group.get("initial_lr", group["lr"]) for group in groups]
    arguments = inspect.signature(entry.cls).parameters.values()
    # An argument's default may be None, for what another argument says.
    given = {value for value in entry.settings.values() if isinstance(value, float)}
    assert set(initial) <= given | {argument.default for argument in arguments if argument.name != "self"}
    assert trained.witness.rates == [[pytest.approx(lr * rate) for lr in initial] for rate in entry.rates]


def test_round_trip(entry, trained):
    module = trained.module
    batch = next(iter(entry.datamodule(batch_size=2).val_dataloader()))
    with torch.no_grad():
        pictures = module.eval().sample(batch)
    for load in (entry.cls.load_from_checkpoint, GANModule.load_from_checkpoint, sketchgan.load):
        again = load(trained.checkpoint, **entry.networks())
        assert type(again) is entry.cls
        assert same(weights(again), weights(module)) == []
        assert dict(again.hparams) == dict(module.hparams)
    with torch.no_grad():
        assert same(again.eval().sample(batch), pictures) == []
    wanted = pytest.raises(ValueError, match=r"networks passed as objects.*pass them again: .*=\w+\(…\)")
    with torch.device("meta"), wanted:  # the default networks may have hundreds of millions of weights
        sketchgan.load(trained.checkpoint)


# The same training without validation, stopped and resumed


@pytest.fixture(scope="module")
def unbroken(entry, tmp_path_factory) -> tuple[Path, dict]:
    """Checkpoints in the middle of both epochs, and the end."""
    folder = tmp_path_factory.mktemp("unbroken")
    module = fresh(entry)
    run = trainer(max_epochs=EPOCHS, callbacks=[Seeded(), SaveAt(folder, 1, BATCHES + 1)])
    run.fit(module, entry.datamodule())
    run.save_checkpoint(folder / "end.ckpt")
    return folder, torch.load(folder / "end.ckpt", weights_only=True)


def resume(entry: Entry, point: Path, data: TranslationData, **kwargs) -> dict:
    seed_everything(99)  # what is not restored shows
    torch.rand(7)
    module, run = entry.build(), trainer(**kwargs)
    run.fit(module, data, ckpt_path=point)
    return end_of(run, module)


def test_validation_does_not_move_training(trained, unbroken):
    """Nor do scores, grids, logs and saving."""
    assert_same_end(torch.load(trained.checkpoint, weights_only=True), unbroken[1], trained.checkpoint)


def test_exact_resume(entry, unbroken):
    folder, end = unbroken
    # The checkpoint of a resumed run replaces the first run's: a second stop resumes from that.
    for point, stop in ((1, [SaveAt(folder, BATCHES + 1)]), (BATCHES + 1, [])):
        path = folder / f"{point}.ckpt"
        again = resume(entry, path, entry.datamodule(), max_epochs=EPOCHS, callbacks=stop)
        assert_same_end(again, end, path)


@pytest.mark.parametrize("workers", [0, 2])
def test_exact_resume_from_every_point(whole_entry, workers):
    """The first batch, the middle, the last batch of an epoch, and after validation: the same end an epoch later."""

    class AfterValidation(Callback):
        def on_validation_end(self, trainer, pl_module):
            if not trainer.sanity_checking and trainer.current_epoch == 0:
                trainer.save_checkpoint("val.ckpt")

    length = {"max_epochs": 3, "limit_train_batches": 3, "limit_val_batches": 1}
    data = {"num_workers": workers, "seed": 3}
    module = fresh(whole_entry)
    run = trainer(**length, callbacks=[SaveAt(Path(), 1, 2, 3, 5), AfterValidation()])
    run.fit(module, whole_entry.datamodule(**data))
    end = end_of(run, module)
    for point in ["5"] if workers else ["1", "2", "3", "val", "5"]:
        path = Path(f"{point}.ckpt")
        assert_same_end(resume(whole_entry, path, whole_entry.datamodule(**data), **length), end, path)


def test_whole_epochs_resume_exactly(whole_entry):
    """Without limit_train_batches, where the loader itself knows the epoch's end."""
    batches = len(whole_entry.datamodule(batch_size=20).train_dataloader())
    assert batches > 2
    whole = {"max_epochs": 2, "limit_train_batches": 1.0}
    module = fresh(whole_entry)
    run = trainer(**whole, callbacks=[SaveAt(Path(), batches, batches + 1)])
    run.fit(module, whole_entry.datamodule(batch_size=20))
    end = end_of(run, module)
    for point in (Path(f"{batches}.ckpt"), Path(f"{batches + 1}.ckpt")):
        assert_same_end(resume(whole_entry, point, whole_entry.datamodule(batch_size=20), **whole), end, point)


# Precision and clipping


def scaler() -> MixedPrecision:
    """What "16-mixed" does on a GPU, on the CPU."""
    return MixedPrecision("16-mixed", "cpu", scaler=torch.amp.GradScaler("cpu", init_scale=64.0))


def test_bf16_fused_and_clipped(entry):
    module = fresh(entry, fused=True, **{f"clip_{name}": 1.0 for name in entry.updates})
    short = {"limit_train_batches": 1, "limit_val_batches": 1, "num_sanity_val_steps": 0}
    run = trainer(precision="bf16-mixed", callbacks=[ImageMetrics()], **short)
    run.fit(module, entry.datamodule())
    assert set(entry.updates) <= run.logged_metrics.keys()
    assert all(math.isfinite(value) for value in run.logged_metrics.values())
    assert all(p.dtype == torch.float32 and p.isfinite().all() for p in module.parameters())


def test_fp16_scaler(entry, trained):
    """Gradients are unscaled before they are clipped."""
    witness = Witness({})
    trainer(limit_train_batches=1, plugins=[scaler()], callbacks=[Seeded(), witness]).fit(
        fresh(entry), entry.datamodule()
    )
    # Not 64 times as much; the gradients of deep networks with norms on few pixels are rough in half precision.
    assert len(witness.norms) == len(trained.module.optimizers())
    assert all(1 / 4 < one / other < 4 for one, other in zip(witness.norms, trained.witness.norms, strict=False))


def test_fused_clipped_and_scaled_is_refused():
    entry = ZOO["pix2pix"]
    with pytest.raises(ValueError, match=r'cannot be clipped with fused=True and precision="16-mixed"'):
        trainer(plugins=[scaler()]).fit(fresh(entry, fused=True, clip_g=1.0, clip_d=1.0), entry.datamodule())


@pytest.mark.parametrize(("scaled", "wanted", "expected"), [(0, None, 1), (1, None, 0), (0, False, 0), (1, True, 1)])
def test_adam_is_fused_unless_gradients_are_scaled(entry, scaled, wanted, expected):
    module = fresh(entry) if wanted is None else fresh(entry, fused=wanted)
    module.trainer = trainer(plugins=[scaler()] if scaled else [])
    made = module.configure_optimizers()
    optimizers = made[0] if isinstance(made, tuple) else made
    assert {group["fused"] for optimizer in optimizers for group in optimizer.param_groups} == {bool(expected)}


def test_clipping_limits_each_optimizer(entry):
    limits = {f"clip_{name}": 1e-3 * i for i, name in enumerate(entry.updates, 1)}
    module = fresh(entry, **limits)
    norms = []
    plain = GANModule.on_before_optimizer_step

    def measure(optimizer):
        plain(module, optimizer)
        norms.append((module.trainer.optimizers.index(optimizer), gradient_norm(optimizer)))

    module.on_before_optimizer_step = measure
    trainer(limit_train_batches=1).fit(module, entry.datamodule())
    assert [dict(norms)[i] for i in range(len(limits))] == [pytest.approx(limit, rel=1e-3) for limit in limits.values()]


# Around a training


def test_pictures_of_any_size_are_translated_under_their_names(entry, tmp_path):
    sizes = {"x/odd.png": (37, 53), "small.png": (3, 9)}
    for name, size in sizes.items():
        (tmp_path / "in" / name).parent.mkdir(parents=True, exist_ok=True)
        Image.effect_noise(size, 60).convert("RGB").save(tmp_path / "in" / name)
    writer = PredictionWriter("out")
    side, made = sides(entry)
    files = PictureFiles(["in"], side, label=0 if entry.cls.needs_labels else None)
    trainer(callbacks=[writer]).predict(fresh(entry), files, return_predictions=False)
    assert {str(path.relative_to(f"out/{made}")): Image.open(path).size for path in Path("out").rglob("*.png")} == sizes


def test_subclass_with_an_extra_loss(entry):
    class Smooth(entry.cls):
        def __init__(self, lambda_tv: float = 0.1, **kwargs):
            super().__init__(**kwargs)
            self.lambda_tv = lambda_tv

        def generator_losses(self, *tensors):
            made = tensors[-1]  # pictures, one for each of several noises, with attention, or among others
            fake_b = made[0] if type(made) is tuple else getattr(made, "image", getattr(made, "fake_b", made))
            tv = (fake_b[..., 1:] - fake_b[..., :-1]).abs().mean()
            return super().generator_losses(*tensors) | {"tv": self.lambda_tv * tv}

    globals()["Smooth"] = Smooth
    Smooth.__qualname__ = "Smooth"
    seed_everything(1)
    module = Smooth(lambda_tv=0.7, **entry.networks(), **entry.settings)
    assert module.hparams["lambda_tv"] == 0.7
    assert entry.settings.items() <= module.hparams.items()
    run = trainer(limit_train_batches=1)
    run.fit(module, entry.datamodule())
    assert run.logged_metrics["g/tv"] > 0
    run.save_checkpoint("a.ckpt")
    again = sketchgan.load("a.ckpt", **entry.networks())
    assert type(again) is Smooth
    assert again.lambda_tv == 0.7


def test_nan_stops_and_names_the_term_before_anything_is_saved(entry):
    class Poison(Callback):
        def on_train_batch_end(self, trainer, pl_module, outputs, batch, batch_idx):
            if pl_module.batches_seen == 1:
                next(pl_module.parameters()).data.fill_(float("nan"))

    checkpoint = ModelCheckpoint(dirpath="checkpoints", every_n_epochs=1, save_last=True, filename="{epoch}")
    run = trainer(
        limit_train_batches=3, callbacks=[Poison(), checkpoint], enable_checkpointing=True, log_every_n_steps=100
    )
    with pytest.raises(
        sketchgan.modules.base.NonFiniteLossError, match=r"loss [gd]/\w+ became NaN or infinite at batch 2"
    ):
        run.fit(fresh(entry), entry.datamodule())
    assert not list(Path("checkpoints").glob("*"))


def test_plateau_watches_a_score(epoch_entry):
    entry = epoch_entry
    name = "val/l1" if entry.datamodule().paired else "val/rec_a_l1"
    short = {"limit_train_batches": 1, "limit_val_batches": 1}
    module = fresh(entry, lr_policy="plateau", lr_monitor=name)
    run = trainer(**short, callbacks=[ImageMetrics()])
    run.fit(module, entry.datamodule())
    assert run.lr_scheduler_configs[0].scheduler.best == pytest.approx(run.callback_metrics[name].item())
    module = fresh(entry, lr_policy="plateau", lr_monitor="val/fid")
    with pytest.raises(ValueError, match="watches lr_monitor='val/fid', which was not logged; there are"):
        trainer(**short, callbacks=[ImageMetrics()]).fit(module, entry.datamodule())


def test_planned_epochs_are_compared(epoch_entry):
    entry = epoch_entry
    with pytest.warns(UserWarning, match="planned for 3 epochs .* max_epochs is 1"):
        trainer(limit_train_batches=1).fit(fresh(entry), entry.datamodule())
    with warnings.catch_warnings():
        warnings.filterwarnings("error", "the learning rate is planned")
        trainer(max_epochs=3, limit_train_batches=1).fit(fresh(entry), entry.datamodule())


def test_wrong_checkpoint_says_so(tmp_path):
    entry, other = ZOO["pix2pix"], ZOO["cyclegan"]
    save(fresh(other), "other.ckpt")
    with pytest.raises(ValueError, match=rf"the checkpoint holds .*{other.cls.__name__}, not .*{entry.cls.__name__}"):
        entry.cls.load_from_checkpoint("other.ckpt", **entry.networks())
    torch.save({"model.0.weight": torch.zeros(1)}, "official.pth")
    with pytest.raises(ValueError, match="official.pth was not written by a sketchgan module"):
        sketchgan.load("official.pth")
    (tmp_path / "broken.ckpt").write_bytes(b"PK broken")
    with pytest.raises(ValueError, match="broken.ckpt is cut off or damaged"):
        sketchgan.load("broken.ckpt")
    torch.save({"sketchgan": print}, "evil.ckpt")
    with pytest.raises(ValueError, match="evil.ckpt asks for print, code that weights never need"):
        sketchgan.load("evil.ckpt")
    with pytest.raises(FileNotFoundError, match="no checkpoint nowhere.ckpt"):
        sketchgan.load("nowhere.ckpt")
