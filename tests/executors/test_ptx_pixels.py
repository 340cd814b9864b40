"""The PTX of the CUDA kernels, run instruction by instruction, gives the CPU's pixels."""

from importlib.util import find_spec

import numpy as np
import pytest

from augsvc.numerics.geometry import Canvas
from augsvc.numerics.rng import Address
from augsvc.ops.pipeline import parse_pipeline
from augsvc.planning.image_plan import Plan
from tests.harness import open_cpu

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(find_spec("numba_cuda") is None, reason="numba-cuda is not installed"),
]
SIDE = 14  # less than a block of 256 threads: some have no pixel
PIPELINES = {
    "tones, a blur and noise": [
        {"op": "rotation", "degrees": [15, 15]},
        {"op": "color_jitter"},
        {"op": "gaussian_blur", "sigma": [0.65, 0.65]},
        {"op": "gaussian_noise", "std": [0.03, 0.03]},
    ],
    "perspective, dropout and a rectangle": [
        {"op": "perspective", "distortion": [0.4, 0.4], "border": "reflect"},
        {"op": "gamma"},
        {"op": "pixel_dropout", "rate": [0.2, 0.2]},
        {"op": "erasing", "p": 1.0},
    ],
    "a dense filter, between two moves": [
        {"op": "affine", "scale": [0.4, 0.4], "border": "edge"},
        {"op": "motion_blur", "length": [5, 5]},
        {"op": "affine", "degrees": [40, 40], "border": "zeros"},
    ],
}


@pytest.mark.parametrize("name", PIPELINES)
def test_compiled_kernels_render_the_pixels_of_the_cpu(name):
    from benchmarks.ptx_device import InterpretedDevice, interpreted

    image = np.random.default_rng(0).integers(0, 256, (31, 23, 3), dtype=np.uint8)
    plan = Plan.of(parse_pipeline(PIPELINES[name]), Canvas(SIDE, SIDE, 3), "cover")
    draws = plan.draw(7, Address(np.array([5]), 1, 0))
    cameras = [plan.cameras(pass_, draws, [image.shape[:2]]) for pass_ in plan.passes]
    device = InterpretedDevice()
    expected, result = (np.zeros((1, 3, SIDE, SIDE), np.uint8) for _ in range(2))
    open_cpu("fused").render(plan, [image], cameras, draws, expected, lambda: None)
    interpreted(device).render(plan, [image], cameras, draws, result, lambda: None)
    assert device.counts and min(min(counts) for counts in device.counts.values()) > 0
    assert (result == expected).all()
    assert expected.std() > 10
