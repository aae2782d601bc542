"""Whole networks: generators and discriminators, plain ``nn.Module``s for any training loop."""

from sketchgan.networks.aoda import AODAGenerator
from sketchgan.networks.frozen_network import FrozenNetwork
from sketchgan.networks.hed import HED, pretrained_hed
from sketchgan.networks.hrnet import HRNetClassifier
from sketchgan.networks.inception_v4 import InceptionV4Stem, inception_v4_from_tf, inception_v4_stem
from sketchgan.networks.mobilefacenet import MobileFaceNet
from sketchgan.networks.openmoji_classifier import OpenMojiClassifier, openmoji_classifier
from sketchgan.networks.paintschainer import PaintsChainerDiscriminator, PaintsChainerUNet
from sketchgan.networks.patch import PatchDiscriminator, PixelDiscriminator
from sketchgan.networks.photo2cartoon import Photo2CartoonGenerator
from sketchgan.networks.resnet import ResnetGenerator
from sketchgan.networks.sketchkeras import SketchKerasUNet, pretrained_sketchkeras
from sketchgan.networks.sketchygan import (
    ClassJudged,
    SketchyGANDiscriminator,
    SketchyGANGenerator,
    decay_groups,
)
from sketchgan.networks.style2paints import Painted, Style2PaintsDiscriminator, Style2PaintsGenerator
from sketchgan.networks.style_encoders import (
    ModuleStyle,
    OpenMojiStyle,
    PaletteStyle,
    StyleEncoder,
    VGGStyle,
    palette,
    style_encoder,
)
from sketchgan.networks.ugatit import Attended, Judged, UGATITDiscriminator, UGATITGenerator
from sketchgan.networks.unet import EncoderDecoderGenerator, UNetGenerator
from sketchgan.networks.vgg import FrozenVGG

__all__ = [
    "HED",
    "AODAGenerator",
    "Attended",
    "ClassJudged",
    "EncoderDecoderGenerator",
    "FrozenNetwork",
    "FrozenVGG",
    "HRNetClassifier",
    "InceptionV4Stem",
    "Judged",
    "MobileFaceNet",
    "ModuleStyle",
    "OpenMojiClassifier",
    "OpenMojiStyle",
    "Painted",
    "PaintsChainerDiscriminator",
    "PaintsChainerUNet",
    "PaletteStyle",
    "PatchDiscriminator",
    "Photo2CartoonGenerator",
    "PixelDiscriminator",
    "ResnetGenerator",
    "SketchKerasUNet",
    "SketchyGANDiscriminator",
    "SketchyGANGenerator",
    "Style2PaintsDiscriminator",
    "Style2PaintsGenerator",
    "StyleEncoder",
    "UGATITDiscriminator",
    "UGATITGenerator",
    "UNetGenerator",
    "VGGStyle",
    "decay_groups",
    "inception_v4_from_tf",
    "inception_v4_stem",
    "openmoji_classifier",
    "palette",
    "pretrained_hed",
    "pretrained_sketchkeras",
    "style_encoder",
]
