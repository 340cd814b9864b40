"""Datasets are reloaded while the server serves them: running streams keep their version, new ones get the new version."""

import errno
import hashlib
import os
import signal
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
from starlette.requests import Request
from starlette.testclient import TestClient

from augsvc.data.formats.image_folder import ImageFolderSettings
from augsvc.engine.opening import KEPT_VERSIONS
from augsvc.errors import Forbidden
from augsvc.http import create_app
from augsvc.http.middleware.tokens import TokenStore
from augsvc.http.routes.reload import require_operator
from augsvc.settings import Settings
from augsvc_client import RequestRefused
from tests.http.serving import write_image, write_image_folder

SPEC = {"dataset": "pets", "size": [8, 8], "pipeline": "standard"}
RELOAD = "/v1/datasets/reload"
TRAINER, OPERATOR = "a-token-of-one-trainer", "a-token-of-the-operator"
TIMEOUT_S = 60  # exceeding it is a failure


@pytest.fixture
def root(tmp_path):
    return write_image_folder(tmp_path / "pets", {"cat": 7, "dog": 6})


@pytest.fixture
def other(tmp_path):
    return write_image_folder(tmp_path / "other", {"a": 2, "b": 2}, seed=5)


@pytest.fixture
def serving(serve, root, other):
    return started(serve, pets=root, other=other)


def started(serve, **folders):
    datasets = {name: {"format": "image_folder", "path": str(path)} for name, path in folders.items()}
    return serve(datasets=datasets, cache_bytes=1 << 20).ready()


def reload(serving):
    reply = serving.ask("POST", RELOAD)
    assert reply.status == 200, reply
    assert reply.json["state"] == "done"
    return {entry.pop("name"): entry for entry in reply.json["datasets"]}


def version(serving, name="pets"):
    versions = {entry["name"]: entry["version"] for entry in serving.get("/v1/datasets").json["datasets"]}
    return versions.get(name)


def epoch_hashes(serving, stream, epoch=0, count=4):
    """The SHA-256 of each batch of an epoch; a generator."""
    for start in range(0, stream["samples"], count):
        reply = serving.batch(stream, epoch, start, count)
        assert reply.status == 200, reply
        yield hashlib.sha256(reply.body).hexdigest()


# --- versions


def test_an_epoch_in_progress_ends_on_its_version_and_new_streams_begin_on_the_new_one(serve, serving, root):
    stream = serving.open(SPEC)
    undisturbed = list(epoch_hashes(serving, stream))
    running = epoch_hashes(serving, stream)
    first = [next(running), next(running)]
    write_image(root / "cat" / "zz.png", 77)  # all dogs get other indices
    write_image(root / "ant" / "1.png", 78)  # all classes other labels
    entry = reload(serving)["pets"]
    assert entry == {
        "former_version": stream["dataset_version"],
        "version": version(serving),
        "former_samples": 13,
        "samples": 15,
        "added": 2,
        "removed": 0,
        "changed": 0,
        "added_classes": ["ant"],
        "removed_classes": [],
        "labels_moved": True,
    }
    assert "pets: its classes changed (added: ant; removed: none), and others have other labels now" in serving.output()
    assert [*first, *running] == undisturbed
    later = serving.open(SPEC)
    assert later["dataset_version"] == entry["version"] != stream["dataset_version"]
    interleaved = list(zip(epoch_hashes(serving, stream), epoch_hashes(serving, later), strict=True))
    fresh = started(serve, pets=root)
    expected = list(epoch_hashes(fresh, fresh.open(SPEC)))
    assert fresh.open(SPEC)["id"] == later["id"]
    assert [ours for ours, _ in interleaved] == undisturbed
    assert [theirs for _, theirs in interleaved] == expected
    # elsewhere, and after a restart, the former version is another stream
    fresh.batch(stream, 0, 0, 4).refused(409, "stream_mismatch")


def test_the_clients_of_a_running_job_notice_nothing(serving, root):
    with serving.client() as client:
        stream = client.stream(SPEC)
        expected = [batch["image"].tobytes() for batch in stream.frames(2, 0, 4)]
        frames = stream.frames(2, 0, 4)
        got = [next(frames)["image"].tobytes()]
        write_image(root / "cat" / "000a.png", 79)
        assert reload(serving)["pets"]["added"] == 1
        got += [batch["image"].tobytes() for batch in frames]
        assert got == expected
        assert client.stream(SPEC).samples == stream.samples + 1


def test_removed_and_changed_files_are_counted_and_refused_on_the_former_version_only(serving, root):
    plain = {**SPEC, "shuffle": False}
    stream = serving.open(plain)
    (root / "dog" / "001.png").unlink()
    write_image(root / "dog" / "002.png", 90)
    entry = reload(serving)["pets"]
    assert (entry["added"], entry["removed"], entry["changed"], entry["samples"]) == (0, 1, 1, 12)
    assert serving.batch(stream, 0, 0, 8).status == 200
    assert "sample 8 of 'pets'" in serving.batch(stream, 0, 7, 2).refused(410, "dataset_changed")["message"]
    assert "sample 9 of 'pets'" in serving.batch(stream, 0, 9, 1).refused(410, "dataset_changed")["message"]
    assert serving.batch(stream, 0, 10, 3).status == 200
    assert len(list(epoch_hashes(serving, serving.open(plain)))) == 3


def test_nothing_has_changed(serving):
    before = version(serving), version(serving, "other")
    stream = serving.open(SPEC)
    entries = reload(serving)
    assert set(entries) == {"pets", "other"}
    for entry in entries.values():
        assert entry["version"] == entry["former_version"] and entry["samples"] == entry["former_samples"]
        assert entry["added"] == entry["removed"] == entry["changed"] == 0
    assert (version(serving), version(serving, "other")) == before
    assert serving.open(SPEC)["id"] == stream["id"]


def test_a_replaced_file_of_the_same_name_and_size_is_served_after_the_reload_as_after_a_restart(serve, serving, root):
    """Also where the former contents are still in the cache."""
    spec = {**SPEC, "shuffle": False}
    stream = serving.open(spec)
    for path in ("cat/000.png", "cat/001.png"):
        (root / path).write_bytes((root / path).read_bytes())
    serving.batch(stream, 0, 0, 1).refused(410, "dataset_changed")
    served = serving.batch(stream, 0, 2, 1).sha
    content = bytearray((root / "cat" / "002.png").read_bytes())
    content[-5] ^= 1  # it cannot be decoded any more
    other = (root / "cat" / "002.png").with_name("x")
    other.write_bytes(content)
    other.rename(root / "cat" / "002.png")
    assert serving.batch(stream, 0, 2, 1).sha == served  # from the cache
    entry = reload(serving)["pets"]
    assert entry["version"] == entry["former_version"] and entry["changed"] == 3
    serving.until(lambda: "3 files were modified or replaced, but names and sizes" in serving.output())
    fresh = started(serve, pets=root)
    assert fresh.open(spec)["id"] == stream["id"]
    assert list(epoch_hashes(serving, stream)) == list(epoch_hashes(fresh, stream))


def test_a_folder_that_is_put_back_is_the_first_version_again(serving, root):
    stream = serving.open(SPEC)
    undisturbed = list(epoch_hashes(serving, stream))
    write_image(root / "cat" / "zz.png", 77)
    reload(serving)
    serving.open(SPEC)
    (root / "cat" / "zz.png").unlink()
    assert reload(serving)["pets"]["version"] == stream["dataset_version"]
    assert serving.open(SPEC)["id"] == stream["id"]
    assert list(epoch_hashes(serving, stream)) == undisturbed


def test_only_the_last_versions_are_kept_and_only_while_they_are_used(serving, root):
    streams = []
    for n in range(KEPT_VERSIONS + 2):
        streams.append(serving.open(SPEC))
        write_image(root / "cat" / f"new{n}.png", 200 + n)
        reload(serving)
        write_image(root / "cat" / f"unused{n}.png", 300 + n)
        reload(serving)  # no stream of the version before
    statuses = [serving.batch(stream, 0, 0, 4).status for stream in streams]
    assert statuses == [409, 409, 409] + [200] * (KEPT_VERSIONS - 1)  # one is that before the last reload


def test_other_streams_of_a_kept_version_are_opened_from_their_header(serve, serving, root):
    """As of a job whose replica goes down: this one has never seen its streams."""
    other = started(serve, pets=root)
    stream = other.open({**SPEC, "aug_seed": 5})
    write_image(root / "cat" / "zz.png", 77)
    assert reload(serving)["pets"]["added"] == 1
    assert list(epoch_hashes(serving, stream)) == list(epoch_hashes(other, stream))
    mismatch = serving.batch({**stream, "id": "0" * 32}, 0, 0, 4).refused(409, "stream_mismatch")
    assert mismatch["dataset_version"] == version(serving)


def test_a_link_to_the_folder_may_be_switched(serve, root, tmp_path):
    """All files of running jobs stay."""
    link = tmp_path / "current"
    link.symlink_to(root)
    serving = started(serve, pets=link)
    stream = serving.open(SPEC)
    undisturbed = list(epoch_hashes(serving, stream))
    link.unlink()
    link.symlink_to(write_image_folder(tmp_path / "next", {"cat": 3, "dog": 5}, seed=9))
    entry = reload(serving)["pets"]
    assert (entry["samples"], entry["added"], entry["removed"], entry["changed"]) == (8, 0, 5, 8)
    assert list(epoch_hashes(serving, stream)) == undisturbed
    assert len(list(epoch_hashes(serving, serving.open(SPEC)))) == 2


def test_splits_come_and_go(serving, root, tmp_path):
    stream = serving.open(SPEC)
    undisturbed = list(epoch_hashes(serving, stream))
    (tmp_path / "moved").mkdir()
    for split in ("train", "val"):
        write_image_folder(tmp_path / "moved" / split, {"cat": 2, "dog": 2})
    (tmp_path / "moved" / "train").rename(root / "train")
    (tmp_path / "moved" / "val").rename(root / "val")
    entries = reload(serving)
    assert set(entries) == {"pets", "pets/train", "pets/val", "other"}
    assert (entries["pets"]["version"], entries["pets"]["removed"]) == (None, 13)
    assert (entries["pets/train"]["former_version"], entries["pets/train"]["added"]) == (None, 4)
    error = serving.post(SPEC).refused(404, "unknown_dataset")
    assert "pets/train or pets/val" in error["message"]
    assert serving.open({**SPEC, "dataset": "pets/val"})["samples"] == 4
    assert list(epoch_hashes(serving, stream)) == undisturbed


# --- faults


def test_a_folder_with_a_fault_is_served_as_before_and_the_others_are_reloaded(serving, root, other, tmp_path):
    stream, before = serving.open(SPEC), version(serving)
    undisturbed = list(epoch_hashes(serving, stream))
    write_image(other / "a" / "new.png", 5)
    for fault in (lambda: root.rename(tmp_path / "away"), root.mkdir):  # without a root, with an empty one
        fault()
        error = serving.ask("POST", RELOAD).refused(409, "reload_failed")
        assert "pets" in error["message"] and str(tmp_path) not in error["message"]
        assert version(serving) == before
        assert serving.open(SPEC)["id"] == stream["id"]
    assert serving.open({**SPEC, "dataset": "other"})["samples"] == 5
    log = serving.output()
    assert f"reload_failed: pets is served as before: dataset 'pets': {root} is not a directory" in log
    assert f"dataset 'pets': {root} has no sub-folders" in log
    root.rmdir()
    (tmp_path / "away").rename(root)
    assert reload(serving)["pets"]["version"] == before
    assert list(epoch_hashes(serving, stream)) == undisturbed


def test_a_fault_of_the_disk_is_no_new_version(held, root, monkeypatch, caplog):
    client, gate, _, _ = held
    gate.set()
    before, scandir = client.get("/v1/datasets").json(), os.scandir

    def failing(path):
        if str(path).endswith("dog"):
            raise OSError(errno.EIO, os.strerror(errno.EIO), str(path))
        return scandir(path)

    with monkeypatch.context() as patch:
        patch.setattr(os, "scandir", failing)
        reply = client.post(RELOAD)
    assert reply.status_code == 409 and "reload_failed" in reply.text
    assert client.get("/v1/datasets").json() == before
    assert f"pets is served as before: dataset 'pets': {root / 'dog'} could not be read in 3 attempts" in caplog.text
    assert client.post(RELOAD).json()["datasets"][0]["removed"] == 0


# --- at the same time


def test_reloads_at_the_same_time(serving, root):
    write_image(root / "cat" / "zz.png", 77)
    with ThreadPoolExecutor(8) as threads:
        entries = [entry["pets"] for entry in threads.map(lambda _: reload(serving), range(8))]
    assert {entry["version"] for entry in entries} == {version(serving)}
    assert {(entry["former_samples"], entry["added"]) for entry in entries} <= {(13, 1), (14, 0)}
    assert (13, 1) in {(entry["former_samples"], entry["added"]) for entry in entries}


@pytest.fixture
def held(root, monkeypatch):
    """An application whose folders are indexed at a gate once it has started."""
    gate, begun, indexed = threading.Event(), threading.Semaphore(0), []
    opening = ImageFolderSettings.open

    def held_open(self, name, cache):
        if indexed:
            begun.release()
            assert gate.wait(TIMEOUT_S)
        indexed.append(name)
        return opening(self, name, cache)

    monkeypatch.setattr(ImageFolderSettings, "open", held_open)
    datasets = {"pets": {"format": "image_folder", "path": root}}
    app = create_app(Settings(datasets=datasets, request_timeout_s=2.0))
    with TestClient(app, "http://localhost", client=("127.0.0.1", 1)) as client:
        while client.get("/readyz").status_code != 200:
            pass
        yield client, gate, begun, indexed
        gate.set()


def test_a_reload_blocks_no_request_and_goes_on_after_its_answer(held, root):
    client, gate, begun, _ = held
    while client.post("/v1/streams", json=SPEC).status_code != 200:
        pass  # what it runs is tested when it is first opened, on a busy machine for longer than a request may take
    before = client.get("/v1/datasets").json()
    write_image(root / "cat" / "zz.png", 77)
    reply = client.post(RELOAD)
    assert (reply.status_code, reply.json()) == (202, {"state": "running", "datasets": []})
    assert begun.acquire(timeout=TIMEOUT_S)
    assert client.get("/v1/datasets").json() == before
    stream = client.post("/v1/streams", json=SPEC).json()
    assert client.get(f"/v1/streams/{stream['id']}/epochs/0?start=0&count=13").status_code == 200
    gate.set()
    while client.get("/v1/datasets").json() == before:
        pass
    assert client.post("/v1/streams", json=SPEC).json()["samples"] == 14


def test_all_reloads_that_are_requested_meanwhile_are_one(held):
    client, gate, begun, indexed = held
    reloader = client.app.state.reloader
    first = reloader.request()
    assert begun.acquire(timeout=TIMEOUT_S)
    others = [reloader.request() for _ in range(50)]
    assert others[0].cancel()
    gate.set()
    assert first.result(TIMEOUT_S)
    for request in others[1:]:
        assert request.result(TIMEOUT_S)
    assert indexed == ["pets"] * 3  # at the start, for the first, for all others


def test_sighup_reloads_and_rereads_the_tokens(serve, root, tmp_path):
    tokens = tmp_path / "tokens.yaml"
    tokens.write_text(f"one: {{token: {TRAINER}}}\n")
    datasets = {"pets": {"format": "image_folder", "path": str(root)}}
    for serving in (serve(datasets=datasets), serve(datasets=datasets, tokens_file=str(tokens))):
        serving.token = TRAINER
        serving.ready()
        with serving.client() as client:
            stream = client.stream(SPEC)
            expected = [batch["image"].tobytes() for batch in stream.frames(0, 0, 4)]
            samples = stream.samples
            write_image(root / "dog" / f"{samples}.png", samples)
            serving.signal(signal.SIGHUP)
            serving.until(lambda more=samples + 1: client.stream(SPEC).samples == more)
            assert [batch["image"].tobytes() for batch in stream.frames(0, 0, 4)] == expected
        line = f"pets reloaded: {samples + 1} samples (1 added, 0 removed, 0 changed)"
        serving.until(
            lambda serving=serving, line=line: line in serving.output()
        )  # written after the first stream of it can be opened


# --- access


def test_a_reload_needs_an_operators_token(serve, root, tmp_path):
    tokens = tmp_path / "tokens.yaml"
    tokens.write_text(f"one: {{token: {TRAINER}}}\nadmin: {{token: {OPERATOR}, operator: true}}\n")
    serving = serve(datasets={"pets": {"format": "image_folder", "path": str(root)}}, tokens_file=str(tokens))
    serving.token = TRAINER
    serving.ready()
    serving.ask("POST", RELOAD).refused(401, "unauthorized")
    serving.ask("POST", RELOAD, {"Authorization": f"Bearer {TRAINER}"}).refused(403, "forbidden")
    assert "reloaded" not in serving.output()
    assert serving.ask("POST", RELOAD, {"Authorization": f"Bearer {OPERATOR}"}).status == 200
    assert serving.ask("GET", RELOAD, {"Authorization": f"Bearer {OPERATOR}"}).status == 405


def test_without_tokens_only_programs_on_this_machine_may(serving):
    serving.ask("POST", RELOAD, {"Origin": "https://example.org"}).refused(403, "forbidden")
    serving.ask("POST", RELOAD, {"X-Forwarded-For": "192.0.2.7"}).refused(403, "forbidden")
    tokens = TokenStore(Settings())

    def require(client, **headers):
        raw = [(name.encode(), value.encode()) for name, value in headers.items()]
        require_operator(Request({"type": "http", "client": client, "headers": raw}), tokens)

    for host in ("127.0.0.1", "127.9.9.9", "::1", "::ffff:127.0.0.1"):
        require((host, 1))
    require(None)  # a Unix socket
    for host in ("192.0.2.7", "::ffff:192.0.2.7", "2001:db8::1", ""):
        with pytest.raises(Forbidden):
            require((host, 1))


def test_the_error_names_the_cure(serving, root):
    with serving.client(wait_s=60) as client:
        stream = client.stream({**SPEC, "shuffle": False})
        (root / "dog" / "000.png").unlink()
        with pytest.raises(RequestRefused, match="restore the file, then reload the datasets or restart the server"):
            stream.batch(0, 7, 1)
