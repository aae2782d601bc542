"""Discriminators that judge patches (Isola et al., CVPR 2017, arXiv 1611.07004, section 3.2.2 and appendix 6.1.2)."""

from torch import Tensor, nn

from sketchgan.blocks import BlurDownsample, Norm, norm_layer
from sketchgan.ops.init import Init, init_weights


class PatchDiscriminator(nn.Sequential):
    """Score overlapping square patches of an image; the default sees 70×70 pixels.

    Each score sees ``9 * 2**n_layers - 2`` pixels: 16, 34, 70, 142, 286 for 1 to 5 layers. Scores are logits.

    Args:
        in_channels: channels of the judged image; for a conditional discriminator those of input and output together.
        ndf: width after the first convolution; it doubles per layer up to ``8 * ndf``.
        n_layers: number of halvings.
        norm: "batch", "instance" or "none".
        antialias: blur before halving (arXiv 1904.11486), as in the authors' later code; doubles the arithmetic.
        init: weight initialisation, see `sketchgan.ops.init_weights`.
        init_gain: its standard deviation or gain.

    Shapes: ``(N, in_channels, H, W)`` → ``(N, 1, H / 2**n_layers - 2, W / 2**n_layers - 2)``, halves rounded down.

    Raises:
        ValueError: if ``n_layers`` is below 1, or from ``forward`` if the image is too small to give one score.

    Examples:
        >>> import torch
        >>> discriminator = PatchDiscriminator(in_channels=6, ndf=4)
        >>> discriminator(torch.zeros(2, 6, 64, 64)).shape, discriminator.receptive_field
        (torch.Size([2, 1, 6, 6]), 70)
    """

    def __init__(
        self,
        in_channels: int = 3,
        ndf: int = 64,
        n_layers: int = 3,
        norm: Norm = "batch",
        antialias: bool = False,
        init: Init = "normal",
        init_gain: float = 0.02,
    ) -> None:
        if n_layers < 1:
            raise ValueError(f"n_layers must be at least 1, got {n_layers}; for 1x1 patches use PixelDiscriminator")
        bias = norm == "instance"
        widths = [ndf * min(2**layer, 8) for layer in range(n_layers + 1)]

        def halve(in_width: int, out_width: int, bias: bool, normalised: bool) -> list[nn.Module]:
            return [
                nn.Conv2d(in_width, out_width, kernel_size=4, stride=1 if antialias else 2, padding=1, bias=bias),
                *([norm_layer(norm, out_width)] if normalised else []),
                nn.LeakyReLU(0.2, inplace=True),
                *([BlurDownsample(out_width)] if antialias else []),
            ]

        layers = halve(in_channels, widths[0], bias=True, normalised=False)
        for layer in range(1, n_layers):
            layers += halve(widths[layer - 1], widths[layer], bias=bias, normalised=True)
        layers += [
            nn.Conv2d(widths[-2], widths[-1], kernel_size=4, padding=1, bias=bias),
            norm_layer(norm, widths[-1]),
            nn.LeakyReLU(0.2, inplace=True),
            nn.Conv2d(widths[-1], 1, kernel_size=4, padding=1),
        ]
        super().__init__(*layers)
        self.smallest = 3 * 2**n_layers
        self.per_sample = norm != "batch"  # no sample depends on the batch around it
        self.receptive_field = 9 * 2**n_layers - 2
        init_weights(self, init, init_gain)

    def forward(self, input: Tensor) -> Tensor:
        if min(input.shape[-2:]) < self.smallest:
            raise ValueError(
                f"image size {input.shape[-2]}x{input.shape[-1]} is below {self.smallest} px, the least that this "
                "PatchDiscriminator can score; use larger images or fewer n_layers"
            )
        return super().forward(input)


class PixelDiscriminator(nn.Sequential):
    """Score every pixel by itself (the 1×1 PixelGAN). Scores are logits.

    Args:
        in_channels: channels of the judged image.
        ndf: width of the first hidden layer; the second has twice as much.
        norm: "batch", "instance" or "none".
        init: weight initialisation, see `sketchgan.ops.init_weights`.
        init_gain: its standard deviation or gain.

    Shapes: ``(N, in_channels, H, W)`` → ``(N, 1, H, W)``.
    """

    def __init__(
        self, in_channels: int = 3, ndf: int = 64, norm: Norm = "batch", init: Init = "normal", init_gain: float = 0.02
    ) -> None:
        bias = norm == "instance"
        super().__init__(
            nn.Conv2d(in_channels, ndf, kernel_size=1),
            nn.LeakyReLU(0.2, inplace=True),
            nn.Conv2d(ndf, 2 * ndf, kernel_size=1, bias=bias),
            norm_layer(norm, 2 * ndf),
            nn.LeakyReLU(0.2, inplace=True),
            # The official code ties this bias to the norm too, although none follows.
            nn.Conv2d(2 * ndf, 1, kernel_size=1, bias=bias),
        )
        init_weights(self, init, init_gain)
