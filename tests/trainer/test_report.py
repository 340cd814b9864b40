"""The page of a run: its figures against scikit-learn, its form, and the eighteen rows against network and data."""

import json
import re
from dataclasses import replace
from html.parser import HTMLParser
from itertools import combinations

import numpy as np
import pytest
import torch
from rich.progress import Progress
from sklearn.calibration import calibration_curve
from sklearn.metrics import confusion_matrix
from torch import nn

from augsvc_client import Client
from augsvc_client.trainer.experiments.run import run, settle
from augsvc_client.trainer.experiments.sanity import Checked, Finding
from augsvc_client.trainer.models.build import Inputs, build_model
from augsvc_client.trainer.models.trace import looked_into
from augsvc_client.trainer.recipe import ModelChoice, parse_recipe
from augsvc_client.trainer.report.advice import Measured, advice
from augsvc_client.trainer.report.cost import Orders, measured_orders, pooled_shapes
from augsvc_client.trainer.report.diversity import Diversity, Overlap, diversity, measured_overlap, pair_overlap
from augsvc_client.trainer.report.figures import calibration, worst_errors
from augsvc_client.trainer.report.page import measure, run_page
from augsvc_client.trainer.training.device import use_threads
from augsvc_client.trainer.training.evaluate import Predictions

VOID = {"meta", "img", "source"}
ORDERS = Orders(3, 25, 2.0, 5.0, (2.2, 2.5, 2.7))
BATCH = torch.linspace(-1, 1, 4 * 256).reshape(4, 1, 16, 16)
FIRE = build_model(ModelChoice(), Inputs(1, (16, 16)), 10, 0)
MEASURED = Measured(
    overlap=Overlap(0.02, 0.02),
    diversity=Diversity(1.0, 256, 0.1, 0.2),
    inside=looked_into(FIRE, BATCH),
    ms=1.0,
    orders=ORDERS,
    device="cpu",
)


def trained(url, dataset, **data):
    tree = {
        "data": {"dataset": dataset, "per_class": 5, "batch_size": 25, **data},
        "training": {"epochs": 2, "device": "cpu", "threads": 1},
    }
    recipe, _ = settle(
        use_threads(parse_recipe(tree)), url
    )  # the fixture of one thread comes later than that of a module
    with Progress(disable=True) as progress:
        return run(recipe, url, progress, "")


@pytest.fixture(scope="module")
def outcome(url):
    """A short run on digits."""
    return trained(url, "digits/train", size=16)


@pytest.fixture(scope="module")
def sound(url):
    """A short run on tones."""
    return trained(url, "tones/train")


def predictions(samples=400, classes=4, seed=0):
    draws = np.random.default_rng(seed)
    probabilities = draws.dirichlet(np.full(classes, 0.5), samples).astype(np.float32)
    return Predictions(np.arange(samples), draws.integers(0, classes, samples), probabilities)


class Tree(HTMLParser):
    """Fails on tags that do not close; keeps what is referred to, and the cells of tables."""

    def __init__(self):
        super().__init__()
        self.open, self.refers = [], []

    def handle_starttag(self, tag, attrs):
        self.refers += [value for name, value in attrs if name in ("src", "srcset", "href")]
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


def parsed(text):
    tree = Tree()
    tree.feed(text)
    assert tree.open == []
    return tree


def test_confusion_is_that_of_scikit_learn():
    said = predictions()
    assert np.array_equal(said.confusion(), confusion_matrix(said.label, said.named, labels=range(4)))


def test_calibration_is_that_of_scikit_learn():
    said = predictions()
    found = calibration(said, bins=10)
    right = said.named == said.label
    accuracy, confidence = calibration_curve(right, said.confidence, n_bins=10)
    np.testing.assert_allclose(found.accuracy, accuracy)
    np.testing.assert_allclose(found.confidence, confidence, rtol=1e-6)
    places = np.digitize(said.confidence, np.linspace(0, 1, 11)[1:-1], right=True)
    gaps = [abs(right[places == bin_].mean() - said.confidence[places == bin_].mean()) for bin_ in np.unique(places)]
    weights = [(places == bin_).mean() for bin_ in np.unique(places)]
    assert found.error == pytest.approx(np.dot(gaps, weights), rel=1e-5)


def test_of_no_samples_there_is_no_calibration_error():
    assert np.isnan(calibration(predictions(0)).error)


def test_worst_errors_are_wrong_and_sorted():
    said = predictions()
    rows = worst_errors(said, 12)
    assert (said.named[rows] != said.label[rows]).all()
    wrong = said.confidence[said.named != said.label]
    np.testing.assert_array_equal(said.confidence[rows], np.sort(wrong)[::-1][:12])


def test_overlap_of_equal_and_of_random_orders():
    draws = np.random.default_rng(0)
    order = draws.permutation(4000)
    assert pair_overlap(order, order, 40).share == 1
    found = pair_overlap(order, draws.permutation(4000), 40)
    assert found.random == pytest.approx(39 / 3999)
    assert found.share == pytest.approx(found.random, rel=0.1)


@pytest.mark.parametrize("shuffle", [True, False])
def test_measured_overlap_is_that_of_the_servers_orders(url, shuffle):
    spec = {"dataset": "digits/train", "size": [8, 8], "subset": {"per_class": 5, "seed": 0}, "pipeline": "strong"}
    with Client(url) as client:
        stream = client.stream({**spec, "order_seed": 3, "shuffle": shuffle})
        found = measured_overlap(stream, 12)
        minibatches = [
            [stream.batch(epoch, start, 12)["index"].tolist() for start in range(0, 48, 12)] for epoch in (0, 1)
        ]
        assert measured_overlap(stream, 1) is measured_overlap(stream, 51) is None
    first, second = ({pair for batch in each for pair in combinations(sorted(batch), 2)} for each in minibatches)
    assert len(first) == 4 * 66
    assert found.share == pytest.approx(len(first & second) / len(first))
    assert (found.share == 1) == (not shuffle)
    assert found.random == pytest.approx(48 / 50 * 11 / 49)


def test_diversity_counts_distinct_views():
    views = np.random.default_rng(0).random((4, 10, 50), np.float32)
    assert diversity(views).distinct == 1
    same = diversity(np.repeat(views[:1], 4, axis=0))
    assert same.distinct == 0.25
    assert same.within == 0
    assert same.between == pytest.approx((1 / 6) ** 0.5, rel=0.1)  # of two uniform numbers


def test_the_page_is_whole_and_refers_to_nothing_outside(outcome):
    text = run_page(outcome)
    tree = parsed(text)
    assert tree.refers
    assert all(value.startswith("data:image/png;base64,") for value in tree.refers)
    assert "http" not in re.sub(r"base64,[\w+/=]+", "", text)
    for section in ("What the network saw", "Learning curves", "confusion", "calibration", "worst errors", "waited"):
        assert section in text
    for row in advice(outcome, MEASURED):
        assert row.advice in text


def test_a_page_of_sound_has_no_pictures_of_errors(sound):
    text = run_page(sound)
    parsed(text)
    assert "worst errors" not in text
    assert "calibration" in text


@pytest.mark.parametrize("samples", [0, 1])
def test_a_page_of_a_tiny_test_set(outcome, samples):
    said = outcome.predictions["test"]
    few = Predictions(said.index[:samples], said.label[:samples], said.probabilities[:samples])
    recipe = outcome.recipe.changed({"training.patience": 3})
    tiny = replace(outcome, predictions={"test": few}, recipe=recipe)
    text = run_page(tiny)
    parsed(text)
    assert ("best of 2 looks at this very test" in text) == (samples > 0)
    found = json.loads(json.dumps(tiny.summary(), allow_nan=False))
    assert (found["accuracy"]["test"] is None) == (samples == 0)
    assert found["best_of_looks"] == {"test": 2}
    assert outcome.summary()["best_of_looks"] == {}, "nothing was chosen"


def states(outcome, **more):
    return {row.number: row.state for row in advice(outcome, replace(MEASURED, **more))}


def changed(before, after):
    return {number: state for number, state in after.items() if before[number] != state}


@pytest.mark.parametrize(("number", "field", "value"), [(1, "data.shuffle", False), (11, "model.max_size", None)])
def test_a_row_follows_its_field(outcome, number, field, value):
    before = states(outcome)
    assert list(before) == list(range(1, 19))
    assert changed(before, states(replace(outcome, recipe=outcome.recipe.changed({field: value})))) == {number: "off"}
    assert before[number] == "on"


@pytest.mark.parametrize(
    ("number", "choice"),
    [
        (5, {"pool": "average"}),
        (7, {"activate": "before_pool"}),
        (8, {"activation": "relu"}),
        (9, {"norm": "none"}),
        (4, {"name": "dense"}),
    ],
)
def test_a_row_follows_the_network_that_was_built(outcome, number, choice):
    model = build_model(ModelChoice(**choice), Inputs(1, (16, 16)), 10, 0)
    found = changed(states(outcome), states(outcome, inside=looked_into(model, BATCH)))
    assert found == ({4: "on", 14: "off"} if number == 4 else {number: "off"})
    undropped = build_model(ModelChoice(name="dense", dropout=0), Inputs(1, (16, 16)), 10, 0)
    assert did(4, outcome, inside=looked_into(undropped, BATCH)) == ("off", "none, and 1 layer is wider than 256")


class Own(nn.Module):
    """Functions without modules."""

    def __init__(self):
        super().__init__()
        self.near, self.out = nn.Conv2d(1, 8, 3), nn.Linear(8, 10)

    def forward(self, x):
        x = nn.functional.max_pool2d(torch.tanh(self.near(x)), 2)
        return self.out(
            nn.functional.dropout(nn.functional.local_response_norm(x, 2).mean((2, 3)), 0.25, self.training)
        )


def test_rows_of_a_network_of_ones_own_are_of_what_it_does(outcome):
    bare = nn.Sequential(nn.AdaptiveAvgPool2d(4), nn.Flatten(), nn.Linear(16, 10))
    found = states(outcome, inside=looked_into(bare, BATCH))
    assert [found[number] for number in (4, 5, 6, 7, 8, 9)] == [
        *["not applicable"] * 2,
        "on",
        *["not applicable"] * 2,
        "off",
    ]
    model = Own().train()
    inside = looked_into(model, BATCH)
    assert model.training
    found = states(outcome, inside=inside)
    assert [found[number] for number in (4, 5, 6, 7, 8, 9)] == ["on", *["off"] * 5]
    assert did(4, outcome, inside=inside)[1] == "0.25 of the values, after 1 layer"
    assert did(5, outcome, inside=inside)[1] == "1 × max_pool2d; 1 local response norms"
    assert did(6, outcome, inside=inside)[1] == "tanh"


@pytest.mark.parametrize(
    ("low", "high", "state"),
    [(-1, 1, "on"), (-1, 0.2, "on"), (0, 1, "off"), (-2, 2, "off"), (-1, 1.5, "off"), (-1.5, 1, "off")],
)
def test_inputs_are_squeezed_where_they_are_within_one_on_both_sides(outcome, low, high, state):
    assert did(10, outcome, inside=replace(MEASURED.inside, low=low, high=high))[0] == state


@pytest.mark.parametrize(
    ("calls", "rows"),
    [
        (("conv2d", "max_pool2d", "relu", "conv2d", "avg_pool2d", "relu"), ("off", "on")),
        (("conv2d", "max_pool2d", "relu", "conv2d", "relu", "max_pool2d", "linear"), ("on", "off")),
        (("conv2d", "relu", "conv2d", "max_pool2d", "linear", "relu"), ("on", "not applicable")),
    ],
)
def test_pools_are_judged_one_by_one_between_layers(outcome, calls, rows):
    inside = replace(MEASURED.inside, calls=calls)
    assert (did(5, outcome, inside=inside)[0], did(7, outcome, inside=inside)[0]) == rows


def test_rows_about_the_data_are_of_what_was_sent(outcome):
    still = {"data.pipeline": [{"op": "rotation", "degrees": [0, 0]}], "data.scale": [0.0, 1.0]}
    before = advice(outcome, measure(outcome))
    after = advice(outcome, measure(replace(outcome, recipe=outcome.recipe.changed(still))))
    assert {a.number: a.state for a, b in zip(after, before, strict=True) if a.state != b.state} == {
        2: "off",
        10: "off",
    }
    assert after[1].did.startswith("25.0% of")
    assert "from -1 to 1; uint8" in before[9].did


def test_the_row_of_inputs_is_of_what_follows_the_front_end(sound):
    inside = measure(sound).inside
    assert -1 <= inside.low < inside.high <= 1
    assert "of the front end's fixed tables, the budget is" in did(11, sound)[1]
    state, said = did(10, sound, inside=inside)
    assert (state, "uint8" in said, "behind the front end" in said) == ("on", False, True)


def test_rows_that_follow_the_network_and_the_device(outcome):
    found = states(outcome, device="cuda", members=5)
    assert (found[12], found[16], found[4], found[13]) == ("on", "on", "not applicable", "not applicable")
    wide = replace(outcome, facts=replace(outcome.facts, xavier=("wide",)))
    found = states(wide)
    assert (found[12], found[16], found[13]) == ("off", "off", "on")
    own = replace(wide, recipe=wide.recipe.changed({"model.name": "own"}))
    assert did(13, own) == ("not applicable", "own begins its weights itself")


def did(number, outcome, **more):
    row = advice(outcome, replace(MEASURED, **more))[number - 1]
    return row.state, row.did


def test_the_row_of_overfitting_says_what_sanity_found(outcome):
    passed, failed = Finding("inputs", True, "fine"), Finding("every weight moves", False, "0 of 9", "the rate is 0")
    state, said = did(3, outcome)
    assert (state, "not looked at" in said) == ("off", True)
    assert did(3, outcome, checked=Checked([passed], same=False))[0] == "off"
    assert did(3, outcome, checked=Checked([passed], same=True)) == ("on", "passed; inputs: fine")
    said = did(3, outcome, checked=Checked([passed, failed], same=True))[1]
    assert said == "failed at every weight moves, 0 of 9: the rate is 0"


def test_the_row_of_parameters_names_what_was_chosen(outcome):
    said = did(17, outcome)[1]
    given = {"data.per_class", "data.size", "evaluation.tests", "ablation.corrupted"}
    assert "other than by default: data.batch_size=25, training.epochs=2, training.device=cpu; " in said
    assert given <= set(said.partition("settled here: ")[2].split(", "))
    assert "model.width=0.5" in did(17, replace(outcome, recipe=outcome.recipe.changed({"model.width": 0.5})))[1]


def test_the_row_of_understanding_says_what_was_not_looked_at(outcome):
    assert did(18, outcome)[1].endswith("not looked at: --ablate")
    assert did(18, outcome, ablated=True)[1].endswith("of test; what each operation gains")


def test_both_orders_of_pooling_are_timed_on_the_networks_shapes(outcome):
    shapes = pooled_shapes(outcome.model, outcome.inputs)
    assert shapes == [(24, 16, 16), (48, 8, 8), (96, 4, 4)]
    found = measured_orders(outcome)
    assert (found.stages, found.samples) == (3, 25)
    assert 0 < found.ratio[0] <= found.ratio[1] <= found.ratio[2]
    choice = outcome.recipe.model.model_copy(update={"activate": "before_pool"})
    other = replace(outcome, model=build_model(choice, outcome.inputs, 10, 0))
    assert pooled_shapes(other.model, other.inputs) == shapes, "the same, whichever order the network has"
    assert "2.5 times as long (middle half 2.2 to 2.7)" in did(7, outcome)[1]
    assert measured_orders(replace(outcome, model=nn.Conv2d(1, 10, 1))) is None
