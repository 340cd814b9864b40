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
    masked = np.asarray(apply_spec_masks(kind(features.copy()), masks, hop=160, value=0.0))
    expected = features.copy()
    expected[0, :, 2:4] = 0
    expected[1, 10:20] = expected[1, 70:80] = 0
    assert (masked == expected).all()
    mean = np.asarray(apply_spec_masks(kind(features.copy()), masks, hop=160))
    np.testing.assert_allclose(mean[1, 15], features[1].mean(), atol=1e-6)
    with pytest.raises(ValueError, match="up to bin 80, and the features have 79"):
        apply_spec_masks(kind(features[:, :79].copy()), masks, hop=160)
    with pytest.raises(ValueError, match="spec_mask"):
        apply_spec_masks(features, {}, hop=160)
    with pytest.raises(ValueError, match="2 clips"):
        apply_spec_masks(features[:1], masks, hop=160)


def test_one_in_a_pipeline():
    with pytest.raises(SpecInvalid, match="at most one spec_mask"):
        open_clips([{"op": "spec_mask"}, {"op": "spec_mask"}], [np.ones(RATE)])


def test_one_of_several_for_each_clip():
    few, many = ({"op": "spec_mask", "time_masks": n, "freq_masks": 8 - n} for n in (2, 5))
    stream = open_clips([{"op": "one_of", "of": [few, many]}], CLIPS)
    result = batch(stream)
    assert result["time_masks"].shape == (41, 5, 2) and result["freq_masks"].shape == (41, 6, 2)
    chosen = [stream.receipt(0, row, 0)["operations"] for row in range(41)]
    assert len({str(operations) for operations in chosen}) > 1
    has_many = result["time_masks"][:, 2:].any(axis=(1, 2))
    assert 5 < has_many.sum() < 36
    assert not result["freq_masks"][has_many, 3:].any() and result["freq_masks"][~has_many, 3:].any()


@pytest.mark.parametrize(("op", "more"), [("spec_mask", {}), ("mixup_sound", {"alpha": 8.0})])
def test_one_in_a_random_order(op, more):
    container = {
        "op": "random_order",
        "of": [{"op": op, "p": 0.7, **more}, {"op": "gain", "gain": 6}, {"op": "polarity"}],
    }
    stream = open_clips([container], CLIPS)
    whole = batch(stream)
    for row in range(0, 41, 8):
        for name, array in batch(stream, 0, row, 1).items():
            assert array.tobytes() == whole[name][row : row + 1].tobytes(), name
        receipt = stream.receipt(0, row, 0)
        assert len(receipt.get("partners", [])) == ("mix_weight" in whole and whole["mix_weight"][row] < 1)
    used = whole["time_masks"].any(axis=(1, 2)) if op == "spec_mask" else whole["mix_weight"] < 1
    assert 15 < used.sum() < 40
    with pytest.raises(SpecInvalid, match=f"some_of.1.{op} and some_of.2.{op} may apply together"):
        open_clips([{"op": "some_of", "n": 2, "replace": True, "of": [{"op": op}]}], CLIPS)
