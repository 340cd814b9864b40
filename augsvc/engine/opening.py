"""The open streams of an engine, and how they are opened."""

from collections import OrderedDict
from collections.abc import Mapping, Sequence
from concurrent.futures import Future
from contextlib import suppress
from threading import Lock
from weakref import WeakValueDictionary

from augsvc.data.catalog import Catalog, Replacement
from augsvc.data.mixture import Mixture
from augsvc.data.source import Source
from augsvc.data.subset import Subsets
from augsvc.engine.limits import Limits
from augsvc.errors import AugsvcError, Pending, StreamMismatch, UnknownDataset
from augsvc.executors.protocol import Executor
from augsvc.planning.spec import StreamSpec
from augsvc.streams.partner_clips import partner_datasets
from augsvc.streams.selftest import SelfTest
from augsvc.streams.stream import Stream

MAX_STREAMS = 1024  # kept open; a dropped one is reopened from the request's own specification
KEPT_VERSIONS = 3  # former ones of each dataset: the last, and older ones while streams of them are open
_Key = tuple[bytes, Source, tuple[Source, ...]]  # a canonical specification, its dataset, those of its partners


def find_partners(spec: StreamSpec, catalog: Catalog) -> dict[str, Source]:
    """The datasets that operations take partners from, by name; raises UnknownDataset."""
    others: dict[str, Source] = {}
    for dataset, field in partner_datasets(spec.pipeline).items():
        if (source := catalog.find(dataset)) is None:
            hint = catalog.suggest(dataset) or "; GET /v1/datasets lists them"
            raise UnknownDataset(f"{field}: no dataset has this name{hint}", field=field)
        others[dataset] = source
    return others


class OpenStreams:
    """Streams by id; the least recently used are dropped. Safe from any thread."""

    def __init__(self, catalog: Catalog, executor: Executor, selftest: SelfTest, limits: Limits) -> None:
        self._catalog, self._executor, self._selftest, self._limits = catalog, executor, selftest, limits
        self._streams: OrderedDict[str, Stream] = OrderedDict()
        self._ids: OrderedDict[_Key, str] = OrderedDict()  # of recently opened specifications
        self._opening: dict[_Key, Future[None]] = {}
        self._former: dict[str, list[Source]] = {}  # versions by dataset, the latest first
        self._mixtures: WeakValueDictionary[tuple[Source, ...], Mixture] = WeakValueDictionary()  # of open streams
        self._subsets = Subsets()
        self._lock = Lock()

    def find(self, stream_id: str) -> Stream | None:
        """The stream of an id, if it is open here."""
        with self._lock:
            return self._touch(stream_id)

    def open(self, spec: StreamSpec, wait: bool, version: str | None = None) -> Stream:
        """The stream of a specification, from this version of its dataset, by default the current one; raises as
        Engine.open does.
        """
        return self._open(spec, self._version(spec, version), wait)

    def _version(self, spec: StreamSpec, version: str | None) -> Source:
        with self._lock:
            for former in self._former.get(spec.dataset, ()) if not spec.mixture else ():
                if former.info.version == version:
                    return former
        current = self._current(spec)
        if version not in (None, current.info.version):
            raise StreamMismatch(
                "this replica does not have that version of the dataset: use another replica or the current version",
                {"dataset_version": current.info.version},
            )
        return current

    def _current(self, spec: StreamSpec) -> Source:
        if not spec.mixture:
            return self._catalog.get(spec.dataset)
        mixture = Mixture([self._catalog.get(part.dataset) for part in spec.mixture])
        with self._lock:  # streams share one, which keeps the digest of its keys
            return self._mixtures.setdefault(mixture.parts, mixture)

    def require(self, stream_id: str, spec: StreamSpec, wait: bool) -> Stream:
        """The stream of a specification, of the version of its dataset that gives it this id, or else of the current one."""
        with self._lock:
            former = () if spec.mixture else tuple(self._former.get(spec.dataset, ()))
        for source in former:
            with suppress(AugsvcError):  # it may lack what the specification asks for
                others = find_partners(spec, self._catalog)
                stream = self._build(spec, source, others, wait)
                if stream.id == stream_id:
                    return self._keep((spec.canonical(), source, tuple(others.values())), stream)
        return self.open(spec, wait)

    def replace(self, dataset: str, sources: Sequence[Source]) -> list[Replacement]:
        """Opens streams of an operator's dataset over these sources from now on; returns what has changed.

        Streams that are open keep the version that they began with, while it is one of the last KEPT_VERSIONS. The last
        former version is kept in any case: a job may come from a replica that is down.

        Raises:
            ValueError: two sources would have the same name.
        """
        replacements = self._catalog.compare(dataset, sources)  # before the lock: it compares all files
        with self._lock:
            for source in self._catalog.replace(dataset, [self._known(source) for source in sources]):
                self._former.setdefault(source.info.name, []).insert(0, source)
            self._ids.clear()
            self._drop_former()
        return replacements

    def _known(self, source: Source) -> Source:
        """The source of this version that streams use already, which reads the files of `source` from now on; or that."""
        name = source.info.name
        former: list[Source] = self._former.get(name, [])
        for known in (self._catalog.find(name), *former):
            if known is not None and known.info.version == source.info.version:
                known.refresh(source)
                return known
        return source

    def _drop_former(self) -> None:
        """Drops former versions that no open stream uses, but the last one; and the oldest ones with their streams."""
        current = set(self._catalog.sources())
        used = {part for stream in self._streams.values() for part in stream.sources}
        for name, sources in self._former.items():
            former = [source for source in sources if source not in current]
            kept = [source for source in former if source is former[0] or source in used]
            self._former[name] = kept[:KEPT_VERSIONS]
        served = current.union(*self._former.values())
        for stream_id, stream in list(self._streams.items()):
            if not served.issuperset(stream.sources):
                del self._streams[stream_id]

    def _open(self, spec: StreamSpec, source: Source, wait: bool) -> Stream:
        """Opens a stream, once for all threads that request it at the same time."""
        others = find_partners(spec, self._catalog)
        key = (spec.canonical(), source, tuple(others.values()))
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
            return self._keep(key, self._build(spec, source, others, wait))
        finally:
            with self._lock:
                del self._opening[key]
            done.set_result(None)

    def _build(self, spec: StreamSpec, source: Source, others: Mapping[str, Source], wait: bool) -> Stream:
        stream = Stream.open(spec, source, self._executor, self._subsets, others)
        self._limits.sample_seconds(stream.plan, self._executor, views=spec.views)
        self._limits.require_sample_bytes(stream.renderer.working_bytes(1))
        return stream.with_arithmetic(self._selftest.arithmetic(stream, wait))

    def _touch(self, stream_id: str) -> Stream | None:
        """A stream by its id, which becomes the most recently used one."""
        if stream_id in self._streams:
            self._streams.move_to_end(stream_id)
        return self._streams.get(stream_id)

    def _keep(self, key: _Key, stream: Stream) -> Stream:
        with self._lock:
            stream = self._streams.setdefault(stream.id, stream)
            self._ids[key] = stream.id
            for part in stream.sources:
                former = self._former.setdefault(part.info.name, [])
                if part is not self._catalog.find(part.info.name) and part not in former:
                    former.append(part)  # it was replaced meanwhile
            self._touch(stream.id)
            if len(self._ids) > MAX_STREAMS:
                self._ids.popitem(last=False)
            if len(self._streams) > MAX_STREAMS:
                self._streams.popitem(last=False)
                self._drop_former()
        return stream
