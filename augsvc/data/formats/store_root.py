"""The place of a dataset in an object store, with the methods of a folder; and the settings that name it."""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cached_property
from io import BufferedReader
from pathlib import Path
from typing import Annotated, Any

import numpy as np
from pydantic import AfterValidator, SecretStr, model_validator

from augsvc.data.formats.dataset_root import DatasetRoot, join
from augsvc.data.formats.files import ABSENT, IDENTITY, Identity
from augsvc.data.formats.format import PathFormat
from augsvc.data.formats.index import Index, Links, list_names
from augsvc.data.formats.object_store import URL, ObjectStore, open_stored
from augsvc_client.decoding.limits import is_leftover
from augsvc_client.text import printable


def _url(url: str) -> str:
    if not URL.fullmatch(url) or ".." in url:
        raise ValueError(
            "must be s3://BUCKET/PREFIX, gs://, az://, https:// or http://, without a user, a password or a query"
        )
    return url


class StoredFormat(PathFormat):
    """The operator's settings of formats that may be in an object store; no place is part of a version."""

    url: Annotated[str, AfterValidator(_url)] | None = None  # in place of `path`
    store: Mapping[str, SecretStr] = {}  # obstore's options: region, endpoint, access_key_id, …

    @model_validator(mode="before")
    @classmethod
    def _require_one_place(cls, given: Any) -> Any:
        if not isinstance(given, dict) or given.get("url") is None:
            return given
        if "path" in given:
            raise ValueError("give either `path`, a folder, or `url`, a store")
        return given | {"path": Path()}

    def open_root(self) -> DatasetRoot:
        """The dataset's folder, or its place in a store; raises ValueError."""
        store = self.open_store()
        return DatasetRoot(self.path, self.follow_links) if store is None else StoreRoot(store)

    def open_store(self) -> ObjectStore | None:
        """The store; None if the dataset is in a folder; raises ValueError."""
        if self.url is None:
            return None
        return ObjectStore(self.url, {name: value.get_secret_value() for name, value in self.store.items()})


class StoreRoot(DatasetRoot):
    """The objects below one URL; errors are for the operator, as those of a folder."""

    def __init__(self, store: ObjectStore, pause: Callable[[float], None] = time.sleep) -> None:
        """Lists nothing yet: an HTTP server cannot be listed."""
        self.store: ObjectStore = store
        self.path = Path(store.url)  # for messages only
        self.links, self.pause = Links(self.path), pause

    @cached_property
    def objects(self) -> Mapping[str, Identity]:
        """All objects by name, sorted; raises ValueError."""
        if not self.store.is_listable:
            raise ValueError(
                f"{self.locate('')} cannot be listed: name the files, as in `manifest` or `file`, or use another store"
            )
        try:
            return self.store.list()
        except OSError as err:
            raise ValueError(self._refusal("", err)) from err

    def inside(self, folder: str) -> "StoreRoot":
        """The objects below a folder, of the same listing."""
        root, prefix = StoreRoot(self.store.inside(folder), self.pause), f"{folder}/"
        objects = self.objects.items()
        root.objects = {name.removeprefix(prefix): status for name, status in objects if name.startswith(prefix)}
        return root

    def names(self) -> list[str]:
        """The visible files and folders directly below the URL."""
        return sorted(self._tree[""])

    def locate(self, name: str) -> str:
        """As of a folder."""
        return printable(join(self.store.url, name) if name else self.store.url)

    def is_folder(self, name: str) -> bool:
        """Whether there are objects below a name."""
        return name in self._tree

    def has_objects(self, name: str) -> bool:
        """Whether there are objects directly in a folder."""
        return not all(self._tree.get(name, {}).values())

    def is_file(self, name: str) -> bool:
        """Whether there is an object of that name."""
        return self._find(name) is not None

    def open(self, name: str) -> BufferedReader:
        """As of a folder."""
        if (indexed := self._find(name)) is None:
            raise ValueError(f"{self.locate(name)} cannot be read: no such object")
        return open_stored(self.store, name, indexed)

    def index(self, names: Sequence[str]) -> Index:
        """As of a folder."""
        identities = np.empty(len(names), IDENTITY)
        faults = []
        for row, name in enumerate(names):
            if (indexed := self._find(name)) is None:
                faults.append(name)
            else:
                identities[row] = indexed
        if faults:
            raise ValueError(
                f"{len(faults):,} of {len(names):,} objects are missing below {self.locate('')}: {list_names(faults)}"
            )
        return Index(names=tuple(names), identities=identities)

    def _find(self, name: str) -> Identity | None:
        if self.store.is_listable:
            return self.objects.get(name)
        try:
            return self.store.identify(name)
        except OSError as err:
            if err.errno in ABSENT:
                return None
            raise ValueError(self._refusal(name, err)) from err

    def _entries(self, name: str) -> Iterator[tuple[str, bool]]:
        yield from sorted(self._tree.get(name, {}).items())

    @cached_property
    def _tree(self) -> Mapping[str, Mapping[str, bool]]:
        """Folder → the names in it, and whether each is a folder."""
        folders: dict[str, dict[str, bool]] = {"": {}}
        for name in self.objects:
            steps = name.split("/")
            if any(map(is_leftover, steps)):
                continue
            for depth, step in enumerate(steps):
                is_folder = depth < len(steps) - 1
                inside = folders.setdefault("/".join(steps[:depth]), {})
                inside[step] = inside.get(step, False) or is_folder
        return folders

    def _refusal(self, name: str, err: OSError) -> str:
        return f"{self.locate(name)} cannot be {'read' if name else 'listed'}: {err.strerror}"
