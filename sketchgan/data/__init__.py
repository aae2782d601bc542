"""Data sets as Lightning data modules, all with one batch contract (see `TranslationData`)."""

from sketchgan.data.base import TranslationData
from sketchgan.data.loader import KeyedSampler, ResumableLoader
from sketchgan.data.openmoji import OpenMoji
from sketchgan.data.transforms import Augmentation

__all__ = ["Augmentation", "KeyedSampler", "OpenMoji", "ResumableLoader", "TranslationData"]
