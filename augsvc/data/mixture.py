"""Several datasets as one: their samples one after the other, their classes joined by name."""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import replace
from typing import TypeVar

import numpy as np

from augsvc.arrays import I64, Sample
from augsvc.data.source import Source, SourceInfo
from augsvc.errors import SpecInvalid
from augsvc.numerics.rng import MAX_SAMPLES

T = TypeVar("T")
NAME = "mixture"  # of all of them, so that metrics do not grow with the requests of clients
_EQUAL = ("media", "channels", "window", "label_kind", "mask", "mask_bits", "keypoints", "flip_pairs")


class Mixture(Source):
    """The samples of `parts`, in their order. Equal to another one of the same parts."""

    def __init__(self, parts: Sequence[Source]) -> None:
        """Reads nothing; a mixture of any size takes a few kilobytes.

        Raises:
            SpecInvalid: the datasets have not the same kind of samples.
        """
        self._parts = tuple(parts)
        self._ends = np.cumsum([len(part) for part in parts], dtype=np.int64)
        if len(self) > MAX_SAMPLES:
            raise SpecInvalid("the datasets have over 2^32 samples together", field="mixture")
        classes = tuple(dict.fromkeys(name for part in parts for name in part.info.classes))
        label_of = {name: label for label, name in enumerate(classes)}
        self._labels = [np.array([label_of[name] for name in part.info.classes], dtype=np.int64) for part in parts]
        self.info = _join([part.info for part in parts], classes)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Mixture) and other._parts == self._parts

    def __hash__(self) -> int:
        return hash(self._parts)

    def __len__(self) -> int:
        return int(self._ends[-1])

    @property
    def parts(self) -> tuple[Source, ...]:
        """The datasets."""
        return self._parts

    @property
    def sizes(self) -> I64:
        """The samples of each dataset."""
        return np.diff(self._ends, prepend=0)

    def part_of(self, indices: I64) -> I64:
        """The dataset of each sample, by its number in the mixture."""
        return np.searchsorted(self._ends, indices, side="right").astype(np.int64)

    def read(self, index: int) -> Sample:
        """The sample of its dataset, with the labels of the mixture."""
        return self.read_reduced(index, None)

    def read_reduced(self, index: int, least: tuple[int, int] | None) -> Sample:
        """As `read`, and `Source.read_reduced`."""
        number, inner = self._locate(index)
        sample, labels = self._parts[number].read_reduced(inner, least), self._labels[number]
        if sample.label >= 0 and len(labels):
            sample = replace(sample, label=int(labels[sample.label]))
        if sample.boxes is None or sample.box_labels is None or sample.boxes_valid is None:
            return sample
        missing = self.info.boxes - len(sample.boxes)
        return replace(
            sample,
            boxes=np.pad(sample.boxes, ((0, missing), (0, 0))),
            box_labels=np.pad(labels[sample.box_labels] if len(labels) else sample.box_labels, (0, missing)),
            boxes_valid=np.pad(sample.boxes_valid, (0, missing)),
        )

    def labels(self) -> I64:
        """Those of all datasets."""
        joined = []
        for part, label_of in zip(self._parts, self._labels, strict=True):
            labels = part.labels()
            joined.append(np.where(labels >= 0, label_of[labels], -1) if len(label_of) else labels)
        return np.concatenate(joined)

    def describe(self, index: int) -> str:
        """The dataset and the name there."""
        number, inner = self._locate(index)
        return f"{self._parts[number].info.name}/{self._parts[number].describe(inner)}"

    def defect(self, index: int) -> str:
        """As of its dataset."""
        number, inner = self._locate(index)
        return self._parts[number].defect(inner)

    def _locate(self, index: int) -> tuple[int, int]:
        number = int(self.part_of(np.array([index]))[0])
        return number, index - int(self._ends[number] - len(self._parts[number]))


def _join(infos: Sequence[SourceInfo], classes: tuple[str, ...]) -> SourceInfo:
    first = infos[0]
    for info in infos[1:]:
        differing = [name for name in _EQUAL if getattr(info, name) != getattr(first, name)]
        differing += ["boxes"] if (info.boxes > 0) != (first.boxes > 0) else []
        differing += ["boxes"] if info.keypoints and info.boxes != first.boxes else []
        differing += ["label_width"] if first.label_kind != "class" and info.label_width != first.label_width else []
        differing += (
            ["classes"] if (info.mask or info.label_kind == "multi_label") and info.classes != first.classes else []
        )
        if differing:
            raise SpecInvalid(
                f"{first.name} and {info.name} cannot be mixed: they differ in {differing[0]}", field="mixture"
            )
    return replace(
        first,
        name=NAME,
        version=hashlib.sha256(json.dumps([[info.name, info.version] for info in infos]).encode()).hexdigest(),
        classes=classes,
        boxes=max(info.boxes for info in infos),
        decoders=tuple(dict.fromkeys(name for info in infos for name in info.decoders)),
        colors=None,
        data_version="",
        built_in=all(info.built_in for info in infos),
        size=_common([info.size for info in infos]),
        seconds=_common([info.seconds for info in infos]),
        sample_rate=_common([info.sample_rate for info in infos]),
    )


def _common(values: Sequence[T | None]) -> T | None:
    """The value that all have, or None."""
    return values[0] if all(value == values[0] for value in values) else None
