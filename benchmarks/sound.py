"""Clips through one pipeline: shift, gain, tanh, low-pass and coloured noise, every parameter pinned."""

import numpy as np

from benchmarks import peers
from benchmarks.bench import Bench, Rows
from benchmarks.recipes import Pipeline
from benchmarks.rounds import Entry, all_pairs, interleave

OURS = "fused_sound"
PEERS = ("torch_audiomentations", "audiomentations")
RATE = 16_000  # Hz
BATCH = 64
CASES = {f"{seconds} s": seconds * RATE for seconds in (1, 10)}  # samples of a clip
PIPELINE: Pipeline = [
    {"op": "time_shift", "shift": [0.25, 0.25], "border": "wrap"},
    {"op": "gain", "gain": [-6, -6]},
    {"op": "tanh_distortion", "amount": [0.3, 0.3]},
    {"op": "low_pass", "cutoff": [2000, 2000], "order": [4, 4]},
    {"op": "colored_noise", "snr": [20, 20], "slope": [-3, -3]},
]


def clips(count: int, samples: int) -> np.ndarray:
    """float32 (count, samples): tones of different pitch over noise."""
    generator = np.random.default_rng(0)
    time = np.arange(samples) / RATE
    tones = np.sin(2 * np.pi * np.geomspace(100, 3000, count)[:, None] * time)
    return (0.3 * tones + generator.normal(0, 0.05, (count, samples))).astype(np.float32)


def sound(bench: Bench) -> dict[str, Rows]:
    """A row for ours and each peer, for each length of clips."""
    rows = {}
    with bench.workers((OURS, *PEERS)) as workers:
        for case, samples in CASES.items():
            entries = []
            for worker in workers:
                bench.log(f"clips of {case}: preparing {worker.name}")
                try:
                    seconds = worker.render(PIPELINE, clips(BATCH, samples))
                    entries.append(Entry(worker.name, BATCH, seconds, worker.run))
                except peers.Missing as err:
                    bench.missing[worker.name] = str(err)
            log = lambda text, case=case: bench.log(f"clips of {case}: {text}")  # noqa: E731
            bench.missing.update(interleave(entries, bench.rounds, bench.seconds, log))
            rows[case] = all_pairs(entries)
    return rows
