"""The commands beside training: translate, convert, pairs, faces, edges, sketches, recipes."""

import argparse
import sys
from collections.abc import Callable

from lightning.pytorch.utilities import rank_zero_only

from sketchgan.convert import convert
from sketchgan.convert.systems import SYSTEMS
from sketchgan.data import NetworkLines, combine_pairs, draw_lines, make_edge_maps, prepare_faces
from sketchgan.data.line_extraction import NAMES
from sketchgan.edges import EdgePipeline
from sketchgan.inference import translate
from sketchgan.modules import load
from sketchgan.modules.quiet import quiet_lightning
from sketchgan.recipes import describe, recipes


def _translate(args: list[str]) -> None:
    """``sketchgan translate CKPT INPUT... --out DIR``."""
    parser = argparse.ArgumentParser("sketchgan translate", description="Translate pictures with a trained network.")
    parser.add_argument("checkpoint")
    parser.add_argument("inputs", nargs="+", metavar="INPUT", help="picture files, and folders that are searched")
    parser.add_argument("--out", required=True, help="folder to write to, under the inputs' own names")
    parser.add_argument("--direction", choices=("AtoB", "BtoA"), help="(default: AtoB, or the network's only one)")
    parser.add_argument(
        "--preprocess",
        default="native",
        choices=("native", "official"),
        help="native keeps the size; official resizes and rounds as the official test script does",
    )
    parser.add_argument(
        "--label",
        metavar="NAME_OR_NUMBER",
        help="class of the pictures, if the network takes one and no sub-folder says",
    )
    parser.add_argument("--samples", type=int, default=1, help="translations of each picture, if the network has noise")
    parser.add_argument("--seed", type=int, default=0, help="of that noise, together with a picture's name")
    parser.add_argument(
        "--inference_norm",
        help="what the network normalises with, if it offers a choice",
    )
    parser.add_argument("--load_size", type=int, help="with official: side to resize pictures to (default: the data's)")
    parser.add_argument("--clahe", type=float, help="clip limit of an equalisation of contrast, for dark pictures")
    parser.add_argument("--coloured_lines", action="store_true", help="draw lines in the picture's colours")
    parser.add_argument(
        "--style",
        nargs="+",
        metavar="PICTURE",
        help="colour in the style of this picture, or a mixture of several, if the network takes one",
    )
    parser.add_argument("--style_weights", nargs="+", type=float, metavar="SHARE", help="of these pictures")
    parser.add_argument("--encoder_weights", metavar="FILE", help="of what encodes styles, if not as in training")
    parser.add_argument(
        "--hints",
        metavar="FILE_OR_FOLDER",
        help="colours for single places, if the network takes them: a transparent picture or .json file, or a folder "
        "with one for each input under its name",
    )
    parser.add_argument("--hint_saturation", type=float, default=1.0, metavar="FACTOR", help="of these colours")
    parser.add_argument(
        "--clean_lines",
        nargs="?",
        const="plain",
        choices=("plain", "denoise"),
        help="stretch scans and pencil drawings to black on white before the network",
    )
    parser.add_argument(
        "--short_side", type=int, metavar="PIXELS", help="resize inputs to this before the network, and results back"
    )
    parser.add_argument("--keep_lines", action="store_true", help="multiply the result by the drawing")
    parser.add_argument(
        "--batch_size", type=int, help="pictures at a time, which must have one size (default: 1; of drawings 16)"
    )
    parser.add_argument("--num_workers", type=int, default=0)
    parser.add_argument("--accelerator", default="auto")
    parser.add_argument("--precision", default="32-true")
    options = vars(parser.parse_args(args))
    try:
        skipped = translate(**options, progress=sys.stderr.isatty())
    except ImportError as error:
        sys.exit(f"sketchgan translate: {error}")
    print(f"Pictures are in {options['out']}")
    if skipped:
        sys.exit("\n".join([f"{len(skipped)} files could not be read:", *skipped]))


def _convert(args: list[str]) -> None:
    """``sketchgan convert SRC DST``."""
    parser = argparse.ArgumentParser(
        "sketchgan convert",
        description="Convert official weights of pix2pix, CycleGAN, anti-aliased CUT, U-GAT-IT, photo2cartoon, "
        "SketchyGAN, AODA, Anime2Sketch and PaintsChainer, or back.",
    )
    parser.add_argument(
        "src",
        metavar="SRC",
        help="official .pth or .bin file or folder of them, .pt file of several networks, TensorFlow checkpoint of "
        "SketchyGAN (model.ckpt-300000, or its folder) or .npz of its variables, Chainer file of PaintsChainer "
        "(unet_128_standard) or folder of them, or file of ours",
    )
    parser.add_argument(
        "dst",
        metavar="DST",
        help="NAME.safetensors for translate and load, NAME.ckpt for fit --ckpt_path (needs all networks), or from a "
        "file of ours NAME.pth or a folder for official code, NAME.pt for that of U-GAT-IT and photo2cartoon, NAME.npz "
        "for SketchyGAN's variables and for a network of PaintsChainer",
    )
    parser.add_argument("--module", choices=tuple(SYSTEMS), help="whose the weights are, if not as guessed")
    parser.add_argument(
        "--epoch",
        default="latest",
        help="which files of a folder (default: latest), or which step of SketchyGAN's or PaintsChainer's",
    )
    parser.add_argument(
        "--image_size",
        type=int,
        help="side that the official test script resizes to, if not visible (default: 256, of Anime2Sketch and of "
        "PaintsChainer's refiner 512, of PaintsChainer 128)",
    )
    parser.add_argument(
        "--dropout", type=float, help="of a U-Net, whose weights do not show it (default: 0.5, of Anime2Sketch 0)"
    )
    parser.add_argument("--padding", choices=("reflect", "replicate"), help="of residual blocks (default: reflect)")
    parser.add_argument(
        "--inference",
        action="store_true",
        help="of a file of ours, leave out what only training needs: discriminators, classifiers, guide decoders",
    )
    options = vars(parser.parse_args(args))
    print(*convert(**{name: value for name, value in options.items() if value is not None}), sep="\n")
    print(f"Written: {options['dst']}")


def _pairs(args: list[str]) -> None:
    """``sketchgan pairs A B OUT``."""
    parser = argparse.ArgumentParser(
        "sketchgan pairs", description="Combine pictures of the same name in two trees side by side, for PairedFolders."
    )
    parser.add_argument("a", metavar="A", help="tree of the A pictures; sub-folders such as train are kept")
    parser.add_argument("b", metavar="B", help="tree of the B pictures")
    parser.add_argument("out", metavar="OUT")
    options = parser.parse_args(args)
    print(f"{combine_pairs(options.a, options.b, options.out)} pairs are in {options.out}")


def _faces(args: list[str]) -> None:
    """``sketchgan faces IN... OUT``."""
    parser = argparse.ArgumentParser(
        "sketchgan faces", description="Turn photographs into upright portraits on white, as photo2cartoon takes them."
    )
    parser.add_argument("inputs", nargs="+", metavar="IN", help="picture files, and folders that are searched")
    parser.add_argument("out", metavar="OUT", help="folder to write to, under the inputs' own names")
    parser.add_argument(
        "--landmarks", help="folder with .npy, .csv, .txt or .pts of 68 points for each picture, or a file for one"
    )
    masks = parser.add_mutually_exclusive_group()
    masks.add_argument("--masks", help="folder with a grey picture for each picture, white for the person")
    masks.add_argument("--no-masks", action="store_true", dest="keep_background", help="keep the background")
    parser.add_argument("--size", type=int, help="side of the portraits in pixels (default: that of the crop)")
    parser.add_argument("--rgba", action="store_true", help="keep background and mask, as a fourth channel")
    parser.add_argument("--overwrite", action="store_true", help="replace portraits that exist")
    parser.add_argument("--device", default="auto", help="for the networks that find faces and people")
    options = vars(parser.parse_args(args))
    try:
        skipped = prepare_faces(**options, progress=sys.stderr.isatty())
    except ImportError as error:
        sys.exit(f"sketchgan faces: {error}")
    print(f"Portraits are in {options['out']}")
    if skipped:
        sys.exit("\n".join([f"{len(skipped)} pictures were left out:", *skipped]))


def _edges(args: list[str]) -> None:
    """``sketchgan edges IN... OUT``."""
    parser = argparse.ArgumentParser(
        "sketchgan edges", description="Turn photographs into edge maps that look like sketches, and distance fields."
    )
    parser.add_argument("inputs", nargs="+", metavar="IN", help="picture files, and folders that are searched")
    parser.add_argument("out", metavar="OUT", help="folder for the shards; started again, the job goes on there")
    stages = parser.add_argument_group("stages", "defaults are those of EdgePipeline")
    stages.add_argument("--detector", choices=("hed", "dexined", "canny", "sobel"), help="what finds edges")
    stages.add_argument("--weights", help="file with the weights of hed or dexined, instead of a download")
    stages.add_argument(
        "--channel_order", choices=("bgr", "rgb"), help="of what hed is shown; rgb is SketchyGAN's script's mistake"
    )
    stages.add_argument("--order", choices=("official", "paper"))
    stages.add_argument("--size", type=int, help="side of the maps in pixels")
    stages.add_argument("--border", type=int, help="pixels that the photo is reflected by at each side")
    stages.add_argument("--threshold", type=float, help="of the edge strength, 0 to 1")
    stages.add_argument("--small_edge", type=int, help="lines of fewer pixels are removed")
    parser.add_argument("--keep_photos", choices=("jpeg", "png"), help="also keep the photographs as resized")
    parser.add_argument("--shard_size", type=int, default=1000, help="pictures per shard")
    parser.add_argument("--batch_size", type=int, default=16, help="pictures at a time on a GPU")
    parser.add_argument("--num_workers", type=int, help="processes (default: one per CPU core)")
    parser.add_argument("--accelerator", default="auto")
    parser.add_argument("--devices", type=int, default=1, help="they share the shards")
    parser.add_argument("--rank", type=int, help="number of this process, of --world that share the shards")
    parser.add_argument("--world", type=int)
    parser.add_argument("--skip_bad", action="store_const", const="skip", default="raise", dest="on_bad_image")
    options = vars(parser.parse_args(args))
    taken = ("detector", "weights", "channel_order", "order", "size", "border", "threshold", "small_edge")
    settings = {name: value for name in taken if (value := options.pop(name)) is not None}
    try:
        with quiet_lightning():
            report = make_edge_maps(pipeline=EdgePipeline(**settings), **options, progress=sys.stderr.isatty())
    except ImportError as error:
        sys.exit(f"sketchgan edges: {error}")
    rank_zero_only(print)(
        f"{report.ok} edge maps, {report.blank} blank ones dropped, {len(report.unreadable)} unreadable pictures, of "
        f"{report.images}; {report.finished} of {report.shards} shards are in {options['out']}"
    )
    if report.unreadable:
        more = [f"and {len(report.unreadable) - 20} more, see the manifests"] if report.unreadable[20:] else []
        sys.exit("\n".join([f"{len(report.unreadable)} pictures were left out:", *report.unreadable[:20], *more]))


def _sketches(args: list[str]) -> None:
    """``sketchgan sketches IN... OUT``."""
    parser = argparse.ArgumentParser("sketchgan sketches", description="Turn paintings into line art of their names.")
    parser.add_argument("inputs", nargs="+", metavar="IN", help="picture files, and folders that are searched")
    parser.add_argument("out", metavar="OUT", help="folder to write to, under the inputs' own names")
    parser.add_argument(
        "--extractor",
        default="xdog",
        metavar="NAME",
        help=f"{', '.join(NAMES)}, or anime2sketch for a network of ours that draws (default: xdog)",
    )
    parser.add_argument("--weights", help="of sketchkeras its file of weights, of anime2sketch our checkpoint")
    parser.add_argument("--overwrite", action="store_true", help="draw again what is in OUT already")
    parser.add_argument("--device", default="auto", help="of the networks")
    options = vars(parser.parse_args(args))
    if options["extractor"] == "anime2sketch":
        weights = options.pop("weights")
        if weights is None:
            sys.exit(
                "sketchgan sketches: anime2sketch needs --weights, a checkpoint that sketchgan fit or convert wrote"
            )
        module = load(weights)
        if "BtoA" not in module.directions:
            sys.exit(f"sketchgan sketches: {weights} holds no network from pictures (B) to drawings (A)")
        options["extractor"] = NetworkLines(getattr(module, module.generators["BtoA"]))
    report = draw_lines(**options, progress=sys.stderr.isatty())
    print(f"{report.drawn} drawings made, {report.kept} were there; they are in {options['out']}")
    if report.problems:
        sys.exit("\n".join([f"{len(report.problems)} pictures were left out:", *report.problems]))


def _recipes(args: list[str]) -> None:
    """``sketchgan recipes``."""
    for name, path in recipes().items():
        print(f"{name:28}{describe(path)}")


COMMANDS: dict[str, Callable[[list[str]], None]] = {
    "recipes": _recipes,
    "translate": _translate,
    "convert": _convert,
    "pairs": _pairs,
    "faces": _faces,
    "edges": _edges,
    "sketches": _sketches,
}
"""By name; each takes the arguments that follow its name."""
