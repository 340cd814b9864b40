"""Images whose pixels stay whole are rendered as bytes: the same ones as by rows of values."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from augsvc.executors.fused import measure
from augsvc.executors.fused.kernels import levels
from augsvc.executors.fused.kernels.args import FROM_DEEP_SOURCES, FROM_SOURCES
from augsvc.executors.fused.kernels.compiled import entry
from augsvc.numerics.geometry import Canvas
from augsvc.numerics.rng import Address
from augsvc.ops.pipeline import parse_pipeline
from augsvc.planning.image_plan import Plan
from tests.harness import open_cpu

MOVES = [
    [],
    [{"op": "horizontal_flip", "p": 0.5}],
    [{"op": "vertical_flip"}],
    [{"op": "dihedral"}],
    [{"op": "transpose"}, {"op": "horizontal_flip"}],
    [{"op": "random_crop"}],
    [{"op": "random_crop", "padding": 3}],
    [{"op": "translate", "x_pixels": [-3, 3], "x": 0, "y": 0, "whole": True}],
    [{"op": "rotation", "degrees": [0, 30], "p": 0.5}],
]
TONES = [
    {"op": "gamma", "gamma": [0.3, 3]},
    {"op": "brightness", "factor": [0.2, 3], "add": [-0.3, 0.3]},
    {"op": "contrast", "factor": [0, 4]},
    {"op": "posterize", "bits": [1, 8]},
    {"op": "solarize", "p": 0.5},
    {"op": "invert"},
    {"op": "channel_dropout"},
    {"op": "channel_shuffle", "p": 0.5},
    {"op": "saturation", "p": 0.5},
    {"op": "saturation", "factor": [0, 4]},
    {"op": "grayscale", "p": 0.7},
    {"op": "equalize"},
    {"op": "planckian_jitter"},
    {"op": "hue_saturation_value", "p": 0.5},
]
LATER = [
    {"op": "gaussian_blur", "p": 0.4},
    {"op": "gaussian_blur", "sigma": [0.2, 4]},
    {"op": "box_blur", "radius": [0, 9], "p": 0.8},
    {"op": "sharpen", "amount": [-1, 8], "p": 0.8},
    {"op": "motion_blur"},
    {"op": "pixel_dropout", "p": 0.4},
    {"op": "erasing", "value": [0, 1], "count": 2},
    {"op": "xy_masking"},
]


@pytest.fixture(scope="module")
def sources():
    rng = np.random.default_rng(0)
    return lambda n, side, channels: rng.integers(0, 256, (n, side[0], side[1], channels), dtype=np.uint8)


def render(pipeline, images, canvas, out):
    n = len(images)
    plan = Plan.of(parse_pipeline(pipeline), canvas, "cover")
    draws = plan.draw(7, Address(np.arange(n), 0, 0))
    size = (canvas.height, canvas.width)
    sizes = [image.shape[:2] for image in images]
    cameras = [plan.cameras(step, draws, sizes if step.fits else [size] * n) for step in plan.passes]
    open_cpu("fused").render(plan, list(images), cameras, draws, out, lambda: None)


@given(
    move=st.sampled_from(MOVES),
    tones=st.lists(st.sampled_from(TONES), max_size=3),
    later=st.lists(st.sampled_from(LATER), max_size=2),
    sides=st.tuples(st.integers(6, 90), st.integers(6, 90)),
    extra=st.integers(0, 3),
    channels=st.sampled_from([1, 3]),
    last=st.booleans(),
)
def test_the_bytes_are_those_of_rounded_values(sources, move, tones, later, sides, extra, channels, last):
    """Values of 16 bits never take the way of bytes."""
    pipeline = [*move, *({**step, "id": f"{k}"} for k, step in enumerate((*tones, *later)))]
    height, width = sides
    canvas = Canvas(height, width, channels)
    images = sources(4, (height + extra, width + extra), channels)
    values = np.empty((4, channels, height, width), np.uint16)
    render(pipeline, images, canvas, values)
    expected = ((values + np.uint16(128)) >> 8).astype(np.uint8)
    actual = np.empty((4, height, width, channels), np.uint8)
    if not last:
        actual = np.empty((4, channels, height, width), np.uint8).transpose(0, 2, 3, 1)
    render(pipeline, images, canvas, actual.transpose(0, 3, 1, 2))
    np.testing.assert_array_equal(actual.transpose(0, 3, 1, 2), expected)


@pytest.mark.parametrize("size", [0, 1, 63, 64, 65, 672])
def test_levels_are_looked_up_in_vectors_as_one_by_one(size):
    rng = np.random.default_rng(size)
    table, before = rng.integers(0, 256, 256, dtype=np.uint8), rng.integers(0, 256, size, dtype=np.uint8)
    after = np.empty_like(before)
    look_up = entry(lambda table, line, out: levels.look_up(table, line, out))
    look_up(table, before, after)
    np.testing.assert_array_equal(after, table[before])
    look_up(table, before, before)
    np.testing.assert_array_equal(before, after)


AT_END = [
    [{"op": "median_blur", "radius": [0, 3], "p": 0.7}],
    [{"op": "rotation"}, {"op": "gaussian_noise"}, {"op": "median_blur", "radius": [1, 3]}],
    [{"op": "gaussian_blur"}, {"op": "jpeg", "p": 0.6}, {"op": "median_blur", "p": 0.6}],
    [{"op": "median_blur"}, {"op": "clahe", "tiles": 2}],
    [{"op": "random_crop"}, {"op": "snow"}, {"op": "jpeg"}],
]


@pytest.mark.parametrize("pipeline", AT_END)
@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("layout", ["planes", "pixels", "rows"])
def test_opaque_operations_at_the_end_work_on_rounded_values(sources, pipeline, channels, layout):
    """Output of 16 bits keeps the values between operations."""
    canvas, images = Canvas(40, 75, channels), sources(6, (43, 78), channels)
    values = np.empty((6, channels, 40, 75), np.uint16)
    render(pipeline, images, canvas, values)
    batch = {
        "planes": np.empty(values.shape, np.uint8),
        "pixels": np.empty((6, 40, 75, channels), np.uint8).transpose(0, 3, 1, 2),
        "rows": np.empty((6, 40, channels, 75), np.uint8).transpose(0, 2, 1, 3),
    }[layout]
    render(pipeline, images, canvas, batch)
    np.testing.assert_array_equal(batch, ((values + np.uint16(128)) >> 8).astype(np.uint8))


STATISTICAL = [
    [{"op": "equalize", "p": 0.7}],
    [{"op": "autocontrast"}, {"op": "gaussian_noise", "p": 0.5}],
    [{"op": "contrast", "pivot": "mean"}, {"op": "rotation", "p": 0.5}],
    [{"op": "horizontal_flip", "p": 0.5}, {"op": "whitening"}],
    [{"op": "photometric_distort"}, {"op": "equalize"}],
    [{"op": "rand_augment"}],
]


@pytest.mark.parametrize("pipeline", STATISTICAL)
@pytest.mark.parametrize("channels", [1, 3])
def test_statistics_of_sources_are_those_of_their_copies(sources, pipeline, channels, monkeypatch):
    canvas, images = Canvas(40, 33, channels), sources(9, (40, 33), channels)
    results = [np.empty((9, channels, 40, 33), np.uint8) for _ in range(2)]
    render(pipeline, images, canvas, results[0])
    moving_rows = measure.moving_rows

    def move_all(measured, args):
        """As from sources of 16 bits: what is measured is copied to the canvas first."""
        is_source = args.move.origin == FROM_SOURCES
        return moving_rows(
            measured, args._replace(move=args.move._replace(origin=FROM_DEEP_SOURCES)) if is_source else args
        )

    monkeypatch.setattr(measure, "moving_rows", move_all)
    render(pipeline, images, canvas, results[1])
    np.testing.assert_array_equal(*results)


@pytest.mark.parametrize("channels", [1, 3])
def test_tables_of_the_sample_before_are_kept_for_the_same_tones_alone(sources, channels):
    """Of one_of, samples have one of three tones or none, in any order: those of a batch are those of batches of one."""
    brighter = {"op": "brightness", "factor": 1.5}
    tones = [{"op": "gamma", "gamma": 2}, brighter, brighter | {"add": 0.1, "id": "b"}]
    pipeline = [{"op": "one_of", "of": tones, "p": 0.8}, {"op": "posterize", "bits": 3, "p": 0.5}]
    images, canvas = sources(24, (9, 11), channels), Canvas(9, 11, channels)
    together, alone = np.empty((24, channels, 9, 11), np.uint8), np.empty((24, channels, 9, 11), np.uint8)
    render(pipeline, images, canvas, together)
    plan = Plan.of(parse_pipeline(pipeline), canvas, "cover")
    for k in range(24):
        draws = plan.draw(7, Address(np.array([k]), 0, 0))
        cameras = [plan.cameras(step, draws, [(9, 11)]) for step in plan.passes]
        open_cpu("fused").render(plan, [images[k]], cameras, draws, alone[k : k + 1], lambda: None)
    np.testing.assert_array_equal(together, alone)
    assert len({image.tobytes() for image in together - images.transpose(0, 3, 1, 2)}) > 5
