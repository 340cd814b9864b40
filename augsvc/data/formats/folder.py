"""A folder with one sub-folder per class and files below it: what image and audio folders share.

The folder is indexed when the server starts and at each reload; reading a file that has changed since then fails, because
the same address must never give different bytes. Messages of ValueError are for the operator and name paths; those of the errors
that `read` raises reach clients and name files below the dataset's folder only.
"""

import hashlib
import json
import logging
import os
import time
from abc import abstractmethod
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np

from augsvc.arrays import I64, Sample
from augsvc.data.cache import DecodedCache
from augsvc.data.formats.files import (
    ABSENT,
    FORBIDDEN,
    PAUSES_S,
    Identity,
    NotIndexed,
    has_device,
    leads_to_folder,
    list_entries,
    open_below,
    read_below,
    retry_faults,
)
from augsvc.data.formats.format import DatasetFormat
from augsvc.data.formats.index import FileType, Index, Indexer, Links
from augsvc.data.formats.layout import Layout, find_splits
from augsvc.data.source import Source
from augsvc.errors import AugsvcError, DatasetChanged, DatasetUnavailable, Undecodable
from augsvc_client.decoding.limits import is_leftover
from augsvc_client.text import printable

MAX_LOGGED = 1000  # files of one dataset that are named in the log

logger = logging.getLogger("augsvc.data")
logger.addHandler(logging.NullHandler())  # commands without a log name faulty files themselves


class FolderFormat(DatasetFormat):
    """The operator's settings that both kinds of folders have; those that change a sample are part of its version."""

    path: Path
    layout: Layout = "auto"  # "classes": sub-folders are classes whatever they are named
    follow_links: tuple[Path, ...] = ()  # folders that links may lead into, besides `path`
    digest_contents: bool = False  # reads every file at start-up, so that the version covers their contents


@dataclass(frozen=True, slots=True)
class Folder:
    """One split of a dataset on disk."""

    name: str  # of the dataset
    path: Path  # of the class folders
    links: Links
    cache: DecodedCache
    any_class: bool  # whatever the folders are named
    beside: tuple[str, ...] = ()  # the names beside the splits, which are ignored
    pause: Callable[[float], None] = time.sleep  # waits between the attempts of a read


@dataclass(frozen=True, slots=True)
class _Files:
    """The files at the time of indexing."""

    index: Index
    root: Path  # of the class folders, without links
    links: Links
    key: str  # of decoded samples in the cache

    def same(self, other: "_Files") -> bool:
        """Whether all files are the same ones; both have the same names."""
        ours, theirs = self.index, other.index
        same = self.root == other.root and ours.targets == theirs.targets
        return same and np.array_equal(ours.identities, theirs.identities)


class FolderSource(Source):
    """The files below one folder of classes, sorted by their relative names; a subclass decodes them and sets `info`."""

    def __init__(self, folder: Folder, file_type: FileType, max_file_bytes: int) -> None:
        """Indexes the folder; raises as `Indexer.index`."""
        index = Indexer(folder.path, folder.links, file_type, folder.pause).index(folder.any_class)
        root = Path(os.path.realpath(folder.path))
        self._files = _Files(index, root, folder.links, folder.cache.claim(folder.name))
        self.classes = index.classes
        self._folder, self._max_file_bytes, self._plural = folder, max_file_bytes, file_type.plural
        labels = {name: label for label, name in enumerate(self.classes)}
        self._labels = np.array([labels[name.split("/", 1)[0]] for name in index.names], dtype=np.int64)
        self._digests: list[bytes] = []  # of the contents, if the version covers them
        self._defects: dict[int, str] = {}

    @abstractmethod
    def _decoding_bytes(self, data: bytes) -> int:
        """The memory that decoding the contents of a file takes at its peak, by their header."""

    @abstractmethod
    def _decode(self, data: bytes, label: int) -> Sample:
        """Decodes the contents of a file; raises Undecodable."""

    def __len__(self) -> int:
        return len(self._labels)

    def read(self, index: int) -> Sample:
        """The decoded file, from the cache if it is there.

        Raises:
            Undecodable: larger than the settings allow, or damaged.
            DatasetUnavailable: its file could not be read in three attempts, for a reason that may pass.
            DatasetChanged: its file is not the indexed one any more, is missing, or may not be read.
        """
        files = self._files  # which a reload exchanges
        return self._folder.cache.get_or_make((files.key, index), partial(self._make, files, index))

    def labels(self) -> I64:
        """The class folder of every file (len,)."""
        return self._labels.copy()

    def describe(self, index: int) -> str:
        """The file's name below the folder of classes."""
        return self._files.index.names[index]

    def defect(self, index: int) -> str:
        """Why a file could not be decoded or read; empty if it could, or if over `MAX_LOGGED` files could not."""
        return self._defects.get(index, "")

    def left_out(self) -> Mapping[str, int]:
        """Counts of files with other extensions, and of broken links, by extension."""
        return dict(sorted(self._files.index.left_out.items()))

    def notes(self) -> Iterator[str]:
        """Empty classes, unreadable folders, and what is ignored."""
        yield from self._files.index.notes(self._plural)
        if self._folder.beside:
            yield f"beside the splits ignored: {', '.join(map(printable, self._folder.beside))}"

    def fingerprints(self) -> Mapping[str, bytes]:
        """Each file's name, and what differs if it was modified or replaced: its contents, if the version covers them."""
        files = self._files.index
        values = self._digests or files.fingerprints
        # dict() would hold the interpreter for half a second a million
        return {name: value for name, value in zip(files.names, values, strict=True)}

    def refresh(self, newer: Source) -> None:
        """From now on reads the files that `newer` has indexed, of the same version."""
        if isinstance(newer, FolderSource) and not self._files.same(newer._files):
            self._files, self._defects = newer._files, {}

    def _make(self, files: _Files, index: int) -> Sample:
        try:
            if files.index.sizes[index] > self._max_file_bytes:
                raise Undecodable(f"the file is larger than max_file_bytes, {self._max_file_bytes:,}")
            data = self._read_file(files, index)
            if not data:
                raise Undecodable("the file is empty")
            with self._folder.cache.decoding(self._decoding_bytes(data)):
                sample = self._decode(data, int(self._labels[index]))
        except Undecodable as err:
            self._note(index, str(err), f"cannot be decoded ({err}); replaced by the next sample")
            raise
        return replace(sample, key=(files.key, index))

    def _read_file(self, files: _Files, index: int) -> bytes:
        """The indexed file's contents; three attempts, also of a missing file, which may be being replaced."""
        root, name = self._located(files, index)
        n_bytes = int(files.index.sizes[index]) + 1  # one more than indexed, to notice that it has grown
        for pause_s in (*PAUSES_S, None):
            try:
                data, identity = read_below(root, name, n_bytes)
                break
            except NotIndexed:
                raise self._changed(index, "is no regular file any more") from None
            except OSError as err:
                if pause_s is None:
                    raise self._unreadable(files, index, root, err) from err
                self._folder.pause(pause_s)
        self._require_indexed(files, index, data, identity)
        return data

    def _read_heads(self, most: int, n_bytes: int) -> Iterator[bytes]:
        """The first `n_bytes` of at most `most` files, spread evenly; those that cannot be read are passed over."""
        files = self._files
        for index in range(0, len(self), max(1, -(-len(self) // most))):
            with suppress(NotIndexed, OSError):
                yield read_below(*self._located(files, index), n_bytes)[0]

    def _unreadable(self, files: _Files, index: int, root: Path, err: OSError) -> AugsvcError:
        """DatasetChanged if waiting does not help (the client raises it immediately), else DatasetUnavailable."""
        if err.errno in ABSENT:
            mounted = has_device(root, files.index.identity(index).device)
            return self._changed(index, "is missing" + ("" if mounted else ": is its file system mounted?"))
        if err.errno in FORBIDDEN:
            return self._changed(index, "may not be read by the server's user")
        reason = err.strerror or type(err).__name__
        self._note(index, reason, f"could not be read after 3 attempts ({reason})")
        return DatasetUnavailable(
            f"sample {index} of {self.info.name!r} could not be read after 3 attempts; check the file "
            f"{printable(self.describe(index))}"
        )

    def _require_indexed(self, files: _Files, index: int, data: bytes, identity: Identity) -> None:
        """Raises DatasetChanged unless a file is the indexed one: by its contents if the version covers them, else by its
        place on the disk, size and time of modification.

        A change of the status alone is logged: of permissions and links, or a modification with its time set back.
        """
        if self._digests:
            if hashlib.sha256(data).digest() != self._digests[index]:
                raise self._changed(index, "has other contents")
            return
        indexed = files.index.identity(index)
        if len(data) != indexed.n_bytes or replace(identity, changed_ns=indexed.changed_ns) != indexed:
            raise self._changed(index, "was modified or replaced")
        if identity != indexed:
            note = "the file's links, permissions or time were changed"
            self._note(index, note, f"is served, but {note}; `digest_contents: true` would compare its contents")

    def _changed(self, index: int, how: str) -> DatasetChanged:
        self._note(
            index, how, f"changed after the server indexed it: it {how}; reload the datasets, or restart the server"
        )
        return DatasetChanged(
            f"sample {index} of {self.info.name!r} changed after the server indexed it: {printable(self.describe(index))} "
            f"{how}; restore the file, then reload the datasets or restart the server"
        )

    def _note(self, index: int, defect: str, text: str) -> None:
        """Keeps a file's last defect, and logs it unless it had that one before."""
        known = self._defects.get(index)
        if defect != known and (known is not None or len(self._defects) < MAX_LOGGED):
            self._defects[index] = defect
            logger.warning("%s: %s %s (logged once)", self.info.name, printable(self.describe(index)), text)

    def _located(self, files: _Files, index: int) -> tuple[Path, str]:
        """A folder and the file's name below it, without links."""
        name = files.index.names[index]
        target = files.index.targets.get(name)
        if target is None:
            return files.root, name
        root = files.links.root_of(target) or files.root
        return root, os.path.relpath(target, root)

    def _version(self, settings: Mapping[str, object], contents: bool) -> str:
        """The digest of names, sizes, classes and `settings` (all that change a sample), and optionally of all `contents`;
        never of times or the path."""
        digest = hashlib.sha256(json.dumps({"classes": self.classes, **settings}, sort_keys=True).encode())
        files = self._files.index
        for index, (name, size) in enumerate(zip(files.names, files.sizes.tolist(), strict=True)):
            digest.update(b"\0%s\0%d" % (name.encode(), size))
            if contents:
                self._digests.append(self._digest(index))
                digest.update(self._digests[-1])
        return digest.hexdigest()

    def _digest(self, index: int) -> bytes:
        def digest() -> bytes:
            with os.fdopen(open_below(*self._located(self._files, index)), "rb") as file:
                return hashlib.file_digest(file, "sha256").digest()

        path = self._folder.path / self.describe(index)
        try:
            return retry_faults(str(path), digest, self._folder.pause)
        except (NotIndexed, OSError) as err:
            reason = getattr(err, "strerror", None) or "it changed meanwhile"
            raise ValueError(
                f"{printable(str(path))} cannot be read ({reason}), which `digest_contents` needs"
            ) from err


def open_folder(
    name: str,
    settings: FolderFormat,
    cache: DecodedCache,
    pause: Callable[[float], None],
    make: Callable[[Folder], FolderSource],
) -> list[Source]:
    """NAME, or NAME/train, NAME/val and NAME/test, those that the folder has sub-folders for.

    Raises:
        ValueError: no such folder, no classes or no files in it, sub-folders that may be no classes, a link that leaves it,
            splits with different classes, or anything that cannot be read by a fault of the disk or the network.
    """
    root = Path(os.path.realpath(settings.path))
    links = Links(root, tuple(Path(os.path.realpath(folder)) for folder in settings.follow_links))
    folder = partial(Folder, links=links, cache=cache, any_class=settings.layout == "classes", pause=pause)
    try:
        if not retry_faults(str(root), root.is_dir, pause):
            raise ValueError(f"{printable(str(root))} is not a directory (`path`)")
        splits = {} if settings.layout == "classes" else _splits(root, pause)
        if not splits:
            return [make(folder(name, root))]
        names = retry_faults(str(root), partial(os.listdir, root), pause)
        beside = tuple(sorted(set(names) - set(splits.values())))
        sources = [
            make(folder(f"{name}/{split}", root / inner, beside=() if position else beside))  # noted once
            for position, (split, inner) in enumerate(splits.items())
        ]
    except ValueError as err:
        raise ValueError("\n".join(f"dataset {name!r}: {line}" for line in str(err).split("\n"))) from err
    _require_same_classes(name, root, sources)
    return list(sources)


def _splits(root: Path, pause: Callable[[float], None]) -> dict[str, str]:
    """As `find_splits`, of the folders on disk."""
    visible = partial(_visible_folders, pause=pause)
    return find_splits(visible(root), lambda inner: bool(visible(root / inner)), printable(str(root)))


def _visible_folders(folder: Path, pause: Callable[[float], None]) -> list[str]:
    try:
        entries = retry_faults(str(folder), partial(list_entries, str(folder)), pause)
    except OSError:  # the index names it
        return []
    visible = [entry for entry in entries if not is_leftover(entry.name)]
    return [
        entry.name for entry in visible if retry_faults(entry.path, partial(leads_to_folder, entry, entry.path), pause)
    ]


def _require_same_classes(name: str, root: Path, sources: list[FolderSource]) -> None:
    first = sources[0]
    for other in sources[1:]:
        if first.classes != other.classes:
            splits = [source.info.name.rpartition("/")[2] for source in (first, other)]
            only = [
                f"only in {split}: {', '.join(sorted(map(printable, set(one.classes) - set(two.classes)))[:5])}"
                for split, one, two in zip(splits, (first, other), (other, first), strict=True)
                if set(one.classes) - set(two.classes)
            ]
            raise ValueError(
                f"dataset {name!r}: {printable(str(root))} has different classes in {splits[0]} and {splits[1]} "
                f"({'; '.join(only)}): give both the same sub-folders (an empty one counts)"
            )
