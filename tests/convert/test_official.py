"""Official state dicts to our networks and back."""

import copy
from collections import OrderedDict

import pytest
import torch
from golden_cases import golden_json
from torch import nn
from training import same

from sketchgan.convert import from_official, to_official
from sketchgan.networks import (
    EncoderDecoderGenerator,
    PatchDiscriminator,
    PixelDiscriminator,
    ResnetGenerator,
    UNetGenerator,
)

FULL_SIZE = {
    **{
        f"pix2pix: {name}": expected
        for name, expected in {
            "netG unet_256 norm=batch": (UNetGenerator, {"num_downs": 8, "norm": "batch"}),
            "netG unet_256 norm=instance": (UNetGenerator, {"num_downs": 8, "norm": "instance"}),
            "netG unet_128 norm=batch": (UNetGenerator, {"num_downs": 7, "norm": "batch"}),
            "netG resnet_9blocks norm=batch use_dropout=True": (ResnetGenerator, {"norm": "batch", "dropout": 0.5}),
            "netD basic (n_layers=3) norm=batch, 6 input channels": (PatchDiscriminator, {"in_channels": 6}),
            **{
                f"netD n_layers={n} norm=batch, 6 input channels": (
                    PatchDiscriminator,
                    {"in_channels": 6, "n_layers": n},
                )
                for n in (1, 2, 4, 5, 6)
            },
            "netD pixel norm=batch, 6 input channels": (PixelDiscriminator, {"in_channels": 6}),
        }.items()
    },
    **{
        f"cyclegan: {name}": expected
        for name, expected in {
            "netG resnet_9blocks norm=instance": (ResnetGenerator, {}),
            "netG resnet_6blocks norm=instance": (ResnetGenerator, {"n_blocks": 6}),
            "netG resnet_9blocks norm=instance use_dropout=True": (ResnetGenerator, {"dropout": 0.5}),
            "netG resnet_9blocks norm=batch": (ResnetGenerator, {"norm": "batch"}),
            "netD basic (n_layers=3) norm=instance, 3 input channels": (PatchDiscriminator, {"norm": "instance"}),
            "netD pixel norm=instance, 3 input channels": (PixelDiscriminator, {"norm": "instance"}),
            "netG resnet_9blocks norm=instance anti-aliased": (
                ResnetGenerator,
                {"antialias_down": True, "antialias_up": True},
            ),
            "netD basic norm=instance anti-aliased": (PatchDiscriminator, {"norm": "instance", "antialias": True}),
        }.items()
    },
}


def official_state(shapes, blurs):
    """Random weights of these shapes; the filters of blurs as they are."""
    state = OrderedDict()
    for key, shape in shapes.items():
        if key.endswith(".filt"):
            row = torch.tensor(blurs[shape[-1]])
            kernel = torch.outer(row, row)
            state[key] = (kernel / kernel.sum() * (4 if shape[-1] == 4 else 1)).expand(shape).clone()
        elif key.endswith(".num_batches_tracked"):
            state[key] = torch.tensor(7)
        else:
            state[key] = torch.randn(shape)
    return state


@pytest.mark.parametrize("name", FULL_SIZE)
def test_full_size_keys_go_both_ways(name):
    paper, _, network_name = name.partition(": ")
    state = official_state(golden_json(f"{paper}_keys")[network_name], {3: [1.0, 2.0, 1.0], 4: [1.0, 3.0, 3.0, 1.0]})
    cls, settings = FULL_SIZE[name]
    network = from_official(state)
    assert type(network) is cls
    expected = cls(**settings).state_dict()
    ours = network.state_dict()
    assert {key: value.shape for key, value in ours.items()} == {key: value.shape for key, value in expected.items()}
    back = to_official(network)
    assert back.keys() == state.keys()
    for key, value in state.items():
        torch.testing.assert_close(back[key], value, rtol=0, atol=1e-7 if key.endswith(".filt") else 0, msg=key)


def test_every_full_size_network_is_in_the_table():
    names = {f"{paper}: {name}" for paper in ("pix2pix", "cyclegan") for name in golden_json(f"{paper}_keys")}
    assert names == FULL_SIZE.keys()


RESNET = ResnetGenerator(ngf=2, n_blocks=2)
UNET = UNetGenerator(num_downs=5, ngf=2)


@pytest.mark.parametrize("prefix", ["module.", "module.module."])
def test_parallel_prefix_is_stripped(prefix):
    state = {f"{prefix}{key}": value for key, value in to_official(RESNET).items()}
    assert same(from_official(state), RESNET)


def test_running_statistics_that_instance_norm_never_used_are_dropped():
    state = OrderedDict()
    for key, value in to_official(RESNET).items():
        state[key] = value
        layer, _, entry = key.rpartition(".")
        if entry == "bias" and layer != "model.19":  # behind every convolution but the last
            *head, at = layer.split(".")
            norm = ".".join([*head, str(int(at) + 1)])
            state |= {f"{norm}.running_mean": torch.randn(4), f"{norm}.running_var": torch.rand(4)}
            state[f"{norm}.num_batches_tracked"] = torch.tensor(3)
    state._metadata = {"": {"version": 1}}
    assert sum(key.endswith("running_var") for key in state) == 9
    assert same(from_official(state), RESNET)


def test_counts_that_old_batch_norm_did_not_have_are_zero():
    state = {key: value for key, value in to_official(UNET).items() if not key.endswith("num_batches_tracked")}
    assert same(from_official(state), UNET)


def test_half_precision_weights_become_single():
    network = from_official({key: value.half() for key, value in to_official(RESNET).items()})
    assert {value.dtype for value in network.state_dict().values()} == {torch.float32}


def test_what_cannot_be_seen_can_be_given():
    state = to_official(ResnetGenerator(ngf=2, n_blocks=1, padding="replicate"))
    assert isinstance(from_official(state, padding="replicate").blocks[0].body[0], nn.ReplicationPad2d)
    assert isinstance(from_official(state).blocks[0].body[0], nn.ReflectionPad2d)
    dropped = from_official(to_official(UNetGenerator(num_downs=6, ngf=1)), dropout=0.0)
    assert not any(isinstance(module, nn.Dropout) for module in dropped.modules())


def test_what_can_be_seen_cannot_be_given_otherwise():
    with pytest.raises(ValueError, match="dropout can be seen in the weights: it is 0.0, and cannot be 0.5"):
        from_official(to_official(RESNET), dropout=0.5)
    with pytest.raises(ValueError, match="padding is no setting of UNetGenerator that could be .*; there is dropout"):
        from_official(to_official(UNET), padding="zero")
    with pytest.raises(ValueError, match="padding must be one of reflect, replicate, got 'zero'"):
        from_official(to_official(RESNET), padding="zero")
    with pytest.raises(ValueError, match="padding can be seen in the weights: it is 'zero', and cannot be 'reflect'"):
        from_official(to_official(ResnetGenerator(ngf=2, n_blocks=1, padding="zero")), padding="reflect")


def test_a_few_numbers_do_not_take_memory_before_they_fit():
    small = {"model.1.weight": torch.zeros(100_000, 1, 1, 1), "model.10.conv_block.1.weight": torch.zeros(1)}
    with pytest.raises(ValueError, match="entries do not fit the ResNet generator"):
        from_official(small)  # as a network of this width it would take terabytes


@pytest.mark.parametrize("padding", ["reflect", "zero"])
@pytest.mark.parametrize("dropout", [0.0, 0.5])
@pytest.mark.parametrize("norm", ["batch", "instance", "none"])
@pytest.mark.parametrize("blur", [(False, False), (True, False), (False, True), (True, True)])
@pytest.mark.parametrize("n_blocks", [1, 3])
def test_every_residual_variant_is_recognised(padding, dropout, norm, blur, n_blocks):
    network = ResnetGenerator(2, 1, 2, n_blocks, norm, dropout, padding, *blur)
    again = from_official(to_official(network))
    assert same(again, network)
    assert repr(again) == repr(network)


@pytest.mark.parametrize("norm", ["batch", "instance", "none"])
@pytest.mark.parametrize("num_downs", [2, 3, 6])
def test_every_unet_is_recognised(num_downs, norm):
    network = UNetGenerator(2, 1, num_downs, 2, norm)
    again = from_official(to_official(network))
    assert same(again, network)
    assert repr(again) == repr(network)


@pytest.mark.parametrize("norm", ["batch", "instance", "none"])
@pytest.mark.parametrize("antialias", [False, True])
@pytest.mark.parametrize("n_layers", [1, 2, 4])
def test_every_discriminator_is_recognised(n_layers, antialias, norm):
    network = PatchDiscriminator(5, 2, n_layers, norm, antialias)
    again = from_official(to_official(network))
    assert same(again, network)
    assert repr(again) == repr(network)
    pixel = PixelDiscriminator(5, 2, norm)
    assert repr(from_official(to_official(pixel))) == repr(pixel)


def spoilt(change):
    state = copy.deepcopy(to_official(UNET))
    change(state)
    return state


def renamed(state, old, new):
    state[new] = state.pop(old)


DEEP = "model.model.1.model.3.model.1.weight"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            lambda s: s.pop("model.model.1.model.2.running_var"),
            r"1 of \d+ entries do not fit the U-Net generator .*: no model.model.1.model.2.running_var. Entries were",
        ),
        (lambda s: renamed(s, DEEP, "model.extra.weight"), "no model.model.1.*unknown model.*The network is a variant"),
        (
            lambda s: renamed(s, "model.model.3.bias", "model.model.3.offset"),
            "2 of .*: no model.model.3.bias; unknown model.model.3.offset. Entries were renamed",
        ),
        (
            lambda s: s.update({"model.model.0.weight": torch.zeros(2, 3, 3, 3)}),
            r"model.model.0.weight \(2, 3, 3, 3\) instead of \(2, 3, 4, 4\). The network is a variant",
        ),
        (lambda s: renamed(s, "model.model.3.bias", "module.model.model.3.bias"), "Some keys begin with 'module.'"),
        (lambda s: s.update({"model.model.3.weight": torch.zeros(1)}), r"model.model.3.weight \(1,\) instead of"),
        (lambda s: s.update({"epoch": 3}), "these are no weights by name: it holds model.model.0.weight"),
        (lambda s: s.clear(), "these are no weights by name: it is empty"),
    ],
)
def test_weights_that_do_not_fit_are_named_with_the_likely_cause(change, message):
    with pytest.raises(ValueError, match=message):
        from_official(spoilt(change))


@pytest.mark.parametrize(
    ("state", "message"),
    [
        ({"state_dict": {"a": torch.zeros(1)}}, "no weights by name: .*if the weights are under 'state_dict', save"),
        ({"state": {}, "param_groups": []}, "this is the state of an optimizer"),
        (
            {"conv1.weight": torch.zeros(1), "fc.bias": torch.zeros(1)},
            "weights of none of .*the file is of another",
        ),
        (
            {f"netG.{key}": value for key, value in to_official(RESNET).items()},
            "all keys begin with 'netG.': save the weights of the network inside",
        ),
        ({"model.1.weight": torch.zeros(1, 1, 1, 1).expand(10**6, 3, 7, 7)}, "the tensors share or repeat their"),
        (dict.fromkeys(["model.1.weight", "model.4.weight"], torch.zeros(1, 1, 7, 7)), "share or repeat"),
        ({"model.1.weight": torch.ones(1, 3, 7, 7).to_sparse()}, "model.1.weight is a sparse_coo tensor"),
        ({"model.1.weight": torch.ones(1, 3, 7, 7, device="meta")}, "model.1.weight is a strided tensor on meta"),
        ({"model.1.weight": torch.ones(1, 3, 7, 7).bool()}, "model.1.weight is no weight: bool of shape"),
        ({"model.1.weight": torch.ones(1, 3, 7, 7) * 1j}, "is no weight: complex64"),
        ({"model.1.weight": torch.ones(2, 0, 7, 7)}, r"is no weight: float32 of shape \(2, 0, 7, 7\)"),
        ({"model.1.weight": torch.full((1, 3, 7, 7), 1e300, dtype=torch.float64)}, "infinite or too large for"),
        ({"model.1.weight": torch.full((1, 3, 7, 7), float("nan"))}, "model.1.weight holds values that are NaN"),
    ],
)
def test_foreign_state_dicts_are_refused(state, message):
    with pytest.raises(ValueError, match=message):
        from_official(state)


@pytest.mark.parametrize("key", ["model.x.weight", "model.10.conv_block.weight", "a.weight", "model.99999.weight"])
def test_keys_out_of_place_are_named(key):
    with pytest.raises(ValueError, match=rf"1 of \d+ entries do not fit .*: unknown {key}"):
        from_official({**to_official(RESNET), key: torch.zeros(1, 1, 1, 1)})


def test_affine_instance_norm_is_named():
    state = to_official(RESNET)
    for layer in ("model.2", "model.5", "model.8"):
        state |= {f"{layer}.weight": torch.ones(2), f"{layer}.bias": torch.zeros(2)}
    with pytest.raises(ValueError, match="6 of .* unknown model.2.bias.*affine instance norm"):
        from_official(state)


def test_other_filters_are_refused():
    state = to_official(ResnetGenerator(ngf=2, n_blocks=1, antialias_down=True))
    state["model.7.filt"] = 2 * state["model.7.filt"]
    with pytest.raises(ValueError, match=r"down.0.3.filt is a constant of .* other values"):
        from_official(state)


def test_networks_without_counterpart_are_refused():
    with pytest.raises(ValueError, match="no encoder-decoder"):
        to_official(EncoderDecoderGenerator(num_downs=5, ngf=1))
    with pytest.raises(ValueError, match=r"up.0.1.2.\w+ of UNetGenerator has no place"):
        to_official(UNetGenerator(num_downs=5, ngf=1, upsample="nearest"))
    with pytest.raises(ValueError, match="Conv2d has no counterpart in official code"):
        to_official(nn.Conv2d(1, 1, 1))
