"""Render the OpenMoji archive (line art, colour, Noto) at any size from its two npm packages.

    pip install "sketchgan[openmoji]"
    npm pack openmoji@17.0.0 @iconify-json/noto@1.2.9        # two .tgz files
    python examples/build_openmoji.py openmoji-17.0.0.tgz iconify-json-noto-1.2.9.tgz --size 128 --out om128.zip

The archive that the package embeds is ``--size 64 --people 17``; ``--people all`` takes every person.
Use yours with ``OpenMoji(archive="om128.zip")``.
"""

import argparse
import hashlib
import io
import json
import tarfile
import zipfile
from collections.abc import Iterable
from typing import Any

from PIL import Image
from resvg_py import svg_to_bytes

GROUPS = ("animals-nature", "food-drink", "travel-places", "objects", "activities", "smileys-emotion")
PEOPLE = "people-body"
# Whole people; the group also holds hands, feet and families.
PEOPLE_SUBGROUPS = ("person", "person-role", "person-gesture", "person-fantasy", "person-activity")
HELD_OUT = 8  # per cent of the pictograms in each of the validation and the test split


def read_members(path: str, wanted: Iterable[str]) -> dict[str, bytes]:
    """Read the named members of a .tgz into memory; nothing is extracted to disk."""
    names = set(wanted)
    with tarfile.open(path) as tar:
        return {m.name: tar.extractfile(m).read() for m in tar if m.isfile() and m.name in names}  # type: ignore[union-attr]


def split_of(base: str) -> str:
    """The split of a pictogram, fixed by its code point: skin tones of one person stay together, at every size."""
    percent = int(hashlib.sha256(base.encode()).hexdigest(), 16) % 100
    return "test" if percent < HELD_OUT else "val" if percent < 2 * HELD_OUT else "train"


def shuffled(codes: Iterable[str]) -> list[str]:
    """A fixed order that mixes the groups."""
    return sorted(codes, key=lambda code: hashlib.sha256(b"order" + code.encode()).digest())


def choose(metadata: list[dict[str, Any]], noto: dict[str, str], people: int | None) -> list[dict[str, Any]]:
    """The pictograms of the six groups without skin tone, and ``people`` persons (None: all) in every skin tone."""
    known = [m for m in metadata if m["hexcode"] in noto]
    objects = [m for m in known if m["group"] in GROUPS and not m["skintone"]]
    toned = [m for m in known if m["group"] == PEOPLE and m["subgroups"] in PEOPLE_SUBGROUPS]
    toned = [m for m in toned if m["skintone_combination"] in ("", "single")]
    bases = shuffled({m["skintone_base_hexcode"] for m in toned if m["skintone_base_hexcode"]})[:people]
    return objects + [m for m in toned if (m["skintone_base_hexcode"] or m["hexcode"]) in bases]


def render(svg: str, size: int) -> Image.Image:
    """Rasterise an SVG on white."""
    picture = Image.open(io.BytesIO(bytes(svg_to_bytes(svg_string=svg, width=size, height=size)))).convert("RGBA")
    return Image.alpha_composite(Image.new("RGBA", picture.size, "white"), picture).convert("RGB")


def webp(picture: Image.Image) -> bytes:
    """Encode without loss."""
    buffer = io.BytesIO()
    picture.save(buffer, "WEBP", lossless=True, quality=75, method=6)
    return buffer.getvalue()


def main(args: list[str] | None = None) -> None:
    """Build the archive."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("openmoji", help="openmoji-17.0.0.tgz")
    parser.add_argument("noto", help="iconify-json-noto-1.2.9.tgz")
    parser.add_argument("--size", type=int, default=64, help="side in pixels")
    parser.add_argument("--people", default="17", help="how many persons, each in six skin tones, or 'all'")
    parser.add_argument("--out", default="openmoji64.zip")
    options = parser.parse_args(args)

    package = read_members(options.noto, ("package/icons.json", "package/chars.json", "package/info.json"))
    icons = json.loads(package["package/icons.json"])
    noto = {code.upper(): name for code, name in json.loads(package["package/chars.json"]).items()}
    for code in list(noto):  # OpenMoji spells out U+FE0F in some sequences, Iconify drops it
        noto.setdefault(code.replace("-FE0F", ""), noto[code])

    data = read_members(options.openmoji, ["package/data/openmoji.json", "package/LICENSE.txt"])
    metadata = json.loads(data["package/data/openmoji.json"])
    noto.update({m["hexcode"]: noto[bare] for m in metadata if (bare := m["hexcode"].replace("-FE0F", "")) in noto})
    chosen = {m["hexcode"]: m for m in choose(metadata, noto, None if options.people == "all" else int(options.people))}
    paths = [f"package/{style}/svg/{code}.svg" for code in chosen for style in ("black", "color")]
    drawings = read_members(options.openmoji, paths)

    index = []
    with zipfile.ZipFile(options.out, "w") as archive:
        # Skin tones come last, so that the first few of a split show variety.
        for code in sorted(shuffled(chosen), key=lambda code: bool(chosen[code]["skintone"])):
            entry = chosen[code]
            body = icons["icons"][noto[code]]["body"]
            side = icons.get("width", 128)
            svgs = (  # line art, colour, Noto
                drawings[f"package/black/svg/{code}.svg"].decode(),
                drawings[f"package/color/svg/{code}.svg"].decode(),
                f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {side} {side}">{body}</svg>',
            )
            triptych = Image.new("RGB", (3 * options.size, options.size))
            for column, svg in enumerate(svgs):
                triptych.paste(render(svg, options.size), (column * options.size, 0))
            # A fixed date keeps the archive byte for byte the same from build to build.
            archive.writestr(zipfile.ZipInfo(f"{code}.webp"), webp(triptych))
            index.append(
                {
                    "code": code,
                    "name": entry["annotation"],
                    "group": entry["group"],
                    "subgroup": entry["subgroups"],
                    "skin_tone": int(entry["skintone"] or 0),
                    "author": entry["openmoji_author"],
                    "split": split_of(entry["skintone_base_hexcode"] or code),
                }
            )
        about = {"size": options.size, "groups": [*GROUPS, PEOPLE], "entries": index}
        archive.writestr(
            zipfile.ZipInfo("index.json"), json.dumps(about, ensure_ascii=False, indent=0), zipfile.ZIP_DEFLATED
        )
        archive.writestr(zipfile.ZipInfo("LICENSE-OpenMoji.txt"), data["package/LICENSE.txt"], zipfile.ZIP_DEFLATED)
        archive.writestr(zipfile.ZipInfo("NOTICE-Noto.txt"), package["package/info.json"])
    print(f"{options.out}: {len(index)} pictograms at {options.size} px")


if __name__ == "__main__":
    main()
