"""The members of a tar file and where their contents are: what a reader of single samples needs of a shard."""

import tarfile
from collections.abc import Iterator
from io import BufferedReader
from typing import BinaryIO, NamedTuple, cast

from augsvc.data.formats.dataset_root import require_below
from augsvc_client.text import printable

_BLOCK = 512
_MAX_HEADER_BYTES = 1 << 20
_MAX_GLOBAL_HEADERS = 64  # PAX keywords for all members that follow, which `tarfile` keeps; archives have one or two


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


class _Headers:
    """What `tarfile` reads of a file, at most 1 MiB a member: names, PAX headers and sparse maps state their sizes themselves."""

    def __init__(self, file: BufferedReader) -> None:
        self.seek, self.tell = file.seek, file.tell
        self._file, self._left = file, _MAX_HEADER_BYTES

    def begin_member(self) -> None:
        """The next one may read as much again."""
        self._left = _MAX_HEADER_BYTES

    def read(self, n_bytes: int) -> bytes:
        """As of the file; raises ValueError."""
        self._left -= n_bytes
        if self._left < 0:
            raise ValueError("a member has a header of over 1 MiB")
        return self._file.read(n_bytes)


def walk_entries(file: BufferedReader) -> Iterator[Entry]:
    """The files and folders of an uncompressed tar file, in their order; `file` then stands behind its end-of-archive block.

    Raises:
        ValueError: damaged or cut, also between two members; or a member has a header of over 1 MiB, is a link, or no regular
            file.
    """
    n_bytes = file.seek(0, 2)
    file.seek(0)
    headers = _Headers(file)
    try:
        with tarfile.open(fileobj=cast(BinaryIO, headers), mode="r:") as archive:
            for info in archive:
                headers.begin_member()
                if not (info.isreg() or info.isdir()) or info.issparse() or info.size < 0:
                    raise ValueError(f"its member {printable(info.name)!r} is a link, or no regular file")
                if info.isreg() and info.offset_data + info.size > n_bytes:
                    raise ValueError("it is cut")
                if len(archive.pax_headers) > _MAX_GLOBAL_HEADERS:
                    raise ValueError(f"it has more than {_MAX_GLOBAL_HEADERS} global headers")
                yield Entry(info.name, info.isdir(), info.offset_data, info.size)
                archive.members.clear()  # type: ignore[attr-defined]  # else it keeps an object for each
            end = archive.offset
    except RecursionError as err:  # `tarfile` reads a chain of headers by recursion: 1 MiB has a thousand
        raise ValueError("a member has too many headers") from err
    except (tarfile.TarError, UnicodeDecodeError, EOFError, OSError) as err:
        raise ValueError("it is no uncompressed tar file, or is damaged or cut") from err
    file.seek(end)
    if file.read(_BLOCK) != bytes(_BLOCK):  # a tar file that is cut between members has no block of zeros
        raise ValueError("it is cut: there is no end-of-archive block")


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
