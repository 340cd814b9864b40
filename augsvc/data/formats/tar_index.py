"""The members of a tar file and where their contents are: what a reader of single samples needs of a shard.

`tarfile` parses a single header block here. The headers that state their own size (PAX records, GNU's long names) are parsed by
this module: `tarfile` takes time quadratic in their bytes, an hour for a MiB, and keeps records that overlap.
"""

import tarfile
from collections.abc import Iterator
from io import BufferedReader
from typing import NamedTuple

from augsvc.data.formats.dataset_root import require_below
from augsvc_client.text import printable

_BLOCK = 512
_MAX_HEADER_BYTES = 1 << 20  # of the headers of a member
_MAX_HEADERS = 16  # of a member; two are usual
_MAX_RECORDS = 64  # of a PAX header, which has at most about ten
_MAX_LENGTH_DIGITS = 7  # of a record in at most _MAX_HEADER_BYTES
_PAX_TYPES = (tarfile.XHDTYPE, tarfile.XGLTYPE, tarfile.SOLARIS_XHDTYPE)
_GNU_LONG_TYPES = (tarfile.GNUTYPE_LONGNAME, tarfile.GNUTYPE_LONGLINK)
_DAMAGED = "it is no uncompressed tar file, or is damaged or cut"
_SPARSE = "GNU.sparse."  # keywords of a file whose contents are stored without its zeros


class Entry(NamedTuple):
    """A regular file or a folder, under its name as the tar file has it."""

    name: str
    is_folder: bool
    offset: int  # of its contents in the tar file
    n_bytes: int


class Member(NamedTuple):
    """A regular file."""

    key: str  # the name up to the first dot of its last part
    extension: str  # what follows that dot, in lower case
    offset: int  # of its contents in the tar file
    n_bytes: int


def walk_entries(file: BufferedReader) -> Iterator[Entry]:
    """The files and folders of an uncompressed tar file, in their order; `file` then stands behind its end-of-archive block.

    Raises:
        ValueError: damaged or cut, also between two members; or a member has headers of over 1 MiB, is a link, or no regular
            file.
    """
    n_bytes, position = file.seek(0, 2), 0
    common: dict[str, str] = {}  # of global PAX headers: for all members that follow
    while True:
        file.seek(position)
        headers = _Headers(file, common)
        info = headers.read_member()
        if info is None:
            return
        entry = _entry(info, {**common, **headers.fields}, file.tell())
        if not entry.is_folder and entry.offset + entry.n_bytes > n_bytes:
            raise ValueError(_DAMAGED)
        yield entry
        position = entry.offset + (0 if entry.is_folder else _padded(entry.n_bytes))


class _Headers:
    """The headers of one member: any number that describe it, then its own."""

    def __init__(self, file: BufferedReader, common: dict[str, str]) -> None:
        """`common` gets the fields of global headers."""
        self.fields: dict[str, str] = {}
        self._file, self._common, self._left = file, common, _MAX_HEADER_BYTES

    def read_member(self) -> tarfile.TarInfo | None:
        """The member's own header, None at the end-of-archive block; raises ValueError."""
        for count in range(_MAX_HEADERS):
            block = self._read(_BLOCK)
            if block == bytes(_BLOCK) and not count:
                return None
            info = _parse_block(block)
            if info.type in _PAX_TYPES:
                fields = parse_pax(self._read_contents(info.size))
                if info.type == tarfile.XGLTYPE:
                    self._common |= fields
                else:
                    self.fields = fields | self.fields  # the first of several headers is valid
            elif info.type in _GNU_LONG_TYPES:
                name = self._read_contents(info.size).partition(b"\0")[0]
                if info.type == tarfile.GNUTYPE_LONGNAME:
                    self.fields.setdefault("path", _decode(name))
            else:
                return info
        raise ValueError(f"a member has more than {_MAX_HEADERS} headers")

    def _read_contents(self, n_bytes: int) -> bytes:
        return self._read(_padded(n_bytes))[:n_bytes]

    def _read(self, n_bytes: int) -> bytes:
        if not 0 <= n_bytes <= self._left:
            raise ValueError("a member has a header of over 1 MiB")
        self._left -= n_bytes
        data = self._file.read(n_bytes)
        if len(data) < n_bytes:
            raise ValueError(_DAMAGED)
        return data


def parse_pax(data: bytes) -> dict[str, str]:
    """The fields of a PAX header by keyword: records "length keyword=value\\n" that tile it (POSIX pax, "pax Header Block").

    Only those that say which bytes a member has, and under which name, are kept. A step and a copy for each record, so the time
    is linear in the bytes.

    Raises:
        ValueError: the records do not tile it, or are more than 64.
    """
    fields: dict[str, str] = {}
    data = data.rstrip(b"\0")  # some archivers count the padding
    position = 0
    for _ in range(_MAX_RECORDS):
        if position == len(data):
            return fields
        digits, space, _rest = data[position : position + _MAX_LENGTH_DIGITS + 1].partition(b" ")
        end = position + int(digits) if space and digits.isdigit() else 0
        if not position < end <= len(data):
            raise ValueError("a PAX header is damaged")
        keyword, equals, value = data[position + len(digits) + 1 : end].partition(b"=")
        if not (keyword and equals and value.endswith(b"\n")):
            raise ValueError("a PAX header is damaged")
        if keyword in (b"path", b"size") or keyword.startswith(_SPARSE.encode()):
            fields[_decode(keyword)] = _decode(value[:-1])
        position = end
    if position < len(data):
        raise ValueError(f"a PAX header has more than {_MAX_RECORDS} records")
    return fields


def _entry(info: tarfile.TarInfo, fields: dict[str, str], offset: int) -> Entry:
    name, size = fields.get("path", info.name), fields.get("size", str(info.size))
    is_plain = info.isdir() or (info.isreg() and info.type != tarfile.GNUTYPE_SPARSE)
    if not is_plain or any(keyword.startswith(_SPARSE) for keyword in fields):
        raise ValueError(f"its member {printable(name)!r} is a link, or no regular file")
    if not (size.isascii() and size.isdigit() and len(size) < 20):
        raise ValueError(f"its member {printable(name)!r} has no valid size")
    return Entry(name.rstrip("/") if info.isdir() else name, info.isdir(), offset, int(size))


def _parse_block(block: bytes) -> tarfile.TarInfo:
    try:
        return tarfile.TarInfo.frombuf(block, "utf-8", "surrogateescape")
    except tarfile.TarError as err:
        raise ValueError(_DAMAGED) from err


def _decode(text: bytes) -> str:
    return text.decode("utf-8", "surrogateescape")


def _padded(n_bytes: int) -> int:
    return -(-n_bytes // _BLOCK) * _BLOCK


def walk_tar(file: BufferedReader) -> Iterator[Member]:
    """The files of an uncompressed tar file, in their order; folders are passed over.

    Raises:
        ValueError: as `walk_entries`, or a file is named so that it would leave the folder that it is unpacked to.
    """
    for entry in walk_entries(file):
        if not entry.is_folder:
            yield _member(entry)


def _member(entry: Entry) -> Member:
    name = require_below(entry.name, "a member")
    folder, _, last = name.rpartition("/")
    stem, _, extension = last.partition(".")
    return Member(f"{folder}/{stem}" if folder else stem, extension.lower(), entry.offset, entry.n_bytes)
