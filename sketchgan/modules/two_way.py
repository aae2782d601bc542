"""What modules with a generator for each direction share."""

from typing import Any, ClassVar, Literal

from torch import Tensor, nn

from sketchgan.losses import AdversarialLoss, AdversarialMode, adversarial_loss
from sketchgan.modules.base import Batch, GANModule, refuse_batch_norm
from sketchgan.networks import PatchDiscriminator
from sketchgan.ops import inference_policy, together

Direction = Literal["AtoB", "BtoA"]


class TwoWayModule(GANModule):
    """Translation in both directions by ``generator_ab`` and ``generator_ba``."""

    generators: ClassVar = {"AtoB": "generator_ab", "BtoA": "generator_ba"}

    adversarial: AdversarialLoss
    discriminator_a: nn.Module
    discriminator_b: nn.Module

    def forward(self, images: Tensor, direction: Direction = "AtoB", *told: Tensor) -> Tensor:
        """Translate images in one direction.

        Args:
            images: ``(N, C, H, W)`` in [-1, 1].
            direction: "AtoB" or "BtoA".
            *told: what else the generator takes, such as labels.

        Returns:
            The translation in [-1, 1].
        """
        made = self.generate(images, direction, *told)
        return made if isinstance(made, Tensor) else made.image

    def generate(self, images: Tensor, direction: Direction = "AtoB", *told: Tensor) -> Any:
        """All that the generator of a direction makes of images, in evaluation mode; see `forward`."""
        if direction not in self.generators:
            ways = " or ".join(f'"{way}"' for way in self.generators)
            raise ValueError(f"direction must be {ways}, got {direction!r}")
        generator = getattr(self, self.generators[direction])
        with inference_policy(generator):
            return generator(images, *told)

    def told(self, batch: Batch, direction: Direction, side: str) -> tuple[Tensor, ...]:
        """What the generator of a direction is told of the pictures of a side of the batch: nothing by default."""
        return ()

    def take_judges(
        self,
        discriminator_a: nn.Module | None,
        discriminator_b: nn.Module | None,
        adversarial: AdversarialMode | AdversarialLoss,
    ) -> None:
        """Keep a discriminator for each domain, by default CycleGAN's, and the adversarial loss.

        Raises:
            ValueError: for an unknown loss, and for one with gradient penalty and batch norm in a discriminator.
        """
        self.adversarial = adversarial_loss(adversarial)
        for name, given in (("discriminator_a", discriminator_a), ("discriminator_b", discriminator_b)):
            discriminator = PatchDiscriminator(3, norm="instance") if given is None else given
            if self.adversarial.lambda_gp:
                refuse_batch_norm(discriminator, "PatchDiscriminator(3, norm='instance')")
            setattr(self, name, discriminator)

    def judge(self, discriminator: nn.Module, real: Tensor, fake: Tensor, domain: str) -> dict[str, Tensor]:
        """Halved terms of a discriminator's loss on real images and on translations to their domain."""
        real_score, fake_score = together(discriminator, real, fake)
        terms = {
            f"real_{domain}": 0.5 * self.adversarial.real(real_score),
            f"fake_{domain}": 0.5 * self.adversarial.fake(fake_score),
        }
        if self.adversarial.lambda_gp:
            terms[f"gp_{domain}"] = self.adversarial.penalty(discriminator, real, fake)
        return terms

    def translate(self, batch: Batch) -> dict[str, Tensor]:
        """Each domain that the batch has, translated to the other."""
        fakes = {}
        if "A" in batch and "AtoB" in self.directions:
            fakes["fake_B"] = self(batch["A"], "AtoB", *self.told(batch, "AtoB", "A"))
        if "B" in batch and "BtoA" in self.directions:
            fakes["fake_A"] = self(batch["B"], "BtoA", *self.told(batch, "BtoA", "B"))
        return fakes

    def sample(self, batch: Batch) -> dict[str, Tensor]:
        """Both domains there and back, as far as the batch and the networks go."""
        pictures: dict[str, Tensor] = {}
        ways: tuple[tuple[str, str, Direction], ...] = ("fake_B", "A", "BtoA"), ("fake_A", "B", "AtoB")
        fakes = self.translate(batch)
        for name, start, back in ways:
            if name in fakes:
                pictures |= {f"real_{start}": batch[start], name: fakes[name]}
                if back in self.directions:
                    pictures[f"rec_{start}"] = self(fakes[name], back, *self.told(batch, back, start))
        return pictures
