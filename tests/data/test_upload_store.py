"""The store of uploads without a server: what remains on the disk after faults and restarts."""

import errno
import gc
import hashlib
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from augsvc.data.cache import DecodedCache
from augsvc.data.uploads import store as module
from augsvc.data.uploads.records import Announcement
from augsvc.data.uploads.store import UploadStore
from augsvc.data.uploads.upload import needed_bytes
from augsvc.errors import NameTaken, StorageFull
from augsvc_client.client.folder_tar import FolderTar
from tests.http.serving import write_image_folder

PLENTY = 1 << 30
TIMEOUT_S = 60  # exceeding it is a failure


@pytest.fixture
def data(tmp_path):
    tar = FolderTar(write_image_folder(tmp_path / "pets", {"cat": 2, "dog": 2}))
    return tar.read(0, tar.n_bytes)


def announcement(data, client="ada"):
    digest = hashlib.sha256(data).hexdigest()
    return Announcement(client=client, sha256=digest, n_bytes=len(data), format="image_folder", options={})


def opened(tmp_path, taken=()):
    """A store, and the sources that it serves."""
    served = {}
    return UploadStore(tmp_path / "up", PLENTY, DecodedCache(0), served.__setitem__, taken), served


def send(store, name, data):
    part = store.begin(name, announcement(data), None, None, PLENTY)
    part.write(data)
    part.complete()
    store.end(name, part)


def finish(store, name, data):
    """The state of an upload, once the threads that began with it have ended: they refer to the store."""
    others = set(threading.enumerate())
    state = store.finish(name, announcement(data), PLENTY)
    try:
        return state.result(TIMEOUT_S)
    finally:
        for thread in set(threading.enumerate()) - others:
            thread.join(TIMEOUT_S)


def test_metrics_do_not_wait_for_a_slow_disk(tmp_path, data, monkeypatch):
    """They are read on the event loop, which all jobs share."""
    store, _ = opened(tmp_path)
    first = announcement(data)
    store.begin("pets", first, None, None, PLENTY)
    begun, goes_on = threading.Event(), threading.Event()

    def slow(*_):
        begun.set()
        assert goes_on.wait(2 * TIMEOUT_S)

    monkeypatch.setattr("augsvc.data.uploads.upload.write_record", slow)
    with ThreadPoolExecutor(2) as threads:
        writing = threads.submit(store.begin, "dogs", first, None, None, PLENTY)
        assert begun.wait(TIMEOUT_S)
        read = threads.submit(lambda: store.disk_bytes)
        try:
            assert read.result(TIMEOUT_S) == needed_bytes(first)
        finally:
            goes_on.set()
        writing.result(TIMEOUT_S)
    assert store.disk_bytes == 2 * needed_bytes(first)


def test_a_disk_that_fills_while_an_upload_is_unpacked(tmp_path, data, monkeypatch):
    store, served = opened(tmp_path)
    send(store, "pets", data)

    def unpack(tar, folder, limit_bytes):
        (folder / "cat").mkdir(parents=True)
        raise OSError(errno.ENOSPC, "no space")

    with monkeypatch.context() as patch:
        patch.setattr(module, "unpack", unpack)
        with pytest.raises(StorageFull):
            finish(store, "pets", data)
    assert {path.name for path in (tmp_path / "up" / "pets").iterdir()} == {"upload.json", "upload.tar"}
    assert served == {}
    assert finish(store, "pets", data)["state"] == "done"  # there is space now: nothing is sent again
    assert [len(source) for source in served["pets"]] == [4]


def test_a_part_that_has_ended_writes_no_more(tmp_path, data):
    """A request timed out while a thread was to write: the number of its file may be another file's by then."""
    store, _ = opened(tmp_path)
    part = store.begin("pets", announcement(data), None, None, PLENTY)
    part.write(data[:600])
    store.end("pets", part)
    other = (tmp_path / "other").open("wb+")
    with other:
        part.write(b"x" * 1000)
        assert other.seek(0, 2) == 0
    assert finish(store, "pets", data)["offset"] == 600


def test_what_a_restart_serves(tmp_path, data):
    store, _ = opened(tmp_path)
    for name in ("kept", "changed", "damaged", "taken"):
        send(store, name, data)
        finish(store, name, data)
    with pytest.raises(ValueError, match="another server uses this folder"):
        opened(tmp_path)
    del store
    gc.collect()
    root = tmp_path / "up"
    next((root / "changed").glob("*/cat/000.png")).unlink()
    (root / "damaged" / "dataset.json").write_text("{")
    store, served = opened(tmp_path, taken={"taken"})
    assert set(served) == {"kept"}
    assert {entry["name"]: entry["state"] for entry in store.entries()} == {
        "changed": "not_served",
        "kept": "served",
        "taken": "not_served",
    }
    with pytest.raises(NameTaken):
        send(store, "taken", data)
    send(store, "changed", data)  # it can be repaired
    assert finish(store, "changed", data)["state"] == "done"
    assert set(served) == {"kept", "changed"}
