"""The networks of Style2Paints against the reference runs of their definition."""

import pytest
import torch
from golden_cases import assert_close, golden, golden_json

from sketchgan.losses import StyleAdversarialLoss, standardised
from sketchgan.networks import Painted, Style2PaintsDiscriminator, Style2PaintsGenerator
from sketchgan.ops import grey


def reference(skip: str):
    case = golden(f"style2paints_ref_forward_{skip}")
    network = Style2PaintsGenerator(case.case["hint_dim"], ngf=case.case["w"], mid=case.case["mid"], skip=skip)
    state = case.under("state.G")
    own = network.state_dict()
    network.load_state_dict(state | {key: own[key] for key in own if key.endswith("num_batches_tracked")})
    return case, network


# In training, batch norm over eight values magnifies rounding: the file itself is 9e-6 off its run in float64.
@pytest.mark.parametrize(("mode", "tolerance"), [("eval", 2e-6), ("train", 2e-5)])
@pytest.mark.parametrize("skip", ["figure", "level"])
def test_generator(skip, mode, tolerance):
    case, network = reference(skip)
    painted = network.train(mode == "train")(case.tensors["in.sketch"], case.tensors["in.hint"], guides=True)
    for name, made in zip(("final", "guide1", "guide2"), (painted.image, *painted.guides), strict=True):
        assert_close(made, case.tensors[f"out.{mode}.{name}"], tolerance, name)
    assert_close(network.added(case.tensors["in.hint"]), case.tensors["out.hint_added"], 1e-6)
    if mode == "train":
        after = case.under("after_trainfwd.G")
        assert len(after) > 20
        for key, expected in after.items():
            assert_close(network.state_dict()[key], expected, 1e-6, key)


@pytest.mark.parametrize("skip", ["figure", "level"])
def test_the_hint_changes_the_picture(skip):
    """As much as in the reference run, for the two vectors exchanged."""
    case, network = reference(skip)
    sketch, hint = case.tensors["in.sketch"], case.tensors["in.hint"]
    effect = (network.eval()(sketch, hint) - network(sketch, hint.flip(0))).abs()
    assert effect.mean() > 1e-3


@pytest.mark.parametrize(
    ("name", "network", "count"),
    [
        ("G_figure", lambda: Style2PaintsGenerator(), 47_881_383),
        ("G_level", lambda: Style2PaintsGenerator(skip="level"), 48_720_007),
        ("D_style", lambda: Style2PaintsDiscriminator(), 40_511_296),
        ("D_dcgan", lambda: Style2PaintsDiscriminator(outputs=1), 6_960_961),
    ],
)
def test_full_size(name, network, count):
    with torch.device("meta"):
        full = network()
    shapes = {key: list(value.shape) for key, value in full.state_dict().items()}
    assert shapes == golden_json("style2paints_keys")[name]
    assert sum(parameter.numel() for parameter in full.parameters()) == count


@pytest.mark.parametrize("mode", ["style", "dcgan"])
def test_discriminator_and_what_it_learns_from(mode):
    case = golden(f"style2paints_ref_train_{mode}")
    settings, tensors = case.case, case.tensors
    outputs = settings["hint_dim"] if mode == "style" else 1
    network = Style2PaintsDiscriminator(outputs, ndf=settings["ndf"], pool=settings["pool"])
    network.load_state_dict(case.under("state.D"), strict=False)
    paint = tensors["in.step1.paint"]
    assert_close(network.eval()(paint), tensors["out.D_eval_paint1"], 1e-6)
    assert_close(grey(paint), tensors["out.grey_step1"], 1e-6)
    assert_close(standardised(tensors["in.step1.hint"]), tensors["out.vhat_step1"], 2e-6)


def small(**settings) -> Style2PaintsGenerator:
    return Style2PaintsGenerator(**{"hint_dim": 6, "ngf": 2, "mid": 8, **settings})


@pytest.mark.parametrize("upsample", ["deconv", "nearest"])
@pytest.mark.parametrize("norm", ["batch", "group", "none"])
@pytest.mark.parametrize("hint_norm", ["layer", "batch", "l2", "none"])
def test_choices(hint_norm, norm, upsample):
    network = small(hint_norm=hint_norm, norm=norm, upsample=upsample, in_channels=4)
    painted = network(torch.rand(2, 4, 64, 96), torch.randn(2, 6))
    assert isinstance(painted, Painted)
    assert [tuple(picture.shape) for picture in (painted.image, *painted.guides)] == [
        (2, 3, 64, 96),
        (2, 1, 64, 96),
        (2, 3, 64, 96),
    ]
    sum(picture.square().mean() for picture in (painted.image, *painted.guides)).backward()
    assert all(parameter.grad is not None for parameter in network.parameters())


@pytest.mark.parametrize("hint_norm", ["layer", "batch", "l2", "none"])
def test_half_the_precision(hint_norm):
    """The vectors stay in float32, as they come; all else is in bfloat16."""
    network = small(hint_norm=hint_norm).bfloat16()
    painted = network(torch.rand(2, 1, 64, 64).bfloat16(), torch.randn(2, 6))
    assert painted.image.dtype == torch.bfloat16
    assert painted.image.isfinite().all()


def test_every_weight_has_a_bias_or_a_norm():
    """Without norm, convolutions have biases; with it only those have that nothing follows."""
    biases = {
        norm: sum("conv.bias" in key or "conv.2.bias" in key for key in small(norm=norm).state_dict())
        for norm in ("batch", "none")
    }
    assert biases["batch"] == 1
    assert biases["none"] > 20


@pytest.mark.parametrize("width", [256, 2048, 4096])
def test_widths_of_the_hint(width):
    """A vector as wide as the middle needs no dense layer."""
    with torch.device("meta"):
        same = Style2PaintsGenerator(hint_dim=width, mid=width)
        other = Style2PaintsGenerator(hint_dim=width, mid=512)
    assert same.mid_conv.out_channels == width
    assert not any(key.startswith("hint.") for key in same.state_dict())
    assert other.state_dict()["hint.weight"].shape == (512, width)


def test_l2_is_as_long_as_a_layer_norm_makes_it():
    network = small(hint_norm="l2")
    assert_close(network.added(torch.randn(3, 6)).norm(dim=1), torch.full((3,), 8**0.5), 1e-5)


def test_guides_exist_for_training_alone():
    torch.manual_seed(0)
    network = small(guides="all").eval()
    ink, hint = torch.rand(1, 1, 64, 64), torch.randn(1, 6)
    before = network(ink, hint)
    assert isinstance(before, torch.Tensor)
    assert [guide.shape[1] for guide in network(ink, hint, guides=True).guides] == [1, 3, 3]
    parameters = sum(p.numel() for p in network.parameters())
    network.drop_guides()
    assert torch.equal(network(ink, hint), before)
    assert torch.equal(network(ink, hint, guides=True), before)
    assert sum(p.numel() for p in network.parameters()) < parameters
    assert not any(key.startswith("guide") for key in network.state_dict())
    assert network.state_dict().keys() == small(guides="none").state_dict().keys()
    assert isinstance(small(guides="none").train()(ink.expand(2, -1, -1, -1), hint.expand(2, -1)), torch.Tensor)


def test_the_grey_guide_knows_nothing_of_the_hint():
    network = small(guides="all").eval()
    ink = torch.rand(2, 1, 64, 64)
    first, second = (network(ink, torch.randn(2, 6), guides=True).guides for _ in range(2))
    assert torch.equal(first[0], second[0])
    assert all(not torch.equal(a, b) for a, b in zip(first[1:], second[1:], strict=True))


def test_bad_input():
    for name, settings in (("skip", {"skip": "x"}), ("guides", {"guides": "x"}), ("hint_norm", {"hint_norm": "x"})):
        with pytest.raises(ValueError, match=f"{name} must be one of"):
            small(**settings)
    with pytest.raises(ValueError, match="not a multiple of 32"):
        small()(torch.zeros(1, 1, 64, 40), torch.zeros(1, 6))
    with pytest.raises(ValueError, match="2 vectors of 6 numbers"):
        small()(torch.zeros(2, 1, 64, 64), torch.zeros(2, 7))


def test_two_heads_on_one_trunk():
    network = Style2PaintsDiscriminator(outputs=6, ndf=2, logit=True).eval()
    pictures = torch.randn(2, 3, 64, 64)
    assert network(pictures).shape == (2, 6)
    assert network(pictures, plain=True).shape == (2, 1)
    one = Style2PaintsDiscriminator(outputs=1, ndf=2)
    assert one(pictures, plain=True).shape == one(pictures).shape == (2, 1)
    with pytest.raises(ValueError, match="logit=True"):
        Style2PaintsDiscriminator(outputs=6, ndf=2)(pictures, plain=True)


def test_style_losses_against_their_formulas():
    score, style = torch.randn(2, 5), torch.randn(2, 5)
    wanted = (style - style.mean(1, keepdim=True)) / (style.var(1, correction=0, keepdim=True) + 1e-5).sqrt()
    loss = StyleAdversarialLoss()
    assert_close(loss.real(score, style), ((score - wanted) ** 2).mean(), 1e-6)
    assert_close(loss.generator(score, style), ((score - wanted) ** 2).mean(), 1e-6)
    assert_close(loss.fake(score), (score**2).mean(), 1e-6)
    loss = StyleAdversarialLoss("log_abs")
    distance = (score.sigmoid() - wanted.sigmoid()).abs()
    assert_close(loss.real(score, style), -(1 - distance).log().mean(), 1e-6)
    assert_close(loss.generator(score, style), -(1 - distance).log().mean(), 1e-6)
    assert_close(loss.fake(score), -(1 - score.sigmoid()).log().mean(), 1e-6)
    extreme = torch.full((1, 4), 300.0, requires_grad=True)
    assert loss.real(-extreme, torch.tensor([[1e8, 0, 0, 0]])).isfinite()
    assert loss.fake(extreme) == 300
    assert loss.fake(extreme.half()).dtype == torch.float32
    with pytest.raises(ValueError, match="style_loss must be one of"):
        StyleAdversarialLoss("l1")
