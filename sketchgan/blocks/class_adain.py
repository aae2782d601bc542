"""Adaptive instance normalisation whose scale and shift are learned per class (AODA, arXiv 2104.05703, section 3.1)."""

import torch
from torch import Tensor, nn

from sketchgan.blocks.adalin import layer_instance_norm


class ClassAdaIN(nn.Module):
    """Instance norm, then the scale and shift of a class.

    As in the official code a class has a learned row, a linear layer makes four values per channel of it, and their
    mean and standard deviation are the shift and the scale; so the scale is never negative. Variances are unbiased.
    Statistics are taken in float32, also of half-precision maps.

    Args:
        channels: C of the input.
        n_classes: number of classes.
        eps: added to variances.

    Shapes: ``(N, C, H, W)`` and labels → ``(N, C, H, W)``. Labels are int64 ``(N,)``, or shares of classes, float
    ``(N, n_classes)``, which blend the styles of several.

    Examples:
        >>> norm = ClassAdaIN(channels=2, n_classes=3)
        >>> x = torch.randn(1, 2, 4, 4)
        >>> one = norm(x, torch.tensor([1]))
        >>> torch.allclose(one, norm(x, torch.tensor([[0.0, 1.0, 0.0]])))
        True
    """

    rho: Tensor

    def __init__(self, channels: int, n_classes: int, eps: float = 1e-5) -> None:
        super().__init__()
        self.eps = eps
        self.classes = nn.Embedding(n_classes, n_classes)
        self.linear = nn.Linear(n_classes, 4 * channels)
        self.register_buffer("rho", torch.ones(channels), persistent=False)  # all instance norm, no layer norm

    def forward(self, x: Tensor, labels: Tensor) -> Tensor:
        with torch.autocast(x.device.type, enabled=False):
            scale, shift = self.styles()
            if labels.is_floating_point():
                scale, shift = labels @ scale, labels @ shift
            else:
                scale, shift = scale[labels], shift[labels]
        return layer_instance_norm(x, self.rho, scale, shift, self.eps)

    def styles(self) -> tuple[Tensor, Tensor]:
        """Scale and shift of every class, each ``(n_classes, C)``."""
        values = self.linear(self.classes.weight).unflatten(1, (-1, 4))
        var, mean = torch.var_mean(values, dim=2)
        return (var + self.eps).sqrt(), mean
