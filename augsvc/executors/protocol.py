"""What an executor is: it runs a plan's passes over pixels, and over sound."""

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


class Executor(Protocol):
    """Runs plans on one device. Several threads may use it at once."""

    @property
    def name(self) -> str:
        """As the setting names it."""

    @property
    def device(self) -> torch.device:
        """Where it computes."""

    @property
    def kinds(self) -> frozenset[type[Operation]]:
        """The kinds of image operations that it runs; any other is refused at start-up."""

    @property
    def noise_laws(self) -> frozenset[type]:
        """The laws of `Noise` that it knows."""

    @property
    def sound(self) -> "SoundExecutor":
        """What runs plans over clips."""

    @property
    def threads(self) -> int:
        """Into how many ranges a batch should be cut, each on a thread of its own."""

    @property
    def traits(self) -> tuple[str, ...]:
        """What its arithmetic depends on besides the code: part of every arithmetic id."""

    @property
    def opaque_traits(self) -> tuple[str, ...]:
        """What opaque operations depend on besides: part of the arithmetic id of a stream that has one."""

    def rows(self, elements: int) -> int:
        """How many samples of so many canvas elements one thread should run at once."""

    def render(
        self,
        plan: Plan,
        images: Sequence[U8],
        cameras: Sequence[Camera | None],
        draws: Sequence[Draw],
        out: U8,
        check: Callable[[], None],
    ) -> None:
        """All passes over sources uint8 (H, W, C) of any sizes, into `out` (N, C, H, W), which may be a view of N,H,W,C.

        `cameras` has one entry a pass, as plan.cameras gives them. `check` is called now and then, and may raise.
        """

    def move_masks(self, masks: Sequence[U8], moves: Moves, out: U8, check: Callable[[], None]) -> None:
        """Masks uint8 (H, W) of any sizes through cameras, nearest sampling, into `out` (N, H, W), which is contiguous.

        255 where the picture shows nothing of its source. Integers: every executor gives the same.
        """


class SoundExecutor(Protocol):
    """Runs plans over clips, on its executor's device. Several threads may use it at once."""

    @property
    def kinds(self) -> frozenset[type[Operation]]:
        """The kinds of audio operations that it runs; any other is refused at start-up."""

    @property
    def threads(self) -> int:
        """Into how many ranges a batch should be cut, each on a thread of its own."""

    @property
    def traits(self) -> tuple[str, ...]:
        """What its arithmetic depends on besides the code: part of the arithmetic id of every stream of sound."""

    def rows(self, samples: int) -> int:
        """How many clips of so many samples one thread should run at once."""

    def run(self, plan: SoundPlan, clips: F32, draws: Sequence[Draw], check: Callable[[], None]) -> None:
        """All passes over clips (N, T), in place. `check` is called now and then, and may raise."""


def resampling_traits() -> tuple[str, ...]:
    """What bringing clips to a stream's rate depends on: the library, and its vectors, which differ between machines."""
    return soxr.__version__, soxr.__libsoxr_version__, platform.machine()


def float_traits(device: torch.device) -> tuple[str, ...]:
    """What torch's float arithmetic depends on besides the code."""
    if device.type == "cuda":
        unit = f"{torch.cuda.get_device_name(device)} {torch.backends.cudnn.version()}"  # type: ignore[no-untyped-call]  # torch's own gap
    else:
        unit = torch.backends.cpu.get_cpu_capability()
    return kornia.__version__, torch.__version__, device.type, unit


def use_one_torch_thread() -> None:
    """Takes torch's own threads away, for the whole process: batches are split over threads of ours.

    torch's wait actively for one another, and beside another busy process 2 of them took 28 times as long as 1.
    """
    torch.set_num_threads(1)
