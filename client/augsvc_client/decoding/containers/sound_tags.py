"""Tags of other formats around a sound: ID3 (id3.org, 2.4.0) and APE (version 2)."""

from augsvc_client.decoding.containers.mp3 import is_mp3

_ID3_HEADER, _APE_HEADER, _ID3V1 = 10, 32, 128  # bytes
_MAX_TAGS = 100


def without_tags(data: bytes) -> bytes:
    """The file without the ID3v2 and APE tags before it, their padding, and the ID3v1 and APE tags behind it."""
    start = 0
    for _ in range(_MAX_TAGS):
        n_bytes = _tag_bytes(data, start)
        if not n_bytes:
            break
        start += n_bytes
        while data[start : start + 1] == b"\0":
            start += len(data[start : start + 4096]) - len(data[start : start + 4096].lstrip(b"\0"))
    end = len(data)
    if data.startswith((b"OggS", b"fLaC"), start) or is_mp3(data[start : start + 4]):
        if data[max(start, end - _ID3V1) : end].startswith(b"TAG"):
            end -= _ID3V1
        footer = data[max(start, end - _APE_HEADER) : end]
        if footer.startswith(b"APETAGEX"):
            has_header = bool(footer[23] & 0x80)
            end -= int.from_bytes(footer[12:16], "little") + _APE_HEADER * has_header
    return data if start == 0 and end == len(data) else data[start : max(start, end)]


def _tag_bytes(data: bytes, start: int) -> int:
    """The length of a tag that begins there; 0 if none does."""
    header = data[start : start + _APE_HEADER]
    if header.startswith(b"ID3") and len(header) >= _ID3_HEADER:
        n_bytes = 0
        for byte in header[6:10]:  # seven bits each
            n_bytes = n_bytes << 7 | byte & 0x7F
        has_footer = bool(header[5] & 0x10)
        return _ID3_HEADER * (1 + has_footer) + n_bytes
    if header.startswith(b"APETAGEX") and len(header) == _APE_HEADER:
        return _APE_HEADER + int.from_bytes(header[12:16], "little")
    return 0
