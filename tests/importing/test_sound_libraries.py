"""Transforms of audiomentations and torch-audiomentations: printed forms, configurations and objects."""

import math
from inspect import Parameter, Signature

import numpy as np
import pytest

from augsvc.importing import CannotRead, import_text, import_transform
from augsvc.importing.compare import compare
from augsvc.importing.peers import NotComparable
from augsvc.ops.pipeline import parse_pipeline

PRINTED = """Compose([
  Gain(p=0.5, min_gain_db=-12.0, max_gain_db=12.0),
  LowPassFilter(p=0.5, min_cutoff_freq=150.0, max_cutoff_freq=7500.0, min_rolloff=12, max_rolloff=24, zero_phase=False),
  OneOf([
    TanhDistortion(p=1.0, min_distortion=0.01, max_distortion=0.7),
    Shift(p=0.4, min_shift=-0.5, max_shift=0.5, shift_unit='fraction', rollover=True, fade_duration=0.0),
  ], p=0.3),
  AddBackgroundNoise(p=0.5, sounds_path='noises', min_snr_db=3.0, max_snr_db=30.0),
], p=1.0)"""
CONFIGURED = """
transform: Compose
params:
  transforms:
    - transform: Gain
      params: {min_gain_in_db: -15.0, max_gain_in_db: 5.0, mode: per_batch}
    - transform: AddColoredNoise
      params: {p: 0.9, min_f_decay: -1.0, max_f_decay: 0.5}
    - {transform: PolarityInversion}
    - {transform: SpliceOut}
    - {transform: PitchShift, params: {min_transpose_semitones: -2.0}}
    - {transform: RandomCrop}
"""


def verdicts(result):
    return {line.name: (str(line.verdict), line.nearest) for line in result.lines}


def test_what_audiomentations_prints():
    result = import_text(PRINTED)
    assert result.library == "audiomentations"
    assert verdicts(result) == {
        "Gain": ("equal", None),
        "LowPassFilter": ("near", None),
        "OneOf": ("near", None),
        "TanhDistortion": ("equal", None),
        "Shift": ("equal", None),
        "AddBackgroundNoise": ("refused", "background_noise"),
    }
    gain, low_pass, one_of = result.pipeline
    assert gain == {"op": "gain", "gain": [-12.0, 12.0], "p": 0.5}
    assert low_pass == {"op": "low_pass", "cutoff": [150.0, 7500.0], "order": [2.0, 4.0], "p": 0.5}
    assert [(child["op"], child.get("p", 1.0)) for child in one_of["of"]] == [
        ("tanh_distortion", 1.0),
        ("time_shift", 0.4),
    ]
    parse_pipeline(list(result.pipeline))
    with pytest.raises(NotComparable, match="clips"):
        compare(result)


def test_a_configuration_of_torch_audiomentations():
    result = import_text(CONFIGURED)
    assert result.library == "torch_audiomentations"
    assert verdicts(result) == {
        "Gain": ("near", None),
        "AddColoredNoise": ("near", None),
        "PolarityInversion": ("equal", None),
        "SpliceOut": ("near", None),
        "PitchShift": ("near", None),
        "RandomCrop": ("refused", "random_segment"),
    }
    assert result.pipeline[3] == {"op": "splice_out", "count": 8, "width": [0.0, 0.4], "p": 0.5}
    assert result.pipeline[4] == {"op": "pitch_shift", "semitones": [-2.0, 4.0], "p": 0.5}
    assert result.pipeline[1]["slope"] == [-3.0103, 6.0]
    assert import_text('[{"transform": "Identity"}, {"transform": "Gain"}]').pipeline[0]["gain"] == [-18.0, 6.0]


@pytest.mark.parametrize(
    ("text", "expected", "verdict"),
    [
        ("TimeStretch(p=1.0, min_rate=0.9, max_rate=1.1, leave_length_unchanged=False, method='librosa_phase_vocoder')",
         {"op": "time_stretch", "rate": [0.9, 1.1]}, "equal"),
        ("TimeStretch(p=1.0)", {"op": "time_stretch", "rate": [0.8, 1.25]}, "near"),
        ("PitchShift(p=1.0, min_semitones=-1.0, max_semitones=2.0, method='librosa_phase_vocoder')",
         {"op": "pitch_shift", "semitones": [-1.0, 2.0]}, "equal"),
        ("PitchShift(p=1.0)", {"op": "pitch_shift", "semitones": [-4.0, 4.0]}, "near"),
        ("Mp3Compression(p=1.0, min_bitrate=8, max_bitrate=160, backend='pydub')",
         {"op": "codec", "codec": "mp3", "quality": [0.0, 1.0]}, "near"),
    ],
)  # fmt: skip
def test_stretches_and_codecs_of_audiomentations(text, expected, verdict):
    result = import_text(text)
    assert [str(line.verdict) for line in result.lines] == [verdict]
    assert {key: value for key, value in result.pipeline[0].items() if key != "p"} == expected
    parse_pipeline(list(result.pipeline))


@pytest.mark.parametrize("decay", [-1.0, -0.5, 0.5, 1.0])
def test_the_decay_of_torch_audiomentations_is_of_amplitudes(decay):
    """Its mask, written out, falls by the slope that is set within 0.1 dB an octave from 4 kHz to 8 kHz."""
    text = f"transform: AddColoredNoise\nparams: {{min_f_decay: {decay}, max_f_decay: {decay}}}"
    mask = 1 / np.linspace(1, np.sqrt(8000), 8001) ** decay  # of amplitudes from 0 to 8000 Hz, at a rate of 16 kHz
    octave = 20 * np.log10(mask[8000] / mask[4000])
    np.testing.assert_allclose(import_text(text).pipeline[0]["slope"], octave, atol=0.1)


@pytest.mark.parametrize(
    ("container", "params", "noted"),
    [
        ("OneOf", "", ["OneOf"]),
        ("SomeOf", "num_transforms: 1, ", ["SomeOf"]),
        ("Compose", "shuffle: true, ", ["Compose"]),
        ("Compose", "p: 0.5, ", ["Compose"]),
        ("Compose", "", []),
    ],
)
def test_containers_of_torch_audiomentations_draw_for_a_batch(container, params, noted):
    children = "transforms: [{transform: PolarityInversion}, {transform: TimeInversion}]"
    result = import_text(f"transform: {container}\nparams: {{{params}{children}}}")
    assert [line.name for line in result.lines if "draws for each sample; there for each batch" in line.notes] == noted
    assert [line.name for line in result.lines if line.verdict != "equal"] == noted


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("Compose([\n Gain(p=0.5, min_gain_db=3.0, max_gain_db=-3.0),\n], p=1.0)", "empty range"),
        ("Compose([\n Gain(p=0.5, min_gain=3.0),\n Reverse(p=0.5),\n], p=1.0)", "unknown parameters: min_gain"),
        ("SomeOf([\n Gain(p=0.5),\n], p=1.0)", "num_transforms is missing"),
        ("LowPassFilter(p=0.5, zero_phase=True)", "zero_phase"),
        ("Shift(p=0.5, shift_unit='seconds')", "fractions"),
        ("transform: AddColoredNoise", "f_decay"),
        ("transform: AddColoredNoise\nparams: {min_f_decay: -1, max_f_decay: 1.01}", "f_decay"),
        ("transform: my.Own", "no transform that is known"),
    ],
)
def test_what_has_no_counterpart_is_refused_with_its_reason(text, reason):
    assert any(reason in note for line in import_text(text).refused for note in line.notes)


@pytest.mark.parametrize("text", ["transform: Gain\nparams: [1]", "- transform: Gain\n- params: {}"])
def test_a_configuration_that_is_none(text):
    with pytest.raises(CannotRead):
        import_text(text)


def made(name, names, **attributes):
    """An object as audiomentations has them: a class of its package with attributes named as its parameters."""
    takes = Signature([Parameter(each, Parameter.KEYWORD_ONLY) for each in names])
    transform = object.__new__(type(name, (), {"__signature__": takes, "__module__": "audiomentations.core"}))
    vars(transform).update(attributes)
    return transform


@pytest.mark.parametrize(
    ("low", "high", "verdict", "percentile"),
    [
        (5, 5, "equal", [4.0, 4.0]),
        (6, 6, "equal", [6.0, 6.0]),
        (1, 1, "equal", [0.0, 0.0]),
        (0, 40, "near", [0.0, 40.0]),
    ],
)
def test_clipping_has_half_of_a_percentage_at_each_end_rounded_down(low, high, verdict, percentile):
    names = ["min_percentile_threshold", "max_percentile_threshold", "p"]
    values = {"min_percentile_threshold": low, "max_percentile_threshold": high, "p": 1.0}
    result = import_transform(made("ClippingDistortion", names, **values))
    assert [str(line.verdict) for line in result.lines] == [verdict]
    assert result.pipeline[0]["percentile"] == percentile


def test_aliasing_differs_at_any_rate():
    values = {"min_sample_rate": 8000, "max_sample_rate": 8000, "p": 1.0}
    result = import_transform(made("Aliasing", list(values), **values))
    assert [str(line.verdict) for line in result.lines] == ["near"]


def test_objects_have_what_print_leaves_out():
    gain = made("Gain", ["min_gain_db", "max_gain_db", "p"], min_gain_db=-3, max_gain_db=3, p=1.0, parameters={})
    flip = made("PolarityInversion", ["p"], p=1.0)
    sampler = made("Sampler", [], cdf=np.array([0.25, 1.0]))
    chosen = made("OneOf", ["transforms", "p", "weights"], transforms=[gain, flip], p=1.0, sampler=sampler)
    some = made(
        "SomeOf", ["num_transforms", "transforms", "p"], num_transforms=(1, None), transforms=[gain, flip], p=0.5
    )
    result = import_transform(
        made("Compose", ["transforms", "p", "shuffle"], transforms=[chosen, some], p=1.0, shuffle=False)
    )
    assert [str(line.verdict) for line in result.lines] == ["equal"] * 6
    assert result.pipeline[0]["weights"] == [0.25, 0.75]
    assert result.pipeline[1]["n"] == [1, 2] and math.isclose(result.pipeline[1]["p"], 0.5)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Shift(min_fraction=-0.2, max_fraction=0.1, fade_duration=0.0, p=1.0)", {"op": "time_shift", "shift": [-0.2, 0.1]}),
        ("Gain(min_gain_in_db=-15, max_gain_in_db=15, p=1.0)", {"op": "gain", "gain": [-15.0, 15.0]}),
        ("AddGaussianSNR(min_snr_in_db=5, max_snr_in_db=30, p=1.0)", {"op": "white_noise", "snr": [5.0, 30.0]}),
        ("LoudnessNormalization(min_lufs_in_db=-30, max_lufs_in_db=-20, p=1.0)",
         {"op": "loudness_normalization", "loudness": [-30.0, -20.0]}),
        ("RepeatPart(min_repeats=1, max_repeats=2, mode='replace', crossfade_duration=0.0, p=1.0)",
         {"op": "repeat_part", "repeats": [1, 2], "mode": "replace", "length": [0.25, 1.2], "crossfade": 0.0}),
        ("AirAbsorption(min_distance=10.0, max_distance=50.0, p=1.0)",
         {"op": "air_absorption", "distance": [10.0, 50.0], "humidity": [30.0, 90.0]}),
    ],
)  # fmt: skip
def test_parameters_and_their_former_names(text, expected):
    (step,) = import_text(text).pipeline
    assert expected.items() <= step.items()
    parse_pipeline([step])


@pytest.mark.parametrize(
    ("text", "nearest"),
    [
        ("TimeStretch(0.9, 1.0, p=1.0)", "time_stretch"),
        ("Gain(-6.0, p=1.0)", "gain"),
        ("Compose([TimeMask((0.0, 0.5))], p=1.0)", "time_mask"),
    ],
)
def test_values_without_a_name_are_not_dropped(text, nearest):
    line = import_text(text).lines[0]
    assert (str(line.verdict), line.nearest) == ("refused", nearest) and "without a name" in line.notes[0]


@pytest.mark.parametrize(
    ("name", "nearest"),
    [("AddShortNoises", "short_noises"), ("AddImpulseResponse", "reverb"), ("FrequencyMask", "band_stop")],
)
def test_what_is_refused_names_the_nearest_operation(name, nearest):
    (line,) = import_text(f"Compose([Gain(p=0.5), {name}(p=0.5)])").lines[1:]
    assert (str(line.verdict), line.nearest) == ("refused", nearest)
