"""A module that tints its sketches, and data for it; small enough to compute by hand."""

from typing import Any

import torch
from torch import nn
from torch.utils.data import DataLoader

from sketchgan import GANModule
from sketchgan.data import TranslationData


class Tinted(GANModule):
    """Adds the mean colour of the style to the sketch."""

    takes_style = True
    size_multiple = 8

    def __init__(self, strength: float = 0.5) -> None:
        super().__init__()
        self.strength = strength
        self.scale = nn.Conv2d(1, 1, 1, bias=False)
        nn.init.constant_(self.scale.weight, 0.4)

    def encode_style(self, pictures):
        return pictures.mean((2, 3))

    def forward(self, a, hint):
        assert a.shape[-1] % self.size_multiple == 0
        return self.scale(a[:, :1]) + self.strength * hint[:, :, None, None]

    def sample(self, batch):
        style = self.encode_style(batch.get("style", batch["B"]))
        pictures = {"real_A": batch["A"], "fake_B": self(batch["A"], style), "real_B": batch["B"]}
        if len(style) > 1:
            pictures["other_B"] = self(batch["A"], style.roll(-1, 0))
            pictures["other_style"] = batch.get("style", batch["B"]).roll(-1, 0)
        return pictures

    def training_step(self, batch, batch_idx):
        made = self(batch["A"], self.encode_style(batch["B"]))
        self.minimize(self.optimizers()[0], {"l1": (made - batch["B"]).abs().mean()}, "g")

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=0.1)


class Tints(TranslationData):
    """``count`` sketches of one channel, each with a painting of noise around a colour of its own."""

    paired = True

    def __init__(self, count: int = 9, size: int = 16, batch_size: int = 4, given: bool = False, **kwargs: Any) -> None:
        super().__init__(batch_size, **kwargs)
        draw = torch.Generator().manual_seed(5)
        self.given = given  # samples bring a picture of their style, of another size
        self.sketches = torch.rand(count, 1, size, size, generator=draw) * 2 - 1
        colours = torch.rand(count, 3, 1, 1, generator=draw) * 1.2 - 0.8
        self.paintings = (colours + 0.2 * torch.randn(count, 3, size, size, generator=draw)).clamp(-1, 1)
        self.styles = colours.expand(-1, -1, 8, 24)

    def dataset(self, split):
        every = zip(self.sketches, self.paintings, self.styles, strict=True)
        return [{"A": a, "B": b, **({"style": style} if self.given else {})} for a, b, style in every]

    def train_dataloader(self):
        return DataLoader(self.dataset("train"), self.batch_size, collate_fn=self._loading()["collate_fn"])
