"""U-GAT-IT written out as its official code trains: nothing shared between passes, nothing cut off, nothing frozen.

A second reading of the method, independent of `sketchgan`: to compare results with, and to measure time and memory
against. Attributes have the official names, so that official state dicts load as they are.
"""

from collections.abc import Callable
from itertools import chain
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils import spectral_norm
from torch.optim import Adam

Judged = tuple[Tensor, Tensor, Tensor]
"""Image or scores, the two logits of the class activation map ``(N, 2)``, and its heatmap ``(N, 1, h, w)``."""


def conv(inputs: int, outputs: int, kernel: int, stride: int = 1, bias: bool = False) -> list[nn.Module]:
    """A convolution behind reflected borders."""
    return [nn.ReflectionPad2d((kernel - 1) // 2), nn.Conv2d(inputs, outputs, kernel, stride, bias=bias)]


def instance_and_layer_norm(x: Tensor, rho: Tensor) -> Tensor:
    """``rho`` of x normalised by channel, the rest of x normalised over all channels; unbiased variances."""
    instance = (x - x.mean([2, 3], keepdim=True)) / (x.var([2, 3], keepdim=True) + 1e-5).sqrt()
    layer = (x - x.mean([1, 2, 3], keepdim=True)) / (x.var([1, 2, 3], keepdim=True) + 1e-5).sqrt()
    return rho * instance + (1 - rho) * layer


class AdaLIN(nn.Module):
    def __init__(self, channels: int) -> None:
        super().__init__()
        self.rho = nn.Parameter(torch.full((1, channels, 1, 1), 0.9))

    def forward(self, x: Tensor, gamma: Tensor, beta: Tensor) -> Tensor:
        return instance_and_layer_norm(x, self.rho) * gamma[:, :, None, None] + beta[:, :, None, None]


class ILN(nn.Module):
    def __init__(self, channels: int) -> None:
        super().__init__()
        self.rho = nn.Parameter(torch.zeros(1, channels, 1, 1))
        self.gamma = nn.Parameter(torch.ones(1, channels, 1, 1))
        self.beta = nn.Parameter(torch.zeros(1, channels, 1, 1))

    def forward(self, x: Tensor) -> Tensor:
        return instance_and_layer_norm(x, self.rho) * self.gamma + self.beta


class ResnetBlock(nn.Module):
    def __init__(self, channels: int) -> None:
        super().__init__()
        layers = [*conv(channels, channels, 3), nn.InstanceNorm2d(channels), nn.ReLU()]
        self.conv_block = nn.Sequential(*layers, *conv(channels, channels, 3), nn.InstanceNorm2d(channels))

    def forward(self, x: Tensor) -> Tensor:
        return x + self.conv_block(x)


class ResnetAdaLINBlock(nn.Module):
    def __init__(self, channels: int) -> None:
        super().__init__()
        self.pad, self.conv1 = conv(channels, channels, 3)
        _, self.conv2 = conv(channels, channels, 3)
        self.norm1, self.norm2 = AdaLIN(channels), AdaLIN(channels)

    def forward(self, x: Tensor, gamma: Tensor, beta: Tensor) -> Tensor:
        out = F.relu(self.norm1(self.conv1(self.pad(x)), gamma, beta))
        return x + self.norm2(self.conv2(self.pad(out)), gamma, beta)


def attention(net: Any, x: Tensor, activation: Callable[[Tensor], Tensor]) -> Judged:
    """Weight channels by what the classifiers of their mean and of their maximum make of them."""
    mean, largest = F.adaptive_avg_pool2d(x, 1).flatten(1), F.adaptive_max_pool2d(x, 1).flatten(1)
    logits = torch.cat([net.gap_fc(mean), net.gmp_fc(largest)], dim=1)
    # The first parameter: where there is spectral norm, the weight before it.
    by_mean, by_largest = (next(fc.parameters())[:, :, None, None] for fc in (net.gap_fc, net.gmp_fc))
    x = activation(net.conv1x1(torch.cat([x * by_mean, x * by_largest], dim=1)))
    return x, logits, x.sum(dim=1, keepdim=True)


class Generator(nn.Module):
    """``side`` is that of the pictures; the light version does not depend on it."""

    def __init__(self, ngf: int, side: int, light: bool, n_blocks: int = 4) -> None:
        super().__init__()
        self.light, self.n_blocks, width = light, n_blocks, 4 * ngf
        layers = [*conv(3, ngf, 7), nn.InstanceNorm2d(ngf), nn.ReLU()]
        for channels in (ngf, 2 * ngf):
            layers += [*conv(channels, 2 * channels, 3, 2), nn.InstanceNorm2d(2 * channels), nn.ReLU()]
        self.DownBlock = nn.Sequential(*layers, *(ResnetBlock(width) for _ in range(n_blocks)))
        self.gap_fc, self.gmp_fc = nn.Linear(width, 1, bias=False), nn.Linear(width, 1, bias=False)
        self.conv1x1 = nn.Conv2d(2 * width, width, 1)
        first = nn.Linear(width if light else width * (side // 4) ** 2, width, bias=False)
        self.FC = nn.Sequential(first, nn.ReLU(), nn.Linear(width, width, bias=False), nn.ReLU())
        self.gamma, self.beta = nn.Linear(width, width, bias=False), nn.Linear(width, width, bias=False)
        for i in range(n_blocks):
            setattr(self, f"UpBlock1_{i + 1}", ResnetAdaLINBlock(width))
        layers = []
        for channels in (width, width // 2):
            layers += [nn.Upsample(scale_factor=2), *conv(channels, channels // 2, 3), ILN(channels // 2), nn.ReLU()]
        self.UpBlock2 = nn.Sequential(*layers, *conv(ngf, 3, 7), nn.Tanh())

    def forward(self, x: Tensor) -> Judged:
        x, logits, heatmap = attention(self, self.DownBlock(x), F.relu)
        style = self.FC((F.adaptive_avg_pool2d(x, 1) if self.light else x).flatten(1))
        gamma, beta = self.gamma(style), self.beta(style)
        for i in range(self.n_blocks):
            x = getattr(self, f"UpBlock1_{i + 1}")(x, gamma, beta)
        return self.UpBlock2(x), logits, heatmap


class Discriminator(nn.Module):
    def __init__(self, ndf: int, n_layers: int) -> None:
        super().__init__()

        def layer(inputs: int, outputs: int, stride: int, bias: bool = True) -> list[nn.Module]:
            pad, convolution = conv(inputs, outputs, 4, stride, bias)
            return [pad, spectral_norm(convolution)]

        widths = [3, *(ndf * 2**i for i in range(n_layers - 1))]
        layers: list[nn.Module] = []
        for i in range(n_layers - 1):
            layers += [*layer(widths[i], widths[i + 1], stride=2 if i < n_layers - 2 else 1), nn.LeakyReLU(0.2)]
        self.model = nn.Sequential(*layers)
        self.gap_fc = spectral_norm(nn.Linear(widths[-1], 1, bias=False))
        self.gmp_fc = spectral_norm(nn.Linear(widths[-1], 1, bias=False))
        self.conv1x1 = nn.Conv2d(2 * widths[-1], widths[-1], 1)
        self.pad, self.conv = layer(widths[-1], 1, stride=1, bias=False)

    def forward(self, x: Tensor) -> Judged:
        x, logits, heatmap = attention(self, self.model(x), nn.LeakyReLU(0.2))
        return self.conv(self.pad(x)), logits, heatmap


def ugatit(ngf: int, ndf: int, side: int, light: bool, generator: Any = Generator, global_layers: int = 7) -> Any:
    """The six networks under their names in official checkpoints."""
    nets: dict[str, nn.Module] = {name: generator(ngf, side, light) for name in ("genA2B", "genB2A")}
    for domain in "AB":
        nets |= {f"disG{domain}": Discriminator(ndf, global_layers), f"disL{domain}": Discriminator(ndf, 5)}
    return nn.ModuleDict(nets)


def mse(judged: Judged, label: float) -> tuple[Tensor, Tensor]:
    """Squared distance of the scores and of the logits from a label."""
    return tuple(F.mse_loss(x, torch.full_like(x, label)) for x in judged[:2])  # type: ignore[return-value]


def bce(logits: Tensor, label: float) -> Tensor:
    return F.binary_cross_entropy_with_logits(logits, torch.full_like(logits, label))


def iteration(
    nets: Any,
    lr: float = 1e-4,
    weight_decay: float = 1e-4,
    iterations: int = 1_000_000,
    adv_weight: float = 1.0,
    cycle_weight: float = 10.0,
    identity_weight: float = 10.0,
    cam_weight: float = 1000.0,
) -> Callable[[Tensor, Tensor], dict[str, Tensor]]:
    """A function that trains on one batch of each domain and returns the losses under their official names."""
    ab, ba = nets["genA2B"], nets["genB2A"]
    names = [f"{scale}{domain}" for domain in "AB" for scale in "GL"]
    judges = {name: nets[f"dis{name}"] for name in names}
    generators, discriminators = (
        chain(ab.parameters(), ba.parameters()),
        chain(*(d.parameters() for d in judges.values())),
    )
    adam_g, adam_d = (Adam(p, lr, (0.5, 0.999), weight_decay=weight_decay) for p in (generators, discriminators))
    steps_done = 0

    def step(a: Tensor, b: Tensor) -> dict[str, Tensor]:
        nonlocal steps_done
        steps_done += 1
        if steps_done > iterations // 2:
            for group in adam_g.param_groups + adam_d.param_groups:
                group["lr"] -= lr / (iterations // 2)
        loss: dict[str, Tensor] = {}

        adam_d.zero_grad()
        fake_b, fake_a = ab(a)[0], ba(b)[0]
        for name, real, fake in zip(names, (a, a, b, b), (fake_a, fake_a, fake_b, fake_b), strict=True):
            (score_real, cam_real), (score_fake, cam_fake) = mse(judges[name](real), 1), mse(judges[name](fake), 0)
            loss[f"D_ad_loss_{name}"], loss[f"D_ad_cam_loss_{name}"] = score_real + score_fake, cam_real + cam_fake
        for domain in "AB":
            parts = [loss[f"D_ad_{kind}_{scale}{domain}"] for scale in "GL" for kind in ("loss", "cam_loss")]
            loss[f"D_loss_{domain}"] = adv_weight * sum(parts)
        loss["Discriminator_loss"] = loss["D_loss_A"] + loss["D_loss_B"]
        loss["Discriminator_loss"].backward()
        adam_d.step()

        adam_g.zero_grad()
        (fake_b, cam_ab, _), (fake_a, cam_ba, _) = ab(a), ba(b)
        rec_a, rec_b = ba(fake_b)[0], ab(fake_a)[0]
        (idt_a, cam_aa, _), (idt_b, cam_bb, _) = ba(a), ab(b)
        for name, fake in zip(names, (fake_a, fake_a, fake_b, fake_b), strict=True):
            loss[f"G_ad_loss_{name}"], loss[f"G_ad_cam_loss_{name}"] = mse(judges[name](fake), 1)
        loss["G_recon_loss_A"], loss["G_recon_loss_B"] = F.l1_loss(rec_a, a), F.l1_loss(rec_b, b)
        loss["G_identity_loss_A"], loss["G_identity_loss_B"] = F.l1_loss(idt_a, a), F.l1_loss(idt_b, b)
        loss["G_cam_loss_A"] = bce(cam_ba, 1) + bce(cam_aa, 0)
        loss["G_cam_loss_B"] = bce(cam_ab, 1) + bce(cam_bb, 0)
        weights = {"recon": cycle_weight, "identity": identity_weight, "cam": cam_weight}
        for domain in "AB":
            parts = [loss[f"G_ad_{kind}_{scale}{domain}"] for scale in "GL" for kind in ("loss", "cam_loss")]
            weighted = [weight * loss[f"G_{name}_loss_{domain}"] for name, weight in weights.items()]
            loss[f"G_loss_{domain}"] = adv_weight * sum(parts) + sum(weighted)
        loss["Generator_loss"] = loss["G_loss_A"] + loss["G_loss_B"]
        loss["Generator_loss"].backward()
        adam_g.step()

        for name, parameter in chain(ab.named_parameters(), ba.named_parameters()):
            if name.endswith("rho"):
                parameter.data.clamp_(0, 1)
        return {name: value.detach() for name, value in loss.items()}

    return step
