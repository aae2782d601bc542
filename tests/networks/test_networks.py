import pytest
import torch

from sketchgan.networks import (
    EncoderDecoderGenerator,
    PatchDiscriminator,
    PixelDiscriminator,
    ResnetGenerator,
    UNetGenerator,
)


@pytest.mark.parametrize(
    ("network", "parameters"),
    [
        (UNetGenerator, 54_413_955),
        (lambda: UNetGenerator(norm="instance"), 54_409_603),
        (lambda: UNetGenerator(num_downs=7), 41_828_995),
        (ResnetGenerator, 11_378_179),
        (lambda: ResnetGenerator(norm="batch"), 11_383_427),
        (lambda: ResnetGenerator(n_blocks=6), 7_837_699),
        (lambda: ResnetGenerator(antialias_down=True, antialias_up=True), 11_378_179),
        (lambda: PatchDiscriminator(6), 2_768_705),
        (lambda: PatchDiscriminator(6, n_layers=1), 139_585),
        (lambda: PatchDiscriminator(6, n_layers=2), 666_433),
        (lambda: PatchDiscriminator(6, n_layers=5), 11_159_361),
        (lambda: PatchDiscriminator(3, norm="instance"), 2_764_737),
        (lambda: PixelDiscriminator(6), 9_024),
    ],
)
def test_parameter_counts_of_the_papers(network, parameters):
    with torch.device("meta"):
        assert sum(p.numel() for p in network().parameters()) == parameters


GENERATORS = [
    *(UNetGenerator(3, 2, num_downs=n, ngf=2, norm="instance", dropout=0.0) for n in (2, 3, 5, 6)),
    *(UNetGenerator(num_downs=5, ngf=2, norm=norm, dropout=0.0) for norm in ("batch", "none")),
    *(UNetGenerator(num_downs=5, ngf=2, upsample=mode) for mode in ("nearest", "bilinear")),
    UNetGenerator(num_downs=6, ngf=2, dropout_levels="lua"),
    EncoderDecoderGenerator(num_downs=6, ngf=2),
    *(ResnetGenerator(ngf=2, n_blocks=1, padding=padding) for padding in ("reflect", "replicate", "zero")),
    *(ResnetGenerator(ngf=2, n_blocks=1, norm=norm, dropout=0.5) for norm in ("batch", "none")),
    ResnetGenerator(ngf=2, n_blocks=0, antialias_up=True),
]
DISCRIMINATORS = [
    *(PatchDiscriminator(3, ndf=2, n_layers=n) for n in (1, 2, 3, 4)),
    PatchDiscriminator(3, ndf=2, norm="none", antialias=True),
    *(PixelDiscriminator(3, ndf=2, norm=norm) for norm in ("batch", "instance", "none")),
]


@pytest.mark.parametrize("network", GENERATORS + DISCRIMINATORS, ids=lambda n: type(n).__name__)
def test_every_parameter_gets_a_gradient(network):
    y = network(torch.randn(2, 3, 64, 128))
    y.pow(2).mean().backward()
    assert [name for name, p in network.named_parameters() if p.grad is None] == []


@pytest.mark.parametrize("network", GENERATORS, ids=lambda n: type(n).__name__)
def test_generators_keep_size_and_range(network):
    y = network(torch.randn(1, 3, 64, 128))
    assert y.shape[2:] == (64, 128)
    assert y.abs().max() <= 1


def test_resnet_rounds_odd_sizes_up_to_four():
    assert ResnetGenerator(ngf=2, n_blocks=1)(torch.randn(1, 3, 30, 33)).shape == (1, 3, 32, 36)


@pytest.mark.parametrize(("n_layers", "field", "out"), [(1, 16, 30), (2, 34, 14), (3, 70, 6), (4, 142, 2)])
def test_patch_sizes(n_layers, field, out):
    discriminator = PatchDiscriminator(3, ndf=2, n_layers=n_layers)
    assert discriminator.receptive_field == field
    assert discriminator(torch.randn(1, 3, 64, 64)).shape == (1, 1, out, out)


def test_encoder_decoder_has_no_connections_and_drops_where_lua_does():
    network = EncoderDecoderGenerator(num_downs=8, ngf=1)
    with_dropout = [i for i, up in enumerate(network.up) if any(isinstance(m, torch.nn.Dropout) for m in up)]
    assert with_dropout == [0, 1, 2]
    widths = [up[1].in_channels for up in network.up]
    assert widths == [8, 8, 8, 8, 8, 4, 2, 1]


def test_wrong_size_for_the_depth_names_a_depth_that_fits():
    with pytest.raises(
        ValueError, match=r"image size 96x96 is not a multiple of 256 \(2\*\*num_downs\); resize, or use"
    ):
        UNetGenerator(ngf=1)(torch.zeros(1, 3, 96, 96))
    with pytest.raises(ValueError, match=r"UNetGenerator\(num_downs=5\)"):
        UNetGenerator(ngf=1)(torch.zeros(1, 3, 96, 96))


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: UNetGenerator(num_downs=1), "num_downs must be at least 2, got 1"),
        (
            lambda: UNetGenerator(norm="layer"),
            'norm must be "batch", .* or "none", got \'layer\'',
        ),
        (lambda: UNetGenerator(upsample="cubic"), "upsample must be .* got 'cubic'"),
        (lambda: UNetGenerator(dropout_levels="all"), "dropout_levels must be .* got 'all'"),
        (lambda: UNetGenerator(init="zero"), "init must be .* got 'zero'"),
        (lambda: ResnetGenerator(padding="wrap"), "padding must be .* got 'wrap'"),
        (lambda: ResnetGenerator(n_blocks=-1), "n_blocks must not be negative, got -1"),
        (lambda: PatchDiscriminator(n_layers=0), "n_layers must be at least 1, got 0; .*PixelDiscriminator"),
        (lambda: PatchDiscriminator(ndf=1)(torch.zeros(1, 3, 16, 16)), "image size 16x16 is below 24 px"),
    ],
)
def test_bad_arguments_say_so(build, message):
    with pytest.raises(ValueError, match=message):
        build()
