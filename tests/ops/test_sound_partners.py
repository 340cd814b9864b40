"""Operations on clips that take partners: background noise, impulse responses and MixUp against SciPy and the formulas."""

import numpy as np
import pytest
from scipy import signal

from augsvc.arrays import Sample
from augsvc.data.source import SourceInfo
from augsvc.errors import NeedsDataset, SpecInvalid, Undecodable
from augsvc.ops.pipeline import parse_pipeline
from augsvc.ops.registry import registry
from augsvc.planning.spec import validate_spec
from augsvc.streams.probes import Probe
from augsvc.streams.push import Push
from augsvc.streams.stream import Stream
from augsvc_client.decoding import resampling
from augsvc_client.decoding.resampling import resample
from tests.harness import executor
from tests.ops.test_sound import RATE, Clips, batch, through

pytestmark = pytest.mark.usefixtures("each_executor")
GENERATOR = np.random.default_rng(9)
SPEECH = [GENERATOR.normal(0, 0.2, n) * np.hanning(n) for n in (4000, 2500, 4000, 1)]
NOISES = [GENERATOR.normal(0, 1, n) for n in (900, 9000, 4000)]
FIELDS = {"dataset": "clips", "seconds": 0.5, "shuffle": False}


class Noises(Clips):
    """Clips of a second dataset."""

    def __init__(self, clips, rate=RATE, broken=(), name="noises", version="1"):
        super().__init__(clips)
        self.rate, self.broken = rate, broken
        self.info = SourceInfo(name=name, version=version, classes=("a",), channels=1, size=None, media="audio")

    def read(self, index):
        if index in self.broken:
            raise Undecodable("cut")
        return Sample(None, 0, audio=self.clips[index], rate=self.rate)


def open_over(pipeline, others, clips=SPEECH, **fields):
    spec = validate_spec({**FIELDS, "pipeline": pipeline, **fields})
    return Stream.open(spec, Clips(clips), executor(), others={source.info.name: source for source in others})


def partners(stream, epoch=0):
    receipts = [stream.receipt(epoch, position, 0) for position in range(stream.samples)]
    draws = [receipt["operations"][0]["draws"] for receipt in receipts]
    return [receipt.get("partners", [None])[0] for receipt in receipts], draws


def rms(clip):
    return np.sqrt(np.mean(np.square(clip)))


@pytest.mark.parametrize("noise_rate", [RATE, 2 * RATE])
def test_noise_has_its_ratio_over_the_clip_and_its_receipt(noise_rate):
    step = {"op": "background_noise", "dataset": "noises", "snr": [0, 20]}
    stream = open_over([step], [Noises([np.repeat(noise, noise_rate // RATE) for noise in NOISES], noise_rate)])
    chosen = set()
    for epoch in range(4):
        result, (receipts, draws) = batch(stream, epoch), partners(stream, epoch)
        for row, (clip, receipt, drawn) in enumerate(zip(SPEECH[:3], receipts, draws, strict=False)):
            assert receipt["dataset"] == "noises" and receipt["source"] == f"clip {receipt['index']}"
            chosen.add(receipt["index"])
            added = result["audio"][row, : len(clip)] - clip.astype(np.float32)
            assert abs(20 * np.log10(rms(clip) / rms(added)) - drawn["snr"]) < 1e-2
            assert not result["audio"][row, len(clip) :].any()
            if noise_rate == RATE:
                assert_is_segment(added, NOISES[receipt["index"]])
    assert chosen == {0, 1, 2}


def assert_is_segment(added, noise):
    """A shorter noise repeats, a longer one has a segment there."""
    if len(noise) < len(added):
        np.testing.assert_allclose(added[len(noise) :], added[: -len(noise)], atol=1e-6)
        noise = np.tile(noise, 8)
    segment = added / rms(added)
    correlation = signal.fftconvolve(noise, segment[::-1], "valid")
    first = int(correlation.argmax())
    part = noise[first : first + len(segment)]
    np.testing.assert_allclose(segment, part / rms(part), atol=1e-4)


def test_silence_on_either_side_changes_nothing():
    silent = Noises([np.zeros(500), np.zeros(0)])
    stream = open_over([{"op": "background_noise", "dataset": "noises"}], [silent])
    plain = batch(open_over([], []))
    assert batch(stream)["audio"].tobytes() == plain["audio"].tobytes()
    reverb = open_over([{"op": "reverb", "dataset": "noises"}], [silent])
    assert batch(reverb)["audio"].tobytes() == plain["audio"].tobytes()
    quiet = open_over(
        [{"op": "background_noise", "dataset": "noises"}], [Noises(NOISES)], [np.zeros(4000), np.zeros(0)]
    )
    assert not batch(quiet)["audio"].any()


def test_an_undecodable_partner_is_replaced_by_the_next():
    stream = open_over([{"op": "background_noise", "dataset": "noises"}], [Noises(NOISES, broken=(1,))])
    receipts = [receipt for epoch in range(6) for receipt in partners(stream, epoch)[0]]
    assert {receipt["index"] for receipt in receipts} == {0, 2}
    assert any(receipt.get("replaces", {}).get("index") == 1 for receipt in receipts)
    assert batch(stream)["valid"].all()


def test_the_version_of_the_other_dataset_is_part_of_the_id():
    step = [{"op": "background_noise", "dataset": "noises"}]
    ids = {open_over(step, [Noises(NOISES, version=version)]).id for version in ("1", "2")}
    assert len(ids) == 2


@pytest.mark.parametrize("others", [[], [Noises([])], [Probe()]], ids=["absent", "empty", "of images"])
@pytest.mark.parametrize("op", ["background_noise", "reverb"])
def test_a_dataset_without_clips_is_refused_by_the_field(op, others):
    named = {"op": op, "dataset": others[0].info.name if others else "noises"}
    with pytest.raises(SpecInvalid) as refused:
        open_over([{"op": "gain"}, named], others)
    assert refused.value.field == "pipeline.1.dataset"


@pytest.mark.parametrize("op", ["background_noise", "reverb", "mixup_sound"])
def test_a_push_and_several_views_are_refused_by_name(op):
    arrays = {"audio": np.zeros((1, 10), np.float32), "index": np.zeros(1, np.int64)}
    request = {"pipeline": [{"op": op}], "sample_rate": RATE}
    with pytest.raises(NeedsDataset) as refused:
        Push.of(request, arrays, executor(), registry(), lambda steps, ground: "")
    assert refused.value.field == "pipeline.0"
    with pytest.raises(SpecInvalid) as refused:
        open_over([{"op": op}], [], views=2)
    assert refused.value.field == "views"


@pytest.mark.parametrize("taps", [1, 300, 5000])
def test_reverb_is_scipys_convolution_at_the_level_of_the_clip(taps):
    response = GENERATOR.normal(0, 1, taps) * np.exp(-np.arange(taps) / 200)
    response[0] = 5
    delayed = np.concatenate((0.1 * GENERATOR.normal(0, 1, 70), response))
    result = batch(open_over([{"op": "reverb", "dataset": "noises"}], [Noises([delayed])]))["audio"]
    for row, clip in enumerate(SPEECH):
        expected = signal.fftconvolve(clip, response)[: len(clip)]
        expected *= rms(clip) / max(rms(expected), 1e-30)
        np.testing.assert_allclose(result[row, : len(clip)], expected, rtol=5e-6, atol=1e-6)
        assert not result[row, len(clip) :].any()


def test_room_reverb_decays_by_60_db_in_its_time():
    impulse = np.zeros(8000)
    impulse[0] = 1
    result, _ = through([{"op": "room_reverb", "rt60": 0.4, "direct": 0}], *[impulse] * 20)
    tail = result[:, 1:]
    power = np.mean(tail**2 / result[:, :1] ** 2, axis=0)
    at = [int(0.4 * RATE * fraction) for fraction in (0.1, 0.6)]
    drop = [10 * np.log10(power[first : first + 200].mean()) for first in at]
    assert abs((drop[0] - drop[1]) - 30) < 1
    np.testing.assert_allclose(np.sum(tail**2, axis=1) / result[:, 0] ** 2, 1.0, rtol=1e-4)
    assert len({clip.tobytes() for clip in result}) == 20


def test_mixup_weighs_two_clips_and_their_labels():
    stream = open_over([{"op": "mixup_sound", "alpha": 1.0}], [])
    result, (receipts, draws) = batch(stream), partners(stream)
    assert {"label2", "mix_weight"} <= result.keys()
    for row, (clip, receipt, drawn) in enumerate(zip(SPEECH, receipts, draws, strict=True)):
        weight, partner = drawn["alpha"], np.pad(SPEECH[receipt["index"]], (0, 4000))[: len(clip)]
        np.testing.assert_allclose(result["audio"][row, : len(clip)], weight * clip + (1 - weight) * partner, atol=1e-6)
        assert abs(result["mix_weight"][row] - weight) < 1e-6
    with pytest.raises(SpecInvalid, match="at most one mixup_sound"):
        open_over([{"op": "mixup_sound"}, {"op": "mixup_sound"}], [])


def test_partners_of_several_operations_do_not_depend_on_the_batch():
    steps = [
        {"op": "background_noise", "dataset": "noises", "p": 0.5},
        {"op": "reverb", "dataset": "rooms", "p": 0.5},
        {"op": "mixup_sound", "p": 0.5},
        {"op": "background_noise", "p": 0.5},
    ]
    rooms = Noises([np.exp(-np.arange(900) / 100)], name="rooms")
    stream = open_over(steps, [Noises(NOISES), rooms], SPEECH * 5)
    for epoch in range(2):
        whole = batch(stream, epoch)
        for start in range(stream.samples):
            for name, array in batch(stream, epoch, start, 1).items():
                assert array.tobytes() == whole[name][start : start + 1].tobytes(), name
    draws = parse_pipeline(steps)
    assert [step.id for step in draws][-1] == "background_noise#2"


@pytest.mark.parametrize(
    "container",
    [
        {
            "op": "random_order",
            "of": [{"op": "background_noise", "dataset": "noises", "snr": 0}, {"op": "polarity", "p": 1.0}],
        },
        {"op": "some_of", "n": 2, "replace": True, "of": [{"op": "background_noise", "dataset": "noises", "snr": 0}]},
    ],
    ids=lambda step: step["op"],
)
def test_each_layer_of_a_container_takes_its_own_partner(container):
    """Layers share one operation; frequencies identify the partners."""
    time = np.arange(4000) / RATE
    tones = [np.sin(2 * np.pi * hertz * time) for hertz in (1000, 2000, 3000)]
    clips = [np.sin(2 * np.pi * 300 * time)] * 12
    stream = open_over([container], [Noises(tones)], clips)
    spectra = np.abs(np.fft.rfft(batch(stream)["audio"], axis=1))[:, [500, 1000, 1500]] / 2000
    for row, spectrum in enumerate(spectra):
        taken = {partner["index"] for partner in stream.receipt(0, row, 0)["partners"]}
        assert taken == set(np.flatnonzero(spectrum > 0.3).tolist())


def test_of_a_long_noise_only_its_segment_is_resampled(monkeypatch):
    """An hour at another rate would take seconds."""
    resampled = []

    def counted(audio, *rates):
        resampled.append(len(audio))
        return resample(audio, *rates)

    monkeypatch.setattr(resampling, "resample", counted)
    noise = np.sin(2 * np.pi * 0.01 * np.arange(400_000))
    step = {"op": "background_noise", "dataset": "noises", "snr": 0}
    result = batch(open_over([step], [Noises([noise], 2 * RATE)]))["audio"]
    assert resampled and max(resampled) < 30_000
    added = result[0] - SPEECH[0].astype(np.float32)
    spectrum = np.abs(np.fft.rfft(added))
    assert spectrum.argmax() == 80  # 0.02 of the rate


def bursts(drawn, samples):
    """Their envelope: one trapezoid after the other."""
    envelope, end = np.zeros(samples + 1), 0.0
    for k, (length, pause) in enumerate(zip(drawn["length"], drawn["pause"], strict=True)):
        begin = end + pause * (drawn["start"] if k == 0 else 1.0)
        end = begin + length
        part = min(length / (drawn["fade_in"] + drawn["fade_out"]), 1.0)
        seconds = [begin, begin + part * drawn["fade_in"], end - part * drawn["fade_out"], end]
        knots = np.floor(np.array(seconds) * RATE + 0.5)
        envelope = np.maximum(envelope, np.interp(np.arange(samples + 1), knots, [0, 1, 1, 0]))
    return envelope[:samples]


def test_short_noises_are_bursts_at_their_own_level():
    noise = np.where(np.arange(9000) % 2, 1.0, -1.0)  # has its level everywhere
    step = {"op": "short_noises", "dataset": "noises", "length": [0.02, 0.05], "pause": [0.05, 0.1], "snr": [-6, 6]}
    stream = open_over([step], [Noises([noise])], SPEECH[:3])
    result, (_, draws) = batch(stream), partners(stream)
    for row, (clip, drawn) in enumerate(zip(SPEECH, draws, strict=False)):
        added = result["audio"][row, : len(clip)] - clip.astype(np.float32)
        envelope = bursts(drawn, len(clip))
        assert 0.1 < (envelope > 0).mean() < 0.7
        level = rms(clip.astype(np.float32)) * 10 ** (-drawn["snr"] / 20)
        np.testing.assert_allclose(np.abs(added), level * envelope, atol=2e-3 * level)
        assert abs(added[-1]) <= level and not result["audio"][row, len(clip) :].any()
