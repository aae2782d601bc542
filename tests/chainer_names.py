"""Weights under Chainer's names, as the reference runs of PaintsChainer hold them."""

from torch import Tensor

ENDINGS = {
    "W": "weight",
    "b": "bias",
    "gamma": "weight",
    "beta": "bias",
    "avg_mean": "running_mean",
    "avg_var": "running_var",
    "N": "num_batches_tracked",
}


def ours(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """The same under torch's names."""
    return {
        f"{layer}.{ENDINGS[ending]}": value for key, value in state.items() for layer, ending in [key.rsplit(".", 1)]
    }
