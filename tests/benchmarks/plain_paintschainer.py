"""PaintsChainer's stage of 128 px written out as its official code trains: gradients everywhere, also unused ones.

A second reading of the method (pfnet/PaintsChainer, 2017; there is no paper), independent of `sketchgan`: to compare
results with, and to measure time and memory against. Pictures are YUV in 0..255. A sketch has four channels: its grey,
and the hints' YUV, which is (-512, 128, 128) where there is no hint. Layers have the official names.
"""

from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.optim import Adam


class Layers(nn.Module):
    """Convolutions, each with a batch norm and a ReLU of its own but for the last."""

    def add(self, name: str, inputs: int, outputs: int, kind: str = "same") -> None:
        """A convolution of 3×3, or one of 4×4 that halves ("down") or doubles ("up")."""
        layer = nn.ConvTranspose2d if kind == "up" else nn.Conv2d
        self.add_module(name, layer(inputs, outputs, *((3, 1) if kind == "same" else (4, 2)), 1))
        self.add_module(f"bn{name.replace('dc', 'd')}", nn.BatchNorm2d(outputs, eps=2e-5))

    def run(self, name: str, x: Tensor) -> Tensor:
        return F.relu(self.get_submodule(f"bn{name.replace('dc', 'd')}")(self.get_submodule(name)(x)))


class UNet(Layers):
    """Sketch with hints to painting; or painting to its lines, with 3 channels in and 1 out."""

    def __init__(self, inputs: int = 4, outputs: int = 3, width: int = 32) -> None:
        super().__init__()
        n = width
        self.add("c0", inputs, n)
        for k in (1, 3, 5, 7):
            self.add(f"c{k}", n, 2 * n, "down")
            self.add(f"c{k + 1}", 2 * n, 2 * n)
            n *= 2
        for k in (8, 6, 4, 2):
            self.add(f"dc{k}", 2 * n, n, "up")
            self.add(f"dc{k - 1}", n, n // 2)
            n //= 2
        self.dc0 = nn.Conv2d(2 * n, outputs, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        kept = []
        for k in range(9):
            x = self.run(f"c{k}", x)
            kept.append(x)
        for k in (8, 6, 4, 2):
            # The innermost two have the same size; the others are the last of their size.
            x = torch.cat([kept[7 if k == 8 else k], x], 1)
            x = self.run(f"dc{k - 1}", self.run(f"dc{k}", x))
        return self.dc0(torch.cat([kept[0], x], 1))


class Discriminator(Layers):
    """Painting to two logits, of a real one and of a made one."""

    def __init__(self, width: int = 32, side: int = 128) -> None:
        super().__init__()
        n, inputs = width, 3
        for k in (1, 3, 5):
            self.add(f"c{k}", inputs, n, "down")
            self.add(f"c{k + 1}", n, n)
            inputs, n = n, 2 * n
        self.add("c7", inputs, n, "down")
        self.l8l = nn.Linear(n * (side // 16) ** 2, 2)

    def forward(self, painting: Tensor) -> Tensor:
        for k in range(1, 8):
            painting = self.run(f"c{k}", painting)
        return self.l8l(painting.flatten(1))


def yuv(pictures: Tensor) -> Tensor:
    """RGB in [-1, 1] to YUV in 0..255, saturated."""
    red, green, blue = ((pictures + 1) * 127.5).unbind(1)
    y = 0.299 * red + 0.587 * green + 0.114 * blue
    return torch.stack([y, 0.492 * (blue - y) + 128, 0.877 * (red - y) + 128], 1).clamp(0, 255)


def sketch_with_hints(grey: Tensor, hints: Tensor) -> Tensor:
    """Grey in [-1, 1], and RGB in [-1, 1] that counts where a fourth channel is above 0, as the U-Net takes them."""
    none = torch.tensor([-512.0, 128.0, 128.0]).to(hints)[:, None, None]
    return torch.cat([(grey + 1) * 127.5, torch.where(hints[:, 3:] > 0, yuv(hints[:, :3]), none)], 1)


def paintschainer(width: int, side: int) -> nn.ModuleDict:
    """The U-Net, the discriminator of pictures of that side, and the network that finds lines."""
    nets = {"unet": UNet(4, 3, width), "dis": Discriminator(width, side), "lnet": UNet(3, 1, width)}
    return nn.ModuleDict(nets)


def as_in_chainer(adam: Adam, t: int) -> None:
    """Before update ``t``: Chainer adds 1e-8 to a root that is not corrected yet, at first thirty times torch's."""
    (group,) = adam.param_groups
    group["eps"] = 1e-8 / (1 - group["betas"][1] ** t) ** 0.5


def iteration(
    nets: Any,
    lam_rec: float = 1.0,
    lam_adv: float = 1.0,
    lam_lnet: float = 10.0,
    lr: float = 1e-4,
    decay: float = 1e-5,
    chainer: bool = True,
) -> Callable[[Tensor, Tensor], dict[str, Tensor]]:
    """A function that trains on sketches with hints and their paintings; returns losses under official names.

    Without ``chainer`` Adam is torch's.
    ``lnet`` keeps its weights but not its running statistics; those, as of ``dis``, depend on the order of the passes.
    """
    unet, dis, lnet = nets["unet"], nets["dis"], nets["lnet"]
    adam_unet, adam_dis = (Adam(net.parameters(), lr, weight_decay=decay) for net in (unet, dis))
    t = 0

    def should_be(logits: Tensor, label: int) -> Tensor:
        return F.cross_entropy(logits, torch.full_like(logits[:, 0], label, dtype=torch.long))

    def lines(painting: Tensor) -> Tensor:
        return lnet((painting - 128) / 128)

    def step(sketch: Tensor, painting: Tensor) -> dict[str, Tensor]:
        nonlocal t
        t += 1
        if chainer:
            as_in_chainer(adam_unet, t)
            as_in_chainer(adam_dis, t)
        made = unet(sketch)
        loss: dict[str, Tensor] = {}

        unet.zero_grad()
        loss["cnn_loss_rec"] = lam_rec * F.l1_loss(made, painting)
        loss["cnn_loss_adv"] = lam_adv * should_be(dis(made), 0)
        true = lines(painting)
        loss["cnn_loss_l"] = lam_lnet * F.l1_loss(lines(made), true)
        loss["cnn_loss"] = loss["cnn_loss_rec"] + loss["cnn_loss_adv"] + loss["cnn_loss_l"]
        loss["cnn_loss"].backward()
        adam_unet.step()

        dis.zero_grad()
        loss["dis_loss"] = should_be(dis(made.detach()), 1) + should_be(dis(painting), 0)
        loss["dis_loss"].backward()
        adam_dis.step()
        return {name: value.detach() for name, value in loss.items()}

    return step
