"""Style2Paints v1 written out as its re-implementations run it: VGG-19 in every step, and nothing frozen but VGG.

A second reading of the method (Zhang et al., ACPR 2017, arXiv 1706.03319; there is no official training code),
independent of `sketchgan`: to compare results with, and to measure time and memory against. Sketches are 1 where there
is ink and 0 on paper, paintings RGB in [-1, 1].
"""

from collections.abc import Callable, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.optim import Adam


class Unit(nn.Module):
    """A convolution of 3×3, or one of 4×4 that halves ("down") or doubles ("up"); batch norm and ReLU."""

    def __init__(self, inputs: int, outputs: int, kind: str = "same", norm: bool = True) -> None:
        super().__init__()
        layer = nn.ConvTranspose2d if kind == "up" else nn.Conv2d
        size, stride = (3, 1) if kind == "same" else (4, 2)
        self.conv = layer(inputs, outputs, size, stride, 1, bias=not norm)
        self.norm = nn.BatchNorm2d(outputs) if norm else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        return F.relu(self.norm(self.conv(x)))


class Guide(nn.Module):
    """A picture from 1/16 of its side."""

    def __init__(self, inputs: int, w: int, outputs: int) -> None:
        super().__init__()
        self.head = Unit(inputs, 32 * w)
        self.up = nn.Sequential(*(Unit(2 * n * w, n * w, "up") for n in (16, 8, 4, 2)))
        self.out = nn.Conv2d(2 * w, outputs, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        return torch.tanh(self.out(self.up(self.head(x))))


class Generator(nn.Module):
    """Sketch and style vector to painting, grey guide and colour guide.

    Decoders get what each level of the encoder makes first, and of the last level what it makes last; with
    ``skip="level"`` always the latter.
    """

    def __init__(self, w: int = 16, hint_dim: int = 4096, mid: int = 2048, skip: str = "figure") -> None:
        super().__init__()
        self.last = skip == "level"
        levels = [nn.Sequential(Unit(1, w, norm=False), Unit(w, w))]
        for n in (w, 2 * w, 4 * w, 8 * w):
            between = 2 * n if self.last else n
            levels.append(nn.Sequential(Unit(n, between, "down"), Unit(between, 2 * n)))
        self.enc = nn.ModuleList(levels)
        self.mid_conv = nn.Conv2d(16 * w, mid, 4, 2, 1, bias=False)
        self.mid_norm = nn.BatchNorm2d(mid)
        self.hint = nn.Linear(hint_dim, mid)
        own = [4 * w, 2 * w, 4 * w, 8 * w, 32 * w]  # outputs of dec 0 to 4
        taken = [2 * w, 4 * w, 8 * w, 16 * w] if self.last else [w, 2 * w, 4 * w, 16 * w]  # skips 1 to 4
        given = [*(a + b for a, b in zip(own[1:], taken, strict=True)), mid]
        self.dec = nn.ModuleList(nn.Sequential(Unit(n, m, "up"), Unit(m, m)) for n, m in zip(given, own, strict=True))
        self.out = nn.Conv2d(4 * w, 3, 3, padding=1)
        self.guide1, self.guide2 = Guide(16 * w, w, 1), Guide(32 * w, w, 3)

    def forward(self, sketch: Tensor, hint: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        x, skips = sketch, []
        for k, (first, second) in enumerate(self.enc):  # type: ignore[misc]
            between = first(x)
            x = second(between)
            skips.append(x if self.last or k == 4 else between)
        guide1 = self.guide1(x)
        x = F.relu(self.mid_norm(self.mid_conv(x)) + standardised(self.hint(hint))[:, :, None, None])
        for k in (4, 3, 2, 1, 0):
            up, second = self.dec[k]  # type: ignore[misc]
            x = up(x)
            if k == 4:
                guide2 = self.guide2(x)
            x = second(x)
            if k > 0:
                x = torch.cat([x, skips[k]], 1)
        return torch.tanh(self.out(x)), guide1, guide2


def standardised(vectors: Tensor) -> Tensor:
    """Mean 0 and deviation 1 within each vector."""
    return F.layer_norm(vectors, vectors.shape[1:])


class Discriminator(nn.Module):
    """Painting to style vector, or to one logit; with ``logit`` to either, by heads of one trunk."""

    def __init__(self, outputs: int = 4096, ndf: int = 64, pool: int = 4, logit: bool = False) -> None:
        super().__init__()
        layers: list[nn.Module] = [nn.Conv2d(3, ndf, 4, 2, 1), nn.LeakyReLU(0.2)]
        for n, m in ((1, 2), (2, 4), (4, 8), (8, 8)):
            layers += [nn.Conv2d(n * ndf, m * ndf, 4, 2, 1, bias=False), nn.BatchNorm2d(m * ndf), nn.LeakyReLU(0.2)]
        self.trunk = nn.Sequential(*layers)
        self.pool = nn.AdaptiveAvgPool2d(pool)
        self.fc = nn.Linear(8 * ndf * pool**2, outputs)
        self.fc_logit = nn.Linear(8 * ndf * pool**2, 1) if logit else None

    def forward(self, painting: Tensor, plain: bool = False) -> Tensor:
        head = self.fc_logit if plain and self.fc_logit else self.fc
        return head(self.pool(self.trunk(painting)).flatten(1))


class VGG19(nn.Module):
    """Paintings to fc1 before its ReLU, with the layers of torchvision up to there; random weights."""

    def __init__(self, widths: Sequence[int] = (64, 128, 256, 512, 512, 4096)) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        inputs = 3
        for outputs, n in zip(widths, (2, 2, 4, 4, 4), strict=False):
            for _ in range(n):
                layers += [nn.Conv2d(inputs, outputs, 3, padding=1), nn.ReLU()]
                inputs = outputs
            layers.append(nn.MaxPool2d(2))
        self.features = nn.Sequential(*layers)
        self.classifier = nn.Sequential(nn.Linear(widths[4] * 7 * 7, widths[5]))
        self.register_buffer("mean", torch.tensor([0.485, 0.456, 0.406])[:, None, None], persistent=False)
        self.register_buffer("std", torch.tensor([0.229, 0.224, 0.225])[:, None, None], persistent=False)

    def forward(self, paintings: Tensor) -> Tensor:
        rows, columns = (shares(n, 224).to(paintings) for n in paintings.shape[-2:])
        x = (rows @ paintings @ columns.T + 1) / 2
        return self.classifier(self.features((x - self.mean) / self.std).flatten(1))


def shares(old: int, new: int) -> Tensor:
    """How much of each new pixel of a line lies in each old one (torch's own "area" counts touched ones whole)."""
    ends, starts = torch.arange(new + 1).double()[:, None] * old / new, torch.arange(old).double()
    return (ends[1:].minimum(starts + 1) - ends[:-1].maximum(starts)).clamp(min=0) * new / old


def style2paints(
    w: int = 16,
    ndf: int = 64,
    hint_dim: int = 4096,
    mid: int = 2048,
    outputs: int = 4096,
    pool: int = 4,
    logit: bool = False,
    vgg: Sequence[int] = (),
) -> nn.ModuleDict:
    """G and D, and VGG of the given widths."""
    nets: dict[str, nn.Module] = {"G": Generator(w, hint_dim, mid), "D": Discriminator(outputs, ndf, pool, logit)}
    if vgg:
        nets["VGG"] = VGG19(vgg).eval().requires_grad_(False)
    return nn.ModuleDict(nets)


def grey(paintings: Tensor) -> Tensor:
    red, green, blue = paintings.split(1, 1)
    return 0.30 * red + 0.59 * green + 0.11 * blue


def judged(mode: str, output: Tensor, style: Tensor | None) -> Tensor:
    """Loss of an output that should say ``style``; None stands for a fake.

    Modes are "regression" of the style vector, "log_abs", which measures the distance after a sigmoid, and "dcgan",
    cross-entropy of a logit that is 1 for any style.
    """
    if mode == "dcgan":
        return F.binary_cross_entropy_with_logits(output, torch.full_like(output, float(style is not None)))
    if mode == "regression":
        return (output if style is None else output - style).square().mean()
    if style is None:
        return -(1 - output.sigmoid()).log().mean()
    distance = (output.sigmoid() - style.sigmoid()).abs()
    return -(1 - distance.clamp(max=1 - 1e-7)).log().mean()


def iteration(
    nets: Any,
    adversary: str = "regression",
    lam: float = 100.0,
    alpha: float = 0.3,
    beta: float = 0.9,
    lr: float = 2e-4,
    betas: tuple[float, float] = (0.5, 0.999),
) -> Callable[..., dict[str, Tensor]]:
    """A function that trains on sketches and their paintings, and returns the losses.

    Without a third argument the style vectors are what VGG makes of the paintings. ``plain`` is for steps in which the
    adversary is that of "dcgan" after all.
    """
    G, D = nets["G"], nets["D"]
    adam_g, adam_d = Adam(G.parameters(), lr, betas), Adam(D.parameters(), lr, betas)

    def step(sketch: Tensor, paint: Tensor, hint: Tensor | None = None, plain: bool = False) -> dict[str, Tensor]:
        mode = "dcgan" if plain else adversary
        if hint is None:
            with torch.no_grad():
                hint = nets["VGG"](paint)
        style = standardised(hint)
        fake, guide1, guide2 = G(sketch, hint)
        loss: dict[str, Tensor] = {}

        adam_d.zero_grad()
        loss["D_real"] = judged(mode, D(paint, plain), style)
        loss["D_fake"] = judged(mode, D(fake.detach(), plain), None)
        loss["D"] = loss["D_real"] + loss["D_fake"]
        loss["D"].backward()
        adam_d.step()

        adam_g.zero_grad()
        loss["G_adv"] = judged(mode, D(fake, plain), style)
        loss["G_l1_final"] = F.l1_loss(fake, paint)
        loss["G_l1_guide1"] = F.l1_loss(guide1, grey(paint))
        loss["G_l1_guide2"] = F.l1_loss(guide2, paint)
        loss["G_l1"] = loss["G_l1_final"] + alpha * loss["G_l1_guide1"] + beta * loss["G_l1_guide2"]
        loss["G"] = loss["G_adv"] + lam * loss["G_l1"]
        loss["G"].backward()
        adam_g.step()
        return {name: value.detach() for name, value in loss.items()}

    return step
