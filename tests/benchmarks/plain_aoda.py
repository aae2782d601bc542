"""AODA written out as its official code trains: every picture in a pass of its own, and none of the passes left out.

A second reading of the method (Xiang et al., WACV 2022, arXiv 2104.05703), independent of `sketchgan`: to compare
results with, and to measure time and memory against. Names are the official ones, so that official state dicts load as
they are: **A is the photo, B the sketch, but G_A makes sketches, which D_A judges, and G_B photos, which D_B judges**.
"""

import random
from collections.abc import Callable, Sequence
from itertools import chain, pairwise
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.optim import Adam


def normed(*layers: nn.Module, channels: int) -> list[nn.Module]:
    """Layers before instance norm and ReLU."""
    return [*layers, nn.InstanceNorm2d(channels), nn.ReLU()]


def to_picture(ngf: int) -> list[nn.Module]:
    return [nn.ReflectionPad2d(3), nn.Conv2d(ngf, 3, 7), nn.Tanh()]


class ResnetBlock(nn.Module):
    def __init__(self, channels: int) -> None:
        super().__init__()
        half = [nn.ReflectionPad2d(1), nn.Conv2d(channels, channels, 3), nn.InstanceNorm2d(channels)]
        other = [nn.ReflectionPad2d(1), nn.Conv2d(channels, channels, 3), nn.InstanceNorm2d(channels)]
        self.conv_block = nn.Sequential(*half, nn.ReLU(), *other)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.conv_block(x)


class PhotoToSketch(nn.Module):
    """G_A."""

    def __init__(self, ngf: int, n_blocks: int = 9) -> None:
        super().__init__()
        layers = normed(nn.ReflectionPad2d(3), nn.Conv2d(3, ngf, 7), channels=ngf)
        for n in (ngf, 2 * ngf):
            layers += normed(nn.Conv2d(n, 2 * n, 3, 2, 1), channels=2 * n)
        layers += [ResnetBlock(4 * ngf) for _ in range(n_blocks)]
        for n in (4 * ngf, 2 * ngf):
            layers += normed(nn.ConvTranspose2d(n, n // 2, 3, 2, 1, output_padding=1), channels=n // 2)
        self.model = nn.Sequential(*layers, *to_picture(ngf))

    def forward(self, photo: Tensor) -> Tensor:
        return self.model(photo)


class AdaIN(nn.Module):
    """Mean and deviation of each channel replaced by those of four numbers that belong to the class."""

    def __init__(self, channels: int, n_classes: int) -> None:
        super().__init__()
        self.emb = nn.Embedding(n_classes, n_classes)
        self.l1 = nn.Linear(n_classes, 4 * channels)

    def forward(self, x: Tensor, labels: Tensor) -> Tensor:
        mean, std = statistics(x)
        style_mean, style_std = statistics(self.l1(self.emb(labels)).view(*x.shape[:2], 2, 2))
        return (x - mean) / std * style_std + style_mean


def statistics(x: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and deviation of each channel, ``(N, C, 1, 1)``; the variance is the unbiased one."""
    return x.mean((2, 3), keepdim=True), (x.var((2, 3), keepdim=True) + 1e-5).sqrt()


class AdaINBlock(nn.Module):
    def __init__(self, channels: int, n_classes: int) -> None:
        super().__init__()
        self.pad = nn.ReflectionPad2d(1)
        self.conv1, self.adain1 = nn.Conv2d(channels, channels, 3), AdaIN(channels, n_classes)
        self.conv2, self.adain2 = nn.Conv2d(channels, channels, 3), AdaIN(channels, n_classes)

    def forward(self, x: Tensor, labels: Tensor) -> Tensor:
        out = F.relu(self.adain1(self.conv1(self.pad(x)), labels))
        return x + self.adain2(self.conv2(self.pad(out)), labels)


class SketchToPhoto(nn.Module):
    """G_B."""

    def __init__(self, n_classes: int, ngf: int, n_blocks: int = 9) -> None:
        super().__init__()
        self.hat = nn.Sequential(*normed(nn.ReflectionPad2d(3), nn.Conv2d(3, ngf, 7), channels=ngf))
        layers: list[nn.Module] = []
        for n in (ngf, 2 * ngf):
            layers += normed(nn.Conv2d(n, 2 * n, 3, 2, 1), channels=2 * n)
        self.head = nn.Sequential(*layers)
        self.body = nn.ModuleList(AdaINBlock(4 * ngf, n_classes) for _ in range(n_blocks))
        layers = []
        for n in (4 * ngf, 2 * ngf):
            layers += normed(nn.Conv2d(n, 2 * n, 3, padding=1), nn.PixelShuffle(2), channels=n // 2)
        self.tail = nn.Sequential(*layers, *to_picture(ngf))

    def forward(self, sketch: Tensor, labels: Tensor) -> Tensor:
        x = self.head(self.hat(sketch))
        for block in self.body:
            x = block(x, labels)
        return self.tail(x)


class Discriminator(nn.Module):
    """D_A and D_B."""

    def __init__(self, ndf: int) -> None:
        super().__init__()
        layers: list[nn.Module] = [nn.Conv2d(3, ndf, 4, 2, 1), nn.LeakyReLU(0.2)]
        for n, stride in ((ndf, 2), (2 * ndf, 2), (4 * ndf, 1)):
            layers += [nn.Conv2d(n, 2 * n, 4, stride, 1), nn.InstanceNorm2d(2 * n), nn.LeakyReLU(0.2)]
        self.model = nn.Sequential(*layers, nn.Conv2d(8 * ndf, 1, 4, 1, 1))

    def forward(self, picture: Tensor) -> Tensor:
        return self.model(picture)


def conv_bn(inputs: int, outputs: int, kernel: int = 3, stride: int = 1, bias: bool = False) -> nn.Sequential:
    convolution = nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, bias=bias)
    return nn.Sequential(convolution, nn.BatchNorm2d(outputs))


def conv_bn_relu(inputs: int, outputs: int, kernel: int = 3, stride: int = 1, bias: bool = False) -> nn.Sequential:
    return conv_bn(inputs, outputs, kernel, stride, bias).append(nn.ReLU())


class Residual(nn.Module):
    """Convolutions conv1, bn1, conv2, … with a shortcut around them; ReLU between them and at the end."""

    def __init__(self, *channels_and_kernels: tuple[int, int, int]) -> None:
        super().__init__()
        self.n = len(channels_and_kernels)
        for i, sizes in enumerate(channels_and_kernels, 1):
            convolution, norm = conv_bn(*sizes)
            self.add_module(f"conv{i}", convolution)
            self.add_module(f"bn{i}", norm)
        inputs, outputs = channels_and_kernels[0][0], channels_and_kernels[-1][1]
        self.downsample = None if inputs == outputs else conv_bn(inputs, outputs, 1)

    def forward(self, x: Tensor) -> Tensor:
        out = x
        for i in range(1, self.n + 1):
            out = getattr(self, f"bn{i}")(getattr(self, f"conv{i}")(out))
            if i < self.n:
                out = F.relu(out)
        return F.relu(out + (x if self.downsample is None else self.downsample(x)))


def basic(channels: int) -> Residual:
    return Residual((channels, channels, 3), (channels, channels, 3))


def bottleneck(inputs: int, planes: int) -> nn.Sequential:
    return nn.Sequential(Residual((inputs, planes, 1), (planes, planes, 3), (planes, 4 * planes, 1)))


class Fusion(nn.Module):
    """A branch for each resolution, and sums of all of them at each resolution."""

    def __init__(self, widths: Sequence[int]) -> None:
        super().__init__()
        self.branches = nn.ModuleList(nn.Sequential(basic(n), basic(n)) for n in widths)
        self.fuse_layers = nn.ModuleList(
            nn.ModuleList(self.fuse(i, j, widths) for j in range(len(widths))) for i in range(len(widths))
        )

    @staticmethod
    def fuse(i: int, j: int, widths: Sequence[int]) -> nn.Module:
        """From branch j to branch i."""
        if i == j:
            return nn.Identity()
        if j > i:
            return conv_bn(widths[j], widths[i], 1).append(nn.Upsample(scale_factor=2 ** (j - i)))
        halvings = [conv_bn_relu(widths[j], widths[j], stride=2) for _ in range(i - j - 1)]
        return nn.Sequential(*halvings, conv_bn(widths[j], widths[i], stride=2))

    def forward(self, xs: list[Tensor]) -> list[Tensor]:
        xs = [branch(x) for branch, x in zip(self.branches, xs, strict=True)]
        return [F.relu(sum(f(x) for f, x in zip(row, xs, strict=True))) for row in self.fuse_layers]  # type: ignore


class Classifier(nn.Module):
    """R, an HRNet: photographs to logits of the classes."""

    def __init__(
        self,
        n_classes: int,
        stem: int = 64,
        layer1: int = 32,
        branches: Sequence[int] = (16, 32, 64, 128),
        heads: Sequence[int] = (32, 64, 128, 256),
        final: int = 2048,
    ) -> None:
        super().__init__()
        self.conv1, self.bn1 = conv_bn(3, stem, stride=2)
        self.conv2, self.bn2 = conv_bn(stem, stem, stride=2)
        self.layer1 = bottleneck(stem, layer1)
        first = conv_bn_relu(4 * layer1, branches[0])
        self.transition1 = nn.ModuleList([first, nn.Sequential(conv_bn_relu(4 * layer1, branches[1], stride=2))])
        for k in (2, 3):
            added = nn.Sequential(conv_bn_relu(branches[k - 1], branches[k], stride=2))
            self.add_module(f"transition{k}", nn.ModuleList([*(nn.Identity() for _ in range(k)), added]))
        for k in (2, 3, 4):
            self.add_module(f"stage{k}", nn.Sequential(Fusion(branches[:k])))
        self.incre_modules = nn.ModuleList(bottleneck(n, m) for n, m in zip(branches, heads, strict=True))
        outputs = [4 * n for n in heads]
        self.downsamp_modules = nn.ModuleList(conv_bn_relu(n, m, stride=2, bias=True) for n, m in pairwise(outputs))
        self.final_layer = conv_bn_relu(outputs[-1], final, 1, bias=True)
        self.classifier = nn.Linear(final, n_classes)

    def forward(self, photo: Tensor) -> Tensor:
        x = F.relu(self.bn2(self.conv2(F.relu(self.bn1(self.conv1(photo))))))
        x = self.layer1(x)
        xs = [layer(x) for layer in self.transition1]
        for k in (2, 3, 4):
            xs = getattr(self, f"stage{k}")(xs)
            if k < 4:
                xs.append(getattr(self, f"transition{k}")[-1](xs[-1]))
        first, *others = (head(x) for head, x in zip(self.incre_modules, xs, strict=True))
        for down, other in zip(self.downsamp_modules, others, strict=True):
            first = other + down(first)
        return self.classifier(self.final_layer(first).mean((2, 3)))


def aoda(n_classes: int, ngf: int, ndf: int, **classifier: Any) -> nn.ModuleDict:
    """The five networks; R at full width whatever ``ngf`` and ``ndf``, unless ``classifier`` says otherwise."""
    nets: dict[str, nn.Module] = {"G_A": PhotoToSketch(ngf), "G_B": SketchToPhoto(n_classes, ngf)}
    nets |= {"D_A": Discriminator(ndf), "D_B": Discriminator(ndf), "R": Classifier(n_classes, **classifier)}
    return nn.ModuleDict(nets)


class Pool:
    """Pictures, and what belongs to them, each replaced at random by a later one; of size 0 it gives back its input."""

    def __init__(self, size: int, draws: Any) -> None:
        self.size, self.draws = size, draws
        self.kept: list[tuple[Tensor, ...]] = []

    def __call__(self, *batch: Tensor) -> tuple[Tensor, ...]:
        if self.size == 0:
            return batch
        chosen = []
        for sample in zip(*(t.detach() for t in batch), strict=True):
            if len(self.kept) < self.size:
                self.kept.append(sample)
            elif self.draws.random() > 0.5:
                i = self.draws.randint(0, self.size - 1)
                sample, self.kept[i] = self.kept[i], sample
            chosen.append(sample)
        return tuple(torch.stack(ts) for ts in zip(*chosen, strict=True))


def gan(mode: str, score: Tensor, real: bool) -> Tensor:
    """Modes are "vanilla", which is cross-entropy, and "lsgan"."""
    distance = F.binary_cross_entropy_with_logits if mode == "vanilla" else F.mse_loss
    return distance(score, torch.full_like(score, float(real)))


def iteration(
    nets: Any,
    gan_mode: str = "vanilla",
    lambda_A: float = 10.0,
    lambda_B: float = 1.0,
    lambda_identity: float = 0.0,
    mix_rec: bool = False,
    rand_p: float = 0.5,
    pool_size: int = 50,
    lr: float = 2e-4,
    lr_g: float = 1e-4,
    lr_d: float = 4e-4,
    mixing: Callable[[], float] = random.random,
    draws: Any = random,
) -> Callable[[Tensor, Tensor, Tensor, Tensor], dict[str, Tensor]]:
    """A function that trains on photos with labels and sketches with labels; returns losses under official names.

    It also returns what the generator of photos was given and made: ``sketch_used``, ``label_used``, ``fake_photo``
    and ``fake_sketch``. Sketches are mixed where ``mixing()`` is above ``rand_p``; pools draw from ``draws``.
    """
    G_A, G_B, D_A, D_B, R = (nets[name] for name in ("G_A", "G_B", "D_A", "D_B", "R"))
    adam_g = Adam(chain(G_A.parameters(), G_B.parameters()), lr_g, (0.5, 0.999))
    adam_d = Adam(chain(D_A.parameters(), D_B.parameters()), lr_d, (0.5, 0.999))
    adam_r = Adam(R.parameters(), lr, (0.5, 0.999))
    labelled, sketches, photos = (Pool(pool_size, draws) for _ in range(3))

    def step(real_A: Tensor, label_A: Tensor, real_B: Tensor, label_B: Tensor) -> dict[str, Tensor]:
        loss: dict[str, Tensor] = {}
        fake_B = G_A(real_A)
        used, label = labelled(fake_B, label_A) if mixing() > rand_p else (real_B, label_B)
        rec_A, fake_A = G_B(fake_B, label_A), G_B(used, label)
        rec_B = G_A(fake_A)

        for judge in (D_A, D_B, R):
            judge.requires_grad_(False)
        adam_g.zero_grad()
        loss["G_A"], loss["G_B_gen"] = gan(gan_mode, D_A(fake_B), True), gan(gan_mode, D_B(fake_A), True)
        loss["cons"] = lambda_A * F.l1_loss(rec_A, real_A) + lambda_B * F.l1_loss(rec_B, real_B)
        loss["eta"] = F.cross_entropy(R(fake_A), label)
        loss["G_B_rec"] = loss["idt_A"] = loss["idt_B"] = torch.zeros_like(loss["G_A"])
        if mix_rec:
            loss["G_B_rec"] = gan(gan_mode, D_B(rec_A), True)
            loss["eta"] = (loss["eta"] + F.cross_entropy(R(rec_A), label_A)) / 2
        if lambda_identity > 0:
            loss["idt_A"] = lambda_identity * lambda_B * F.l1_loss(G_A(real_B), real_B)
            loss["idt_B"] = lambda_identity * lambda_A * F.l1_loss(G_B(real_A, label_A), real_A)
        loss["G_B"] = loss["G_B_gen"] + loss["G_B_rec"]
        loss["G"] = sum(loss[key] for key in ("G_A", "G_B", "cons", "eta", "idt_A", "idt_B"))  # type: ignore
        loss["G"].backward()
        adam_g.step()
        for judge in (D_A, D_B, R):
            judge.requires_grad_(True)

        adam_d.zero_grad()
        sketches(fake_B)  # asked, but D_A sees the newest one
        (shown_A,) = photos(fake_A)
        for name, judge, real, fake in (("D_A", D_A, real_B, fake_B), ("D_B", D_B, real_A, shown_A)):
            score_real, score_fake = judge(real), judge(fake.detach())
            loss[name] = (gan(gan_mode, score_real, True) + gan(gan_mode, score_fake, False)) / 2
            loss[name].backward()
        adam_d.step()

        adam_r.zero_grad()
        shown = [(fake_A, label), (real_A, label_A), (rec_A, label_A)][: 3 if mix_rec else 2]
        loss["R"] = sum(F.cross_entropy(R(x.detach()), y) for x, y in shown) / len(shown)  # type: ignore
        loss["R"].backward()
        adam_r.step()
        made = {"sketch_used": used, "label_used": label, "fake_photo": fake_A, "fake_sketch": fake_B}
        return {name: value.detach() for name, value in (loss | made).items()}

    return step
