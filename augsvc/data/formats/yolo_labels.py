"""The label files of YOLO, line by line into flat arrays: class x y width height, in fractions of the image."""

from array import array
from collections.abc import Sequence
from dataclasses import replace
from typing import Literal

import numpy as np

from augsvc.arrays import I64, U8, count_planes
from augsvc.data.decoders.mask import IGNORED
from augsvc.data.formats.annotations import Annotations, Objects, clip_boxes
from augsvc.data.formats.faults import Faults
from augsvc.data.formats.mask_canvas import SCALE, BitCanvas, MaskCanvas, painting_bytes

_BOX = 4  # numbers after the class
_BEYOND = 0.01  # of an image's side, that a coordinate may lie outside by rounding: as Ultralytics


class YoloLabels:
    """Collects the labels of images in their order."""

    def __init__(
        self, n_classes: int, points: tuple[int, int] | None, with_keypoints: bool, with_polygons: bool
    ) -> None:
        """`points`: the number of keypoints in a line, and of the numbers of each; None: lines are boxes or polygons."""
        self._n_classes, self._points = n_classes, points
        self._with_keypoints, self._with_polygons = with_keypoints, with_polygons
        self._owners, self._labels = array("q"), array("q")
        self._corners, self._keypoints = array("d"), array("d")
        self._polygons, self._polygon_ends = array("d"), array("q")
        self._duplicates = 0

    def add(self, row: int, contents: bytes, where: str, faults: Faults) -> None:
        """The contents of the label file of image `row`, whose path is `where`.

        Lines that are damaged, or have an unknown class, become faults.
        """
        seen: set[bytes] = set()
        for number, line in enumerate(contents.removeprefix(b"\xef\xbb\xbf").splitlines(), start=1):
            words = line.split()
            if not words:
                continue
            if (key := b" ".join(words)) in seen:
                self._duplicates += 1
                continue
            seen.add(key)
            try:
                values = [float(word) for word in words]
                self._add_line(row, values)
            except ValueError as err:
                reason = "there are words that are no numbers" if "convert" in str(err) else err
                faults.add(f"{where}, line {number}: {reason}", row=where)

    def _add_line(self, row: int, values: Sequence[float]) -> None:
        label, numbers = values[0], values[1:]
        if not (label.is_integer() and 0 <= label < self._n_classes):
            raise ValueError(f"the class {label:g} is none of `names`, 0 … {self._n_classes - 1}")
        n_points = 0 if self._points is None else self._points[0] * self._points[1]
        is_polygon = self._points is None and len(numbers) >= 6 and len(numbers) % 2 == 0
        is_plain = len(numbers) == _BOX and not self._with_keypoints
        if not is_polygon and not is_plain and len(numbers) != _BOX + n_points:
            which = " by `kpt_shape`" if n_points else ""
            raise ValueError(f"{len(numbers)} numbers after the class, {_BOX + n_points} are needed{which}")
        located = numbers if is_polygon else numbers[:_BOX]
        if not all(-_BEYOND <= value <= 1.0 + _BEYOND for value in located):
            raise ValueError("coordinates must be fractions of the image, 0 … 1")
        if is_polygon:
            corners = (min(numbers[::2]), min(numbers[1::2]), max(numbers[::2]), max(numbers[1::2]))
        else:
            x, y, width, height = numbers[:_BOX]
            corners = (x - width / 2, y - height / 2, x + width / 2, y + height / 2)
        if self._with_polygons and not is_polygon:
            raise ValueError("a box, and `masks` and `instance_masks` need polygons")
        self._owners.append(row)
        self._labels.append(int(label))
        self._corners.extend(corners)
        self._keypoints.extend(numbers[_BOX:] if self._with_keypoints else ())
        if self._with_polygons:
            self._polygons.extend(numbers)
            self._polygon_ends.append(len(self._polygons))

    def build(
        self,
        names: Sequence[str],
        classes: tuple[str, ...],
        digest: str,
        masks: Literal["none", "classes", "instances"],
        instance_masks: bool,
    ) -> Annotations:
        """The annotations of all images."""
        owners, labels = np.array(self._owners), np.array(self._labels)
        boxes, beyond, has_area = clip_boxes(np.array(self._corners).reshape(-1, 4), np.ones((len(owners), 4)))
        objects = Objects.of(owners[has_area], len(names), boxes[has_area], labels[has_area], relative=True)
        if self._points is not None and self._with_keypoints:
            points = np.array(self._keypoints).reshape(-1, *self._points)[has_area]
            inside = np.asarray(((points[..., :2] >= 0) & (points[..., :2] <= 1)).all(axis=2))
            # without a visibility, Ultralytics takes 0 0 for a point that is not annotated
            visible = points[..., 2] > 0 if self._points[1] == 3 else (points != 0).any(axis=2)
            located = np.where(inside[..., None], points[..., :2], 0.0)
            objects = replace(objects, keypoints=located.astype(np.float32), keypoints_valid=visible & inside)
        notes = [
            f"{count:,} {what}"
            for count, what in (
                (beyond, "boxes reach beyond their image and are clipped"),
                (int((~has_area).sum()), "boxes without area are left out"),
                (self._duplicates, "lines that repeat another one of their file are left out"),
            )
            if count
        ]
        polygons = (objects, np.array(self._polygons), np.array(self._polygon_ends), np.flatnonzero(has_area))
        return Annotations(
            names=names,
            classes=classes,
            digest=digest,
            objects=objects,
            painter=None if masks == "none" else PolygonMask(*polygons, instances=masks == "instances"),
            instance_painter=InstancePolygons(*polygons) if instance_masks else None,
            notes=tuple(notes),
        )


class Polygons:
    """One polygon for each box, in fractions of the image."""

    def __init__(
        self, objects: Objects, numbers: "np.ndarray[tuple[int], np.dtype[np.float64]]", ends: I64, rows: I64
    ) -> None:
        """`rows` (B,) are those of the objects among the polygons that end at `ends`."""
        self._objects, self._numbers, self._ends, self._rows = objects, numbers, ends, rows

    def _draw(self, canvas: MaskCanvas, k: int, height: int, width: int, value: int) -> None:
        corners = self._numbers[self._place(k)].reshape(-1, 2) * (width, height)
        canvas.draw_polygon((SCALE * corners + 0.5).astype(np.int64), value)

    def _most_numbers(self, index: int) -> int:
        rows = self._objects.rows(index)
        places = [self._place(k) for k in range(rows.start, rows.stop)]
        return max((place.stop - place.start for place in places), default=0)

    def _place(self, k: int) -> slice:
        """Of the numbers of an object."""
        row = int(self._rows[k])
        return slice(int(self._ends[row - 1]) if row else 0, int(self._ends[row]))


class PolygonMask(Polygons):
    """Draws them on one mask, as classes or instances, smaller ones above larger ones."""

    def __init__(
        self,
        objects: Objects,
        numbers: "np.ndarray[tuple[int], np.dtype[np.float64]]",
        ends: I64,
        rows: I64,
        *,
        instances: bool,
    ) -> None:
        """As Polygons.

        Raises:
            ValueError: a mask cannot hold as many classes or objects.
        """
        super().__init__(objects, numbers, ends, rows)
        highest = objects.most if instances else int(objects.labels.max(initial=0)) + 1
        if highest >= IGNORED:
            raise ValueError(f"masks hold at most {IGNORED - 1} classes, or objects of an image: {highest} are more")
        self._instances = instances

    def paint(self, index: int, height: int, width: int) -> U8:
        """The mask (H, W) of a sample; raises Undecodable for more than is drawn in bounded time."""
        canvas = MaskCanvas(height, width)
        rows = self._objects.rows(index)
        boxes = self._objects.boxes[rows]
        areas = (boxes[:, 2:] - boxes[:, :2]).prod(axis=1)
        for k in np.argsort(-areas, kind="stable").tolist():
            value = k + 1 if self._instances else int(self._objects.labels[rows.start + k]) + 1
            self._draw(canvas, rows.start + k, height, width, value)
        return canvas.mask

    def painting_bytes(self, index: int, height: int, width: int) -> int:
        """The memory that `paint` takes at its peak."""
        return painting_bytes(self._most_numbers(index), height, width)


class InstancePolygons(Polygons):
    """Draws them as masks of their own."""

    def paint(self, index: int, height: int, width: int) -> U8:
        """The masks of a sample in planes (P, H, W), as `Sample.mask_bits`; raises as that of one mask."""
        rows = self._objects.rows(index)
        canvas = BitCanvas(height, width, rows.stop - rows.start)
        for k in range(rows.start, rows.stop):
            self._draw(canvas, k, height, width, k - rows.start)
        return canvas.mask

    def painting_bytes(self, index: int, height: int, width: int) -> int:
        """The memory that `paint` takes at its peak."""
        rows = self._objects.rows(index)
        return painting_bytes(self._most_numbers(index), height, width, count_planes(rows.stop - rows.start))
