"""Memory for decoded images: reused once the last array in it is gone, bounded, and never shared by two images."""

import io
from threading import Thread

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from augsvc.arrays import Sample
from augsvc.data.cache import DecodedCache
from augsvc.data.formats.image_folder import ImageFolderSettings
from augsvc.data.pixel_buffers import MAX_BYTES, MIN_BYTES, PixelBuffers
from augsvc_client.decoding.errors import Undecodable
from augsvc_client.decoding.image import decode_image

MIB = 1 << 20


def address(array):
    return array.__array_interface__["data"][0]


def test_memory_is_reused_when_its_last_view_is_gone():
    buffers = PixelBuffers()
    first = buffers.take(MIB)
    view, at = first[:10].reshape(2, 5), address(first)
    del first
    other = buffers.take(MIB)
    assert address(other) != at and buffers.n_bytes == 0
    del view
    assert buffers.n_bytes == MIB
    again = buffers.take(MIB)
    assert address(again) == at and buffers.n_bytes == 0


@given(st.integers(1, 2 * MAX_BYTES))
def test_a_buffer_is_hardly_larger_than_what_it_is_taken_for(n_bytes):
    taken = PixelBuffers(0).take(n_bytes)
    if not MIN_BYTES <= n_bytes <= MAX_BYTES:
        assert taken is None
        return
    assert n_bytes <= taken.nbytes <= n_bytes * 17 // 16 + 1


def test_idle_buffers_are_bounded_and_the_oldest_are_dropped():
    buffers = PixelBuffers(4 * MIB)
    taken = [buffers.take(size * MIB) for size in (1, 2, 3)]
    addresses = list(map(address, taken))
    while taken:
        del taken[0]
        assert buffers.n_bytes <= 4 * MIB
    assert buffers.n_bytes == 3 * MIB and address(buffers.take(3 * MIB)) == addresses[2]


def test_a_buffer_that_returns_while_another_is_taken_waits_for_nothing():
    """As the garbage collector may run at any allocation."""
    buffers = PixelBuffers()
    taken = buffers.take(MIB)
    with buffers._lock:
        del taken
        assert buffers.n_bytes == 0
    taken = buffers.take(MIB)
    assert taken.nbytes == MIB and buffers.n_bytes == 0
    del taken
    assert buffers.n_bytes == MIB


def test_threads_never_share_a_buffer():
    buffers, mixed = PixelBuffers(2 * MIB), []

    def work(number):
        for _ in range(300):
            taken = buffers.take(MIN_BYTES)
            taken[:] = number
            mixed.append((taken != number).any())

    threads = [Thread(target=work, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(mixed) == 1200 and not any(mixed) and buffers.n_bytes <= 2 * MIB


def photo(seed, height=240, width=321, mode="RGB", **options):
    shape = (height, width, 3) if mode == "RGB" else (height, width)
    file = io.BytesIO()
    Image.fromarray(np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)).save(file, "JPEG", **options)
    return file.getvalue()


@pytest.mark.parametrize("options", [{}, {"progressive": True}, {"mode": "L", "height": 480}, {"subsampling": 0}])
def test_pixels_in_a_buffer_are_those_without(options):
    buffers = PixelBuffers()
    buffers.take(MIB)[:] = 77
    for channels in (1, 3):
        data = photo(1, **options)
        pixels = decode_image(data, channels, 1 << 20, allocate=buffers.take)
        np.testing.assert_array_equal(pixels, decode_image(data, channels, 1 << 20))
        assert not pixels.flags.writeable


def test_a_damaged_file_gives_its_buffer_back():
    buffers = PixelBuffers()
    with pytest.raises(Undecodable):
        decode_image(photo(1)[:-5000], 3, 1 << 20, allocate=buffers.take)
    assert buffers.n_bytes >= 240 * 321 * 3


def folder(root, n=3):
    (root / "cat").mkdir()
    for index in range(n):
        (root / "cat" / f"{index}.jpg").write_bytes(photo(index))
    return ImageFolderSettings(format="image_folder", path=root)


def test_samples_that_stay_have_memory_of_their_size(tmp_path):
    """So that the cache counts what it holds; their buffers go to the next files."""
    cache = DecodedCache(64 * MIB)
    (source,) = folder(tmp_path).open("pets", cache)
    first = source.read(0).image
    kept = source.read(0).image
    assert kept is not first and kept.base is None and not kept.flags.writeable and cache.hits == 1
    np.testing.assert_array_equal(kept, first)
    assert cache.n_bytes == kept.nbytes and cache.buffers.n_bytes == 0
    del first
    assert cache.buffers.n_bytes >= kept.nbytes


def test_samples_that_do_not_stay_share_buffers_one_after_the_other(tmp_path):
    cache = DecodedCache(0)
    (source,) = folder(tmp_path).open("pets", cache)
    addresses = {address(source.read(index).image) for index in (0, 1, 2, 0)}
    assert len(addresses) == 1
    held: list[Sample] = [source.read(index) for index in range(3)]
    assert len({address(sample.image) for sample in held}) == 3
