"""The XML files of VOC, and their boxes in flat arrays."""

from array import array
from collections.abc import Sequence
from typing import NamedTuple
from xml.etree import ElementTree

import numpy as np

from augsvc.data.formats.annotations import Annotations, Objects, clip_boxes
from augsvc_client.text import printable

_CORNERS = ("xmin", "ymin", "xmax", "ymax")


class VocObject(NamedTuple):
    """One object of a file."""

    name: str
    corners: tuple[float, float, float, float]  # x1 y1 x2 y2 in pixels, the image is [0, W] × [0, H]
    is_difficult: bool


def parse_voc(contents: bytes, first: float) -> tuple[list[VocObject], tuple[int, int]]:
    """The objects of a file, and the height and width of its image, 0 0 where it does not give them.

    `first` is 1 where the first pixel is 1 and the last one belongs to the box, so that 1 … W is the whole width, as in
    Detectron2; 0 where corners are edges from 0 on.

    Raises:
        ValueError: damaged, or an object without a name or a box.
    """
    if b"\0" in contents:
        raise ValueError("it is not text in UTF-8")  # in UTF-16, declarations would look otherwise
    if b"<!DOCTYPE" in contents or b"<!ENTITY" in contents:  # an entity may stand for gigabytes of text
        raise ValueError("declarations of types and entities are refused")
    try:
        root = ElementTree.fromstring(contents)  # noqa: S314 - without declarations
    except (ElementTree.ParseError, ValueError, LookupError) as err:
        raise ValueError("it is no XML file, or is damaged") from err
    objects = [_parse_object(element, first) for element in root.iter("object")]
    height, width = (_number(root.find("size"), side, 0.0) for side in ("height", "width"))
    return objects, (int(height), int(width)) if height > 0 and width > 0 else (0, 0)


def _parse_object(element: ElementTree.Element, first: float) -> VocObject:
    name = (element.findtext("name") or "").strip()
    if not name:
        raise ValueError("an object has no `name`")
    box = element.find("bndbox")
    x1, y1, x2, y2 = (_number(box, corner) for corner in _CORNERS)
    corners = (x1 - first, y1 - first, x2, y2)
    return VocObject(name, corners, _number(element, "difficult", 0.0) != 0)


def _number(element: ElementTree.Element | None, name: str, default: float | None = None) -> float:
    text = None if element is None else element.findtext(name)
    if text is None or not text.strip():
        if default is None:
            raise ValueError(f"an object has no `{name}`")
        return default
    try:
        value = float(text)
    except ValueError:
        value = float("nan")
    if not abs(value) < 1e9:
        raise ValueError(f"`{name}` is no number: {printable(text.strip()[:20])!r}")
    return value


class VocBoxes:
    """Collects the boxes of images in their order."""

    def __init__(self, classes: tuple[str, ...], with_difficult: bool) -> None:
        self._classes, self._with_difficult = classes, with_difficult
        self._labels_by_name = {name: label for label, name in enumerate(classes)}
        self._owners, self._labels, self._corners = array("q"), array("q"), array("d")
        self._sizes = array("q")
        self._n_difficult = 0

    def add(self, row: int, objects: Sequence[VocObject], size: tuple[int, int]) -> None:
        """The objects of image `row`, and its height and width or 0 0."""
        self._sizes.extend(size)
        for item in objects:
            if item.is_difficult and not self._with_difficult:
                self._n_difficult += 1
                continue
            self._owners.append(row)
            self._labels.append(self._labels_by_name[item.name])
            self._corners.extend(item.corners)

    def build(self, names: Sequence[str], digest: str, mask_names: Sequence[str] | None) -> Annotations:
        """The annotations of all images."""
        owners, labels = np.array(self._owners), np.array(self._labels)
        sizes = np.array(self._sizes).reshape(-1, 2)
        sides = np.tile(sizes[owners][:, ::-1], 2).astype(np.float64)
        sides[sides == 0] = 1e9  # unknown
        boxes, beyond, has_area = clip_boxes(np.array(self._corners).reshape(-1, 4), sides)
        notes = [
            f"{count:,} {what}"
            for count, what in (
                (self._n_difficult, "objects are marked difficult and left out"),
                (beyond, "boxes reach beyond their image and are clipped"),
                (int((~has_area).sum()), "boxes without area in their image are left out"),
            )
            if count
        ]
        return Annotations(
            names=names,
            classes=self._classes,
            digest=digest,
            sizes=sizes,
            objects=Objects.of(owners[has_area], len(names), boxes[has_area], labels[has_area]),
            mask_names=mask_names,
            notes=tuple(notes),
        )
