import pytest
import torch
from golden_cases import assert_close, golden

from sketchgan.data import SketchCurriculum

CASE = golden("sketchygan_ops")


def test_code_form_matches_reference():
    curriculum = SketchCurriculum(n_iterations=CASE.case["max_iter_step"])
    shares = torch.tensor([curriculum.share(i) for i in CASE.tensors["in.iters"].tolist()])
    assert_close(shares, CASE.tensors["out.sketch_proportion"], 2e-6)


def test_paper_form_reaches_its_end_early():
    curriculum = SketchCurriculum("paper", n_iterations=1000)
    assert [curriculum.share(i) for i in (0, 400, 800, 2000)] == pytest.approx([0.1, 0.5, 0.9, 0.9])
    assert SketchCurriculum("paper", exponent=2, n_iterations=1000).share(500) == pytest.approx(0.35)


def test_numbers_are_arguments():
    assert SketchCurriculum(start=0.5, gain=0).share(123) == 0.5
    assert SketchCurriculum(start=0.1, gain=0.4, exponent=2, n_iterations=10).share(5) == pytest.approx(0.2)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"form": "blog"}, "'blog'"),
        ({"start": 0.5}, "sum above 1, got 0.5 and 0.6"),
        ({"gain": -0.1}, "negative"),
        ({"exponent": 0}, "exponent must be positive"),
        ({"n_iterations": 0}, "n_iterations at least 1"),
    ],
)
def test_bad_numbers_say_so(wrong, message):
    with pytest.raises(ValueError, match=message):
        SketchCurriculum(**wrong)
