"""Prometheus metrics; one registry for each application."""

import platform
import re
import time
import weakref
from collections import OrderedDict, deque
from collections.abc import Callable, Iterator

import torch
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector, Summary, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector
from starlette.datastructures import Headers

import augsvc
from augsvc.data.cache import DecodedCache
from augsvc.data.source import Source
from augsvc.data.uploads.store import UploadStore
from augsvc.engine.engine import Engine
from augsvc.errors import AugsvcError
from augsvc.streams.stream import Body

MAX_JOBS = 256
JOB_ACTIVE_S = 30.0  # since its last batch, for which a job counts as active
JOB_IDLE_S = 600.0  # after which a new job may replace it: every run has a new name
OTHER_JOB = "(other)"  # label of the jobs beyond MAX_JOBS
JOB_LABEL = "training_job"  # Prometheus sets `job` itself, and would store ours as exported_job
_SECONDS = (0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0, 30.0)
_BUILD_LABELS = ["version", "python", "executor", "device"]
_JOB = re.compile(r"[ -~]{1,64}")
_MILLISECONDS = re.compile(r"[0-9]{1,9}")


class Metrics:
    """The server's metrics. The library appends `_total` to the names of counters."""

    def __init__(self, engine: Engine) -> None:
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)  # CPU time, memory, open files, start time
        build = Gauge("augsvc_build_info", "1, with the version as labels", _BUILD_LABELS, registry=self.registry)
        executor = engine.executor
        build.labels(augsvc.__version__, platform.python_version(), executor.name, str(executor.device)).set(1)
        self.jobs = JobMetrics(self.registry)
        active = Gauge("augsvc_active_jobs", "Jobs with a batch in the last 30 s", registry=self.registry)
        active.set_function(self.jobs.count_active)
        self.requests = Counter("augsvc_requests", "Responses", ["method", "route", "status"], registry=self.registry)
        self.errors = Counter("augsvc_errors", "Error responses", ["code"], registry=self.registry)
        for code in error_codes(AugsvcError):  # from 0, or Prometheus' increase() would not count the first of them
            self.errors.labels(code)
        self._samples = Counter("augsvc_samples", "Samples delivered", ["dataset"], registry=self.registry)
        self._bytes = Counter("augsvc_batch_bytes", "Bytes of batches", ["dataset"], registry=self.registry)
        self._replaced = Counter(
            "augsvc_replaced_samples",
            "Undecodable samples replaced by the next one",
            ["dataset"],
            registry=self.registry,
        )
        self.cancelled = Counter(
            "augsvc_cancelled_batches", "Batches cancelled after a client disconnect", registry=self.registry
        )
        self._batch_seconds = Histogram(
            "augsvc_batch_seconds", "Time from request to finished batch", registry=self.registry, buckets=_SECONDS
        )
        self._stages = Histogram(
            "augsvc_stage_seconds",
            "Time of a batch by stage: queue, decode, draw, kernels, encode, send",
            ["stage"],
            registry=self.registry,
            buckets=_SECONDS,
        )
        self._sent: deque[float] = deque()  # seconds, still to be observed
        self.registry.register(CacheCollector(engine.catalog.cache))
        in_flight = Gauge(
            "augsvc_in_flight_bytes", "Bytes of batches requested and not yet sent", registry=self.registry
        )
        in_flight.set_function(lambda: float(engine.in_flight_bytes))
        if engine.executor.device.type == "cuda":
            self._add_device_memory(engine.executor.device)

    def text(self) -> bytes:
        """All metrics in Prometheus' text format."""
        self._observe_sent()
        return generate_latest(self.registry)

    def count_batch(self, dataset: str, body: Body, seconds: float) -> None:
        """Counts a finished batch; pushed samples belong to the dataset "".

        It counts as sent when its memory is freed: uvicorn's last `send` returns before the bytes have left. A finalizer
        may run while this thread holds any lock, so it only notes the time.
        """
        self._samples.labels(dataset).inc(body.samples)
        self._bytes.labels(dataset).inc(len(body.buffer))
        self._batch_seconds.observe(seconds)
        for stage, spent in body.stages.seconds.items():
            self._stages.labels(stage).observe(spent)
        finished_at, sent = time.perf_counter(), self._sent
        weakref.finalize(body.buffer, lambda: sent.append(time.perf_counter() - finished_at)).atexit = False
        self._observe_sent()

    def count_replaced(self, source: Source, body: Body) -> None:
        """Counts replaced samples; their source logs them."""
        self._replaced.labels(source.info.name).inc(len(body.replaced))

    def _observe_sent(self) -> None:
        while self._sent:
            self._stages.labels("send").observe(self._sent.popleft())

    def _add_device_memory(self, device: torch.device) -> None:
        free = Gauge("augsvc_device_memory_free_bytes", "Free GPU memory, by its driver", registry=self.registry)
        total = Gauge("augsvc_device_memory_total_bytes", "Total GPU memory, by its driver", registry=self.registry)
        free.set_function(lambda: float(torch.cuda.mem_get_info(device)[0]))
        total.set_function(lambda: float(torch.cuda.mem_get_info(device)[1]))


def error_codes(kind: type[AugsvcError]) -> set[str]:
    """The codes of a class of errors and of those below it."""
    return {kind.code}.union(*(error_codes(below) for below in kind.__subclasses__()))


class CacheCollector(Collector):
    """The decoded-sample cache's own counts, read at each scrape."""

    def __init__(self, cache: DecodedCache) -> None:
        self._cache = cache

    def collect(self) -> Iterator[Metric]:
        """Two counters and a gauge."""
        yield CounterMetricFamily("augsvc_cache_hits", "Decoded samples found in the cache", self._cache.hits)
        yield CounterMetricFamily("augsvc_cache_misses", "Decoded samples not found in the cache", self._cache.misses)
        yield CounterMetricFamily(
            "augsvc_decoder_kills", "Decoder processes that reached a limit of time", self._cache.processes.kills
        )
        yield GaugeMetricFamily("augsvc_cache_bytes", "Bytes of decoded samples in the cache", self._cache.n_bytes)
        if disk := self._cache.disk:
            yield CounterMetricFamily("augsvc_disk_cache_hits", "Decoded files found on disk", disk.hits)
            yield CounterMetricFamily("augsvc_disk_cache_misses", "Decoded files not found on disk", disk.misses)
            yield GaugeMetricFamily("augsvc_disk_cache_bytes", "Bytes of decoded files on disk", disk.n_bytes)


class UploadCollector(Collector):
    """The uploads' own counts, read at each scrape."""

    def __init__(self, uploads: UploadStore) -> None:
        self._uploads = uploads

    def collect(self) -> Iterator[Metric]:
        """Two counters and a gauge."""
        yield CounterMetricFamily("augsvc_upload_bytes", "Bytes of uploads received", self._uploads.received_bytes)
        complete = CounterMetricFamily("augsvc_uploads", "Uploads that were received whole", labels=["result"])
        complete.add_metric(["served"], self._uploads.n_served)
        complete.add_metric(["failed"], self._uploads.n_failed)
        yield complete
        yield GaugeMetricFamily("augsvc_upload_disk_bytes", "Bytes on disk of uploads", self._uploads.disk_bytes)


class JobMetrics:
    """Samples and reported waits by `Augsvc-Job`. Requests without a job, or with an unprintable name, are not counted."""

    def __init__(self, registry: CollectorRegistry, clock: Callable[[], float] = time.monotonic) -> None:
        self._samples = Counter("augsvc_job_samples", "Samples in batches of a job", [JOB_LABEL], registry=registry)
        self._bytes = Counter("augsvc_job_batch_bytes", "Bytes of batches of a job", [JOB_LABEL], registry=registry)
        self._waits = Summary(
            "augsvc_job_wait_seconds", "Batch wait time reported by the trainers", [JOB_LABEL], registry=registry
        )
        self._clock = clock
        self.waited_s = 0.0  # of all jobs
        self._last_seen: OrderedDict[str, float] = OrderedDict()  # job → time of its last batch, oldest first

    def count(self, headers: Headers, samples: int, n_bytes: int, *, waited: bool = True) -> None:
        """Counts a finished batch, and the wait that its request reports, for the job in the request's headers."""
        name = headers.get("augsvc-job", "")
        if not _JOB.fullmatch(name):
            return
        job = self._label(name)
        self._samples.labels(job).inc(samples)
        self._bytes.labels(job).inc(n_bytes)
        waits = self._waits.labels(job)  # created in any case, so that all three can be removed
        reported = headers.get("augsvc-wait-ms", "")
        if waited and _MILLISECONDS.fullmatch(reported):
            waits.observe(int(reported) / 1000.0)
            self.waited_s += int(reported) / 1000.0

    def count_active(self) -> float:
        """The number of jobs with a batch in the last JOB_ACTIVE_S."""
        since = self._clock() - JOB_ACTIVE_S
        return float(sum(last_seen >= since for last_seen in list(self._last_seen.values())))

    def _label(self, name: str) -> str:
        """The job's name, or OTHER_JOB while MAX_JOBS other jobs are active."""
        now = self._clock()
        if name not in self._last_seen and len(self._last_seen) >= MAX_JOBS:
            oldest, last_seen = next(iter(self._last_seen.items()))
            if now - last_seen < JOB_IDLE_S:
                return OTHER_JOB
            del self._last_seen[oldest]
            for metric in (self._samples, self._bytes, self._waits):
                metric.remove(oldest)
        self._last_seen[name] = now
        self._last_seen.move_to_end(name)
        return name
