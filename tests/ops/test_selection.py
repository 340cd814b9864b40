"""`p`: which samples are selected, and that the others pass unchanged; for every operation."""

import numpy as np
import pytest

from augsvc.ops.operation import Kind
from augsvc.ops.registry import registry
from augsvc.streams.probes import Probe
from tests.harness import ListSource, as_samples, over, patch

pytestmark = pytest.mark.usefixtures("each_executor")
SAMPLES = 100
IMAGES = [patch("coffee", 20, 24, top=k, left=2 * k) for k in range(SAMPLES)]
NAMES = [name for name, op in registry().items() if op.media == "image" and op.kind is not Kind.MIX]
EVERY = pytest.mark.parametrize("op", NAMES)
LATER = pytest.mark.parametrize("op", [name for name in NAMES if registry()[name].kind is not Kind.FRAME])
BORDERS = ("zeros", "reflect")
AROUND = {"size": [14, 30], "fit": "stretch", "aug_seed": 2}
CANVAS = {"size": [16, 30]}  # of no image's shape: there every frame differs from the fit


def run(pipeline, images, **fields):
    """A stream over images of a dataset with colour statistics."""
    return over(ListSource(as_samples(pipeline, images), Probe.info.colors), pipeline, **fields)


def steps_around(border, *steps):
    """A camera that shrinks, turns and stretches; the steps; then a noise, which merges with none before it."""
    before, after = {"op": "affine", "id": "before", "border": border}, {"op": "pixel_dropout", "id": "after"}
    return [before, *steps, after]


@pytest.fixture(scope="module")
def plain(each_executor):
    """The images on the canvas, without operations."""
    return run([], IMAGES, **CANVAS).images()


@pytest.fixture(scope="module")
def without_operation(each_executor):
    """The images after the steps around an operation alone, by border."""
    return {border: run(steps_around(border), IMAGES, **AROUND).images() for border in BORDERS}


def least(op):
    """The fraction of samples that change at the defaults: of a few whole numbers that are drawn, one is the identity's."""
    laws = [mark.law for mark in registry()[op].parameters().values()]
    return 0.65 if laws and all(law.whole for law in laws) else 0.8


def changed(found, expected):
    return (found != expected).any(axis=(1, 2, 3))


@EVERY
def test_p_0_is_never_and_p_1_is_always(op, plain):
    never, always = (run([{"op": op, "p": p}], IMAGES, **CANVAS) for p in (0.0, 1.0))
    assert not never.selected().any() and always.selected().all()
    np.testing.assert_array_equal(never.images(), plain)
    assert changed(always.images(), plain).mean() > least(op)  # draws near the identity leave a few as they are
    np.testing.assert_array_equal(run([{"op": op, "p": 0.0}], IMAGES).images(), np.stack(IMAGES))


@EVERY
def test_p_half_chooses_about_half_and_the_others_pass_bit_for_bit(op):
    stream = run([{"op": op, "p": 0.5}], IMAGES, aug_seed=4)
    chosen = stream.selected()
    assert abs(chosen.sum() - SAMPLES / 2) < 4 * np.sqrt(SAMPLES) / 2
    found = stream.images()
    assert not changed(found, IMAGES)[~chosen].any()
    always = run([{"op": op, "p": 1.0}], IMAGES, aug_seed=4).images()
    np.testing.assert_array_equal(found[chosen], always[chosen])  # p has a separate lane
    fitted = run([{"op": op, "p": 0.5}], IMAGES, **CANVAS, aug_seed=4)
    assert (fitted.images(epoch=1, count=20) != fitted.images(count=20)).any()


@LATER
@pytest.mark.parametrize("border", BORDERS)
def test_in_company_too_the_others_pass_bit_for_bit(op, border, without_operation):
    step = {"op": op, "p": 0.5} | ({"border": border} if "border" in registry()[op].model_fields else {})
    stream = run(steps_around(border, step), IMAGES, **AROUND)
    chosen = stream.selected(1)
    assert 0 < chosen.sum() < SAMPLES
    assert not changed(stream.images(), without_operation[border])[~chosen].any()


@LATER
def test_an_operation_that_selects_no_sample_does_not_separate_two_tones(op):
    """Its company's choice must not show: a sample alone is what it is in a batch where others were chosen (law L2)."""
    tone = {"op": "color_jitter", "brightness": [0.7, 1.3], "hue": [-0.2, 0.2]}
    stream = run([tone, {"op": op, "p": 0.5, "id": "between"}, {**tone, "id": "after"}], IMAGES[:8], aug_seed=2)
    together = stream.images()
    alone = np.concatenate([stream.images(start=at, count=1) for at in range(8)])
    assert not changed(alone, together).any()
