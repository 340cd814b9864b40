"""A cache of decoded samples, bounded in bytes, between the decoder and the sources that read files; decoding counts too.

An epoch is a permutation, so the sample that was used last is the one that is needed again last, and to evict the least recently
used one, as caches do, evicts what comes next. So samples stay, and further ones are kept only while there is room: with a cache
for a quarter, a half and three quarters of a dataset, 25, 50 and 75 % of samples are found (least recently used: 3, 16, 40 %).
Room is made for a dataset that holds less than another one, and in place of samples that no job uses any more.
"""

import time
from collections import Counter, OrderedDict, deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from threading import Condition, Lock

import numpy as np

from augsvc.arrays import Sample, required
from augsvc.data.decoders.apart import DecoderProcesses
from augsvc.data.disk_cache import DiskCache
from augsvc.data.pixel_buffers import PixelBuffers

DECODING_BYTES = 256 << 20  # that decoding may take at least, however small the cache, where the memory limit allows it
IDLE_S = 60.0  # after which a dataset's samples make room for those of others

# A sample that was read this often since another one was used has seen whole epochs go by: no job uses the other one any more.
# (One job needs two; the third is for jobs that share a dataset, and for mixes, whose partners are read in between.)
_WITNESSED = 3
_PATIENCE = 1024  # accesses in which a witness has to be read so often; doubled for the next one until that happens
_WINDOW = (
    1024  # decodes: the memory of the last one to two windows' decodes is left free, so that decoding evicts no samples
)

Key = tuple[str, int]  # a name from `claim`, and an index in that dataset


@dataclass(slots=True)
class _Dataset:
    """The cached samples of one dataset, the one used longest ago first, each with the count of accesses at its last use.

    Its witness is a sample that found no room.
    """

    samples: OrderedDict[int, tuple[Sample, int]] = field(default_factory=OrderedDict)
    n_bytes: int = 0
    n_accesses: int = 0
    used_s: float = 0.0
    _left_before: int = 0  # accesses: no job uses a sample whose last use was before
    _witness: int = -1
    _n_witnessed: int = _WITNESSED
    _witness_since: int = 0
    _patience: int = _PATIENCE

    def find(self, index: int, now_s: float) -> Sample | None:
        """The sample of an index if it is cached; it becomes the last used one."""
        self.used_s = now_s
        self.n_accesses += 1
        if index not in self.samples:
            return None
        sample, _ = self.samples.pop(index)
        self.samples[index] = sample, self.n_accesses
        return sample

    def add(self, index: int, sample: Sample) -> None:
        """Adds a sample that is not cached, as the last used one."""
        self.samples[index] = sample, self.n_accesses
        self.n_bytes += sample.n_bytes

    def refuse(self, index: int) -> None:
        """Notes that there is no room for a sample."""
        if index == self._witness:
            self._n_witnessed += 1
            if self._n_witnessed == _WITNESSED:
                self._left_before, self._patience = self._witness_since, _PATIENCE
        elif self._n_witnessed >= _WITNESSED or self.n_accesses - self._witness_since > self._patience:
            if self._n_witnessed < _WITNESSED:
                self._patience *= 2
            self._witness, self._n_witnessed, self._witness_since = index, 0, self.n_accesses

    def evict(self, now_s: float) -> int:
        """Drops a sample that no job uses, else the one that is needed again last, and returns its bytes."""
        _, (sample, _) = self.samples.popitem(last=not self.has_left(now_s))
        self.n_bytes -= sample.n_bytes
        return sample.n_bytes

    def has_left(self, now_s: float) -> bool:
        """Whether the sample that was used longest ago is one that no job uses: of a finished job, or of another subset."""
        if not self.samples:
            return False
        _, used = next(iter(self.samples.values()))
        return now_s - self.used_s > IDLE_S or used < self._left_before


class DecodedCache:
    """Samples by dataset and index. Safe to share among threads and datasets.

    `max_bytes` bounds the bytes of samples; 0 disables the cache. Decoding may take as many, and
    `min_decoding_bytes` at least. `processes` decode files that may take long. `hits`, `misses` and `n_bytes` are for
    the metrics.
    """

    def __init__(
        self,
        max_bytes: int,
        min_decoding_bytes: int = DECODING_BYTES,
        clock: Callable[[], float] = time.monotonic,
        disk: DiskCache | None = None,
    ) -> None:
        """`clock` counts seconds; `disk` has what was decoded before."""
        self.disk = disk
        self.max_bytes = max_bytes
        self.max_decoding_bytes = max(max_bytes, min_decoding_bytes)
        self.processes = DecoderProcesses()
        self.buffers = PixelBuffers()  # for images that do not stay
        self.n_bytes = 0
        self.hits = 0
        self.misses = 0
        self.decoding_bytes = 0  # of what is being decoded now
        self._n_decodes = 0
        self._peaks = [0, 0]  # bytes of decoding in this window and in the one before, at most
        self._clock = clock
        self._lock = Lock()
        self._decoded = Condition(self._lock)
        self._arrivals: deque[object] = deque()  # decodes that wait, the first one first
        self._datasets: dict[str, _Dataset] = {}
        self._claims: Counter[str] = Counter()

    def claim(self, name: str) -> str:
        """A name for keys that no other source has: `name`, and after a reload "name 2", "name 3", …"""
        with self._lock:
            self._claims[name] += 1
            return name if self._claims[name] == 1 else f"{name} {self._claims[name]}"

    def __len__(self) -> int:
        return sum(len(dataset.samples) for dataset in self._datasets.values())

    def get_or_make(self, key: Key, make: Callable[[], Sample]) -> Sample:
        """The cached sample of a key, or the result of `make`, cached if there is room; exceptions of `make` propagate."""
        name, index = key
        with self._lock:
            sample = self._dataset(name).find(index, self._clock())
            if sample is not None:
                self.hits += 1
                return sample
            self.misses += 1
        sample = make()  # without the lock: two threads may make the same sample, but none waits for another
        if 0 < sample.n_bytes <= self.max_bytes:
            self._put(name, index, sample)
        return sample

    @contextmanager
    def decoding(self, n_bytes: int) -> Iterator[None]:
        """Counts the memory of a decode before it is spent: samples are evicted for it, and it waits while other decodes leave
        too little. One that needs more than there is runs alone. First come, first served: beside steady small ones a large one
        would never run. Decodes do not nest: a thread would wait for one that waits for it.
        """
        arrival = object()
        with self._decoded:
            self._arrivals.append(arrival)
            try:
                self._decoded.wait_for(
                    lambda: (
                        self._arrivals[0] is arrival
                        and (not self.decoding_bytes or self.decoding_bytes + n_bytes <= self.max_decoding_bytes)
                    )
                )
            finally:
                self._arrivals.remove(arrival)
                self._decoded.notify_all()  # there may be enough for the next one too
            self.decoding_bytes += n_bytes
            self._note_peak()
            while self.n_bytes + self.decoding_bytes > self.max_bytes and (donor := self._donor()):
                self.n_bytes -= donor.evict(self._clock())
        try:
            yield
        finally:
            with self._decoded:
                self.decoding_bytes -= n_bytes
                self._decoded.notify_all()

    def _dataset(self, name: str) -> _Dataset:
        dataset = self._datasets.get(name)
        if dataset is None:  # rare: each reload has a new name
            now_s = self._clock()
            kept = {name: one for name, one in self._datasets.items() if one.samples or now_s - one.used_s <= IDLE_S}
            dataset = _Dataset()
            self._datasets = {**kept, name: dataset}
        return dataset

    def _put(self, name: str, index: int, sample: Sample) -> None:
        with self._lock:
            dataset = self._dataset(name)
            if index in dataset.samples:
                return
            if not self._make_room(dataset, sample.n_bytes):
                dataset.refuse(index)
                return
            dataset.add(index, _to_keep(sample))
            self.n_bytes += sample.n_bytes

    def _make_room(self, dataset: _Dataset, n_bytes: int) -> bool:
        """Whether there is room for a sample of a dataset, after evictions."""
        # At most half, and not what one sample needs: a cache that is small beside a decode has something too
        reserve = min(max(self._peaks), self.max_bytes // 2, self.max_bytes - n_bytes)
        limit = self.max_bytes - max(self.decoding_bytes, reserve)
        while self.n_bytes + n_bytes > limit:
            donor = self._donor()
            if donor is None or not (donor.has_left(self._clock()) or donor.n_bytes > dataset.n_bytes + n_bytes):
                return False
            self.n_bytes -= donor.evict(self._clock())
        return True

    def _note_peak(self) -> None:
        if self._n_decodes % _WINDOW == 0:
            self._peaks = [0, self._peaks[0]]
        self._n_decodes += 1
        self._peaks[0] = max(self._peaks[0], self.decoding_bytes)

    def _donor(self) -> _Dataset | None:
        """The dataset that is to lose a sample: one that has some which no job seems to use, else the largest."""
        now_s = self._clock()
        return max(
            (dataset for dataset in self._datasets.values() if dataset.samples),
            key=lambda dataset: (dataset.has_left(now_s), dataset.n_bytes),
            default=None,
        )


def _to_keep(sample: Sample) -> Sample:
    """The sample as others may share it, without the buffer that its image lies in: that is larger, and goes to the next one."""
    image = sample.image
    if image is None:
        return sample
    if isinstance(image.base, np.ndarray) and image.base.nbytes > image.nbytes:
        sample = replace(sample, image=image.copy())
    required(sample.image).setflags(write=False)
    return sample
