"""Whole networks: generators and discriminators, plain ``nn.Module``s for any training loop."""

from sketchgan.networks.hed import HED, pretrained_hed
from sketchgan.networks.mobilefacenet import MobileFaceNet
from sketchgan.networks.openmoji_classifier import OpenMojiClassifier
from sketchgan.networks.patch import PatchDiscriminator, PixelDiscriminator
from sketchgan.networks.photo2cartoon import Photo2CartoonGenerator
from sketchgan.networks.resnet import ResnetGenerator
from sketchgan.networks.ugatit import Attended, Judged, UGATITDiscriminator, UGATITGenerator
from sketchgan.networks.unet import EncoderDecoderGenerator, UNetGenerator

__all__ = [
    "HED",
    "Attended",
    "EncoderDecoderGenerator",
    "Judged",
    "MobileFaceNet",
    "OpenMojiClassifier",
    "PatchDiscriminator",
    "Photo2CartoonGenerator",
    "PixelDiscriminator",
    "ResnetGenerator",
    "UGATITDiscriminator",
    "UGATITGenerator",
    "UNetGenerator",
    "pretrained_hed",
]
