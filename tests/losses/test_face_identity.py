"""The face-ID loss: the official numbers, and that its network stays out of everything."""

import copy

import pytest
import torch
from golden_cases import assert_close, golden
from lightning import LightningModule
from torch import Tensor, nn

from sketchgan.losses import FaceIdentityLoss, face_crop
from sketchgan.losses.face_identity import OFFICIAL
from sketchgan.networks import MobileFaceNet


def pictures(levels: Tensor) -> Tensor:
    return (levels.float() / 255 - 0.5) / 0.5


class Statistics(nn.Module):
    """What stands for the face network in the golden case."""

    def forward(self, x: Tensor) -> Tensor:
        red, green, blue = x.unbind(1)
        return torch.stack([red.mean((1, 2)), green.flatten(1).std(1), blue.amax((1, 2)), x.mean((1, 2, 3))], dim=1)


class Probe(nn.Module):
    """A small network that counts its calls and remembers what it was given."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Sequential(nn.Conv2d(3, 4, 16, stride=16), nn.BatchNorm2d(4), nn.Flatten(), nn.Dropout(0.5))
        self.seen: list[Tensor] = []
        self.moves = 0

    def forward(self, x: Tensor) -> Tensor:
        self.seen.append(x)
        return self.layer(x)

    def _apply(self, *args, **kwargs):
        self.moves += 1
        return super()._apply(*args, **kwargs)


@pytest.fixture
def portraits() -> tuple[Tensor, Tensor]:
    return torch.rand(2, 3, 64, 64) * 2 - 1, torch.rand(2, 3, 64, 64) * 2 - 1


@pytest.mark.parametrize("case", [0, 1])
def test_crop_matches_official(case):
    tensors = golden("photo2cartoon_facecrop").tensors
    assert_close(face_crop(pictures(tensors[f"in.x{case}_u8"])), tensors[f"out.crop{case}"], 1e-6)


def test_crop_at_256():
    rows = torch.arange(256.0).view(1, 1, -1, 1).expand(1, 1, 256, 256)
    for image, first, last in ((rows, 57, 218), (rows.mT, 47, 208)):
        crop = face_crop(image)
        assert (crop.min().item(), crop.max().item()) == (first, last)


def test_crop_of_narrow_pictures_is_refused():
    face_crop(torch.zeros(1, 3, 100, 64))
    with pytest.raises(ValueError, match="the face of a portrait 100 pixels high is 63 wide, got a width of 60"):
        face_crop(torch.zeros(1, 3, 100, 60))


def test_distance_matches_official():
    tensors = golden("photo2cartoon_facecrop").tensors
    real, fake = (pictures(tensors[f"in.{side}_u8"]) for side in "ab")
    loss = FaceIdentityLoss(Statistics())
    assert_close(loss.features(real), tensors["out.features_a"], 1e-6)
    assert_close(loss(real, fake), tensors["out.distance"].mean(), 1e-6)
    for i, distance in enumerate(tensors["out.distance"]):
        assert_close(loss(real[i : i + 1], fake[i : i + 1]), distance, 1e-6)


def test_gradients_flow_to_the_fakes_alone(portraits):
    real, fake = (images.requires_grad_(True) for images in portraits)
    network = Probe()
    FaceIdentityLoss(network)(real, fake).backward()
    assert fake.grad is not None and fake.grad.any()  # noqa: PT018
    assert real.grad is None
    assert all(p.grad is None and not p.requires_grad for p in network.parameters())
    assert [x.requires_grad for x in network.seen] == [False, True]


def test_network_stays_in_evaluation_mode(portraits):
    network = Probe().train()
    before = copy.deepcopy(network.state_dict())
    loss = FaceIdentityLoss(network)
    assert loss(*portraits) == loss(*portraits)
    assert not any(module.training for module in network.modules())
    assert all(torch.equal(value, before[key]) for key, value in network.state_dict().items())


def test_network_is_no_part_of_a_module(portraits):
    class Module(LightningModule):
        def __init__(self) -> None:
            super().__init__()
            self.generator = nn.Conv2d(3, 3, 1)
            self.face_identity = FaceIdentityLoss(Probe())

    module = Module()
    module.face_identity(*portraits)
    assert set(module.state_dict()) == {"generator.weight", "generator.bias"}
    assert len(list(module.parameters())) == 2
    assert list(module.children()) == [module.generator]
    module.double().train()
    assert module.face_identity.network.layer[0].weight.dtype == torch.float32
    assert not module.face_identity.network.training


def test_network_follows_the_pictures_and_moves_only_then(portraits):
    network = Probe()
    loss = FaceIdentityLoss(network)
    single = loss(*portraits)
    loss(*portraits)
    assert network.moves == 0
    double = loss(*(images.double() for images in portraits))
    loss(*(images.double() for images in portraits))
    assert network.moves == 1
    assert double.dtype == torch.float64
    assert_close(single, double.float(), 1e-6)
    assert torch.equal(loss(*portraits), single)
    moved = loss._network_for(torch.zeros(1, device="meta"))  # the other device that there always is
    assert {p.device.type for p in moved.parameters()} == {"meta"}


def test_autocast_does_not_reach_the_network(portraits):
    network = Probe()
    loss = FaceIdentityLoss(network)
    expected = loss(*portraits)
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(loss(*portraits), expected)
        half = loss(portraits[0], portraits[1].bfloat16())
    assert half.dtype == torch.float32
    assert {x.dtype for x in network.seen} == {torch.float32}


def test_first_use_in_inference_mode_leaves_the_network_fit_for_training(portraits, tmp_path):
    torch.save(MobileFaceNet().state_dict(), tmp_path / "weights.pth")
    loss = FaceIdentityLoss(weights=tmp_path / "weights.pth")
    with torch.inference_mode():
        loss(*portraits)
        loss(*(images.double() for images in portraits))  # a move
    fake = portraits[1].double().requires_grad_(True)
    loss(portraits[0].double(), fake).backward()
    assert fake.grad.any()


def test_channels_can_be_swapped(portraits):
    plain, swapped = Probe(), Probe()
    FaceIdentityLoss(plain)(*portraits)
    FaceIdentityLoss(swapped, swap_channels=True)(*portraits)
    for rgb, bgr in zip(plain.seen, swapped.seen, strict=True):
        assert torch.equal(rgb[:, [2, 1, 0]], bgr)


def test_weights_are_loaded_once_and_not_at_construction(portraits, tmp_path, monkeypatch):
    path = tmp_path / "model_mobilefacenet.pth"
    loss = FaceIdentityLoss(weights=path)
    saved = MobileFaceNet().state_dict()
    torch.save(saved, path)
    loss.prepare()
    assert all(torch.equal(value, saved[key]) for key, value in loss.network.state_dict().items())
    path.unlink()
    loss.prepare()
    assert loss(portraits[0], portraits[0]).item() == pytest.approx(0, abs=1e-6)
    assert 0 < loss(*portraits).item() < 2


def test_without_weights_the_error_says_where_they_are():
    with pytest.raises(FileNotFoundError, match=r"fetch model_mobilefacenet\.pth, .*InsightFace_Pytorch.* as weights"):
        FaceIdentityLoss().prepare()
    with pytest.raises(FileNotFoundError, match=r"no weights nowhere\.pth"):
        FaceIdentityLoss(weights="nowhere.pth").prepare()


def test_wrong_weights_are_named():
    state = MobileFaceNet().state_dict()
    state["classifier.weight"] = state.pop("linear.weight")
    torch.save(state, "other.pth")
    message = (
        r"other\.pth holds no weights of MobileFaceNet \(missing: linear.weight; unknown: classifier.weight\); give"
    )
    with pytest.raises(ValueError, match=message) as error:
        FaceIdentityLoss(weights="other.pth").prepare()
    assert OFFICIAL in str(error.value)
    torch.save(MobileFaceNet(8).state_dict(), "small.pth")
    with pytest.raises(ValueError, match=r"of another shape: linear.weight, bn.weight, bn.bias and 2 more"):
        FaceIdentityLoss(weights="small.pth").prepare()
    torch.save([torch.zeros(1)], "list.pth")
    with pytest.raises(ValueError, match=r"list\.pth holds no state dict"):
        FaceIdentityLoss(weights="list.pth").prepare()
    torch.save({"a": print}, "evil.pth")
    with pytest.raises(ValueError, match=r"evil\.pth cannot be loaded safely as weights"):
        FaceIdentityLoss(weights="evil.pth").prepare()
