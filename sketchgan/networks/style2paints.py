"""The networks of Style2Paints v1 (Zhang, Ji, Lin and Liu, ACPR 2017, arXiv 1706.03319, figures 2 and 3)."""

from collections import OrderedDict
from itertools import pairwise
from typing import Any, Literal, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from sketchgan.blocks import Norm, Upsampling, norm_layer, upsampling_conv
from sketchgan.ops.init import init_weights

HintNorm = Literal["layer", "batch", "l2", "none"]


class Painted(NamedTuple):
    """What the generator makes in training.

    Attributes:
        image: ``(N, 3, H, W)`` in [-1, 1].
        guides: what the guide decoders make, ``(N, 1, H, W)`` (grey) or ``(N, 3, H, W)`` (colour) in [-1, 1].
    """

    image: Tensor
    guides: tuple[Tensor, ...] = ()


class Style2PaintsGenerator(nn.Module):
    """A residual U-Net whose middle is told the style, with guide decoders that keep the middle learning.

    The vector of a picture's style passes a dense layer and a normalisation, and is added to every place of the middle
    map, between its batch norm and its ReLU. The guide decoders paint from the map before the middle (in grey) and from
    the one after it (in colour): they carry gradients to the middle, which the U-Net could do without. They serve
    training alone: in evaluation mode they do not run, and `drop_guides` removes them.

    There is no official code. The widths are those of figure 2; normalisation, activations and the place of the skips
    are not all given, and stand here as they do in the authors' later code (batch norm, ReLU, 4×4 convolutions).

    Args:
        hint_dim: length of the style vector, 4096 for VGG-19's first dense layer.
        in_channels: of the sketch, 1; four with colour hints.
        out_channels: channels of the painting.
        ngf: width after the first convolution.
        mid: width of the middle. A vector of another length passes a dense layer of that many units; one of the same
            length does not.
        skip: "figure" takes the three outer skips after the stride of their level, which gives the widths that the
            figure prints; "level" takes each level's end, as all public re-implementations do.
        guides: guide decoders at both ends of the middle ("two"), one more on the middle itself ("all"), or "none".
        hint_norm: the normalisation that the paper calls global: "layer" and "l2" (a vector of length
            ``sqrt(mid)``) of each vector for itself, "batch" over the batch, "none".
        norm: "batch", "group" or "none". Instance norm would take away what the hint adds.
        upsample: "deconv", or "nearest" against checkerboards.

    Shapes: ``(N, in_channels, H, W)``, 0 for paper and 1 for ink, sides multiples of 32, and ``(N, hint_dim)`` →
    ``(N, out_channels, H, W)`` in [-1, 1]; in training mode a `Painted`.

    Raises:
        ValueError: for unknown names, and from ``forward`` for a size or a vector that does not fit.

    Examples:
        >>> generator = Style2PaintsGenerator(hint_dim=24, ngf=1, mid=48)
        >>> painted = generator(torch.zeros(2, 1, 32, 64), torch.randn(2, 24))
        >>> painted.image.shape, [guide.shape[1] for guide in painted.guides]
        (torch.Size([2, 3, 32, 64]), [1, 3])
        >>> generator.eval()(torch.zeros(1, 1, 32, 32), torch.zeros(1, 24)).shape
        torch.Size([1, 3, 32, 32])
    """

    size_multiple = 32

    enc: Any  # lists of pairs of layers, whose length and items mypy does not know
    dec: Any

    def __init__(
        self,
        hint_dim: int = 4096,
        in_channels: int = 1,
        out_channels: int = 3,
        ngf: int = 16,
        mid: int = 2048,
        skip: Literal["figure", "level"] = "figure",
        guides: Literal["two", "all", "none"] = "two",
        hint_norm: HintNorm = "layer",
        norm: Norm = "batch",
        upsample: Upsampling = "deconv",
    ) -> None:
        super().__init__()
        for name, value, known in (
            ("skip", skip, ("figure", "level")),
            ("guides", guides, ("two", "all", "none")),
            ("hint_norm", hint_norm, ("layer", "batch", "l2", "none")),
        ):
            if value not in known:
                raise ValueError(f"{name} must be one of {', '.join(known)}, got {value!r}")
        self.hint_dim = hint_dim
        self.skip = skip
        self.hint_norm = hint_norm
        widths = [ngf * 2**level for level in range(5)]
        strided = [width // 2 for width in widths] if skip == "figure" else widths  # after the stride of each level

        def unit(conv: nn.Module, width: int) -> nn.Sequential:
            return nn.Sequential(OrderedDict(conv=conv, norm=norm_layer(norm, width), act=nn.ReLU(inplace=True)))

        def conv(before: int, after: int, stride: int = 1) -> nn.Sequential:
            kernel = 4 if stride == 2 else 3
            return unit(nn.Conv2d(before, after, kernel, stride, padding=1, bias=norm == "none"), after)

        def up(before: int, after: int) -> nn.Sequential:
            return unit(upsampling_conv(before, after, norm == "none", upsample), after)

        def guide(head: nn.Sequential, channels: int) -> nn.Sequential:
            ups = nn.Sequential(*(up(2 * width, width) for width in reversed([2 * ngf, 4 * ngf, 8 * ngf, 16 * ngf])))
            last = nn.Conv2d(2 * ngf, channels, kernel_size=3, padding=1)
            return nn.Sequential(OrderedDict(head=head, up=ups, out=last, act=nn.Tanh()))

        first = nn.Sequential(
            OrderedDict(conv=nn.Conv2d(in_channels, ngf, kernel_size=3, padding=1), act=nn.ReLU(inplace=True))
        )
        self.enc = nn.ModuleList([nn.Sequential(first, conv(ngf, ngf))])
        for level in range(1, 5):
            between = strided[level]
            self.enc.append(nn.Sequential(conv(widths[level - 1], between, stride=2), conv(between, widths[level])))
        self.mid_conv = nn.Conv2d(widths[4], mid, kernel_size=4, stride=2, padding=1, bias=norm == "none")
        self.mid_norm = norm_layer(norm, mid)
        self.hint = nn.Identity() if hint_dim == mid else nn.Linear(hint_dim, mid)
        if hint_norm == "batch":
            self.hint_batch_norm = nn.BatchNorm1d(mid, affine=False)

        joined = [2 * ngf + strided[1], 4 * ngf + strided[2], 8 * ngf + strided[3], 32 * ngf + widths[4], mid]
        made = [4 * ngf, 2 * ngf, 4 * ngf, 8 * ngf, 32 * ngf]
        self.dec = nn.ModuleList(
            nn.Sequential(up(before, after), conv(after, after)) for before, after in zip(joined, made, strict=True)
        )
        self.out = nn.Conv2d(made[0], out_channels, kernel_size=3, padding=1)
        self.guides: tuple[str, ...] = ()
        if guides != "none":
            self.guides = ("guide1", "guide2")
            self.guide1 = guide(conv(widths[4], 32 * ngf), 1)
            self.guide2 = guide(conv(32 * ngf, 32 * ngf), out_channels)
        if guides == "all":
            self.guides += ("guide_mid",)
            self.guide_mid = guide(up(mid, 32 * ngf), out_channels)
        init_weights(self)

    def forward(self, ink: Tensor, hint: Tensor, guides: bool | None = None) -> Tensor | Painted:
        """Paint; with ``guides`` (by default in training mode, where there are any) return a `Painted`."""
        self._check(ink, hint)
        x, skips = ink, list[Tensor]()
        for level in self.enc:
            strided = level[0](x)
            x = level[1](strided)
            skips.append(x if self.skip == "level" or len(skips) == 4 else strided)
        before = x
        middle = F.relu(self.mid_norm(self.mid_conv(before)) + self.added(hint)[:, :, None, None].to(x.dtype))
        after = self.dec[4][0](middle)
        x = self.dec[4][1](after)
        for level, skip in zip(reversed(self.dec[:4]), reversed(skips[1:]), strict=True):
            x = level(torch.cat([x, skip], dim=1))
        image = self.out(x).tanh()
        if guides is False or not self.guides or not (guides or self.training):
            return image
        seen = {"guide1": before, "guide2": after, "guide_mid": middle}
        return Painted(image, tuple(getattr(self, name)(seen[name]) for name in self.guides))

    def added(self, hint: Tensor) -> Tensor:
        """What is added to the middle for style vectors ``(N, hint_dim)``: ``(N, mid)``, in float32 at least."""
        with torch.autocast(hint.device.type, enabled=False):
            x = self.hint(hint.to(self.mid_conv.weight.dtype))
            x = x.to(torch.promote_types(x.dtype, torch.float32))
            if self.hint_norm == "layer":
                return F.layer_norm(x, x.shape[1:])
            if self.hint_norm == "batch":
                return self.hint_batch_norm(x.to(self.mid_conv.weight.dtype))  # that of its statistics
            return F.normalize(x) * x.shape[1] ** 0.5 if self.hint_norm == "l2" else x

    def drop_guides(self) -> None:
        """Remove the guide decoders, which only training needs."""
        for name in self.guides:
            delattr(self, name)
        self.guides = ()

    def _check(self, ink: Tensor, hint: Tensor) -> None:
        height, width = ink.shape[-2:]
        if height % self.size_multiple or width % self.size_multiple:
            raise ValueError(f"image size {height}x{width} is not a multiple of {self.size_multiple}; resize or pad it")
        if hint.shape != (len(ink), self.hint_dim):
            raise ValueError(
                f"the style must be {len(ink)} vectors of {self.hint_dim} numbers, got {tuple(hint.shape)}; the "
                "generator's hint_dim must be that of what looks at the style"
            )


class Style2PaintsDiscriminator(nn.Module):
    """It says of a painting not whether, but in which style it is real: a vector to compare with that of a VGG.

    Figure 3 shows five halving blocks and a bar of outputs; all else is DCGAN's. It sees the painting alone: shown the
    sketch too, it makes generators colour the lines, says section 3.2 of the paper.

    Args:
        outputs: length of the style vector; 1 for a plain discriminator of real and fake.
        in_channels: 3; with the sketch 4.
        ndf: width after the first convolution.
        pool: side of the map that the last layer sees, whatever the size of the painting.
        logit: have a plain output too, on the same trunk, for training that goes from one to the other.

    Shapes: ``(N, in_channels, H, W)``, sides of 32 at least → ``(N, outputs)``; if ``plain``, ``(N, 1)``.

    Raises:
        ValueError: if a plain output is asked for and there is none.

    Examples:
        >>> Style2PaintsDiscriminator(outputs=24, ndf=2)(torch.zeros(2, 3, 64, 64)).shape
        torch.Size([2, 24])
    """

    def __init__(
        self, outputs: int = 4096, in_channels: int = 3, ndf: int = 64, pool: int = 4, logit: bool = False
    ) -> None:
        super().__init__()
        layers: list[nn.Module] = [nn.Conv2d(in_channels, ndf, kernel_size=4, stride=2, padding=1)]
        widths = [ndf, 2 * ndf, 4 * ndf, 8 * ndf, 8 * ndf]
        for before, after in pairwise(widths):
            layers += [
                nn.LeakyReLU(0.2, inplace=True),
                nn.Conv2d(before, after, kernel_size=4, stride=2, padding=1, bias=False),
                nn.BatchNorm2d(after),
            ]
        self.trunk = nn.Sequential(*layers, nn.LeakyReLU(0.2, inplace=True))
        self.pool = pool
        self.outputs = outputs
        self.fc = nn.Linear(8 * ndf * pool**2, outputs)
        self.fc_logit = nn.Linear(8 * ndf * pool**2, 1) if logit else None
        init_weights(self)

    def forward(self, x: Tensor, plain: bool = False) -> Tensor:
        if plain and self.fc_logit is None and self.outputs > 1:
            raise ValueError("this discriminator has no plain output; use Style2PaintsDiscriminator(logit=True)")
        head = self.fc_logit if plain and self.fc_logit is not None else self.fc
        return head(F.adaptive_avg_pool2d(self.trunk(x), self.pool).flatten(1))
