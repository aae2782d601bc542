"""What is trained: one entry per paper, the same widths as published."""

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, fields
from functools import partial
from itertools import cycle
from typing import Any

import torch
from torch import nn

from benchmarks import plain_aoda, plain_paintschainer, plain_sketchygan, plain_style2paints, plain_ugatit
from benchmarks.plain import Step, cyclegan_step, pix2pix_step
from sketchgan import AODA, UGATIT, CycleGAN, GANModule, PaintsChainer, Pix2Pix, SketchyGAN, Style2Paints
from sketchgan.losses import PerceptualLoss
from sketchgan.networks import (
    AODAGenerator,
    HRNetClassifier,
    InceptionV4Stem,
    PaintsChainerDiscriminator,
    PaintsChainerUNet,
    PatchDiscriminator,
    ResnetGenerator,
    SketchyGANDiscriminator,
    SketchyGANGenerator,
    Style2PaintsDiscriminator,
    Style2PaintsGenerator,
    UGATITDiscriminator,
    UGATITGenerator,
    UNetGenerator,
)
from sketchgan.networks.style_encoders import VGGStyle
from sketchgan.networks.vgg import VGG


@dataclass(frozen=True)
class Paper:
    """A module as the benchmarks use it.

    Args:
        module: from the pictures' side, the networks' width and ``fused`` to the module.
        batch: from batch size and side to a batch.
        short: side and batch size of the short form.
        long: those that the long form has besides.
        plain: from a module to the step of a plain loop with the same arithmetic.
        official: from side and width to networks of its own, and from those to the step of the official code's loop.
        small: side and batch size that the short form compiles, of one paper.
        overhead: side and batch size of the Trainer's overhead in the short form; the long form has 128 px, 4.
        variant: of another entry, only compared with the official loop.
    """

    module: Callable[[int, int, bool], GANModule]
    batch: Callable[[int, int], dict[str, Any]]
    short: tuple[tuple[int, int], ...]
    long: tuple[tuple[int, int], ...]
    plain: Callable[[Any], Step] | None = None
    official: tuple[Callable[[int, int], nn.ModuleDict], Callable[[nn.ModuleDict], Step]] | None = None
    small: tuple[int, int] | None = None
    overhead: tuple[int, int] = (128, 4)
    variant: bool = False


def pix2pix(side: int, width: int, fused: bool) -> Pix2Pix:
    """U-Net down to one pixel (``unet_256`` at 256 px), at most eight levels, and the 70×70 PatchGAN."""
    levels = min(8, side.bit_length() - 1)
    return Pix2Pix(
        UNetGenerator(num_downs=levels, ngf=width),
        PatchDiscriminator(6, ndf=width),
        fused=fused,
        lr_policy="constant",
    )


def cyclegan(side: int, width: int, fused: bool) -> CycleGAN:
    """``resnet_9blocks``, identity terms on."""
    generators = [ResnetGenerator(ngf=width, n_blocks=9) for _ in range(2)]
    discriminators = [PatchDiscriminator(3, ndf=width, norm="instance") for _ in range(2)]
    return CycleGAN(*generators, *discriminators, fused=fused, lr_policy="constant")


def ugatit(side: int, width: int, fused: bool) -> UGATIT:
    """The light version; its global discriminators want 96 px."""
    networks: dict[str, nn.Module] = {}
    for domain, direction in (("a", "ba"), ("b", "ab")):
        networks[f"generator_{direction}"] = UGATITGenerator(ngf=width, n_blocks=4, light=True)
        networks[f"global_{domain}"] = UGATITDiscriminator(ndf=width, n_layers=7)
        networks[f"local_{domain}"] = UGATITDiscriminator(ndf=width, n_layers=5)
    return UGATIT(**networks, fused=fused)


def official_ugatit(side: int, width: int) -> nn.ModuleDict:
    return plain_ugatit.ugatit(width, width, side, light=True)


def official_ugatit_step(nets: nn.ModuleDict) -> Step:
    iteration = plain_ugatit.iteration(nets)

    def step(batch: Mapping[str, Any]) -> None:
        iteration(batch["A"], batch["B"])

    return step


def sketchygan(side: int, width: int, fused: bool) -> SketchyGAN:
    """50 classes; the perceptual loss's network has random weights."""
    return SketchyGAN(
        SketchyGANGenerator(50, ngf=width, image_size=side),
        SketchyGANDiscriminator(50, ndf=width),
        image_size=side,
        perceptual=PerceptualLoss(InceptionV4Stem(), size=299, value_range=(0, 1)),
        fused=fused,
    )


def official_sketchygan(side: int, width: int) -> nn.ModuleDict:
    if side != 64:
        raise ValueError(f"the official code of SketchyGAN makes pictures of 64 px, got side={side}")
    return plain_sketchygan.sketchygan(50, width, width)


def official_sketchygan_step(nets: nn.ModuleDict) -> Step:
    iteration = plain_sketchygan.iteration(nets)

    def step(batch: Mapping[str, Any]) -> None:
        a, b, label_a, label_b = (batch[key].chunk(2) for key in ("A", "B", "A_label", "B_label"))
        for_d = {"sketch": a[0], "labels": label_a[0], "photo_d": b[0], "labels_d": label_b[0]}
        iteration(for_d, {"sketch": a[1], "labels": label_a[1], "photo": b[1]})

    return step


def labelled_pairs(batch_size: int, side: int) -> dict[str, Any]:
    """Noise for an update of the discriminator, and as much for one of the generator; A has three equal channels."""
    pictures = two_domains(2 * batch_size, side)
    pictures["A"] = pictures["A"][:, :1].expand(-1, 3, -1, -1).contiguous()
    return pictures | {f"{domain}_label": torch.randint(50, (2 * batch_size,)) for domain in "AB"}


class EverySecond:
    """Instead of random numbers for AODA's mixing: steps of real sketches and mixed ones by turns."""

    def __init__(self) -> None:
        self.numbers = cycle([0.0, 1.0])

    def uniform(self, a: float = 0.0, b: float = 1.0) -> float:
        return next(self.numbers)

    def randint(self, a: int, b: int) -> int:
        raise AssertionError("mixing draws no integers")


def aoda(side: int, width: int, fused: bool, lambda_a: float = 1.0) -> AODA:
    """Ten classes, with the classifier; of that the published widths belong to ``width=64``."""
    module = AODA(
        AODAGenerator(10, ngf=width),
        ResnetGenerator(ngf=width, n_blocks=9),
        *(PatchDiscriminator(3, ndf=width, norm="instance") for _ in range(2)),
        classifier=HRNetClassifier(10, **classifier_widths(width), features=32 * width),
        lambda_a=lambda_a,
        fused=fused,
        lr_policy="constant",
    )
    module.mixing.draws = EverySecond()
    return module


def classifier_widths(width: int) -> dict[str, Any]:
    branches = width // 4, width // 2, width, 2 * width
    return {"stem": width, "layer1": width // 2, "branches": branches, "heads": tuple(2 * n for n in branches)}


def official_aoda(side: int, width: int) -> nn.ModuleDict:
    return plain_aoda.aoda(10, width, width, **classifier_widths(width), final=32 * width)


def official_aoda_step(nets: nn.ModuleDict, lambda_a: float = 1.0) -> Step:
    iteration = plain_aoda.iteration(nets, lambda_B=lambda_a, mixing=EverySecond().uniform)

    def step(batch: Mapping[str, Any]) -> None:
        iteration(batch["B"], batch["B_label"], batch["A"], batch["A_label"])

    return step


def labelled(batch_size: int, side: int) -> dict[str, Any]:
    """Noise with labels of ten classes."""
    return two_domains(batch_size, side) | {f"{domain}_label": torch.randint(10, (batch_size,)) for domain in "AB"}


class UntrainedVGG(VGGStyle):
    """With random weights: its time does not depend on them."""

    def build(self) -> nn.Module:
        return VGG(["fc1"], 19, self.vgg.widths)


def vgg_widths(width: int) -> tuple[int, ...]:
    """The published ones for ``width=64``."""
    return width, 2 * width, 4 * width, 8 * width, 8 * width, 64 * width


def style2paints(side: int, width: int, fused: bool) -> Style2Paints:
    """The adversary of styles all the time; of the generator the published widths belong to ``width=64``."""
    return Style2Paints(
        Style2PaintsGenerator(64 * width, ngf=width // 4, mid=32 * width),
        Style2PaintsDiscriminator(64 * width, ndf=width),
        style=UntrainedVGG(widths=vgg_widths(width)),
        adv_schedule="style",
        fused=fused,
        lr_policy="constant",
    )


def official_style2paints(side: int, width: int) -> nn.ModuleDict:
    return plain_style2paints.style2paints(width // 4, width, 64 * width, 32 * width, 64 * width, vgg=vgg_widths(width))


def official_style2paints_step(nets: nn.ModuleDict) -> Step:
    iteration = plain_style2paints.iteration(nets)

    def step(batch: Mapping[str, Any]) -> None:
        iteration((1 - batch["A"]) / 2, batch["B"])

    return step


def sketches_and_paintings(batch_size: int, side: int) -> dict[str, Any]:
    """Noise; A has one channel."""
    pictures = two_domains(batch_size, side)
    return pictures | {"A": pictures["A"][:, :1].contiguous()}


def with_vectors(batch_size: int, side: int) -> dict[str, Any]:
    """And the paintings' style vectors, as a cache gives them; for networks of the published widths."""
    return sketches_and_paintings(batch_size, side) | {"style_hint": torch.randn(batch_size, 4096)}


def paintschainer(side: int, width: int, fused: bool) -> PaintsChainer:
    """In official units, with the line term; its published widths belong to ``width=64``."""
    return PaintsChainer(
        PaintsChainerUNet(ngf=width // 2),
        PaintsChainerDiscriminator(ndf=width // 2, image_size=side),
        line_network=PaintsChainerUNet(3, 1, ngf=width // 2),
        units="official",
        fused=fused,
    )


def official_paintschainer(side: int, width: int) -> nn.ModuleDict:
    return plain_paintschainer.paintschainer(width // 2, side)


def official_paintschainer_step(nets: nn.ModuleDict) -> Step:
    iteration = plain_paintschainer.iteration(nets, chainer=False)

    def step(batch: Mapping[str, Any]) -> None:
        sketch = plain_paintschainer.sketch_with_hints(batch["A"], batch["hints"])
        iteration(sketch, plain_paintschainer.yuv(batch["B"]))

    return step


def with_hints(batch_size: int, side: int) -> dict[str, Any]:
    """And the painting's colours at a hundredth of the pixels, so that none are drawn in the step."""
    pictures = sketches_and_paintings(batch_size, side)
    given = (torch.rand_like(pictures["A"]) < 0.01).float()
    return pictures | {"hints": torch.cat([pictures["B"] * given, given], 1)}


def two_domains(batch_size: int, side: int) -> dict[str, Any]:
    """Uniform noise in [-1, 1]: the time of a step does not depend on what is in the pictures."""
    return {domain: torch.rand(batch_size, 3, side, side) * 2 - 1 for domain in "AB"}


PAPERS: dict[str, Paper] = {
    "Pix2Pix": Paper(
        module=pix2pix,
        batch=two_domains,
        plain=pix2pix_step,
        short=((256, 1),),
        long=((128, 1), (128, 16), (256, 4), (256, 16), (512, 1)),
        small=(64, 4),
    ),
    "CycleGAN": Paper(
        module=cyclegan,
        batch=two_domains,
        plain=cyclegan_step,
        short=((128, 1),),
        long=((128, 4), (256, 1), (256, 4), (512, 1)),
        overhead=(64, 1),
    ),
    "UGATIT": Paper(
        module=ugatit,
        batch=two_domains,
        official=(official_ugatit, official_ugatit_step),
        short=((128, 1),),
        long=((128, 4), (256, 1)),
    ),
    "SketchyGAN": Paper(
        module=sketchygan,
        batch=labelled_pairs,
        official=(official_sketchygan, official_sketchygan_step),
        short=((64, 4),),
        long=((64, 16),),
    ),
    "AODA": Paper(
        module=aoda,
        batch=labelled,
        official=(official_aoda, official_aoda_step),
        short=((64, 1), (64, 4)),
        long=((128, 4), (256, 1)),
    ),
    "AODA(lambda_a=0)": Paper(
        module=partial(aoda, lambda_a=0.0),
        batch=labelled,
        official=(official_aoda, partial(official_aoda_step, lambda_a=0.0)),
        short=((64, 1), (64, 4)),
        long=((128, 4), (256, 1)),
        variant=True,
    ),
    "Style2Paints": Paper(
        module=style2paints,
        batch=sketches_and_paintings,
        official=(official_style2paints, official_style2paints_step),
        short=((256, 1),),
        long=((128, 4), (256, 4), (512, 1)),
    ),
    "Style2Paints(cache_hints=True)": Paper(
        module=style2paints,
        batch=with_vectors,
        official=(official_style2paints, official_style2paints_step),
        short=((256, 1),),
        long=((128, 4), (256, 4), (512, 1)),
        variant=True,
    ),
    "PaintsChainer": Paper(
        module=paintschainer,
        batch=with_hints,
        official=(official_paintschainer, official_paintschainer_step),
        short=((128, 1), (128, 4)),
        long=((128, 16),),
    ),
}


@dataclass(frozen=True)
class Job:
    """One configuration, for a process of its own.

    Args:
        paper: name in `PAPERS`.
        side: of the pictures, in pixels.
        batch_size: pictures of each domain; of SketchyGAN those of one update, of which a batch has two.
        device: "cpu" or "cuda".
        precision: the Trainer's.
        channels_last: of `Speed`.
        compile: of `Speed`.
        fused: Adam as one kernel.
        width: ``ngf`` and ``ndf``.
        loop: "trainer", "plain" for the same loop written out, or "official" for that of the official code.
        csv: log with a `CSVLogger`, once in each block.
        block: steps per turn.
    """

    paper: str
    side: int
    batch_size: int
    device: str = "cpu"
    precision: str = "32-true"
    channels_last: bool = False
    compile: bool = False
    fused: bool = True
    width: int = 64
    loop: str = "trainer"
    csv: bool = False
    block: int = 1

    def module(self) -> GANModule:
        return PAPERS[self.paper].module(self.side, self.width, self.fused)

    def batch(self) -> dict[str, Any]:
        made = PAPERS[self.paper].batch(self.batch_size, self.side)
        return {key: value.to(self.device) for key, value in made.items()}

    def __str__(self) -> str:
        """Module, size, and what differs from the defaults."""
        shown = (f.name for f in fields(self)[3:] if getattr(self, f.name) != f.default)
        options = " ".join(f"{name}={getattr(self, name)}" for name in shown)
        return f"{self.paper} {self.side} px batch {self.batch_size} {options}".rstrip()

    def settings(self) -> dict[str, Any]:
        """As plain values, for `Job(**settings)` in another process."""
        return asdict(self)
