"""Files for inference alone: weights without the networks, and the parts of them, that only training needs."""

from collections.abc import Mapping
from typing import Any

from torch import Tensor

from sketchgan.modules import GANModule
from sketchgan.modules.building import class_path
from sketchgan.networks import Style2PaintsGenerator

_OF_TRAINING = ("discriminator", "classifier")
"""What the names of networks begin with."""


def for_inference(module: GANModule, settings: Mapping[str, Any]) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """What a file for inference holds of a module.

    Args:
        module: with its weights; generators lose their guide decoders.
        settings: its arguments, with recipes for networks.

    Returns:
        The weights of all networks but discriminators and classifiers, and arguments for a module with these.
    """
    settings = dict(settings)
    for name in module.generators.values():
        network = getattr(module, name)
        if isinstance(network, Style2PaintsGenerator) and network.guides:
            network.drop_guides()
            in_channels = network.get_submodule("enc.0.0.conv").in_channels
            default = {"hint_dim": network.hint_dim, "in_channels": in_channels}
            recipe = settings.get(name) or {"class_path": class_path(type(network)), "init_args": default}
            settings[name] = {**recipe, "init_args": {**recipe.get("init_args", {}), "guides": "none"}}
    return {key: value for key, value in module.state_dict().items() if not key.startswith(_OF_TRAINING)}, settings
