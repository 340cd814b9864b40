"""`p`: which samples are selected, and that the others pass unchanged; for every operation."""

import numpy as np
import pytest

from augsvc.ops.registry import registry
from tests.harness import patch, run

pytestmark = pytest.mark.usefixtures("each_executor")
SAMPLES = 200
IMAGES = [patch("coffee", 20, 24, top=k, left=2 * k) for k in range(SAMPLES)]
EVERY = pytest.mark.parametrize("op", [name for name, operation in registry().items() if operation.media == "image"])


def changed(found, expected):
    return (found != expected).any(axis=(1, 2, 3))


@EVERY
def test_p_0_is_never_and_p_1_is_always(op):
    never, always = (run([{"op": op, "p": p}], IMAGES) for p in (0.0, 1.0))
    assert not never.selected().any() and always.selected().all()
    np.testing.assert_array_equal(never.images(), np.stack(IMAGES))
    assert changed(always.images(), IMAGES).mean() > 0.8  # draws near the identity leave a few as they are


@EVERY
def test_p_half_chooses_about_half_and_the_others_pass_bit_for_bit(op):
    stream = run([{"op": op, "p": 0.5}], IMAGES, aug_seed=4)
    chosen = stream.selected()
    assert abs(chosen.sum() - SAMPLES / 2) < 4 * np.sqrt(SAMPLES) / 2
    found = stream.images()
    assert not changed(found, IMAGES)[~chosen].any()
    always = run([{"op": op, "p": 1.0}], IMAGES, aug_seed=4).images()
    np.testing.assert_array_equal(found[chosen], always[chosen])  # p has a separate lane
    assert (stream.images(epoch=1) != found).any()


@EVERY
@pytest.mark.parametrize("border", ["zeros", "reflect"])
def test_in_company_too_the_others_pass_bit_for_bit(op, border):
    """First a camera that shrinks, turns and stretches; the operation; then a noise, which merges with none before it."""
    before = [{"op": "affine", "id": "before", "border": border}]
    after = [{"op": "pixel_dropout", "id": "after"}]
    fields = {"size": [14, 30], "fit": "stretch", "aug_seed": 2}
    step = {"op": op, "p": 0.5} | ({"border": border} if "border" in registry()[op].model_fields else {})
    stream, without = run([*before, step, *after], IMAGES, **fields), run([*before, *after], IMAGES, **fields)
    chosen = stream.selected(1)
    assert 0 < chosen.sum() < SAMPLES
    assert not changed(stream.images(), without.images())[~chosen].any()


@EVERY
def test_an_operation_that_selects_no_sample_does_not_separate_two_tones(op):
    """Its company's choice must not show: a sample alone is what it is in a batch where others were chosen (law L2)."""
    tone = {"op": "color_jitter", "brightness": [0.7, 1.3], "hue": [-0.2, 0.2]}
    stream = run([tone, {"op": op, "p": 0.5, "id": "between"}, {**tone, "id": "after"}], IMAGES[:16], aug_seed=2)
    together = stream.images()
    alone = np.concatenate([stream.images(start=at, count=1) for at in range(16)])
    assert not changed(alone, together).any()
