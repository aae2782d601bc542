import io
import json
from itertools import repeat

import pytest
import torch
from benchmarks import importing, official, overhead, plain_sketchygan, run, training
from benchmarks.report import Table, markdown, page, spread
from benchmarks.steps import Turns, TurnsInTrainer, counted, networks_of, run_officially
from benchmarks.turns import Failure, Worker
from benchmarks.workloads import PAPERS, Job
from lightning.pytorch import Callback
from torch import nn
from torch.testing import assert_close
from training import quiet_trainer

from sketchgan.convert.official import renamed
from sketchgan.convert.ugatit import UGATIT, ugatit_discriminator_keys, ugatit_generator_keys

TINY = [Job("Pix2Pix", 32, 2, width=4), Job("CycleGAN", 32, 2, width=4)]


class SeededAtStart(Callback):
    def on_train_start(self, trainer, pl_module):
        torch.manual_seed(1)


def trained(job, batch, steps, callbacks=()):
    torch.manual_seed(0)
    module = job.module()
    quiet_trainer(max_epochs=1, callbacks=[SeededAtStart(), *callbacks]).fit(module, repeat(batch, steps))
    return module


@pytest.mark.parametrize("job", TINY, ids=str)
def test_the_plain_loop_is_the_same_training(job):
    batch = job.batch()
    ours = trained(job, batch, 2)
    torch.manual_seed(0)
    plain = job.module().train()
    before = {name: value.clone() for name, value in plain.state_dict().items()}
    step = PAPERS[job.paper].plain(plain)
    torch.manual_seed(1)
    step(batch)
    step(batch)
    assert_close(plain.state_dict(), ours.state_dict(), rtol=0, atol=0)
    weights = [name for name, _ in plain.named_parameters() if name.endswith("weight")]
    assert not any(torch.equal(before[name], plain.state_dict()[name]) for name in weights)


def test_the_official_loop_of_ugatit_is_the_same_training():
    job = Job("UGATIT", 96, 2, width=2)
    official_nets, official_step = PAPERS["UGATIT"].official
    nets, ours = official_nets(96, 2), job.module()
    for name, parameter in nets.named_parameters():
        if name.endswith("rho"):
            nn.init.uniform_(parameter, -0.5, 1.5)  # to be clamped
    keys = {name: ugatit_discriminator_keys(7 if name.startswith("global") else 5) for name in UGATIT.values()}
    keys |= {f"generator_{way}": ugatit_generator_keys(4) for way in ("ab", "ba")}
    for theirs, name in UGATIT.items():
        getattr(ours, name).load_state_dict(renamed(nets[theirs].state_dict(), keys[name]))
    batches = [{side: pictures.double() for side, pictures in job.batch().items()} for _ in range(2)]
    step = official_step(nets.double())
    for batch in batches:
        step(batch)
    quiet_trainer(max_epochs=1, precision="64-true").fit(ours, iter(batches))
    for theirs, name in UGATIT.items():
        expected = renamed(nets[theirs].state_dict(), keys[name])
        assert_close(getattr(ours, name).state_dict(), expected, rtol=0, atol=1e-9)


@pytest.mark.parametrize("name", ["AODA", "AODA(lambda_a=0)"])
def test_the_official_loop_of_aoda_is_the_same_training(name):
    job = Job(name, 64, 2, width=4)
    official_nets, official_step = PAPERS[name].official
    nets, ours = official_nets(64, 4), job.module()
    names = {
        "G_A": "generator_ba",
        "G_B": "generator_ab",
        "D_A": "discriminator_a",
        "D_B": "discriminator_b",
        "R": "classifier",
    }

    def pairs():
        for theirs, name in names.items():
            mine, official_state = getattr(ours, name).state_dict(), nets[theirs].state_dict()
            if theirs == "R":
                official_state = {key: official_state[key] for key in mine}  # elsewhere layers come in the same order
            for (key, value), expected in zip(mine.items(), official_state.values(), strict=True):
                yield f"{name}.{key}", value, expected

    for _, value, expected in pairs():
        value.copy_(expected)
    batches = [{key: x.double() if key in "AB" else x for key, x in job.batch().items()} for _ in range(3)]
    step = official_step(nets.double())
    for batch in batches:
        step(batch)
    quiet_trainer(max_epochs=1, precision="64-true").fit(ours, iter(batches))
    for key, value, expected in pairs():
        # Largest in biases before a norm, where Adam makes steps of rounding.
        assert_close(value, expected, rtol=0, atol=1e-8, msg=lambda text, key=key: f"{key}\n{text}")


def forward_flops(network, given):
    """Of all convolutions, and of the first one; from their shapes. Arguments are given, or the size of the one."""
    flops = []

    def add(layer, inputs, output):
        where = inputs[0] if isinstance(layer, nn.ConvTranspose2d) else output  # kernels are placed once per pixel
        flops.append(2 * layer.weight.numel() * where[:, 0].numel())

    layers = [m for m in network.modules() if isinstance(m, nn.Conv2d | nn.ConvTranspose2d)]
    hooks = [layer.register_forward_hook(add) for layer in layers]
    with torch.no_grad():
        network(*(given if isinstance(given[0], torch.Tensor) else [torch.zeros(given)]))
    for hook in hooks:
        hook.remove()
    return sum(flops), flops[0]


def counts_of(job):
    """From the first answer of a worker, without its process."""
    answers = io.StringIO()
    turns = Turns(job, io.StringIO("go\nstop\n"), answers)
    trained(job, job.batch(), 9, [TurnsInTrainer(turns)])
    first, *others = map(json.loads, answers.getvalue().splitlines())
    assert [set(answer) for answer in others] == [{"seconds"}]
    return first


def test_what_a_step_of_pix2pix_computes():
    job = TINY[0]
    first = counts_of(job)
    assert first["forwards"] == {"generator": 1, "discriminator": 3}
    module = job.module()
    g, g_first = forward_flops(module.generator, (2, 3, 32, 32))
    d, d_first = forward_flops(module.discriminator, (2, 6, 32, 32))
    # A backward costs a forward for the inputs' gradients (which pictures do not need), and one for the weights'.
    assert first["flops"] == (3 * g - g_first) + 2 * (3 * d - d_first) + 2 * d


def test_what_a_step_of_cyclegan_computes():
    job = TINY[1]
    first = counts_of(job)
    assert first["forwards"] == {
        "generator_ab": 3,
        "generator_ba": 3,
        "discriminator_a": 3,
        "discriminator_b": 3,
    }
    module = job.module()
    g, g_first = forward_flops(module.generator_ab, (2, 3, 32, 32))
    d, d_first = forward_flops(module.discriminator_a, (2, 3, 32, 32))
    assert first["flops"] == (6 * 3 * g - 4 * g_first) + 2 * 2 * d + 4 * (3 * d - d_first)


def test_what_a_step_of_the_official_ugatit_computes():
    job = Job("UGATIT", 96, 1, width=2, loop="official")
    answers = io.StringIO()
    nets = run_officially(job, Turns(job, io.StringIO("go\nstop\n"), answers).step_done)
    first, *others = map(json.loads, answers.getvalue().splitlines())
    assert [set(answer) for answer in others] == [{"seconds"}]
    assert first["forwards"] == {name: 4 if name.startswith("gen") else 3 for name in nets}
    nets.eval()
    (g, g_first), *d = (forward_flops(nets[name], (1, 3, 96, 96)) for name in ("genA2B", "disGA", "disLA"))
    # Forward, and backward for inputs and for weights; real pictures alone need no gradient.
    expected = 2 * (12 * g - 3 * g_first) + sum(2 * (9 * every - first) for every, first in d)
    assert first["flops"] == pytest.approx(expected, rel=0.01)  # linear layers count too


def test_the_official_loop_of_sketchygan_takes_each_half_of_a_batch(monkeypatch):
    seen = []
    monkeypatch.setattr(plain_sketchygan, "iteration", lambda nets: lambda *batches: seen.extend(batches))
    job = Job("SketchyGAN", 64, 2)
    batch = job.batch()
    assert {key: len(value) for key, value in batch.items()} == dict.fromkeys(("A", "B", "A_label", "B_label"), 4)
    assert torch.equal(batch["A"][:, 0], batch["A"][:, 2])
    PAPERS["SketchyGAN"].official[1](nn.ModuleDict())(batch)
    for_d, for_g = seen
    names = {"sketch": "A", "labels": "A_label"}
    assert_close(for_d, {k: batch[v][:2] for k, v in (names | {"photo_d": "B", "labels_d": "B_label"}).items()})
    assert_close(for_g, {k: batch[v][2:] for k, v in (names | {"photo": "B"}).items()})


def test_what_a_step_of_the_official_sketchygan_computes():
    nets = plain_sketchygan.sketchygan(5, 4, 4)
    del nets["stem"]
    labels = torch.tensor([0, 3])
    sketch, photo, photo_d = torch.rand(3, 2, 3, 64, 64)
    with torch.no_grad(), counted({}) as g:
        nets["generator"](sketch, labels, torch.rand(2, 256))
    with torch.no_grad(), counted({}) as d:
        nets["discriminator"](photo, labels)
    batch = {"sketch": sketch, "labels": labels, "photo": photo, "photo_d": photo_d, "labels_d": labels}
    with counted(dict(nets.items())) as counts:
        plain_sketchygan.iteration(nets)(batch, batch)
    assert counts["forwards"] == {"generator": 3, "discriminator": 3}
    # Of five passes backward two of G and two of D reach weights and features; the last one of D features only.
    assert counts["flops"] == pytest.approx((3 + 4) * g["flops"] + (3 + 4 + 1) * d["flops"], rel=0.05)


def test_what_a_step_of_the_official_aoda_computes():
    official_nets, official_step = PAPERS["AODA(lambda_a=0)"].official

    def expected(nets, side):
        labels = torch.zeros(1, dtype=torch.long)
        inputs = [(torch.zeros(1, 3, side, side), *([labels] if name == "G_B" else [])) for name in nets]
        forward = map(forward_flops, nets.values(), inputs)
        (g_a, g_a_first), (g_b, g_b_first), (d, d_first), _, (r, r_first) = forward
        # Forward, and backward for inputs (which given pictures do not need) and for weights; generators twice each,
        # the judges once without their weights' gradients and then for a real picture and a made one.
        generators = 2 * 3 * (g_a + g_b) - g_a_first - g_b_first
        return generators + 2 * (2 * d + 2 * (3 * d - d_first)) + 2 * r + 2 * (3 * r - r_first)

    nets = official_nets(64, 4)
    with counted(dict(nets.items())) as counts:
        official_step(nets)(PAPERS["AODA"].batch(1, 64))
    assert counts["forwards"] == {"G_A": 2, "G_B": 2, "D_A": 3, "D_B": 3, "R": 3}
    assert counts["flops"] == pytest.approx(expected(nets, 64), rel=0.01)  # linear layers count too
    with torch.device("meta"):
        published = expected(official_nets(256, 64), 256)
    assert round(published / 2e9) == 704  # as counted in the official code


def test_the_table_of_official_loops(monkeypatch):
    class Stub:
        def __init__(self, job, limit):
            self.job = job
            self.first = {"flops": 4e9 if job.loop == "official" else 3e9, "forwards": {"g": 8}}

        def __enter__(self):
            return self

        def __exit__(self, *error):
            pass

        def turn(self):
            return 4.0 if self.job.loop == "official" else 2.0

        def finish(self):
            return {"peak": 0, "growth": 2**20 * (100 if self.job.loop == "official" else 75)}

    monkeypatch.setattr(official, "Worker", Stub)
    table, counts = official.tables(["Pix2Pix", "UGATIT"], True, "cpu", 3, 1.0)
    assert table.rows == [("UGATIT", 64, 128, 1, 4.0, 2.0, "0.500 (0.500–0.500)", 100.0, 75.0, "0.75")]
    assert [row[3:] for row in counts.rows] == [("official", 4.0, "g 8"), ("Trainer", 3.0, "g 8")]
    assert len(table.header) == len(table.rows[0])
    assert "above the size before" in table.notes[0]


def test_counting_leaves_nothing_behind():
    module = TINY[0].module()
    networks = networks_of(module)
    assert list(networks) == ["generator", "discriminator"]
    with counted(networks) as counts:
        module.generator(torch.zeros(1, 3, 32, 32))
    assert counts["forwards"] == {"generator": 1}
    assert not module.generator._forward_hooks


@pytest.mark.parametrize("short", [True, False])
@pytest.mark.parametrize("device", ["cpu", "cuda"])
def test_every_configuration_constructs(short, device):
    pairs = list(training.workloads(list(PAPERS), short, device))
    jobs = [job for plain, others in pairs for job in [plain, *others]] + list(
        overhead.jobs(list(PAPERS), short, device)
    )
    jobs += official.jobs(list(PAPERS), short, device)
    assert {job.paper for job in jobs} == set(PAPERS)
    assert all(Job(**json.loads(json.dumps(job.settings()))) == job for job in jobs)
    assert all(len({plain, *others}) == 1 + len(others) for plain, others in pairs)
    assert sum(job.compile for job in jobs) <= 1 or not short
    with torch.device("meta"):  # the published widths, without their memory
        for paper, side, width in {(job.paper, job.side, job.width) for job in jobs}:
            assert networks_of(Job(paper, side, 1, width=width).module())


def test_a_process_that_fails_says_why():
    with pytest.raises(Failure, match="Discriminator") as refusal, Worker(Job("Pix2Pix", 8, 1, width=4), limit=100):
        pass
    assert "/" not in str(refusal.value)


def test_table_formatter():
    table = Table("Steps", ["module", "px", "s/step", "fused"], [("A|B", 256, 0.01234, True), ("C", 8, 12.0, False)])
    assert markdown(table).splitlines() == [
        "### Steps",
        "",
        "| module |  px | s/step | fused |",
        "|--------|----:|-------:|-------|",
        "| A/B    | 256 | 0.0123 | yes   |",
        "| C      |   8 |   12.0 | no    |",
    ]
    assert spread([1.0, 3.0, 2.0]) == "2.000 (1.000–3.000)"


def test_page(tmp_path):
    written = page("python run.py", "2030-01-02", [("CPU", "x")], [("Part", [Table("T", ["a"], [(1,)], ["note"])])])
    headings = [line for line in written.splitlines() if line.startswith("#")]
    assert headings == ["# Benchmarks", "## Part", "### T"]
    for part in ("python run.py", "2030-01-02", "| CPU | x |", "| 1 |", "note"):
        assert part in written


def test_one_command_writes_the_page(tmp_path, monkeypatch):
    monkeypatch.setattr(run, "measure", lambda part, args: [Table(f"of {part}", ["a"], [(args.short,)])])
    run.main(["--short", "--device", "cpu", "--page", str(tmp_path / "benchmarks.md")])
    written = (tmp_path / "benchmarks.md").read_text()
    assert [line for line in written.splitlines() if line.startswith("## ")] == [f"## {t}" for t in run.PARTS.values()]
    assert "python tests/benchmarks/run.py --short --device cpu --page benchmarks.md" in written
    assert str(tmp_path) not in written
    assert "| torch |" in written


def test_import_times_by_package():
    log = """\
import time: self [us] | cumulative | imported package
import time:      9000 |       9000 |     torch
import time:       100 |       9100 | lightning
import time:      2000 |       2000 |     PIL.Image
import time:      1000 |       3000 |   sketchgan.data
import time:       500 |       3500 | sketchgan
"""
    assert importing.self_times(log, after="lightning") == [("PIL", 2.0), ("sketchgan", 1.5)]
