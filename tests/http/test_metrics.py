"""Where the time of a batch went, as /metrics tells it."""

import asyncio
import itertools
import re
import shutil
import subprocess
import threading

import numpy as np
import pytest
from prometheus_client.parser import text_string_to_metric_families

from augsvc import timing as stages_module
from augsvc.http.routes import scrapes
from augsvc.timing import Stages

STAGES = ("queue", "decode", "draw", "kernels", "encode", "send")


@pytest.fixture
def seconds(monkeypatch):
    """A clock that goes one second further at every look."""
    monkeypatch.setattr(stages_module.time, "perf_counter", itertools.count().__next__)


def test_stages_add_up_and_threads_side_by_side_count_by_their_mean(seconds):
    stages = Stages()
    with stages.of("decode"):
        pass
    with stages.of("decode"):
        pass
    threads = [threading.Thread(target=stages.among(4).add, args=("kernels", 2.0)) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert stages.seconds == {"decode": 2.0, "kernels": 2.0}


def test_a_stage_that_fails_took_its_time_too(seconds):
    stages = Stages()
    with pytest.raises(ValueError, match="in it"), stages.of("draw"):
        raise ValueError("in it")
    assert stages.seconds == {"draw": 1.0}


def stage_counts(server):
    return {stage: server.metric("augsvc_stage_seconds_count", stage=stage) for stage in STAGES}


@pytest.mark.parametrize(
    ("spec", "path", "bodies"),
    [
        ({"dataset": "shapes/train", "pipeline": "standard"}, "?start=0&count=8", 1),
        ({"dataset": "tones/train", "pipeline": "sound"}, "?start=0&count=8", 1),
        ({"dataset": "digits/train", "pipeline": "light"}, "/frames?start=0&count=8&stride=8&frames=3", 3),
    ],
)
def test_every_stage_of_a_batch_is_counted_once(server, spec, path, bodies):
    stream = server.open(spec)
    server.until(lambda: server.metric("augsvc_in_flight_bytes") == 0)
    before = stage_counts(server)
    assert server.get(f"/v1/streams/{stream['id']}/epochs/0{path}").status == 200
    wanted = {stage: count + bodies for stage, count in before.items()}
    server.until(lambda: stage_counts(server) == wanted)


def test_what_clients_push_has_every_stage_but_decoding(server):
    server.until(lambda: server.metric("augsvc_in_flight_bytes") == 0)
    before = stage_counts(server)
    with server.client() as client:
        client.augment({"image": np.zeros((3, 8, 8, 3), np.uint8), "index": np.arange(3)}, pipeline="light")
    wanted = {stage: count + (stage != "decode") for stage, count in before.items()}
    server.until(lambda: stage_counts(server) == wanted)


def test_stages_are_parts_of_the_whole(server):
    """The time is the batch's, not the sum over all threads."""
    stream = server.open({"dataset": "photos/train", "pipeline": "strong", "size": [128, 128]})

    def spent():
        parts = sum(server.metric("augsvc_stage_seconds_sum", stage=stage) for stage in STAGES if stage != "send")
        return parts, server.metric("augsvc_batch_seconds_sum")

    before = spent()
    assert server.batch(stream, 0, 0, 100).status == 200
    parts, whole = (after - first for after, first in zip(spent(), before, strict=True))
    assert 0 < parts <= whole


def test_gpu_memory_is_absent_without_a_gpu(server):
    text = server.get("/metrics").body.decode()
    assert ("augsvc_device_memory_free_bytes" in text) == ('"cuda' in server.get("/v1/version").body.decode())


def test_hits_and_misses_of_the_cache_are_counters(server):
    """This server's cache is off, so that every sample is a miss."""
    stream = server.open({"dataset": "pets", "pipeline": "none", "size": [8, 8]})
    before = server.metric("augsvc_cache_misses_total")
    assert server.batch(stream, 5, 0, 8).status == 200
    assert server.metric("augsvc_cache_misses_total") - before == 8
    lines = server.get("/metrics").body.decode().splitlines()
    assert {f"# TYPE augsvc_cache_{name}_total counter" for name in ("hits", "misses")} <= set(lines)


def test_the_process_and_the_build(server):
    text = server.get("/metrics").body.decode()
    assert re.search(
        r'^augsvc_build_info\{device="cpu",executor="fused",python="3\.[0-9.]+",version="[0-9.]+"\} 1\.0$', text, re.M
    )
    for name in ("process_cpu_seconds_total", "process_resident_memory_bytes", "process_start_time_seconds"):
        assert re.search(rf"^{name} [0-9.e+]+$", text, re.M), name
    assert not re.search(r"[{,](job|instance)=", text), "labels that Prometheus sets itself"


HOSTILE_JOBS = [
    'a"b',
    "back\\slash",
    'x="y",z{} 1',
    "# HELP forged",
    "\\n",
    "'",
    "a" * 64,
    "<b>&amp;",
    "{{.Value}}",
    "=cmd()",
    "}",
]


def test_names_of_jobs_are_labels_that_parse(server):
    stream = server.open({"dataset": "digits/train", "size": [8, 8]})
    for job in HOSTILE_JOBS:
        assert server.batch(stream, 0, 0, 1, Augsvc_Job=job).status == 200
    for unprintable in ("a\x1b[2J", "é", "a" * 65):
        assert server.batch(stream, 0, 0, 1, Augsvc_Job=unprintable).status in (200, 400)
    text = server.get("/metrics").body.decode()
    samples = [sample for family in text_string_to_metric_families(text) for sample in family.samples]
    jobs = {sample.labels["training_job"] for sample in samples if "training_job" in sample.labels}
    assert set(HOSTILE_JOBS) <= jobs
    assert all(job.isascii() and job.isprintable() and len(job) <= 64 for job in jobs)
    if promtool := shutil.which("promtool"):
        checked = subprocess.run(
            [promtool, "check", "metrics"], input=text, capture_output=True, text=True, check=False
        )
        assert checked.returncode == 0, checked.stderr


def test_who_waits_for_the_metrics_shares_one_text(monkeypatch):
    """Rendering them has a tenth of the event loop's time, however many ask; and no text is older than its request."""
    now, waits, rendered = [0.0], [], itertools.count()

    async def sleep(seconds):
        waits.append(seconds)
        now[0] += seconds

    def render():
        now[0] += 0.05
        return b"%d" % next(rendered)

    monkeypatch.setattr(scrapes.time, "monotonic", lambda: now[0])
    monkeypatch.setattr(scrapes.time, "perf_counter", lambda: now[0])
    monkeypatch.setattr(scrapes.asyncio, "sleep", sleep)

    async def run():
        texts = scrapes.Scrapes(render)
        return [await asyncio.gather(*(texts.text() for _ in range(8))) for _ in range(20)]

    assert asyncio.run(run()) == [[b"%d" % number] * 8 for number in range(20)]
    assert now[0] >= 20 * 0.05 / 0.1 - 2
    assert max(waits) <= 0.5
