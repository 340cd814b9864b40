"""SpecAugment's time warp: the sound stays, three numbers travel, the client applies them."""

import numpy as np
import pytest
import torch
from scipy import interpolate

from augsvc_client import apply_time_warps
from tests.ops.test_sound import RATE, batch, open_clips

CLIPS = [np.ones(1600) * 0.5] * 40 + [np.ones(200), np.ones(790)]
WARP = {"op": "time_warp", "shift": [-0.05, 0.05]}
HOP = 80


def test_warps_travel_beside_the_sound():
    result, plain = (batch(open_clips(steps, CLIPS)) for steps in ([{**WARP, "p": 0.7}], []))
    assert result["audio"].tobytes() == plain["audio"].tobytes()
    warps = result["time_warps"]
    assert warps.dtype == np.int32 and warps.shape == (42, 3)
    used = warps[:, 2] > 0
    assert 15 < used[:40].sum() < 40 and not used[40:].any(), "no point of a short clip is 0.05 s from both ends"
    assert (np.abs(warps[used, 1] - warps[used, 0]) <= 0.05 * RATE).all() and len(np.unique(warps[used, 0])) > 10
    assert (warps[used, :2] > 0).all() and (warps[used, :2] < 1600).all() and (warps[used, 2] == 1600).all()


def test_a_batch_alone_has_the_same_warps_and_they_follow_a_change_of_speed():
    stream = open_clips([WARP, {"op": "spec_mask"}, {"op": "speed", "speed": 0.9}], CLIPS)
    whole = batch(stream, 5)
    for row in (0, 17, 41):
        alone = batch(stream, 5, row, 1)
        assert all(alone[name].tobytes() == whole[name][row : row + 1].tobytes() for name in alone)
    assert whole["time_warps"][41, 2] == whole["lengths"][41] == 878


@pytest.mark.parametrize("kind", [np.asarray, torch.from_numpy])
def test_the_client_applies_them(kind):
    features = np.random.default_rng(0).normal(0, 1, (3, 4, 25)).astype(np.float32)
    warps = np.array([[800, 1000, 1600], [0, 0, 0], [700, 300, 1000]], np.int32)
    warped = np.asarray(apply_time_warps(kind(features.copy()), {"time_warps": kind(warps)}, HOP))
    assert (warped[1] == features[1]).all()
    for row, frames in ((0, 20), (2, 13)):
        origin, target, length = warps[row]
        moved = interpolate.interp1d([0, target, length], [0, origin, length])(np.arange(frames) * HOP) / HOP
        between = interpolate.interp1d(np.arange(25), features[row], axis=1)(np.minimum(moved, frames - 1))
        np.testing.assert_allclose(warped[row, :, :frames], between, atol=1e-5)
        assert (warped[row, :, frames:] == features[row, :, frames:]).all()
    with pytest.raises(ValueError, match="time_warp"):
        apply_time_warps(features, {}, HOP)
    with pytest.raises(ValueError, match="3 clips"):
        apply_time_warps(features[:1], {"time_warps": warps}, HOP)
