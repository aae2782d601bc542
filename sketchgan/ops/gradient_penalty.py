"""Gradient penalties: WGAN-GP (Gulrajani et al., NeurIPS 2017, arXiv 1704.00028, equation 3) and DRAGAN."""

from collections.abc import Callable
from typing import Literal

import torch
from torch import Tensor


def input_gradients(discriminator: Callable[[Tensor], Tensor], x: Tensor) -> Tensor:
    """Gradient of the sum of all scores with respect to the input, one row per sample, itself differentiable.

    Runs in float32 (or the input's float64) under autocast: input gradients are often too small for half precision.

    Shapes: ``(N, C, H, W)`` → ``(N, C * H * W)``.
    """
    with torch.autocast(x.device.type, enabled=False):
        x = x.detach().to(torch.promote_types(x.dtype, torch.float32)).requires_grad_(True)
        score = discriminator(x)
        (gradients,) = torch.autograd.grad(score.sum(), x, create_graph=True)
    return gradients.flatten(1)


def gradient_penalty(
    discriminator: Callable[[Tensor], Tensor],
    real: Tensor,
    fake: Tensor,
    at: Literal["mixed", "real", "fake"] = "mixed",
    constant: float = 1.0,
    alpha: Tensor | None = None,
) -> Tensor:
    """Mean squared distance of the gradient's norm from ``constant``, per sample and not yet weighted.

    As in the official pix2pix code the gradient is that of the sum over all patches. Not for discriminators with batch
    norm, which mixes the samples.

    Args:
        discriminator: maps ``(N, C, H, W)`` to scores of any shape.
        real: real images ``(N, C, H, W)``.
        fake: generated images of the same shape.
        at: where to measure: on random points between real and fake, or on one of them.
        constant: the norm to aim at.
        alpha: the share of the real image per sample, ``(N, 1)`` in [0, 1); drawn here if not given.

    Returns:
        A scalar.

    Raises:
        ValueError: if ``at`` is none of the three names.

    Examples:
        Twice the mean of four values has the gradient (0.5, 0.5, 0.5, 0.5), whose norm is 1.

        >>> real, fake = torch.ones(3, 1, 2, 2), torch.zeros(3, 1, 2, 2)
        >>> gradient_penalty(lambda x: 2 * x.mean((1, 2, 3)), real, fake)
        tensor(0.)
    """
    if at == "mixed":
        if alpha is None:
            alpha = torch.rand(len(real), 1, device=real.device)
        share = alpha.reshape(-1, *[1] * (real.dim() - 1)).to(real)
        x = share * real + (1 - share) * fake
    elif at in ("real", "fake"):
        x = real if at == "real" else fake
    else:
        raise ValueError(f'at must be "mixed", "real" or "fake", got {at!r}')
    norms = (input_gradients(discriminator, x) + 1e-16).norm(2, dim=1)
    return (norms - constant).square().mean()


def dragan_penalty(
    discriminator: Callable[[Tensor], Tensor],
    real: Tensor,
    alpha: Tensor | None = None,
    uniform: Tensor | None = None,
) -> Tensor:
    """How much the gradient's norm exceeds 1 near real images, squared: DRAGAN (Kodali et al., 2017, arXiv 1705.07215).

    As in SketchyGAN's code: the neighbours are brighter by up to half a standard deviation of the whole batch, never
    darker, and the gradient is that of the sum over all patches.

    Args:
        discriminator: maps ``(N, C, H, W)`` to scores of any shape.
        real: real images ``(N, C, H, W)``.
        alpha: the share of the neighbour per sample, ``(N, 1)`` in [0, 1); drawn here if not given.
        uniform: how far each value of the neighbour is away, of ``real``'s shape in [0, 1); drawn here if not given.

    Returns:
        A scalar, not yet weighted.
    """
    if alpha is None:
        alpha = torch.rand(len(real), 1, device=real.device)
    if uniform is None:
        uniform = torch.rand_like(real)
    share = alpha.reshape(-1, *[1] * (real.dim() - 1)).to(real)
    x = real + share * 0.5 * real.std(correction=0) * uniform
    return (input_gradients(discriminator, x).norm(2, dim=1) - 1).clamp_min(0).square().mean()
