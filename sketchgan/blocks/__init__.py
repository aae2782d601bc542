"""Building blocks: small layers that depend on nothing but torch."""

from sketchgan.blocks.activation import Activation, ScalarPReLU, SmoothReLU, activation_layer, smooth_relu
from sketchgan.blocks.adalin import ILN, AdaLIN, SoftAdaLIN, layer_instance_norm
from sketchgan.blocks.cam import CAM
from sketchgan.blocks.class_adain import ClassAdaIN
from sketchgan.blocks.conditional_norm import ConditionalBatchNorm, Statistics
from sketchgan.blocks.hourglass import Hourglass, HourglassBlock, HourglassModule
from sketchgan.blocks.mru import MRU, GatedMRU, min_max_gate
from sketchgan.blocks.norm import Norm, norm_layer
from sketchgan.blocks.padding import Padding, ReflectionPad2d, pad_layer
from sketchgan.blocks.resample import BlurDownsample, BlurUpsample, SmoothUpsample, Upsampling, upsampling_conv
from sketchgan.blocks.residual import AdaptiveResidualBlock, ResidualBlock
from sketchgan.blocks.same_conv import SameConv2d
from sketchgan.blocks.scale_block import NormActivation, Resize, ScaleBlock, double, halve, image_pyramid
from sketchgan.blocks.spectral_norm import SpectralNormConv2d, SpectralNormEmbedding, SpectralNormLinear
from sketchgan.blocks.unit import BlockKind, PlainBlock, Unit, make_block

__all__ = [
    "CAM",
    "ILN",
    "MRU",
    "Activation",
    "AdaLIN",
    "AdaptiveResidualBlock",
    "BlockKind",
    "BlurDownsample",
    "BlurUpsample",
    "ClassAdaIN",
    "ConditionalBatchNorm",
    "GatedMRU",
    "Hourglass",
    "HourglassBlock",
    "HourglassModule",
    "Norm",
    "NormActivation",
    "Padding",
    "PlainBlock",
    "ReflectionPad2d",
    "ResidualBlock",
    "Resize",
    "SameConv2d",
    "ScalarPReLU",
    "ScaleBlock",
    "SmoothReLU",
    "SmoothUpsample",
    "SoftAdaLIN",
    "SpectralNormConv2d",
    "SpectralNormEmbedding",
    "SpectralNormLinear",
    "Statistics",
    "Unit",
    "Upsampling",
    "activation_layer",
    "double",
    "halve",
    "image_pyramid",
    "layer_instance_norm",
    "make_block",
    "min_max_gate",
    "norm_layer",
    "pad_layer",
    "smooth_relu",
    "upsampling_conv",
]
