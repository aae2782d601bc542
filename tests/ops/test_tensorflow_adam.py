"""Adam in TensorFlow 1's form: where epsilon enters, and what a resumed run must know."""

from copy import deepcopy

import pytest
import torch
from torch import nn

from sketchgan.ops import TensorFlowAdam

GRADIENTS = [torch.tensor([1e-9, -3e-8, 1.0], dtype=torch.float64) * k for k in (1, -2, 3, 1)]


def steps(optimizer, weight, gradients):
    for gradient in gradients:
        weight.grad = gradient.clone()
        optimizer.step()
    return weight.detach().clone()


def zeros():
    return nn.Parameter(torch.zeros(3, dtype=torch.float64))


@pytest.mark.parametrize("betas", [(0.0, 0.9), (0.9, 0.999)])
def test_epsilon_is_added_before_the_correction(betas):
    weight, expected = zeros(), torch.zeros(3, dtype=torch.float64)
    made = steps(TensorFlowAdam([weight], lr=0.1, betas=betas), weight, GRADIENTS)
    m = v = torch.zeros(3, dtype=torch.float64)
    for t, gradient in enumerate(GRADIENTS, 1):
        m = betas[0] * m + (1 - betas[0]) * gradient
        v = betas[1] * v + (1 - betas[1]) * gradient**2
        expected = expected - 0.1 * (1 - betas[1] ** t) ** 0.5 / (1 - betas[0] ** t) * m / (v.sqrt() + 1e-8)
    torch.testing.assert_close(made, expected, rtol=1e-12, atol=0)
    plain = zeros()
    assert not torch.allclose(steps(torch.optim.Adam([plain], 0.1, betas), plain, GRADIENTS), expected, rtol=0.1)


def test_resumes_exactly():
    weight = zeros()
    optimizer = TensorFlowAdam([weight], lr=0.1, betas=(0.0, 0.9))
    steps(optimizer, weight, GRADIENTS[:2])
    other = nn.Parameter(weight.detach().clone())
    resumed = TensorFlowAdam([other], lr=0.1, betas=(0.0, 0.9))
    resumed.load_state_dict(deepcopy(optimizer.state_dict()))  # which shares its tensors otherwise
    assert torch.equal(steps(resumed, other, GRADIENTS[2:]), steps(optimizer, weight, GRADIENTS[2:]))


def test_groups_may_be_added_later():
    weight, late, alone = zeros(), zeros(), zeros()
    optimizer = TensorFlowAdam([weight], lr=0.1)
    steps(optimizer, weight, GRADIENTS[:2])
    optimizer.add_param_group({"params": [late]})
    made = steps(optimizer, late, GRADIENTS)
    assert torch.equal(made, steps(TensorFlowAdam([alone], lr=0.1), alone, GRADIENTS))
