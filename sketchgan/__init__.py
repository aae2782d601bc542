"""Image-to-image and sketch-to-photo GANs as Lightning modules."""

from sketchgan.modules import (
    AODA,
    UGATIT,
    Anime2Sketch,
    CycleGAN,
    GANModule,
    PaintsChainer,
    PaintsChainerRefiner,
    Photo2Cartoon,
    Pix2Pix,
    SketchyGAN,
    Style2Paints,
    load,
)

__version__ = "0.1.0"
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
