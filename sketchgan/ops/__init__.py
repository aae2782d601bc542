"""Operations of training that are neither layers nor losses; torch only."""

from sketchgan.ops.adam import TensorFlowAdam
from sketchgan.ops.clamp import clamp_parameters
from sketchgan.ops.colour import grey, rgb_to_yuv, yuv_to_rgb
from sketchgan.ops.colour_hints import hint_channels, simulate_hints
from sketchgan.ops.distributed import average_batch_norm
from sketchgan.ops.freeze import frozen
from sketchgan.ops.gradient_penalty import dragan_penalty, gradient_penalty, input_gradients
from sketchgan.ops.heatmap import heatmap_picture
from sketchgan.ops.image_pool import Dice, ImagePool
from sketchgan.ops.inference import inference_policy, seeds_of, use_statistics
from sketchgan.ops.init import Init, init_weights
from sketchgan.ops.line_art import blur_lines
from sketchgan.ops.lr import (
    LRPolicy,
    cosine_decay,
    floored_decay_by_iteration,
    floored_lr_by_iteration,
    halving,
    linear_decay,
    lr_by_iteration,
    lr_scheduler,
    step_decay,
)
from sketchgan.ops.padding import pad_to_multiple
from sketchgan.ops.resize import resize_area, resize_legacy
from sketchgan.ops.rng import get_rng_state, set_rng_state
from sketchgan.ops.spectral import advance_spectral_norm
from sketchgan.ops.together import together

__all__ = [
    "Dice",
    "ImagePool",
    "Init",
    "LRPolicy",
    "TensorFlowAdam",
    "advance_spectral_norm",
    "average_batch_norm",
    "blur_lines",
    "clamp_parameters",
    "cosine_decay",
    "dragan_penalty",
    "floored_decay_by_iteration",
    "floored_lr_by_iteration",
    "frozen",
    "get_rng_state",
    "gradient_penalty",
    "grey",
    "halving",
    "heatmap_picture",
    "hint_channels",
    "inference_policy",
    "init_weights",
    "input_gradients",
    "linear_decay",
    "lr_by_iteration",
    "lr_scheduler",
    "pad_to_multiple",
    "resize_area",
    "resize_legacy",
    "rgb_to_yuv",
    "seeds_of",
    "set_rng_state",
    "simulate_hints",
    "step_decay",
    "together",
    "use_statistics",
    "yuv_to_rgb",
]
