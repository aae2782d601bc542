"""VGG-16 and VGG-19 (Simonyan and Zisserman, ICLR 2015, arXiv 1409.1556) to look through, never to train."""

from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import torch
from torch import Tensor, nn

from sketchgan.networks.frozen_network import FrozenNetwork
from sketchgan.networks.pretrained import load_weights, weights_of
from sketchgan.ops.resize import resize_area

Convention = Literal["torchvision", "caffe"]

SIDE = 224  # in pixels, of the pictures that the linear layers take
WIDTHS = (64, 128, 256, 512, 512, 4096)
URLS = {
    16: "https://download.pytorch.org/models/vgg16-397923af.pth",
    19: "https://download.pytorch.org/models/vgg19-dcbb9e9d.pth",
}
_CONVOLUTIONS = {16: (2, 2, 3, 3, 3), 19: (2, 2, 4, 4, 4)}  # in each block
_LINEAR = ("fc1", "fc1_relu", "fc1_dropout", "fc2", "fc2_relu", "fc2_dropout", "fc3")
_MEAN, _STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)  # RGB, 0 to 1
_CAFFE_MEAN = (103.939, 116.779, 123.68)  # BGR, 0 to 255


class VGG(nn.Module):
    """The layers of VGG down to the deepest that is asked for; their names in the state dict are torchvision's.

    ReLUs are out of place, so that the output of a convolution stays what it was before them.

    Args:
        layers: what to return; see `FrozenVGG`.
        depth: 16 or 19.
        widths: channels of the five blocks and of the linear layers.

    Shapes: prepared pictures ``(N, 3, H, W)`` → outputs by name, in the order of ``layers``.
    """

    def __init__(self, layers: Sequence[str], depth: int = 19, widths: Sequence[int] = WIDTHS) -> None:
        super().__init__()
        names = layer_names(depth)
        self.layers = tuple(layers)
        self.names = names[: 1 + max(map(names.index, layers))]
        self.features = nn.Sequential()
        self.classifier = nn.Sequential()
        channels = 3
        for name in self.names:
            part = self.classifier if name in _LINEAR else self.features
            if name.startswith("conv"):
                before, channels = channels, widths[int(name[4]) - 1]
                part.append(nn.Conv2d(before, channels, 3, padding=1))
            elif name.startswith("pool"):
                part.append(nn.MaxPool2d(2))
            elif "relu" in name:
                part.append(nn.ReLU())
            elif "dropout" in name:
                part.append(nn.Dropout())
            else:
                before = widths[4] * (SIDE // 32) ** 2 if name == "fc1" else widths[5]
                part.append(nn.Linear(before, 1000 if name == "fc3" else widths[5]))

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        pools = sum(name.startswith("pool") for name in self.names)
        if min(x.shape[-2:]) < 2**pools:
            raise ValueError(
                f"pictures of {x.shape[-1]}x{x.shape[-2]} pixels are too small for VGG's {self.names[-1]}, which wants "
                f"{2**pools} at least; enlarge them (size)"
            )
        outputs: dict[str, Tensor] = {}
        for name, layer in zip(self.names, (*self.features, *self.classifier), strict=True):
            x = layer(x.flatten(1) if name == "fc1" else x)
            outputs |= {name: x} if name in self.layers else {}
        return {name: outputs[name] for name in self.layers}


def layer_names(depth: int) -> list[str]:
    """Names of all layers, from the first to the last."""
    names = []
    for block, count in enumerate(_CONVOLUTIONS[depth], 1):
        for number in range(1, count + 1):
            names += [f"conv{block}_{number}", f"relu{block}_{number}"]
        names.append(f"pool{block}")
    return [*names, *_LINEAR]


class FrozenVGG(FrozenNetwork):
    """What some layers of VGG make of pictures.

    Called with pictures ``(N, 3, H, W)`` in [-1, 1], RGB, or grey ones ``(N, 1, H, W)``, it returns a dict of the
    layers' outputs. It runs only as deep as the deepest of them, in float32 also under autocast (float64 for pictures
    in float64). Gradients flow to the pictures, so it also serves as the network of a loss; use ``torch.no_grad()``
    where none are wanted. It is no part of a module that holds it, nor of its checkpoints.

    Args:
        layers: one or several of "conv1_1", "relu1_1", …, "pool5", "fc1", "fc1_relu", "fc2", "fc2_relu" and "fc3".
            "relu4_2" is what its ReLU makes of "conv4_2"; "fc1", "fc2" and "fc3" are before theirs.
        depth: 16 or 19.
        weights: state dict with torchvision's names, a local file; by default torchvision's ImageNet weights, which
            are downloaded once (528 MB for 16 layers, 548 MB for 19).
        convention: what the weights want to see. "torchvision": RGB in 0..1, less the mean of ImageNet and divided by
            its standard deviation. "caffe": BGR in 0..255, less (103.939, 116.779, 123.68), as the authors' weights
            and neural style transfer do; needs ``weights``.
        size: side in pixels that pictures are resized to by area, whatever their aspect; None leaves them as they
            are. The linear layers ("fc1", …) take 224 only.
        widths: channels of the five blocks and of the linear layers, for weights of a narrower network.

    Raises:
        ValueError: for an unknown depth, convention or layer, linear layers at another size than 224, and "caffe"
            without weights.

    Examples:
        >>> vgg = FrozenVGG(["relu1_1", "conv4_2"], size=None)  # loads nothing yet
        >>> vgg.layers
        ('relu1_1', 'conv4_2')
    """

    def __init__(
        self,
        layers: Sequence[str] | str,
        depth: int = 19,
        weights: str | Path | None = None,
        convention: Convention = "torchvision",
        size: int | None = SIDE,
        widths: Sequence[int] = WIDTHS,
    ) -> None:
        if depth not in _CONVOLUTIONS:
            raise ValueError(f"depth must be 16 or 19, got {depth!r}")
        if convention not in ("torchvision", "caffe"):
            raise ValueError(f'convention must be "torchvision" or "caffe", got {convention!r}')
        if convention == "caffe" and weights is None:
            raise ValueError("the weights that are downloaded are torchvision's; give a file for convention='caffe'")
        if size is not None and size < 1:
            raise ValueError(f"size must be at least 1, or None, got {size!r}")
        self.layers = (layers,) if isinstance(layers, str) else tuple(layers)
        names = layer_names(depth)
        if unknown := [name for name in self.layers if name not in names]:
            raise ValueError(
                f"VGG-{depth} has no layer {', '.join(map(repr, unknown))}; there are {', '.join(names[:4])}, …, "
                f"{', '.join(names[-12:-7])}, {', '.join(name for name in _LINEAR if 'dropout' not in name)}"
            )
        if not self.layers:
            raise ValueError("layers is empty; name one of VGG's at least, for instance 'relu4_2'")
        if size != SIDE and (linear := [name for name in self.layers if name in _LINEAR]):
            raise ValueError(f"{linear[0]} of VGG takes pictures of {SIDE} px; use size={SIDE}, got {size}")
        self.depth = depth
        self.weights = weights
        self.convention = convention
        self.size = size
        self.widths = tuple(widths)

    def build(self) -> nn.Module:
        source = URLS[self.depth] if self.weights is None else self.weights
        state = weights_of(self.weights, URLS[self.depth])
        with torch.device("meta"):  # tensors of the file take the place of these, and memory is needed once
            network = VGG(self.layers, self.depth, self.widths)
            whole = VGG([*network.layers, "fc3"], self.depth, self.widths).state_dict().keys()
        if isinstance(state, dict):
            deeper = whole - network.state_dict().keys()
            state = {key: _float32(value) for key, value in state.items() if key not in deeper}
        remedy = f"give weights with the names and shapes of torchvision's vgg{self.depth}"
        load_weights(network, state, source, remedy, assign=True)
        return network

    def __call__(self, images: Tensor) -> dict[str, Tensor]:
        """Outputs of the layers by name, in the order of ``layers``.

        Raises:
            ValueError: for pictures that are not float ``(N, 3, H, W)`` or ``(N, 1, H, W)``, or too small.
        """
        check_pictures(images)
        return self.look(images)

    def fit(self, images: Tensor) -> Tensor:
        """Pictures in the size that the network gets them in; doing it earlier changes nothing."""
        return images if self.size is None else resize_area(images, self.size, self.size)

    def shown(self, images: Tensor) -> Tensor:
        images = (self.fit(images).expand(-1, 3, -1, -1) + 1) / 2
        if self.convention == "caffe":
            return images.flip(1) * 255 - images.new_tensor(_CAFFE_MEAN).view(3, 1, 1)
        return (images - images.new_tensor(_MEAN).view(3, 1, 1)) / images.new_tensor(_STD).view(3, 1, 1)


def check_pictures(images: Tensor) -> None:
    """Raise unless these are colour or grey pictures as floats.

    Raises:
        ValueError: naming shape and kind.
    """
    if images.ndim != 4 or images.shape[1] not in (1, 3) or not images.is_floating_point():
        raise ValueError(
            f"pictures must be float (N, 3, H, W) in [-1, 1], or (N, 1, H, W), got {images.dtype} {tuple(images.shape)}"
        )


def _float32(value: object) -> object:
    return value.float() if isinstance(value, Tensor) else value
