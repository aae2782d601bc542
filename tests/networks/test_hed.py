import functools
import re

import pytest
import torch
import torch.nn.functional as F
from torch.testing import assert_close

from sketchgan.networks import HED, pretrained_hed
from sketchgan.networks.hed import URL

TINY = {"width": 2}


def transposed(scores, times):
    """Caffe's bilinear filler of a kernel twice as long as its stride."""
    ramp = 1 - ((torch.arange(2 * times) + 0.5) / times - 1).abs()
    return F.conv_transpose2d(scores, torch.outer(ramp, ramp)[None, None], stride=times)


@pytest.mark.parametrize("size", [(33, 20), (32, 32), (1, 47)])
def test_follows_the_published_definition(size):
    network = HED(**TINY)
    photos = torch.rand(2, 3, *size)
    x = photos[:, [2, 1, 0]] * 255 - torch.tensor([104.00698793, 116.66876762, 122.67891434]).view(3, 1, 1)
    convs = dict(network.named_modules())
    sides = []
    # Where Caffe's crop layers begin, by the centres of the layers' windows.
    for i, (count, offset) in enumerate(zip((2, 2, 3, 3, 3), (34, 35, 36, 38, 42), strict=True), 1):
        for j in range(1, count + 1):
            x = convs[f"conv{i}_{j}"](x).relu()
        score = convs[f"score_dsn{i}"](x)
        side = score if i == 1 else transposed(score, 2 ** (i - 1))
        sides.append(side[:, :, offset : offset + size[0], offset : offset + size[1]])
        x = F.max_pool2d(x, 2, ceil_mode=True)
    for side, expected in zip(network.side_outputs(photos), sides, strict=True):
        assert side.shape == (2, 1, *size)
        assert_close(side, expected, rtol=1e-4, atol=1e-4)
    fused = network(photos)
    assert fused.shape == (2, *size)
    assert_close(fused, network.fuse(torch.cat(sides, 1))[:, 0].sigmoid(), rtol=0, atol=1e-5)


def test_edges_are_where_the_photo_has_them():
    network = HED(**TINY).requires_grad_(False)
    for parameter in network.parameters():
        parameter.abs_()  # nothing is cut off, so that a bright pixel shows at every depth
    dark, bright = torch.zeros(2, 1, 3, 65, 65)
    bright[:, :, 32, 32] = 1e3
    for i, (before, after) in enumerate(zip(network.side_outputs(dark), network.side_outputs(bright), strict=True)):
        change = (after - before)[0, 0].double()
        assert (change.sum(0) / change.sum() @ torch.arange(65.0).double()).item() == pytest.approx(32, abs=2**i)
        assert (change.sum(1) / change.sum() @ torch.arange(65.0).double()).item() == pytest.approx(32, abs=2**i)


def test_channel_order():
    bgr, rgb = HED(**TINY), HED("rgb", **TINY)
    rgb.load_state_dict(bgr.state_dict())
    photos = torch.rand(1, 3, 16, 16)
    assert_close(rgb(photos.flip(1)), bgr(photos))
    assert not torch.allclose(rgb(photos), bgr(photos), atol=1e-6)
    with pytest.raises(ValueError, match="""channel_order must be "bgr" or "rgb", got 'grb\'"""):
        HED("grb")


def test_size():
    assert sum(p.numel() for p in HED().parameters()) == 14_716_171


def test_every_parameter_gets_a_gradient():
    network = HED(width=16)
    network(torch.rand(1, 3, 20, 20)).sum().backward()
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in network.parameters())


PORT = [("One", (0, 2)), ("Two", (1, 3)), ("Thr", (1, 3, 5)), ("Fou", (1, 3, 5)), ("Fiv", (1, 3, 5))]


@pytest.mark.parametrize("form", ["module", "net", "caffe", "own"])
def test_weights_of_every_naming(form, tmp_path, monkeypatch):
    network = HED(**TINY)
    monkeypatch.setattr("sketchgan.networks.hed.HED", functools.partial(HED, **TINY))
    state = network.state_dict()
    names = {name.rpartition(".")[0]: name.rpartition(".")[0] for name in state}
    if form == "caffe":
        names |= {f"score_dsn{i}": f"score-dsn{i}" for i in range(1, 6)} | {"fuse": "new-score-weighting"}
    elif form != "own":
        for i, (numeral, places) in enumerate(PORT, 1):
            names |= {f"conv{i}_{j}": f"{form}Vgg{numeral}.{place}" for j, place in enumerate(places, 1)}
            names[f"score_dsn{i}"] = f"{form}Score{numeral}"
        names["fuse"] = f"{form}Combine.0"
    renamed = {f"{names[k.rpartition('.')[0]]}.{k.rpartition('.')[2]}": value for k, value in state.items()}
    torch.save(renamed, tmp_path / "hed.pth")
    loaded = pretrained_hed(tmp_path / "hed.pth", "rgb")
    assert_close(dict(loaded.state_dict()), dict(state), rtol=0, atol=0)
    assert loaded.channel_order == "rgb"
    assert not loaded.training


def test_bad_weights_say_so(tmp_path, monkeypatch):
    with pytest.raises(FileNotFoundError, match=r"no weights nowhere\.pth"):
        pretrained_hed("nowhere.pth")
    monkeypatch.setattr("sketchgan.networks.hed.HED", functools.partial(HED, **TINY))
    state = HED(**TINY).state_dict()
    torch.save({**state, "fuse.weight": torch.zeros(1, 4, 1, 1)}, tmp_path / "shape.pth")
    with pytest.raises(ValueError, match=r"shape\.pth holds no weights of HED \(of another shape: fuse\.weight\)"):
        pretrained_hed(tmp_path / "shape.pth")
    del state["conv1_1.bias"]
    torch.save({**state, "conv6.bias": torch.zeros(3)}, tmp_path / "names.pth")
    with pytest.raises(ValueError, match=r"missing: conv1_1\.bias; unknown: conv6\.bias"):
        pretrained_hed(tmp_path / "names.pth")

    def offline(*args, **kwargs):
        assert kwargs["weights_only"]
        raise OSError("no route to host")

    monkeypatch.setattr(torch.hub, "load_state_dict_from_url", offline)
    with pytest.raises(
        FileNotFoundError, match=rf"{re.escape(URL)}.*network-bsds500\.pytorch, or give its path as weig"
    ):
        pretrained_hed()
