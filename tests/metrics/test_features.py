import urllib.error

import pytest
import torch
from torch import nn

from sketchgan.data import OpenMoji
from sketchgan.data.transforms import to_uint8
from sketchgan.metrics import FeatureNet, feature_net, lpips, openmoji_classifier
from sketchgan.metrics.features import LPIPS_FILES

PICTURES = torch.randint(0, 256, (2, 3, 40, 40), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))


def test_openmoji_classifier_knows_held_out_pictures():
    """README says how well; it must be the shipped weights' own accuracy."""
    data = OpenMoji(augment=False).dataset("test")
    samples = [data[i] for i in range(len(data))]
    labels = torch.tensor([sample["A_label"] for sample in samples])
    net = openmoji_classifier()
    accuracies = [net.accuracy(to_uint8(torch.stack([s[side] for s in samples])), labels) for side in "AB"]
    assert accuracies == [pytest.approx(0.644, abs=0.02), pytest.approx(0.624, abs=0.02)]


def test_feature_nets_never_train():
    net = feature_net("openmoji")
    net.train()
    assert not any(module.training for module in net.modules())
    assert not any(p.requires_grad for p in net.parameters())
    assert net.widths == (64, 7)
    features, logits = net(PICTURES)
    assert (features.shape, logits.shape) == ((2, 64), (2, 7))
    assert "not Inception" in net.protocol
    grey = net(PICTURES[:, :1])[0]
    assert torch.equal(grey, net(PICTURES[:, :1].expand(-1, 3, -1, -1))[0])


def test_any_module_will_do():
    class Mean(nn.Module):
        def forward(self, x):
            return x.double().mean((2, 3))

    net = feature_net(Mean())
    features, logits = net(PICTURES)
    assert features.dtype == torch.float32
    assert torch.equal(features, logits)
    assert net.widths == (3, 3)
    assert net.protocol.startswith("Mean")
    assert feature_net(net) is net
    with pytest.raises(ValueError, match='a network for scores is "inception", "openmoji" or a module, got \'vgg\''):
        feature_net("vgg")


@pytest.fixture
def inception_weights(tmp_path, monkeypatch):
    """Random weights in the layout of the file that is downloaded."""
    from torch_fidelity.feature_extractor_inceptionv3 import FeatureExtractorInceptionV3

    path = tmp_path / "inception.pth"
    torch.save({}, path)
    with monkeypatch.context() as patched:
        patched.setattr(FeatureExtractorInceptionV3, "load_state_dict", lambda self, state: None)
        net = FeatureExtractorInceptionV3("inception-v3-compat", ["2048"], str(path))
    torch.save(net.state_dict(), path)
    return path


def test_inception_from_a_local_file(inception_weights):
    net = feature_net("inception", inception_weights)
    features, logits = net(PICTURES)
    assert (features.shape, logits.shape) == ((2, 2048), (2, 1008))
    state = torch.load(inception_weights, weights_only=True)
    assert torch.equal(net.net.fc.weight, state["fc.weight"])
    assert "299x299" in net.protocol


@pytest.mark.parametrize("kind", ["inception", "lpips"])
def test_offline_the_error_names_address_place_and_option(kind, monkeypatch, tmp_path):
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))

    def offline(*args, **kwargs):
        raise urllib.error.URLError("no network")

    monkeypatch.setattr("torch.hub.download_url_to_file", offline)
    message = (
        r"cannot download https://\S+ \(.*no network.*\); fetch it .* put it at \S+checkpoints\S+, or give its path as"
    )
    with pytest.raises(FileNotFoundError, match=message):
        feature_net("inception") if kind == "inception" else lpips("squeeze")


@pytest.mark.parametrize("load", [lambda path: feature_net("inception", path), lambda path: lpips("alex", path)])
def test_weights_are_never_unpickled(tmp_path, load):
    torch.save({"a": print}, tmp_path / "evil.pth")
    with pytest.raises(ValueError, match=r"evil\.pth cannot be loaded safely as weights"):
        load(tmp_path / "evil.pth")
    with pytest.raises(FileNotFoundError, match=r"no weights .*missing\.pth"):
        load(tmp_path / "missing.pth")


def test_lpips_from_a_local_file(tmp_path):
    import torchvision

    path = tmp_path / "mine.pth"
    torch.manual_seed(3)
    torch.save(torchvision.models.squeezenet1_1(weights=None).state_dict(), path)
    before = torch.hub.get_dir()
    metric = lpips("squeeze", path)
    assert torch.hub.get_dir() == before
    images = PICTURES / 255
    assert metric(images, images).item() == 0
    assert metric(images, 1 - images).item() > 0
    first = next(iter(torch.load(path, weights_only=True).values()))
    assert any(p.shape == first.shape and torch.equal(p, first) for p in metric.parameters())
    with pytest.raises(ValueError, match="lpips_net must be one of alex, vgg, squeeze, got 'resnet'"):
        lpips("resnet")


def test_names_of_the_lpips_files_are_torchvisions():
    from torchvision.models import AlexNet_Weights, SqueezeNet1_1_Weights, VGG16_Weights

    weights = {"alex": AlexNet_Weights, "vgg": VGG16_Weights, "squeeze": SqueezeNet1_1_Weights}
    for net, enum in weights.items():
        assert enum.IMAGENET1K_V1.url == f"https://download.pytorch.org/models/{LPIPS_FILES[net]}"


def test_own_feature_net_says_its_protocol():
    assert FeatureNet(nn.Flatten(), "flat").protocol == "flat"
