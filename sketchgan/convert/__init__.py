"""Weights of official code to ours and back: one file per official code base."""

from sketchgan.convert.files import convert, from_official, to_official

__all__ = ["convert", "from_official", "to_official"]
