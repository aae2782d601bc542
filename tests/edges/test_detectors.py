import functools

import pytest
import torch
from torch.testing import assert_close

from sketchgan.edges import EdgePipeline, canny, detector, sobel
from sketchgan.networks import HED


def square():
    photos = torch.zeros(2, 3, 40, 48)
    photos[0, :, 10:30, 12:36] = 1
    photos[1, 1, :, 20:] = 0.6
    return photos


@pytest.mark.parametrize("find", [sobel, canny])
def test_strength_lies_along_the_edges(find):
    strength = find(square())
    assert strength.shape == (2, 40, 48)
    assert strength.amin() >= 0
    assert strength.amax() <= 1
    on = strength[0] > 0.3
    assert 80 <= on.sum() <= 4 * 88
    y, x = on.nonzero(as_tuple=True)
    distance = torch.minimum((y - 9.5).abs().minimum((y - 29.5).abs()), (x - 11.5).abs().minimum((x - 35.5).abs()))
    assert distance.max() <= 2
    assert strength[1, 20].argmax() in (19, 20)


def test_sobel():
    assert_close(sobel(square()).amax((1, 2)), torch.ones(2))
    assert (sobel(torch.full((1, 3, 9, 9), 0.7)) == 0).all()
    turned = sobel(square().mT)
    assert_close(turned, sobel(square()).mT)
    ramp = torch.arange(20.0).expand(1, 3, 20, 20) / 20
    assert_close(sobel(ramp)[0, 5:-5, 5:-5], torch.ones(10, 10))


def test_canny_of_a_step():
    step = torch.zeros(1, 3, 20, 20)
    step[..., 10:] = 1
    strength = canny(step)[0, 10]
    assert strength.count_nonzero() == 1
    assert strength.amax().item() == pytest.approx(1, abs=0.01)
    assert canny(step * 0.15).count_nonzero() == 0
    assert canny(step * 0.15, 0.1, 0.1).count_nonzero() > 0
    with pytest.raises(ValueError, match="0 < low <= high, got 0.5 and 0.1"):
        canny(step, 0.5, 0.1)


def test_canny_through_the_pipeline():
    edges = EdgePipeline("canny", size=64, border=8)(torch.nn.functional.pad(square()[:1], (8, 8, 12, 12))).edges
    assert edges[0].sum() > 60


def test_names():
    assert detector("sobel") is sobel
    assert detector("canny") is canny
    assert detector(len) is len
    with pytest.raises(ValueError, match="hed, dexined, canny, sobel or a callable, got 'laplace'"):
        detector("laplace")
    with pytest.raises(ValueError, match="weights are for the detectors hed and dexined, not for 'sobel'"):
        detector("sobel", "weights.pth")


def test_hed(tmp_path, monkeypatch):
    monkeypatch.setattr("sketchgan.networks.hed.HED", functools.partial(HED, width=2))
    network = HED("rgb", width=2)
    torch.save(network.state_dict(), tmp_path / "hed.pth")
    pipeline = EdgePipeline("hed", size=None, border=3, weights=tmp_path / "hed.pth", channel_order="rgb")
    photos = torch.rand(1, 3, 18, 21)
    with torch.no_grad():
        expected = network(torch.nn.functional.pad(photos, (3, 3, 3, 3), mode="reflect"))[:, 3:-3, 3:-3]
    assert_close(pipeline.strength(photos), expected)
    assert pipeline.settings()["weights"] == str(tmp_path / "hed.pth")
    assert pipeline.settings()["channel_order"] == "rgb"


def test_dexined_of_kornia():
    dexined = pytest.importorskip("kornia.filters.dexined")
    with torch.device("meta"):  # a hundred megabytes otherwise
        assert dexined.DexiNed(pretrained=False)(torch.rand(1, 3, 37, 48)).shape == (1, 1, 37, 48)


def test_dexined(tmp_path, monkeypatch):
    dexined = pytest.importorskip("kornia.filters.dexined")
    monkeypatch.setattr(dexined, "DexiNed", lambda pretrained: torch.nn.Conv2d(3, 1, 3, padding=1))
    network = torch.nn.Conv2d(3, 1, 3, padding=1)
    torch.save({name: value / 100 for name, value in network.state_dict().items()}, tmp_path / "dexined.pth")
    photos = torch.rand(1, 3, 32, 48)
    found = detector("dexined", tmp_path / "dexined.pth")(photos)
    means = torch.tensor([103.939, 116.779, 123.68]).view(3, 1, 1)
    with torch.no_grad():
        assert_close(found, (network(photos[:, [2, 1, 0]] * 255 - means)[:, 0] / 100).sigmoid())
    torch.save({"other": torch.zeros(1)}, tmp_path / "other.pth")
    with pytest.raises(ValueError, match=r"other\.pth holds no weights"):
        detector("dexined", tmp_path / "other.pth")
    with pytest.raises(FileNotFoundError, match=r"no weights nowhere\.pth"):
        detector("dexined", "nowhere.pth")


def test_offline(monkeypatch):
    def offline(*args, **kwargs):
        assert kwargs["weights_only"]
        raise OSError("no route to host")

    monkeypatch.setattr(torch.hub, "load_state_dict_from_url", offline)
    with pytest.raises(FileNotFoundError, match=r"DexiNed_BIPED_10\.pth.*or give its path as weights"):
        detector("dexined")
    with pytest.raises(FileNotFoundError, match=r"network-bsds500\.pytorch.*or give its path as weights"):
        EdgePipeline()


@pytest.mark.parametrize("which", ["canny", "dexined"])
def test_missing_kornia_says_so(which, monkeypatch):
    for name in ("kornia.filters", "kornia.filters.dexined"):
        monkeypatch.setitem(__import__("sys").modules, name, None)
    with pytest.raises(ImportError, match=rf"{which} is kornia's \(pip install 'sketchgan\[edges\]'\)"):
        detector(which)
