"""Colours as the code of published models writes them."""

import torch
from torch import Tensor

U_SCALE, V_SCALE = 0.492, 0.877


def rgb_to_yuv(images: Tensor) -> Tensor:
    """RGB pictures as the YUV of OpenCV and PaintsChainer, before it is rounded and clipped to 8 bits.

    ``Y = 0.299 R + 0.587 G + 0.114 B``, ``U = 0.492 (B - Y) + 128``, ``V = 0.877 (R - Y) + 128``, in levels of 8 bits.
    OpenCV rounds Y before it makes U and V of it, so that those two may differ by one level once they are rounded.

    Args:
        images: RGB, floating point ``(N, 3, H, W)`` in [-1, 1].

    Returns:
        ``(N, 3, H, W)``: Y in [0, 255]; U in about [16, 240] and V in about [-29, 285], 128 for greys.

    Raises:
        ValueError: for pictures of other than three channels.

    Examples:
        >>> white, red = torch.tensor([1.0, 1.0, 1.0]), torch.tensor([1.0, -1.0, -1.0])
        >>> rgb_to_yuv(torch.stack([white, red]).view(2, 3, 1, 1)).flatten(1).round().tolist()
        [[255.0, 128.0, 128.0], [76.0, 90.0, 285.0]]
    """
    red, green, blue = _three_channels(images, "RGB").add(1).mul(127.5).unbind(1)
    y = 0.299 * red + 0.587 * green + 0.114 * blue
    return torch.stack([y, U_SCALE * (blue - y) + 128, V_SCALE * (red - y) + 128], dim=1)


def yuv_to_rgb(images: Tensor) -> Tensor:
    """The inverse of `rgb_to_yuv`; what no screen can show comes out below -1 or above 1.

    Args:
        images: YUV, floating point ``(N, 3, H, W)``, as `rgb_to_yuv` gives it.

    Returns:
        RGB ``(N, 3, H, W)``, in [-1, 1] for colours that there are.

    Raises:
        ValueError: for pictures of other than three channels.

    Examples:
        >>> grey = torch.tensor([127.5, 128.0, 128.0]).view(1, 3, 1, 1)
        >>> yuv_to_rgb(grey).abs().max().item() < 1e-6
        True
    """
    y, u, v = _three_channels(images, "YUV").unbind(1)
    red = y + (v - 128) / V_SCALE
    blue = y + (u - 128) / U_SCALE
    green = (y - 0.299 * red - 0.114 * blue) / 0.587
    return torch.stack([red, green, blue], dim=1) / 127.5 - 1


def grey(images: Tensor) -> Tensor:
    """Pictures in grey, ``0.30 R + 0.59 G + 0.11 B``, in the range that they are in.

    Args:
        images: RGB ``(N, 3, H, W)``, or already grey ``(N, 1, H, W)``, floating point.

    Returns:
        ``(N, 1, H, W)``; grey pictures as they are.

    Raises:
        ValueError: for pictures of two, four or more channels.

    Examples:
        >>> grey(torch.tensor([1.0, 1.0, 0.0]).view(1, 3, 1, 1)).item()
        0.8899999856948853
    """
    if images.shape[1] == 1:
        return images
    if images.shape[1] != 3:
        raise ValueError(f"pictures must have 1 or 3 channels, got {images.shape[1]}: {tuple(images.shape)}")
    return (images * images.new_tensor([0.30, 0.59, 0.11]).view(1, 3, 1, 1)).sum(dim=1, keepdim=True)


def _three_channels(images: Tensor, space: str) -> Tensor:
    if images.shape[1] != 3:
        raise ValueError(f"{space} pictures must be (N, 3, H, W), got {tuple(images.shape)}; repeat a grey channel")
    return images
