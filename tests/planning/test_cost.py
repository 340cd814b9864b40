"""The estimate of a plan's time: it bounds what a request can make the engine spend before it is spent."""

import numpy as np
import pytest

from augsvc.data.catalog import open_catalog
from augsvc.engine.engine import Engine
from augsvc.engine.limits import Limits
from augsvc.errors import BatchTooLarge, PlanTooCostly
from augsvc.numerics.geometry import Canvas
from augsvc.ops.pipeline import parse_pipeline
from augsvc.ops.presets import PRESETS
from augsvc.ops.registry import registry
from augsvc.planning.cost import sample_seconds
from augsvc.planning.image_plan import Plan
from augsvc.planning.spec import validate_spec
from augsvc.streams.stream import Range
from tests.harness import executor

BLURS = [{"op": "gaussian_blur"}] * 64


def estimate(pipeline, side, labels=0):
    return sample_seconds(Plan.of(parse_pipeline(pipeline), Canvas(side, side, 3), "cover"), labels)


@pytest.mark.parametrize("name", [name for name, steps in PRESETS.items() if name not in ("sound", "speech", "words")])
def test_usual_pipelines_stay_far_below_the_bound(name):
    assert estimate(PRESETS[name], 224) < 0.1
    assert estimate(PRESETS[name], 1024) < 2.0


def test_the_estimate_grows_with_all_that_takes_time():
    assert estimate(BLURS, 4096) > 60
    assert estimate(BLURS, 4096) == pytest.approx(16 * estimate(BLURS, 1024), rel=1e-3)
    turns = [{"op": "rotation", "id": str(i), "border": ("zeros", "reflect")[i % 2]} for i in range(60)]
    assert estimate(turns, 1, labels=4_000_000) > 60


@pytest.mark.parametrize(("op", "measured_us"), [("horizontal_flip", 0.5), ("gamma", 33.0), ("color_jitter", 2.2)])
def test_a_sample_of_one_pixel_costs_what_its_operations_cost(op, measured_us):
    """300,000 samples of 1 x 1 x 1 in one push of 2.7 MB held the engine for minutes, by an estimate of 6 ms."""
    steps = [{"op": op, "id": str(i)} for i in range(64)]
    assert measured_us * 64 <= 1e6 * estimate(steps, 1) <= 40 * measured_us * 64


def test_what_one_operation_takes_far_above_its_kind_is_part_of_the_estimate():
    default, wide = (estimate([{"op": "defocus", "radius": radius}], 224) for radius in ([1, 4], 16))
    assert wide > 4 * default
    assert estimate([{"op": "median_blur"}], 8) > 1e-3  # of radius 3 3.8 ms were measured
    assert estimate([{"op": "iou_crop"}], 8, labels=300_000) > 5.0  # and here 5 s
    assert estimate([{"op": "elastic"}], 8, labels=100_000) > 5.0  # 50 to 130 µs a box
    assert estimate([{"op": "thin_plate_spline"}], 1) > 5e-4  # its lattice does not shrink with the canvas
    cubic, linear = (estimate([{"op": "rotation", "interpolation": i}], 224) for i in ("bicubic", "bilinear"))
    assert cubic - linear > 3.6e-3  # 4.0 ms against 0.4
    assert estimate([{"op": "mask_crop"}], 8) > estimate([{"op": "scale_jitter"}], 8)


@pytest.fixture
def engine():
    made = Engine(open_catalog({}, 0), executor(), registry(()), Limits(1 << 30, max_sample_s=1.0, max_batch_s=2.0))
    made.start()
    yield made
    made.stop()


def test_a_plan_above_the_bound_is_refused_when_its_stream_is_opened(engine):
    """Three connections with 64 blurs on 4096 x 4096 brought another job from 857 batches in 4 s to 8 in 190 s."""
    with pytest.raises(PlanTooCostly, match="an estimated 39 s, and at most 1 s are allowed") as caught:
        engine.open(validate_spec({"dataset": "digits/train", "size": [4096, 4096], "pipeline": BLURS}))
    assert caught.value.field == "pipeline"


def test_a_batch_above_the_bound_is_refused_with_the_number_that_fits(engine):
    spec = {"dataset": "digits/train", "size": [512, 512], "pipeline": BLURS}
    stream = engine.open(validate_spec(spec))
    most = int(2.0 / sample_seconds(stream.plan)) * executor().threads
    engine.check(stream, Range(0, 0, most, 0))
    with pytest.raises(BatchTooLarge, match=f"at most {most} samples here"):
        engine.check(stream, Range(0, 0, most + 1, 0))


def test_a_push_is_bounded_by_rows_labels_and_operations_together(engine):
    turns = [{"op": "rotation", "id": str(i), "border": ("zeros", "reflect")[i % 2]} for i in range(60)]
    boxes = np.zeros((40, 10_000, 4), np.float32)
    arrays = {"image": np.zeros((40, 2, 2, 1), np.uint8), "index": np.arange(40), "boxes": boxes}
    with pytest.raises(BatchTooLarge):
        engine.push({"pipeline": turns}, arrays)
    few = {name: array[:2] for name, array in arrays.items()}
    assert engine.push({"pipeline": turns[:3]}, few).future.result().samples == 2
