"""Translators of torch-audiomentations' transforms, with the meanings of version 0.12; draws of a whole batch are draws of a
sample here.
"""

from collections.abc import Callable, Mapping

from augsvc.importing.audiomentations import CONTAINERS, between, plain
from augsvc.importing.builder import Builder, Entry, Table
from augsvc.importing.common import nothing
from augsvc.importing.parameters import Parameters, Range, Refused

_DB_OCTAVE = 3.010299956639812  # of a power of the frequency
_SINC = "is a Butterworth filter of order 4; there a windowed sinc"
_COMMON = ("sample_rate", "target_rate", "output_type", "p_mode", "mode")
_SOUNDS = "takes sounds from a folder: serve it as a dataset, and name it in `dataset` of {}"


def _sampled(translate: Callable[[Parameters, Builder], None], nearest: str) -> Entry:
    """Notes draws that are those of a batch or a channel there."""

    def translate_sampled(given: Parameters, build: Builder) -> None:
        modes = {given.word(name, "per_example") for name in ("mode", "p_mode")}
        if "per_batch" in modes:
            build.differs("draws for each sample; there for each batch")
        given.ignore(*_COMMON)
        translate(given, build)

    return Entry(translate_sampled, nearest)


def _gain(given: Parameters, build: Builder) -> None:
    build.add("gain", given.p(0.5), {"gain": between(given, "gain", (-18.0, 6.0), suffix="_in_db")})


def _noise(given: Parameters, build: Builder) -> None:
    low, high = between(given, "f_decay", (-2.0, 2.0))
    slope = (-_DB_OCTAVE * high, -_DB_OCTAVE * low)
    if min(slope) < -6.03 or max(slope) > 6.03:
        raise Refused("f_decay: colored_noise falls or rises by 6 dB an octave at most, a decay of 2")
    build.differs("filters noise from 10 Hz up; there a spectrum falls")
    limits = tuple(max(-6.0, min(6.0, round(value, 4))) for value in slope)
    settings = {"snr": between(given, "snr", (3.0, 30.0), suffix="_in_db"), "slope": limits}
    build.add("colored_noise", given.p(0.5), settings)


def _normalization(given: Parameters, build: Builder) -> None:
    words = {"all": "all", "only_too_loud_sounds": "louder"}
    word = given.word("apply_to", "all")
    if word not in words:
        raise Refused(f"apply_to {word!r} has no counterpart")
    build.add("normalize_peak", given.p(0.5), {"apply_to": words[word]})


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


def _shift(given: Parameters, build: Builder) -> None:
    if given.word("shift_unit", "fraction") != "fraction":
        raise Refused("shift_unit: time_shift takes fractions of the clip; write them as such")
    border = {"border": "wrap"} if given.flag("rollover", True) else {}
    build.add("time_shift", given.p(0.5), {"shift": between(given, "shift", (-0.5, 0.5)), **border})


_TRANSLATORS: Mapping[str, Entry] = {
    **CONTAINERS,
    "AddColoredNoise": _sampled(_noise, "colored_noise"),
    "BandPassFilter": _band("band_pass"),
    "BandStopFilter": _band("band_stop"),
    "Gain": _sampled(_gain, "gain"),
    "HighPassFilter": _one_sided("high_pass", (20.0, 2400.0)),
    "Identity": nothing("changes nothing"),
    "LowPassFilter": _one_sided("low_pass", (150.0, 7500.0)),
    "PeakNormalization": _sampled(_normalization, "normalize_peak"),
    "PolarityInversion": _sampled(plain("polarity").translate, "polarity"),
    "Shift": _sampled(_shift, "time_shift"),
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
        "PitchShift": ("keeps the length; `speed` changes it with the pitch", "speed"),
        "RandomCrop": ("leaves clips of another length: set `seconds` of the stream", "random_segment"),
        "SpliceOut": ("cuts pieces out of the clip", "time_mask"),
    },
    out_of_scope={"ShuffleChannels": "exchanges channels, and clips have one"},
)
