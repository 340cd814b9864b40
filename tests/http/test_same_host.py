"""Bodies through memory that the client lends: the same bytes, the caller's own; nothing left behind; nobody harmed."""

import fcntl
import gc
import mmap
import multiprocessing
import os
import select
import signal
import socket
import stat
from pathlib import Path

import numpy as np
import pytest

from augsvc.http.lending import Lending, mapped
from augsvc_client import Client, RemoteDataLoader
from augsvc_client.lent import GREETING, MEMORY_HEADER, SUFFIX, Lent
from tests.http import serving

SPEC = {"dataset": "photos/train", "pipeline": "standard", "size": [96, 96], "shuffle": True}
BATCH = 8  # of 27,648 bytes: enough to be worth it
SEALS = fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW
TOKEN = "a-token-that-is-long-enough"  # noqa: S105


@pytest.fixture(scope="module")
def near(serve, tmp_path_factory):
    """A replica that takes memory, and wants a token."""
    folder = tmp_path_factory.mktemp("run")
    tokens = folder / "tokens.yaml"
    tokens.write_text(f"job: {{token: {TOKEN}}}")
    serving = serve(uds=str(folder / "augsvc.sock"), tokens_file=str(tokens))
    serving.token = TOKEN
    return serving.ready()


@pytest.fixture
def client(near):
    with Client(near.url, token=TOKEN, wait_s=120) as made:
        yield made


@pytest.fixture(scope="module")
def wanted(server):
    """The first 24 batches, over TCP."""
    with Client(server.url, wait_s=120) as over_tcp:
        stream = over_tcp.stream(SPEC)
        return [stream.batch(0, BATCH * step, BATCH) for step in range(24)]


def lent(serving) -> float:
    text = serving.ask("GET", "/metrics", {"Authorization": f"Bearer {TOKEN}"}).body.decode()
    return float(text.partition("\naugsvc_lent_batches_total ")[2].split()[0])


def memories(pid: int | str) -> int:
    """How many lent memories a process has mapped."""
    return Path(f"/proc/{pid}/maps").read_text(encoding="utf-8").count("memfd:augsvc")


def same(batch, right) -> bool:
    return batch.keys() == right.keys() and all(np.array_equal(batch[name], right[name]) for name in right)


def test_the_bytes_are_those_over_tcp_and_each_batch_is_the_callers(near, client, wanted):
    before, stream = lent(near), client.stream(SPEC)
    kept = []
    for step in range(24):  # more than there are slots: the rest comes over HTTP
        kept.append(stream.batch(0, BATCH * step, BATCH))
        if step % 2:
            kept[-1]["image"][:] = 7  # nobody else's
    assert lent(near) - before == 8
    for step, (batch, right) in enumerate(zip(kept, wanted, strict=True)):
        assert same(batch, right) != step % 2, step
    del kept, batch
    gc.collect()
    assert same(stream.batch(0, 0, BATCH), wanted[0])
    assert lent(near) - before == 9  # what was let go is used again
    assert [len(idle) for idle in client._here()._idle.values()] == [1]  # and so is the connection, without a body too


def test_batches_of_other_sizes(near, client, wanted):
    before, stream = lent(near), client.stream(SPEC)
    for count in (3, 2 * BATCH, 1, BATCH):
        batch = stream.batch(0, 0, count)
        assert np.array_equal(batch["index"], np.concatenate([one["index"] for one in wanted])[:count])
        del batch
    assert lent(near) - before == 3  # one picture is not worth it


def test_a_loader_with_several_in_flight(near, wanted):
    before = lent(near)
    with RemoteDataLoader([near.url], **SPEC, batch_size=BATCH, scale=None, token=TOKEN, wait_s=120) as loader:
        for right, batch in zip(wanted, loader, strict=False):
            assert same({name: tensor.numpy() for name, tensor in batch.items()}, right)
    assert lent(near) - before > 20


def test_it_can_be_switched_off(serve, tmp_path, wanted):
    serving = serve(uds=str(tmp_path / "augsvc.sock"), same_host=False).ready()
    with Client(serving.url, wait_s=120) as client:
        assert same(client.stream(SPEC).batch(0, 0, BATCH), wanted[0])
    assert [path.name for path in tmp_path.iterdir() if path.is_socket()] == ["augsvc.sock"]
    assert lent(serving) == 0


def test_a_connection_that_the_server_closed_meanwhile_costs_nothing_of_the_memory(
    serve, tmp_path, monkeypatch, wanted
):
    """The trainer's step took longer than the server keeps an idle connection: no request, and no slot, goes into it."""
    monkeypatch.setattr(serving, "CLEAN", serving.CLEAN | {"PYTHONPATH": str(Path(__file__).parent)})
    replica = serve(uds=str(tmp_path / "augsvc.sock"), operations=["impatient"]).ready()
    with Client(replica.url, wait_s=120) as client:
        stream, leases = client.stream(SPEC), set()
        for step, right in enumerate(wanted[:4]):
            assert same(stream.batch(0, BATCH * step, BATCH), right)
            (held,), ((idle,),) = client._here()._lent.values(), client._here()._idle.values()
            leases.add(held._lease.id)
            assert select.select([idle.sock], [], [], 60)[0], "the server did not close it"
        assert lent(replica) == 4
        assert len(leases) == 1


def test_a_killed_server_leaves_nothing_and_the_next_one_is_lent_memory_again(near, client, wanted):
    stream = client.stream(SPEC)
    kept = [stream.batch(0, BATCH * step, BATCH) for step in range(3)]
    near.kill()
    near.begin()
    kept += [stream.batch(0, BATCH * step, BATCH) for step in range(3, 6)]
    near.until(lambda: same(stream.batch(0, 0, BATCH), wanted[0]) and lent(near) > 1)
    assert all(map(same, kept, wanted))
    client.close()
    kept.clear()
    gc.collect()
    assert memories("self") == 0
    near.until(lambda: memories(near.process.pid) == 0)


def _read_until_killed(url, ready):
    stream = Client(url, token=TOKEN, wait_s=120).stream(SPEC)
    for step in range(10_000):
        stream.batch(0, step % 24, BATCH)
        ready.set()


def test_a_killed_client_leaves_nothing(near):
    context = multiprocessing.get_context("spawn")
    ready = context.Event()
    reader = context.Process(target=_read_until_killed, args=(near.url, ready))
    reader.start()
    assert ready.wait(120)
    assert memories(near.process.pid) == 1
    os.kill(reader.pid, signal.SIGKILL)
    reader.join()
    near.until(lambda: memories(near.process.pid) == 0)
    reader.close()


def test_a_batch_from_before_a_fork_is_never_written_to_again(near, client, wanted):
    stream = client.stream(SPEC)
    batch = stream.batch(0, 0, BATCH)
    theirs, ours = multiprocessing.Pipe()

    def look():
        ours.recv()
        ours.send(same(batch, wanted[0]) and same(stream.batch(0, BATCH, BATCH), wanted[1]))

    child = multiprocessing.get_context("fork").Process(target=look)
    child.start()
    batch.clear()  # the child has a copy
    gc.collect()
    for step in range(24):
        assert same(stream.batch(0, BATCH * step, BATCH), wanted[step])
    theirs.send("look")
    assert theirs.recv()
    child.join()
    assert child.exitcode == 0


# --- what a server takes, and from whom


def memory(n_bytes: int, seals: int = SEALS) -> int:
    file = os.memfd_create("test", os.MFD_ALLOW_SEALING)
    os.ftruncate(file, n_bytes)
    fcntl.fcntl(file, fcntl.F_ADD_SEALS, seals)
    return file


@pytest.fixture
def files():
    opened = []
    yield opened
    for file in opened:
        os.close(file)


def test_sealed_memory_is_mapped_and_cannot_be_made_shorter(files):
    files.append(memory(mmap.PAGESIZE))
    taken = mapped(files[0], mmap.PAGESIZE)
    taken[:] = 1
    assert os.pread(files[0], 2, mmap.PAGESIZE - 2) == b"\1\1"
    with pytest.raises(PermissionError):
        os.ftruncate(files[0], 0)
    os.posix_fallocate(files[0], 0, mmap.PAGESIZE)
    assert taken.all()


@pytest.mark.parametrize(
    "seals", [0, fcntl.F_SEAL_SHRINK, fcntl.F_SEAL_GROW, SEALS | fcntl.F_SEAL_WRITE, SEALS | fcntl.F_SEAL_SEAL]
)
def test_what_could_lose_a_page_or_not_be_written_is_refused(files, seals):
    files.append(memory(mmap.PAGESIZE, seals))
    if seals == SEALS | fcntl.F_SEAL_SEAL:
        assert len(mapped(files[0], mmap.PAGESIZE)) == mmap.PAGESIZE
    else:
        with pytest.raises((OSError, ValueError)):
            mapped(files[0], mmap.PAGESIZE)


def test_other_files_and_sizes_are_refused(files, tmp_path):
    (tmp_path / "file").write_bytes(bytes(mmap.PAGESIZE))
    files += [os.open(tmp_path / "file", os.O_RDWR), memory(0), memory(2 * mmap.PAGESIZE)]
    files += os.pipe()
    for file in files:
        with pytest.raises((OSError, ValueError)):
            mapped(file, mmap.PAGESIZE)


def test_huge_pages_are_refused(files):
    try:
        files.append(os.memfd_create("test", os.MFD_ALLOW_SEALING | os.MFD_HUGETLB))
        os.ftruncate(files[0], 1 << 30)
        fcntl.fcntl(files[0], fcntl.F_ADD_SEALS, SEALS)
    except OSError:
        pytest.skip("this machine has no huge pages")
    with pytest.raises(ValueError):
        mapped(files[0], 1 << 30)


@pytest.fixture
def held(near):
    """Memory of this process, lent to the server."""
    made = Lent(near.url.removeprefix("unix://"))
    yield made
    made.end()


def written(slot) -> bool:
    return any(slot.lease.memory[:])


def handed(near, *messages, files=()) -> bytes:
    """What a server answers to a handover."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as connection:
        connection.settimeout(60)
        connection.connect(near.url.removeprefix("unix://") + SUFFIX)
        for message in messages:
            socket.send_fds(connection, [message], list(files))
        return connection.recv(100)


def test_handovers_that_are_none_get_no_answer_and_cost_nothing(near, files):
    files += [memory(1 << 20), memory(1 << 20, 0), memory(mmap.PAGESIZE)]
    descriptors = Path(f"/proc/{near.process.pid}/fd")
    near.until(lambda: memories(near.process.pid) == 0)
    before = len(list(descriptors.iterdir()))
    assert handed(near, b"hello", files=files[:1]) == b""
    assert handed(near, GREETING) == b""
    assert handed(near, GREETING + b"0", files=files[:1]) == b""
    assert handed(near, GREETING, files=files[1:2]) == b""
    assert len(handed(near, GREETING, files=files[:1])) == 32
    assert len(handed(near, GREETING, files=files)) == 32  # the first one counts, the others are let go
    near.until(lambda: memories(near.process.pid) == 0 and len(list(descriptors.iterdir())) <= before)


def test_another_users_memory_is_refused(monkeypatch, files):
    files.append(memory(mmap.PAGESIZE))
    lending = Lending(Path("unused"), 1 << 20)
    for uid, taken in ((os.geteuid(), True), (os.geteuid() + 1, False)):
        monkeypatch.setattr(os, "geteuid", lambda uid=uid: uid)
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with ours, theirs:
            socket.send_fds(theirs, [GREETING], files)
            if taken:
                assert len(lending._handed(ours)) == mmap.PAGESIZE
            else:
                with pytest.raises(ValueError):
                    lending._handed(ours)


def test_the_second_socket_is_the_owners_alone(near):
    path = Path(near.url.removeprefix("unix://") + SUFFIX)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


# --- requests that name memory


def test_requests_that_name_what_is_not_lent_are_answered_as_ever_and_the_token_counts(near, client, held):
    stream = client.stream(SPEC)
    slot = held.take(1 << 20)
    path = f"/v1/streams/{stream.id}/epochs/0?start=0&count={BATCH}"
    signed = {"Augsvc-Spec": stream.header, "Authorization": f"Bearer {TOKEN}"}
    whole = near.ask("GET", path, signed)
    assert near.ask("GET", path, {MEMORY_HEADER: slot.name, "Augsvc-Spec": stream.header}).status == 401
    assert not written(slot)
    for name in ("", "x", f"{'0' * 32} 0", f"{slot.lease.id} {8 << 20}", f"{slot.lease.id} -1"):
        assert near.ask("GET", path, signed | {MEMORY_HEADER: name}).body == whole.body, name
    assert not written(slot)
    through = near.ask("GET", path, signed | {MEMORY_HEADER: slot.name})
    assert (through.status, through.body, through.headers["content-length"]) == (200, b"", "0")
    assert through.headers["cache-control"] == "no-store"
    for header in ("etag", "augsvc-digest"):
        assert through.headers[header] == whole.headers[header]
    assert slot.body(through.headers[MEMORY_HEADER.lower()]).tobytes() == whole.body


def test_a_slot_whose_request_ended_badly_is_not_used_again(held):
    slot = held.take(1 << 20)
    held.lost(slot)
    assert held.take(1 << 20) is None  # for a moment, bodies come over HTTP
    held._not_before_s = 0.0
    assert held.take(1 << 20).lease is not slot.lease
    held.end()
    assert held.take(1 << 20) is None


@pytest.mark.parametrize("told", ["", "-1", "99999999999", "²", "1e3"])
def test_a_length_that_cannot_be_is_no_body(held, told):
    assert len(held.take(1 << 20).body(told)) == 0
