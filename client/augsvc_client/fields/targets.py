"""Targets of detection datasets, one for each sample: torchvision's dict of tensors, COCO's list of annotations.

    targets → read_targets → Objects of each sample → pack (padded arrays) → the service → unpack → targets

An object whose box leaves the canvas is removed from its target, with its entry in every other field.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from augsvc_client.fields.flat import read_box_format
from augsvc_client.fields.geometry import looks_spatial, moving_field
from augsvc_client.fields.label_values import find_positions
from augsvc_client.fields.libraries import convert, select_rows, with_dtype_of, zeros
from augsvc_client.fields.objects import find_object_fields
from augsvc_client.fields.roles import role_of, unmovable
from augsvc_client.instance_masks import MASKS_PER_PLANE, pack_masks, unpack_masks
from augsvc_client.wire import Arrays

Array = npt.NDArray[Any]


@dataclass(frozen=True, slots=True)
class Objects:
    """The geometry of one sample's objects: boxes [M,4] as x1 y1 x2 y2, keypoints [M,K,3] as x y visibility, masks [M,H,W].

    Arrays as read, arrays or tensors as transformed; None for what the target does not hold.
    """

    boxes: Any = None
    keypoints: Any = None
    masks: Any = None

    @property
    def count(self) -> int:
        """M."""
        return max((len(array) for array in (self.boxes, self.keypoints, self.masks) if array is not None), default=0)


def read_targets(
    name: str, targets: Sequence[Any], passthrough: Sequence[str], per_object: Sequence[str]
) -> tuple[list[Objects], list[frozenset[str]]]:
    """Each sample's objects, and its fields that have one entry for each; raises ValueError for an unusable target.

    `passthrough` names fields that are left as they are, `per_object` further ones with one entry for each object.
    """
    try:
        objects = [
            (_read_torchvision if isinstance(target, Mapping) else _read_coco)(target, passthrough, per_object)
            for target in targets
        ]
        fields = [
            _find_fields(target, own, passthrough, per_object) for target, own in zip(targets, objects, strict=True)
        ]
    except (KeyError, TypeError, ValueError, AttributeError) as err:
        raise ValueError(
            f"{name} is one dict for each sample with boxes M,4 (x1 y1 x2 y2), masks M,H,W and keypoints M,K,3, or one "
            f"list of COCO's annotations (bbox, keypoints) for each sample: {err}"
        ) from err
    return objects, fields


def _find_fields(
    target: Any, objects: Objects, passthrough: Sequence[str], per_object: Sequence[str]
) -> frozenset[str]:
    if objects.boxes is None:  # by which objects leave
        return frozenset()
    if isinstance(target, Mapping):
        return find_object_fields(target, objects.count, passthrough, per_object)
    return frozenset({"area"}.difference(passthrough))


def write_targets(
    targets: Sequence[Any], objects: Sequence[Objects], kept: Sequence[Any], fields: Sequence[frozenset[str]]
) -> list[Any]:
    """The targets with their transformed objects; `kept` holds the rows that are left in each, `fields` is read_targets'."""
    return [
        _write_torchvision(target, moved, rows, own)
        if isinstance(target, Mapping)
        else _write_coco(target, moved, rows, own)
        for target, moved, rows, own in zip(targets, objects, kept, fields, strict=True)
    ]


def _read_torchvision(target: Mapping[str, Any], passthrough: Sequence[str], per_object: Sequence[str]) -> Objects:
    _check_fields(target, ("area", "boxes", "keypoints", "masks"), passthrough, per_object)
    fields = {name: value for name, value in target.items() if name not in passthrough}
    form = read_box_format(fields.get("boxes"))
    if form not in (None, "xyxy"):
        raise ValueError(f"the boxes are {form}; convert them to XYXY")
    arrays = {name: _to_numpy(fields[name]) for name in ("boxes", "keypoints", "masks") if name in fields}
    if "boxes" in arrays:
        arrays["boxes"] = arrays["boxes"].astype(np.float32).reshape(-1, 4)
    if "keypoints" in arrays:
        arrays["keypoints"] = _with_visibility(arrays["keypoints"])
    if "masks" in arrays and (arrays["masks"].ndim != 3 or arrays["masks"].max(initial=0) > 1):
        raise ValueError(f"masks are M,H,W of 0 and 1, got the shape {arrays['masks'].shape}")
    if len({len(array) for array in arrays.values()}) > 1:
        raise ValueError("boxes, masks and keypoints have one entry for each object")
    return Objects(**arrays)


def _check_fields(
    target: Mapping[str, Any], known: Sequence[str], passthrough: Sequence[str], per_object: Sequence[str]
) -> None:
    if (found := find_positions(target, (*known, *passthrough, *per_object))) is not None:
        raise ValueError(unmovable(found or (str(next(iter(target))),)))
    for name, value in target.items():
        if name in known or name in passthrough or name in per_object:
            continue
        path = (name,) if role_of(name) else moving_field(name, value, passthrough, looks_spatial, leading=1)
        if path is not None:
            raise ValueError(f"{unmovable(path)}, or per_object=({name!r},) if its entries leave with their objects")


def _with_visibility(points: Array) -> Array:
    if points.ndim != 3 or points.shape[2] not in (2, 3):
        raise ValueError(f"keypoints are M,K,3 or M,K,2, got the shape {points.shape}")
    points = points.astype(np.float32)
    return points if points.shape[2] == 3 else np.concatenate([points, np.ones_like(points[..., :1])], axis=2)


def _read_coco(
    annotations: Sequence[Mapping[str, Any]], passthrough: Sequence[str], per_object: Sequence[str]
) -> Objects:
    for annotation in annotations:
        _check_fields(annotation, ("area", "bbox", "keypoints"), passthrough, per_object)
    boxes = None if "bbox" in passthrough else _read_coco_boxes(annotations)
    if "keypoints" in passthrough or not any("keypoints" in annotation for annotation in annotations):
        return Objects(boxes)
    points = [np.array(annotation.get("keypoints", ()), np.float32).reshape(-1, 3) for annotation in annotations]
    keypoints = np.zeros((len(points), max(map(len, points)), 3), np.float32)
    for row, own in zip(keypoints, points, strict=True):
        row[: len(own)] = own
    return Objects(boxes, keypoints)


def _read_coco_boxes(annotations: Sequence[Mapping[str, Any]]) -> Array:
    boxes = np.array([annotation["bbox"] for annotation in annotations], np.float32).reshape(-1, 4)
    if (boxes[:, 2:] < 0).any():
        raise ValueError("bbox is x y width height, with a width and height above 0")
    boxes[:, 2:] += boxes[:, :2]
    boxes[(boxes[:, 2:] == boxes[:, :2]).any(axis=1)] = 0  # COCO has a few without area; they are removed
    return boxes


def pack(objects: Sequence[Objects]) -> Arrays:
    """The samples' objects as arrays of M rows each, padded, with the planes of their masks."""
    n, most = len(objects), _most(objects)
    arrays: Arrays = {}
    if any(sample.boxes is not None for sample in objects):
        arrays["boxes"] = np.zeros((n, most, 4), np.float32)
        arrays["boxes_valid"] = np.zeros((n, most), np.bool_)
    points = max((sample.keypoints.shape[1] for sample in objects if sample.keypoints is not None), default=0)
    if points:
        arrays["keypoints"] = np.zeros((n, most, points, 2), np.float32)
        arrays["keypoints_valid"] = np.zeros((n, most, points), np.bool_)
    for row, sample in enumerate(objects):
        if sample.boxes is not None:
            arrays["boxes"][row, : sample.count] = sample.boxes
            arrays["boxes_valid"][row, : sample.count] = True
        if sample.keypoints is not None and points:
            own = sample.keypoints
            arrays["keypoints"][row, : len(own), : own.shape[1]] = own[..., :2]
            arrays["keypoints_valid"][row, : len(own), : own.shape[1]] = own[..., 2] > 0
    masks = [sample.masks for sample in objects]
    if any(mask is not None for mask in masks):
        if "boxes" in arrays and any(sample.boxes is None and sample.masks is not None for sample in objects):
            raise ValueError("masks without boxes: give all targets of a batch boxes, by which objects leave, or none")
        arrays["mask_bits"] = _pack_planes(masks, most)
    return arrays


def _pack_planes(masks: Sequence[Array | None], most: int) -> Array:
    shapes = {mask.shape[1:] for mask in masks if mask is not None}
    if len(shapes) > 1:
        raise ValueError(f"masks are M,H,W of their image, got {sorted(shapes)}")
    planes = np.zeros((len(masks), -(-most // MASKS_PER_PLANE), *shapes.pop()), np.uint8)
    for row, mask in enumerate(masks):
        if mask is not None:
            own = pack_masks(mask)
            planes[row, : len(own)] = own
    return planes


def unpack(objects: Sequence[Objects], moved: Mapping[str, Any]) -> tuple[list[Objects], list[Any]]:
    """The transformed objects, as arrays or tensors of all rows, and for each sample the rows whose boxes are still valid."""
    results, kept = [], []
    for row, sample in enumerate(objects):
        boxes = keypoints = masks = None
        rows = list(range(sample.count))
        if sample.boxes is not None:
            boxes = moved["boxes"][row, : sample.count]
            rows = [i for i, valid in enumerate(moved["boxes_valid"][row, : sample.count].tolist()) if valid]
        if sample.keypoints is not None:
            keypoints = _unpack_keypoints(sample.keypoints, moved, row)
        if sample.masks is not None:
            masks = unpack_masks(moved["mask_bits"][row], range(len(sample.masks)))
        results.append(Objects(boxes, keypoints, masks))
        kept.append(rows)
    return results, kept


def _most(objects: Sequence[Objects]) -> int:
    return max(1, max(sample.count for sample in objects))  # a tensor without rows could not be sent


def _unpack_keypoints(own: Array, moved: Mapping[str, Any], row: int) -> Any:
    if "keypoints" not in moved:  # no sample has one
        return own
    points = moved["keypoints"][row][: len(own), : own.shape[1]]
    valid = moved["keypoints_valid"][row][: len(own), : own.shape[1]]
    rows = moved["keypoint_rows"][row][: len(own)] if "keypoint_rows" in moved else None
    result = zeros(points, own.shape)
    result[..., :2] = points
    result[..., 2] = convert(points, select_rows(own[..., 2], rows)) * valid
    return result


def _write_torchvision(
    target: Mapping[str, Any], moved: Objects, kept: list[int], fields: frozenset[str]
) -> dict[str, Any]:
    result: dict[str, Any] = {}
    for name, value in target.items():
        if name == "boxes" and moved.boxes is not None:
            result[name] = moved.boxes[kept]
        elif name == "keypoints" and moved.keypoints is not None:
            result[name] = moved.keypoints[kept][..., : np.shape(value)[2]]
        elif name == "masks" and moved.masks is not None:
            result[name] = with_dtype_of(moved.masks[kept], value)
        elif name == "area" and name in fields:
            areas = convert(moved.boxes, _to_numpy(value))[kept]
            growth = _growth(target["boxes"], moved.boxes, kept)
            result[name] = areas * growth.reshape(-1, *[1] * (areas.ndim - 1))
        else:
            result[name] = _select(value, kept) if name in fields else value
    return result


def _growth(before: Any, after: Any, kept: list[int]) -> Any:
    """Each kept box's area, as a multiple of what it was."""
    own = convert(after, _to_numpy(before)).reshape(-1, 4)[kept]
    areas = [(box[:, 2] - box[:, 0]) * (box[:, 3] - box[:, 1]) for box in (after[kept], own)]
    return areas[0] / areas[1]


def _select(values: Any, rows: list[int]) -> Any:
    if isinstance(values, Sequence):
        return [values[row] for row in rows]
    return values.iloc[rows] if hasattr(values, "iloc") else values[rows]  # pandas counts rows by `iloc`


def _write_coco(
    annotations: Sequence[Mapping[str, Any]], moved: Objects, kept: list[int], fields: frozenset[str]
) -> list[dict[str, Any]]:
    result = []
    for row in kept if moved.boxes is not None else range(len(annotations)):
        annotation = dict(annotations[row])
        if moved.boxes is not None:
            x1, y1, x2, y2 = moved.boxes[row].tolist()
            width, height = annotation["bbox"][2:]
            annotation["bbox"] = [x1, y1, x2 - x1, y2 - y1]
            if annotation.get("area") is not None and "area" in fields:
                annotation["area"] *= (x2 - x1) * (y2 - y1) / (width * height)
        if "keypoints" in annotation and moved.keypoints is not None:
            points = moved.keypoints[row][: len(annotation["keypoints"]) // 3]
            annotation["keypoints"] = points.flatten().tolist()
        result.append(annotation)
    return result


def _to_numpy(value: Any) -> Array:
    return np.asarray(value.detach().cpu() if hasattr(value, "detach") else value)
