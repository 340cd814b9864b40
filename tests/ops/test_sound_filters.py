"""Filters, envelopes, coloured noise and time on clips against scipy.signal and NumPy."""

import numpy as np
import pytest
from scipy import signal

from augsvc.errors import SpecInvalid
from augsvc.numerics import exact, sections
from augsvc.ops.kinds.audio import Clip
from augsvc.ops.pipeline import parse_pipeline
from augsvc.planning.audio_plan import SoundPlan
from augsvc.planning.audio_steps import SECTION_BITS
from tests.ops.test_sound import RATE, batch, open_clips, through

pytestmark = pytest.mark.usefixtures("each_executor")
CLIP = np.random.default_rng(5).normal(0, 0.3, 5003)
CUTOFFS = np.array([20.0, 150.0, 1000.0, 3500.0])


def expected(sos, clip=CLIP):
    return signal.sosfilt(sos, clip.astype(np.float32).astype(np.float64))


@pytest.mark.parametrize("order", range(1, 9))
@pytest.mark.parametrize(("name", "kind"), [("low_pass", "lowpass"), ("high_pass", "highpass")])
def test_butterworth_filters_are_scipys(name, kind, order):
    for cutoff in CUTOFFS:
        result, _ = through([{"op": name, "cutoff": cutoff, "order": order}], CLIP)
        sos = signal.butter(order, cutoff, kind, fs=RATE, output="sos")
        np.testing.assert_allclose(result[0], expected(sos), atol=2e-6)


@pytest.mark.parametrize("order", range(1, 5))
@pytest.mark.parametrize(("name", "kind"), [("band_pass", "bandpass"), ("band_stop", "bandstop")])
def test_butterworth_bands_are_scipys(name, kind, order):
    for center, bandwidth in ((100, 0.1), (1000, 0.5), (1500, 1.99), (3000, 0.3)):
        step = {"op": name, "center": center, "bandwidth": bandwidth, "order": order}
        result, _ = through([step], CLIP)
        edges = [center * (1 - bandwidth / 2), center * (1 + bandwidth / 2)]
        sos = signal.butter(order, edges, kind, fs=RATE, output="sos")
        np.testing.assert_allclose(result[0], expected(sos), atol=5e-6)


def test_drawn_orders_are_those_of_each_clip():
    result, draws = through([{"op": "low_pass", "cutoff": [100, 3000], "order": [1, 5]}], *[CLIP] * 12)
    assert len({drawn["order"] for drawn in draws}) >= 4
    for clip, drawn in zip(result, draws, strict=True):
        sos = signal.butter(int(drawn["order"]), drawn["cutoff"], fs=RATE, output="sos")
        np.testing.assert_allclose(clip, expected(sos), atol=2e-6)


def test_cutoffs_are_uniform_in_mel():
    _, draws = through([{"op": "low_pass", "cutoff": [150, 3900]}], *[CLIP[:8]] * 400)
    mel = np.log1p(np.array([drawn["cutoff"] for drawn in draws]) / 700)
    low, high = np.log1p(np.array([150, 3900]) / 700)
    positions = np.sort((mel - low) / (high - low))
    assert np.abs(positions - (np.arange(400) + 0.5) / 400).max() < 0.08  # Kolmogorov-Smirnov: 0.068 at 5 %


@pytest.mark.parametrize("cutoff", [3999.0, 7500.0, 192_000.0])
def test_a_cutoff_beyond_the_rate_is_defined(cutoff):
    low, _ = through([{"op": "low_pass", "cutoff": cutoff}], CLIP)
    sos = signal.butter(4, 0.49 * RATE, fs=RATE, output="sos")
    assert np.abs(low[0]).max() <= 1.5 * np.abs(CLIP).max()
    result, _ = through([{"op": "low_pass", "cutoff": cutoff, "order": 4}], CLIP)
    np.testing.assert_allclose(result[0], expected(sos), atol=2e-6)


def cookbook(kind, frequency, gain, q):
    """The Audio EQ Cookbook's formulas, with libm."""
    a, w = 10 ** (gain / 40), 2 * np.pi * frequency / RATE
    alpha, cos, root = np.sin(w) / (2 * q), np.cos(w), np.sqrt(a)
    if kind == "peaking":
        b, c = [1 + alpha * a, -2 * cos, 1 - alpha * a], [1 + alpha / a, -2 * cos, 1 - alpha / a]
    else:
        s = 1 if kind == "low" else -1
        b = [a * ((a + 1) - s * (a - 1) * cos + 2 * root * alpha), s * 2 * a * ((a - 1) - s * (a + 1) * cos)]
        b += [a * ((a + 1) - s * (a - 1) * cos - 2 * root * alpha)]
        c = [(a + 1) + s * (a - 1) * cos + 2 * root * alpha, -s * 2 * ((a - 1) + s * (a + 1) * cos)]
        c += [(a + 1) + s * (a - 1) * cos - 2 * root * alpha]
    return np.array([*b, *c])[None] / c[0]


@pytest.mark.parametrize("kind", ["peaking", "low", "high"])
@pytest.mark.parametrize("gain", [-20, 0.0, 15])
def test_equalisers_are_the_cookbooks(kind, gain):
    step = {"op": "peaking"} if kind == "peaking" else {"op": "shelves", "side": kind}
    for frequency, q in ((60, 0.5), (1000, 1.0), (3000, 2.0)):
        result, _ = through([step | {"frequency": frequency, "gain": gain, "q": q}], CLIP)
        np.testing.assert_allclose(result[0], expected(cookbook(kind, frequency, gain, q)), atol=2e-5)


def test_seven_bands_change_the_spectrum_by_their_gains():
    impulse = np.zeros(8192)
    impulse[0] = 1.0
    result, draws = through([{"op": "parametric_eq", "gain": [-12, 12]}], *[impulse] * 4)
    for response, drawn in zip(result, draws, strict=True):
        level = 20 * np.log10(np.abs(np.fft.rfft(response))[1000 * 8192 // RATE])
        assert abs(level - drawn["gain"][3]) < 5  # neighbours reach into it
    flat, _ = through([{"op": "parametric_eq", "gain": 0}], impulse)
    np.testing.assert_allclose(flat[0], impulse, atol=1e-6)


def test_dropped_frequencies_are_gone_and_others_stay():
    step = {"op": "drop_freq", "count": 1, "frequency": 0.5, "width": 0.05}
    time = np.arange(4000) / RATE
    for hertz, kept in ((2000, 0.0), (1000, 1.0), (3000, 1.0)):
        result, _ = through([step], np.sin(2 * np.pi * hertz * time))
        assert abs(np.sqrt(2 * np.mean(result[0][2000:] ** 2)) - kept) < 0.02


def response(cascade, angles):
    """|H| of sections (S, 5), rounded as a plan's are."""
    sos = np.insert(exact.to_fixed(cascade, SECTION_BITS) * 2.0**-SECTION_BITS, 3, 1.0, axis=-1)
    return np.abs(signal.sosfreqz(sos, worN=angles)[1])


@pytest.mark.parametrize("rate", [8000, 44_100, 192_000])
@pytest.mark.parametrize("order", range(1, 5))
@pytest.mark.parametrize(("band", "kind"), [(sections.band_pass, "bandpass"), (sections.band_stop, "bandstop")])
def test_bands_are_scipys_at_the_ends_of_what_may_be_asked_for(band, kind, order, rate):
    angles = np.geomspace(1e-3, 3.0, 2000)
    for center in (1.0, 20.0, 200.0, 0.25 * rate, 0.48 * rate):
        for bandwidth in (0.01, 0.5, 1.99):
            edges = max(center * (1 - bandwidth / 2), 1e-6 * rate), min(center * (1 + bandwidth / 2), 0.49 * rate)
            cascade = band(*(np.array([edge]) for edge in edges), rate, order)[0]
            exactly = signal.butter(order, edges, kind, fs=rate, output="zpk")
            found, wanted = response(cascade, angles), np.abs(signal.freqz_zpk(*exactly, worN=angles)[1])
            np.testing.assert_allclose(found, wanted, atol=3e-3, err_msg=f"{center} Hz, {bandwidth}")


@pytest.mark.parametrize("low", [-500.0, -1e-9, 0.0])
def test_a_band_without_a_lower_edge_is_a_high_pass_or_a_low_pass(low):
    edges, angles = (np.array([low]), np.array([300.0])), np.geomspace(1e-3, 3.0, 500)
    for band, kind in ((sections.band_stop, "highpass"), (sections.band_pass, "lowpass")):
        for order in range(1, 5):
            wanted = np.abs(signal.sosfreqz(signal.butter(order, 300, kind, fs=RATE, output="sos"), worN=angles)[1])
            np.testing.assert_allclose(response(band(*edges, RATE, order)[0], angles), wanted, atol=1e-6)


def test_dropped_frequencies_at_the_defaults_never_silence_or_amplify():
    clips = [CLIP] * 100
    result, _ = through([{"op": "drop_freq"}], *clips)
    kept = result.std(axis=1) / CLIP.std()
    assert kept.min() > 0.7 and kept.max() < 1.01


def test_emphasis_is_a_filter_of_first_order_and_its_inverse():
    both = [{"op": "preemphasis", "mode": mode, "coefficient": 0.97} for mode in ("pre", "de")]
    result, _ = through(both[:1], CLIP)
    np.testing.assert_allclose(result[0], signal.lfilter([1, -0.97], [1], CLIP), atol=1e-6)
    back, _ = through(both, CLIP)
    np.testing.assert_allclose(back[0], CLIP, atol=2e-5)


def test_a_long_silence_after_a_sound_becomes_exact():
    """Subnormal states would take a hundred times as long."""
    clip = np.concatenate((CLIP[:100], np.zeros(40_000)))
    result, _ = through([{"op": "low_pass", "cutoff": 2000, "order": 4}], clip)
    assert not result[0][-2048:].any()


@pytest.mark.parametrize("slope", [-6, -3, 0, 3, 6])
def test_coloured_noise_has_its_slope_and_its_ratio(slope):
    tone = 0.5 * np.sin(np.arange(80_000) * 0.3)
    result, _ = through([{"op": "colored_noise", "snr": 10, "slope": slope}], tone)
    noise = result[0] - tone.astype(np.float32)
    assert abs(20 * np.log10(np.std(tone) / np.sqrt(np.mean(noise**2))) - 10) < 0.01
    frequencies, power = signal.welch(noise, RATE, nperseg=2048)
    band = (frequencies > 60) & (frequencies < 0.2 * RATE)
    fitted = np.polyfit(np.log2(frequencies[band]), 10 * np.log10(power[band]), 1, w=1 / np.sqrt(frequencies[band]))
    assert abs(fitted[0] - slope) < 0.5


@pytest.mark.parametrize("level", [-80, -46, -10])
def test_white_noise_of_an_absolute_level_does_not_depend_on_the_clip(level):
    clips = [loud * np.ones(16_000) for loud in (1e-6, 0.1, 1.0)] + [np.zeros(16_000)]
    result, _ = through([{"op": "white_noise", "relative_to": "full_scale", "level": level}], *clips)
    for clip, noisy in zip(clips[:3], result, strict=False):
        noise = noisy - clip.astype(np.float32)
        assert abs(20 * np.log10(np.sqrt(np.mean(noise**2))) - level) < 0.1
    assert not result[3].any(), "a silent clip stays silent"


def test_time_masks_silence_whole_intervals_and_nothing_else():
    clips = [np.ones(4000)] * 20
    step = {"op": "time_mask", "count": [1, 5], "length": [0.01, 0.2]}
    result, draws = through([step], *clips)
    for clip, drawn in zip(result, draws, strict=True):
        mask = np.ones(4000)
        for length, position in list(zip(drawn["length"], drawn["position"], strict=True))[: int(drawn["count"])]:
            samples = int(np.floor(length * 4000 + 0.5))
            first = int(np.floor(position * (4000 - samples) + 0.5))
            mask[first : first + samples] = 0.0
        assert (clip == mask).all()
    faded, _ = through([step | {"fade": 0.01, "count": 1, "length": 0.1, "position": 0.5}], clips[0])
    np.testing.assert_allclose(faded[0][1720:1801], np.linspace(1, 0, 81), atol=1e-6)


def test_a_gain_transition_is_linear_in_decibels():
    step = {"op": "gain_transition", "start_gain": -24, "end_gain": 6, "duration": 0.25, "position": 0.5}
    result, _ = through([step], np.ones(8000))
    gains = np.interp(np.arange(8000), [3000, 5000], [-24, 6])
    np.testing.assert_allclose(20 * np.log10(result[0]), gains, atol=0.02)
    outside, _ = through([step | {"position": 0.0}], np.ones(800))
    np.testing.assert_allclose(20 * np.log10(outside[0]), 6, atol=0.01)


@pytest.mark.parametrize("shift", [-1.0, -0.3, 0.0, 0.25, 1.0])
@pytest.mark.parametrize("samples", [1, 2, 7, 400])
def test_a_shift_that_wraps_rolls_and_reverse_turns_around(shift, samples):
    ramp = np.arange(1.0, samples + 1)
    rolled, _ = through([{"op": "time_shift", "shift": shift, "border": "wrap"}], ramp)
    assert (rolled[0] == np.roll(ramp, int(np.floor(shift * samples + 0.5)))).all()
    turned, _ = through([{"op": "reverse", "p": 1.0}, {"op": "polarity", "p": 1.0}], ramp)
    assert (turned[0] == -ramp[::-1]).all()


@pytest.mark.parametrize("border", ["zeros", "wrap"])
def test_a_fade_silences_the_seam(border):
    step = {"op": "time_shift", "shift": 0.5, "border": border, "fade": 0.01}
    result, _ = through([step], np.ones(8000))
    np.testing.assert_allclose(result[0][4000:4081], np.linspace(0, 1, 81), atol=1e-6)
    before = np.linspace(1, 0, 81)[:-1] if border == "wrap" else np.zeros(80)
    np.testing.assert_allclose(result[0][3920:4000], before, atol=1e-6)
    assert (through([step | {"shift": 0.0}], np.ones(800))[0] == 1).all()


def test_frequencies_need_a_rate():
    for step in ({"op": "low_pass"}, {"op": "time_mask", "fade": 0.1}, {"op": "gain_transition"}):
        with pytest.raises(SpecInvalid) as refused:
            SoundPlan.of(parse_pipeline([step]), Clip(100, None))
        assert refused.value.field == "sample_rate"
    SoundPlan.of(parse_pipeline([{"op": "time_mask"}, {"op": "reverse"}, {"op": "preemphasis"}]), Clip(100, None))


def test_sections_are_stable_for_every_rate():
    for rate in (4000, 8000, 192_000):
        for frequency in (1.0, 20.0, 1000.0, 96_000.0):
            value = np.array([frequency])
            cascade = [sections.low_pass(value, rate, 8), sections.band_stop(value * 0.9, value * 1.1, rate, 4)]
            for section in np.concatenate(cascade, axis=1)[0]:
                assert np.abs(np.roots([1.0, section[3], section[4]])).max() < 1.0


def test_a_pipeline_lists_its_passes_in_order():
    plan = open_clips([{"op": "reverse"}, {"op": "gain"}, {"op": "low_pass"}, {"op": "time_mask"}], [CLIP]).plan
    assert [list(row) for row in plan.describe()] == [["move", "tone", "filter", "erase"]]


def test_clips_of_any_lengths_are_filtered_as_alone():
    """On a CPU several clips share a vector: its lanes end at different samples, and some clips are not selected."""
    lengths = [0, 1, 7, 63, 64, 65, 700, 2047, 2048, 2049, 2112, 4095, 4161, 64, 0, 3, 500, 2050, 9]
    clips = [np.random.default_rng(length).normal(0, 0.3, length) for length in lengths]
    low_pass = {"op": "low_pass", "cutoff": [50, 3000], "order": [1, 6], "p": 0.8}
    stream = open_clips([low_pass, {"op": "colored_noise", "p": 0.8}], clips, seconds=4200 / RATE)
    together = batch(stream)["audio"]
    for n in range(len(clips)):
        assert batch(stream, start=n, count=1)["audio"].tobytes() == together[n].tobytes()
        assert not together[n, lengths[n] :].any()
