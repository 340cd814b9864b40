"""The codebooks of Vorbis: libvorbis sorts the entries of each on the stack, so that a large one ended the process."""

import io

import numpy as np
import pytest
import soundfile

from augsvc.errors import Undecodable
from augsvc_client.decoding.audio import decode_sound
from augsvc_client.decoding.containers.vorbis import MAX_ENTRIES, MAX_SETUP_BYTES, MAX_VALUES, check_codebooks
from tests.data.sounds import VALID, waves
from tests.data.test_sound_comments import HEADER, PREFIX, comments, numbered, page_of, pages_of, payload, segments_of

ORDERED, SPARSE, DENSE = 1, 0b10, 0b00


def setup_of(*books):
    """A setup header of codebooks: dimensions, entries, and how the lengths of the codewords are written."""
    value = n_bits = 0

    def write(number, bits):
        nonlocal value, n_bits
        value, n_bits = value | number << n_bits, n_bits + bits

    write(len(books) - 1, 8)
    for dimensions, entries, form in books:
        write(int.from_bytes(b"BCV", "little"), 24)
        write(dimensions, 16)
        write(entries, 24)
        write(form, 1 if form == ORDERED else 2)
        if form == ORDERED:  # one run of all entries
            write(entries.bit_length() - 2, 5)
            write(entries, entries.bit_length())
        elif form == SPARSE:
            write(0, entries)
        else:
            write(0, 5 * entries)
        write(0, 4)
    return b"\x05vorbis" + value.to_bytes(n_bits // 8 + 1, "little")


def with_setup(setup):
    """The valid sound with another setup header."""
    first, headers, *others = pages_of(VALID["vorbis"])
    packets = (PREFIX["vorbis"] + comments(0) + b"\x01", setup)
    headers = page_of(headers, 0, [piece for packet in packets for piece in segments_of(packet)])
    return b"".join(numbered(page, number) for number, page in enumerate([first, headers, *others]))


def own_setup():
    headers = list(pages_of(VALID["vorbis"]))[1]
    return payload(headers)[headers[HEADER] :]


@pytest.mark.parametrize(
    "books",
    [
        [(1, 1 << 20, ORDERED)],
        [(1, 1 << 22, ORDERED)] * 256,
        [(2, 256, DENSE), (1, 16, SPARSE), (3, 64, ORDERED), (1, MAX_ENTRIES, ORDERED)],
        [(1, 1 << 16, ORDERED)] * 5,
        [(1 << 15, 256, ORDERED)],
    ],
    ids=["a large one", "256 large ones", "after others", "many", "many dimensions"],
)
def test_large_codebooks_are_refused_before_the_library_reads_them(books):
    with pytest.raises(Undecodable, match="too large codebooks"):
        decode_sound(with_setup(setup_of(*books)), 10_000)


def test_codebooks_up_to_the_bounds_are_left_to_the_library():
    check_codebooks(setup_of((1, MAX_ENTRIES, ORDERED)))
    check_codebooks(setup_of((MAX_VALUES >> 10, 1 << 10, DENSE)))
    with pytest.raises(Undecodable):
        check_codebooks(own_setup() + bytes(MAX_SETUP_BYTES))
    check_codebooks(b"")


def test_what_looks_like_a_codebook_is_none():
    """As by chance in one of 400 files."""
    setup = own_setup() + b"BCV\x01\0\xff\xff\xff" * 3
    assert np.array_equal(decode_sound(with_setup(setup), 10_000)[0], decode_sound(VALID["vorbis"], 10_000)[0])


def test_the_largest_codebooks_of_the_library_are_decoded():
    """The best quality of six channels."""
    out = io.BytesIO()
    soundfile.write(out, waves(2000, 6), 48_000, format="OGG", subtype="VORBIS", compression_level=0.0)
    assert len(decode_sound(out.getvalue(), 10_000)[0]) == 2000
