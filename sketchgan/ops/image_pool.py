"""The history of generated images (Shrivastava et al., CVPR 2017, arXiv 1612.07828, section 2.3)."""

import random
from typing import Any, Protocol

import torch
from torch import Tensor


class Draws(Protocol):
    """The random numbers that a pool asks for; ``random.Random`` gives them, and so can a test."""

    def uniform(self, a: float, b: float) -> float: ...

    def randint(self, a: int, b: int) -> int: ...


class ImagePool:
    """Keep up to ``size`` generated images and show the discriminator, half of the time, an old one instead of a new.

    Follows the official code image by image: store and return while there is room; then, with probability one half,
    return a stored image and put the new one in its place.

    Args:
        size: number of images; 0 returns every batch untouched.
        draws: source of random numbers; by default a generator of its own, seeded from torch's.

    Examples:
        >>> pool = ImagePool(size=2)
        >>> shown = pool.query(torch.zeros(5, 3, 8, 8))
        >>> shown.shape, len(pool.images)
        (torch.Size([5, 3, 8, 8]), 2)
    """

    def __init__(self, size: int, draws: Draws | None = None) -> None:
        if size < 0:
            raise ValueError(f"size must not be negative, got {size}")
        self.size = size
        self.draws = random.Random(int(torch.randint(2**62, (), device="cpu"))) if draws is None else draws
        self.images: list[Tensor] = []

    def query(self, images: Tensor) -> Tensor:
        """Exchange a batch ``(N, C, H, W)`` for one of the same shape; what comes back carries no graph."""
        if self.size == 0:
            return images
        answer = []
        for image in images.detach():
            if len(self.images) < self.size:
                self.images.append(image.clone())
            elif self.draws.uniform(0, 1) > 0.5:
                slot = self.draws.randint(0, self.size - 1)
                old = self.images[slot].to(image)
                self.images[slot] = image.clone()
                image = old
            answer.append(image)
        return torch.stack(answer)

    def state_dict(self) -> dict[str, Any]:
        """Images (on the CPU) and generator, as plain values and tensors."""
        rng = self.draws.getstate() if isinstance(self.draws, random.Random) else None
        return {"images": [image.cpu() for image in self.images], "rng": rng}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restore what `state_dict` returned."""
        self.images = list(state["images"])
        if state["rng"] is not None and isinstance(self.draws, random.Random):
            version, internal, gauss = state["rng"]
            self.draws.setstate((version, tuple(internal), gauss))
