"""The client against servers that fail in every way: right bytes, or an error that says what to do."""

import logging
import multiprocessing
import os
import pickle
import select
import subprocess
import sys
import threading
import time

import numpy as np
import pytest
import torch
from replica import TENSORS, Replica, expected

from augsvc_client import (
    AugsvcError,
    Client,
    RequestRefused,
    ServerUnavailable,
    StreamChanged,
    Unauthorized,
)
from augsvc_client.client.retry import RetryLater, RetryState
from augsvc_client.specification import to_json_types
from augsvc_client.transport.address import Replica as Address

GOOD, BAD = "s3cret", "b4d"
SPEC = {"dataset": "digits/train", "shuffle": True}


def right(stream, epoch=1, start=3, count=5, view=0):
    arrays = stream.batch(epoch, start, count, view)
    wanted = expected(stream.spec, epoch, start, count, stream.samples, view)
    assert arrays.keys() == wanted.keys()
    for name, array in wanted.items():
        assert np.array_equal(arrays[name], array)
        assert arrays[name].dtype == TENSORS[name].dtype
    return arrays


def asked_first(client, replica):
    """That one, and not the one that chance chose."""
    client._replicas.took_over(next(one for one in client._replicas.replicas if one.url == replica.url))


@pytest.fixture
def replica():
    with Replica() as running:
        yield running


@pytest.fixture
def client(replica):
    with Client(replica.url, wait_s=60) as made:
        yield made


@pytest.mark.parametrize(
    "number",
    [np.int64, np.uint8, np.array, torch.tensor, lambda value: torch.tensor([value])[0]],
    ids=["int64", "uint8", "array", "tensor", "element"],
)
def test_a_specification_may_hold_numbers_of_numpy_and_torch(client, number):
    spec = {
        **SPEC,
        "aug_seed": number(7),
        "size": (number(8), number(9)),
        "pipeline": [{"op": "rotation", "p": number(1)}],
    }
    sent = {**SPEC, "aug_seed": 7, "size": [8, 9], "pipeline": [{"op": "rotation", "p": 1}]}
    assert sent.items() <= client.stream(spec).spec.items()


def test_numbers_and_arrays_become_those_of_json():
    given = {
        "a": np.float32(0.5),
        "b": np.array([1, 2]),
        "c": torch.tensor([0.5, 1.0]),
        "d": np.bool_(True),
        "e": (1, "x", None),
    }
    assert to_json_types(given) == {"a": 0.5, "b": [1, 2], "c": [0.5, 1.0], "d": True, "e": [1, "x", None]}


def test_a_stream_is_described_and_its_batches_are_right(replica, client):
    stream = client.stream(SPEC)
    assert (stream.samples, stream.dataset_version, stream.arithmetic, stream.passes) == (20, "d1", "a1", 1)
    assert stream.tensors["image"] == {"dtype": "uint8", "shape": [-1, 3, 4, 4]}
    assert stream.spec["order_seed"] == 0
    right(stream)
    right(stream, epoch=2, start=18, count=5)  # fewer at the end
    right(stream, view=3)
    assert stream.receipt(0, 7) == {"index": 7, "operations": []}


def test_the_catalog(client):
    assert client.ops() == [{"name": "rotation"}]
    assert client.datasets() == [{"name": "digits"}]
    assert client.version()["arithmetic"] == "a1"


def test_arrays_are_writable_lie_in_one_buffer_and_belong_to_the_caller(client):
    stream = client.stream(SPEC)
    first = right(stream)
    begins = [array.ctypes.data for array in first.values()]
    ends = [array.ctypes.data + array.nbytes for array in first.values()]
    assert max(ends) - min(begins) == 5 * stream.layout.row_bytes
    for array in first.values():
        assert array.flags.writeable
        assert array.flags.aligned
        array[...] = 0
    right(stream)


def test_headers_and_one_connection_for_many_requests(replica):
    with Client(replica.url, token=GOOD, job="run-7", wait_s=60) as client:
        stream = client.stream(SPEC)
        stream.batch(0, 0, 2, waited_s=0.0123)
        stream.batch(0, 2, 2)
        assert len(replica.open) == 1
    _, _, headers = replica.requests[1]
    assert headers["Authorization"] == f"Bearer {GOOD}"
    assert headers["Augsvc-Spec"] == stream.header
    assert headers["Augsvc-Job"] == "run-7"
    assert headers["Augsvc-Wait-Ms"] == "12"
    assert GOOD not in repr(client) + repr(stream)


def test_defaults_from_the_environment(replica, monkeypatch):
    monkeypatch.setenv("AUGSVC_URL", f" {replica.url} , {replica.url}")
    monkeypatch.setenv("AUGSVC_TOKEN", "from-env")
    monkeypatch.setenv("AUGSVC_JOB", "job-env")
    with Client() as client:
        client.version()
    headers = replica.requests[0][2]
    assert (headers["Authorization"], headers["Augsvc-Job"]) == ("Bearer from-env", "job-env")


TORCHRUN = {"TORCHELASTIC_RUN_ID": "none", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": "29511"}


def test_the_ranks_of_a_run_are_one_job(replica, monkeypatch):
    """Without a name of the user's: by what torchrun tells all of them; another run is another job."""

    def job(host="a", **variables):
        monkeypatch.setattr("socket.gethostname", lambda: host)
        for name, value in variables.items():
            monkeypatch.setenv(name, value)
        with Client(replica.url, wait_s=60) as client:
            client.version()
            assert replica.requests[-1][2]["Augsvc-Job"] == client.job
            return client.job

    for name in ("AUGSVC_JOB", *TORCHRUN):
        monkeypatch.delenv(name, raising=False)
    assert job() != job(), "processes that were not started together"
    mine = job(**TORCHRUN, RANK="0", LOCAL_RANK="0")
    assert job(**TORCHRUN, RANK="3", LOCAL_RANK="1") == mine
    assert "29511" not in mine
    others = [job(host="b"), *(job(**TORCHRUN | {name: "7"}) for name in TORCHRUN)]
    assert len({mine, *others}) == 5, "another host's own, another run, another meeting place"
    far = job(**TORCHRUN | {"MASTER_ADDR": "node-1"})
    assert job(host="b", **TORCHRUN | {"MASTER_ADDR": "node-1"}) == far
    assert job(AUGSVC_JOB="own") == "own"


@pytest.mark.slow
def test_torchrun_starts_one_job(replica, tmp_path):
    script = tmp_path / "rank.py"
    script.write_text(f"from augsvc_client import Client\nClient({replica.url!r}).version()")
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", script]
    environment = {name: value for name, value in os.environ.items() if name != "AUGSVC_JOB"}
    subprocess.run(torchrun, check=True, capture_output=True, env=environment)
    jobs = [headers["Augsvc-Job"] for _, _, headers in replica.requests]
    assert len(jobs) == 2
    assert len(set(jobs)) == 1


def test_the_token_from_a_file(replica, monkeypatch, tmp_path):
    """As a container's secret; what is given outweighs the variables, and the token's own variable the file's."""
    secret = tmp_path / "token"
    secret.write_text("from-file\n")
    monkeypatch.setenv("AUGSVC_TOKEN_FILE", str(secret))
    monkeypatch.delenv("AUGSVC_TOKEN", raising=False)
    for variable, given, sent in (
        (None, None, "from-file"),
        ("from-env", None, "from-env"),
        ("from-env", "own", "own"),
    ):
        if variable:
            monkeypatch.setenv("AUGSVC_TOKEN", variable)
        with Client(replica.url, token=given) as client:
            client.version()
        assert replica.requests[-1][2]["Authorization"] == f"Bearer {sent}"


@pytest.mark.parametrize("content", [None, b"", b" \n", b"\xff\xfe", b"two words", "schlüssel".encode()])
def test_a_token_file_that_holds_none(monkeypatch, tmp_path, content):
    """It never becomes a request without a token."""
    secret = tmp_path / "token"
    if content is not None:
        secret.write_bytes(content)
    monkeypatch.setenv("AUGSVC_TOKEN_FILE", str(secret))
    monkeypatch.delenv("AUGSVC_TOKEN", raising=False)
    with pytest.raises(ValueError, match="token"):
        Client("http://127.0.0.1:9")


def test_arguments_that_cannot_be_used(monkeypatch):
    monkeypatch.delenv("AUGSVC_URL", raising=False)
    for urls in (None, "", [], "ftp://x", "localhost:8000", "http://", "http://u:p@h", "http://h/?q=1", "http://h:x"):
        with pytest.raises(ValueError, match=r"."):
            Client(urls)
    with pytest.raises(ValueError, match="wait_s"):
        Client("http://h", wait_s=0)
    with pytest.raises(ValueError, match="token") as refused:
        Client("http://h", token=GOOD + "\n")
    assert GOOD not in str(refused.value)


@pytest.mark.parametrize(
    "fault", ["500", "503", "502", "page", "408", "cut", "corrupt", "garbled", "foreign", "shape", "close", "unsized"]
)
def test_one_bad_answer_is_asked_for_again(replica, client, fault):
    stream = client.stream(SPEC)
    replica.faults.extend([fault, None])
    right(stream)
    right(stream)


@pytest.mark.parametrize(
    "fault",
    ["500", "503", "429", "cut", "corrupt", "garbled", "foreign", "shape", "drip", "hang", "unsized", "mismatch"],
)
def test_another_replica_answers_instead(replica, hurry, fault):
    with Replica() as bad, Client([bad.url, replica.url], wait_s=60) as client:
        stream = client.stream(SPEC)
        hurry(bad.url)
        bad.always = fault
        asked_first(client, bad)
        right(stream)
        asked = len(bad.requests)
        right(stream)
        assert len(bad.requests) == asked  # the good one is asked first from now on


@pytest.mark.parametrize(
    ("fault", "said"),
    [
        ("500", "answered 500 internal: refused: internal"),
        ("429", "answered 429 overloaded: refused: overloaded"),
        ("cut", "short of"),
        ("corrupt", "digest"),
        ("garbled", "malformed"),
        ("foreign", "another epoch: expected 1, got 2"),
        ("shape", "tensors that are not the stream"),
        ("drip", "no complete response in time"),
        ("drip-head", "no complete response in time"),
        ("hang", "no complete response in time"),
        ("unsized", "no Content-Length"),
    ],
)
def test_when_the_deadline_passes_the_error_names_address_cause_and_cure(replica, impatient, hurry, fault, said):
    with Client(replica.url, wait_s=60) as client:
        stream = client.stream(SPEC)
        if said == "no complete response in time":
            hurry(replica.url)
        replica.always = fault
        with pytest.raises(ServerUnavailable) as failed:
            stream.batch(1, 3, 5)
    message = str(failed.value)
    assert replica.url in message
    assert said in message
    assert ("augsvc serve" in message) == (said == "no complete response in time")  # one that answers is running
    assert ("a proxy or another program" in message) == (fault not in ("500", "429", "drip", "drip-head", "hang"))
    assert "60 s" in message


def test_no_server(impatient, unused_port):
    url = f"http://127.0.0.1:{unused_port}"
    with Client(url, wait_s=60) as client, pytest.raises(ServerUnavailable, match="connection refused"):
        client.stream(SPEC)


def test_a_server_without_tls(replica, impatient):
    url = replica.url.replace("http", "https")
    with Client(url, wait_s=60) as client, pytest.raises(ServerUnavailable, match="plain HTTP; use http://"):
        client.version()


def test_a_server_without_tls_is_not_waited_for(replica):
    url = replica.url.replace("http", "https")
    started_s = time.monotonic()
    with Client(url, wait_s=60) as client, pytest.raises(ServerUnavailable, match="use http://"):
        client.version()
    assert time.monotonic() - started_s < 20


@pytest.mark.parametrize("path", ["/v1", "/v1/", "/docs", "/some/where"])
def test_a_url_with_a_path_is_refused_at_construction(path):
    with pytest.raises(ValueError, match=f"must not contain a path: remove '{path}'"):
        Client(f"http://localhost:8000{path}")
    Client("http://localhost:8000/").close()


def test_the_client_may_start_before_the_server(unused_port):
    late = Replica(port=unused_port)
    with Client(late.url, wait_s=60) as client:
        failed = threading.Event()
        handler = logging.Handler()
        handler.emit = lambda record: failed.set()
        logging.getLogger("augsvc_client").addHandler(handler)
        found = []
        asking = threading.Thread(target=lambda: found.append(client.stream(SPEC)))
        asking.start()
        assert failed.wait(30)
        with late:
            asking.join()
            right(found[0])
        logging.getLogger("augsvc_client").removeHandler(handler)


def test_a_failure_is_logged_once(replica, client, caplog):
    stream = client.stream(SPEC)
    replica.faults.extend(["500", "500", None, "500"])
    right(stream)
    right(stream)
    assert [record.levelname for record in caplog.records] == ["WARNING"]
    assert replica.url in caplog.text


def test_a_connection_closed_by_the_peer_is_no_failure(replica, client, caplog):
    stream = client.stream(SPEC)
    right(stream)
    replica.cut()
    right(stream)
    assert not caplog.records


def test_an_answer_without_a_body_keeps_its_connection(replica, client):
    """A balancer's: each retry would pay for a handshake."""
    stream = client.stream(SPEC)
    right(stream)
    ((before,),) = client._own_connections()._idle.values()
    replica.faults.extend(["empty", None])
    right(stream)
    ((after,),) = client._own_connections()._idle.values()
    assert after is before


def test_no_request_goes_into_a_connection_that_was_closed_meanwhile(replica, client, monkeypatch):
    """The trainer's step took longer than the server keeps an idle connection."""
    stream = client.stream(SPEC)
    right(stream)
    ((idle,),) = client._own_connections()._idle.values()
    replica.cut()
    assert select.select([idle.sock], [], [], 60)[0], "it was not closed"
    monkeypatch.setattr(idle, "request", None)  # one that went there would fail
    right(stream)


def test_a_replica_that_dies_and_comes_back(client, replica):
    stream = client.stream(SPEC)
    right(stream)
    replica.stop()
    replica.start()
    right(stream)


def test_a_wrong_token_is_not_retried():
    with Replica(token=GOOD) as replica, Client(replica.url, token=BAD, wait_s=60) as client:
        with pytest.raises(Unauthorized, match="token") as refused:
            client.stream(SPEC)
        assert replica.url in str(refused.value)
        assert (refused.value.status, refused.value.code) == (401, "unauthorized")
        assert len(replica.requests) == 1


def test_a_refusal_is_not_retried(replica, client):
    with pytest.raises(RequestRefused) as refused:
        client.stream({"dataset": "unknown"})
    error = refused.value
    assert (error.status, error.code, error.field) == (404, "unknown_dataset", "dataset")
    assert str(pickle.loads(pickle.dumps(error))) == str(error)  # noqa: S301  # errors cross process borders
    with pytest.raises(RequestRefused, match="past_the_end"):
        client.stream(SPEC).batch(0, 20, 1)
    replica.always = "501"
    with pytest.raises(RequestRefused):
        client.version()


def test_a_redirect_is_not_followed(replica, impatient):
    replica.always = "302"
    with Client(replica.url, wait_s=60) as client, pytest.raises(ServerUnavailable, match="answered 302"):
        client.version()


def test_another_arithmetic_everywhere_is_named(replica, client):
    stream = client.stream(SPEC)
    replica.arithmetic = "a2"
    with pytest.raises(StreamChanged, match="arithmetic is a2, not a1") as changed:
        stream.batch(0, 0, 1)
    assert "dataset_version is" not in str(changed.value)
    assert replica.url in str(changed.value)


def test_a_deadline_after_a_mismatch_names_the_change_too(replica, impatient, unused_port):
    gone = f"http://127.0.0.1:{unused_port}"
    with Client([replica.url, gone], wait_s=60) as client:
        stream = client.stream(SPEC)
        replica.dataset_version = "d2"
        with pytest.raises(StreamChanged, match="dataset_version is d2, not d1"):
            stream.batch(0, 0, 1)


def test_a_pinned_id(replica, client):
    id = client.stream(SPEC).id
    assert client.stream(SPEC, id=id).id == id
    with Replica(arithmetic="a2") as other, Client([other.url, replica.url], wait_s=60) as both:
        asked_first(both, other)
        assert both.stream(SPEC, id=id).arithmetic == "a1"  # the other one is passed over
    with pytest.raises(StreamChanged, match="not " + "0" * 32):
        client.stream(SPEC, id="0" * 32)


def test_close_ends_waits():
    refused = threading.Event()
    with Replica(always="429", on_request=lambda path: refused.set()) as replica:
        ended = failing(replica, refused)
    assert "closed" in str(ended)


def test_close_ends_a_request_that_hangs(replica):
    waiting = threading.Event()
    with Client(replica.url, wait_s=600) as client:
        stream = client.stream(SPEC)
        replica.always = "hang"
        replica.on_request = lambda path: waiting.set()
        errors = in_thread(lambda: stream.batch(0, 0, 1), waiting, client)
    assert "closed" in str(errors[0])
    with pytest.raises(AugsvcError, match="closed"):
        stream.batch(0, 0, 1)


def failing(replica, refused):
    with Client(replica.url, wait_s=600) as client:
        return in_thread(client.version, refused, client)[0]


def in_thread(call, begun, client):
    """What the call raises when the client is closed after `begun`."""
    errors = []

    def run():
        try:
            call()
        except AugsvcError as err:
            errors.append(err)

    thread = threading.Thread(target=run)
    thread.start()
    assert begun.wait(30)
    client.close()
    thread.join()
    return errors


def test_a_named_time_is_waited_for_and_a_growing_pause_otherwise():
    replicas = [Address.parse("http://a"), Address.parse("http://b")]
    state = RetryState(replicas, 1000.0, {})
    assert list(state.due()) == replicas
    state.failed(replicas[0], RetryLater("busy", 100.0))
    state.failed(replicas[1], ConnectionRefusedError())
    pauses = []
    for _ in range(12):
        pauses.append(state.pause_s())
        assert list(state.due()) == replicas[1:]
    assert 0.025 <= pauses[0] <= 0.05
    assert all(1.0 <= pause <= 2.0 for pause in pauses[6:])
    state.failed(replicas[1], RetryLater("busy", 50.0))
    assert 49.0 < state.pause_s() <= 62.5
    assert state.patience_s() <= 500.0


def test_threads_share_a_client(replica, client):
    stream = client.stream(SPEC)
    errors = []

    def ask(epoch):
        try:
            for start in range(0, 20, 4):
                right(stream, epoch, start, 4)
        except BaseException as err:
            errors.append(err)

    threads = [threading.Thread(target=ask, args=(epoch,)) for epoch in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not errors


def child(stream, queue):
    queue.put((os.getpid(), {name: array.tobytes() for name, array in stream.batch(0, 0, 4).items()}))
    stream.client.close()


def test_a_forked_child_opens_its_own_connections(replica, client):
    stream = client.stream(SPEC)
    mine = right(stream, 0, 0, 4)
    forking = multiprocessing.get_context("fork")
    queue = forking.SimpleQueue()
    with client._own_connections()._lock:  # as if another thread held it at the moment of the fork
        process = forking.Process(target=child, args=(stream, queue))
        process.start()
    pid, theirs = queue.get()
    process.join()
    process.close()
    queue.close()
    assert pid != os.getpid()
    assert theirs == {name: array.tobytes() for name, array in mine.items()}
    right(stream)


def test_a_forgotten_client_leaves_no_socket_open(replica):
    right(Client(replica.url).stream(SPEC))


def test_the_import_needs_no_torch_and_the_public_names_are_sorted():
    code = (
        "import sys, augsvc_client; from augsvc_client import AugmentingDataLoader, Client, RemoteDataLoader\n"
        "assert 'torch' not in sys.modules; assert augsvc_client.__all__ == sorted(augsvc_client.__all__)\n"
        "RemoteDataLoader('http://127.0.0.1:9', dataset='d', batch_size=1); AugmentingDataLoader([], 'http://127.0.0.1:9')\n"
        "assert 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-W", "error", "-c", code], check=True)


def test_patience_grows_with_attempts_that_were_too_short_alone():
    """A server that restarts refuses many connections; the first one that hangs after that must not cost all the time."""
    replica = Address.parse("http://127.0.0.1:1")
    state = RetryState((replica,), 300.0, {})
    for _ in range(8):
        state.failed(replica, ConnectionRefusedError())
        state.pause_s()
    refused = state.patience_s()
    state.failed(replica, TimeoutError())
    state.pause_s()
    assert refused <= 30.0
    assert state.patience_s() == 2 * refused
