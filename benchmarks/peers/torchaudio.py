"""torchaudio's transforms over a batch of tensors, in the process; not its PitchShift, which takes gigabytes and minutes."""

from importlib.metadata import version as installed
from typing import Any

import numpy as np
import torch
import torchaudio.functional as F
import torchaudio.transforms as T

from augsvc.cpus import cores
from benchmarks.peers import Peer, Run, fastest, steps
from benchmarks.sound import RATE


class _Speed(torch.nn.Module):
    def __init__(self, factor: float) -> None:
        super().__init__()
        self.speed = T.Speed(RATE, factor)

    def forward(self, clips: torch.Tensor) -> torch.Tensor:
        result: torch.Tensor = self.speed(clips)[0]
        return result


class _There(torch.nn.Module):
    """To another rate and back."""

    def __init__(self, rate: int) -> None:
        super().__init__()
        self.both = torch.nn.Sequential(T.Resample(RATE, rate), T.Resample(rate, RATE))

    def forward(self, clips: torch.Tensor) -> torch.Tensor:
        result: torch.Tensor = self.both(clips)
        return result


class _MuLaw(torch.nn.Module):
    def forward(self, clips: torch.Tensor) -> torch.Tensor:
        result: torch.Tensor = F.mu_law_decoding(F.mu_law_encoding(clips, 256), 256)
        return result


_STEPS = {
    "gain": lambda s: T.Vol(s["gain"][0], "db"),
    "mu_law": lambda s: _MuLaw(),
    "preemphasis": lambda s: T.Preemphasis(),
    "resample": lambda s: _There(8000),
    "speed": lambda s: _Speed(s["speed"][0]),
}


def version() -> str:
    """The library's and torch's."""
    return f"{installed('torchaudio')}, torch {torch.__version__}"


def make(pipeline: list[dict[str, Any]], clips: np.ndarray) -> Run:
    """On the CPU, with one torch thread or one a core, whichever is faster."""
    transforms = torch.nn.Sequential(*steps(_STEPS, pipeline)).eval()

    def with_threads(threads: int) -> Run:
        @torch.inference_mode()
        def run() -> np.ndarray:
            torch.set_num_threads(threads)
            result: np.ndarray = transforms(torch.from_numpy(clips)).numpy()
            return result

        return run

    return fastest({str(threads): with_threads(threads) for threads in sorted({1, cores()})})


PEERS = {"torchaudio": Peer("torchaudio, in the process", version, make)}
