"""Lanes of a CUDA device: each runs chunks of samples for one thread at a time, several in flight."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import chain, count, repeat
from queue import Empty, PriorityQueue

from augsvc.executors.cuda.device import Device
from augsvc.executors.cuda.source_cache import SourceCache
from augsvc.executors.cuda.staging import StagingBuffer
from augsvc.executors.device_errors import ChunkRunner, report_loss

_DEPTH = 3  # chunks in flight: one uploading, one computing, one downloading

StartChunk = Callable[[StagingBuffer, slice], Callable[[], None]]  # the result waits for the chunk's end


@dataclass(slots=True, eq=False)
class Lane:
    """A device's streams, the staging buffers of the chunks in flight there, and the sources that stay on the device."""

    index: int
    device: Device
    sources: SourceCache
    ring: list[StagingBuffer]
    chunks: ChunkRunner

    @staticmethod
    def on(device: Device, index: int = 0, source_bytes: int = 0) -> "Lane":
        """A lane that has not allocated memory yet."""
        sources = SourceCache(device, source_bytes)
        ring = [StagingBuffer(device, sources) for _ in range(_DEPTH)]

        def free_memory() -> bool:
            for staging in ring:
                staging.clear()
            freed = sources.close()
            device.release()
            return freed

        return Lane(
            index, device, sources, ring, ChunkRunner(device.ran_out_of_memory, free_memory, sources.open, len(ring))
        )

    def __lt__(self, other: "Lane") -> bool:
        return self.index < other.index

    def run(self, chunks: Sequence[slice], elements: int, start: StartChunk) -> None:
        """Runs chunks in order, of samples with `elements` elements each.

        Raises:
            DeviceOutOfMemory: there is not enough memory for one sample.
        """
        self.sources.begin_run()
        self.chunks.run(chunks, elements, lambda slot, rows: start(self.ring[slot], rows))


@dataclass(frozen=True, slots=True, eq=False)
class LanePool:
    """As many lanes of one device as threads ever used at a time."""

    open_device: Callable[[], Device]
    new: Iterator[tuple[int, int]]  # of each new lane: its index, and the bytes of sources that it keeps on the device
    free: "PriorityQueue[Lane]" = field(default_factory=PriorityQueue)  # lowest index first: that one has the sources

    @staticmethod
    def on(open_device: Callable[[], Device], source_bytes: int) -> "LanePool":
        """The first lane keeps up to `source_bytes` of sources, the others none: usually one thread computes at a time."""
        return LanePool(open_device, zip(count(), chain([source_bytes], repeat(0)), strict=False))

    @contextmanager
    def lease(self) -> Iterator[Lane]:
        """Leases a lane to this thread; opens a new one if none is free.

        Raises:
            EngineLost: its device is lost.
        """
        try:
            lane = self.free.get_nowait()
        except Empty:
            index, source_bytes = next(self.new)
            lane = Lane.on(self.open_device(), index, source_bytes)
        try:
            with report_loss(lane.device.is_lost), lane.device.open():
                yield lane
        finally:
            self.free.put(lane)


def cut(sizes: Sequence[int], rows: int, n_bytes: int) -> list[slice]:
    """Cuts samples of these sizes into chunks of at most `rows`, and at most `n_bytes` unless it is one sample."""
    chunks, begin, free_bytes = [], 0, n_bytes
    for row, size in enumerate(sizes):
        if row > begin and (row - begin == rows or size > free_bytes):
            chunks.append(slice(begin, row))
            begin, free_bytes = row, n_bytes
        free_bytes -= size
    return [*chunks, slice(begin, len(sizes))] if sizes else []
