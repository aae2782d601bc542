import json
from collections import Counter
from pathlib import Path

import pytest
import torch
from lightning.pytorch.callbacks import ModelCheckpoint
from lightning.pytorch.loggers import CSVLogger
from torch import nn
from training import quiet_trainer

from sketchgan import CycleGAN, Pix2Pix
from sketchgan.callbacks import CollapseAlarm, ImageMetrics
from sketchgan.data import OpenMoji
from sketchgan.data.openmoji import GROUPS
from sketchgan.data.transforms import to_uint8
from sketchgan.metrics import DistributionScores, block_kid, feature_net
from sketchgan.networks import PatchDiscriminator, ResnetGenerator, UNetGenerator

ALL = ("l1", "psnr", "ssim", "fid", "kid", "is", "accuracy")


def pix2pix():
    torch.manual_seed(1)
    return Pix2Pix(UNetGenerator(num_downs=5, ngf=2), PatchDiscriminator(6, ndf=2, n_layers=1))


def cyclegan():
    torch.manual_seed(1)
    return CycleGAN(
        *(ResnetGenerator(ngf=2, n_blocks=0) for _ in range(2)),
        *(PatchDiscriminator(3, ndf=2, n_layers=1) for _ in range(2)),
    )


def openmoji(**kwargs):
    return OpenMoji(**{"image_size": 32, "batch_size": 16, **kwargs})


def metrics(scores=ALL, **kwargs):
    return ImageMetrics(scores, **{"features": "openmoji", "classifier": "openmoji", **kwargs})


def test_scores_of_sets_are_those_of_the_whole_set():
    module, data = pix2pix(), openmoji()
    logged = quiet_trainer(callbacks=[metrics()]).validate(module, data, verbose=False)[0]
    net = feature_net("openmoji")
    expected, right, count = DistributionScores((64, 7), ("fid", "kid", "is")), 0, 0
    with torch.no_grad():
        for batch in data.val_dataloader():
            made = net(to_uint8(module.eval().sample(batch)["fake_B"]))
            expected.update(*made, real=False)
            expected.update(*net(to_uint8(batch["B"])), real=True)
            right += (made[1].argmax(1) == batch["A_label"]).sum().item()
            count += len(batch["A"])
    for name, value in expected.compute().items():
        assert logged[f"val/{name}"] == pytest.approx(value.item(), rel=1e-5), name
    assert count == 92
    assert logged["val/accuracy"] == pytest.approx(right / count)


def test_both_directions_of_a_cycle_are_scored():
    logged = quiet_trainer(callbacks=[metrics()]).test(cyclegan(), openmoji(paired=False), verbose=False)[0]
    sets = {f"test/{name}{side}" for name in ("fid", "kid", "is", "is_std", "accuracy") for side in ("", "_a")}
    assert logged.keys() == {"test/rec_a_l1", "test/rec_b_l1"} | sets
    assert logged["test/fid"] != logged["test/fid_a"]


def test_every_number_has_its_protocol_beside_it(tmp_path, caplog):
    run = quiet_trainer(callbacks=[metrics(("l1", "fid", "accuracy"))], logger=CSVLogger(tmp_path))
    with caplog.at_level("INFO"):
        logged = run.validate(pix2pix(), openmoji(), verbose=False)[0]
    lines = [json.loads(line) for line in Path(run.log_dir, "scores.jsonl").read_text().splitlines()]
    by_score = {line["score"]: line for line in lines}
    assert by_score.keys() == set(logged)
    about = by_score["val/fid"]
    assert about["value"] == pytest.approx(logged["val/fid"])
    assert (about["made"], about["real"], about["pictures"]) == (92, 92, "8 bits, 32x32")
    assert about["net"] == "openmoji classifier (not Inception), antialiased bilinear to 64x64"
    assert "openmoji" in by_score["val/accuracy"]["net"]
    assert by_score["val/accuracy"]["made"] == by_score["val/l1"]["made"] == 92
    said = [record.getMessage() for record in caplog.records if record.getMessage().startswith("val/fid")]
    assert len(said) == 1
    assert "made 92, real 92" in said[0]


class MeanColour(nn.Module):
    """Pictures' mean colour in a few directions: a feature network that shows the order of pictures."""

    def __init__(self, classes=7):
        super().__init__()
        self.linear = nn.Linear(3, classes)

    def forward(self, pictures):
        return self.linear(pictures.float().mean((2, 3)) / 255)


def test_kid_over_blocks_with_its_error_in_both_directions(tmp_path, caplog):
    module, data, net = cyclegan(), openmoji(paired=False, batch_size=7), MeanColour()
    run = quiet_trainer(callbacks=[ImageMetrics("kid", features=net, kid_block_size=10)], logger=CSVLogger(tmp_path))
    with caplog.at_level("INFO"):
        logged = run.validate(module, data, verbose=False)[0]
    features = {"fake_B": [], "real_B": [], "fake_A": [], "real_A": []}
    with torch.no_grad():
        for batch in data.val_dataloader():
            for name, pictures in module.eval().sample(batch).items():
                if name in features:
                    features[name].append(net(to_uint8(pictures)))
    whole = {name: torch.cat(parts) for name, parts in features.items()}
    lines = {
        line["score"]: line for line in map(json.loads, Path(run.log_dir, "scores.jsonl").read_text().splitlines())
    }
    for side, suffix in (("B", ""), ("A", "_a")):
        mean, error = block_kid(whole[f"fake_{side}"], whole[f"real_{side}"])
        for score, value in ((f"val/kid{suffix}", mean), (f"val/kid_std{suffix}", error)):
            assert logged[score] == pytest.approx(value.item(), rel=1e-5), score
            about = lines[score]
            assert about["value"] == pytest.approx(value.item(), rel=1e-5)
            assert (about["block_size"], about["blocks"], about["made"], about["real"]) == (10, 10, 92, 92)
            assert about["net"] == "MeanColour, own resizing"
            assert "block_size 10, blocks 10, made 92, real 92)" in next(
                text for record in caplog.records if (text := record.getMessage()).startswith(f"{score} ")
            )
    shuffled = whole["real_B"][torch.randperm(92)]
    assert block_kid(whole["fake_B"], shuffled)[0].item() != pytest.approx(logged["val/kid"], rel=1e-3)


def test_neither_the_sanity_check_nor_repetition_bends_the_score():
    """Real pictures are looked at once and every validation of the same network gives the same number."""

    class Frozen(Pix2Pix):
        def training_step(self, batch, batch_idx):
            self.optimizers()[0].step()  # Lightning wants a step; the rate is 0

    torch.manual_seed(1)
    module = Frozen(UNetGenerator(num_downs=5, ngf=2), PatchDiscriminator(6, ndf=2, n_layers=1), lr=0.0)
    seen = []

    class Keep(ImageMetrics):
        def on_validation_epoch_end(self, trainer, pl_module):
            super().on_validation_epoch_end(trainer, pl_module)
            if not trainer.sanity_checking:
                seen.append((trainer.callback_metrics["val/fid"].item(), trainer.callback_metrics["val/kid"].item()))

    looked = []
    net = feature_net("openmoji")
    net.register_forward_hook(lambda *_: looked.append(1))
    data = openmoji(batch_size=46)
    quiet_trainer(
        callbacks=[Keep(("fid", "kid"), features=net)], max_epochs=3, limit_train_batches=1, num_sanity_val_steps=2
    ).fit(module, data)
    alone = quiet_trainer(callbacks=[metrics(("fid",))]).validate(module, data, verbose=False)[0]["val/fid"]
    assert [fid for fid, _ in seen] == [pytest.approx(alone, rel=1e-5)] * 3
    assert len({kid for _, kid in seen}) == 1
    # Two batches made and two real in the sanity check; two made in each of three passes, two real once; the widths.
    assert len(looked) == 4 + 3 * 2 + 2 + 1


def test_networks_are_moved_once_a_pass():
    moved = []

    class Watched(MeanColour):
        def _apply(self, *args, **kwargs):  # what every move ends in
            moved.append(1)
            return super()._apply(*args, **kwargs)

    run = quiet_trainer(callbacks=[ImageMetrics(("fid", "accuracy"), features=(net := Watched()), classifier=net)])
    run.validate(pix2pix(), openmoji(), verbose=False)
    assert len(moved) == 1
    assert run.num_val_batches == [6]


def test_networks_and_real_pictures_stay_out_of_checkpoints(tmp_path):
    sizes, keys = [], []
    for callbacks in ([], [metrics()]):
        module = pix2pix()
        run = quiet_trainer(callbacks=callbacks, max_epochs=1, limit_train_batches=1)
        run.fit(module, openmoji())
        run.save_checkpoint("a.ckpt")
        sizes.append((tmp_path / "a.ckpt").stat().st_size)
        checkpoint = torch.load("a.ckpt", weights_only=True)
        keys.append((set(checkpoint["state_dict"]), set(checkpoint["callbacks"])))
    assert keys[0] == keys[1]
    assert abs(sizes[0] - sizes[1]) < 64


def test_classes_are_in_the_file_and_not_in_the_log(tmp_path, caplog):
    module, data = pix2pix(), openmoji()
    callback = metrics(("is", "accuracy"), per_class=True)
    run = quiet_trainer(callbacks=[callback], logger=CSVLogger(tmp_path))
    with caplog.at_level("INFO"):
        logged = run.validate(module, data, verbose=False)[0]
    assert logged.keys() == {"val/is", "val/is_std", "val/accuracy"}
    lines = {
        line["score"]: line for line in map(json.loads, Path(run.log_dir, "scores.jsonl").read_text().splitlines())
    }
    net, right, seen = feature_net("openmoji"), Counter(), Counter()
    with torch.no_grad():
        for batch in data.val_dataloader():
            found = net(to_uint8(module.eval().sample(batch)["fake_B"]))[1].argmax(1)
            for label, same in zip(batch["A_label"].tolist(), (found == batch["A_label"]).tolist(), strict=True):
                seen[GROUPS[label]] += 1
                right[GROUPS[label]] += same
    table = lines["val/accuracy"]["classes"]
    assert table == {name: {"value": pytest.approx(right[name] / n), "made": n} for name, n in seen.items()}
    assert len({entry["value"] for entry in table.values()}) > 1
    assert lines["val/is"]["classes"].keys() == {name for name, n in seen.items() if n >= 20}
    assert all(1 <= entry["value"] < 7 for entry in lines["val/is"]["classes"].values())
    assert "classes" not in lines["val/is_std"]
    assert not [record for record in caplog.records if "animals-nature" in record.getMessage()]
    run = quiet_trainer(callbacks=[metrics(("is", "accuracy"))], logger=CSVLogger(tmp_path))
    run.validate(module, data, verbose=False)
    assert "classes" not in Path(run.log_dir, "scores.jsonl").read_text()


class Noisy(Pix2Pix):
    """pix2pix with noise: brighter or darker, by the seed."""

    strength = 0.5

    def translate(self, batch, seed=0):
        noise = torch.rand(len(batch["A"]), 1, 1, 1, generator=torch.Generator().manual_seed(seed))
        fake = self.generator(batch["A"])
        return {"fake_B": fake * 0.1 + self.strength * noise.to(fake)}

    def sample(self, batch):
        return {"real_A": batch["A"], "real_B": batch["B"], **self.translate(batch)}


def noisy(**kwargs):
    torch.manual_seed(1)
    return Noisy(UNetGenerator(num_downs=5, ngf=2), PatchDiscriminator(6, ndf=2, n_layers=1), **kwargs)


def test_diversity_is_the_distance_of_two_noises(tmp_path):
    import torchvision

    torch.save(torchvision.models.squeezenet1_1(weights=None).state_dict(), tmp_path / "squeeze.pth")
    callback = ImageMetrics(
        ("lpips", "diversity", "diversity_lpips"), lpips_net="squeeze", lpips_weights=str(tmp_path / "squeeze.pth")
    )
    data = openmoji(batch_size=5, image_size=40)
    run = quiet_trainer(callbacks=[callback], limit_val_batches=2, logger=CSVLogger(tmp_path))
    module = noisy()
    logged = run.validate(module, data, verbose=False)[0]
    noises = [torch.rand(5, 1, 1, 1, generator=torch.Generator().manual_seed(seed)) for seed in (0, 1)]
    assert logged["val/diversity"] == pytest.approx(0.25 * (noises[0] - noises[1]).abs().mean().item(), rel=1e-2)
    assert logged["val/diversity_lpips"] > 0
    assert logged["val/diversity_lpips"] != logged["val/lpips"]
    lines = {
        line["score"]: line for line in map(json.loads, Path(run.log_dir, "scores.jsonl").read_text().splitlines())
    }
    assert (lines["val/diversity"]["made"], lines["val/diversity"]["pictures"]) == (10, "40x40")
    assert lines["val/diversity_lpips"]["net"] == "LPIPS squeeze"
    Noisy.strength, before = 0.0, Noisy.strength
    try:
        silent = quiet_trainer(callbacks=[ImageMetrics("diversity")], precision="bf16-mixed", limit_val_batches=1)
        assert silent.validate(noisy(), data, verbose=False)[0] == {"val/diversity": 0}
    finally:
        Noisy.strength = before


def test_diversity_does_not_move_training():
    weights = []
    for scores in ((), ("diversity", "is", "accuracy")):
        module = noisy()
        callbacks = [metrics(scores, per_class=bool(scores))] if scores else []
        quiet_trainer(callbacks=callbacks, max_epochs=2, limit_train_batches=2, limit_val_batches=2).fit(
            module, openmoji(batch_size=4)
        )
        weights.append({**module.state_dict(), "next": torch.rand(1)})
    assert all(torch.equal(value, weights[1][key]) for key, value in weights[0].items())


def test_best_checkpoint_by_a_score():
    best = ModelCheckpoint("best", monitor="val/fid", mode="min", filename="{epoch}")
    run = quiet_trainer(
        callbacks=[metrics(("fid",)), best], max_epochs=3, limit_train_batches=3, enable_checkpointing=True
    )
    seen = []
    module = pix2pix()
    end = module.on_train_epoch_end

    def remember():
        seen.append(run.callback_metrics["val/fid"].item())
        end()

    module.on_train_epoch_end = remember
    run.fit(module, openmoji())
    assert best.best_model_score.item() == min(seen)
    assert f"epoch={seen.index(min(seen))}" in best.best_model_path


def test_features_are_float32_under_mixed_precision():
    dtypes = set()

    class Watch(nn.Module):
        def __init__(self):
            super().__init__()
            self.linear = nn.Linear(3, 5)

        def forward(self, x):
            out = self.linear(x.float().mean((2, 3)))
            dtypes.add(out.dtype)
            return out

    run = quiet_trainer(
        callbacks=[ImageMetrics(("fid",), features=Watch())], precision="bf16-mixed", limit_val_batches=2
    )
    value = run.validate(pix2pix(), openmoji(), verbose=False)[0]["val/fid"]
    assert dtypes == {torch.float32}
    assert value != torch.tensor(value).bfloat16().item()


def test_missing_weights_stop_the_run_before_training():
    with pytest.raises(FileNotFoundError, match=r"no weights nowhere\.pth"):
        quiet_trainer(callbacks=[ImageMetrics(("fid",), weights="nowhere.pth")], max_epochs=1).fit(
            pix2pix(), openmoji()
        )


def test_a_single_picture_gives_no_fid_and_no_error():
    run = quiet_trainer(callbacks=[metrics()], limit_val_batches=1)
    logged = run.validate(pix2pix(), openmoji(batch_size=1), verbose=False)[0]
    assert "val/l1" in logged
    assert "val/fid" not in logged


def test_a_perfect_picture_is_written_as_json(tmp_path):
    module = Pix2Pix(nn.Identity(), PatchDiscriminator(6, ndf=2, n_layers=1))

    class Same(OpenMoji):
        def dataset(self, split):
            return [{"A": sample["B"], "B": sample["B"]} for sample in list(super().dataset(split))[:2]]

    run = quiet_trainer(callbacks=[ImageMetrics("psnr")], logger=CSVLogger(tmp_path))
    run.validate(module, Same(image_size=32), verbose=False)
    (line,) = Path(run.log_dir, "scores.jsonl").read_text().splitlines()
    assert json.loads(line)["value"] == "inf"


def test_settings_that_do_not_fit_say_so():
    with pytest.raises(ValueError, match="unknown scores fod; there are l1, psnr"):
        ImageMetrics(("fod",))
    with pytest.raises(ValueError, match="kid_block_size must be at least 2, got 0"):
        ImageMetrics(("kid",), kid_block_size=0)
    with pytest.raises(ValueError, match="say by which classifier"):
        ImageMetrics(("accuracy",))
    with pytest.raises(ValueError, match="per_class is for the scores accuracy, fid and is, got l1, kid"):
        ImageMetrics(("l1", "kid"), per_class=True)
    with pytest.raises(ValueError, match="diversity compares two noises, but Pix2Pix translates without; leave it"):
        quiet_trainer(callbacks=[ImageMetrics("diversity")]).validate(pix2pix(), openmoji(), verbose=False)
    four = MeanColour(4)
    with pytest.raises(ValueError, match=r"labels must lie in 0…3, got 0…6; the classifier and the data must have"):
        quiet_trainer(callbacks=[metrics("accuracy", classifier=four)]).validate(pix2pix(), openmoji(), verbose=False)

    class Unlabelled(OpenMoji):
        def dataset(self, split):
            return [{"A": sample["A"], "B": sample["B"]} for sample in list(super().dataset(split))[:2]]

    with pytest.raises(ValueError, match="an accuracy needs class labels in the batch"):
        quiet_trainer(callbacks=[metrics()]).validate(pix2pix(), Unlabelled(image_size=32), verbose=False)
    Unlabelled.labelled = False
    with pytest.raises(ValueError, match="an accuracy needs class labels; use data with labels=True, or"):
        quiet_trainer(callbacks=[metrics()], max_epochs=1).fit(pix2pix(), Unlabelled(image_size=32))


def test_what_a_score_cannot_take_shows_in_the_sanity_check():
    class FourChannels(OpenMoji):
        def dataset(self, split):
            return [
                {"A": sample["A"], "B": torch.cat([sample["B"], sample["B"][:1]]), "B_path": sample["B_path"]}
                for sample in list(super().dataset(split))[:4]
            ]

        train_dataloader = None  # not reached

    module = Pix2Pix(ResnetGenerator(3, 4, ngf=2, n_blocks=0), PatchDiscriminator(7, ndf=2, n_layers=1))
    with pytest.raises(RuntimeError, match="4 channels"):
        quiet_trainer(callbacks=[metrics(("fid",))], max_epochs=1).fit(module, FourChannels(image_size=32))


def test_prediction_needs_no_networks():
    callback = ImageMetrics(("fid", "lpips"), weights="nowhere.pth", lpips_weights="nowhere.pth")
    callback.setup(None, None, "predict")
    with pytest.raises(FileNotFoundError):
        callback.setup(None, None, "validate")


def test_an_interrupted_validation_leaves_no_trace(tmp_path):
    import torchvision

    torch.save(torchvision.models.squeezenet1_1(weights=None).state_dict(), tmp_path / "squeeze.pth")
    callback = ImageMetrics(("lpips",), lpips_net="squeeze", lpips_weights=str(tmp_path / "squeeze.pth"))
    callback.setup(None, None, "validate")
    callback._lpips["lpips"].update(torch.zeros(1, 3, 64, 64), torch.ones(1, 3, 64, 64))
    run = quiet_trainer(callbacks=[callback], limit_val_batches=1)
    first = run.validate(pix2pix(), openmoji(image_size=64, batch_size=2), verbose=False)[0]["val/lpips"]
    assert first == run.validate(pix2pix(), openmoji(image_size=64, batch_size=2), verbose=False)[0]["val/lpips"]


class Constant(nn.Module):
    def __init__(self):
        super().__init__()
        self.value = nn.Parameter(torch.zeros(3, 1, 1))

    def forward(self, x):
        return self.value.expand_as(x) + 0.01 * x


def test_collapse_is_announced():
    module = Pix2Pix(Constant(), PatchDiscriminator(6, ndf=2, n_layers=1))
    with pytest.warns(UserWarning, match=r"mode collapse\? At epoch 0 the translations to B are nearly all the same"):
        quiet_trainer(callbacks=[CollapseAlarm()]).validate(module, openmoji(), verbose=False)


def test_no_collapse_no_alarm(recwarn):
    module = Pix2Pix(nn.Conv2d(3, 3, 1), PatchDiscriminator(6, ndf=2, n_layers=1))
    with torch.no_grad():
        module.generator.weight.copy_(torch.eye(3)[..., None, None])
    quiet_trainer(callbacks=[CollapseAlarm()]).validate(module, openmoji(batch_size=1), verbose=False)
    assert not [w for w in recwarn if "mode collapse" in str(w.message)]
    for wrong in ({"threshold": 0}, {"count": 1}):
        with pytest.raises(ValueError, match=f"{next(iter(wrong))} must be"):
            CollapseAlarm(**wrong)
