"""The first layers of Inception-V4 (Szegedy et al., AAAI 2017, arXiv 1602.07261), through which SketchyGAN looks."""

from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor, nn

from sketchgan.networks.pretrained import fetched, hub_file, load_weights, read_weights

URL = "https://huggingface.co/timm/inception_v4.tf_in1k/resolve/main/model.safetensors"
FILE = "inception_v4.tf_in1k.safetensors"


class InceptionV4Stem(nn.Module):
    """Inception-V4 up to its first Inception block, giving the three layers of SketchyGAN's perceptual loss.

    Names of weights and values are those of timm's ``inception_v4``. The network was trained on pictures in [-1, 1];
    SketchyGAN shows it [0, 1].

    Shapes: ``(N, 3, H, W)``, 299 × 299 as trained and 27 × 27 at least → ``(N, 32, 147, 147)`` of Conv2d_2a_3x3,
    ``(N, 192, 71, 71)`` of Mixed_4a and ``(N, 384, 35, 35)`` of Mixed_5b, none of them negative.

    Examples:
        >>> [maps.shape[1:] for maps in InceptionV4Stem().eval()(torch.zeros(1, 3, 91, 91))]
        [torch.Size([32, 43, 43]), torch.Size([192, 19, 19]), torch.Size([384, 9, 9])]
    """

    def __init__(self) -> None:
        super().__init__()
        self.features = nn.Sequential(
            _conv(3, 32, 3, stride=2),
            _conv(32, 32, 3),
            _conv(32, 64, 3, padding=1),
            _PoolAndConv(64, 96, pool_first=True),
            _Mixed4a(),
            _PoolAndConv(192, 192, pool_first=False),
            _Mixed5b(),
        )

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        first = self.features[:2](x)
        second = self.features[2:5](first)
        return first, second, self.features[5:](second)


def inception_v4_stem(weights: str | Path | None = None) -> InceptionV4Stem:
    """The stem with trained weights, in evaluation mode.

    Args:
        weights: timm's ``inception_v4.tf_in1k``, a local file (.safetensors, .pth, .bin), whose later layers are left
            aside; by default it is downloaded once.

    Raises:
        FileNotFoundError: if there is no such file, or it cannot be downloaded.
        ValueError: if the file lacks weights of the stem, or cannot be loaded safely.
    """
    if weights is None:
        weights = fetched(
            lambda: hub_file(URL, FILE), URL, files=[FILE], otherwise="give its path as weights of the perceptual loss"
        )
    network = InceptionV4Stem()
    state = read_weights(weights)
    if isinstance(state, Mapping):
        state = {key: value for key, value in state.items() if key in network.state_dict()}
    load_weights(network, state, weights, remedy=f"give timm's inception_v4.tf_in1k, {URL}")
    return network.eval()


def inception_v4_from_tf(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Weights of `InceptionV4Stem` under the names of TF-slim's Inception-V4, which SketchyGAN's code loads.

    Args:
        state: by TF-slim's names, such as ``InceptionV4/Mixed_3a/Branch_1/Conv2d_0a_3x3/weights``, with convolutions
            as ``(out, in, height, width)``: TensorFlow's own arrays are permuted by ``(3, 2, 0, 1)`` first. BatchNorm's
            gamma is absent there, and 1. Other names are left aside.

    Returns:
        A state dict of `InceptionV4Stem`, in float32.

    Raises:
        ValueError: naming what is missing.
    """
    ours: dict[str, Tensor] = {}
    missing = []
    for scope, module in _TF_SCOPES.items():
        for name, value in _TF_VALUES.items():
            key = f"InceptionV4/{scope}/{name}"
            if key in state:
                ours[f"features.{module}.{value}"] = state[key].float()
            elif not name.endswith("gamma"):
                missing.append(key)
        if f"features.{module}.bn.bias" in ours:
            ours.setdefault(f"features.{module}.bn.weight", torch.ones_like(ours[f"features.{module}.bn.bias"]))
    if missing:
        more = f" and {len(missing) - 3} more" if len(missing) > 3 else ""
        raise ValueError(f"no weights of TF-slim's Inception-V4: {', '.join(missing[:3])}{more} missing")
    return ours


_TF_VALUES = {
    "weights": "conv.weight",
    "BatchNorm/beta": "bn.bias",
    "BatchNorm/gamma": "bn.weight",
    "BatchNorm/moving_mean": "bn.running_mean",
    "BatchNorm/moving_variance": "bn.running_var",
}
_TF_SCOPES = {
    "Conv2d_1a_3x3": "0",
    "Conv2d_2a_3x3": "1",
    "Conv2d_2b_3x3": "2",
    "Mixed_3a/Branch_1/Conv2d_0a_3x3": "3.conv",
    "Mixed_4a/Branch_0/Conv2d_0a_1x1": "4.branch0.0",
    "Mixed_4a/Branch_0/Conv2d_1a_3x3": "4.branch0.1",
    "Mixed_4a/Branch_1/Conv2d_0a_1x1": "4.branch1.0",
    "Mixed_4a/Branch_1/Conv2d_0b_1x7": "4.branch1.1",
    "Mixed_4a/Branch_1/Conv2d_0c_7x1": "4.branch1.2",
    "Mixed_4a/Branch_1/Conv2d_1a_3x3": "4.branch1.3",
    "Mixed_5a/Branch_0/Conv2d_1a_3x3": "5.conv",
    "Mixed_5b/Branch_0/Conv2d_0a_1x1": "6.branch0",
    "Mixed_5b/Branch_1/Conv2d_0a_1x1": "6.branch1.0",
    "Mixed_5b/Branch_1/Conv2d_0b_3x3": "6.branch1.1",
    "Mixed_5b/Branch_2/Conv2d_0a_1x1": "6.branch2.0",
    "Mixed_5b/Branch_2/Conv2d_0b_3x3": "6.branch2.1",
    "Mixed_5b/Branch_2/Conv2d_0c_3x3": "6.branch2.2",
    "Mixed_5b/Branch_3/Conv2d_0b_1x1": "6.branch3.1",
}


class _Conv(nn.Module):
    def __init__(self, conv: nn.Conv2d) -> None:
        super().__init__()
        self.conv = conv
        self.bn = nn.BatchNorm2d(conv.out_channels, eps=1e-3)

    def forward(self, x: Tensor) -> Tensor:
        return torch.relu(self.bn(self.conv(x)))


def _conv(
    in_channels: int,
    out_channels: int,
    kernel_size: int | tuple[int, int],
    stride: int = 1,
    padding: int | tuple[int, int] = 0,
) -> _Conv:
    return _Conv(nn.Conv2d(in_channels, out_channels, kernel_size, stride, padding, bias=False))


class _PoolAndConv(nn.Module):
    """Halve by maximum and by convolution, side by side: Mixed_3a, and in the other order Mixed_5a."""

    def __init__(self, in_channels: int, out_channels: int, pool_first: bool) -> None:
        super().__init__()
        self.pool_first = pool_first
        self.maxpool = nn.MaxPool2d(3, stride=2)
        self.conv = _conv(in_channels, out_channels, 3, stride=2)

    def forward(self, x: Tensor) -> Tensor:
        halves = [self.maxpool(x), self.conv(x)]
        return torch.cat(halves if self.pool_first else halves[::-1], dim=1)


class _Mixed4a(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.branch0 = nn.Sequential(_conv(160, 64, 1), _conv(64, 96, 3))
        self.branch1 = nn.Sequential(
            _conv(160, 64, 1),
            _conv(64, 64, (1, 7), padding=(0, 3)),
            _conv(64, 64, (7, 1), padding=(3, 0)),
            _conv(64, 96, 3),
        )

    def forward(self, x: Tensor) -> Tensor:
        return torch.cat([self.branch0(x), self.branch1(x)], dim=1)


class _Mixed5b(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.branch0 = _conv(384, 96, 1)
        self.branch1 = nn.Sequential(_conv(384, 64, 1), _conv(64, 96, 3, padding=1))
        self.branch2 = nn.Sequential(_conv(384, 64, 1), _conv(64, 96, 3, padding=1), _conv(96, 96, 3, padding=1))
        self.branch3 = nn.Sequential(nn.AvgPool2d(3, stride=1, padding=1, count_include_pad=False), _conv(384, 96, 1))

    def forward(self, x: Tensor) -> Tensor:
        return torch.cat([self.branch0(x), self.branch1(x), self.branch2(x), self.branch3(x)], dim=1)
