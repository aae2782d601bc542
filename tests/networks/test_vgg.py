"""VGG to look through: torchvision's layers and names, the preprocessing of two conventions, and what it refuses."""

import pytest
import torch
import torchvision
from golden_cases import assert_close, golden
from lightning import LightningModule
from safetensors.torch import save_file
from torch import Tensor, nn
from torchvision.models.vgg import cfgs, make_layers

from sketchgan.networks import FrozenVGG
from sketchgan.networks.vgg import URLS, VGG, layer_names
from sketchgan.ops import resize_area

NARROW = (2, 3, 4, 5, 6, 7)
LETTERS = {16: "D", 19: "E"}  # of the paper's table, and torchvision's


def torchvision_vgg(depth: int) -> nn.Module:
    """Torchvision's own network with narrow layers, and with biases that matter."""
    widths = dict(zip((64, 128, 256, 512), NARROW, strict=False))
    narrow, pools = [], 0
    for width in cfgs[LETTERS[depth]]:
        pools += width == "M"
        narrow.append(width if width == "M" else NARROW[4] if pools == 4 else widths[width])
    with torch.device("meta"):  # its own linear layers are large
        network = torchvision.models.VGG(nn.Identity(), num_classes=1, init_weights=False)
    network.features = make_layers(narrow)
    network.classifier[0] = nn.Linear(NARROW[4] * 49, NARROW[5])
    network.classifier[3] = nn.Linear(NARROW[5], NARROW[5])
    network.classifier[6] = nn.Linear(NARROW[5], 1000)
    for parameter in network.parameters():
        nn.init.normal_(parameter, std=0.3)
    return network.eval()


@pytest.fixture(scope="module")
def networks(tmp_path_factory):
    """Torchvision's networks, and files of their weights."""
    torch.manual_seed(3)
    folder = tmp_path_factory.mktemp("vgg")
    made = {}
    for depth in (16, 19):
        network = torchvision_vgg(depth)
        torch.save(network.state_dict(), folder / f"vgg{depth}.pth")
        made[depth] = network, folder / f"vgg{depth}.pth"
    return made


def frozen(layers, networks, depth=19, **settings) -> FrozenVGG:
    return FrozenVGG(layers, depth, networks[depth][1], widths=NARROW, **settings)


def outputs(network: nn.Module, depth: int, x: Tensor) -> dict[str, Tensor]:
    """All outputs of torchvision's network, each kept before a ReLU overwrites it."""
    found = {}
    names = iter(layer_names(depth))
    for part in (network.features, network.classifier):
        for layer in part:
            x = layer(x).clone()
            found[next(names)] = x.clone()
        x = x.flatten(1)
    return found


@pytest.mark.parametrize("depth", [16, 19])
def test_every_layer_is_torchvisions(networks, depth):
    pictures = torch.rand(1, 3, 224, 224) * 2 - 1
    seen = torchvision.transforms.Normalize((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))((pictures + 1) / 2)
    expected = outputs(networks[depth][0], depth, seen)
    names = [name for name in expected if "dropout" not in name]
    found = frozen(names, networks, depth)(pictures)
    assert list(found) == names
    for name in names:
        scale = expected[name].abs().max().item()
        assert scale > 0
        assert_close(found[name], expected[name], 1e-5 * scale, name)


@pytest.mark.parametrize("depth", [16, 19])
def test_full_size_names_and_shapes_are_torchvisions(depth):
    with torch.device("meta"):
        ours = VGG(["fc3"], depth).state_dict()
        theirs = getattr(torchvision.models, f"vgg{depth}")(init_weights=False).state_dict()
    assert {k: v.shape for k, v in ours.items()} == {k: v.shape for k, v in theirs.items()}
    with torch.device("meta"):
        first = VGG(["fc1"], depth)
    if depth == 19:  # as on the page of the paper
        assert sum(p.numel() for p in first.parameters()) == 122_788_928


@pytest.mark.parametrize(
    ("depth", "name", "number"),
    [(16, "relu4_2", 20), (19, "relu1_1", 1), (19, "relu2_1", 6), (19, "relu3_1", 11), (19, "relu4_1", 20),
     (19, "relu4_2", 22), (19, "relu5_1", 29)],
)  # fmt: skip
def test_numbers_of_layers(depth, name, number):
    assert layer_names(depth).index(name) == number


def test_relu_leaves_the_convolution_as_it_was(networks):
    found = frozen(["relu1_1", "conv1_1", "fc1", "fc1_relu"], networks)(torch.rand(1, 3, 224, 224) * 2 - 1)
    assert list(found) == ["relu1_1", "conv1_1", "fc1", "fc1_relu"]  # in the order asked for
    for before, after in (("conv1_1", "relu1_1"), ("fc1", "fc1_relu")):
        assert (found[before] < 0).any()
        assert torch.equal(found[before].relu(), found[after])


def test_golden_maps_of_a_narrow_network(tmp_path):
    case = golden("nst_losses")
    state = {key.removeprefix("vgg."): value for key, value in case.under("state").items() if key.startswith("vgg.")}
    save_file(state, tmp_path / "vgg.safetensors")
    vgg = FrozenVGG("relu4_2", weights=tmp_path / "vgg.safetensors", size=None, widths=(4, 8, 16, 32, 32, 1))
    vgg.shown = lambda images: images  # of the case, already prepared
    target, content = vgg(case.tensors["in.content"]), vgg(case.tensors["in.x0"])
    loss = 5.0 * (content["relu4_2"] - target["relu4_2"]).square().mean()
    torch.testing.assert_close(loss, case.tensors["loss.single.content"], rtol=1e-6, atol=0)


# What the network is shown


def shown(vgg: FrozenVGG, pictures: Tensor) -> Tensor:
    seen = []
    vgg.prepare()
    hook = vgg.network.register_forward_pre_hook(lambda module, inputs: seen.append(inputs[0]))
    vgg(pictures)
    hook.remove()
    return seen[0]


def test_torchvision_preprocessing(networks):
    pictures = torch.rand(2, 3, 16, 24) * 2 - 1
    seen = shown(frozen("relu1_1", networks, size=None), pictures)
    for channel, (mean, std) in enumerate([(0.485, 0.229), (0.456, 0.224), (0.406, 0.225)]):
        assert_close(seen[:, channel], ((pictures[:, channel] + 1) / 2 - mean) / std, 1e-6)


def test_caffe_preprocessing(networks):
    pictures = torch.rand(2, 3, 16, 24) * 2 - 1
    seen = shown(frozen("relu1_1", networks, size=None, convention="caffe"), pictures)
    for channel, (rgb, mean) in enumerate([(2, 103.939), (1, 116.779), (0, 123.68)]):
        assert_close(seen[:, channel], (pictures[:, rgb] + 1) / 2 * 255 - mean, 1e-4)


def test_pictures_are_resized_by_area_whatever_their_aspect(networks):
    pictures = torch.rand(1, 3, 448, 896) * 2 - 1
    vgg = frozen("relu1_1", networks)
    means = pictures.unflatten(2, (224, 2)).unflatten(4, (224, 4)).mean((3, 5))
    assert_close(vgg.fit(pictures), means, 1e-6)
    assert_close(shown(vgg, pictures), shown(vgg, means), 1e-5)
    upright = torch.rand(1, 3, 300, 180)
    assert torch.equal(vgg.fit(upright), resize_area(upright, 224, 224))
    assert torch.equal(vgg.fit(vgg.fit(upright)), vgg.fit(upright))


def test_grey_is_colour(networks):
    grey = torch.rand(1, 1, 32, 32) * 2 - 1
    vgg = frozen("relu2_1", networks, size=None)
    assert torch.equal(vgg(grey)["relu2_1"], vgg(grey.expand(-1, 3, -1, -1))["relu2_1"])


# How it runs


def test_no_deeper_than_asked(networks):
    vgg = frozen(["relu3_1", "conv1_2"], networks)
    vgg.prepare()
    assert len(vgg.network.features) == 12
    assert not len(vgg.network.classifier)


def test_memory_of_the_file_is_that_of_the_network(networks, monkeypatch):
    states = []

    def load(path, url):
        states.append(torch.load(path))
        return states[0]

    monkeypatch.setattr("sketchgan.networks.vgg.weights_of", load)
    vgg = frozen("relu2_1", networks)
    vgg.prepare()
    own = {p.data_ptr() for p in vgg.network.parameters()}
    assert own == {states[0][name].data_ptr() for name, _ in vgg.network.named_parameters()}
    assert not any(p.requires_grad for p in vgg.network.parameters())


def test_gradients_flow_to_the_pictures(networks):
    pictures = (torch.rand(1, 3, 6, 9) * 2 - 1).double().requires_grad_(True)
    vgg = frozen("conv2_1", networks, size=4)
    assert torch.autograd.gradcheck(lambda x: vgg(x)["conv2_1"].square().mean(), pictures)
    assert vgg(pictures)["conv2_1"].dtype == torch.float64


def test_float32_under_autocast(networks):
    pictures = torch.rand(1, 3, 32, 32) * 2 - 1
    vgg = frozen("relu3_1", networks, size=None)
    expected = vgg(pictures)["relu3_1"]
    with torch.autocast("cpu", torch.bfloat16):
        found = vgg(pictures.bfloat16().float())["relu3_1"]
        assert torch.equal(vgg(pictures)["relu3_1"], expected)
    assert found.dtype == torch.float32


def test_is_no_part_of_a_module(networks):
    class Module(LightningModule):
        def __init__(self) -> None:
            super().__init__()
            self.generator = nn.Conv2d(3, 3, 1)
            self.vgg = frozen("relu1_1", networks)

    module = Module()
    module.vgg(torch.rand(1, 3, 32, 32))
    assert set(module.state_dict()) == {"generator.weight", "generator.bias"}
    assert len(list(module.parameters())) == 2


def test_loading_draws_no_random_numbers(networks):
    before = torch.get_rng_state()
    frozen("relu1_1", networks).prepare()
    assert torch.equal(torch.get_rng_state(), before)


# What it refuses


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"layers": "relu6_1"}, r"VGG-19 has no layer 'relu6_1'; there are conv1_1, relu1_1, .*fc1"),
        ({"layers": ["relu1_1", "conv4_4"], "depth": 16}, "VGG-16 has no layer 'conv4_4'"),
        ({"layers": []}, "layers is empty"),
        ({"layers": "fc1", "size": None}, "fc1 of VGG takes pictures of 224 px; use size=224, got None"),
        ({"layers": "fc2", "size": 256}, "fc2 of VGG takes pictures of 224 px"),
        ({"layers": "fc1", "depth": 11}, "depth must be 16 or 19, got 11"),
        ({"layers": "fc1", "convention": "keras"}, "convention must be .* got 'keras'"),
        ({"layers": "fc1", "convention": "caffe"}, "give a file for convention='caffe'"),
        ({"layers": "pool1", "size": 0}, "size must be at least 1"),
    ],
)
def test_wrong_arguments(settings, message):
    with pytest.raises(ValueError, match=message):
        FrozenVGG(**settings)


@pytest.mark.parametrize(
    ("pictures", "message"),
    [
        (torch.zeros(1, 3, 8, 8, dtype=torch.uint8), "must be float .* got torch.uint8 \\(1, 3, 8, 8\\)"),
        (torch.zeros(3, 8, 8), r"got torch.float32 \(3, 8, 8\)"),
        (torch.zeros(1, 4, 8, 8), r"got torch.float32 \(1, 4, 8, 8\)"),
        (torch.zeros(1, 3, 15, 99), "pictures of 99x15 pixels are too small for VGG's pool4, which wants 16"),
    ],
)
def test_wrong_pictures(networks, pictures, message):
    with pytest.raises(ValueError, match=message):
        frozen("pool4", networks, size=None)(pictures)


def test_weights_of_the_other_depth_and_others(networks, tmp_path):
    with pytest.raises(ValueError, match=r"vgg16.pth holds no weights of VGG .*; give weights .* torchvision's vgg19"):
        FrozenVGG("relu1_1", 19, networks[16][1]).prepare()
    with pytest.raises(ValueError, match="vgg19.pth holds no weights of VGG .*unknown: features.16.weight"):
        FrozenVGG("relu1_1", 16, networks[19][1], widths=NARROW).prepare()
    torch.save([1], tmp_path / "list.pth")
    with pytest.raises(ValueError, match="list.pth holds no state dict"):
        FrozenVGG("relu1_1", weights=tmp_path / "list.pth").prepare()
    with pytest.raises(FileNotFoundError, match="no weights .*gone.pth"):
        FrozenVGG("relu1_1", weights="gone.pth").prepare()


@pytest.mark.parametrize("depth", [16, 19])
def test_offline(monkeypatch, depth):
    def fail(url, **settings):
        assert url == URLS[depth] == getattr(torchvision.models, f"VGG{depth}_Weights").IMAGENET1K_V1.url
        raise OSError("no route to host")

    monkeypatch.setattr(torch.hub, "load_state_dict_from_url", fail)
    with pytest.raises(FileNotFoundError, match=rf"(?s)cannot download .*vgg{depth}-.*no route.* or give its path"):
        FrozenVGG("relu1_1", depth).prepare()
