"""The embedded digits: scikit-learn's 1797 handwritten digits, 8×8 grey, with a fixed stratified split."""

import gzip
import hashlib
import json
from importlib.util import find_spec
from pathlib import Path

import numpy as np

from augsvc.arrays import I64, U8, Sample
from augsvc.data.source import Source, SourceInfo, Split

CLASSES = tuple("0123456789")
TEST_EVERY = 4  # within each class, in order of appearance, this one is test


class Digits(Source):
    """One split of the digits: grey values 0…16 as uint8 (v · 255 + 8) // 16. All are in memory, 113 kB."""

    def __init__(self, split: Split) -> None:
        images, labels, places = _load()
        mine = np.flatnonzero(_is_test(labels) == (split == "test"))
        self._images, self._labels, self._places = images[mine], labels[mine], places[mine]
        self._images.setflags(write=False)  # samples are views of it
        self.info = SourceInfo(
            name=f"digits/{split}",
            version=_version(self._images, self._labels),
            classes=CLASSES,
            channels=1,
            size=(8, 8),
        )

    def __len__(self) -> int:
        return len(self._labels)

    def read(self, index: int) -> Sample:
        """The digit; never fails for an index of the dataset."""
        return Sample(self._images[index], int(self._labels[index]), key=(self.info.name, index))

    def labels(self) -> I64:
        """The digit of every sample (len,)."""
        return self._labels.copy()

    def describe(self, index: int) -> str:
        """Its row in scikit-learn's table."""
        return f"row {self._places[index]}"


def _load() -> tuple[U8, I64, I64]:
    """All digits in the table's order: images (N, 8, 8, 1), classes (N,), rows (N,).

    Reads the table without importing scikit-learn, which takes a second.
    """
    spec = find_spec("sklearn")
    if spec is None or spec.origin is None:
        raise RuntimeError(
            "scikit-learn, which contains the digits, is not installed: install augsvc with its dependencies"
        )
    with gzip.open(Path(spec.origin).parent / "datasets" / "data" / "digits.csv.gz", "rt", encoding="ascii") as table:
        rows = np.loadtxt(table, delimiter=",").astype(np.int64)
    images = ((rows[:, :64] * 255 + 8) // 16).astype(np.uint8).reshape(-1, 8, 8, 1)
    return images, rows[:, 64], np.arange(len(rows), dtype=np.int64)


def _is_test(labels: I64) -> np.ndarray[tuple[int], np.dtype[np.bool_]]:
    chosen = np.zeros(len(labels), dtype=np.bool_)
    for label in range(len(CLASSES)):
        chosen[np.flatnonzero(labels == label)[TEST_EVERY - 1 :: TEST_EVERY]] = True
    return chosen


def _version(images: U8, labels: I64) -> str:
    """The digest of the classes and of every pixel and label."""
    digest = hashlib.sha256(json.dumps({"format": "digits", "classes": CLASSES}).encode())
    digest.update(labels.astype("<i8").tobytes())
    digest.update(images.tobytes())
    return digest.hexdigest()
