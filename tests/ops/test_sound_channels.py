"""Clips of several channels: each is a separate clip with the draws of its sample, but for other noise, and for what measures all
of them together.
"""

import warnings
from dataclasses import replace

import numpy as np
import pytest

from augsvc.arrays import Sample
from augsvc.data.cache import DecodedCache
from augsvc.data.formats.audio_folder import AudioFolderSettings, open_audio_folder
from augsvc.errors import SpecInvalid, Undecodable
from augsvc.executors.fused.kernels.philox import ELEMENTS_PER_BLOCK
from augsvc.ops.operation import Kind
from augsvc.ops.registry import registry
from augsvc.planning.spec import validate_spec
from augsvc.streams.stream import Stream
from tests.data.sounds import encode
from tests.harness import executor, open_cpu
from tests.ops.test_sound import RATE, SOUNDS, Clips, batch, tone

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    import pyloudnorm

pytestmark = pytest.mark.usefixtures("each_executor")
GENERATOR = np.random.default_rng(4)
STEREO = [GENERATOR.normal(0, 0.2, (2, n)).astype(np.float32) for n in (2000, 1301, 2000)]
JOINT = ["normalize_peak", "loudness_normalization"]  # measure all channels together
NOISY = {"white_noise", "colored_noise", "room_reverb"}


class Channels(Clips):
    """Clips (C, T) of several channels."""

    def __init__(self, clips, rate=RATE, name="clips"):
        super().__init__(clips)
        self.rate = rate
        channels = 1 if self.clips[0].ndim == 1 else len(self.clips[0])
        self.info = replace(self.info, channels=channels, sample_rate=None, name=name)

    def read(self, index):
        return Sample(None, 0, audio=self.clips[index], rate=self.rate)


def open_channels(pipeline, clips=STEREO, rate=RATE, others=(), **fields):
    spec = {"dataset": "clips", "pipeline": pipeline, "seconds": 0.25, "sample_rate": RATE, "shuffle": False, **fields}
    named = {source.info.name: source for source in others}
    return Stream.open(validate_spec(spec), Channels(clips, rate), executor(), others=named)


@pytest.mark.parametrize("op", [name for name in SOUNDS if name not in JOINT])
def test_each_channel_becomes_what_it_becomes_alone(op):
    step = {"op": op, "p": 0.8}
    together = batch(open_channels([step]), epoch=2)
    assert together["audio"].shape == (3, 2, 2000)
    for channel in range(2):
        alone = batch(open_channels([step], [clip[channel] for clip in STEREO]), epoch=2)
        if op not in NOISY or channel == 0:
            assert together["audio"][:, channel].tobytes() == alone["audio"].tobytes()
        for name in alone.keys() - {"audio"}:
            assert together[name].tobytes() == alone[name].tobytes(), name


@pytest.mark.parametrize("op", sorted(NOISY))
def test_channels_have_other_noise_of_the_same_level(op):
    same = [np.stack([clip[0], clip[0]]) for clip in STEREO]
    result = batch(open_channels([{"op": op}], same))["audio"].astype(np.float64)
    added = [result[0, channel] - same[0][0] for channel in range(2)]
    correlation = np.corrcoef(*added)[0, 1]
    assert abs(correlation) < (0.1 if op == "white_noise" else 0.8)
    np.testing.assert_allclose(np.std(added[0]), np.std(added[1]), rtol=0.25)


def test_no_block_of_random_numbers_is_used_twice():
    samples = 1301
    clip = np.ones((8, samples), np.float32)
    result = batch(open_channels([{"op": "white_noise", "snr": 0}], [clip], seconds=samples / RATE))["audio"][0]
    deviates = (result - 1.0).round(5)
    blocks = [tuple(row[k : k + ELEMENTS_PER_BLOCK]) for row in deviates for k in range(0, samples - 8, 8)]
    assert len(set(blocks)) == len(blocks)


@pytest.mark.parametrize(
    "pipeline",
    [
        "sound",
        [{"op": "speed"}, {"op": "background_noise"}, {"op": "splice_out"}],
        [{"op": "normalize_peak", "p": 0.5}, {"op": "gain"}, {"op": "loudness_normalization", "p": 0.5}],
    ],
)
def test_a_batch_alone_has_the_same_bytes(pipeline):
    stream = open_channels(pipeline, views=2 if pipeline == "sound" else 1)
    whole = batch(stream, epoch=1)
    for start in range(stream.samples):
        for name, array in batch(stream, 1, start, 1).items():
            assert array.tobytes() == whole[name][start : start + 1].tobytes(), name


def test_channels_are_the_datasets_or_as_wanted():
    plain = batch(open_channels([]))["audio"]
    assert plain[1, 1, :1301].tobytes() == STEREO[1][1].tobytes() and not plain[1, :, 1301:].any()
    mixed = batch(open_channels([], channels=1))["audio"]
    assert mixed.shape == (3, 2000)
    np.testing.assert_array_equal(mixed[0], (STEREO[0][0] + STEREO[0][1]) / np.float32(2))
    copied = batch(open_channels([], [tone(2000)], channels=3))["audio"]
    assert copied.shape == (1, 3, 2000) and (copied == tone(2000).astype(np.float32)).all()
    with pytest.raises(SpecInvalid, match="channels must be 1 or 2") as refused:
        open_channels([], channels=3)
    assert refused.value.field == "channels"


def test_earlier_canonical_forms_stay_and_others_name_their_channels():
    mono = open_channels([], [tone()])
    assert "channels" not in mono.spec.fields()
    assert open_channels([], [tone()], channels=1).spec.canonical() == mono.spec.canonical()
    for channels in (None, 1, 2):
        spec = open_channels([], channels=channels).spec
        assert spec.fields()["channels"] == (channels or 2)
        again = validate_spec(spec.fields()).for_audio(None, None, 2)
        assert again.canonical() == spec.canonical(), "the header that a client sends back"


def test_other_rates_are_resampled_channel_by_channel():
    waves = [np.stack([tone(9000, 300), tone(9000, 500)])]
    result = batch(open_channels([{"op": "random_segment"}], waves, 2 * RATE))["audio"][0]
    for channel in range(2):
        alone = batch(open_channels([{"op": "random_segment"}], [waves[0][channel]], 2 * RATE))["audio"][0]
        assert result[channel].tobytes() == alone.tobytes()


def balance(clip):
    """The level of each channel over that of the first."""
    return np.sqrt(np.square(clip.astype(np.float64)).mean(axis=1))[1:] / np.sqrt(np.square(clip[0]).mean())


UNEQUAL = [np.stack([clip[0], 0.25 * clip[1], 2.0 * clip[1][::-1]]) for clip in STEREO]


@pytest.mark.parametrize("channels", [2, 3])
def test_the_peak_is_that_of_all_channels(channels):
    clips = [clip[:channels] for clip in UNEQUAL]
    result = batch(open_channels([{"op": "normalize_peak", "level": -6}], clips))["audio"]
    for clip, changed in zip(clips, result, strict=True):
        changed = changed[:, : clip.shape[1]]
        assert abs(np.abs(changed).max() - 10**-0.3) < 1e-6
        np.testing.assert_allclose(changed, clip * (10**-0.3 / np.abs(clip).max()), rtol=3e-7)
    quiet = [clip / (10 * np.abs(clip).max()) for clip in clips]
    kept = batch(open_channels([{"op": "normalize_peak", "level": -6, "apply_to": "louder"}], quiet))["audio"]
    assert kept.tobytes() == batch(open_channels([], quiet))["audio"].tobytes()


@pytest.mark.parametrize("channels", [2, 3])
def test_loudness_is_pyloudnorms_sum_over_channels(channels):
    """With a passage that the relative gate leaves out; pyloudnorm weighs the fourth and fifth channel by 1.41."""
    samples = 2 * RATE
    clips = [GENERATOR.normal(0, 0.1, (channels, samples)).astype(np.float32) for _ in range(2)]
    clips[0][1] *= 0.3
    for clip in clips:
        clip[:, samples // 3 : samples // 2] *= 0.01
    step = {"op": "loudness_normalization", "loudness": -20}
    result = batch(open_channels([step], clips, seconds=2.0))["audio"]
    meter = pyloudnorm.Meter(RATE, filter_class="DeMan")
    for clip, changed in zip(clips, result, strict=True):
        assert abs(meter.integrated_loudness(changed.T.astype(np.float64)) + 20) < 2e-3
        np.testing.assert_allclose(balance(changed), balance(clip), rtol=1e-5)


@pytest.mark.parametrize("op", JOINT)
def test_channels_that_are_copies_get_what_one_gets_and_silent_ones_stay(op):
    step = {"op": op, "p": 1.0}
    alone = batch(open_channels([step], [tone(2000)]))["audio"]
    copies = batch(open_channels([step], [tone(2000)], channels=4))["audio"]
    if op == "normalize_peak":
        assert all(copies[:, channel].tobytes() == alone.tobytes() for channel in range(4))
    else:  # four times the power
        np.testing.assert_allclose(2.0 * copies, np.repeat(alone[:, None], 4, axis=1), rtol=1e-5)
    half = np.stack([np.zeros(2000), tone(2000)])
    result = batch(open_channels([step], [half, np.zeros((2, 2000))]))["audio"]
    assert not result[0, 0].any() and not result[1].any() and np.abs(result[0, 1]).max() > 0


def test_all_channels_of_a_sample_are_one_sample_to_the_executors():
    """In chunks of any size: the same bits from both of them."""
    steps = [
        {"op": "white_noise"},
        {"op": "normalize_peak", "p": 0.6},
        {"op": "speed"},
        {"op": "loudness_normalization"},
    ]
    found = set()
    for name in ("fused", "kornia"):
        spec = validate_spec({"dataset": "clips", "pipeline": steps, "seconds": 0.25, "sample_rate": RATE})
        stream = Stream.open(spec, Channels([clip[:3] for clip in UNEQUAL]), open_cpu(name))
        found.add(b"".join(batch(stream, epoch)["audio"].tobytes() for epoch in range(3)))
    assert len(found) == 1


@pytest.mark.parametrize("op", [name for name in SOUNDS if "dataset" in registry()[name].model_fields])
def test_partners_have_as_many_channels_or_one(op):
    step = {"op": op, "dataset": "noises", **({"start": 0, "pause": 0.05} if op == "short_noises" else {})}
    one, two, three = (Channels([GENERATOR.normal(0, 1, (n, 900)).squeeze()], name="noises") for n in (1, 2, 3))
    changed = [batch(open_channels([step], others=[source]))["audio"] for source in (one, two)]
    plain = batch(open_channels([]))["audio"]
    assert all((result != plain).any(axis=(1, 2)).all() for result in changed)
    with pytest.raises(SpecInvalid, match="3 channels"):
        open_channels([step], others=[three])
    if registry()[op].kind is Kind.MIX:
        added = changed[1] - plain
        assert abs(np.corrcoef(added[0])[0, 1]) < 0.2, "each channel takes its own of the partner"


def test_files_keep_their_channels(tmp_path):
    shown = np.round(np.stack([tone(500, 200), tone(500, 900)]) * 2**15) / 2**15
    files = {"stereo.wav": shown.T, "mono.wav": shown[0], "three.wav": np.repeat(shown[:1].T, 3, axis=1)}
    (tmp_path / "a").mkdir()
    for name, values in files.items():
        (tmp_path / "a" / name).write_bytes(encode(values, "WAV", "PCM_16", RATE))
    sources = {}
    for channels in (1, 2):
        settings = AudioFolderSettings(format="audio_folder", path=tmp_path, channels=channels)
        (sources[channels],) = open_audio_folder("clips", settings, DecodedCache(1 << 20))
    assert sources[1].info.version != sources[2].info.version
    names = {sources[2].describe(index): index for index in range(3)}
    read = {name.rpartition("/")[2]: index for name, index in names.items()}
    np.testing.assert_array_equal(sources[2].read(read["stereo.wav"]).audio, shown.astype(np.float32))
    np.testing.assert_array_equal(sources[2].read(read["mono.wav"]).audio, shown[[0, 0]].astype(np.float32))
    with pytest.raises(Undecodable, match="3 channels, and its dataset's clips 2"):
        sources[2].read(read["three.wav"])
    mean = (shown[0].astype(np.float32) + shown[1].astype(np.float32)) / np.float32(2)
    np.testing.assert_array_equal(sources[1].read(read["stereo.wav"]).audio, mean)
