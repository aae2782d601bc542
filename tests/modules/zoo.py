"""Every paper module, small: what the suite in test_suite.py runs. A new paper adds one entry."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Literal

from torch import Tensor, nn

from sketchgan import (
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
    Style2Paints,
)
from sketchgan.data import Mixture, OpenMoji, OpenMojiEdges, OpenMojiSketches, SketchCurriculum, TranslationData
from sketchgan.networks import (
    AODAGenerator,
    HRNetClassifier,
    PaintsChainerDiscriminator,
    PaintsChainerUNet,
    PatchDiscriminator,
    Photo2CartoonGenerator,
    ResnetGenerator,
    SketchyGANDiscriminator,
    SketchyGANGenerator,
    Style2PaintsDiscriminator,
    Style2PaintsGenerator,
    UGATITDiscriminator,
    UGATITGenerator,
    UNetGenerator,
)

SIZE = 32


@dataclass
class Entry:
    """A module, data that it trains on, and what is expected of it."""

    cls: type[GANModule]
    networks: Callable[[], dict[str, nn.Module]]
    forwards: dict[str, float]  # how often each network sees a batch in one training step
    calls: dict[str, int]  # in how many passes: some carry several batches
    per_sample: Callable[[], dict[str, nn.Module]]  # without batch norm and dropout: a batch can be cut in two
    per_sample_settings: dict[str, Any] = field(default_factory=dict)
    settings: dict[str, Any] = field(default_factory=dict)
    data: dict[str, Any] = field(default_factory=dict)
    made_of: Callable[..., TranslationData] | None = None  # data of its own, by the same arguments
    way: Literal["AtoB", "BtoA"] = "AtoB"  # that it is looked at in
    updates: tuple[str, ...] = ("g", "d")  # whose losses it has
    whole: bool = False  # small enough for what takes long and is the same in all modules
    rates: tuple[float, ...] = (1, 1, 2 / 3, 2 / 3)  # relative, in two epochs of two batches

    def build(self, **kwargs: Any) -> GANModule:
        return self.cls(**self.networks(), **{**self.settings, **kwargs})

    def datamodule(self, **kwargs: Any) -> TranslationData:
        settings = {"image_size": SIZE, "batch_size": 4, **self.data, **kwargs}
        return self.made_of(**settings) if self.made_of else OpenMoji(**{"groups": ["activities"], **settings})


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


def four_discriminators() -> dict[str, nn.Module]:
    return {
        f"{where}_{domain}": UGATITDiscriminator(ndf=2, n_layers=layers)
        for where, layers in (("global", 5), ("local", 4))
        for domain in "ab"
    }


def ugatit_networks() -> dict[str, nn.Module]:
    generators = {f"generator_{way}": UGATITGenerator(ngf=4, n_blocks=1, light=True) for way in ("ab", "ba")}
    return generators | four_discriminators()


def photo2cartoon_networks() -> dict[str, nn.Module]:
    # One will do, with low hourglasses: hundreds of small layers take a quarter of a second.
    generators = {
        "generator_ab": Photo2CartoonGenerator(ngf=4, levels=1),
        "generator_ba": UGATITGenerator(ngf=4, n_blocks=1, light=True),
    }
    face = nn.Sequential(nn.AvgPool2d(28), nn.Flatten())  # without weights, which no checkpoint would hold
    return generators | four_discriminators() | {"face_network": face}


def sketchygan_networks() -> dict[str, nn.Module]:
    return {
        "generator": SketchyGANGenerator(n_classes=7, ngf=2, image_size=32, noise_dim=4),
        "discriminator": SketchyGANDiscriminator(n_classes=7, ndf=2),
    }


class PerSampleGenerator(nn.Module):
    """Without batch norm, and deaf to its noise."""

    noise_dim = 4

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 3, kernel_size=3, padding=1)
        self.classes = nn.Embedding(7, 3)

    def forward(self, sketch: Tensor, labels: Tensor, *noises: Tensor) -> Tensor:
        return (self.conv(sketch) + self.classes(labels)[:, :, None, None]).tanh()


def sketchygan_per_sample() -> dict[str, nn.Module]:
    return {"generator": PerSampleGenerator(), "discriminator": SketchyGANDiscriminator(n_classes=7, ndf=2)}


def aoda_networks() -> dict[str, nn.Module]:
    return {
        "generator_ab": AODAGenerator(n_classes=7, ngf=2, n_blocks=1),
        "generator_ba": ResnetGenerator(ngf=2, n_blocks=1),
        "discriminator_a": PatchDiscriminator(3, ndf=2, n_layers=2, norm="instance"),
        "discriminator_b": PatchDiscriminator(3, ndf=2, n_layers=2, norm="instance"),
        "classifier": HRNetClassifier(7, stem=4, layer1=2, branches=(2, 2, 4, 4), heads=(2, 2, 2, 2), features=8),
    }


def aoda_per_sample() -> dict[str, nn.Module]:
    classifier = nn.Sequential(nn.Conv2d(3, 4, kernel_size=3), nn.ReLU(), nn.AvgPool2d(30), nn.Flatten())
    return {**aoda_networks(), "classifier": nn.Sequential(*classifier, nn.Linear(4, 7))}


def anime2sketch_networks() -> dict[str, nn.Module]:
    return {
        "generator_ba": UNetGenerator(num_downs=4, ngf=2, norm="instance", dropout=0.0, upsample="smooth"),
        "generator_ab": ResnetGenerator(ngf=2, n_blocks=1),
        "discriminator_a": PatchDiscriminator(3, ndf=2, n_layers=2, norm="instance"),
        "discriminator_b": PatchDiscriminator(3, ndf=2, n_layers=2, norm="instance"),
    }


def style2paints_networks() -> dict[str, nn.Module]:
    return {
        "generator": Style2PaintsGenerator(hint_dim=64, in_channels=4, ngf=2, mid=8),
        "discriminator": Style2PaintsDiscriminator(outputs=64, ndf=2, pool=1),
    }


def style2paints_per_sample() -> dict[str, nn.Module]:
    return {
        "generator": Style2PaintsGenerator(hint_dim=64, ngf=2, mid=8, norm="group"),
        "discriminator": PatchDiscriminator(3, ndf=2, n_layers=2, norm="instance"),
    }


def paintschainer_networks() -> dict[str, nn.Module]:
    return {
        "generator": PaintsChainerUNet(ngf=1),
        "discriminator": PaintsChainerDiscriminator(ndf=1, image_size=SIZE),
        "line_network": nn.AvgPool2d(4),  # without weights, which no checkpoint would hold
    }


def paintschainer_per_sample() -> dict[str, nn.Module]:
    judge = PatchDiscriminator(3, ndf=2, n_layers=2, norm="instance")
    return {
        "generator": UNetGenerator(4, 3, num_downs=4, ngf=2, norm="instance", dropout=0.0),
        "discriminator": nn.Sequential(judge, nn.Flatten(), nn.Linear(36, 2)),  # of two classes
        "line_network": nn.AvgPool2d(4),
    }


def refiner_networks() -> dict[str, nn.Module]:
    return {"generator": PaintsChainerUNet(ngf=1), "draft": PaintsChainerUNet(ngf=1)}


def refiner_per_sample() -> dict[str, nn.Module]:
    return {
        "generator": UNetGenerator(4, 3, num_downs=4, ngf=2, norm="instance", dropout=0.0),
        "draft": nn.Conv2d(4, 3, kernel_size=3, padding=1),
    }


def mixture(**kwargs: Any) -> TranslationData:
    """Drawings and edge maps, whose proportion changes with every batch."""
    sources = OpenMojiSketches(groups=["activities"]), OpenMojiEdges(groups=["activities"])
    return Mixture(*sources, SketchCurriculum(n_iterations=10), photo="plain", **kwargs)


SIX = ("generator_ab", "generator_ba", "global_a", "local_a", "global_b", "local_b")
BY_ITERATION = {"n_iterations": 3, "n_iterations_decay": 20, "lambda_cam": 10.0}

ZOO = {
    "pix2pix": Entry(
        Pix2Pix,
        pix2pix_networks,
        forwards={"generator": 1, "discriminator": 3},
        calls={"generator": 1, "discriminator": 3},
        per_sample=pix2pix_per_sample,
        whole=True,
        settings={"n_epochs": 1, "n_epochs_decay": 2},
    ),
    "cyclegan": Entry(
        CycleGAN,
        cyclegan_networks,
        forwards={"generator_ab": 3, "generator_ba": 3, "discriminator_a": 3, "discriminator_b": 3},
        calls={"generator_ab": 3, "generator_ba": 3, "discriminator_a": 2, "discriminator_b": 3},
        per_sample=cyclegan_per_sample,
        per_sample_settings={"pool_size": 0},
        whole=True,
        settings={"pool_size": 6, "n_epochs": 1, "n_epochs_decay": 2},
        data={"paired": False},
    ),
    "ugatit": Entry(
        UGATIT,
        ugatit_networks,
        forwards=dict.fromkeys(SIX, 3),
        calls=dict.fromkeys(SIX, 2),
        per_sample=ugatit_networks,
        settings=BY_ITERATION,
        data={"paired": False},
        rates=(1, 1, 1, 0.95),
    ),
    "photo2cartoon": Entry(
        Photo2Cartoon,
        photo2cartoon_networks,
        forwards=dict.fromkeys(SIX, 3),
        calls=dict.fromkeys(SIX, 2),
        per_sample=photo2cartoon_networks,
        settings=BY_ITERATION,
        data={"paired": False},
        rates=(1, 1, 1, 0.95),
    ),
    "sketchygan": Entry(
        SketchyGAN,
        sketchygan_networks,
        forwards={"generator": 1, "discriminator": 1.5},  # each of its passes sees a half
        calls={"generator": 2, "discriminator": 2},
        per_sample=sketchygan_per_sample,
        per_sample_settings={"lambda_perceptual": 0.0, "lambda_diversity": 0.0},
        settings={"n_iterations": 10, "lambda_perceptual": 0.0, "inference_norm": "running"},
        data={"batch_size": 8},
        made_of=mixture,
        rates=(1, 0.91, 0.82, 0.73),
    ),
    "aoda": Entry(
        AODA,
        aoda_networks,
        forwards={"generator_ab": 2, "generator_ba": 2, "discriminator_a": 3, "discriminator_b": 3, "classifier": 3},
        calls={"generator_ab": 1, "generator_ba": 2, "discriminator_a": 2, "discriminator_b": 2, "classifier": 3},
        per_sample=aoda_per_sample,
        per_sample_settings={"n_classes": 7, "pool_size": 0},
        # Pools of six, which are full after the second step of four.
        settings={
            "n_classes": 7,
            "pool_size": 6,
            "sketch_pool_size": 6,
            "lr_g": 1e-4,
            "lr_d": 4e-4,
            "lr_r": 2e-4,
            "lr_policy": "linear",
            "n_epochs": 1,
            "n_epochs_decay": 2,
        },
        data={"paired": False, "groups": ["activities", "objects"], "open_domain": ["objects"]},
    ),
    "anime2sketch": Entry(
        Anime2Sketch,
        anime2sketch_networks,
        forwards={"generator_ab": 2, "generator_ba": 2, "discriminator_a": 3, "discriminator_b": 3},
        calls={"generator_ab": 1, "generator_ba": 2, "discriminator_a": 2, "discriminator_b": 2},
        per_sample=anime2sketch_networks,
        per_sample_settings={"pool_size": 0},
        settings={"threshold": 0.3, "pool_size": 6, "sketch_pool_size": 6, "lr_g": 1e-4, "lr_d": 4e-4},
        data={"paired": False},
        way="BtoA",
        rates=(1, 1, 1, 1),
    ),
    "style2paints": Entry(
        Style2Paints,
        style2paints_networks,
        forwards={"generator": 1, "discriminator": 3},
        calls={"generator": 1, "discriminator": 3},
        per_sample=style2paints_per_sample,
        per_sample_settings={"style": "openmoji", "adv_schedule": "dcgan"},
        settings={
            "style": "openmoji",
            "adv_schedule": "style",
            "hint_dropout": 0.25,
            "colour_hints": True,
            "n_epochs": 1,
            "n_epochs_decay": 2,
        },
    ),
    "paintschainer": Entry(
        PaintsChainer,
        paintschainer_networks,
        forwards={"generator": 1, "discriminator": 3},
        calls={"generator": 1, "discriminator": 3},
        per_sample=paintschainer_per_sample,
        per_sample_settings={"hints": 0},
        settings={"noise": 5.0, "line_offset": 16.0, "lr_policy": "linear", "n_epochs": 1, "n_epochs_decay": 2},
    ),
    "paintschainer_refiner": Entry(
        PaintsChainerRefiner,
        refiner_networks,
        forwards={"generator": 1, "draft": 1},
        calls={"generator": 1, "draft": 1},
        per_sample=refiner_per_sample,
        per_sample_settings={"hints": 0, "draft_share": 1.0},
        settings={"scale": 2, "noise": 5.0, "line_offset": 24.0}
        | {"lr_policy": "linear", "n_epochs": 1, "n_epochs_decay": 2},
        updates=("g",),
    ),
}
