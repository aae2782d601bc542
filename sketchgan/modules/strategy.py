"""Settings of the Trainer that cannot work for several networks, refused with a sentence."""

from typing import Any

from lightning.pytorch import Trainer
from lightning.pytorch.strategies import DDPStrategy, DeepSpeedStrategy, FSDPStrategy, ModelParallelStrategy
from lightning.pytorch.utilities import rank_zero_warn
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

_ADVICE = 'use strategy="ddp_find_unused_parameters_true"'


def refuse_strategy(trainer: Trainer) -> None:
    """Raise for strategies that drive one optimizer only; warn for those that were never tried.

    Raises:
        ValueError: for DeepSpeed.
    """
    if isinstance(trainer.strategy, DeepSpeedStrategy):
        raise ValueError(f"DeepSpeed drives one optimizer, and a GAN has several; {_ADVICE}")
    if isinstance(trainer.strategy, FSDPStrategy | ModelParallelStrategy):
        rank_zero_warn(f"{type(trainer.strategy).__name__} is untested with GANs, whose networks are small; {_ADVICE}")


def refuse_sync_batch_norm(trainer: Trainer, module: nn.Module) -> None:
    """Raise if norms of a kind of their own are to be made batch norms over all processes, which know none of it.

    Raises:
        ValueError: naming the norm.
    """
    if getattr(trainer.strategy, "_layer_sync", None) is None:
        return
    for name, norm in module.named_modules():
        if isinstance(norm, _BatchNorm) and not type(norm).__module__.startswith("torch."):
            raise ValueError(
                f"sync_batchnorm=True would make {name} a plain batch norm, but it is a {type(norm).__name__}; leave "
                "it out: statistics are those of each process, as in the official code"
            )


def refuse_plain_ddp(trainer: Trainer) -> None:
    """Raise if several optimizers meet a DistributedDataParallel that wants every weight in every update.

    Raises:
        ValueError: saying which strategy works.
    """
    strategy = trainer.strategy
    if not isinstance(strategy, DDPStrategy) or len(trainer.optimizers) < 2:
        return
    settings: dict[str, Any] = getattr(strategy, "_ddp_kwargs", {})
    if settings.get("static_graph") or not settings.get("find_unused_parameters"):
        raise ValueError(
            f"DDP as configured expects every update to use every weight, and a GAN has several; {_ADVICE}"
        )


def scales_gradients(trainer: Trainer | None) -> bool:
    """Whether the precision multiplies gradients by a changing factor, as "16-mixed" does."""
    return trainer is not None and getattr(trainer.precision_plugin, "scaler", None) is not None


def refuse_scaled_clipping(trainer: Trainer, optimizer: Any) -> None:
    """Raise if gradients are to be clipped that only the optimizer itself will unscale.

    Raises:
        ValueError: for a fused optimizer with precision="16-mixed".
    """
    if scales_gradients(trainer) and getattr(optimizer, "_step_supports_amp_scaling", False):
        raise ValueError(
            'gradients cannot be clipped with fused=True and precision="16-mixed": the optimizer unscales them inside '
            'its step; use precision="bf16-mixed", or fused=False, or no clip_g, clip_d'
        )
