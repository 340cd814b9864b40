"""The bits that an image's numbers have, by its header."""

import struct

from augsvc_client.decoding.containers.png import SIGNATURE, has_16_bits
from augsvc_client.decoding.errors import Undecodable
from augsvc_client.decoding.tiff import is_tiff, read_tiff_bits


def has_8_bits(head: bytes) -> bool:
    """Whether a file's numbers are 0 to 255: all JPEG and WebP, PNG of at most 8 bits, TIFF of 8.

    `head`: the first bytes of the file, 32 or more. A TIFF has its directory anywhere: False if that is not among them.
    """
    if is_tiff(head):
        try:
            return read_tiff_bits(head) <= 8
        except (Undecodable, struct.error):
            return False
    if head.startswith(SIGNATURE):
        return not has_16_bits(head)
    return head.startswith(b"\xff\xd8\xff") or (head.startswith(b"RIFF") and head[8:12] == b"WEBP")
