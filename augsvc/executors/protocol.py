"""The interface of an executor: it runs the passes of a plan over images, and of an audio plan over clips."""

import platform
from collections.abc import Callable, Sequence
from typing import Protocol

import kornia
import soxr
import torch

from augsvc.arrays import F32, U8
from augsvc.numerics.geometry import Camera
from augsvc.ops.operation import Draw, Operation
from augsvc.planning.audio_plan import SoundPlan
from augsvc.planning.image_plan import Plan
from augsvc.planning.labels import Moves

SourceKey = tuple[str, int]  # a dataset's name and an index: they determine the decoded sample


class Executor(Protocol):
    """Runs plans on one device. Safe to call from several threads."""

    @property
    def name(self) -> str:
        """The value of the setting `executor`."""

    @property
    def device(self) -> torch.device:
        """The device that it computes on."""

    @property
    def kinds(self) -> frozenset[type[Operation]]:
        """The kinds of image operations that it runs; any other is refused at start-up."""

    @property
    def noise_laws(self) -> frozenset[type]:
        """The laws of `Noise` that it knows."""

    @property
    def sound(self) -> "SoundExecutor":
        """The executor of audio plans."""

    @property
    def threads(self) -> int:
        """The number of ranges that a batch should be split into, one per thread."""

    @property
    def traits(self) -> tuple[str, ...]:
        """What the arithmetic depends on besides the code; part of every arithmetic id."""

    @property
    def opaque_traits(self) -> tuple[str, ...]:
        """What opaque operations depend on in addition; part of the arithmetic id of a stream that has one."""

    def rows(self, elements: int) -> int:
        """How many samples of `elements` canvas elements one call should have."""

    def render(
        self,
        plan: Plan,
        images: Sequence[U8],
        cameras: Sequence[Camera | None],
        draws: Sequence[Draw],
        out: U8,
        check: Callable[[], None],
        keys: Sequence[SourceKey | None] | None = None,
    ) -> None:
        """All passes over sources uint8 (H, W, C) of any sizes, into `out` (N, C, H, W), which may be a view of N,H,W,C.

        `cameras` has one entry per pass, as plan.cameras gives them. `check` is called at short intervals, and may raise. A
        source with a key may be kept under it, between calls too.
        """

    def move_masks(
        self,
        masks: Sequence[U8],
        moves: Moves,
        out: U8,
        check: Callable[[], None],
        keys: Sequence[SourceKey | None] | None = None,
    ) -> None:
        """Masks uint8 (H, W) of any sizes through cameras, nearest sampling, into `out` (N, H, W), which is contiguous.

        255 where the image shows nothing of its source. Integer arithmetic: all executors give the same values.
        """


class SoundExecutor(Protocol):
    """Runs audio plans on its executor's device. Safe to call from several threads."""

    @property
    def kinds(self) -> frozenset[type[Operation]]:
        """The kinds of audio operations that it runs; any other is refused at start-up."""

    @property
    def threads(self) -> int:
        """The number of ranges that a batch should be split into, one per thread."""

    @property
    def traits(self) -> tuple[str, ...]:
        """What the arithmetic depends on besides the code; part of the arithmetic id of every audio stream."""

    def rows(self, samples: int) -> int:
        """How many clips of `samples` samples one call should have."""

    def run(self, plan: SoundPlan, clips: F32, draws: Sequence[Draw], check: Callable[[], None]) -> None:
        """All passes over clips float32 (N, T), in place. `check` is called at short intervals, and may raise."""


def resampling_traits() -> tuple[str, ...]:
    """What resampling to a stream's rate depends on: the library, and its vector code, which differs between machines."""
    return soxr.__version__, soxr.__libsoxr_version__, platform.machine()


def float_traits(device: torch.device) -> tuple[str, ...]:
    """What torch's float arithmetic depends on: versions, the kind of device, and its name or vector instructions."""
    if device.type == "cuda":
        hardware = f"{torch.cuda.get_device_name(device)} {torch.backends.cudnn.version()}"  # type: ignore[no-untyped-call]  # untyped in torch
    else:
        hardware = torch.backends.cpu.get_cpu_capability()
    return kornia.__version__, torch.__version__, device.type, hardware


def use_one_torch_thread() -> None:
    """Disables torch's own threads, for the whole process: batches are split over this package's threads.

    Torch's threads spin while they wait for one another: beside another busy process, 2 of them took 28 times as long as 1.
    """
    torch.set_num_threads(1)
