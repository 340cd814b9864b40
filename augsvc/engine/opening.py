"""The open streams of an engine, and how they are opened."""

from collections import OrderedDict
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Future
from contextlib import suppress
from itertools import islice, product
from threading import Lock
from weakref import WeakValueDictionary

from augsvc.data.catalog import MAX_NAME, Catalog, Replacement
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
MAX_COMBINATIONS = 64  # of versions of a specification's datasets that are tried: all of three datasets
_Key = tuple[bytes, tuple[Source, ...]]  # a specification as it was sent, in canonical form, and its datasets


def own_datasets(spec: StreamSpec) -> list[str]:
    """The datasets whose samples a stream has: several in a mixture."""
    return [part.dataset for part in spec.mixture or ()] or [spec.dataset]


def find_partners(spec: StreamSpec, catalog: Catalog) -> dict[str, Source]:
    """The datasets that operations take partners from, by name; raises UnknownDataset."""
    others: dict[str, Source] = {}
    for dataset, field in partner_datasets(spec.pipeline).items():
        if (source := catalog.find(dataset)) is None:
            hint = catalog.suggest(dataset) or "; GET /v1/datasets lists them"
            raise UnknownDataset(f"{field}: no dataset has this name: {dataset[:MAX_NAME]!r}{hint}", field=field)
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
        own = self._find_current(spec) if version is None else self._find_version(spec, version)
        return self._open(spec, {**own, **find_partners(spec, self._catalog), **own}, wait)

    def _find_current(self, spec: StreamSpec) -> dict[str, Source]:
        return {name: self._catalog.get(name) for name in own_datasets(spec)}

    def _find_version(self, spec: StreamSpec, version: str) -> dict[str, Source]:
        for own in self._combinations(own_datasets(spec)):
            with suppress(AugsvcError):  # versions that do not mix
                if self._join(spec, own).info.version == version:
                    return own
        current = self._join(spec, self._find_current(spec))
        raise StreamMismatch(
            "this replica does not have that version of the dataset: use another replica or the current version",
            details={"dataset_version": current.info.version},
        )

    def _combinations(self, names: Sequence[str]) -> Iterator[dict[str, Source]]:
        """The versions of datasets that are kept, each with each, the current ones first."""
        with self._lock:
            current = {name: source for name in names if (source := self._catalog.find(name)) is not None}
            versions = [
                dict.fromkeys([*([current[name]] if name in current else []), *self._former.get(name, ())])
                for name in names
            ]
        for sources in islice(product(*versions), MAX_COMBINATIONS):
            yield dict(zip(names, sources, strict=True))

    def _join(self, spec: StreamSpec, sources: Mapping[str, Source]) -> Source:
        """The dataset of a specification."""
        if not spec.mixture:
            return sources[spec.dataset]
        mixture = Mixture([sources[name] for name in own_datasets(spec)])
        with self._lock:  # streams share one, which keeps the digest of its keys
            return self._mixtures.setdefault(mixture.parts, mixture)

    def require(self, stream_id: str, spec: StreamSpec, wait: bool) -> Stream:
        """The stream of a specification, of the versions of its datasets that give it this id, or else of the current ones."""
        with suppress(AugsvcError):  # the current version may lack what the specification asks for
            if (stream := self.open(spec, wait)).id == stream_id:
                return stream
        for sources in self._combinations(list(dict.fromkeys((*own_datasets(spec), *partner_datasets(spec.pipeline))))):
            with suppress(AugsvcError):  # so may a former one
                if (stream := self._build(spec, sources, wait)).id == stream_id:
                    return self._keep(_key(spec, sources), stream)
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

    def _open(self, spec: StreamSpec, sources: Mapping[str, Source], wait: bool) -> Stream:
        """Opens a stream, once for all threads that request it at the same time."""
        key = _key(spec, sources)
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
            return self._keep(key, self._build(spec, sources, wait))
        finally:
            with self._lock:
                del self._opening[key]
            done.set_result(None)

    def _build(self, spec: StreamSpec, sources: Mapping[str, Source], wait: bool) -> Stream:
        others = {name: sources[name] for name in partner_datasets(spec.pipeline)}
        stream = Stream.open(spec, self._join(spec, sources), self._executor, self._subsets, others)
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


def _key(spec: StreamSpec, sources: Mapping[str, Source]) -> _Key:
    return spec.canonical(), tuple(sources.values())
