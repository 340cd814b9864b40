"""Names what a file is that is none of the served formats, for those who look for the reason."""

import re

_HEAD = 512  # bytes that are looked at

# By the first bytes, as in the formats' specifications; the first that matches
_SIGNATURES = (
    (rb"version https://git-lfs", "a pointer of Git LFS, whose file was not fetched"),
    (rb"\xef?\xbb?\xbf?\s*<(!doctype|html|head|script)", "a web page"),
    (rb"\xef?\xbb?\xbf?\s*<(\?xml|svg|error)", "XML or SVG"),
    (rb"\xef?\xbb?\xbf?\s*[{\[]\s*[\"{\[\]}]", "JSON"),
    (rb"GIF8[79]a", "GIF"),
    (rb"BM.{4}\0{4}", "BMP"),
    (rb"(II\*\0|MM\0\*|II\+\0|MM\0\+)", "TIFF"),
    (rb".{4}ftyp(avif|avis)", "AVIF"),
    (rb".{4}ftyp(hei|hev|mif1|msf1)", "HEIC"),
    (rb".{4}ftyp", "MPEG-4"),
    (rb"(\0\0\0\x0cJXL |\xff\x0a)", "JPEG XL"),
    (rb"(\0\0\0\x0cjP  |\xff\x4f\xff\x51)", "JPEG 2000"),
    (rb"8BPS", "a Photoshop document"),
    (rb"%PDF", "PDF"),
    (rb"\x93NUMPY", "an array of NumPy"),
    (rb"(ID3|\xff[\xe2\xe3\xf2\xf3\xfa\xfb])", "MP3"),
    (rb"\xff[\xf0\xf1\xf8\xf9]", "AAC"),
    (rb"caff", "CAF"),
    (rb"\.snd", "AU"),
    (rb"\x1aE\xdf\xa3", "Matroska or WebM"),
    (rb"NIST_1A", "NIST SPHERE"),
    (rb"\x89PNG\r\n\x1a\n", "PNG"),
    (rb"\xff\xd8\xff", "JPEG"),
    (rb"RIFF.{4}WEBP", "WebP"),
    (rb"RIFF.{4}WAVE", "WAV"),
    (rb"RIFF.{4}AVI ", "AVI"),
    (rb"fLaC", "FLAC"),
    (rb"OggS", "Ogg"),
    (rb"(PK\x03\x04|\x1f\x8b|7z\xbc\xaf|Rar!|BZh|\xfd7zXZ|\x28\xb5\x2f\xfd)", "an archive"),
    (rb"\0+$", "zeros, as an interrupted copy leaves"),
)
_PATTERNS = tuple((re.compile(pattern, re.DOTALL | re.IGNORECASE), name) for pattern, name in _SIGNATURES)


def name_foreign(data: bytes) -> str:
    """ ": it is GIF", or nothing where the first bytes say nothing."""
    head = data[:_HEAD]
    return next((f": it is {name}" for pattern, name in _PATTERNS if pattern.match(head)), "")
