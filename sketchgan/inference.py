"""A trained network turned on files and folders."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import torch
from lightning.pytorch import Trainer
from lightning.pytorch.callbacks import TQDMProgressBar
from torch import Tensor

from sketchgan.callbacks import PredictionWriter
from sketchgan.data import PictureFiles, read_picture
from sketchgan.data.files import refuse_own_inputs
from sketchgan.data.line_art import CleanLines
from sketchgan.data.pictures import PictureError, with_channels
from sketchgan.data.transforms import to_tensor
from sketchgan.modules import load
from sketchgan.modules.base import GANModule
from sketchgan.modules.quiet import quiet_lightning


def translate(
    checkpoint: str | Path,
    inputs: str | Path | Sequence[str | Path],
    out: str | Path,
    direction: Literal["AtoB", "BtoA"] | None = None,
    preprocess: Literal["native", "official"] = "native",
    batch_size: int | None = None,
    num_workers: int = 0,
    accelerator: str = "auto",
    precision: Any = "32-true",
    progress: bool = False,
    label: str | int | None = None,
    samples: int = 1,
    seed: int = 0,
    inference_norm: str | None = None,
    load_size: int | None = None,
    clahe: float | None = None,
    coloured_lines: bool = False,
    style: str | Path | Sequence[str | Path] | None = None,
    style_weights: Sequence[float] | None = None,
    encoder_weights: str | Path | None = None,
    hints: str | Path | None = None,
    hint_saturation: float = 1.0,
    clean_lines: CleanLines | None = None,
    short_side: int | None = None,
    keep_lines: bool = False,
) -> list[str]:
    """Translate pictures and write them under their own names.

    Channels and value range are those of the training data, and the module's inference policy holds (for pix2pix:
    batch statistics of each picture, and dropout seeded by its name); so two runs write the same bytes. Where the
    network was trained on drawings that were made into distance fields, so are the inputs, at the size of training.

    Args:
        checkpoint: written by a ``Trainer`` for one of our modules, or by `sketchgan.convert.convert`.
        inputs: files, and folders that are searched; their sub-folders are kept. One or several.
        out: folder to write to.
        direction: "AtoB" or "BtoA"; by default AtoB, or the one way that the module translates.
        preprocess: "native" keeps the size (reflected at the edges to what the network takes, and cropped back);
            "official" does what the official test script does: the data's resizing for evaluation (see
            `Preprocess.for_evaluation`), bytes cut off instead of rounded, and if that script does so (Anime2Sketch's),
            resized back to the picture's own size.
        batch_size: pictures at a time; more than one needs pictures of one size. By default 1, or 16 where drawings
            are made into distance fields, which are all of the trained size.
        num_workers: loader processes.
        accelerator: of the ``Trainer``.
        precision: of the ``Trainer``.
        progress: show a bar.
        label: name or number of the class of all pictures, for modules that take one. Without it, the pictures'
            first sub-folders must be called like classes.
        samples: how many translations of each picture, ``<name>_1.png`` and so on, for modules that draw random
            numbers; the others make equal ones.
        seed: of these numbers, together with the picture's name; sample k has ``seed + k - 1``.
        inference_norm: what the network normalises with, for modules that offer the choice; by default as the
            checkpoint says.
        load_size: with "official", the side (or width) in pixels that pictures are resized to, instead of the data's.
            Anime2Sketch draws thinner lines, with more detail, the larger it is.
        clahe: clip limit of an equalisation of contrast before the network, for dark pictures; 0 for none. By default
            as the checkpoint says with "official", and none with "native".
        coloured_lines: of networks that draw dark lines on white, keep the picture's colours, as the network saw them,
            as far as the line is dark.
        style: for modules that take one, the picture whose style is wanted; of several, the mean of their vectors,
            which are computed once, for all inputs.
        style_weights: shares of these pictures in the mean, in any unit; by default equal.
        encoder_weights: of the network that makes vectors of styles, a local file; by default where training had it.
        hints: for modules that take them, colours for single places of the inputs, see `read_hints`: a file for all of
            them, or a folder with a file for each, under the input's name. They are resized as the inputs are.
        hint_saturation: factor of these colours' saturation.
        clean_lines: "plain" or "denoise", for scans and pencil drawings: their levels are stretched to black on white
            before the network, see `sketchgan.data.clean_lines`.
        short_side: with "native", the pixels that the inputs' short side is resized to before the network; the long one
            becomes the nearest multiple of 64 in proportion, and the result is resized back.
        keep_lines: of drawings that are coloured, multiply the result by the drawing, at the drawing's own size.

    Returns:
        Messages on the files that could not be read, and so were not translated.

    Raises:
        FileNotFoundError: if the checkpoint, an input, a style or the hints are missing.
        ValueError: if the checkpoint does not fit, the module does not translate in that direction, ``out`` is a
            folder of inputs, a class is missing or unknown, a style is missing, a style or hints are of no use to the
            module or cannot be used, or options do not go together.
        ImportError: for ``clahe`` without the package kornia.
    """
    if direction not in ("AtoB", "BtoA", None):
        raise ValueError(f'direction must be "AtoB" or "BtoA", got {direction!r}')
    if preprocess not in ("native", "official"):
        raise ValueError(f'preprocess must be "native" or "official", got {preprocess!r}')
    if short_side is not None and (preprocess == "official" or load_size is not None):
        raise ValueError("short_side is for preprocess='native'; with 'official' the size is the data's, or load_size")
    chosen = {"inference_norm": inference_norm, "style_weights": encoder_weights and str(encoder_weights)}
    try:
        module = load(checkpoint, **{name: value for name, value in chosen.items() if value is not None})
    except ValueError:
        if encoder_weights is not None and not (plain := load(checkpoint)).takes_style:
            raise ValueError(
                f"{type(plain).__name__} takes no style, but encoder_weights={str(encoder_weights)!r} was given; leave "
                "it out"
            ) from None
        raise
    way = direction or module.directions[0]
    if way not in module.directions:
        raise ValueError(f"{type(module).__name__} translates {' and '.join(module.directions)}, not {way}")
    data = module.data_settings
    official = preprocess == "official"
    if official and not data:
        raise ValueError(f"{checkpoint} does not say how its data was prepared; use preprocess='native'")
    side: Literal["A", "B"] = "A" if way == "AtoB" else "B"
    sketch = data.get("sketch") if side == "A" else None
    if sketch is not None and (load_size or clahe or coloured_lines or short_side or hints):
        raise ValueError(
            f"load_size, clahe, coloured_lines, short_side and hints are for pictures, but {checkpoint} takes drawings"
        )
    if style is None and (style_weights is not None or encoder_weights is not None):
        raise ValueError(
            "style_weights are shares of several style pictures, encoder_weights are of what looks at them; give those "
            "with style"
        )
    if hints is None and hint_saturation != 1:
        raise ValueError(f"hint_saturation={hint_saturation} is of colour hints; give those with hints")
    _refuse_misplaced(module, style, hints)
    classes = data.get("classes", [])
    folders = data.get("class_folders", classes)
    number = None if label is None else class_number(label, classes, folders)
    labelled = module.needs_labels and side == "A"  # AODA's way back takes no class
    if number is not None and not labelled:
        raise ValueError(f"{type(module).__name__} takes no class {way}, but label={label!r} was given")
    if number is None and labelled and not classes:
        raise ValueError(f"{checkpoint} does not name its classes; say with label=NUMBER which one the pictures are of")
    files = PictureFiles(
        inputs,
        side=side,
        preprocess=_preprocess(data["preprocess"] if official else None, load_size, clahe, short_side),
        channels=data.get(f"channels_{side.lower()}", 3),
        label=number,
        classes=folders if labelled else (),
        sketch=sketch,
        samples=samples,
        seed=seed,
        hints=hints,
        hint_saturation=hint_saturation,
        clean_lines=clean_lines,
        value_range=data.get("value_range"),
        batch_size=batch_size or (1 if sketch is None else 16),
        num_workers=num_workers,
    )
    if keep_lines and files.preprocess.mode in ("crop", "scale_width_and_crop"):
        raise ValueError(
            f"keep_lines is for whole drawings, but preprocess='official' cuts a part out ({files.preprocess.mode}); "
            "use preprocess='native'"
        )
    refuse_own_inputs(files, Path(out))
    if style is not None:
        files.style_hint = _style_of(module, [style] if isinstance(style, str | Path) else style, style_weights)
    writer = PredictionWriter(
        str(out),
        only="fake_B" if side == "A" else "fake_A",
        truncate=official,
        resize_back=short_side is not None or (official and module.resizes_back),
        coloured_lines=coloured_lines,
        keep_lines=keep_lines,
    )
    with quiet_lightning():
        trainer = Trainer(
            accelerator=accelerator,
            devices=1,
            precision=precision,
            logger=False,
            callbacks=[writer, *([TQDMProgressBar()] if progress else [])],
            enable_checkpointing=False,
            enable_model_summary=False,
            enable_progress_bar=progress,
        )
        trainer.predict(module, files, return_predictions=False)
    return files.skipped


def _refuse_misplaced(module: GANModule, style: Any, hints: Any) -> None:
    """Styles and hints that the module does not take, or does not get."""
    name = type(module).__name__
    if style is not None and not module.takes_style:
        raise ValueError(f"{name} takes no style, but style={style!r} was given; leave it out")
    if style is None and module.needs_style:
        raise ValueError(f"{name} colours in the style of a picture; say which with style=PICTURE (--style PICTURE)")
    if hints is not None and not module.takes_hints:
        remedy = "; train it with colour_hints=True" if "colour_hints" in module.hparams else ""
        raise ValueError(f"{name} as trained takes no colour hints, but hints={str(hints)!r} was given{remedy}")


def _style_of(module: Any, pictures: Sequence[str | Path], weights: Sequence[float] | None) -> Tensor:
    """The mean ``(D,)`` of the style vectors of pictures.

    Raises:
        ValueError: if there is no picture, one cannot be read, or the weights do not fit.
    """
    if not pictures:
        raise ValueError("style has no picture; name one or several")
    shares = torch.ones(len(pictures)) if weights is None else torch.tensor(weights, dtype=torch.float32)
    if len(shares) != len(pictures):
        raise ValueError(f"{len(shares)} style_weights for {len(pictures)} style pictures; give one for each")
    if not (shares >= 0).all() or not shares.isfinite().all() or not shares.sum() > 0:
        raise ValueError(f"style_weights are shares, at least 0 and not all 0, got {list(weights or ())}")
    vectors = []
    for path in map(Path, pictures):
        if not path.is_file():
            raise FileNotFoundError(f"no style picture {path}")
        try:
            picture = to_tensor(with_channels(read_picture(path), 3))
        except PictureError as error:
            raise ValueError(f"style {str(path)!r}: {error}") from None
        with torch.no_grad():
            vectors.append(module.encode_style(picture[None])[0].float().cpu())
    return torch.stack(vectors).mul(shares[:, None] / shares.sum()).sum(0)


def _preprocess(
    trained: dict[str, Any] | None, load_size: int | None, clahe: float | None, short_side: int | None = None
) -> dict[str, Any]:
    """Settings of a `Preprocess`: those of the data (or none, for pictures of their own size), and what is chosen."""
    settings: dict[str, Any] = {"mode": "native", "flip": False} if trained is None else dict(trained)
    if short_side is not None:
        settings |= {"mode": "scale_short", "load_size": short_side}
    if load_size is not None:
        sizes = {"resize_and_crop": ("load_size", "crop_size"), "scale_width": ("load_size",)}.get(settings["mode"])
        if sizes is None:
            remedy = "use preprocess='official'" if trained is None else "leave it out"
            raise ValueError(f"load_size {load_size} is of no use where pictures keep their size; {remedy}")
        settings |= dict.fromkeys(sizes, load_size)
    return settings if clahe is None else settings | {"clahe_clip": clahe}


def class_number(label: str | int, classes: Sequence[str], folders: Sequence[str] = ()) -> int:
    """Number of a class from its name, from that of its folder, or from the number itself.

    Args:
        label: name or number, which may be text.
        classes: names in the order of their numbers; empty if they are not known.
        folders: names of their folders, if they are others: those of SketchyCOCO are numbers, though not these.

    Raises:
        ValueError: listing the classes.

    Examples:
        >>> class_number("cat", ["ant", "cat"]), class_number("1", ["ant", "cat"])
        (1, 1)
    """
    for names in (classes, folders):
        if str(label) in names:
            return names.index(str(label))
    if str(label).isdecimal() and (not classes or int(label) < len(classes)):
        return int(label)
    numbers = folders if folders and folders != classes else range(len(classes))
    there = ", ".join(f"{number} {name}" for number, name in zip(numbers, classes, strict=True))
    raise ValueError(
        f"no class {label!r}; there are {there}"
        if classes
        else f"no class {label!r}: the checkpoint names no classes, so give a number"
    )
