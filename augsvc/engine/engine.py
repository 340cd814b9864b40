"""The engine owns the device: it opens streams and computes batches one after the other on its own thread.

The event loop never computes. The bytes in flight are bounded: a batch counts from its request until the last reference to
its memory is gone, which is when the socket has taken it, not when `send` returned.
"""

import logging
import time
from collections import OrderedDict
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from threading import Event, Lock
from typing import Any, Generic, Self, TypeVar

import numpy as np

from augsvc.arrays import U8, Arrays
from augsvc.cpus import cores
from augsvc.data.catalog import Catalog
from augsvc.data.subset import Subsets
from augsvc.engine.awake_clock import AwakeClock
from augsvc.engine.fair_queue import FairQueue
from augsvc.engine.memory_budget import Lease, MemoryBudget
from augsvc.errors import AugsvcError, BatchTooLarge, Cancelled, NotAvailable, PlanTooCostly, Starting, StreamMismatch
from augsvc.executors.protocol import Executor
from augsvc.ops.registry import Registry
from augsvc.planning.cost import sample_seconds
from augsvc.planning.passes import Passes
from augsvc.planning.spec import StreamSpec
from augsvc.streams.preview import draw, look, sheet_bytes
from augsvc.streams.push import Push
from augsvc.streams.selftest import SelfTest
from augsvc.streams.stream import Body, Range, Stream
from augsvc.timing import Stages

logger = logging.getLogger("augsvc")
T = TypeVar("T")
Compute = Callable[[Callable[[], None], Stages], T]  # its first argument is called regularly and cancels by raising
MAX_STREAMS = 1024  # kept open; a dropped one is reopened from the request's own specification
_GPU_SPEEDUP = 50.0  # over a core, roughly: it only keeps the estimate from refusing what a GPU renders in time
RETRY_S = 5.0  # before the self-test is run again after an error that may pass
STARTING = "the self-test is still running; retry shortly"


@dataclass(slots=True, eq=False)
class Work(Generic[T]):
    """A task that is queued or running."""

    future: "Future[T]"
    stages: Stages = field(default_factory=Stages)
    _cancelled: Event = field(default_factory=Event)
    _previous: "Future[Any] | None" = None  # its input

    def cancel(self) -> None:
        """Stops the computation at its next check, or keeps it from starting."""
        self._cancelled.set()
        self.future.cancel()
        if self._previous is not None:
            self._previous.cancel()


@dataclass(frozen=True, slots=True)
class Limits:
    """What one request may ask of an engine; seconds are estimates (planning/cost.py)."""

    max_batch_bytes: int
    max_sample_s: float = 10.0
    max_batch_s: float = 60.0


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
        self.arithmetic: Future[str | None] | None = None  # the whole id; None if something fails its self-test
        self._budget = MemoryBudget(4 * limits.max_batch_bytes)
        self._streams: OrderedDict[str, Stream] = OrderedDict()
        self._subsets = Subsets()
        self._lock = Lock()
        self._clock = AwakeClock()
        self._clock.start()
        self._batches: FairQueue[Any] = FairQueue("engine", self._clock, charge)
        self._inspections: FairQueue[Any] = FairQueue("inspection", self._clock, charge)  # receipts and previews
        self._openings: FairQueue[Any] = FairQueue("opening", self._clock, charge)  # they may read a dataset's labels
        self._validations: FairQueue[Any] = FairQueue("validation", self._clock, charge)  # of pushed samples
        self._testing = ThreadPoolExecutor(1, thread_name_prefix="selftest")
        self._workers = ThreadPoolExecutor(cores(), thread_name_prefix="worker")

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
        return all(queue.alive for queue in self._queues)

    @property
    def _queues(self) -> "tuple[FairQueue[Any], ...]":
        return self._batches, self._inspections, self._openings, self._validations

    @property
    def seconds_since_heartbeat(self) -> float:
        """Seconds without progress of a running task: a file read or the device does not answer."""
        return max(self._batches.seconds_since_heartbeat, self._inspections.seconds_since_heartbeat)

    @property
    def ready(self) -> bool:
        """Whether `start` has completed; until then, `open` and `push` raise Starting."""
        return self.arithmetic is not None

    def start(self) -> "Future[str | None]":
        """Runs the self-test's frames, which compiles the kernels, and starts the rest of it in the background, for the
        result `arithmetic`.
        """
        self._testing.submit(self.selftest.warm_up).result()
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
        for queue in self._queues:
            queue.stop()
        self._testing.shutdown(wait=True, cancel_futures=True)
        self._workers.shutdown(wait=True, cancel_futures=True)
        self._clock.stop()

    def open(self, spec: StreamSpec) -> Stream:
        """The stream of a specification (blocking: it may read labels).

        Raises:
            UnknownDataset, SpecInvalid: it cannot be served.
            PlanTooCostly: a sample of it would take too long.
            NotAvailable: an operation or a decoder that it uses fails its self-test here.
            Starting: the self-test's frames are still running.
        """
        if not self.ready:
            raise Starting(STARTING)
        stream = Stream.open(spec, self.catalog.get(spec.dataset), self.executor, self._subsets)
        self._sample_seconds(stream.plan)
        stream = stream.with_arithmetic(self.selftest.arithmetic(stream))
        with self._lock:
            stream = self._streams.setdefault(stream.id, stream)
            self._streams.move_to_end(stream.id)
            if len(self._streams) > MAX_STREAMS:
                self._streams.popitem(last=False)
        return stream

    def find(self, stream_id: str) -> Stream | None:
        """The stream of an id, if it is open here."""
        with self._lock:
            if stream_id in self._streams:
                self._streams.move_to_end(stream_id)
            return self._streams.get(stream_id)

    def require(self, stream_id: str, spec: StreamSpec) -> Stream:
        """The stream of a specification, which must have that id (blocking, as `open`).

        Raises:
            StreamMismatch: this replica would produce different bytes.
        """
        stream = self.open(spec)
        if stream.id != stream_id:
            raise StreamMismatch(
                "this replica would produce different bytes for the specification; use another replica or reopen the stream",
                {
                    "id": stream.id,
                    "dataset_version": stream.source.info.version,
                    "arithmetic": stream.arithmetic,
                },
            )
        return stream

    def check(self, stream: Stream, batch: Range) -> None:
        """Refuses a range that does not exist or is too large.

        Raises:
            PastTheEnd, BatchTooLarge.
        """
        stream.require_start(batch.epoch, batch.start)
        count = min(batch.count, stream.samples - batch.start)
        size = stream.layout.size(count)
        if size > self.limits.max_batch_bytes:
            most = (self.limits.max_batch_bytes - stream.layout.size(0)) // stream.layout.row_bytes
            raise BatchTooLarge(f"a batch of this stream has at most {max(most, 0)} samples here", field="count")
        self._check_seconds(count, self._sample_seconds(stream.plan), field="count")

    def _sample_seconds(self, plan: Passes, labels: int = 0) -> float:
        seconds = sample_seconds(plan, labels) / (_GPU_SPEEDUP if self.executor.device.type == "cuda" else 1.0)
        if seconds > self.limits.max_sample_s:
            raise PlanTooCostly(
                f"a sample of this pipeline takes an estimated {seconds:.0f} s, and at most {self.limits.max_sample_s:g} s "
                "are allowed; reduce the size, the number of operations or of labels",
                field="pipeline",
            )
        return seconds

    def _check_seconds(self, count: int, seconds: float, field: str) -> None:
        most = int(self.limits.max_batch_s / seconds) * self.executor.threads
        if count > most:
            raise BatchTooLarge(
                f"a batch of this pipeline has at most {most} samples here, each an estimated {seconds:.2g} s",
                field=field,
            )

    def produce(self, stream: Stream, batch: Range, job: str = "") -> Work[Body]:
        """Queues a checked range for a job.

        Raises:
            TooMuchAtOnce, Overloaded: too many bytes are in flight.
        """
        size = stream.layout.size(min(batch.count, stream.samples - batch.start))

        def compute(check: Callable[[], None], stages: Stages) -> Body:
            return stream.produce(batch.epoch, batch.start, batch.count, batch.view, self._workers, check, stages)

        return self._compute(job, compute, self._budget.lease(job, size))

    def preview(self, stream: Stream, batch: Range, job: str = "") -> Work[Body]:
        """Queues the contact sheet of a checked range: rendered by the engine with and without its pipeline, and drawn
        on another thread, while the next batch is computed.

        Raises:
            BatchTooLarge: too many pixels for a preview.
            TooMuchAtOnce, Overloaded: too many bytes are in flight.
        """
        count = min(batch.count, stream.samples - batch.start)
        lease = self._budget.lease(job, 2 * stream.layout.size(count) + sheet_bytes(stream, count))
        address = (batch.epoch, batch.start, batch.count, batch.view)
        rendering = self._submit(self._batches, job, lambda check, _: look(stream, *address, self._workers, check))
        sheet = Work[Body](Future(), rendering.stages, rendering._cancelled)

        def draw_rendered(rendered: "Future[tuple[U8, U8]]") -> None:
            self._submit(self._inspections, job, lambda check, _: draw(rendered.result(), check), sheet)
            sheet.future.add_done_callback(lambda done: _settle(done, lease))

        rendering.future.add_done_callback(draw_rendered)
        # not `sheet` itself: it would reference its input, whose callback references it
        return Work(sheet.future, sheet.stages, sheet._cancelled, rendering.future)

    def receipt(self, stream: Stream, epoch: int, position: int, view: int, job: str) -> Work[dict[str, object]]:
        """Queues a sample's receipt, which decodes it; raises as Stream.receipt does."""
        return self._submit(self._inspections, job, lambda check, _: stream.receipt(epoch, position, view, check))

    def allocate(self, n_bytes: int, job: str) -> U8:
        """Memory for a request's body, in flight until the last reference to it is gone.

        Raises:
            TooMuchAtOnce, Overloaded: too many bytes are in flight.
        """
        lease = self._budget.lease(job, n_bytes)
        buffer = np.empty(n_bytes, dtype=np.uint8)
        lease.release_with(buffer)
        return buffer

    def push(self, fields: object, arrays: Arrays, job: str = "", body_bytes: int = 0) -> Work[Body]:
        """Queues a client's own samples (blocking: it validates them), `body_bytes` of which `allocate` counted.

        Raises:
            SpecInvalid, PlanTooCostly, BodyMalformed, DuplicateIndex: the request or its samples are invalid.
            StreamMismatch: another arithmetic is expected.
            BatchTooLarge, TooMuchAtOnce, Overloaded, Starting.
        """
        if not self.ready:
            raise Starting(STARTING)
        pushed = Push.of(fields, arrays, self.executor, self.operations, self.selftest.arithmetic_of)
        self._check_seconds(pushed.samples, self._sample_seconds(pushed.renderer.plan, pushed.labels), field="image")
        if pushed.size > self.limits.max_batch_bytes:
            raise BatchTooLarge(
                f"the response would be over {self.limits.max_batch_bytes} bytes; reduce the batch size", field="image"
            )
        lease = self._budget.lease(job, pushed.size, beside=body_bytes)
        return self._compute(job, partial(pushed.produce, self._workers), lease)

    def run_opening(self, call: Callable[[], T], job: str = "") -> Work[T]:
        """Queues a blocking call that opens a stream."""
        return self._submit(self._openings, job, lambda check, _: call())

    def run_validation(self, call: Callable[[], T], job: str = "") -> Work[T]:
        """Queues a blocking call that validates pushed samples."""
        return self._submit(self._validations, job, lambda check, _: call())

    def _compute(self, job: str, compute: Compute[Body], lease: Lease) -> Work[Body]:
        work = self._submit(self._batches, job, compute)
        work.future.add_done_callback(lambda done: _settle(done, lease))
        return work

    def _submit(self, queue: FairQueue[Any], job: str, compute: Compute[T], work: Work[T] | None = None) -> Work[T]:
        """Queues a task, for a work that exists already if one is given."""
        work = work or Work(Future())
        stages, cancelled, queued_at = work.stages, work._cancelled, time.perf_counter()

        def check() -> None:
            queue.heartbeat()
            if cancelled.is_set() or self._stopping.is_set():
                raise Cancelled

        def begin() -> T:
            stages.add("queue", time.perf_counter() - queued_at)
            return compute(check, stages)

        queue.submit(job, begin, work.future)
        return work


def _settle(done: "Future[Body]", lease: Lease) -> None:
    """Keeps a finished batch's lease until its memory is freed; without a batch it ends now."""
    if done.cancelled() or done.exception():
        lease.release()
    else:
        lease.release_with(done.result().buffer)
