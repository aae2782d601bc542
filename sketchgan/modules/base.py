"""What every paper module shares, and nothing about any paper."""

import math
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, ClassVar, Literal, Protocol

import torch
from lightning.pytorch import LightningModule
from lightning.pytorch.utilities import rank_zero_warn
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.optim import Adam, Optimizer

from sketchgan.modules.building import build, class_path, find_class, is_plain, own_settings
from sketchgan.modules.checkpoint import (
    compare_weights,
    data_settings,
    forget_remote_files,
    read,
    record_of,
    refuse_other_class,
    settings_of,
)
from sketchgan.modules.finite import FiniteGuard, NonFiniteLossError
from sketchgan.modules.rates import catch_up, step_plateaus
from sketchgan.modules.strategy import (
    refuse_plain_ddp,
    refuse_scaled_clipping,
    refuse_strategy,
    refuse_sync_batch_norm,
    scales_gradients,
)
from sketchgan.modules.weights import SUFFIX, Absent, fill_up
from sketchgan.ops import LRPolicy, average_batch_norm, get_rng_state, lr_scheduler, pad_to_multiple, set_rng_state

Batch = Mapping[str, Any]
"""``"A"`` and ``"B"``: images ``(N, C, H, W)`` in [-1, 1]; optional ``"A_label"``, ``"B_label"``, ``"A_path"``, …

What colours a sketch: ``"style"``, pictures ``(N, 3, h, w)`` in [-1, 1] whose style is wanted, or ``"style_hint"``,
their vectors ``(N, D)``, which win; ``"hints"``, colours for single pixels of A, ``(N, 4, H, W)``: RGB in [-1, 1],
which counts where the fourth channel is above 0.
"""


class Stateful(Protocol):
    """Anything outside the module tree whose state belongs into a checkpoint, one per process."""

    def state_dict(self) -> dict[str, Any]: ...

    def load_state_dict(self, state: dict[str, Any]) -> None: ...


class GANModule(LightningModule):
    """Manual optimization for several networks: updates, learning rates, exact resume, and a guard against NaN.

    A paper's module adds its networks, ``training_step``, the losses as dicts of weighted terms, ``sample`` (and
    ``translate``, where ``sample`` makes more than the translations) and ``configure_optimizers``. Hyperparameters are
    saved here, as far as they are plain values, so every checkpoint loads with ``weights_only=True``; networks and
    losses that were passed as objects must be passed again on loading.
    A subclass that overrides a hook which is defined here (``setup``, ``on_train_start``, …) calls ``super()``.

    Attributes:
        needs_pairs: the module wants A and B to show the same thing.
        needs_labels: the module wants class labels.
        takes_style, needs_style: the module takes a picture whose style is wanted, and cannot do without.
        takes_hints: the module takes colours for single pixels.
        generators: the generator of each direction that ``translate`` can do: "AtoB", "BtoA" or both.
        resizes_back: the official script brings what it made to the size of the input's file.
        lr_interval: what the learning-rate curves count, finished epochs or batches.
        lr, betas, fused: of `adam`.
        lr_curve: settings of the learning-rate curve.
        batches_seen: batches trained on, over all epochs and resumes, the current one included. Lightning's
            ``global_step`` counts every optimizer's steps instead.
        stateful: objects (image pools, curricula) to save with the checkpoint, per process, by name.
        planned_epochs: length of the learning-rate curve, if it has one.
        lr_monitor: the logged value that a ``ReduceLROnPlateau`` watches.
        data_settings: of a loaded module, how the data that it was trained on was prepared.
    """

    needs_pairs: bool = False
    needs_labels: bool = False
    takes_style: bool = False
    needs_style: bool = False
    takes_hints: bool = False
    generators: ClassVar[dict[str, str]] = {"AtoB": "generator"}
    resizes_back: ClassVar[bool] = False
    lr_interval: ClassVar[Literal["epoch", "iteration"]] = "epoch"

    _given: frozenset[str]
    lr: float
    lr_curve: tuple[Any, ...]
    betas: tuple[float, float]
    fused: bool | None

    def __new__(cls, *args: Any, **kwargs: Any) -> Any:
        module = super().__new__(cls)
        module.__dict__["_given"] = frozenset(kwargs)  # not what a subclass hands on to its base
        return module

    def __init__(self, **kwargs: Any) -> None:  # takes anything, so that loading through the base class works
        super().__init__()
        self.automatic_optimization = False
        self.batches_seen = 0
        self.stateful: dict[str, Stateful] = {}
        self.planned_epochs: int | None = None
        self.lr_monitor = ""
        self.data_settings: dict[str, Any] = {}
        self._injected: dict[str, str] = {}
        self._clip: float | None = None
        self._guard = FiniteGuard()
        self._absent: dict[str, str] = {}
        self._curve_start = 0  # batches seen before this fit, which has its own learning-rate curve
        self._resumed: dict[str, Any] | None = None
        self._loaded = False
        self.save_hyperparameters()

    def _set_hparams(self, hp: Any) -> None:
        """Keep plain values and recipes of networks; remember by name what was passed as a live object."""
        hp = own_settings(type(self), self._given, self._to_hparams_dict(hp))
        self._injected |= {name: class_path(type(value)) for name, value in hp.items() if not is_plain(value)}
        super()._set_hparams({name: value for name, value in hp.items() if is_plain(value)})

    # Updates

    def minimize(self, optimizer: Any, losses: Mapping[str, Tensor], log_as: str, clip: float | None = None) -> None:
        """Update once on the sum of ``losses``.

        Args:
            optimizer: one of ``self.optimizers()``.
            losses: weighted scalar terms, in the paper's order.
            log_as: name of the total; terms are logged as ``<log_as>/<term>``.
            clip: largest norm of the optimizer's gradients; none by default.

        Raises:
            ValueError: if there are no terms.
        """
        if not losses:
            raise ValueError(f"the loss {log_as} has no terms: at least one of its weights must differ from 0")
        total = torch.as_tensor(sum(losses.values()))
        if clip is not None:
            refuse_scaled_clipping(self.trainer, optimizer)
        optimizer.zero_grad()
        self.manual_backward(total)
        self._clip = clip
        optimizer.step()
        self._guard.watch(losses, log_as, self.batches_seen)
        if self.is_logging_step:
            self._guard.check()
            self.log(log_as, total.detach(), prog_bar=True)
            self.log_dict({f"{log_as}/{name}": loss.detach() for name, loss in losses.items()})

    def adam(
        self,
        *networks: nn.Module,
        groups: list[dict[str, Any]] | None = None,
        lr: float | None = None,
        weight_decay: float = 0.0,
        cls: type[Adam] = Adam,
    ) -> Adam:
        """Adam over the trainable weights of networks, or over groups of parameters, with the module's settings.

        These are ``lr`` (if not given), ``betas`` and ``fused``. By default it runs as one kernel unless gradients are
        scaled ("16-mixed"): it would unscale them inside its step, after clipping, and after callbacks have looked at
        them.
        """
        parameters: Any = [p for network in networks for p in network.parameters() if p.requires_grad]
        fused = not scales_gradients(self._trainer) if self.fused is None else self.fused
        return cls(
            groups or parameters, self.lr if lr is None else lr, self.betas, weight_decay=weight_decay, fused=fused
        )

    def optimizers(self, use_pl_optimizer: bool = True) -> Any:
        """The optimizers of ``configure_optimizers``, always as a list."""
        optimizers = super().optimizers(use_pl_optimizer)
        return optimizers if isinstance(optimizers, list) else [optimizers]

    @property
    def is_logging_step(self) -> bool:
        """Whether the loggers write after this batch; a term costs 0.3 ms to log, so others are not."""
        return self.batches_seen % self.trainer.log_every_n_steps == 0  # type: ignore[attr-defined]

    def on_before_optimizer_step(self, optimizer: Optimizer) -> None:
        # Here gradients are unscaled under fp16; in training_step they are not.
        if self._clip is not None:
            parameters = [p for group in optimizer.param_groups for p in group["params"]]
            torch.nn.utils.clip_grad_norm_(parameters, self._clip)

    def on_train_batch_start(self, batch: Any, batch_idx: int) -> None:
        self.batches_seen += 1
        if self.lr_interval == "iteration":
            self._catch_up(self.batches_seen - 1 - self._curve_start)

    # Learning rates: Lightning steps none in manual optimization.

    def on_train_epoch_end(self) -> None:
        step_plateaus(self.trainer, self.lr_monitor)
        if self.lr_interval == "epoch":
            self._catch_up(self.current_epoch + 1)

    def _catch_up(self, finished: int) -> None:
        catch_up(self.trainer, finished, self.lr_interval == "iteration")

    def plan_rates(self, policy: LRPolicy, n_epochs: int, n_epochs_decay: int, step_size: int, monitor: str) -> None:
        """Settle the learning-rate curve by epochs that `rated` gives to optimizers; see `lr_scheduler`."""
        self.lr_curve = (policy, n_epochs, n_epochs_decay, step_size)
        self.lr_monitor = monitor
        if policy in ("linear", "halving"):
            self.planned_epochs = n_epochs + n_epochs_decay

    def rated(self, *optimizers: Optimizer) -> tuple[list[Optimizer], list[Any]]:
        """What ``configure_optimizers`` returns: optimizers, and their schedulers by the curve of `plan_rates`."""
        return list(optimizers), [lr_scheduler(optimizer, *self.lr_curve) for optimizer in optimizers]

    # Fit begins

    def setup(self, stage: str) -> None:
        refuse_strategy(self.trainer)
        refuse_sync_batch_norm(self.trainer, self)
        if stage == "fit" and self._loaded:
            self.train()
            self._loaded = False
        absent = [network for network in self.children() if isinstance(network, Absent)]
        if stage == "fit" and absent:
            names = ", ".join(network.name for network in absent)
            raise ValueError(f"{absent[0].source} holds no {names}; training needs all networks")
        data = getattr(self.trainer, "datamodule", None)
        for need, offer, what in (
            (self.needs_pairs, "paired", "pairs: A and B of the same thing"),
            (self.needs_labels, "labelled", "class labels (A_label, B_label)"),
        ):
            if stage == "fit" and need and getattr(data, offer, True) is False:
                raise ValueError(
                    f"{type(self).__name__} needs {what}, which {type(data).__name__} as configured does not give; "
                    f"use a data module whose `{offer}` is True, for instance OpenMoji(paired=True)"
                )

    def on_train_start(self) -> None:
        refuse_plain_ddp(self.trainer)
        self._guard = FiniteGuard()
        self._curve_start = self.batches_seen
        if self._resumed is not None:
            self.batches_seen = self._resumed["batches_seen"]
            self._curve_start = self._resumed.get("curve_start", 0)
            states = self._resumed["per_rank"]
            if not states:
                pass  # converted from official weights, which have none
            elif len(states) == self.trainer.world_size:
                for name, stateful in self.stateful.items():
                    stateful.load_state_dict(states[self.global_rank]["stateful"][name])
                set_rng_state(states[self.global_rank]["rng"])
            else:
                rank_zero_warn(
                    f"the checkpoint is from {len(states)} processes, this run has {self.trainer.world_size}: random "
                    "states and image pools start afresh"
                )
            self._resumed = None
        if self.lr_interval == "epoch":
            self._catch_up(self.current_epoch)
        if self.planned_epochs is not None and self.planned_epochs != self.trainer.max_epochs:
            rank_zero_warn(
                f"the learning rate is planned for {self.planned_epochs} epochs (n_epochs + n_epochs_decay), but "
                f"max_epochs is {self.trainer.max_epochs}"
            )

    # Checkpoints

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        self._guard.check()
        self._average_batch_norm()  # in place, and so in checkpoint["state_dict"] too
        for name, value in self.named_parameters():
            if not value.isfinite().all():
                raise NonFiniteLossError(f"weight {name} is NaN or infinite at batch {self.batches_seen}; not saved")
        states = {name: stateful.state_dict() for name, stateful in self.stateful.items()}
        mine = {"rng": get_rng_state(), "stateful": states}
        per_rank = [mine]
        if self.trainer.world_size > 1:
            per_rank = [{}] * self.trainer.world_size
            torch.distributed.all_gather_object(per_rank, mine)
        checkpoint["sketchgan"] = {
            "class_path": class_path(type(self)),
            "injected": self._injected,
            "batches_seen": self.batches_seen,
            "curve_start": self._curve_start,
            "per_rank": per_rank,
            "data": type(data).__qualname__ if (data := getattr(self.trainer, "datamodule", None)) else None,
        }

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        record = record_of(checkpoint, "this checkpoint")
        refuse_other_class(type(self), record)
        forget_remote_files(checkpoint)
        self._absent = {name: path for name, path in record["injected"].items() if name not in self._injected}
        if self._trainer is not None:  # resuming; load_from_checkpoint only wants the weights
            self._resumed = record

    def load_state_dict(self, state_dict: Mapping[str, Any], strict: bool = True, assign: bool = False) -> Any:
        """As in torch, with one readable error in place of a list of keys."""
        if strict:
            compare_weights(self, state_dict, self._absent)
        return super().load_state_dict(state_dict, strict, assign)

    @classmethod
    def load_from_checkpoint(
        cls,
        checkpoint_path: Any,
        map_location: Any = None,
        hparams_file: Any = None,
        strict: bool | None = None,
        weights_only: bool | None = None,
        **kwargs: Any,
    ) -> Any:
        """Load a checkpoint or a file of weights safely, as the class that wrote it if that is a subclass of this one.

        Args:
            checkpoint_path: written by a `Trainer`, or by `sketchgan.convert.convert`.
            map_location: device to load to; the CPU by default.
            hparams_file: Lightning's; not used, as the settings are in the file.
            strict: whether all weights must fit; True by default.
            weights_only: Lightning's; nothing but weights and plain values is ever loaded.
            **kwargs: constructor arguments to replace; networks that were passed as objects are passed again, as in
                ``load_from_checkpoint(path, generator=MyNet())``.
        """
        checkpoint = read(checkpoint_path)
        record = record_of(checkpoint, checkpoint_path)
        try:
            wanted = find_class(record["class_path"], GANModule)
        except ValueError:
            if cls.__name__ != record["class_path"].rpartition(".")[2]:
                raise
            wanted = cls  # a script's own class, whose path was another when the script was run
        target = wanted if issubclass(wanted, cls) else cls
        refuse_other_class(target, record)
        module = build(target, settings_of(checkpoint), kwargs, checkpoint_path)
        module.configure_model()
        if Path(checkpoint_path).suffix == SUFFIX:
            checkpoint["state_dict"] = fill_up(module, checkpoint["state_dict"], kwargs, str(checkpoint_path))
        module.on_load_checkpoint(checkpoint)
        module.load_state_dict(checkpoint["state_dict"], module.strict_loading if strict is None else strict)
        module._remember(settings_of(checkpoint), kwargs)
        module.data_settings = data_settings(checkpoint)
        return module.to(map_location if isinstance(map_location, str | int | torch.device) else "cpu")

    def _remember(self, settings: Mapping[str, Any], given: Mapping[str, Any]) -> None:
        """Keep the recipes of networks that were built from them, so that this module's own checkpoints load too."""
        recipes = {name: settings[name] for name in self._injected if name in settings and name not in given}
        self.hparams.update(recipes)
        self._injected = {name: path for name, path in self._injected.items() if name not in recipes}

    # Evaluation: callbacks look at what these return.

    @property
    def directions(self) -> tuple[str, ...]:
        """What ``translate`` can do with the networks that are there."""
        return tuple(way for way, name in self.generators.items() if not isinstance(getattr(self, name, None), Absent))

    def sample(self, batch: Batch) -> dict[str, Tensor]:
        """Pictures by name (``"real_A"``, ``"fake_B"``, …) for a batch, each ``(N, C, H, W)`` in [-1, 1]."""
        raise NotImplementedError(f"{type(self).__name__} does not define sample(batch)")

    def translate(self, batch: Batch) -> dict[str, Tensor]:
        """Of ``sample``, the translations alone: ``"fake_B"``, and ``"fake_A"`` for modules with both ways."""
        return {name: images for name, images in self.sample(batch).items() if name.startswith("fake")}

    def validation_step(self, batch: Batch, batch_idx: int) -> dict[str, Tensor]:
        return self._at_any_size(self.sample, batch)

    def test_step(self, batch: Batch, batch_idx: int) -> dict[str, Tensor]:
        return self._at_any_size(self.sample, batch)

    def predict_step(self, batch: Batch, batch_idx: int) -> dict[str, Any]:
        made = self._at_any_size(self.translate, batch)
        return made | {key: batch[key] for key in ("A_path", "B_path") if key in batch}

    def on_validation_start(self) -> None:
        self._average_batch_norm()

    def _average_batch_norm(self) -> None:
        if self.trainer.world_size > 1:
            average_batch_norm(self, self.trainer.strategy.root_device)

    @property
    def size_multiple(self) -> int:
        """What both sides of a picture must be multiples of; networks say so by an attribute of this name."""
        return math.lcm(*(getattr(module, "size_multiple", 1) for module in self.modules() if module is not self))

    def _at_any_size(self, make: Callable[[Batch], dict[str, Tensor]], batch: Batch) -> dict[str, Tensor]:
        """Pad the batch to what the networks take, and crop what they make."""
        multiple = self.size_multiple
        least = max(getattr(module, "smallest_size", 8) for module in self.modules())
        sides = {side: batch[side] for side in ("A", "B", "hints") if side in batch}
        padded = {side: pad_to_multiple(images, multiple, least) for side, images in sides.items()}
        pictures = make({**batch, **padded})
        if all(padded[side] is images for side, images in sides.items()):
            return pictures
        cropped = {}
        for full_name, images in pictures.items():
            name = full_name.removeprefix("cam_")
            from_a = name in ("fake_B", "other_B", "hints") or (name.endswith("_A") and name != "fake_A")
            side = "A" if from_a else "B"
            if name != "other_style" and side in sides and images.shape[-2:] == padded[side].shape[-2:]:
                height, width = sides[side].shape[-2:]
                images = images[..., :height, :width]
            cropped[full_name] = images
        return cropped


def refuse_batch_norm(discriminator: nn.Module, remedy: str) -> None:
    """Raise if a discriminator that a gradient penalty needs per sample mixes its samples."""
    if any(isinstance(module, _BatchNorm) for module in discriminator.modules()):
        raise ValueError(
            "an adversarial loss with gradient penalty (such as 'wgangp') needs a gradient per sample, but the "
            f"discriminator has batch norm, which mixes samples; pass {remedy}"
        )
