"""What those share that look through a network which is never trained: losses, encoders of styles."""

import itertools
from abc import ABC, abstractmethod
from typing import Any

import torch
from torch import Tensor, nn


class FrozenNetwork(ABC):
    """Holder of a network that never trains: frozen, in evaluation mode, and in float32 also under autocast.

    It is no ``nn.Module``, so the network is no part of a module that holds it: not of its checkpoints, its optimizers,
    or what processes exchange. The network follows the device and, from float32 on, the precision of the pictures.

    Attributes:
        network: what it looks through, once `prepare` has run.
    """

    network: Any = None
    _ready = False

    @abstractmethod
    def build(self) -> nn.Module:
        """The network with its weights."""

    def prepare(self) -> None:
        """Load the weights, once; the first pictures would do it, but errors should come before training.

        Raises:
            FileNotFoundError: if there are no weights.
            ValueError: if a file holds something else.
        """
        if not self._ready:
            # Weights made in inference mode could never serve in training, whose random numbers stay what they were.
            with torch.inference_mode(False), torch.random.fork_rng(devices=[]):
                network = self.build()
            self.network = network.eval().requires_grad_(False)
            self._ready = True

    def look(self, images: Tensor) -> Any:
        """What the network makes of pictures; of float16 and bfloat16 it takes float32 copies."""
        self.prepare()
        with torch.autocast(images.device.type, enabled=False):
            images = images.to(torch.promote_types(images.dtype, torch.float32))
            return self._network_for(images)(self.shown(images))

    def shown(self, images: Tensor) -> Tensor:
        """Pictures as the network wants them."""
        return images

    def _network_for(self, images: Tensor) -> nn.Module:
        """The network, on the device and in the precision of the pictures."""
        state = itertools.chain(self.network.parameters(), self.network.buffers())
        first = next((tensor for tensor in state if tensor.is_floating_point()), images)
        if (first.device, first.dtype) != (images.device, images.dtype):
            with torch.inference_mode(False):
                self.network.to(images.device, images.dtype)
        return self.network
