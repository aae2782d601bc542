"""SketchyGAN written out as its official code trains: both halves of each step computed anew, nothing shared.

A second reading of the method (Chen and Hays, CVPR 2018, arXiv 1801.02753), independent of `sketchgan`: to compare
results with, and to measure time and memory against. Variables have the official names, slashes included, so that
official weights in torch's layout load as they are.
"""

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.optim import Adam


def miu_relu(x: Tensor) -> Tensor:
    return (x + (0.09 + x.square()).sqrt()) / 2


def min_max(x: Tensor) -> Tensor:
    """To [0, 1], per sample and channel."""
    low, high = x.amin((2, 3), keepdim=True), x.amax((2, 3), keepdim=True)
    return (x - low) / (high - low)


def unit_length(x: Tensor) -> Tensor:
    return x / (x.square().sum().sqrt() + 1e-12)


def upsample(x: Tensor) -> Tensor:
    return F.interpolate(x, scale_factor=2, mode="nearest")


class Variables(nn.Module):
    """Layers as in TensorFlow 1: a variable comes to be where it is first used, as the name of its scope says.

    Args:
        n_classes: rows of the tables of conditional batch norm.
        activation: behind each normalisation: `miu_relu`, "prelu" for one with a learned slope, …
        normalised: whether conditional batch norm goes before it.
        spectral: weights are divided by their largest singular value.
    """

    def __init__(
        self, n_classes: int = 0, activation: Any = miu_relu, normalised: bool = False, spectral: bool = False
    ) -> None:
        super().__init__()
        self.n_classes, self.activation = n_classes, activation
        self.normalised, self.spectral = normalised, spectral
        self.advanced: dict[str, Tensor] = {}  # power-iteration vectors of the last forward

    def variable(self, name: str, shape: tuple[int, ...], start: Callable[[Tensor], Any], trained: bool = True) -> Any:
        if not hasattr(self, name):
            value = torch.empty(shape)
            start(value)
            if trained:
                self.register_parameter(name, nn.Parameter(value))
            else:
                self.register_buffer(name, value)
        return getattr(self, name)

    def weights(self, scope: str, shape: tuple[int, ...], start: Callable[[Tensor], Any]) -> Tensor:
        weight = self.variable(f"{scope}/weights", shape, start)
        if not self.spectral:
            return weight
        # One row per output; an embedding is stored the other way round.
        matrix = weight.T if scope.endswith("embedding") else weight.flatten(1)
        name = f"{scope}/{scope}/u"
        u = self.variable(name, matrix.shape[:1], nn.init.trunc_normal_, trained=False)
        v = unit_length(u @ matrix)
        u = unit_length(matrix @ v)
        self.advanced[name] = u.detach()
        return weight / (u @ matrix @ v)  # gradients go through the iteration

    def store_u(self) -> None:
        """Keep what the last forward made of the power-iteration vectors."""
        for name, u in self.advanced.items():
            getattr(self, name).copy_(u)

    def conv(self, x: Tensor, scope: str, outputs: int, kernel: int = 3, stride: int = 1, bias: float = 0.0) -> Tensor:
        """Padded as TensorFlow's SAME does, for even sides."""
        weight = self.weights(scope, (outputs, x.shape[1], kernel, kernel), partial(nn.init.normal_, std=0.02))
        biases = self.variable(f"{scope}/biases", (outputs,), partial(nn.init.constant_, val=bias))
        if stride == 2:
            least = (kernel - 2) // 2
            x = F.pad(x, [least, kernel - 2 - least] * 2)
        return F.conv2d(x, weight, biases, stride, padding=kernel // 2 if stride == 1 else 0)

    def dense(self, x: Tensor, scope: str, outputs: int) -> Tensor:
        weight = self.weights(scope, (outputs, x.shape[1]), nn.init.xavier_uniform_)
        return F.linear(x, weight, self.variable(f"{scope}/biases", (outputs,), nn.init.zeros_))

    def norm(self, x: Tensor, scope: str, labels: Tensor | None) -> Tensor:
        shape = (self.n_classes, x.shape[1])
        tables = (("scale", nn.init.ones_), ("offset", nn.init.zeros_))
        scale, offset = (self.variable(f"{scope}/{name}", shape, start)[labels] for name, start in tables)
        if x.dim() == 4:
            scale, offset = scale[:, :, None, None], offset[:, :, None, None]
        return F.batch_norm(x, None, None, training=True, eps=1e-5) * scale + offset

    def act(self, x: Tensor, scope: str, labels: Tensor | None = None) -> Tensor:
        """Normalise if this network does, then activate."""
        if self.normalised:
            x = self.norm(x, scope, labels)
        if callable(self.activation):
            return self.activation(x)
        slope = self.variable(f"{scope}/prelu/param", (), partial(nn.init.constant_, val=0.2))
        return torch.maximum(slope * x, x)

    def residual(
        self, x: Tensor, image: Tensor, scope: str, outputs: int, labels: Any = None, norm: str = "input"
    ) -> Tensor:
        """The third form of the masked residual unit, at one resolution; ``norm`` is of the "input" or the "mask"."""
        inputs = x.shape[1]
        active = self.act(x, f"{scope}/norm_activation_in", labels) if norm == "input" else x
        gate = self.conv(torch.cat([active, image], 1), f"{scope}/update_gate", inputs, bias=0.5)
        if norm == "mask":
            gate = self.norm(gate, f"{scope}/update_gate", labels)
        merged = x + min_max(F.leaky_relu(gate, 0.2)) * self.conv(image, f"{scope}/Conv", inputs)
        merged = self.act(merged, f"{scope}/norm_activation_merge_1", labels)
        made = self.act(self.conv(merged, f"{scope}/Conv_1", outputs), f"{scope}/Conv_1", labels)
        made = self.conv(made, f"{scope}/Conv_2", outputs)
        return made + (x if inputs == outputs else self.conv(x, f"{scope}/Conv_3", outputs, 1))

    def gated(
        self, x: Tensor, image: Tensor, scope: str, outputs: int, labels: Any = None, sigmoid: bool = False
    ) -> Tensor:
        """The second form of the masked residual unit, or the first one with sigmoid gates, at one resolution."""
        inputs, both = x.shape[1], torch.cat([x, image], 1)
        reset, update = self.conv(both, f"{scope}/Conv", inputs), self.conv(both, f"{scope}/Conv_1", outputs)
        reset, update = (t.sigmoid() if sigmoid else min_max(F.leaky_relu(t, 0.2)) for t in (reset, update))
        made = self.conv(torch.cat([reset * x, image], 1), f"{scope}/Conv_2", outputs)
        made = self.conv(self.act(made, f"{scope}/Conv_2", labels), f"{scope}/Conv_3", outputs)
        made = self.act(made, f"{scope}/Conv_3", labels)
        if inputs != outputs:
            x = self.act(self.conv(x, f"{scope}/Conv_4", outputs, 1), f"{scope}/Conv_4", labels)
        return x * (1 - update) + made * update


class Generator(Variables):
    def __init__(self, n_classes: int, ngf: int) -> None:
        super().__init__(n_classes, normalised=True)
        self.ngf = ngf
        with torch.no_grad():
            self(torch.rand(2, 3, 64, 64), torch.zeros(2, dtype=torch.long), torch.rand(2, 256))

    def forward(self, sketch: Tensor, labels: Tensor, noise: Tensor) -> Tensor:
        """Distance fields ``(N, 3, 64, 64)``, classes and noise ``(N, 256)`` to photographs in (-1, 1)."""
        return self.features(sketch, labels, noise)["image"]

    def features(self, sketch: Tensor, labels: Tensor, noise: Tensor) -> dict[str, Tensor]:
        n, image = self.ngf, sketch
        x = self.conv(sketch, "generator/Conv", 8, 7, stride=2)
        features = {"encoder0": x}
        for i, width in enumerate((n, 2 * n, 4 * n, 8 * n), 1):
            image = F.avg_pool2d(image, 2)
            x = F.avg_pool2d(self.residual(x, image, f"generator/mru_conv_unit_t_{i}_layer_0", width, labels), 2)
            if i == 4:
                x = self.act(x, "generator/mru_conv_unit_last_norm", labels)
            features[f"encoder{i}"] = x
        z = self.act(self.dense(noise, "generator/fully_connected", 16 * n), "generator/fully_connected", labels)
        beside = [z.view(-1, n, 4, 4), features["encoder2"], features["encoder1"], features["encoder0"]]
        for i, width in enumerate((6 * n, 4 * n, 2 * n, 2 * n, n)):
            image = F.interpolate(sketch, (4 * 2**i, 4 * 2**i), mode="area")
            image = torch.cat([image, *beside[i : i + 1]], 1)
            x = self.gated(upsample(x), image, f"generator/mru_deconv_unit_t_{2 * i}_layer_0", width, labels)
            features[f"decoder{i}"] = x
        return features | {"image": self.conv(x, "generator/Conv_1", 3, 7).tanh()}


class Discriminator(Variables):
    def __init__(self, n_classes: int, ndf: int, spectral: bool = True, projection: bool = False) -> None:
        super().__init__(n_classes, "prelu", spectral=spectral)
        self.ndf, self.projection = ndf, projection
        with torch.no_grad():
            self(torch.rand(2, 3, 64, 64), torch.zeros(2, dtype=torch.long))

    def forward(self, image: Tensor, labels: Tensor) -> tuple[Tensor, Tensor | None]:
        """Map of logits ``(N, 1, 4, 4)``, and class logits; with a projection head none, and the map knows labels."""
        n, scope = self.ndf, "discriminator/mru_conv_unit"
        x = self.act(self.conv(image, "discriminator/Conv", 8, 7), "discriminator/Conv")
        for i, width in enumerate((2 * n, 4 * n, 8 * n, 12 * n), 1):
            x = F.avg_pool2d(self.residual(x, image, f"{scope}_t_{i}_layer_0", width), 2)
            image = F.avg_pool2d(image, 2)
        x = self.act(x, f"{scope}_last_norm")
        score = self.conv(x, "discriminator/Conv_1", 1, 1)
        if self.projection:
            table = self.weights("discriminator/embedding", (self.n_classes, 12 * n), nn.init.normal_)
            return score + (x * table[labels][:, :, None, None]).sum(1, keepdim=True), None
        return score, self.dense(x.mean((2, 3)), "discriminator/fully_connected", self.n_classes)


class Stem(Variables):
    """Inception-V4 up to Mixed_5b, frozen; random unless weights are loaded."""

    def __init__(self) -> None:
        super().__init__()
        with torch.no_grad():
            self(torch.rand(1, 3, 75, 75))
        self.requires_grad_(False)

    def forward(self, x: Tensor) -> list[Tensor]:
        """Three layers, of pictures in [0, 1]."""
        a = self.branch(self.branch(x, "", ("1a_3x3", 32), stride=2), "", ("2a_3x3", 32))
        x = self.branch(a, "", ("2b_3x3", 64))
        x = torch.cat([F.max_pool2d(x, 3, 2), self.branch(x, "Mixed_3a/Branch_1/", ("0a_3x3", 96), stride=2)], 1)
        left = self.branch(x, "Mixed_4a/Branch_0/", ("0a_1x1", 64), ("1a_3x3", 96))
        right = self.branch(x, "Mixed_4a/Branch_1/", ("0a_1x1", 64), ("0b_1x7", 64), ("0c_7x1", 64), ("1a_3x3", 96))
        b = torch.cat([left, right], 1)
        x = torch.cat([self.branch(b, "Mixed_5a/Branch_0/", ("1a_3x3", 192), stride=2), F.max_pool2d(b, 3, 2)], 1)
        mean = F.avg_pool2d(x, 3, 1, padding=1, count_include_pad=False)
        branches = [
            self.branch(x, "Mixed_5b/Branch_0/", ("0a_1x1", 96)),
            self.branch(x, "Mixed_5b/Branch_1/", ("0a_1x1", 64), ("0b_3x3", 96)),
            self.branch(x, "Mixed_5b/Branch_2/", ("0a_1x1", 64), ("0b_3x3", 96), ("0c_3x3", 96)),
            self.branch(mean, "Mixed_5b/Branch_3/", ("0b_1x1", 96)),
        ]
        return [a, b, torch.cat(branches, 1)]

    def branch(self, x: Tensor, scope: str, *layers: tuple[str, int], stride: int = 1) -> Tensor:
        """Convolutions by the ends of their names, which hold the kernels, and their numbers of outputs."""
        for name, outputs in layers:
            layer = f"InceptionV4/{scope}Conv2d_{name}"
            kernel = tuple(map(int, name[-3:].split("x")))
            padding = 0 if stride == 2 or name[:2] in ("1a", "2a") else [side // 2 for side in kernel]
            start = partial(nn.init.kaiming_normal_, nonlinearity="relu")
            x = F.conv2d(
                x, self.variable(f"{layer}/weights", (outputs, x.shape[1], *kernel), start), None, stride, padding
            )
            mean = self.variable(f"{layer}/BatchNorm/moving_mean", (outputs,), nn.init.zeros_, trained=False)
            variance = self.variable(f"{layer}/BatchNorm/moving_variance", (outputs,), nn.init.ones_, trained=False)
            beta = self.variable(f"{layer}/BatchNorm/beta", (outputs,), nn.init.zeros_)
            x = F.relu(F.batch_norm(x, mean, variance, bias=beta, eps=1e-3))
        return x


def legacy_bilinear(x: Tensor, side: int) -> Tensor:
    """Squares resized as TensorFlow 1 does by default: pixel i of the new one lies at ``i * old / new``."""
    at = torch.arange(side, device=x.device) * (x.shape[-1] / side)
    low = at.long()
    high, share = (low + 1).clamp(max=x.shape[-1] - 1), (at - low).to(x.dtype)
    for dim, along in ((3, share), (2, share[:, None])):
        first, second = x.index_select(dim, low), x.index_select(dim, high)
        x = first + (second - first) * along
    return x


def perceptual(stem: nn.Module, real: Tensor, fake: Tensor) -> Tensor:
    of_real, of_fake = (stem(legacy_bilinear((x + 1) / 2, 299)) for x in (real, fake))
    return sum((a - b).abs().mean() for a, b in zip(of_real, of_fake, strict=True))  # type: ignore[return-value]


def direct(stem: nn.Module | None, real: Tensor, fake: Tensor) -> Tensor:
    loss = (real - fake).abs().mean()
    return loss if stem is None else loss + 0.3 * perceptual(stem, real, fake)


def diversity(fake: Tensor, other: Tensor, noise: Tensor, other_noise: Tensor) -> Tensor:
    distance = (noise - other_noise).norm(dim=1)
    return -((fake - other).abs() / distance[:, None, None, None]).mean()


def classified(logits: Tensor | None, labels: Tensor, gamma: int) -> Tensor:
    """Cross-entropy, focal if ``gamma`` is not 0; without a classifier 0."""
    if logits is None:
        return torch.zeros(())
    log = logits.log_softmax(1).gather(1, labels[:, None])
    return -((1 - log.exp()) ** gamma * log).mean()


def cross_entropy(score: Tensor, label: float) -> Tensor:
    """Summed over the map, mean of the batch."""
    return F.binary_cross_entropy_with_logits(score, torch.full_like(score, label), reduction="sum") / len(score)


def gan_g(mode: str, fake: Tensor) -> Tensor:
    """The generator's loss on the map of logits; modes are "sn_logistic", "dragan" and "wgan_gp"."""
    if mode == "sn_logistic":
        return F.softplus(-fake).mean()
    return cross_entropy(fake, 1) if mode == "dragan" else -fake.mean()


def gan_d(mode: str, real: Tensor, fake: Tensor, penalty: Tensor | float) -> Tensor:
    if mode == "sn_logistic":
        return F.softplus(fake).mean() + F.softplus(-real).mean()
    if mode == "dragan":
        return (cross_entropy(fake, 0) + cross_entropy(real, 1)) / 2 + 10 * penalty
    return fake.mean() - real.mean() + 10 * penalty


def gradient_penalty(
    mode: str, judge: Callable[[Tensor], Tensor], real: Tensor, fake: Tensor, alpha: Tensor, uniform: Tensor
) -> Tensor:
    """Between real pictures and fakes; of DRAGAN between real ones and themselves with noise, and one-sided.

    Args:
        mode: "dragan" or "wgan_gp".
        judge: from pictures to the map of logits.
        real: pictures.
        fake: pictures, for "wgan_gp".
        alpha: where between the two, in [0, 1], ``(N, 1, 1, 1)``.
        uniform: random numbers in [0, 1] as many as real pixels, for "dragan".
    """
    target = real + 0.5 * real.std(correction=0) * uniform if mode == "dragan" else fake
    between = (real + alpha * (target - real)).detach().requires_grad_()
    (gradient,) = torch.autograd.grad(judge(between).sum(), between, create_graph=True)
    excess = gradient.flatten(1).norm(dim=1) - 1
    return (excess.clamp(min=0) if mode == "dragan" else excess).square().mean()


def weight_decay(network: nn.Module) -> Tensor:
    """Of the units' convolutions, without the projections (Conv_4) of gated ones, and less of dense layers."""
    losses = []
    for name, weight in network.named_parameters():
        *_, unit, layer, kind = name.split("/")
        if kind == "weights" and unit.startswith("mru") and layer != "Conv_4":
            losses.append(1e-5 / 2 * weight.square().sum())
        elif kind == "weights" and layer == "fully_connected":
            losses.append(1e-6 / 2 * weight.square().sum())
    return torch.stack(losses).sum()


def sketchygan(n_classes: int, ngf: int, ndf: int, spectral: bool = True, projection: bool = False) -> nn.ModuleDict:
    discriminator = Discriminator(n_classes, ndf, spectral, projection)
    return nn.ModuleDict({"generator": Generator(n_classes, ngf), "discriminator": discriminator, "stem": Stem()})


def update(adam: Adam, loss: Tensor, rate: float, t: int, norms: tuple[float, float] | None) -> None:
    """Update number ``t``; ``norms`` limit the gradient as a whole, and then that of each variable."""
    adam.zero_grad()
    loss.backward()
    (group,) = adam.param_groups
    if norms is not None:
        nn.utils.clip_grad_norm_(group["params"], norms[0])
        for parameter in group["params"]:
            nn.utils.clip_grad_norm_(parameter, norms[1])
    # TensorFlow 1 adds 1e-8 to a root that is not corrected yet: at first three times as much as torch would.
    group |= {"lr": rate, "eps": 1e-8 / (1 - group["betas"][1] ** t) ** 0.5}
    adam.step()


def iteration(
    nets: Any, mode: str = "sn_logistic", lr_g: float = 2e-4, lr_d: float = 4e-4, i_max: int = 300_000
) -> Callable[[Mapping[str, Tensor], Mapping[str, Tensor]], dict[str, Tensor]]:
    """A function that trains on a batch for each network and returns the losses under their official names.

    The batches hold ``sketch`` and its ``labels``; that of the discriminator real pictures ``photo_d`` with their
    ``labels_d``, that of the generator the sketch's ``photo``. ``noise_a`` and ``noise_b`` are drawn where absent.
    """
    generator, discriminator = nets["generator"], nets["discriminator"]
    stem = getattr(nets, "stem", None)  # without it there is no perceptual loss
    adam_g, adam_d = (Adam(net.parameters(), betas=(0.0, 0.9)) for net in (generator, discriminator))
    clip_g, clip_d = (None, None) if mode == "sn_logistic" else ((50.0, 5.0), (100.0, 10.0))
    t = 0

    def draw(batch: Mapping[str, Tensor], name: str) -> Tensor:
        return batch[name] if name in batch else torch.randn(len(batch["sketch"]), 256, device=batch["sketch"].device)

    def step(for_d: Mapping[str, Tensor], for_g: Mapping[str, Tensor]) -> dict[str, Tensor]:
        nonlocal t
        decay = max(0.2, 1 - 0.9 * t / i_max)
        t += 1
        loss: dict[str, Tensor] = {}

        sketch, labels, real, real_labels = (for_d[key] for key in ("sketch", "labels", "photo_d", "labels_d"))
        with torch.no_grad():
            fake = generator(sketch, labels, draw(for_d, "noise_a"))
        score_real, logits = discriminator(real, real_labels)
        score_fake, _ = discriminator(fake, labels)
        penalty: Tensor | float = 0.0
        if mode != "sn_logistic":
            alpha, uniform = torch.rand_like(real[:, :1, :1, :1]), torch.rand_like(real)
            judge = lambda images: discriminator(images, real_labels)[0]  # noqa: E731
            penalty = gradient_penalty(mode, judge, real, fake, alpha, uniform)
        loss["GAN_loss_d"] = gan_d(mode, score_real, score_fake, penalty)
        loss["ACGAN_loss_d"] = classified(logits, real_labels, gamma=2)
        loss["weight_decay_loss_d"] = weight_decay(discriminator)
        loss["d_total"] = loss["GAN_loss_d"] + loss["ACGAN_loss_d"] + loss["weight_decay_loss_d"]
        update(adam_d, loss["d_total"], lr_d * decay, t, clip_d)

        sketch, labels, photo = (for_g[key] for key in ("sketch", "labels", "photo"))
        noises = draw(for_g, "noise_a"), draw(for_g, "noise_b")
        fake, other = (generator(sketch, labels, noise) for noise in noises)
        discriminator.requires_grad_(False)
        score, logits = discriminator(fake, labels)
        loss["GAN_loss_g"] = gan_g(mode, score)
        loss["ACGAN_loss_g"] = 0.5 * classified(logits, labels, gamma=0)
        loss["direct_loss"] = direct(stem, photo, fake)
        loss["diversity_loss"] = diversity(fake, other, *noises)
        loss["weight_decay_loss_g"] = weight_decay(generator)
        loss["g_total"] = loss["GAN_loss_g"] + loss["ACGAN_loss_g"] + loss["weight_decay_loss_g"]
        loss["g_total"] = loss["g_total"] + 10 * loss["direct_loss"] + 10 * loss["diversity_loss"]
        update(adam_g, loss["g_total"], lr_g * decay, t, clip_g)
        discriminator.requires_grad_(True)
        discriminator.store_u()
        return {name: value.detach() for name, value in loss.items()}

    return step
