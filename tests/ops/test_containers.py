"""Containers: the law of their choices, what their children draw, the passes that they take, and what is refused."""

import json

import numpy as np
import pytest
import scipy.stats

from augsvc.errors import SpecInvalid
from augsvc.numerics.geometry import Canvas
from augsvc.numerics.rng import Address
from augsvc.ops.kinds.audio import Clip
from augsvc.ops.operation import Kind, Statistic
from augsvc.ops.pipeline import parse_pipeline
from augsvc.ops.registry import containers
from augsvc.ops.tree import Tree
from augsvc.planning.audio_plan import SoundPlan
from augsvc.planning.cost import sample_seconds
from augsvc.planning.image_plan import Plan
from augsvc.planning.spec import validate_spec
from tests.harness import patch, run

SAMPLES = 20000
IMAGES = [patch("coffee", 24, 32, top=20 * k) for k in range(6)]
THREE = [{"op": "rotation"}, {"op": "gamma"}, {"op": "gaussian_blur"}]


def draws(*steps, samples=SAMPLES, epoch=0, view=0):
    """Draws by the ids of operations."""
    tree = Tree.of(parse_pipeline(list(steps)))
    drawn = tree.draw(5, Address(np.arange(samples), epoch, view))
    return {leaf.id: draw for leaf, draw in zip(tree.leaves, drawn, strict=True)}


def masks(*steps, **address):
    return {name: draw.selected for name, draw in draws(*steps, **address).items()}


def passes(*steps):
    return Plan.of(parse_pipeline(list(steps)), Canvas(16, 16, 3), "cover").describe()


def frequencies_are(counts, expected):
    return (
        len(counts) == 1
        or scipy.stats.chisquare(counts, np.array(expected) / np.sum(expected) * np.sum(counts)).pvalue > 1e-3
    )


@pytest.mark.parametrize("weights", [None, [1, 2, 5], [0.25, 0, 0.75]])
def test_one_of_chooses_one_by_its_weights(weights):
    selected = np.stack(list(masks({"op": "one_of", "of": THREE, "weights": weights}).values()))
    assert (selected.sum(axis=0) == 1).all()
    counts, expected = selected.sum(axis=1), np.array(weights or [1, 1, 1], dtype=float)[[0, 1, 2]]
    assert (counts[expected == 0] == 0).all()
    assert frequencies_are(counts[expected > 0], expected[expected > 0])


def test_children_keep_their_p_and_a_container_has_one():
    steps = [{"op": "rotation", "p": 0.5}, {"op": "gamma"}]
    selected = masks({"op": "one_of", "of": steps, "p": 0.8})
    assert abs(selected["one_of.rotation"].mean() - 0.2) < 0.02
    assert abs(selected["one_of.gamma"].mean() - 0.4) < 0.02
    both = masks({"op": "random_apply", "of": THREE})
    assert abs(both["random_apply.gamma"].mean() - 0.5) < 0.02
    assert (both["random_apply.gamma"] == both["random_apply.rotation"]).all()


@pytest.mark.parametrize(("n", "allowed"), [(2, [2]), ([1, 3], [1, 2, 3]), ([0, 1], [0, 1])])
@pytest.mark.parametrize("replace", [False, True])
def test_some_of_chooses_n(n, allowed, replace):
    count = np.stack(list(masks({"op": "some_of", "of": THREE, "n": n, "replace": replace}).values())).sum(axis=0)
    assert set(count) == set(allowed)
    assert frequencies_are(np.bincount(count)[allowed], np.ones(len(allowed)))


def test_some_of_without_replacement_has_the_law_of_one_choice_after_another():
    selected = masks({"op": "some_of", "of": THREE, "n": 2, "weights": [1, 2, 3]})
    left_out = [SAMPLES - mask.sum() for mask in selected.values()]
    w = np.array([1, 2, 3]) / 6
    pairs = {(i, j): w[i] * w[j] / (1 - w[i]) for i in range(3) for j in range(3) if i != j}
    expected = [sum(p for pair, p in pairs.items() if k not in pair) for k in range(3)]
    assert frequencies_are(left_out, expected)


def test_some_of_with_replacement_is_independent_layers():
    selected = masks({"op": "some_of", "of": THREE, "n": 2, "replace": True, "weights": [1, 2, 3]})
    first, second = (
        np.stack([selected[f"some_of.{layer}.{step['op']}"] for step in THREE]).argmax(axis=0) for layer in (1, 2)
    )
    table = np.histogram2d(first, second, bins=3)[0]
    assert frequencies_are(table.sum(axis=1), [1, 2, 3])
    assert scipy.stats.chi2_contingency(table).pvalue > 1e-3


def test_random_order_is_a_permutation_with_the_same_draws_at_every_position():
    drawn = draws({"op": "random_order", "of": THREE})
    names = [step["op"] for step in THREE]
    chosen = np.array([[drawn[f"random_order.{j}.{name}"].selected for name in names] for j in (1, 2, 3)])
    assert (chosen.sum(axis=0) == 1).all() and (chosen.sum(axis=1) == 1).all()
    orders = chosen.argmax(axis=1)
    assert frequencies_are(np.unique(orders[0] * 9 + orders[1] * 3 + orders[2], return_counts=True)[1], np.ones(6))
    first, last = (drawn[f"random_order.{j}.rotation"] for j in (1, 3))
    assert (first.value("degrees") == last.value("degrees")).all() and first.key == last.key


def test_the_draws_of_a_child_depend_on_its_id_alone():
    alone = draws({"op": "one_of", "of": [{"op": "gamma"}]})["one_of.gamma"]
    among = draws({"op": "rotation"}, {"op": "one_of", "of": [*THREE, {"op": "sharpen"}], "weights": [1, 2, 3, 4]})
    assert (among["one_of.gamma"].words["gamma"] == alone.words["gamma"]).all()
    keys = [draw.key for draw in among.values()]
    assert len(set(keys)) == len(keys)
    named = draws({"op": "one_of", "id": "a", "of": [{"op": "gamma", "id": "b"}, {"op": "gamma"}, {"op": "gamma"}]})
    assert list(named) == ["a.b", "a.gamma", "a.gamma#2"]
    assert (named["a.b"].words["gamma"] != named["a.gamma"].words["gamma"]).any()


@pytest.mark.parametrize("op", ["one_of", "some_of", "random_order", "random_apply"])
@pytest.mark.usefixtures("each_executor")
def test_a_container_of_one_child_is_that_child_under_its_id(op):
    child = {"op": "affine", "degrees": [-40, 40]}
    contained = run([{"op": op, "p": 1.0, "of": [child]}], IMAGES, size=[24, 32]).images()
    alone = run([{**child, "id": f"{op}.affine"}], IMAGES, size=[24, 32]).images()
    assert contained.tobytes() == alone.tobytes()


def test_views_and_epochs_are_masks():
    step = {"op": "rotation", "views": [0, 2], "epochs": [3, [5, 7]]}
    for view in range(4):
        for epoch in range(9):
            expected = view in (0, 2) and epoch in (3, 5, 6, 7)
            assert masks(step, samples=9, view=view, epoch=epoch)["rotation"].tolist() == [expected] * 9
    within = {"op": "one_of", "of": [{"op": "gamma", "views": 1}], "epochs": [[2, 3]]}
    assert [masks(within, samples=1, view=v, epoch=e)["one_of.gamma"][0] for v in (0, 1) for e in (1, 2)] == [
        False, False, False, True,
    ]  # fmt: skip
    half = masks({"op": "gamma", "p": 0.5, "views": [0]})["gamma"]
    assert abs(half.mean() - 0.5) < 0.02


def test_equal_ranges_have_one_canonical_form():
    forms = [[[0, 3], 5], [0, 1, 2, 3, 5], [5, [2, 3], [0, 2]]]
    specs = [validate_spec({"dataset": "d", "pipeline": [{"op": "gamma", "views": views}]}) for views in forms]
    assert len({spec.canonical() for spec in specs}) == 1
    assert json.loads(specs[0].canonical())["pipeline"][0]["views"] == [[0, 3], [5, 5]]
    everywhere = {"op": "gamma", "views": [[0, 255]], "epochs": [[0, 2**24 - 1]]}
    for step in ({"op": "gamma"}, everywhere):
        plain = json.loads(validate_spec({"dataset": "d", "pipeline": [step]}).canonical())["pipeline"][0]
        assert not {"views", "epochs"} & plain.keys()


def test_the_specification_keeps_the_tree():
    steps = [{"op": "one_of", "of": [{"op": "random_apply", "of": [{"op": "gamma"}]}, {"op": "rotation"}]}]
    spec = validate_spec({"dataset": "d", "pipeline": steps})
    tree = json.loads(spec.canonical())["pipeline"][0]
    assert [child["op"] for child in tree["of"]] == ["random_apply", "rotation"]
    assert tree["of"][0]["of"][0] == {"gamma": [0.8, 1.25], "id": "gamma", "op": "gamma", "p": 1.0}
    assert validate_spec({"dataset": "d", "pipeline": [tree]}).canonical() == spec.canonical()


def test_exclusive_operations_share_passes():
    layer = [{"op": op} for op in ("gaussian_blur", "whitening", "rotation", "gamma", "whitening", "color_jitter")]
    one_of = {"op": "one_of", "of": layer}
    assert passes({"op": "horizontal_flip"}, one_of) == [
        {"move": ["fit:cover", "horizontal_flip", "one_of.rotation"], "filter": ["one_of.gaussian_blur"],
         "tone": ["one_of.gamma", "one_of.color_jitter", "one_of.whitening", "one_of.whitening#2"]},
    ]  # fmt: skip
    assert len(passes(one_of, {**one_of, "id": "again"})) == 2
    assert len(passes({"op": "random_apply", "of": layer})) > 3  # they follow each other


def test_a_sequence_in_an_exclusive_slot_keeps_its_order():
    rows = passes(
        {
            "op": "one_of",
            "of": [{"op": "random_apply", "of": [{"op": "gaussian_noise"}, {"op": "rotation"}]}, {"op": "gamma"}],
        }
    )
    assert [list(row.values()) for row in rows] == [
        [["fit:cover"], ["one_of.gamma"], ["one_of.random_apply.gaussian_noise"]],
        [["one_of.random_apply.rotation"]],
    ]


@pytest.mark.usefixtures("each_executor")
def test_each_sample_gets_the_pixels_of_its_choice():
    """One pass for all choices, or a pipeline for each of them: the same bytes, of statistics too."""
    layer = [
        {"op": "rotation", "degrees": 30},
        {"op": "whitening"},
        {"op": "gamma", "gamma": 2},
        {"op": "gaussian_blur"},
    ]
    fields = {"size": [24, 32]}
    before = {"op": "color_jitter", "id": "before"}
    noise = {"op": "gaussian_noise", "id": "noise"}  # the last pass of the first layer moves nothing it should not
    stream = run([before, noise, {"op": "one_of", "of": layer}], IMAGES, **fields)
    chosen = [[row["id"] for row in stream.receipt_rows(k) if row["selected"]][-1] for k in range(len(IMAGES))]
    assert len(set(chosen)) > 1
    for k, shown in enumerate(stream.images()):
        step = next(step for step in layer if chosen[k].endswith(step["op"]))
        alone = run([before, noise, {**step, "id": chosen[k]}], IMAGES, **fields).images()[k]
        assert np.abs(alone.astype(int) - shown).max() <= 1  # an extra pass rounds once more
        assert stream.images(start=k, count=1)[0].tobytes() == shown.tobytes()


def test_statistics_are_of_the_samples_that_read_them():
    layer = [{"op": "equalize"}, {"op": "whitening"}, {"op": "gamma"}, {"op": "rotation"}]
    plan = Plan.of(parse_pipeline([{"op": "one_of", "of": layer}]), Canvas(16, 16, 3), "cover")
    draws = plan.draw(5, Address(np.arange(100), 0, 0))
    names = [leaf.id for leaf in plan.tree.leaves]
    read = [draws[names.index(f"one_of.{op}")].selected for op in ("equalize", "whitening")]
    (only,) = plan.passes
    for statistic, selected in zip((Statistic.HISTOGRAM, Statistic.MOMENTS), read, strict=True):
        assert plan.measured_rows(only, draws, statistic).tolist() == np.flatnonzero(selected).tolist()


def test_sound_has_containers_too():
    steps = parse_pipeline([{"op": "one_of", "of": [{"op": "gain"}, {"op": "white_noise"}, {"op": "time_shift"}]}])
    plan = SoundPlan.of(steps, Clip(1000, 8000))
    assert plan.describe() == [
        {"move": ["fit:middle", "one_of.time_shift"], "tone": ["one_of.gain"]}, {"noise": ["one_of.white_noise"]},
    ]  # fmt: skip


def test_the_expected_time_is_that_of_the_costliest_choice():
    def seconds(*steps):
        return sample_seconds(Plan.of(parse_pipeline(list(steps)), Canvas(64, 64, 3), "cover"))

    blur, gamma = {"op": "gaussian_blur"}, {"op": "gamma"}
    assert seconds({"op": "one_of", "of": [blur, gamma]}) == pytest.approx(seconds(blur), rel=0.2)
    assert seconds({"op": "random_apply", "of": [blur, gamma]}) == seconds(blur, gamma)


def nested(depth):
    step = {"op": "gamma"}
    for _ in range(depth):
        step = {"op": "one_of", "of": [step]}
    return step


ONE_OF = {"op": "one_of", "of": THREE}
REFUSED = [
    ({"op": "one_of"}, "pipeline.0.of", "is required"),
    ({"op": "one_of", "of": []}, "pipeline.0.of", "a list of 1 to 64 operations"),
    ({"op": "one_of", "of": "gamma"}, "pipeline.0.of", "list"),
    ({"op": "one_of", "of": {"op": "gamma"}}, "pipeline.0.of", "list"),
    ({"op": "one_of", "of": [{"op": "gamma"}, 3]}, "pipeline.0.of.1", 'object with an operation\'s name as "op"'),
    ({"op": "one_of", "of": [{"op": "gama"}]}, "pipeline.0.of.0.op", "did you mean gamma"),
    ({"op": "one_off", "of": THREE}, "pipeline.0.op", "did you mean one_of"),
    ({"op": "one_of", "of": [{"op": "gamma", "gamma": -1}]}, "pipeline.0.of.0.gamma", "takes numbers"),
    ({"op": "one_of", "of": [{"op": "gamma"}, nested(1) | {"p": 2}]}, "pipeline.0.of.1.p", "at most 1"),
    ({"op": "one_of", "of": [{"op": "random_crop"}]}, "pipeline.0.of.0.op", "is a frame"),
    ({"op": "one_of", "of": [{"op": "gain"}]}, "pipeline.0.of.0.op", "audio operation"),
    ({"op": "one_of", "of": [{"op": "gamma", "id": "a"}, {"op": "rotation", "id": "a"}]}, "pipeline", "random numbers"),
    ({**ONE_OF, "weights": [1, 2]}, "pipeline.0", "needs 3 weights"),
    ({**ONE_OF, "weights": [0, 0, 0]}, "pipeline.0.weights", "above 0"),
    ({**ONE_OF, "weights": [1, -1, 1]}, "pipeline.0.weights.1", "at least 0"),
    ({**ONE_OF, "weights": [1, float("nan"), 1]}, "pipeline.0.weights.1", "number"),
    ({**ONE_OF, "op": "some_of", "n": 4}, "pipeline.0", "n from 1 to 3"),
    ({**ONE_OF, "op": "some_of", "n": 0}, "pipeline.0", "n from 1 to 3"),
    ({**ONE_OF, "op": "some_of", "n": 2, "weights": [0, 1, 0]}, "pipeline.0", "n from 1 to 1"),
    ({**ONE_OF, "op": "some_of", "n": 1.5}, "pipeline.0.n", "whole numbers"),
    ({**ONE_OF, "op": "some_of", "n": [2, 1]}, "pipeline.0.n", "empty range"),
    ({**ONE_OF, "op": "some_of", "n": 1, "replace": 1}, "pipeline.0.replace", "true or false"),
    ({**ONE_OF, "steps": 1}, "pipeline.0.steps", "unknown field"),
    (nested(5), "pipeline.0.of.0.of.0.of.0.of.0.op", "at most 4 deep"),
    ({"op": "one_of", "of": [{"op": "gamma"}] * 65}, "pipeline", "over 64"),
    ({**ONE_OF, "weights": 1}, "pipeline.0.weights", "a list of numbers, one for each operation"),
    ({"op": "random_order", "of": [{"op": "gamma"}] * 8}, "pipeline", "over 64 operations"),
    ({"op": "some_of", "n": 40, "replace": True, "of": THREE}, "pipeline", "over 64 operations"),
    ({"op": "gamma", "views": []}, "pipeline.0.views", "list of whole numbers"),
    ({"op": "gamma", "views": [256]}, "pipeline.0.views", "from 0 to 255"),
    ({"op": "gamma", "views": [[2, 1]]}, "pipeline.0.views", "ascend"),
    ({"op": "gamma", "views": [True]}, "pipeline.0.views", "list of whole numbers"),
    ({"op": "gamma", "epochs": ["3"]}, "pipeline.0.epochs", "list of whole numbers"),
    ({"op": "gamma", "epochs": [[1, 2, 3]]}, "pipeline.0.epochs", "list of whole numbers"),
    ({"op": "gamma", "epochs": 2**24}, "pipeline.0.epochs", "from 0 to"),
    ({"op": "gamma", "epochs": list(range(0, 514, 2))}, "pipeline.0.epochs", "at most 256 ranges"),
]  # fmt: skip


@pytest.mark.parametrize(("step", "field", "words"), REFUSED, ids=range(len(REFUSED)))
def test_bad_input_is_refused_by_name(step, field, words):
    with pytest.raises(SpecInvalid) as refused:
        run([step], IMAGES, size=[24, 32])
    assert (refused.value.code, refused.value.field) == ("spec_invalid", field)
    assert words in refused.value.message


def test_many_entries_are_counted_before_they_are_validated():
    step = {"op": "gamma"}
    for _ in range(4):
        step = {"op": "random_order", "of": [step] * 60}  # 13 million operations
    with pytest.raises(SpecInvalid, match="over 64 operations"):
        parse_pipeline([step])


def test_four_deep_and_sixty_four_steps_are_accepted():
    assert len(Tree.of(parse_pipeline([nested(4)])).leaves) == 1
    assert len(Tree.of(parse_pipeline([{"op": "gamma"}] * 64)).leaves) == 64
    full = [{"op": "gamma"}] * 14 + [{"op": "random_order", "of": [{"op": "gamma"}] * 7}]  # 14 + 1 + 49
    assert len(Tree.of(parse_pipeline(full)).leaves) == 63


def test_a_frame_for_some_views_keeps_the_bars_of_the_fit():
    for field in ({"views": [0]}, {"epochs": [0]}):
        with pytest.raises(SpecInvalid) as refused:
            run([{"op": "random_crop", "border": "reflect", **field}], IMAGES, size=[24, 32], fit="contain")
        assert refused.value.field == f"pipeline.0.{next(iter(field))}"


@pytest.mark.parametrize("name", containers())
def test_a_container_has_a_summary_and_examples_that_plan(name):
    container = containers()[name]
    assert container.summary().endswith(".")
    for example in container.examples:
        plan = Plan.of(parse_pipeline([{"op": name, **example}]), Canvas(32, 32, 3), "cover")
        assert all(operation.kind is not Kind.FRAME for operation in plan.operations)
