"""The self-test runs what a stream uses when it is first opened, and the rest in the background."""

import logging
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import ClassVar, Literal

import pytest
from starlette.testclient import TestClient

from augsvc.data.catalog import open_catalog
from augsvc.engine import engine as engine_module
from augsvc.engine.engine import Engine
from augsvc.engine.limits import Limits
from augsvc.errors import Cancelled, DeviceOutOfMemory, NotAvailable
from augsvc.http import app as application
from augsvc.http import create_app
from augsvc.ops.kinds.image import Tone
from augsvc.ops.registry import registry
from augsvc.planning.spec import validate_spec
from augsvc.settings import Settings
from augsvc.streams.probes import PROBES, probe_spec
from augsvc.streams.selftest import SelfTest
from augsvc.streams.stream import Stream
from tests.harness import few_operations, open_cpu

MANY = 200


class Counted(Tone):
    """Records that it was run, and may be stopped or broken."""

    op: str = "counted"
    runs: ClassVar[list[str]] = []
    gate: ClassVar[threading.Event] = threading.Event()
    began: ClassVar[threading.Event] = threading.Event()
    failed: ClassVar[threading.Event] = threading.Event()
    failure: ClassVar[Exception | None] = None

    def table(self, draw, canvas, statistics):
        self.runs.append(self.op)
        self.began.set()
        if self.failure:
            self.failed.set()
            raise self.failure
        self.gate.wait()


@pytest.fixture(autouse=True)
def counted(monkeypatch):
    """Before each test nothing was run, and nothing is stopped or broken."""
    monkeypatch.setattr(Counted, "runs", [])
    monkeypatch.setattr(Counted, "gate", threading.Event())
    monkeypatch.setattr(Counted, "began", threading.Event())
    monkeypatch.setattr(Counted, "failed", threading.Event())
    Counted.gate.set()
    yield Counted
    Counted.gate.set()


def many(count=MANY):
    """A registry with few operations of the package, and `count` further ones."""
    classes = {
        name: type(
            "Counted", (Counted,), {"__annotations__": {"op": Literal[name]}, "op": name, "__module__": __name__}
        )
        for name in (f"counted_{index:03}" for index in range(count))
    }
    return {**few_operations(), **classes}


def open_stream(operations, *names):
    spec = probe_spec({"pipeline": [{"op": name} for name in names]}, operations)
    return Stream.open(spec, PROBES["probe"], open_cpu("fused"))


def test_a_stream_runs_what_it_uses_once(counted):
    operations = many(3)
    test = SelfTest(open_cpu("fused"), operations)
    first = test.arithmetic(open_stream(operations, "counted_001"))
    runs = list(counted.runs)
    assert set(runs) == {"counted_001"}
    assert test.arithmetic(open_stream(operations, "counted_001")) == first
    assert counted.runs == runs
    test.whole()
    assert set(counted.runs) == {"counted_000", "counted_001", "counted_002"}


@pytest.mark.parametrize("operations", ["one of each kind", pytest.param("all", marks=pytest.mark.slow)])
def test_ids_do_not_depend_on_what_ran_before(operations):
    used = {name: registry()[name] for name in ("rotation", "downsample", "gamma")}
    known = registry() if operations == "all" else few_operations() | used
    lazy, eager = (SelfTest(open_cpu("fused"), known) for _ in range(2))
    eager.digests()
    for names in ((), ("rotation", "downsample"), ("gamma",)):
        stream = open_stream(registry(), *names)
        assert lazy.arithmetic(stream) == eager.arithmetic(stream)
    assert lazy.whole() == eager.whole()


def test_two_streams_that_are_opened_at_the_same_time_share_a_run(counted):
    operations = many(1)
    test = SelfTest(open_cpu("fused"), operations)
    test.warm_up()
    counted.gate.clear()
    stream = open_stream(operations, "counted_000")
    with ThreadPoolExecutor(4) as threads:
        ids = [threads.submit(test.arithmetic, stream) for _ in range(4)]
        counted.gate.set()
        assert len({each.result() for each in ids}) == 1
    alone = len(counted.runs)
    SelfTest(open_cpu("fused"), operations).arithmetic(stream)
    assert len(counted.runs) == 2 * alone


def test_an_operation_that_raises_is_named_and_refuses_its_streams_only(counted, monkeypatch, caplog):
    operations = many(2)
    monkeypatch.setattr(operations["counted_001"], "failure", ZeroDivisionError("a defect"), raising=False)
    test = SelfTest(open_cpu("fused"), operations)
    with caplog.at_level(logging.ERROR, "augsvc"), pytest.raises(NotAvailable, match="'counted_001' of operations"):
        test.arithmetic(open_stream(operations, "gamma", "counted_001"))
    assert "counted_001 of operations" in caplog.text and "a defect" in caplog.text
    assert test.arithmetic(open_stream(operations, "counted_000"))
    with pytest.raises(NotAvailable):
        test.whole()
    assert "counted_000" in counted.runs


def test_a_failure_is_computed_and_logged_once(counted, monkeypatch, caplog):
    operations = many(1)
    monkeypatch.setattr(operations["counted_000"], "failure", ZeroDivisionError("a defect"), raising=False)
    test = SelfTest(open_cpu("fused"), operations)
    stream = open_stream(operations, "counted_000")
    with pytest.raises(NotAvailable):
        test.arithmetic(stream)
    runs, records = list(counted.runs), list(caplog.records)
    with pytest.raises(NotAvailable, match="'counted_000' of operations"):
        test.arithmetic(stream)
    assert counted.runs == runs and len(records) == 1
    assert caplog.records == records


def test_a_failure_that_may_pass_is_tried_again(counted, monkeypatch):
    operations = many(1)
    monkeypatch.setattr(operations["counted_000"], "failure", DeviceOutOfMemory("no memory"), raising=False)
    test = SelfTest(open_cpu("fused"), operations)
    stream = open_stream(operations, "counted_000")
    with pytest.raises(DeviceOutOfMemory):
        test.arithmetic(stream)
    monkeypatch.setattr(operations["counted_000"], "failure", None)
    assert test.arithmetic(stream)


def open_engine(operations):
    return Engine(open_catalog({}, 0), open_cpu("fused"), operations, Limits(1 << 20))


def test_streams_open_while_the_background_part_runs(counted):
    engine = open_engine(many(2))
    counted.gate.clear()
    arithmetic = engine.start()
    stream = engine.open(validate_spec({"dataset": "digits/train", "pipeline": "standard"}))
    assert stream.arithmetic and not arithmetic.done()
    counted.gate.set()
    assert arithmetic.result() == engine.selftest.whole()
    engine.stop()


def test_the_engine_stops_while_the_background_part_runs(counted):
    engine = open_engine(many())
    counted.gate.clear()
    arithmetic = engine.start()
    assert counted.began.wait(60)  # what is still queued is dropped instead
    stopping = threading.Thread(target=engine.stop)
    stopping.start()
    engine._stopping.wait()
    counted.gate.set()
    stopping.join()
    with pytest.raises(Cancelled):
        arithmetic.result()
    assert len(set(counted.runs)) == 1


def test_the_background_part_is_run_again_after_an_error_that_may_pass(counted, monkeypatch, caplog):
    monkeypatch.setattr(engine_module, "RETRY_S", 0.01)
    monkeypatch.setattr(counted, "failure", DeviceOutOfMemory("no memory"))
    with open_engine(many(1)) as engine:
        arithmetic = engine.start()
        assert counted.failed.wait(60)
        assert not arithmetic.done()
        monkeypatch.setattr(counted, "failure", None)
        assert arithmetic.result(60) == engine.selftest.whole()
    assert "no memory" in caplog.text


def test_an_engine_with_a_broken_operation_serves_the_others(monkeypatch):
    operations = many(1)
    monkeypatch.setattr(operations["counted_000"], "failure", ZeroDivisionError(), raising=False)
    engine = open_engine(operations)
    assert engine.start().result() is None
    assert engine.open(validate_spec({"dataset": "digits/train", "pipeline": "standard"}, operations)).arithmetic
    with pytest.raises(NotAvailable):
        engine.open(validate_spec({"dataset": "digits/train", "pipeline": [{"op": "counted_000"}]}, operations))
    engine.stop()


def test_a_server_is_ready_before_operations_were_run(counted, monkeypatch):
    """Counted, not timed: the first of many operations that the background part reaches waits until the server is ready."""
    monkeypatch.setattr(application, "registry", lambda modules: many())
    counted.gate.clear()
    with TestClient(create_app(Settings(port=0)), base_url="http://localhost") as client:
        while client.get("/readyz").status_code != 200:
            assert not counted.runs
        assert len(set(counted.runs)) <= 1
        version = client.get("/v1/version").json()
        assert (version["arithmetic"], version["arithmetic_state"]) == (None, "measuring")
        counted.gate.set()
        while (version := client.get("/v1/version").json())["arithmetic_state"] == "measuring":
            time.sleep(0.05)
        assert version["arithmetic"] and version["arithmetic_state"] == "ready"
        assert len(set(counted.runs)) == MANY


def test_a_failed_self_test_is_reported(counted, monkeypatch):
    monkeypatch.setattr(application, "registry", lambda modules: many(1))
    monkeypatch.setattr(counted, "failure", ZeroDivisionError())
    with TestClient(create_app(Settings(port=0)), base_url="http://localhost") as client:
        while (reply := client.get("/v1/version")).status_code == 503 or reply.json()[
            "arithmetic_state"
        ] == "measuring":
            time.sleep(0.05)
        assert (reply.json()["arithmetic"], reply.json()["arithmetic_state"]) == (None, "failed")
