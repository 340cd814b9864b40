"""NVIDIA DALI on the CPU: a pipeline with a thread a core."""

from typing import Any

import numpy as np
from nvidia import dali
from nvidia.dali import fn, types

from augsvc.cpus import cores
from benchmarks.peers import Peer, Run, steps, taking
from benchmarks.recipes import BLUR_TAPS

_QUEUED = 4  # batches, before and behind the operators

_STEPS = {
    "rotation": lambda s: (
        lambda x: fn.rotate(x, angle=s["degrees"][0], keep_size=True, fill_value=0, interp_type=types.INTERP_LINEAR)
    ),
    "horizontal_flip": lambda s: lambda x: fn.flip(x, horizontal=1),
    "color_jitter": lambda s: (
        lambda x: fn.color_twist(
            x,
            brightness=s["brightness"][0],
            contrast=s["contrast"][0],
            saturation=s["saturation"][0],
            hue=360 * s["hue"][0],
        )
    ),
    "gaussian_blur": lambda s: lambda x: fn.gaussian_blur(x, sigma=s["sigma"][0], window_size=BLUR_TAPS),
    "gaussian_noise": lambda s: lambda x: fn.noise.gaussian(x, stddev=255 * s["std"][0]),
}


def make(pipeline: list[dict[str, Any]], images: np.ndarray) -> Run:
    """With its defaults: asynchronous, two batches computed ahead, which are taken before the clock starts."""
    chain = steps(_STEPS, pipeline)

    @dali.pipeline_def(batch_size=len(images), num_threads=cores(), device_id=None)  # type: ignore[untyped-decorator]
    def graph() -> Any:
        values = fn.external_source(source=lambda: images, batch=True, layout="HWC", no_copy=True)
        for step in chain:
            values = step(values)
        return values

    built = graph()
    built.build()
    return lambda: built.run()[0].as_array()


PEERS = {"dali": Peer("DALI on the CPU, a thread a core", lambda: str(dali.__version__), make, taking(_QUEUED))}
