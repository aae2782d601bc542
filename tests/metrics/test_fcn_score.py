import pytest
import torch
from golden_cases import golden

from sketchgan.metrics import FCNScore


def test_matches_official():
    t = golden("pix2pix_fcn_score").tensors
    score = FCNScore()
    for i in range(3):
        score.update(t[f"in.pred{i}"], t[f"in.gt{i}"])
    assert torch.equal(score.confusion.double(), t["out.hist"])
    result = score.compute()
    for name, key in (
        ("pixel_acc", "loss.pixel_acc"),
        ("mean_class_acc", "loss.mean_class_acc"),
        ("mean_iou", "loss.mean_iou"),
        ("class_acc", "out.class_acc"),
        ("class_iou", "out.class_iou"),
    ):
        torch.testing.assert_close(result[name], t[key], rtol=0, atol=1e-15)


def test_bad_maps_say_so():
    score = FCNScore(num_classes=3)
    with pytest.raises(ValueError, match=r"prediction \(2,\) and label \(3,\) differ in shape"):
        score.update(torch.zeros(2), torch.zeros(3))
    with pytest.raises(ValueError, match="predictions must lie in 0…2, got 0…3"):
        score.update(torch.tensor([0, 3]), torch.tensor([0, 1]))
    score.update(torch.tensor([9, 1]), torch.tensor([255, 1]))  # an ignored pixel may hold anything
    assert score.compute()["pixel_acc"] == pytest.approx(1.0)
