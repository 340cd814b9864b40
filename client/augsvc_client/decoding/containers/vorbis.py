"""Vorbis (Vorbis I specification, 3.2.1 and 4.2.4): the bounds of the codebooks in its setup header."""

from collections.abc import Iterator

from augsvc_client.decoding.errors import Undecodable

# In all codebooks: libvorbis writes up to 19,413 entries (six channels). It sorts those of a book in 12 bytes of stack each, so
# that a book of a million, which takes 12 bytes of the file, ended the process. A value is a float of the tables.
MAX_ENTRIES, MAX_VALUES = 1 << 18, 1 << 22
MAX_SETUP_BYTES = 1 << 20  # 11 KB as libvorbis writes it

_NAME = b"\x05vorbis"
_SYNC = b"BCV"  # before every codebook, at any bit
_MAX_LENGTH = 32  # bits of a codeword


def check_codebooks(packet: bytes) -> None:
    """Refuses a setup header with more than MAX_ENTRIES entries or MAX_VALUES values in its codebooks, before the library reads
    it. This takes 0.1 ms.

    Raises:
        Undecodable: or it has more than MAX_SETUP_BYTES bytes.
    """
    if not packet.startswith(_NAME):  # the library refuses it
        return
    if len(packet) > MAX_SETUP_BYTES or (_is_beyond(_possible_books(packet)) and _is_beyond(_books(packet))):
        raise Undecodable(f"the sound has too large codebooks: at most {MAX_ENTRIES} entries")


def _is_beyond(books: Iterator[tuple[int, int]]) -> bool:
    entries = values = 0
    for dimensions, n in books:
        entries += n
        values += n * dimensions
        if entries > MAX_ENTRIES or values > MAX_VALUES:
            return True
    return False


def _possible_books(packet: bytes) -> Iterator[tuple[int, int]]:
    """The dimensions and entries behind everything that looks like the beginning of a codebook."""
    bits = int.from_bytes(packet, "little")
    for shift in range(8):
        shifted = (bits >> shift).to_bytes(len(packet), "little")
        at = shifted.find(_SYNC)
        while at >= 0:
            yield int.from_bytes(shifted[at + 3 : at + 5], "little"), int.from_bytes(shifted[at + 5 : at + 8], "little")
            at = shifted.find(_SYNC, at + 1)


def _books(packet: bytes) -> Iterator[tuple[int, int]]:
    """The dimensions and entries of the codebooks, up to a damaged one, which the library refuses."""
    bits = _Bits(packet[len(_NAME) :])
    for _ in range(bits.read(8) + 1):
        if bits.read(24) != int.from_bytes(_SYNC, "little"):
            return
        dimensions, entries = bits.read(16), bits.read(24)
        yield dimensions, entries
        _skip_lengths(bits, entries)
        kind = bits.read(4)
        if kind:
            bits.read(64)
            width, _ = bits.read(4) + 1, bits.read(1)
            bits.skip(width * (_table_side(entries, dimensions) if kind == 1 else entries * dimensions))


class _Bits:
    """Numbers of any number of bits, the lowest bit first; zeros behind the end."""

    def __init__(self, data: bytes) -> None:
        self._data, self._at = data, 0

    def read(self, n_bits: int) -> int:
        start, shift = divmod(self._at, 8)
        self._at += n_bits
        return int.from_bytes(self._data[start : start + 9], "little") >> shift & (1 << n_bits) - 1

    def skip(self, n_bits: int) -> None:
        self._at += n_bits


def _skip_lengths(bits: _Bits, entries: int) -> None:
    """The lengths of codewords: of runs of entries, of those that are used, or of all."""
    if bits.read(1):
        length, done = bits.read(5) + 1, 0
        while done < entries and length <= _MAX_LENGTH:
            done += bits.read((entries - done).bit_length())
            length += 1
    elif bits.read(1):
        for _ in range(entries):
            if bits.read(1):
                bits.skip(5)
    else:
        bits.skip(5 * entries)


def _table_side(entries: int, dimensions: int) -> int:
    """The greatest number whose power by `dimensions` is at most `entries`."""
    if not dimensions:
        return 0
    side: int = round(entries ** (1 / dimensions)) + 1
    while pow(side, dimensions) > entries:
        side -= 1
    return side
