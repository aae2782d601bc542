"""Weights of official code to ours and back: one file per official code base."""

from sketchgan.convert.files import convert, from_official, to_official
from sketchgan.convert.tensorflow import read_tensorflow
from sketchgan.convert.ugatit_tensorflow import from_tensorflow

__all__ = ["convert", "from_official", "from_tensorflow", "read_tensorflow", "to_official"]
