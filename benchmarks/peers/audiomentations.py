"""audiomentations in one process a core, each over one clip after the other."""

from importlib.metadata import version as installed
from typing import Any

import audiomentations as A
import numpy as np

from benchmarks.peers import Peer, Run, pool, steps
from benchmarks.peers.pool import Function, in_processes
from benchmarks.sound import RATE

_ROLLOFF = 6  # dB per octave of an order


def _steep(step: dict[str, Any]) -> dict[str, Any]:
    rolloff = _ROLLOFF * step["order"][0]
    return {"min_rolloff": rolloff, "max_rolloff": rolloff, "p": 1.0}


_STEPS = {
    "air_absorption": lambda s: A.AirAbsorption(p=1.0),
    "aliasing": lambda s: A.Aliasing(*s["rate"], p=1.0),
    "band_pass": lambda s: A.BandPassFilter(*s["center"], *s["bandwidth"], **_steep({"order": [2 * s["order"][0]]})),
    "band_stop": lambda s: A.BandStopFilter(*s["center"], *s["bandwidth"], **_steep({"order": [2 * s["order"][0]]})),
    "bit_crush": lambda s: A.BitCrush(*s["bits"], p=1.0),
    "clipping": lambda s: A.ClippingDistortion(*s["percentile"], p=1.0),
    "gain_transition": lambda s: A.GainTransition(-12.0, 0.0, 0.5, 0.5, p=1.0),
    "high_pass": lambda s: A.HighPassFilter(*map(float, s["cutoff"]), **_steep(s)),
    "limiter": lambda s: A.Limiter(*map(float, s["threshold"]), *s["attack"], *s["release"], p=1.0),
    "loudness_normalization": lambda s: A.LoudnessNormalization(*map(float, s["loudness"]), p=1.0),
    "normalize_peak": lambda s: A.Normalize(p=1.0),
    "parametric_eq": lambda s: A.SevenBandParametricEQ(p=1.0),
    "peaking": lambda s: A.PeakingFilter(*s["frequency"], *s["gain"], *s["q"], p=1.0),
    "pitch_shift": lambda s: A.PitchShift(*map(float, s["semitones"]), p=1.0),
    "polarity": lambda s: A.PolarityInversion(p=1.0),
    "reverse": lambda s: A.Reverse(p=1.0),
    "time_mask": lambda s: A.TimeMask(*s["length"], fade_duration=0.0, p=1.0),
    "time_stretch": lambda s: A.TimeStretch(*s["rate"], p=1.0),
    "white_noise": lambda s: A.AddGaussianSNR(*map(float, s["snr"]), p=1.0),
    "time_shift": lambda s: A.Shift(*s["shift"], rollover=True, fade_duration=0.0, p=1.0),
    "gain": lambda s: A.Gain(*map(float, s["gain"]), p=1.0),
    "tanh_distortion": lambda s: A.TanhDistortion(*s["amount"], p=1.0),
    "low_pass": lambda s: A.LowPassFilter(
        min_cutoff_freq=s["cutoff"][0], max_cutoff_freq=s["cutoff"][1], min_rolloff=24, max_rolloff=24, p=1.0
    ),
    "colored_noise": lambda s: A.AddColorNoise(
        min_snr_db=s["snr"][0], max_snr_db=s["snr"][1], min_f_decay=s["slope"][0], max_f_decay=s["slope"][1], p=1.0
    ),
}


def _clip_function(pipeline: list[dict[str, Any]]) -> Function:
    transforms = A.Compose(steps(_STEPS, pipeline))
    return lambda clip: transforms(samples=clip, sample_rate=RATE)


def make(pipeline: list[dict[str, Any]], clips: np.ndarray) -> Run:
    """Over float32 clips in shared memory."""
    return in_processes(_clip_function, pipeline, clips)


PEERS = {
    "audiomentations": Peer(
        "audiomentations, one process a core", lambda: installed("audiomentations"), make, close=pool.close
    )
}
