"""MNIST and its kin in IDX files, also compressed (http://yann.lecun.com/exdb/mnist): MNIST, Fashion-MNIST, KMNIST, EMNIST."""

import math
import zlib
from collections.abc import Mapping
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from augsvc.data.formats.array_source import (
    ArraysFormat,
    LabelledArrays,
    as_images,
    as_labels,
    class_names,
    most_decompressed,
)
from augsvc.data.formats.dataset_root import DatasetRoot

_PREFIXES = {"train": "train", "test": "t10k"}
_BYTES_DTYPE = 0x08
_MAX_BYTES = 2 << 30  # of a file once decompressed
_MOST_HEADER = 20  # bytes: four axes


class MnistSettings(ArraysFormat):
    """The operator's settings of a folder of IDX files."""

    format: Literal["mnist"]
    prefix: str = ""  # of the files' names: "emnist-letters-"
    transpose: bool = False  # true: images are stored column by column, as those of EMNIST

    def read_splits(self, root: DatasetRoot) -> Mapping[str, LabelledArrays]:
        """`train-images-idx3-ubyte` and `t10k-images-idx3-ubyte`, with their labels."""
        found = {}
        for split, name in _PREFIXES.items():
            images, labels = (self._find(root, name, f"{kind}", axes) for kind, axes in (("images", 3), ("labels", 1)))
            if images and labels:
                found[split] = (
                    images,
                    self._read(root, images),
                    as_labels(self._read(root, labels), root.locate(labels)),
                )
        if not found:
            raise ValueError(f"{root.locate('')} has no {self.prefix}train-images-idx3-ubyte and its labels")
        classes = class_names(self.classes, [labels for _, _, labels in found.values()])
        return {
            split: LabelledArrays(
                as_images(pixels.transpose(0, 2, 1) if self.transpose else pixels, root.locate(file)),
                labels,
                classes,
                file,
            )
            for split, (file, pixels, labels) in found.items()
        }

    def _find(self, root: DatasetRoot, split: str, kind: str, axes: int) -> str:
        """The name of a file, empty if there is none."""
        names = (
            f"{self.prefix}{prefix}-{kind}{sign}idx{axes}-ubyte{end}"
            for prefix in ({"t10k": ("t10k", "test")}.get(split, (split,)))
            for sign in "-."
            for end in ("", ".gz")
        )
        return next(filter(root.is_file, names), "")

    def _read(self, root: DatasetRoot, file: str) -> npt.NDArray[Any]:
        data = root.read(file, _MAX_BYTES)
        try:
            return parse_idx(decompress(data) if file.endswith(".gz") else data)
        except ValueError as err:
            raise ValueError(f"{root.locate(file)}: {err}") from err


def decompress(data: bytes) -> bytes:
    """The contents of a gzip file in IDX's form; raises ValueError if it is damaged, cut, or longer than its header says."""
    decompressor = zlib.decompressobj(wbits=31)
    try:
        head = decompressor.decompress(data, _MOST_HEADER)
        shape, start = parse_header(head)
        n_bytes = start + math.prod(shape)
        if n_bytes > min(_MAX_BYTES, most_decompressed(len(data))):
            raise ValueError(f"it has {n_bytes:,} bytes once decompressed, and {len(data):,} now")
        rest = decompressor.decompress(decompressor.unconsumed_tail, max(1, n_bytes + 1 - len(head)))
    except zlib.error as err:
        raise ValueError("it is no gzip file, or is damaged") from err
    if not decompressor.eof:
        raise ValueError("it is cut, or longer than its header says")
    return head + rest


def parse_header(data: bytes) -> tuple[list[int], int]:
    """The shape that an IDX file begins with, and where its values begin; raises ValueError if it is none."""
    if len(data) < 4 or data[:2] != b"\0\0" or data[2] != _BYTES_DTYPE or not 1 <= data[3] <= 4:
        raise ValueError("it is no IDX file of bytes")
    start = 4 + 4 * data[3]
    return [int.from_bytes(data[k : k + 4], "big") for k in range(4, start, 4)], start


def parse_idx(data: bytes) -> npt.NDArray[np.uint8]:
    """An IDX file of bytes: 0 0, the type 8, the number of axes, their lengths in 4 bytes each, and the values.

    Raises:
        ValueError: it is none.
    """
    shape, start = parse_header(data)
    if len(data) < start or len(data) - start != math.prod(shape):
        raise ValueError(f"it has {len(data) - start:,} values, and its header says {' × '.join(map(str, shape))}")
    return np.frombuffer(data, np.uint8, offset=start).reshape(shape)
