"""The engine owns the device: it opens streams, reads batches on several threads, and renders them one after the other on one.

The event loop never computes. The bytes in flight are bounded: a batch counts from its request until the last reference to
its memory is gone, which is when the socket has taken it, not when `send` returned.
"""

import logging
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from functools import partial
from threading import Event
from typing import Self, TypeVar

import numpy as np

from augsvc.arrays import U8, Arrays
from augsvc.cpus import cores
from augsvc.data.catalog import Catalog, Replacement
from augsvc.data.source import Source
from augsvc.engine.limits import Limits
from augsvc.engine.memory_budget import Chunks, Lease, MemoryBudget
from augsvc.engine.opening import OpenStreams
from augsvc.engine.start_progress import Report, StartProgress
from augsvc.engine.work import READING, Queues, Work
from augsvc.errors import AugsvcError, Cancelled, NotAvailable, Starting, StreamMismatch
from augsvc.executors.protocol import Executor
from augsvc.ops.registry import Registry
from augsvc.planning.spec import StreamSpec
from augsvc.streams.preview import draw, look, sheet_bytes
from augsvc.streams.push import Push
from augsvc.streams.reading import SOURCE_BYTES
from augsvc.streams.selftest import SelfTest
from augsvc.streams.stream import Body, Range, Stream

logger = logging.getLogger("augsvc")
T = TypeVar("T")
RETRY_S = 5.0  # before the self-test is run again after an error that may pass
_SHORT_BYTES = 1 << 16  # of a text that is not counted: its connection takes as much
_REPORT_S = 0.5  # between two reports of the progress of a start


class Engine:
    """Serves streams over a catalog with one executor; a context manager that stops it."""

    def __init__(
        self,
        catalog: Catalog,
        executor: Executor,
        operations: Registry,
        limits: Limits,
        charge: Callable[[str, float], None] = lambda job, seconds: None,
    ) -> None:
        """`charge` is called with a job and the seconds of each of its tasks, from several threads."""
        self.catalog = catalog
        self.executor = executor
        self.operations = operations
        self.limits = limits
        self._stopping = Event()
        self.selftest = SelfTest(executor, operations, self._check_stopping)
        self.progress = StartProgress("self_test", 0, self.selftest.to_render)
        self.arithmetic: Future[str | None] | None = None  # the whole id; None if something fails its self-test
        free_chunk_bytes = READING.total * SOURCE_BYTES  # which cli/memory.py leaves to the process
        self._budget = MemoryBudget(limits.budget_bytes, free_chunk_bytes=free_chunk_bytes)
        self._streams = OpenStreams(catalog, executor, self.selftest, limits)
        self._queues = Queues(charge, self._stopping, Chunks(self._budget, SOURCE_BYTES))
        self._testing = ThreadPoolExecutor(1, thread_name_prefix="selftest")
        self._workers = ThreadPoolExecutor(cores(), thread_name_prefix="worker")
        self._helpers = ThreadPoolExecutor(cores(), thread_name_prefix="helper")  # of the threads that read

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.stop()

    @property
    def in_flight_bytes(self) -> int:
        """Bytes of batches requested and not yet taken by their sockets."""
        return self._budget.in_flight

    @property
    def alive(self) -> bool:
        """Whether all worker threads are running."""
        return self._queues.alive

    @property
    def seconds_since_heartbeat(self) -> float:
        """Seconds without progress of a running task: a file read or the device does not answer."""
        return self._queues.seconds_since_heartbeat

    @property
    def ready(self) -> bool:
        """Whether `start` has completed; until then, `open` and `push` raise Starting."""
        return self.arithmetic is not None

    def require_ready(self) -> "Future[str | None]":
        """The arithmetic id, which may still be measured; raises Starting, with how far it is, until `start` has completed."""
        if self.arithmetic is None:
            message = f"the server is starting: {self.progress.text}; retry shortly"
            raise Starting(message, details={"progress": self.progress.fields()})
        return self.arithmetic

    def start(self, report: Report = lambda progress: None) -> "Future[str | None]":
        """Runs the self-test's grounds, which compiles the kernels, and starts the rest of it in the background, for the
        result `arithmetic`. `report` is called with the progress twice a second.
        """
        with self.executor.watch_compilation() as compilation:
            warming = self._testing.submit(self.selftest.warm_up)
            while wait({warming}, _REPORT_S).not_done:
                self.progress = StartProgress.of(compilation, self.selftest.rendered, self.selftest.to_render)
                report(self.progress)
        warming.result()
        self.arithmetic = self._testing.submit(self._whole_arithmetic)
        return self.arithmetic

    def _whole_arithmetic(self) -> str | None:
        while True:
            try:
                return self.selftest.whole()
            except NotAvailable:  # logged; streams that do not use it are served
                return None
            except AugsvcError as err:
                logger.warning("the self-test is run again in %g s: %s", RETRY_S, err.message)
            self._stopping.wait(RETRY_S)
            self._check_stopping()

    def _check_stopping(self) -> None:
        if self._stopping.is_set():
            raise Cancelled

    def stop(self) -> None:
        """Ends the threads: queued work is dropped, and running work is cancelled."""
        self._stopping.set()
        self.catalog.cache.processes.stop()  # which threads of the queues wait for
        self._queues.stop()
        self._testing.shutdown(wait=True, cancel_futures=True)
        self._workers.shutdown(wait=True, cancel_futures=True)
        self._helpers.shutdown(wait=True, cancel_futures=True)

    def open(self, spec: StreamSpec, wait: bool = True, version: str | None = None) -> Stream:
        """The stream of a specification, from this version of its dataset, by default the current one (blocking: it may
        read labels).

        Raises:
            UnknownDataset, SpecInvalid: it cannot be served.
            StreamMismatch: this replica does not have that version, or does not keep it any more.
            PlanTooCostly: a sample of it would take too long.
            NotAvailable: an operation or a decoder that it uses fails its self-test here.
            Starting: the self-test's grounds are still running.
            Pending: another thread computes what is needed, if this one is not to `wait` for it.
        """
        self.require_ready()
        return self._streams.open(spec, wait, version)

    def find(self, stream_id: str) -> Stream | None:
        """The stream of an id, if it is open here."""
        return self._streams.find(stream_id)

    def require(self, stream_id: str, spec: StreamSpec, wait: bool = True) -> Stream:
        """The stream of a specification, which must have that id (blocking, as `open`); also of a former version of its
        dataset, while that is kept.

        Raises:
            StreamMismatch: this replica would produce different bytes.
        """
        self.require_ready()
        stream = self._streams.require(stream_id, spec, wait)
        if stream.id != stream_id:
            raise StreamMismatch(
                "this replica would produce different bytes for the specification; use another replica or reopen the stream",
                details={
                    "id": stream.id,
                    "dataset_version": stream.source.info.version,
                    "arithmetic": stream.arithmetic,
                },
            )
        return stream

    def replace_dataset(self, dataset: str, sources: Sequence[Source]) -> list[Replacement]:
        """Opens streams of an operator's dataset over these sources from now on, and keeps those that are open; returns what
        has changed (blocking: it compares all files).

        Raises:
            ValueError: two sources would have the same name.
        """
        return self._streams.replace(dataset, sources)

    def check(self, stream: Stream, batch: Range) -> None:
        """Refuses a range that does not exist or is too large.

        Raises:
            PastTheEnd, BatchTooLarge.
        """
        self.limits.require_batch(stream, batch, self.executor)

    def produce(self, stream: Stream, batch: Range, job: str = "") -> Work[Body]:
        """Queues a checked range for a job.

        Raises:
            TooMuchAtOnce, Overloaded: too many bytes are in flight.
        """
        size = stream.layout.size(min(batch.count, stream.samples - batch.start))
        lease = self._budget.lease(job, size, working=stream.renderer.working_bytes(batch.count))
        phases = partial(stream.phases, batch, self._workers, self._helpers)
        return _settled(self._queues.submit_phases(job, phases), lease)

    def preview(self, stream: Stream, batch: Range, job: str = "") -> Work[Body]:
        """Queues the contact sheet of a checked range: rendered by the engine with and without its pipeline, and drawn
        on another thread, while the next batch is computed.

        Raises:
            BatchTooLarge: too many pixels for a preview.
            TooMuchAtOnce, Overloaded: too many bytes are in flight.
        """
        count = min(batch.count, stream.samples - batch.start)
        size = 2 * stream.layout.size(count) + sheet_bytes(stream, count)
        lease = self._budget.lease(job, size, working=stream.renderer.working_bytes(count))
        phases = partial(look, stream, batch, self._workers, self._helpers)
        rendering = self._queues.submit_phases(job, phases)
        sheet = Work[Body](Future(), rendering.stages, rendering.cancelled)

        def draw_rendered(rendered: "Future[tuple[U8, U8]]") -> None:
            lease.end_rendering()
            self._queues.submit(self._queues.inspections, job, lambda check, _: draw(rendered.result(), check), sheet)
            sheet.future.add_done_callback(lambda done: _settle(done, lease))

        rendering.future.add_done_callback(draw_rendered)
        # not `sheet` itself: it would reference its input, whose callback references it
        return Work(sheet.future, sheet.stages, sheet.cancelled, rendering)

    def describe(self, call: Callable[[Callable[[], None]], bytes], job: str) -> Work[U8]:
        """Queues a call that describes samples, as text; it is given a check. Raises as `hold`, and what the call raises."""
        return self._queues.submit(self._queues.inspections, job, lambda check, _: self.hold(call(check), job))

    def hold(self, text: bytes, job: str) -> U8:
        """The text of a response; a long one (4,096 keys have up to 16 MB) is in flight until the last reference to it is gone.

        Raises:
            TooMuchAtOnce, Overloaded: too many bytes are in flight.
        """
        held = np.frombuffer(text, np.uint8)
        if held.nbytes > _SHORT_BYTES:
            self._budget.lease(job, held.nbytes).release_with(held)
        return held

    def allocate(self, n_bytes: int, job: str) -> U8:
        """Memory for a request's body, in flight until the last reference to it is gone.

        Raises:
            TooMuchAtOnce, Overloaded: too many bytes are in flight.
        """
        lease = self._budget.lease(job, n_bytes)
        buffer = np.empty(n_bytes, dtype=np.uint8)
        lease.release_with(buffer)
        return buffer

    def push(self, fields: object, arrays: Arrays, job: str = "", body_bytes: int = 0, wait: bool = True) -> Work[Body]:
        """Queues a client's own samples (blocking: it validates them), `body_bytes` of which `allocate` counted.

        Raises:
            SpecInvalid, PlanTooCostly, BodyMalformed, DuplicateIndex: the request or its samples are invalid.
            StreamMismatch: another arithmetic is expected.
            BatchTooLarge, TooMuchAtOnce, Overloaded, Starting.
            Pending: another thread computes what is needed, if this one is not to `wait` for it.
        """
        self.require_ready()
        arithmetic_of = partial(self.selftest.arithmetic_of, wait=wait)
        pushed = Push.of(fields, arrays, self.executor, self.operations, arithmetic_of)
        self.limits.require_push(pushed, self.executor)
        working = pushed.renderer.working_bytes(pushed.samples)
        lease = self._budget.lease(job, pushed.size, beside=body_bytes, working=working)
        produce = partial(pushed.produce, self._workers)
        return _settled(self._queues.submit(self._queues.rendering, job, produce), lease)

    def run_opening(self, call: Callable[[], T], job: str = "") -> Work[T]:
        """Queues a blocking call that opens a stream without waiting for other threads: it is repeated after Pending."""
        return self._queues.submit_repeated(self._queues.openings, job, call)

    def run_validation(self, call: Callable[[], T], job: str = "") -> Work[T]:
        """Queues a blocking call that validates pushed samples without waiting for other threads: it is repeated after
        Pending.
        """
        return self._queues.submit_repeated(self._queues.validations, job, call)


def _settled(work: Work[Body], lease: Lease) -> Work[Body]:
    """The work, which keeps its lease until its memory is freed."""
    work.future.add_done_callback(lambda done: _settle(done, lease))
    return work


def _settle(done: "Future[Body]", lease: Lease) -> None:
    """Keeps a finished batch's lease until its memory is freed; without a batch it ends now."""
    if done.cancelled() or done.exception():
        lease.release()
    else:
        lease.end_rendering()  # a slow reader does not withhold it from others
        lease.release_with(done.result().buffer)
