"""A small classifier of the embedded pictures, for scores without a download."""

from importlib.resources import files
from itertools import pairwise

import torch
import torch.nn.functional as F
from safetensors.torch import load_file
from torch import Tensor, nn


class OpenMojiClassifier(nn.Module):
    """Seven groups of pictograms from line art or colour, in about 100,000 weights.

    It exists so that the embedded data has a Fréchet distance and a class accuracy of its own; it knows nothing but
    pictograms, and its numbers are not comparable with Inception's. ``examples/train_openmoji_classifier.py`` trains
    it.

    Args:
        num_classes: number of groups.
        width: channels of the first stage; the features have four times as many.

    Shapes: uint8 pictures ``(N, 3, H, W)`` of any size → features ``(N, 4 * width)`` and logits ``(N, num_classes)``.
    """

    side = 64

    def __init__(self, num_classes: int = 7, width: int = 16) -> None:
        super().__init__()
        widths = (3, width, 2 * width, 4 * width, 4 * width)
        stages = []
        for before, after in pairwise(widths):
            stages += [nn.Conv2d(before, after, 3, stride=2, padding=1, bias=False), nn.BatchNorm2d(after), nn.ReLU()]
        stages += [nn.Conv2d(widths[-1], widths[-1], 3, padding=1, bias=False), nn.BatchNorm2d(widths[-1]), nn.ReLU()]
        self.stages = nn.Sequential(*stages)
        self.classify = nn.Linear(widths[-1], num_classes)

    def forward(self, pictures: Tensor) -> tuple[Tensor, Tensor]:
        x = pictures.float() / 127.5 - 1
        if x.shape[-2:] != (self.side, self.side):
            x = F.interpolate(x, (self.side, self.side), mode="bilinear", antialias=True)
        features = self.stages(x).mean((2, 3))  # (N, 4 * width)
        return features, self.classify(features)

    @torch.no_grad()
    def accuracy(self, pictures: Tensor, labels: Tensor) -> float:
        """Share of pictures ``(N, 3, H, W)`` whose group is found."""
        return (self.eval()(pictures)[1].argmax(1) == labels).float().mean().item()


def openmoji_classifier() -> OpenMojiClassifier:
    """The classifier of the embedded data, with the weights of the package."""
    net = OpenMojiClassifier()
    net.load_state_dict(load_file(str(files("sketchgan.networks") / "openmoji_classifier.safetensors")))
    return net.eval()
