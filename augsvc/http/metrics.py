"""What Prometheus is told; one registry an application."""

import logging
import re
import time
import weakref
from collections import OrderedDict, deque
from collections.abc import Callable, Iterable

import torch
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, Summary, generate_latest
from starlette.datastructures import Headers

from augsvc.data.source import Source
from augsvc.engine.engine import Engine
from augsvc.streams.stream import Body

logger = logging.getLogger("augsvc")
MOST_TOLD = 10_000  # undecodable samples that the log names
_SECONDS = (0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0, 30.0)


class Metrics:
    """The server's counters."""

    def __init__(self, engine: Engine) -> None:
        self.registry = CollectorRegistry()
        self.jobs = Jobs(self.registry)
        self.requests = Counter("augsvc_requests", "Answers", ["method", "route", "status"], registry=self.registry)
        self.errors = Counter("augsvc_errors", "Error answers", ["code"], registry=self.registry)
        self.samples = Counter("augsvc_samples", "Samples delivered", ["dataset"], registry=self.registry)
        self.bytes = Counter("augsvc_batch_bytes", "Bytes of batches", ["dataset"], registry=self.registry)
        self.replaced = Counter(
            "augsvc_replaced_samples",
            "Undecodable samples replaced by the next one",
            ["dataset"],
            registry=self.registry,
        )
        self._told: set[tuple[str, int]] = set()
        self.cancelled = Counter(
            "augsvc_cancelled", "Batches given up because the client went away", registry=self.registry
        )
        self.wait = Histogram(
            "augsvc_batch_seconds", "From the request to the finished batch", registry=self.registry, buckets=_SECONDS
        )
        self._stages = Histogram(
            "augsvc_stage_seconds",
            "What a batch waited for and took: queue, decode, draw, kernels, encode, send",
            ["stage"],
            registry=self.registry,
            buckets=_SECONDS,
        )
        self._sent: deque[float] = deque()  # seconds, still to be observed
        cache = engine.catalog.cache
        for name, what, read in (
            ("augsvc_cache_hits", "Decoded samples found in the cache", lambda: cache.hits),
            ("augsvc_cache_misses", "Decoded samples not found there", lambda: cache.misses),
            ("augsvc_cache_bytes", "Bytes that the cache holds", lambda: cache.n_bytes),
        ):
            Gauge(name, what, registry=self.registry).set_function(read)
        pending = Gauge("augsvc_pending_bytes", "Batches asked for and not yet sent", registry=self.registry)
        pending.set_function(lambda: float(engine.in_flight_bytes))
        if engine.executor.device.type == "cuda":
            self._tell_memory(engine.executor.device)

    def text(self) -> bytes:
        """All of it, in Prometheus' own format."""
        self._observe_sent()
        return generate_latest(self.registry)

    def count(self, dataset: str, body: Body, seconds: float) -> None:
        """Counts a finished batch; samples that were pushed belong to the dataset "".

        It counts as sent when its memory goes: uvicorn's last `send` returns before the bytes have left. A finaliser
        may run inside any lock of this thread, so it only notes the time.
        """
        self.samples.labels(dataset).inc(body.samples)
        self.bytes.labels(dataset).inc(len(body.buffer))
        self.wait.observe(seconds)
        for stage, spent in body.stages.seconds.items():
            self._stages.labels(stage).observe(spent)
        begun, sent = time.perf_counter(), self._sent
        weakref.finalize(body.buffer, lambda: sent.append(time.perf_counter() - begun)).atexit = False
        self._observe_sent()

    def _observe_sent(self) -> None:
        while self._sent:
            self._stages.labels("send").observe(self._sent.popleft())

    def _tell_memory(self, device: torch.device) -> None:
        for name, what, read in (
            ("augsvc_device_memory_free_bytes", "Free", lambda: float(torch.cuda.mem_get_info(device)[0])),
            ("augsvc_device_memory_total_bytes", "All", lambda: float(torch.cuda.mem_get_info(device)[1])),
        ):
            Gauge(name, f"{what} of the GPU's memory, as its driver says", registry=self.registry).set_function(read)

    def tell(self, source: Source, body: Body) -> None:
        """Counts replaced samples, and names in the log what cannot be decoded, each once."""
        name = source.info.name
        self.replaced.labels(name).inc(len(body.replaced))
        for index in self._first_told(name, body.replaced):
            what = source.describe(index)
            logger.warning("%s: %s cannot be decoded; it is replaced by the next sample (told once)", name, what)

    def _first_told(self, dataset: str, indices: Iterable[int]) -> list[int]:
        """Those of a dataset's indices that were not in here before; from MOST_TOLD on, none."""
        new = [index for index in indices if (dataset, index) not in self._told]
        if len(self._told) + len(new) > MOST_TOLD:
            return []
        self._told.update((dataset, index) for index in new)
        return new


MOST_JOBS = 256


IDLE_S = 600.0  # after which a job gives its place to a new one: a name is made for every run


OTHER = "(other)"  # what is counted for a job that finds no place


_NAME = re.compile(r"[ -~]{1,64}")


_MILLISECONDS = re.compile(r"[0-9]{1,9}")


class Jobs:
    """Samples and reported waits by `Augsvc-Job`. A request without a job, or with a name nobody can print, is not one."""

    def __init__(self, registry: CollectorRegistry, clock: Callable[[], float] = time.monotonic) -> None:
        self._samples = Counter("augsvc_job_samples", "Samples in batches of a job", ["job"], registry=registry)
        self._bytes = Counter("augsvc_job_batch_bytes", "Bytes of batches of a job", ["job"], registry=registry)
        self._waits = Summary(
            "augsvc_job_wait_seconds",
            "How long its trainers waited for a batch, as they say",
            ["job"],
            registry=registry,
        )
        self._clock = clock
        self._seen: OrderedDict[str, float] = OrderedDict()  # job → when it last took a batch, longest ago first

    def count(self, headers: Headers, samples: int, n_bytes: int, *, waited: bool = True) -> None:
        """Counts a finished batch, and the wait that was told with it, for the job that the request's headers name."""
        name = headers.get("augsvc-job", "")
        if not _NAME.fullmatch(name):
            return
        job = self._place(name)
        self._samples.labels(job).inc(samples)
        self._bytes.labels(job).inc(n_bytes)
        waits = self._waits.labels(job)  # made in any case, so that both can be removed
        told = headers.get("augsvc-wait-ms", "")
        if waited and _MILLISECONDS.fullmatch(told):
            waits.observe(int(told) / 1000.0)

    def _place(self, name: str) -> str:
        """The name, or OTHER where all places are taken by jobs that still run."""
        now = self._clock()
        if name not in self._seen and len(self._seen) >= MOST_JOBS:
            oldest, seen = next(iter(self._seen.items()))
            if now - seen < IDLE_S:
                return OTHER
            del self._seen[oldest]
            for metric in (self._samples, self._bytes, self._waits):
                metric.remove(oldest)
        self._seen[name] = now
        self._seen.move_to_end(name)
        return name
