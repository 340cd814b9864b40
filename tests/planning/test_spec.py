import json
import math
from typing import Annotated, Literal

import pytest
import rfc8785
from hypothesis import given
from hypothesis import strategies as st

from augsvc.errors import AugsvcError, BadJson, NotAvailable, SizeRequired, SpecInvalid, SpecTooLarge
from augsvc.ops.image.geometric.rotation import Rotation
from augsvc.ops.operation import AddedLater
from augsvc.ops.pipeline import parse_pipeline
from augsvc.ops.presets import PRESETS
from augsvc.ops.registry import registry
from augsvc.planning.spec import parse_spec, validate_spec


def spec(**fields):
    return validate_spec({"dataset": "digits/train", **fields})


def canonical(**fields):
    return spec(**fields).for_images((8, 8), 1).canonical()


def test_defaults_ids_and_fixed_numbers_are_filled_in():
    form = json.loads(canonical(pipeline=[{"op": "rotation", "degrees": 5}, {"op": "rotation"}], size=[32, 24]))
    assert form == {
        "dataset": "digits/train",
        "pipeline": [
            {"op": "rotation", "id": "rotation", "p": 1, "border": "zeros", "degrees": [5, 5]},
            {"op": "rotation", "id": "rotation#2", "p": 1, "border": "zeros", "degrees": [-15, 15]},
        ],
        "size": [32, 24],
        "fit": "cover",
        "channels": 1,
        "subset": None,
        "order_seed": 0,
        "aug_seed": 0,
        "shuffle": True,
        "output": {"dtype": "uint8", "layout": "NCHW"},
    }


def test_said_and_unsaid_defaults_are_one_form():
    said = {"fit": "cover", "channels": 1, "size": [8, 8], "shuffle": True, "pipeline": [], "output": {}}
    assert canonical() == canonical(**said) == canonical(pipeline="none")
    named = canonical(pipeline=[{"op": "gamma", "id": "gamma", "p": 1.0, "gamma": [0.8, 1.25]}])
    assert canonical(pipeline=[{"op": "gamma"}]) == named


def test_the_canonical_form_reads_back_to_itself():
    for preset in ("none", "light", "standard", "strong"):
        form = canonical(pipeline=preset, subset={"per_class": 3})
        assert parse_spec(form).canonical() == form == rfc8785.dumps(json.loads(form))


@pytest.mark.parametrize("name", registry())
def test_an_operation_needs_nothing_but_its_name(name):
    operation = parse_pipeline([{"op": name}])[0]
    assert operation.summary().endswith(".")
    schema = operation.model_json_schema()
    assert schema["additionalProperties"] is False
    for parameter, mark in operation.parameters().items():
        number = schema["properties"][parameter]["anyOf"][0]
        assert (number["minimum"], number["maximum"]) == (mark.low, mark.high)
        assert "default" in schema["properties"][parameter]


def test_presets_never_change():
    """Constants of version 1: a better preset takes a new name."""
    lengths = {name: len(spec(pipeline=name).pipeline) for name in PRESETS}
    assert lengths == {
        "none": 0,
        "light": 3,
        "standard": 4,
        "strong": 8,
        "letters": 5,
        "sound": 4,
        "speech": 2,
        "words": 2,
    }


ROTATION = {"op": "rotation"}
BAD = [
    ({"dataset": "d", "surprise": 1}, SpecInvalid, "surprise"),
    ({}, SpecInvalid, "dataset"),
    ({"dataset": 3}, SpecInvalid, "dataset"),
    ({"dataset": "d", "pipeline": "no such preset"}, SpecInvalid, "pipeline"),
    ({"dataset": "d", "pipeline": 7}, SpecInvalid, "pipeline"),
    ({"dataset": "d", "pipeline": [7]}, SpecInvalid, "pipeline.0"),
    ({"dataset": "d", "pipeline": [{}]}, SpecInvalid, "pipeline.0"),
    ({"dataset": "d", "pipeline": [{"op": "no_such"}]}, SpecInvalid, "pipeline.0.op"),
    ({"dataset": "d", "pipeline": [ROTATION, {"op": "rotation", "angle": 3}]}, SpecInvalid, "pipeline.1.angle"),
    ({"dataset": "d", "pipeline": [ROTATION | {"degrees": [5, -5]}]}, SpecInvalid, "pipeline.0.degrees"),
    ({"dataset": "d", "pipeline": [ROTATION | {"degrees": [0, 361]}]}, SpecInvalid, "pipeline.0.degrees"),
    ({"dataset": "d", "pipeline": [ROTATION | {"degrees": math.inf}]}, SpecInvalid, "pipeline.0.degrees"),
    ({"dataset": "d", "pipeline": [ROTATION | {"degrees": math.nan}]}, SpecInvalid, "pipeline.0.degrees"),
    ({"dataset": "d", "pipeline": [ROTATION | {"degrees": True}]}, SpecInvalid, "pipeline.0.degrees"),
    ({"dataset": "d", "pipeline": [ROTATION | {"degrees": "5"}]}, SpecInvalid, "pipeline.0.degrees"),
    ({"dataset": "d", "pipeline": [ROTATION | {"degrees": [1, 2, 3]}]}, SpecInvalid, "pipeline.0.degrees"),
    ({"dataset": "d", "pipeline": [ROTATION | {"p": 1.5}]}, SpecInvalid, "pipeline.0.p"),
    ({"dataset": "d", "pipeline": [ROTATION | {"p": math.nan}]}, SpecInvalid, "pipeline.0.p"),
    ({"dataset": "d", "pipeline": [ROTATION | {"border": "wrap"}]}, SpecInvalid, "pipeline.0.border"),
    ({"dataset": "d", "pipeline": [ROTATION | {"id": "a b"}]}, SpecInvalid, "pipeline.0.id"),
    ({"dataset": "d", "pipeline": [ROTATION, ROTATION | {"id": "rotation"}]}, SpecInvalid, "pipeline"),
    ({"dataset": "d", "pipeline": [{"op": "gamma"}] * 65}, SpecInvalid, "pipeline"),
    ({"dataset": "d", "size": [0, 8]}, SpecInvalid, "size.0"),
    ({"dataset": "d", "size": [8, 4097]}, SpecInvalid, "size.1"),
    ({"dataset": "d", "size": [8]}, SpecInvalid, "size.1"),
    ({"dataset": "d", "size": [8.5, 8]}, SpecInvalid, "size.0"),
    ({"dataset": "d", "size": [10**30, 8]}, SpecInvalid, "size.0"),
    ({"dataset": "d", "fit": "squeeze"}, SpecInvalid, "fit"),
    ({"dataset": "d", "channels": 9}, SpecInvalid, "channels"),
    ({"dataset": "d", "aug_seed": 2**53}, SpecInvalid, "aug_seed"),
    ({"dataset": "d", "order_seed": -1}, SpecInvalid, "order_seed"),
    ({"dataset": "d", "order_seed": 1.5}, SpecInvalid, "order_seed"),
    ({"dataset": "d", "shuffle": "yes"}, SpecInvalid, "shuffle"),
    ({"dataset": "d", "subset": {"per_class": 0}}, SpecInvalid, "subset.per_class"),
    ({"dataset": "d", "subset": {}}, SpecInvalid, "subset"),
    ({"dataset": "d", "output": {"layout": "CHWN"}}, SpecInvalid, "output.layout"),
    ({"dataset": "d", "output": {"dtype": "float64"}}, SpecInvalid, "output.dtype"),
    ({"dataset": "d", "output": {"dtype": "float32", "mean": [0.5]}}, SpecInvalid, "output"),
    ({"dataset": "d", "output": {"mean": [0.5], "std": [0.5]}}, SpecInvalid, "output"),
    ({"dataset": "d", "output": {"dtype": "float32", "mean": [0.5], "std": [0]}}, SpecInvalid, "output.std.0"),
    ({"dataset": "d", "seconds": 0}, SpecInvalid, "seconds"),
    ({"dataset": "d", "seconds": "1"}, SpecInvalid, "seconds"),
    ({"dataset": "d", "sample_rate": 999}, SpecInvalid, "sample_rate"),
    ({"dataset": "d", "sample_rate": 8000.5}, SpecInvalid, "sample_rate"),
    ({"dataset": "d", "pipeline": [{"op": "whitening", "mode": "zca"}]}, NotAvailable, "pipeline.0.mode"),
]


@pytest.mark.parametrize(("fields", "error", "field"), BAD)
def test_what_is_wrong_is_refused_and_named(fields, error, field):
    with pytest.raises(error) as caught:
        validate_spec(fields)
    assert caught.value.field == field
    assert len(caught.value.message) > 15
    assert "pydantic" not in caught.value.message
    assert "Input should" not in caught.value.message


@pytest.mark.parametrize(
    "text", [b"", b"{", b"[1,", b"\xff", b'{"a": NaN}', b'{"a": Infinity}', b'{"a":1,"a":2}', b"[" * 9999]
)
def test_what_is_not_json_is_refused(text):
    with pytest.raises(BadJson):
        parse_spec(text)


def test_a_long_specification_is_refused():
    with pytest.raises(SpecTooLarge):
        parse_spec(b" " * 65537)


def test_a_size_is_required_where_samples_differ():
    with pytest.raises(SizeRequired) as caught:
        spec().for_images(None, 3)
    assert caught.value.code == "size_required"
    assert "are not read at start" in caught.value.message
    assert spec(size=[5, 6]).for_images(None, 3).canvas_size == (5, 6)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)
NAMES = ["dataset", "pipeline", "size", "fit", "channels", "subset", "order_seed", "aug_seed", "shuffle", "output"]


@given(st.dictionaries(st.sampled_from(NAMES) | st.text(max_size=4), JSON, max_size=5) | JSON)
def test_any_json_is_a_specification_or_a_clear_error(fields):
    try:
        assert validate_spec(fields).dataset
    except AugsvcError as err:
        assert err.status in (422, 501)


@given(st.sampled_from(list(registry())), st.dictionaries(st.text(max_size=8), JSON, max_size=3), st.data())
def test_any_parameters_are_an_operation_or_a_clear_error(name, extra, data):
    known = list(registry()[name].model_fields)
    fields = {data.draw(st.sampled_from(known)): value for value in extra.values()} | {"op": name}
    try:
        operation = parse_pipeline([fields])[0]
    except AugsvcError as err:
        assert err.status in (422, 501)
    else:
        for parameter in operation.parameters():
            low, high = getattr(operation, parameter)
            assert math.isfinite(low)
            assert low <= high


def test_a_field_added_later_changes_the_canonical_form_only_if_it_is_set():
    class Newer(Rotation):
        op: Literal["newer"] = "newer"
        style: Annotated[Literal["old", "new"], AddedLater()] = "old"

    def form(**fields):
        known = {"newer": Newer}
        return json.loads(validate_spec({"dataset": "d", "pipeline": [{"op": "newer", **fields}]}, known).canonical())

    assert form() == form(style="old")
    assert "style" not in form()["pipeline"][0]
    assert form(style="new")["pipeline"][0] == form()["pipeline"][0] | {"style": "new"}


@pytest.mark.parametrize("channels", [True, "2", 2.0, [2]])
def test_channels_that_are_no_integer_are_called_so(channels):
    with pytest.raises(SpecInvalid, match="channels must be an integer"):
        validate_spec({"dataset": "d", "channels": channels})


@pytest.mark.parametrize("channels", [2, 4])
def test_images_have_one_channel_or_three(channels):
    spec = validate_spec({"dataset": "d", "size": [8, 8], "channels": channels})
    with pytest.raises(SpecInvalid, match="channels must be 1 or 3") as refused:
        spec.for_images(None, 3)
    assert refused.value.field == "channels"


@pytest.mark.parametrize(
    ("own", "foreign"),
    [({"seconds": 1.0, "sample_rate": 8000}, {"size": [8, 8]}), ({"size": [8, 8]}, {"seconds": 1.0})],
)
def test_a_field_of_another_medium_tells_specifications_apart_until_it_is_refused(own, foreign):
    """An open stream of the same specification without it answered for one with it."""
    assert spec(**own).canonical() != spec(**own, **foreign).canonical()
