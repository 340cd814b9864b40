"""Clips shorter than their window: operations see the clip alone, and what follows it stays zero."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from augsvc.data.builtin.tones import Tones
from augsvc.ops.operation import Operation
from augsvc.ops.pipeline import parse_pipeline, walk
from augsvc.ops.registry import registry
from augsvc.planning.spec import validate_spec
from augsvc.streams.probes import SoundProbe, sound_probe_spec
from augsvc.streams.stream import Stream
from tests.harness import compatible, executor
from tests.ops.test_sound import PIPELINES, RATE, batch, open_clips, tone

pytestmark = pytest.mark.usefixtures("each_executor")
WINDOW = 200_000  # a tenth of it has 20,000 deviates: ±0.04 dB at one standard error
FRACTIONS = [0.1, 0.25, 0.5, 0.75, 0.9, 1.0]


@pytest.mark.parametrize("snr", [0, 20])
def test_the_ratio_holds_over_the_clip_and_not_over_its_padding(snr):
    clips = [tone(round(fraction * WINDOW)) for fraction in FRACTIONS]
    result = batch(open_clips([{"op": "white_noise", "snr": snr}], clips))
    assert result["lengths"].tolist() == [len(clip) for clip in clips]
    for clip, noisy in zip(clips, result["audio"].astype(np.float64), strict=True):
        noise = noisy[: len(clip)] - clip.astype(np.float32)
        ratio = 20 * np.log10(np.sqrt(np.mean(clip**2)) / np.sqrt(np.mean(noise**2)))
        assert abs(ratio - snr) < 0.1
        assert not noisy[len(clip) :].any()


def has_partners(pipeline):
    return any(isinstance(step, Operation) and step.takes_partners for _, step in walk(parse_pipeline(pipeline)))


@pytest.mark.parametrize("pipeline", [one for one in PIPELINES if not has_partners(one)], ids=str)
def test_a_clip_is_augmented_as_in_a_window_that_it_fills(pipeline):
    """The same index, so the same draws: every sample of the clip is the same, and zeros follow, without a sign.

    A convolution rounds by the length of its transforms, which is that of the window.
    """
    tolerance = 1e-6 if "room_reverb" in str(pipeline) else 0.0
    clips = [tone(length, hertz=300.0) for length in (700, 1, 2047, 2048, 2049, 5000)]
    stream, alone = open_clips(pipeline, clips), [open_clips(pipeline, [clip] * len(clips)) for clip in clips]
    for epoch in range(3):
        result = batch(stream, epoch)
        padded, lengths = result["audio"], result["lengths"].tolist()
        assert stream.plan.changes_lengths or lengths == [len(clip) for clip in clips]
        for row, clip in enumerate(clips):
            (expected,) = batch(alone[row], epoch, row, 1)["audio"]
            np.testing.assert_allclose(padded[row, : len(clip)], expected, rtol=0, atol=tolerance)
            assert not padded[row, lengths[row] :].view(np.uint32).any()


@given(st.floats(-1, 1), st.integers(1, 400), st.integers(0, 400))
def test_a_shift_is_a_fraction_of_the_clip_and_stays_within_it(fraction, samples, padding):
    ramp = np.arange(1.0, samples + 1) / samples
    stream = open_clips([{"op": "time_shift", "shift": fraction}], [ramp], seconds=(samples + padding) / RATE)
    delay = int(np.floor(fraction * samples + 0.5))
    expected = np.zeros(samples + padding)
    expected[max(delay, 0) : samples + min(delay, 0)] = ramp[max(-delay, 0) : samples - max(delay, 0)]
    assert (batch(stream)["audio"][0] == expected.astype(np.float32)).all()


@pytest.mark.parametrize("pipeline", PIPELINES, ids=str)
def test_an_empty_clip_is_silent(pipeline):
    result = batch(open_clips(pipeline, [np.zeros(0), tone(100)]))
    assert result["lengths"].tolist() == [0, 100]
    assert not result["audio"][0].any()
    assert np.isfinite(result["audio"]).all()


def test_lengths_are_those_at_the_rate_of_the_stream_and_in_its_window():
    stream = Stream.open(sound_probe_spec({}), SoundProbe(), executor())
    lengths = batch(stream)["lengths"]
    assert lengths.dtype == np.int32
    # 800 samples at 8000 Hz, from clips of (samples, rate): see augsvc.streams.probes
    assert lengths.tolist() == [800, 800, 363, 800, 0, 800, 600, 800]


@settings(max_examples=40)
@given(
    names=st.lists(st.sampled_from([name for name, op in registry().items() if op.media == "audio"]), min_size=1),
    lengths=st.lists(st.integers(0, 300), min_size=2, max_size=8),
    epoch=st.integers(0, 2**24 - 1),
)
def test_l2_lengths_of_other_clips_change_nothing(names, lengths, epoch):
    generator = np.random.default_rng(2)
    clips = [generator.normal(0, 0.3, size=length) for length in lengths]
    stream = open_clips(compatible([{"op": name, "p": 0.8} for name in names]), clips, seconds=300 / RATE)
    whole = batch(stream, epoch)
    for row in range(len(clips)):
        for name, array in batch(stream, epoch, row, 1).items():
            assert array.tobytes() == whole[name][row : row + 1].tobytes(), name


@pytest.mark.parametrize(
    ("seconds", "rate", "pads"),
    [(1.0, 16_000, False), (0.5, 16_000, False), (1.0, 44_100, False), (0.01, 8_000, False), (1.5, 16_000, True)],
)
def test_a_stream_whose_clips_fill_their_windows_has_no_lengths(seconds, rate, pads):
    spec = validate_spec({"dataset": "tones/test", "seconds": seconds, "sample_rate": rate})
    stream = Stream.open(spec, Tones("test"), executor())
    result = batch(stream, count=3)
    assert ("lengths" in result) == ("lengths" in stream.layout.tensors) == pads
    if pads:
        assert result["lengths"].tolist() == [16_000] * 3
        assert not result["audio"][:, 16_000:].any()
