"""Adversarial losses on logits of any shape, averaged over batch and patches, in float32 under autocast."""

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor

from sketchgan.ops import dragan_penalty, gradient_penalty

AdversarialMode = Literal["vanilla", "lsgan", "wgangp", "hinge", "nonsaturating", "dragan"]


class AdversarialLoss(ABC):
    """What a GAN asks of its scores: two terms for the discriminator, one for the generator, each a scalar.

    Subclass it for a loss of your own and pass an instance where a module takes ``adversarial``.
    """

    lambda_gp: float = 0.0
    """Weight of the gradient penalty that this loss needs in the discriminator; 0 for none."""

    @abstractmethod
    def real(self, score: Tensor) -> Tensor:
        """The discriminator's loss on scores of real images."""

    @abstractmethod
    def fake(self, score: Tensor) -> Tensor:
        """The discriminator's loss on scores of generated images."""

    @abstractmethod
    def generator(self, score: Tensor) -> Tensor:
        """The generator's loss on scores of its images."""

    def penalty(self, discriminator: Callable[[Tensor], Tensor], real: Tensor, fake: Tensor) -> Tensor:
        """The discriminator's gradient penalty, weighted; for losses with a ``lambda_gp``.

        Args:
            discriminator: maps ``(N, C, H, W)`` to scores of any shape, no sample depending on those beside it.
            real: real images ``(N, C, H, W)``.
            fake: generated images of the same shape.
        """
        return self.lambda_gp * gradient_penalty(discriminator, real, fake)


def _full(score: Tensor) -> Tensor:
    """At least float32: means written by hand would overflow in half precision."""
    return score.to(torch.promote_types(score.dtype, torch.float32))


class _LabelLoss(AdversarialLoss):
    """Losses that compare scores with a label; soft labels such as 0.9 and 0.1 are allowed.

    Args:
        real_label: target for real images, and for the generator's.
        fake_label: target for generated images.
    """

    def __init__(self, real_label: float = 1.0, fake_label: float = 0.0) -> None:
        self.real_label = real_label
        self.fake_label = fake_label

    @abstractmethod
    def compare(self, score: Tensor, label: float) -> Tensor:
        """Mean distance of the scores from a label."""

    def real(self, score: Tensor) -> Tensor:
        return self.compare(score, self.real_label)

    def fake(self, score: Tensor) -> Tensor:
        return self.compare(score, self.fake_label)

    def generator(self, score: Tensor) -> Tensor:
        return self.compare(score, self.real_label)


class VanillaLoss(_LabelLoss):
    """Cross-entropy with the generator's labels flipped (Goodfellow et al., 2014, arXiv 1406.2661); pix2pix's loss.

    Examples:
        >>> VanillaLoss().real(torch.zeros(1, 1, 2, 2))
        tensor(0.6931)
    """

    def compare(self, score: Tensor, label: float) -> Tensor:
        score = _full(score)
        return F.binary_cross_entropy_with_logits(score, torch.full_like(score, label))


class LeastSquaresLoss(_LabelLoss):
    """Squared distance from the label (LSGAN, Mao et al., 2017, arXiv 1611.04076); CycleGAN's loss.

    Examples:
        >>> LeastSquaresLoss().real(torch.full((1, 1, 2, 2), 0.5))
        tensor(0.2500)
        >>> LeastSquaresLoss(real_label=0.9).generator(torch.full((1, 1, 2, 2), 0.9))
        tensor(0.)
    """

    def compare(self, score: Tensor, label: float) -> Tensor:
        return (_full(score) - label).square().mean()


class WassersteinGPLoss(AdversarialLoss):
    """Plain means, with a gradient penalty in the discriminator (Gulrajani et al., 2017, arXiv 1704.00028).

    Args:
        lambda_gp: weight of the penalty.
    """

    def __init__(self, lambda_gp: float = 10.0) -> None:
        self.lambda_gp = lambda_gp

    def real(self, score: Tensor) -> Tensor:
        return -_full(score).mean()

    def fake(self, score: Tensor) -> Tensor:
        return _full(score).mean()

    def generator(self, score: Tensor) -> Tensor:
        return -_full(score).mean()


class DRAGANLoss(AdversarialLoss):
    """Cross-entropy with a one-sided gradient penalty around real images (Kodali et al., 2017, arXiv 1705.07215).

    As in SketchyGAN's code: summed over patches, averaged over samples, D's two terms halved.

    Args:
        lambda_gp: weight of the penalty.
    """

    def __init__(self, lambda_gp: float = 10.0) -> None:
        self.lambda_gp = lambda_gp

    def real(self, score: Tensor) -> Tensor:
        return 0.5 * self.generator(score)

    def fake(self, score: Tensor) -> Tensor:
        return 0.5 * F.softplus(_full(score)).sum() / len(score)

    def generator(self, score: Tensor) -> Tensor:
        return F.softplus(-_full(score)).sum() / len(score)

    def penalty(self, discriminator: Callable[[Tensor], Tensor], real: Tensor, fake: Tensor) -> Tensor:
        return self.lambda_gp * dragan_penalty(discriminator, real)


class HingeLoss(AdversarialLoss):
    """Hinge loss of the discriminator, plain mean for the generator (Lim and Ye, 2017, arXiv 1705.02894).

    Examples:
        >>> score = torch.tensor([2.0, -2.0])
        >>> HingeLoss().real(score), HingeLoss().fake(score), HingeLoss().generator(score)
        (tensor(1.5000), tensor(1.5000), tensor(-0.))
    """

    def real(self, score: Tensor) -> Tensor:
        return F.relu(1.0 - _full(score)).mean()

    def fake(self, score: Tensor) -> Tensor:
        return F.relu(1.0 + _full(score)).mean()

    def generator(self, score: Tensor) -> Tensor:
        return -_full(score).mean()


class NonSaturatingLoss(AdversarialLoss):
    """Softplus of the scores: vanilla with labels 1 and 0, in the form of StyleGAN and CUT (arXiv 1406.2661, §3)."""

    def real(self, score: Tensor) -> Tensor:
        return F.softplus(-_full(score)).mean()

    def fake(self, score: Tensor) -> Tensor:
        return F.softplus(_full(score)).mean()

    def generator(self, score: Tensor) -> Tensor:
        return F.softplus(-_full(score)).mean()


_BY_NAME: dict[str, type[AdversarialLoss]] = {
    "vanilla": VanillaLoss,
    "lsgan": LeastSquaresLoss,
    "wgangp": WassersteinGPLoss,
    "hinge": HingeLoss,
    "nonsaturating": NonSaturatingLoss,
    "dragan": DRAGANLoss,
}


def adversarial_loss(loss: AdversarialMode | AdversarialLoss) -> AdversarialLoss:
    """The loss of that name with its published settings, or the given loss itself.

    Raises:
        ValueError: for an unknown name.

    Examples:
        >>> type(adversarial_loss("lsgan")).__name__
        'LeastSquaresLoss'
        >>> adversarial_loss(LeastSquaresLoss(real_label=0.9)).real_label
        0.9
    """
    if isinstance(loss, AdversarialLoss):
        return loss
    if loss not in _BY_NAME:
        raise ValueError(f"adversarial must be an AdversarialLoss or one of {', '.join(_BY_NAME)}, got {loss!r}")
    return _BY_NAME[loss]()
