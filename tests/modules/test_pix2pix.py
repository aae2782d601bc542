import pytest
import torch
import torch.nn.functional as F
from torch.utils.data import DataLoader
from training import quiet_trainer

from sketchgan import Pix2Pix
from sketchgan.data import OpenMoji
from sketchgan.losses import LeastSquaresLoss
from sketchgan.networks import EncoderDecoderGenerator, PatchDiscriminator, UNetGenerator

BATCH = {"A": torch.rand(2, 3, 32, 32) * 2 - 1, "B": torch.rand(2, 3, 32, 32) * 2 - 1}


def build(in_channels=6, norm="batch", **kwargs):
    return Pix2Pix(
        UNetGenerator(num_downs=5, ngf=2), PatchDiscriminator(in_channels, ndf=2, n_layers=1, norm=norm), **kwargs
    )


def step(module):
    """One batch of training; the weights before and the trainer."""
    before = {key: value.clone() for key, value in module.named_parameters()}
    trainer = quiet_trainer(max_epochs=1, log_every_n_steps=1)
    trainer.fit(module, DataLoader([BATCH], batch_size=None))
    changed = {key.split(".")[0] for key, value in module.named_parameters() if not torch.equal(value, before[key])}
    return changed, trainer


def test_paper_defaults():
    with torch.device("meta"):
        module = Pix2Pix()
    assert sum(p.numel() for p in module.generator.parameters()) == 54_413_955
    assert sum(p.numel() for p in module.discriminator.parameters()) == 2_768_705
    assert (module.lambda_l1, module.lambda_gan, module.lr, module.betas) == (100.0, 1.0, 2e-4, (0.5, 0.999))


@pytest.mark.parametrize(
    ("settings", "in_channels", "terms"),
    [
        ({}, 6, {"d/fake", "d/real", "g/gan", "g/l1"}),
        ({"lambda_gan": 0.0}, 6, {"g/l1"}),
        ({"lambda_l1": 0.0}, 6, {"d/fake", "d/real", "g/gan"}),
        ({"lambda_l1": 0.0, "lambda_l2": 100.0}, 6, {"d/fake", "d/real", "g/gan", "g/l2"}),
        ({"conditional": False}, 3, {"d/fake", "d/real", "g/gan", "g/l1"}),
        ({"conditional": False, "lambda_l1": 0.0, "adversarial": "hinge"}, 3, {"d/fake", "d/real", "g/gan"}),
        ({"adversarial": "lsgan"}, 6, {"d/fake", "d/real", "g/gan", "g/l1"}),
        ({"adversarial": "nonsaturating"}, 6, {"d/fake", "d/real", "g/gan", "g/l1"}),
        ({"adversarial": "wgangp", "norm": "instance"}, 6, {"d/fake", "d/real", "d/gp", "g/gan", "g/l1"}),
        ({"adversarial": LeastSquaresLoss(0.9)}, 6, {"d/fake", "d/real", "g/gan", "g/l1"}),
    ],
)
def test_ablations(settings, in_channels, terms):
    module = build(in_channels, **settings)
    changed, trainer = step(module)
    logged = trainer.logged_metrics
    assert {name for name in logged if "/" in name} == terms
    assert changed == ({"generator"} if settings.get("lambda_gan") == 0.0 else {"generator", "discriminator"})
    assert logged["g"].item() == pytest.approx(sum(v.item() for k, v in logged.items() if k.startswith("g/")), rel=1e-5)


def test_terms_are_what_the_paper_says():
    module = build(lambda_l2=3.0).eval()
    fake = module.generator(BATCH["A"])
    terms = module.generator_losses(BATCH["A"], BATCH["B"], fake)
    assert torch.equal(terms["l1"], 100 * F.l1_loss(fake, BATCH["B"]))
    assert torch.equal(terms["l2"], 3 * F.mse_loss(fake, BATCH["B"]))
    logits = module.discriminator(torch.cat([BATCH["A"], fake], 1))
    torch.testing.assert_close(terms["gan"], -F.logsigmoid(logits).mean())
    judged = module.discriminator_losses(BATCH["A"], BATCH["B"], fake)
    torch.testing.assert_close(judged["fake"], -0.5 * F.logsigmoid(-logits).mean())


def test_l1_alone_never_asks_the_discriminator():
    module = build(lambda_gan=0.0)
    module.discriminator.forward = lambda x: pytest.fail("the discriminator ran")
    step(module)


def test_encoder_decoder_trains():
    changed, _ = step(Pix2Pix(EncoderDecoderGenerator(num_downs=5, ngf=2), PatchDiscriminator(6, ndf=2, n_layers=1)))
    assert changed == {"generator", "discriminator"}


def test_inference_policies():
    torch.manual_seed(0)
    generator = UNetGenerator(num_downs=6, ngf=4, init="kaiming")
    x = torch.rand(2, 3, 64, 64) * 2 - 1
    official, plain = (
        Pix2Pix(generator, PatchDiscriminator(6, ndf=2), inference_norm=norm, inference_dropout=drop)
        for norm, drop in (("sample", True), ("running", False))
    )
    with torch.no_grad():
        assert torch.equal(plain(x), generator.eval()(x))
        first = official(x, ["a.png", "b.png"])
        assert torch.equal(first, official(x, ["a.png", "b.png"]))
        torch.testing.assert_close(first[1:], official(x[1:], ["b.png"]), rtol=0, atol=1e-5)
        assert (first - official(x, ["c.png", "d.png"])).abs().max() > 1e-3
        assert (first - plain(x)).abs().max() > 1e-3


def test_mistakes_say_so():
    with pytest.raises(ValueError, match=r"wgangp.*batch norm.*pass PatchDiscriminator\(6, norm='instance'\)"):
        build(adversarial="wgangp")
    with pytest.raises(ValueError, match='inference_norm must be "sample" or "running", got \'batch\''):
        build(inference_norm="batch")
    trainer = quiet_trainer(fast_dev_run=True)
    with pytest.raises(
        ValueError, match=r"Pix2Pix needs pairs.*OpenMoji as configured does not.*OpenMoji\(paired=True\)"
    ):
        trainer.fit(build(), OpenMoji(paired=False))


def test_modules_that_need_labels_refuse_data_without():
    class Labelled(Pix2Pix):
        needs_labels = True

    class Unlabelled(OpenMoji):
        labelled = False

    trainer = quiet_trainer(fast_dev_run=True)
    module = Labelled(UNetGenerator(num_downs=5, ngf=2), PatchDiscriminator(6, ndf=2, n_layers=1))
    with pytest.raises(ValueError, match=r"Labelled needs class labels .*which Unlabelled as configured does not give"):
        trainer.fit(module, Unlabelled(image_size=32))
    trainer.fit(module, OpenMoji(image_size=32))
