"""Spectral normalisation (Miyato et al., ICLR 2018, arXiv 1802.05957) that can take several passes at once."""

from typing import Any, Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

_EPS = 1e-12


Update = Literal["forward", "manual"]


class _SpectralNorm(nn.Module):
    """What the layers share: ``weight_orig`` and the vectors of the power iteration, named as torch names them.

    By default one iteration per pass in training mode, none in evaluation, in the order of
    ``torch.nn.utils.spectral_norm`` (that of ``torch.nn.utils.parametrizations`` differs, and so do its results).

    Args:
        iterations: of the power method, per pass.
        differentiable: let gradients flow through the iterations too, as TensorFlow implementations often do.
        update: "forward" stores the vectors of every training pass. "manual" starts every pass, in evaluation too, from
            the stored vector and leaves it as it is, until `advance` is called; so all passes between two calls have
            one weight, and ``weight_v`` is not kept.
    """

    weight_orig: nn.Parameter
    weight_u: Tensor
    weight_v: Tensor
    bias: Any

    def __init__(
        self,
        *args: Any,
        iterations: int = 1,
        differentiable: bool = False,
        update: Update = "forward",
        **kwargs: Any,
    ) -> None:
        super().__init__(*args, **kwargs)
        if update not in ("forward", "manual"):
            raise ValueError(f'update must be "forward" or "manual", got {update!r}')
        self.iterations = iterations
        self.differentiable = differentiable
        self.update = update
        weight = self._parameters.pop("weight")
        assert weight is not None
        self.weight_orig = weight
        matrix = self._matrix()
        self.register_buffer("weight_u", F.normalize(torch.randn(len(matrix)), dim=0, eps=_EPS))
        if update == "forward":
            self.register_buffer("weight_v", F.normalize(torch.randn(matrix[0].numel()), dim=0, eps=_EPS))

    def _matrix(self) -> Tensor:
        """The weight as a matrix, one row per output."""
        return self.weight_orig.flatten(1)

    def forward(self, input: Tensor, passes: int = 1) -> Tensor:
        sigmas = self._sigmas(passes)
        weight = self.weight_orig / sigmas[0]
        if passes == 1:
            return self._layer(input, weight, self.bias)
        return self._divided(self._layer(input, weight, None), sigmas, self.bias)

    def _layer(self, input: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        """What the layer computes, with the weight and bias that it is given."""
        raise NotImplementedError

    def normalised_weight(self) -> Tensor:
        """The weight divided by its largest singular value as last estimated."""
        with torch.autocast(self.weight_orig.device.type, enabled=False):
            if self.update == "manual":
                return self.weight_orig / self._sigmas(1)
            u, v = self.weight_u.clone(), self.weight_v.clone()  # later passes overwrite what the graph keeps
            return self.weight_orig / torch.dot(u, torch.mv(self._matrix(), v))

    @torch.no_grad()
    def advance(self) -> None:
        """Store the vector that the passes since the last call arrived at; for ``update="manual"``."""
        with torch.autocast(self.weight_orig.device.type, enabled=False):  # as in the passes
            self.weight_u.copy_(self._iterated(self._matrix(), self.weight_u)[0])

    def _iterated(self, matrix: Tensor, u: Tensor) -> tuple[Tensor, Tensor]:
        """Both vectors after this layer's number of iterations."""
        with torch.set_grad_enabled(self.differentiable and torch.is_grad_enabled()):
            for _ in range(self.iterations):
                v = F.normalize(torch.mv(matrix.t(), u), dim=0, eps=_EPS)
                u = F.normalize(torch.mv(matrix, v), dim=0, eps=_EPS)
        return u, v

    def _sigmas(self, passes: int) -> Tensor:
        """Largest singular value as estimated in each of several passes, one after the other: ``(passes,)``."""
        matrix = self._matrix()
        with torch.autocast(matrix.device.type, enabled=False):
            u = self.weight_u.clone()  # later passes overwrite what the graph keeps
            if self.update == "manual":
                u, v = self._iterated(matrix, u)
                return torch.dot(u, torch.mv(matrix, v)).expand(passes)
            v = self.weight_v.clone()
            sigmas = []
            for _ in range(passes):
                if self.training:
                    u, v = self._iterated(matrix, u)
                sigmas.append(torch.dot(u, torch.mv(matrix, v)))
            if self.training:
                with torch.no_grad():
                    self.weight_u.copy_(u)
                    self.weight_v.copy_(v)
        return torch.stack(sigmas)

    def _divided(self, y: Tensor, sigmas: Tensor, bias: Tensor | None) -> Tensor:
        """What a layer made with the first pass's weight, as if every pass had divided by its own sigma."""
        if len(y) % len(sigmas):
            raise ValueError(f"a batch of {len(y)} cannot be cut into {len(sigmas)} passes of equal size")
        factors = (sigmas[0] / sigmas).repeat_interleave(len(y) // len(sigmas))  # near 1, also in half precision
        y = y * factors.view(-1, *[1] * (y.dim() - 1)).to(y.dtype)
        return y if bias is None else y + bias.view(-1, *[1] * (y.dim() - 2)).to(y.dtype)


def raw_weight(layer: nn.Module) -> nn.Parameter:
    """The weight of a layer as it is trained: not yet divided, if there is spectral norm."""
    return layer.weight_orig if isinstance(layer, _SpectralNorm) else layer.weight  # type: ignore[return-value]


class SpectralNormConv2d(_SpectralNorm, nn.Conv2d):
    """Convolution whose weight is divided by its largest singular value.

    Takes the arguments of ``torch.nn.Conv2d``, and by name ``iterations=1``, ``differentiable=False`` and
    ``update="forward"``. With ``update="manual"`` all passes between two calls of ``advance()`` have one weight, which
    starts from the stored vector.

    Shapes: ``(N, in_channels, H, W)`` → ``(N, out_channels, H', W')``. With ``passes`` above 1 the batch is that many
    passes in a row, each with its own step of the power iteration, computed together.

    Examples:
        >>> layer = SpectralNormConv2d(3, 4, kernel_size=4, stride=2)
        >>> sorted(layer.state_dict()), layer(torch.zeros(2, 3, 8, 8), passes=2).shape
        (['bias', 'weight_orig', 'weight_u', 'weight_v'], torch.Size([2, 4, 3, 3]))
    """

    def _layer(self, input: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        return self._conv_forward(input, weight, bias)


class SpectralNormLinear(_SpectralNorm, nn.Linear):
    """Linear map whose weight is divided by its largest singular value; see `SpectralNormConv2d`.

    Takes the arguments of ``torch.nn.Linear``.

    Shapes: ``(N, in_features)`` → ``(N, out_features)``.
    """

    def _layer(self, input: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        return F.linear(input, weight, bias)


class SpectralNormEmbedding(_SpectralNorm, nn.Embedding):
    """Embedding whose table is divided by its largest singular value; see `SpectralNormConv2d`.

    Takes the arguments of ``torch.nn.Embedding``. ``weight_u`` is as long as a row.

    Shapes: int64 ``(N,)`` → ``(N, embedding_dim)``.
    """

    def _matrix(self) -> Tensor:
        return self.weight_orig.t()

    def _layer(self, input: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        return F.embedding(input, weight)

    bias = None
