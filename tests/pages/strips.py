"""Strips: an original, then an operation at five strengths, on a photograph or on a tone.

Rendered by `fused`, so that they are the same pixels on every machine. An operation that moves content shows a mask's outline,
a box and keypoints, as the service returns them.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import cache
from io import BytesIO
from pathlib import Path

import numpy as np
from PIL import Image
from scipy import ndimage

from augsvc.arrays import U8, Sample
from augsvc.data.builtin.tones import Tones
from augsvc.data.catalog import open_catalog
from augsvc.ops.kinds.composition import Branches
from augsvc.ops.operation import Operation
from augsvc.streams.clip_plot import draw_clips
from augsvc.streams.label_effects import moves_content
from tests.harness import ListSource, over, photo

FOLDER = Path(__file__).parents[2] / "augsvc" / "http" / "ui" / "strips"
PAINTER = 2  # part of the digest of a strip: increment when the code here changes what it shows
STRENGTHS = 5
SIDE = 128  # of the canvas
GAP = 4  # transparent
QUALITY = 75  # of WebP: 5 to 20 kB a strip
CLIP = 3  # of the tones: a noise burst would hide noise, a vibrato shows every change
_HEIGHT, _WIDTH = 320, 384  # of the photographs
_PHOTOS = {  # top and left of the crop; in it an ellipse, x y and half axes, that is the object's mask; keypoints
    "astronaut": (0, 40, 188, 100, 76, 90, ((163, 101), (207, 103), (183, 145))),
    "chelsea": (0, 0, 195, 150, 175, 145, ((170, 115), (317, 136), (262, 245))),
    "coffee": (40, 150, 190, 150, 130, 120, ((190, 150), (120, 150), (260, 150))),
}
_MASK, _BOX, _POINT = (0, 230, 220), (255, 220, 0), (255, 40, 160)

Cells = list[dict[str, float]]  # for each cell the parameters that are set for it
Pipeline = Sequence[Mapping[str, object]]


def cells(operation: type[Operation]) -> Cells:
    """What each of the five cells sets: from the low to the high end of the default ranges, whole numbers rounded.

    A parameter that covers all of its bounds by default is a choice, such as a place, and stays drawn unless it is the only one
    that varies; where nothing varies, the first parameter goes through its bounds. Without any parameter there is one cell.
    """
    kind = next(base for base in operation.__mro__ if base.__module__.startswith("augsvc.ops.kinds"))
    marks = {name: mark for name, mark in operation.parameters().items() if name not in kind.model_fields}
    ranges = {name: operation.model_fields[name].default for name in marks}
    bounds = {name: (mark.low, mark.high) for name, mark in marks.items()}
    varying = [name for name, (low, high) in ranges.items() if low < high]
    chosen = [name for name in varying if ranges[name] != bounds[name]]
    chosen = chosen or [name for name in varying if marks[name].count == 1][:1]
    if not marks:
        return [{}]
    if not varying:
        chosen = [next(iter(marks))]
        ranges = bounds
    steps = [step / (STRENGTHS - 1) for step in range(STRENGTHS)]
    return [{name: _at(*ranges[name], step, marks[name].law.whole) for name in chosen} for step in steps]


def _at(low: float, high: float, fraction: float, whole: bool) -> float:
    value = low + (high - low) * fraction
    return float(np.floor(value + 0.5)) if whole else round(value, 6)


def draw_strip(operation: type[Operation]) -> bytes:
    """The strip as WebP."""
    name = operation.model_fields["op"].default
    render = _render_clip if operation.media == "audio" else _render_image
    steps: list[Pipeline] = [[]]
    steps += [[{"op": name, "p": 1.0, **settings}] for settings in cells(operation)]
    rendered = [render(pipeline, index, operation) for index, pipeline in enumerate(steps)]
    height, width = rendered[0].shape[:2]
    strip = np.zeros((height, len(rendered) * (width + GAP) - GAP, 4), np.uint8)
    for index, cell in enumerate(rendered):
        left = index * (width + GAP)
        strip[:, left : left + width] = np.dstack((cell, np.full((height, width), 255, np.uint8)))
    out = BytesIO()
    Image.fromarray(strip).save(out, "WEBP", quality=QUALITY, method=6, exact=False)
    return out.getvalue()


def _render_image(pipeline: Pipeline, index: int, operation: type[Operation]) -> U8:
    """One cell, H,W,3; each takes another sample, so that what stays drawn differs."""
    source = ListSource(_samples(operation), photo_colors())
    side = _canvas_side(operation)
    batch = over(source, pipeline, size=[side, side]).batch(start=index, count=1)
    image = np.array(Image.fromarray(batch["image"][0]).resize((SIDE, SIDE), Image.Resampling.BOX))
    return _painted(image, batch, SIDE / side) if moves_content(operation) and "boxes" in batch else image


def _canvas_side(operation: type[Operation]) -> int:
    """An operation that resizes to a number of `pixels` gets a canvas of that many, shown smaller."""
    pixels = operation.model_fields.get("pixels")
    return SIDE if pixels is None or pixels.default is None else int(np.max(pixels.default))


def _render_clip(pipeline: Pipeline, index: int, operation: type[Operation]) -> U8:
    """One cell, H,W,3, of the same clip."""
    clip = over(Tones("test"), pipeline, output={}).batch(start=CLIP, count=1)["audio"]
    return draw_clips(clip)[0]


@cache
def photo_colors():
    """The colour statistics of the built-in photographs."""
    return open_catalog({}, 0).get("photos/train").info.colors


def _samples(operation: type[Operation]) -> list[Sample]:
    """The photograph for every cell, followed by partners for an operation that has some."""
    samples = [labelled_photo("astronaut")] * (STRENGTHS + 1)
    if operation.partners:
        samples += [labelled_photo("chelsea"), labelled_photo("coffee")] * 20
    if issubclass(operation, Branches):  # which refuse labels
        return [Sample(sample.image, 0) for sample in samples]
    carries_masks = getattr(operation, "carries_masks", True)
    return samples if carries_masks else [replace(sample, mask=None) for sample in samples]


@cache
def labelled_photo(name: str, side: int | None = None) -> Sample:
    """A photograph with an object, as mask, box and keypoints; `side`: cropped to a square."""
    top, left, x, y, half_width, half_height, points = _PHOTOS[name]
    image = np.ascontiguousarray(photo(name)[top : top + (side or _HEIGHT), left : left + (side or _WIDTH)])
    rows, columns = np.mgrid[: image.shape[0], : image.shape[1]]
    mask = ((columns - x) / half_width) ** 2 + ((rows - y) / half_height) ** 2 <= 1.0
    return Sample(
        image,
        0,
        mask=mask.astype(np.uint8),
        boxes=np.array([[x - half_width, y - half_height, x + half_width, y + half_height]], np.float32),
        box_labels=np.zeros(1, int),
        boxes_valid=np.ones(1, bool),
        keypoints=np.array(points, np.float32),
        keypoints_valid=np.ones(len(points), bool),
    )


def _painted(image: U8, batch: Mapping[str, np.ndarray], scale: float) -> U8:
    """The image with its labels, which are `scale` times as large as in the batch."""
    if "mask" in batch:
        rows = (np.arange(SIDE) / scale).astype(int)
        mask = batch["mask"][0][np.ix_(rows, rows)] == 1
        image[mask & ~ndimage.binary_erosion(mask, border_value=1)] = _MASK
    for box in batch["boxes"][0][batch["boxes_valid"][0]]:
        x1, y1, x2, y2 = np.clip(np.rint(box * scale).astype(int), 0, SIDE - 1)
        image[[y1, y2], x1 : x2 + 1] = _BOX
        image[y1 : y2 + 1, [x1, x2]] = _BOX
    for column, row in (batch["keypoints"][0][batch["keypoints_valid"][0]] * scale).astype(int):
        image[max(row - 1, 0) : row + 2, max(column - 1, 0) : column + 2] = _POINT
    return image
