"""Data sets as Lightning data modules, all with one batch contract (see `TranslationData`)."""

from sketchgan.data.base import TranslationData
from sketchgan.data.colour_hints import draw_hints, read_hints
from sketchgan.data.curriculum import SketchCurriculum
from sketchgan.data.edge_map_folders import EdgeMapFolders
from sketchgan.data.edge_maps import EdgeReport, make_edge_maps
from sketchgan.data.edge_shards import read_edge_manifests
from sketchgan.data.face_files import prepare_faces, read_landmarks
from sketchgan.data.face_networks import face_landmarks, person_masks
from sketchgan.data.faces import align_face, portrait_input, portrait_output
from sketchgan.data.files import PictureFiles
from sketchgan.data.folders import PairedFolders, UnpairedFolders
from sketchgan.data.hint_cache import HintCache, Paintings, cache_hints
from sketchgan.data.line_art import clean_lines
from sketchgan.data.line_extraction import (
    NetworkLines,
    SketchKeras,
    XDoG,
    dilation_lines,
    high_pass_lines,
    line_extractor,
)
from sketchgan.data.line_files import LineReport, draw_lines
from sketchgan.data.loader import KeyedSampler, MixtureSampler, ResumableLoader, ShareSampler
from sketchgan.data.mixture import Mixture
from sketchgan.data.open_domain import SCRIBBLE_CLASSES, SKETCHYCOCO_CLASSES, OpenDomainFolders
from sketchgan.data.openmoji import OpenMoji
from sketchgan.data.openmoji_sketches import OpenMojiEdges, OpenMojiSketches
from sketchgan.data.paintings import PaintingFolders
from sketchgan.data.pairs import combine_pairs
from sketchgan.data.pictures import PictureError, read_picture
from sketchgan.data.sketch_input import PhotoInput, SketchInput
from sketchgan.data.sketch_sources import SketchSource
from sketchgan.data.sketchy import SKETCHYGAN_CLASSES, SketchyDatabase
from sketchgan.data.transforms import Augmentation, Preprocess

__all__ = [
    "SCRIBBLE_CLASSES",
    "SKETCHYCOCO_CLASSES",
    "SKETCHYGAN_CLASSES",
    "Augmentation",
    "EdgeMapFolders",
    "EdgeReport",
    "HintCache",
    "KeyedSampler",
    "LineReport",
    "Mixture",
    "MixtureSampler",
    "NetworkLines",
    "OpenDomainFolders",
    "OpenMoji",
    "OpenMojiEdges",
    "OpenMojiSketches",
    "PaintingFolders",
    "Paintings",
    "PairedFolders",
    "PhotoInput",
    "PictureError",
    "PictureFiles",
    "Preprocess",
    "ResumableLoader",
    "ShareSampler",
    "SketchCurriculum",
    "SketchInput",
    "SketchKeras",
    "SketchSource",
    "SketchyDatabase",
    "TranslationData",
    "UnpairedFolders",
    "XDoG",
    "align_face",
    "cache_hints",
    "clean_lines",
    "combine_pairs",
    "dilation_lines",
    "draw_hints",
    "draw_lines",
    "face_landmarks",
    "high_pass_lines",
    "line_extractor",
    "make_edge_maps",
    "person_masks",
    "portrait_input",
    "portrait_output",
    "prepare_faces",
    "read_edge_manifests",
    "read_hints",
    "read_landmarks",
    "read_picture",
]
