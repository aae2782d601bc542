"""The residual block of CycleGAN's generators (Zhu et al., ICCV 2017, arXiv 1703.10593, appendix 7.2)."""

from torch import Tensor, nn

from sketchgan.blocks.norm import Norm, norm_layer
from sketchgan.blocks.padding import Padding, pad_layer


class ResidualBlock(nn.Module):
    """Two padded 3×3 convolutions added to their input, with no activation after the sum.

    Args:
        channels: C of the input and the output.
        norm: "batch", "instance" or "none".
        padding: "reflect" (default), "replicate" or "zero".
        dropout: probability between the two convolutions; 0 for none.

    Shapes: ``(N, C, H, W)`` → the same.
    """

    def __init__(
        self, channels: int, norm: Norm = "instance", padding: Padding = "reflect", dropout: float = 0.0
    ) -> None:
        super().__init__()
        bias = norm == "instance"
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
