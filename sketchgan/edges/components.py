"""Connected components of binary pictures."""

import torch
from torch import Tensor

from sketchgan.edges.backend import Backend, on_scipy
from sketchgan.edges.neighbourhoods import Neighbourhoods


def remove_small(lines: Tensor, least: int, backend: Backend = "auto") -> Tensor:
    """Delete components of fewer pixels than ``least``; pixels that touch at a corner are connected.

    Args:
        lines: bool ``(N, H, W)``, true on a line.
        least: size of the smallest components that stay.
        backend: "scipy", "torch", or "auto": SciPy on a CPU. They give the same.

    Raises:
        ValueError: for an unknown backend.

    Examples:
        >>> remove_small(torch.tensor([[[1, 1, 0, 1]]]).bool(), 2).int().tolist()
        [[[1, 1, 0, 0]]]
    """
    if on_scipy(lines, backend):
        return _removed_by_scipy(lines, least)
    hoods = Neighbourhoods(lines)
    labels = _labels(hoods)
    sizes = torch.bincount(labels, minlength=len(labels))
    hoods.delete(hoods.pixels[sizes[labels] < least])
    return hoods.lines()


def _labels(hoods: Neighbourhoods) -> Tensor:
    """For each pixel the number of the first one of its component, int64 ``(n,)``."""
    pixels = hoods.pixels
    own = torch.arange(len(pixels), device=pixels.device)
    number = torch.zeros_like(hoods.codes, dtype=torch.int64)
    number[pixels] = own
    codes = hoods.codes[pixels]
    pairs = []
    for k, offset in enumerate(hoods.offsets()[:4]):  # the other four see the same pairs from the other end
        at = (codes >> k & 1).bool().nonzero().view(-1)
        pairs.append(torch.stack([at, number[pixels[at] + offset]]))
    ends = torch.cat(pairs, dim=1)
    label = own
    while True:
        low, high = label[ends].aminmax(dim=0)
        if torch.equal(low, high):
            return label
        ends = ends[:, low != high]
        label = label.scatter_reduce(0, high, low, "amin")
        while not torch.equal(jumped := label[label], label):  # up to the root
            label = jumped


def _removed_by_scipy(lines: Tensor, least: int) -> Tensor:
    import numpy as np
    from scipy.ndimage import label

    around = np.zeros((3, 3, 3), dtype=bool)
    around[1] = True  # pictures of a batch do not touch
    labels, _ = label(lines.cpu().numpy(), around)
    large = np.bincount(labels.ravel(), minlength=1) >= least
    large[0] = False
    return torch.from_numpy(large[labels]).to(lines.device)
