"""A cache of decoded samples, bounded in bytes, between the decoder and the sources that read files; decoding counts too."""

from collections import Counter, OrderedDict
from collections.abc import Callable, Hashable, Iterator
from contextlib import contextmanager
from threading import Condition, Lock

from augsvc.arrays import Sample

DECODING_BYTES = 256 << 20  # that decoding may take at least, however small the cache, where the memory limit allows it


class DecodedCache:
    """Samples by key, evicted least recently used first. Safe to share among threads and datasets.

    `max_bytes` bounds the bytes of images, masks and audio; 0 disables the cache. Decoding may take as many, and
    `min_decoding_bytes` at least. `hits`, `misses` and `n_bytes` are for the metrics.
    """

    def __init__(self, max_bytes: int, min_decoding_bytes: int = DECODING_BYTES) -> None:
        self.max_bytes = max_bytes
        self.max_decoding_bytes = max(max_bytes, min_decoding_bytes)
        self.n_bytes = 0
        self.hits = 0
        self.misses = 0
        self.decoding_bytes = 0  # of what is being decoded now
        self._lock = Lock()
        self._decoded = Condition(self._lock)
        self._samples: OrderedDict[Hashable, Sample] = OrderedDict()
        self._claims: Counter[str] = Counter()

    def claim(self, name: str) -> str:
        """A name for keys that no other source has: `name`, and after a reload "name 2", "name 3", …"""
        with self._lock:
            self._claims[name] += 1
            return name if self._claims[name] == 1 else f"{name} {self._claims[name]}"

    def __len__(self) -> int:
        return len(self._samples)

    def get_or_make(self, key: Hashable, make: Callable[[], Sample]) -> Sample:
        """The cached sample of a key, or the result of `make`, then cached; exceptions of `make` propagate."""
        with self._lock:
            sample = self._samples.get(key)
            if sample is not None:
                self.hits += 1
                self._samples.move_to_end(key)
                return sample
            self.misses += 1
        sample = make()  # without the lock: two threads may make the same sample, but none waits for another
        if 0 < sample.n_bytes <= self.max_bytes:
            self._put(key, sample)
        return sample

    @contextmanager
    def decoding(self, n_bytes: int) -> Iterator[None]:
        """Counts the memory of a decode before it is spent: samples are evicted for it, and it waits while other decodes leave
        too little. One that needs more than there is runs alone.
        """
        with self._decoded:
            self._decoded.wait_for(
                lambda: not self.decoding_bytes or self.decoding_bytes + n_bytes <= self.max_decoding_bytes
            )
            self.decoding_bytes += n_bytes
            self._evict()
        try:
            yield
        finally:
            with self._decoded:
                self.decoding_bytes -= n_bytes
                self._decoded.notify_all()

    def _put(self, key: Hashable, sample: Sample) -> None:
        if sample.image is not None:
            sample.image.setflags(write=False)  # it is shared
        with self._lock:
            replaced = self._samples.pop(key, None)
            if replaced is not None:
                self.n_bytes -= replaced.n_bytes
            self._samples[key] = sample
            self.n_bytes += sample.n_bytes
            self._evict()

    def _evict(self) -> None:
        while self._samples and self.n_bytes + self.decoding_bytes > self.max_bytes:
            _, evicted = self._samples.popitem(last=False)
            self.n_bytes -= evicted.n_bytes
