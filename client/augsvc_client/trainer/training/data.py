"""What a run is fed with: loaders for training and tests from a recipe, and what follows from what the server has.

Recipe → training_loader, test_loader → RemoteDataLoader;  Stream → Inputs;  catalogue → class names
"""

from collections import Counter
from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from augsvc_client.client.client import Stream
from augsvc_client.loaders.remote import RemoteDataLoader
from augsvc_client.trainer.models.build import Inputs
from augsvc_client.trainer.recipe import Pipeline, Recipe
from augsvc_client.trainer.training.device import choose_device

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


Pictures = npt.NDArray[np.uint8]  # N,C,H,W
_CANDIDATES = 64  # looked at to find one sample of each class


@dataclass(frozen=True, slots=True)
class Sights:
    """The same samples as they are stored and as the network got them: `names` of N samples, rows of N,C,H,W."""

    names: tuple[str, ...]
    original: Pictures
    augmented: tuple[Pictures, ...]


def collect_sights(stream: Stream, classes: Sequence[str], epochs: int, columns: int = 10) -> Sights:
    """Up to `columns` samples of different classes where there are such, in each of the first `epochs` epochs.

    Draws belong to the sample and the epoch, not to the place in the order. So the stream in unshuffled order shows
    what the shuffled one gave the network.
    """
    seen = stream.client.stream({**stream.spec, "shuffle": False})
    plain = stream.client.stream({**stream.spec, "shuffle": False, "pipeline": "none"})
    count = min(_CANDIDATES, stream.samples)
    candidates = [number * stream.samples // count for number in range(count)]
    stored = {position: plain.batch(0, position, 1) for position in candidates}
    labels = {position: int(arrays["label"][0]) for position, arrays in stored.items()}
    chosen = _varied(labels, columns)
    return Sights(
        names=tuple(classes[labels[position]] for position in chosen),
        original=np.concatenate([stored[position]["image"] for position in chosen]),
        augmented=tuple(
            np.concatenate([seen.batch(epoch, position, 1)["image"] for position in chosen]) for epoch in range(epochs)
        ),
    )


def _varied(labels: Mapping[int, int], count: int) -> list[int]:
    """Positions whose labels differ as much as they can, in the labels' order."""
    turns: dict[int, int] = {}  # the first of every class before the second of any
    seen = Counter[int]()
    for position, label in labels.items():
        turns[position] = seen[label]
        seen[label] += 1
    chosen = sorted(labels, key=lambda position: (turns[position], labels[position]))[:count]
    return sorted(chosen, key=lambda position: (labels[position], position))
