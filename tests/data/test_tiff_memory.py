"""The memory of a TIFF: what its directory makes the decoder allocate is bounded by the image, and counted."""

import struct
import tracemalloc
import zlib
from functools import cache

import numpy as np
import pytest

from augsvc.errors import Undecodable
from augsvc_client.decoding.image import decode_window
from augsvc_client.decoding.memory import image_decoding_bytes
from tests.data.test_window import tiff

MAX_PIXELS = 1 << 24
CONSTANT = 10 << 20  # of any decode: chunks of float64, see `apply_window`


def tile_of_doubles(side, tile, predictor):
    """An RGBA image of side² zeros, float64, in one Deflate tile of `tile`² pixels."""
    packed = zlib.compress(bytes(tile * tile * 32), 9)
    bits = 8 + 2 + 12 * 12 + 4
    entries = [
        *((256, 4, 1, side), (257, 4, 1, side), (258, 3, 4, bits), (259, 4, 1, 8), (262, 4, 1, 2), (277, 4, 1, 4)),
        *((317, 4, 1, predictor), (322, 4, 1, tile), (323, 4, 1, tile), (324, 4, 1, bits + 16)),
        *((325, 4, 1, len(packed)), (339, 3, 4, bits + 8)),
    ]
    directory = b"".join(struct.pack("<HHLL", *entry) for entry in entries)
    return b"".join(
        (struct.pack("<4sLH", b"II*\0", 8, 12), directory, bytes(4), struct.pack("<8H", *[64] * 4, *[3] * 4), packed)
    )


def peak(data, channels):
    tracemalloc.start()
    try:
        decode_window(data, channels, MAX_PIXELS, (0, 1))
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def grid(channels, dtype, side=700):
    return np.random.default_rng(0).integers(0, 100, (side, side, channels)).astype(dtype)


FILES = {  # made by the worker that runs the tests
    "a tile of four times the image": lambda: tile_of_doubles(512, 1024, 3),
    "a tile of the image": lambda: tile_of_doubles(1024, 1024, 3),
    "differences": lambda: tile_of_doubles(1024, 1024, 2),
    "no predictor": lambda: tile_of_doubles(1024, 1024, 1),
    "colour of 16 bits": lambda: tiff(grid(3, np.uint16), photometric="rgb"),
    "colour of 16 bits, one strip": lambda: tiff(
        grid(3, np.uint16), photometric="rgb", compression="zlib", rowsperstrip=700
    ),
    "colour of 8 bits": lambda: tiff(grid(3, np.uint8), photometric="rgb", rowsperstrip=7),
    "grey doubles": lambda: tiff(grid(1, np.float64)[..., 0], rowsperstrip=7),
    "turned": lambda: tiff(grid(3, np.float32), photometric="rgb", extratags=[(274, 3, 1, 6, True)]),
    "planes": lambda: tiff(grid(3, np.float32).transpose(2, 0, 1), photometric="rgb", planarconfig="separate"),
    "small": lambda: tiff(grid(3, np.float64, 64), photometric="rgb"),
}


@cache
def file(name):
    return FILES[name]()


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("name", FILES)
def test_no_tiff_takes_more_than_its_estimate(name, channels):
    data = file(name)
    estimate = image_decoding_bytes(data, MAX_PIXELS, windowed=True)
    assert peak(data, channels) <= estimate + CONSTANT


@pytest.mark.parametrize("side", [1, 100, 500, 1000])
def test_tiles_far_larger_than_the_image_are_refused_before_they_are_decompressed(side):
    data = tile_of_doubles(side, max(513, 2 * side + 1), 3)
    tracemalloc.start()
    with pytest.raises(Undecodable, match="far larger"):
        decode_window(data, 3, MAX_PIXELS, (0, 1))
    taken = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert taken < 1 << 20 and image_decoding_bytes(data, MAX_PIXELS, windowed=True) == 3 * len(data)


@pytest.mark.parametrize("tile", [16, 256, 512])
def test_a_small_image_in_a_usual_tile_is_read(tile):
    assert decode_window(tile_of_doubles(1, tile, 3), 3, 16, (0, 1)).shape == (1, 1, 3)
