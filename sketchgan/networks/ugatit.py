"""The networks of U-GAT-IT (Kim et al., ICLR 2020, arXiv 1907.10830)."""

import math
from dataclasses import dataclass
from functools import partial
from itertools import pairwise
from typing import Literal, NamedTuple

from torch import Tensor, nn

from sketchgan.blocks import (
    CAM,
    ILN,
    AdaLIN,
    AdaptiveResidualBlock,
    Norm,
    ReflectionPad2d,
    ResidualBlock,
    SpectralNormConv2d,
)
from sketchgan.ops.init import init_weights

DecoderNorm = Literal["adalin", "adain", "instance", "layer", "group"]
Variant = Literal["pytorch", "tensorflow"]


class Attended(NamedTuple):
    """What a generator with attention returns."""

    image: Tensor
    """``(N, C, H, W)`` in [-1, 1]."""
    cam_logit: Tensor | None
    """The auxiliary classifier's answer to "is this the source domain?", ``(N, 2)``; none without CAM."""
    heatmap: Tensor | None
    """Where attention lies, ``(N, 1, H / 4, W / 4)``, without gradient; none without CAM."""


class Judged(NamedTuple):
    """What a discriminator with attention returns."""

    score: Tensor
    """Logits of patches, ``(N, 1, h, w)``."""
    cam_logit: Tensor | None
    """The auxiliary classifier's logits, ``(N, 2)``; none without CAM."""


@dataclass(frozen=True)
class Rules:
    """Where the authors' two code bases differ in the layers."""

    bias: bool  # in every convolution and linear map
    affine: bool  # instance norm of the encoder
    shared: bool  # one classifier in CAM
    unbiased: bool  # variances of AdaLIN and ILN
    rho: float  # AdaLIN's at the beginning
    smoothing: float  # of AdaLIN's rho; ILN has none
    halving: tuple[int, int, int, int]  # padding of 3x3 convolutions with stride 2: left, right, top, bottom
    patch: tuple[int, int, int, int]  # of the discriminators' 4x4 convolutions with stride 1


RULES: dict[str, Rules] = {
    "pytorch": Rules(False, False, False, True, 0.9, 0.0, (1, 1, 1, 1), (1, 1, 1, 1)),
    "tensorflow": Rules(True, True, True, False, 1.0, 0.1, (1, 0, 1, 0), (1, 2, 1, 2)),
}


class UGATITGenerator(nn.Module):
    """Encode, attend to what makes the domain, decode with AdaLIN in the style of what was attended to.

    Follows the official PyTorch code (default) or the TensorFlow code, whose numbers the paper prints.

    Args:
        in_channels: channels of the input image.
        out_channels: channels of the output image.
        ngf: width at full size; 2 and 4 times as much at a half and a quarter.
        n_blocks: residual blocks of the encoder, and as many of the decoder.
        light: pool the attended map before the style MLP. The full version flattens it, has 268 million weights for it
            at 256 px, and takes pictures of ``image_size`` alone.
        image_size: side of the square pictures of the full version.
        norm: of the decoder: "adalin", or for the paper's ablation (table 1) "adain", "instance", "layer", "group" (32
            groups).
        cam: whether there is attention.
        variant: "pytorch" or "tensorflow": biases, variances, padding and more, as each code has them.

    Shapes: ``(N, in_channels, H, W)``, sides multiples of 4 → `Attended`.

    Raises:
        ValueError: for unknown names, and from ``forward`` for pictures of another size than the full version's.

    Examples:
        >>> import torch
        >>> network = UGATITGenerator(ngf=4, n_blocks=1, light=True)
        >>> image, cam_logit, heatmap = network(torch.zeros(2, 3, 16, 20))
        >>> image.shape, cam_logit.shape, heatmap.shape
        (torch.Size([2, 3, 16, 20]), torch.Size([2, 2]), torch.Size([2, 1, 4, 5]))
    """

    size_multiple = 4  # of sides that come out as they went in
    per_sample = True  # no sample depends on the batch around it

    def __init__(
        self,
        in_channels: int = 3,
        out_channels: int = 3,
        ngf: int = 64,
        n_blocks: int = 4,
        light: bool = False,
        image_size: int = 256,
        norm: DecoderNorm = "adalin",
        cam: bool = True,
        variant: Variant = "pytorch",
    ) -> None:
        super().__init__()
        if variant not in RULES:
            raise ValueError(f'variant must be "pytorch" or "tensorflow", got {variant!r}')
        if image_size < 4 or image_size % 4:
            raise ValueError(f"image_size must be a multiple of 4, got {image_size}")
        rules = RULES[variant]
        width = 4 * ngf
        self.light = light
        self.image_size = image_size
        self.stem = stem(in_channels, ngf, rules)
        self.down = nn.Sequential(halve(ngf, 2 * ngf, rules), halve(2 * ngf, width, rules))
        encoder_norm: Norm = "affine_instance" if rules.affine else "instance"
        self.blocks = nn.Sequential(*(ResidualBlock(width, encoder_norm, bias=rules.bias) for _ in range(n_blocks)))
        self.cam = CAM(width, nn.ReLU(), shared=rules.shared) if cam else None
        self.adaptive = norm in ("adalin", "adain")
        if self.adaptive:
            features = width if light else width * (image_size // 4) ** 2
            self.style = nn.Sequential(
                nn.Linear(features, width, bias=rules.bias),
                nn.ReLU(),
                nn.Linear(width, width, bias=rules.bias),
                nn.ReLU(),
            )
            self.gamma = nn.Linear(width, width, bias=rules.bias)
            self.beta = nn.Linear(width, width, bias=rules.bias)
        adaptive_norm = partial(decoder_norm, norm, width, rules, adaptive=True)
        self.decoder = nn.ModuleList(AdaptiveResidualBlock(width, adaptive_norm, rules.bias) for _ in range(n_blocks))
        self.up = nn.Sequential(double(width, 2 * ngf, norm, rules), double(2 * ngf, ngf, norm, rules))
        self.head = nn.Sequential(
            ReflectionPad2d(3), nn.Conv2d(ngf, out_channels, kernel_size=7, bias=rules.bias), nn.Tanh()
        )
        if variant == "tensorflow":
            init_weights(self)

    def forward(self, x: Tensor) -> Attended:
        height, width = x.shape[-2:]
        if self.adaptive and not self.light and (height, width) != (self.image_size, self.image_size):
            raise ValueError(
                f"this U-GAT-IT generator takes pictures of {self.image_size}x{self.image_size} pixels, got "
                f"{height}x{width}; resize them, or train with light=True, which takes any size"
            )
        x = self.blocks(self.down(self.stem(x)))
        logits = heatmap = None
        if self.cam is not None:
            x, logits = self.cam(x)
            heatmap = x.detach().sum(1, keepdim=True)
        style: tuple[Tensor, ...] = ()
        if self.adaptive:
            s = self.style(x.mean((2, 3)) if self.light else x.flatten(1))
            style = self.gamma(s), self.beta(s)
        for block in self.decoder:
            x = block(x, *style)
        return Attended(self.head(self.up(x)), logits, heatmap)


def stem(in_channels: int, ngf: int, rules: Rules = RULES["pytorch"]) -> nn.Sequential:
    """The 7×7 convolution at full size."""
    return nn.Sequential(
        ReflectionPad2d(3),
        nn.Conv2d(in_channels, ngf, kernel_size=7, bias=rules.bias),
        nn.InstanceNorm2d(ngf, affine=rules.affine),
        nn.ReLU(),
    )


def halve(in_channels: int, out_channels: int, rules: Rules = RULES["pytorch"]) -> nn.Sequential:
    """Halve both sides."""
    return nn.Sequential(
        ReflectionPad2d(rules.halving),
        nn.Conv2d(in_channels, out_channels, kernel_size=3, stride=2, bias=rules.bias),
        nn.InstanceNorm2d(out_channels, affine=rules.affine),
        nn.ReLU(),
    )


def double(
    in_channels: int, out_channels: int, norm: DecoderNorm = "adalin", rules: Rules = RULES["pytorch"]
) -> nn.Sequential:
    """Double both sides."""
    return nn.Sequential(
        nn.Upsample(scale_factor=2),
        ReflectionPad2d(1),
        nn.Conv2d(in_channels, out_channels, kernel_size=3, bias=rules.bias),
        decoder_norm(norm, out_channels, rules, adaptive=False),
        nn.ReLU(),
    )


def decoder_norm(norm: DecoderNorm, channels: int, rules: Rules, adaptive: bool) -> nn.Module:
    """AdaLIN in residual blocks (``adaptive``), ILN in the up-sampling layers, or what an ablation has in their place.

    Raises:
        ValueError: for an unknown name.
    """
    if norm == "group":
        return nn.GroupNorm(math.gcd(32, channels), channels)
    if norm == "adalin" and adaptive:
        return AdaLIN(channels, rules.rho, unbiased=rules.unbiased, smoothing=rules.smoothing)
    if norm == "adalin":
        return ILN(channels, unbiased=rules.unbiased)
    if norm == "adain" and adaptive:
        return AdaLIN(channels, rho=1.0, learn_rho=False, unbiased=rules.unbiased)
    if norm in ("adain", "instance", "layer"):
        return ILN(channels, rho=0.0 if norm == "layer" else 1.0, learn_rho=False, unbiased=rules.unbiased)
    raise ValueError(f'norm must be "adalin", "adain", "instance", "layer" or "group", got {norm!r}')


class UGATITDiscriminator(nn.Module):
    """Score patches after attention, with spectral norm; the paper has a global one (7 layers) and a local one (5).

    Args:
        in_channels: channels of the judged image.
        ndf: width of the first layer; it doubles with every layer.
        n_layers: convolutions, of which ``n_layers - 2`` halve; a score of 7 layers sees 286 pixels, of 5 layers 70.
        cam: whether there is attention.
        variant: "pytorch" or "tensorflow", see `UGATITGenerator`.

    Shapes: ``(N, in_channels, H, W)`` → `Judged`, with ``H / 2**(n_layers - 2) - 2`` rows, halves rounded down
    (``H / 2**(n_layers - 2)`` in the TensorFlow variant). With ``passes`` above 1 the batch is that many passes in a
    row, each with its own step of the power iteration.

    Raises:
        ValueError: if ``n_layers`` is below 3, or from ``forward`` if the image is too small to give one score.

    Examples:
        >>> import torch
        >>> score, cam_logit = UGATITDiscriminator(ndf=4, n_layers=5)(torch.zeros(2, 3, 64, 64))
        >>> score.shape, cam_logit.shape
        (torch.Size([2, 1, 6, 6]), torch.Size([2, 2]))
    """

    def __init__(
        self,
        in_channels: int = 3,
        ndf: int = 64,
        n_layers: int = 7,
        cam: bool = True,
        variant: Variant = "pytorch",
    ) -> None:
        super().__init__()
        if n_layers < 3:
            raise ValueError(f"n_layers must be at least 3, got {n_layers}")
        if variant not in RULES:
            raise ValueError(f'variant must be "pytorch" or "tensorflow", got {variant!r}')
        rules = RULES[variant]
        widths = [in_channels, *(ndf * 2**layer for layer in range(n_layers - 1))]
        self.layers = nn.ModuleList(
            SpectralNormConv2d(before, after, kernel_size=4, stride=1 if layer == n_layers - 2 else 2)
            for layer, (before, after) in enumerate(pairwise(widths))
        )
        self.cam = CAM(widths[-1], nn.LeakyReLU(0.2), spectral_norm=True, shared=rules.shared) if cam else None
        self.head = SpectralNormConv2d(widths[-1], 1, kernel_size=4, bias=rules.bias)
        self.act = nn.LeakyReLU(0.2, inplace=True)
        self.halving = ReflectionPad2d(1)
        self.patch = ReflectionPad2d(rules.patch)
        # The last two convolutions want four pixels, and reflection more pixels than it adds.
        self.smallest = 3 * 2 ** (n_layers - 2)
        self.joins_passes = not rules.shared
        if variant == "tensorflow":
            init_weights(self)

    def forward(self, x: Tensor, passes: int = 1) -> Judged:
        if min(x.shape[-2:]) < self.smallest:
            raise ValueError(
                f"image size {x.shape[-2]}x{x.shape[-1]} is below {self.smallest} px, the least that this "
                "UGATITDiscriminator can score; use larger images or fewer n_layers"
            )
        *halving, last = self.layers
        for layer in halving:
            x = self.act(layer(self.halving(x), passes))
        x = self.act(last(self.patch(x), passes))
        logits = None
        if self.cam is not None:
            x, logits = self.cam(x, passes)
        return Judged(self.head(self.patch(x), passes), logits)
