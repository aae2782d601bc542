"""What modules with a generator for each direction share."""

from typing import Any, ClassVar, Literal

from torch import Tensor

from sketchgan.modules.base import Batch, GANModule
from sketchgan.ops import inference_policy

Direction = Literal["AtoB", "BtoA"]


class TwoWayModule(GANModule):
    """Translation in both directions by ``generator_ab`` and ``generator_ba``."""

    generators: ClassVar = {"AtoB": "generator_ab", "BtoA": "generator_ba"}

    def forward(self, images: Tensor, direction: Direction = "AtoB") -> Tensor:
        """Translate images in one direction.

        Args:
            images: ``(N, C, H, W)`` in [-1, 1].
            direction: "AtoB" or "BtoA".

        Returns:
            The translation in [-1, 1].
        """
        made = self.generate(images, direction)
        return made if isinstance(made, Tensor) else made.image

    def generate(self, images: Tensor, direction: Direction = "AtoB") -> Any:
        """All that the generator of a direction makes of images, in evaluation mode; see `forward`."""
        if direction not in self.generators:
            raise ValueError(f'direction must be "AtoB" or "BtoA", got {direction!r}')
        generator = getattr(self, self.generators[direction])
        with inference_policy(generator):
            return generator(images)

    def translate(self, batch: Batch) -> dict[str, Tensor]:
        """Each domain that the batch has, translated to the other."""
        fakes = {}
        if "A" in batch and "AtoB" in self.directions:
            fakes["fake_B"] = self(batch["A"], "AtoB")
        if "B" in batch and "BtoA" in self.directions:
            fakes["fake_A"] = self(batch["B"], "BtoA")
        return fakes
