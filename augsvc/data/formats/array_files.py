"""Arrays in .npz and .safetensors files: images and labels by name, as MedMNIST and Keras store them. No pickles."""

import io
import json
import math
import zipfile
import zlib
from collections.abc import Mapping
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from augsvc.data.formats.array_source import (
    ArraysFormat,
    BadArrays,
    LabelledArrays,
    Name,
    as_images,
    as_labels,
    class_names,
    most_decompressed,
)
from augsvc.data.formats.dataset_root import DatasetRoot, require_below
from augsvc.data.formats.json_stream import to_distinct
from augsvc.data.source import SPLITS

_MAX_BYTES = 8 << 30
_DAMAGES = (
    ValueError,
    ArithmeticError,
    OSError,
    EOFError,
    LookupError,
    zipfile.BadZipFile,
    zlib.error,
    AttributeError,
    TypeError,
)
_NPY_HEADERS = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}
_IMAGES, _LABELS = ("images", "image", "x"), ("labels", "label", "y")
_DTYPES = {
    "U8": "u1",
    "I8": "i1",
    "U16": "<u2",
    "I16": "<i2",
    "I32": "<i4",
    "U32": "<u4",
    "I64": "<i8",
    "U64": "<u8",
    "BOOL": "?",
}
_SINGLE = ".npy"
_NEEDS_BOTH = "holds one array: write images and labels into one .npz file, by numpy.savez(file, images=…, labels=…)"
_FLOATS = {"F16": "<f2", "F32": "<f4", "F64": "<f8"}


class ArrayFilesSettings(ArraysFormat):
    """The operator's settings of one file of arrays, or of one for each split."""

    format: Literal["arrays"]
    file: Name | dict[Literal["train", "val", "test"], Name] | None = None  # None: train.npz, …, or the only one
    images: Name | None = None  # the names of the arrays; None: images, image or x, with a split before or behind
    labels: Name | None = None

    def read_splits(self, root: DatasetRoot) -> Mapping[str, LabelledArrays]:
        """By file, or by the names of the arrays in one file."""
        found: dict[str, tuple[str, npt.NDArray[Any], npt.NDArray[Any]]] = {}
        for split, file in self._find_files(root).items():
            data = root.read(file, _MAX_BYTES)
            try:
                arrays = read_arrays(data, file)
                for inner, (images, labels) in self._find_arrays(arrays, split).items():
                    found[inner] = (
                        file,
                        as_images(arrays[images], f"{images!r}"),
                        as_labels(arrays[labels], f"{labels!r}"),
                    )
            except ValueError as err:
                raise ValueError(f"{root.locate(file)}: {err}") from err
        classes = class_names(self.classes, [labels for _, _, labels in found.values()])
        return {
            split: LabelledArrays(found[split][1], found[split][2], classes, found[split][0])
            for split in ("", *SPLITS)
            if split in found
        }

    def _find_files(self, root: DatasetRoot) -> dict[str, str]:
        files = self._list_files(root)
        if single := [name for name in files.values() if name.endswith(_SINGLE)]:
            raise ValueError(f"{root.locate(single[0])} {_NEEDS_BOTH}")
        return files

    def _list_files(self, root: DatasetRoot) -> dict[str, str]:
        if isinstance(self.file, str):
            return {"": require_below(self.file, "`file`")}
        if self.file is not None:
            return {split: require_below(self.file[split], "`file`") for split in SPLITS if split in self.file}
        files = root.files("", {".npz", ".safetensors"})
        by_split = {split: name for split in SPLITS for name in files if name.rpartition(".")[0] == split}
        if not files and (single := root.files("", {_SINGLE})):
            raise ValueError(f"{root.locate(single[0])} {_NEEDS_BOTH}")
        if not by_split and len(files) != 1:
            raise ValueError(
                f"{root.locate('')} has {len(files)} files of arrays: name one in `file`, or one for each split"
            )
        return by_split or {"": files[0]}

    def _find_arrays(self, arrays: Mapping[str, npt.NDArray[Any]], split: str) -> dict[str, tuple[str, str]]:
        """Split → the names of its images and labels."""
        if self.images is not None or self.labels is not None:
            pair = (self.images or _IMAGES[0], self.labels or _LABELS[0])
            if missing := [name for name in pair if name not in arrays]:
                raise BadArrays(f"has no array {missing[0]!r}; there are {', '.join(arrays)}")
            return {split: pair}
        whole = _pair(arrays, "")
        pairs = {} if whole is None else {split: whole}
        if not pairs and not split:
            pairs = {inner: names for inner in SPLITS if (names := _pair(arrays, inner))}
        if not pairs:
            raise BadArrays(f"has no arrays like `images` and `labels`: name them; there are {', '.join(arrays)}")
        return pairs


def _pair(arrays: Mapping[str, npt.NDArray[Any]], split: str) -> tuple[str, str] | None:
    """The names of images and labels of a split: train_images, x_train, …"""
    for images, labels in zip(_IMAGES, _LABELS, strict=True):
        forms = ("{0}_{1}", "{1}_{0}") if split else ("{1}",)
        for form in forms:
            names = (form.format(split, images), form.format(split, labels))
            if all(name in arrays for name in names):
                return names
    return None


def read_arrays(data: bytes, file: str) -> Mapping[str, npt.NDArray[Any]]:
    """The arrays of a file by name; raises BadArrays if it is damaged or holds objects."""
    if file.endswith(".safetensors"):
        return _read_safetensors(data)
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            members = [member for member in archive.infolist() if member.filename.endswith(".npy")]
            n_bytes = sum(member.file_size for member in members)
            if n_bytes <= min(_MAX_BYTES, most_decompressed(len(data))):
                return {member.filename.removesuffix(".npy"): _read_npy(archive, member) for member in members}
    except (
        ValueError,
        ArithmeticError,
        OSError,
        EOFError,
        KeyError,
        zipfile.BadZipFile,
        zlib.error,
        AttributeError,
        TypeError,
    ) as err:
        raise BadArrays("it is no .npz file of numbers, or is damaged; arrays of objects are refused") from err
    raise BadArrays(f"its arrays have {n_bytes:,} bytes once decompressed, the file {len(data):,}")


def _read_npy(archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> npt.NDArray[Any]:
    """An array by its header, which may state any size."""
    if member.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):  # others decompress without a bound
        raise ValueError("compression")
    with archive.open(member) as opened:
        contents = io.BytesIO(opened.read(member.file_size))
    read_header = _NPY_HEADERS[np.lib.format.read_magic(contents)]
    shape, is_fortran, dtype = read_header(contents)
    if dtype.hasobject:
        raise ValueError("objects")
    values = np.frombuffer(contents.getbuffer()[contents.tell() :], dtype, math.prod(shape))
    return values.reshape(shape, order="F" if is_fortran else "C")


def _read_safetensors(data: bytes) -> Mapping[str, npt.NDArray[Any]]:
    """By its format: the length of the header in 8 bytes, the header in JSON, the values."""
    try:
        start = 8 + int.from_bytes(data[:8], "little")
        if start > len(data):
            raise ValueError("length")
        header = json.loads(data[8:start], object_pairs_hook=to_distinct)
        tensors = {name: entry for name, entry in header.items() if name != "__metadata__"}
        return {name: _tensor(data, start, entry) for name, entry in tensors.items()}
    except (ValueError, ArithmeticError, KeyError, TypeError, AttributeError, RecursionError) as err:
        raise BadArrays("it is no safetensors file of integers and floats, or is damaged") from err


def _tensor(data: bytes, start: int, entry: Mapping[str, Any]) -> npt.NDArray[Any]:
    dtype = np.dtype((_DTYPES | _FLOATS)[entry["dtype"]])
    first, last = entry["data_offsets"]
    n_bytes = math.prod(entry["shape"]) * dtype.itemsize
    if not 0 <= first <= last <= len(data) - start or last - first != n_bytes:
        raise ValueError("offsets")
    return np.frombuffer(memoryview(data)[start + first : start + last], dtype).reshape(entry["shape"])
