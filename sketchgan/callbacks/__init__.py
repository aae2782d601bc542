"""Lightning callbacks; they talk to modules through what `GANModule` promises, and work with any `Trainer`."""

from sketchgan.callbacks.collapse_alarm import CollapseAlarm
from sketchgan.callbacks.graceful_stop import GracefulStop
from sketchgan.callbacks.hint_alarm import HintAlarm
from sketchgan.callbacks.image_metrics import ImageMetrics
from sketchgan.callbacks.prediction_writer import PredictionWriter
from sketchgan.callbacks.sample_grid import SampleGrid
from sketchgan.callbacks.speed import Speed
from sketchgan.callbacks.style_matrix import StyleMatrix, draw_style_matrix, paint_matrix

__all__ = [
    "CollapseAlarm",
    "GracefulStop",
    "HintAlarm",
    "ImageMetrics",
    "PredictionWriter",
    "SampleGrid",
    "Speed",
    "StyleMatrix",
    "draw_style_matrix",
    "paint_matrix",
]
