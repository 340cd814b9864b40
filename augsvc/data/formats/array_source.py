"""Images that are arrays already: CIFAR, MNIST, NumPy and safetensors files, held in memory.

A file is read once, when the server starts, so that one which changes later does not change a sample.
"""

import hashlib
import json
from abc import abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import numpy.typing as npt
from pydantic import StringConstraints

from augsvc.arrays import I64, U8, Sample
from augsvc.data.cache import DecodedCache
from augsvc.data.formats.dataset_root import DatasetRoot, name_faults
from augsvc.data.formats.format import give_statistics
from augsvc.data.formats.store_root import StoredFormat
from augsvc.data.source import LabelKind, Source, SourceInfo

Name = Annotated[str, StringConstraints(min_length=1)]

_MAX_RATIO, _SPARE_BYTES = 64, 256 << 20  # of decompressed arrays to their file; zeros have 1,000
_MAX_CLASSES = 1 << 20  # that labels name: each is a text of 50 bytes


def most_decompressed(n_bytes: int) -> int:
    """Bytes that the arrays of a file of `n_bytes` may have once decompressed."""
    return _MAX_RATIO * n_bytes + _SPARE_BYTES


class BadArrays(ValueError):
    """The file is damaged, or is not of this format."""


@dataclass(frozen=True, slots=True, eq=False)
class LabelledArrays:
    """One split: images (N, H, W, C), and labels (N,) of one class, or (N, K) of another kind."""

    images: U8
    labels: npt.NDArray[Any]
    classes: tuple[str, ...]
    file: str  # of the images, for receipts

    @property
    def label_kind(self) -> LabelKind:
        """By shape and dtype: integers (N,) are classes, 0 and 1 (N, K) several classes, floats numbers."""
        if self.labels.dtype.kind == "f":
            return "regression"
        return "class" if self.labels.ndim == 1 else "multi_label"


class ArraysFormat(StoredFormat):
    """The operator's settings that all formats of arrays have."""

    classes: tuple[Name, ...] = ()  # in the order of the labels; none: those of the format, or 0, 1, 2, …
    statistics: Path | None = None

    @abstractmethod
    def read_splits(self, root: DatasetRoot) -> Mapping[str, LabelledArrays]:
        """The arrays by split: train, val, test; of a dataset without splits by "".

        Raises:
            ValueError: for the operator: they cannot be served; the text names the file and the fault.
        """

    def open(self, name: str, cache: DecodedCache) -> list[Source]:
        """NAME, or NAME/train, NAME/val and NAME/test; raises as `read_splits`."""
        with name_faults(name):
            root = self.open_root()
            splits = self.read_splits(root)
            for split, arrays in splits.items():
                _require_labels(arrays, f"the split {split!r}" if split else "the dataset")
            if len({arrays.classes for arrays in splits.values()}) > 1:
                raise ValueError("the splits have different classes: name all of them in `classes`")
        sources: list[Source] = [
            ArraySource(f"{name}/{split}" if split else name, arrays, cache) for split, arrays in splits.items()
        ]
        if self.statistics is not None:
            give_statistics(sources, name, self.statistics)
        return sources


class ArraySource(Source):
    """One split in memory."""

    def __init__(self, name: str, arrays: LabelledArrays, cache: DecodedCache) -> None:
        self._arrays, self._key = arrays, cache.claim(name)
        _, height, width, channels = arrays.images.shape
        kind = arrays.label_kind
        self.info = SourceInfo(
            name=name,
            version=_digest(arrays),
            classes=arrays.classes,
            channels=channels,
            size=(height, width),
            label_kind=kind,
            label_width=0 if kind == "class" else _columns(arrays.labels).shape[1],
        )

    def __len__(self) -> int:
        return len(self._arrays.images)

    def read(self, index: int) -> Sample:
        """The row of the arrays; never fails for an index of the dataset."""
        image, key = self._arrays.images[index], (self._key, index)
        if self.info.label_kind == "class":
            return Sample(image, int(self._arrays.labels[index]), key=key)
        return Sample(image, -1, target=_columns(self._arrays.labels)[index], key=key)

    def labels(self) -> I64:
        """The class of every row (len,), -1 where labels are no classes."""
        if self.info.label_kind == "class":
            return self._arrays.labels.astype(np.int64)
        return np.full(len(self), -1, dtype=np.int64)

    def class_counts(self) -> tuple[str, I64]:
        """The samples of each class."""
        if self.info.label_kind == "multi_label":
            return "samples", self._arrays.labels.sum(axis=0, dtype=np.int64)
        return super().class_counts()

    def describe(self, index: int) -> str:
        """The file and the row."""
        return f"{self._arrays.file}, row {index}"

    def fold_key(self, index: int) -> str:
        """The row: the version does not cover the file's name, which compression changes too."""
        return f"row {index}"

    def notes(self) -> Iterator[str]:
        """The memory that it takes."""
        yield f"{self._arrays.images.nbytes / 1e6:,.0f} MB in memory"
        labels = self._arrays.labels
        if self.info.label_kind == "regression" and (labels == labels.round()).all():
            yield "labels are floats, and so numbers (regression): store classes as integers"


def _columns(labels: npt.NDArray[Any]) -> npt.NDArray[Any]:
    return labels.reshape(len(labels), -1).astype(np.float32 if labels.dtype.kind == "f" else np.uint8, copy=False)


def _digest(arrays: LabelledArrays) -> str:
    """Of all that is served: there is no cheaper one that finds a changed pixel."""
    form = [arrays.classes, arrays.images.shape, arrays.labels.shape, arrays.labels.dtype.str]
    digest = hashlib.sha256(json.dumps(form).encode())
    digest.update(np.ascontiguousarray(arrays.images).data)
    digest.update(np.ascontiguousarray(arrays.labels).data)
    return digest.hexdigest()


def _require_labels(arrays: LabelledArrays, where: str) -> None:
    images, labels = arrays.images, arrays.labels
    if not len(images) or len(images) != len(labels):
        raise ValueError(f"{where} has {len(images):,} images and {len(labels):,} labels")
    if arrays.label_kind == "class" and not 0 <= int(labels.min()) <= int(labels.max()) < len(arrays.classes):
        raise ValueError(
            f"{where} has labels of {labels.min()} to {labels.max()}, and the classes are 0 … {len(arrays.classes) - 1}"
        )
    if arrays.label_kind == "multi_label" and int(labels.max()) > 1:
        raise ValueError(f"{where} has labels of several columns that are not 0 and 1")
    if arrays.label_kind == "regression" and not np.isfinite(labels).all():
        raise ValueError(f"{where} has labels that are no finite numbers")
    images.setflags(write=False)


def as_images(array: npt.NDArray[Any], where: str) -> U8:
    """Bytes of shape (N, H, W), (N, H, W, C) or (N, C, H, W), with C of 1 or 3, as (N, H, W, C).

    Raises:
        BadArrays: another dtype or shape, or one that may be either.
    """
    if array.dtype != np.uint8:
        raise BadArrays(f"{where} must be uint8, and is {array.dtype}")
    if array.ndim == 3:
        array = array[..., None]
    if array.ndim != 4 or not array.size:
        raise BadArrays(f"{where} must be N,H,W or N,H,W,C or N,C,H,W, and is {array.shape}")
    is_last, is_first = array.shape[3] in (1, 3), array.shape[1] in (1, 3)
    if is_last == is_first:
        raise BadArrays(f"{where} has the shape {array.shape}: which of its axes are the channels is not clear")
    return np.ascontiguousarray(array if is_last else array.transpose(0, 2, 3, 1))


def as_labels(array: npt.NDArray[Any], where: str) -> npt.NDArray[Any]:
    """Labels (N,), of classes, or (N, K); one column of integers is classes.

    Raises:
        BadArrays: another shape or dtype.
    """
    if array.ndim not in (1, 2) or array.dtype.kind not in "iubf" or (array.ndim == 2 and not array.shape[1]):
        raise BadArrays(f"{where} must be integers or floats of the shape N or N,K, and is {array.dtype} {array.shape}")
    if array.dtype.kind == "f":
        return array.astype(np.float32)
    if array.ndim == 2 and array.shape[1] == 1:
        array = array[:, 0]
    if array.ndim == 1:
        return array.astype(np.int64)
    if array.size and not 0 <= int(array.min()) <= int(array.max()) <= 1:
        raise BadArrays(f"{where} has several columns that are not 0 and 1")
    return array.astype(np.uint8)


def class_names(given: Sequence[str], labels: Sequence[npt.NDArray[Any]]) -> tuple[str, ...]:
    """Those of the settings, or one for each label up to the highest of all splits.

    Raises:
        BadArrays: a label is too high to name as many.
    """
    if given:
        return tuple(given)
    if labels[0].dtype.kind == "f":
        return ()
    if labels[0].ndim == 2:
        return tuple(map(str, range(labels[0].shape[1])))
    highest = max(int(array.max(initial=0)) for array in labels)
    if highest >= _MAX_CLASSES:
        raise BadArrays(f"it has a label of {highest:,}: name the classes")
    return tuple(map(str, range(1 + highest)))
