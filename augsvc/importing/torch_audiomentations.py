"""Translators of torch-audiomentations' transforms, with the meanings of version 0.12; draws of a whole batch are draws of a
sample here.
"""

from collections.abc import Mapping
from math import log10

from augsvc.importing.audiomentations import between, normalize, one_of, plain, sequence, some_of
from augsvc.importing.builder import Builder, Entry, Table, Translator
from augsvc.importing.common import nothing
from augsvc.importing.parameters import Parameters, Range, Refused

_DB_OCTAVE = 20.0 * log10(2.0)  # of an amplitude that is a power of the frequency
_SINC = "is a Butterworth filter of order 4; there a windowed sinc"
_COMMON = ("sample_rate", "target_rate", "output_type", "p_mode", "mode")
_BATCH = "draws for each sample; there for each batch"
_SOUNDS = "takes sounds from a folder: serve it as a dataset, and name it in `dataset` of {}"


def _sampled(translate: Translator, nearest: str) -> Entry:
    """Notes draws that are those of a batch or a channel there."""

    def translate_sampled(given: Parameters, build: Builder) -> None:
        modes = {given.word(name, "per_example") for name in ("mode", "p_mode")}
        if "per_batch" in modes:
            build.differs(_BATCH)
        given.ignore(*_COMMON)
        translate(given, build)

    return Entry(translate_sampled, nearest)


def _compose(given: Parameters, build: Builder) -> None:
    """A Compose with `p` or `shuffle` draws once for a batch."""
    is_random = given.node.parameters.get("shuffle") or given.node.parameters.get("p", 1.0) != 1.0
    sequence(given, build)
    if is_random:
        build.differs(_BATCH)


def _choice(translate: Translator, op: str) -> Entry:
    """OneOf and SomeOf choose once for a batch (`core/composition.py`)."""

    def translate_choice(given: Parameters, build: Builder) -> None:
        build.differs(_BATCH)
        translate(given, build)

    return Entry(translate_choice, op)


def _gain(given: Parameters, build: Builder) -> None:
    build.add("gain", given.p(0.5), {"gain": between(given, "gain", (-18.0, 6.0), suffix="_in_db")})


def _noise(given: Parameters, build: Builder) -> None:
    """There the amplitude at f Hz is (1 + f (√(rate / 2) − 1) / (rate / 2))^−f_decay (`_gen_noise`), by its documentation the
    power: 6.02 dB an octave far above √(rate / 2) Hz, twice that of audiomentations' colours of the same name.
    """
    low, high = between(given, "f_decay", (-2.0, 2.0))
    if max(-low, high) > 1.0:
        raise Refused(
            "f_decay: a decay of 1 is 6 dB an octave there, and colored_noise has no more: set min_f_decay and max_f_decay "
            "within -1 and 1"
        )
    if low or high:
        build.differs(
            "falls or rises from 10 Hz up; there the spectrum is flat below √(rate / 2) Hz, 90 Hz at a rate of 16 kHz"
        )
    build.differs("draws noise for the whole clip; there one second of it repeats")
    limits = tuple(max(-6.0, min(6.0, round(-_DB_OCTAVE * decay, 4))) for decay in (high, low))
    settings = {"snr": between(given, "snr", (3.0, 30.0), suffix="_in_db"), "slope": limits}
    build.add("colored_noise", given.p(0.5), settings)


def _one_sided(op: str, default: Range) -> Entry:
    def translate(given: Parameters, build: Builder) -> None:
        build.differs(_SINC)
        build.add(op, given.p(0.5), {"cutoff": between(given, "cutoff_freq", default), "order": 4})

    return _sampled(translate, op)


def _band(op: str) -> Entry:
    def translate(given: Parameters, build: Builder) -> None:
        build.differs(_SINC)
        settings = {
            "center": between(given, "center_frequency", (200.0, 4000.0)),
            "bandwidth": between(given, "bandwidth_fraction", (0.5, 1.99)),
            "order": 4,
        }
        build.add(op, given.p(0.5), settings)

    return _sampled(translate, op)


def _pitch_shift(given: Parameters, build: Builder) -> None:
    build.differs("draws any ratio, in frames of 2048 samples; there one of few, in frames of 1/64 s")
    limits = between(given, "transpose_semitones", (-4.0, 4.0))
    build.add("pitch_shift", given.p(0.5), {"semitones": limits})


def _splice_out(given: Parameters, build: Builder) -> None:
    count = given.whole("num_time_intervals", 8, 1, 16)
    width = given.number("max_width", 400.0, 0.0, 10_000.0) / 1000.0
    build.differs("shortens `lengths`; there silence follows")
    build.add("splice_out", given.p(0.5), {"count": count, "width": (0.0, width)})


def _shift(given: Parameters, build: Builder) -> None:
    if given.word("shift_unit", "fraction") != "fraction":
        raise Refused("shift_unit: time_shift takes fractions of the clip; write them as such")
    border = {"border": "wrap"} if given.flag("rollover", True) else {}
    build.add("time_shift", given.p(0.5), {"shift": between(given, "shift", (-0.5, 0.5)), **border})


_TRANSLATORS: Mapping[str, Entry] = {
    "AddColoredNoise": _sampled(_noise, "colored_noise"),
    "BandPassFilter": _band("band_pass"),
    "BandStopFilter": _band("band_stop"),
    "Compose": Entry(_compose),
    "Gain": _sampled(_gain, "gain"),
    "HighPassFilter": _one_sided("high_pass", (20.0, 2400.0)),
    "Identity": nothing("changes nothing"),
    "LowPassFilter": _one_sided("low_pass", (150.0, 7500.0)),
    "OneOf": _choice(one_of, "one_of"),
    "PeakNormalization": _sampled(normalize, "normalize_peak"),
    "PitchShift": _sampled(_pitch_shift, "pitch_shift"),
    "PolarityInversion": _sampled(plain("polarity").translate, "polarity"),
    "Shift": _sampled(_shift, "time_shift"),
    "SomeOf": _choice(some_of, "some_of"),
    "SpliceOut": _sampled(_splice_out, "splice_out"),
    "TimeInversion": _sampled(plain("reverse").translate, "reverse"),
}

TORCH_AUDIOMENTATIONS = Table(
    "torch-audiomentations",
    _TRANSLATORS,
    refused={
        "AddBackgroundNoise": (_SOUNDS.format("background_noise"), "background_noise"),
        "ApplyImpulseResponse": (_SOUNDS.format("reverb"), "reverb"),
        "Mix": ("mixes samples of the batch at a ratio", "mixup_sound"),
        "Padding": ("silences an end of the clip", "time_mask"),
        "RandomCrop": ("leaves clips of another length: set `seconds` of the stream", "random_segment"),
    },
    out_of_scope={"ShuffleChannels": "exchanges channels"},
)
