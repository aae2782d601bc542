"""Packaged configurations, found by name; the first line of each says what it does."""

import difflib
from importlib.resources import files
from pathlib import Path


def recipes() -> dict[str, Path]:
    """All packaged recipes by name."""
    folder = Path(str(files("sketchgan.recipes")))
    return {path.stem: path for path in sorted(folder.glob("*.yaml"))}


def describe(path: Path) -> str:
    """The one line that a recipe says about itself."""
    return path.read_text(encoding="utf-8").splitlines()[0].lstrip("# ")


def find_recipe(name: str) -> Path:
    """The configuration file of that path, or the packaged recipe of that name.

    Raises:
        FileNotFoundError: naming the recipes that come close.
    """
    if Path(name).is_file():
        return Path(name)
    if name in recipes():
        return recipes()[name]
    close = difflib.get_close_matches(name, recipes(), cutoff=0.4) or list(recipes())
    raise FileNotFoundError(f"no file and no recipe {name!r}; did you mean {' or '.join(close)}? (sketchgan recipes)")
