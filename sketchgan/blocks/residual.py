"""The residual blocks of CycleGAN (Zhu et al., ICCV 2017, arXiv 1703.10593, appendix 7.2) and U-GAT-IT."""

from collections.abc import Callable

from torch import Tensor, nn

from sketchgan.blocks.norm import Norm, norm_layer
from sketchgan.blocks.padding import Padding, ReflectionPad2d, pad_layer


class ResidualBlock(nn.Module):
    """Two padded 3×3 convolutions added to their input, with no activation after the sum.

    Args:
        channels: C of the input and the output.
        norm: "batch", "instance", "affine_instance" or "none"; see `norm_layer`.
        padding: "reflect" (default), "replicate" or "zero".
        dropout: probability between the two convolutions; 0 for none.
        bias: of the convolutions; by default with instance norm alone, where the official pix2pix code has it (inert).

    Shapes: ``(N, C, H, W)`` → the same.
    """

    def __init__(
        self,
        channels: int,
        norm: Norm = "instance",
        padding: Padding = "reflect",
        dropout: float = 0.0,
        bias: bool | None = None,
    ) -> None:
        super().__init__()
        bias = norm == "instance" if bias is None else bias
        self.body = nn.Sequential(
            pad_layer(padding, 1),
            nn.Conv2d(channels, channels, kernel_size=3, bias=bias),
            norm_layer(norm, channels),
            nn.ReLU(),
            nn.Dropout(dropout),
            pad_layer(padding, 1),
            nn.Conv2d(channels, channels, kernel_size=3, bias=bias),
            norm_layer(norm, channels),
        )

    def forward(self, x: Tensor) -> Tensor:
        return x + self.body(x)


class AdaptiveResidualBlock(nn.Module):
    """The same with norms that are told from outside how to scale and shift (U-GAT-IT, arXiv 1907.10830, figure 1).

    Args:
        channels: C of the input and the output.
        norm: makes a norm; called twice.
        bias: of the convolutions.

    Shapes: ``(N, C, H, W)`` → the same. What else ``forward`` is given, it hands to both norms.
    """

    def __init__(self, channels: int, norm: Callable[[], nn.Module], bias: bool = False) -> None:
        super().__init__()
        self.pad = ReflectionPad2d(1)
        self.conv1 = nn.Conv2d(channels, channels, kernel_size=3, bias=bias)
        self.norm1 = norm()
        self.act = nn.ReLU()
        self.conv2 = nn.Conv2d(channels, channels, kernel_size=3, bias=bias)
        self.norm2 = norm()

    def forward(self, x: Tensor, *style: Tensor) -> Tensor:
        y = self.act(self.norm1(self.conv1(self.pad(x)), *style))
        return x + self.norm2(self.conv2(self.pad(y)), *style)
