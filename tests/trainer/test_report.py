"""The report of a run: its metrics against scikit-learn, its HTML, and the eighteen practices against network and data."""

import json
import re
from dataclasses import replace
from html.parser import HTMLParser
from itertools import combinations

import numpy as np
import pytest
from rich.progress import Progress
from sklearn.calibration import calibration_curve
from sklearn.metrics import confusion_matrix
from torch import nn

from augsvc_client import Client
from augsvc_client.trainer.experiments.ablation import Ablation
from augsvc_client.trainer.experiments.advice import PRACTICES
from augsvc_client.trainer.experiments.findings import Finding, SanityResult
from augsvc_client.trainer.experiments.resolve import resolve_recipe
from augsvc_client.trainer.experiments.run import run
from augsvc_client.trainer.models import build as models
from augsvc_client.trainer.models.build import Inputs, build_model
from augsvc_client.trainer.recipe import ModelChoice, parse_recipe
from augsvc_client.trainer.report import page
from augsvc_client.trainer.report.html import Table, document
from augsvc_client.trainer.report.measurements import (
    Measurements,
    PoolingTimes,
    measure,
    time_pooling_orders,
)
from augsvc_client.trainer.report.page import render_run_page
from augsvc_client.trainer.report.practices import Run, review_practices
from augsvc_client.trainer.report.samples import (
    Diversity,
    Overlap,
    collect_sample_grid,
    compute_diversity,
    compute_overlap,
    measure_overlap,
)
from augsvc_client.trainer.report.tables import markdown_table
from augsvc_client.trainer.training.data import test_loader as load_test
from augsvc_client.trainer.training.data import unshuffled
from augsvc_client.trainer.training.device import use_threads
from augsvc_client.trainer.training.evaluate import Predictions, compute_calibration, predict

VOID = {"meta", "img", "source"}
ORDERS = PoolingTimes(25, 2.0, (2.2, 2.5, 2.7))
MEASURED = Measurements(
    overlap=Overlap(0.02, 0.02),
    diversity=Diversity(1.0, 256, 0.1, 0.2),
    input_range=(-1.0, 1.0),
    latency_ms=1.0,
    pooling=ORDERS,
    device="cpu",
)


def trained(url, dataset, **data):
    tree = {
        "data": {"dataset": dataset, "per_class": 5, "batch_size": 25, **data},
        "training": {"epochs": 2, "device": "cpu", "threads": 1},
    }
    # use_threads, because this fixture is created before that of one thread
    recipe, _ = resolve_recipe(use_threads(parse_recipe(tree)), url)
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


def page_of(outcome):
    return render_run_page(outcome)


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
    assert np.array_equal(said.confusion(), confusion_matrix(said.label, said.predicted, labels=range(4)))


def test_calibration_is_that_of_scikit_learn():
    said = predictions()
    found = compute_calibration(said, bins=10)
    right = said.predicted == said.label
    accuracy, confidence = calibration_curve(right, said.confidence, n_bins=10)
    np.testing.assert_allclose(found.accuracy, accuracy)
    np.testing.assert_allclose(found.confidence, confidence, rtol=1e-6)
    places = np.digitize(said.confidence, np.linspace(0, 1, 11)[1:-1], right=True)
    gaps = [abs(right[places == bin_].mean() - said.confidence[places == bin_].mean()) for bin_ in np.unique(places)]
    weights = [(places == bin_).mean() for bin_ in np.unique(places)]
    assert found.error == pytest.approx(np.dot(gaps, weights), rel=1e-5)


def test_of_no_samples_there_is_no_calibration_error():
    assert np.isnan(compute_calibration(predictions(0)).error)


def test_worst_errors_are_wrong_and_sorted():
    said = predictions()
    rows = said.worst_errors(12)
    assert (said.predicted[rows] != said.label[rows]).all()
    wrong = said.confidence[said.predicted != said.label]
    np.testing.assert_array_equal(said.confidence[rows], np.sort(wrong)[::-1][:12])


def test_overlap_of_equal_and_of_random_orders():
    draws = np.random.default_rng(0)
    order = draws.permutation(4000)
    assert compute_overlap(order, order, 40).fraction == 1
    found = compute_overlap(order, draws.permutation(4000), 40)
    assert found.random == pytest.approx(39 / 3999)
    assert found.fraction == pytest.approx(found.random, rel=0.1)


@pytest.mark.parametrize("shuffle", [True, False])
def test_measured_overlap_is_that_of_the_servers_orders(url, shuffle):
    spec = {"dataset": "digits/train", "size": [8, 8], "subset": {"per_class": 5, "seed": 0}, "pipeline": "strong"}
    with Client(url) as client:
        stream = client.stream({**spec, "order_seed": 3, "shuffle": shuffle})
        found = measure_overlap(stream, 12)
        minibatches = [
            [stream.batch(epoch, start, 12)["index"].tolist() for start in range(0, 48, 12)] for epoch in (0, 1)
        ]
        assert measure_overlap(stream, 1) is measure_overlap(stream, 51) is None
    first, second = ({pair for batch in each for pair in combinations(sorted(batch), 2)} for each in minibatches)
    assert len(first) == 4 * 66
    assert found.fraction == pytest.approx(len(first & second) / len(first))
    assert (found.fraction == 1) == (not shuffle)
    assert found.random == pytest.approx(48 / 50 * 11 / 49)


def test_diversity_counts_distinct_views():
    views = np.random.default_rng(0).random((4, 10, 50), np.float32)
    assert compute_diversity(views).distinct == 1
    same = compute_diversity(np.repeat(views[:1], 4, axis=0))
    assert same.distinct == 0.25
    assert same.within == 0
    assert same.between == pytest.approx((1 / 6) ** 0.5, rel=0.1)  # of two uniform numbers


def test_the_page_is_whole_and_refers_to_nothing_outside(outcome):
    text = page_of(outcome)
    tree = parsed(text)
    assert tree.refers
    assert all(value.startswith("data:image/png;base64,") for value in tree.refers)
    assert "http" not in re.sub(r"base64,[\w+/=]+", "", text)
    for section in (
        "Samples that the network saw",
        "Learning curves",
        "Confusion",
        "Calibration",
        "Worst errors",
        "waiting",
    ):
        assert section in text
    assert len(PRACTICES) == 18 and all(practice in text for practice in PRACTICES)


def test_a_page_of_audio_has_no_images_of_errors(sound):
    text = page_of(sound)
    parsed(text)
    assert "Worst errors" not in text
    assert "Calibration" in text


@pytest.mark.parametrize("samples", [0, 1])
def test_a_page_of_a_tiny_test_set(outcome, samples):
    said = outcome.predictions["test"]
    few = Predictions(said.index[:samples], said.label[:samples], said.probabilities[:samples])
    recipe = outcome.recipe.override({"training.patience": 3})
    tiny = replace(outcome, predictions={"test": few}, recipe=recipe)
    text = page_of(tiny)
    parsed(text)
    assert "nan%" not in text and ("no samples" in text) == (samples == 0)
    assert ("best of 2 evaluations on this same test set" in text) == (samples > 0)
    found = json.loads(json.dumps(tiny.summary(), allow_nan=False))
    assert (found["accuracy"]["test"] is None) == (samples == 0)
    assert found["best_of_looks"] == {"test": 2}
    assert outcome.summary()["best_of_looks"] == {}, "nothing was chosen"


@pytest.mark.parametrize(
    "subset", [{"fold": [0, 5]}, {"fraction": 0.98}, {"per_class": 30, "classes": ["8", "3"]}], ids=str
)
def test_worst_errors_of_a_subset_are_the_samples_predicted_wrong(outcome, monkeypatch, subset):
    shown = []
    monkeypatch.setattr(page, "draw_errors", lambda images, captions: shown.append(images) or b"")
    recipe = outcome.recipe.override({"evaluation.tests": {"held out": {"dataset": "digits/train", "subset": subset}}})
    with load_test(recipe, outcome.url, "held out") as loader:
        found = predict(outcome.model, loader)
    render_run_page(replace(outcome, recipe=recipe, predictions={"held out": found}))
    wrong = found.index[found.worst_errors(12)]
    assert len(wrong) == 12
    whole = {"dataset": "digits/train", "size": [16, 16], "pipeline": "none", "shuffle": False}
    with Client(outcome.url) as client:
        stream = client.stream(whole)
        np.testing.assert_array_equal(np.concatenate(shown), [stream.batch(0, i, 1)["image"][0] for i in wrong])


def rows(outcome, measured=MEASURED, **more):
    return list(review_practices(Run(outcome=outcome, measured=measured, **more)).values())


def states(outcome, measured=MEASURED, **more):
    return {number: state for number, (state, _) in enumerate(rows(outcome, measured, **more), 1)}


def changed(before, after):
    return {number: state for number, state in after.items() if before[number] != state}


@pytest.mark.parametrize(("number", "field", "value"), [(1, "data.shuffle", False), (11, "model.max_size", None)])
def test_a_row_follows_its_field(outcome, number, field, value):
    before = states(outcome)
    assert list(before) == list(range(1, 19))
    assert changed(before, states(replace(outcome, recipe=outcome.recipe.override({field: value})))) == {number: "off"}
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
    found = changed(states(outcome), states(with_network(outcome, **choice)))
    assert found == ({4: "on", 13: "on", 14: "off", 15: "off"} if number == 4 else {number: "off"})
    assert review(4, with_network(outcome, name="dense")) == ("on", "rate 0.5, in 1 module")
    assert review(4, with_network(outcome, name="dense", dropout=0)) == ("off", "none")


def with_network(outcome, **choice):
    recipe = outcome.recipe.override({f"model.{name}": value for name, value in choice.items()})
    return replace(outcome, recipe=recipe, model=build_model(ModelChoice(**choice), Inputs(1, (16, 16)), 10, 0))


def test_rows_of_an_installed_network_do_not_apply_where_no_field_changes_it(outcome, monkeypatch):
    def build(channels, classes, choice):
        return nn.Sequential(nn.Conv2d(channels, 8, 1), nn.Tanh(), nn.Flatten(), nn.Linear(8 * 256, classes))

    monkeypatch.setattr(models, "registry", lambda: {"own": build, **models.BUILTIN_MODELS})
    recipe = outcome.recipe.override({"model.name": "own"})
    own = replace(outcome, recipe=recipe, model=build(1, 10, recipe.model))
    found = states(own, replace(MEASURED, pooling=None))
    assert {number for number, state in found.items() if state == "not applicable"} == {4, 5, 7, 8, 9, 13, 14}
    assert review(5, own)[1] == "model.pool=average gives own the same network"
    assert review(6, own) == ("off", "1 × Tanh")
    assert review(15, own)[1].startswith("1 of 1 convolution; ")


def test_a_network_that_knows_some_values_only_has_a_report(outcome, monkeypatch):
    def build(channels, classes, choice):
        return {"batch": nn.Sequential(nn.Flatten(), nn.Linear(256, classes))}[choice.norm]

    monkeypatch.setattr(models, "registry", lambda: {"own": build, **models.BUILTIN_MODELS})
    recipe = outcome.recipe.override({"model.name": "own"})
    own = replace(outcome, recipe=recipe, model=build(1, 10, recipe.model))
    assert review(9, own) == ("not applicable", "own cannot be built with model.norm=none: 'none'")


@pytest.mark.parametrize(
    ("low", "high", "state"),
    [(-1, 1, "on"), (-1, 0.2, "on"), (0, 1, "off"), (-2, 2, "off"), (-1, 1.5, "off"), (-1.5, 1, "off")],
)
def test_inputs_are_scaled_where_they_are_within_one_on_both_sides(outcome, low, high, state):
    assert review(10, outcome, replace(MEASURED, input_range=(low, high)))[0] == state


def test_rows_about_the_data_are_of_what_was_sent(outcome):
    still = {"data.pipeline": [{"op": "rotation", "degrees": [0, 0]}], "data.scale": [0.0, 1.0]}
    before = rows(outcome, measure(outcome))
    after = rows(outcome, measure(replace(outcome, recipe=outcome.recipe.override(still))))
    states = {i: now[0] for i, (then, now) in enumerate(zip(before, after, strict=True), 1) if now[0] != then[0]}
    assert states == {2: "off", 10: "off"}
    assert after[1][1].startswith("25.0% of")
    assert "from -1 to 1; uint8 scaled to" in before[9][1]


def test_the_row_of_inputs_is_of_what_follows_the_front_end(sound):
    measured = measure(sound)
    low, high = measured.input_range
    assert -1 <= low < high <= 1
    assert "of the front end's fixed tables, the limit is" in review(11, sound)[1]
    state, effect = review(10, sound, measured)
    assert (state, "uint8" in effect, "behind the front end" in effect) == ("on", False, True)


def test_rows_that_follow_the_network_and_the_device(outcome):
    found = states(outcome, replace(MEASURED, device="cuda"), members=5)
    assert (found[12], found[16], found[4], found[13]) == ("on", "on", "not applicable", "not applicable")
    found = states(outcome)
    assert (found[12], found[16]) == ("off", "off")


def review(number, outcome, measured=MEASURED, **more):
    return rows(outcome, measured, **more)[number - 1]


def test_the_row_of_overfitting_says_what_sanity_found(outcome):
    passed, failed = Finding("inputs", True, "fine"), Finding("every weight moves", False, "0 of 9", "the rate is 0")
    state, said = review(3, outcome)
    assert (state, "not checked" in said) == ("off", True)
    assert review(3, outcome, sanity=SanityResult([passed], same=False))[0] == "off"
    assert review(3, outcome, sanity=SanityResult([passed], same=True)) == ("on", "passed; inputs: fine")
    said = review(3, outcome, sanity=SanityResult([passed, failed], same=True))[1]
    assert said == "failed at every weight moves, 0 of 9: the rate is 0"


def test_the_row_of_parameters_names_what_was_chosen(outcome):
    said = review(17, outcome)[1]
    given = {"data.per_class", "data.size", "evaluation.tests", "ablation.corrupted"}
    assert "not at their defaults: data.batch_size=25, training.epochs=2, training.device=cpu; " in said
    assert given <= set(said.partition("filled in here: ")[2].split(", "))
    assert "model.width=0.5" in review(17, replace(outcome, recipe=outcome.recipe.override({"model.width": 0.5})))[1]


def test_the_row_of_understanding_says_what_was_not_looked_at(outcome):
    state, effect = review(18, outcome)
    assert (state, effect.endswith("was not measured: use --ablate")) == ("off", True)
    state, effect = review(18, outcome, ablated="Gain of each operation")
    assert (state, effect.endswith("of test; gain of each operation")) == ("on", True)


def test_rows_that_do_not_apply_to_the_network_say_why(outcome):
    assert review(4, outcome)[1] == "fire has no layer wider than model.dropout_above=256, after which dropout follows"
    assert review(13, outcome)[1] == "fire has no fully connected layer"


def test_the_sample_grid_takes_unequal_classes_in_turn(url):
    spec = {"dataset": "digits/train", "size": [8, 8], "subset": {"classes": ["3", "7"]}, "weights": {"3": 9.0}}
    with Client(url) as client:
        stream = client.stream({**spec, "pipeline": "light"})
        labels = unshuffled(stream).batch(0, 0, stream.samples)["label"]
        grid = collect_sample_grid(stream, [str(digit) for digit in range(10)], epochs=1)
    assert np.bincount(labels, minlength=10)[[3, 7]] @ [1, -5] > 0, "the classes are unequal"
    assert grid.names == ("3",) * 5 + ("7",) * 5


def test_both_orders_of_pooling_are_timed(outcome, sound):
    found = time_pooling_orders(outcome)
    assert found.samples == 25
    assert 0 < found.ratio[0] <= found.ratio[1] <= found.ratio[2]
    assert "2.5 times as long (interquartile range 2.2 to 2.7)" in review(7, outcome)[1]
    assert time_pooling_orders(sound).samples == 16, "of 16,000 values each"
    assert time_pooling_orders(replace(outcome, recipe=outcome.recipe.override({"model.name": "own"}))) is None


def test_a_variant_that_diverged_has_no_difference():
    none = [{"test": 0.8}, {"test": 0.5}]
    lost = Ablation({"whole": [{"test": 0.9}, {"test": None}], "none": none, "without a": [{"test": None}] * 2})
    assert [row[1:] for row in lost.rows()[1:]] == [["diverged", ""], ["65.0", ""], ["diverged", ""]]


def test_a_table_is_the_same_in_html_and_markdown():
    table = [["kind", "gain"], ["a < b", "+1 %"]]
    text = document("", {"": [Table(table, wrap=True)]})
    assert "<th>gain</th>" in text
    assert "<tr><td>a &lt; b</td><td>+1 %</td></tr>" in text
    assert '<table class="wrap">' in text
    assert markdown_table(table) == "| kind | gain |\n| --- | --- |\n| a < b | +1 % |"
