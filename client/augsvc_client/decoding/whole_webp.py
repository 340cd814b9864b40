"""Lossy WebP has no checksum, but its arithmetic code ends with its data: damage makes the decoder end elsewhere.

Beyond the end the library notices it by itself, in a quarter of the cases at most. Before the end it says nothing: then the
file can be decoded without its last bytes too, which a whole one cannot. That takes three quarters of the time of a decode
(2.3 ms at 600 × 400).
"""

import io

from PIL.WebPImagePlugin import WebPImageFile

from augsvc_client.decoding.containers.stripped_image import DAMAGED
from augsvc_client.decoding.errors import Undecodable

_NAME = b"VP8 "
_FIRST = 12  # the byte at which the first chunk begins
_SPARE = 16  # bytes that an encoder may leave unread: libwebp leaves 3, libvpx adds 4


def require_read_to_end(data: bytes) -> None:
    """Refuses a stripped WebP file whose lossy data are damaged.

    Of 16 random bytes 94 % are detected at 96 × 96, 99 % at 384 × 384.

    Raises:
        Undecodable: the data hold more than its pixels take.
    """
    shortened = _shorten(data)
    if shortened is None:
        return
    try:
        with WebPImageFile(io.BytesIO(shortened)) as image:
            image.load()
    except (EOFError, OSError, SyntaxError, ValueError):
        return
    raise Undecodable(DAMAGED)


def _shorten(data: bytes) -> bytes | None:
    """The file without the last bytes of its lossy data; None without such data, of animations too."""
    at = _FIRST
    while at + 8 <= len(data):
        n_bytes = int.from_bytes(data[at + 4 : at + 8], "little")
        stop = at + 8 + n_bytes + n_bytes % 2
        if data[at : at + 4] == _NAME:
            n_kept = max(0, n_bytes - _SPARE)
            chunk = _NAME + n_kept.to_bytes(4, "little") + data[at + 8 : at + 8 + n_kept] + bytes(n_kept % 2)
            body = data[_FIRST - 4 : at] + chunk + data[stop:]
            return b"RIFF" + len(body).to_bytes(4, "little") + body
        at = stop
    return None
