"""Making the networks faster without touching their weights' names."""

from typing import Literal

import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.utilities import rank_zero_info
from torch import nn
from torch.nn.modules.instancenorm import _InstanceNorm


class Speed(Callback):
    """Lay networks out for convolutions, and compile them in place.

    Checkpoints have the same names and numbers with and without it.

    Args:
        channels_last: "auto" changes the memory layout of networks without instance norm, which does not keep it and
            would convert back and forth at every layer; True changes all, False none.
        compile: compile each network (`torch.compile`); the first batches then take minutes.
        backend: of the compiler.
        mode: of the compiler, for instance "reduce-overhead" for CUDA graphs.

    Raises:
        ValueError: for another ``channels_last``.
    """

    def __init__(
        self,
        channels_last: Literal["auto"] | bool = "auto",
        compile: bool = False,
        backend: str = "inductor",
        mode: str | None = None,
    ) -> None:
        if channels_last != "auto" and not isinstance(channels_last, bool):
            raise ValueError(f'channels_last must be "auto", True or False, got {channels_last!r}')
        self.channels_last = channels_last
        self.compile = compile
        self.backend = backend
        self.mode = mode
        self._compiled: set[nn.Module] = set()  # validation and test set up again

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        changed = []
        for name, network in pl_module.named_children():
            if next(network.parameters(), None) is None:
                continue
            if self.channels_last is True or (self.channels_last == "auto" and not _normalises_instances(network)):
                network.to(memory_format=torch.channels_last)
                changed.append(name)
            if self.compile and network not in self._compiled:
                # In place: assigning torch.compile(network) would rename every weight to _orig_mod.….
                network.compile(backend=self.backend, mode=self.mode)
                self._compiled.add(network)
        if changed and stage == "fit":
            rank_zero_info(f"channels_last: {', '.join(changed)}")


def _normalises_instances(network: nn.Module) -> bool:
    return any(isinstance(module, _InstanceNorm) for module in network.modules())
