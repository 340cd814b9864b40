"""Labels of a training dataset, and test samples that it contains too.

training and test Stream → compare_datasets → Comparison → check_classes, check_new_samples: two gates of `--sanity`
"""

from collections.abc import Iterator, Set
from dataclasses import dataclass
from hashlib import blake2b

import numpy as np
import numpy.typing as npt

from augsvc_client.client.stream import Stream
from augsvc_client.trainer.experiments.findings import Finding
from augsvc_client.wire import Arrays

_MAX_SAMPLES = 4096  # read of each dataset, in a random order
_SIDE, _SECONDS = 32, 1.0  # at most: equal samples are equal on any canvas
_CHUNK = 256
_MAX_IMBALANCE = 10  # of the largest class to the smallest one
_MAX_REPEATED = 0.001  # of the test samples; large public datasets repeat a few


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


def check_classes(
    comparison: Comparison | None, classes: int, left_out: Set[int] = frozenset(), *, weighted: bool = False
) -> Finding:
    """Classes of very different sizes are learnt badly, and the accuracy hides it; those in `left_out` are not judged."""
    gate = "classes"
    if comparison is None:
        return Finding(gate, True, "not read")
    sizes = np.bincount(comparison.labels, minlength=classes).tolist()
    counts = {i: size for i, size in enumerate(sizes) if i not in left_out}
    smallest, largest = min(counts, key=lambda i: counts[i]), max(counts, key=lambda i: counts[i])
    fewest, most = counts[smallest], counts[largest]
    measured = f"from {fewest} to {most} samples of a class, {sum(counts.values())} samples"
    if not fewest:
        fault = f"class {smallest} has no training samples: check the folder, or leave the class out"
    elif most > _MAX_IMBALANCE * fewest and not weighted:
        fault = (
            f"class {smallest} is far smaller than class {largest}, so the accuracy hides its errors: "
            "set training.class_weights=balanced or data.per_class, and read the balanced accuracy"
        )
    else:
        fault = ""
    return Finding(gate, not fault, measured, fault)


def check_new_samples(comparison: Comparison | None) -> Finding:
    """Test samples that are training samples too make the accuracy optimistic."""
    gate = "new test samples"
    if comparison is None or not comparison.compared:
        return Finding(gate, True, "no sample to compare")
    measured = f"{comparison.repeated} of {comparison.compared} test samples are training samples, pixel by pixel"
    passed = comparison.repeated <= _MAX_REPEATED * comparison.compared
    fault = "the test contains training samples, so its accuracy is optimistic: split the files again"
    return Finding(gate, passed, measured, "" if passed else fault)


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
