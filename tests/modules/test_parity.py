"""Three training steps of each paper against the official code, through a real Trainer."""

from typing import Any

import pytest
import torch
import torch.nn.functional as F
from golden_cases import Golden, assert_close, golden
from torch import Tensor, nn
from torch.utils.data import DataLoader
from training import quiet_trainer

from sketchgan import UGATIT, CycleGAN, GANModule, Photo2Cartoon, Pix2Pix
from sketchgan.convert.official import KeyMap, recognise, renamed
from sketchgan.convert.pix2pix_cyclegan import CYCLEGAN, PIX2PIX, patch_keys, resnet_keys, unet_keys
from sketchgan.convert.ugatit import NETWORKS
from sketchgan.convert.ugatit import UGATIT as UGATIT_NAMES
from sketchgan.networks import PatchDiscriminator, ResnetGenerator, UNetGenerator


def train(
    cls: type[GANModule],
    steps: list[dict[str, Tensor]],
    networks: dict[str, nn.Module],
    precision: str,
    setup: Any = None,
    **settings: Any,
) -> tuple[GANModule, list[dict[str, Tensor]], dict[str, list[Tensor]]]:
    """Train three steps; return the module, each step's losses by name, and every output of each network."""
    losses: list[dict[str, Tensor]] = [{} for _ in range(3)]
    outputs: dict[str, list[Tensor]] = {name: [] for name in networks}

    class Recorder(cls):
        def minimize(self, optimizer, terms, log_as, clip=None):
            recorded = {f"{log_as}/{k}": v.detach() for k, v in terms.items()}
            losses[self.batches_seen - 1].update(recorded | {log_as: sum(recorded.values())})
            super().minimize(optimizer, terms, log_as, clip)

    module = Recorder(**networks, **settings)
    if setup:
        setup(module)
    for name, network in networks.items():
        network.register_forward_hook(lambda m, i, out, name=name: outputs[name].append(_picture(out).clone()))
    dtype = torch.float64 if precision == "64-true" else torch.float32
    steps = [{side: images.to(dtype) for side, images in step.items()} for step in steps]
    trainer = quiet_trainer(max_epochs=1, precision=precision)
    trainer.fit(module, DataLoader(steps, batch_size=None))
    return module, losses, outputs


def _picture(output: Any) -> Tensor:
    return (output if isinstance(output, Tensor) else output[0]).detach()


def pictures(reference: Golden) -> list[dict[str, Tensor]]:
    return [{side: reference.tensors[f"in.step{k}.{side}"] for side in "AB"} for k in (1, 2, 3)]


def load(reference: Golden, names: dict[str, str], networks: dict[str, nn.Module], keys: dict[str, KeyMap]) -> None:
    for theirs, ours in names.items():
        networks[ours].load_state_dict(renamed(reference.under(f"state.net{theirs}"), keys[ours]))


def compare_weights(
    module: GANModule, reference: Golden, names: dict[str, str], keys: dict[str, KeyMap], atol: float, skip: tuple = ()
) -> None:
    compared = 0
    for theirs, ours in names.items():
        state = getattr(module, ours).state_dict()
        for key, expected in reference.under(f"after.net{theirs}").items():
            if f"net{theirs}.{key}" in skip:
                continue
            (name,) = renamed({key: expected}, keys[ours])
            assert_close(state[name], expected, atol, f"{theirs}.{key}")
            compared += 1
    assert compared > (10 if "left_out" in reference.case else 20)


@pytest.mark.parametrize(
    ("precision", "case", "loss_atol", "weight_atol"),
    [("64-true", "pix2pix_train3_f64", 1e-9, 1e-9), ("32-true", "pix2pix_train3", 1e-5, 5e-6)],
)
def test_pix2pix(precision, case, loss_atol, weight_atol):
    start, reference = golden("pix2pix_train3"), golden(case)
    networks = {
        "generator": UNetGenerator(num_downs=5, ngf=4, dropout=0.0),
        "discriminator": PatchDiscriminator(6, ndf=4),
    }
    keys = {"generator": unet_keys(5), "discriminator": patch_keys(3)}
    load(start, PIX2PIX, networks, keys)
    module, losses, outputs = train(Pix2Pix, pictures(start), networks, precision, lr_policy="constant")
    for k, ours in enumerate(losses, 1):
        expected = reference.under(f"loss.step{k}")
        official = {
            "D": ours["d"],
            "D_fake": 2 * ours["d/fake"],
            "D_real": 2 * ours["d/real"],
            "G": ours["g"],
            "G_GAN": ours["g/gan"],
            "G_L1": ours["g/l1"],
        }
        assert official.keys() == expected.keys()
        for name, value in official.items():
            assert_close(value, expected[name], loss_atol, f"step {k} {name}")
        if f"out.step{k}.fake_B" in reference.tensors:
            assert_close(outputs["generator"][k - 1], reference.tensors[f"out.step{k}.fake_B"], loss_atol, f"step {k}")
    compare_weights(module, reference, PIX2PIX, keys, weight_atol)


@pytest.mark.parametrize(
    ("start_case", "case", "precision", "loss_atol", "out_atol", "weight_atol"),
    [
        ("cyclegan_train3", "cyclegan_train3_f64", "64-true", 1e-9, 1e-9, 1e-9),
        ("cyclegan_train3", "cyclegan_train3", "32-true", 2e-5, 1e-4, 5e-6),
        ("cyclegan_train3_pool", "cyclegan_train3_pool", "32-true", 2e-5, 1e-4, 5e-6),
    ],
)
def test_cyclegan(start_case, case, precision, loss_atol, out_atol, weight_atol):
    start, reference = golden(start_case), golden(case)
    settings = start.case
    width = 4 if start_case == "cyclegan_train3" else 2
    networks: dict[str, nn.Module] = {}
    for domain in ("ab", "ba"):
        networks[f"generator_{domain}"] = ResnetGenerator(ngf=width, n_blocks=6)
    for domain in ("a", "b"):
        networks[f"discriminator_{domain}"] = PatchDiscriminator(3, ndf=width, norm="instance")
    keys = {name: resnet_keys(6) if name.startswith("generator") else patch_keys(3) for name in networks}
    load(start, CYCLEGAN, networks, keys)

    draws = iter(settings.get("pool_draws", []))

    class Replay:
        def uniform(self, a, b):
            kind, value = next(draws)
            assert kind == "uniform"
            return value

        def randint(self, a, b):
            kind, value = next(draws)
            assert kind == "randint"
            return value

    def replay(module: CycleGAN) -> None:
        module.pool_a.draws = module.pool_b.draws = Replay()

    module, losses, outputs = train(
        CycleGAN,
        pictures(start),
        networks,
        precision,
        replay,
        lr_policy="constant",
        lambda_identity=settings["lambda_identity"],
        pool_size=settings["pool_size"],
    )
    identity = settings["lambda_identity"] > 0
    for k, ours in enumerate(losses, 1):
        expected = reference.under(f"loss.step{k}")
        # The official code names generators by where they start, discriminators crosswise.
        official = {
            "D_A": ours["d/real_b"] + ours["d/fake_b"],
            "D_B": ours["d/real_a"] + ours["d/fake_a"],
            "G": ours["g"],
            "G_A": ours["g/gan_b"],
            "G_B": ours["g/gan_a"],
            "cycle_A": ours["g/cycle_a"],
            "cycle_B": ours["g/cycle_b"],
            "idt_A": ours.get("g/identity_b", torch.zeros(())),
            "idt_B": ours.get("g/identity_a", torch.zeros(())),
        }
        assert expected.keys() <= official.keys()
        assert len(expected) >= 7
        for name, value in expected.items():
            assert_close(official[name], value, loss_atol, f"step {k} {name}")
        passes = 3 if identity else 2
        ab, ba = (outputs[f"generator_{d}"][passes * (k - 1) :][:passes] for d in ("ab", "ba"))
        made = {"fake_B": ab[0], "rec_B": ab[1], "fake_A": ba[0], "rec_A": ba[1]}
        if identity:
            made |= {"idt_A": ab[2], "idt_B": ba[2]}
        compared = reference.under(f"out.step{k}")
        assert k < 3 or compared
        for name, value in compared.items():
            assert_close(made[name], value, out_atol, f"step {k} {name}")
    assert next(draws, None) is None
    skip = () if precision == "64-true" else tuple(settings["noise_keys"])
    compare_weights(module, reference, CYCLEGAN, keys, weight_atol, skip)


def load_six(reference: Golden) -> tuple[dict[str, nn.Module], dict[str, KeyMap]]:
    networks, keys = {}, {}
    for theirs, ours in UGATIT_NAMES.items():
        found = recognise(reference.under(f"state.{theirs}"), NETWORKS)
        networks[ours] = found.build()
        keys[ours] = found.official.keys(networks[ours])
    return networks, keys


def six_pictures(reference: Golden) -> list[dict[str, Tensor]]:
    """Normalised in float32, as the golden page says."""
    sides = {side: reference.tensors[f"in.real_{side}_u8"].float() for side in "AB"}
    return [{side: (images[k] / 255 - 0.5) / 0.5 for side, images in sides.items()} for k in range(3)]


def official_losses(ours: dict[str, Tensor], weights: dict[str, float]) -> dict[str, Tensor]:
    """Of U-GAT-IT, under the official names: parts without their weights, and totals with them."""
    official = {"Discriminator_loss": ours["d"], "Generator_loss": ours["g"]}
    for domain in "AB":
        d, g = torch.zeros(()), torch.zeros(())
        for where, name in (("G", f"global_{domain.lower()}"), ("L", f"local_{domain.lower()}")):
            for cam, infix in (("", ""), ("_cam", "cam_")):
                parts = ours[f"d/real_{infix}{name}"] + ours[f"d/fake_{infix}{name}"], ours[f"g/gan_{infix}{name}"]
                d, g = d + parts[0], g + parts[1]
                official[f"D_ad{cam}_loss_{where}{domain}"] = parts[0] / weights["adv"]
                official[f"G_ad{cam}_loss_{where}{domain}"] = parts[1] / weights["adv"]
        official[f"D_loss_{domain}"] = d
        terms = {"recon": "cycle", "identity": "identity", "cam": "cam"} | ({"id": "face"} if "face" in weights else {})
        for theirs, mine in terms.items():
            g = g + ours[f"g/{mine}_{domain.lower()}"]
            official[f"G_{theirs}_loss_{domain}"] = ours[f"g/{mine}_{domain.lower()}"] / weights[mine]
        official[f"G_loss_{domain}"] = g
    return official


class StandInFace(nn.Module):
    """The small face network of the golden case."""

    def __init__(self, state: dict[str, Tensor]) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, 6, 8, stride=8)
        self.conv2 = nn.Conv2d(6, 8, 7, stride=7)
        self.linear = nn.Linear(32, 16, bias=False)
        self.load_state_dict(state)

    def forward(self, x: Tensor) -> Tensor:
        return F.normalize(self.linear(self.conv2(self.conv1(x).tanh()).flatten(1)))


@pytest.mark.parametrize(
    ("name", "loss_rtol"), [("ugatit_train_light", 1e-9), ("ugatit_train_full", 1e-9), ("photo2cartoon_train", 1e-8)]
)
def test_ugatit(name, loss_rtol):
    reference = golden(name)
    case = reference.case
    networks, keys = load_six(reference)
    settings: dict[str, Any] = {"lambda_gan": case["adv_weight"]}
    settings |= {f"lambda_{weight}": case[f"{weight}_weight"] for weight in ("cycle", "identity", "cam")}
    cls: type[GANModule] = UGATIT
    if name == "photo2cartoon_train":
        cls = Photo2Cartoon
        settings |= {"lambda_face": case["faceid_weight"], "rho_clip": case["rho_clipper"], "w_clip": case["w_clipper"]}
        settings["face_network"] = StandInFace(reference.under("state.face"))
    settings |= {"lr": case["lr"], "weight_decay": case["weight_decay"]}
    settings |= {"n_iterations": case["iteration"] // 2, "n_iterations_decay": case["iteration"] // 2}
    module, losses, outputs = train(cls, six_pictures(reference), networks, "64-true", **settings)

    weights = {
        name.removeprefix("lambda_").replace("gan", "adv"): w for name, w in settings.items() if "lambda" in name
    }
    for k, ours in enumerate(losses, 1):
        expected = reference.under(f"loss.step{k}")
        official = official_losses(ours, weights)
        assert official.keys() == expected.keys()
        for key, value in expected.items():
            assert_close(official[key], value, loss_rtol * value.abs().item(), f"step {k} {key}")
    for key, ours in (("fake_A2B", "generator_ab"), ("fake_B2A", "generator_ba")):
        if f"out.step1.{key}" in reference.tensors:
            assert_close(outputs[ours][0][:1], reference.tensors[f"out.step1.{key}"], 1e-6, key)
    for theirs, ours in UGATIT_NAMES.items():
        state = getattr(module, ours).state_dict()
        after = renamed(reference.under(f"after.{theirs}"), keys[ours])
        assert after.keys() == state.keys() if "left_out" not in case else after.keys() <= state.keys()
        assert len(after) > 20
        for key, expected in after.items():
            assert_close(state[key], expected, 1e-7, f"{ours}.{key}")
