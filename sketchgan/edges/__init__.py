"""Photos to sketch-like edge maps, and drawings to distance fields (SketchyGAN, Chen and Hays, CVPR 2018)."""

from sketchgan.edges.backend import Backend
from sketchgan.edges.components import remove_small
from sketchgan.edges.detectors import Detector, canny, detector, sobel
from sketchgan.edges.distance import (
    distance_field,
    distance_transform,
    drawn_lines,
    network_input,
    relative_distance,
    sketch_to_distance,
)
from sketchgan.edges.morphology import clean, shrink, spur, thin, zhang, zhang_textbook
from sketchgan.edges.pipeline import EdgeMaps, EdgePipeline
from sketchgan.edges.suppression import orientation, smooth, suppress

__all__ = [
    "Backend",
    "Detector",
    "EdgeMaps",
    "EdgePipeline",
    "canny",
    "clean",
    "detector",
    "distance_field",
    "distance_transform",
    "drawn_lines",
    "network_input",
    "orientation",
    "relative_distance",
    "remove_small",
    "shrink",
    "sketch_to_distance",
    "smooth",
    "sobel",
    "spur",
    "suppress",
    "thin",
    "zhang",
    "zhang_textbook",
]
