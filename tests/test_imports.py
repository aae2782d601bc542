"""Who may import whom: rooms lower in the house never look up."""

import ast
from pathlib import Path

import pytest

import sketchgan

ROOT = Path(sketchgan.__file__).parent
ALLOWED = {
    "blocks": set(),
    "ops": set(),
    "losses": {"networks", "ops"},
    "networks": {"blocks", "ops"},
    "metrics": {"networks"},
    "edges": {"networks", "ops"},
    "data": {"networks", "ops", "edges"},
    "convert": {"blocks", "networks", "modules", "data"},
    "modules": {"networks", "losses", "ops"},
    "callbacks": {"metrics", "data"},
    "recipes": set(),
}
WITHOUT_LIGHTNING = ("blocks", "ops", "losses", "networks", "edges")


def imports(path: Path) -> set[str]:
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            found.add(node.module)
    return found


@pytest.mark.parametrize("room", ALLOWED)
def test_imports_point_down(room):
    for path in (ROOT / room).rglob("*.py"):
        for name in imports(path):
            parts = name.split(".")
            if parts[0] == "sketchgan":
                assert "".join(parts[1:2]) in ALLOWED[room] | {room}, f"{path.name} imports {name}"
            if room in WITHOUT_LIGHTNING:
                assert parts[0] not in ("lightning", "pytorch_lightning"), f"{path.name} imports {name}"


def test_no_paper_imports_another():
    papers = {"pix2pix", "cyclegan", "ugatit", "photo2cartoon", "sketchygan", "aoda", "anime2sketch", "paintschainer"}
    builds_on = {"photo2cartoon": {"ugatit"}, "anime2sketch": {"aoda"}}
    assert papers <= {path.stem for path in (ROOT / "modules").glob("*.py")}
    for path in (ROOT / "modules").glob("*.py"):
        if path.stem in papers:
            others = papers - {path.stem} - builds_on.get(path.stem, set())
            assert not {f"sketchgan.modules.{paper}" for paper in others} & imports(path)


def test_every_room_is_in_the_table():
    assert {path.name for path in ROOT.iterdir() if (path / "__init__.py").is_file()} == set(ALLOWED)
