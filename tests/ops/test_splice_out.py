"""SpliceOut against torch-audiomentations' formula on recorded draws."""

import numpy as np
import pytest

from tests.ops.test_sound import RATE, batch, open_clips, through

pytestmark = pytest.mark.usefixtures("each_executor")


def spliced(clip, widths, positions):
    for width, position in zip(widths, positions, strict=True):
        half = min(int(np.floor(width * RATE / 2 + 0.5)), len(clip) // 2)
        first = min(int(position * (len(clip) - 2 * half + 1)), len(clip) - 2 * half)
        window = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(2 * half) / max(2 * half, 1))
        middle, last = first + half, first + 2 * half
        joined = window[half:] * clip[first:middle] + window[:half] * clip[middle:last]
        clip = np.concatenate((clip[:first], joined, clip[last:]))
    return clip


def test_intervals_are_cut_out_and_their_halves_fade_into_each_other():
    clips = [np.random.default_rng(k).normal(0, 0.2, 9000 - 1500 * k) for k in range(6)]
    steps = [{"op": "splice_out", "count": [1, 16], "width": [0, 0.2]}]
    result, draws = through(steps, *clips)
    lengths = batch(open_clips(steps, clips))["lengths"]
    for clip, ours, length, drawn in zip(clips, result, lengths, draws, strict=True):
        count = int(drawn["count"])
        expected = spliced(clip, drawn["width"][:count], drawn["position"][:count])
        assert length == len(expected) and not ours[length:].any()
        np.testing.assert_allclose(ours[:length], expected, atol=1e-6)
    assert (lengths < [len(clip) for clip in clips]).all()


@pytest.mark.parametrize("samples", [0, 1, 2, 3, 5])
def test_the_shortest_clips_are_defined(samples):
    result = batch(open_clips([{"op": "splice_out", "width": 1}], [np.ones(samples), np.ones(9)]))
    assert result["lengths"][0] == (samples > 0) and np.isfinite(result["audio"]).all()


def test_an_interval_of_no_width_changes_nothing():
    clip = np.random.default_rng(0).normal(0, 0.2, 500).astype(np.float32)
    assert (through([{"op": "splice_out", "width": 0}], clip)[0][0] == clip).all()
