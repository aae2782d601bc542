"""Encoders of styles: what each returns, that none of it trains, and what a fingerprint tells apart."""

import pytest
import torch
import torch.nn.functional as F
from golden_cases import assert_close
from lightning import LightningModule
from torch import Tensor, nn

from sketchgan.networks import FrozenVGG, StyleEncoder, openmoji_classifier, palette, style_encoder
from sketchgan.networks.style_encoders import ModuleStyle, OpenMojiStyle, PaletteStyle, VGGStyle
from sketchgan.networks.vgg import VGG

NARROW = (2, 2, 3, 3, 3, 6)


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    torch.manual_seed(1)
    path = tmp_path_factory.mktemp("vgg") / "vgg.pth"
    network = VGG(["fc3"], 19, NARROW)
    for parameter in network.parameters():  # so that pictures make a difference in so narrow a network
        nn.init.normal_(parameter, std=0.3)
    torch.save(network.state_dict(), path)
    return path


class Features(nn.Module):
    """A network of one's own: maps, or their mean."""

    def __init__(self, maps: bool = True) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.Conv2d(3, 5, 3), nn.BatchNorm2d(5), nn.LeakyReLU(0.2), nn.Dropout(0.5))
        self.maps = maps

    def forward(self, x: Tensor) -> Tensor:
        return self.layers(x) if self.maps else self.layers(x).mean((2, 3))


def every_encoder(weights) -> dict[str, StyleEncoder]:
    return {
        "vgg19": VGGStyle(weights, widths=NARROW),
        "openmoji": style_encoder("openmoji"),
        "palette": style_encoder("palette"),
        "features": style_encoder(Features()),
    }


@pytest.mark.parametrize(("name", "dim"), [("vgg19", 6), ("openmoji", 64), ("palette", 512), ("features", 5)])
def test_contract(weights, name, dim):
    encode = every_encoder(weights)[name]
    assert (encode.name, encode.hint_dim) == (name, dim)  # before anything is loaded
    pictures = (torch.rand(2, 3, 40, 56) * 2 - 1).requires_grad_(True)
    hints = encode(pictures)
    assert hints.shape == (2, dim)
    assert hints.dtype == torch.float32
    assert not hints.requires_grad
    assert not hints.is_inference()
    assert hints.std(0).max() > 0  # other pictures, other vectors
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(encode(pictures), hints)
    assert torch.equal(encode(pictures), hints)  # no dropout, no batch statistics
    assert_close(encode(pictures[:1]), hints[:1], 1e-5 * hints.abs().max().item())
    assert_close(encode(pictures.double()), hints, 1e-5 * hints.abs().max().item())
    assert encode(torch.rand(1, 1, 64, 32)).shape == (1, dim)  # grey, of another size
    with torch.inference_mode():
        assert torch.equal(encode(pictures), hints)
    with pytest.raises(ValueError, match=r"must be float .* got torch.uint8 \(2, 3, 8, 8\)"):
        encode(torch.zeros(2, 3, 8, 8, dtype=torch.uint8))


@pytest.mark.parametrize("name", ["vgg19", "openmoji", "palette", "features"])
def test_no_part_of_a_module(weights, name):
    class Module(LightningModule):
        def __init__(self) -> None:
            super().__init__()
            self.style = every_encoder(weights)[name]

    module = Module()
    module.style(torch.rand(1, 3, 32, 32))
    module.style.prepare()
    assert not module.state_dict()
    assert not list(module.parameters())
    assert not any(p.requires_grad for p in module.style.network.parameters())
    assert not module.train().style.network.training


def test_vgg19_is_fc1_before_its_relu(weights):
    pictures = torch.rand(2, 3, 300, 200) * 2 - 1
    expected = FrozenVGG("fc1", weights=weights, widths=NARROW)(pictures)["fc1"]
    hints = VGGStyle(weights, widths=NARROW)(pictures)
    assert torch.equal(hints, expected)
    assert (hints < 0).any()


def test_vgg19_is_as_wide_as_published():
    encode = style_encoder("vgg19")
    assert (encode.name, encode.hint_dim) == ("vgg19", 4096)
    assert encode.vgg.weights is None
    assert style_encoder("vgg19", "vgg.pth").vgg.weights == "vgg.pth"


def test_fitting_earlier_changes_nothing(weights):
    pictures = torch.rand(1, 3, 50, 70) * 2 - 1
    for encode in every_encoder(weights).values():
        assert_close(encode(encode.fit(pictures)), encode(pictures), 1e-6)


def test_openmoji_is_the_classifiers_features():
    levels = torch.randint(0, 256, (2, 3, 64, 64))
    with torch.no_grad():
        expected, _ = openmoji_classifier()(levels)
    assert_close(style_encoder("openmoji")(levels / 127.5 - 1), expected, 1e-5)


# Palettes


def test_palette_against_pixels_one_by_one():
    pictures = torch.rand(1, 3, 4, 5) * 2.2 - 1.1  # some beyond the range
    shares = torch.zeros(4, 4, 4, dtype=torch.float64)
    for pixel in pictures[0].flatten(1).T.double():
        place = (pixel.clamp(-1, 1) + 1) / 2
        weight = 0.1 + 0.9 * min(1.0, (1 - place.min().item()) / 0.1)
        place = place * 3
        for r in range(4):
            for g in range(4):
                for b in range(4):
                    near = [max(0.0, 1 - abs(v.item() - c)) for v, c in zip(place, (r, g, b), strict=True)]
                    shares[r, g, b] += weight * near[0] * near[1] * near[2]
    assert_close(palette(pictures, 4)[0], (shares / shares.sum()).sqrt().flatten().float(), 1e-6)


def test_paper_does_not_drown_colours():
    red = torch.tensor([1.0, -1, -1]).view(3, 1, 1).expand(3, 10, 10)
    blue = red.flip(0)
    paper = torch.ones(3, 10, 90)
    drawings = torch.stack([torch.cat([paper, colour], 2) for colour in (red, blue)])
    one, other = palette(drawings)
    assert one @ other < 0.5  # nine tenths of their pixels are the same
    whole = palette(torch.stack([red, blue]))
    assert whole[0] @ whole[1] == 0
    assert_close((one @ palette(red[None])[0])[None], torch.tensor([(10 / 19) ** 0.5]), 1e-6)
    assert palette(torch.ones(1, 3, 4, 4)).isfinite().all()


def test_palettes_are_of_length_one_and_know_no_place():
    pictures = torch.rand(2, 3, 30, 40) * 2 - 1
    hints = palette(pictures)
    assert_close(hints.norm(dim=1), torch.ones(2), 1e-5)
    mixed = pictures.flatten(2)[..., torch.randperm(1200)].view(2, 3, 40, 30)
    assert_close(palette(mixed), hints, 1e-5)
    assert_close(palette(pictures.repeat(1, 1, 9, 9)), hints, 1e-4)  # 97,200 pixels, in two parts
    near = palette((pictures + 0.02).clamp(-1, 1))
    assert 0.98 < (near[0] @ hints[0]).item() < 1
    with pytest.raises(ValueError, match="bins must be at least 2, got 1"):
        palette(pictures, 1)


# Networks of one's own


@pytest.mark.parametrize("maps", [True, False])
def test_maps_are_averaged(maps):
    network = Features(maps)
    encode = style_encoder(network)
    pictures = torch.rand(3, 3, 20, 30) * 2 - 1
    expected = network.eval().layers(pictures).mean((2, 3))
    assert_close(encode(pictures), expected.detach(), 1e-6)


def test_trying_a_network_moves_neither_random_numbers_nor_statistics():
    network = Features().train()
    mean = network.layers[1].running_mean.clone()
    before = torch.get_rng_state()
    assert ModuleStyle(network).hint_dim == 5
    assert torch.equal(torch.get_rng_state(), before)
    assert torch.equal(network.layers[1].running_mean, mean)


def test_weights_of_a_network_of_ones_own(tmp_path):
    trained = Features()
    torch.save(trained.state_dict(), tmp_path / "own.pth")
    pictures = torch.rand(1, 3, 20, 30)
    loaded = style_encoder(Features(), tmp_path / "own.pth")
    assert torch.equal(loaded(pictures), style_encoder(trained)(pictures))


@pytest.mark.parametrize(
    ("network", "message"),
    [
        (nn.Linear(7, 2), r"Linear fails with a picture \(1, 3, 224, 224\)"),
        (nn.Flatten(0), r"Flatten must return vectors \(N, D\) or maps .* got a tensor \(150528,\)"),
        (nn.LSTM(224, 2), "LSTM"),
    ],
)
def test_wrong_networks(network, message):
    with pytest.raises(ValueError, match=message):
        style_encoder(network)


def test_encoders_pass_and_others_are_refused():
    encode = PaletteStyle()
    assert style_encoder(encode) is encode
    with pytest.raises(ValueError, match="style must be \"vgg19\", .* got 'vgg'"):
        style_encoder("vgg")
    for which in ("palette", "openmoji", OpenMojiStyle()):
        with pytest.raises(ValueError, match="weights belong to style='vgg19' or a module of your own, got x.pth"):
            style_encoder(which, "x.pth")


# Fingerprints


def test_fingerprint_tells_networks_apart(weights, tmp_path):
    state = torch.load(weights)
    state["features.0.bias"][0] += 1e-6
    torch.save(state, tmp_path / "other.pth")
    torch.manual_seed(5)
    steep = Features()
    torch.manual_seed(5)
    flat = Features()
    flat.layers[2] = nn.LeakyReLU(0.1)
    encoders = [
        *every_encoder(weights).values(),
        VGGStyle(tmp_path / "other.pth", widths=NARROW),
        VGGStyle(weights, "caffe", widths=NARROW),
        style_encoder(steep),
        style_encoder(flat),
    ]
    for power, sides in ((1, (8, 8)), (2, (8, 8)), (2, (8, 9))):  # kept by a layer, which does not print them
        torch.manual_seed(5)
        network = Features()
        network.layers[2].power, network.sides = power, sides
        encoders.append(style_encoder(network))
    found = [encode.fingerprint() for encode in encoders]
    assert len(set(found)) == len(found)
    assert all(len(text) == 64 and int(text, 16) for text in found)


def test_fingerprint_stays(weights):
    first = VGGStyle(weights, widths=NARROW)
    assert first.fingerprint() == VGGStyle(weights, widths=NARROW).fingerprint()
    network = Features()
    network.act = F.relu  # printed with its address
    network.extra_repr = lambda: f"{F.relu} at 0x7f00{id(object()):x}"
    assert style_encoder(network).fingerprint() == style_encoder(network).fingerprint()
    moved = style_encoder(Features())
    moved.prepare()
    expected = moved.fingerprint()
    moved._fingerprint = ""
    moved.network.double()
    assert moved.fingerprint() == expected


def test_fingerprint_is_computed_once(weights, monkeypatch):
    encode = VGGStyle(weights, widths=NARROW)
    expected = encode.fingerprint()
    monkeypatch.setattr("hashlib.sha256", None)
    assert encode.fingerprint() == expected
