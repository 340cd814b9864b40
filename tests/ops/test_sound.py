"""Operations on sound against formulas in float64, and the laws for sound."""

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from augsvc.arrays import Sample
from augsvc.data.source import Source, SourceInfo
from augsvc.errors import SizeRequired, SpecInvalid
from augsvc.numerics.rng import Address
from augsvc.ops.kinds.audio import Clip
from augsvc.ops.kinds.sound_opaque import SoundOpaque
from augsvc.ops.operation import Kind
from augsvc.ops.pipeline import parse_pipeline
from augsvc.ops.registry import registry
from augsvc.planning.audio_plan import SoundPlan
from augsvc.planning.spec import validate_spec
from augsvc.streams.probes import SoundProbe, sound_probe_spec
from augsvc.streams.stream import Stream
from augsvc_client.wire import parse
from tests.harness import compatible, executor, open_cpu, using

pytestmark = pytest.mark.usefixtures("each_executor")
WORKERS = ThreadPoolExecutor(2)
RATE = 8000
SOUNDS = [name for name, operation in registry().items() if operation.media == "audio"]
OPAQUE = [name for name in SOUNDS if issubclass(registry()[name], SoundOpaque)]
PIPELINES = [
    *([{"op": name, "p": 0.7}] for name in SOUNDS),
    *([{"op": "distortion", "mode": mode, "amount": [0, 1]}] for mode in ("tanh", "clip", "crush")),
    "sound",
    [{"op": "white_noise"}, {"op": "time_shift", "shift": [-1, 1]}, {"op": "white_noise"}, {"op": "gain"}],
]


class Clips(Source):
    """Clips held in memory, all at one rate."""

    def __init__(self, clips):
        self.clips = [np.asarray(clip, dtype=np.float32) for clip in clips]
        self.info = SourceInfo(
            name="clips", version="1", classes=("a",), channels=1, size=None, media="audio", sample_rate=RATE
        )

    def __len__(self):
        return len(self.clips)

    def read(self, index):
        return Sample(None, 0, audio=self.clips[index], rate=RATE)

    def labels(self):
        return np.zeros(len(self.clips), dtype=np.int64)

    def describe(self, index):
        return f"clip {index}"


def tone(samples=4000, hertz=440.0, loud=0.5):
    return loud * np.sin(2 * np.pi * hertz * np.arange(samples) / RATE)


def open_clips(pipeline, clips, **fields):
    samples = max(len(clip) for clip in clips)
    spec = {"dataset": "clips", "pipeline": pipeline, "seconds": samples / RATE, "shuffle": False, **fields}
    return Stream.open(validate_spec(spec), Clips(clips), executor())


def batch(stream, epoch=0, start=0, count=None, view=0):
    body = stream.produce(epoch, start, count or stream.samples, view, WORKERS, lambda: None)
    return parse(body.buffer)[0]


def through(pipeline, *clips, **fields):
    """The clips, and what became of them, in float64; with the receipts of the first operation."""
    stream = open_clips(pipeline, clips, **fields)
    draws = [stream.receipt(0, at, 0)["operations"][0]["draws"] for at in range(len(clips))]
    return batch(stream)["audio"].astype(np.float64), draws


def test_without_a_pipeline_a_clip_is_itself():
    clip = tone().astype(np.float32)
    seen = batch(open_clips([], [clip]))
    assert seen.keys() == {"audio", "lengths", "label", "index", "valid"}  # the source does not state a length
    assert seen["audio"].dtype == np.float32
    assert seen["audio"][0].tobytes() == clip.tobytes()


def test_longer_clips_keep_their_middle_and_shorter_ones_are_followed_by_zeros():
    ramp = np.arange(1, 1001) / 1000
    seen = batch(open_clips([], [ramp, ramp[:100]], seconds=500 / RATE))["audio"]
    assert seen[0].tobytes() == ramp[250:750].astype(np.float32).tobytes()
    assert (seen[1, :100] == ramp[:100].astype(np.float32)).all()
    assert not seen[1, 100:].any()


@given(st.floats(-1, 1), st.integers(1, 400))
def test_time_shift_moves_zeros_in(share, samples):
    ramp = np.arange(1.0, samples + 1) / samples
    seen, _ = through([{"op": "time_shift", "shift": share}], ramp)
    by = int(np.floor(share * samples + 0.5))
    expected = np.zeros(samples)
    expected[max(by, 0) : samples + min(by, 0)] = ramp[max(-by, 0) : samples - max(by, 0)]
    assert (seen[0] == expected.astype(np.float32)).all()


@settings(max_examples=50)
@given(st.lists(st.floats(-1, 1), min_size=1, max_size=5), st.integers(1, 60))
def test_shifts_in_a_row_are_one_window_and_lose_what_they_push_out(shares, samples):
    ramp = np.arange(1.0, samples + 1).astype(np.float32)
    steps = [{"op": "time_shift", "shift": share} for share in shares]
    one_by_one = ramp
    for step in steps:
        one_by_one = through([step], one_by_one)[0][0].astype(np.float32)
    assert (through(steps, ramp)[0][0] == one_by_one).all()
    assert len(open_clips(steps, [ramp]).plan.passes) == 1


def test_gain_is_in_decibels_and_clips_nothing():
    clips = [tone(loud=0.9)] * 20
    seen, draws = through([{"op": "gain", "gain": [-60, 60]}], *clips)
    for clip, drawn in zip(seen, draws, strict=True):
        expected = tone(loud=0.9).astype(np.float32) * 10 ** (drawn["gain"] / 20)
        np.testing.assert_allclose(clip, expected, rtol=3e-7, atol=1e-6)
    assert np.abs(seen).max() > 10


def test_tanh_bends_softly():
    ramp = np.linspace(-1, 1, 4001)
    seen, draws = through([{"op": "distortion", "mode": "tanh", "amount": [0, 1]}], *[ramp] * 16)
    for clip, drawn in zip(seen, draws, strict=True):
        k = 10 * drawn["amount"]
        np.testing.assert_allclose(clip, np.tanh(k * ramp) / np.tanh(k), atol=1.2e-5)
        assert np.abs(clip).max() <= 1.0


def test_clip_holds_within_full_scale():
    ramp = np.linspace(-1, 1, 4001).astype(np.float32)
    seen, draws = through([{"op": "distortion", "mode": "clip", "amount": [0, 1]}], *[ramp] * 16)
    for clip, drawn in zip(seen, draws, strict=True):
        np.testing.assert_allclose(clip, np.clip(ramp / (1 - 0.9 * drawn["amount"]), -1, 1), atol=2e-6)
    assert np.abs(seen).max() == 1.0


def test_crush_leaves_multiples_of_a_step():
    ramp = np.linspace(-1, 1, 4001).astype(np.float32)
    seen, draws = through([{"op": "distortion", "mode": "crush", "amount": [0.2, 1]}], *[ramp] * 16)
    for clip, drawn in zip(seen, draws, strict=True):
        step = np.rint((2.0 ** (14 * drawn["amount"]) - 1) / 2**15 * 2**24) / 2**24  # in fixed point
        assert np.abs(clip - ramp).max() <= step / 2 + 1e-6
        assert np.abs(clip / step - np.rint(clip / step)).max() < 1e-3
        assert len(np.unique(clip)) <= 2 / step + 2


@pytest.mark.parametrize("mode", ["tanh", "clip", "crush"])
def test_distortion_of_amount_0_changes_nothing(mode):
    ramp = np.linspace(-1, 1, 4001).astype(np.float32)
    seen, _ = through([{"op": "distortion", "mode": mode, "amount": 0}], ramp)
    np.testing.assert_allclose(seen[0], ramp, atol=1e-6)


@pytest.mark.parametrize("snr", [0, 10, 30])
def test_white_noise_has_its_ratio_and_its_law(snr):
    clips = [tone(16000, loud=loud) for loud in (1e-12, 1e-5, 0.9, 30_000)]
    seen, _ = through([{"op": "white_noise", "snr": snr}], *clips)
    added = seen - np.stack(clips).astype(np.float32)
    for clip, noise in zip(clips, added, strict=True):
        ratio = 20 * np.log10(np.sqrt(np.mean(clip**2)) / noise.std())
        assert abs(ratio - snr) < 0.1  # 16,000 deviates: ±0.05 dB at one standard error
        assert stats.kstest(noise / noise.std(), "norm").pvalue > 1e-4
        assert abs(np.corrcoef(noise[1:], noise[:-1])[0, 1]) < 0.04  # white
    assert abs(np.corrcoef(added)[0, 1]) < 0.04  # and not the same for two clips


@pytest.mark.parametrize("pipeline", PIPELINES, ids=str)
def test_the_kernel_gives_the_bits_of_the_reference(pipeline):
    found = []
    for name in ("fused", "kornia"):
        stream = Stream.open(sound_probe_spec({"pipeline": pipeline}), SoundProbe(), open_cpu(name))
        found.append([batch(stream, epoch)["audio"].tobytes() for epoch in range(3)])
    assert found[0] == found[1]


@pytest.mark.parametrize("loud", [1e-45, 1e-35, 1e-20, 1.0, 1e20, 1e36])
def test_they_agree_on_clips_of_any_size(loud):
    steps = [
        {"op": "distortion", "mode": "crush", "amount": 0.9},
        {"op": "time_shift", "shift": -0.4},
        {"op": "white_noise"},
    ]
    clips = [
        tone(1000, loud=1.0).astype(np.float32) * np.float32(loud),
        np.zeros(1000),
        np.full(1000, loud, np.float32),
    ]
    found = []
    for name in ("fused", "kornia"):
        with using(name):
            found.append(
                [batch(open_clips(steps[at:], clips), epoch)["audio"] for at in range(3) for epoch in range(2)]
            )
    for ours, theirs in zip(*found, strict=True):
        assert ours.tobytes() == theirs.tobytes() and np.isfinite(ours).all()


def test_gains_without_end_stay_finite():
    seen, _ = through([{"op": "gain", "gain": 60}] * 30 + [{"op": "white_noise", "snr": -20}], tone())
    assert np.isfinite(seen).all()
    assert np.abs(seen).max() >= 2.0**60


@pytest.mark.parametrize(
    "louder",
    [
        {"op": "gain_transition", "start_gain": 40, "end_gain": 40},
        {"op": "white_noise", "snr": -20, "p": 1.0},
        {"op": "colored_noise", "snr": -20, "p": 1.0},
        {"op": "peaking", "frequency": 440, "gain": 24, "q": 0.5, "p": 1.0},
        {"op": "speed", "speed": 0.99},
    ],
    ids=lambda step: step["op"],
)
def test_many_operations_at_their_limits_stay_finite(louder):
    """A curve looks its values up: NaN would be looked up far outside of it."""
    last = [{"op": "time_mask", "length": 0.2}, {"op": "distortion", "amount": 0.5, "p": 1.0}]
    for steps in ([], last):
        seen, _ = through([{"op": "gain", "gain": 60}] * 7 + [louder] * (57 - len(steps)) + steps, tone(400), tone(9))
        assert np.isfinite(seen).all()
        assert np.abs(seen).max() >= (0.5 if steps else 2.0**40)


def test_a_sample_that_is_not_a_number_stays_within_a_curve():
    clip = np.array([np.nan, -np.inf, np.inf, 0.5, np.nan], np.float32)
    seen, _ = through([{"op": "distortion", "amount": 0.5, "p": 1.0}], clip)
    assert np.isfinite(seen[0, 1:4]).all()


@pytest.mark.parametrize("op", OPAQUE)
def test_opaque_operations_bound_the_samples_that_they_take(op):
    clip = np.resize(np.array([3e38, -3e38], np.float32), 600)
    for steps in ([{"op": op}], [{"op": op}, {"op": "distortion", "amount": 0.5, "p": 1.0}]):
        result, _ = through(steps, clip)
        assert np.isfinite(result).all() and np.abs(result).max() <= 2.0**60


def test_a_silent_clip_stays_silent():
    seen, _ = through("sound", np.zeros(1000), np.zeros(1))
    assert not seen.any()


def test_the_level_is_that_of_the_clip_as_it_comes_in():
    """Half of the clip is shifted out, so half of the power is left."""
    steps = [{"op": "time_shift", "shift": 0.5}, {"op": "gain", "gain": -20}, {"op": "white_noise", "snr": 0}]
    clip = tone(16000)
    stream = open_clips(steps, [clip])
    seen = batch(stream)["audio"][0].astype(np.float64)
    signal = np.concatenate((np.zeros(8000), clip[:8000])) / 10
    assert abs(20 * np.log10(np.sqrt(np.mean(signal**2)) / (seen - signal).std())) < 0.1
    assert [list(part) for part in stream.plan.describe()] == [["move", "tone"], ["noise"]]


@pytest.mark.parametrize("pipeline", PIPELINES, ids=str)
def test_l2_a_clip_does_not_depend_on_its_company(pipeline):
    stream = Stream.open(sound_probe_spec({"pipeline": pipeline, "shuffle": True}), SoundProbe(), executor())
    for epoch in range(3):
        whole = batch(stream, epoch)
        for start in range(stream.samples):
            for name, array in batch(stream, epoch, start, 1).items():
                assert array.tobytes() == whole[name][start : start + 1].tobytes(), name


@settings(max_examples=40)
@given(
    names=st.lists(st.sampled_from(SOUNDS), min_size=1, max_size=5),
    p=st.sampled_from([0.3, 1.0]),
    cuts=st.lists(st.integers(1, 39), max_size=4, unique=True),
    seconds=st.sampled_from([1 / RATE, 0.01, 0.0437]),
    epoch=st.integers(0, 2**24 - 1),
)
def test_l2_any_pipeline_cut_anyhow(names, p, cuts, seconds, epoch):
    generator = np.random.default_rng(1)
    clips = [generator.normal(0, 0.3, size=int(generator.integers(1, 700))) for _ in range(40)]
    stream = open_clips(compatible([{"op": name, "p": p} for name in names]), clips, seconds=seconds)
    whole = batch(stream, epoch)["audio"]
    assert np.isfinite(whole).all()
    for start, end in zip([0, *sorted(cuts)], [*sorted(cuts), 40], strict=True):
        assert batch(stream, epoch, start, end - start)["audio"].tobytes() == whole[start:end].tobytes()


def test_l4_epochs_views_and_clips_are_all_transformed_differently():
    stream = open_clips([{"op": "white_noise", "snr": 0}], [tone()] * 4)
    seen = {
        clip.tobytes() for epoch in range(4) for view in range(3) for clip in batch(stream, epoch, view=view)["audio"]
    }
    assert len(seen) == 4 * 3 * 4


@given(
    name=st.sampled_from([name for name in SOUNDS if registry()[name].kind is not Kind.FRAME]), place=st.integers(0, 3)
)
def test_l5_another_operation_leaves_the_draws_alone(name, place):
    before = [{"op": "time_shift"}, {"op": "gain"}, {"op": "white_noise"}]
    after = [*before[:place], {"op": name, "id": "added"}, *before[place:]]
    found = []
    for pipeline in (before, after):
        plan = SoundPlan.of(parse_pipeline(pipeline), Clip(100, RATE))
        draws = zip(plan.operations, plan.draw(3, Address(np.arange(9), 2, 0)), strict=True)
        found.append({op.id: {lane: words.tolist() for lane, words in draw.words.items()} for op, draw in draws})
    assert {id: found[1][id] for id in found[0]} == found[0]


@pytest.mark.parametrize(
    ("fields", "error", "named"),
    [
        ({"seconds": None}, SizeRequired, "seconds"),
        ({"seconds": 1e-9}, SpecInvalid, "seconds"),
        ({"seconds": 86400, "sample_rate": 384_000}, SpecInvalid, "seconds"),
        ({"size": [32, 32]}, SpecInvalid, "size"),
        ({"fit": "contain"}, SpecInvalid, "fit"),
        ({"output": {"layout": "NHWC"}}, SpecInvalid, "output"),
        ({"pipeline": [{"op": "gain"}, {"op": "rotation"}]}, SpecInvalid, "pipeline.1.op"),
        ({"pipeline": "standard"}, SpecInvalid, "pipeline.0.op"),
    ],
)
def test_what_has_no_meaning_for_sound_is_refused_by_name(fields, error, named):
    spec = validate_spec({"dataset": "clips", "seconds": 0.1, **fields})
    with pytest.raises(error) as refused:
        Stream.open(spec, Clips([tone()]), executor())
    assert refused.value.field == named


def test_the_canonical_form_holds_what_the_medium_has():
    spec = open_clips("sound", [tone()]).spec
    assert {"seconds", "sample_rate"} <= spec.fields().keys()
    assert not {"size", "fit", "channels", "output"} & spec.fields().keys()
    assert validate_spec(spec.fields()).for_audio(None, None).canonical() == spec.canonical()
