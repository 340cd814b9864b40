"""What a network really does with a batch: which of torch's functions run, in which order, and what range goes in.

    network, one real batch → looked_into → Inside

Functions, not modules: a network of one's own may call them without a module for each.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn
from torch.overrides import TorchFunctionMode

from augsvc_client.trainer.models.layers import LogMel

_CONVOLUTIONS = frozenset(f"conv{transposed}{n}d" for n in (1, 2, 3) for transposed in ("", "_transpose"))
_POOLS = frozenset(f"{kind}_pool{n}d" for n in (1, 2, 3) for kind in ("max", "avg", "lp")) | {"fractional_max_pool2d"}
_SIGMOIDS = frozenset({"tanh", "sigmoid", "hardsigmoid", "softsign", "logsigmoid"})
_ACTIVATIONS = _SIGMOIDS | {
    *("relu", "relu6", "leaky_relu", "rrelu", "prelu", "elu", "selu", "celu", "gelu", "silu", "mish", "hardswish"),
    *("hardtanh", "tanhshrink", "softplus", "glu"),
}
_SATURATING = _SIGMOIDS | {"lstm", "gru", "rnn_tanh"}  # which have them inside


@dataclass(frozen=True, slots=True)
class Inside:
    """`calls`: names of torch's functions in the order they ran; `widths`: outputs of each layer with weights, in order.

    `dropout`: the probabilities of dropout layers; `low`, `high`: the range of what the network got, behind a front end for
    sound. Pooling over the whole picture, and adaptive pooling, do not count as pooling.
    """

    calls: tuple[str, ...]
    widths: tuple[int, ...]
    dropout: tuple[float, ...]
    low: float
    high: float

    @property
    def pools(self) -> list[str]:
        """Such as max_pool2d."""
        return [name for name in self.calls if name in _POOLS]

    @property
    def activations(self) -> list[str]:
        """Such as prelu."""
        return [name for name in self.calls if name in _ACTIVATIONS]

    @property
    def saturating(self) -> list[str]:
        """Sigmoid, tanh and their like, and recurrent layers, which have them inside."""
        return [name for name in self.calls if name in _SATURATING]

    @property
    def pools_first(self) -> list[bool]:
        """For each pooling with an activation between the same two layers: whether it comes before it."""
        found, order = [], list[str]()
        for name in (*self.calls, "linear"):
            if name in _CONVOLUTIONS or name == "linear":
                found += [order.index("pool") < order.index("bend")] if {"pool", "bend"} <= set(order) else []
                order = []
            order += ["pool"] * (name in _POOLS) + ["bend"] * (name in _ACTIVATIONS)
        return found

    def count(self, *names: str) -> int:
        """Of calls of functions of these names."""
        return sum(name in names for name in self.calls)


def looked_into(model: nn.Module, batch: torch.Tensor) -> Inside:
    """One pass of a batch (as a loader gives it) on its device; the model is left in its mode."""
    training = model.training
    model.eval()
    with torch.inference_mode():
        if isinstance(model, nn.Sequential) and isinstance(model[0], LogMel):
            batch, body = model[0](batch), model[1:]
        else:
            body = model
        low, high = batch.float().aminmax()
        with _Watched() as seen:
            body(batch)
    model.train(training)
    return Inside(tuple(seen.calls), tuple(seen.widths), tuple(seen.dropout), float(low), float(high))


class _Watched(TorchFunctionMode):
    """Notes every one of torch's functions that is called within it, but for those that are called by these."""

    def __init__(self) -> None:
        super().__init__()
        self.calls: list[str] = []
        self.widths: list[int] = []
        self.dropout: list[float] = []

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: Sequence[Any] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        given = kwargs or {}
        result = func(*args, **given)
        name = func.__name__.removesuffix("_")
        self.calls.append(name)
        if name in _CONVOLUTIONS:
            self.widths.append(result.shape[1])
        elif name == "linear":
            self.widths.append(result.shape[-1])
        elif "dropout" in name:
            self.dropout.append(float(given.get("p", args[1] if len(args) > 1 else 0.5)))
        return result
