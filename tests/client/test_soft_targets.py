"""Soft targets of samples without a class, and of labels that are none."""

import numpy as np
import pytest

from augsvc_client.loaders.soft_targets import soft_targets


def targets(labels, classes=3, **arrays):
    return soft_targets({"label": np.array(labels)} | arrays, classes)["target"].tolist()


def test_a_sample_without_a_class_has_no_weight():
    assert targets([-1, 0]) == [[0, 0, 0], [1, 0, 0]]


def test_a_mix_with_a_sample_without_a_class_keeps_the_weight_of_the_other():
    weights = np.array([0.25, 0.25, 0.25], np.float32)
    mixed = targets([-1, 2, -1], label2=np.array([1, -1, -1]), mix_weight=weights)
    assert mixed == [[0, 0.75, 0], [0, 0, 0.25], [0, 0, 0]]


def test_a_mosaic_with_samples_without_a_class():
    tiles = {"tile_labels": np.array([[-1, 0, 0, 2]]), "tile_weights": np.full((1, 4), 0.25, np.float32)}
    assert targets([-1], **tiles) == [[0.5, 0, 0.25]]


@pytest.mark.parametrize(
    "arrays",
    [
        {"label": np.array([3, 0])},
        {"label": np.array([0]), "label2": np.array([3]), "mix_weight": np.ones(1, np.float32)},
    ],
)
def test_a_label_beyond_the_classes_is_refused(arrays):
    with pytest.raises(ValueError, match="the batch has label 3, got 3"):
        soft_targets(arrays, 3)


@pytest.mark.parametrize(
    ("label", "kind"),
    [
        (np.zeros((2, 3), np.uint8), "uint8"),  # several classes, or a text
        (np.zeros((2, 1), np.float32), "float32"),  # numbers
        (np.zeros(2, np.float32), "float32"),
    ],
)
def test_labels_of_another_kind_are_refused(label, kind):
    with pytest.raises(ValueError, match=f"one class a sample.*{kind}"):
        soft_targets({"label": label}, 3)


def test_a_batch_without_samples_has_no_targets():
    assert targets(np.empty(0, np.int64)) == []
