"""This package without a server, over clips: the work of a batch once its samples are decoded."""

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np

from augsvc.arrays import Sample
from augsvc.cpus import cores
from augsvc.numerics.rng import Address
from augsvc.ops.kinds.audio import Clip
from augsvc.ops.pipeline import parse_pipeline
from augsvc.planning.audio_plan import SoundPlan
from augsvc.streams.render_audio import SoundRenderer
from augsvc.timing import Stages
from benchmarks.peers import Peer, Run
from benchmarks.peers.fused import executor_on, version
from benchmarks.sound import RATE

_workers = ThreadPoolExecutor(cores())


def make(pipeline: list[dict[str, Any]], clips: np.ndarray) -> Run:
    """On the CPU. Every epoch has its own draws."""
    count, samples = clips.shape
    renderer = SoundRenderer(SoundPlan.of(parse_pipeline(pipeline), Clip(samples, RATE)), executor_on("cpu").sound)
    decoded = [Sample(None, 0, audio=clip, rate=RATE) for clip in clips]
    arrays, epochs = {"audio": np.empty_like(clips)}, iter(range(1 << 24))

    def run() -> np.ndarray:
        address = Address(np.arange(count), next(epochs), 0)
        renderer.fill(decoded, address, 1, arrays, _workers, lambda: None, Stages())
        return arrays["audio"]

    return run


PEERS = {"fused_sound": Peer("augsvc, `fused`, a thread a core", version, make)}
