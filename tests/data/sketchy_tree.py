"""A small Sketchy database: three classes, four photos each with two sketches, of 32 px."""

import csv
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

CLASSES = ("ant", "car_(sedan)", "zebra")
COLUMNS = (
    "CategoryID", "Category", "ImageNetID", "SketchID", "Difficulty", "Stroke_Count", "WrongPose?", "Context?",
    "Ambiguous?", "Error?",
)  # fmt: skip
VARIANT = "tx_000000000000"
SIZE = 32


def make_sketchy(root: Path) -> Path:
    """Photo 3 of each class is for testing; the second sketch of photo 0 is flagged, and so is one of photo 3."""
    rendered = root / "rendered_256x256" / "256x256"
    (root / "info").mkdir(parents=True)
    rng = np.random.default_rng(0)
    rows = []
    for number, name in enumerate(CLASSES):
        for kind in ("photo", "sketch"):
            (rendered / kind / VARIANT / name).mkdir(parents=True)
        for i in range(4):
            photo = f"n{number:08d}_{i}"
            levels = rng.integers(0, 256, (SIZE, SIZE, 3), dtype=np.uint8)
            Image.fromarray(levels).save(rendered / "photo" / VARIANT / name / f"{photo}.jpg")
            for sketch in (1, 2):
                drawing = Image.new("RGB", (SIZE, SIZE), "white")
                ImageDraw.Draw(drawing).line([(4, 4 + i), (28 - number, 8 * sketch)], "black", 1)
                drawing.save(rendered / "sketch" / VARIANT / name / f"{photo}-{sketch}.png")
                flags = [int(i == 0 and sketch == 2 and number == flag) for flag in range(4)]
                flags[3] += int(i == 3 and sketch == 1)
                rows.append([number, name.replace("_", " "), photo, sketch, 1 + i, 10 * sketch, *flags])
    with (root / "info" / "stats.csv").open("w", newline="") as file:
        csv.writer(file).writerows([COLUMNS, *rows])
    (root / "info" / "testset.txt").write_text("".join(f"{name}/n{k:08d}_3.jpg\n" for k, name in enumerate(CLASSES)))
    return root
