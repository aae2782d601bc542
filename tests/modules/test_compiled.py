"""The networks of all modules, compiled: each class once."""

from copy import deepcopy

import pytest
import torch
from torch.utils._pytree import tree_leaves
from witness import fresh, trainer
from zoo import ZOO

from sketchgan.networks import (
    HRNetClassifier,
    Photo2CartoonGenerator,
    SketchyGANDiscriminator,
    SketchyGANGenerator,
)


def kinds_of_networks() -> list[tuple[str, str]]:
    """Each class of networks once: an entry that has it, and its name there."""
    kinds = {
        type(network): (name, attribute)
        for name, entry in reversed(ZOO.items())
        for attribute, network in reversed(entry.networks().items())
        if next(network.parameters(), None) is not None
    }
    # Hundreds of layers take a minute; test_ugatit.py and test_mru.py compile the blocks of most.
    for slow in (HRNetClassifier, Photo2CartoonGenerator, SketchyGANDiscriminator, SketchyGANGenerator):
        del kinds[slow]
    return list(kinds.values())


@pytest.mark.parametrize(("name", "attribute"), kinds_of_networks())
def test_networks_compile_alike(name, attribute):
    """Outputs, gradients and statistics, in training; test_speed.py compiles a whole module."""
    module, given = fresh(ZOO[name]), []
    module.on_fit_start = lambda: hooks.append(network.register_forward_pre_hook(lambda m, args: given.append(args)))
    hooks, network = [], getattr(module, attribute)
    trainer(limit_train_batches=1).fit(module, ZOO[name].datamodule())
    hooks[0].remove()

    torch._dynamo.reset()
    made = []
    for run in (network, torch.compile(deepcopy(network), backend="aot_eager")):
        torch.manual_seed(0)
        run.zero_grad()
        outputs = run(*(x.detach() if isinstance(x, torch.Tensor) else x for x in given[0]))
        outputs = [x for x in tree_leaves(outputs) if x is not None]
        sum(x.square().mean() for x in outputs if x.requires_grad).backward()
        gradients = [p.grad for p in run.parameters() if p.requires_grad]
        made.append([*outputs, *gradients, *run.buffers()])
    torch._dynamo.reset()
    torch.testing.assert_close(made[1], made[0])
