"""Array types, a decoded sample, and the named arrays of a batch.

A batch is a plain mapping of tensor names to NumPy arrays; the names, dtypes and shapes are those of the wire:

    image            uint8   N,C,H,W or N,H,W,C       images (uint16 and floats too), or
    audio            float32 N,T or N,C,T             audio, full scale is ±1
    lengths          int32   N              samples of each clip; those after them are zeros
    label            int64   N              the class, -1 where a sample has none; or uint8 N,K, float32 N,K (SourceInfo.label)
    mask             uint8   N,H,W          255 where the image has no source
    boxes            float32 N,M,4          x1 y1 x2 y2 in canvas pixels, the canvas is [0, W] × [0, H]; with mixes
                                            M rows of the sample, then those of its partners, and so with keypoints
    box_labels       int64   N,M
    boxes_valid      bool    N,M
    mask_bits        uint8   N,P,H,W        P = ⌈M/8⌉: bit m % 8 of plane m // 8 is set where the object of box m is
    keypoints        float32 N,M,2          x y
    keypoints_valid  bool    N,M
    index            int64   N              the index in the full dataset; it keys the draws
    valid            bool    N              false where an undecodable sample was replaced
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt

U8 = npt.NDArray[np.uint8]
U16 = npt.NDArray[np.uint16]
U32 = npt.NDArray[np.uint32]
U64 = npt.NDArray[np.uint64]
I64 = npt.NDArray[np.int64]
F32 = npt.NDArray[np.float32]
F64 = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]
Pixels = npt.NDArray[Any]  # uint8, or uint16: values with 8 fraction bits, 0 … 65,280
Arrays = Mapping[str, npt.NDArray[Any]]
T = TypeVar("T")


@dataclass(frozen=True, slots=True, eq=False)
class Sample:
    """One decoded image or clip. Coordinates are pixels of the image as it was before it was reduced: x right, y down, pixel
    centres at +0.5.
    """

    image: Pixels | None  # H,W,C with C 1 or 3; of all samples of a dataset the same type
    label: int
    mask: U8 | None = None  # H,W
    boxes: F32 | None = None  # M,4
    box_labels: I64 | None = None  # M
    boxes_valid: Bools | None = None  # M
    keypoints: F32 | None = None  # K,2
    keypoints_valid: Bools | None = None  # K
    audio: F32 | None = None  # T, or C,T of more than one channel, full scale is ±1
    rate: int = 0  # of the audio, in Hz; 0 if unknown
    target: npt.NDArray[Any] | None = None  # K, a label that is not one class
    tiles: "tuple[Sample, ...]" = ()  # the other ones of its collage, or clips that operations take
    partner: "Sample | None" = None  # that it is mixed with
    tile_weights: tuple[float, ...] = (1.0,)  # of the samples that it shows: fractions of what is on the canvas
    mask_bits: U8 | None = None  # P,H,W: the masks of its objects, planes as above; as many as its own boxes need
    key: tuple[str, int] | None = None  # dataset (as DecodedCache.claim names it) and index; None: a client's own
    full_size: tuple[int, int] | None = None  # (H, W) of the image before it was reduced by `factor`; masks have it

    @property
    def size(self) -> tuple[int, int]:
        """The (H, W) of the image, before it was reduced."""
        if self.full_size is not None:
            return self.full_size
        height, width, _ = required(self.image).shape
        return height, width

    @property
    def factor(self) -> int:
        """Rows of the whole image for one of this: 1, 2, 4 or 8."""
        if self.full_size is None:
            return 1
        whole, side = max(self.size), max(required(self.image).shape[:2])
        return next(factor for factor in (1, 2, 4, 8) if -(-whole // factor) == side)  # a side is rounded up

    @property
    def n_bytes(self) -> int:
        """Bytes of its arrays but the target, which is part of the dataset's."""
        boxes = (self.boxes, self.box_labels, self.boxes_valid)
        arrays = (self.image, self.audio, self.mask, self.mask_bits, *boxes, self.keypoints, self.keypoints_valid)
        return sum(array.nbytes for array in arrays if array is not None)

    @property
    def total_bytes(self) -> int:
        """Those of its partners, too."""
        return self.n_bytes + sum(partner.n_bytes for partner in self.partners)

    @property
    def partners(self) -> "tuple[Sample, ...]":
        """The other samples that it shows: tiles, then the one it is mixed with."""
        return self.tiles if self.partner is None else (*self.tiles, self.partner)


def required(value: T | None) -> T:
    """A value that must be present.

    Raises:
        ValueError: it is missing, a defect of the source.
    """
    if value is None:
        raise ValueError("a sample lacks a field that its dataset declares")
    return value


def count_planes(n_objects: int) -> int:
    """The planes of `mask_bits` for the masks of objects; at least 1."""
    return max(1, -(-n_objects // 8))


def ranges(n: int, step: int) -> list[slice]:
    """Slices of 0 … n of at most `step`."""
    return [slice(start, min(start + step, n)) for start in range(0, n, step)]
