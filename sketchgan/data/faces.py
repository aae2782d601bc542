"""Portraits as photo2cartoon (Minivision, 2020) wants them: upright, cropped to head and shoulders, on white.

Pictures are uint8 ``(C, H, W)``, RGB; landmarks are the usual 68 points ``(68, 2)``, x and y in pixels.
"""

import math
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from sketchgan.ops import resize_area

WHITE = 255.0


class Box(NamedTuple):
    """A rectangle of pixels; it may leave the picture."""

    top: int
    left: int
    height: int
    width: int


def align_face(picture: Tensor, landmarks: Tensor, outside: tuple[float, ...] = (WHITE, WHITE, WHITE)) -> Tensor:
    """Turn a picture until the eyes are level, and crop head and shoulders to a square.

    Only the square is computed. The result is that of the official code with OpenCV 4; OpenCV 5 differs by up to 4
    levels.

    Args:
        picture: uint8 ``(C, H, W)``.
        landmarks: ``(68, 2)``.
        outside: values beyond the picture's edges, one per channel.

    Returns:
        uint8 ``(C, S, S)``.

    Raises:
        ValueError: if the landmarks cannot be those of a face in this picture.
    """
    landmarks = checked_landmarks(landmarks, picture)
    matrix, canvas = rotation(landmarks, *picture.shape[-2:])
    box = crop_box(moved(landmarks, matrix))
    # What the official code cuts off at the edges of the turned picture stays cut off.
    top, left = max(box.top, 0), max(box.left, 0)
    bottom, right = min(box.top + box.height, canvas.height), min(box.left + box.width, canvas.width)
    result = torch.tensor(outside).to(torch.uint8).view(-1, 1, 1).repeat(1, box.height, box.width)
    if top < bottom and left < right:
        inside = warp(picture, matrix, Box(top, left, bottom - top, right - left), outside)
        result[:, top - box.top : bottom - box.top, left - box.left : right - box.left] = inside
    return result


def checked_landmarks(landmarks: Tensor, picture: Tensor) -> Tensor:
    """Landmarks in float64.

    Raises:
        ValueError: if they are not 68 points, or cannot be those of a face in the picture.
    """
    if landmarks.shape != (68, 2):
        raise ValueError(f"landmarks are 68 points (x, y), got the shape {tuple(landmarks.shape)}")
    points = landmarks.to("cpu", torch.float64)
    if not points.isfinite().all():
        raise ValueError("landmarks hold NaN or infinite values")
    height, width = picture.shape[-2:]
    size = torch.tensor([width, height])
    if (points < -size).any() or (points > 2 * size).any():
        raise ValueError(f"landmarks lie far outside the picture of {width}x{height} pixels (x comes first)")
    span = (points.amax(0) - points.amin(0)).max().item()
    if span < 8:
        raise ValueError(f"landmarks span {span:.3g} pixels; they must be in pixels of the picture")
    return points


def rotation(landmarks: Tensor, height: int, width: int) -> tuple[Tensor, Box]:
    """The turn that brings the outer eye corners to one height.

    Args:
        landmarks: ``(68, 2)``.
        height: of the picture.
        width: of the picture.

    Returns:
        A float64 matrix ``(2, 3)`` from the picture's pixels to the turned picture's, and the turned picture's box.
    """
    dx, dy = (landmarks[45] - landmarks[36]).tolist()
    angle = math.atan2(dy, dx) if dx >= 0 else math.atan2(-dy, -dx)  # the arc tangent of dy / dx
    sin, cos = math.sin(angle), math.cos(angle)
    new_width = int(width * abs(cos) + height * abs(sin))
    new_height = int(width * abs(sin) + height * abs(cos))
    x, y = width / 2, height / 2
    matrix = [
        [cos, sin, (1 - cos) * x - sin * y + (new_width // 2 - width // 2)],
        [-sin, cos, sin * x + (1 - cos) * y + (new_height // 2 - height // 2)],
    ]
    return torch.tensor(matrix, dtype=torch.float64), Box(0, 0, new_height, new_width)


def moved(points: Tensor, matrix: Tensor) -> Tensor:
    """Points ``(N, 2)`` through an affine matrix ``(2, 3)``, in float64."""
    return points.double() @ matrix[:, :2].T + matrix[:, 2]


def crop_box(landmarks: Tensor) -> Box:
    """The official square around the landmarks of an upright face: room for hair above, for shoulders below."""
    (left, top), (right, bottom) = landmarks.amin(0).tolist(), landmarks.amax(0).tolist()
    height, width = bottom - top, right - left
    top, bottom = int(top - 0.8 * height), int(bottom + 0.3 * height)
    left, right = int(left - 0.3 * width), int(right + 0.3 * width)
    height, width = bottom - top, right - left
    if height > width:
        left -= (height - width) // 2
    else:
        top -= (width - height) // 2
    side = max(height, width) + 1  # both ends belong to it
    return Box(top, left, side, side)


def warp(picture: Tensor, matrix: Tensor, box: Box, outside: tuple[float, ...]) -> Tensor:
    """A box of the picture after an affine map, interpolated bilinearly between 32nds of a pixel as by OpenCV 4.

    Args:
        picture: uint8 ``(C, H, W)``.
        matrix: ``(2, 3)``, from the picture's pixels to the result's.
        box: which part of the result to compute.
        outside: values beyond the picture's edges, one per channel.
    """
    height, width = picture.shape[-2:]
    inverse = torch.linalg.inv(matrix[:, :2])
    start = -inverse @ matrix[:, 2]
    columns = torch.arange(box.left, box.left + box.width, dtype=torch.float64)
    rows = torch.arange(box.top, box.top + box.height, dtype=torch.float64).view(-1, 1)
    places, shares = [], []
    for axis, length in ((0, width), (1, height)):
        along = (inverse[axis, 0] * columns * 1024).round()
        across = ((inverse[axis, 1] * rows + start[axis]) * 1024).round()
        place = (((along + across + 16) / 32).floor() / 32).clamp_(-1, length)
        places.append(place.floor().long() + 1)  # in the framed picture
        shares.append((place - place.floor()).float())
    framed = torch.tensor(outside).view(-1, 1, 1).repeat(1, height + 3, width + 3)
    framed[:, 1 : height + 1, 1 : width + 1] = picture
    (x, y), (right, below) = places, shares
    upper = framed[:, y, x] * (1 - right) + framed[:, y, x + 1] * right
    lower = framed[:, y + 1, x] * (1 - right) + framed[:, y + 1, x + 1] * right
    return (upper * (1 - below) + lower * below + 0.5).to(torch.uint8)


def on_white(rgba: Tensor) -> Tensor:
    """Put uint8 ``(4, H, W)`` on white, cut off to 8 bits as in the official code; returns ``(3, H, W)``."""
    mask = rgba[3:].double() / 255
    return (rgba[:3].double() * mask + WHITE * (1 - mask)).to(torch.uint8)


def mask_of(probability: Tensor, height: int, width: int) -> Tensor:
    """A segmentation network's map ``(h, w)`` in [0, 1] as a uint8 mask ``(1, height, width)``."""
    resized = F.interpolate(probability[None, None].float(), (height, width), mode="bilinear")
    return (resized[0] * 255).to(torch.uint8)


def portrait_input(rgba: Tensor, size: int = 256) -> tuple[Tensor, Tensor]:
    """A portrait with its mask as a network's input, as the official test script prepares it.

    Args:
        rgba: uint8 ``(4, H, W)``, such as ``sketchgan faces --rgba`` writes.
        size: side of the result.

    Returns:
        The portrait on white, float ``(1, 3, size, size)`` in [-1, 1], and the mask ``(1, size, size)`` in [0, 1] for
        `portrait_output`.
    """
    resized = resize_area(rgba, size, size).double()
    mask = resized[3:] / 255
    portrait = (resized[:3] * mask + WHITE * (1 - mask)) / 127.5 - 1
    return portrait.float().unsqueeze(0), mask


def portrait_output(made: Tensor, mask: Tensor) -> Tensor:
    """A network's output as a picture on white, cut off to 8 bits as in the official test script.

    Args:
        made: float ``(1, 3, H, W)`` or ``(3, H, W)`` in [-1, 1].
        mask: of `portrait_input`.

    Returns:
        uint8 ``(3, H, W)``.
    """
    levels = (made.detach().cpu().float().reshape(made.shape[-3:]) + 1) * 127.5
    return (levels * mask + WHITE * (1 - mask)).clamp_(0, 255).to(torch.uint8)
