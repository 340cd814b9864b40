"""Mixes: MixUp and CutMix with partners from the dataset, against plain arithmetic on the unmixed stream."""

from dataclasses import replace

import numpy as np
import pytest
from scipy.stats import beta, kstest

from augsvc.arrays import Sample
from augsvc.errors import NeedsDataset, SpecInvalid
from augsvc.numerics.rng import operation_keys
from augsvc.ops.pipeline import parse_pipeline
from augsvc.ops.registry import registry
from augsvc.ops.tree import Tree
from augsvc.streams.push import Push
from tests.harness import ListSource, executor, labelled, over, patch, run

pytestmark = pytest.mark.usefixtures("each_executor")
N = 24
IMAGES = [Sample(patch("coffee", 20, 24, top=8 * k, left=10 * k), k) for k in range(N)]
BEFORE = [{"op": "random_resized_crop"}, {"op": "color_jitter", "p": 0.5}]
FIELDS = {"size": [16, 16], "aug_seed": 3}


def partners(stream):
    """The partner's index and the weight of the label, by receipts; of a sample that was not mixed None and 1."""
    receipts = [stream.stream.receipt(0, position, 0) for position in range(N)]
    mixes = [receipt.get("mix") for receipt in receipts]
    return [mix and mix["partner"]["index"] for mix in mixes], np.array(
        [mix["weight"] if mix else 1.0 for mix in mixes]
    )


def test_a_mixup_is_the_weighted_average_of_two_samples():
    stream = run([{"op": "mixup", "alpha": 1.0, "p": 0.7}], IMAGES, size=[20, 24])
    batch, (indices, weights) = stream.batch(), partners(stream)
    assert 0 < sum(index is None for index in indices) < N
    for row, (index, weight) in enumerate(zip(indices, weights, strict=True)):
        host = IMAGES[row].image.astype(float)
        partner = host if index is None else IMAGES[index].image
        expected = weight * host + (1 - weight) * partner
        assert abs(batch["image"][row] - expected).max() <= 0.51
        assert batch["label"][row] == row
        assert batch["label2"][row] == (row if index is None else index)
    np.testing.assert_allclose(batch["mix_weight"], weights, atol=1e-5)


def test_a_cutmix_is_a_rectangle_of_the_partner_and_its_area_is_the_weight():
    stream = run([{"op": "cutmix"}], IMAGES, size=[20, 24])
    batch, (indices, weights) = stream.batch(), partners(stream)
    for row, (index, weight) in enumerate(zip(indices, weights, strict=True)):
        draws = stream.draws(row)
        cut = np.sqrt(1 - draws["alpha"]) / 2
        spans = []
        for side, axis in ((20, "y"), (24, "x")):
            centre, half = int(draws[f"place_{axis}"] * side), int(cut * side)
            spans.append(slice(max(centre - half, 0), min(centre + half, side)))
        expected = IMAGES[row].image.copy()
        expected[tuple(spans)] = IMAGES[index].image[tuple(spans)]
        np.testing.assert_array_equal(batch["image"][row], expected)
        area = (spans[0].stop - spans[0].start) * (spans[1].stop - spans[1].start)
        assert weight == pytest.approx(1 - area / 480, abs=1e-5) == pytest.approx(batch["mix_weight"][row], abs=1e-5)


def test_masks_follow_a_cutmix_and_refuse_a_mixup():
    samples = [labelled(sample.image) for sample in IMAGES]
    samples = [
        Sample(sample.image, 0, mask=np.full(sample.mask.shape, row, np.uint8)) for row, sample in enumerate(samples)
    ]
    stream = run([{"op": "cutmix"}], samples, size=[20, 24])
    batch, (indices, weights) = stream.batch(), partners(stream)
    for row, (index, weight) in enumerate(zip(indices, weights, strict=True)):
        if index != row:
            assert (batch["mask"][row] == index).mean() == pytest.approx(1 - weight, abs=1e-5)
            assert (batch["mask"][row] == row).mean() == pytest.approx(weight, abs=1e-5)
    with pytest.raises(
        SpecInvalid, match="mixup cannot carry the mask of this dataset's samples: use cutmix, or"
    ) as refused:
        run([{"op": "mixup"}], samples)
    assert refused.value.field == "pipeline.0.op"


MIXES = {"op": "one_of", "of": [{"op": "mixup", "alpha": 0.8}, {"op": "cutmix"}]}


def test_a_mixed_sample_depends_on_its_address_alone():
    stream = run([*BEFORE, {**MIXES, "p": 0.8}], IMAGES, **FIELDS)
    whole = stream.batch()
    for position in range(N):
        for name, alone in stream.batch(start=position, count=1).items():
            np.testing.assert_array_equal(alone[0], whole[name][position])
    assert (whole["mix_weight"] == 1).any() and (whole["mix_weight"] < 1).any()
    again = stream.batch(epoch=1)
    assert (again["image"] != whole["image"]).any() and (again["label2"] != whole["label2"]).any()


def test_a_host_keeps_its_draws_and_its_partner_has_others():
    """A sample that is mixed with itself shows whether both were drawn alike: then it would look unmixed."""
    unmixed = run(BEFORE, IMAGES[:1], **FIELDS).images(epoch=0)[0]
    mixed = run([*BEFORE, {"op": "cutmix", "alpha": 64, "place_x": 0, "place_y": 0}], IMAGES[:1], **FIELDS)
    batch = mixed.batch()
    assert batch["label2"][0] == 0 and 0.5 < batch["mix_weight"][0] < 1
    cut = (batch["image"][0] != unmixed).any(axis=2)
    assert cut.any() and not cut[8:].any() and not cut[:, 8:].any()


def test_partners_are_uniform_over_the_stream_and_weights_are_beta():
    samples = [Sample(IMAGES[0].image, k) for k in range(50)]
    stream = run([{"op": "mixup", "alpha": 0.5}], samples, size=[4, 4])
    batches = [stream.batch(epoch=epoch) for epoch in range(40)]
    counts = np.bincount(np.concatenate([batch["label2"] for batch in batches]), minlength=50)
    assert abs(counts - 40).max() < 5 * np.sqrt(40)
    weights = np.concatenate([batch["mix_weight"] for batch in batches])
    assert kstest(weights, beta(0.5, 0.5).cdf).pvalue > 1e-3


def test_partners_come_from_the_subset():
    samples = [Sample(IMAGES[0].image, k % 2) for k in range(40)]
    stream = over(ListSource(samples), [{"op": "mixup"}], size=[4, 4], subset={"per_class": 3})
    members = set(stream.batch()["index"].tolist())
    found = {
        stream.stream.receipt(epoch, position, 0)["mix"]["partner"]["index"]
        for epoch in range(15)
        for position in range(3)
    }
    assert found == members


@pytest.mark.parametrize(
    ("steps", "field"),
    [
        ([{"op": "mixup"}, {"op": "gamma"}], "pipeline.0.op"),
        ([{"op": "mixup"}, {"op": "cutmix"}], "pipeline.0.op"),
        ([{"op": "gamma"}, {"op": "random_apply", "of": [{"op": "mixup"}, {"op": "cutmix"}]}], "pipeline.1.of.0.op"),
        ([{"op": "one_of", "of": [{"op": "mixup"}]}, {"op": "horizontal_flip"}], "pipeline.0.of.0.op"),
    ],
    ids=str,
)
def test_mixes_that_are_not_last_and_alone_are_refused(steps, field):
    with pytest.raises(SpecInvalid, match="mixes finished samples: put it last") as refused:
        parse_pipeline(steps)
    assert refused.value.field == field


@pytest.mark.parametrize("pipeline", [[{"op": "mixup"}], [MIXES]], ids=["alone", "in a container"])
def test_a_push_has_no_partners(pipeline):
    arrays = {"image": np.zeros((2, 8, 8, 3), np.uint8), "index": np.arange(2)}
    with pytest.raises(NeedsDataset, match="a mix takes its partners from a dataset"):
        Push.of({"pipeline": pipeline}, arrays, executor(), None, lambda steps, ground: "")


@pytest.mark.parametrize("canvas", [(1, 1), (1, 5), (4, 1)])
@pytest.mark.parametrize("op", ["mixup", "cutmix"])
def test_both_ends_of_every_parameter_are_defined(op, canvas):
    parameters = registry()[op].parameters().items()
    for end in ("low", "high"):
        step = {"op": op} | {name: getattr(mark, end) for name, mark in parameters}
        batch = run([step], IMAGES, size=list(canvas)).batch()
        assert ((batch["mix_weight"] >= 0) & (batch["mix_weight"] <= 1)).all()
        assert set(batch["label2"]) == {0 if end == "low" else N - 1}


def test_values_of_16_bits_are_mixed_whole():
    images = [Sample(np.full((4, 4, 1), level, np.uint16), k) for k, level in enumerate((1000, 1001))]
    source = ListSource(images)
    source.info = replace(source.info, window=(0.0, 65280.0))
    batch = over(source, [{"op": "mixup", "alpha": 64}], output={"dtype": "uint16", "layout": "NHWC"}).batch(count=2)
    ours, theirs = 1000 + batch["label"], 1000 + batch["label2"]
    expected = batch["mix_weight"] * ours + (1 - batch["mix_weight"]) * theirs
    assert abs(batch["image"][:, 0, 0, 0] - expected * 65535 / 65280).max() <= 1


def test_ids_that_collide_with_a_partners_are_refused_when_the_stream_is_opened():
    steps = [{"op": "gamma", "id": "g57961"}, {"op": "gamma", "id": "g5889"}]
    run(steps, IMAGES)
    with pytest.raises(SpecInvalid, match="share random numbers"):
        run([*steps, {"op": "mixup"}], IMAGES)


def test_partner_keys_are_their_own():
    tree = Tree.of(parse_pipeline([*BEFORE, MIXES]))
    salted = tree.salted("partner")
    assert salted.keys.keys() == tree.keys.keys() and not set(salted.keys.values()) & set(tree.keys.values())
    assert salted.keys["random_resized_crop"] == operation_keys(["partner/random_resized_crop"])[0]
