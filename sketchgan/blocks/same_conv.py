"""Convolutions that pad as TensorFlow's "SAME" does."""

import torch.nn.functional as F
from torch import Tensor, nn


class SameConv2d(nn.Conv2d):
    """Convolution whose output has the input's size divided by the stride, rounded up.

    Where the padding is odd, its smaller half comes on the left and at the top: 7 × 7 with stride 2 on an even size
    pads 2 and 3 pixels, for which torch has no name.

    Args:
        in_channels: C of the input.
        out_channels: C of the output.
        kernel_size: side of the kernel.
        stride: in both directions.
        bias: add one number per channel.

    Shapes: ``(N, in_channels, H, W)`` → ``(N, out_channels, ceil(H / stride), ceil(W / stride))``.
    """

    def __init__(
        self, in_channels: int, out_channels: int, kernel_size: int, stride: int = 1, bias: bool = True
    ) -> None:
        super().__init__(in_channels, out_channels, kernel_size, stride, bias=bias)

    def forward(self, x: Tensor) -> Tensor:
        pads = []
        for size in (x.shape[-1], x.shape[-2]):
            total = max((-(-size // self.stride[0]) - 1) * self.stride[0] + self.kernel_size[0] - size, 0)
            pads += [total // 2, total - total // 2]
        return self._conv_forward(F.pad(x, pads), self.weight, self.bias)
