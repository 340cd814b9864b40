"""What the GPU's grid has to compute as the CPU does: all operations on sound at their ends, passes, lengths."""

from concurrent.futures import ThreadPoolExecutor

import numpy as np

from augsvc.executors.protocol import Executor
from augsvc.ops.registry import registry
from augsvc.planning.spec import validate_spec
from augsvc.streams.stream import Stream
from augsvc_client.wire import parse
from tests.ops.test_sound import RATE, Clips

SAMPLES = 61  # which no number of threads divides, and no block of random numbers


def _clips():
    time = np.arange(SAMPLES)
    return [
        0.7 * np.sin(time * 0.3),
        np.where(time % 7 < 3, 1e-9, -2e-9),
        np.zeros(SAMPLES),
        3000.0 * np.cos(time * 0.9)[:40],
        np.zeros(0),
    ]


def _operations():
    cases, ends = {}, {}
    for name, operation in registry().items():
        if operation.media != "audio":
            continue
        marks = operation.parameters()
        for mode in operation.examples:
            step = {"op": name, **mode}
            called = ", ".join([name, *map(str, mode.values())])
            cases[called] = [{**step, "p": 0.7}]
            for end in ("low", "high"):
                ends[f"{called}, {end}"] = [step | {key: getattr(mark, end) for key, mark in marks.items()}]
    return cases, ends


_ALONE, SOUND_END_CASES = _operations()
SOUND_CASES = _ALONE | {
    "none": "none",
    "preset": "sound",
    "several passes": [
        {"op": "white_noise"},
        {"op": "white_noise", "p": 0.5},
        {"op": "time_shift", "shift": [-0.5, 0.5]},
        {"op": "gain"},
        {"op": "white_noise"},
        {"op": "gain", "p": 0.5},
        {"op": "time_shift"},
    ],
    "two channels": {"pipeline": [{"op": "time_shift"}, {"op": "white_noise"}, {"op": "room_reverb"}], "channels": 2},
    "three channels measured together": {
        "pipeline": [{"op": "white_noise"}, {"op": "normalize_peak"}, {"op": "loudness_normalization", "p": 0.5}],
        "channels": 3,
    },
    "noise that no sample takes": [{"op": "gain"}, {"op": "white_noise", "p": 0.0}, {"op": "gain"}],
}


def clips(pipeline, executor: Executor, count: int = 0, start: int = 0) -> np.ndarray:
    """A case's clips, a pipeline's or a specification's; with `count`, of that many only."""
    spec = {"dataset": "clips", "seconds": SAMPLES / RATE, "shuffle": False, "aug_seed": 3}
    spec |= pipeline if isinstance(pipeline, dict) else {"pipeline": pipeline}
    source = Clips(_clips())
    stream = Stream.open(validate_spec(spec), source, executor)
    with ThreadPoolExecutor(2) as workers:
        body = stream.produce(0, start, count or len(source), 0, workers, lambda: None)
    return parse(body.buffer)[0]["audio"]
