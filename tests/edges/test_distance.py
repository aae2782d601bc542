import pytest
import torch
from golden_cases import assert_close, golden
from torch.testing import assert_close as close

from sketchgan.edges import (
    distance_field,
    distance_transform,
    drawn_lines,
    network_input,
    relative_distance,
    sketch_to_distance,
)

GOLDEN = golden("sketchygan_edges").tensors
DRAWING = GOLDEN["in.drawing256"]
BACKENDS = ["scipy", "torch"]
SMALL = ("shrink_doc", "spur_doc", "lines", "blob", "random")


def exactly(actual, expected):
    close(actual, expected, rtol=0, atol=0)


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("size", [256, 64])
def test_sketch_to_distance(backend, size):
    lines = drawn_lines(DRAWING, size)
    exactly(torch.where(lines, 0, 255).to(torch.uint8), GOLDEN[f"out.drawing.binary{size}"])
    assert {244, 245} <= set(DRAWING.flatten().tolist())  # the threshold is met
    for drawing in (DRAWING, DRAWING.expand(3, 256, 256)):
        exactly(sketch_to_distance(drawing, size, backend=backend), GOLDEN[f"out.drawing.dist_u8_{size}"])
    assert_close(distance_transform(drawn_lines(DRAWING)[None], backend).amax(), GOLDEN["out.drawing.edt256_max"], 4e-6)


def test_network_input():
    fields = {size: GOLDEN[f"out.drawing.dist_u8_{size}"] for size in (256, 64)}
    exactly(network_input(fields[256], 64), GOLDEN["out.drawing.network64_from256"])
    exactly(network_input(fields[64]), GOLDEN["out.drawing.network64_from64"])
    while_loading = relative_distance(drawn_lines(DRAWING, threshold=250)[None])[0]
    assert_close(network_input(while_loading, 64), GOLDEN["out.drawing.network64_on_the_fly"], 4e-6)
    for i in range(4):
        exactly(network_input(GOLDEN[f"out.official{i}.dist_u8"]), GOLDEN[f"out.official{i}.network"])


@pytest.mark.parametrize("backend", BACKENDS)
def test_golden_distances(backend):
    for i in range(4):
        lines = GOLDEN[f"out.official{i}.s6_spur"][None]
        assert_close(distance_transform(lines, backend)[0], GOLDEN[f"out.official{i}.edt"], 4e-6)
        exactly(distance_field(lines, backend)[0], GOLDEN[f"out.official{i}.dist_u8"])
        exactly(distance_field(GOLDEN[f"out.paper{i}.s6_spur"][None], backend)[0], GOLDEN[f"out.paper{i}.dist_u8"])
    for name in SMALL:
        lines = GOLDEN[f"in.bin.{name}"][None]
        assert_close(distance_transform(lines, backend)[0], GOLDEN[f"out.bin.{name}.edt_background"], 4e-6)


@pytest.mark.parametrize("shape", [(7, 5), (1, 9), (9, 1), (33, 70), (70, 33)])
def test_backends_give_the_same_bits(shape):
    lines = torch.rand(6, *shape) < torch.tensor([0.001, 0.003, 0.01, 0.1, 0.5, 0.9]).view(-1, 1, 1)
    lines[:, -1, 0] = True
    exactly(distance_transform(lines, "scipy"), distance_transform(lines, "torch"))
    exactly(distance_transform(lines), distance_transform(lines, "torch"))


@pytest.mark.parametrize("backend", BACKENDS)
def test_blank_and_full_drawings(backend):
    lines = torch.zeros(3, 5, 6, dtype=torch.bool)
    lines[1] = True
    lines[2, 0] = True
    with pytest.warns(UserWarning, match=r"1 of 3 drawings have no line.*numbers 0 of the batch"):
        field = distance_field(lines, backend)
    assert (field[0] == 255).all()
    assert (field[1] == 0).all()
    assert field[2, :, 0].tolist() == [0, 63, 127, 191, 255]
    assert (network_input(field[0]) == 1).all()


def test_any_size():
    assert sketch_to_distance(DRAWING, (40, 70)).shape == (40, 70)
    assert sketch_to_distance(DRAWING, 300).shape == (300, 300)


def test_bad_drawings_say_so():
    with pytest.raises(TypeError, match=r"uint8, 0 to 255, got torch\.float32"):
        sketch_to_distance(torch.zeros(4, 4))
    with pytest.raises(ValueError, match=r"\(H, W\) or \(C, H, W\), got \(1, 1, 4, 4\)"):
        sketch_to_distance(torch.zeros(1, 1, 4, 4, dtype=torch.uint8))
    with pytest.raises(ValueError, match="size must be positive, got 0"):
        sketch_to_distance(DRAWING, 0)
    with pytest.raises(ValueError, match="""backend must be "auto", "torch" or "scipy", got 'cuda'"""):
        sketch_to_distance(DRAWING, backend="cuda")
