"""Building blocks: small layers that depend on nothing but torch."""

from sketchgan.blocks.adalin import ILN, AdaLIN, SoftAdaLIN, layer_instance_norm
from sketchgan.blocks.cam import CAM
from sketchgan.blocks.hourglass import Hourglass, HourglassBlock, HourglassModule
from sketchgan.blocks.norm import Norm, norm_layer
from sketchgan.blocks.padding import Padding, ReflectionPad2d, pad_layer
from sketchgan.blocks.resample import BlurDownsample, BlurUpsample, Upsampling, upsampling_conv
from sketchgan.blocks.residual import AdaptiveResidualBlock, ResidualBlock
from sketchgan.blocks.spectral_norm import SpectralNormConv2d, SpectralNormLinear

__all__ = [
    "CAM",
    "ILN",
    "AdaLIN",
    "AdaptiveResidualBlock",
    "BlurDownsample",
    "BlurUpsample",
    "Hourglass",
    "HourglassBlock",
    "HourglassModule",
    "Norm",
    "Padding",
    "ReflectionPad2d",
    "ResidualBlock",
    "SoftAdaLIN",
    "SpectralNormConv2d",
    "SpectralNormLinear",
    "Upsampling",
    "layer_instance_norm",
    "norm_layer",
    "pad_layer",
    "upsampling_conv",
]
