"""Draw every stage from a picture to its edge map, for docs/guides/edges.md.

pip install "sketchgan[openmoji]"
npm pack openmoji@17.0.0                                 # a .tgz file
python examples/draw_edge_stages.py openmoji-17.0.0.tgz --out docs/images/edge-stages.png

The detector is Sobel's, which needs no weights.
"""

import argparse

import torch
from build_openmoji import read_members, render
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor
from torchvision.transforms.v2 import functional as F

from sketchgan.edges import EdgePipeline

COLUMNS, CAPTION, GAP = 5, 24, 8


def shown(stage: Tensor) -> Image.Image:
    """A stage as a picture: what is found is dark, distances as they are stored."""
    if stage.dtype == torch.uint8:
        return F.to_pil_image(stage)
    return F.to_pil_image(1 - stage.float())


def main(args: list[str] | None = None) -> None:
    """Draw the grid: a block of rows for each pictogram."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("openmoji", help="openmoji-17.0.0.tgz")
    parser.add_argument("--codes", nargs="+", default=["1F98A", "1F682"], help="pictograms by their code points")
    parser.add_argument("--size", type=int, default=192, help="side in pixels")
    parser.add_argument("--out", default="edge-stages.png")
    options = parser.parse_args(args)

    paths = [f"package/color/svg/{code}.svg" for code in options.codes]
    drawings = read_members(options.openmoji, paths)
    photos = torch.stack([F.pil_to_tensor(render(drawings[path].decode(), options.size)) for path in paths])
    stages = EdgePipeline("sobel", size=options.size, border=16).stages(photos / 255)
    shape = options.size + GAP, options.size + CAPTION
    rows = -(-(len(stages) + 1) // COLUMNS)
    grid = Image.new("RGB", (COLUMNS * shape[0] + GAP, len(photos) * rows * shape[1] + GAP), "white")
    draw, font = ImageDraw.Draw(grid), ImageFont.load_default(size=14)
    for number, photo in enumerate(photos):
        panels = {"photo": F.to_pil_image(photo)} | {name: shown(stage[number]) for name, stage in stages.items()}
        for place, (name, panel) in enumerate(panels.items()):
            x, y = GAP + place % COLUMNS * shape[0], (number * rows + place // COLUMNS) * shape[1]
            draw.text((x, y + 4), name, fill="black", font=font)
            grid.paste(panel.convert("RGB"), (x, y + CAPTION))
            draw.rectangle((x - 1, y + CAPTION - 1, x + options.size, y + shape[1]), outline="lightgrey")
    grid.save(options.out, optimize=True)


if __name__ == "__main__":
    main()
