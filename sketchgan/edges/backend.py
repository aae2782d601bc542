"""Which implementation of a stage runs; both give the same values."""

from typing import Literal

from torch import Tensor

Backend = Literal["auto", "torch", "scipy"]


def on_scipy(images: Tensor, backend: Backend, faster: bool = True) -> bool:
    """Whether SciPy is to do it.

    Args:
        images: what is to be worked on.
        backend: "scipy" copies tensors of a GPU to the CPU and back; "auto" takes SciPy for tensors on the CPU.
        faster: whether SciPy is the faster one there; otherwise "auto" stays with torch.

    Raises:
        ValueError: for an unknown backend.
    """
    if backend not in ("auto", "torch", "scipy"):
        raise ValueError(f'backend must be "auto", "torch" or "scipy", got {backend!r}')
    return backend == "scipy" or (backend == "auto" and faster and images.device.type == "cpu")
