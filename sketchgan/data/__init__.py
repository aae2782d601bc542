"""Data sets as Lightning data modules, all with one batch contract (see `TranslationData`)."""

from sketchgan.data.base import TranslationData
from sketchgan.data.edge_maps import EdgeReport, make_edge_maps
from sketchgan.data.edge_shards import read_edge_manifests
from sketchgan.data.face_files import prepare_faces, read_landmarks
from sketchgan.data.face_networks import face_landmarks, person_masks
from sketchgan.data.faces import align_face, portrait_input, portrait_output
from sketchgan.data.files import PictureFiles
from sketchgan.data.folders import PairedFolders, UnpairedFolders
from sketchgan.data.loader import KeyedSampler, ResumableLoader, ShareSampler
from sketchgan.data.openmoji import OpenMoji
from sketchgan.data.pairs import combine_pairs
from sketchgan.data.pictures import PictureError, read_picture
from sketchgan.data.transforms import Augmentation, Preprocess

__all__ = [
    "Augmentation",
    "EdgeReport",
    "KeyedSampler",
    "OpenMoji",
    "PairedFolders",
    "PictureError",
    "PictureFiles",
    "Preprocess",
    "ResumableLoader",
    "ShareSampler",
    "TranslationData",
    "UnpairedFolders",
    "align_face",
    "combine_pairs",
    "face_landmarks",
    "make_edge_maps",
    "person_masks",
    "portrait_input",
    "portrait_output",
    "prepare_faces",
    "read_edge_manifests",
    "read_landmarks",
    "read_picture",
]
