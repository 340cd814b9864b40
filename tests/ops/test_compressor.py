"""The compressor against the formulas of its paper, sample by sample; pieces of clips against slices."""

import math

import numpy as np
import pytest

from tests.ops.test_sound import RATE, through

pytestmark = pytest.mark.usefixtures("each_executor")
CLIP = np.random.default_rng(3).normal(0, 0.2, 3000) * np.repeat([0.05, 1.0, 0.2], 1000)


def compressed(clip, drawn, peak):
    half, slope, state, result = drawn["knee"] / 2, 1 - 1 / drawn["ratio"], 0.0, []
    for value in clip:
        excess = 20 * math.log10(max(abs(value) / peak, 2**-40)) - drawn["threshold"]
        if excess <= -half:
            wanted = 0.0
        elif excess < half:
            wanted = slope * (excess + half) ** 2 / (4 * half)
        else:
            wanted = slope * excess
        seconds = drawn["attack"] if wanted > state else drawn["release"]
        speed = math.exp(-1 / (seconds * RATE)) if seconds else 0.0
        state = speed * state + (1 - speed) * wanted
        result.append(value * 10 ** (-state / 20))
    return np.array(result)


@pytest.mark.parametrize("relative_to", ["peak", "full_scale"])
@pytest.mark.parametrize("knee", [0, 12])
def test_it_is_the_papers_compressor(relative_to, knee):
    clips = [CLIP.astype(np.float32), 5 * CLIP[:500]]
    step = {"op": "compressor", "knee": knee, "ratio": [1.5, 20], "relative_to": relative_to}
    result, draws = through([step], *clips)
    for clip, ours, drawn in zip(clips, result, draws, strict=True):
        peak = np.abs(clip.astype(np.float32)).max() if relative_to == "peak" else 1.0
        np.testing.assert_allclose(ours[: len(clip)], compressed(clip, drawn, peak), atol=2e-6)


def test_a_steady_level_falls_by_the_ratio_and_silence_stays():
    loud = np.tile([0.5, -0.5], 4000)
    step = {"op": "compressor", "threshold": -26.0206, "ratio": 4, "knee": 0, "relative_to": "full_scale"}
    result, _ = through([step], loud, np.zeros(100), np.full(50, 1e-6), np.ones(1))
    assert abs(20 * np.log10(abs(result[0, -1])) - (-26.0206 + 20 / 4)) < 0.01
    assert not result[1].any() and np.allclose(result[2, :50], 1e-6) and np.isfinite(result[3]).all()
    same, _ = through([{"op": "compressor", "ratio": 1}], CLIP)
    assert (same[0] == CLIP.astype(np.float32)).all()


def test_pieces_are_exchanged():
    ramp = np.arange(1.0, 1004.0)
    result, draws = through([{"op": "chunk_swap"}], *[ramp] * 20)
    for clip, drawn in zip(result, draws, strict=True):
        pieces = int(drawn["pieces"])
        parts = [ramp[k * 1003 // pieces : (k + 1) * 1003 // pieces] for k in range(pieces)]
        order = sorted(range(pieces), key=lambda k, drawn=drawn: drawn["order"][k])
        np.testing.assert_array_equal(clip, np.concatenate([parts[k] for k in order]))
    assert len({clip.tobytes() for clip in result}) > 15
    short, _ = through([{"op": "chunk_swap", "pieces": 16}], np.array([1.0, 2.0, 3.0]), np.zeros(0), np.ones(1))
    assert sorted(short[0]) == [1, 2, 3]
