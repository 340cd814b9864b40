"""What each training job took and how long it waited, for /metrics; the number of jobs it remembers is bounded."""

import re
import time
from collections import OrderedDict
from collections.abc import Callable

from prometheus_client import CollectorRegistry, Counter, Summary
from starlette.datastructures import Headers

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
