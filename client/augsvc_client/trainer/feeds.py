"""What a run is fed with: loaders for training and tests from a recipe, and what follows from what the server has.

Recipe → training_loader, test_loader → RemoteDataLoader;  Stream → Inputs;  catalogue → class names
"""

from collections.abc import Mapping, Set
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

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


def order_of(stream: Stream, epoch: int) -> npt.NDArray[np.int64]:
    """The places in the dataset of an epoch's samples, in their order.

    Asked for with the smallest pictures or clips that there are: the order is the same, and 4,096 of 256 × 256 are more
    than a server gives at once.
    """
    least = {"seconds": 1 / stream.spec["sample_rate"]} if "audio" in stream.tensors else {"size": [1, 1]}
    plain = stream.client.stream({**stream.spec, "pipeline": "none", **least})
    starts = range(0, plain.samples, _LOOKED_UP)
    return np.concatenate(
        [plain.batch(epoch, start, min(_LOOKED_UP, plain.samples - start))["index"] for start in starts]
    )


def some_tested(recipe: Recipe, url: str, name: str, stream: Stream, most: int) -> list[dict[str, torch.Tensor]]:
    """Up to so many shuffled batches of a test, without what the run of `stream` trains on and what cannot be decoded."""
    left_out = torch.tensor(sorted(trained_on(recipe, name, stream)), dtype=torch.int64)
    with test_loader(recipe, url, name, shuffle=True) as loader:
        batches = [batch for batch, _ in zip(loader, range(most), strict=False)]
    kept = [batch["valid"].cpu() & ~torch.isin(batch["index"].cpu(), left_out) for batch in batches]
    return [
        {key: value[rows.to(value.device)] for key, value in batch.items()}
        for batch, rows in zip(batches, kept, strict=True)
    ]


def trained_on(recipe: Recipe, name: str, stream: Stream) -> Set[int]:
    """The indices that a test leaves out because the run trains on them."""
    test = (recipe.evaluation.tests or {})[name]
    if not test.unseen or test.dataset != recipe.data.dataset:
        return frozenset()
    return frozenset(order_of(stream, 0).tolist())


def _seed(recipe: Recipe, seed: int | None) -> int:
    return recipe.training.seed if seed is None else seed
