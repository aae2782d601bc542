"""What every module must do: one suite over the whole zoo."""

import inspect
import math
import warnings
from pathlib import Path

import pytest
import torch
from lightning.pytorch import Callback, Trainer, seed_everything
from lightning.pytorch.callbacks import ModelCheckpoint
from lightning.pytorch.loggers import CSVLogger
from PIL import Image
from torch import nn
from training import quiet_trainer
from zoo import SIZE, ZOO, Entry

import sketchgan
from sketchgan import GANModule
from sketchgan.callbacks import CollapseAlarm, ImageMetrics, PredictionWriter, SampleGrid, Speed
from sketchgan.data import PictureFiles

BATCHES = 5


@pytest.fixture(params=ZOO)
def entry(request) -> Entry:
    return ZOO[request.param]


@pytest.fixture(params=[name for name, entry in ZOO.items() if "n_epochs" in entry.settings])
def epoch_entry(request) -> Entry:
    """Modules whose learning rate counts epochs."""
    return ZOO[request.param]


def trainer(**kwargs) -> Trainer:
    defaults = {
        "max_epochs": 2,
        "limit_train_batches": BATCHES,
        "limit_val_batches": 2,
        "log_every_n_steps": 1,
        "deterministic": True,
    }
    return quiet_trainer(**{**defaults, **kwargs})


def fresh(entry: Entry, **kwargs) -> GANModule:
    seed_everything(1)
    return entry.build(**kwargs)


def weights(module: nn.Module) -> dict:
    return {key: value.clone() for key, value in module.state_dict().items()}


def same(a: dict, b: dict) -> list[str]:
    """Names of entries that differ."""
    return [key for key in a | b if key not in a or key not in b or not torch.equal(a[key], b[key])]


def unchanged(module: nn.Module, before: dict) -> list[str]:
    """Names of trainable weights that are as they were."""
    return [k for k, v in module.named_parameters() if v.requires_grad and torch.equal(v, before[k])]


def test_fit_validate_test_predict(entry, tmp_path):
    module, data = fresh(entry), entry.datamodule()
    before = weights(module)
    grid, writer = SampleGrid(count=3), PredictionWriter()
    run = trainer(
        logger=CSVLogger(tmp_path),
        callbacks=[grid, ImageMetrics(), writer],
        limit_test_batches=2,
        limit_predict_batches=2,
    )
    run.fit(module, data)
    assert unchanged(module, before) == []
    assert module.batches_seen == 2 * BATCHES
    logged = run.logged_metrics
    assert {"g", "d"} <= logged.keys()
    assert all(math.isfinite(value) for value in logged.values())
    scores = [name for name in logged if name.startswith("val/")]
    assert ("val/ssim" in scores) == data.paired
    assert scores

    picture = Image.open(grid.latest)
    rows = len(module.sample(next(iter(data.val_dataloader()))))
    assert picture.height == rows * (SIZE + 2)

    assert run.validate(module, data, verbose=False)[0].keys() == set(scores)
    assert run.test(module, data, verbose=False)[0].keys() == {name.replace("val/", "test/") for name in scores}
    run.predict(module, data, return_predictions=False)
    names = {path.name for path in (writer.written / "fake_B").iterdir()}
    held_out = data.predict_dataloader().dataset
    expected = [held_out[i]["A_path"] for i in range(min(8, len(held_out)))]
    assert names == set(expected)
    assert Image.open(writer.written / "fake_B" / expected[0]).size == (SIZE, SIZE)


def test_forwards_per_step(entry):
    """No pass is computed twice; evaluation does not run in between."""
    module = fresh(entry)
    counts, calls = dict.fromkeys(entry.forwards, 0), dict.fromkeys(entry.forwards, 0)
    for name in counts:

        def count(m, inputs, output, name=name):
            counts[name] += len(inputs[0]) // 4
            calls[name] += 1

        getattr(module, name).register_forward_hook(count)
    trainer(max_epochs=1, limit_train_batches=2, limit_val_batches=0).fit(module, entry.datamodule())
    assert counts == {name: 2 * number for name, number in entry.forwards.items()}
    assert calls == {name: 2 * number for name, number in entry.calls.items()}


def test_no_gradient_is_computed_and_thrown_away(entry):
    """Right before each step, exactly that optimizer's parameters hold new gradients."""

    module = fresh(entry)
    held, steps = {}, []
    backward = module.manual_backward

    def remember(loss, *args, **kwargs):
        held.update({name: None if p.grad is None else p.grad.clone() for name, p in module.named_parameters()})
        backward(loss, *args, **kwargs)

    def check(optimizer):
        mine = {id(p) for group in optimizer.param_groups for p in group["params"]}
        for name, p in module.named_parameters():
            if id(p) in mine:
                assert held[name] is None, f"{name} was not cleared"
                assert p.grad is not None, f"{name} has no gradient"
            else:
                in_vain = p.grad is not None and (held[name] is None or not torch.equal(p.grad, held[name]))
                assert not in_vain, f"{name} was differentiated in vain"
        steps.append(optimizer)

    module.manual_backward = remember
    module.on_before_optimizer_step = check
    trainer(max_epochs=1, limit_train_batches=2, limit_val_batches=0).fit(module, entry.datamodule())
    assert len(steps) == 2 * len(module.optimizers())


def test_validation_does_not_move_training(entry):
    states = []
    for limit in (0, 2):
        module = fresh(entry)
        scores = ImageMetrics(("l1", "fid", "kid", "is", "accuracy"), features="openmoji", classifier="openmoji")
        run = trainer(limit_val_batches=limit, callbacks=[SampleGrid(), scores, CollapseAlarm()])
        run.fit(module, entry.datamodule())
        assert ("val/is" in run.logged_metrics) == bool(limit)
        states.append(weights(module))
    assert same(*states) == []


def test_round_trip(entry, tmp_path):
    module = fresh(entry)
    run = trainer(max_epochs=1)
    run.fit(module, entry.datamodule())
    run.save_checkpoint("a.ckpt")
    batch = next(iter(entry.datamodule().val_dataloader()))
    with torch.no_grad():
        pictures = module.eval().sample(batch)
    for load in (entry.cls.load_from_checkpoint, GANModule.load_from_checkpoint, sketchgan.load):
        again = load("a.ckpt", **entry.networks())
        assert type(again) is entry.cls
        assert same(weights(again), weights(module)) == []
        with torch.no_grad():
            assert same(again.eval().sample(batch), pictures) == []
        assert dict(again.hparams) == dict(module.hparams)
    with pytest.raises(ValueError, match=r"networks passed as objects.*pass them again: .*=\w+\(…\)"):
        sketchgan.load("a.ckpt")


class SaveAt(Callback):
    """Save after a number of batches."""

    def __init__(self, *batches: int) -> None:
        self.batches = batches

    def on_train_batch_end(self, trainer, pl_module, outputs, batch, batch_idx):
        if pl_module.batches_seen in self.batches:
            trainer.save_checkpoint(f"{pl_module.batches_seen}.ckpt")


def final_state(run: Trainer, module: GANModule) -> dict:
    run.save_checkpoint("final.ckpt")
    return torch.load("final.ckpt", weights_only=True)


@pytest.mark.parametrize("workers", [0, 2])
def test_exact_resume(entry, workers):
    """From the first batch, the middle, the last batch of an epoch, and after validation: the same end."""

    class AfterValidation(Callback):
        def on_validation_end(self, trainer, pl_module):
            if not trainer.sanity_checking and trainer.current_epoch == 0:
                trainer.save_checkpoint("val.ckpt")

    if workers and not entry.whole:
        pytest.skip("loaders are the same for all modules")
    data = {"num_workers": workers, "seed": 3}
    module = fresh(entry)
    run = trainer(max_epochs=3, callbacks=[SaveAt(1, 3, BATCHES, BATCHES + 2), AfterValidation()])
    run.fit(module, entry.datamodule(**data))
    end = final_state(run, module)

    points = (
        ["3.ckpt"]
        if not entry.whole
        else ["3.ckpt", f"{BATCHES + 2}.ckpt"]
        if workers
        else ["1.ckpt", "3.ckpt", f"{BATCHES}.ckpt", "val.ckpt", f"{BATCHES + 2}.ckpt"]
    )
    for point in points:
        seed_everything(99)  # what is not restored shows
        torch.rand(7)
        other = entry.build()
        # The checkpoint of a resumed run replaces the first run's: a second stop resumes from that.
        run = trainer(max_epochs=3, callbacks=[SaveAt(BATCHES + 2)] if point == "3.ckpt" else [])
        run.fit(other, entry.datamodule(**data), ckpt_path=point)
        assert other.batches_seen == 3 * BATCHES, point
        again = final_state(run, other)
        assert same(again["state_dict"], end["state_dict"]) == [], point
        for a, b in zip(again["optimizer_states"], end["optimizer_states"], strict=True):
            assert a["param_groups"] == b["param_groups"], point
            for key in a["state"]:
                assert same(a["state"][key], b["state"][key]) == [], point
        rng, other_rng = (c["sketchgan"]["per_rank"][0] for c in (again, end))
        assert torch.equal(rng["rng"]["torch"], other_rng["rng"]["torch"]), point
        for name, state in rng["stateful"].items():
            assert len(state["images"]) == len(other_rng["stateful"][name]["images"]) > 0
            assert all(map(torch.equal, state["images"], other_rng["stateful"][name]["images"])), point
            assert state["rng"] == other_rng["stateful"][name]["rng"], point


def test_whole_epochs_resume_exactly(entry):
    """Without limit_train_batches, where the loader itself knows the epoch's end."""
    if not entry.whole:
        pytest.skip("loaders are the same for all modules")
    data = entry.datamodule(batch_size=20)
    batches = len(data.train_dataloader())
    assert batches > 2
    states = []
    for point in (None, f"{batches}.ckpt", f"{batches + 1}.ckpt"):
        module = fresh(entry)
        save = [] if point else [SaveAt(batches, batches + 1)]
        run = trainer(max_epochs=2, limit_train_batches=1.0, limit_val_batches=0, callbacks=save)
        run.fit(module, entry.datamodule(batch_size=20), ckpt_path=point)
        states.append(weights(module))
    assert same(states[0], states[1]) == []
    assert same(states[0], states[2]) == []


def test_bf16(entry):
    module = fresh(entry)
    run = trainer(max_epochs=1, precision="bf16-mixed", limit_train_batches=2, callbacks=[ImageMetrics()])
    run.fit(module, entry.datamodule())
    assert all(math.isfinite(value) for value in run.logged_metrics.values())
    assert all(p.dtype == torch.float32 and p.isfinite().all() for p in module.parameters())


def test_fp16_scaler(entry):
    """The logic of loss scaling, with a scaler on the CPU: gradients are unscaled before they are clipped."""
    from lightning.pytorch.plugins import MixedPrecision

    class Norms(Callback):
        seen = []

        def on_before_optimizer_step(self, trainer, pl_module, optimizer):
            grads = [p.grad for group in optimizer.param_groups for p in group["params"]]
            self.seen.append(torch.nn.utils.get_total_norm(grads).item())

    plugin = MixedPrecision("16-mixed", "cpu", scaler=torch.amp.GradScaler("cpu", init_scale=64.0))
    norms = Norms()
    module = fresh(entry)
    trainer(max_epochs=1, limit_train_batches=2, limit_val_batches=0, plugins=[plugin], callbacks=[norms]).fit(
        module, entry.datamodule()
    )
    scaled = list(norms.seen)
    Norms.seen = []
    module = fresh(entry)
    trainer(max_epochs=1, limit_train_batches=2, limit_val_batches=0, callbacks=[Norms()]).fit(
        module, entry.datamodule()
    )
    # Not 64 times as much; the gradients of deep networks with norms on few pixels are rough in half precision.
    assert all(1 / 4 < one / other < 4 for one, other in zip(scaled, Norms.seen, strict=True))


def test_fused_clipped_and_scaled_is_refused(entry):
    from lightning.pytorch.plugins import MixedPrecision

    plugin = MixedPrecision("16-mixed", "cpu", scaler=torch.amp.GradScaler("cpu"))
    run = trainer(max_epochs=1, limit_val_batches=0, plugins=[plugin])
    with pytest.raises(ValueError, match=r'cannot be clipped with fused=True and precision="16-mixed"'):
        run.fit(fresh(entry, fused=True, clip_g=1.0, clip_d=1.0), entry.datamodule())
    module = fresh(entry, fused=True, clip_g=1.0, clip_d=1.0)
    trainer(max_epochs=1, limit_train_batches=1, limit_val_batches=0, precision="bf16-mixed").fit(
        module, entry.datamodule()
    )
    assert all(p.isfinite().all() for p in module.parameters())


@pytest.mark.parametrize(("scaled", "wanted", "expected"), [(0, None, 1), (1, None, 0), (0, False, 0), (1, True, 1)])
def test_adam_is_fused_unless_gradients_are_scaled(entry, scaled, wanted, expected):
    from lightning.pytorch.plugins import MixedPrecision

    plugin = MixedPrecision("16-mixed", "cpu", scaler=torch.amp.GradScaler("cpu"))
    module = fresh(entry) if wanted is None else fresh(entry, fused=wanted)
    module.trainer = trainer(max_epochs=1, plugins=[plugin] if scaled else [])
    made = module.configure_optimizers()
    optimizers = made[0] if isinstance(made, tuple) else made
    assert {group["fused"] for optimizer in optimizers for group in optimizer.param_groups} == {bool(expected)}


def test_compiled_fused_and_channels_last(entry):
    if not entry.whole:
        pytest.skip("takes minutes to compile; its parts are compiled in test_ugatit.py")
    torch._dynamo.reset()
    module = fresh(entry, fused=True)
    before = weights(module)
    speed = Speed(channels_last=True, compile=True, backend="aot_eager")
    run = trainer(max_epochs=1, limit_train_batches=2, limit_val_batches=1, callbacks=[speed])
    run.fit(module, entry.datamodule())
    torch._dynamo.reset()
    assert module.state_dict().keys() == before.keys()
    assert unchanged(module, before) == []


def test_pictures_of_any_size_are_translated_under_their_names(entry, tmp_path):
    sizes = {"x/odd.png": (37, 53), "small.png": (3, 9)}
    for name, size in sizes.items():
        (tmp_path / "in" / name).parent.mkdir(parents=True, exist_ok=True)
        Image.effect_noise(size, 60).convert("RGB").save(tmp_path / "in" / name)
    writer = PredictionWriter("out")
    trainer(callbacks=[writer]).predict(fresh(entry), PictureFiles(["in"]), return_predictions=False)
    assert {str(path.relative_to("out/fake_B")): Image.open(path).size for path in Path("out").rglob("*.png")} == sizes


def test_clipping_limits_each_optimizer(entry):
    module = fresh(entry, clip_g=1e-3, clip_d=2e-3)
    norms = []
    plain = GANModule.on_before_optimizer_step

    def measure(optimizer):
        plain(module, optimizer)
        grads = [p.grad for group in optimizer.param_groups for p in group["params"]]
        norms.append((module.trainer.optimizers.index(optimizer), torch.nn.utils.get_total_norm(grads).item()))

    module.on_before_optimizer_step = measure
    trainer(max_epochs=1, limit_train_batches=1, limit_val_batches=0).fit(module, entry.datamodule())
    assert dict(norms) == {0: pytest.approx(1e-3, rel=1e-3), 1: pytest.approx(2e-3, rel=1e-3)}


def test_subclass_with_an_extra_loss(entry):
    class Smooth(entry.cls):
        def __init__(self, lambda_tv: float = 0.1, **kwargs):
            super().__init__(**kwargs)
            self.lambda_tv = lambda_tv

        def generator_losses(self, *tensors):
            fake_b = getattr(tensors[-1], "image", tensors[-1])
            tv = (fake_b[..., 1:] - fake_b[..., :-1]).abs().mean()
            return super().generator_losses(*tensors) | {"tv": self.lambda_tv * tv}

    globals()["Smooth"] = Smooth
    Smooth.__qualname__ = "Smooth"
    seed_everything(1)
    module = Smooth(lambda_tv=0.7, **entry.networks(), **entry.settings)
    assert module.hparams["lambda_tv"] == 0.7
    assert entry.settings.items() <= module.hparams.items()
    run = trainer(max_epochs=1)
    run.fit(module, entry.datamodule())
    assert run.logged_metrics["g/tv"] > 0
    run.save_checkpoint("a.ckpt")
    again = sketchgan.load("a.ckpt", **entry.networks())
    assert type(again) is Smooth
    assert again.lambda_tv == 0.7


def test_learning_rate_follows_its_curve(entry):
    rates = []

    class Rates(Callback):
        def on_train_batch_end(self, trainer, pl_module, outputs, batch, batch_idx):
            rates.append([optimizer.param_groups[0]["lr"] for optimizer in trainer.optimizers])

    trainer(max_epochs=2, limit_train_batches=2, limit_val_batches=0, callbacks=[Rates()]).fit(
        fresh(entry), entry.datamodule()
    )
    lr = inspect.signature(entry.cls).parameters["lr"].default
    assert rates == [[pytest.approx(lr * rate)] * 2 for rate in entry.rates]


def test_plateau_watches_a_score(epoch_entry):
    entry = epoch_entry
    name = "val/l1" if entry.datamodule().paired else "val/rec_a_l1"
    module = fresh(entry, lr_policy="plateau", lr_monitor=name)
    run = trainer(max_epochs=1, callbacks=[ImageMetrics()])
    run.fit(module, entry.datamodule())
    assert module.lr_schedulers()[0].best == pytest.approx(run.callback_metrics[name].item())
    module = fresh(entry, lr_policy="plateau", lr_monitor="val/fid")
    with pytest.raises(ValueError, match="watches lr_monitor='val/fid', which was not logged; there are"):
        trainer(max_epochs=1, callbacks=[ImageMetrics()]).fit(module, entry.datamodule())


def test_nan_stops_and_names_the_term_before_anything_is_saved(entry):
    class Poison(Callback):
        def on_train_batch_end(self, trainer, pl_module, outputs, batch, batch_idx):
            if pl_module.batches_seen == 2:
                next(pl_module.parameters()).data.fill_(float("nan"))

    checkpoint = ModelCheckpoint(dirpath="checkpoints", every_n_epochs=1, save_last=True, filename="{epoch}")
    run = trainer(callbacks=[Poison(), checkpoint], enable_checkpointing=True, log_every_n_steps=100)
    with pytest.raises(
        sketchgan.modules.base.NonFiniteLossError, match=r"loss [gd]/\w+ became NaN or infinite at batch 3"
    ):
        run.fit(fresh(entry), entry.datamodule())
    assert not list(Path("checkpoints").glob("*"))


def test_planned_epochs_are_compared(epoch_entry):
    entry = epoch_entry
    with pytest.warns(UserWarning, match="planned for 3 epochs .* max_epochs is 1"):
        trainer(max_epochs=1, limit_train_batches=1, limit_val_batches=0).fit(fresh(entry), entry.datamodule())
    with warnings.catch_warnings():
        warnings.filterwarnings("error", "the learning rate is planned")
        trainer(max_epochs=3, limit_train_batches=1, limit_val_batches=0).fit(fresh(entry), entry.datamodule())


def test_wrong_checkpoint_says_so(entry, tmp_path):
    other = next(e for e in ZOO.values() if e is not entry)
    module = fresh(other)
    run = trainer(max_epochs=1, limit_train_batches=1)
    run.fit(module, other.datamodule())
    run.save_checkpoint("other.ckpt")
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
