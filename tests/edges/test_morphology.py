import pytest
import torch
from golden_cases import golden

from sketchgan.edges import clean, remove_small, shrink, spur, thin, zhang, zhang_textbook

GOLDEN = golden("sketchygan_edges").tensors
SMALL = ("shrink_doc", "spur_doc", "lines", "blob", "random")
OFFICIAL = [f"official{i}" for i in range(4)]
PAPER = [f"paper{i}" for i in range(4)]
BACKENDS = ["scipy", "torch"]


def same(actual, expected):
    assert actual.dtype == torch.bool
    assert torch.equal(actual[0], expected), f"{(actual[0] != expected).sum()} pixels differ"


@pytest.mark.parametrize("name", SMALL)
def test_small_pictures(name):
    lines, out = GOLDEN[f"in.bin.{name}"][None], golden("sketchygan_edges").under(f"out.bin.{name}")
    same(thin(lines), out["thin"])
    same(zhang_textbook(lines), out["zhang_textbook"])
    same(clean(lines), out["clean"])
    same(shrink(lines), out["shrink1"])
    same(shrink(lines, 3), out["shrink3"])
    same(spur(lines), out["spur1"])
    same(spur(lines, None), out["spur_inf"])
    for backend in BACKENDS:
        same(zhang(lines, backend=backend), out["zhang"])
        same(remove_small(lines, 5, backend), out["areaopen5"])


@pytest.mark.parametrize("name", OFFICIAL + PAPER)
def test_stages(name):
    out = {key: picture[None] for key, picture in golden("sketchygan_edges").under(f"out.{name}").items()}
    if name in OFFICIAL:
        thinned = out["s2_thin"]
        same(thin(out["s1_binary"]), thinned[0])
    else:
        thinned = out["s2_zhang"]
        same(zhang_textbook(out["s1_binary"]), out["s2_zhang_textbook"][0])
        for backend in BACKENDS:
            same(zhang(out["s1_binary"], backend=backend), thinned[0])
    same(clean(thinned), out["s3_clean"][0])
    for backend in BACKENDS:
        same(remove_small(out["s3_clean"], 5, backend), out["s4_areaopen"][0])
    same(shrink(out["s4_areaopen"]), out["s5_shrink"][0])
    same(spur(out["s5_shrink"]), out["s6_spur"][0])


def noise(height=37, width=42):
    """Pictures from nearly empty to nearly full, and smooth shapes."""
    random = torch.rand(10, height, width)
    smooth = torch.nn.functional.avg_pool2d(random[6:, None], 7, 1, 3)[:, 0]
    shares = torch.tensor([0.0, 0.02, 0.1, 0.3, 0.6, 1.1]).view(-1, 1, 1)
    return torch.cat([random[:6] < shares, smooth < smooth.median()])


def test_batches_are_single_pictures():
    lines = noise()
    for stage in (thin, zhang, zhang_textbook, clean, shrink, spur, lambda x: remove_small(x, 5, "torch")):
        assert torch.equal(stage(lines), torch.cat([stage(line[None]) for line in lines]))


def test_backends_give_the_same():
    lines = noise()
    for size in (1, 2, 5, 100):
        assert torch.equal(remove_small(lines, size, "torch"), remove_small(lines, size, "scipy"))
    skimage = pytest.importorskip("skimage.morphology")
    assert torch.equal(zhang(lines, backend="scipy"), zhang(lines, backend="torch"))
    for picture, thinned in zip(lines, thin(lines), strict=True):
        same(thinned[None], torch.from_numpy(skimage.thin(picture.numpy())))


def test_iterations():
    lines = noise()
    for stage in (thin, zhang, zhang_textbook, shrink, spur):
        assert torch.equal(stage(lines, 0), lines)
        assert torch.equal(stage(stage(lines, 1), 1), stage(lines, 2))
        final = stage(lines, None)
        assert torch.equal(stage(final, 1), final)


@pytest.mark.parametrize("shape", [(0, 5, 5), (3, 1, 1), (2, 1, 9), (2, 9, 1)])
def test_small_sizes(shape):
    lines = torch.ones(shape, dtype=torch.bool)
    for stage in (thin, zhang, zhang_textbook, clean, shrink, spur, lambda x: remove_small(x, 5, "torch")):
        assert stage(lines).shape == shape
    for backend in BACKENDS:
        assert remove_small(lines, 9, backend).all() == (9 in shape or not len(lines))


def test_input_is_left_alone():
    lines = noise()
    before = lines.clone()
    for stage in (thin, zhang, clean, shrink, spur, lambda x: remove_small(x, 5, "torch")):
        stage(lines)
        assert torch.equal(lines, before)


def test_bad_arguments_say_so(monkeypatch):
    lines = noise()
    with pytest.raises(ValueError, match="iterations must not be negative, got -1"):
        thin(lines, -1)
    with pytest.raises(ValueError, match="""backend must be "auto", "torch" or "scipy", got 'gpu'"""):
        remove_small(lines, 5, "gpu")
    thinned = zhang(lines)
    with pytest.raises(ValueError, match='iterations need backend="torch"'):
        zhang(lines, 1, backend="scipy")
    monkeypatch.setitem(__import__("sys").modules, "skimage.morphology", None)
    with pytest.raises(ImportError, match=r"scikit-image is missing \(pip install 'sketchgan\[edges\]'\)"):
        zhang(lines, backend="scipy")
    assert torch.equal(zhang(lines), thinned)
