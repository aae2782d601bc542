"""Names of weights in junyanz/pytorch-CycleGAN-and-pix2pix, and in the anti-aliased CUT, beside ours.

A key map sends the prefix of an official key (a layer's name) to our layer's name, or to None where the official file
stores a constant. The official discriminators' names cross (``netD_A`` judges domain B); ours do not.
"""

from collections.abc import Mapping

from torch import Tensor

KeyMap = dict[str, str | None]

PIX2PIX = {"netG": "generator", "netD": "discriminator"}
CYCLEGAN = {
    "netG_A": "generator_ab",
    "netG_B": "generator_ba",
    "netD_A": "discriminator_b",
    "netD_B": "discriminator_a",
}


def unet_keys(num_downs: int) -> KeyMap:
    """Key map of `UNetGenerator`: official levels nest, ours stand in a row."""
    keys: KeyMap = {"model.model.0": "down.0", "model.model.3": f"up.{num_downs - 1}.1"}
    for level in range(1, num_downs):
        block = "model.model.1" + ".model.3" * (level - 1) + ".model"
        up = f"up.{num_downs - 1 - level}"
        keys[f"{block}.1"] = f"down.{level}.1"
        if level < num_downs - 1:
            keys |= {f"{block}.2": f"down.{level}.2", f"{block}.5": f"{up}.1", f"{block}.6": f"{up}.2"}
        else:
            keys |= {f"{block}.3": f"{up}.1", f"{block}.4": f"{up}.2"}
    return keys


def resnet_keys(
    n_blocks: int,
    dropout: bool = False,
    padding: str = "reflect",
    antialias_down: bool = False,
    antialias_up: bool = False,
) -> KeyMap:
    """Key map of `ResnetGenerator`: paddings, dropout and blurs take official places of their own."""
    keys: KeyMap = {"model.1": "stem.1", "model.2": "stem.2"}
    at = 4
    for i in range(2):
        keys |= {f"model.{at}": f"down.{i}.0", f"model.{at + 1}": f"down.{i}.1"}
        if antialias_down:
            keys[f"model.{at + 3}"] = None
        at += 4 if antialias_down else 3
    pad = 0 if padding == "zero" else 1
    second = pad + 3 + (1 if dropout else 0) + pad
    for i in range(n_blocks):
        block = f"model.{at + i}.conv_block"
        keys |= {f"{block}.{pad}": f"blocks.{i}.body.1", f"{block}.{pad + 1}": f"blocks.{i}.body.2"}
        keys |= {f"{block}.{second}": f"blocks.{i}.body.6", f"{block}.{second + 1}": f"blocks.{i}.body.7"}
    at += n_blocks
    for i in range(2):
        if antialias_up:
            keys[f"model.{at}"] = None
            at += 1
        conv = 1 if antialias_up else 0
        keys |= {f"model.{at}": f"up.{i}.{conv}", f"model.{at + 1}": f"up.{i}.{conv + 1}"}
        at += 3
    keys[f"model.{at + 1}"] = "head.1"
    return keys


def patch_keys(n_layers: int, antialias: bool = False) -> KeyMap:
    """Key map of `PatchDiscriminator`."""
    count = 3 * n_layers + 3 + (n_layers if antialias else 0)
    keys: KeyMap = {f"model.{i}": str(i) for i in range(count)}
    if antialias:
        keys |= {f"model.{2 if i == 0 else 2 + 4 * i}": None for i in range(n_layers)}
    return keys


def pixel_keys() -> KeyMap:
    """Key map of `PixelDiscriminator`."""
    return {f"net.{i}": str(i) for i in range(6)}


def from_official(state: Mapping[str, Tensor], keys: KeyMap) -> dict[str, Tensor]:
    """Rename an official state dict.

    Raises:
        KeyError: if it holds a key that the map does not know.
    """
    renamed = {}
    for key, value in state.items():
        layer, _, name = key.rpartition(".")
        if layer not in keys:
            raise KeyError(f"official key {key!r} belongs to no layer of this network")
        if (ours := keys[layer]) is not None:
            renamed[f"{ours}.{name}"] = value
    return renamed


def to_official(state: Mapping[str, Tensor], keys: KeyMap) -> dict[str, Tensor]:
    """Rename one of our state dicts to official keys; constants that only official files store are left out."""
    official = {ours: theirs for theirs, ours in keys.items() if ours is not None}
    return {f"{official[key.rpartition('.')[0]]}.{key.rpartition('.')[2]}": value for key, value in state.items()}
