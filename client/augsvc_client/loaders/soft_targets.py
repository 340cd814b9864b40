"""Soft targets: the labels of mixed samples as class probabilities."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from augsvc_client.wire import Arrays


def weighted_labels(batch: Mapping[str, Any]) -> list[tuple[Any, Any]]:
    """The labels (N,) of a batch's samples with their weights (N,): NumPy arrays or tensors, as the batch holds.

    Of samples that were mixed there are `label2` and `mix_weight`, the weight of `label`; of mosaics `tile_labels` and
    `tile_weights`; of others one label, of weight 1.
    """
    if "tile_labels" in batch:
        labels, weights = batch["tile_labels"], batch["tile_weights"]
        return [(labels[:, tile], weights[:, tile]) for tile in range(labels.shape[1])]
    if "label2" in batch:
        weight = batch["mix_weight"]
        return [(batch["label"], weight), (batch["label2"], 1.0 - weight)]
    return [(batch["label"], 1.0)]


def soft_targets(arrays: Arrays, classes: int) -> Arrays:
    """float32 (N, `classes`), the weights of each sample's labels; a negative label, of a sample without a class, has none.

    Raises ValueError for a label that is not below `classes`, and for labels of another kind than one class a sample.
    """
    label = arrays["label"]
    if label.ndim != 1 or label.dtype.kind not in "iu":
        raise ValueError(
            f"soft_targets needs labels of one class a sample, not several classes (multi_label), numbers (regression) or "
            f"text: the batch's are {label.dtype} of the shape {label.shape}"
        )
    pairs = weighted_labels(arrays)
    highest = max(int(labels.max(initial=0)) for labels, _ in pairs)
    if highest >= classes:
        raise ValueError(f"soft_targets is the number of classes: the batch has label {highest}, got {classes}")
    targets = np.zeros((len(label), classes), np.float32)
    for labels, weight in pairs:
        rows = np.arange(len(label))
        targets[rows, np.maximum(labels, 0)] += np.where(labels >= 0, weight, 0)
    return {"target": targets}
