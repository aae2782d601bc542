"""Running a trained generator as pix2pix's test script does: dropout on, batch norm on the image's own statistics."""

import os
import zlib
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm


def seeds_of(names: Sequence[str], variants: Sequence[int] | Tensor | None = None) -> list[int]:
    """One seed per file name, so that an image is translated alike alone, in any batch and from any folder.

    Args:
        names: of files.
        variants: another number for each name gives it another seed; 0, as without this, gives the first.

    Examples:
        >>> first, other = seeds_of(["cat.png", "cat.png"], [0, 1])
        >>> first == seeds_of(["folder/cat.jpg"])[0], first == other
        (True, False)
    """
    seeds = [zlib.crc32(os.fsencode(Path(name).stem)) for name in names]
    numbers = [0] * len(seeds) if variants is None else list(map(int, variants))
    if len(numbers) != len(seeds):
        raise ValueError(f"{len(numbers)} variants for {len(seeds)} names")
    return [zlib.crc32(str(n).encode(), seed) if n else seed for seed, n in zip(seeds, numbers, strict=True)]


@contextmanager
def inference_policy(
    network: nn.Module, sample_statistics: bool = False, dropout: bool = False, seeds: Sequence[int] | None = None
) -> Iterator[None]:
    """Put ``network`` in evaluation mode for the block, with two exceptions where wanted.

    No running statistic is touched, no global random number is drawn, and every sample's output depends on that
    sample and its seed alone, not on the batch around it, unless a norm is told to (see `use_statistics`).

    Args:
        network: any network.
        sample_statistics: normalise in batch norm with each sample's own mean and variance, which is what batch norm
            in training mode does to a batch of one.
        dropout: keep dropout active.
        seeds: one per sample of the batch, for dropout; by default the positions 0, 1, …

    Examples:
        >>> network = nn.Sequential(nn.Dropout(0.5))
        >>> x = torch.ones(2, 4)
        >>> with inference_policy(network, dropout=True, seeds=seeds_of(["a.png", "folder/a.jpg"])):
        ...     y = network(x)
        >>> bool((y[0] == y[1]).all()), network.training
        (True, True)
    """
    modes = {module: module.training for module in network.modules()}
    with ExitStack() as hooks:
        if sample_statistics or dropout:
            # A compiled network does not look at hooks again once it is compiled.
            hooks.enter_context(torch.compiler.set_stance("force_eager"))
        try:
            network.eval()
            for module in network.modules():
                if sample_statistics and isinstance(module, _BatchNorm) and not hasattr(module, "statistics"):
                    hooks.callback(module.register_forward_hook(_normalise_each).remove)
                if dropout and isinstance(module, nn.Dropout):
                    hooks.callback(module.register_forward_hook(_SeededDropout(seeds)).remove)
            yield
        finally:
            for module, training in modes.items():
                module.training = training


def _normalise_each(module: _BatchNorm, inputs: tuple[Tensor], output: Tensor) -> Tensor:
    return F.instance_norm(inputs[0], None, None, module.weight, module.bias, use_input_stats=True, eps=module.eps)


class _SeededDropout:
    """A forward hook that drops with one CPU generator per sample: the same on every device."""

    def __init__(self, seeds: Sequence[int] | None) -> None:
        self.seeds = seeds

    def __call__(self, module: nn.Dropout, inputs: tuple[Tensor], output: Tensor) -> Tensor:
        x = inputs[0]
        seeds = range(len(x)) if self.seeds is None else self.seeds
        if len(seeds) != len(x):
            raise ValueError(f"{len(seeds)} seeds for a batch of {len(x)} images")
        kept = [torch.rand(x.shape[1:], generator=torch.Generator().manual_seed(seed)) >= module.p for seed in seeds]
        return x * torch.stack(kept).to(x) / (1 - module.p)


def use_statistics(network: nn.Module, statistics: Literal["batch", "running"]) -> None:
    """Choose what the norms of a network that offer the choice normalise with in evaluation.

    Args:
        network: with the norms, wherever they are: `sketchgan.blocks.ConditionalBatchNorm`, and all that have an
            attribute ``statistics``.
        statistics: "batch", what is evaluated together; or "running", the averages of training.

    Raises:
        ValueError: for anything else.
    """
    if statistics not in ("batch", "running"):
        raise ValueError(f'statistics must be "batch" or "running", got {statistics!r}')
    for module in network.modules():
        if hasattr(module, "statistics"):
            module.statistics = statistics  # type: ignore[assignment]
