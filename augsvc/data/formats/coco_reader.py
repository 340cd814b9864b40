"""The annotations of COCO, element by element into flat arrays."""

from array import array
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any, Literal

import numpy as np

from augsvc.arrays import I64, Bools
from augsvc.data.decoders.mask import IGNORED
from augsvc.data.formats.annotations import Annotations, Objects, clip_boxes
from augsvc.data.formats.dataset_root import join, require_below
from augsvc.data.formats.faults import Faults
from augsvc.data.formats.flip_pairs import describe_lone_sides, find_flip_pairs
from augsvc.data.formats.index import list_names
from augsvc.data.formats.segments import InstanceSegments, Segments, SegmentTable

MAX_MASKED = IGNORED - 1  # classes, or objects of an image: 0 is the background, 255 is ignored
_MAX_DIGITS = 19  # of an id that is a text
_KEYPOINT = 3  # numbers: x, y, visibility


class CocoReader:
    """Collects the elements of one file, in any order; `build` connects them."""

    def __init__(
        self, *, with_keypoints: bool, masks: Literal["none", "classes", "instances"], instance_masks: bool
    ) -> None:
        self._with_keypoints, self._masks, self._instance_masks = with_keypoints, masks, instance_masks
        self._adders: dict[str, Callable[[Mapping[str, Any]], None]] = {
            "images": self._add_image,
            "annotations": self._add_annotation,
            "categories": self._add_category,
        }
        self._lists: set[str] = set()
        self._names: list[str] = []
        self._image_ids, self._sizes = array("q"), array("q")
        self._categories: dict[int, Mapping[str, Any]] = {}
        self._ids, self._owners, self._category_ids = array("q"), array("q"), array("q")
        self._boxes, self._areas, self._is_crowd = array("d"), array("d"), array("b")
        self._keypoints, self._keypoint_counts = array("d"), array("q")
        self._segments = SegmentTable()

    def add(self, name: str, element: Any) -> None:
        """One element of a list of the file, or another member of it, which is ignored.

        Raises:
            ValueError: a field is missing or of another type.
        """
        if add := self._adders.get(name):
            if not isinstance(element, dict):
                raise ValueError(f"`{name}` must be a list of objects")
            self._lists.add(name)
            try:
                add(element)
            except ValueError as err:
                raise ValueError(f"{name_element(name, element)}: {err}") from err

    def _add_image(self, image: Mapping[str, Any]) -> None:
        self._image_ids.append(_integer(image, "id"))
        name = image.get("file_name")
        if not isinstance(name, str):
            raise ValueError("`file_name` must be a string")
        self._names.append(require_below(name, "`file_name`"))
        height, width = _integer(image, "height"), _integer(image, "width")
        if height <= 0 or width <= 0:
            raise ValueError(f"the size {width} × {height} has no pixels")
        self._sizes.extend((height, width))

    def _add_category(self, category: Mapping[str, Any]) -> None:
        identity = _integer(category, "id")
        if identity in self._categories:
            raise ValueError("there are two of this id")
        self._categories[identity] = category
        if not isinstance(category.get("name"), str):
            raise ValueError("`name` must be a string")
        points = category.get("keypoints", [])
        if not isinstance(points, list) or not all(isinstance(name, str) for name in points):
            raise ValueError("`keypoints` must be a list of names")

    def _add_annotation(self, annotation: Mapping[str, Any]) -> None:
        identity, owner, category_id = (_integer(annotation, name) for name in ("id", "image_id", "category_id"))
        self._ids.append(identity)
        self._owners.append(owner)
        self._category_ids.append(category_id)
        _extend(self._boxes, annotation.get("bbox"), 4, "bbox")
        area = annotation.get("area")
        self._areas.append(area if isinstance(area, int | float) else self._boxes[-2] * self._boxes[-1])
        self._is_crowd.append(bool(annotation.get("iscrowd") or annotation.get("ignore")))
        if self._with_keypoints:
            points = annotation.get("keypoints", [])
            count = len(points) // _KEYPOINT if isinstance(points, list) else 0
            _extend(self._keypoints, points, _KEYPOINT * count, "keypoints")
            self._keypoint_counts.append(count)
        if self._has_segments:
            self._segments.add(annotation.get("segmentation") or [])

    def check_ids(self, where: str, faults: Faults) -> None:
        """Adds ids and names that are repeated, ids that are unknown, and lists that are missing, of the file `where`."""
        missing = [name for name in ("images", "categories") if name not in self._lists]
        for name in missing:
            faults.add(f"{where}: has no `{name}`")
        for ids, what in ((self._image_ids, "images"), (self._ids, "annotations")):
            with faults.collect(where):
                _require_distinct(np.array(ids), what)
        with faults.collect(where):
            _require_distinct_names(self._names, "images have the same `file_name`")
        with faults.collect(where):
            names = [str(category.get("name")) for category in self._categories.values()]
            _require_distinct_names(names, "categories have the same name")
        if not missing:
            for values, known, what in (
                (self._owners, self._image_ids, "image"),
                (self._category_ids, self._categories, "category"),
            ):
                with faults.collect(where):
                    self._look_up(values, np.sort(np.array(list(known), np.int64)), what)

    def build(self, folder: str, digest: Callable[[], str]) -> Annotations:
        """The annotations of all images, sorted by their ids; image files are below `folder`.

        `add` and `check_ids` must have found no faults.

        Raises:
            ValueError: boxes that are not finite, keypoints that do not match their category, or too many masks.
        """
        image_ids = np.array(self._image_ids)
        order = np.argsort(image_ids, kind="stable")
        names = [join(folder, self._names[row]) for row in order.tolist()]
        sizes = np.array(self._sizes).reshape(-1, 2)[order]
        category_ids = sorted(self._categories)
        classes = tuple(str(self._categories[identity]["name"]) for identity in category_ids)
        owners = self._look_up(self._owners, image_ids[order], "image")
        labels = self._look_up(self._category_ids, np.array(category_ids, np.int64), "category")
        corners = np.array(self._boxes).reshape(-1, 4)
        if not_finite := np.flatnonzero(~np.isfinite(corners).all(axis=1)).tolist():
            more = f"; such annotations: {len(not_finite):,}"
            raise ValueError(f"annotation {self._ids[not_finite[0]]}: `bbox` must be finite numbers{more}")
        with np.errstate(over="ignore"):  # it is clipped
            corners[:, 2:] += corners[:, :2]
        boxes, beyond, has_area = clip_boxes(corners, np.tile(sizes[owners][:, ::-1], 2).astype(np.float64))
        crowd = np.array(self._is_crowd) != 0
        kept = has_area & ~crowd
        objects = Objects.of(owners[kept], len(names), boxes[kept], labels[kept])
        pairs: tuple[tuple[int, int], ...] = ()
        lone: tuple[str, ...] = ()
        if self._with_keypoints:
            point_names = self._point_names()
            objects, pairs = self._with_points(objects, owners, kept, len(point_names)), find_flip_pairs(point_names)
            lone = describe_lone_sides(point_names, pairs)
        return Annotations(
            names=names,
            classes=classes,
            digest=digest(),
            sizes=sizes,
            objects=objects,
            flip_pairs=pairs,
            painter=self._painter(owners, labels, kept, crowd, len(names)),
            instance_painter=self._instance_painter(owners, kept, len(names)),
            notes=tuple(self._describe(category_ids, beyond, crowd, has_area)) + self._describe_segments(kept) + lone,
        )

    def _look_up(self, values: "array[int]", known: I64, what: str) -> I64:
        """The positions of ids among the known ones, which are ascending."""
        ids = np.array(values)
        if not len(ids):
            return ids
        positions = np.minimum(np.searchsorted(known, ids), max(0, len(known) - 1))
        unknown = known[positions] != ids if len(known) else np.ones(len(ids), np.bool_)
        if unknown.any():
            first = int(np.flatnonzero(unknown)[0])
            raise ValueError(
                f"annotation {self._ids[first]} has the {what} {ids[first]}, which is not in the file; such annotations: "
                f"{int(unknown.sum()):,}"
            )
        return positions.astype(np.int64)

    def _point_names(self) -> Sequence[str]:
        """The names of one object's keypoints."""
        lists = {
            tuple(map(str, category["keypoints"]))
            for category in self._categories.values()
            if category.get("keypoints")
        }
        if len(lists) != 1:
            found = "different `keypoints`" if lists else "no `keypoints`"
            raise ValueError(f"the categories have {found}: `keypoints: true` needs one list of names")
        (names,) = lists
        return names

    def _with_points(self, objects: Objects, owners: I64, kept: Bools, per_object: int) -> Objects:
        """The objects with their keypoints; those that are not annotated are not valid."""
        counts = np.array(self._keypoint_counts)
        if wrong := np.flatnonzero((counts != 0) & (counts != per_object)).tolist():
            raise ValueError(
                f"annotation {self._ids[wrong[0]]} has {counts[wrong[0]]} keypoints, its category {per_object}"
            )
        points = np.zeros((len(counts), per_object, _KEYPOINT))
        points[counts > 0] = np.array(self._keypoints).reshape(-1, per_object, _KEYPOINT)
        points = points[kept][np.argsort(owners[kept], kind="stable")]
        return replace(
            objects,
            keypoints=points[..., :2].astype(np.float32),
            keypoints_valid=(points[..., 2] > 0) & np.isfinite(points).all(axis=2),
        )

    def _painter(self, owners: I64, labels: I64, kept: Bools, crowd: Bools, n_images: int) -> Segments | None:
        if self._masks == "none":
            return None
        values = labels + 1
        if self._masks == "instances":
            values = _rows_within(owners, kept) + 1
        if int(values.max(initial=0)) > MAX_MASKED:
            raise ValueError(
                f"masks hold at most {MAX_MASKED} classes, or objects of an image: {int(values.max())} are more"
            )
        values[crowd] = IGNORED
        drawn = kept | crowd
        areas = np.where(crowd, np.inf, np.array(self._areas))  # crowds lie below the objects
        areas = np.where(drawn, areas, 0.0)
        owners = np.where(drawn, owners, n_images)  # what is left out belongs to no image
        return Segments.of(owners, n_images, areas, values.astype(np.uint8), self._segments)

    def _instance_painter(self, owners: I64, kept: Bools, n_images: int) -> InstanceSegments | None:
        if not self._instance_masks:
            return None
        owners, areas = np.where(kept, owners, n_images), np.zeros(len(owners))
        rows = _rows_within(owners, kept).astype(np.int32)
        return InstanceSegments.of(owners, n_images, areas, rows, self._segments)

    @property
    def _has_segments(self) -> bool:
        return self._masks != "none" or self._instance_masks

    def _describe_segments(self, kept: Bools) -> tuple[str, ...]:
        if not self._has_segments:
            return ()
        n_parts = np.diff(np.array(self._segments.ends), prepend=0)
        n_empty = int((n_parts[kept] == 0).sum())
        return (f"{n_empty:,} objects have no segmentation, and so no mask",) if n_empty else ()

    def _describe(self, category_ids: Sequence[int], beyond: int, crowd: Bools, has_area: Bools) -> list[str]:
        notes = []
        if category_ids and category_ids != list(range(len(category_ids))):
            last = len(category_ids) - 1
            notes.append(
                f"category ids {category_ids[0]} … {category_ids[-1]} are the labels 0 … {last}, in ascending order"
            )
        if crowd.any():
            notes.append(f"{int(crowd.sum()):,} crowds (`iscrowd` or `ignore`) are no boxes; 255 in masks")
        if beyond:
            notes.append(f"{beyond:,} boxes reach beyond their image and are clipped")
        if not has_area.all():
            notes.append(f"{int((~has_area).sum()):,} boxes without area in their image are left out")
        return notes


def name_element(name: str, element: Any) -> str:
    """An element of the list `name`, for messages."""
    return f"`{name}`, id {element.get('id')!r}" if isinstance(element, dict) else f"`{name}`"


def _rows_within(owners: I64, kept: Bools) -> I64:
    """The row (A,) of each kept annotation among those of its image; 0 for the others."""
    values = np.zeros(len(owners), np.int64)
    order = np.argsort(owners[kept], kind="stable")
    sorted_owners = owners[kept][order]
    values[np.flatnonzero(kept)[order]] = np.arange(len(order)) - np.searchsorted(sorted_owners, sorted_owners)
    return values


def _integer(element: Mapping[str, Any], name: str) -> int:
    value = element.get(name)
    if isinstance(value, str) and value.isdecimal() and value.isascii() and len(value) < _MAX_DIGITS:
        value = int(value)
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if not isinstance(value, int) or isinstance(value, bool) or abs(value) >= 1 << 63:
        raise ValueError(f"`{name}` must be an integer: number the images, categories and annotations")
    return value


def _extend(numbers: "array[float]", values: Any, count: int, name: str) -> None:
    """Appends a list of `count` numbers."""
    try:
        if not isinstance(values, list) or len(values) != count:
            raise TypeError
        numbers.extend(values)
    except (TypeError, OverflowError):
        raise ValueError(f"`{name}` must be a list of {count} numbers") from None


def _require_distinct(ids: I64, what: str) -> None:
    values, counts = np.unique(ids, return_counts=True)
    if (counts > 1).any():
        raise ValueError(f"two {what} have the id {values[counts > 1][0]}; such ids: {int((counts > 1).sum()):,}")


def _require_distinct_names(names: Sequence[str], what: str) -> None:
    if len(set(names)) < len(names):
        repeated = [name for name, count in Counter(names).items() if count > 1]
        raise ValueError(f"two {what}: {list_names(repeated)}")
