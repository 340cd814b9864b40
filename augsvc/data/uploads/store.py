"""The uploaded datasets of a server: who may write what, how much, and when a dataset is served.

A dataset is served from the moment that its record names its folder (upload.py). Whatever no record names is removed at the
start.
"""

import hashlib
import logging
import os
import re
import secrets
import shutil
import weakref
from collections.abc import Callable, Collection, Mapping, Sequence
from concurrent.futures import Future
from pathlib import Path
from threading import Lock, RLock, Thread

from augsvc.data.cache import DecodedCache
from augsvc.data.source import Source
from augsvc.data.uploads.folder import lock_uploads
from augsvc.data.uploads.part import Part, report_full_disk
from augsvc.data.uploads.records import (
    Announcement,
    Kept,
    open_uploaded,
    require_format,
    without_path,
    write_record,
)
from augsvc.data.uploads.unpacking import unpack
from augsvc.data.uploads.upload import State, Upload, needed_bytes
from augsvc.errors import (
    AugsvcError,
    Forbidden,
    NameTaken,
    UnknownDataset,
    UploadConflict,
    UploadInvalid,
    UploadTooLarge,
)
from augsvc.validation import DATASET_NAME
from augsvc_client.text import printable

logger = logging.getLogger("augsvc")
MAX_DATASETS = 1000  # names, whatever their size
_REMOVED = ".removed-"
Serve = Callable[[str, Sequence[Source]], object]


class UploadStore:
    """Safe from any thread; all methods block, for short accesses to the disk.

    `received_bytes`, `n_served` and `n_failed` (uploads that were unpacked, and could not be) are for the metrics.
    """

    def __init__(self, path: Path, limit_bytes: int, cache: DecodedCache, serve: Serve, taken: Collection[str]) -> None:
        """Opens what is kept below `path`, and serves it. `taken`: the first components of all other datasets' names.

        Raises:
            ValueError: for the operator: the folder cannot be used, or another server uses it.
        """
        self._limit_bytes, self._cache, self._serve, self._taken = limit_bytes, cache, serve, frozenset(taken)
        self._lock, self._installing = RLock(), Lock()
        self._uploads: dict[str, Upload] = {}
        self.received_bytes = self.n_served = self.n_failed = 0
        self._failures: dict[str, tuple[Announcement, AugsvcError]] = {}  # for clients that lost the response
        self._path, lock = lock_uploads(path)
        weakref.finalize(self, os.close, lock)  # which unlocks it
        folders = [entry for entry in sorted(self._path.iterdir()) if entry.is_dir() and not entry.is_symlink()]
        for folder in folders:
            if folder.name.startswith(_REMOVED):
                _remove(folder)
            elif re.fullmatch(DATASET_NAME, folder.name):
                self._load(folder.name, folder)

    def _load(self, name: str, folder: Path) -> None:
        """Serves a dataset that was uploaded before; one that cannot be is reported, and keeps no server from starting."""
        try:
            upload = Upload.load(folder)
            if upload.latest is None:
                _remove(folder)
                return
            self._uploads[name] = upload
            if kept := upload.kept:
                upload.is_served = False
                if name in self._taken:
                    raise ValueError("another dataset has its name")
                sources = open_uploaded(name, kept.announcement, folder / kept.folder, self._cache)
                if {source.info.name: source.info.version for source in sources} != kept.versions:
                    raise ValueError("its files have changed")
                self._serve(name, sources)
                upload.is_served = True
        except (AugsvcError, ValueError, OSError) as err:
            logger.error("the uploaded dataset %s is not served: %s", name, printable(str(err)))

    # --- parts

    def begin(self, name: str, announcement: Announcement, start: int | None, digest: str | None, quota: int) -> Part:
        """A part of an upload from an offset on; None: of all its bytes, from the first on. `end` ends it.

        `quota`: the bytes on disk that all uploads of the client may take.

        Raises:
            NameTaken, SpecInvalid, UploadTooLarge, StorageFull.
            UploadConflict: another upload of the name is in progress, or the offset is another one.
        """
        require_format(announcement.format, announcement.options)
        with self._lock:
            upload = self._require_own(name, announcement.client)
            if upload is None or upload.pending != announcement:
                upload = self._announce(name, announcement, start, upload, quota)
            elif upload.installing:
                raise UploadConflict(
                    "this upload is complete and is being unpacked", details={"offset": announcement.n_bytes}
                )
            elif start not in (None, upload.received):
                raise UploadConflict(
                    f"this upload continues at offset {upload.received}", details={"offset": upload.received}
                )
            upload.received = start or 0
            upload.part = self._part(upload, digest)
            return upload.part

    def _announce(
        self, name: str, announcement: Announcement, start: int | None, upload: Upload | None, quota: int
    ) -> Upload:
        """The upload of a name that is new, or replaces the one that is not complete."""
        if start:
            raise UploadConflict(
                "there is no such upload, or another one has replaced it; start at offset 0", details={"offset": 0}
            )
        if upload and (upload.part or upload.installing):
            raise UploadConflict("another upload of this name is in progress; wait until it is complete")
        if upload is None and len(self._uploads) >= MAX_DATASETS:
            raise UploadTooLarge(f"this server keeps {MAX_DATASETS:,} uploaded datasets already; delete one")
        needed, left = needed_bytes(announcement), self._left(name, announcement.client, quota)
        if needed > left:
            raise UploadTooLarge(
                f"the upload has {needed:,} bytes, and {max(0, left):,} are left of the quota; delete an uploaded dataset"
            )
        upload = upload or Upload(self._path / name)
        upload.announce(announcement)
        self._uploads[name] = upload
        self._failures.pop(name, None)
        return upload

    def _part(self, upload: Upload, digest: str | None) -> Part:
        def count(part: Part, position: int) -> None:
            with self._lock:
                if upload.part is not part:
                    raise UploadConflict("another request continues this upload, or it was deleted")
                upload.received = position

        return Part(upload.tar, upload.received, digest, count)

    def end(self, name: str, part: Part) -> None:
        """Ends a part, complete or not; what counts of it stays."""
        received = part.close()  # before the lock, which a write may wait for
        with self._lock:
            upload = self._uploads.get(name)
            if upload and upload.part is part:
                upload.part, upload.received = None, received

    def _left(self, name: str, client: str, quota: int) -> int:
        """Bytes on disk that an upload of this name may take."""
        used = {key: upload.disk_bytes(with_pending=key != name) for key, upload in self._uploads.items()}
        own = sum(used[key] for key, upload in self._uploads.items() if upload.client == client)
        return min(quota - own, self._limit_bytes - sum(used.values()))

    def _require_own(self, name: str, client: str) -> Upload | None:
        upload = self._uploads.get(name)
        if name in self._taken or (upload and upload.client != client):
            raise NameTaken("another dataset has this name; choose another one")
        return upload

    # --- from the tar file to the dataset

    def finish(self, name: str, announcement: Announcement, quota: int) -> "Future[State]":
        """The state of an upload: where it continues or, once all bytes are there, the result of unpacking it.

        The future raises UploadInvalid, UploadTooLarge, StorageFull. Raises NameTaken, SpecInvalid.
        """
        require_format(announcement.format, announcement.options)
        state: Future[State] = Future()
        state.set_running_or_notify_cancel()
        with self._lock:
            upload = self._require_own(name, announcement.client)
            if upload and upload.pending == announcement:
                if upload.installing:
                    return upload.installing
                if upload.received == announcement.n_bytes and not upload.part:
                    upload.installing = state
                    Thread(target=self._run, args=(name, upload, announcement, quota, state), daemon=True).start()
                    return state
                state.set_result({"name": name, "state": "receiving", "offset": upload.received})
            elif upload and upload.kept and upload.kept.announcement == announcement and upload.is_served:
                state.set_result(_done(name, upload.kept))
            elif self._failures.get(name, (None,))[0] == announcement:
                state.set_exception(self._failures.pop(name)[1])
            else:
                state.set_result({"name": name, "state": "receiving", "offset": 0})
        return state

    def _run(self, name: str, upload: Upload, announcement: Announcement, quota: int, state: "Future[State]") -> None:
        """Installs one upload after the other."""
        try:
            with self._installing, report_full_disk():
                kept, warnings = self._install(name, upload, announcement, quota)
        except Exception as err:
            level = logging.INFO if isinstance(err, AugsvcError) else logging.ERROR
            logger.log(level, "%s: the upload cannot be served: %s", name, printable(str(err)))
            with self._lock:
                self.n_failed += 1
                upload.installing = None
                if isinstance(err, UploadInvalid | UploadTooLarge):
                    self._failures[name] = announcement, err
                    upload.drop_pending()
                    self._forget_empty(name, upload)
            state.set_exception(err)
        else:
            with self._lock:
                self.n_served += 1
                upload.installing = None
            state.set_result(_done(name, kept) | {"warnings": warnings})

    def _install(self, name: str, upload: Upload, announcement: Announcement, quota: int) -> tuple[Kept, list[str]]:
        folder = upload.folder / secrets.token_hex(8)
        with self._lock:
            limit_bytes = self._left(name, announcement.client, quota)
        try:
            with upload.tar.open("rb") as file:
                if hashlib.file_digest(file, "sha256").hexdigest() != announcement.sha256:
                    raise UploadInvalid("the bytes do not have the announced sha256; send them again from offset 0")
            n_bytes = unpack(upload.tar, folder, limit_bytes)
            sources = open_uploaded(name, announcement, folder, self._cache)
            versions = {source.info.name: source.info.version for source in sources}
            kept = Kept(announcement=announcement, folder=folder.name, disk_bytes=n_bytes, versions=versions)
            draft = upload.record.with_suffix(".draft")
            write_record(draft, kept)
            self._serve(name, sources)
        except BaseException:
            shutil.rmtree(folder, ignore_errors=True)
            raise
        draft.replace(upload.record)
        with self._lock:
            unused, upload.former = [upload.former], upload.kept
            if upload.kept and upload.kept.versions == versions:  # open streams read the new files
                unused, upload.former = [*unused, upload.kept], None
            upload.kept, upload.is_served = kept, True
            upload.drop_pending()
        for former in filter(None, unused):
            _remove(upload.folder / former.folder)
        logger.info(
            "%s: uploaded by %s, %d samples", name, printable(announcement.client) or "-", sum(map(len, sources))
        )
        return kept, [without_path(fault, folder) for source in sources for fault in source.faults()]

    def _forget_empty(self, name: str, upload: Upload) -> None:
        """Removes a name that has neither a dataset nor an upload."""
        if upload.latest is None:
            del self._uploads[name]
            _remove(self._hide(upload.folder))

    # --- what there is

    def delete(self, name: str, client: str, is_operator: bool) -> None:
        """Removes a dataset and its upload. Jobs that read it get DatasetChanged.

        Raises:
            UnknownDataset: there is none. Forbidden: another client uploaded it. UploadConflict: it is being unpacked.
        """
        with self._lock:
            upload = self._uploads.get(name)
            if upload is None:
                raise UnknownDataset("no uploaded dataset has this name; GET /v1/uploads lists them")
            if upload.client != client and not is_operator:
                raise Forbidden("only the client that uploaded a dataset, or an operator, may delete it")
            if upload.installing:
                raise UploadConflict("this upload is being unpacked; delete it afterwards")
            if upload.kept and upload.is_served:
                self._serve(name, [])
            upload.part = None
            del self._uploads[name]
            hidden = self._hide(upload.folder)
        logger.info("%s: the uploaded dataset was deleted", name)
        _remove(hidden)

    @property
    def disk_bytes(self) -> int:
        """Bytes that count against `uploads.bytes`; without the lock, which a slow disk holds, for the event loop reads them."""
        return sum(upload.disk_bytes() for upload in list(self._uploads.values()))

    def entries(self) -> list[Mapping[str, object]]:
        """All uploads, sorted by name, as JSON."""
        with self._lock:
            return [
                upload.entry(name, upload.latest) for name, upload in sorted(self._uploads.items()) if upload.latest
            ]

    def _hide(self, folder: Path) -> Path:
        """Renames a folder, so that it is removed even if the process ends meanwhile."""
        return folder.rename(self._path / f"{_REMOVED}{secrets.token_hex(8)}")


def _done(name: str, kept: Kept) -> State:
    return {"name": name, "state": "done", "offset": kept.announcement.n_bytes, "datasets": kept.versions}


def _remove(folder: Path) -> None:
    """Removes a folder in the background: a million files take half a minute."""
    Thread(target=shutil.rmtree, args=(folder, True), name="remove", daemon=True).start()
