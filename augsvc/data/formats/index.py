"""The index of one folder of classes: which files are samples, what they are on disk, and what the operator should know."""

import os
import struct
import unicodedata
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TypeVar

import numpy as np
import numpy.typing as npt
from numpy.lib.recfunctions import repack_fields

from augsvc.data.formats.files import Identity, is_folder, leads_to_folder, list_entries, real_path, retry_faults
from augsvc.data.formats.layout import (
    doubtful_classes,
    leftover_group,
    refuse_mixtures_in_classes,
    refuse_unlikely_classes,
    refuse_wrapper,
)
from augsvc_client.decoding.limits import is_leftover
from augsvc_client.text import printable

IDENTITY = np.dtype([("n_bytes", "i8"), ("device", "u8"), ("inode", "u8"), ("modified_ns", "i8"), ("changed_ns", "i8")])
_PACK = struct.Struct("=qQQqq").pack  # a row of IDENTITY
_MOST_NAMED = 5  # faults of one kind in a message
LINK_CURE = "put the files themselves there, or name the folder that it leads into in `follow_links`"
MAX_DEPTH = 100  # folders below a class
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class FileType:
    """Which files are indexed."""

    extensions: frozenset[str]  # lower case, with the dot
    plural: str  # for messages


@dataclass(frozen=True, slots=True)
class Links:
    """Where symbolic links may lead."""

    root: Path  # of the dataset, without links: links to files may lead anywhere below it
    follow: tuple[Path, ...] = ()  # further folders; if there are any, links to folders are followed too

    def root_of(self, target: str) -> Path | None:
        """The allowed folder that holds a path without links."""
        return next((root for root in (self.root, *self.follow) if Path(target).is_relative_to(root)), None)


@dataclass(slots=True)
class Index:
    """The files below one folder of classes, sorted by their names relative to it."""

    classes: tuple[str, ...] = ()
    names: tuple[str, ...] = ()
    targets: dict[str, str] = field(default_factory=dict)  # name → absolute path, of files behind links
    left_out: Counter[str] = field(default_factory=Counter)  # files that are no samples, by extension
    leftovers: Counter[str] = field(default_factory=Counter)  # of operating systems and storage, by name
    unreadable: dict[str, tuple[str, str]] = field(default_factory=dict)  # folder → why, and what to do
    irregular: list[str] = field(default_factory=list)  # links that lead nowhere, pipes and sockets, named like samples
    doubtful: list[str] = field(default_factory=list)  # classes whose names may be those of something else
    loose: int = 0  # samples outside every class
    identities: npt.NDArray[np.void] = field(default_factory=lambda: np.empty(0, IDENTITY))
    digests: list[bytes] = field(default_factory=list)  # SHA-256 of the contents, if the version covers them

    @property
    def sizes(self) -> npt.NDArray[np.int64]:
        """Bytes of every file (len,)."""
        return self.identities["n_bytes"]

    @property
    def fingerprints(self) -> list[bytes]:
        """What a modified or replaced file differs in, of every file: without the status, which permissions change too."""
        fields = [name for name in IDENTITY.names or () if name != "changed_ns"]
        return [identity.tobytes() for identity in repack_fields(self.identities[fields])]

    def identity(self, index: int) -> Identity:
        """The file at the time of indexing."""
        return Identity(*self.identities[index].item())

    def faults(self, plural: str) -> Iterator[str]:
        """Why samples are missing or may be wrong, one sentence each; `plural` says what the files are."""
        for folder, (reason, cure) in sorted(self.unreadable.items()):
            yield f"{printable(folder)} {reason}, and its {plural} are missing: {cure}"
        if self.doubtful:
            yield f"served as classes: {list_names(self.doubtful)}; move what is no class elsewhere, or set `layout: classes`"
        if self.loose:
            yield f"{plural} beside the class folders ignored ({self.loose:,}): move each into the folder of its class"
        if self.irregular:
            yield f"links that lead nowhere, pipes or sockets ignored: {list_names(sorted(self.irregular))}"

    def notes(self, plural: str) -> Iterator[str]:
        """What the operator should know, one sentence each; `plural` says what the files are."""
        known = {name.partition("/")[0] for name in (*self.names, *self.unreadable)}
        if empty := [label for label in self.classes if label not in known]:
            yield f"no {plural} in {list_names(empty)}: remove an empty folder unless its class is to be kept"
        yield from note_twins(self.classes)
        if self.leftovers:
            counts = ", ".join(
                f"{printable(name)} ({count:,})" for name, count in self.leftovers.most_common(_MOST_NAMED)
            )
            more = len(self.leftovers) - _MOST_NAMED
            others = f" and {more} more" if more > 0 else ""
            yield f"{self.leftovers.total():,} hidden or system entries ignored: {counts}{others}"


def list_names(names: Sequence[str]) -> str:
    """The first names, printable, and how many more there are."""
    listed = ", ".join(printable(name) for name in names[:_MOST_NAMED])
    return f"{listed} and {len(names) - _MOST_NAMED} more" if len(names) > _MOST_NAMED else listed


def _unreadable(err: OSError) -> tuple[str, str]:
    """Why a folder is not indexed, and what to do."""
    if isinstance(err, PermissionError):
        return "may not be read by this user", "grant it read and search permission"
    return "was removed while it was indexed", "reload the datasets or restart the server"


def note_twins(classes: Sequence[str]) -> Iterator[str]:
    """A note on classes with nearly the same name, if there are some."""
    alike: dict[str, list[str]] = {}
    for label in classes:
        alike.setdefault(unicodedata.normalize("NFKC", label).casefold().strip(), []).append(label)
    if twins := [label for labels in alike.values() if len(labels) > 1 for label in labels]:
        yield f"classes whose names differ only in case, form or spaces: {list_names(twins)}"


class Indexer:
    """Walks through one folder of classes, over the real paths of folders: only entries may be links."""

    def __init__(self, folder: Path, links: Links, file_type: FileType, pause: Callable[[float], None]) -> None:
        """`pause` waits between the attempts of an access, for seconds."""
        self._folder, self._links, self._file_type, self._pause = folder, links, file_type, pause
        self._real = os.path.realpath(folder)
        self._index = Index()
        self._names: list[str] = []
        self._identities = bytearray()  # rows of IDENTITY: as tuples they would take 300 bytes a file
        self._bad_links: list[str] = []

    def index(self, any_class: bool) -> Index:
        """The whole index. `any_class`: folders are classes whatever they are named.

        Raises:
            ValueError: for the operator: no classes or no files, names that cannot be those of classes, bad links, or faults
                of the disk or the network.
        """
        where, file_type, index = printable(str(self._folder)), self._file_type, self._index
        if self._links.root_of(self._real) is None:
            raise ValueError(f"{where} is a link out of {self._links.root}: {LINK_CURE}")
        folders = self._class_folders()
        index.classes = tuple(sorted(folders))
        if index.unreadable:
            raise ValueError(f"{where} {': '.join(index.unreadable['.'])}")
        if not index.classes and not self._bad_links:
            raise ValueError(
                f"{where} has no sub-folders: put the {file_type.plural} of each class into a separate sub-folder"
            )
        if not any_class:
            refuse_unlikely_classes(index.classes, where)
            index.doubtful = doubtful_classes(index.classes)
            if len(index.classes) == 1:
                refuse_wrapper(index.classes[0], self._inside, where)
        for label, real in sorted(folders.items()):
            self._walk(label, real, (self._real,) if real != f"{self._real}/{label}" else ())
        self._refuse_links()
        if not self._names:
            known = ", ".join(sorted(file_type.extensions))
            raise ValueError(f"{where} has no {file_type.plural}: its sub-folders need files named {known}")
        # Nearly sorted already: a sort of a million would hold the interpreter for seconds in a reload
        order = sorted(range(len(self._names)), key=self._names.__getitem__)
        index.names = tuple(map(self._names.__getitem__, order))
        if not any_class:
            refuse_mixtures_in_classes(index.names, where)
        index.identities = np.frombuffer(self._identities, IDENTITY)[order]
        return index

    def _class_folders(self) -> dict[str, str]:
        """Name → real path of every class folder."""
        folders: dict[str, str] = {}
        for entry in self._entries(".", self._real):
            if (target := self._retry(entry.path, partial(self._target, entry))) is None:
                continue
            if self._retry(entry.path, partial(leads_to_folder, entry, target)):
                folders[entry.name] = target
            elif self._is_sample(entry.name):
                self._index.loose += 1
        return folders

    def _walk(self, name: str, real: str, above: tuple[str, ...]) -> None:
        """Indexes the folder `name`. `above` are the real paths of the folders that hold the links on the way to it."""
        if name.count("/") > MAX_DEPTH:
            raise ValueError(
                f"{printable(str(self._folder / name))} is more than {MAX_DEPTH} folders deep: move its files up"
            )
        if any(f"{folder}/".startswith(f"{real}/") for folder in above):
            self._bad_links.append(f"{printable(str(self._folder / name))} is a link to a folder around it: remove it")
            return
        for entry in self._entries(name, real):
            below = f"{name}/{entry.name}"
            try:
                target, is_directory, identity = self._retry(entry.path, partial(self._examine, entry))
                if target is None:
                    continue
                if is_directory:
                    self._walk(below, target, (*above, real) if entry.is_symlink() else above)
                elif identity is None:
                    self._leave_out(below)
                else:
                    self._names.append(below)
                    self._identities += _PACK(*identity)
                    if target != f"{self._real}/{below}":
                        self._index.targets[below] = target
            except PermissionError as err:
                self._index.unreadable[name] = _unreadable(err)
                return
            except OSError:  # a link to itself, or a file that has gone since
                self._leave_out(below)

    def _examine(self, entry: os.DirEntry[str]) -> tuple[str | None, bool, Identity | None]:
        """The real path of an entry, as `_target`; whether it is a folder; and the identity of a file that is a sample."""
        target = self._target(entry)
        if target is None or entry.is_dir():
            return target, True, None
        is_sample = self._is_sample(entry.name) and entry.is_file()
        return target, False, Identity.of(entry.stat()) if is_sample else None

    def _retry(self, path: str, access: Callable[[], T]) -> T:
        return retry_faults(path, access, self._pause)

    def _leave_out(self, name: str) -> None:
        self._index.left_out[Path(name).suffix.lower()] += 1
        if self._is_sample(name):
            self._index.irregular.append(name)

    def _is_sample(self, name: str) -> bool:
        _, dot, extension = name.rpartition(".")
        return dot + extension.lower() in self._file_type.extensions

    def _entries(self, name: str, real: str) -> Iterator[os.DirEntry[str]]:
        """The entries that are no leftovers; notes a folder that may not be read or has gone."""
        try:
            listed = self._retry(real, partial(list_entries, real))
        except OSError as err:
            self._index.unreadable[name] = _unreadable(err)
            return
        for entry in listed:
            if is_leftover(entry.name):
                self._index.leftovers[leftover_group(entry.name)] += 1
            elif not entry.name.isascii() and entry.name.encode(errors="replace").decode() != entry.name:
                raise ValueError(f"{printable(entry.path)} is not named in UTF-8: rename it")
            else:
                yield entry

    def _target(self, entry: os.DirEntry[str]) -> str | None:
        """The real path of an entry; None for a link that may not be followed, which is noted."""
        if not entry.is_symlink():
            return entry.path
        target = real_path(entry.path)
        if self._links.root_of(target) is None or (is_folder(target) and not self._links.follow):
            where = f"{printable(entry.path)} is a link to a folder or out of {self._links.root}"
            self._bad_links.append(f"{where}: {LINK_CURE}")
            return None
        return target

    def _inside(self, name: str) -> tuple[list[str], bool]:
        """The sub-folders of a folder, and whether it has files; notes nothing."""
        path = str(self._folder / name)
        try:
            visible = [entry for entry in self._retry(path, partial(list_entries, path)) if not is_leftover(entry.name)]
        except OSError:
            return [], True
        folders = [entry.name for entry in visible if self._retry(entry.path, partial(is_folder, entry.path))]
        return folders, len(folders) < len(visible)

    def _refuse_links(self) -> None:
        if self._bad_links:
            more = len(self._bad_links) - _MOST_NAMED
            lines = self._bad_links[:_MOST_NAMED] + ([f"… and {more} more such links"] if more > 0 else [])
            raise ValueError("\n".join(lines))
