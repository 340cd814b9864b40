"""The embedded shapes: painted scenes with a mask, boxes and keypoints, made from their index by integer arithmetic.

A 64×64 image has one to three objects (disc, square, triangle), each in a different quarter, so none occludes another.
A white dot at the centre of an object is its keypoint. Nothing is stored, and every machine paints the same bytes.
"""

import hashlib
import json
from dataclasses import replace
from itertools import permutations

import numpy as np

from augsvc.arrays import I64, U32, Bools, Sample
from augsvc.data.cache import DecodedCache
from augsvc.data.source import Source, SourceInfo, Split
from augsvc.numerics.rng import PAINT_KEY, PIXEL_BLOCK, philox4x32

CLASSES = ("disc", "square", "triangle")
SIDE = 64
OBJECTS = 3  # M: the rows of boxes and keypoints
LENGTHS = {"train": 3000, "test": 600}
PAINTER = 1  # part of the dataset version: increment when the painted pixels change


_KEY = (0x53686170, 0x65732F31)
_QUARTER = SIDE // 2
_PLACES = tuple(permutations(range(4), OBJECTS))  # the quarter of each object
_WORDS = 8  # per object, preceded by as many for the scene
_NOISE_BLOCKS = SIDE * SIDE * 3 // 16  # one byte an element


class Shapes(Source):
    """One split; a scene is a pure function of (split, index), and the first object, the largest, has class index % 3."""

    def __init__(self, split: Split, cache: DecodedCache | None = None) -> None:
        self._split = split
        self._cache = DecodedCache(0) if cache is None else cache
        form = {"format": "shapes", "split": split, "classes": CLASSES, "samples": LENGTHS[split], "painter": PAINTER}
        self.info = SourceInfo(
            name=f"shapes/{split}",
            version=hashlib.sha256(json.dumps(form).encode()).hexdigest(),
            classes=CLASSES,
            channels=3,
            size=(SIDE, SIDE),
            mask=True,
            boxes=OBJECTS,
            keypoints=OBJECTS,
        )

    def __len__(self) -> int:
        return LENGTHS[self._split]

    def read(self, index: int) -> Sample:
        """The scene; never fails for an index of the dataset."""
        key = (self.info.name, index)
        return self._cache.get_or_make(key, lambda: replace(_paint(self._split, index), key=key))

    def labels(self) -> I64:
        """The class of every scene's largest object (len,)."""
        return np.arange(len(self), dtype=np.int64) % len(CLASSES)

    def describe(self, index: int) -> str:
        """The index of the scene."""
        return f"scene {index}"


def _paint(split: Split, index: int) -> Sample:
    words, noise = _draw_words(split, index)
    scene = words[:_WORDS]
    image = _background(scene)
    mask = np.zeros((SIDE, SIDE), dtype=np.uint8)
    boxes = np.zeros((OBJECTS, 4), dtype=np.float32)
    box_labels = np.zeros(OBJECTS, dtype=np.int64)
    valid = np.zeros(OBJECTS, dtype=np.bool_)
    keypoints = np.zeros((OBJECTS, 2), dtype=np.float32)
    quarters = _PLACES[scene[1] % len(_PLACES)]
    dots = np.zeros((SIDE, SIDE), dtype=np.bool_)
    for row in range(1 + scene[0] % OBJECTS):
        own = words[_WORDS * (row + 1) : _WORDS * (row + 2)]
        label = index % len(CLASSES) if row == 0 else own[0] % len(CLASSES)
        radius = (
            10 + own[1] % 4 if row == 0 else 6 + own[1] % 3
        )  # the first object is the largest: it defines the label
        covered, x, y = _object(label, radius, own[2:4], quarters[row])
        image[covered] = _colour(own)
        mask[covered] = label + 1
        dots[y - 1 : y + 1, x - 1 : x + 1] = True  # four pixels about the corner (x, y): their centre is exact
        boxes[row], box_labels[row], valid[row], keypoints[row] = _extent(covered), label, True, (x, y)
    image += noise
    image[dots] = 255
    pixels = image.astype(np.uint8)
    for array in (pixels, mask, boxes, box_labels, valid, keypoints):
        array.setflags(write=False)  # the cache shares them
    return Sample(pixels, index % len(CLASSES), mask, boxes, box_labels, valid, keypoints, valid)


def _draw_words(split: Split, index: int) -> tuple[list[int], I64]:
    """A scene's random words (the image's, then each object's) and its noise (H, W, 3) in −8…7."""
    n_blocks = _WORDS * (1 + OBJECTS) // 4
    blocks = np.concatenate((np.arange(n_blocks), PIXEL_BLOCK + np.arange(_NOISE_BLOCKS)))
    words: U32 = np.stack(philox4x32((blocks, PAINT_KEY, index, int(split == "test")), _KEY), axis=-1)
    noise = words[n_blocks:].astype("<u4").view(np.uint8).reshape(SIDE, SIDE, 3)
    return words[:n_blocks].ravel().tolist(), (noise >> 4).astype(np.int64) - 8


def _background(scene: list[int]) -> I64:
    """A dim gradient (H, W, 3): a base of 24…79 per channel, and up to ±16 towards the edges."""
    base = np.array([24 + word % 56 for word in scene[2:5]])
    slope_x, slope_y = (word % 33 - 16 for word in scene[5:7])
    y, x = np.ogrid[:SIDE, :SIDE]
    slope = (slope_x * (2 * x + 1 - SIDE) + slope_y * (2 * y + 1 - SIDE)) >> 7
    return np.asarray(base + slope[:, :, None], dtype=np.int64)


def _object(label: int, radius: int, offsets: list[int], quarter: int) -> tuple[Bools, int, int]:
    """The pixels that an object covers, and its centre, a pixel corner; the whole object is inside its quarter."""
    free = _QUARTER - 2 * radius + 1
    x = _QUARTER * (quarter % 2) + radius + offsets[0] % free
    y = _QUARTER * (quarter // 2) + radius + offsets[1] % free
    rows, columns = np.ogrid[:SIDE, :SIDE]
    right, down = 2 * (columns - x) + 1, 2 * (rows - y) + 1  # pixel centres from the object's, in half pixels
    if label == 0:
        covered = right * right + down * down <= 4 * radius * radius
    elif label == 1:
        side = 2 * (radius - 1)
        covered = (abs(right) < side) & (abs(down) < side)
    else:
        covered = (2 * abs(right) <= down + 2 * radius) & (down < 2 * radius)
    return covered, x, y


def _colour(own: list[int]) -> I64:
    """A colour with one channel well above any background, and all channels below the white of the dot."""
    colour = np.array([32 + word % 128 for word in own[4:7]])
    strong = own[7] % 3
    colour[strong] = 168 + own[4 + strong] % 72
    return colour


def _extent(covered: Bools) -> tuple[int, int, int, int]:
    """The bounding box x1 y1 x2 y2 of the covered pixels, with exclusive ends."""
    rows, columns = np.flatnonzero(covered.any(axis=1)), np.flatnonzero(covered.any(axis=0))
    return int(columns[0]), int(rows[0]), int(columns[-1]) + 1, int(rows[-1]) + 1
