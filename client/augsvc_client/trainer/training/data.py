"""Loaders for training and tests from a recipe, and what the server's datasets and streams imply for a run.

Recipe → training_loader, test_loader → RemoteDataLoader;  Stream → Inputs;  catalog → class names
"""

from collections.abc import Mapping, Sequence, Set
from functools import partial
from itertools import islice
from types import MappingProxyType
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from augsvc_client.client.stream import Stream
from augsvc_client.loaders.remote import RemoteDataLoader
from augsvc_client.trainer.models.build import Inputs
from augsvc_client.trainer.recipe import Pipeline, Recipe
from augsvc_client.trainer.training.device import choose_device, limit_batch

_ORDER_CHUNK = 4096  # samples per request for their indices
Versions = Mapping[str, str]  # of datasets, by name; others are read in their current version
Datasets = Mapping[str, Mapping[str, Any]]  # a server's entries of datasets, by name
_CURRENT: Versions = MappingProxyType({})


def training_loader(recipe: Recipe, url: str, versions: Versions = _CURRENT) -> RemoteDataLoader:
    """The training batches of a recipe, from these versions of the datasets."""
    data = recipe.data
    chosen = {**(data.subset or {}), **({} if data.per_class is None else {"per_class": data.per_class})}
    return _open(recipe, url)(
        dataset=data.dataset,
        pipeline="standard" if data.pipeline is None else data.pipeline,
        batch_size=data.batch_size,
        subset=_with_seed(recipe, chosen),
        weights=data.weights,
        block=data.block,
        order_seed=_seed(recipe, data.order_seed),
        aug_seed=_seed(recipe, data.aug_seed),
        shuffle=data.shuffle,
        dataset_version=versions.get(data.dataset),
    )


def test_loader(
    recipe: Recipe,
    url: str,
    name: str,
    *,
    pipeline: Pipeline | None = None,
    view: int = 0,
    shuffle: bool = False,
    versions: Versions = _CURRENT,
) -> RemoteDataLoader:
    """The batches of one test: every sample of its subset once, the same for every other seed.

    `pipeline` replaces the test's pipeline. `shuffle` is for callers that read only the first batches: a dataset may be
    sorted by class.
    """
    test = recipe.tests[name]
    return _open(recipe, url)(
        dataset=test.dataset,
        pipeline=test.pipeline if pipeline is None else pipeline,
        batch_size=recipe.evaluation.batch_size or limit_batch(recipe),
        subset=_with_seed(recipe, test.subset or {}),
        shuffle=shuffle,
        drop_last=False,
        view=view,
        dataset_version=versions.get(test.dataset),
    )


def _open(recipe: Recipe, url: str) -> partial[RemoteDataLoader]:
    """A loader on the canvas and for the device of the recipe."""
    data = recipe.data
    return partial(
        RemoteDataLoader,
        url,
        size=data.size,
        seconds=data.seconds,
        sample_rate=data.sample_rate,
        channels=1 if data.sample_rate else None,  # of clips: the networks take one
        fit=data.fit,
        scale=data.scale,
        prefetch=data.prefetch,
        device=choose_device(recipe.training.device).kind,
        wait_s=data.wait_s,
    )


def versions_of(datasets: Datasets) -> Versions:
    """The versions that a server has described."""
    return {name: str(entry["version"]) for name, entry in datasets.items()}


def describe_inputs(stream: Stream, dataset: Mapping[str, Any]) -> Inputs:
    """The inputs of a network for this stream; `dataset` is the server's entry of its dataset."""
    if "audio" in stream.tensors:
        return Inputs(rate=stream.spec["sample_rate"], length=stream.tensors["audio"]["shape"][1])
    _, channels, height, width = stream.tensors["image"]["shape"]
    low_high = dataset.get("window")
    window = None if low_high is None else (float(low_high[0]), float(low_high[1]))
    return Inputs(channels=channels, size=(height, width), window=window)


def advise_test(training: str, others: Sequence[str] = ()) -> str:
    """How to have a test: on one of `others`, else on another dataset, or on samples held out of that of the training."""
    if others:
        return f"give --test-dataset {' or '.join(others)}"
    return (
        f"give --test-dataset, or hold samples out of {training}: --per-class N "
        f"--set 'evaluation.tests={{held_out: {{dataset: {training}, unseen: true}}}}'"
    )


def class_names(served: Datasets, recipe: Recipe) -> list[str]:
    """The class names that all datasets of the recipe share; raises ValueError if they differ, or their windows do.

    `served`: the server's datasets by name.
    """
    names = dataset_names(recipe)
    for name in names:
        if name not in served:
            siblings = [f"{name.rpartition('/')[0]}/{split}" for split in ("val", "test")]
            others = [other for other in siblings if other in served and other != names[0]]
            raise ValueError(f"the server has no dataset {name}: {advise_test(names[0], others)}")
    classes = list(served[names[0]]["classes"])
    if not classes:
        raise ValueError(f"{names[0]} has no classes to train a classifier on")
    for name in names:
        if (kind := served[name].get("label", "class")) != "class":
            raise ValueError(f"{name} has labels of the kind {kind!r}: the trainer needs one class for each sample")
    for name in names[1:]:
        if list(served[name]["classes"]) != classes:
            raise ValueError(f"{name} does not have the classes of {names[0]}: give --test-dataset another one")
        if served[name].get("window") != served[names[0]].get("window"):
            raise ValueError(f"{name} has another window than {names[0]}: set the same in both datasets")
    return classes


def dataset_names(recipe: Recipe) -> list[str]:
    """The datasets of a recipe, that of training first."""
    return [recipe.data.dataset, *(test.dataset for test in recipe.tests.values())]


def read_order(stream: Stream, epoch: int) -> npt.NDArray[np.int64]:
    """The dataset indices of an epoch's samples, in the epoch's order."""
    return _read_column(stream, epoch, "index")


def read_positions(stream: Stream, indices: npt.NDArray[np.int64]) -> list[int]:
    """The positions in epoch 0 of samples of that epoch, by their dataset indices (N,)."""
    if not stream.spec["shuffle"] and stream.spec.get("subset") is None:
        return [int(index) for index in indices]  # without a request for the order of a large dataset
    positions = {index: position for position, index in enumerate(read_order(stream, 0).tolist())}
    return [positions[index] for index in indices.tolist()]


def class_weights(recipe: Recipe, stream: Stream, names: Sequence[str]) -> Sequence[float] | None:
    """`training.class_weights` as numbers: balanced is N/(K·n) for a class of n samples, as in scikit-learn.

    `names`: of all classes; those that `data.subset` leaves out have the weight 1. Raises ValueError for another number of
    weights, and for a class without samples.
    """
    chosen = recipe.training.class_weights
    if chosen is None:
        return None
    if chosen != "balanced":
        if len(chosen) != len(names):
            raise ValueError(f"training.class_weights has {len(chosen)} numbers for {len(names)} classes")
        return chosen
    counts = np.bincount(_read_column(stream, 0, "label"), minlength=len(names))
    trained = np.isin(names, (recipe.data.subset or {}).get("classes", names))
    if not counts[trained].all():
        raise ValueError(f"training.class_weights: class {int((counts + ~trained).argmin())} has no samples to balance")
    balanced = counts.sum() / (trained.sum() * np.maximum(counts, 1))
    return [float(weight) for weight in np.where(trained, balanced, 1.0)]


def unshuffled(stream: Stream, **fields: object) -> Stream:
    """The stream without `shuffle`, with fields of the specification replaced: the same order in every epoch.

    Draws depend on the sample and the epoch, not on the position in the order.
    """
    spec = {**stream.spec, "shuffle": False, "block": None, **fields}
    return stream.client.stream(spec, dataset_version=stream.dataset_version)


def _read_column(stream: Stream, epoch: int, name: str) -> npt.NDArray[np.int64]:
    """A label or index of each sample, in an epoch's order.

    Requested with the smallest possible images or clips: the order does not depend on their size, and 4,096 images of
    256 × 256 exceed a server's request limit.
    """
    smallest = {"seconds": 1 / stream.spec["sample_rate"]} if "audio" in stream.tensors else {"size": [1, 1]}
    plain = stream.client.stream(
        {**stream.spec, "pipeline": "none", **smallest}, dataset_version=stream.dataset_version
    )
    starts = range(0, plain.samples, _ORDER_CHUNK)
    return np.concatenate(
        [plain.batch(epoch, start, min(_ORDER_CHUNK, plain.samples - start))[name] for start in starts]
    )


def read_test_batches(recipe: Recipe, url: str, name: str, stream: Stream, limit: int) -> list[dict[str, torch.Tensor]]:
    """Up to `limit` shuffled batches of a test, without undecodable samples and without `training_indices`."""
    left_out = torch.tensor(sorted(training_indices(recipe, name, stream)), dtype=torch.int64)
    with test_loader(recipe, url, name, shuffle=True) as loader:
        batches = list(islice(loader, limit))
    masks = [batch["valid"].cpu() & ~torch.isin(batch["index"].cpu(), left_out) for batch in batches]
    return [
        {key: value[mask.to(value.device)] for key, value in batch.items()}
        for batch, mask in zip(batches, masks, strict=True)
    ]


def training_indices(recipe: Recipe, name: str, stream: Stream) -> Set[int]:
    """The indices that an `unseen` test leaves out because the run trains on them; empty for other tests."""
    test = recipe.tests[name]
    if not test.unseen or test.dataset != recipe.data.dataset:
        return frozenset()
    # by class weights, an epoch leaves samples out that come in later ones
    return frozenset(read_order(unshuffled(stream, weights=None), 0).tolist())


def _with_seed(recipe: Recipe, subset: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """With the same seed in training and tests, so that a fold and the other folds have no sample in common."""
    return {"seed": _seed(recipe, recipe.data.subset_seed), **subset} if subset else None


def _seed(recipe: Recipe, seed: int | None) -> int:
    return recipe.training.seed if seed is None else seed
