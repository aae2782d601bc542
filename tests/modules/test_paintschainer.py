"""PaintsChainer's small stage: three steps of the official code, and what the suite over all modules does not ask."""

import pytest
import torch
from chainer_names import ours
from golden_cases import assert_close, golden
from torch.utils.data import DataLoader
from training import quiet_trainer

from sketchgan.modules import PaintsChainer
from sketchgan.networks import PaintsChainerDiscriminator, PaintsChainerUNet
from sketchgan.ops import TensorFlowAdam, yuv_to_rgb

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
