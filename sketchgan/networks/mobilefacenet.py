"""MobileFaceNet (Chen et al., CCBR 2018, arXiv 1804.07573), a small network that recognises faces."""

from collections import OrderedDict

from torch import Tensor, nn


class MobileFaceNet(nn.Module):
    """A face of 112 px as a vector of length one; vectors of the same person point the same way.

    Follows TreB1eN/InsightFace_Pytorch, whose weights photo2cartoon uses, down to the names in its state dict: a linear
    layer stands where the paper has a 1×1 convolution. Faces are in [-1, 1].

    Args:
        embedding_size: length of the vector.

    Shapes: ``(N, 3, 112, 112)`` → ``(N, embedding_size)``.

    Raises:
        ValueError: for pictures of another size, when called.

    Examples:
        >>> import torch
        >>> MobileFaceNet().eval()(torch.zeros(2, 3, 112, 112)).shape
        torch.Size([2, 512])
    """

    side = 112

    def __init__(self, embedding_size: int = 512) -> None:
        super().__init__()
        self.conv1 = _conv(3, 64, 3, stride=2, padding=1)
        self.conv2_dw = _conv(64, 64, 3, padding=1, groups=64)
        self.conv_23 = _bottleneck(64, 64, 128, stride=2)  # 28 px
        self.conv_3 = _residuals(4, 64, 128)
        self.conv_34 = _bottleneck(64, 128, 256, stride=2)  # 14 px
        self.conv_4 = _residuals(6, 128, 256)
        self.conv_45 = _bottleneck(128, 128, 512, stride=2)  # 7 px
        self.conv_5 = _residuals(2, 128, 256)
        self.conv_6_sep = _conv(128, 512, 1)
        self.conv_6_dw = _conv(512, 512, 7, groups=512, prelu=False)  # one pixel
        self.linear = nn.Linear(512, embedding_size, bias=False)
        self.bn = nn.BatchNorm1d(embedding_size)

    def forward(self, x: Tensor) -> Tensor:
        if x.shape[1:] != (3, self.side, self.side):
            raise ValueError(f"MobileFaceNet takes (N, 3, {self.side}, {self.side}), got {tuple(x.shape)}")
        x = self.conv_3(self.conv_23(self.conv2_dw(self.conv1(x))))
        x = self.conv_5(self.conv_45(self.conv_4(self.conv_34(x))))
        x = self.bn(self.linear(self.conv_6_dw(self.conv_6_sep(x)).flatten(1)))
        return x / x.norm(dim=1, keepdim=True)


class _Residual(nn.Sequential):
    def forward(self, x: Tensor) -> Tensor:
        return x + super().forward(x)


def _conv(
    in_channels: int,
    out_channels: int,
    kernel_size: int,
    stride: int = 1,
    padding: int = 0,
    groups: int = 1,
    prelu: bool = True,
) -> nn.Sequential:
    conv = nn.Conv2d(in_channels, out_channels, kernel_size, stride, padding, groups=groups, bias=False)
    layers: dict[str, nn.Module] = {"conv": conv, "bn": nn.BatchNorm2d(out_channels)}
    if prelu:
        layers["prelu"] = nn.PReLU(out_channels)
    return nn.Sequential(OrderedDict(layers))


def _bottleneck(
    in_channels: int, out_channels: int, width: int, stride: int = 1, block: type[nn.Sequential] = nn.Sequential
) -> nn.Sequential:
    """Widen, filter each channel, narrow without activation."""
    return block(
        OrderedDict(
            conv=_conv(in_channels, width, 1),
            conv_dw=_conv(width, width, 3, stride, padding=1, groups=width),
            project=_conv(width, out_channels, 1, prelu=False),
        )
    )


def _residuals(count: int, channels: int, width: int) -> nn.Sequential:
    blocks = (_bottleneck(channels, channels, width, block=_Residual) for _ in range(count))
    return nn.Sequential(OrderedDict(model=nn.Sequential(*blocks)))
