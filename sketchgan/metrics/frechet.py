"""FID of sets that are small beside the width of their features."""

import math

import torch
from torch import Tensor


def frechet_distance(made: Tensor, real: Tensor) -> Tensor:
    """FID from features (Heusel et al., 2017, arXiv 1706.08500), in a time that few pictures keep short.

    The covariances, which are as large as the features are wide, are not built: with centred features X and Y, the
    trace of their product's root is the sum of the singular values of X·Yᵀ / √((N - 1)(M - 1)).

    A covariance of few pictures lacks most directions, so the value is far above 0 even for two sets of the same kind:
    compare it with values of equally many pictures only.

    Args:
        made: features ``(N, D)`` of made pictures.
        real: features ``(M, D)`` of real ones.

    Returns:
        The squared distance, a scalar in float64 and on the CPU.

    Raises:
        ValueError: for fewer than two pictures of a set, which have no covariance.

    Examples:
        >>> features = torch.arange(6.0)[:, None] * torch.tensor([1.0, -2.0])
        >>> round(frechet_distance(features + 1, features).item(), 3)
        2.0
    """
    if min(len(made), len(real)) < 2:
        raise ValueError(f"FID needs two pictures of each set at least, got {len(made)} made and {len(real)} real ones")
    means, roots = [], []
    for features in (made.cpu().double(), real.cpu().double()):
        means.append(features.mean(0))
        roots.append(_reduced(features - means[-1]) / math.sqrt(len(features) - 1))
    spread = sum(root.square().sum() for root in roots) - 2 * torch.linalg.svdvals(roots[0] @ roots[1].T).sum()
    return (means[0] - means[1]).square().sum() + spread


def _reduced(features: Tensor) -> Tensor:
    """As many rows as columns at most, with the same covariance."""
    return torch.linalg.qr(features, mode="r").R if len(features) > features.shape[1] else features
