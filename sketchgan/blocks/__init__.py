"""Building blocks: small layers that depend on nothing but torch."""

from sketchgan.blocks.norm import Norm, norm_layer
from sketchgan.blocks.padding import Padding, ReflectionPad2d, pad_layer
from sketchgan.blocks.resample import BlurDownsample, BlurUpsample, Upsampling, upsampling_conv
from sketchgan.blocks.residual import ResidualBlock

__all__ = [
    "BlurDownsample",
    "BlurUpsample",
    "Norm",
    "Padding",
    "ReflectionPad2d",
    "ResidualBlock",
    "Upsampling",
    "norm_layer",
    "pad_layer",
    "upsampling_conv",
]
