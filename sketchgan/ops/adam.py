"""Adam as TensorFlow 1 computes it."""

from collections.abc import Callable
from typing import Any

from torch.optim import Adam


class TensorFlowAdam(Adam):
    """Adam whose epsilon is added before the second moment's correction for its start, as TensorFlow does.

    In PyTorch's terms: epsilon starts ``1 / sqrt(1 - beta2)`` times as large and shrinks to its value. It decides over
    gradients of 1e-8 and below, in the first ``10 / (1 - beta2)`` steps or so.

    Takes the arguments of ``torch.optim.Adam``. State dicts hold the number of steps beside each group's settings.
    """

    def add_param_group(self, param_group: dict[str, Any]) -> None:
        super().add_param_group(param_group)
        group = self.param_groups[-1]
        group |= {"steps": 0, "final_eps": group["eps"]}

    def step(self, closure: Callable[[], float] | None = None) -> Any:
        for group in self.param_groups:
            group["steps"] += 1
            group["eps"] = group["final_eps"] / (1 - group["betas"][1] ** group["steps"]) ** 0.5
        return super().step(closure)
