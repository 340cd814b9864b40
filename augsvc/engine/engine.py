"""The one owner of the device: opens streams, and computes batches one after the other on a thread of its own.

The event loop never computes. What is asked for at once is bounded in bytes: a batch counts from the moment it is asked
for until the last reference to its memory is gone, which is when the socket has taken it, not when `send` returned.
"""

import time
import weakref
from collections import OrderedDict
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from threading import Event, Lock
from typing import Any, Generic, TypeVar

import numpy as np

from augsvc.arrays import U8, Arrays
from augsvc.cpus import cores
from augsvc.data.catalog import Catalog
from augsvc.data.subset import Subsets
from augsvc.engine.fair_queue import FairThread, Piece
from augsvc.engine.memory_budget import Room
from augsvc.engine.readahead import Guess, ReadAhead
from augsvc.errors import BatchTooLarge, Cancelled, Starting, StreamMismatch
from augsvc.executors.protocol import Executor
from augsvc.ops.registry import Registry
from augsvc.planning.spec import StreamSpec
from augsvc.streams.preview import draw, look, pixels
from augsvc.streams.push import Push
from augsvc.streams.selftest import SelfTest
from augsvc.streams.stream import Body, Range, Stream
from augsvc.timing import Stages

T = TypeVar("T")
Compute = Callable[[Callable[[], None], Stages], T]  # the first is called now and then, and ends the work by raising
MAX_STREAMS = 1024  # kept open; a forgotten one is opened again from the request's own specification


@dataclass(slots=True, eq=False)
class Work(Generic[T]):
    """A batch on its way. `give_up` when nobody waits for it any more."""

    future: "Future[T]"
    _gone: Event = field(default_factory=Event)
    _before: "Future[Any] | None" = None  # what it is made of

    def give_up(self) -> None:
        """Stops the work, or keeps it from starting."""
        self._gone.set()
        self.future.cancel()
        if self._before is not None:
            self._before.cancel()


class Engine:
    """Serves streams over a catalog with one executor."""

    def __init__(
        self,
        catalog: Catalog,
        executor: Executor,
        operations: Registry,
        max_batch_bytes: int,
        read_ahead_bytes: int = 0,
    ) -> None:
        self.catalog = catalog
        self.executor = executor
        self.operations = operations
        self.max_batch_bytes = max_batch_bytes
        self.read_ahead = ReadAhead(read_ahead_bytes)
        self.selftest: SelfTest | None = None
        self._stopping = Event()
        self._room = Room(4 * max_batch_bytes)
        self._streams: OrderedDict[str, Stream] = OrderedDict()
        self._subsets = Subsets()
        self._lock = Lock()
        self._owner: FairThread[Any] = FairThread(max_batch_bytes // 64, "engine", self._unasked)
        self._looker: FairThread[Any] = FairThread(1, "looker")  # receipts and pictures, of each job in its turn
        self._answerers = ThreadPoolExecutor(2, thread_name_prefix="answerer")
        self._workers = ThreadPoolExecutor(cores(), thread_name_prefix="worker")

    @property
    def pending_bytes(self) -> int:
        """Bytes of batches asked for and not yet taken by their sockets."""
        return self._room.taken

    @property
    def alive(self) -> bool:
        """Whether the threads that work are there."""
        return self._owner.alive and self._looker.alive

    @property
    def silent_s(self) -> float:
        """How long what is in hand has given no sign: a file that is read does not come, or the device does not answer."""
        return max(self._owner.silent_s, self._looker.silent_s)

    def start(self) -> SelfTest:
        """Runs the self-test; until it is done, `open` raises Starting."""
        self.selftest = self._answerers.submit(SelfTest.run, self.executor, self.operations).result()
        return self.selftest

    def stop(self) -> None:
        """Ends the threads: what is queued is dropped, and the work in hand is given up."""
        self._stopping.set()
        self._owner.stop()
        self._looker.stop()
        self._answerers.shutdown(wait=True, cancel_futures=True)
        self._workers.shutdown(wait=True, cancel_futures=True)

    def open(self, spec: StreamSpec) -> Stream:
        """The stream of a specification (blocking: it may read labels).

        Raises:
            UnknownDataset, SpecInvalid: it cannot be served.
            Starting: not yet.
        """
        if self.selftest is None:
            raise Starting("the server is starting: try again in a moment")
        stream = Stream.open(spec, self.catalog.get(spec.dataset), self.executor, self._subsets)
        stream = stream.with_arithmetic(self.selftest.arithmetic(stream))
        with self._lock:
            stream = self._streams.setdefault(stream.id, stream)
            self._streams.move_to_end(stream.id)
            if len(self._streams) > MAX_STREAMS:
                self._streams.popitem(last=False)
        return stream

    def known(self, stream_id: str) -> Stream | None:
        """The stream of an id, if it is open here."""
        with self._lock:
            if stream_id in self._streams:
                self._streams.move_to_end(stream_id)
            return self._streams.get(stream_id)

    def require(self, stream_id: str, spec: StreamSpec) -> Stream:
        """The stream of a specification, which must have that id.

        Raises:
            StreamMismatch: this replica's bytes would be others.
        """
        stream = self.open(spec)
        if stream.id != stream_id:
            raise StreamMismatch(
                "this replica would give other bytes for that specification: ask another replica, or open the stream anew",
                {
                    "id": stream.id,
                    "dataset_version": stream.source.info.version,
                    "arithmetic": stream.arithmetic,
                },
            )
        return stream

    def check(self, stream: Stream, part: Range) -> None:
        """Refuses a range that does not exist or is too large, as `produce` would."""
        stream.require_start(part.epoch, part.start)
        size = stream.layout.size(min(part.count, stream.samples - part.start))
        if size > self.max_batch_bytes:
            most = (self.max_batch_bytes - stream.layout.size(0)) // stream.layout.row_bytes
            raise BatchTooLarge(f"a batch of this stream has at most {max(most, 0)} samples here", field="count")

    def produce(self, stream: Stream, part: Range, job: str = "", *, inside: bool = False) -> Work[Body]:
        """Queues a checked range for a job. `inside`: an answer of several, of which only the first says what comes next.

        Raises:
            TooMuchAtOnce, Overloaded: too many bytes are under way.
        """
        size = stream.layout.size(min(part.count, stream.samples - part.start))
        self._room.take(job, size)
        guess = None if inside else self.read_ahead.asked(job, stream, part)
        if guess is None:
            work = self._submit(job, size, lambda check, stages: self._produce(stream, part, check, stages))
        else:
            work = Work(guess.future, guess.gone)
            self._owner.wake()
        work.future.add_done_callback(lambda done: self._settle(done, job, size))
        if not inside:
            work.future.add_done_callback(lambda _: self.read_ahead.answered(job, stream, part))
        return work

    def preview(self, stream: Stream, part: Range, job: str = "") -> Work[Body]:
        """Queues the picture of a checked range: computed twice, as stored and augmented, and drawn beside the next batch.

        Raises:
            BatchTooLarge: too many pixels for a picture.
            TooMuchAtOnce, Overloaded: too many bytes are under way.
        """
        count = min(part.count, stream.samples - part.start)
        size = 2 * stream.layout.size(count) + 3 * pixels(stream, count)
        self._room.take(job, size)
        address = (part.epoch, part.start, part.count, part.view)
        seen = self._submit(job, size, lambda check, _: look(stream, *address, self._workers, check))
        picture: Future[Body] = Future()

        def then(done: "Future[tuple[U8, U8]]") -> None:
            self._looker.submit(job, 1, lambda: draw(done.result()), picture)
            picture.add_done_callback(lambda drawn: self._settle(drawn, job, size))

        seen.future.add_done_callback(then)
        return Work(picture, seen._gone, seen.future)

    def receipt(self, stream: Stream, epoch: int, position: int, view: int, job: str) -> "Future[dict[str, object]]":
        """Queues a sample's receipt, which decodes it; raises as Stream.receipt does."""

        def check() -> None:
            self._looker.sign()
            if self._stopping.is_set():
                raise Cancelled

        return self._looker.submit(job, 1, lambda: stream.receipt(epoch, position, view, check))

    def buffer(self, n_bytes: int, job: str) -> U8:
        """Memory for a request's body, counted until the last reference to it is gone.

        Raises:
            TooMuchAtOnce, Overloaded: too many bytes are under way.
        """
        self._room.take(job, n_bytes)
        buffer = np.empty(n_bytes, dtype=np.uint8)
        weakref.finalize(buffer, self._room.release, job, n_bytes).atexit = False
        return buffer

    def push(self, fields: object, arrays: Arrays, job: str = "", body_bytes: int = 0) -> Work[Body]:
        """Queues samples that a client brought (blocking: it validates them), in a `buffer` of `body_bytes`.

        Raises:
            SpecInvalid, BodyMalformed, DuplicateIndex: something is wrong with them.
            StreamMismatch: another arithmetic is expected.
            BatchTooLarge, TooMuchAtOnce, Overloaded, Starting.
        """
        if self.selftest is None:
            raise Starting("the server is starting: try again in a moment")
        pushed = Push.of(fields, arrays, self.executor, self.operations, self.selftest.arithmetic_of)
        if pushed.size > self.max_batch_bytes:
            raise BatchTooLarge(
                f"the answer would be over {self.max_batch_bytes} bytes: send less at once", field="image"
            )
        compute = partial(pushed.produce, self._workers)
        return self._queue(job, pushed.size, compute, body_bytes)

    def _queue(self, job: str, size: int, compute: Compute[Body], beside: int = 0) -> Work[Body]:
        self._room.take(job, size, beside)
        work = self._submit(job, size + beside, compute)
        work.future.add_done_callback(lambda done: self._settle(done, job, size))
        return work

    def _submit(self, job: str, cost: int, compute: Compute[T]) -> Work[T]:
        gone, stages, asked = Event(), Stages(), time.perf_counter()

        def check() -> None:
            self._owner.sign()
            if gone.is_set() or self._stopping.is_set():
                raise Cancelled

        def begin() -> T:
            stages.add("queue", time.perf_counter() - asked)
            return compute(check, stages)

        return Work(self._owner.submit(job, cost, begin), gone)

    def _produce(self, stream: Stream, part: Range, check: Callable[[], None], stages: Stages) -> Body:
        return stream.produce(part.epoch, part.start, part.count, part.view, self._workers, check, stages)

    def _unasked(self) -> Piece[Body] | None:
        """What to do while nobody asks for anything; it gives way to whoever does, unless it is what they ask for."""
        guess = self.read_ahead.begin()
        return None if guess is None else Piece(0, lambda: self._compute(guess), guess.future)

    def _compute(self, guess: Guess) -> Body:
        def check() -> None:
            self._owner.sign()
            given_up = guess.gone.is_set() or self._stopping.is_set()
            if given_up or (self._owner.wanted and self.read_ahead.give_way(guess)):
                raise Cancelled

        stages = Stages()
        stages.add("queue", 0.0)  # whoever takes it waited for nobody else
        try:
            body = self._produce(guess.lane.stream, guess.part, check, stages)
        except BaseException:
            self.read_ahead.failed(guess)
            raise
        self.read_ahead.finished(guess, body)
        return body

    def ask(self, question: Callable[[], T]) -> "Future[T]":
        """Runs something short that may read a dataset, off the event loop."""
        return self._answerers.submit(question)

    def _settle(self, done: "Future[Body]", job: str, size: int) -> None:
        """Counts the batch's bytes until its memory goes, or not at all if there is none."""
        if done.cancelled() or done.exception():
            self._room.release(job, size)
        else:
            weakref.finalize(done.result().buffer, self._room.release, job, size).atexit = False
