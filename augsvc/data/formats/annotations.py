"""What the annotations of a dataset hold, in flat arrays: a split of COCO has 860,001 boxes, and a Python object takes
hundreds of bytes.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from augsvc.arrays import F32, F64, I64, U8, Bools
from augsvc.data.columns import Columns
from augsvc.data.source import LabelKind

_TOLERANCE = 1e-4  # of an image's side: fractions with six digits reach beyond it by their rounding


class MaskPainter(Protocol):
    """Masks that are made from annotations."""

    def paint(self, index: int, height: int, width: int) -> U8:
        """The mask (H, W) of a sample, or its planes (P, H, W); raises Undecodable."""

    def painting_bytes(self, index: int, height: int, width: int) -> int:
        """The memory that `paint` takes at its peak."""


@dataclass(frozen=True, slots=True, eq=False)
class Objects:
    """The boxes of all samples: those of sample i are the rows `offsets[i]` … `offsets[i + 1]`."""

    offsets: I64  # N+1
    boxes: F64  # B,4: x1 y1 x2 y2 in pixels of the image, or in fractions of its sides
    labels: I64  # B
    relative: bool = False  # whether boxes and keypoints are fractions
    keypoints: F32 | None = None  # B,K,2
    keypoints_valid: Bools | None = None  # B,K

    @staticmethod
    def of(owners: I64, n_samples: int, boxes: F64, labels: I64, relative: bool = False) -> "Objects":
        """From rows in any order; `owners` (B,) are the samples that they belong to. The order inside a sample is kept."""
        order = np.argsort(owners, kind="stable")
        offsets = np.concatenate(([0], np.cumsum(np.bincount(owners, minlength=n_samples)))).astype(np.int64)
        return Objects(offsets, boxes[order], labels[order], relative)

    @property
    def most(self) -> int:
        """The most boxes of one sample; at least 1, so that a dataset without any has the tensors too."""
        return max(1, int(np.diff(self.offsets).max(initial=0)))

    def rows(self, index: int) -> slice:
        """Those of one sample."""
        return slice(int(self.offsets[index]), int(self.offsets[index + 1]))

    def main_labels(self) -> I64:
        """The class of each sample's largest box, the first of equal ones; -1 for a sample without boxes."""
        labels = np.full(len(self.offsets) - 1, -1, dtype=np.int64)
        owners = np.repeat(np.arange(len(labels)), np.diff(self.offsets))
        areas = (self.boxes[:, 2:] - self.boxes[:, :2]).prod(axis=1)
        order = np.lexsort((-np.arange(len(areas)), areas, owners))  # the last one of an owner is the largest
        labels[owners[order]] = self.labels[order]
        return labels


def clip_boxes(boxes: F64, sides: F64) -> tuple[F64, int, Bools]:
    """Boxes (B, 4) clipped to their images, how many reach beyond them, and which have an area left.

    `sides` (B, 4) holds width, height, width, height. As torchvision's reference and mmdet: a box is clipped, and one without
    area is left out.
    """
    clipped = np.clip(boxes, 0.0, sides)
    beyond = int((np.abs(clipped - boxes) > _TOLERANCE * sides).any(axis=1).sum())
    return clipped, beyond, np.asarray((clipped[:, 2:] > clipped[:, :2]).all(axis=1))


@dataclass(frozen=True, slots=True, eq=False)
class Annotations:
    """One split of a dataset, before its files are indexed."""

    names: Sequence[str]  # of the files below the dataset's folder, one a sample
    classes: tuple[str, ...]
    digest: str  # of all annotations: part of the dataset's version
    labels: I64 | None = None  # N, the class of each sample; None: that of its largest box, or none
    targets: npt.NDArray[Any] | None = None  # N,K, labels that are not one class
    label_kind: LabelKind = "class"
    sizes: I64 | None = None  # N,2: the height and width that each image must have, 0 0 where they are unknown
    objects: Objects | None = None
    flip_pairs: tuple[tuple[int, int], ...] = ()  # of one object's keypoints
    mask_names: Sequence[str] | None = None  # of the mask files, one a sample
    painter: MaskPainter | None = None
    instance_painter: MaskPainter | None = None  # of planes (P, H, W): a mask of each box
    notes: tuple[str, ...] = ()
    keys: Sequence[str] | None = None  # of clips, where they are not the names of their files
    spans: F64 | None = None  # N,2: of clips that are intervals of files, in seconds
    columns: Columns = field(default_factory=dict)  # that subsets may filter by
    left_out: Mapping[str, int] = field(default_factory=dict)  # files, by extension

    @property
    def sample_labels(self) -> I64:
        """The class of each sample (N,), -1 where it has none."""
        if self.labels is not None:
            return self.labels
        if self.objects is not None:
            return self.objects.main_labels()
        return np.full(len(self.names), -1, dtype=np.int64)

    def with_notes(self, *notes: str) -> "Annotations":
        """The same annotations with further notes."""
        return replace(self, notes=(*self.notes, *notes))
