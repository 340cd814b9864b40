"""Peak memory of every kind of request, compared with what the budget counted for it.

NumPy reports its arrays to tracemalloc, and Python its objects; Pillow's copy of a sheet is in neither, but is counted.
"""

import asyncio
import ctypes
import threading
import time
import tracemalloc
from pathlib import Path

import numpy as np
import pytest

from augsvc.arrays import Sample
from augsvc.cpus import cores
from augsvc.data.cache import DecodedCache
from augsvc.data.catalog import Catalog, open_catalog
from augsvc.engine import engine as engine_module
from augsvc.engine.engine import Engine
from augsvc.engine.limits import Limits
from augsvc.engine.opening import OpenStreams
from augsvc.errors import Overloaded, PlanTooCostly, TooMuchAtOnce
from augsvc.http.responses import encode_json
from augsvc.http.routes.frames import FramesResponse, frame_sizes
from augsvc.ops.registry import registry
from augsvc.planning.spec import validate_spec
from augsvc.streams import render_image, stream
from augsvc.streams.stream import Range
from tests.harness import ListSource, executor, few_operations, over, run
from tests.ops.test_sound import open_clips

WORKING = 48 << 20  # of the one task that runs, whatever the request: chunks, tables, decoded samples


@pytest.fixture(scope="module")
def engine():
    limits = Limits(256 << 20, max_sample_s=60.0, max_batch_s=1e6)
    made = Engine(open_catalog({}, 0), executor(), few_operations(), limits)
    made.start()
    made.selftest.whole()  # nothing of it runs beside the tests
    yield made
    made.stop()


@pytest.fixture
def measure(engine):
    """The peak over what was allocated before, and the most that was counted."""

    def of(request):
        wait_until(lambda: not engine.in_flight_bytes)  # of the test before
        tracemalloc.start()
        try:
            work = request()
            counted = engine.in_flight_bytes
            work.future.result()
            return tracemalloc.get_traced_memory()[1], counted
        finally:
            tracemalloc.stop()

    return of


@pytest.mark.parametrize(
    ("size", "count"), [([32, 32], 8000), ([256, 256], 300), ([1024, 1024], 12), ([1, 1], 100_000), ([1, 3000], 900)]
)
@pytest.mark.parametrize("dtype", ["uint8", "float32"])
def test_batches(engine, measure, size, count, dtype):
    fields = {"dataset": "digits/train", "size": size, "pipeline": "standard", "output": {"dtype": dtype}}
    stream = engine.open(validate_spec(fields))
    peak, counted = measure(lambda: engine.produce(stream, Range(0, 0, min(count, stream.samples), 0)))
    assert peak <= counted + WORKING


@pytest.mark.parametrize(("size", "count"), [([1024, 1024], 1), ([700, 700], 3), ([512, 512], 9), ([64, 64], 64)])
@pytest.mark.parametrize("channels", [1, 3])
def test_previews(engine, measure, size, count, channels):
    stream = engine.open(validate_spec({"dataset": "digits/train", "size": size, "channels": channels}))
    peak, counted = measure(lambda: engine.preview(stream, Range(0, 0, count, 0)))
    assert peak <= counted + WORKING
    assert counted <= 12 * 2 * 2 * size[0] * size[1] * channels * max(count, 8 * (count > 8)) + (1 << 20), (
        "nor far too much"
    )


@pytest.mark.parametrize("kind", ["tiny", "boxes", "keypoints", "audio"])
def test_pushes(engine, measure, kind):
    """A million samples of one byte took 600 bytes each."""
    n = {"tiny": 150_000, "boxes": 4, "keypoints": 20_000, "audio": 60}[kind]
    arrays = {"index": np.arange(n), "image": np.zeros((n, 1, 1, 1), np.uint8)}
    if kind == "boxes":
        arrays["boxes"] = np.tile(np.array([0, 0, 1, 1], np.float32), (n, 200_000, 1))
    if kind == "keypoints":
        arrays["keypoints"] = np.zeros((n, 20, 2), np.float32)
    if kind == "audio":
        arrays = {"index": np.arange(n), "audio": np.zeros((n, 100_000), np.float32)}
    body = sum(array.nbytes for array in arrays.values())
    pipeline = [] if kind == "audio" else "light"
    peak, counted = measure(lambda: engine.push({"pipeline": pipeline}, arrays, body_bytes=0))
    assert peak <= counted + body + WORKING  # the body itself was counted as it was allocated


def test_frames(engine):
    """Ten batches in one response are two at a time: the one that is sent, and the next."""
    stream = engine.open(validate_spec({"dataset": "digits/train", "size": [512, 512], "pipeline": "standard"}))
    batches = [Range(0, start, 100, 0) for start in range(0, 1000, 100)]
    counted, sent = [], []

    async def send(message):
        counted.append(engine.in_flight_bytes)
        sent.append(len(message.get("body", b"")))

    async def receive():
        await asyncio.Event().wait()

    async def respond():
        response = FramesResponse(
            await asyncio.wrap_future(engine.produce(stream, batches[0]).future),
            batches[1:],
            frame_sizes(stream, batches),
            lambda batch: engine.produce(stream, batch),
            lambda body: None,
            lambda: 0.0,
        )
        await response({}, receive, send)

    tracemalloc.start()
    try:
        asyncio.run(respond())
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    size = stream.layout.size(100)
    assert sum(sent) == 10 * (size + 16)
    assert size < max(counted) <= 2 * size
    assert peak <= max(counted) + WORKING


def test_receipts(engine, measure):
    stream = engine.open(validate_spec({"dataset": "photos/train", "size": [64, 64], "pipeline": "strong"}))
    peak, _ = measure(lambda: engine.describe(lambda check: encode_json(stream.receipt(0, 3, 0, check)), ""))
    assert peak <= WORKING


def test_long_descriptions_are_in_flight_until_they_are_sent(engine):
    """16 MB of keys for each client that read none were counted nowhere."""
    wait_until(lambda: not engine.in_flight_bytes)
    few, many = (engine.describe(lambda check: b"x" * n_bytes, "").future.result() for n_bytes in (1 << 16, 1 << 20))  # noqa: B023
    assert engine.in_flight_bytes == 1 << 20
    assert len(few.data) + len(many.data) == (1 << 16) + (1 << 20)
    del few, many
    assert not engine.in_flight_bytes
    largest = engine.describe(lambda check: bytes(engine.limits.budget_bytes), "").future.result()
    with pytest.raises((TooMuchAtOnce, Overloaded)):
        engine.describe(lambda check: bytes(1 << 20), "").future.result()
    del largest


def grown(request):
    """What the process has grown by at most; torch reports its arrays to neither."""
    ctypes.CDLL(None).malloc_trim(0)
    Path("/proc/self/clear_refs").write_text("5")  # restarts VmHWM
    before = memory_of_process("VmRSS")
    request().future.result()
    return memory_of_process("VmHWM") - before


def memory_of_process(name):
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) << 10 for line in lines if line.startswith(name))


@pytest.mark.parametrize(
    ("op", "size"),
    [
        *[(op, [1000, 1000]) for op in ("mixup", "cutmix", "mosaic", "aug_mix", "jpeg", "median_blur", "downsample")],
        ("downsample", [1, 4096]),
    ],
)
@pytest.mark.parametrize("dtype", ["uint8", "float32"])
def test_what_rendering_takes(engine, measure, op, size, dtype, monkeypatch):
    """Mixes of 4096 x 4096 took 160 to 860 MB, and `downsample` 1.4 GB, that nothing counted."""
    monkeypatch.setattr(render_image, "_USUAL_BYTES", 0)
    images = [np.full((32, 48, 3), 40 * row, np.uint8) for row in range(2)]
    stream = run([{"op": op, "p": 1.0}], images, size=size, output={"dtype": dtype}).stream
    small = run([{"op": op, "p": 1.0}], images, size=[64, 64], output={"dtype": dtype}).stream
    engine.produce(small, Range(0, 0, 2, 0)).future.result()  # what is loaded once
    peak, counted = measure(lambda: engine.produce(stream, Range(0, 0, 2, 0)))
    peak = max(peak, grown(lambda: engine.produce(stream, Range(0, 0, 2, 0))))
    assert peak <= counted + (8 << 20)
    assert counted <= 6 * peak + (8 << 20), "nor far too much"


@pytest.mark.parametrize("ops", [["gaussian_blur", "sharpen"], ["equalize"]])
def test_values_that_a_pass_keeps(engine, measure, ops, monkeypatch):
    """Those between two filters of one pass were not counted: 100 MB of a sample of 4096 x 4096."""
    monkeypatch.setattr(render_image, "_USUAL_BYTES", 0)
    stream = run([{"op": op, "p": 1.0} for op in ops], [np.zeros((8, 8, 3), np.uint8)] * 4, size=[1400, 1400]).stream
    peak, counted = measure(lambda: engine.produce(stream, Range(0, 0, 4, 0)))
    assert peak <= counted + (8 << 20)
    assert counted <= 2 * peak, "nor far too much"


@pytest.mark.parametrize("op", ["colored_noise", "speed"])
@pytest.mark.parametrize(("samples", "count"), [(1 << 19, 16), (1 << 22, 3), (1 << 12, 300)])
def test_second_tracks_of_clips(engine, measure, op, samples, count):
    """Of eight clips that are filtered together, or of one as long as they are: they were not counted."""
    tracks = open_clips([{"op": op}], [np.full(samples, 0.1, np.float32)] * count)
    engine.produce(tracks, Range(0, 0, 1, 0)).future.result()  # what is loaded once
    peak, counted = measure(lambda: engine.produce(tracks, Range(0, 0, count, 0)))
    assert peak <= counted + (8 << 20)
    assert counted <= 3 * peak + (1 << 20), "nor far too much"


@pytest.mark.parametrize(
    "ops",
    [["gamma"] * 16, ["gamma", "gamma"], ["equalize"] * 16, ["equalize", "gamma"]],
    ids=lambda ops: f"{len(ops)} {ops[-1]}",
)
def test_tables_of_tones(engine, measure, ops, monkeypatch):
    """64 of them took 342 MB of a batch on 32 threads; one that is merged with an image's own three times what was counted."""
    monkeypatch.setattr(render_image, "_USUAL_BYTES", 0)
    stream = run([{"op": op, "p": 1.0} for op in ops], [np.zeros((8, 8, 3), np.uint8)] * 300, size=[8, 8]).stream
    engine.produce(stream, Range(0, 0, 1, 0)).future.result()  # what is loaded once
    peak, counted = measure(lambda: engine.produce(stream, Range(0, 0, 300, 0)))
    assert peak <= counted + (2 << 20)
    assert counted <= 6 * peak, "nor far too much"


def test_a_sample_that_takes_more_than_the_budget_is_refused(engine, monkeypatch):
    """It was rendered alone, in any memory."""
    limits = Limits(8 << 20, max_sample_s=60.0)
    spec = validate_spec({"dataset": "digits/train", "size": [2048, 2048], "pipeline": [{"op": "downsample"}]})
    streams = OpenStreams(engine.catalog, engine.executor, engine.selftest, limits)
    with pytest.raises(PlanTooCostly, match=r"one sample .* estimated [0-9,]+ bytes.* budget is 33,554,432"):
        streams.open(spec, wait=True)
    monkeypatch.setattr(engine, "limits", limits)
    arrays = {"index": np.arange(1), "image": np.zeros((1, 1024, 1024, 3), np.uint8)}
    with pytest.raises(PlanTooCostly):
        engine.push({"pipeline": [{"op": "downsample"}]}, arrays)


@pytest.mark.parametrize("kind", ["batch", "preview", "push"])
def test_what_rendering_takes_is_returned_when_it_ends(engine, kind, monkeypatch):
    """It was counted until a slow socket had taken the body."""
    monkeypatch.setattr(render_image, "_USUAL_BYTES", 0)
    wait_until(lambda: not engine.in_flight_bytes)
    pipeline = [{"op": "downsample", "p": 1.0}]
    if kind == "push":
        arrays = {"index": np.arange(2), "image": np.zeros((2, 64, 64, 3), np.uint8)}
        work = engine.push({"pipeline": pipeline}, arrays)
    else:
        stream = run(pipeline, [np.zeros((64, 64, 3), np.uint8)] * 2, size=[64, 64]).stream
        work = (engine.produce if kind == "batch" else engine.preview)(stream, Range(0, 0, 2, 0))
    body = work.future.result()
    wait_until(lambda: engine.in_flight_bytes and not engine._budget._shared())
    assert engine.in_flight_bytes >= body.buffer.nbytes


def test_chunks_of_many_jobs(monkeypatch):
    """Each job beyond three held 64 MiB of decoded samples that nothing counted."""
    for module in (stream, engine_module):
        monkeypatch.setattr(module, "SOURCE_BYTES", 1 << 20)
    images = [np.zeros((512, 1024, 1), np.uint8)] * 20
    source, gate, begun = ListSource([Sample(image, 0) for image in images]), threading.Event(), []
    monkeypatch.setattr(source, "read", lambda index: begun.append(index) or source.samples[index])
    opened = over(source, [], size=[4, 4]).stream
    engine = Engine(Catalog((), DecodedCache(0)), executor(), registry(()), Limits(1 << 20))
    budget = 4 << 20
    try:
        engine._queues.submit(engine._queues.rendering, "", lambda check, _: gate.wait(60))
        works = [engine.produce(opened, Range(0, 0, 20, 0), f"job {number}") for number in range(16)]
        previous = -1
        while previous != len(begun):
            previous = len(begun)
            time.sleep(0.3)
        most = 2 + cores()  # samples of a chunk
        assert 3 * 2 <= len(begun) <= 7 * most
        assert budget - (2 << 20) <= engine.in_flight_bytes <= budget + most * (1 << 19)
        gate.set()
        assert len({work.future.result(60).digest for work in works}) == 1
        del works
        wait_until(lambda: not engine.in_flight_bytes)
    finally:
        gate.set()
        engine.stop()


def wait_until(condition):
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)
