"""SpecAugment's masks: the sound stays, the intervals travel, the client applies them."""

import numpy as np
import pytest
import torch

from augsvc.errors import SpecInvalid
from augsvc_client import apply_spec_masks
from tests.ops.test_sound import RATE, batch, open_clips

CLIPS = [np.ones(1600) * 0.5] * 40 + [np.ones(200)]


def test_masks_travel_beside_the_sound():
    step = {"op": "spec_mask", "time_masks": 3, "freq_masks": 2, "freq_width": [0, 27], "p": 0.7}
    result, plain = (batch(open_clips(steps, CLIPS)) for steps in ([step], []))
    assert result["audio"].tobytes() == plain["audio"].tobytes()
    times, bins = result["time_masks"], result["freq_masks"]
    assert times.dtype == bins.dtype == np.int32
    assert times.shape == (41, 3, 2) and bins.shape == (41, 2, 2)
    widths = bins[..., 1] - bins[..., 0]
    assert (bins >= 0).all() and (bins <= 80).all() and widths.max() <= 27 and len(np.unique(widths)) > 15
    assert (times[:40] <= 1600).all() and (times[40] <= 200).all(), "within the clip, without its padding"
    assert ((times[..., 1] - times[..., 0]) <= 80).all()
    assert 0.4 < (times[..., 1].any(axis=1)).mean() < 0.95, "empty where p does not select the clip"


def test_a_batch_alone_has_the_same_masks():
    stream = open_clips([{"op": "spec_mask"}], CLIPS)
    whole = batch(stream, 5)
    for row in (0, 17, 40):
        alone = batch(stream, 5, row, 1)
        assert all(alone[name].tobytes() == whole[name][row : row + 1].tobytes() for name in alone)


def test_masks_follow_a_change_of_speed():
    steps = [{"op": "spec_mask", "time_width": 1.0, "time_masks": 1}, {"op": "speed", "speed": 2.0}]
    result = batch(open_clips(steps, CLIPS))
    assert (result["time_masks"][:, 0, 1] == result["lengths"]).all()


@pytest.mark.parametrize("kind", [np.asarray, torch.from_numpy])
def test_the_client_applies_them(kind):
    features = np.random.default_rng(0).normal(0, 1, (2, 80, 100)).astype(np.float32)
    masks = {
        "time_masks": kind(np.array([[[320, 640]], [[0, 0]]], np.int32)),
        "freq_masks": kind(np.array([[[0, 0], [0, 0]], [[10, 20], [70, 80]]], np.int32)),
    }
    masked = np.asarray(apply_spec_masks(kind(features.copy()), masks, hop=160))
    expected = features.copy()
    expected[0, :, 2:4] = 0
    expected[1, 10:20] = expected[1, 70:80] = 0
    assert (masked == expected).all()
    mean = np.asarray(apply_spec_masks(kind(features.copy()), masks, hop=160, value=None))
    np.testing.assert_allclose(mean[1, 15], features[1].mean(), atol=1e-6)
    with pytest.raises(ValueError, match="spec_mask"):
        apply_spec_masks(features, {}, hop=160)
    with pytest.raises(ValueError, match="2 clips"):
        apply_spec_masks(features[:1], masks, hop=160)


def test_one_in_a_pipeline():
    with pytest.raises(SpecInvalid, match="at most one spec_mask"):
        open_clips([{"op": "spec_mask"}, {"op": "spec_mask"}], [np.ones(RATE)])
