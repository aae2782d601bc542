"""The experiment that the guide decoders of Style2Paints are for: a U-Net that learns to copy what it is shown.

Its skips carry the picture past the middle, which soon gets no gradient, and so could learn no style. A decoder that
has nothing but the middle to paint from keeps it learning.
"""

import pytest
import torch
import torch.nn.functional as F

from sketchgan.networks import Painted, Style2PaintsGenerator


def learn_to_copy(generator, pictures, hints, steps=60):
    """Train, and return the distances to the pictures and the gradient norms of the middle, step by step."""
    optimizer = torch.optim.Adam(generator.parameters(), lr=2e-3, betas=(0.5, 0.999))
    distances, gradients = [], []
    for _ in range(steps):
        made = generator(pictures, hints)
        image, guides = made if isinstance(made, Painted) else (made, ())
        distance = F.l1_loss(image, 2 * pictures - 1)
        terms = [w * F.l1_loss(guide, 2 * pictures - 1) for w, guide in zip((0.3, 0.9), guides, strict=False)]
        optimizer.zero_grad()
        (distance + sum(terms)).backward()
        optimizer.step()
        distances.append(distance.item())
        gradients.append(generator.mid_conv.weight.grad.norm().item())
    return distances, gradients


def mean(values):
    return sum(values) / len(values)


@pytest.fixture(scope="module")
def learned():
    torch.manual_seed(0)
    settings = {"hint_dim": 8, "out_channels": 1, "ngf": 4, "mid": 32}
    guided = Style2PaintsGenerator(**settings, guides="two")
    plain = Style2PaintsGenerator(**settings, guides="none")
    plain.load_state_dict({k: v for k, v in guided.state_dict().items() if not k.startswith("guide")})
    pictures = F.interpolate(torch.rand(2, 1, 8, 8), scale_factor=8)
    hints = torch.randn(2, 8)
    return {"plain": learn_to_copy(plain, pictures, hints), "guided": learn_to_copy(guided, pictures, hints)}


def test_both_learn_to_copy(learned):
    for name, (distances, _) in learned.items():
        assert distances[0] > 0.5, name
        assert distances[-1] < 0.08, name


def test_the_middle_of_a_plain_u_net_starves(learned):
    _, gradients = learned["plain"]
    assert mean(gradients[-10:]) < 0.03 * mean(gradients[:3])


def test_guide_decoders_feed_the_middle(learned):
    plain, guided = (mean(learned[name][1][-10:]) for name in ("plain", "guided"))
    assert guided > 2.5 * plain
