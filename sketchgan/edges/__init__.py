"""Photos to sketch-like edge maps, and drawings to distance fields (SketchyGAN, Chen and Hays, CVPR 2018)."""

from sketchgan.edges.backend import Backend
from sketchgan.edges.distance import (
    distance_field,
    distance_transform,
    drawn_lines,
    network_input,
    relative_distance,
    sketch_to_distance,
)

__all__ = [
    "Backend",
    "distance_field",
    "distance_transform",
    "drawn_lines",
    "network_input",
    "relative_distance",
    "sketch_to_distance",
]
