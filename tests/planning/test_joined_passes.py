"""Passes that statistics alone have opened join the one before, and no bit of any sample changes."""

from dataclasses import replace

import numpy as np
import pytest

from augsvc.executors.fused.lower_image import plan_segments
from augsvc.executors.fused.schedule import schedule_rows
from augsvc.numerics.geometry import Canvas
from augsvc.numerics.rng import Address
from augsvc.ops.pipeline import parse_pipeline
from augsvc.planning.image_plan import Plan
from augsvc.planning.passes import plan_passes
from tests.harness import open_cpu

SIZE, SAMPLES = (18, 21), 40
SOURCES = np.random.default_rng(3).integers(0, 256, (SAMPLES, 24, 26, 3), dtype=np.uint8)
BY_MEAN = {"op": "contrast", "pivot": "mean"}
CHOICES = [
    [{"op": "random_resized_crop"}, {"op": "rand_augment", "num_ops": 3, "magnitude": 25}],
    [{"op": "rand_augment", "table": "timm_increasing"}, {"op": "gamma"}],
    [{"op": "auto_augment"}, {"op": "erasing"}],
    [{"op": "some_of", "n": 3, "replace": True, "of": [{"op": "brightness"}, BY_MEAN, {"op": "equalize"}]}],
    [{"op": "random_order", "of": [{"op": "autocontrast"}, {"op": "sharpen"}, {"op": "elastic"}]}, {"op": "equalize"}],
    [{"op": "one_of", "of": [{"op": "median_blur"}, {"op": "equalize"}, {"op": "rotation"}]}, {"op": "color_jitter"}],
]


def plans(pipeline):
    """The plan, and the same with a pass for whatever opens one."""
    plan = Plan.of(parse_pipeline(pipeline), Canvas(*SIZE, 3), "cover")
    return plan, replace(plan, passes=plan_passes(plan.tree, plan.padding, plan.passes[0].interpolation))


def render(executor, plan, sources, dtype):
    draws = plan.draw(11, Address(np.arange(SAMPLES), 0, 0))
    sizes = {True: [sources.shape[1:3]] * SAMPLES, False: [SIZE] * SAMPLES}
    cameras = [plan.cameras(pass_, draws, sizes[pass_.fits]) for pass_ in plan.passes]
    out = np.empty((SAMPLES, 3, *SIZE), dtype)
    executor.render(plan, list(sources), cameras, draws, out, lambda: None)
    return out


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
@pytest.mark.parametrize("pipeline", CHOICES)
def test_joined_passes_have_the_bits_of_separate_ones(pipeline, dtype):
    joined, separate = plans(pipeline)
    assert len(joined.passes) < len(separate.passes)
    for sources in (SOURCES, SOURCES[:, : SIZE[0], : SIZE[1]], SOURCES.astype(np.uint16) << 8):
        expected = render(open_cpu("fused"), separate, sources, dtype)
        np.testing.assert_array_equal(render(open_cpu("fused"), joined, sources, dtype), expected)


@pytest.mark.parametrize("pipeline", CHOICES[:2])
def test_the_reference_joins_them_too(pipeline):
    joined, separate = plans(pipeline)
    expected = render(open_cpu("kornia"), separate, SOURCES, np.uint8)
    np.testing.assert_array_equal(render(open_cpu("kornia"), joined, SOURCES, np.uint8), expected)


def schedule(pipeline, encodes=True):
    plan = plans(pipeline)[0]
    draws = plan.draw(11, Address(np.arange(SAMPLES), 0, 0))
    steps = plan_segments(plan)
    moved = [segment.opens and not segment.pass_.fits for segment in steps]
    return plan, draws, schedule_rows(steps, moved, draws, SAMPLES, encodes)


def test_a_sample_is_encoded_by_the_last_call_that_changes_it():
    plan, draws, (first, second) = schedule([{"op": "horizontal_flip"}, {"op": "rand_augment"}])
    names = [leaf.id for leaf in plan.tree.leaves]
    changed = np.any(
        [draw.selected for name, draw in zip(names, draws, strict=True) if name.startswith("rand_augment.2")], axis=0
    )
    assert 0 < changed.sum() < SAMPLES
    assert first.encoded.tolist() == np.flatnonzero(~changed).tolist()
    assert first.kept.tolist() == second.encoded.tolist() == np.flatnonzero(changed).tolist()
    assert second.kept.size == 0


def test_a_call_follows_an_opaque_operation_to_encode_what_it_changed():
    steps = [{"op": "downsample", "p": 0.5}, {"op": "gamma", "p": 0.5}]
    _, draws, (first, opaque, last) = schedule(steps)
    downsampled, curved = (draw.selected for draw in draws)
    assert first.encoded.tolist() == np.flatnonzero(~downsampled & ~curved).tolist()
    assert opaque.encoded.size == 0
    assert last.encoded.tolist() == np.flatnonzero(downsampled | curved).tolist()
    assert all(rows.encoded.size == 0 for rows in schedule(steps, encodes=False)[2])
