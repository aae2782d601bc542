"""The plain Style2Paints of the benchmarks against the reference of its definition, and our module against it."""

import pytest
import torch
from benchmarks.inference import gmac, painters
from benchmarks.plain_style2paints import (
    VGG19,
    Discriminator,
    Generator,
    grey,
    iteration,
    judged,
    standardised,
    style2paints,
)
from benchmarks.steps import counted, networks_of
from benchmarks.workloads import PAPERS, Job, official_style2paints, official_style2paints_step, vgg_widths
from golden_cases import assert_close, golden, golden_json
from training import quiet_trainer

from sketchgan import Style2Paints
from sketchgan.networks import Style2PaintsDiscriminator, Style2PaintsGenerator
from sketchgan.networks.style_encoders import VGGStyle


def assert_near(ours, theirs, rtol, what):
    """Up to ``rtol`` of the largest value."""
    assert_close(ours, theirs, rtol * theirs.abs().max().item(), what)


@pytest.mark.parametrize("skip", ["figure", "level"])
def test_generator(skip):
    reference = golden(f"style2paints_ref_forward_{skip}")
    case, given = reference.case, reference.under("in")
    network = Generator(case["w"], case["hint_dim"], case["mid"], case["skip"])
    network.load_state_dict(reference.under("state.G"))
    assert_near(standardised(network.hint(given["hint"])), reference.tensors["out.hint_added"], 2e-6, "hint")
    network.eval()
    sketch, hint = given["sketch"], given["hint"]
    change = (network(sketch, hint)[0] - network(sketch, hint.flip(0))[0]).abs().max()
    assert_near(change, reference.tensors["out.hint_changes_final"], 2e-6, "each other's hints")
    for mode, atol in (("eval", 1e-6), ("train", 1e-5)):
        network.train(mode == "train")
        made = network(sketch, hint)
        expected = reference.under(f"out.{mode}")
        for name, picture in zip(("final", "guide1", "guide2"), made, strict=True):
            assert_close(picture, expected[name], atol, f"{mode} {name}")
    for key, value in reference.under("after_trainfwd.G").items():
        assert_near(network.get_buffer(key), value, 1e-5, key)


@pytest.mark.parametrize("name", ["style", "dcgan"])
def test_three_steps(name):
    reference = golden(f"style2paints_ref_train_{name}")
    case = reference.case
    nets = style2paints(
        case["w"], case["ndf"], case["hint_dim"], case["mid"], 1 if name == "dcgan" else case["hint_dim"], case["pool"]
    )
    nets.load_state_dict(reference.under("state"))
    nets.double()
    first = {key: value.double() for key, value in reference.under("in.step1").items()}
    assert_near(nets["D"].eval()(first["paint"]), reference.tensors["out.D_eval_paint1"], 1e-6, "D before training")
    nets.train()
    assert_close(grey(first["paint"]), reference.tensors["out.grey_step1"], 1e-6, "grey")
    assert_close(standardised(first["hint"]), reference.tensors["out.vhat_step1"], 1e-6, "style")

    mode = "regression" if case["mode"] == "style" else "dcgan"
    adam = {"lr": case["adam"]["lr"], "betas": tuple(case["adam"]["betas"])}
    step = iteration(nets, mode, case["lam"], case["alpha"], case["beta"], **adam)
    for k in (1, 2, 3):
        given = reference.under(f"in.step{k}")
        losses = step(*(given[key].double() for key in ("sketch", "paint", "hint")))
        expected = reference.under(f"loss.step{k}")
        assert expected.keys() == losses.keys()
        for key, value in expected.items():
            assert_near(losses[key], value, 3e-6, f"step {k} {key}")
    ours, after = nets.state_dict(), reference.under("after")
    assert after.keys() == ours.keys()
    for key, value in after.items():
        assert_close(ours[key], value, 2e-6, key)


def test_published_shapes():
    published = golden_json("style2paints_keys")
    with torch.device("meta"):
        nets = {"G_figure": Generator(), "G_level": Generator(skip="level")}
        nets |= {"D_style": Discriminator(), "D_dcgan": Discriminator(1)}
        vgg = VGG19()
    parameters = {name: sum(p.numel() for p in net.parameters()) for name, net in nets.items()}
    assert parameters == {"G_figure": 47_881_383, "G_level": 48_720_007, "D_style": 40_511_296, "D_dcgan": 6_960_961}
    assert sum(p.numel() for p in vgg.parameters()) == 122_788_928
    for name, net in nets.items():
        assert {key: list(value.shape) for key, value in net.state_dict().items()} == published[name]


def test_distance_after_a_sigmoid():
    """On numbers by hand; the opposite of what is wanted is a distance of 1, whose logarithm is cut."""
    output, style = torch.tensor([[0.0, 2.0]]), torch.tensor([[2.0, -1.0]])
    s0, s2, s1 = 0.5, 0.8807970779778824, 0.2689414213699951
    wanted = -(torch.tensor([1 - (s2 - s0), 1 - (s2 - s1)]).log()).mean()
    assert_close(judged("log_abs", output, style), wanted, 1e-6)
    assert_close(judged("log_abs", output, None), -(torch.tensor([1 - s0, 1 - s2]).log()).mean(), 1e-6)
    worst = judged("log_abs", torch.tensor([[40.0]]).double(), torch.tensor([[-40.0]]).double())
    assert_close(worst, torch.tensor(1e-7).double().log().neg(), 1e-4)


def test_style_vectors_are_those_of_the_paintings():
    """VGG runs in every step, on the paintings, and does not learn."""
    torch.manual_seed(0)
    nets = style2paints(1, 2, hint_dim=24, mid=48, outputs=24)
    step, seen = iteration(nets), []

    class Fixed(torch.nn.Module):
        def forward(self, paintings):
            assert not torch.is_grad_enabled()
            seen.append(paintings)
            return torch.arange(24.0).expand(2, -1)

    nets["VGG"] = Fixed()
    sketch, paint = torch.rand(2, 1, 64, 64), torch.rand(2, 3, 64, 64)
    start = {key: value.clone() for key, value in nets.state_dict().items()}
    by_vgg = step(sketch, paint)
    assert len(seen) == 1
    assert seen[0] is paint
    nets.load_state_dict(start)
    given = iteration(nets)(sketch, paint, torch.arange(24.0).expand(2, -1))
    assert by_vgg.keys() == given.keys()
    for key, value in by_vgg.items():
        assert_close(given[key], value, 0, key)


def test_vgg(tmp_path):
    """Its vectors are those of our encoder, with the same weights."""
    torch.manual_seed(0)
    widths = vgg_widths(4)
    vgg = VGG19(widths)
    for parameter in vgg.parameters():  # with torch's own small ones hardly anything of a picture would arrive
        if parameter.ndim > 1:
            torch.nn.init.kaiming_normal_(parameter)
    torch.save(vgg.state_dict(), tmp_path / "vgg.pt")
    encode = VGGStyle(tmp_path / "vgg.pt", widths=widths)
    for height, width in ((512, 320), (224, 224), (96, 130)):
        pictures = torch.rand(2, 3, height, width) * 2 - 1
        with torch.no_grad():
            assert_near(encode(pictures), vgg(pictures), 1e-5, f"{width}x{height}")


def assert_same_networks(ours, nets):
    for name, mine in (("G", ours.generator), ("D", ours.discriminator)):
        expected = nets[name].state_dict()
        assert mine.state_dict().keys() == expected.keys()
        for key, value in mine.state_dict().items():
            assert_close(value, expected[key], 1e-8, f"{name}.{key}")


def double(batch):
    return {key: value.double() for key, value in batch.items()}


@pytest.mark.parametrize(
    ("schedule", "style_loss"),
    [("style", "regression"), ("style", "log_abs"), ("dcgan", "regression"), ("alternate", "regression")],
)
def test_our_module_trains_alike(schedule, style_loss):
    torch.manual_seed(0)
    outputs, logit = 1 if schedule == "dcgan" else 24, schedule == "alternate"
    nets = style2paints(2, 2, hint_dim=24, mid=48, outputs=outputs, pool=2, logit=logit)
    ours = Style2Paints(
        Style2PaintsGenerator(24, ngf=2, mid=48),
        Style2PaintsDiscriminator(outputs, ndf=2, pool=2, logit=logit),
        style=torch.nn.Flatten(),  # not asked: the batches bring their vectors
        adv_schedule=schedule,
        style_loss=style_loss,
        lambda_l1=7.0,
        alpha=0.4,
        beta=0.8,
        lr=1e-3,
        betas=(0.4, 0.99),
        lr_policy="constant",
    )
    nets["G"].load_state_dict(ours.generator.state_dict())
    nets["D"].load_state_dict(ours.discriminator.state_dict())
    mode = "dcgan" if schedule == "dcgan" else style_loss
    step = iteration(nets.double(), mode, 7.0, 0.4, 0.8, 1e-3, (0.4, 0.99))
    batches = [double(PAPERS["Style2Paints"].batch(2, 64) | {"style_hint": torch.randn(2, 24)}) for _ in range(3)]
    for k, batch in enumerate(batches):
        step((1 - batch["A"]) / 2, batch["B"], batch["style_hint"], plain=logit and k % 2 == 0)
    quiet_trainer(max_epochs=1, precision="64-true").fit(ours, iter(batches))
    assert_same_networks(ours, nets)


def test_the_workload_is_the_same_training():
    """With vectors that VGG makes in every step."""
    torch.manual_seed(0)
    job = Job("Style2Paints", 64, 2, width=4)
    ours, nets = job.module(), official_style2paints(64, 4)
    assert list(networks_of(ours)) == ["generator", "discriminator"]
    nets["G"].load_state_dict(ours.generator.state_dict())
    nets["D"].load_state_dict(ours.discriminator.state_dict())
    vgg = nets.pop("VGG")

    class InFloat32(torch.nn.Module):
        def forward(self, paintings):
            return vgg(paintings.float()).double()

    nets.double()["VGG"] = InFloat32()
    ours.style.encode = InFloat32()
    batches = [double(job.batch()) for _ in range(3)]
    step = official_style2paints_step(nets)
    for batch in batches:
        step(batch)
    quiet_trainer(max_epochs=1, precision="64-true").fit(ours, iter(batches))
    del nets["VGG"]
    assert_same_networks(ours, nets)


def test_what_a_step_computes():
    """Forward, and backward for inputs, which pictures do not need, and for weights, also those of D in G's update."""

    def forward(network, *sizes):
        return gmac(lambda: network(*map(torch.empty, sizes)))

    with torch.device("meta"):
        nets = official_style2paints(256, 64)
        with counted(dict(nets.items())) as counts:
            official_style2paints_step(nets)(PAPERS["Style2Paints"].batch(1, 256))
        g = forward(nets["G"], (1, 1, 256, 256), (1, 4096))
        guides = [forward(nets["G"].guide1, (1, 256, 16, 16)), forward(nets["G"].guide2, (1, 512, 16, 16))]
        d = forward(nets["D"], (1, 3, 256, 256))
        vgg = forward(nets["VGG"], (1, 3, 224, 224))
    assert [round(n, 1) for n in (g, *guides, d)] == [12.8, 2.5, 2.8, 2.0]  # as published for our definition
    assert vgg == pytest.approx(19.6, abs=0.1)
    assert counts["forwards"] == {"VGG": 1, "G": 1, "D": 3}
    assert counts["flops"] / 2e9 == pytest.approx(vgg + 3 * g + 9 * d, rel=0.01)


def test_inference_without_guide_decoders():
    with torch.inference_mode():
        (whole, both), (bare, alone), _ = painters("cpu", side=64, width=4).values()
        assert torch.equal(both().image, alone())
        assert len(both().guides) == 2
    guides = [whole.guide1, whole.guide2]
    saved = [gmac(lambda guide=guide: guide(torch.zeros(1, guide.head.conv.in_channels, 4, 4))) for guide in guides]
    assert gmac(both) - gmac(alone) == pytest.approx(sum(saved))
    sizes = [sum(p.numel() for p in network.parameters()) for network in (whole, bare, *guides)]
    assert sizes[0] - sizes[1] == sum(sizes[2:])
