import math
import pickle

import numpy as np
import pytest
import scipy.ndimage
import torch
from PIL import Image
from torch import nn
from torch.testing import assert_close

from sketchgan.cli import main
from sketchgan.data import (
    NetworkLines,
    SketchKeras,
    XDoG,
    dilation_lines,
    draw_lines,
    high_pass_lines,
    line_extractor,
)
from sketchgan.data.line_extraction import blurred
from sketchgan.networks import SketchKerasUNet

SIMPLE = {"high_pass": high_pass_lines, "dilation": dilation_lines, "xdog": XDoG()}


def painting(height=40, width=50, seed=0):
    """Levels uint8 (H, W, 3): two coloured fields, a dark line between them, and noise."""
    rng = np.random.default_rng(seed)
    levels = np.full((height, width, 3), (240, 200, 180)) + rng.integers(-6, 7, (height, width, 3))
    levels[:, width // 2 :] = (120, 160, 230)
    levels[:, width // 2 - 1 : width // 2 + 1] = 20
    return levels.clip(0, 255).astype(np.uint8)


def as_pictures(levels):
    return torch.tensor(levels).permute(2, 0, 1)[None].float() / 127.5 - 1


def gaussian(levels, sigma, radius):
    """By scipy; its mirror is OpenCV's border."""
    taps = np.exp(-(np.arange(-radius, radius + 1) ** 2) / (2 * sigma**2))
    for axis in (0, 1):
        levels = scipy.ndimage.correlate1d(levels, taps / taps.sum(), axis=axis, mode="mirror")
    return levels


@pytest.mark.parametrize(
    ("sigma", "of_levels", "radius"), [(3.0, True, 9), (3.0, False, 12), (0.5, False, 2), (2.25, False, 9)]
)
def test_blur_has_opencvs_automatic_size(sigma, of_levels, radius):
    """The rule is round(sigma * 6 + 1) | 1 for 8 bits, round(sigma * 8 + 1) | 1 for float."""
    levels = painting(30, 20).astype(np.float64)
    expected = gaussian(levels, sigma, radius)
    made = blurred(torch.tensor(levels).permute(2, 0, 1)[None].float(), sigma, of_levels)
    assert_close(made[0].permute(1, 2, 0).double(), torch.tensor(expected), rtol=0, atol=1e-4)


@pytest.mark.parametrize("size", [(1, 1), (1, 7), (2, 3), (3, 40)])
def test_blur_of_pictures_that_are_smaller_than_its_kernel(size):
    levels = np.random.default_rng(1).uniform(0, 255, (*size, 1))
    made = blurred(torch.tensor(levels).permute(2, 0, 1)[None].float(), 3.0)
    assert_close(made[0].permute(1, 2, 0).double(), torch.tensor(gaussian(levels, 3.0, 12)), rtol=0, atol=1e-4)


def test_high_pass_against_numpy():
    levels = painting().astype(np.float64)
    ink = (gaussian(levels, 3.0, 12) - levels) / 128
    ink = (ink / ink.max()).max(2)
    ink[ink < 0.1] = 0
    made = high_pass_lines(as_pictures(painting()))
    assert_close(made[0, 0].double(), torch.tensor(1 - 2 * ink), rtol=0, atol=1e-5)
    assert made.min() == -1


def test_dilation_against_scipy():
    levels = painting() @ np.array([0.299, 0.587, 0.114])
    ink = scipy.ndimage.maximum_filter(levels, 5) - levels
    assert_close(
        dilation_lines(as_pictures(painting()))[0, 0].double(), torch.tensor(1 - ink / 127.5), rtol=0, atol=1e-5
    )
    with pytest.raises(ValueError, match="size must be odd and positive, got 4"):
        dilation_lines(as_pictures(painting()), size=4)


def test_xdog_against_numpy():
    levels = painting() @ np.array([0.299, 0.587, 0.114]) / 255
    narrow, wide = (gaussian(levels, sigma, math.ceil(sigma * 4)) for sigma in (1.0, 1.5))
    u = 21 * narrow - 20 * wide
    expected = np.where(u >= 0.6, 1, 1 + np.tanh(10 * (u - 0.6)))
    made = XDoG(sigma=1.0, k=1.5, p=20, epsilon=0.6, phi=10)(as_pictures(painting()))
    assert_close(made[0, 0].double(), torch.tensor(2 * expected - 1), rtol=0, atol=1e-4)
    assert 0.02 < (expected < 0.5).mean() < 0.5
    for settings in ({"sigma": 0}, {"k": 1.0}):
        with pytest.raises(ValueError, match="sigma must be positive and k above 1"):
            XDoG(**settings)


@pytest.mark.parametrize("name", SIMPLE)
def test_every_extractor_finds_the_line_and_no_other(name):
    pictures = as_pictures(painting())
    lines = line_extractor(name)(pictures.clone().requires_grad_())
    assert lines.shape == (1, 1, 40, 50)
    assert lines.dtype == torch.float32
    assert not lines.requires_grad
    assert -1 <= lines.min() <= lines.max() <= 1
    assert (lines[..., 24:26] < 0.6).all()
    assert (lines[..., :18] > 0.85).all()
    assert (lines[..., 35:] > 0.85).all()
    for picture in (torch.ones(1, 3, 9, 9), torch.full((1, 3, 9, 9), 0.3)):
        assert (line_extractor(name)(picture) == 1).all()  # nothing is drawn where there is nothing
    pictures = torch.cat([pictures, as_pictures(painting(seed=1))])
    assert_close(line_extractor(name)(pictures)[1:], line_extractor(name)(pictures[1:]), rtol=0, atol=0)  # one by one
    assert_close(line_extractor(name)(pictures.flip(-1)), line_extractor(name)(pictures).flip(-1), rtol=0, atol=1e-4)
    assert pickle.loads(pickle.dumps(line_extractor(name)))(pictures).equal(line_extractor(name)(pictures))


class Doubt(nn.Module):
    """In the place of the network: keeps its input, and adds a number where nothing was put."""

    def __init__(self):
        super().__init__()
        self.seen = None
        self.weight = nn.Parameter(torch.ones(1))

    def forward(self, x):
        self.seen = x
        return x.abs() * 0.5 * self.weight


@pytest.mark.parametrize(("clean", "threshold"), [("none", 0), ("enhanced", 0.1), ("pured", 0.18)])
def test_sketchkeras_around_its_network_against_numpy(clean, threshold):
    """Steps 2 to 7 on a picture that has the size which the network wants."""
    levels = painting(512, 300).astype(np.int64)
    high = (levels - gaussian(levels.astype(np.float64), 3.0, 9).round()) / 128
    high /= high.max()
    canvas = np.zeros((3, 1, 512, 512))
    canvas[:, 0, :512, :300] = high.transpose(2, 0, 1)
    ink = np.abs(high).max(2) * 0.5
    ink[ink < threshold] = 0
    network = Doubt()
    made = SketchKeras(network, clean)(as_pictures(levels))
    # A value of the blur that is half way between two levels may be rounded to the other one.
    for got, expected in ((network.seen, canvas), (made[0, 0], 1 - 2 * ink.clip(0, 1))):
        off = (got.double() - torch.tensor(expected)).abs()
        assert (off > 1e-5).sum() <= 3


def test_sketchkeras_takes_pictures_of_any_size_one_by_one():
    torch.manual_seed(0)
    draw = SketchKeras(SketchKerasUNet(width=1))
    pictures = torch.cat([as_pictures(painting(60, 33, seed)) for seed in (0, 1)])
    made = draw(pictures)
    assert made.shape == (2, 1, 60, 33)
    assert not draw.network.training
    assert_close(made[1:], draw(pictures[1:]), rtol=0, atol=1e-6)
    assert draw(torch.ones(1, 3, 5, 7)).isfinite().all()  # the largest difference is 0
    network = Doubt()
    SketchKeras(network)(as_pictures(painting(60, 33)))
    assert network.seen.shape == (3, 1, 512, 512)
    assert (network.seen[..., 512 * 33 // 60 :] == 0).all()
    assert network.seen.max() == 1


def test_a_network_that_draws_sees_what_it_takes():
    class Net(nn.Module):
        size_multiple = 16

        def forward(self, x):
            assert x.shape == (2, 3, 48, 64)
            assert not self.training
            return torch.stack([x[:, 0], x[:, 1]], 1) * 2

    pictures = torch.rand(2, 3, 40, 50) - 0.2
    made = NetworkLines(Net())(pictures)
    assert_close(made[:, 0], (pictures[:, 0] + pictures[:, 1]).clamp(-1, 1))


def test_names_and_weights():
    own = lambda pictures: pictures[:, :1]  # noqa: E731
    assert line_extractor(own) is own
    with pytest.raises(
        ValueError, match="an extractor is high_pass, dilation, xdog, sketchkeras or a callable, got 'x'"
    ):
        line_extractor("x")
    with pytest.raises(ValueError, match="weights are for the extractor sketchkeras, not for 'xdog'"):
        line_extractor("xdog", "w.pth")
    with pytest.raises(ValueError, match=r"needs weights, a local file: model.pth of higumax/.*; no address is known"):
        line_extractor("sketchkeras")
    with pytest.raises(FileNotFoundError, match="no weights w.pth"):
        line_extractor("sketchkeras", "w.pth")
    with pytest.raises(ValueError, match="clean must be one of none, enhanced, pured, got 'very'"):
        SketchKeras(Doubt(), "very")


# Whole folders


@pytest.fixture
def folder(tmp_path):
    for i, name in enumerate(("a.png", "sub/b.jpg", "sub/c.png")):
        path = tmp_path / "paint" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(painting(seed=i)).save(path)
    (tmp_path / "paint" / "bad.png").write_bytes(b"no picture")
    return tmp_path


def test_drawings_keep_names_and_a_second_run_goes_on(folder, capsys):
    calls = []

    def draw(pictures):
        calls.append(pictures)
        return high_pass_lines(pictures)

    report = draw_lines(folder / "paint", folder / "line", draw)
    assert report[:2] == (3, 0)
    assert len(report.problems) == 1
    assert "bad.png cannot be read as a picture" in report.problems[0]
    files = sorted(str(p.relative_to(folder / "line")) for p in (folder / "line").rglob("*") if p.is_file())
    assert files == ["a.png", "sub/b.png", "sub/c.png"]
    drawn = Image.open(folder / "line" / "a.png")
    assert drawn.mode == "L"
    expected = ((high_pass_lines(as_pictures(painting()))[0, 0] + 1) * 127.5).round()
    assert torch.equal(torch.tensor(np.array(drawn)).float(), expected)
    (folder / "line" / "sub" / "c.png").unlink()
    before = (folder / "line" / "a.png").stat().st_mtime_ns
    assert draw_lines(folder / "paint", folder / "line", draw)[:2] == (1, 2)
    assert (folder / "line" / "a.png").stat().st_mtime_ns == before
    assert len(calls) == 4
    assert draw_lines(folder / "paint", folder / "line", draw, overwrite=True)[:2] == (3, 0)


def test_an_interrupted_run_leaves_no_half_drawing(folder, monkeypatch):
    def save(self, path, *args):
        path.write_bytes(b"half")
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(Image.Image, "save", save)
        with pytest.raises(KeyboardInterrupt):
            draw_lines(folder / "paint", folder / "line", "xdog")
    assert not list((folder / "line").rglob("*.png"))
    assert draw_lines(folder / "paint", folder / "line", "xdog").drawn == 3


def test_folders_that_cannot_be_drawn_say_so(folder):
    with pytest.raises(ValueError, match=r"paint/line is inside .*paint"):
        draw_lines(folder / "paint", folder / "paint" / "line", "xdog")
    (folder / "none").mkdir()
    (folder / "none" / "x.png").write_bytes(b"")
    with pytest.raises(ValueError, match=r"no picture could be drawn:\n.*x.png is empty"):
        draw_lines(folder / "none", folder / "line", "xdog")
    np.save(folder / "none" / "five.npy", np.zeros((4, 4, 5), np.uint8))
    (folder / "none" / "x.png").unlink()
    with pytest.raises(ValueError, match=r"five.npy has 5 channels"):
        draw_lines(folder / "none", folder / "line", "xdog")


def test_the_command(folder, capsys):
    (folder / "paint" / "bad.png").unlink()
    main(["sketches", str(folder / "paint"), str(folder / "line"), "--extractor", "dilation"])
    assert "3 drawings made, 0 were there" in capsys.readouterr().out
    (folder / "paint" / "bad.png").write_bytes(b"")
    with pytest.raises(SystemExit, match="1 pictures were left out:\n.*bad.png is empty"):
        main(["sketches", str(folder / "paint"), str(folder / "line"), "--extractor", "dilation"])
    assert "0 drawings made, 3 were there" in capsys.readouterr().out
    torch.save(SketchKerasUNet(width=1).state_dict(), folder / "net.pth")
    (folder / "paint" / "bad.png").unlink()
    weights = f"--extractor sketchkeras --weights {folder}/net.pth --device cpu"
    main(["sketches", f"{folder}/paint/a.png", f"{folder}/net", *weights.split()])
    assert Image.open(folder / "net" / "a.png").size == (50, 40)
    with pytest.raises(SystemExit, match="an extractor is high_pass"):
        main(["sketches", str(folder / "paint"), str(folder / "line"), "--extractor", "nothing"])
    with pytest.raises(SystemExit, match="device 'banana' cannot be used .*; choose cpu, or leave it out"):
        main(["sketches", str(folder / "paint"), str(folder / "line"), "--device", "banana"])
    with pytest.raises(SystemExit, match="anime2sketch needs --weights"):
        main(["sketches", str(folder / "paint"), str(folder / "line"), "--extractor", "anime2sketch"])
