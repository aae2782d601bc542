"""The plain AODA of the benchmarks against the official code."""

import pytest
import torch
from benchmarks.plain_aoda import AdaIN, Classifier, Pool, SketchToPhoto, aoda, iteration, statistics
from golden_cases import assert_close, golden, golden_json

TRAINED = ["aoda_train", "aoda_train_options", "aoda_train_paper"]
OPTIONS = (
    "gan_mode",
    "lambda_A",
    "lambda_B",
    "lambda_identity",
    "mix_rec",
    "rand_p",
    "pool_size",
    "lr",
    "lr_g",
    "lr_d",
)
SMALL = {"stem": 8, "layer1": 4, "branches": (2, 4, 8, 16), "heads": (2, 4, 8, 16), "final": 32}


class Recorded:
    """Random numbers as the official code drew them; asking for another kind than it did is an error."""

    def __init__(self, draws):
        self.left = list(draws)

    def next(self, kind):
        recorded, value = self.left.pop(0)
        assert recorded == kind
        return value

    def random(self):
        return self.next("uniform")

    def randint(self, low, high):
        return self.next("randint")


def recorded_steps(reference):
    """Arguments of each step, and the draws that the step consumes."""
    for k, draws in enumerate(reference.case["draws_per_step"], 1):
        given = reference.under(f"in.step{k}")
        photo, sketch = ((given[f"{name}_u8"].float() / 127.5 - 1).double() for name in ("photo", "sketch"))
        yield (photo, given["photo_label"], sketch.expand(-1, 3, -1, -1), given["sketch_label"]), draws


def networks(reference):
    settings, classifier = reference.case["settings"], reference.case["R"]
    sizes = {"stem": classifier["stem"], "layer1": classifier["layer1_planes"], "final": classifier["final"]}
    sizes |= {"branches": classifier["branches"], "heads": classifier["head_planes"]}
    assert {key: tuple(v) if isinstance(v, list) else v for key, v in sizes.items()} == SMALL
    nets = aoda(settings["n_classes"], settings["ngf"], settings["ndf"], **sizes)
    nets.load_state_dict(reference.under("state"))
    return nets.double()  # what differs is then the rounding of the official run alone


@pytest.mark.parametrize("name", TRAINED)
def test_three_steps(name):
    reference = golden(name)
    settings, skipped = reference.case["settings"], set(reference.case["zero_gradient_keys"])
    assert (settings["lambda_C"], settings["beta1"]) == (0, 0.5)
    nets, draws = networks(reference), Recorded([])
    step = iteration(nets, **{key: settings[key] for key in OPTIONS}, mixing=draws.random, draws=draws)
    for k, (inputs, consumed) in enumerate(recorded_steps(reference), 1):
        draws.left = list(consumed)
        made = step(*inputs)
        assert not draws.left
        for key, value in reference.under(f"loss.step{k}").items():
            assert_close(made[key], value, 1e-5 if k == 1 else 1e-4, f"step {k} {key}")
        for key, value in reference.under(f"out.step{k}").items():
            assert_close(made[key], value, 0 if key == "label_used" else 1e-3, f"step {k} {key}")
        assert len(reference.under(f"loss.step{k}")) == 12
    after, ours = reference.under("after"), nets.state_dict()
    assert after.keys() == ours.keys()
    assert len(skipped) == 66
    trained = dict(nets.named_parameters())
    off = torch.cat([(ours[key] - after[key]).abs().flatten() for key in trained.keys() - skipped])
    assert off.quantile(0.99) < 1e-5
    assert off.max() < 2 * 3 * max(settings[key] for key in ("lr", "lr_g", "lr_d"))
    for key in after.keys() - trained.keys():
        assert_close(ours[key], after[key], 1e-3 * after[key].abs().max().item(), key)


def test_gradients_of_the_first_step(monkeypatch):
    start, reference = golden("aoda_train"), golden("aoda_train_grads")
    nets, seen = networks(start), {}
    names = {id(parameter): key for key, parameter in nets.named_parameters()}

    def keep(adam):
        seen.update({names[id(p)]: p.grad.clone() for group in adam.param_groups for p in group["params"]})

    monkeypatch.setattr(torch.optim.Adam, "step", keep)
    inputs, draws = next(recorded_steps(start))
    draws = Recorded(draws)
    settings = {key: start.case["settings"][key] for key in OPTIONS}
    iteration(nets, **settings, mixing=draws.random, draws=draws)(*inputs)
    expected = reference.under("grad")
    assert expected.keys() == seen.keys()
    for name in nets:
        mine = {key: value for key, value in expected.items() if key.startswith(f"{name}.")}
        largest = max(value.abs().max().item() for value in mine.values())
        for key, value in mine.items():
            assert_close(seen[key], value, 1e-2 * largest, key)


def test_photo_generator():
    reference = golden("aoda_g_b")
    settings, given, expected = reference.case["settings"], reference.under("in"), reference.under("out")
    unit = AdaIN(settings["adain"]["in_channel"], settings["adain"]["num_classes"])
    unit.load_state_dict(reference.under("state.adain"))
    x, labels = given["adain_x"], given["adain_label"]
    style = statistics(unit.l1(unit.emb(labels)).view(*x.shape[:2], 2, 2))
    made = dict(zip(("content_mean", "content_std", "style_mean", "style_std"), (*statistics(x), *style), strict=True))
    made = {f"adain_{key}": value for key, value in made.items()} | {"adain": unit(x, labels)}

    network = SketchToPhoto(settings["n_classes"], settings["ngf"], settings["n_blocks"])
    network.load_state_dict(reference.under("state.G_B"))
    parts = {
        "after_down": network.head,
        "after_block1": network.body[0],
        "after_block9": network.body[8],
        "before_tanh": network.tail[9],
    }
    hooks = [
        part.register_forward_hook(lambda *args, key=key: made.update({key: args[-1]})) for key, part in parts.items()
    ]
    made["photo"] = network(given["sketch"], given["label"])
    for hook in hooks:
        hook.remove()
    made["photo_36x44_label2"] = network(given["sketch_36x44"], torch.tensor([2]))
    made["same_sketch_all_labels"] = network(given["sketch"][:1].expand(5, -1, -1, -1), torch.arange(5))
    assert made.keys() == expected.keys()
    for key, value in expected.items():
        assert_close(made[key], value, 5e-5, key)


def test_classifier():
    reference = golden("aoda_r")
    expected, photo = reference.under("out"), reference.tensors["in.photo"]
    network = Classifier(5, **SMALL)
    network.load_state_dict(reference.under("state.R"))
    assert_close(network.eval()(photo), expected["eval_logits"], 1e-4, "eval")
    assert_close(network.train()(photo), expected["train_logits"], 1e-4, "train")
    for key, value in reference.under("after.R").items():
        assert_close(network.get_buffer(key), value, 1e-3 * value.abs().max().item(), key)


@pytest.mark.parametrize(
    "kind", ["labelled_size3_batch2", "labelled_size2_batch1", "labelled_size0", "plain_size3_batch2"]
)
def test_pools(kind):
    reference = golden("aoda_pool")
    case, given, expected = reference.case[kind], reference.under(f"in.{kind}"), reference.under(f"out.{kind}")
    draws = Recorded([])
    pool = Pool(case["pool_size"], draws)
    for i, consumed in enumerate(case["draws"]):
        draws.left = list(consumed)
        answers = pool(*(given[key][i].requires_grad_(key == "images") for key in sorted(given)))
        assert not draws.left
        assert answers[0].requires_grad == (case["pool_size"] == 0)
        for key, answer in zip(sorted(given), answers, strict=True):
            assert torch.equal(answer, expected[key][i])


def test_published_shapes():
    published = golden_json("aoda_keys")
    with torch.device("meta"):
        nets = aoda(10, 64, 64)
    for name, net in nets.items():
        assert {key: list(value.shape) for key, value in net.state_dict().items()} == published["keys"][name]
        assert sum(p.numel() for p in net.parameters()) == published["parameters"][name]


def test_mixing_gives_the_photos_label_to_its_sketch():
    """Both or neither, for the whole batch, and only above the threshold."""
    torch.manual_seed(0)
    photo, sketch = torch.rand(2, 2, 3, 64, 64) * 2 - 1
    for u, mixed in ((0.4, False), (0.41, True)):
        step = iteration(aoda(3, 2, 2, **SMALL), rand_p=0.4, mixing=lambda u=u: u)
        made = step(photo, torch.tensor([2, 0]), sketch, torch.tensor([1, 1]))
        assert made["label_used"].tolist() == ([2, 0] if mixed else [1, 1])
        assert torch.equal(made["sketch_used"], made["fake_sketch"] if mixed else sketch)
