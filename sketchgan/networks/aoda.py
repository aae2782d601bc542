"""The class-conditional generator of AODA (Xiang et al., WACV 2022, arXiv 2104.05703, section 3.1)."""

from torch import Tensor, nn

from sketchgan.blocks import AdaptiveResidualBlock, ClassAdaIN, ReflectionPad2d
from sketchgan.networks.resnet import down_layer
from sketchgan.ops.init import Init, init_weights


class AODAGenerator(nn.Module):
    """CycleGAN's residual generator whose residual blocks know the class, and which doubles by sub-pixel convolutions.

    The class enters through the residual blocks' norms alone. All other norms are instance norm.

    Args:
        n_classes: number of classes.
        in_channels: channels of the sketch.
        out_channels: channels of the photo.
        ngf: width at full size; 2 and 4 times as much at a half and a quarter.
        n_blocks: residual blocks.
        init: weight initialisation, see `sketchgan.ops.init_weights`; the classes' table keeps PyTorch's.
        init_gain: its standard deviation or gain.

    Shapes: ``(N, in_channels, H, W)``, sides multiples of 4, and labels → ``(N, out_channels, H, W)`` in [-1, 1].
    Labels are int64 ``(N,)``, or shares of classes, float ``(N, n_classes)``.

    Raises:
        ValueError: without classes, or for a negative number of blocks.

    Examples:
        >>> import torch
        >>> network = AODAGenerator(n_classes=3, ngf=4, n_blocks=1)
        >>> network(torch.zeros(2, 3, 16, 20), torch.tensor([0, 2])).shape
        torch.Size([2, 3, 16, 20])
    """

    size_multiple = 4
    per_sample = True  # no sample depends on the batch around it

    def __init__(
        self,
        n_classes: int = 10,
        in_channels: int = 3,
        out_channels: int = 3,
        ngf: int = 64,
        n_blocks: int = 9,
        init: Init = "normal",
        init_gain: float = 0.02,
    ) -> None:
        super().__init__()
        if n_classes < 1 or n_blocks < 0:
            raise ValueError(f"n_classes must be at least 1 and n_blocks 0, got {n_classes} and {n_blocks}")
        width = 4 * ngf
        self.n_classes = n_classes
        self.stem = nn.Sequential(
            ReflectionPad2d(3), nn.Conv2d(in_channels, ngf, kernel_size=7), nn.InstanceNorm2d(ngf), nn.ReLU()
        )
        self.down = nn.Sequential(down_layer(ngf, 2 * ngf), down_layer(2 * ngf, width))
        self.blocks = nn.ModuleList(
            AdaptiveResidualBlock(width, lambda: ClassAdaIN(width, n_classes), bias=True) for _ in range(n_blocks)
        )
        self.up = nn.Sequential(_up(width, 2 * ngf), _up(2 * ngf, ngf))
        self.head = nn.Sequential(ReflectionPad2d(3), nn.Conv2d(ngf, out_channels, kernel_size=7), nn.Tanh())
        init_weights(self, init, init_gain)

    def forward(self, sketch: Tensor, labels: Tensor) -> Tensor:
        x = self.down(self.stem(sketch))
        for block in self.blocks:
            x = block(x, labels)
        return self.head(self.up(x))


def _up(in_channels: int, out_channels: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(in_channels, 4 * out_channels, kernel_size=3, padding=1),
        nn.PixelShuffle(2),
        nn.InstanceNorm2d(out_channels),
        nn.ReLU(),
    )
