"""What a run is fed with: loaders for training and tests from a recipe, and what follows from what the server has.

Recipe → training_loader, test_loader → RemoteDataLoader;  Stream → Inputs;  catalogue → class names
"""

from collections.abc import Mapping, Set
from typing import Any

import numpy as np

from augsvc_client.client import Stream
from augsvc_client.loaders import RemoteDataLoader
from augsvc_client.trainer.device import choose_device
from augsvc_client.trainer.models import Inputs
from augsvc_client.trainer.recipe import Pipeline, Recipe

_LOOKED_UP = 4096  # samples in one request for their indices


def training_loader(recipe: Recipe, url: str) -> RemoteDataLoader:
    """The batches to train on."""
    data = recipe.data
    subset = None if data.per_class is None else {"per_class": data.per_class, "seed": _seed(recipe, data.subset_seed)}
    return RemoteDataLoader(
        url,
        dataset=data.dataset,
        pipeline="standard" if data.pipeline is None else data.pipeline,
        batch_size=data.batch_size,
        size=data.size,
        seconds=data.seconds,
        sample_rate=data.sample_rate,
        fit=data.fit,
        subset=subset,
        order_seed=_seed(recipe, data.order_seed),
        aug_seed=_seed(recipe, data.aug_seed),
        shuffle=data.shuffle,
        scale=data.scale,
        prefetch=data.prefetch,
        device=choose_device(recipe.training.device).kind,
        wait_s=data.wait_s,
    )


def test_loader(
    recipe: Recipe, url: str, name: str, *, pipeline: Pipeline | None = None, view: int = 0, shuffle: bool = False
) -> RemoteDataLoader:
    """The batches of one test: every sample once, the same for every seed. `pipeline`: another than the test's own.

    `shuffle`: for who takes only the first batches, of a dataset that may be sorted by class.
    """
    data, test = recipe.data, (recipe.evaluation.tests or {})[name]
    return RemoteDataLoader(
        url,
        dataset=test.dataset,
        pipeline=test.pipeline if pipeline is None else pipeline,
        batch_size=recipe.evaluation.batch_size,
        size=data.size,
        seconds=data.seconds,
        sample_rate=data.sample_rate,
        fit=data.fit,
        shuffle=shuffle,
        drop_last=False,
        scale=data.scale,
        prefetch=data.prefetch,
        device=choose_device(recipe.training.device).kind,
        wait_s=data.wait_s,
        view=view,
    )


def inputs_of(stream: Stream) -> Inputs:
    """What a network for this stream takes."""
    if "audio" in stream.tensors:
        return Inputs(rate=stream.spec["sample_rate"], length=stream.tensors["audio"]["shape"][1])
    _, channels, height, width = stream.tensors["image"]["shape"]
    return Inputs(channels=channels, size=(height, width))


def class_names(served: Mapping[str, Mapping[str, Any]], recipe: Recipe) -> list[str]:
    """The class names that all the recipe's datasets share; raises ValueError where they do not."""
    names = [recipe.data.dataset, *(test.dataset for test in (recipe.evaluation.tests or {}).values())]
    for name in names:
        if name not in served:
            raise ValueError(f"the server has no dataset {name}: give --test-dataset another one")
    first = list(served[names[0]]["classes"])
    if not first:
        raise ValueError(f"{names[0]} has no classes to tell apart")
    for name in names[1:]:
        if list(served[name]["classes"]) != first:
            raise ValueError(f"{name} does not have the classes of {names[0]}: give --test-dataset another one")
    return first


def trained_on(recipe: Recipe, name: str, stream: Stream) -> Set[int]:
    """The indices that a test leaves out because the run trains on them."""
    test = (recipe.evaluation.tests or {})[name]
    if not test.unseen or test.dataset != recipe.data.dataset:
        return frozenset()
    plain = stream.client.stream({**stream.spec, "pipeline": "none", "shuffle": False})
    starts = range(0, plain.samples, _LOOKED_UP)
    return frozenset(np.concatenate([plain.batch(0, start, _LOOKED_UP)["index"] for start in starts]).tolist())


def _seed(recipe: Recipe, seed: int | None) -> int:
    return recipe.training.seed if seed is None else seed
