"""The order of a stream: class weights, mixtures and blocks, and the laws over them."""

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from augsvc.arrays import Sample
from augsvc.data.catalog import open_catalog
from augsvc.data.mixture import Mixture
from augsvc.data.source import Source, SourceInfo
from augsvc.errors import SpecInvalid, Undecodable
from augsvc.planning.spec import validate_spec
from augsvc.streams.stream import Stream
from augsvc_client.wire import parse
from tests.harness import executor

CATALOG = open_catalog({}, 0)
PIPELINE = [{"op": "gaussian_noise", "std": 0.1}]


class Levels(Source):
    """Images of one level each, by class; the last one cannot be decoded."""

    def __init__(self, name, classes, labels, level, boxes=0):
        self._labels, self._level, self._boxes = np.array(labels), level, boxes
        self.info = SourceInfo(name, f"version of {name}", classes, 3, (4, 4), boxes=boxes)

    def __len__(self):
        return len(self._labels)

    def read(self, index):
        if index == len(self) - 1:
            raise Undecodable("damaged")
        sample = Sample(np.full((4, 4, 3), self._level + index, np.uint8), int(self._labels[index]))
        if not self._boxes:
            return sample
        rows = np.tile(np.array([[0.0, 0.0, 2.0, 2.0]], np.float32), (self._boxes, 1))
        labels, valid = np.full(self._boxes, sample.label, np.int64), np.ones(self._boxes, bool)
        return Sample(sample.image, sample.label, boxes=rows, box_labels=labels, boxes_valid=valid)

    def labels(self):
        return self._labels.copy()

    def describe(self, index):
        return f"{index}.png"


RARE = Levels("rare", ("common", "rare", "absent"), [0] * 90 + [1] * 10, 0)


def opened(source, **fields):
    return Stream.open(validate_spec({"dataset": source.info.name, "pipeline": PIPELINE, **fields}), source, executor())


def mixed(*sources, weights=None, **fields):
    weights = weights or [1.0] * len(sources)
    parts = [{"dataset": s.info.name, "weight": w} for s, w in zip(sources, weights, strict=True)]
    spec = validate_spec({"mixture": parts, "pipeline": [], **fields})
    return Stream.open(spec, Mixture(sources), executor())


def batch(stream, epoch=0, start=0, count=None):
    with ThreadPoolExecutor(2) as workers:
        body = stream.produce(epoch, start, count or stream.samples, 0, workers, lambda: None)
    return parse(body.buffer)[0]


@pytest.mark.parametrize(
    ("weights", "counts"), [("balanced", [50, 50]), ({"rare": 9.0}, [50, 50]), ({"common": 1.0}, [90, 10])], ids=str
)
def test_classes_have_their_part_of_an_epoch(weights, counts):
    whole = batch(opened(RARE, weights=weights))
    labels = RARE.labels()[whole["index"]]
    assert np.bincount(labels, minlength=2).tolist() == counts
    assert (labels == whole["label"])[whole["valid"]].all()


def test_a_sample_that_comes_again_has_other_draws_and_slices_have_the_bits_of_the_whole():
    stream = opened(RARE, weights="balanced")
    whole = batch(stream, epoch=3)
    images = {image.tobytes() for image in whole["image"]}
    assert len(set(whole["index"].tolist())) < 70 and len(images) == stream.samples
    pieces = [batch(stream, 3, start, 7) for start in range(0, stream.samples, 7)]
    for name, array in whole.items():
        assert np.array_equal(np.concatenate([piece[name] for piece in pieces]), array)
    later = batch(stream, epoch=4)
    assert later["index"].tolist() != whole["index"].tolist()
    first, again = (batch(opened(RARE, weights=weights), 3) for weights in (None, "balanced"))
    common = set(first["index"].tolist()) & set(again["index"].tolist())
    equal = [
        np.array_equal(first["image"][first["index"] == k][0], image)
        for k in sorted(common)
        for image in again["image"][again["index"] == k]
    ]
    assert any(equal) and not all(equal)  # the first time a sample draws as in the plain order


def test_weights_count_within_a_subset():
    stream = opened(RARE, weights="balanced", subset={"fraction": 0.5})
    assert stream.samples == 50
    whole = batch(stream)
    assert np.bincount(RARE.labels()[whole["index"]], minlength=2).tolist() == [25, 25]
    assert set(whole["index"].tolist()) <= set(opened(RARE, subset={"fraction": 0.5}).indices(0, 0, 50).tolist())


def test_a_mixture_joins_classes_boxes_and_names():
    first = Levels("first", ("cat", "dog"), [0, 1, 1, 0], 10, boxes=1)
    second = Levels("second", ("dog", "owl"), [0, 1, 1], 200, boxes=3)
    stream = mixed(first, second, weights=[1.0, 3.0], keys=True)
    whole = batch(stream)
    assert stream.source.info.classes == ("cat", "dog", "owl") and stream.samples == 7
    assert np.bincount(whole["dataset"]).tolist() == [2, 5]
    joined = stream.source.labels()
    assert joined.tolist() == [0, 1, 1, 0, 1, 2, 2]
    for row, index in enumerate(whole["index"].tolist()):
        name = whole["key"][row].tobytes().rstrip(b"\0").decode()
        assert name == (f"first/{index}.png" if index < 4 else f"second/{index - 4}.png")
        if whole["valid"][row]:
            assert whole["label"][row] == joined[index] == whole["box_labels"][row][0]
            assert whole["boxes_valid"][row].sum() == (1 if index < 4 else 3)
            assert whole["image"][row].min() == (10 + index if index < 4 else 200 + index - 4)
    assert mixed(first, second).id != mixed(first, second, weights=[2.0, 1.0]).id


def test_a_mixture_of_a_billion_samples_answers_for_its_last_position():
    class Billion(Levels):
        def __len__(self):
            return 10**9 // 3

        def labels(self):
            raise AssertionError("a list of all samples")

    parts = [Billion(name, ("a",), [0], 0) for name in ("one", "two", "three")]
    stream = mixed(*parts, weights=[2.0, 1.0, 1.0])
    assert stream.indices((1 << 24) - 1, stream.samples - 4, 9).shape == (4,)


def test_partners_come_from_the_weighted_samples():
    stream = opened(RARE, weights="balanced", pipeline=[{"op": "mixup"}])
    partners = np.concatenate([batch(stream, epoch)["label2"] for epoch in range(3)])
    assert 0.4 < (partners == 1).mean() < 0.6


def test_blocks_are_an_order_of_the_same_samples():
    plain, blocks = opened(RARE), opened(RARE, block=8)
    assert sorted(blocks.indices(2, 0, 100).tolist()) == sorted(plain.indices(2, 0, 100).tolist())
    index = int(blocks.indices(2, 5, 1)[0])
    where = plain.indices(2, 0, 100).tolist().index(index)
    assert np.array_equal(batch(blocks, 2, 5, 1)["image"], batch(plain, 2, where, 1)["image"])  # and the same draws


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"weights": "even"}, "weights"),
        ({"weights": {}}, "weights"),
        ({"weights": {"ray": 2.0}}, "weights"),
        ({"weights": {"rare": 0.0}}, "weights"),
        ({"weights": {"rare": float("inf")}}, "weights"),
        ({"weights": "balanced", "block": 4}, ""),
        ({"block": 0}, "block"),
        ({"block": 4, "shuffle": False}, ""),
        ({"block": 4, "bucket": 4}, ""),
        ({"bucket": 4, "shuffle": False}, ""),
        ({"bucket": 0}, "bucket"),
        ({"bucket": 4}, "bucket"),
        ({"mixture": []}, "mixture"),
        ({"mixture": [{"dataset": "other"}]}, ""),
        ({"mixture": [{"dataset": "rare"}, {"dataset": "rare"}]}, ""),
        ({"mixture": [{"dataset": "rare", "weight": -1}]}, "mixture"),
        ({"mixture": [{"dataset": "rare"}], "subset": {"fraction": 0.5}}, ""),
    ],
    ids=str,
)
def test_orders_that_cannot_be_are_refused(fields, field):
    with pytest.raises(SpecInvalid) as caught:
        opened(RARE, **fields)
    assert (caught.value.field or "").startswith(field)


@pytest.mark.parametrize("other", ["digits/train", "shapes/train", "tones/train"])
def test_datasets_of_other_kinds_are_not_mixed(other):
    with pytest.raises(SpecInvalid, match="cannot be mixed") as caught:
        Mixture([CATALOG.get("photos/train"), CATALOG.get(other)])
    assert caught.value.field == "mixture"


def test_a_weight_that_leaves_nothing_of_an_epoch_is_refused():
    with pytest.raises(SpecInvalid, match="'rare' would get none of the 100 samples") as caught:
        opened(RARE, weights={"rare": 1e-6})
    assert caught.value.field == "weights"
    with pytest.raises(SpecInvalid, match="'few' would get none of the 101 samples") as caught:
        mixed(RARE, Levels("few", ("common",), [0], 0), weights=[1000.0, 1.0])
    assert caught.value.field == "mixture"


def test_weights_that_would_repeat_a_sample_beyond_its_random_numbers_are_refused():
    class Huge(Levels):
        def __len__(self):
            return 2**31

    with pytest.raises(SpecInvalid, match="random numbers"):
        mixed(Huge("huge", ("a",), [0], 0), Levels("few", ("a",), [0], 0))
