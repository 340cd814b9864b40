"""What a run, `--find-lr` and `--sanity` start from: the classification problem that a recipe and its server define.

Recipe, Stream → read_problem → Problem → build (network with its initial weights), learner
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

from torch import nn

from augsvc_client.client.stream import Stream
from augsvc_client.trainer.models.build import Inputs, build_model, load_matching
from augsvc_client.trainer.recipe import Recipe
from augsvc_client.trainer.training.data import Datasets, class_names, class_weights, dataset_names, describe_inputs
from augsvc_client.trainer.training.device import choose_device
from augsvc_client.trainer.training.learner import Learner

Notify = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Problem:
    """Inputs, class names, their weights in the loss (None: all equal), and the server's entries of the recipe's datasets."""

    recipe: Recipe
    inputs: Inputs
    classes: Sequence[str]
    weights: Sequence[float] | None
    datasets: Datasets

    def build(self, notify: Notify | None = None, *, pretrained: bool = True) -> nn.Module:
        """The network on the training device; it starts from `training.initial_weights`, unless `pretrained` is false.

        `notify` gets a line about these weights. Raises ValueError for weights that do not fit.
        """
        training = self.recipe.training
        model = build_model(self.recipe.model, self.inputs, len(self.classes), training.seed)
        if training.initial_weights is not None and pretrained:
            others = load_matching(model, Path(training.initial_weights))
            if notify is not None:
                rest = f", except {', '.join(others[:3])}{', …' if len(others) > 3 else ''}" if others else ""
                notify(f"weights from {training.initial_weights}{rest}")
        return model.to(choose_device(training.device).kind)

    def learner(self, model: nn.Module, steps: int) -> Learner:
        """One that trains the network for that number of steps."""
        return Learner(model, self.recipe, steps, self.weights)


def read_problem(recipe: Recipe, stream: Stream, known: Datasets = MappingProxyType({})) -> Problem:
    """The problem of a resolved recipe; `known`: entries of datasets to use in place of the server's.

    Raises the client's errors, and ValueError for datasets that do not match.
    """
    served = {**{entry["name"]: entry for entry in stream.client.datasets()}, **known}
    names = class_names(served, recipe)
    return Problem(
        recipe=recipe,
        inputs=describe_inputs(stream, served[recipe.data.dataset]),
        classes=names,
        weights=class_weights(recipe, stream, names),
        datasets={name: served[name] for name in dataset_names(recipe)},
    )
