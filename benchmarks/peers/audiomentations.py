"""audiomentations in one process a core, each over one clip after the other."""

from importlib.metadata import version as installed
from typing import Any

import audiomentations as A
import numpy as np

from benchmarks.peers import Peer, Run, pool, steps
from benchmarks.peers.pool import Function, in_processes
from benchmarks.sound import RATE

_STEPS = {
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
