"""The script that renders the archive, on two tiny packages of our own."""

import importlib.util
import io
import json
import tarfile
from pathlib import Path

import pytest
import torch

from sketchgan.data import OpenMoji

pytest.importorskip("resvg_py")
SCRIPT = Path(__file__).parents[2] / "examples" / "build_openmoji.py"
SVG = '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 72 72">{}</svg>'
HALF = '<rect x="0" y="0" width="36" height="72" fill="{}"/>'


def package(path: Path, members: dict[str, str]) -> str:
    with tarfile.open(path, "w:gz") as tar:
        for name, text in members.items():
            info = tarfile.TarInfo(f"package/{name}")
            info.size = len(text.encode())
            tar.addfile(info, io.BytesIO(text.encode()))
    return str(path)


def entry(code, group, tone="", base="", subgroup="x"):
    return {
        "hexcode": code,
        "group": group,
        "subgroups": subgroup,
        "annotation": code.lower(),
        "openmoji_author": "A. Artist",
        "skintone": tone,
        "skintone_combination": "single" if tone else "",
        "skintone_base_hexcode": base,
    }


@pytest.fixture
def packages(tmp_path):
    codes = [f"1F{i:03X}" for i in range(40)]
    entries = [entry(code, "objects") for code in codes]
    entries += [entry("1F9D1", "people-body", subgroup="person")]
    entries += [entry(f"1F9D1-1F3F{i:X}", "people-body", 1, "1F9D1", "person") for i in range(11, 16)]
    entries += [entry("1F600-FE0F", "smileys-emotion"), entry("2049", "symbols"), entry("1FFFF", "objects")]
    drawn = {e["hexcode"] for e in entries}
    openmoji = {"data/openmoji.json": json.dumps(entries), "LICENSE.txt": "CC BY-SA"}
    openmoji |= {f"black/svg/{code}.svg": SVG.format(HALF.format("black")) for code in drawn}
    openmoji |= {f"color/svg/{code}.svg": SVG.format(HALF.format("red")) for code in drawn}
    in_noto = [code.replace("-FE0F", "").lower() for code in drawn - {"1FFFF"}]
    icons = {
        "width": 128,
        "icons": {code: {"body": '<circle cx="64" cy="64" r="40" fill="blue"/>'} for code in in_noto},
    }
    noto = {"icons.json": json.dumps(icons), "chars.json": json.dumps({c: c for c in in_noto}), "info.json": "{}"}
    return [package(tmp_path / "openmoji.tgz", openmoji), package(tmp_path / "noto.tgz", noto)]


def test_archive_is_what_the_data_module_reads(packages):
    spec = importlib.util.spec_from_file_location("build_openmoji", SCRIPT)
    script = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(script)
    script.main([*packages, "--size", "48", "--people", "1", "--out", "a.zip"])
    script.main([*packages, "--size", "48", "--people", "1", "--out", "b.zip"])
    assert Path("a.zip").read_bytes() == Path("b.zip").read_bytes()

    data = OpenMoji(archive="a.zip", image_size=48, augment=False)
    splits = {split: data.dataset(split) for split in ("train", "val", "test")}
    codes = {e["code"]: split for split, dataset in splits.items() for e in dataset.entries}
    assert len(codes) == 40 + 6 + 1  # neither another group nor what Noto lacks
    assert "1F600-FE0F" in codes
    assert len({codes[code] for code in codes if code.startswith("1F9D1")}) == 1  # all skin tones in one split
    assert all(splits.values())
    sample = splits["train"][(0, 0)]
    assert torch.equal(sample["A"][:, 24, 5], torch.tensor([-1.0, -1.0, -1.0]))
    assert torch.equal(sample["B"][:, 24, 5], torch.tensor([1.0, -1.0, -1.0]))
    assert torch.equal(sample["A"][:, 24, 40], torch.ones(3))  # white ground
    noto = OpenMoji(archive="a.zip", image_size=48, paired=False).dataset("val")[0]["B"]
    assert torch.equal(noto[:, 24, 24], torch.tensor([-1.0, -1.0, 1.0]))
    assert torch.equal(noto[:, 0, 0], torch.ones(3))
