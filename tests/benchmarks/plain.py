"""The training steps of the papers as plain PyTorch loops would have them: no Trainer, no logging, no guard.

Each function takes a module for its networks, pools and settings, none of its methods, and returns the step.
"""

from collections.abc import Callable, Mapping
from itertools import chain
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.optim import Adam

from sketchgan import CycleGAN, Pix2Pix

Step = Callable[[Mapping[str, Any]], None]


def pix2pix_step(model: Pix2Pix) -> Step:
    """Cross-entropy and L1, the discriminator first."""
    generator, discriminator = model.generator, model.discriminator
    adam_g = Adam(generator.parameters(), model.lr, model.betas, fused=model.fused is not False)
    adam_d = Adam(discriminator.parameters(), model.lr, model.betas, fused=model.fused is not False)

    def cross_entropy(score: Tensor, label: float) -> Tensor:
        return F.binary_cross_entropy_with_logits(score, torch.full_like(score, label))

    def step(batch: Mapping[str, Any]) -> None:
        real_a, real_b = batch["A"], batch["B"]
        fake_b = generator(real_a)

        score_fake = discriminator(torch.cat([real_a, fake_b.detach()], dim=1))
        score_real = discriminator(torch.cat([real_a, real_b], dim=1))
        adam_d.zero_grad()
        (0.5 * cross_entropy(score_fake, 0.0) + 0.5 * cross_entropy(score_real, 1.0)).backward()
        adam_d.step()

        discriminator.requires_grad_(False)
        score = discriminator(torch.cat([real_a, fake_b], dim=1))
        adam_g.zero_grad()
        (cross_entropy(score, 1.0) + model.lambda_l1 * F.l1_loss(fake_b, real_b)).backward()
        adam_g.step()
        discriminator.requires_grad_(True)

    return step


def cyclegan_step(model: CycleGAN) -> Step:
    """Least squares, both cycles and identity, the generators first."""
    ab, ba, judge_a, judge_b = model.generator_ab, model.generator_ba, model.discriminator_a, model.discriminator_b
    adam_g = Adam(chain(ab.parameters(), ba.parameters()), model.lr, model.betas, fused=model.fused is not False)
    adam_d = Adam(
        chain(judge_a.parameters(), judge_b.parameters()), model.lr, model.betas, fused=model.fused is not False
    )
    identity_b, identity_a = model.lambda_b * model.lambda_identity, model.lambda_a * model.lambda_identity

    def distance(score: Tensor, label: float) -> Tensor:
        return (score - label).square().mean()

    def step(batch: Mapping[str, Any]) -> None:
        real_a, real_b = batch["A"], batch["B"]
        fake_b, fake_a = ab(real_a), ba(real_b)

        judge_a.requires_grad_(False)
        judge_b.requires_grad_(False)
        loss_g = distance(judge_b(fake_b), 1.0) + distance(judge_a(fake_a), 1.0)
        loss_g = loss_g + model.lambda_a * F.l1_loss(ba(fake_b), real_a)
        loss_g = loss_g + model.lambda_b * F.l1_loss(ab(fake_a), real_b)
        loss_g = loss_g + identity_b * F.l1_loss(ab(real_b), real_b)
        loss_g = loss_g + identity_a * F.l1_loss(ba(real_a), real_a)
        adam_g.zero_grad()
        loss_g.backward()
        adam_g.step()
        judge_a.requires_grad_(True)
        judge_b.requires_grad_(True)

        shown_b, shown_a = model.pool_b.query(fake_b.detach()), model.pool_a.query(fake_a.detach())
        real_score_b, fake_score_b = judge_b(torch.cat((real_b, shown_b))).chunk(2)
        real_score_a, fake_score_a = judge_a(torch.cat((real_a, shown_a))).chunk(2)
        loss_d = 0.5 * distance(real_score_b, 1.0) + 0.5 * distance(fake_score_b, 0.0)
        loss_d = loss_d + 0.5 * distance(real_score_a, 1.0) + 0.5 * distance(fake_score_a, 0.0)
        adam_d.zero_grad()
        loss_d.backward()
        adam_d.step()

    return step
