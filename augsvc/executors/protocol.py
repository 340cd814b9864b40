"""The interface of an executor: it runs the passes of a plan over images, and of an audio plan over clips."""

import platform
from collections.abc import Callable, Sequence
from concurrent.futures import Executor as Workers
from concurrent.futures import Future, wait
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Protocol, Self

import kornia
import soxr
import torch

from augsvc.arrays import F32, I64, U8, Pixels, ranges
from augsvc.numerics.geometry import Camera
from augsvc.ops.operation import Draw, Operation
from augsvc.planning.audio_plan import SoundPlan
from augsvc.planning.image_plan import Plan
from augsvc.planning.labels import Moves

SourceKey = tuple[str, int]  # a dataset's name and an index: they determine the decoded sample


_TOO_FEW = 10  # functions to estimate from: the first one takes seconds


@dataclass(slots=True)
class Compilation:
    """How many functions of the kernels are compiled, of `total`. `began_s`: on the monotonic clock; None before the first.
    `kept`: whether the next start loads them. `refresh` updates what nothing announces."""

    total: int = 0
    done: int = 0
    began_s: float | None = None
    kept: bool = True
    refresh: Callable[[], None] = lambda: None

    def seconds_left(self, now_s: float) -> float | None:
        """A rough estimate, as if all functions took equally long; None before it means anything.

        Of 73 CPU seconds that were left after 13 of 213 functions it gave 57, of 71 after 25 46, of 33 after 121 33.
        """
        if self.began_s is None or self.done < _TOO_FEW:
            return None
        return (now_s - self.began_s) * (self.total - self.done) / self.done


class Executor(Protocol):
    """Runs plans on one device. Thread-safe."""

    @property
    def name(self) -> str:
        """The value of the setting `executor`."""

    @property
    def device(self) -> torch.device:
        """The compute device."""

    @property
    def kinds(self) -> frozenset[type[Operation]]:
        """The supported kinds of image operations; any other is refused at start-up."""

    @property
    def noise_laws(self) -> frozenset[type]:
        """The supported laws of `Noise`."""

    @property
    def sound(self) -> "SoundExecutor":
        """The executor of audio plans."""

    @property
    def threads(self) -> int:
        """The number of ranges that a batch should be split into, one per thread."""

    def over(self, workers: Workers) -> Self:
        """The same executor, each call split over `workers`, one range for each of `threads`; called from another thread."""

    @property
    def traits(self) -> tuple[str, ...]:
        """Everything besides the code that the arithmetic depends on; part of every arithmetic id."""

    @property
    def opaque_traits(self) -> tuple[str, ...]:
        """Further dependencies of opaque operations; part of the arithmetic id of a stream that has one."""

    def watch_compilation(self) -> AbstractContextManager[Compilation]:
        """Counts the functions that are compiled in a block, of kernels for the self-test's grounds that are not kept."""

    def rows(self, elements: int) -> int:
        """The recommended number of samples per call, for samples of `elements` canvas elements."""

    def render(
        self,
        plan: Plan,
        images: Sequence[Pixels],
        cameras: Sequence[Camera | None],
        draws: Sequence[Draw],
        out: Pixels,
        check: Callable[[], None],
        keys: Sequence[SourceKey | None] | None = None,
    ) -> None:
        """Runs all passes over sources (H, W, C) of any sizes, into `out` (N, C, H, W), which may be a view of N,H,W,C if it
        is uint8.

        Sources are uint8, or all of them uint16: values 0 … 65,280. `out` of uint16 takes such values, unrounded.
        `cameras` has one entry per pass, as plan.cameras gives them. `check` is called at short intervals, from several threads
        if the call is split, and cancels by raising. A source with a key may be cached under it, between calls too.
        """

    def move_masks(
        self,
        masks: Sequence[U8],
        moves: Moves,
        out: U8,
        check: Callable[[], None],
        keys: Sequence[SourceKey | None] | None = None,
    ) -> None:
        """Moves masks uint8 (H, W) of any sizes through cameras, by nearest sampling, into `out` (N, H, W), which is contiguous.

        255 where the image shows nothing of its source. Integer arithmetic: all executors give the same values.
        """


class SoundExecutor(Protocol):
    """Runs audio plans on its executor's device. Thread-safe."""

    @property
    def kinds(self) -> frozenset[type[Operation]]:
        """The supported kinds of audio operations; any other is refused at start-up."""

    @property
    def threads(self) -> int:
        """The number of ranges that a batch should be split into, one per thread."""

    @property
    def traits(self) -> tuple[str, ...]:
        """Everything besides the code that the arithmetic depends on; part of every audio stream's arithmetic id."""

    def rows(self, samples: int) -> int:
        """The recommended number of clips per call, for clips of `samples` samples."""

    def run(
        self, plan: SoundPlan, clips: F32, lengths: I64, draws: Sequence[Draw], tracks: F32, check: Callable[[], None]
    ) -> None:
        """Runs all passes over clips float32 (N, T), in place.

        `lengths` (N,) are the clips' own, 0 … T: the samples after them are zeros, and stay zeros. `tracks` (N, P, T) are the
        partners of the plan's `partner_operations`, zeros where one is not selected. `check` is called at short intervals and
        cancels by raising.
        """


def run_ranges(work: Callable[[slice], None], n: int, step: int, threads: int, workers: Workers | None) -> None:
    """Runs `work` for slices of 0 … n of at most `step`, on `threads` threads: this one and, if there are any, `workers`.

    Whichever is free takes the next slice. This one works too, because a thread that wakes takes 0.1 ms, half of a flip of 32
    images. If `work` raises, what had begun has ended when this does: kernels know arrays by their addresses only, which the
    caller keeps.
    """
    pending = ranges(n, step)
    slices = iter(pending)  # the next one is taken in one step of the interpreter

    def take() -> None:
        try:
            for rows in slices:
                work(rows)
        finally:
            for _ in slices:  # after an error, none is left for the others
                pass

    helpers: list[Future[None]] = []
    try:
        if workers is not None:
            helpers += [workers.submit(take) for _ in range(min(threads, len(pending)) - 1)]
        take()
        for helper in helpers:
            if not helper.cancel():
                helper.result()
    finally:
        for _ in slices:
            pass
        wait([helper for helper in helpers if not helper.cancel()])
        helpers.clear()  # an exception holds this frame, and a future its exception


def resampling_traits() -> tuple[str, ...]:
    """The dependencies of resampling: the library, and its vector code, which differs between machines."""
    return soxr.__version__, soxr.__libsoxr_version__, platform.machine()


def float_traits(device: torch.device) -> tuple[str, ...]:
    """The dependencies of torch's float arithmetic: versions, the kind of device, and its name or vector instructions."""
    if device.type == "cuda":
        hardware = f"{torch.cuda.get_device_name(device)} {torch.backends.cudnn.version()}"  # type: ignore[no-untyped-call]  # untyped in torch
    else:
        hardware = torch.backends.cpu.get_cpu_capability()
    return kornia.__version__, torch.__version__, device.type, hardware


def use_one_torch_thread() -> None:
    """Disables torch's own threads, for the whole process: batches are split over this package's threads.

    Torch's threads spin while they wait for one another: next to another busy process, 2 of them took 28 times as long as 1.
    """
    torch.set_num_threads(1)
