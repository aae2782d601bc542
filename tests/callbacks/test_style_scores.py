"""Whether styles have an effect: scores, and the alarm."""

import json
import os
import socket
import subprocess
import sys
import warnings
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from lightning.pytorch.loggers import CSVLogger
from styled import Tinted, Tints
from torch import nn
from training import quiet_trainer

from sketchgan import PaintsChainer, Pix2Pix, Style2Paints
from sketchgan.callbacks import HintAlarm, ImageMetrics
from sketchgan.data import OpenMoji
from sketchgan.data.transforms import to_uint8
from sketchgan.metrics import DistributionScores, palette_distance
from sketchgan.networks import (
    PaintsChainerDiscriminator,
    PaintsChainerUNet,
    PatchDiscriminator,
    Style2PaintsDiscriminator,
    Style2PaintsGenerator,
    UNetGenerator,
)

STYLES = ("hint_effect", "style_similarity", "palette_distance")


def batches(data, size=4):
    """Sketches and paintings as validation shows them, without the last batch of one."""
    count = len(data.sketches) // size * size
    return zip(data.sketches[:count].split(size), data.paintings[:count].split(size), strict=True)


def by_hand(data, strength):
    """Both colourings of all sketches, and the paintings whose styles they have."""
    made, other, style = [], [], []
    for a, b in batches(data):
        colours = strength * b.mean((2, 3), keepdim=True)
        made.append(0.4 * a + colours)
        other.append(0.4 * a + colours.roll(-1, 0))
        style.append(b.roll(-1, 0))
    return torch.cat(made), torch.cat(other), torch.cat(style)


def validate(module, data, *callbacks, **kwargs):
    return quiet_trainer(callbacks=list(callbacks), **kwargs).validate(module, data, verbose=False)[0]


def lines(run):
    found = map(json.loads, Path(run.log_dir, "scores.jsonl").read_text().splitlines())
    return {line["score"]: line for line in found}


def test_scores_are_those_of_all_pictures_that_have_another_style(tmp_path):
    data = Tints(count=9)  # batches of four, four and one
    made, other, style = by_hand(data, 0.5)
    run = quiet_trainer(callbacks=[ImageMetrics(("l1", *STYLES))], logger=CSVLogger(tmp_path))
    logged = run.validate(Tinted(), data, verbose=False)[0]
    vectors = [pictures.mean((2, 3)) for pictures in (made, other, style)]
    expected = {
        "hint_effect": (made - other).abs().mean(),
        "style_similarity": F.cosine_similarity(vectors[1], vectors[2]).mean(),
        "style_similarity_own": F.cosine_similarity(vectors[0], vectors[2]).mean(),
        "palette_distance": palette_distance(other, style).mean(),
        "palette_distance_own": palette_distance(made, style).mean(),
    }
    assert logged.keys() == {"val/l1", *(f"val/{name}" for name in expected)}
    about = lines(run)
    for name, value in expected.items():
        assert logged[f"val/{name}"] == pytest.approx(value.item(), rel=1e-5), name
        assert (about[f"val/{name}"]["made"], about[f"val/{name}"]["pictures"]) == (8, "16x16")
    assert about["val/l1"]["made"] == 9
    assert about["val/hint_effect"]["range"] == "pictures in [-1, 1]"
    assert about["val/style_similarity_own"]["net"] == "style vectors of Tinted"
    assert about["val/palette_distance"]["palette"] == "4 levels a channel, paper counts a tenth"
    assert logged["val/style_similarity"] > logged["val/style_similarity_own"] + 0.2
    assert logged["val/palette_distance"] < logged["val/palette_distance_own"]


def test_pictures_that_are_padded_and_cut_back():
    data = Tints(count=8, size=12, given=True)  # the module takes multiples of 8
    logged = validate(Tinted(), data, ImageMetrics(("l1", "psnr", *STYLES)))
    apart = [0.5 * (styles - styles.roll(-1, 0)).mean((2, 3)) for styles in data.styles.split(4)]
    assert logged["val/hint_effect"] == pytest.approx(torch.cat(apart).abs().mean().item(), abs=1e-6)
    assert {"val/l1", "val/psnr", "val/style_similarity", "val/palette_distance"} <= logged.keys()


def test_a_module_that_ignores_the_style_is_found_out():
    logged = validate(Tinted(strength=0.0), Tints(), ImageMetrics(STYLES))
    assert logged["val/hint_effect"] == 0
    assert logged["val/style_similarity"] == logged["val/style_similarity_own"]
    assert logged["val/palette_distance"] == logged["val/palette_distance_own"]


def test_scores_are_in_float32_and_leave_training_alone():
    assert validate(Tinted(), Tints(), ImageMetrics(STYLES), precision="bf16-mixed")["val/hint_effect"] > 0
    weights = []
    for callbacks in ([], [ImageMetrics(STYLES)]):
        torch.manual_seed(0)
        module = Tinted()
        quiet_trainer(callbacks=callbacks, max_epochs=2).fit(module, Tints())
        weights.append([module.scale.weight.item(), torch.rand(1).item()])
    assert weights[0] == weights[1]


class MeanColour(nn.Module):
    def forward(self, pictures):
        return pictures.float().mean((2, 3)) / 255


def test_restyled_pictures_have_a_distance_of_their_own(tmp_path):
    data = Tints(count=17)
    made, other, _ = by_hand(data, 0.5)
    last = 0.4 * data.sketches[16:] + 0.5 * data.paintings[16:].mean((2, 3), keepdim=True)
    run = quiet_trainer(callbacks=[ImageMetrics(("fid", "kid"), features=MeanColour())], logger=CSVLogger(tmp_path))
    logged, about = run.validate(Tinted(), data, verbose=False)[0], lines(run)
    for ending, pictures in (("", torch.cat([made, last])), ("_other", other)):
        expected = DistributionScores((3, 3), ("fid",))
        for shown, real in ((pictures, False), (data.paintings, True)):
            features = MeanColour()(to_uint8(shown))
            expected.update(features, features, real=real)
        assert logged[f"val/fid{ending}"] == pytest.approx(expected.compute()["fid"].item(), rel=1e-4), ending
        assert (about[f"val/fid{ending}"]["made"], about[f"val/fid{ending}"]["real"]) == (len(pictures), 17)
        assert about[f"val/kid{ending}"]["net"] == "MeanColour, own resizing"
    # The subset of all 17 pictures is one only, and has no spread.
    assert {name.removeprefix("val/") for name in logged} == {"fid", "kid", "fid_other", "kid_other", "kid_std_other"}


def test_batches_of_one_have_no_other_style_and_say_so():
    with pytest.warns(UserWarning, match="no value for hint_effect: no batch was coloured a second time"):
        logged = validate(Tinted(), Tints(count=3, batch_size=1), ImageMetrics(("l1", "hint_effect")))
    assert logged.keys() == {"val/l1"}
    with warnings.catch_warnings():
        warnings.filterwarnings("error", "no value for")
        validate(Tinted(), Tints(), ImageMetrics(STYLES))


def test_scores_that_a_module_cannot_have_stop_the_run_before_training():
    class ByHints(Tinted):
        takes_style, takes_hints = False, True

    class Mute(Tinted):
        encode_style = property()

    plain = Pix2Pix(UNetGenerator(num_downs=5, ngf=2), PatchDiscriminator(6, ndf=2, n_layers=1))
    for module, score, message in (
        (plain, "hint_effect", r"hint_effect compares two colourings of a sketch, but Pix2Pix takes neither"),
        (ByHints(), "palette_distance", r"palette_distance is of styles, but ByHints takes none \(takes_style\)"),
        (Mute(), "style_similarity", r"vectors of encode_style\(pictures\), which Mute does not have; leave"),
    ):
        with pytest.raises(ValueError, match=message):
            quiet_trainer(callbacks=[ImageMetrics(score)], max_epochs=1).fit(module, Tints())


def fit(module, alarm, epochs=5, **kwargs):
    quiet_trainer(callbacks=[alarm], max_epochs=epochs, limit_train_batches=1, **kwargs).fit(module, Tints(given=True))


def test_an_ignored_style_is_announced_once_and_a_used_one_is_not():
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        fit(Tinted(strength=0.0), HintAlarm(patience=3))
    said = [str(warning.message) for warning in caught if "are the hints ignored" in str(warning.message)]
    assert len(said) == 1
    assert said[0].startswith(
        "are the hints ignored? At epoch 2, and in the 2 validations before, another hint changes"
    )
    with warnings.catch_warnings():
        warnings.filterwarnings("error", "are the hints ignored")
        fit(Tinted(strength=0.0), HintAlarm(), epochs=4)
        fit(Tinted(strength=0.1), HintAlarm())
        validate(Tinted(strength=0.0), Tints(batch_size=1), HintAlarm(patience=1))  # no other style, no opinion
    for wrong in ({"threshold": 0}, {"threshold": 1}, {"patience": 0}):
        with pytest.raises(ValueError, match=f"{next(iter(wrong))} must be"):
            HintAlarm(**wrong)


def test_a_recovery_starts_the_count_again():
    class Wavers(Tinted):
        def on_validation_epoch_start(self):
            self.strength = 0.5 if self.current_epoch == 2 else 0.0

    with warnings.catch_warnings():
        warnings.filterwarnings("error", "are the hints ignored")
        fit(Wavers(), HintAlarm(patience=3), num_sanity_val_steps=0)


def test_style2paints_on_openmoji():
    torch.manual_seed(0)
    module = Style2Paints(
        Style2PaintsGenerator(hint_dim=512, ngf=2, mid=16),
        Style2PaintsDiscriminator(outputs=512, ndf=2, pool=1),
        style="palette",
        adv_schedule="style",
        n_epochs=1,
        n_epochs_decay=0,
    )
    callback = ImageMetrics((*STYLES, "fid"), features="openmoji")
    run = quiet_trainer(
        callbacks=[callback], max_epochs=1, limit_train_batches=1, limit_val_batches=2, num_sanity_val_steps=0
    )
    run.fit(module, OpenMoji(batch_size=4))
    logged = {name for name in run.callback_metrics if name.startswith("val/")}
    own = {f"val/{score}_own" for score in STYLES[1:]}
    assert logged == {f"val/{score}" for score in STYLES} | own | {"val/fid", "val/fid_other"}
    assert 0 < run.callback_metrics["val/hint_effect"] < 2
    assert 0 < run.callback_metrics["val/palette_distance"] < 1


def test_paintschainer_with_and_without_its_hints(tmp_path):
    torch.manual_seed(0)
    module = PaintsChainer(PaintsChainerUNet(ngf=2), PaintsChainerDiscriminator(ndf=2, image_size=32))
    callback = ImageMetrics(("hint_effect", "fid"), features="openmoji")
    run = quiet_trainer(callbacks=[callback, HintAlarm()], limit_val_batches=2, logger=CSVLogger(tmp_path))
    logged = run.validate(module, data := OpenMoji(image_size=32, batch_size=4), verbose=False)[0]
    expected = []
    for batch, _ in zip(data.val_dataloader(), range(2), strict=False):
        with torch.no_grad():
            pictures = module.eval().sample(batch)
        expected.append((pictures["fake_B"] - pictures["other_B"]).abs().mean())
    assert logged["val/hint_effect"] == pytest.approx(torch.stack(expected).mean().item(), rel=1e-4)
    assert logged.keys() == {"val/hint_effect", "val/fid", "val/fid_other"}
    assert lines(run)["val/fid_other"]["made"] == 8


def test_two_processes_score_and_draw_as_one(tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    paths = [Path(__file__).parent, Path(__file__).parents[1], *map(Path, sys.path)]
    environment = {
        **os.environ,
        **{"OMP_NUM_THREADS": "1", "PYTHONPATH": os.pathsep.join(map(str, paths)), "TORCHELASTIC_RUN_ID": "styles"},
        **{"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port), "WORLD_SIZE": "2", "LOCAL_WORLD_SIZE": "2"},
    }
    command = [sys.executable, Path(__file__).with_name("styled_in_two.py"), tmp_path]
    processes = [
        subprocess.Popen(command, env={**environment, "RANK": rank, "LOCAL_RANK": rank}, stderr=subprocess.PIPE)
        for rank in ("0", "1")
    ]
    try:
        for process in processes:
            said = process.communicate(timeout=240)[1]
            assert process.returncode == 0, said.decode()[-4000:]
    finally:
        for process in processes:
            process.kill()  # one may wait for the other for ever
    first, second = (json.loads((tmp_path / f"{rank}.json").read_text()) for rank in (0, 1))
    assert first == second
    # The processes get samples 0, 2, 4, … and 1, 3, 5, …, three at a time: batches of 3, 1 and of 3.
    data = Tints(count=7)
    effects = []
    for rank in (0, 1):
        colours = data.paintings[rank::2][:3].mean((2, 3))
        effects.append(0.5 * (colours - colours.roll(-1, 0)).abs().mean(1))
    assert first["val/hint_effect"] == pytest.approx(torch.cat(effects).mean().item(), rel=1e-5)
    assert {"val/matrix_sketch", "val/matrix_style", "val/matrix_both"} < first.keys()
    assert (tmp_path / "styles" / "latest.png").is_file()
