"""Labels of a training dataset, and test samples that it contains too.

training and test Stream → compare_datasets → Comparison: what two gates of `--sanity` judge
"""

from collections.abc import Iterator, Set
from dataclasses import dataclass
from hashlib import blake2b

import numpy as np
import numpy.typing as npt

from augsvc_client.client.stream import Stream
from augsvc_client.wire import Arrays

_MAX_SAMPLES = 4096  # read of each dataset, in a random order
_SIDE, _SECONDS = 32, 1.0  # at most: equal samples are equal on any canvas
_CHUNK = 256


@dataclass(frozen=True, slots=True, eq=False)
class Comparison:
    """Labels (N,) of up to 4,096 training samples; how many of the `compared` test samples are among the training samples.

    Samples of a single value are not compared.
    """

    labels: npt.NDArray[np.int64]
    repeated: int
    compared: int


def compare_datasets(training: Stream, test: Stream, left_out: Set[int]) -> Comparison:
    """Compare the samples behind two streams before augmentation; test samples in `left_out` are not part of the test."""
    labels: list[npt.NDArray[np.int64]] = []
    known: set[bytes] = set()
    for batch in _read_small(training):
        labels.append(batch["label"][batch["valid"]])
        known.update(digest for _, digest in _digests(batch))
    digests = [digest for batch in _read_small(test) for index, digest in _digests(batch) if index not in left_out]
    return Comparison(np.concatenate(labels), sum(digest in known for digest in digests), len(digests))


def _read_small(stream: Stream) -> Iterator[Arrays]:
    """Batches of the stream's samples in a random order, without augmentation, on a small canvas."""
    spec = {**stream.spec, "pipeline": "none", "shuffle": True}
    if "audio" in stream.tensors:
        spec["seconds"] = min(_SECONDS, spec["seconds"])
    else:
        spec["size"] = [min(_SIDE, side) for side in spec["size"]]
    small = stream.client.stream(spec, dataset_version=stream.dataset_version)
    count = min(_MAX_SAMPLES, small.samples)
    for start in range(0, count, _CHUNK):
        yield small.batch(0, start, min(_CHUNK, count - start))


def _digests(batch: Arrays) -> Iterator[tuple[int, bytes]]:
    """Index and digest of each sample that was decoded and is not of a single value."""
    values = batch["audio"] if "audio" in batch else batch["image"]
    for index, row in zip(batch["index"][batch["valid"]], values[batch["valid"]], strict=True):
        if row.min() < row.max():
            yield int(index), blake2b(np.ascontiguousarray(row).tobytes(), digest_size=16).digest()
