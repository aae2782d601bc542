import re

import pytest
import torch
import torch.nn.functional as F
from fill import fill
from safetensors.torch import save_file
from torch import nn
from torch.testing import assert_close

from sketchgan.networks import SketchKerasUNet, pretrained_sketchkeras
from sketchgan.networks.sketchkeras import own_name

CONVS = [  # kernel, in, out: the published table
    (3, 1, 32),
    *((4, 32, 64), (3, 64, 64)),
    *((4, 64, 128), (3, 128, 128)),
    *((4, 128, 256), (3, 256, 256)),
    (4, 256, 512),
    (3, 512, 512),
    *((4, 1024, 512), (3, 512, 256)),
    *((4, 512, 256), (3, 256, 128)),
    *((4, 256, 128), (3, 128, 64)),
    *((4, 128, 64), (3, 64, 32)),
]


class Port(nn.Module):
    """The layers by the port's names, in a width of one's own; paddings and up-sampling count."""

    def __init__(self, width):
        super().__init__()
        units = iter([(k, max(i * width // 32, 1), o * width // 32) for k, i, o in CONVS])

        def unit(stride=1):
            kernel, before, after = next(units)
            more = 2 if (kernel, stride) == (4, 1) else 1
            return [
                nn.ReflectionPad2d((1, more, 1, more)),
                nn.Conv2d(before, after, kernel, stride),
                nn.BatchNorm2d(after, eps=1e-3, momentum=0),
                nn.ReLU(),
            ]

        self.downblock_1 = nn.Sequential(*unit())
        for i in (2, 3, 4):
            self.add_module(f"downblock_{i}", nn.Sequential(*unit(2), *unit()))
        self.downblock_5 = nn.Sequential(*unit(2))
        self.downblock_6 = nn.Sequential(*unit())
        for i in (1, 2, 3, 4):
            self.add_module(f"upblock_{i}", nn.Sequential(nn.UpsamplingNearest2d(scale_factor=2), *unit(), *unit()))
        self.last_conv = nn.Conv2d(2 * width, 1, 3)

    def forward(self, x):
        maps = [x]
        for i in range(1, 7):
            maps.append(self.get_submodule(f"downblock_{i}")(maps[-1]))
        made = maps.pop()
        for i in range(1, 5):
            made = self.get_submodule(f"upblock_{i}")(torch.cat([maps.pop(), made], 1))
        return self.last_conv(F.pad(torch.cat([maps.pop(), made], 1), (1, 1, 1, 1), mode="reflect"))


def filled(network):
    fill(network, "port.")
    return network.eval()


@pytest.mark.parametrize("suffix", [".pth", ".safetensors"])
def test_weights_of_the_port_give_what_the_port_gives(tmp_path, suffix):
    port = filled(Port(width=4))
    path = tmp_path / f"model{suffix}"
    save = save_file if suffix == ".safetensors" else torch.save
    save(port.state_dict(), path)
    network = pretrained_sketchkeras(path)
    assert not network.training
    assert not any(p.requires_grad for p in network.parameters())
    x = torch.rand(3, 1, 48, 80)
    with torch.no_grad():
        assert_close(network(x), port(x), rtol=1e-5, atol=1e-5)
    own = tmp_path / "own.pth"
    torch.save(network.state_dict(), own)
    with torch.no_grad():
        assert torch.equal(pretrained_sketchkeras(own)(x), network(x))


def test_layers_are_those_of_the_table():
    with torch.device("meta"):
        network = SketchKerasUNet()
        port = Port(32)
    expected = sum(o * i * k * k + o + 2 * o for k, i, o in CONVS) + 64 * 9 + 1
    assert sum(p.numel() for p in network.parameters()) == expected
    shapes = {name: value.shape for name, value in network.state_dict().items()}
    assert {own_name(name): value.shape for name, value in port.state_dict().items()} == shapes
    assert all(unit.norm.eps == 1e-3 for unit in network.modules() if hasattr(unit, "norm"))


def test_every_parameter_learns_and_sizes_are_kept():
    network = SketchKerasUNet(width=2)
    assert network(torch.rand(1, 1, 512, 32)).shape == (1, 1, 512, 32)
    network(torch.rand(2, 1, network.smallest_size, 48)).square().sum().backward()
    assert all(
        p.grad is not None and p.grad.abs().sum() > 0 for n, p in network.named_parameters() if ".conv.b" not in n
    )


def test_other_files_say_what_is_wrong(tmp_path):
    with pytest.raises(FileNotFoundError, match="no weights nowhere.pth"):
        pretrained_sketchkeras("nowhere.pth")
    path = tmp_path / "other.pth"
    torch.save({"downblock_1.1.weight": torch.zeros(4, 1, 3, 3), "x": torch.zeros(1)}, path)
    with pytest.raises(ValueError, match=re.escape(str(path)) + r" holds no weights .*higumax/sketchKeras-pytorch"):
        pretrained_sketchkeras(path)
    torch.save([1, 2], path)
    with pytest.raises(ValueError, match="holds no state dict; sketchKeras wants"):
        pretrained_sketchkeras(path)
    torch.save(Port(2), path)  # a pickled object
    with pytest.raises(ValueError, match="cannot be loaded safely"):
        pretrained_sketchkeras(path)
