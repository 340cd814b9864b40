"""What an operation costs, against a sample without operations: CPU time of `fused`, measured side by side."""

import time
from collections.abc import Sequence

import numpy as np

from augsvc.arrays import Sample
from augsvc.data.builtin.tones import Tones
from augsvc.data.cache import DecodedCache
from augsvc.ops.operation import Operation
from tests.harness import ListSource, Run, over
from tests.pages.strips import labelled_photo, photo_colors

SIDE, BATCH, ROUNDS = 224, 8, 7


def measure_cost(operation: type[Operation]) -> float:
    """The quotient of the shortest of ROUNDS batches, with the operation at its defaults and p = 1 and without any."""
    pipelines: Sequence[list[dict[str, object]]] = ([], [{"op": operation.model_fields["op"].default, "p": 1.0}])
    runs = [_open(operation, pipeline) for pipeline in pipelines]
    seconds = np.array([[_seconds(run) for run in runs] for _ in range(ROUNDS)])
    plain, augmented = seconds.min(axis=0)
    return float(augmented / plain)


def _open(operation: type[Operation], pipeline: list[dict[str, object]]) -> Run:
    if operation.media == "audio":
        return over(Tones("test", DecodedCache(1 << 24)), pipeline, output={})
    sample = labelled_photo("astronaut", SIDE)
    if not getattr(operation, "labels", ()):
        sample = Sample(sample.image, 0)
    return over(ListSource([sample] * BATCH, photo_colors()), pipeline, size=[SIDE, SIDE])


def _seconds(run: Run) -> float:
    start = time.process_time()
    run.batch(count=BATCH)
    return time.process_time() - start
