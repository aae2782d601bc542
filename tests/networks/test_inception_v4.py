"""The Inception-V4 stem: its values are tested with the perceptual loss; here weights, names, errors."""

import urllib.error

import pytest
import torch
from golden_cases import golden
from safetensors.torch import save_file

from sketchgan.networks import InceptionV4Stem, inception_v4_from_tf, inception_v4_stem
from sketchgan.networks.inception_v4 import FILE, URL


@pytest.fixture(scope="module")
def timm_like() -> dict[str, torch.Tensor]:
    """The state dict of a whole network, later layers included."""
    torch.manual_seed(3)
    return {
        **InceptionV4Stem().state_dict(),
        "features.7.branch0.conv.weight": torch.zeros(1),
        "last_linear.bias": torch.ones(2),
    }


def test_names_are_those_of_timm(timm_like):
    for key in (
        "features.0.conv.weight",
        "features.3.conv.bn.running_mean",
        "features.4.branch0.1.conv.weight",
        "features.4.branch1.3.bn.bias",
        "features.5.conv.conv.weight",
        "features.6.branch0.conv.weight",
        "features.6.branch2.2.bn.running_var",
        "features.6.branch3.1.conv.weight",
    ):
        assert key in timm_like
    assert sum(p.numel() for p in InceptionV4Stem().parameters()) == 923_360


@pytest.mark.parametrize("suffix", [".safetensors", ".pth", ".bin"])
def test_a_file_of_the_whole_network(timm_like, suffix):
    path = f"whole{suffix}"
    half = {key: value.half() if value.is_floating_point() else value for key, value in timm_like.items()}
    save_file(half, path) if suffix == ".safetensors" else torch.save(half, path)
    network = inception_v4_stem(path)
    assert not network.training
    for key, value in network.state_dict().items():
        assert value.dtype in (torch.float32, torch.int64)
        assert torch.equal(value, half[key].to(value.dtype)), key


def test_smallest_size():
    maps = InceptionV4Stem().eval()(torch.zeros(1, 3, 27, 27))
    assert [m.shape[-1] for m in maps] == [11, 3, 1]
    with pytest.raises(RuntimeError):
        InceptionV4Stem().eval()(torch.zeros(1, 3, 26, 26))


def test_files_that_lack_weights_say_which(timm_like):
    lacking = {key: value for key, value in timm_like.items() if "branch3" not in key}
    torch.save(lacking, "lacking.pth")
    message = (
        r"lacking\.pth holds no weights of InceptionV4Stem \(missing: features\.6\.branch3\.1\.conv\.weight, .* 2 more"
    )
    with pytest.raises(ValueError, match=message) as error:
        inception_v4_stem("lacking.pth")
    assert URL in str(error.value)
    torch.save([1], "list.pth")
    with pytest.raises(ValueError, match=r"list\.pth holds no state dict; give timm's"):
        inception_v4_stem("list.pth")
    with open("torn.safetensors", "wb") as file:
        file.write(b"<html>")
    with pytest.raises(ValueError, match=r"torn\.safetensors is no readable safetensors file"):
        inception_v4_stem("torn.safetensors")


def test_download_once_into_torchs_folder(timm_like, tmp_path, monkeypatch):
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path / "hub"))
    asked = []

    def download(url, path):
        asked.append(url)
        save_file(timm_like, path)

    monkeypatch.setattr(torch.hub, "download_url_to_file", download)
    for _ in range(2):
        network = inception_v4_stem()
    assert asked == [URL]
    assert (tmp_path / "hub" / "checkpoints" / FILE).is_file()
    assert torch.equal(network.features[0].conv.weight, timm_like["features.0.conv.weight"])


def test_offline_the_error_says_what_to_do(tmp_path, monkeypatch):
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path / "hub"))

    def download(url, path):
        raise urllib.error.URLError("no route to host")

    monkeypatch.setattr(torch.hub, "download_url_to_file", download)
    with pytest.raises(FileNotFoundError) as error:
        inception_v4_stem()
    for part in (URL, str(tmp_path / "hub" / "checkpoints" / FILE), "give its path as weights of the perceptual loss"):
        assert part in str(error.value)


def test_tensorflow_names_are_all_used_once():
    case = golden("sketchygan_perceptual")
    state = case.under("state.InceptionV4")
    ours = inception_v4_from_tf(state)
    gammas = {key for key in ours if key.endswith(".bn.weight")}
    assert len(ours) == len(state) + len(gammas)
    assert all(bool((ours[key] == 1).all()) for key in gammas)
    assert {value.dtype for value in ours.values()} == {torch.float32}
    counters = {key for key in InceptionV4Stem().state_dict() if key.endswith("num_batches_tracked")}
    assert ours.keys() == InceptionV4Stem().state_dict().keys() - counters
    state.pop("InceptionV4/Mixed_5a/Branch_0/Conv2d_1a_3x3/weights")
    with pytest.raises(ValueError, match="Mixed_5a/Branch_0/Conv2d_1a_3x3/weights missing"):
        inception_v4_from_tf(state)
    gamma = torch.full((32,), 2.0)
    scaled = golden("sketchygan_perceptual").under("state.InceptionV4") | {
        "InceptionV4/Conv2d_1a_3x3/BatchNorm/gamma": gamma
    }
    assert torch.equal(inception_v4_from_tf(scaled)["features.0.bn.weight"], gamma)
