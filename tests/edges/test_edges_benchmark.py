import pytest

pytest.importorskip("skimage")
from benchmarks import edges
from benchmarks.report import markdown


@pytest.mark.parametrize("order", ["official", "paper"])
def test_both_chains_give_the_same(order):
    table = edges.compared(order, batch=8, rounds=1, size=128)
    assert [row[0] for row in table.rows] == [*edges.reference(order), "all"]
    for note in table.notes:  # rounding turns the direction of some pixels
        assert note.startswith("suppressed: ")
        assert int(note.split()[1]) < 50
    assert all(row[1] > 0 and row[2] > 0 for row in table.rows)
    assert f"### {order}, batch 8" in markdown(table)


def test_differences_are_noted(monkeypatch):
    monkeypatch.setattr(edges, "cleaned", lambda lines: lines & False)
    table = edges.compared("paper", batch=1, rounds=1, size=64)
    assert any(note.startswith("cleaned: ") for note in table.notes)
