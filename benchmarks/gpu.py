"""The rows that need CUDA. Nothing is claimed where there is none.

Not written yet. What belongs here: the pipeline of the bar by `fused` on the device against Kornia eager and under
`torch.compile`, and the device's own copy rate in the same run, for the roofline. `make(pipeline, images, device)` of
peers/kornia_peer.py takes the device already.
"""

from typing import Any

import torch

from benchmarks.sections import Bench


def gpu(bench: Bench) -> dict[str, Any]:
    """Why there are no rows, so far."""
    if not torch.cuda.is_available():
        return {"missing": "no CUDA here"}
    bench.say("gpu: these rows are not written yet")
    return {"missing": "these rows are not written yet", "device": torch.cuda.get_device_name()}
