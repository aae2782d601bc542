"""PaintsChainer's second stage: its drafts, and what the suite over all modules does not ask."""

from pathlib import Path

import numpy as np
import pytest
import torch
from golden_cases import assert_close
from torch import nn
from torch.utils.data import DataLoader
from training import quiet_trainer, same, save

import sketchgan
from sketchgan import PaintsChainer, PaintsChainerRefiner
from sketchgan.modules.paintschainer_refiner import shrunk_hints
from sketchgan.networks import PaintsChainerDiscriminator, PaintsChainerUNet
from sketchgan.networks.chainer_files import chainer_names
from sketchgan.ops import rgb_to_yuv


class HintsAsDraft(nn.Module):
    """A draft of the hints themselves."""

    def forward(self, x):
        return x[:, 1:]


def small(**settings) -> PaintsChainerRefiner:
    networks = {"generator": PaintsChainerUNet(ngf=2), "draft": PaintsChainerUNet(ngf=2)}
    return PaintsChainerRefiner(**{**networks, **settings})


def batch(n: int = 2, size: int = 64, **more):
    draw = torch.Generator().manual_seed(3)
    a, b = (torch.rand(n, channels, size, size, generator=draw) * 2 - 1 for channels in (1, 3))
    return {"A": a, "B": b, **more}


def fit(module, *batches, **settings):
    run = quiet_trainer(**{"max_epochs": 1, **settings})
    run.fit(module, DataLoader(list(batches), batch_size=None))
    return run


def drafter(path: str, units: str = "normalised") -> PaintsChainer:
    judge = PaintsChainerDiscriminator(ndf=1, image_size=16)
    module = PaintsChainer(PaintsChainerUNet(ngf=2), judge, units=units)
    save(module, path)
    return module


@pytest.mark.parametrize(
    ("large", "wanted"),
    [((512, 512), (128, 128)), ((512, 720), (128, 176)), ((704, 512), (176, 128)), ((528, 64), (128, 16))],
)
def test_sizes_of_drafts_are_rounded_down(large, wanted):
    assert small().draft_size(torch.zeros(1, 1, *large)) == wanted


def test_single_hints_survive_shrinking():
    hints = torch.zeros(1, 4, 64, 48)
    hints[0, :, 37, 5] = torch.tensor([0.5, -0.5, 1.0, 1.0])
    hints[0, :, 0, 47] = torch.tensor([0.1, 0.2, 0.3, 0.4])
    shrunk = shrunk_hints(hints, (16, 16))
    assert (shrunk[:, 3] > 0).sum() == 2
    assert shrunk[0, :, 9, 1].tolist() == [0.5, -0.5, 1.0, 1.0]
    assert_close(shrunk[0, :, 0, 15], torch.tensor([0.1, 0.2, 0.3, 0.4]), 0)
    assert shrunk_hints(hints, (64, 48)) is hints


def test_channels_of_the_draft_and_of_the_painting():
    """In training each channel is the draft's or the painting's; both are shrunk and enlarged."""
    given = batch(8, hints=torch.cat([torch.full((8, 3, 64, 64), -1.0), torch.ones(8, 1, 64, 64)], dim=1))
    black = torch.tensor([0.0, 128.0, 128.0]).view(1, 3, 1, 1)
    own = rgb_to_yuv(given["B"])
    own = nn.functional.interpolate(nn.functional.avg_pool2d(own, 4), 64, mode="bicubic")
    for share in (0.0, 1.0, 0.5):
        x, target = small(draft=HintsAsDraft(), draft_share=share).input_and_target(given)
        levels = x * 128 + 128
        assert_close(levels[:, :1], (given["A"] + 1) * 127.5, 1e-3)
        assert_close(target, rgb_to_yuv(given["B"]), 1e-4)
        from_draft = (levels[:, 1:] - black).abs().amax((2, 3)) < 1e-2
        from_painting = (levels[:, 1:] - own).abs().amax((2, 3)) < 1e-2
        assert (from_draft != from_painting).all()
        assert from_draft.all() if share == 1 else from_draft.any() != (share == 0)
    assert 0 < from_draft.float().mean() < 1


def test_hints_reach_the_result_through_the_draft():
    hints = torch.zeros(1, 4, 64, 64)
    hints[:, :, 40:44, 20:24] = torch.tensor([1.0, 1.0, -1.0, 1.0]).view(1, 4, 1, 1)
    module = small(generator=nn.Identity(), draft=HintsAsDraft()).eval()
    module.generator.forward = lambda x: x[:, 1:]
    yellow = module(torch.ones(1, 1, 64, 64), hints)[0, :, 41, 21]
    assert yellow[0] > 0.5
    assert yellow[2] < 0


def test_the_draft_is_frozen_but_normalises_with_the_batch():
    module = small()
    before = {key: value.clone() for key, value in module.state_dict().items() if key.startswith("draft.")}
    start = module.generator.c0.weight.clone()
    modes = []
    module.draft.register_forward_hook(lambda m, i, out: modes.append(m.bnc8.training))
    run = fit(module, batch(), batch())
    assert modes == [True, True]
    assert not torch.equal(module.generator.c0.weight, start)
    assert all(torch.equal(value, module.state_dict()[key]) for key, value in before.items())
    assert len(run.optimizers) == 1
    assert not any(p.requires_grad for p in module.draft.parameters())


def test_samples():
    module = small().eval()
    given = batch(3, A_path=["a.png", "b.png", "c.png"])
    made = module.sample(given)
    assert set(made) == {"real_A", "fake_B", "real_B", "other_B", "hints"}
    assert all(torch.equal(made[name], pictures) for name, pictures in module.sample(given).items())
    assert torch.equal(module.translate(given)["fake_B"], made["other_B"])
    blurred = small(blur=3).eval()
    blurred.load_state_dict(module.state_dict())
    assert not torch.equal(blurred(given["A"]), module(given["A"]))


# Where the draft comes from


def test_draft_of_a_checkpoint():
    first = drafter("first.ckpt")
    module = small(draft_weights="first.ckpt")
    fit(module, batch())
    assert same(module.draft, first.generator)
    save(module, "refiner.ckpt")
    Path("first.ckpt").unlink()  # the refiner has what it needs
    networks = {"generator": PaintsChainerUNet(ngf=2), "draft": PaintsChainerUNet(ngf=2)}
    again = sketchgan.load("refiner.ckpt", **networks)
    assert same(again.draft, first.generator)
    fit(again, batch())
    resumed = small(draft_weights="first.ckpt")
    quiet_trainer(max_epochs=1).fit(resumed, DataLoader([batch()], batch_size=None), ckpt_path="refiner.ckpt")
    assert same(resumed.draft, first.generator)


def test_draft_of_an_official_file():
    network = PaintsChainerUNet(ngf=2)
    names = chainer_names(network)
    state = network.state_dict()
    with Path("unet_128_standard").open("wb") as file:
        np.savez(file, **{theirs: state[mine].numpy() for theirs, mine in names.items()})
    module = small(draft_weights="unet_128_standard", units="official")
    fit(module, batch())
    assert torch.equal(module.draft.c8.weight, network.c8.weight)


def test_drafts_that_are_not_there_or_do_not_fit():
    with pytest.raises(FileNotFoundError, match="give its checkpoint as draft_weights, or its network as draft"):
        fit(PaintsChainerRefiner(PaintsChainerUNet(ngf=2)), batch())
    with pytest.raises(FileNotFoundError, match="nowhere.ckpt"):
        fit(small(draft_weights="nowhere.ckpt"), batch())
    drafter("official.ckpt", "official")
    with pytest.raises(
        ValueError, match='official.ckpt was trained with units="official"; train its refiner in the same'
    ):
        fit(small(draft_weights="official.ckpt"), batch())
    with pytest.raises(ValueError, match=r"official.ckpt holds no weights of PaintsChainerUNet .*of another shape"):
        fit(small(draft=PaintsChainerUNet(ngf=3), draft_weights="official.ckpt", units="official"), batch())


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"scale": 0}, "scale must be at least 1, got 0"),
        ({"draft_share": 1.5}, "draft_share must be a probability, got 1.5"),
        ({"blur": -1}, "blur must be a number of pixels, or 0 for none, got -1"),
        ({"units": "yuv"}, "units must be"),
    ],
)
def test_bad_arguments(settings, message):
    with pytest.raises(ValueError, match=message):
        small(**settings)
