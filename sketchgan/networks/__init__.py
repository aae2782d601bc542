"""Whole networks: generators and discriminators, plain ``nn.Module``s for any training loop."""

from sketchgan.networks.mobilefacenet import MobileFaceNet
from sketchgan.networks.openmoji_classifier import OpenMojiClassifier
from sketchgan.networks.patch import PatchDiscriminator, PixelDiscriminator
from sketchgan.networks.resnet import ResnetGenerator
from sketchgan.networks.unet import EncoderDecoderGenerator, UNetGenerator

__all__ = [
    "EncoderDecoderGenerator",
    "MobileFaceNet",
    "OpenMojiClassifier",
    "PatchDiscriminator",
    "PixelDiscriminator",
    "ResnetGenerator",
    "UNetGenerator",
]
