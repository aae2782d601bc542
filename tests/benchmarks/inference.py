"""What a picture costs after training: with the parts that only training needs, and without."""

import copy
import statistics
import time
from collections.abc import Callable

import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from benchmarks import machine
from benchmarks.report import Table, ratios, spread
from sketchgan.networks import Style2PaintsGenerator
from sketchgan.networks.vgg import VGG

Forward = Callable[[], object]


def painters(device: str, side: int = 256, width: int = 64) -> dict[str, tuple[nn.Module, Forward]]:
    """Networks in evaluation mode, and a pass of each on one picture; the published widths belong to ``width=64``."""
    whole = Style2PaintsGenerator(64 * width, ngf=width // 4, mid=32 * width).to(device).eval()
    bare = copy.deepcopy(whole)
    bare.drop_guides()
    vgg = VGG(["fc1"], 19, (width, 2 * width, 4 * width, 8 * width, 8 * width, 64 * width)).to(device).eval()
    ink, hint = torch.rand(1, 1, side, side, device=device), torch.randn(1, 64 * width, device=device)
    picture = torch.rand(1, 3, 224, 224, device=device)
    return {
        "generator with guide decoders": (whole, lambda: whole(ink, hint, guides=True)),
        "generator": (bare, lambda: bare(ink, hint)),
        "VGG-19 to fc1, for the style picture": (vgg, lambda: vgg(picture)),
    }


@torch.inference_mode()
def gmac(forward: Forward) -> float:
    """Multiply-accumulates of convolutions and dense layers, in thousand millions."""
    with FlopCounterMode(display=False) as flops:
        forward()
    return flops.get_total_flops() / 2e9


@torch.inference_mode()
def seconds(forward: Forward, device: str, repetitions: int) -> float:
    """Of one pass."""
    machine.synchronize(device)
    start = time.perf_counter()
    for _ in range(repetitions):
        forward()
    machine.synchronize(device)
    return (time.perf_counter() - start) / repetitions


def tables(device: str, rounds: int) -> list[Table]:
    """One table; ``rounds`` turns of each network."""
    header = ["network", "million parameters", "GMAC", "ms", "time ÷ with guides"]
    table = Table("Style2Paints, 256 px, one picture", header)
    networks = painters(device)
    repetitions = 3 if device == "cpu" else 50
    times: dict[str, list[float]] = {name: [] for name in networks}
    for i in range(rounds + 1):
        for name, (_, forward) in list(networks.items())[:: -1 if i % 2 else 1]:
            taken = seconds(forward, device, repetitions)
            if i > 0:  # the first round warms up
                times[name].append(taken)
    first = next(iter(times.values()))
    for name, (network, forward) in networks.items():
        size = sum(p.numel() for p in network.parameters()) / 1e6
        compared = spread(ratios(times[name], first)) if times[name] is not first else "1"
        table.rows.append((name, size, gmac(forward), 1000 * statistics.median(times[name]), compared))
    table.notes = [
        f"Evaluation mode without gradients, {repetitions} passes per turn. Guide decoders serve training alone and do "
        "not run in evaluation mode; here the first line asks for their pictures, and the second has them removed. "
        "Styles are 4096 numbers that VGG-19 makes of a picture of 224 px, once for any number of sketches."
    ]
    return [table]
