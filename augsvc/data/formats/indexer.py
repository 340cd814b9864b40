"""Lists the files below one folder of classes, or only those classes that have changed since the index on disk was made."""

import os
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TypeVar

import numpy as np

from augsvc.data.formats.faults import Faults
from augsvc.data.formats.files import (
    IDENTITY,
    Identity,
    is_folder,
    leads_to_folder,
    list_entries,
    pack_identity,
    real_path,
    retry_faults,
)
from augsvc.data.formats.index import LINK_CURE, MAX_DEPTH, MOST_NAMED, FileType, Index, Links
from augsvc.data.formats.layout import (
    doubtful_classes,
    joined_folders,
    leftover_group,
    mixtures_in_classes,
    refuse_wrapper,
    unlikely_classes,
)
from augsvc.data.formats.names import Names
from augsvc.data.formats.stored_index import ClassFiles, StoredIndex
from augsvc_client.decoding.limits import is_leftover
from augsvc_client.text import printable

SETTLED_NS = 2_000_000_000  # since the last change of a folder or file: a later one may have the same time
T = TypeVar("T")


@dataclass(slots=True)
class _Listing:
    """What has been listed of one class."""

    names: list[str] = field(default_factory=list)
    identities: bytearray = field(default_factory=bytearray)  # of IDENTITY: tuples would take 300 bytes a file
    folders: dict[str, Identity] = field(default_factory=dict)
    left_out: Counter[str] = field(default_factory=Counter)
    leftovers: Counter[str] = field(default_factory=Counter)

    def sort(self, started_ns: int) -> ClassFiles:
        """The files by name; without folders if one of them, or a file, changed just before the start."""
        order = sorted(range(len(self.names)), key=self.names.__getitem__)
        identities = np.frombuffer(self.identities, IDENTITY)[order]
        changed_ns = [status.changed_ns for status in self.folders.values()]
        is_settled = max([identities["changed_ns"].max(initial=0), *changed_ns]) < started_ns - SETTLED_NS
        folders = self.folders if is_settled else {}
        names = Names.of([self.names[row] for row in order])
        return ClassFiles(names, identities, folders, self.left_out, self.leftovers)


class Indexer:
    """Walks through one folder of classes, over the real paths of folders: only entries may be links."""

    def __init__(self, folder: Path, links: Links, file_type: FileType, pause: Callable[[float], None]) -> None:
        """`pause` waits between the attempts of an access, for seconds."""
        self._folder, self._links, self._file_type, self._pause = folder, links, file_type, pause
        self._real = os.path.realpath(folder)
        self._started_ns = time.time_ns()
        self._index = Index()
        self._bad_links: list[str] = []
        self._bad_names: list[str] = []
        self._too_deep: list[str] = []
        self._has_links = False
        self.classes: Mapping[str, ClassFiles] = {}  # in the order of their files, once they are indexed

    def index(self, any_class: bool, stored: StoredIndex | None = None) -> Index:
        """The whole index. `any_class`: folders are classes whatever they are named; `stored`: of the same settings.

        Raises:
            ValueError: for the operator: no classes or no files, names that cannot be those of classes, bad links, or faults
                of the disk or the network.
        """
        where, index, faults = printable(str(self._folder)), self._index, Faults()
        if self._links.root_of(self._real) is None:
            raise ValueError(f"{where} is a link out of {self._links.root}: {LINK_CURE}")
        root = _Listing()
        folders = self._class_folders(root)
        index.classes = tuple(sorted(folders))
        if index.unreadable:
            raise ValueError(f"{where} {': '.join(index.unreadable['.'])}")
        unlikely = () if any_class else self._find_unlikely(where, faults)
        # "a-b/1.jpg" is before "a/1.jpg", and the class "a" before "a-b"
        labels = sorted(folders, key=lambda label: f"{label}/")
        known = {} if stored is None else stored.classes
        self.classes = {
            label: self._unchanged(known.get(label), label, folders[label]) or self._scan(label, folders[label])
            for label in labels
        }
        index.counts = {label: len(files.names) for label, files in self.classes.items()}
        self._add_bad_entries(where, faults)
        for files in self.classes.values():
            index.left_out += files.left_out
            index.leftovers += files.leftovers
        index.leftovers += root.leftovers
        if stored is not None and not len(faults) and list(self.classes.values()) == list(stored.classes.values()):
            index.take_rows(stored)
            self._note_joined(any_class)
            return index
        index.names = Names.join([files.names for files in self.classes.values()])
        if not any_class:
            likely = [name for name in index.names if not name.startswith(unlikely)] if unlikely else index.names
            for text in mixtures_in_classes(likely, where):
                faults.add(text)
        faults.refuse()
        index.identities = np.concatenate([files.identities[:] for files in self.classes.values()])
        self._note_joined(any_class)
        return index

    @property
    def is_storable(self) -> bool:
        """Whether a folder that has not changed has the same files: not if links may lead elsewhere meanwhile."""
        return not (self._has_links or self._index.unreadable or self._index.irregular)

    def _note_joined(self, any_class: bool) -> None:
        self._index.joined = {} if any_class else joined_folders(self._index.names, self._index.counts)

    def _find_unlikely(self, where: str, faults: Faults) -> tuple[str, ...]:
        """The beginnings of names in sub-folders that are no classes, which are faults; notes those that may be none."""
        index, unlikely = self._index, []
        for names, text in unlikely_classes(index.classes, where):
            faults.add(text)
            unlikely += names
        index.doubtful = doubtful_classes(index.classes)
        if len(index.classes) == 1 and not unlikely:
            with faults.collect():
                refuse_wrapper(index.classes[0], self._inside, where)
        return tuple(f"{name}/" for name in unlikely)

    def _unchanged(self, known: ClassFiles | None, label: str, real: str) -> ClassFiles | None:
        """The known files of a class, if none of its folders has changed since."""
        if known is None or not known.folders or real != f"{self._real}/{label}":
            return None
        try:
            same = all(self._status(f"{self._real}/{name}") == status for name, status in known.folders.items())
        except OSError:
            return None
        return known if same else None

    def _status(self, folder: str) -> Identity:
        return Identity.of(self._retry(folder, partial(os.lstat, folder)))

    def _scan(self, label: str, real: str) -> ClassFiles:
        listing = _Listing()
        self._walk(listing, label, real, (self._real,) if real != f"{self._real}/{label}" else ())
        return listing.sort(self._started_ns)

    def _class_folders(self, root: _Listing) -> dict[str, str]:
        """Name → real path of every class folder."""
        folders: dict[str, str] = {}
        for entry in self._entries(root, ".", self._real):
            if (target := self._retry(entry.path, partial(self._target, entry))) is None:
                continue
            if self._retry(entry.path, partial(leads_to_folder, entry, target)):
                folders[entry.name] = target
            elif self._is_sample(entry.name):
                self._index.loose += 1
        return folders

    def _walk(self, listing: _Listing, name: str, real: str, above: tuple[str, ...]) -> None:
        """Lists the folder `name`. `above` are the real paths of the folders that hold the links on the way to it."""
        if name.count("/") > MAX_DEPTH:
            self._too_deep.append(
                f"{printable(str(self._folder / name))} is more than {MAX_DEPTH} folders deep: move its files up"
            )
            return
        if any(f"{folder}/".startswith(f"{real}/") for folder in above):
            self._bad_links.append(f"{printable(str(self._folder / name))} is a link to a folder around it: remove it")
            return
        for entry in self._entries(listing, name, real):
            below = f"{name}/{entry.name}"
            try:
                target, is_directory, identity = self._retry(entry.path, partial(self._examine, entry))
                if target is None:
                    continue
                if is_directory:
                    self._walk(listing, below, target, (*above, real) if entry.is_symlink() else above)
                elif identity is None:
                    self._leave_out(listing, below)
                else:
                    listing.names.append(below)
                    listing.identities += pack_identity(*identity)
                    if target != f"{self._real}/{below}":
                        self._index.targets[below] = target
            except PermissionError as err:
                self._index.unreadable[name] = _unreadable(err)
                return
            except OSError:  # a link to itself, or a file that has gone since
                self._leave_out(listing, below)

    def _examine(self, entry: os.DirEntry[str]) -> tuple[str | None, bool, Identity | None]:
        """The real path of an entry, as `_target`; whether it is a folder; and the identity of a file that is a sample."""
        target = self._target(entry)
        if target is None or entry.is_dir():
            return target, True, None
        is_sample = self._is_sample(entry.name) and entry.is_file()
        return target, False, Identity.of(entry.stat()) if is_sample else None

    def _retry(self, path: str, access: Callable[[], T]) -> T:
        return retry_faults(path, access, self._pause)

    def _leave_out(self, listing: _Listing, name: str) -> None:
        if self._is_sample(name):  # a pipe, a socket, or a link that leads nowhere
            self._index.irregular.append(name)
        else:
            listing.left_out[Path(name).suffix.lower()] += 1

    def _is_sample(self, name: str) -> bool:
        _, dot, extension = name.rpartition(".")
        return dot + extension.lower() in self._file_type.extensions

    def _entries(self, listing: _Listing, name: str, real: str) -> Iterator[os.DirEntry[str]]:
        """The entries that are no leftovers; notes a folder that may not be read or has gone."""
        try:
            status = self._status(real)  # first: what changes while it is listed, has changed since
            listed = self._retry(real, partial(list_entries, real))
        except OSError as err:
            self._index.unreadable[name] = _unreadable(err)
            return
        listing.folders[name] = status
        for entry in listed:
            if is_leftover(entry.name):
                listing.leftovers[leftover_group(entry.name)] += 1
            elif not entry.name.isascii() and entry.name.encode(errors="replace").decode() != entry.name:
                self._bad_names.append(f"{printable(entry.path)} is not named in UTF-8: rename it")
            else:
                yield entry

    def _target(self, entry: os.DirEntry[str]) -> str | None:
        """The real path of an entry; None for a link that may not be followed, which is noted."""
        if not entry.is_symlink():
            return entry.path
        self._has_links = True
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

    def _add_bad_entries(self, where: str, faults: Faults) -> None:
        """Adds the first bad links, names and folders, and how many more there are of each; and that there are no classes or
        no files, unless another fault says why.
        """
        for texts, kind in ((self._bad_links, "links"), (self._bad_names, "names"), (self._too_deep, "folders")):
            more = len(texts) - MOST_NAMED
            for text in texts[:MOST_NAMED] + ([f"… and {more} more such {kind}"] if more > 0 else []):
                faults.add(text)
        plural = self._file_type.plural
        if not self._index.classes and not len(faults):
            faults.add(f"{where} has no sub-folders: put the {plural} of each class into a separate sub-folder")
        elif not any(self._index.counts.values()) and not len(faults):
            faults.add(f"{where} has no {plural}: its sub-folders need {self._file_type.describe_needed()}")


def _unreadable(err: OSError) -> tuple[str, str]:
    """Why a folder is not indexed, and what to do."""
    if isinstance(err, PermissionError):
        return "may not be read by this user", "grant it read and search permission"
    return "was removed while it was indexed", "reload the datasets or restart the server"
