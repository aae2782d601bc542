"""Weights of official code to ours and back: one file per official code base."""

from sketchgan.convert.files import convert, from_official, from_tensorflow, to_official
from sketchgan.convert.tensorflow import read_tensorflow

__all__ = ["convert", "from_official", "from_tensorflow", "read_tensorflow", "to_official"]
