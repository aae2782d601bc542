"""The history of generated images (Shrivastava et al., CVPR 2017, arXiv 1612.07828, section 2.3)."""

import random
from typing import Any, Protocol

import torch
from torch import Tensor


class Draws(Protocol):
    """The random numbers that a pool asks for; ``random.Random`` gives them, and so can a test."""

    def uniform(self, a: float, b: float) -> float: ...

    def randint(self, a: int, b: int) -> int: ...


class Dice:
    """Random numbers that a checkpoint keeps, from a generator of its own.

    Args:
        draws: another source of random numbers; by default one seeded from torch's.
    """

    def __init__(self, draws: Draws | None = None) -> None:
        self.draws = random.Random(int(torch.randint(2**62, (), device="cpu"))) if draws is None else draws

    def state_dict(self) -> dict[str, Any]:
        """The generator as plain values."""
        return {"rng": self.draws.getstate() if isinstance(self.draws, random.Random) else None}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restore what `state_dict` returned."""
        if state["rng"] is not None and isinstance(self.draws, random.Random):
            version, internal, gauss = state["rng"]
            self.draws.setstate((version, tuple(internal), gauss))


class ImagePool(Dice):
    """Keep up to ``size`` generated images and show the discriminator, half of the time, an old one instead of a new.

    Follows the official code image by image: store and return while there is room; then, with probability one half,
    return a stored image and put the new one in its place. With labels, an image keeps its own (AODA).

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
        super().__init__(draws)
        self.size = size
        self.images: list[Tensor] = []
        self.labels: list[Tensor | None] = []

    def query(self, images: Tensor) -> Tensor:
        """Exchange a batch ``(N, C, H, W)`` for one of the same shape; what comes back carries no graph."""
        return self.query_labelled(images, None)[0]

    def query_labelled(self, images: Tensor, labels: Tensor | None) -> tuple[Tensor, Tensor | None]:
        """The same with the images' labels ``(N,)``, if they have any."""
        if self.size == 0:
            return images, labels
        shown, shown_labels = [], []
        for image, label in zip(images.detach(), [None] * len(images) if labels is None else labels, strict=True):
            if len(self.images) < self.size:
                self.images.append(image.clone())
                self.labels.append(label)
            elif self.draws.uniform(0, 1) > 0.5:
                slot = self.draws.randint(0, self.size - 1)
                old, old_label = self.images[slot].to(image), self.labels[slot]
                self.images[slot], self.labels[slot] = image.clone(), label
                image, label = old, old_label
            shown.append(image)
            shown_labels.append(label)
        if labels is None:
            return torch.stack(shown), None
        return torch.stack(shown), torch.stack([label.to(labels) for label in shown_labels if label is not None])

    def state_dict(self) -> dict[str, Any]:
        """Images and labels (on the CPU) and generator, as plain values and tensors."""
        labels = [None if label is None else label.cpu() for label in self.labels]
        return {"images": [image.cpu() for image in self.images], "labels": labels, **super().state_dict()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restore what `state_dict` returned."""
        super().load_state_dict(state)
        self.images = list(state["images"])
        self.labels = list(state.get("labels", [None] * len(self.images)))  # earlier versions had none
