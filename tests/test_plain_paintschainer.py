"""The plain PaintsChainer of the benchmarks against the official code, and our module against it."""

import pytest
import torch
from benchmarks.plain_paintschainer import Discriminator, UNet, iteration, paintschainer
from benchmarks.steps import counted, networks_of
from benchmarks.workloads import PAPERS, Job, official_paintschainer, official_paintschainer_step
from golden_cases import assert_close, golden, golden_json
from training import quiet_trainer

CHAINER = {
    "W": "weight",
    "b": "bias",
    "gamma": "weight",
    "beta": "bias",
    "avg_mean": "running_mean",
    "avg_var": "running_var",
    "N": "num_batches_tracked",
}


def named(state):
    """By torch's names."""
    keys = [key.rpartition(".") for key in state]
    return {f"{layer}.{CHAINER[kind]}": value for (layer, _, kind), value in zip(keys, state.values(), strict=True)}


def assert_near(ours, theirs, rtol, what):
    """Up to ``rtol`` of the largest value."""
    assert_close(ours, theirs, rtol * theirs.abs().max().item(), what)


def networks(reference):
    case = reference.case
    width = 32 // case["channel_divisor"]
    nets = paintschainer(width, case["size"])
    for name, net in nets.items():
        net.load_state_dict(named(reference.under(f"state.{name}")))
    return nets.double()


def compare_statistics(ours, theirs, rtol):
    compared = [key for key in theirs if "running" in key]
    for key in compared:
        assert_near(ours[key], theirs[key], rtol, key)
    assert compared


def test_networks():
    reference = golden("paintschainer_forward")
    nets = networks(reference).eval()
    sketch, painting = (reference.tensors[f"in.{name}"].double() for name in "xt")
    outputs = reference.under("out")
    assert_near(nets["unet"](sketch), outputs["eval"], 6e-7, "eval")
    assert_near(nets["dis"](painting), outputs["dis_eval"], 1e-6, "discriminator, eval")
    assert_near(nets["lnet"]((painting - 128) / 128), outputs["lnet_eval"], 6e-7, "lines, eval")
    nets.train()
    assert_near(nets["unet"](sketch), outputs["train"], 3e-5, "train")
    assert_near(nets["dis"](painting), outputs["dis_train"], 1e-5, "discriminator, train")
    compare_statistics(nets["unet"].state_dict(), named(reference.under("after_trainfwd.unet")), 3e-5)


def test_three_steps():
    reference = golden("paintschainer_train128")
    case, nets = reference.case, networks(reference)
    assert {key: case["adam"][key] for key in ("beta1", "beta2", "eps")} == {"beta1": 0.9, "beta2": 0.999, "eps": 1e-8}
    weights = {f"lam_{name}": value for name, value in case["lam"].items()}
    step = iteration(nets, **weights, lr=case["adam"]["alpha"], decay=case["weight_decay"])
    for k in (1, 2, 3):
        losses = step(*(reference.tensors[f"in.{name}.step{k}"].double() for name in "xt"))
        expected = reference.under(f"loss.step{k}")
        assert expected.keys() == losses.keys()
        for key, value in expected.items():
            assert_near(losses[key], value, 4e-5 if key in ("cnn_loss_adv", "dis_loss") else 3e-6, f"step {k} {key}")
    for name, net in nets.items():
        after, ours = named(reference.under(f"after.{name}")), net.state_dict()
        compare_statistics(ours, after, 5e-5)
        # Biases before a norm have no gradient but rounding, of which Adam makes steps.
        compared = [key for key, _ in net.named_parameters() if key in ("dc0.bias", "l8l.bias") or key[0] == "b"]
        compared += [key for key, _ in net.named_parameters() if key[0] != "b" and key.endswith("weight")]
        for key in compared:
            wanted = named(reference.under(f"state.{name}"))[key] if name == "lnet" else after[key]
            assert_close(ours[key], wanted, 0 if name == "lnet" else 2e-5, f"{name}.{key}")


def test_gradients_of_the_first_step(monkeypatch):
    reference = golden("paintschainer_train128")
    nets, seen = networks(reference), {}
    names = {id(parameter): key for key, parameter in nets.named_parameters()}

    def keep(adam):
        for group in adam.param_groups:
            decay = group["weight_decay"]
            seen.update({names[id(p)]: (p.grad + decay * p).detach().clone() for p in group["params"]})

    monkeypatch.setattr(torch.optim.Adam, "step", keep)
    # The update of the network that paints does not change what the discriminator is shown.
    iteration(nets)(*(reference.tensors[f"in.{name}.step1"].double() for name in "xt"))
    for name in ("unet", "dis"):
        expected = named(reference.under(f"grad1.{name}"))
        assert {f"{name}.{key}" for key in expected} == {key for key in seen if key.startswith(f"{name}.")}
        largest = max(value.abs().max().item() for value in expected.values())
        for key, value in expected.items():
            assert_close(seen[f"{name}.{key}"], value, 3e-5 * largest, key)


@pytest.mark.parametrize(
    ("name", "network", "parameters"),
    [
        ("unet", UNet, 18_639_619),
        ("lnet", lambda: UNet(3, 1), 18_638_177),
        ("dis", Discriminator, 918_082),
    ],
)
def test_published_shapes(name, network, parameters):
    with torch.device("meta"):
        made = network()
    published = named(golden_json("paintschainer_keys")[name])
    assert {key: list(value.shape) for key, value in made.state_dict().items()} == published
    assert sum(p.numel() for p in made.parameters()) == parameters


def test_our_module_trains_alike():
    torch.manual_seed(0)
    job = Job("PaintsChainer", 32, 2, width=4)
    ours, nets = job.module(), official_paintschainer(32, 4)
    assert list(networks_of(ours)) == ["generator", "discriminator"]
    lines = ours.lines.network
    pairs = {"unet": ours.generator, "dis": ours.discriminator, "lnet": lines}
    for name, network in pairs.items():
        nets[name].load_state_dict(network.state_dict())
    batches = [{key: value.double() for key, value in job.batch().items()} for _ in range(3)]
    step = official_paintschainer_step(nets.double())
    for batch in batches:
        assert 0 < batch["hints"][:, 3].sum() < 100
        step(batch)
    quiet_trainer(max_epochs=1, precision="64-true").fit(ours, iter(batches))
    for name, network in pairs.items():
        expected = nets[name].state_dict()
        assert network.state_dict().keys() == expected.keys()
        for key, value in network.state_dict().items():
            # Biases before a norm have no gradient but their decay.
            if name != "lnet" or ("running" not in key and "num" not in key):
                assert_close(value, expected[key], 1e-8, f"{name}.{key}")


def test_what_a_step_computes():
    """Forward, and backward for inputs and weights, also those of the line network and, for ``unet``, of ``dis``."""
    with torch.device("meta"):
        nets = official_paintschainer(128, 64)
        sizes = {"unet": (1, 4, 128, 128), "dis": (1, 3, 128, 128), "lnet": (1, 3, 128, 128)}
        forward = {}
        for name, size in sizes.items():
            with torch.no_grad(), counted({}) as counts:
                nets[name](torch.empty(size))
            forward[name] = counts["flops"]
        with counted(dict(nets.items())) as counts:
            official_paintschainer_step(nets)(PAPERS["PaintsChainer"].batch(1, 128))
    assert counts["forwards"] == {"unet": 1, "dis": 3, "lnet": 2}
    expected = 3 * forward["unet"] + 9 * forward["dis"] + 6 * forward["lnet"]
    assert counts["flops"] == pytest.approx(expected, rel=0.02)
