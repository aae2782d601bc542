"""Every paper module, small: what the suite in test_suite.py runs. A new paper adds one entry."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from torch import nn

from sketchgan import CycleGAN, GANModule, Pix2Pix
from sketchgan.data import OpenMoji, TranslationData
from sketchgan.networks import PatchDiscriminator, ResnetGenerator, UNetGenerator

SIZE = 32


@dataclass
class Entry:
    """A module, data that it trains on, and what is expected of it."""

    cls: type[GANModule]
    networks: Callable[[], dict[str, nn.Module]]
    forwards: dict[str, int]  # passes of each network in one training step
    per_sample: Callable[[], dict[str, nn.Module]]  # without batch norm and dropout: a batch can be cut in two
    per_sample_settings: dict[str, Any] = field(default_factory=dict)
    settings: dict[str, Any] = field(default_factory=dict)
    data: dict[str, Any] = field(default_factory=dict)

    def build(self, **kwargs: Any) -> GANModule:
        return self.cls(**self.networks(), **self.settings, **kwargs)

    def datamodule(self, **kwargs: Any) -> TranslationData:
        return OpenMoji(image_size=SIZE, groups=["activities"], **{"batch_size": 4, **self.data, **kwargs})


def pix2pix_networks() -> dict[str, nn.Module]:
    # Seven levels at 128 px would carry dropout; at 32 px the Torch original's places do.
    return {
        "generator": UNetGenerator(num_downs=5, ngf=2, dropout_levels="lua"),
        "discriminator": PatchDiscriminator(6, ndf=2, n_layers=2),
    }


def cyclegan_networks() -> dict[str, nn.Module]:
    return {
        "generator_ab": ResnetGenerator(ngf=2, n_blocks=1, dropout=0.5),
        "generator_ba": ResnetGenerator(ngf=2, n_blocks=1, norm="batch"),
        "discriminator_a": PatchDiscriminator(3, ndf=2, n_layers=2, norm="instance"),
        "discriminator_b": PatchDiscriminator(3, ndf=2, n_layers=2),
    }


def pix2pix_per_sample() -> dict[str, nn.Module]:
    return {
        "generator": UNetGenerator(num_downs=5, ngf=2, norm="instance"),
        "discriminator": PatchDiscriminator(6, ndf=2, n_layers=2, norm="instance"),
    }


def cyclegan_per_sample() -> dict[str, nn.Module]:
    return {
        "generator_ab": ResnetGenerator(ngf=2, n_blocks=1),
        "generator_ba": ResnetGenerator(ngf=2, n_blocks=1),
        "discriminator_a": PatchDiscriminator(3, ndf=2, n_layers=2, norm="instance"),
        "discriminator_b": PatchDiscriminator(3, ndf=2, n_layers=2, norm="instance"),
    }


ZOO = {
    "pix2pix": Entry(
        Pix2Pix,
        pix2pix_networks,
        forwards={"generator": 1, "discriminator": 3},
        per_sample=pix2pix_per_sample,
        settings={"n_epochs": 1, "n_epochs_decay": 2},
    ),
    "cyclegan": Entry(
        CycleGAN,
        cyclegan_networks,
        forwards={"generator_ab": 3, "generator_ba": 3, "discriminator_a": 3, "discriminator_b": 3},
        per_sample=cyclegan_per_sample,
        per_sample_settings={"pool_size": 0},
        settings={"pool_size": 6, "n_epochs": 1, "n_epochs_decay": 2},
        data={"paired": False},
    ),
}
