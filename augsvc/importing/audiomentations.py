"""Translators of audiomentations' transforms, with the meanings of version 0.43."""

from collections.abc import Mapping
from math import log10

from augsvc.importing.builder import Builder, Entry, Table
from augsvc.importing.common import add_children, one_child
from augsvc.importing.parameters import Parameters, Range, Refused

_LENGTH = "leaves clips of another length"
_SOUNDS = "takes sounds from a folder: serve it as a dataset, and name it in `dataset` of {}"
_WITHOUT_EFFECT = ("example_weights", "output_type", "p_mode", "sample_rate", "target_rate")  # of containers
_STARTS = "filters from silence on; there as if the first sample had always been"


def between(given: Parameters, name: str, default: Range, *, suffix: str = "", former: str = "") -> Range:
    """The range of two parameters, `min_…` and `max_…`; in versions before 0.34 decibels were `…_in_db`, others `former`."""
    former = former or f"{name}_in_db"
    low, high = (
        given.number(f"{end}_{name}{suffix}", given.number(f"{end}_{former}", value))
        for end, value in zip(("min", "max"), default, strict=True)
    )
    return given.draws(name, low, high)


def plain(op: str, **settings: object) -> Entry:
    """An operation without parameters to read."""
    return Entry(lambda given, build: build.add(op, given.p(0.5), settings), op)


def ranged(op: str, parameter: str, name: str, default: Range, note: str = "") -> Entry:
    """An operation with one range, and what differs."""

    def translate(given: Parameters, build: Builder) -> None:
        if note:
            build.differs(note)
        build.add(op, given.p(0.5), {parameter: between(given, name, default)})

    return Entry(translate, op)


def normalize(given: Parameters, build: Builder) -> None:
    """Normalize, and PeakNormalization of torch-audiomentations."""
    words = {"all": "all", "only_too_loud_sounds": "louder"}
    word = given.word("apply_to", "all")
    if word not in words:
        raise Refused(f"apply_to {word!r} has no counterpart")
    build.add("normalize_peak", given.p(0.5), {"apply_to": words[word]})


def _gaussian_noise(given: Parameters, build: Builder) -> None:
    low, high = between(given, "amplitude", (0.001, 0.015))
    if low <= 0.0:
        raise Refused("min_amplitude must be above 0")
    if low < high:
        build.differs("draws the level uniformly in dB; there the amplitude")
    levels = tuple(round(20.0 * log10(value), 4) for value in (low, high))
    build.add("white_noise", given.p(0.5), {"relative_to": "full_scale", "level": levels})


def _clipping(given: Parameters, build: Builder) -> None:
    low, high = between(given, "percentile_threshold", (0.0, 40.0))
    if low < high:
        build.differs("draws any percentage; there whole, halves rounded down")
    else:
        low = high = 2.0 * (low // 2.0)  # each end has half of it, rounded down there
    build.add("clipping", given.p(0.5), {"percentile": (low, high)})


def _color_noise(given: Parameters, build: Builder) -> None:
    if given.number("p_apply_a_weighting", 0.0, 0.0, 1.0):
        raise Refused("p_apply_a_weighting: colored_noise has no weighting")
    given.ignore("n_fft")
    build.differs("filters noise from 10 Hz up; there a spectrum of n_fft points falls")
    settings = {
        "snr": between(given, "snr", (5.0, 40.0), suffix="_db"),
        "slope": between(given, "f_decay", (-6.0, 6.0)),
    }
    build.add("colored_noise", given.p(0.5), settings)


def _shift(given: Parameters, build: Builder) -> None:
    if given.word("shift_unit", "fraction") != "fraction":
        raise Refused("shift_unit: time_shift takes fractions of the clip; write them as such")
    settings: dict[str, object] = {"shift": between(given, "shift", (-0.5, 0.5), former="fraction")}
    if given.flag("rollover", True):
        settings["border"] = "wrap"
    if fade := given.number("fade_duration", 0.005, 0.0, 10.0):
        build.differs("fades linearly; there with equal energy")
        settings["fade"] = fade
    build.add("time_shift", given.p(0.5), settings)


def _gain_transition(given: Parameters, build: Builder) -> None:
    if given.word("duration_unit", "seconds") != "seconds":
        raise Refused("duration_unit: gain_transition takes seconds")
    gains = between(given, "gain", (-24.0, 6.0), suffix="_db")
    duration = between(given, "duration", (0.2, 6.0))
    build.add("gain_transition", given.p(0.5), {"start_gain": gains, "end_gain": gains, "duration": duration})


def _time_mask(given: Parameters, build: Builder) -> None:
    given.require("mask_location", ("random",), "time_mask draws where it is")
    length = between(given, "band_part", (0.01, 0.2))
    settings: dict[str, object] = {"count": 1, "length": length}
    if fade := given.number("fade_duration", 0.005, 0.0, 10.0):
        build.differs("fades beside the interval; there within it")
        settings["fade"] = fade
    build.add("time_mask", given.p(0.5), settings)


def _orders(given: Parameters, build: Builder) -> Range:
    if given.flag("zero_phase", False):
        raise Refused("zero_phase: filters run forward alone")
    low, high = between(given, "rolloff", (12.0, 24.0))
    build.differs(_STARTS)
    return low / 6.0, high / 6.0


def one_sided(op: str, default: Range) -> Entry:
    """A low-pass or a high-pass."""

    def translate(given: Parameters, build: Builder) -> None:
        cutoff = between(given, "cutoff_freq", default)
        build.add(op, given.p(0.5), {"cutoff": cutoff, "order": _orders(given, build)})

    return Entry(translate, op)


def band(op: str) -> Entry:
    """A band-pass or a band-stop."""

    def translate(given: Parameters, build: Builder) -> None:
        settings = {
            "center": between(given, "center_freq", (200.0, 4000.0)),
            "bandwidth": between(given, "bandwidth_fraction", (0.5, 1.99)),
            "order": _orders(given, build),
        }
        build.add(op, given.p(0.5), settings)

    return Entry(translate, op)


def _bell(op: str, defaults: tuple[Range, Range, Range], **settings: object) -> Entry:
    frequency, gain, quality = defaults

    def translate(given: Parameters, build: Builder) -> None:
        limits = {
            "frequency": between(given, "center_freq", frequency),
            "gain": between(given, "gain", gain, suffix="_db"),
            "q": between(given, "q", quality),
        }
        build.differs(_STARTS)
        if limits["q"][0] < limits["q"][1]:
            build.differs("draws q log-uniformly")
        build.add(op, given.p(0.5), {**limits, **settings})

    return Entry(translate, op)


def _equalizer(given: Parameters, build: Builder) -> None:
    build.differs("has bands of fixed frequencies; there they are drawn, with their widths")
    build.add("parametric_eq", given.p(0.5), {"gain": between(given, "gain", (-12.0, 12.0), suffix="_db")})


def _limiter(given: Parameters, build: Builder) -> None:
    modes = {"relative_to_signal_peak": "peak", "absolute": "full_scale"}
    mode = given.word("threshold_mode", "relative_to_signal_peak")
    if mode not in modes:
        raise Refused(f"threshold_mode {mode!r} has no counterpart")
    settings = {
        "threshold": between(given, "threshold", (-24.0, -2.0), suffix="_db"),
        "attack": between(given, "attack", (0.0005, 0.025)),
        "release": between(given, "release", (0.05, 0.7)),
        "relative_to": modes[mode],
    }
    build.add("limiter", given.p(0.5), settings)


def _repeat_part(given: Parameters, build: Builder) -> None:
    given.require("part_transform", (None,), "repeat_part repeats the part as it is")
    if fade := given.number("crossfade_duration", 0.005, 0.0, 10.0):
        build.differs("fades linearly; there with equal energy")
    build.differs(
        "cuts at the stream's window and gives `lengths`; a part that is longer than the clip is the whole clip"
    )
    settings = {
        "repeats": between(given, "repeats", (1.0, 3.0)),
        "length": between(given, "part_duration", (0.25, 1.2)),
        "mode": given.word("mode", "insert"),
        "crossfade": fade,
    }
    build.add("repeat_part", given.p(0.5), settings)


def _air_absorption(given: Parameters, build: Builder) -> None:
    build.differs(
        "attenuates by ISO 9613-1; there by a table of octaves, of up to 1.4 times its decibels from 2 kHz on"
    )
    build.differs("draws any temperature and humidity; there one of two tens of degrees, and whole percentages")
    settings = {
        "temperature": between(given, "temperature", (10.0, 20.0)),
        "humidity": between(given, "humidity", (30.0, 90.0)),
        "distance": between(given, "distance", (10.0, 100.0)),
    }
    build.add("air_absorption", given.p(0.5), settings)


def _same_method(given: Parameters, build: Builder) -> None:
    method = given.word("method", "signalsmith_stretch")
    if method != "librosa_phase_vocoder":
        build.differs(f"has librosa's phase vocoder; there the method {method!r}")


def _time_stretch(given: Parameters, build: Builder) -> None:
    _same_method(given, build)
    if given.flag("leave_length_unchanged", True):
        build.differs("cuts at the stream's window and gives `lengths`; there every clip keeps its own length")
    build.add("time_stretch", given.p(0.5), {"rate": between(given, "rate", (0.8, 1.25))})


def _pitch_shift(given: Parameters, build: Builder) -> None:
    _same_method(given, build)
    build.add("pitch_shift", given.p(0.5), {"semitones": between(given, "semitones", (-4.0, 4.0))})


def _mp3(given: Parameters, build: Builder) -> None:
    given.ignore("backend", "preserve_delay", "quality")
    build.differs("bitrates are those of clips at 16 to 24 kHz, up to 160 kbit/s; at another rate set `quality`")
    low, high = between(given, "bitrate", (8.0, 64.0))
    quality = tuple(round(min(max((bitrate - 8.0) / 152.0, 0.0), 1.0), 4) for bitrate in (low, high))
    build.add("codec", given.p(0.5), {"codec": "mp3", "quality": quality})


def sequence(given: Parameters, build: Builder) -> None:
    """A Compose; shuffled it is a random_order."""
    p = given.p(1.0)
    given.ignore(*_WITHOUT_EFFECT)
    if given.flag("shuffle", False):
        add_children(build, "random_order", p, [one_child(child) for child in build.children(given.node)], {})
    elif p == 1.0:
        build.inline(given.node)
    else:
        steps = [step for child in build.children(given.node) for step in child]
        add_children(build, "random_apply", p, steps, {})


def one_of(given: Parameters, build: Builder) -> None:
    """The chosen child keeps its own `p`."""
    steps = [one_child(child) for child in build.children(given.node)]
    if given.node.printed:
        build.differs("takes equal weights: what print shows has none")
    weights = given.numbers("weights", (len(steps),))
    given.ignore("shuffle", *_WITHOUT_EFFECT)
    add_children(build, "one_of", given.p(1.0), steps, {"weights": weights} if weights else {})


def some_of(given: Parameters, build: Builder) -> None:
    """The chosen children keep their own `p`, and their order; no upper end is all of them."""
    steps = [one_child(child) for child in build.children(given.node)]
    value = given.take("num_transforms")
    if value is None:
        raise Refused("num_transforms is missing: print leaves it out, the object has it (augsvc.importing)")
    ends = list(value) if isinstance(value, list | tuple) else [value, value]
    numbers = [len(steps) if end is None else end for end in ends]
    if len(numbers) != 2 or not all(isinstance(end, int) and 0 <= end <= len(steps) for end in numbers):
        raise Refused(f"num_transforms must be one or two whole numbers up to {len(steps)}")
    given.ignore("shuffle", *_WITHOUT_EFFECT)
    add_children(build, "some_of", given.p(1.0), steps, {"n": numbers})


CONTAINERS: Mapping[str, Entry] = {
    "Compose": Entry(sequence),
    "OneOf": Entry(one_of, "one_of"),
    "SomeOf": Entry(some_of, "some_of"),
}
_TRANSLATORS: Mapping[str, Entry] = {
    **CONTAINERS,
    "AirAbsorption": Entry(_air_absorption, "air_absorption"),
    "AddColorNoise": Entry(_color_noise, "colored_noise"),
    "AddGaussianNoise": Entry(_gaussian_noise, "white_noise"),
    "AddGaussianSNR": Entry(
        lambda given, build: build.add(
            "white_noise", given.p(0.5), {"snr": between(given, "snr", (5.0, 40.0), suffix="_db")}
        ),
        "white_noise",
    ),
    "Aliasing": ranged(
        "aliasing", "rate", "sample_rate", (8000.0, 30_000.0), "samples from the first sample on; there over both ends"
    ),
    "BandPassFilter": band("band_pass"),
    "BandStopFilter": band("band_stop"),
    "BitCrush": ranged("bit_crush", "bits", "bit_depth", (5.0, 10.0)),
    "ClippingDistortion": Entry(_clipping, "clipping"),
    "Gain": Entry(
        lambda given, build: build.add(
            "gain", given.p(0.5), {"gain": between(given, "gain", (-12.0, 12.0), suffix="_db")}
        ),
        "gain",
    ),
    "GainTransition": Entry(_gain_transition, "gain_transition"),
    "HighPassFilter": one_sided("high_pass", (20.0, 2400.0)),
    "HighShelfFilter": _bell("shelves", ((300.0, 7500.0), (-18.0, 18.0), (0.1, 0.999)), side="high"),
    "Limiter": Entry(_limiter, "limiter"),
    "LoudnessNormalization": ranged("loudness_normalization", "loudness", "lufs", (-31.0, -13.0)),
    "LowPassFilter": one_sided("low_pass", (150.0, 7500.0)),
    "LowShelfFilter": _bell("shelves", ((50.0, 4000.0), (-18.0, 18.0), (0.1, 0.999)), side="low"),
    "Mp3Compression": Entry(_mp3, "codec"),
    "Normalize": Entry(normalize, "normalize_peak"),
    "PeakingFilter": _bell("peaking", ((50.0, 7500.0), (-24.0, 24.0), (0.5, 5.0))),
    "PolarityInversion": plain("polarity"),
    "PitchShift": Entry(_pitch_shift, "pitch_shift"),
    "RepeatPart": Entry(_repeat_part, "repeat_part"),
    "Reverse": plain("reverse"),
    "SevenBandParametricEQ": Entry(_equalizer, "parametric_eq"),
    "Shift": Entry(_shift, "time_shift"),
    "TanhDistortion": ranged("tanh_distortion", "amount", "distortion", (0.01, 0.7)),
    "TimeMask": Entry(_time_mask, "time_mask"),
    "TimeStretch": Entry(_time_stretch, "time_stretch"),
}

AUDIOMENTATIONS = Table(
    "audiomentations",
    _TRANSLATORS,
    refused={
        "AddImpulseResponse": (_SOUNDS.format("reverb"), "reverb"),
        "AddBackgroundNoise": (_SOUNDS.format("background_noise"), "background_noise"),
        "AddShortNoises": (_SOUNDS.format("short_noises"), "short_noises"),
        "AdjustDuration": ("crops and pads clips: set `seconds` of the stream", "random_segment"),
        "ApplyImpulseResponse": (_SOUNDS.format("reverb"), "reverb"),
        "Clip": ("clips at fixed values", "clipping"),
        "FrequencyMask": ("stops a band of drawn width with a filter of another law", "band_stop"),
        "Lambda": ("holds code, which is never run; write an operation, as examples/own_operation.py does", None),
        "Padding": (_LENGTH, "time_shift"),
        "Resample": ("leaves clips at another rate; `resample` comes back to that of the stream", "resample"),
        "RoomSimulator": ("simulates a room by its measures", "room_reverb"),
        "Trim": (_LENGTH, "random_segment"),
    },
    out_of_scope={
        "SpecChannelShuffle": "augments spectrograms",
        "SpecFrequencyMask": "augments spectrograms: see spec_mask",
    },
)
