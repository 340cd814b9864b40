"""The kind `opaque` of audio: operations that compute a clip themselves, on the host."""

from abc import abstractmethod
from collections.abc import Callable
from typing import ClassVar

from augsvc.arrays import F32, I64
from augsvc.ops.kinds.audio import Clip
from augsvc.ops.operation import Draw, Kind, Operation


class SoundOpaque(Operation):
    """An operation of no other kind: computes one clip at a time with the host's libraries, the same for every executor.

    The versions of these libraries are part of the arithmetic id of a stream that has one.
    """

    kind: ClassVar[Kind] = Kind.OPAQUE
    media: ClassVar[str] = "audio"
    keeps_length: ClassVar[bool] = True
    ns_per_sample: ClassVar[float] = 200_000.0  # of one core, whatever the clip's length
    ns_per_element: ClassVar[float] = 250.0  # of one core, for each sample that `work_samples` counts
    fixed_bytes: ClassVar[float] = 0.0  # memory of `change`, whatever the clip's length
    bytes_per_element: ClassVar[float] = 32.0

    def work_samples(self, clip: Clip) -> float:
        """The number of samples that the time and the memory of `change` grow with: those of the window."""
        return clip.samples

    def sample_ns(self, clip: Clip) -> float:
        """Of one core, for the estimate of a clip's time."""
        return self.ns_per_sample + self.ns_per_element * self.work_samples(clip)

    def working_bytes(self, clip: Clip) -> float:
        """Memory of `change`, which the memory budget counts."""
        return self.fixed_bytes + self.bytes_per_element * self.work_samples(clip)

    @abstractmethod
    def lower(self, draw: Draw, lengths: I64, rate: int) -> I64:
        """Integers (N, K) for clips of `lengths` samples (N,) at `rate` Hz: everything that `change` depends on besides the
        samples and the rate.
        """

    def lengths(self, lowered: I64, lengths: I64) -> I64:
        """The lengths (N,) of the results for clips of `lengths` samples; what no longer fits the window is lost at the end."""
        return lengths

    @abstractmethod
    def change(self, clip: F32, lowered: I64, rate: int, samples: int, check: Callable[[], None]) -> F32:
        """The first `samples` samples of the result for a clip (T,) of finite values, T ≥ 1, given its integers (K,).

        A silent clip stays silent. `check` is called at short intervals and cancels by raising.
        """
