"""Fill in the fields that a recipe leaves open, from defaults and from what the server has.

Recipe → resolve_recipe (asks the server) → Recipe without open fields, and notes on changed fields
"""

import math
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from augsvc_client.client.client import Client
from augsvc_client.trainer.distributed import world_size
from augsvc_client.trainer.recipe import Recipe
from augsvc_client.trainer.training.data import Datasets, advise_test, class_names, training_loader, versions_of
from augsvc_client.trainer.training.device import limit_batch

_SIDE, _SECONDS, _RATE = 32, 1.0, 16_000
_FEW_STEPS = 200  # below, the network of the evidence had not learnt 50 samples
_CORRUPTED_AUDIO = [{"op": "time_shift", "shift": [-0.2, 0.2]}, {"op": "white_noise", "snr": [0, 10]}]


def resolve_recipe(
    recipe: Recipe, url: str, datasets: Datasets = MappingProxyType({}), *, note_duration: bool = True
) -> tuple[Recipe, list[str]]:
    """The recipe with all open fields filled in, and a note for each field that had to change.

    `datasets`: those of the run that is resumed, which are read in their versions then, whatever is served by now.

    `note_duration`: whether a run that is too short to learn gets a note too.

    Raises the client's errors, and ValueError for datasets that do not match.
    """
    with Client(url, wait_s=recipe.data.wait_s) as client:
        served = {**{entry["name"]: entry for entry in client.datasets()}, **datasets}
    data, training = recipe.data, recipe.training
    resolved = recipe.override(_defaults(recipe, served.get(data.dataset, {}).get("media") == "audio"))
    notes = []
    with training_loader(resolved, url, versions_of(datasets)) as loader:
        samples = loader.stream.samples  # opening the stream validates the specification
    limit = max(1, samples // world_size())
    if data.batch_size > limit:
        notes.append(f"{data.dataset} has {samples} samples here: the batch size is {limit}, not {data.batch_size}")
        resolved = resolved.override({"data.batch_size": limit})
    epoch_steps = max(1, samples // (resolved.data.batch_size * world_size()))
    if training.steps is not None:
        resolved = resolved.override({"training.epochs": math.ceil(training.steps / epoch_steps)})
    steps = training.steps or training.epochs * epoch_steps
    if note_duration and steps < _FEW_STEPS:
        notes.append(
            f"{steps} steps in total, and few networks learn in fewer than {_FEW_STEPS}: raise training.steps or epochs"
        )
    if resolved.evaluation.every is None:
        resolved = resolved.override({"evaluation.every": max(1, resolved.training.epochs // 20)})
    if resolved.evaluation.batch_size is None:
        resolved = resolved.override({"evaluation.batch_size": limit_batch(resolved)})
    if resolved.evaluation.tests is None:
        resolved = resolved.override({"evaluation.tests": {"test": {"dataset": _test_dataset(data.dataset)}}})
    for name, test in resolved.tests.items():
        if test.dataset == data.dataset and not test.unseen and not _are_disjoint(data.subset, test.subset):
            notes.append(
                f"the test {name!r} is of {data.dataset}, which is trained on: give it unseen: true, another fold, or another "
                "dataset"
            )
    class_names(served, resolved)
    if training.watch is not None and training.watch not in resolved.tests:
        raise ValueError(f"training.watch must be one of {', '.join(resolved.tests)}")
    return resolved, notes


def _defaults(recipe: Recipe, audio: bool) -> dict[str, object]:
    """The values of the fields that are None and do not depend on the server; raises ValueError for a canvas of clips."""
    if audio and recipe.data.size is not None:
        raise ValueError(
            f"{recipe.data.dataset} has clips, which have no canvas: leave out --size (data.size); "
            f"--set data.seconds={_SECONDS:g} sets their length"
        )
    training = recipe.training
    defaults: dict[str, object] = {f"data.{name}": training.seed for name in ("subset_seed", "order_seed", "aug_seed")}
    defaults |= {
        "data.pipeline": "sound" if audio else "standard",
        **({"data.seconds": _SECONDS, "data.sample_rate": _RATE} if audio else {"data.size": (_SIDE, _SIDE)}),
        "ablation.corrupted": _CORRUPTED_AUDIO if audio else "strong",
    }
    given = recipe.flat()
    return {name: value for name, value in defaults.items() if given[name] is None}


def _are_disjoint(training: Mapping[str, Any] | None, test: Mapping[str, Any] | None) -> bool:
    """Whether a test is of the fold that training leaves out, or of another fold than that of training."""
    if not training or not test or "fold" not in test or "seed" in test:
        return False
    fold, left_out = training.get("fold"), training.get("without_fold")
    return test["fold"] == left_out or bool(fold and fold != test["fold"] and fold[1] == test["fold"][1])


def _test_dataset(dataset: str) -> str:
    if not dataset.endswith("/train"):
        raise ValueError(f"{dataset} does not end in /train: {advise_test(dataset)}")
    return dataset.removesuffix("train") + "test"
