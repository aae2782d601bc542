"""The residual generator of CycleGAN (Zhu et al., ICCV 2017, arXiv 1703.10593, appendix 7.2), after Johnson et al."""

from torch import Tensor, nn

from sketchgan.blocks import BlurDownsample, BlurUpsample, Norm, Padding, ReflectionPad2d, ResidualBlock, norm_layer
from sketchgan.ops.init import Init, init_weights


class ResnetGenerator(nn.Module):
    """Halve twice, transform with ``n_blocks`` residual blocks at a quarter of the size, double twice.

    Follows the official PyTorch code: the last convolution has neither norm nor ReLU (the paper's text lists both).

    Args:
        in_channels: channels of the input image.
        out_channels: channels of the output image.
        ngf: width at full size; 2 and 4 times as much at a half and a quarter.
        n_blocks: residual blocks; 9 from 256 px on, 6 for 128 px.
        norm: "batch", "instance" or "none".
        dropout: probability inside the residual blocks; 0 for none.
        padding: of the residual blocks: "reflect", "replicate" or "zero". The outer 7×7 convolutions always reflect.
        antialias_down: blur before halving (arXiv 1904.11486), as in the authors' later code; 29 % more arithmetic
            together with ``antialias_up``.
        antialias_up: blur after doubling instead of transposed convolutions.
        init: weight initialisation, see `sketchgan.ops.init_weights`.
        init_gain: its standard deviation or gain.

    Shapes: ``(N, in_channels, H, W)`` → ``(N, out_channels, 4 * ceil(H / 4), 4 * ceil(W / 4))`` in [-1, 1].

    Examples:
        >>> import torch
        >>> network = ResnetGenerator(ngf=4, n_blocks=1)
        >>> network(torch.zeros(2, 3, 16, 20)).shape
        torch.Size([2, 3, 16, 20])
    """

    size_multiple = 4  # of sides that come out as they went in

    def __init__(
        self,
        in_channels: int = 3,
        out_channels: int = 3,
        ngf: int = 64,
        n_blocks: int = 9,
        norm: Norm = "instance",
        dropout: float = 0.0,
        padding: Padding = "reflect",
        antialias_down: bool = False,
        antialias_up: bool = False,
        init: Init = "normal",
        init_gain: float = 0.02,
    ) -> None:
        super().__init__()
        self.per_sample = norm != "batch" and not dropout  # no sample depends on the batch around it
        if n_blocks < 0:
            raise ValueError(f"n_blocks must not be negative, got {n_blocks}")
        self.stem = nn.Sequential(
            ReflectionPad2d(3),
            nn.Conv2d(in_channels, ngf, kernel_size=7, bias=norm == "instance"),
            norm_layer(norm, ngf),
            nn.ReLU(),  # not in place: instance norm returns a view, whose change costs copies in the backward pass
        )
        self.down = nn.Sequential(
            down_layer(ngf, 2 * ngf, norm, antialias_down),
            down_layer(2 * ngf, 4 * ngf, norm, antialias_down),
        )
        self.blocks = nn.Sequential(*(ResidualBlock(4 * ngf, norm, padding, dropout) for _ in range(n_blocks)))
        self.up = nn.Sequential(
            _up(4 * ngf, 2 * ngf, norm, antialias_up),
            _up(2 * ngf, ngf, norm, antialias_up),
        )
        self.head = nn.Sequential(ReflectionPad2d(3), nn.Conv2d(ngf, out_channels, kernel_size=7), nn.Tanh())
        init_weights(self, init, init_gain)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.up(self.blocks(self.down(self.stem(x)))))


def down_layer(in_channels: int, out_channels: int, norm: Norm = "instance", antialias: bool = False) -> nn.Sequential:
    """A 3×3 convolution that halves both sides, its norm and a ReLU."""
    layers: list[nn.Module] = [
        nn.Conv2d(in_channels, out_channels, 3, stride=1 if antialias else 2, padding=1, bias=norm == "instance"),
        norm_layer(norm, out_channels),
        nn.ReLU(),
    ]
    return nn.Sequential(*layers, BlurDownsample(out_channels)) if antialias else nn.Sequential(*layers)


def _up(in_channels: int, out_channels: int, norm: Norm, antialias: bool) -> nn.Sequential:
    bias = norm == "instance"
    doubling: list[nn.Module] = (
        [BlurUpsample(in_channels), nn.Conv2d(in_channels, out_channels, 3, padding=1, bias=bias)]
        if antialias
        else [nn.ConvTranspose2d(in_channels, out_channels, 3, stride=2, padding=1, output_padding=1, bias=bias)]
    )
    return nn.Sequential(*doubling, norm_layer(norm, out_channels), nn.ReLU())
