"""PaintsChainer's small stage: three steps of the official code, and what the suite over all modules does not ask."""

import itertools

import pytest
import torch
from chainer_names import ours
from golden_cases import assert_close, golden
from torch import nn
from torch.utils.data import DataLoader
from training import quiet_trainer

from sketchgan import PaintsChainer, Pix2Pix
from sketchgan.data import OpenMoji
from sketchgan.losses import LineLoss
from sketchgan.networks import PaintsChainerDiscriminator, PaintsChainerUNet, PatchDiscriminator
from sketchgan.ops import TensorFlowAdam, grey, rgb_to_yuv, yuv_to_rgb

NETWORKS = {"unet": "generator", "dis": "discriminator"}


class WithChainersAdam(PaintsChainer):
    """Its epsilon is added before the correction of the second moment, as TensorFlow's is."""

    def adam(self, *networks, **kwargs):
        return super().adam(*networks, **kwargs, cls=TensorFlowAdam)


def fit(module: PaintsChainer, *batches, **settings):
    """Train one epoch, and return the loss terms of every step."""
    steps: list[dict] = [{} for _ in batches]
    minimize = module.minimize

    def record(optimizer, terms, log_as, clip=None):
        steps[module.batches_seen - 1] |= {f"{log_as}/{name}": term.detach() for name, term in terms.items()}
        minimize(optimizer, terms, log_as, clip)

    module.minimize = record
    quiet_trainer(**{"max_epochs": 1, **settings}).fit(module, DataLoader(list(batches), batch_size=None))
    return steps


def official_batch(x: torch.Tensor, yuv: torch.Tensor) -> dict[str, torch.Tensor]:
    """The batch that becomes an official input and target: everything backwards, in float64."""
    x, yuv = x.double(), yuv.double()
    hinted = x[:, 1:2] > -500
    hints = torch.cat([yuv_to_rgb(x[:, 1:]), hinted.double()], dim=1)
    assert hinted.any()
    return {"A": x[:, :1] / 127.5 - 1, "B": yuv_to_rgb(yuv), "hints": hints}


@pytest.mark.parametrize("precision", ["64-true", "32-true"])
def test_three_steps_of_the_official_code(precision):
    reference = golden("paintschainer_train128")
    case, tensors = reference.case, reference.tensors
    width = 32 // case["channel_divisor"]
    generator = PaintsChainerUNet(ngf=width)
    discriminator = PaintsChainerDiscriminator(ndf=width, image_size=case["size"])
    lines = PaintsChainerUNet(3, 1, ngf=width)
    for name, network in (("unet", generator), ("dis", discriminator), ("lnet", lines)):
        network.load_state_dict(ours(reference.under(f"state.{name}")))
    module = WithChainersAdam(
        generator,
        discriminator,
        line_network=lines,
        units="official",
        lr=case["adam"]["alpha"],
        betas=(case["adam"]["beta1"], case["adam"]["beta2"]),
        weight_decay=case["weight_decay"],
    )
    steps = [official_batch(tensors[f"in.x.step{k}"], tensors[f"in.t.step{k}"]) for k in (1, 2, 3)]
    dtype = torch.float64 if precision == "64-true" else torch.float32
    steps = [{key: value.to(dtype) for key, value in step.items()} for step in steps]
    for k, found in enumerate(fit(module, *steps, precision=precision), 1):
        total = found["g/l1"] + found["g/gan"] + found["g/lines"]
        for name, value, tolerance in (
            ("cnn_loss", total, 1e-6),
            ("cnn_loss_rec", found["g/l1"], 1e-6),
            ("cnn_loss_l", found["g/lines"], 2e-6),
            ("cnn_loss_adv", found["g/gan"], 4e-5),
            ("dis_loss", found["d/real"] + found["d/fake"], 4e-5),
        ):
            expected = tensors[f"loss.step{k}.{name}"]
            assert_close(value, expected, tolerance * expected.item(), f"step {k} {name}")
    far, compared = [], 0
    for name, attribute in NETWORKS.items():
        state = getattr(module, attribute).state_dict()
        for key, expected in ours(reference.under(f"after.{name}")).items():
            if "running_" in key:  # large where the inputs are
                torch.testing.assert_close(state[key].float(), expected, rtol=1e-4, atol=1e-4, msg=key)
            elif "num_batches" not in key:
                far += [(state[key] - expected).abs().flatten()]
                compared += expected.numel()
    far = torch.cat(far)
    assert compared > 70_000
    assert (far > 2e-5).sum() <= 14  # nearly all of them biases before batch norm, whose gradients are rounding
    assert far.max() < 3 * case["adam"]["alpha"]


# What networks see


def small(**settings) -> PaintsChainer:
    networks = {
        "generator": PaintsChainerUNet(ngf=2),
        "discriminator": PaintsChainerDiscriminator(ndf=2, image_size=32),
    }
    return PaintsChainer(**{**networks, **settings})


def batch(n: int = 2, **more):
    draw = torch.Generator().manual_seed(3)
    a, b = (torch.rand(n, channels, 32, 32, generator=draw) * 2 - 1 for channels in (1, 3))
    return {"A": a, "B": b, **more}


def hint_of(*rgb: float, n: int = 2) -> torch.Tensor:
    """One pixel's colour, in the fifth row and seventh column; elsewhere colours that do not count."""
    hints = torch.full((n, 4, 32, 32), 0.3)
    hints[:, 3] = 0
    hints[:, :, 4, 6] = torch.tensor([*rgb, 0.5])
    return hints


def test_input_of_the_network():
    given = batch(hints=hint_of(1.0, 1.0, 1.0))
    x, target = small(units="official").input_and_target(given)
    assert_close(x[:, :1], (given["A"] + 1) * 127.5, 1e-5)
    assert_close(x[:, 1:, 4, 6], torch.tensor([[255.0, 128, 128]] * 2), 1e-4)
    assert_close(x[:, 1:, 0, 0], torch.tensor([[-512.0, 128, 128]] * 2), 0)
    assert (x[:, 1] != -512).sum() == 2
    assert_close(target, rgb_to_yuv(given["B"]).clamp(0, 255), 0)
    normalised, same_target = small().input_and_target(given)
    assert_close(normalised, (x - 128) / 128, 1e-6)
    assert_close(same_target, rgb_to_yuv(given["B"]), 0)


def test_colour_drawings_are_taken_as_grey():
    given = batch()
    threefold = {**given, "A": given["A"].expand(-1, 3, -1, -1)}
    assert_close(small(hints=0).input_and_target(threefold)[0], small(hints=0).input_and_target(given)[0], 1e-5)


def test_losses_are_the_same_in_both_units():
    """Counted in levels; of the same pictures."""
    ends = []
    for units in ("normalised", "official"):
        module = small(units=units, lambda_gan=0.0, line_network=nn.AvgPool2d(4), hints=0)
        module.generator.forward = lambda x, module=module: module.in_units(torch.full((2, 3, 32, 32), 100.0))
        module.minimize = lambda optimizer, terms, log_as, clip=None: ends.append(terms)
        quiet_trainer(max_epochs=1).fit(module, DataLoader([batch()], batch_size=None))
    yuv = rgb_to_yuv(batch()["B"])
    assert set(ends[0]) == {"l1", "lines"}
    torch.testing.assert_close(ends[0]["l1"], (yuv - 100).abs().mean())
    lines = nn.functional.avg_pool2d((yuv - 100) / 128, 4).abs().mean()
    torch.testing.assert_close(ends[0]["lines"], 10 * lines)
    saturated = yuv.clamp(0, 255)
    assert (saturated != yuv).any()
    torch.testing.assert_close(ends[1]["l1"], (saturated - 100).abs().mean())


def test_an_untrained_network_paints_grey_not_green():
    made = {}
    for units in ("normalised", "official"):
        module = small(units=units).eval()
        nn.init.zeros_(module.generator.dc0.weight)
        made[units] = module(batch()["A"])[0, :, 0, 0]
    assert_close(made["normalised"], torch.full((3,), 128 / 127.5 - 1), 1e-6)
    red, green, blue = made["official"]
    assert green > red + 0.5
    assert green > blue + 0.5


def test_noise_of_training():
    given = {"A": torch.zeros(200, 1, 16, 16), "B": torch.zeros(200, 3, 16, 16)}
    x, target = small(hints=0, units="official", noise=5.0, line_offset=16.0).input_and_target(given)
    deviations = target.flatten(1).std(1)
    assert 0 <= deviations.min() < 0.5
    assert 4.5 < deviations.max() < 5.5
    offsets = x[:, 0].mean((1, 2)) - 127.5
    assert 12 < offsets.std() < 20
    dark = small(hints=0, units="official", line_offset=1000.0).input_and_target(given)[0][:, 0]
    assert dark.min() == 0
    assert dark.max() > 255


# Hints


def test_hints_are_simulated_in_training_where_the_batch_has_none():
    torch.manual_seed(0)
    x, target = small(units="official").input_and_target(batch(16))
    hinted = x[:, 1] != -512
    counts = hinted.flatten(1).sum(1)
    assert (counts == 0).any()
    assert (counts > 0).any()
    assert set((x[:, 1:].movedim(1, -1)[hinted] % 20).flatten().tolist()) == {0}
    assert (x[:, 1:] - target).abs().movedim(1, -1)[hinted].float().mean() < 90  # neighbours have their point's colour
    x, _ = small(units="official", hints=0).input_and_target(batch(16))
    assert (x[:, 1] == -512).all()


def test_samples():
    module = small().eval()
    given = batch(4, A_path=["a.png", "b.png", "c.png", "d.png"])
    made = module.sample(given)
    assert set(made) == {"real_A", "fake_B", "real_B", "other_B", "hints"}
    assert_close(made["other_B"], module(given["A"]), 0)
    assert not torch.equal(made["fake_B"], made["other_B"])
    assert all(pictures.abs().max() <= 1 for pictures in made.values())
    again = module.sample(given)
    assert torch.equal(made["hints"], again["hints"])
    backwards = module.sample(
        {key: value[::-1] if isinstance(value, list) else value.flip(0) for key, value in given.items()}
    )
    assert_close(backwards["fake_B"].flip(0), made["fake_B"], 1e-5)
    assert set(small(evaluation_hints=False).eval().sample(given)) == {"real_A", "fake_B", "real_B"}
    assert set(module.sample({"A": given["A"]})) == {"real_A", "fake_B"}


def test_given_hints_win_and_are_shown():
    module = small().eval()
    given = batch(hints=hint_of(1.0, -1.0, -1.0))
    made = module.sample(given)
    assert_close(made["hints"][:, :, 4, 6], torch.tensor([[1.0, -1, -1]] * 2), 1e-5)
    assert_close(made["hints"][:, :, 0, 0], given["A"][:, :, 0, 0].expand(-1, 3), 1e-5)
    assert_close(made["fake_B"], module(given["A"], given["hints"]), 0)


def test_translating_does_not_look_at_the_painting():
    module = small().eval()
    made = module.translate(batch(A_path=["a.png", "b.png"]))
    assert set(made) == {"fake_B"}
    assert torch.equal(made["fake_B"], module(batch()["A"]))
    hints = hint_of(1.0, 0.0, 0.0)
    assert torch.equal(module.translate(batch(hints=hints))["fake_B"], module(batch()["A"], hints))


# The line network


def test_without_a_line_network_there_is_no_line_term():
    (losses,) = fit(small(), batch())
    assert set(losses) == {"g/l1", "g/gan", "d/real", "d/fake"}
    wanted = "needs a line network, .* line_weights .*, a network of your own as line_network, or lambda_lines=0"
    with pytest.raises(FileNotFoundError, match=wanted):
        fit(small(lambda_lines=10.0), batch())
    with pytest.raises(FileNotFoundError, match="no weights nowhere"):
        fit(small(line_weights="nowhere"), batch())


def test_the_line_network_is_frozen_and_no_part_of_the_module():
    """It normalises with the batch, and is after training what it was."""
    lines = PaintsChainerUNet(3, 1, ngf=2)
    before = {key: value.clone() for key, value in lines.state_dict().items()}
    module = small(line_network=lines)
    steps = fit(module, batch(), batch())
    assert all(step["g/lines"] > 0 for step in steps)
    assert all(torch.equal(value, before[key]) for key, value in lines.state_dict().items())
    assert not any(key.startswith("lin") for key in module.state_dict())
    pictures = torch.rand(2, 3, 32, 32)
    fresh = PaintsChainerUNet(3, 1, ngf=2)
    fresh.load_state_dict(before)
    assert_close(module.lines.look(pictures), fresh.train()(pictures), 1e-6)


def test_pictures_get_gradients_through_the_line_network_and_it_gets_none():
    lines = PaintsChainerUNet(3, 1, ngf=2)
    fake, real = (torch.rand(2, 3, 32, 32, requires_grad=True) for _ in range(2))
    LineLoss(lines)(real, fake).backward()
    assert fake.grad.any()
    assert real.grad is None
    assert all(p.grad is None for p in lines.parameters())


def test_a_line_network_trained_by_pix2pix(tmp_path):
    """From pictures to lines, with the losses of pix2pix but without its adversary."""
    data = OpenMoji(groups=["activities"], batch_size=4, image_size=32)
    pairs = [{"A": one["B"], "B": grey(one["A"])} for one in itertools.islice(data_of(data), 2)]
    pix2pix = Pix2Pix(
        PaintsChainerUNet(3, 1, ngf=2, rgb=True), PatchDiscriminator(ndf=1), lambda_gan=0.0, lr_policy="constant"
    )
    before = pix2pix.generator.c0.weight.clone()
    run = quiet_trainer(max_epochs=1)
    run.fit(pix2pix, DataLoader(pairs, batch_size=None))
    assert not torch.equal(pix2pix.generator.c0.weight, before)
    run.save_checkpoint(tmp_path / "lines.ckpt")
    module = small(line_weights=str(tmp_path / "lines.ckpt"))
    (losses,) = fit(module, {"A": pairs[0]["B"], "B": pairs[0]["A"]})
    assert losses["g/lines"] > 0
    yuv = (rgb_to_yuv(pairs[0]["A"]) - 128) / 128
    assert_close(module.lines.look(yuv), pix2pix.generator.train()(pairs[0]["A"]), 1e-5)
    torch.save({"x": torch.zeros(1)}, tmp_path / "other.pth")
    with pytest.raises(
        ValueError, match=r"other.pth holds no weights of PaintsChainerUNet .*; give a PaintsChainerUNet"
    ):
        fit(small(line_weights=str(tmp_path / "other.pth")), batch())


def data_of(data: OpenMoji):
    data.setup("fit")
    return iter(data.train_dataloader())


def test_terms_of_weight_zero_run_nothing():
    module = small(lambda_gan=0.0, line_network=nn.Identity(), lambda_lines=0.0)
    module.discriminator.register_forward_hook(lambda *_: pytest.fail("the discriminator ran"))
    module.lines.look = lambda pictures: pytest.fail("the line network ran")
    steps = []
    module.minimize = lambda optimizer, terms, log_as, clip=None: steps.append(terms)
    quiet_trainer(max_epochs=1).fit(module, DataLoader([batch()], batch_size=None))
    assert [set(terms) for terms in steps] == [{"l1"}]


def test_bad_arguments():
    with pytest.raises(ValueError, match='units must be "normalised" or "official", got .x'):
        small(units="x")
    with pytest.raises(ValueError, match="hints must be 0 .none., or more than 16, .* got 9"):
        small(hints=9)
