"""The folder of a dataset whose annotations name its files: lists, reads and indexes what is below it.

Every name is relative to the folder. Links may lead below it or into the folders that the settings name; a link that leads
elsewhere is refused, and so is a name that would leave the folder. All errors are ValueErrors, for the operator.
"""

import os
import re
import stat
import time
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from io import BufferedReader
from pathlib import Path
from typing import Never

import numpy as np

from augsvc.arrays import ranges
from augsvc.data.formats.files import (
    IDENTITY,
    Identity,
    NotIndexed,
    explain_unreadable,
    is_folder,
    list_entries,
    open_below,
    real_path,
    retry_faults,
)
from augsvc.data.formats.index import LINK_CURE, MAX_DEPTH, Index, find_links, list_names
from augsvc.data.formats.object_store import ObjectStore
from augsvc.data.formats.temporary import copy_file, copy_to_temporary, temporary_folder
from augsvc_client.decoding.limits import is_leftover
from augsvc_client.text import printable

MAX_LABEL_BYTES = 64 << 20  # of a file of labels that is read whole
_CHUNK = 1 << 14  # files
_MAX_FAULTS = 100  # of files that are missing, each of which takes 44 µs
_SPACE = re.compile(r"\s+", re.ASCII)
_SHARD_NUMBER = re.compile(r"-\d+-of-\d+$")


@contextmanager
def name_faults(dataset: str) -> Iterator[None]:
    """Makes errors of files ValueErrors, and begins each line with the name of the dataset."""
    try:
        yield
    except OSError as err:
        raise ValueError(f"dataset {dataset!r}: {explain_unreadable(err)}") from err
    except MemoryError as err:
        raise ValueError(f"dataset {dataset!r}: it does not fit in memory") from err
    except ValueError as err:
        raise ValueError("\n".join(f"dataset {dataset!r}: {line}" for line in str(err).split("\n"))) from err


class DatasetRoot:
    """The folder of one dataset."""

    def __init__(
        self, path: Path, follow_links: Sequence[Path] = (), pause: Callable[[float], None] = time.sleep
    ) -> None:
        """`pause` waits between the attempts of an access, for seconds.

        Raises:
            ValueError: it is no folder, or one of `follow_links` is none.
        """
        self.store: ObjectStore | None = None
        self.path = Path(os.path.realpath(path))
        self._folders: dict[str, str] = {}  # name → the path without links
        self.links = find_links(self.path, follow_links, pause)
        self.pause = pause
        if not retry_faults(str(self.path), self.path.is_dir, pause):
            raise ValueError(f"{printable(str(path))} is not a directory (`path`)")

    def locate(self, name: str) -> str:
        """The printable path of a name, for messages."""
        return printable(str(self.path / name))

    def folders(self, name: str = "") -> list[str]:
        """The names of the visible sub-folders of a folder, sorted; none if there is no such folder."""
        return [entry for entry, is_directory in self._entries(name) if is_directory]

    def files(self, name: str, extensions: Collection[str]) -> list[str]:
        """The names inside a folder of its files with these extensions (lower case, with the dot), sorted."""
        return [entry for entry, is_directory in self._entries(name) if not is_directory and _has(entry, extensions)]

    def walk(self, name: str, extensions: Collection[str], depth: int = 0) -> Iterator[str]:
        """The files below a folder, at any depth, by their names relative to the dataset's folder."""
        if depth > MAX_DEPTH:
            raise ValueError(f"{self.locate(name)} is more than {MAX_DEPTH} folders deep: move its files up")
        for entry, is_directory in self._entries(name):
            below = join(name, entry)
            if is_directory:
                yield from self.walk(below, extensions, depth + 1)
            elif _has(entry, extensions):
                yield below

    def is_folder(self, name: str) -> bool:
        """Whether there is a folder of that name."""
        path = str(self.path / name)
        return retry_faults(path, partial(is_folder, path), self.pause)

    def is_file(self, name: str) -> bool:
        """Whether there is a regular file of that name, or a link to one."""
        path = self.path / name
        return retry_faults(str(path), path.is_file, self.pause)

    def open(self, name: str) -> BufferedReader:
        """A regular file.

        Raises:
            ValueError: there is none, it may not be read, or a link leads out.
        """
        try:
            target = self._target(name)
            root = self.links.root_of(target) or self.path
            opened = retry_faults(target, partial(open_below, root, os.path.relpath(target, root)), self.pause)
        except NotIndexed:
            raise ValueError(f"{self.locate(name)} is no regular file") from None
        except OSError as err:
            raise ValueError(f"{self.locate(name)} cannot be read ({err.strerror})") from err
        return os.fdopen(opened, "rb")

    def open_local(self, name: str, folder: Path | None) -> BufferedReader:
        """As `open`, for many accesses: an object of a store is copied first, to a temporary file in `folder`."""
        opened = self.open(name)
        if self.store is None:
            return opened
        with opened:
            return copy_to_temporary(opened, folder)

    @contextmanager
    def local_folder(self, name: str, files: Sequence[str], folder: Path | None) -> Iterator[Path]:
        """A folder with `files` below it, for libraries that open it themselves; of a store, a copy in a temporary one.

        `folder` is where that is made.

        Raises:
            ValueError: as `open`, or the disk is full.
        """
        if self.store is None:
            yield Path(self._resolve(self.path / name))
            return
        with temporary_folder(folder) as copy:
            for file in files:
                path = copy / require_below(file, "the store")
                path.parent.mkdir(parents=True, exist_ok=True)
                with self.open(file) as opened:
                    copy_file(opened, path)
            yield copy / name

    def read(self, name: str, max_bytes: int = MAX_LABEL_BYTES) -> bytes:
        """The contents of a file; raises as `open`, and for one of more than `max_bytes`."""
        with self.open(name) as file:
            n_bytes = file.seek(0, os.SEEK_END)
            if n_bytes > max_bytes:
                raise ValueError(f"{self.locate(name)} has more than {max_bytes:,} bytes")

            def read_whole() -> bytes:
                file.seek(0)  # also of another attempt
                return file.read(n_bytes)

            data = retry_faults(self.locate(name), read_whole, self.pause)
        if len(data) != n_bytes:
            raise ValueError(f"{self.locate(name)} changed while it was read")
        return data

    def read_text(self, name: str) -> str:
        """As `read`, as text in UTF-8, with or without a byte order mark."""
        try:
            return self.read(name).decode("utf-8-sig")
        except UnicodeDecodeError as err:
            raise ValueError(f"{self.locate(name)} is not text in UTF-8") from err

    def read_lines(self, name: str) -> list[str]:
        """The lines of `read_text`, which end in LF or CR LF alone: str.splitlines also ends them at U+2028 and the like."""
        return [line.removesuffix("\r") for line in self.read_text(name).split("\n")]

    def index(self, names: Sequence[str]) -> Index:
        """The files of these names, as they are on disk now.

        Raises:
            ValueError: some are missing, may not be read, are no regular files, or are links that lead out.
        """
        all_identities = np.empty(len(names), IDENTITY)
        index = Index(names=tuple(names), identities=all_identities)
        faults: list[str] = []
        for rows in ranges(len(names), _CHUNK):  # a list of all identities would take 300 bytes a file
            identities = []
            for name in names[rows]:
                try:
                    target = self._target(name)
                    identity = self._identify(target)
                except OSError as err:
                    faults.append(f"{name} ({err.strerror})" if err.strerror else name)
                    if len(faults) == _MAX_FAULTS:
                        self._refuse(faults, len(names), "at least ")
                    continue
                if target != f"{self.path}/{name}":
                    index.targets[name] = target
                identities.append(identity)
            if not faults:
                all_identities[rows] = identities
        if faults:
            self._refuse(faults, len(names))
        return index

    def _refuse(self, faults: Sequence[str], n_files: int, bound: str = "") -> Never:
        """Raises ValueError with the first of the files that have faults."""
        raise ValueError(
            f"{bound}{len(faults):,} of {n_files:,} files are missing below {printable(str(self.path))} or cannot be read: "
            f"{list_names(faults)}"
        )

    def _target(self, name: str) -> str:
        """The path of a file without links; its folder is resolved once for all files in it."""
        folder, _, last = name.rpartition("/")
        if folder not in self._folders:
            self._folders[folder] = self._resolve(self.path / folder)
        path = f"{self._folders[folder]}/{last}"
        status = retry_faults(path, partial(os.lstat, path), self.pause)
        return self._resolve(Path(path)) if stat.S_ISLNK(status.st_mode) else path

    def _identify(self, path: str) -> tuple[int, ...]:
        """The identity of a regular file."""
        status = retry_faults(path, partial(os.lstat, path), self.pause)
        if not stat.S_ISREG(status.st_mode):
            raise OSError(0, "no regular file")
        return Identity.of(status)

    def _resolve(self, path: Path) -> str:
        """The path without links; refuses one that leads out."""
        target = retry_faults(str(path), partial(real_path, str(path)), self.pause)
        if self.links.root_of(target) is None:
            raise ValueError(f"{printable(str(path))} is or goes through a link out of {self.path}: {LINK_CURE}")
        return target

    def _entries(self, name: str) -> Iterator[tuple[str, bool]]:
        """The names of the visible entries of a folder, and whether each is a folder, over links too."""
        if not self.is_folder(name):
            return
        path = self._resolve(self.path / name)
        try:
            entries = retry_faults(path, partial(list_entries, path), self.pause)
        except OSError as err:
            raise ValueError(f"{self.locate(name)} cannot be listed ({err.strerror})") from err
        for entry in entries:
            if is_leftover(entry.name):
                continue
            if entry.name.encode(errors="replace").decode() != entry.name:
                raise ValueError(f"{printable(entry.path)} is not named in UTF-8: rename it")
            is_directory = retry_faults(entry.path, partial(is_folder, entry.path), self.pause)
            if is_directory and entry.is_symlink():
                self._resolve(Path(entry.path))
                if not self.links.follow:
                    raise ValueError(f"{printable(entry.path)} is a link to a folder: {LINK_CURE}")
            yield entry.name, is_directory


def join(folder: str, name: str) -> str:
    """A name below a folder, which may be the dataset's own ("")."""
    return f"{folder}/{name}" if folder else name


def require_folder(name: str, where: str) -> str:
    """As `require_below`; "" for the dataset's own folder, as "."."""
    return "" if name in ("", ".", "./") else require_below(name, where)


def require_below(name: str, where: str) -> str:
    """A name from a file of labels, in the form of this module: below the dataset's folder, with single slashes.

    Raises:
        ValueError: it is empty, absolute or leaves the folder; `where` names what it stands in.
    """
    steps = [step for step in name.replace("\\", "/").split("/") if step not in ("", ".")]
    is_absolute = name.startswith(("/", "\\")) or name[1:2] == ":"
    if not steps or is_absolute or ".." in steps or "\0" in name or not is_text(name):
        raise ValueError(f"{where} names the file {printable(name)!r}: give a path below the dataset's folder")
    return "/".join(steps)


def split_field(line: str) -> tuple[str, str]:
    """The first field of a line, and the rest of the line; "" where there is none.

    Spaces and tabs of ASCII end a field, as for the C programs that define these files; a no-break space does not.
    """
    first, *rest = _SPACE.split(line.strip(), maxsplit=1)
    return first, "".join(rest).strip()


def is_text(value: str) -> bool:
    """Whether it is text: JSON may hold halves of characters, which are none in UTF-8."""
    return not any("\ud800" <= character <= "\udfff" for character in value)


def _has(name: str, extensions: Collection[str]) -> bool:
    name = _SHARD_NUMBER.sub("", name)  # train.tfrecord-00000-of-00010
    return f".{name.rpartition('.')[2].lower()}" in extensions
