"""A call that is split over threads has the bytes of one that is not, and `fused` lowers it once."""

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import numpy as np
import pytest

from augsvc.errors import Cancelled
from augsvc.executors.fused import image
from augsvc.executors.protocol import run_ranges
from augsvc.numerics.geometry import Canvas
from augsvc.numerics.rng import Address
from augsvc.ops.kinds.border import EDGE
from augsvc.ops.pipeline import parse_pipeline
from augsvc.planning.image_plan import Plan
from tests.harness import open_cpu

SAMPLES = 5
PIPELINE = [
    {"op": "rotation"},
    {"op": "equalize", "p": 0.6},
    {"op": "contrast", "pivot": "mean", "p": 0.6},
    {"op": "median_blur", "p": 0.6},
    {"op": "erasing"},
]


def rendered(executor):
    """Images and masks of a batch."""
    images = np.random.default_rng(0).integers(0, 256, (SAMPLES, 20, 24, 3), dtype=np.uint8)
    plan = Plan.of(parse_pipeline(PIPELINE), Canvas(16, 18, 3), "cover")
    draws = plan.draw(7, Address(np.arange(SAMPLES), 0, 0))
    sizes = {True: [(20, 24)] * SAMPLES, False: [(16, 18)] * SAMPLES}
    cameras = [plan.cameras(step, draws, sizes[step.fits]) for step in plan.passes]
    out, masks = np.empty((SAMPLES, 3, 16, 18), np.uint8), np.empty((SAMPLES, 16, 18), np.uint8)
    executor.render(plan, list(images), cameras, draws, out, lambda: None)
    moves = [(camera, EDGE) for camera in cameras if camera]
    executor.move_masks([np.ascontiguousarray(rows[..., 0]) for rows in images], moves, masks, lambda: None)
    return out, masks


@pytest.mark.parametrize("threads", [2, 3, 8])
@pytest.mark.parametrize("name", ["fused", "kornia"])
def test_a_split_call_has_the_same_bytes(name, threads):
    executor = replace(open_cpu(name), threads=threads)
    with ThreadPoolExecutor(2) as workers:
        for split, whole in zip(rendered(executor.over(workers)), rendered(executor), strict=True):
            np.testing.assert_array_equal(split, whole)


def test_a_split_call_is_lowered_once(monkeypatch):
    calls, lower_move = [], image.lower_move
    monkeypatch.setattr(image, "lower_move", lambda *args: calls.append(args) or lower_move(*args))
    with ThreadPoolExecutor(2) as workers:
        rendered(replace(open_cpu("fused"), threads=2).over(workers))
    assert len(calls) == 1


def test_a_split_that_fails_has_ended_when_it_raises():
    """Kernels read arrays by their addresses, and after an error the caller may free them."""
    second, ran = threading.Event(), []

    def work(rows):
        if rows.start == 0:
            second.wait(10)
            raise Cancelled
        second.set()
        time.sleep(0.2)
        ran.append(rows.start)

    with ThreadPoolExecutor(2) as workers:
        with pytest.raises(Cancelled):
            run_ranges(work, 40, 1, 2, workers)
        ended = list(ran)
    assert ended and ran == ended, "the second range was awaited, and none ran afterwards"
    assert len(ran) < 39, "what had not begun never did"
