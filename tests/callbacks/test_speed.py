import pytest
import torch
from training import quiet_trainer

import sketchgan
from sketchgan import CycleGAN, Pix2Pix
from sketchgan.callbacks import Speed
from sketchgan.data import OpenMoji
from sketchgan.networks import PatchDiscriminator, ResnetGenerator, UNetGenerator


def pix2pix(**kwargs):
    torch.manual_seed(1)
    return Pix2Pix(
        UNetGenerator(num_downs=5, ngf=4, dropout_levels="lua"), PatchDiscriminator(6, ndf=4, n_layers=1), **kwargs
    )


def cyclegan():
    return CycleGAN(
        ResnetGenerator(ngf=2, n_blocks=0), ResnetGenerator(ngf=2, n_blocks=0, norm="batch"),
        *(PatchDiscriminator(3, ndf=2, n_layers=1) for _ in range(2)),
    )  # fmt: skip


def is_channels_last(network):
    weights = [p for p in network.parameters() if p.ndim == 4 and p.shape[1] > 1 and p.shape[-1] > 1]
    return all(p.is_contiguous(memory_format=torch.channels_last) for p in weights)


@pytest.mark.parametrize(
    ("setting", "expected"), [("auto", [False, True, True, True]), (True, [True] * 4), (False, [False] * 4)]
)
def test_layout(setting, expected):
    module = cyclegan()
    data = OpenMoji(paired=False, image_size=32, batch_size=2)
    quiet_trainer(max_epochs=1, limit_train_batches=1, limit_val_batches=0, callbacks=[Speed(setting)]).fit(
        module, data
    )
    networks = (module.generator_ab, module.generator_ba, module.discriminator_a, module.discriminator_b)
    assert [is_channels_last(network) for network in networks] == expected


def weights_after(callbacks, **kwargs):
    module = pix2pix(**kwargs)
    data = OpenMoji(image_size=32, batch_size=4)
    run = quiet_trainer(max_epochs=1, limit_train_batches=2, limit_val_batches=1, callbacks=callbacks)
    torch.manual_seed(2)
    run.fit(module, data)
    return run, module


def test_compiled_networks_train_and_validate_alike_and_keep_their_names():
    torch._dynamo.reset()
    _, plain = weights_after([])
    run, compiled = weights_after([Speed(channels_last=True, compile=True, backend="aot_eager")], fused=True)
    assert compiled.state_dict().keys() == plain.state_dict().keys()
    for name, value in plain.named_parameters():
        torch.testing.assert_close(compiled.get_parameter(name), value, rtol=0, atol=2e-3, msg=name)  # two Adam steps
    run.save_checkpoint("a.ckpt")
    loaded = sketchgan.load("a.ckpt", generator=UNetGenerator(num_downs=5, ngf=4, dropout_levels="lua"),
                            discriminator=PatchDiscriminator(6, ndf=4, n_layers=1))  # fmt: skip
    batch = next(iter(OpenMoji(image_size=32, batch_size=4).val_dataloader()))
    with torch.no_grad():
        # Dropout is seeded by name and batch norm per sample: hooks that a compiled network would not see.
        first, second = compiled.eval().sample(batch)["fake_B"], loaded.sample(batch)["fake_B"]
    torch.testing.assert_close(first, second, rtol=0, atol=1e-5)
    others = {**batch, "A_path": ["x", "y", "z", "w"]}
    with torch.no_grad():
        assert not torch.allclose(compiled.sample(others)["fake_B"], first, atol=1e-3)
    torch._dynamo.reset()


def test_compiler_really_runs():
    torch._dynamo.reset()
    calls = []

    def backend(graph, inputs):
        calls.append(graph)
        return graph.forward

    module = pix2pix()
    speed = Speed(compile=True)
    speed.backend = backend
    speed.setup(None, module, "fit")
    module.generator(torch.zeros(2, 3, 32, 32))
    assert calls
    # The inference policy works through hooks, which graphs made without them know nothing of.
    before = len(calls)
    module(torch.zeros(2, 3, 32, 32), ["a", "b"])
    assert len(calls) == before
    torch._dynamo.reset()


def test_fused_adam_gives_the_same_weights():
    _, plain = weights_after([], fused=False)
    run, fused = weights_after([])
    assert all(group["fused"] for optimizer in run.optimizers for group in optimizer.param_groups)
    for name, value in plain.named_parameters():
        torch.testing.assert_close(fused.get_parameter(name), value, rtol=0, atol=1e-5, msg=name)


def test_bad_layout_says_so():
    with pytest.raises(ValueError, match="channels_last must be \"auto\", True or False, got 'yes'"):
        Speed(channels_last="yes")
