"""The frozen networks that scores look through, each with a sentence that says which it is."""

import tempfile
from collections.abc import Callable
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor, nn

from sketchgan.networks import openmoji_classifier
from sketchgan.networks.pretrained import fetched, read_weights

LPIPSNet = Literal["alex", "vgg", "squeeze"]
LPIPS_FILES = {  # of torchvision, which LPIPS builds on
    "alex": "alexnet-owt-7be5be79.pth",
    "vgg": "vgg16-397923af.pth",
    "squeeze": "squeezenet1_1-b8a52dc0.pth",
}


class FeatureNet(nn.Module):
    """A network that never trains: uint8 pictures ``(N, 3, H, W)`` → features ``(N, D)`` and logits ``(N, classes)``.

    Args:
        net: maps uint8 pictures to ``(features, logits)``, or to one tensor that serves as both.
        protocol: what must be said beside a number: network, size, resize filter.
    """

    def __init__(self, net: nn.Module, protocol: str) -> None:
        super().__init__()
        self.net = net.eval().requires_grad_(False)
        self.protocol = protocol

    @cached_property
    def widths(self) -> tuple[int, int]:
        """Numbers of features and of logits, found out with a black picture."""
        device = next((p.device for p in self.net.parameters()), torch.device("cpu"))
        features, logits = self(torch.zeros(1, 3, 64, 64, dtype=torch.uint8, device=device))
        return features.shape[1], logits.shape[1]

    def train(self, mode: bool = True) -> "FeatureNet":
        return super().train(False)

    @torch.no_grad()
    def forward(self, pictures: Tensor) -> tuple[Tensor, Tensor]:
        if pictures.shape[1] == 1:
            pictures = pictures.expand(-1, 3, -1, -1)
        out = self.net(pictures)
        features, logits = out if isinstance(out, tuple) else (out, out)
        return features.flatten(1).float(), logits.float()


class _Auxiliary(nn.Module):
    """A module's own classifier, which stays the module's: neither frozen nor moved from here."""

    def __init__(self, classify: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.classify = classify

    def forward(self, pictures: Tensor) -> Tensor:
        return self.classify(pictures.float() / 127.5 - 1)


def auxiliary_net(classify: Callable[[Tensor], Tensor]) -> FeatureNet:
    """The classifier that a GAN trains, in its discriminator or beside it, as a network for the accuracy.

    Args:
        classify: pictures ``(N, 3, H, W)`` in [-1, 1] → logits ``(N, classes)``, on the device that it chooses.
    """
    return FeatureNet(_Auxiliary(classify), "the trained module's own classifier")


def feature_net(which: str | nn.Module, weights: str | Path | None = None) -> FeatureNet:
    """A feature network by name, or one's own.

    Args:
        which: "inception" (torch-fidelity's port of the FID Inception v3, 2048 features), "openmoji" (the classifier
            of the embedded data, 64 features), or a module for uint8 pictures; see `FeatureNet`.
        weights: of Inception, a local file; by default they are downloaded once (95 MB).

    Raises:
        ValueError: for an unknown name, or weights that cannot be loaded safely.
        FileNotFoundError: if there is no such file, or it cannot be downloaded.
    """
    if isinstance(which, nn.Module):
        return which if isinstance(which, FeatureNet) else FeatureNet(which, f"{type(which).__name__}, own resizing")
    if which == "openmoji":
        return FeatureNet(openmoji_classifier(), "openmoji classifier (not Inception), antialiased bilinear to 64x64")
    if which == "inception":
        return FeatureNet(_inception(weights), "Inception v3 of FID (torch-fidelity), TensorFlow bilinear to 299x299")
    raise ValueError(f'a network for scores is "inception", "openmoji" or a module, got {which!r}')


def _inception(weights: str | Path | None) -> nn.Module:
    from torch_fidelity.feature_extractor_inceptionv3 import URL_INCEPTION_V3, FeatureExtractorInceptionV3

    if weights is not None:
        read_weights(weights)  # the library unpickles whatever it is given
    path = None if weights is None else str(weights)
    return fetched(
        lambda: FeatureExtractorInceptionV3("inception-v3-compat", ["2048", "logits_unbiased"], path),
        URL_INCEPTION_V3,
        otherwise="give its path as weights",
    )


def lpips(net: LPIPSNet = "alex", weights: str | Path | None = None) -> Any:
    """LPIPS (Zhang et al., CVPR 2018, arXiv 1801.03924) of torchmetrics, for RGB pictures in [0, 1].

    Args:
        net: "alex", "vgg" or "squeeze".
        weights: torchvision's ImageNet weights of that network, a local file; by default they are downloaded once.

    Raises:
        ValueError: for an unknown name, or weights that cannot be loaded safely.
        FileNotFoundError: if there is no such file, or it cannot be downloaded.
    """
    from torchmetrics.image.lpip import LearnedPerceptualImagePatchSimilarity

    if net not in LPIPS_FILES:
        raise ValueError(f"lpips_net must be one of {', '.join(LPIPS_FILES)}, got {net!r}")
    file = LPIPS_FILES[net]
    if weights is None:
        url = f"https://download.pytorch.org/models/{file}"
        return fetched(
            lambda: LearnedPerceptualImagePatchSimilarity(net, normalize=True),
            url,
            otherwise="give its path as lpips_weights",
        )
    read_weights(weights)  # only plain weights pass
    # The metric takes no path, but torchvision looks for the file among those downloaded before.
    before = torch.hub.get_dir()
    with tempfile.TemporaryDirectory() as folder:
        Path(folder, "checkpoints").mkdir()
        Path(folder, "checkpoints", file).symlink_to(Path(weights).resolve())
        torch.hub.set_dir(folder)
        try:
            return LearnedPerceptualImagePatchSimilarity(net, normalize=True)
        finally:
            torch.hub.set_dir(before)
