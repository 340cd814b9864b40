"""Datasets are uploaded to a running server: whole, in parts, again after a break; what is invalid leaves nothing behind."""

import hashlib
import io
import itertools
import json
import os
import tarfile
import time
from pathlib import Path
from urllib.parse import urlencode

import pytest
import yaml

from augsvc_client import Client, RequestRefused
from augsvc_client.client import upload as client_upload
from augsvc_client.client.folder_tar import FolderTar
from augsvc_client.wire import digest
from tests.forked import run_command
from tests.http.serving import CLEAN, START_S, replies, write_image, write_image_folder

TOKENS = {
    "ada": {"token": "a-token-that-uploads-1", "upload": "1MiB"},
    "bob": {"token": "a-token-that-uploads-2", "upload": "1MiB"},
    "eve": {"token": "a-token-that-only-reads"},
    "ops": {"token": "a-token-of-the-operator", "operator": True},
}
SPEC = {"size": [8, 8], "shuffle": False, "pipeline": "standard"}
NAMES = (f"set{n}" for n in itertools.count())
QUERY = {"format": "image_folder"}


class Uploading:
    """A server that takes uploads, and requests with the tokens of its clients."""

    def __init__(self, serve, root: Path, **settings) -> None:
        self.path = root / "uploads"
        (root / "tokens.yaml").write_text(yaml.safe_dump(TOKENS), encoding="utf-8")
        uploads = {"path": str(self.path), "bytes": "1536KiB"}
        self.serving = serve(uploads=uploads, tokens_file=str(root / "tokens.yaml"), **settings)
        self.serving.token = TOKENS["ada"]["token"]
        self.serving.ready(wait_for_self_test=False)

    def ask(self, method, path, who="ada", body=None, **headers):
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return self.serving.ask(method, path, {"Authorization": f"Bearer {TOKENS[who]['token']}"} | named, body)

    def put(self, name, data: bytes, who="ada", **fields):
        """A whole tar file in one request."""
        sha256 = hashlib.sha256(data).hexdigest()
        return self.ask("PUT", path_of(name, **{"sha256": sha256} | fields), who, data)

    def part(self, name, data: bytes, start: int, stop: int, who="ada", **headers):
        """A part of it; none: only the state."""
        where = f"{start}-{stop - 1}" if stop > start else "*"
        headers = {"Content_Range": f"bytes {where}/{len(data)}"} | headers
        return self.ask("PUT", path_of(name, sha256=hashlib.sha256(data).hexdigest()), who, data[start:stop], **headers)

    def uploads(self):
        return {entry["name"]: entry for entry in self.ask("GET", "/v1/uploads").json["uploads"]}

    def datasets(self):
        return {entry["name"]: entry for entry in self.ask("GET", "/v1/datasets").json["datasets"]}

    def files(self):
        """Everything in the folder of uploads, without what is being removed."""
        walked = os.walk(self.path)  # which passes over a folder that is removed meanwhile
        entries = (Path(folder, name) for folder, folders, files in walked for name in [*folders, *files])
        visible = (str(entry.relative_to(self.path)) for entry in entries)
        return {entry for entry in visible if not entry.startswith(".")}

    def client(self, who="ada", wait_s=60.0) -> Client:
        return Client(self.serving.url, token=TOKENS[who]["token"], wait_s=wait_s)


def head_of(name, data: bytes) -> bytes:
    """The head of a request with a whole tar file."""
    target = path_of(name, sha256=hashlib.sha256(data).hexdigest())
    credentials = f"Host: localhost\r\nAuthorization: Bearer {TOKENS['ada']['token']}\r\n"
    return f"PUT {target} HTTP/1.1\r\n{credentials}Content-Length: {len(data)}\r\n\r\n".encode()


def path_of(name, **fields):
    return f"/v1/datasets/{name}?{urlencode(QUERY | fields)}"


@pytest.fixture(scope="module")
def uploading(serve, tmp_path_factory):
    return Uploading(serve, tmp_path_factory.mktemp("uploading"))


@pytest.fixture
def name(uploading):
    """A name that no other test uses; its dataset is deleted afterwards."""
    name = next(NAMES)
    yield name
    uploading.ask("DELETE", f"/v1/datasets/{name}", "ops")


def tar_of(folder: Path) -> bytes:
    tar = FolderTar(folder)
    return tar.read(0, tar.n_bytes)


@pytest.fixture(scope="module")
def pets(tmp_path_factory):
    return write_image_folder(tmp_path_factory.mktemp("pets") / "pets", {"cat": 6, "dog": 5})


@pytest.fixture(scope="module")
def data(pets):
    return tar_of(pets)


def epoch(uploading, stream) -> list[str]:
    header = {"Augsvc_Spec": stream["header"]}
    paths = (f"/v1/streams/{stream['id']}/epochs/0?start={start}&count=4" for start in range(0, stream["samples"], 4))
    return [uploading.ask("GET", path, **header).sha for path in paths]


def open_stream(uploading, name):
    body = json.dumps({"dataset": name} | SPEC)
    reply = uploading.ask("POST", "/v1/streams", "eve", body, Content_Type="application/json")
    assert reply.status == 200, reply
    return reply.json


# --- a dataset


def test_a_folder_is_pushed_and_served_as_an_operators_folder_of_that_name(serve, uploading, name, pets, tmp_path):
    (pets / "cat" / ".hidden").write_text("no sample")
    phases = {}
    with uploading.client() as client:
        answer = client.push_dataset(
            pets, name, progress=lambda phase, done, total: phases.update({phase: done / total})
        )
        assert phases == {"reading": 1.0, "sending": 1.0}
        assert client.push_dataset(pets, name)[0]["datasets"] == answer[0]["datasets"]  # it is there already
    version = uploading.datasets()[name]["version"]
    assert answer[0]["datasets"] == {name: version}
    entry = uploading.uploads()[name]
    assert (entry["state"], entry["client"], entry["datasets"]) == ("served", "ada", {name: version})
    assert entry["disk_bytes"] == (3 + 11) * 4096
    stream = open_stream(uploading, name)
    (pets / "cat" / ".hidden").unlink()
    entry = {"format": "image_folder", "path": str(pets), "digest_contents": True}
    own = serve(datasets={name: entry}).ready()
    theirs = own.open({"dataset": name} | SPEC)
    assert theirs["dataset_version"] == version
    assert epoch(uploading, stream) == [own.batch(theirs, 0, start, 4).sha for start in range(0, 11, 4)]


def test_a_tar_file_in_one_request_of_curl(uploading, name, data):
    reply = uploading.put(name, data, options=json.dumps({"channels": 1}))
    assert reply.status == 200, reply
    assert reply.json["state"] == "done"
    assert open_stream(uploading, name)["samples"] == 11


def test_a_new_version_beside_the_old_one(uploading, name, pets, data, tmp_path):
    assert uploading.put(name, data).status == 200
    stream = open_stream(uploading, name)
    expected = epoch(uploading, stream)
    other = write_image_folder(tmp_path / "other", {"cat": 3, "dog": 2, "emu": 4}, seed=9)
    assert uploading.put(name, tar_of(other)).status == 200
    assert epoch(uploading, stream) == expected
    assert open_stream(uploading, name)["samples"] == 9
    assert uploading.put(name, data).status == 200  # the first folder is removed, the second kept
    assert len(list((uploading.path / name).glob("*/cat"))) <= 3


def test_other_contents_of_the_same_sizes_are_another_version(uploading, name, tmp_path):
    """Also where another dataset, or none, had the name in between."""
    folder = tmp_path / "folder"
    for label in ("a", "b"):
        (folder / label).mkdir(parents=True)
        (folder / label / "1.png").write_bytes(b"0" * 100)
    first = tar_of(folder)
    (folder / "a" / "1.png").write_bytes(b"1" * 100)
    second = tar_of(folder)

    def version_of(data):
        assert uploading.put(name, data).status == 200
        return uploading.datasets()[name]["version"]

    versions = [version_of(first), version_of(second), version_of(first)]
    assert uploading.ask("DELETE", f"/v1/datasets/{name}").status == 204
    versions.append(version_of(second))
    assert versions[0] == versions[2] != versions[1] == versions[3]


def test_a_job_reads_while_the_dataset_is_deleted(uploading, name, data):
    assert uploading.put(name, data).status == 200
    stream = open_stream(uploading, name)
    path = f"/v1/streams/{stream['id']}/epochs/0?start=0&count=4"
    assert uploading.ask("GET", path).status == 200
    assert uploading.ask("DELETE", f"/v1/datasets/{name}").status == 204
    assert name not in uploading.datasets()
    uploading.serving.until(lambda: not any(uploading.path.glob(".removed-*")))
    uploading.ask("GET", path.replace("start=0", "start=4")).refused(410, "dataset_changed")
    assert not any(entry.startswith(name) for entry in uploading.files())
    uploading.ask("DELETE", f"/v1/datasets/{name}").refused(404, "unknown_dataset")


# --- breaks


def test_a_body_that_breaks_off_continues_where_the_server_states(uploading, name, data):
    with uploading.serving.send(head_of(name, data) + data[:5000]):
        uploading.serving.until(lambda: uploading.uploads().get(name, {}).get("offset") == 5000)
    uploading.serving.until(lambda: uploading.part(name, data, 0, 0).json["state"] == "receiving")
    assert uploading.part(name, data, 0, 0).json == {"name": name, "state": "receiving", "offset": 5000}
    assert name not in uploading.datasets()
    error = uploading.part(name, data, 4000, 6000).refused(409, "upload_conflict")
    assert error["offset"] == 5000
    assert uploading.part(name, data, 5000, 9000).json["offset"] == 9000
    assert uploading.part(name, data, 9000, len(data)).json["state"] == "done"


def test_a_damaged_part_counts_for_nothing(uploading, name, data):
    good = {"Augsvc_Digest": digest(data[:4000])}
    assert uploading.part(name, data, 0, 4000, **good).json["offset"] == 4000
    uploading.part(name, data, 4000, 8000, **good).refused(400, "body_damaged")
    assert uploading.part(name, data, 0, 0).json["offset"] == 4000


def test_the_client_continues_through_breaks_and_a_restart(serve, tmp_path, pets, monkeypatch):
    monkeypatch.setattr(client_upload, "PART_BYTES", 4096)
    uploading = Uploading(serve, tmp_path)
    offsets = []

    def restart(phase, done, total):
        if phase == "sending" and done >= 8192 and not offsets:
            offsets.append(done)
            uploading.serving.kill()
            uploading.serving.begin()

    with uploading.client(wait_s=100) as client:
        client.push_dataset(pets, "animals", progress=restart)
    assert offsets == [8192]
    uploading.serving.kill()
    uploading.serving.begin().ready(wait_for_self_test=False)  # it is found again
    assert uploading.uploads()["animals"]["state"] == "served"
    stream = open_stream(uploading, "animals")
    assert all(epoch(uploading, stream))
    # unfinished ones stay for a day, and what nothing names is removed
    half = tar_of(pets)
    assert uploading.part("fresh", half, 0, 1000).json["offset"] == 1000
    assert uploading.part("old", half, 0, 1000).json["offset"] == 1000
    uploading.serving.kill()
    day_before = time.time() - 90_000
    os.utime(uploading.path / "old" / "upload.tar", (day_before, day_before))
    write_image(uploading.path / "animals" / "0123456789abcdef" / "cat" / "1.png", 1)
    write_image(uploading.path / "animals" / "1.png", 1)
    uploading.serving.begin().ready(wait_for_self_test=False)
    assert {name: entry["state"] for name, entry in uploading.uploads().items()} == {
        "animals": "served",
        "fresh": "receiving",
    }
    assert uploading.part("fresh", half, 0, 0).json["offset"] == 1000
    assert not (uploading.path / "animals" / "0123456789abcdef").exists()


def test_a_slow_upload_continues_while_it_makes_progress_and_times_out_when_it_stalls(serve, tmp_path, data):
    uploading = Uploading(serve, tmp_path, request_timeout_s=1, min_client_bytes_per_s=4)
    stop = time.monotonic() + 2  # longer than the timeout
    with uploading.serving.send(head_of("slow", data) + data[:200]) as connection:
        sent = 200
        while time.monotonic() < stop and sent < len(data) - 200:
            uploading.serving.until(lambda: uploading.uploads().get("slow", {}).get("offset") == sent)  # noqa: B023
            connection.sendall(data[sent : sent + 4])
            sent += 4
        replies(connection)[0].refused(503, "deadline_exceeded")
    assert time.monotonic() > stop
    assert uploading.part("slow", data, sent, len(data)).json["state"] == "done"


def test_the_command_pushes_and_reports_what_is_wrong(uploading, name, pets, data):
    def push(*arguments, who="ada"):
        environment = CLEAN | {"AUGSVC_URL": uploading.serving.url, "AUGSVC_TOKEN": TOKENS[who]["token"]}
        return run_command(["push", pets, "--name", *arguments], pets, environment, START_S)

    uploading.part(f"{name}-begun", data, 0, 4000)
    assert push(f"{name}-begun").stderr == f"continues at 4,000 of {len(data):,} bytes\n"
    uploading.ask("DELETE", f"/v1/datasets/{name}-begun", "ops")
    pushed = push(name, "--option", "channels=1")
    assert (pushed.returncode, pushed.stderr) == (0, "")
    assert pushed.stdout == f"{name} is served, version {uploading.datasets()[name]['version'][:12]}\n"
    refused = push(name, "--option", "path=/etc")
    assert refused.returncode == 2
    assert "options of image_folder are channels, layout" in refused.stderr
    assert "may upload: one with `upload: BYTES`" in push(name, who="eve").stderr


# --- refused


def test_what_is_no_dataset_leaves_nothing(uploading, name, data):
    before = uploading.files()
    hostile = io.BytesIO()
    with tarfile.open(fileobj=hostile, mode="w") as archive:
        info = tarfile.TarInfo("cat/1.png")
        info.type, info.linkname = tarfile.SYMTYPE, "/etc/passwd"
        archive.addfile(info)
    empty = io.BytesIO()
    with tarfile.open(fileobj=empty, mode="w") as archive:
        archive.addfile(tarfile.TarInfo("1.png"))
    quadratic = tarfile.TarInfo("x")
    quadratic.type, quadratic.size = tarfile.XHDTYPE, 1 << 19  # 15 minutes in `tarfile`
    bodies = {
        "is a link": hostile.getvalue(),
        "a PAX header is damaged": quadratic.tobuf() + b"1" * quadratic.size,
        "damaged or cut": data[:-9000],
        "put the images of each class": empty.getvalue(),
    }
    for reason, body in bodies.items():
        message = uploading.put(name, body).refused(422, "upload_invalid")["message"]
        assert reason in message
        assert str(uploading.path) not in message
    message = uploading.put(name, data, sha256="0" * 64).refused(422, "upload_invalid")["message"]
    assert "announced sha256" in message
    assert uploading.files() <= before  # what others removed may still be going
    assert name not in uploading.uploads()
    assert name not in uploading.datasets()


def test_metrics_of_uploads(uploading, name, data):
    names = (
        "augsvc_upload_bytes_total",
        'augsvc_uploads_total{result="served"}',
        'augsvc_uploads_total{result="failed"}',
    )

    def counts():
        text = uploading.ask("GET", "/metrics", "ops").body.decode()
        values = dict(line.rsplit(" ", 1) for line in text.splitlines() if not line.startswith("#"))
        return [int(float(values[metric])) for metric in (*names, "augsvc_upload_disk_bytes")]

    before = counts()
    uploading.put(name, data, sha256="0" * 64).refused(422, "upload_invalid")
    assert uploading.part(name, data, 0, 4000).json["offset"] == 4000
    assert uploading.part(name, data, 4000, len(data)).json["state"] == "done"
    changes = [after - former for after, former in zip(counts(), before, strict=True)]
    assert changes == [2 * len(data), 1, 1, uploading.uploads()[name]["disk_bytes"]]


def test_lengths_that_contradict_each_other(uploading, name, data):
    def refused(body, **headers):
        reply = uploading.ask("PUT", path_of(name, sha256="0" * 64), body=body, **headers)
        return reply.refused(422, "spec_invalid")["field"]

    assert refused(data[:100], Content_Range="bytes 0-199/1000") == "Content-Range"
    assert refused(data[:100], Content_Range="bytes 0-99/50") == "Content-Range"
    assert refused(data[:100], Content_Range="bytes */1000") == "Content-Range"
    assert refused(data[:100], Content_Range="items 0-99/1000") == "Content-Range"
    assert refused(b"") == "Content-Range"
    assert refused(iter([data[:100]])) == "Content-Length"
    assert name not in uploading.uploads()


def test_options_that_only_operators_set(uploading, name, data):
    def field(**fields):
        return uploading.put(name, data, **fields).refused(422, "spec_invalid")["field"]

    assert field(format="coco") == "format"
    assert field(sha256="xyz") == "sha256"
    for option, value in {
        "path": "/etc",
        "follow_links": ["/"],
        "statistics": "/x",
        "max_pixels": 10**8,
        "channels": 2,
    }.items():
        assert field(options=json.dumps({option: value})) == f"options.{option}"
    uploading.put("../../x", data).refused(404, "not_found")
    uploading.put("..", data).refused(422, "spec_invalid")
    message = uploading.put(".hidden", data).refused(422, "spec_invalid")["message"]
    assert message == "name may contain letters, digits, _ and - only, with single dots between them"
    message = uploading.put("name", data, sha256="0" * 63).refused(422, "spec_invalid")["message"]
    assert message == "sha256 must be 64 hexadecimal digits in lower case"


def test_rights_and_names(uploading, name, data):
    uploading.put(name, data, "eve").refused(403, "forbidden")
    uploading.ask("GET", "/v1/uploads", "eve").refused(403, "forbidden")
    for taken in ("pets", "photos"):
        uploading.put(taken, data).refused(409, "name_taken")
    assert uploading.put(name, data).status == 200
    uploading.put(name, data, "bob").refused(409, "name_taken")
    uploading.ask("DELETE", f"/v1/datasets/{name}", "bob").refused(403, "forbidden")
    uploading.ask("DELETE", "/v1/datasets/pets", "ops").refused(404, "unknown_dataset")
    assert uploading.ask("DELETE", f"/v1/datasets/{name}", "ops").status == 204
    with uploading.client("eve") as client, pytest.raises(RequestRefused, match="may upload"):
        client.push_dataset(Path(__file__).parent, name)


def test_a_server_without_the_setting_takes_none(server, data):
    server.ask("PUT", path_of("x", sha256="0" * 64), {}, data).refused(403, "forbidden")


def test_quotas_of_clients_and_of_the_server(uploading, data):
    big = data + bytes(900_000 // 512 * 512)  # zeros after the end
    names = [next(NAMES) for _ in range(3)]
    try:
        assert uploading.part(names[0], big, 0, 1000).json["offset"] == 1000  # reserves its whole length
        message = uploading.part(names[1], big, 0, 1000).refused(413, "upload_too_large")["message"]
        assert "are left of the quota" in message
        uploading.part(names[2], big, 0, 1000, "bob").refused(413, "upload_too_large")  # 1.5 MiB for all
        assert uploading.put(names[2], data, "bob").status == 200
        many = io.BytesIO()
        with tarfile.open(fileobj=many, mode="w") as archive:
            for number in range(400):  # 200 kB, which are 1.6 MB on disk
                archive.addfile(tarfile.TarInfo(f"a/{number}.png"))
        uploading.put(names[1], many.getvalue(), "bob").refused(413, "upload_too_large")
        assert set(uploading.uploads()) & set(names) == {names[0], names[2]}
    finally:
        for name in names:
            uploading.ask("DELETE", f"/v1/datasets/{name}", "ops")
    assert uploading.uploads() == {}


def test_two_uploads_of_one_name(uploading, name, data, tmp_path):
    other = tar_of(write_image_folder(tmp_path / "other", {"a": 3, "b": 3}, seed=4))
    with uploading.serving.send(head_of(name, data) + data[:5000]) as first:
        uploading.serving.until(lambda: uploading.uploads().get(name, {}).get("offset") == 5000)
        uploading.put(name, other).refused(409, "upload_conflict")
        # the same upload, on another connection: the older one is given the conflict
        assert uploading.part(name, data, 5000, len(data)).json["state"] == "done"
        first.sendall(data[5000:])
        replies(first)[0].refused(409, "upload_conflict")
    assert open_stream(uploading, name)["samples"] == 11
