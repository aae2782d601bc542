"""The formula of weights against published numbers of it."""

import pytest
import torch
from fill import fill, filled, uniform
from golden_cases import assert_close
from torch import nn

from sketchgan.networks import ResnetGenerator


@pytest.mark.parametrize(
    ("key", "first"),
    [
        ("G_A.model.1.weight", [0.4148975107818842, 0.738630956504494, 0.3016626206226647, 0.24625685764476657]),
        ("G_A.model.1.bias", [0.5038292771205306, 0.5260765384882689]),
        ("unet_default.model.model.0.weight", [0.9463968421332538, 0.23410535883158445, 0.5677479156292975]),
        ("in.image", [0.6876352415420115, 0.5909238909371197, 0.07884606067091227]),
    ],
)
def test_numbers_of_a_name(key, first):
    assert uniform(key, len(first)).tolist() == first
    assert uniform(key, 1000)[: len(first)].tolist() == first


def test_numbers_stay_exact_where_products_are_large():
    last, seed = 4_194_303, 754_777_742  # the last of 512 × 512 × 4 × 4; what G_A.model.1.weight starts from
    x = (1103515245 * last + seed) % 2**31
    x ^= x >> 15
    x = 1597334677 * x % 2**31
    x ^= x >> 13
    assert uniform("G_A.model.1.weight", last + 1)[-1].item() == x / 2**31


@pytest.mark.parametrize(
    ("key", "shape", "kind", "first"),
    [
        ("G_A.model.1.weight", (64, 3, 7, 7), "weight", [-0.029779667, 0.08350344, -0.06940363, -0.0887916]),
        ("G_B.body.0.adain1.emb.weight", (10, 10), "embedding", [-0.45184788, -2.5755012, -2.4427452, -1.44209]),
        ("G_A.model.1.bias", (64,), "bias", [0.2 * (2 * u - 1) for u in (0.5038292771, 0.5260765385)]),
        ("G_A.model.1.bias", (64,), "shift", [0.3 * (2 * u - 1) for u in (0.5038292771, 0.5260765385)]),
        ("G_A.model.1.bias", (64,), "mean", [0.3 * (2 * u - 1) for u in (0.5038292771, 0.5260765385)]),
        ("G_A.model.1.bias", (64,), "scale", [1.0038292771, 1.0260765385]),
        ("G_A.model.1.bias", (64,), "variance", [2.0076585542, 2.052153077]),
        ("in.image", (1, 3), "input", [2 * 0.6876352415 - 1, 2 * 0.5909238909 - 1, 2 * 0.0788460607 - 1]),
    ],
)
def test_values_of_a_kind(key, shape, kind, first):
    tensor = filled(key, shape, kind)
    assert tensor.shape == shape
    assert tensor.dtype == torch.float32
    assert_close(tensor.flatten()[: len(first)], torch.tensor(first), 1e-7)


def test_fan_in_of_a_transposed_convolution_counts_what_meets_in_a_pixel():
    weight = filled("G_A.model.1.weight", (8, 4, 3, 3), "transposed", stride=2)
    assert_close(weight[0, 0, 0, 0], torch.tensor((2 * 0.4148975107818842 - 1) * (4.5 / (8 * 9 / 4)) ** 0.5), 1e-7)


def test_networks_take_the_official_names():
    network = nn.Sequential(nn.Conv2d(3, 2, 1), nn.BatchNorm2d(2), nn.ConvTranspose2d(2, 1, 2, stride=2, bias=False))
    fill(network, "X", {"first": "0", "second.norm": "1", "third": "2"})
    expected = {
        "0.weight": filled("X.first.weight", (2, 3, 1, 1), "weight"),
        "0.bias": filled("X.first.bias", (2,), "bias"),
        "1.weight": filled("X.second.norm.weight", (2,), "scale"),
        "1.bias": filled("X.second.norm.bias", (2,), "shift"),
        "1.running_mean": filled("X.second.norm.running_mean", (2,), "mean"),
        "1.running_var": filled("X.second.norm.running_var", (2,), "variance"),
        "1.num_batches_tracked": torch.tensor(0),
        "2.weight": filled("X.third.weight", (2, 1, 2, 2), "transposed", stride=2),
    }
    state = network.state_dict()
    assert state.keys() == expected.keys()
    assert all(torch.equal(state[key], value) for key, value in expected.items())


def test_layers_without_an_official_name_are_not_skipped():
    with pytest.raises(KeyError, match="stem"):
        fill(ResnetGenerator(ngf=2, n_blocks=0), "G", {"model.4": "down.0.0"})
