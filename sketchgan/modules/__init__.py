"""One file per paper, and what they share."""

from sketchgan.modules.anime2sketch import Anime2Sketch
from sketchgan.modules.aoda import AODA
from sketchgan.modules.base import GANModule
from sketchgan.modules.cyclegan import CycleGAN
from sketchgan.modules.loading import load
from sketchgan.modules.paintschainer import PaintsChainer
from sketchgan.modules.paintschainer_refiner import PaintsChainerRefiner
from sketchgan.modules.photo2cartoon import Photo2Cartoon
from sketchgan.modules.pix2pix import Pix2Pix
from sketchgan.modules.sketchygan import SketchyGAN
from sketchgan.modules.style2paints import Style2Paints
from sketchgan.modules.ugatit import UGATIT

__all__ = [
    "AODA",
    "UGATIT",
    "Anime2Sketch",
    "CycleGAN",
    "GANModule",
    "PaintsChainer",
    "PaintsChainerRefiner",
    "Photo2Cartoon",
    "Pix2Pix",
    "SketchyGAN",
    "Style2Paints",
    "load",
]
