"""JPEG, decoded by simplejpeg: it passes on the warnings of libjpeg, and where there are none has the pixels that Pillow has.

One decode gives the pixels and the verdict on damage: 0.73 ms of CPU at 500 × 375, 2.4 ms at 1024 × 768 and 28 ms at 12
megapixels, where Pillow's pixels and a separate check took 1.68, 5.2 and 121 ms.
"""

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt
import simplejpeg

from augsvc_client.decoding.containers.jpeg import strip_color_space
from augsvc_client.decoding.containers.stripped_image import DAMAGED, StrippedImage
from augsvc_client.decoding.errors import Undecodable

U8 = npt.NDArray[np.uint8]

_EOI = b"\xff\xd9"


def read_whole_jpeg(file: StrippedImage) -> U8 | None:
    """The pixels (H, W, 1 or 3) of a grey or colour JPEG that decodes without a warning, as Pillow has them; None for others."""
    if file.color_space not in ("GRAY", "RGB"):
        return None
    for data in _without_padding(file.data):
        try:
            pixels: U8 = simplejpeg.decode_jpeg(data, file.color_space, strict=True)
        except ValueError:
            continue
        return pixels
    return None


def require_undamaged(file: StrippedImage) -> None:
    """Decodes a JPEG that `read_whole_jpeg` does not read at an eighth of its size, to get the warnings of libjpeg.

    Those of the segments that set the colours, as an unknown version of JFIF, are no damage. JPEG has no checksum: damage
    leaves a trace if bytes are missing, left over, or no code. Of 16 random bytes in the data of two photographs in five
    encodings 42 to 92 % are detected, of a half overwritten with zeros all.

    Raises:
        Undecodable: the library warns.
    """
    if not file.color_space:  # arithmetic codes, or another number of channels
        return
    for data in _without_padding(strip_color_space(file.data)):
        try:
            simplejpeg.decode_jpeg(data, file.color_space, min_height=1, min_width=1, strict=True)
        except ValueError:
            continue
        return
    raise Undecodable(DAMAGED)


def _without_padding(data: bytes) -> Iterator[bytes]:
    """The data, and if zeros precede the end marker, as cameras write them, without those: then nothing may be missing."""
    yield data
    if data.endswith(b"\0" + _EOI):
        yield data.removesuffix(_EOI).rstrip(b"\0") + _EOI
