"""Boxes and keypoints of rendered samples: through the cameras of the pixels, with those of partners after the host's."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from augsvc.arrays import I64, Arrays, Sample, ranges, required
from augsvc.planning.labels import Boxes, Keypoints, Moves, move_boxes, move_keypoints
from augsvc.planning.overlap import Cut
from augsvc.streams.drawn_images import DrawnImages
from augsvc.streams.mixing import Partners

# boxes or keypoints between two checks: 54 ms a move for boxes; their corners as float64 take 2 MB
LABEL_ROWS = 1 << 15
_WARPED_ROWS = 1 << 10  # under a warp, whose inverse is iterated for 32 points of a box
_OF_KEYPOINTS = ("keypoints", "keypoints_valid", "keypoint_rows")


def fill_labels(
    images: DrawnImages, partners: Partners | None, order: I64 | None, arrays: Arrays, check: Callable[[], None]
) -> None:
    """Fills `boxes` and `keypoints`: the rows of each sample, then those of its partner if the stream has mixes.

    `order` is that of the keypoints of mirrored images.
    """
    own, others = _split(arrays, images.samples[0])
    cut = None
    if partners is not None:
        rectangles = np.zeros((len(images.samples), 4), np.int64)
        rectangles[partners.rows] = partners.blend.covered
        cut = Cut(rectangles, inside=False)
    move_labels(images, cut, own, check)
    swap_keypoints(images.moves, order, own)
    for array in others.values():
        array[:] = 0
    if partners is None or not len(partners.rows):
        return
    moved = {name: np.empty((len(partners.rows), *array.shape[1:]), array.dtype) for name, array in others.items()}
    move_labels(partners.images, Cut(partners.blend.shown, inside=True), moved, check)
    swap_keypoints(partners.images.moves, order, moved)
    for name, array in others.items():
        array[partners.rows] = moved[name]


def fill_box_labels(samples: Sequence[Sample], labels: I64, tiles: int) -> None:
    """Fills the classes of boxes (N, M): those of each sample, of the other `tiles`, and of a mix's partner; zeros without."""
    labels[:] = 0
    for row, sample in enumerate(samples):
        own = np.concatenate([required(image.box_labels) for image in (sample, *sample.tiles)])
        labels[row, : len(own)] = own
        if sample.partner:
            others = required(sample.partner.box_labels)
            first = tiles * len(others)
            labels[row, first : first + len(others)] = others


def _split(arrays: Arrays, sample: Sample) -> tuple[Arrays, Arrays]:
    """Views of the rows of labels that are a sample's own, and of those of its partners."""
    widths = {} if sample.boxes is None else dict.fromkeys(("boxes", "boxes_valid"), len(sample.boxes))
    widths |= {} if sample.keypoints is None else dict.fromkeys(_OF_KEYPOINTS, len(sample.keypoints))
    labels = {name: arrays[name] for name in widths if name in arrays}
    own = {name: array[:, : widths[name]] for name, array in labels.items()}
    others = {name: array[:, widths[name] :] for name, array in labels.items() if array.shape[1] > widths[name]}
    return own, others


def move_labels(images: DrawnImages, cut: Cut | None, arrays: Arrays, check: Callable[[], None]) -> None:
    """Fills the rows of `boxes` and `keypoints`, LABEL_ROWS boxes or keypoints at a time, with a check for each move."""
    samples, moves, canvas = images.samples, images.moves, images.plan.canvas
    most = _WARPED_ROWS if any(camera.lattice is not None for camera, _ in moves) else LABEL_ROWS
    for rows, columns in _tiles(arrays.get("boxes"), most):
        corners = np.stack([required(sample.boxes)[columns] for sample in samples[rows]]).astype(np.float64)
        valid = np.stack([required(sample.boxes_valid)[columns] for sample in samples[rows]])
        boxes = Boxes.of(corners, valid, moves)
        for camera, _ in moves:
            check()
            boxes = move_boxes(boxes, camera.take(rows), canvas)
        boxes = cut.take(rows).boxes(boxes, canvas) if cut else boxes
        arrays["boxes"][rows, columns], arrays["boxes_valid"][rows, columns] = boxes.on(canvas), boxes.valid
    for rows, columns in _tiles(arrays.get("keypoints"), most):
        points = np.stack([required(sample.keypoints)[columns] for sample in samples[rows]]).astype(np.float64)
        valid = np.stack([required(sample.keypoints_valid)[columns] for sample in samples[rows]])
        keypoints = Keypoints(points, valid)
        for camera, _ in moves:
            check()
            keypoints = move_keypoints(keypoints, camera.take(rows), canvas)
        keypoints = cut.take(rows).keypoints(keypoints) if cut else keypoints
        arrays["keypoints"][rows, columns], arrays["keypoints_valid"][rows, columns] = keypoints.points, keypoints.valid


def swap_keypoints(moves: Moves, order: I64 | None, arrays: Arrays) -> None:
    """Brings the rows into `order` in samples that are mirrored: by a flip along either axis, not by both."""
    if order is None or not order.size:  # no pairs, or no objects
        return
    mirrored = np.logical_xor.reduce([camera.mirrors for camera, _ in moves])
    for name in arrays.keys() & set(_OF_KEYPOINTS):
        tiles = arrays[name].shape[1] // len(order)
        rows = (order + len(order) * np.arange(tiles)[:, None]).reshape(-1)  # of a collage each tile's
        arrays[name][mirrored] = arrays[name][mirrored][:, rows]


def _tiles(labels: npt.NDArray[Any] | None, most: int) -> list[tuple[slice, slice]]:
    """Labels (N, M, …) in tiles of at most `most`; none without labels."""
    if labels is None:
        return []
    n, m = labels.shape[:2]
    columns = ranges(m, most)
    return [(rows, some) for rows in ranges(n, max(1, most // max(1, m))) for some in columns]
