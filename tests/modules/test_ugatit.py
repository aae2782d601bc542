import pytest
import torch
import torch.nn.functional as F
from lightning.pytorch import Callback
from torch import nn
from torch.utils.data import DataLoader
from training import quiet_trainer

from sketchgan import UGATIT, Photo2Cartoon
from sketchgan.blocks import HourglassBlock, SoftAdaLIN
from sketchgan.networks import (
    PatchDiscriminator,
    Photo2CartoonGenerator,
    ResnetGenerator,
    UGATITDiscriminator,
    UGATITGenerator,
)
from sketchgan.ops import heatmap_picture

BATCH = {"A": torch.rand(2, 3, 32, 32) * 2 - 1, "B": torch.rand(2, 3, 32, 32) * 2 - 1}
NAMES = ("generator_ab", "generator_ba", "global_a", "local_a", "global_b", "local_b")


def build(generator=None, discriminator=None, cls=UGATIT, **kwargs):
    generator = generator or (lambda: UGATITGenerator(ngf=4, n_blocks=1, light=True))
    discriminator = discriminator or (lambda layers: UGATITDiscriminator(ndf=2, n_layers=layers))
    judges = {f"{where}_{d}": discriminator(n) for where, n in (("global", 5), ("local", 4)) for d in "ab"}
    return cls(generator_ab=generator(), generator_ba=generator(), **judges, **kwargs)


def train(module, batches=1, **kwargs):
    trainer = quiet_trainer(max_epochs=1, log_every_n_steps=1, **kwargs)
    trainer.fit(module, DataLoader([BATCH] * batches, batch_size=None))
    return {name for name in trainer.logged_metrics if "/" in name}


JUDGES = ("global_a", "local_a", "global_b", "local_b")
REAL_FAKE = {f"d/{kind}_{name}" for name in JUDGES for kind in ("real", "fake")}
GAN = {f"g/gan_{name}" for name in JUDGES} | REAL_FAKE
GAN_CAM = {f"g/gan_cam_{name}" for name in JUDGES}
GAN_CAM |= {f"d/{kind}_cam_{name}" for name in JUDGES for kind in ("real", "fake")}
CYCLE = {"g/cycle_a", "g/cycle_b"}
IDENTITY = {"g/identity_a", "g/identity_b"}
CAM = {"g/cam_a", "g/cam_b"}


def without_attention():
    return UGATITGenerator(ngf=4, light=True, cam=False)


def judge_without_attention(layers):
    return UGATITDiscriminator(ndf=2, n_layers=layers, cam=False)


def tensorflow_judge(layers):
    return UGATITDiscriminator(ndf=2, n_layers=layers, variant="tensorflow")


@pytest.mark.parametrize(
    ("settings", "terms", "pictures"),
    [
        ({}, GAN | GAN_CAM | CYCLE | IDENTITY | CAM, (3, 3)),
        ({"lambda_identity": 0.0}, GAN | GAN_CAM | CYCLE | CAM, (3, 3)),
        ({"lambda_identity": 0.0, "lambda_cam": 0.0}, GAN | GAN_CAM | CYCLE, (2, 3)),
        ({"generator": without_attention, "lambda_identity": 0.0}, GAN | GAN_CAM | CYCLE, (2, 3)),
        ({"lambda_cycle": 0.0}, GAN | GAN_CAM | IDENTITY | CAM, (2, 3)),
        ({"lambda_gan": 0.0}, CYCLE | IDENTITY | CAM, (3, 0)),
        ({"generator": without_attention}, GAN | GAN_CAM | CYCLE | IDENTITY, (3, 3)),
        ({"generator": lambda: ResnetGenerator(ngf=2, n_blocks=1)}, GAN | GAN_CAM | CYCLE | IDENTITY, (3, 3)),
        ({"discriminator": judge_without_attention}, GAN | CYCLE | IDENTITY | CAM, (3, 3)),
        ({"discriminator": lambda n: PatchDiscriminator(3, 2, n_layers=2)}, GAN | CYCLE | IDENTITY | CAM, (3, 3)),
        ({"discriminator": tensorflow_judge}, GAN | GAN_CAM | CYCLE | IDENTITY | CAM, (3, 3)),
    ],
)
def test_ablations_and_other_networks_compute_only_what_they_weigh(settings, terms, pictures):
    module = build(**settings)
    counts = dict.fromkeys(NAMES, 0)
    for name in NAMES:

        def count(m, inputs, output, name=name):
            counts[name] += len(inputs[0]) // 2

        getattr(module, name).register_forward_hook(count)
    assert train(module) == terms
    assert tuple(counts.values()) == (pictures[0],) * 2 + (pictures[1],) * 4


@pytest.mark.parametrize("norm", ["adain", "instance", "layer", "group"])
@pytest.mark.parametrize("variant", ["pytorch", "tensorflow"])
def test_norms_of_the_ablation_train(norm, variant):
    module = build(lambda: UGATITGenerator(ngf=5, n_blocks=1, light=True, norm=norm, variant=variant))
    before = {name: value.clone() for name, value in module.generator_ab.named_parameters()}
    assert hasattr(module.generator_ab, "style") == (norm == "adain")
    assert not any("rho" in name for name in module.generator_ab.state_dict())
    train(module)
    # A bias before a norm that removes means gets no gradient but the decay of the weights.
    assert [name for name, value in module.generator_ab.named_parameters() if torch.equal(value, before[name])] == []


def test_norms_of_the_ablation_are_what_they_are_called():
    x, gamma, beta = torch.randn(2, 64, 6, 5), torch.randn(2, 64), torch.randn(2, 64)

    def decoder(norm):
        return UGATITGenerator(ngf=16, n_blocks=1, light=True, norm=norm, variant="tensorflow").decoder[0].norm1

    adain = F.instance_norm(x) * gamma[..., None, None] + beta[..., None, None]
    torch.testing.assert_close(decoder("adain")(x, gamma, beta), adain, rtol=0, atol=1e-5)
    torch.testing.assert_close(decoder("instance")(x), F.instance_norm(x), rtol=0, atol=1e-5)
    torch.testing.assert_close(decoder("layer")(x), F.layer_norm(x, x.shape[1:]), rtol=0, atol=1e-5)
    torch.testing.assert_close(decoder("group")(x), F.group_norm(x, 32), rtol=0, atol=1e-5)


def test_the_classifier_of_a_generator_tells_source_from_target():
    module = build(lambda_cam=1.0)
    fake_b, same_b = module.generator_ab(BATCH["A"]), module.generator_ab(BATCH["B"])
    fake_a, same_a = module.generator_ba(BATCH["B"]), module.generator_ba(BATCH["A"])
    terms = module.generator_losses(BATCH["A"], BATCH["B"], same_a, same_b, fake_a, fake_b)
    expected = F.softplus(-fake_b.cam_logit).mean() + F.softplus(same_b.cam_logit).mean()
    torch.testing.assert_close(terms["cam_b"], expected)
    torch.testing.assert_close(terms["identity_a"], 10 * (same_a.image - BATCH["A"]).abs().mean())


def test_samples_are_the_official_sheet():
    module = build()
    pictures = module.sample(BATCH)
    a = ["real_A", "cam_same_A", "same_A", "cam_fake_B", "fake_B", "cam_rec_A", "rec_A"]
    assert list(pictures) == a + [name.translate(str.maketrans("AB", "BA")) for name in a]
    assert all(images.shape == (2, 3, 32, 32) and images.abs().max() <= 1 for images in pictures.values())
    with torch.no_grad():
        same, fake = module.generator_ba(BATCH["A"]), module.generator_ab(BATCH["A"])
        torch.testing.assert_close(pictures["same_A"], same.image)
        for name, made in (("same_A", same), ("fake_B", fake), ("rec_A", module.generator_ba(fake.image))):
            torch.testing.assert_close(pictures[f"cam_{name}"], heatmap_picture(made.heatmap, (32, 32)))
        torch.testing.assert_close(pictures["rec_B"], module(module(BATCH["B"], "BtoA"), "AtoB"))
    assert list(build(lambda: ResnetGenerator(ngf=2, n_blocks=1)).sample({"A": BATCH["A"]})) == a[::2]
    odd = module.validation_step({"A": BATCH["A"][..., :30, :21]}, 0)
    assert {images.shape[-2:] for images in odd.values()} == {(30, 21)}


def test_shares_stay_inside_their_limits():
    module = build(
        lambda: Photo2CartoonGenerator(ngf=4),
        cls=Photo2Cartoon,
        rho_clip=0.8,
        w_clip=0.3,
        face_network=nn.Flatten(),
        lr=1e-9,
    )
    shares = {
        name: p for name, p in module.generator_ab.named_parameters() if name.endswith(("rho", "w_gamma", "w_beta"))
    }
    assert len(shares) == 26
    for parameter in shares.values():
        parameter.data = torch.linspace(-1, 2, parameter.numel()).view_as(parameter)
    train(module)
    for name, parameter in shares.items():
        limit = 0.8 if name.endswith("rho") else 0.3
        assert (parameter.min().item(), parameter.max().item()) == (0, pytest.approx(limit)), name


def test_published_networks():
    with torch.device("meta"):
        full, light, cartoon = UGATIT(), UGATIT(light=True), Photo2Cartoon()
    counts = [sum(p.numel() for p in module.parameters()) for module in (full, light, cartoon)]
    assert counts == [670_761_088, 134_021_248, 35_902_414]


def test_full_generators_take_one_size():
    generator = UGATITGenerator(ngf=2, n_blocks=1, image_size=16)
    assert generator(torch.zeros(1, 3, 16, 16)).image.shape == (1, 3, 16, 16)
    with pytest.raises(ValueError, match=r"takes pictures of 16x16 pixels, got 16x20; .* light=True, which takes any"):
        generator(torch.zeros(1, 3, 16, 20))
    with pytest.raises(ValueError, match="image size 64x95 is below 96 px"):
        UGATITDiscriminator(ndf=1)(torch.zeros(1, 3, 64, 95))
    with pytest.raises(ValueError, match="pictures of 40x64 pixels do not fit the hourglasses"):
        Photo2CartoonGenerator(ngf=4)(torch.zeros(1, 3, 40, 64))


def test_each_fit_has_a_learning_rate_curve_of_its_own():
    module = build(n_iterations=1, n_iterations_decay=3)
    rates = []

    class Rates(Callback):
        def on_train_batch_end(self, trainer, pl_module, *args):
            rates.append(trainer.optimizers[0].param_groups[0]["lr"] / pl_module.lr)

    for batches in (3, 2):
        train(module, batches, callbacks=[Rates(), SaveAfter(4)])
    assert rates == pytest.approx([1, 2 / 3, 1 / 3, 1, 2 / 3])
    assert module.batches_seen == 5
    again = build(n_iterations=1, n_iterations_decay=3)
    trainer = quiet_trainer(max_epochs=1, callbacks=[Rates()])
    trainer.fit(again, DataLoader([BATCH] * 2, batch_size=None), ckpt_path="4.ckpt")
    assert rates[5:] == pytest.approx([2 / 3])


class SaveAfter(Callback):
    def __init__(self, batches):
        self.batches = batches

    def on_train_batch_end(self, trainer, pl_module, *args):
        if pl_module.batches_seen == self.batches:
            trainer.save_checkpoint(f"{self.batches}.ckpt")


@pytest.mark.parametrize("block", [HourglassBlock(8, 8), SoftAdaLIN(8)])
def test_blocks_of_photo2cartoon_compile_whole(block):
    torch._dynamo.reset()
    inputs = [torch.randn(2, 8, 6, 6), *([torch.randn(2, 8)] * 2 if isinstance(block, SoftAdaLIN) else [])]
    expected = block(*inputs)
    made = torch.compile(block, backend="aot_eager", fullgraph=True)(*inputs)
    torch._dynamo.reset()
    torch.testing.assert_close(made, expected)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: build(adversarial="wgangp"), "no gradient penalty"),
        (lambda: build(n_iterations=-1).configure_optimizers(), "iterations must not be negative"),
        (lambda: UGATITGenerator(norm="batch", light=True), 'norm must be "adalin", "adain"'),
        (lambda: UGATITGenerator(variant="jax"), 'variant must be "pytorch" or "tensorflow"'),
        (lambda: UGATITGenerator(image_size=255), "image_size must be a multiple of 4"),
        (lambda: UGATITDiscriminator(n_layers=2), "n_layers must be at least 3"),
        (lambda: Photo2CartoonGenerator(ngf=6), "ngf must be a multiple of 4"),
        (lambda: build()(BATCH["A"], "BtoC"), 'direction must be "AtoB" or "BtoA"'),
    ],
)
def test_wrong_settings_are_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def test_face_term_wants_its_weights_before_training_and_is_left_out_at_weight_zero():
    with pytest.raises(
        FileNotFoundError, match=r"model_mobilefacenet\.pth.*face_weights of Photo2Cartoon.*lambda_face=0"
    ):
        train(build(cls=Photo2Cartoon))
    module = build(cls=Photo2Cartoon, lambda_face=0)
    assert not {name for name in train(module) if "face" in name}
    module = build(cls=Photo2Cartoon, face_network=nn.Sequential(nn.AvgPool2d(8), nn.Flatten()))
    assert {"g/face_a", "g/face_b"} <= train(module)
    assert not [key for key in module.state_dict() if "face" in key]


def test_hourglasses_may_be_computed_twice_instead_of_kept():
    network = Photo2CartoonGenerator(ngf=4)
    x = torch.randn(1, 3, 32, 32)
    gradients, passes = [], []
    network.hourglasses_in[0].draft.register_forward_hook(lambda *args: passes.append(network.checkpointing))
    for network.checkpointing in (False, True):
        network.zero_grad()
        network(x).image.square().sum().backward()
        gradients.append({name: p.grad.clone() for name, p in network.named_parameters() if p.grad is not None})
    assert passes == [False, True, True]
    assert gradients[0].keys() == gradients[1].keys()
    assert all(torch.equal(value, gradients[1][name]) for name, value in gradients[0].items())
