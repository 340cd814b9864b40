"""Soft targets: the labels of mixed samples as class probabilities."""

import numpy as np

from augsvc_client.wire import Arrays


def soft_targets(arrays: Arrays, classes: int) -> Arrays:
    """float32 (N, `classes`) from `label`, and of mixed samples also `label2` and `mix_weight`, the weight of `label`.

    Raises ValueError for a label that is not below `classes`.
    """
    label = arrays["label"]
    second, weight = arrays.get("label2", label), arrays.get("mix_weight", np.ones(len(label), np.float32))
    highest = int(max(label.max(initial=0), second.max(initial=0)))
    if highest >= classes:
        raise ValueError(f"soft_targets is the number of classes: the batch has label {highest}, got {classes}")
    targets, rows = np.zeros((len(label), classes), np.float32), np.arange(len(label))
    targets[rows, label] = weight
    targets[rows, second] += np.float32(1.0) - weight
    return {"target": targets}
