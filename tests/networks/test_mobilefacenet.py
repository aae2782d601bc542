import pytest
import torch
from golden_cases import assert_close, golden, golden_json

from sketchgan.networks import MobileFaceNet


def pictures(levels: torch.Tensor) -> torch.Tensor:
    return (levels.float() / 255 - 0.5) / 0.5


def test_state_dict_is_the_official_one():
    network = MobileFaceNet()
    assert {key: list(value.shape) for key, value in network.state_dict().items()} == golden_json("photo2cartoon_keys")[
        "mobilefacenet"
    ]
    assert sum(p.numel() for p in network.parameters()) == 1_200_512


def test_matches_official():
    reference = golden("photo2cartoon_facenet")
    network = MobileFaceNet(embedding_size=8).eval()
    network.load_state_dict(reference.under("state.FaceNet"))  # stored as float16, widened by copying
    features = network(pictures(reference.tensors["in.x_u8"]))
    assert_close(features, reference.tensors["out.features"], 1e-6)
    assert_close(features.norm(dim=1), torch.ones(2), 1e-6)


def test_every_parameter_gets_a_gradient():
    network = MobileFaceNet(16)
    network(torch.randn(4, 3, 112, 112)).square().mul(torch.rand(16)).sum().backward()
    assert all(p.grad is not None and p.grad.any() for p in network.parameters())


@pytest.mark.parametrize("shape", [(1, 3, 96, 112), (1, 1, 112, 112)])
def test_other_sizes_are_refused(shape):
    with pytest.raises(ValueError, match=r"MobileFaceNet takes \(N, 3, 112, 112\), got \(1, "):
        MobileFaceNet()(torch.zeros(shape))
