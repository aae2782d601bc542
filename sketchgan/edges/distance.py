"""Distance fields: for each pixel how far the nearest line is, as SketchyGAN's networks see a drawing."""

import warnings

import torch
from torch import Tensor

from sketchgan.edges.backend import Backend, on_scipy
from sketchgan.ops import resize_area, resize_legacy

THRESHOLD = 245  # of 255; a pixel of 1-pixel lines that was drawn at four times the size has at most 239


def sketch_to_distance(
    drawing: Tensor,
    size: int | tuple[int, int] | None = None,
    threshold: int = THRESHOLD,
    backend: Backend = "auto",
) -> Tensor:
    """A drawing, dark on white, as the 8-bit distance field that SketchyGAN trains with.

    The mean of the channels is cut off to 8 bits, resized, split at the threshold and handed to `distance_field`.

    Args:
        drawing: uint8 ``(H, W)`` or ``(C, H, W)``.
        size: side of the result, or its height and width; by default that of the drawing. Area interpolation; the
            aspect ratio is not kept.
        threshold: pixels below it are lines.
        backend: see `distance_transform`.

    Returns:
        uint8 ``(H, W)``: 0 on a line, 255 where a line is farthest.

    Raises:
        TypeError: unless the drawing is uint8.
        ValueError: unless it has two or three dimensions, or for a size below one.

    Examples:
        >>> drawing = torch.full((3, 1, 6), 255, dtype=torch.uint8)
        >>> drawing[:, 0, 1] = 0
        >>> sketch_to_distance(drawing).tolist()
        [[63, 0, 63, 127, 191, 255]]
    """
    return distance_field(drawn_lines(drawing, size, threshold).unsqueeze(0), backend)[0]


def drawn_lines(drawing: Tensor, size: int | tuple[int, int] | None = None, threshold: int = THRESHOLD) -> Tensor:
    """The lines of a drawing, bool ``(H, W)``; arguments as in `sketch_to_distance`.

    Examples:
        >>> drawn_lines(torch.tensor([[244, 245, 255]], dtype=torch.uint8)).tolist()
        [[True, False, False]]
    """
    if drawing.dtype != torch.uint8:
        raise TypeError(f"a drawing is uint8, 0 to 255, got {drawing.dtype}")
    if drawing.ndim not in (2, 3):
        raise ValueError(f"a drawing is (H, W) or (C, H, W), got {tuple(drawing.shape)}")
    grey = drawing.double().mean(0).to(torch.uint8) if drawing.ndim == 3 else drawing
    height, width = grey.shape if size is None else (size, size) if isinstance(size, int) else size
    if min(height, width) < 1:
        raise ValueError(f"size must be positive, got {size}")
    if grey.shape != (height, width):
        grey = resize_area(grey.cpu().unsqueeze(0), height, width)[0].to(grey.device)
    return grey < threshold


def distance_field(lines: Tensor, backend: Backend = "auto") -> Tensor:
    """Distances to the nearest line as bytes, of each picture's largest distance.

    Args:
        lines: bool ``(N, H, W)``, true on a line.
        backend: see `distance_transform`.

    Returns:
        uint8 ``(N, H, W)``, cut off: 0 on a line, 255 where a line is farthest. A picture without lines is 255
        everywhere, with a warning; one of nothing but lines is 0.

    Examples:
        >>> distance_field(torch.tensor([[[True, False, False, False]]])).tolist()
        [[[0, 85, 170, 255]]]
    """
    return relative_distance(lines, backend).mul_(255).to(torch.uint8)


def relative_distance(lines: Tensor, backend: Backend = "auto") -> Tensor:
    """`distance_field` before it is rounded: float64 ``(N, H, W)`` in [0, 1]."""
    distance = distance_transform(lines, backend)
    largest = distance.amax((1, 2), keepdim=True)
    blank = largest.isinf()
    if blank.any():
        numbers = blank.flatten().nonzero().flatten().tolist()
        warnings.warn(
            f"{len(numbers)} of {len(lines)} drawings have no line, so their distance field is 255 everywhere: "
            f"numbers {', '.join(map(str, numbers[:10]))} of the batch, counted from 0",
            stacklevel=2,
        )
        distance[blank.flatten()] = 1
        largest = largest.masked_fill(blank, 1)
    return distance.div_(largest.clamp(min=1))  # a full drawing has no distance but 0


def network_input(field: Tensor, size: int | tuple[int, int] | None = None) -> Tensor:
    """Distance fields as networks take them.

    Args:
        field: uint8 ``(..., H, W)``, or float in [0, 1] of `relative_distance` (SketchyGAN's official code, told to
            compute distances while loading, does that, with a threshold of 250).
        size: side of the result, or its height and width; by default that of the fields. Resized as in TensorFlow 1
            (see `sketchgan.ops.resize_legacy`): from 256 to 64 every fourth pixel is taken.

    Returns:
        float32 ``(..., H, W)`` in [-1, 1]: -1 on a line, 1 where a line is farthest.

    Examples:
        >>> network_input(torch.tensor([[0, 51, 255]], dtype=torch.uint8))
        tensor([[-1.0000, -0.6000,  1.0000]])
    """
    levels = field.float() if field.dtype == torch.uint8 else (field * 255).float()
    height, width = levels.shape[-2:] if size is None else (size, size) if isinstance(size, int) else size
    return resize_legacy(levels, (height, width)) / 255 * 2 - 1


def distance_transform(lines: Tensor, backend: Backend = "auto") -> Tensor:
    """Exact Euclidean distance of each pixel to the nearest line.

    Args:
        lines: bool ``(N, H, W)``, true on a line.
        backend: "scipy", "torch", or "auto": SciPy on a CPU, which is faster there. They agree in every bit.

    Returns:
        float64 ``(N, H, W)`` in pixels: 0 on a line, infinite in a picture without one.

    Raises:
        ValueError: for an unknown backend.
    """
    distance = _by_scipy(lines) if on_scipy(lines, backend) else _root(_squared(lines))
    distance[~lines.flatten(1).any(1)] = torch.inf
    return distance


def _by_scipy(lines: Tensor) -> Tensor:
    """One picture after the other; of no meaning where there is no line."""
    import numpy as np
    from scipy.ndimage import distance_transform_edt

    pictures = (~lines).cpu().numpy()
    distances = np.empty(pictures.shape)
    for picture, distance in zip(pictures, distances, strict=True):
        distance_transform_edt(picture, distances=distance)
    return torch.from_numpy(distances).to(lines.device)


def _squared(lines: Tensor) -> Tensor:
    """Squared distances, int32 ``(N, H, W)``: along each column first, then the best of each row."""
    height, width = lines.shape[1:]
    far = height + width  # further than any line
    y = torch.arange(height, dtype=torch.int32, device=lines.device).view(-1, 1)
    above = y - torch.where(lines, y, -far).cummax(1).values
    below = torch.where(lines, y, height + far).flip(1).cummin(1).values.flip(1) - y
    columns = torch.minimum(above, below).clamp_(max=far).square_()
    best = columns.clone()
    for step in range(1, width):
        if step % 8 == 1 and step**2 >= best.max():  # lines so far to the side are nearest to no pixel
            break
        torch.minimum(best[..., step:], columns[..., :-step] + step**2, out=best[..., step:])
        torch.minimum(best[..., :-step], columns[..., step:] + step**2, out=best[..., :-step])
    return best


def _root(squared: Tensor) -> Tensor:
    """Correctly rounded square roots, float64.

    Not float32: distances are multiplied and cut off to bytes, and some would fall on the other side. And not torch on
    a CPU, whose roots may be off by one in the last place.
    """
    if squared.device.type != "cpu":
        return squared.double().sqrt_()
    import numpy as np

    return torch.from_numpy(np.sqrt(squared.numpy(), dtype=np.float64))
