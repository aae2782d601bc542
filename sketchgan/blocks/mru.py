"""Masked residual units (SketchyGAN, Chen and Hays, CVPR 2018, arXiv 1801.02753)."""

from typing import Any, Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from sketchgan.blocks.conditional_norm import ConditionalBatchNorm
from sketchgan.blocks.scale_block import ScaleBlock, double
from sketchgan.blocks.spectral_norm import raw_weight


def min_max_gate(x: Tensor) -> Tensor:
    """Leaky ReLU, then stretched to [0, 1] per sample and channel.

    In float32 also under autocast. A channel without any contrast is all 0; the official code divides 0 by 0 there.

    Shapes: ``(N, C, H, W)`` → the same.

    Examples:
        >>> min_max_gate(torch.tensor([[[[-5.0, 0.0], [1.0, 3.0]]]]))
        tensor([[[[0.0000, 0.2500],
                  [0.5000, 1.0000]]]])
    """
    gate = F.leaky_relu(x.to(torch.promote_types(x.dtype, torch.float32)), 0.2)
    low, high = gate.amin((2, 3), keepdim=True), gate.amax((2, 3), keepdim=True)
    span = high - low
    return ((gate - low) / torch.where(span > 0, span, torch.ones_like(span))).to(x.dtype)


class MRU(ScaleBlock):
    """The residual unit of the released code ("v3", in its encoder and discriminator).

    A gate decides what to read from the image; the hidden state itself passes untouched.

    Args:
        *args: of all blocks: channels, filters, image_channels, resize, n_classes, activation, spectral_norm.
        norm_input: normalise and activate the hidden state that the gate looks at.
        norm_gate: normalise the gate's convolution.
        **kwargs: likewise by name.
    """

    def __init__(self, *args: Any, norm_input: bool = True, norm_gate: bool = False, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        channels, filters, image_channels = self.channels, self.filters, self.image_channels
        self.norm_in = self.norm_activation(channels) if norm_input else None
        self.gate = self.conv(channels + image_channels, channels)
        nn.init.constant_(self.gate.bias, 0.5)  # type: ignore[arg-type]
        norm_gate = norm_gate and self.n_classes is not None
        self.norm_gate = ConditionalBatchNorm(channels, self.n_classes) if norm_gate else None  # type: ignore[arg-type]
        self.read = self.conv(image_channels, channels)
        self.norm_merged = self.norm_activation(channels)
        self.conv1 = self.conv(channels, filters)
        self.norm1 = self.norm_activation(filters)
        self.conv2 = self.conv(filters, filters)
        self.project = self.conv(channels, filters, 1) if channels != filters else None

    def compute(self, x: Tensor, image: Tensor, labels: Tensor | None) -> Tensor:
        seen = x if self.norm_in is None else self.norm_in(x, labels)
        gate = self.gate(torch.cat([seen, image], dim=1))
        if self.norm_gate is not None:
            gate = self.norm_gate(gate, labels)
        merged = self.norm_merged(x + min_max_gate(gate) * self.read(image), labels)
        h = self.conv2(self.norm1(self.conv1(merged), labels))
        return h + (x if self.project is None else self.project(x))


class GatedMRU(ScaleBlock):
    """The units with two gates: one for what is kept of the hidden state, one between old and new.

    Args:
        *args: of all blocks.
        kind: "v1" has sigmoid gates; "v2" min-max gates (the decoder of the released code); "paper" is v1
            with the output gate's meaning turned round.
        **kwargs: of all blocks, by name.
    """

    def __init__(self, *args: Any, kind: Literal["v1", "v2", "paper"] = "v2", **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        channels, filters, image_channels = self.channels, self.filters, self.image_channels
        self.kind = kind
        self.gate_in = self.conv(channels + image_channels, channels)
        self.gate_out = self.conv(channels + image_channels, filters)
        self.conv1 = self.conv(channels + image_channels, filters)
        self.norm1 = self.norm_activation(filters)
        self.conv2 = self.conv(filters, filters)
        self.norm2 = self.norm_activation(filters)
        self.project = self.conv(channels, filters, 1) if channels != filters else None
        self.norm_project = self.norm_activation(filters) if channels != filters else None

    def decayed(self) -> list[nn.Parameter]:
        """The weights that the official code decays: those of convolutions, but for the projection."""
        return [
            weight for weight in super().decayed() if self.project is None or weight is not raw_weight(self.project)
        ]

    def forward(self, hidden: Tensor, image: Tensor, labels: Tensor | None = None) -> Tensor:
        if self.resize != "up":
            return super().forward(hidden, image, labels)
        # Repeated pixels change neither a 1 × 1 convolution nor its statistics: a quarter of the work.
        return self.compute(double(hidden), image, labels, double(self._projected(hidden, labels)))

    def compute(self, x: Tensor, image: Tensor, labels: Tensor | None, projected: Tensor | None = None) -> Tensor:
        both = torch.cat([x, image], dim=1)
        squash = min_max_gate if self.kind == "v2" else torch.sigmoid
        gate_in, gate_out = squash(self.gate_in(both)), squash(self.gate_out(both))
        h = self.norm1(self.conv1(torch.cat([gate_in * x, image], dim=1)), labels)
        h = self.norm2(self.conv2(h), labels)
        old = self._projected(x, labels) if projected is None else projected
        return torch.lerp(h, old, gate_out) if self.kind == "paper" else torch.lerp(old, h, gate_out)

    def _projected(self, x: Tensor, labels: Tensor | None) -> Tensor:
        return x if self.project is None else self.norm_project(self.project(x), labels)  # type: ignore[misc]
