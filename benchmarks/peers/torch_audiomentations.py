"""torch-audiomentations as its users write it: a `Compose` over a batch of tensors, in the process."""

from importlib.metadata import version as installed
from typing import Any

import numpy as np
import torch
import torch_audiomentations as T

from augsvc.cpus import cores
from benchmarks.peers import Peer, Run, fastest, steps
from benchmarks.sound import RATE

_ALWAYS: dict[str, Any] = {"p": 1.0, "sample_rate": RATE, "output_type": "tensor"}
_DB_OCTAVE = 6.0206  # of an amplitude that is proportional to the frequency


class _Tanh(torch.nn.Module):
    """Without a percentile of the clip."""

    def forward(self, clips: torch.Tensor) -> torch.Tensor:
        return torch.tanh(clips * 3.0)


def _open(limits: list[float], scale: float = 1.0) -> tuple[float, float]:
    """A range that is not empty: a fixed number is refused."""
    low, high = sorted(scale * limit for limit in limits)
    return low, high + 1e-3 * max(1.0, abs(high))


_STEPS = {
    "band_pass": lambda s: T.BandPassFilter(*_open(s["center"]), *_open(s["bandwidth"]), **_ALWAYS),
    "band_stop": lambda s: T.BandStopFilter(*_open(s["center"]), *_open(s["bandwidth"]), **_ALWAYS),
    "high_pass": lambda s: T.HighPassFilter(*_open(s["cutoff"]), **_ALWAYS),
    "normalize_peak": lambda s: T.PeakNormalization(**_ALWAYS),
    "polarity": lambda s: T.PolarityInversion(**_ALWAYS),
    "reverse": lambda s: T.TimeInversion(**_ALWAYS),
    "splice_out": lambda s: T.SpliceOut(8, 100, **_ALWAYS),
    "time_shift": lambda s: T.Shift(*_open(s["shift"]), shift_unit="fraction", rollover=True, **_ALWAYS),
    "gain": lambda s: T.Gain(*_open(s["gain"]), **_ALWAYS),
    "tanh_distortion": lambda s: _Tanh(),
    "low_pass": lambda s: T.LowPassFilter(*_open(s["cutoff"]), **_ALWAYS),
    "colored_noise": lambda s: T.AddColoredNoise(*_open(s["snr"]), *_open(s["slope"], -1 / _DB_OCTAVE), **_ALWAYS),
}


def version() -> str:
    """The library's and torch's."""
    return f"{installed('torch-audiomentations')}, torch {torch.__version__}"


def make(pipeline: list[dict[str, Any]], clips: np.ndarray) -> Run:
    """On the CPU, with one torch thread or one a core, whichever is faster."""
    transforms = torch.nn.Sequential(*steps(_STEPS, pipeline)).train()

    def with_threads(threads: int) -> Run:
        @torch.inference_mode()
        def run() -> np.ndarray:
            torch.set_num_threads(threads)
            result: np.ndarray = transforms(torch.from_numpy(clips)[:, None])[:, 0].numpy()
            return result

        return run

    return fastest({str(threads): with_threads(threads) for threads in sorted({1, cores()})})


PEERS = {"torch_audiomentations": Peer("torch-audiomentations, in the process", version, make)}
