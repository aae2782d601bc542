"""Which modules have official code, and how it keeps their weights: one description each, and all else follows it."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from torch import nn

from sketchgan.convert import aoda, paintschainer, pix2pix_cyclegan, sketchygan, ugatit
from sketchgan.convert.official import OfficialNetwork
from sketchgan.modules import (
    AODA,
    UGATIT,
    Anime2Sketch,
    CycleGAN,
    GANModule,
    PaintsChainer,
    PaintsChainerRefiner,
    Photo2Cartoon,
    Pix2Pix,
    SketchyGAN,
)
from sketchgan.networks import UNetGenerator

Settings = Mapping[str, Mapping[str, Any]]
"""Of networks, by our names."""


@dataclass(frozen=True)
class System:
    """One of our modules, and the official files of its networks.

    Attributes:
        module: our class.
        names: the networks, official → ours; a generator comes first.
        networks: those that the official code can build.
        joint: ending of the one file that holds all networks (".pt": by name; ".npz": TensorFlow's variables); if
            empty, each has a file of its own that ends in its name (``…_net_G_A.pth``).
        resample: filter of the official test script, which resizes pictures to squares.
        shared: arguments of the module that are its networks' too.
        arguments: those of the module that follow from its networks' settings.
        data: what else inference needs to know of the training data, from the same.
        side: of the squares that the official test script resizes pictures to, unless the networks tell it.
        alone: which network a file with a single one holds whose name does not say; by class, else the first.
        assumed: settings of networks that weights do not show, where this code differs from that of pix2pix.
        data_parallel: networks whose official files have the prefix ``module.``, and are loaded with it.
        archives: each network has an archive of arrays (Chainer's), under its official name without an ending.
    """

    module: type[GANModule]
    names: Mapping[str, str]
    networks: Sequence[OfficialNetwork]
    joint: Literal["", ".pt", ".npz"] = ""
    resample: Literal["bicubic", "bilinear"] = "bicubic"
    shared: tuple[str, ...] = ()
    arguments: Callable[[Settings], dict[str, Any]] = lambda settings: {}
    data: Callable[[Settings], dict[str, Any]] = lambda settings: {}
    side: int = 256
    alone: Mapping[type[nn.Module], str] = field(default_factory=dict)
    assumed: Mapping[str, Any] = field(default_factory=dict)
    data_parallel: tuple[str, ...] = ()
    archives: bool = False

    @property
    def name(self) -> str:
        return self.module.__name__


_TABLE = [  # a module stands below the one that it derives from
    System(Pix2Pix, pix2pix_cyclegan.PIX2PIX, pix2pix_cyclegan.NETWORKS, arguments=pix2pix_cyclegan.pix2pix_arguments),
    System(CycleGAN, pix2pix_cyclegan.CYCLEGAN, pix2pix_cyclegan.NETWORKS),
    System(UGATIT, ugatit.UGATIT, ugatit.NETWORKS, ".pt", "bilinear", ("light", "image_size")),
    System(Photo2Cartoon, ugatit.UGATIT, ugatit.NETWORKS, ".pt", "bilinear", ("light", "image_size")),
    System(
        SketchyGAN,
        sketchygan.SKETCHYGAN,
        sketchygan.NETWORKS,
        ".npz",
        shared=("n_classes", "image_size"),
        arguments=sketchygan.module_arguments,
        data=sketchygan.data_settings,
    ),
    System(
        AODA,
        aoda.AODA,
        aoda.NETWORKS,
        alone=aoda.ALONE,
        data_parallel=aoda.DATA_PARALLEL,
        shared=("n_classes",),
        arguments=aoda.module_arguments,
    ),
    System(
        Anime2Sketch,
        {"G": "generator_ba"},
        [known for known in pix2pix_cyclegan.NETWORKS if known.network is UNetGenerator],
        side=512,
        assumed={"dropout": 0.0},
        arguments=lambda settings: {"improved": settings["generator_ba"].get("upsample") == "smooth"},
    ),
    System(
        PaintsChainer,
        paintschainer.PAINTSCHAINER,
        paintschainer.NETWORKS,
        archives=True,
        side=128,
        alone=paintschainer.ALONE,
        arguments=paintschainer.module_arguments,
        data=paintschainer.data_settings,
    ),
    System(
        PaintsChainerRefiner,
        paintschainer.REFINER,
        paintschainer.NETWORKS[:1],
        archives=True,
        side=512,
        arguments=paintschainer.module_arguments,
        data=paintschainer.data_settings,
    ),
]

SYSTEMS = {system.name: system for system in _TABLE}
NETWORKS = [*pix2pix_cyclegan.NETWORKS, *ugatit.NETWORKS, *sketchygan.NETWORKS, *aoda.OWN, *paintschainer.NETWORKS]


def system_of(module: GANModule) -> System | None:
    """The system of a module, or of the module that it derives from."""
    return next((system for system in reversed(_TABLE) if isinstance(module, system.module)), None)


def official_network(network: nn.Module, system: System | None = None) -> OfficialNetwork:
    """Which network of official code, or of that of one system, one of ours is.

    Raises:
        ValueError: if it is none.
    """
    for official in system.networks if system else NETWORKS:
        if isinstance(network, official.network):
            return official
    code = f"the official code of {system.name}" if system else "official code"
    raise ValueError(f"{type(network).__name__} has no counterpart in {code}")
