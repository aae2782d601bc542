from types import SimpleNamespace

import pytest
from lightning.pytorch.strategies import DDPStrategy, DeepSpeedStrategy, FSDPStrategy, SingleDeviceStrategy

from sketchgan.modules.strategy import refuse_plain_ddp, refuse_strategy


def with_strategy(cls, **kwargs):
    """As a Trainer would hold it; DeepSpeed itself need not be installed."""
    strategy = cls.__new__(cls)
    strategy._ddp_kwargs = kwargs
    return SimpleNamespace(strategy=strategy, optimizers=[1, 2])


def test_deepspeed_is_refused():
    with pytest.raises(ValueError, match="DeepSpeed drives one optimizer, and a GAN has several; use strategy="):
        refuse_strategy(with_strategy(DeepSpeedStrategy))


def test_fsdp_is_called_untested():
    with pytest.warns(UserWarning, match="FSDPStrategy is untested with GANs"):
        refuse_strategy(with_strategy(FSDPStrategy))


@pytest.mark.parametrize("settings", [{}, {"find_unused_parameters": True, "static_graph": True}])
def test_ddp_that_wants_every_weight_is_refused(settings):
    with pytest.raises(ValueError, match='use strategy="ddp_find_unused_parameters_true"'):
        refuse_plain_ddp(with_strategy(DDPStrategy, **settings))


def test_what_works_is_left_alone():
    refuse_plain_ddp(with_strategy(DDPStrategy, find_unused_parameters=True))
    refuse_plain_ddp(with_strategy(SingleDeviceStrategy))
    single = with_strategy(DDPStrategy)
    single.optimizers = [1]
    refuse_plain_ddp(single)
    refuse_strategy(with_strategy(DDPStrategy))
