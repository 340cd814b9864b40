"""The open streams of an engine, and how they are opened."""

from collections import OrderedDict
from concurrent.futures import Future
from threading import Lock

from augsvc.data.catalog import Catalog
from augsvc.data.source import Source
from augsvc.data.subset import Subsets
from augsvc.engine.limits import Limits
from augsvc.errors import Pending
from augsvc.executors.protocol import Executor
from augsvc.planning.spec import StreamSpec
from augsvc.streams.selftest import SelfTest
from augsvc.streams.stream import Stream

MAX_STREAMS = 1024  # kept open; a dropped one is reopened from the request's own specification
_Key = tuple[bytes, Source]  # a specification as it was sent, in canonical form, and the dataset


class OpenStreams:
    """Streams by id; the least recently used are dropped. Safe from any thread."""

    def __init__(self, catalog: Catalog, executor: Executor, selftest: SelfTest, limits: Limits) -> None:
        self._catalog, self._executor, self._selftest, self._limits = catalog, executor, selftest, limits
        self._streams: OrderedDict[str, Stream] = OrderedDict()
        self._ids: OrderedDict[_Key, str] = OrderedDict()  # of recently opened specifications
        self._opening: dict[_Key, Future[None]] = {}
        self._subsets = Subsets()
        self._lock = Lock()

    def find(self, stream_id: str) -> Stream | None:
        """The stream of an id, if it is open here."""
        with self._lock:
            return self._touch(stream_id)

    def open(self, spec: StreamSpec, wait: bool) -> Stream:
        """The stream of a specification, from the current version of its dataset; raises as Engine.open does."""
        return self._open(spec, self._catalog.get(spec.dataset), wait)

    def _open(self, spec: StreamSpec, source: Source, wait: bool) -> Stream:
        """Opens a stream, once for all threads that request it at the same time."""
        key = (spec.canonical(), source)
        while True:
            with self._lock:
                if (stream := self._touch(self._ids.get(key, ""))) is not None:
                    return stream
                if (pending := self._opening.get(key)) is None:
                    done = self._opening[key] = Future()
                    break
            if not wait:
                raise Pending(pending)
            pending.result()
        try:
            stream = Stream.open(spec, source, self._executor, self._subsets)
            self._limits.sample_seconds(stream.plan, self._executor)
            return self._keep(key, stream.with_arithmetic(self._selftest.arithmetic(stream, wait)))
        finally:
            with self._lock:
                del self._opening[key]
            done.set_result(None)

    def _touch(self, stream_id: str) -> Stream | None:
        """A stream by its id, which becomes the most recently used one."""
        if stream_id in self._streams:
            self._streams.move_to_end(stream_id)
        return self._streams.get(stream_id)

    def _keep(self, key: _Key, stream: Stream) -> Stream:
        with self._lock:
            stream = self._streams.setdefault(stream.id, stream)
            self._ids[key] = stream.id
            self._touch(stream.id)
            if len(self._ids) > MAX_STREAMS:
                self._ids.popitem(last=False)
            if len(self._streams) > MAX_STREAMS:
                self._streams.popitem(last=False)
        return stream
