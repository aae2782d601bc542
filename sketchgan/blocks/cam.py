"""Attention by class activation maps (Kim et al., ICLR 2020, arXiv 1907.10830, section 2.1)."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from sketchgan.blocks.spectral_norm import SpectralNormLinear, raw_weight


class CAM(nn.Module):
    """Classify the domain from pooled features, and weigh the features by what the classifier looks at.

    Average and maximum over the map each give a logit; the classifiers' weights scale the channels, and a 1×1
    convolution joins both scaled maps. The two maps are never made: the convolution's weight takes up the scales.

    Args:
        channels: C of the input.
        activation: after the convolution; ReLU in generators, LeakyReLU(0.2) in discriminators.
        bias: of the classifiers, in the logits alone (photo2cartoon).
        spectral_norm: on the classifiers; attention takes their raw weights all the same, as the official code does.
        shared: one classifier with a bias for both, whose weight (under spectral norm the normalised one) plus bias is
            the attention, as in the TensorFlow code; the PyTorch code has two.

    Shapes: ``(N, C, H, W)`` → the attended map ``(N, C, H, W)`` and logits ``(N, 2)``.
    """

    def __init__(
        self,
        channels: int,
        activation: nn.Module,
        bias: bool = False,
        spectral_norm: bool = False,
        shared: bool = False,
    ) -> None:
        super().__init__()
        linear = SpectralNormLinear if spectral_norm else nn.Linear
        self.gap_fc = linear(channels, 1, bias=bias or shared)
        self.gmp_fc = None if shared else linear(channels, 1, bias=bias)
        self.conv = nn.Conv2d(2 * channels, channels, kernel_size=1)
        self.activation = activation

    def forward(self, x: Tensor, passes: int = 1) -> tuple[Tensor, Tensor]:
        pooled = x.mean((2, 3)), x.flatten(2).max(2).values  # not amax, whose gradient spreads over ties
        classifiers = self.gap_fc, self.gmp_fc or self.gap_fc
        logits = torch.cat([_logit(fc, p, passes) for fc, p in zip(classifiers, pooled, strict=True)], 1)
        halves = self.conv.weight.chunk(2, dim=1)
        average, maximum = (
            half * self._attention(fc)[..., None, None] for half, fc in zip(halves, classifiers, strict=True)
        )
        return self.activation(F.conv2d(x, average + maximum, self.conv.bias)), logits

    def _attention(self, fc: nn.Linear) -> Tensor:
        if self.gmp_fc is None:
            return (fc.normalised_weight() if isinstance(fc, SpectralNormLinear) else fc.weight) + fc.bias
        return raw_weight(fc)


def _logit(fc: nn.Linear, pooled: Tensor, passes: int) -> Tensor:
    return fc(pooled, passes) if isinstance(fc, SpectralNormLinear) else fc(pooled)
