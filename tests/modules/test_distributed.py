"""Two processes: as good as one, equal to each other, and able to resume. All modules run in one pair of processes."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from lightning.pytorch import seed_everything
from PIL import Image
from two_processes import apart, joint_batch, one_sided, scores, uneven
from zoo import ZOO


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    folder = tmp_path_factory.mktemp("two")
    for side, count in (("A", 1), ("B", 5)):
        for i in range(count):
            path = folder / "uneven" / f"test{side}" / f"{i}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.effect_noise((40, 40), 60 + i).convert("RGB").save(path)
    # Of A the processes get 1, 3 and 2, 4: one sees the single drawing of the open class.
    for side, names in (
        ("A", ("in/1", "in/2", "in/3", "open/4")),
        ("B", ("in/1", "in/2", "open/3", "open/4", "open/5")),
    ):
        for i, name in enumerate(names):
            path = folder / "apart" / f"test{side}" / f"{name}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.effect_noise((40, 40), 40 + 10 * i).convert("RGB").save(path)
    script = Path(__file__).with_name("two_processes.py")
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node=2", script, folder]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""}
    run = subprocess.run(command, env=environment, cwd=folder, capture_output=True, text=True, timeout=240)
    assert run.returncode == 0, run.stderr[-4000:]
    return folder, [torch.load(folder / f"{rank}.pt", weights_only=True) for rank in (0, 1)]


WITH_BATCH_NORM = (
    "pix2pix",
    "cyclegan",
    "sketchygan",
    "aoda",
    "style2paints",
    "paintschainer",
    "paintschainer_refiner",
)


@pytest.fixture(params=ZOO)
def name(request):
    return request.param


@pytest.fixture(params=[name for name, entry in ZOO.items() if entry.whole])
def whole_name(request):
    return request.param


def differing(a, b):
    assert a.keys() == b.keys()
    return [key for key in a if not torch.equal(a[key], b[key])]


def test_two_processes_train_as_one_does_on_the_joint_batch(results, name):
    one = joint_batch(ZOO[name], 1)
    for rank in results[1]:
        two = rank[name]["joint"]
        assert two.keys() == one.keys()
        for key, value in one.items():
            torch.testing.assert_close(two[key], value, rtol=0, atol=1e-9, msg=key)
    seed_everything(1)
    start = ZOO[name].cls(**ZOO[name].per_sample(), **ZOO[name].per_sample_settings)
    moved = [(one[key] - value).abs().max().item() for key, value in start.named_parameters()]
    assert sum(distance > 1e-4 for distance in moved) > len(moved) / 2


def test_scores_are_those_of_one_process(results, whole_name):
    one = scores(ZOO[whole_name], 1)
    first, second = (rank[whole_name]["scores"] for rank in results[1])
    assert first == second
    assert first.keys() == one.keys()
    assert {"val/fid", "val/kid", "val/kid_std"} <= one.keys()
    for score, value in one.items():
        assert first[score] == pytest.approx(value, rel=1e-4), score


def test_processes_that_see_nothing_take_part_in_every_score(results):
    folder, (first, second) = results
    assert first["one-sided"] == second["one-sided"]
    assert first["one-sided"] == pytest.approx(one_sided(True), rel=1e-5)
    alone = uneven(folder, 1)
    assert alone.keys() == {
        "test/is_a",
        "test/is_std_a",
        "test/rec_a_l1",
        "test/rec_b_l1",
    }  # one of A is too few for others
    assert first["uneven"] == second["uneven"] == pytest.approx(alone, rel=1e-4, abs=1e-6)


def test_processes_without_an_open_class_take_part_in_its_scores(results):
    folder, (first, second) = results
    alone = apart(folder, 1)
    assert {"test/accuracy_open", "test/fid_in", "test/fid_a_in", "test/fid_a"} <= alone.keys()
    assert not {"test/fid_open", "test/fid_a_open"} & alone.keys()  # one drawing is too few
    assert first["apart"] == second["apart"]
    assert first["apart"].keys() == alone.keys()
    for score, value in alone.items():
        if "kid" not in score:  # its subsets follow the order of the pictures
            assert first["apart"][score] == pytest.approx(value, rel=1e-4, abs=1e-6), score


def test_processes_end_and_validate_equal(results, name):
    first, second = (rank[name]["training"] for rank in results[1])
    differ = differing(first["unbroken"], second["unbroken"])
    assert all("running_" in key for key in differ)  # after the last validation nothing has made them equal again
    assert len(first["unbroken validated"]) == 2
    for a, b in zip(first["unbroken validated"], second["unbroken validated"], strict=True):
        assert differing(a, b) == []
        means = [value for key, value in a.items() if "running_mean" in key]
        assert any(mean.abs().max() > 0 for mean in means) or name not in WITH_BATCH_NORM


def test_checkpoints_hold_the_mean_of_batch_norm(results, name):
    folder, ranks = results
    saved = torch.load(folder / f"{name}.ckpt", weights_only=True)["state_dict"]
    first, second = (rank[name]["training"]["unbroken before saving"] for rank in ranks)
    drifted = differing(first, second)
    assert bool(drifted) == (name in WITH_BATCH_NORM)
    assert all("running_" in key for key in drifted)
    for key, value in saved.items():
        torch.testing.assert_close(value, (first[key] + second[key]) / 2 if key in drifted else first[key], msg=key)


def test_resumes_exactly(results, name):
    for rank in results[1]:
        trained = rank[name]["training"]
        assert differing(trained["unbroken"], trained["resumed"]) == []
        for key, images in trained["unbroken pools"].items():
            again = trained["resumed pools"][key]
            assert len(images) == len(again) > 0
            assert all(map(torch.equal, images, again))


def test_pools_are_each_processs_own(results):
    first, second = (rank["cyclegan"]["training"]["unbroken pools"]["pool_a"] for rank in results[1])
    assert not all(map(torch.equal, first, second))


def test_plain_ddp_is_refused_with_a_sentence(results, whole_name):
    for rank in results[1]:
        assert 'use strategy="ddp_find_unused_parameters_true"' in rank[whole_name]["refusal"]
