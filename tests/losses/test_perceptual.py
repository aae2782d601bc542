"""The perceptual loss: the official numbers, where gradients go, and what may stand in for Inception-V4."""

import copy

import pytest
import torch
from golden_cases import assert_close, golden
from lightning import LightningModule
from torch import Tensor, nn

from sketchgan import GANModule
from sketchgan.losses import PerceptualLoss
from sketchgan.modules.building import build, refuse_hidden_recipes
from sketchgan.networks import InceptionV4Stem, OpenMojiClassifier, inception_v4_from_tf, openmoji_classifier
from sketchgan.ops import resize_legacy


def rel(actual: Tensor, expected: Tensor) -> float:
    return ((actual - expected).abs().max() / expected.abs().max()).item()


class Probe(nn.Module):
    """A small network that remembers what it was given."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Sequential(nn.Conv2d(3, 4, 3, stride=2), nn.BatchNorm2d(4), nn.Dropout(0.5))
        self.seen: list[Tensor] = []
        self.tracked: list[bool] = []

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        self.seen.append(x)
        y = self.layer(x)
        self.tracked.append(y.requires_grad)
        return y, y.square()


@pytest.fixture
def pictures() -> tuple[Tensor, Tensor]:
    return torch.rand(2, 3, 32, 32) * 2 - 1, torch.rand(2, 3, 32, 32) * 2 - 1


def test_matches_official(monkeypatch):
    tensors = golden("sketchygan_losses").tensors
    network = InceptionV4Stem()
    network.load_state_dict(inception_v4_from_tf(golden("sketchygan_perceptual").under("state.InceptionV4")))
    monkeypatch.setattr("sketchgan.losses.perceptual.inception_v4_stem", lambda weights: network)
    looked = []
    network.register_forward_hook(lambda module, inputs, maps: looked.append(maps))
    fake = tensors["in.gens"].clone().requires_grad_(True)
    loss = PerceptualLoss()(tensors["in.images"], fake)
    for mode in ("sn_logistic", "dragan", "wgan_gp"):
        assert_close(loss, tensors[f"loss.{mode}.perceptual"], 1e-5)
    for number, maps in enumerate(looked[0]):
        assert rel(maps.mean((2, 3)), tensors[f"out.inception{number}_images_mean"]) < 2e-5
        assert rel(maps[:, :8, :6, :6], tensors[f"out.inception{number}_images_crop"]) < 2e-5
    loss.backward()
    expected = tensors["out.sn_logistic.grad.perceptual.gens"]
    assert ((fake.grad - expected).norm() / expected.norm()).item() < 5e-3


def test_gradients_flow_to_the_fakes_alone(pictures):
    real, fake = (images.requires_grad_(True) for images in pictures)
    network = Probe()
    PerceptualLoss(network)(real, fake).backward()
    assert fake.grad is not None and fake.grad.any()  # noqa: PT018
    assert real.grad is None
    assert all(p.grad is None and not p.requires_grad for p in network.parameters())
    assert network.tracked == [False, True]


def test_network_is_frozen_and_no_part_of_a_module(pictures):
    class Module(LightningModule):
        def __init__(self) -> None:
            super().__init__()
            self.generator = nn.Conv2d(3, 3, 1)
            self.perceptual = PerceptualLoss(Probe().train())

    module = Module()
    network = module.perceptual.network
    before = copy.deepcopy(network.state_dict())
    assert module.perceptual(*pictures) == module.perceptual(*pictures)
    assert all(torch.equal(value, before[key]) for key, value in network.state_dict().items())
    assert set(module.state_dict()) == {"generator.weight", "generator.bias"}
    assert list(module.children()) == [module.generator]
    module.double().train()
    assert network.layer[0].weight.dtype == torch.float32
    assert not network.training


def test_autocast_does_not_reach_the_network(pictures):
    network = Probe()
    loss = PerceptualLoss(network, size=20)
    expected = loss(*pictures)
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(loss(*pictures), expected)
        assert loss(pictures[0].bfloat16(), pictures[1]).dtype == torch.float32
    assert {x.dtype for x in network.seen} == {torch.float32}
    assert loss(pictures[0].double(), pictures[1].double()).dtype == torch.float64


def test_weights_of_layers(pictures):
    network = Probe().eval()
    near, far = ((network(pictures[0])[i] - network(pictures[1])[i]).abs().mean().detach() for i in (0, 1))
    assert_close(PerceptualLoss(network)(*pictures), near + far, 1e-6)
    assert_close(PerceptualLoss(network, layer_weights=[0.5, 2])(*pictures), 0.5 * near + 2 * far, 1e-6)
    with pytest.raises(ValueError, match="layer_weights must be 2 numbers, one per layer, got 3"):
        PerceptualLoss(network, layer_weights=[1, 1, 1])(*pictures)


def test_size_and_range_are_the_networks(pictures):
    network = Probe()
    PerceptualLoss(network)(*pictures)
    assert torch.equal(network.seen[-1], pictures[1])
    PerceptualLoss(network, size=20, value_range=(0, 255))(*pictures)
    assert_close(network.seen[-1], resize_legacy((pictures[1] + 1) / 2 * 255, 20), 1e-4)
    defaults = PerceptualLoss()
    assert (defaults.size, defaults.value_range) == (299, (0, 1))
    assert PerceptualLoss(size=None).size is None


def test_layers_inside_a_network(pictures):
    network = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Sequential(nn.Conv2d(4, 5, 3), nn.ReLU()))
    maps = PerceptualLoss(network, layers=["1", "2.0"]).features(pictures[0])
    assert_close(maps[0], network[:2](pictures[0]), 1e-6)
    assert_close(maps[1], network[2][0](network[:2](pictures[0])), 1e-6)
    with pytest.raises(ValueError, match="node: '7' is not present in model"):
        PerceptualLoss(network, layers=["7"]).prepare()


def test_the_packaged_classifier(pictures):
    stages = openmoji_classifier().stages
    maps = PerceptualLoss("openmoji").features(pictures[0])
    assert [tuple(m.shape[1:]) for m in maps] == [(16, 16, 16), (32, 8, 8), (64, 4, 4)]
    assert_close(maps[2], stages[:9](pictures[0]), 1e-5)
    torch.save(OpenMojiClassifier().state_dict(), "own.pth")
    own = PerceptualLoss("openmoji", weights="own.pth", layers=["2"]).features(pictures[0])
    assert len(own) == 1
    assert not torch.equal(own[0], maps[0])


def test_loading_leaves_the_random_numbers_alone():
    before = torch.get_rng_state()
    PerceptualLoss("openmoji").prepare()
    assert torch.equal(torch.get_rng_state(), before)


def test_first_use_in_inference_mode_leaves_the_network_fit_for_training(pictures):
    loss = PerceptualLoss("openmoji")
    with torch.inference_mode():
        loss(*pictures)
    fake = pictures[1].requires_grad_(True)
    loss(pictures[0], fake).backward()
    assert fake.grad.any()


class Module(GANModule):
    """Takes the loss as an argument."""

    def __init__(self, perceptual: PerceptualLoss | None = None) -> None:
        super().__init__()
        self.perceptual = perceptual


def test_a_checkpoint_can_name_it_as_yaml_does():
    recipe = {"network": "openmoji", "weights": "some/own.pth", "layers": ["2", "5"], "layer_weights": [1.0, 0.5]}
    settings = {"perceptual": {"class_path": "sketchgan.losses.perceptual.PerceptualLoss", "init_args": recipe}}
    refuse_hidden_recipes(Module, settings)
    loss = build(Module, settings, {}, "some.ckpt").perceptual
    assert type(loss) is PerceptualLoss
    assert {name: getattr(loss, name) for name in recipe} == recipe
    recipe["network"] = "os.path"
    with pytest.raises(ValueError, match="network='os.path' is no value of PerceptualLoss's argument network"):
        refuse_hidden_recipes(Module, settings)


def test_settings_that_do_not_fit_say_so():
    with pytest.raises(ValueError, match='network must be "inception_v4", "openmoji" or a module, got \'vgg\''):
        PerceptualLoss("vgg")
    with pytest.raises(ValueError, match='size must be at least 1, "default" or None, got 0'):
        PerceptualLoss(size=0)
    with pytest.raises(ValueError, match=r"value_range must be \(low, high\), got \(1, 0\)"):
        PerceptualLoss(value_range=(1, 0))
    with pytest.raises(FileNotFoundError, match=r"no weights nowhere\.pth"):
        PerceptualLoss(weights="nowhere.pth").prepare()
