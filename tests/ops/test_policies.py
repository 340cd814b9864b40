"""Policies: their frequencies and magnitudes against the published tables, and their pixels against single operations."""

import json

import numpy as np
import pytest
import scipy.stats

from augsvc.errors import NeedsStatistics, SpecInvalid
from augsvc.numerics.geometry import Canvas
from augsvc.numerics.rng import Address
from augsvc.ops.auto_augment_policies import PAIRS
from augsvc.ops.pipeline import parse_pipeline
from augsvc.ops.tree import Tree
from augsvc.planning.image_plan import Plan
from augsvc.planning.spec import validate_spec
from tests.harness import patch, run

SAMPLES = 30000
SIGNED = {"shear_x", "shear_y", "translate_x", "translate_y", "rotate", "brightness", "color", "contrast", "sharpness"}
NEUTRAL = {"brightness": 1.0, "color": 1.0, "contrast": 1.0}
PARAMETER = {
    "shear_x": "x", "shear_y": "y", "translate_x": "x", "translate_y": "y", "rotate": "degrees", "brightness": "factor",
    "color": "factor", "contrast": "factor", "sharpness": "amount", "posterize": "bits", "solarize": "threshold",
    "solarize_add": "addition",
}  # fmt: skip
TIMM = {"op": "rand_augment", "table": "timm_increasing", "magnitude": 9, "magnitude_std": 0.5}


def draws(step, samples=SAMPLES, **address):
    """Draws by layer, then by the name in the table."""
    tree = Tree.of(parse_pipeline([step]))
    layers = {}
    drawn = tree.draw(11, Address(np.arange(samples), address.get("epoch", 0), 0))
    for leaf, draw in zip(tree.leaves, drawn, strict=True):
        _, layer, name = leaf.id.split(".")
        layers.setdefault(layer, {})[name] = draw
    return layers


def magnitudes(name, draw, parameter=None):
    """Distances from the neutral value where the operation is selected."""
    return np.abs(draw.value(parameter or PARAMETER[name])[draw.selected] - NEUTRAL.get(name, 0.0))


def chi_square(counts, expected):
    return scipy.stats.chisquare(counts, np.array(expected) / np.sum(expected) * np.sum(counts)).pvalue


def test_rand_augment_chooses_each_of_fourteen_in_each_layer():
    layers = draws({"op": "rand_augment", "num_ops": 3})
    assert list(layers) == ["1", "2", "3"]
    chosen = []
    for layer in layers.values():
        assert len(layer) == 13 and layer.keys() > SIGNED  # the fourteenth is the identity
        selected = np.stack([draw.selected for draw in layer.values()])
        assert selected.sum(axis=0).max() == 1
        counts = [*selected.sum(axis=1), (~selected.any(axis=0)).sum()]
        assert chi_square(counts, np.ones(14)) > 1e-3
        chosen.append(np.where(selected.any(axis=0), selected.argmax(axis=0), 13))
    assert scipy.stats.chi2_contingency(np.histogram2d(chosen[0], chosen[1], bins=14)[0]).pvalue > 1e-3


def test_rand_augment_s_magnitudes_are_torchvision_s():
    """torchvision/transforms/v2/_auto_augment.py at level 9 of 31, by hand."""
    fraction = 9 / 30
    expected = dict.fromkeys(("brightness", "color", "contrast", "sharpness"), 0.9 * fraction)
    expected |= dict.fromkeys(("shear_x", "shear_y"), 0.3 * fraction)
    expected |= dict.fromkeys(("translate_x", "translate_y"), 150 / 331 * fraction)
    expected |= {"rotate": 30 * fraction, "posterize": 7, "solarize": 179 / 255}  # 8 − round(1.2); ⌈178.5⌉
    for layer in draws({"op": "rand_augment"}).values():
        for name, magnitude in expected.items():
            np.testing.assert_allclose(magnitudes(name, layer[name]), magnitude, rtol=1e-12)
            if name in SIGNED:
                values = layer[name].value(PARAMETER[name])[layer[name].selected]
                assert abs((values < NEUTRAL.get(name, 0.0)).mean() - 0.5) < 0.05
        assert layer["autocontrast"].value("cutoff").max() == 0


@pytest.mark.parametrize(("level", "bits", "threshold"), [(0, 8, 255), (30, 4, 0), (15, 6, 128)])
def test_the_ends_of_rand_augment_s_table(level, bits, threshold):
    layer = draws({"op": "rand_augment", "num_ops": 1, "magnitude": level}, 500)["1"]
    assert set(magnitudes("posterize", layer["posterize"])) == {bits}
    assert set(magnitudes("solarize", layer["solarize"]) * 255) == {threshold}
    assert magnitudes("rotate", layer["rotate"]).max() == level


def test_trivial_augment_draws_the_level_too():
    (layer,) = draws({"op": "trivial_augment_wide"}).values()
    expected = {"shear_x": 0.99, "rotate": 135, "brightness": 0.99, "sharpness": 0.99}
    for name, most in expected.items():
        levels = magnitudes(name, layer[name]) / most * 30
        np.testing.assert_allclose(levels, np.rint(levels), atol=1e-9)
        assert chi_square(np.bincount(np.rint(levels).astype(int), minlength=31), np.ones(31)) > 1e-3
    pixels = magnitudes("translate_x", layer["translate_x"], "x_pixels")
    assert pixels.max() == 32 and (layer["translate_x"].value("x") == 0).all()
    bits = magnitudes("posterize", layer["posterize"]).astype(int)
    published = [8 - round(level / (30 / 6)) for level in range(31)]
    assert chi_square(np.bincount(bits, minlength=9)[2:], np.bincount(published, minlength=9)[2:]) > 1e-3


def test_timm_s_table_applies_half_of_the_time_at_a_magnitude_that_varies():
    for layer in draws(TIMM).values():
        assert len(layer) == 15
        counts = [draw.selected.sum() for draw in layer.values()]
        assert chi_square([*counts, SAMPLES - sum(counts)], [1] * 15 + [15]) > 1e-3
        level = magnitudes("rotate", layer["rotate"]) / 3
        assert level.max() == 10 and abs((level == 10).mean() - scipy.stats.norm.sf(2)) < 0.015
        inner = level[level < 10]
        assert scipy.stats.kstest(inner, scipy.stats.truncnorm(-18, 2, 9, 0.5).cdf).pvalue > 1e-3
        assert magnitudes("translate_y", layer["translate_y"]).max() == 0.45
        assert layer["color"].value("factor")[layer["color"].selected].min() >= 0.1
    (layer,) = draws({**TIMM, "magnitude_std": 0, "num_ops": 1}, 500).values()
    assert set(magnitudes("posterize", layer["posterize"])) == {1}  # 4 − int(3.6)
    assert set(np.round(magnitudes("solarize", layer["solarize"]) * 255, 9)) == {26}  # 256 − int(230.4)
    assert set(np.round(magnitudes("solarize_add", layer["solarize_add"]) * 255, 9)) == {99}  # int(0.9 · 110)
    assert set(np.round(layer["contrast"].value("factor")[layer["contrast"].selected], 12)) == {0.19, 1.81}


@pytest.mark.parametrize("policy", PAIRS)
def test_auto_augment_has_the_frequencies_of_its_pairs(policy):
    pairs = PAIRS[policy]
    assert len(pairs) == 25
    for k, layer in enumerate(draws({"op": "auto_augment", "policy": policy}).values()):
        for name, draw in layer.items():
            expected = sum(pair[k][1] for pair in pairs if pair[k][0] == name) / 25
            assert abs(draw.selected.mean() - expected) < 0.01, name
            if name in SIGNED:
                possible = {0.1 * pair[k][2] / 0.9 for pair in pairs if pair[k][0] == name and pair[k][1] > 0}
                most = {"rotate": 30, "shear_x": 0.3, "shear_y": 0.3}.get(name, 0.9)
                most = 150 / 331 if name.startswith("translate") else most
                drawn = set(np.round(magnitudes(name, draw) / most, 9))
                assert drawn == {round(level, 9) for level in possible}, name


def test_a_pair_is_drawn_together():
    layers = draws({"op": "auto_augment"})
    first = layers["1"]["sharpness"].selected  # with invert alone, p 0.6
    assert abs(layers["2"]["invert"].selected[first].mean() - 0.6) < 0.06
    assert not any(draw.selected[first].any() for name, draw in layers["2"].items() if name != "invert")


def test_another_layer_or_operation_changes_no_draw():
    alone = draws({"op": "rand_augment", "num_ops": 1}, 200)["1"]
    among = draws({"op": "rand_augment", "num_ops": 4}, 200)["1"]
    for name, draw in alone.items():
        assert (draw.selected == among[name].selected).all()
        assert all((draw.value(parameter) == among[name].value(parameter)).all() for parameter in draw.names)


@pytest.mark.parametrize("step", [{"op": "rand_augment"}, TIMM], ids=["torchvision", "timm"])
def test_two_layers_after_a_frame_and_a_flip_are_two_passes(step):
    pipeline = [{"op": "random_resized_crop"}, {"op": "horizontal_flip"}, step, {"op": "erasing"}]
    rows = Plan.of(parse_pipeline(pipeline), Canvas(32, 32, 3), "cover").describe()
    assert [set(row) - {"tone", "filter", "erase"} for row in rows] == [{"frame", "move"}, {"move"}]
    ids = [name for row in rows for names in row.values() for name in names]
    assert {"rand_augment.1.shear_x", "rand_augment.2.equalize"} < set(ids) and len(ids) == len(set(ids))


IMAGES = [patch("coffee", 24, 32, top=11 * k, left=9 * k) for k in range(24)]


@pytest.mark.parametrize(
    "step",
    [{"op": "rand_augment", "num_ops": 1, "magnitude": 21}, {"op": "trivial_augment_wide"}],
    ids=["rand", "trivial"],
)
@pytest.mark.usefixtures("each_executor")
def test_each_sample_has_the_pixels_of_the_operation_in_its_receipt(step):
    fields = {"size": [24, 32]}
    stream = run([step], IMAGES, **fields)
    batch, names = stream.images(), set()
    for k, shown in enumerate(batch):
        rows = [row for row in stream.receipt_rows(k) if row["selected"]]
        assert len(rows) <= 1
        leaves = stream.stream.plan.tree.leaves
        settings = [
            leaf.step.model_dump(mode="json") | rows[0]["draws"] for leaf in leaves if rows and leaf.id == rows[0]["id"]
        ]
        alone = run([{**setting, "id": "alone"} for setting in settings], [IMAGES[k]], **fields).images()[0]
        assert np.abs(alone.astype(int) - shown).max() <= 1, rows
        assert stream.images(start=k, count=1)[0].tobytes() == shown.tobytes()
        names |= {row["op"] for row in rows}
    assert len(names) > 6


@pytest.mark.parametrize("step", [{"op": "rand_augment"}, TIMM, {"op": "auto_augment"}, {"op": "trivial_augment_wide"}])
def test_a_chosen_operation_always_applies(step):
    assert {leaf.step.p for leaf in Tree.of(parse_pipeline([step])).leaves} == {1.0}


@pytest.mark.usefixtures("each_executor")
def test_fill_is_the_colour_around_moves():
    images = [np.full((16, 16, 3), 200, np.uint8)] * 40
    shown = run([{"op": "trivial_augment_wide", "fill": [1.0, 0.0, 0.0]}], images).images()
    corners = {tuple(corner) for image in shown for corner in (image[0, 0], image[-1, -1])}
    assert (255, 0, 0) in corners and (0, 0, 0) not in corners
    with pytest.raises(NeedsStatistics) as refused:
        run([{"op": "one_of", "of": [{"op": "rand_augment", "fill": "mean"}]}], images)
    assert refused.value.field == "pipeline.0.of.0"


@pytest.mark.parametrize("name", ["invert", "posterize", "solarize", "autocontrast", "equalize"])
def test_the_canonical_form_of_a_policy_has_no_children(name):
    spec = validate_spec({"dataset": "d", "pipeline": [{"op": "auto_augment"}]})
    assert json.loads(spec.canonical())["pipeline"] == [
        {"op": "auto_augment", "id": "auto_augment", "p": 1.0, "policy": "imagenet", "fill": [0.0, 0.0, 0.0]}
    ]
    assert any(name in leaf.id for leaf in Tree.of(spec.pipeline).leaves)


@pytest.mark.parametrize(
    ("step", "field", "words"),
    [
        ({"op": "rand_augment", "magnitude": 31}, "pipeline.0", "whole magnitude from 0 to 30, not 31"),
        ({"op": "rand_augment", "magnitude": 9.5}, "pipeline.0", "whole magnitude"),
        ({"op": "rand_augment", "bins": 5}, "pipeline.0", "from 0 to 4"),
        ({"op": "rand_augment", "magnitude_std": 0.5}, "pipeline.0", "timm_increasing"),
        ({**TIMM, "magnitude": 11}, "pipeline.0", "from 0 to 10"),
        ({**TIMM, "bins": 10}, "pipeline.0", "bins with table 'torchvision' only"),
        ({"op": "rand_augment", "num_ops": 0}, "pipeline.0.num_ops", "at least 1"),
        ({"op": "rand_augment", "num_ops": 5}, "pipeline.0.num_ops", "at most 4"),
        ({"op": "rand_augment", "of": []}, "pipeline.0.of", "unknown field"),
        ({"op": "auto_augment", "policy": "mnist"}, "pipeline.0.policy", "must be one of"),
        ({"op": "trivial_augment_wide", "bins": 1}, "pipeline.0.bins", "at least 2"),
        ({"op": "random_order", "of": [{"op": "rand_augment"}] * 2}, "pipeline", "over 64 operations"),
    ],
)
def test_bad_input_is_refused_by_name(step, field, words):
    with pytest.raises(SpecInvalid) as refused:
        validate_spec({"dataset": "d", "pipeline": [step]})
    assert refused.value.field == field and words in refused.value.message


def test_a_policy_is_for_images():
    with pytest.raises(SpecInvalid, match="image operation"):
        validate_spec({"dataset": "tones", "pipeline": [{"op": "rand_augment"}]}).for_audio(1.0, 8000)
