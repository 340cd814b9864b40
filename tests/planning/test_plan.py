import pytest

from augsvc.numerics.geometry import Canvas
from augsvc.ops.operation import Kind
from augsvc.ops.pipeline import parse_pipeline
from augsvc.ops.registry import registry
from augsvc.planning.image_plan import Plan

CANVAS = Canvas(16, 16, 3)


def passes(*operations, fit="cover"):
    pipeline = parse_pipeline([{"op": op} if isinstance(op, str) else op for op in operations])
    return Plan.of(pipeline, CANVAS, fit).describe()


def test_the_usual_pipeline_is_one_pass():
    assert passes(
        "rotation", "horizontal_flip", "color_jitter", "color_shift", "gaussian_blur", "gaussian_noise", "erasing"
    ) == [
        {
            "move": ["fit:cover", "rotation", "horizontal_flip"],
            "tone": ["color_jitter", "color_shift"],
            "filter": ["gaussian_blur"],
            "noise": ["gaussian_noise"],
            "erase": ["erasing"],
        }
    ]


def test_the_users_order_is_kept_where_it_goes_back():
    assert passes("gaussian_noise", "rotation", "erasing", "gamma") == [
        {"move": ["fit:cover"], "noise": ["gaussian_noise"]},
        {"move": ["rotation"], "erase": ["erasing"]},
        {"tone": ["gamma"]},
    ]


def test_another_border_opens_a_pass():
    reflected = {"op": "rotation", "border": "reflect"}
    assert passes("horizontal_flip", reflected) == [{"move": ["fit:cover", "horizontal_flip"]}, {"move": ["rotation"]}]
    assert len(passes(reflected)) == 1


def test_contain_paints_its_bars_before_another_border():
    assert len(passes({"op": "rotation", "border": "reflect"}, fit="contain")) == 2
    assert len(passes("rotation", fit="contain")) == 1


def test_statistics_of_other_tones_open_a_pass_and_tones_follow_in_it():
    assert passes("gamma", "whitening", "color_shift") == [
        {"move": ["fit:cover"], "tone": ["gamma"]},
        {"tone": ["whitening", "color_shift"]},
    ]


def test_statistics_are_of_what_the_moves_of_a_pass_show():
    assert passes("rotation", "equalize", "gamma") == [
        {"move": ["fit:cover", "rotation"], "tone": ["equalize", "gamma"]}
    ]
    assert passes("erasing", "equalize") == [
        {"move": ["fit:cover"], "erase": ["erasing"]}, {"tone": ["equalize"]},
    ]  # fmt: skip


LAYER = {"op": "one_of", "of": [{"op": "equalize"}, {"op": "invert"}, {"op": "sharpen"}]}


def test_operations_that_exclude_each_other_share_a_pass_with_those_with_statistics():
    assert passes("rotation", LAYER) == [
        {"move": ["fit:cover", "rotation"], "tone": ["one_of.invert", "one_of.equalize"], "filter": ["one_of.sharpen"]},
    ]
    # merged with gamma, invert would have other last bits
    assert passes("gamma", LAYER) == [
        {"move": ["fit:cover"], "tone": ["gamma"], "filter": ["one_of.sharpen"]},
        {"tone": ["one_of.equalize", "one_of.invert"]},
    ]
    assert passes("erasing", LAYER) == [
        {"move": ["fit:cover"], "erase": ["erasing"]},
        {"tone": ["one_of.equalize", "one_of.invert"], "filter": ["one_of.sharpen"]},
    ]


def test_the_second_filter_of_a_sample_waits_for_the_next_pass():
    turn = {"op": "one_of", "of": [{"op": "rotation", "border": "reflect"}, {"op": "sharpen"}], "id": "turn"}
    first = {"move": ["fit:cover"], "tone": ["one_of.invert", "one_of.equalize"], "filter": ["one_of.sharpen"]}
    second = {"move": ["turn.rotation"], "filter": ["turn.sharpen"]}
    assert passes(LAYER, turn) == [first, second]
    assert passes(LAYER, turn, "erasing") == [first, second | {"erase": ["erasing"]}]
    # which is too late for a sample that is sharpened before it is blended with gamma
    assert passes(LAYER, turn, "gamma") == [
        first | {"filter": ["one_of.sharpen", "turn.sharpen"]},
        {"move": ["turn.rotation"], "tone": ["gamma"]},
    ]


def test_whitening_by_the_dataset_s_colours_is_a_tone_like_any_other():
    assert passes("rotation", "gamma", {"op": "whitening", "mode": "color"}, "color_shift") == [
        {"move": ["fit:cover", "rotation"], "tone": ["gamma", "whitening", "color_shift"]}
    ]


def test_an_opaque_operation_stands_alone():
    assert passes("gamma", "downsample", "gamma") == [
        {"move": ["fit:cover"], "tone": ["gamma"]},
        {"opaque": ["downsample"]},
        {"tone": ["gamma#2"]},
    ]


def test_nothing_is_lost_and_nothing_overtakes():
    frames, mixes = ([name for name, op in registry().items() if op.kind is kind] for kind in (Kind.FRAME, Kind.MIX))
    others = [name for name in registry() if name not in (*frames, *mixes)]
    for frame in frames:
        for start in range(0, len(others), 30):  # a pipeline has at most 64 operations
            once = others[start : start + 30]
            flat = [name for row in passes(frame, *once, *once) for ids in row.values() for name in ids]
            assert sorted(flat) == sorted([frame, *once, *(f"{name}#2" for name in once)])


@pytest.mark.parametrize("name", registry())
def test_every_operation_is_of_a_kind_that_the_planner_knows(name):
    assert registry()[name].kind in set(Kind)
    assert passes(name)
