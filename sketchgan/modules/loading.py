"""Loading a module without knowing its class."""

from pathlib import Path
from typing import Any

from sketchgan.modules.base import GANModule


def load(path: str | Path, map_location: Any = "cpu", **kwargs: Any) -> GANModule:
    """Load any sketchgan checkpoint or file of weights as the module that wrote it.

    Args:
        path: a checkpoint written by a `Trainer` for one of our modules or a subclass of them, or a file of weights
            with settings, such as `sketchgan.convert.convert` writes.
        map_location: device to load to.
        **kwargs: constructor arguments to replace, among them networks that were passed as objects.

    Returns:
        The module, in evaluation mode (which ``Trainer.fit`` ends).

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: if it is no sketchgan checkpoint, or its class is not imported.
    """
    module = GANModule.load_from_checkpoint(path, map_location=map_location, **kwargs).eval()
    module._loaded = True
    return module
