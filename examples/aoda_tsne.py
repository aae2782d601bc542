"""t-SNE of photos that AODA makes of drawn and of generated sketches: one panel per training strategy.

    pip install "sketchgan[plots]"
    python examples/aoda_tsne.py runs/aoda-ablations/*-seed0/last.ckpt --data runs/aoda-ablations/openmoji

What is embedded are pooled features of each run's own classifier, or of a network that all share (--features). Each
panel is an embedding of its own: positions in two of them cannot be compared. Two runs write the same picture.
"""

import argparse
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from sketchgan.data import PictureFiles
from sketchgan.data.base import collate
from sketchgan.data.transforms import to_uint8
from sketchgan.metrics import feature_net
from sketchgan.modules import load

Features = Callable[[Tensor], Tensor]
MARKERS = {"drawn sketches": "o", "generated sketches": "^", "real photos": "."}


def pictures_of(root: Path, side: Literal["A", "B"], settings: dict[str, Any], count: int) -> list[dict[str, Any]]:
    """Test pictures of each class, evenly over its files, with labels; prepared as in training, one per batch.

    Raises:
        FileNotFoundError: if no class has any.
    """
    found = []
    for number, name in enumerate(settings.get("class_folders", settings["classes"])):
        if not (folder := root / f"test{side}" / name).is_dir():
            continue
        files = PictureFiles(
            folder,
            side=side,
            preprocess=settings["preprocess"],
            channels=settings[f"channels_{side.lower()}"],
            value_range=settings["value_range"],
            label=number,
        )
        pictures: Any = files.dataset("test")
        chosen = np.linspace(0, len(pictures) - 1, min(count, len(pictures))).round().astype(int)
        found += [collate([pictures[i]]) for i in chosen.tolist()]
    if not found:
        classes = ", ".join(settings["classes"])
        raise FileNotFoundError(f"{root / f'test{side}'} has no folder of a class that was trained on ({classes})")
    return found


@torch.inference_mode()
def look(module: Any, features: Features, root: Path, count: int, real: bool) -> dict[str, tuple[NDArray, NDArray]]:
    """Features ``(N, D)`` and labels ``(N,)`` of the photos of each origin."""
    sketches, photos = (
        [module.transfer_batch_to_device(one, module.device, 0) for one in found]
        for found in (pictures_of(root, side, module.data_settings, count) for side in ("A", "B"))
    )
    of_photos = [{"A": module.translate({"B": one["B"]})["fake_A"], "A_label": one["B_label"]} for one in photos]
    made = {
        "drawn sketches": [(module.translate(one)["fake_B"], one["A_label"]) for one in sketches],
        "generated sketches": [(module.translate(one)["fake_B"], one["A_label"]) for one in of_photos],
        "real photos": [(one["B"], one["B_label"]) for one in photos] if real else [],
    }
    return {
        origin: (
            torch.cat([features(photo) for photo, _ in pairs]).float().cpu().numpy(),
            torch.cat([label for _, label in pairs]).cpu().numpy(),
        )
        for origin, pairs in made.items()
        if pairs
    }


def classifier_of(module: Any, checkpoint: Path) -> Features:
    """Pooled features of a run's own classifier.

    Raises:
        ValueError: if it has none.
    """
    if getattr(module, "classifier", None) is None:
        raise ValueError(f"{checkpoint} has no classifier; look through a common network: --features openmoji")
    return module.classifier.features


def embed(features: NDArray, seed: int) -> NDArray:
    """Positions ``(N, 2)``."""
    from sklearn.manifold import TSNE
    from threadpoolctl import threadpool_limits

    with threadpool_limits(1):  # several threads add up in an order of their own
        tsne = TSNE(perplexity=min(30.0, (len(features) - 1) / 3), init="pca", random_state=seed)
        return tsne.fit_transform(features)


def draw(
    panels: dict[str, dict[str, tuple[NDArray, NDArray]]],
    classes: Sequence[str],
    open_domain: Sequence[str],
    seed: int,
    out: Path,
) -> None:
    """Write the panels side by side, coloured by class, with a marker per origin."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot as plt
    from matplotlib.lines import Line2D

    colours = plt.get_cmap("tab10" if len(classes) <= 10 else "tab20")
    figure, axes = plt.subplots(1, len(panels), figsize=(4 * len(panels) + 2, 4), squeeze=False, layout="constrained")
    for axis, (title, origins) in zip(axes[0], panels.items(), strict=True):
        positions = embed(np.concatenate([features for features, _ in origins.values()]), seed)
        start = 0
        for origin, (_, labels) in origins.items():
            at, start = positions[start : start + len(labels)], start + len(labels)
            axis.scatter(*at.T, c=colours(labels % colours.N), marker=MARKERS[origin], s=18, linewidths=0, alpha=0.8)
        axis.set(title=title, xticks=[], yticks=[])
    names = [f"{name} (open)" if name in open_domain else name for name in classes]
    of_class = [
        Line2D([], [], color=colours(number % colours.N), marker="s", ls="", label=name)
        for number, name in enumerate(names)
    ]
    shown = [origin for origin in MARKERS if any(origin in origins for origins in panels.values())]
    of_origin = [Line2D([], [], color="grey", marker=MARKERS[origin], ls="", label=origin) for origin in shown]
    figure.legend(handles=[*of_class, *of_origin], loc="outside right center", fontsize=8)
    out.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(out, dpi=120, metadata={"Software": None})
    plt.close(figure)


def main(args: list[str] | None = None) -> None:
    """Load, translate, embed and draw."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("checkpoints", nargs="+", type=Path, help="one per panel, with its folder as title")
    parser.add_argument("--data", type=Path, required=True, help="tree with testA/CLASS (sketches) and testB/CLASS")
    parser.add_argument("--features", default="classifier", choices=("classifier", "inception", "openmoji"))
    parser.add_argument("--real", action="store_true", help="show real photos too")
    parser.add_argument("--count", type=int, default=50, help="pictures of each class and origin, at most")
    parser.add_argument("--seed", type=int, default=0, help="of the embedding")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--out", type=Path, default=Path("tsne.png"))
    options = parser.parse_args(args)
    try:
        import matplotlib  # noqa: F401
        import sklearn  # noqa: F401
    except ImportError as error:
        raise ImportError(f'{error}; install what draws this: pip install "sketchgan[plots]"') from error

    shared = None if options.features == "classifier" else feature_net(options.features).to(options.device)
    panels: dict[str, Any] = {}
    classes: Sequence[str] = ()
    open_domain: set[str] = set()
    folders = [checkpoint.parent.name for checkpoint in options.checkpoints]
    for checkpoint in options.checkpoints:
        module = load(checkpoint).to(options.device).eval()
        if classes and classes != module.data_settings["classes"]:
            raise ValueError(f"{checkpoint} has classes {module.data_settings['classes']}, others have {classes}")
        classes = module.data_settings["classes"]
        open_domain |= set(module.data_settings.get("open_domain", ()))
        own = None if shared else classifier_of(module, checkpoint)
        features = own or (lambda photos: shared(to_uint8(photos))[0])  # type: ignore[misc]
        folder = checkpoint.parent.name
        panels[folder if folders.count(folder) == 1 else str(checkpoint)] = look(
            module, features, options.data, options.count, options.real
        )
    draw(panels, classes, sorted(open_domain), options.seed, options.out)
    print(f"{options.out} shows {', '.join(panels)}")


if __name__ == "__main__":
    try:
        main()
    except (ImportError, OSError, ValueError) as error:
        sys.exit(f"aoda_tsne: {error}")
