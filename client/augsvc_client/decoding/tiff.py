"""TIFF (Adobe, revision 6.0, and BigTIFF): the first image's directory, and its strips or tiles as numbers.

Pillow opens too few kinds of them (no big-endian integers of 32 bits, no colour of 16) and parses every tag of a file. Here
the directory is read within bounds, and Pillow only decompresses LZW and PackBits.
"""

import io
import struct
import zlib
from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import Any, Literal, NamedTuple

import numpy as np
import numpy.typing as npt
from PIL.TiffImagePlugin import TiffImageFile

from augsvc_client.decoding.containers.stripped_image import DAMAGED, MAX_SEGMENTS, require_bytes, require_size
from augsvc_client.decoding.errors import Undecodable

Numbers = npt.NDArray[Any]

MAX_CHUNKS = 8192  # strips or tiles that are compressed: by LZW as many take 2.4 s, each by itself
MAX_PADDING, USUAL_TILE = (
    4,
    1 << 18,
)  # times the image's pixels; and pixels that tiles have however small the image: 512²

_SIGNATURES: Mapping[bytes, Literal["<", ">"]] = {b"II*\0": "<", b"MM\0*": ">", b"II+\0": "<", b"MM\0+": ">"}
_WIDTH, _HEIGHT, _BITS, _COMPRESSION, _PHOTOMETRIC, _FILL_ORDER = 256, 257, 258, 259, 262, 266
_ORIENTATION, _SAMPLES, _PLANAR, _PREDICTOR, _FORMAT = 274, 277, 284, 317, 339
_STRIP_OFFSETS, _STRIP_ROWS, _STRIP_BYTES = 273, 278, 279
_TILE_WIDTH, _TILE_HEIGHT, _TILE_OFFSETS, _TILE_BYTES = 322, 323, 324, 325
_EXTRA_SAMPLES = 338  # what a channel beside grey or colour is: 0 unspecified, else alpha
_ONES = (_COMPRESSION, _PHOTOMETRIC, _FILL_ORDER, _ORIENTATION, _SAMPLES, _PLANAR, _PREDICTOR, _FORMAT, _BITS)
_SIZES = (_WIDTH, _HEIGHT, _STRIP_OFFSETS, _STRIP_ROWS, _STRIP_BYTES)
_USED = frozenset((*_ONES, *_SIZES, _EXTRA_SAMPLES, _TILE_WIDTH, _TILE_HEIGHT, _TILE_OFFSETS, _TILE_BYTES))
_LISTS = frozenset({_STRIP_OFFSETS, _STRIP_BYTES, _TILE_OFFSETS, _TILE_BYTES})
_MAX_SAMPLES = 8  # numbers of any other tag that are read; more than the samples of a pixel that is served
_INTEGERS = {1: "B", 3: "H", 4: "L", 16: "Q"}  # types of tags, as struct formats

_UNSIGNED, _SIGNED, _FLOAT = 1, 2, 3
_NUMBERS: Mapping[tuple[int, int], str] = MappingProxyType(
    {
        (_UNSIGNED, 8): "u1",
        (_UNSIGNED, 16): "u2",
        (_UNSIGNED, 32): "u4",
        (_SIGNED, 8): "i1",
        (_SIGNED, 16): "i2",
        (_SIGNED, 32): "i4",
        (_FLOAT, 16): "f2",
        (_FLOAT, 32): "f4",
        (_FLOAT, 64): "f8",
    }
)
_GREY, _COLOR = 1, 2  # photometric interpretations
_UNCOMPRESSED, _LZW, _DEFLATE, _OLD_DEFLATE, _PACKBITS = 1, 5, 8, 32946, 32773
_COMPRESSIONS = frozenset({_UNCOMPRESSED, _LZW, _DEFLATE, _OLD_DEFLATE, _PACKBITS})
_HORIZONTAL, _FLOATING = 2, 3  # predictors

_COPIES = 3  # of a decompressed chunk: with a predictor, as differences, their sums, and the sums in order
_WINDOW_BYTES = (
    12  # a number of the image: 8 as an index and 2 as a value, or as a value, in 32 bits, and in their luma
)

Tags = Mapping[int, tuple[int, ...]]


class _Chunks(NamedTuple):
    """Strips, or tiles, which are padded at the right and at the bottom."""

    height: int
    width: int
    are_tiles: bool
    offsets: tuple[int, ...]
    n_bytes: tuple[int, ...]


class _Image(NamedTuple):
    """The first image of a file, by its directory."""

    height: int
    width: int
    samples: int  # of a pixel, alpha included
    kept: int  # samples without alpha
    planes: int  # 1: the samples of a pixel are neighbours; else one plane for each sample
    dtype: np.dtype[Any]
    compression: int
    predictor: int
    chunks: _Chunks
    orientation: int


def is_tiff(data: bytes) -> bool:
    """Whether a file begins as a TIFF."""
    return data[:4] in _SIGNATURES


def read_tiff(data: bytes, max_pixels: int) -> tuple[Numbers, int]:
    """The numbers (H, W, C) of the first image as they are stored, with C of 1 or 3, and its EXIF orientation.

    Integers of 8, 16 and 32 bits and floats of 16, 32 and 64; grey or RGB, whose alpha is dropped; uncompressed, LZW, Deflate
    or PackBits, with or without a predictor.

    Raises:
        Undecodable: another kind of TIFF, more than `max_pixels` pixels or MAX_CHUNKS compressed strips, or damaged.
    """
    image = _read_directory(data, max_pixels)
    numbers = np.empty((image.height, image.width, image.kept), image.dtype.newbyteorder("="))
    for index, (rows, columns, plane) in enumerate(_positions(image)):
        chunk = _read_chunk(data, image, index, rows.stop - rows.start)
        # a plane of alpha is decoded too, since it may be damaged: its part of `numbers` is empty
        numbers[rows, columns, plane] = chunk[: rows.stop - rows.start, : columns.stop - columns.start, : image.kept]
    return numbers, image.orientation


def tiff_decoding_bytes(data: bytes, max_pixels: int) -> int:
    """The memory that reading the numbers and applying a window take at their peak, without copies of the file.

    Raises:
        Undecodable: as `read_tiff`; or another exception, if the directory is damaged.
    """
    image = _read_directory(data, max_pixels)
    chunk = image.chunks.height * image.chunks.width * (image.samples // image.planes) * image.dtype.itemsize
    numbers = image.height * image.width * image.kept
    return numbers * image.dtype.itemsize + max(_COPIES * chunk, _WINDOW_BYTES * numbers)


def _read_directory(data: bytes, max_pixels: int) -> _Image:
    """The first image of a file, as far as it is served and within bounds."""
    tags = _read_tags(data)
    single = {tag: tags.get(tag, (1,))[0] for tag in _ONES}
    (width, *_), (height, *_) = tags.get(_WIDTH, (0,)), tags.get(_HEIGHT, (0,))
    require_size(width, height, max_pixels)
    samples = single[_SAMPLES]
    image = _Image(
        height,
        width,
        samples,
        1 if single[_PHOTOMETRIC] == _GREY else 3,
        samples if single[_PLANAR] == 2 else 1,
        _dtype(tags, single).newbyteorder(_SIGNATURES[data[:4]]),
        single[_COMPRESSION],
        single[_PREDICTOR],
        _read_chunks(tags, height, width),
        single[_ORIENTATION],
    )
    require_bytes(width, height, samples * image.dtype.itemsize, max_pixels)
    _require_bounds(image, len(data))
    return image


def read_tiff_bits(data: bytes) -> int:
    """The declared bits of a number; raises Undecodable or struct.error if the directory is damaged or not in `data`."""
    return max(_read_tags(data).get(_BITS, (1,)))


def _read_tags(data: bytes) -> Tags:
    """The tags of the first directory that are used here; each has at least one number."""
    order, is_big = _SIGNATURES[data[:4]], b"+" in data[:4]
    offset, count, entry, n_inline = ("Q", "Q", "HHQ8s", 8) if is_big else ("L", "H", "HHL4s", 4)
    (at,) = struct.unpack_from(order + offset, data, 8 if is_big else 4)
    (n_tags,) = struct.unpack_from(order + count, data, at)
    at += struct.calcsize(order + count)
    tags: dict[int, tuple[int, ...]] = {}
    for index in range(min(n_tags, 1 << 16)):
        tag, kind, n_numbers, value = struct.unpack_from(
            order + entry, data, at + index * struct.calcsize(order + entry)
        )
        if tag not in _USED or kind not in _INTEGERS or tag in tags or not n_numbers:
            continue
        if n_numbers > MAX_SEGMENTS:
            raise Undecodable("the image has too many segments")
        integer = order + _INTEGERS[kind]
        is_inline = n_numbers * struct.calcsize(integer) <= n_inline
        source, start = (value, 0) if is_inline else (data, struct.unpack(order + offset, value)[0])
        n_read = n_numbers if tag in _LISTS else min(n_numbers, _MAX_SAMPLES)
        tags[tag] = struct.unpack_from(f"{order}{n_read}{_INTEGERS[kind]}", source, start)
    return tags


def _dtype(tags: Tags, single: Mapping[int, int]) -> np.dtype[Any]:
    """The type of the numbers.

    Raises:
        Undecodable: the image is not of numbers that can be mapped to grey or colour.
    """
    if (single[_PHOTOMETRIC], single[_SAMPLES]) not in ((_GREY, 1), (_GREY, 2), (_COLOR, 3), (_COLOR, 4)):
        raise Undecodable(
            "the TIFF is neither grey (black is 0) nor RGB: photometric interpretation "
            f"{single[_PHOTOMETRIC]}, {single[_SAMPLES]} channels"
        )
    if (
        single[_SAMPLES] in (2, 4) and tags.get(_EXTRA_SAMPLES, (1,))[0] == 0
    ):  # infrared, say; as libtiff and Pillow read it
        raise Undecodable(
            f"the TIFF has {single[_SAMPLES]} channels, of which the last is not alpha: write those to be served to files"
        )
    kind, bits = single[_FORMAT], single[_BITS]
    is_uniform = all(len(set(tags.get(tag, (1,)))) == 1 for tag in (_BITS, _FORMAT))
    if (kind, bits) not in _NUMBERS or not is_uniform or single[_FILL_ORDER] != 1:
        raise Undecodable(f"the TIFF has numbers that are not served: {bits} bits, sample format {kind}")
    if single[_COMPRESSION] not in _COMPRESSIONS or single[_PREDICTOR] not in (1, _HORIZONTAL, _FLOATING):
        raise Undecodable(f"the TIFF has a compression that is not served: {single[_COMPRESSION]}")
    return np.dtype(_NUMBERS[kind, bits])


def _read_chunks(tags: Tags, height: int, width: int) -> _Chunks:
    if _TILE_OFFSETS in tags:
        tile = tags[_TILE_HEIGHT][0], tags[_TILE_WIDTH][0]
        return _Chunks(*tile, True, tags[_TILE_OFFSETS], tags[_TILE_BYTES])
    rows = min(tags.get(_STRIP_ROWS, (height,))[0], height)
    return _Chunks(rows, width, False, tags[_STRIP_OFFSETS], tags[_STRIP_BYTES])


def _require_bounds(image: _Image, n_bytes: int) -> None:
    """Refuses what would be decompressed more than once, or into far more than the image."""
    chunks = image.chunks
    across, down = -(-image.width // chunks.width), -(-image.height // chunks.height)
    count = across * down * image.planes
    padded = across * down * chunks.height * chunks.width
    if padded > max(MAX_PADDING * image.height * image.width, USUAL_TILE):
        raise Undecodable("the TIFF has tiles far larger than the image")
    if count != len(chunks.offsets) or count != len(chunks.n_bytes) or sum(chunks.n_bytes) > n_bytes:
        raise Undecodable(DAMAGED)
    if image.compression != _UNCOMPRESSED and count > MAX_CHUNKS:
        raise Undecodable("the image has too many segments")


def _positions(image: _Image) -> Iterator[tuple[slice, slice, slice]]:
    """The rows, columns and samples of every chunk, in the order of the offsets."""
    chunks = image.chunks
    for plane in range(image.planes):
        samples = slice(plane, plane + 1) if image.planes > 1 else slice(image.samples)
        for top in range(0, image.height, chunks.height):
            for left in range(0, image.width, chunks.width):
                rows = slice(top, min(top + chunks.height, image.height))
                yield rows, slice(left, min(left + chunks.width, image.width)), samples


def _read_chunk(data: bytes, image: _Image, index: int, height: int) -> Numbers:
    """The numbers (rows, columns, samples) of a chunk; a strip has the rows of the image that are left for it.

    Raises:
        Undecodable: it holds more rows, or longer ones, than the tags state; only the last strip may be padded to a whole one.
            Of LZW and PackBits, which libtiff decompresses, the rest is unknown.
    """
    chunks = image.chunks
    rows, samples = chunks.height if chunks.are_tiles else height, image.samples // image.planes
    shape = (rows, chunks.width, samples)
    row_bytes = chunks.width * samples * image.dtype.itemsize
    start = chunks.offsets[index]
    packed = data[start : start + chunks.n_bytes[index]]
    match image.compression:
        case 1:
            _require_fit(len(packed), chunks.height * row_bytes)
            return np.frombuffer(packed[: rows * row_bytes], image.dtype).reshape(shape)
        case 8 | 32946:
            decompressor = zlib.decompressobj()
            plain = decompressor.decompress(packed, rows * row_bytes)
            # up to its end, where zlib compares the checksum
            rest = decompressor.decompress(decompressor.unconsumed_tail, (chunks.height + 1) * row_bytes)
            _require_fit(len(plain) + len(rest), chunks.height * row_bytes)
            if not decompressor.eof:
                raise Undecodable(DAMAGED)
        case _:
            plain = _decompress_grey(packed, image.compression, row_bytes, rows)
    return _undo_predictor(plain, image, shape)


def _require_fit(n_bytes: int, whole: int) -> None:
    """Refuses a chunk of more bytes than a `whole` one has, but for padding to a multiple of 4."""
    if n_bytes > whole + 3:
        raise Undecodable("the TIFF holds more pixels than its header states")


def _decompress_grey(packed: bytes, compression: int, width: int, height: int) -> bytes:
    """Decompresses bytes as a grey image of 8 bits, in which the library interprets none of them."""
    tags = {
        _WIDTH: width,
        _HEIGHT: height,
        _BITS: 8,
        _COMPRESSION: compression,
        _PHOTOMETRIC: _GREY,
        _STRIP_OFFSETS: 8,
        _SAMPLES: 1,
        _STRIP_ROWS: height,
        _STRIP_BYTES: len(packed),
    }
    padding = bytes(len(packed) % 2)
    directory = b"".join(struct.pack("<HHLL", tag, 4, 1, value) for tag, value in tags.items())
    header = b"II*\0" + struct.pack("<L", 8 + len(packed) + len(padding))
    file = b"".join((header, packed, padding, struct.pack("<H", len(tags)), directory, bytes(4)))
    with TiffImageFile(io.BytesIO(file)) as image:
        return image.tobytes()


def _undo_predictor(plain: bytes, image: _Image, shape: tuple[int, int, int]) -> Numbers:
    """Numbers from the differences of neighbours in a row (section 14; of floats, Technical Note 3: of their bytes)."""
    if image.predictor == 1:
        return np.frombuffer(plain, image.dtype).reshape(shape)
    size, native = image.dtype.itemsize, image.dtype.newbyteorder("=")
    if image.predictor == _HORIZONTAL:
        unsigned = np.dtype(f"u{size}")
        differences = np.frombuffer(plain, unsigned.newbyteorder(image.dtype.byteorder)).reshape(shape)
        return np.add.accumulate(differences.astype(unsigned), axis=1, dtype=unsigned).view(native)
    rows, columns, samples = shape
    differences = np.frombuffer(plain, np.uint8).reshape(rows, columns * size, samples)
    planes = np.add.accumulate(differences, axis=1, dtype=np.uint8).reshape(rows, size, columns * samples)
    return planes.transpose(0, 2, 1).copy().view(image.dtype.newbyteorder(">")).reshape(shape)
