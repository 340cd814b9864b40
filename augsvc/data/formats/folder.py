"""A folder with one sub-folder per class and files below it: what image and audio folders share."""

import hashlib
import json
import os
import time
from abc import abstractmethod
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np

from augsvc import __version__
from augsvc.data.cache import DecodedCache
from augsvc.data.formats.class_order import describe_numbers
from augsvc.data.formats.faults import Faults
from augsvc.data.formats.file_source import Files, FilesFormat, FileSource
from augsvc.data.formats.files import leads_to_folder, list_entries, retry_faults
from augsvc.data.formats.index import FileType, Index, Links, find_links, list_names
from augsvc.data.formats.indexer import Indexer
from augsvc.data.formats.layout import Layout, find_splits, split_of
from augsvc.data.formats.object_index import index_objects
from augsvc.data.formats.object_store import ObjectStore
from augsvc.data.formats.reader import Reader
from augsvc.data.formats.store_root import StoredFormat, StoreRoot
from augsvc.data.formats.stored_index import IndexFile
from augsvc.data.source import Source
from augsvc_client.decoding.limits import is_leftover
from augsvc_client.text import printable


class FolderFormat(StoredFormat, FilesFormat):
    """The operator's settings that both kinds of folders have; those that change a sample are part of its version."""

    layout: Layout = "auto"  # "classes": sub-folders are classes whatever they are named

    @property
    @abstractmethod
    def file_type(self) -> FileType:
        """Which files are samples."""


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
    store: ObjectStore | None = None  # in place of `path`
    index: Index | None = None  # of the objects in the store


class FolderSource(FileSource):
    """The files below one folder of classes, sorted by their relative names; a subclass decodes them and sets `info`."""

    def __init__(
        self,
        folder: Folder,
        file_type: FileType,
        reader: Reader,
        max_file_bytes: int,
        form: Mapping[str, object],
        digest_contents: bool,
    ) -> None:
        """Indexes the folder, or takes its index from disk; `form` is what changes a sample. Raises as `Indexer.index`."""
        self._folder, self._plural = folder, file_type.plural
        indexer = Indexer(folder.path, folder.links, file_type, folder.pause)
        key = folder.cache.claim(folder.name)
        file = None if digest_contents else self._index_file(file_type, form)  # those read every file anyway
        is_reload = key != folder.name  # which is to notice modified files too: their folders do not change
        stored = None if file is None or is_reload else file.load()
        index = folder.index or indexer.index(folder.any_class, stored)
        self.classes = index.classes
        positions = {name: label for label, name in enumerate(self.classes)}
        labels = np.repeat([positions[name] for name in index.counts], list(index.counts.values())).astype(np.int64)
        root = Path(os.path.realpath(folder.path)) if folder.store is None else folder.path
        files = Files(index, root, folder.links, key, store=folder.store)
        super().__init__(files, labels, reader, folder.cache, max_file_bytes, folder.pause)
        if stored is not None and index.names is stored.names:
            self.version = stored.version
            return
        self.version = self._version(self.classes, form, digest_contents)
        if file is not None and indexer.is_storable:
            saved = file.save(self.version, indexer.classes)
            if saved is not None:
                index.take_rows(saved)

    def _index_file(self, file_type: FileType, form: Mapping[str, object]) -> IndexFile | None:
        """The file of the index; None without a folder for it."""
        folder, disk = self._folder, self._folder.cache.disk
        if disk is None or folder.store is not None:  # a listing has the tags that an index would be compared with
            return None
        path = os.path.realpath(folder.path)
        roots = [str(folder.links.root), *map(str, folder.links.follow)]
        settings = [__version__, path, roots, sorted(file_type.extensions), folder.any_class, form]
        return IndexFile(disk.folder / f"index-{_digest([folder.name, path])[:32]}", _digest(settings))

    def left_out(self) -> Mapping[str, int]:
        """Counts of files with other extensions, and of broken links, by extension."""
        return dict(sorted(self._files.index.left_out.items()))

    def faults(self) -> Iterator[str]:
        """Unreadable folders, files outside the classes, and classes that may be none."""
        return self._files.index.faults(self._plural)

    def notes(self) -> Iterator[str]:
        """Empty classes, similar names, and what is ignored."""
        yield from self._files.index.notes(self._plural)
        yield from describe_numbers(self.info.classes)
        if self._folder.beside:
            yield f"beside the splits ignored: {', '.join(map(printable, self._folder.beside))}"


def _digest(form: object) -> str:
    return hashlib.sha256(json.dumps(form, sort_keys=True).encode()).hexdigest()


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
    if (store := settings.open_store()) is not None:
        return _open_stored(name, settings, store, cache, make)
    root = Path(os.path.realpath(settings.path))
    faults, where, sources = Faults(), f"dataset {name!r}", []
    with faults.collect(where):
        links = find_links(root, settings.follow_links, pause)
        folder = partial(Folder, links=links, cache=cache, any_class=settings.layout == "classes", pause=pause)
        if not retry_faults(str(root), root.is_dir, pause):
            raise ValueError(f"{printable(str(root))} is not a directory (`path`)")
        splits = _splits(settings, root, links, pause)
        names = retry_faults(str(root), partial(os.listdir, root), pause) if splits else []
        beside = tuple(sorted(set(names) - set(splits.values())))
        for position, (split, inner) in enumerate(splits.items() or [("", "")]):
            with faults.collect(where):
                full_name = f"{name}/{split}" if split else name
                sources.append(make(folder(full_name, root / inner, beside=() if position else beside)))  # noted once
        _require_same_classes(root, {split: _visible_folders(root / inner, pause) for split, inner in splits.items()})
    faults.refuse()
    return list(sources)


def _open_stored(
    name: str,
    settings: FolderFormat,
    store: ObjectStore,
    cache: DecodedCache,
    make: Callable[[Folder], FolderSource],
) -> list[Source]:
    """As `open_folder`, of an object store."""
    root, any_class = StoreRoot(store), settings.layout == "classes"
    faults, where = Faults(), f"dataset {name!r}"
    sources: list[Source] = []
    with faults.collect(where):
        splits = (
            {} if any_class else find_splits(root.folders(), lambda inner: bool(root.folders(inner)), root.locate(""))
        )
        beside = tuple(sorted(set(root.names()) - set(splits.values()))) if splits else ()
        for split, inner in splits.items() or [("", "")]:
            inside, full_name = (root.inside(inner), f"{name}/{split}") if split else (root, name)
            ignored = () if sources else beside  # noted once
            with faults.collect(where):
                index = index_objects(inside, settings.file_type, any_class)
                folder = Folder(
                    full_name, inside.path, inside.links, cache, any_class, ignored, store=inside.store, index=index
                )
                sources.append(make(folder))
        _require_same_classes(root.path, {split: root.folders(inner) for split, inner in splits.items()})
    faults.refuse()
    return sources


def _splits(settings: FolderFormat, root: Path, links: Links, pause: Callable[[float], None]) -> dict[str, str]:
    """As `find_splits`, of the folders on disk; empty where the settings say that they are classes.

    Raises:
        ValueError: as `find_splits`, and with a line for everything that is wrong whatever the folders are.
    """
    if settings.layout == "classes":
        return {}
    visible = partial(_visible_folders, pause=pause)
    folders = visible(root)
    inner = {name: bool(visible(root / name)) for name in folders if split_of(name)}
    try:
        return find_splits(folders, inner.__getitem__, printable(str(root)))
    except ValueError as err:
        faults = Faults()
        faults.add(str(err))
        with faults.collect():
            Indexer(root, links, settings.file_type, pause).index(any_class=True)
        faults.refuse()
        raise


def _visible_folders(folder: Path, pause: Callable[[float], None]) -> list[str]:
    try:
        entries = retry_faults(str(folder), partial(list_entries, str(folder)), pause)
    except OSError:  # the index names it
        return []
    visible = [entry for entry in entries if not is_leftover(entry.name)]
    return [
        entry.name for entry in visible if retry_faults(entry.path, partial(leads_to_folder, entry, entry.path), pause)
    ]


def _require_same_classes(root: Path, classes: Mapping[str, Collection[str]]) -> None:
    """Refuses splits with different classes, with a line for each that differs from the first one."""
    listed = [
        (split, names) for split, names in classes.items() if names
    ]  # that others have none is their fault already
    first, expected = listed[0] if listed else ("", ())
    lines = []
    for split, names in listed[1:]:
        pairs = ((first, set(expected) - set(names)), (split, set(names) - set(expected)))
        if only := [f"only in {where}: {list_names(sorted(extra))}" for where, extra in pairs if extra]:
            lines.append(
                f"{printable(str(root))} has different classes in {first} and {split} ({'; '.join(only)}): give both the same "
                f"sub-folders (an empty one counts)"
            )
    if lines:
        raise ValueError("\n".join(lines))
