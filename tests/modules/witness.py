"""What test_suite.py looks at its trainings with."""

from collections import Counter
from functools import partial
from pathlib import Path

import torch
from lightning.pytorch import Callback, Trainer, seed_everything
from torch import nn
from training import quiet_trainer
from zoo import Entry

from sketchgan import GANModule

EPOCHS, BATCHES = 2, 2


def trainer(**kwargs) -> Trainer:
    defaults = {
        "max_epochs": 1,
        "limit_train_batches": BATCHES,
        "limit_val_batches": 0,
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
    """Names of trainable weights that are as they were, other than shares that are pushed against their limit."""
    still = {k: v for k, v in module.named_parameters() if v.requires_grad and torch.equal(v, before[k])}
    return [k for k, v in still.items() if not (k.endswith("rho") and v.eq(0).all())]


def gradient_norm(optimizer) -> float:
    grads = [p.grad for group in optimizer.param_groups for p in group["params"] if p.grad is not None]
    return torch.nn.utils.get_total_norm(grads).item()


class Seeded(Callback):
    """The same random numbers from here on, whatever scores have drawn to set up their networks."""

    def on_fit_start(self, trainer, pl_module):
        torch.manual_seed(2)


class Witness(Callback):
    """What the steps of a training show."""

    def __init__(self, networks: dict[str, int]) -> None:
        self.networks = networks
        self.samples, self.calls = Counter(), Counter()  # of each network, outside validation
        self.faults: list[str] = []  # gradients that were computed in vain, or not at all
        self.norms: list[float] = []  # of the gradients, before each update
        self.rates: list[list[float]] = []  # of the optimizers, at each batch

    def on_fit_start(self, trainer, pl_module):
        self.hooks = [
            getattr(pl_module, name).register_forward_hook(partial(self.count, trainer, name)) for name in self.networks
        ]

    def count(self, trainer, name, network, inputs, output):
        if trainer.training:
            self.samples[name] += len(inputs[0])
            self.calls[name] += 1

    def on_before_backward(self, trainer, pl_module, loss):
        self.held = {name: None if p.grad is None else p.grad.clone() for name, p in pl_module.named_parameters()}

    def on_before_optimizer_step(self, trainer, pl_module, optimizer):
        """Right before each step, exactly that optimizer's parameters hold new gradients."""
        mine = {id(p) for group in optimizer.param_groups for p in group["params"]}
        for name, p in pl_module.named_parameters():
            held = self.held[name]
            if id(p) not in mine:
                if p.grad is not None and (held is None or not torch.equal(p.grad, held)):
                    self.faults.append(f"{name} was differentiated in vain")
            elif held is not None:
                self.faults.append(f"{name} was not cleared")
            elif p.grad is None:
                self.faults.append(f"{name} has no gradient")
        self.norms.append(gradient_norm(optimizer))

    def on_train_batch_end(self, trainer, pl_module, outputs, batch, batch_idx):
        self.rates.append([optimizer.param_groups[0]["lr"] for optimizer in trainer.optimizers])

    def on_fit_end(self, trainer, pl_module):
        for hook in self.hooks:
            hook.remove()


class SaveAt(Callback):
    """Save after a number of batches."""

    def __init__(self, folder: Path, *batches: int) -> None:
        self.folder = folder
        self.batches = batches

    def on_train_batch_end(self, trainer, pl_module, outputs, batch, batch_idx):
        if pl_module.batches_seen in self.batches:
            trainer.save_checkpoint(self.folder / f"{pl_module.batches_seen}.ckpt")


def end_of(run: Trainer, module: GANModule) -> dict:
    run.save_checkpoint("end.ckpt")
    return torch.load("end.ckpt", weights_only=True)


def assert_same_end(again: dict, end: dict, point: Path) -> None:
    assert again["sketchgan"]["batches_seen"] == end["sketchgan"]["batches_seen"], point
    assert same(again["state_dict"], end["state_dict"]) == [], point
    for a, b in zip(again["optimizer_states"], end["optimizer_states"], strict=True):
        assert a["param_groups"] == b["param_groups"], point
        for key in a["state"]:
            assert same(a["state"][key], b["state"][key]) == [], point
    ours, other = (c["sketchgan"]["per_rank"][0] for c in (again, end))
    assert torch.equal(ours["rng"]["torch"], other["rng"]["torch"]), point
    assert ours["stateful"].keys() == other["stateful"].keys()
    for name, state in ours["stateful"].items():
        assert_same_state(state, other["stateful"][name], f"{point}: {name}")


def assert_same_state(a, b, what: str) -> None:
    assert type(a) is type(b), what
    if isinstance(a, dict):
        assert a.keys() == b.keys(), what
        for key in a:
            assert_same_state(a[key], b[key], f"{what}.{key}")
    elif isinstance(a, list | tuple):
        assert len(a) == len(b), what
        for one, other in zip(a, b, strict=True):
            assert_same_state(one, other, what)
    else:
        assert torch.equal(a, b) if isinstance(a, torch.Tensor) else a == b, what
