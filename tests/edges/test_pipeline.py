import json

import pytest
import torch
from golden_cases import golden
from torch.testing import assert_close

from sketchgan.edges import EdgePipeline, sobel
from sketchgan.ops import resize_area

GOLDEN = golden("sketchygan_edges")
OFFICIAL = {
    "suppressed": "nms",
    "binary": "s1_binary",
    "thinned": "s2_thin",
    "cleaned": "s3_clean",
    "large": "s4_areaopen",
    "shrunk": "s5_shrink",
    "edges": "s6_spur",
    "distance": "dist_u8",
}
PAPER = {name: stage for name, stage in OFFICIAL.items() if name != "suppressed"} | {"thinned": "s2_zhang"}


def exactly(actual, expected):
    assert_close(actual, expected, rtol=0, atol=0)


@pytest.mark.parametrize("backend", ["auto", "torch", "scipy"])
@pytest.mark.parametrize(("order", "names"), [("official", OFFICIAL), ("paper", PAPER)])
def test_golden_stages(order, names, backend):
    pipeline = EdgePipeline("sobel", order, backend=backend)
    strength = torch.stack([GOLDEN.tensors[f"in.prob{i}"] for i in range(3)])
    stages = pipeline.stages_from_strength(strength)
    assert list(stages) == ["strength", *names]
    for i in range(3):
        for name, stage in names.items():
            exactly(stages[name][i], GOLDEN.tensors[f"out.{order}{i}.{stage}"])
    maps = pipeline.from_strength(strength)
    exactly(maps.edges, stages["edges"])
    exactly(maps.distance, stages["distance"])
    larger = pipeline.from_strength(GOLDEN.tensors["in.prob3"][None])
    exactly(larger.distance[0], GOLDEN.tensors[f"out.{order}3.dist_u8"])
    sketch = torch.where(larger.edges, 0, 255).to(torch.uint8)
    if order == "official":
        exactly(sketch[0], GOLDEN.tensors["out.official3.sketch"])


def photos(size=48):
    square = torch.zeros(2, 3, size, size)
    square[0, :, size // 4 : -size // 4, size // 4 : -size // 4] = 1
    square[1, 0, : size // 2] = 0.5
    return square


def test_photos():
    pipeline = EdgePipeline("sobel", size=48, border=16)
    maps = pipeline(photos())
    assert maps.edges.dtype == torch.bool
    assert maps.distance.dtype == torch.uint8
    on = maps.edges[0].nonzero()
    assert 40 < len(on) < 100
    assert ((on - 12).abs().amin(1).minimum((on - 35).abs().amin(1)) <= 1).all()  # along the sides of the square
    assert (maps.distance[maps.edges] == 0).all()
    assert (maps.distance.amax((1, 2)) == 255).all()
    exactly(pipeline.stages(photos())["edges"], maps.edges)


def test_the_detector_sees_mirrored_borders():
    seen = []

    def own(given):
        seen.append(given)
        return given.mean(1)

    given = torch.rand(2, 3, 10, 12)
    pipeline = EdgePipeline(own, size=None, border=4)
    assert_close(pipeline.strength(given), given.mean(1))
    assert seen[0].shape == (2, 3, 18, 20)
    exactly(seen[0][..., 4:-4, 3], given[..., 1])
    exactly(seen[0][..., 4:-4, 0], given[..., 4])


def test_size():
    fine = torch.rand(1, 3, 32, 32)
    seen = EdgePipeline(lambda given: given.mean(1), size=8, border=0).strength(fine)
    assert_close(seen, torch.nn.functional.avg_pool2d(fine, 4).mean(1))
    levels = (torch.rand(1, 3, 37, 50) * 255).to(torch.uint8)
    seen = EdgePipeline(lambda given: given.amax(1), size=20, border=0).strength(levels / 255)
    rounded = resize_area(levels[0], 20, 20).amax(0)
    assert_close(seen[0], rounded / 255, rtol=0, atol=0.51 / 255)


def test_settings_are_plain():
    values = EdgePipeline("sobel", "paper", border=32, spur=2).settings()
    assert json.loads(json.dumps(values)) == values
    assert values["detector"] == "sobel"
    assert EdgePipeline(**values) == EdgePipeline("sobel", "paper", border=32, spur=2)
    assert EdgePipeline(sobel).settings()["detector"] == "sketchgan.edges.detectors.sobel"
    assert EdgePipeline(torch.nn.Identity()).settings()["detector"].endswith("Identity")


def test_blank_photos_warn():
    with pytest.warns(UserWarning, match="have no line"):
        maps = EdgePipeline("sobel", size=None, border=8)(torch.full((2, 3, 16, 16), 0.4))
    assert not maps.edges.any()
    assert (maps.distance == 255).all()


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ({"order": "own"}, """order must be "official" or "paper", got 'own'"""),
        ({"detector": "laplace"}, "hed, dexined, canny, sobel or a callable, got 'laplace'"),
        ({"backend": "cuda"}, "backend must be"),
        ({"spur": -1}, "spur must not be negative, got -1"),
        ({"border": -1}, "border must not be negative, got -1"),
        ({"size": 1}, "size must be at least 2, got 1"),
        ({"threshold": 0}, "threshold must be above 0 and at most 1, got 0"),
    ],
)
def test_bad_arguments_say_so(arguments, says):
    with pytest.raises(ValueError, match=says):
        EdgePipeline(**({"detector": "sobel"} | arguments))


def test_bad_photos_say_so():
    pipeline = EdgePipeline("sobel", size=None, border=16)
    with pytest.raises(ValueError, match=r"photos are \(N, 3, H, W\), got \(3, 20, 20\)"):
        pipeline(torch.rand(3, 20, 20))
    with pytest.raises(TypeError, match=r"got torch\.uint8: divide them by 255"):
        pipeline(torch.zeros(1, 3, 20, 20, dtype=torch.uint8))
    with pytest.raises(ValueError, match="a border of 16 pixels cannot be mirrored in photos of 16x20"):
        pipeline(torch.rand(1, 3, 16, 20))
    with pytest.raises(ValueError, match=r"gave \(1, 52\) instead of \(1, 52, 52\)"):
        EdgePipeline(lambda given: given.mean((1, 2)), size=None, border=16)(torch.rand(1, 3, 20, 20))
    with pytest.raises(ValueError, match="gave NaN where the strength should be from 0 to 1"):
        EdgePipeline(lambda given: given.mean(1) / 0 * 0, size=None, border=16)(torch.rand(1, 3, 20, 20))
