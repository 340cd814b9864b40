"""What one request may ask of an engine: bytes, and seconds that are estimated before anything is computed."""

from dataclasses import dataclass

from augsvc.engine.memory_budget import BATCHES
from augsvc.errors import BatchTooLarge, PlanTooCostly
from augsvc.executors.protocol import Executor
from augsvc.planning.cost import sample_seconds
from augsvc.planning.passes import Passes
from augsvc.streams.push import Push
from augsvc.streams.stream import Range, Stream

_GPU_SPEEDUP = 50.0  # over a core, roughly: it only keeps the estimate from refusing what a GPU renders in time


@dataclass(frozen=True, slots=True)
class Limits:
    """The bounds; seconds are estimates (planning/cost.py)."""

    max_batch_bytes: int
    max_sample_s: float = 10.0
    max_batch_s: float = 60.0

    @property
    def budget_bytes(self) -> int:
        """The memory budget."""
        return BATCHES * self.max_batch_bytes

    def require_sample_bytes(self, n_bytes: int) -> None:
        """Raises PlanTooCostly if rendering one sample takes more than the memory budget."""
        if n_bytes > self.budget_bytes:
            raise PlanTooCostly(
                f"rendering one sample of this pipeline takes an estimated {n_bytes:,} bytes, and the server's memory budget "
                f"is {self.budget_bytes:,} ({BATCHES} × max_batch_bytes); reduce the size, or raise max_batch_bytes",
                field="pipeline",
            )

    def sample_seconds(self, plan: Passes, executor: Executor, labels: int = 0, views: int = 1) -> float:
        """The estimate for all views of one sample with `labels` boxes and keypoints.

        Raises:
            PlanTooCostly: it is above the bound.
        """
        seconds = views * sample_seconds(plan, labels) / (_GPU_SPEEDUP if executor.device.type == "cuda" else 1.0)
        if seconds > self.max_sample_s:
            raise PlanTooCostly(
                f"a sample of this pipeline takes an estimated {seconds:.0f} s, and at most {self.max_sample_s:g} s "
                "are allowed; reduce the size, the number of operations or of labels",
                field="pipeline",
            )
        return seconds

    def require_seconds(self, count: int, seconds: float, executor: Executor, field: str) -> None:
        """Raises BatchTooLarge if `count` samples of `seconds` each take too long; `field` is the one to reduce."""
        most = int(self.max_batch_s / seconds) * executor.threads
        if count > most:
            raise BatchTooLarge(
                f"a batch of this pipeline has at most {most} samples here, each an estimated {seconds:.2g} s: "
                "reduce the batch size, the size or the number of operations",
                field=field,
            )

    def require_push(self, pushed: Push, executor: Executor) -> None:
        """Refuses a client's own samples if they are too many.

        Raises:
            PlanTooCostly, BatchTooLarge.
        """
        seconds = self.sample_seconds(pushed.renderer.plan, executor, pushed.labels)
        self.require_sample_bytes(pushed.renderer.working_bytes(1))
        self.require_seconds(pushed.samples, seconds, executor, field=pushed.medium.name)
        if pushed.size > self.max_batch_bytes:
            raise BatchTooLarge(
                f"the response would be over {self.max_batch_bytes} bytes; reduce the batch size",
                field=pushed.medium.name,
            )

    def require_batch(self, stream: Stream, batch: Range, executor: Executor) -> None:
        """Refuses a range that does not exist or is too large.

        Raises:
            PastTheEnd, SpecInvalid, BatchTooLarge.
        """
        stream.require_start(batch.epoch, batch.start)
        stream.views_of(batch.view)
        count = min(batch.count, stream.samples - batch.start)
        size = stream.layout.size(count)
        if size > self.max_batch_bytes:
            most = (self.max_batch_bytes - stream.layout.size(0)) // stream.layout.row_bytes
            cure = f"ask for at most {most} (batch_size=)" if most > 0 else "reduce the size"
            raise BatchTooLarge(
                f"a batch of this stream has at most {max(most, 0)} samples here: {cure}, or the server's operator raises "
                "max_batch_bytes",
                field="count",
            )
        seconds = self.sample_seconds(stream.plan, executor, views=stream.spec.views)
        self.require_seconds(count, seconds, executor, field="count")
