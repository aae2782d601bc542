"""PaintsChainer's line term: what a network draws of a colouring should be what it draws of the painting."""

from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from sketchgan.networks.frozen_network import FrozenNetwork
from sketchgan.networks.paintschainer import PaintsChainerUNet, normalise_with_batches
from sketchgan.networks.pretrained import generator_weights, load_weights


class LineLoss(FrozenNetwork):
    """Mean absolute difference of the lines that a network sees in two pictures.

    The network is frozen and in evaluation mode but for batch norm, which uses the statistics of the pictures at hand,
    as in the official training, and remembers none. It works in float32 (float64 for pictures in float64), also under
    autocast, and is no part of a module that holds this loss: not of its checkpoints, its optimizers, or what processes
    exchange. Gradients flow to the fakes alone.

    The official weights (``liner_f``) cannot be fetched any more. A ``PaintsChainerUNet(3, 1, rgb=True)`` learns to
    draw lines as the generator of `sketchgan.Pix2Pix`, from pictures (A) and their lines (B) with ``lambda_gan=0``; the
    checkpoint can be given as ``weights``.

    Args:
        network: of your own, from YUV pictures ``(N, 3, H, W)``, minus 128 and divided by 128, to lines; it is frozen
            for good. By default a ``PaintsChainerUNet(3, 1)`` of the width in the file, which needs ``weights``.
        weights: a local file: a state dict of the network, or a checkpoint of a module with the network as
            ``generator``.

    Examples:
        >>> loss = LineLoss(nn.AvgPool2d(2))
        >>> pictures = torch.rand(2, 3, 32, 32)
        >>> loss(pictures, pictures).item(), round(loss(pictures, pictures + 0.5).item(), 4)
        (0.0, 0.5)
    """

    def __init__(self, network: nn.Module | None = None, weights: str | Path | None = None) -> None:
        self.network = network
        self.weights = weights

    def build(self) -> nn.Module:
        if self.weights is None:
            if self.network is None:
                raise FileNotFoundError(
                    "the line term of PaintsChainer needs a line network, of which no weights are published any more: "
                    "give a file of it as line_weights (trained by Pix2Pix, for instance), a network of your own as "
                    "line_network, or lambda_lines=0"
                )
            return self.network
        state = generator_weights(self.weights)
        if self.network is None:
            ngf = len(state["c0.bias"]) if "c0.bias" in state else 32
            self.network = PaintsChainerUNet(3, 1, ngf)
        load_weights(self.network, state, self.weights, "give a PaintsChainerUNet(3, 1)'s, or pass line_network")
        return self.network

    def prepare(self) -> None:
        if self._ready:
            return
        super().prepare()
        for module in normalise_with_batches(self.network).modules():
            if isinstance(module, _BatchNorm):
                module.train()

    def __call__(self, real: Tensor, fake: Tensor) -> Tensor:
        """A scalar, for pictures ``(N, 3, H, W)``, YUV minus 128 and divided by 128."""
        with torch.no_grad():
            expected = self.look(real)
        return F.l1_loss(self.look(fake), expected)
