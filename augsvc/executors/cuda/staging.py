"""What a slab of samples has on a device: buffers that stay from slab to slab and grow, and how integers get there.

All sheets of a launch travel in one copy; so do all sources of a slab, one after the other.
"""

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
import torch

from augsvc.arrays import I64, U8
from augsvc.executors.cuda.source_cache import Resident

_ALIGNED = 256  # bytes: where arrays begin


class Buffer(Protocol):
    """Some bytes on a device."""

    @property
    def size(self) -> int:
        """How many."""

    @property
    def copied(self) -> bool:
        """Whether they are on the host too."""

    @property
    def bytes(self) -> U8:
        """Those on the host, of a buffer that is copied."""


class Lane(Protocol):
    """A device, for one thread at a time. What is asked for after another is done after it, unless it says otherwise."""

    @property
    def threads(self) -> int:
        """In a block of a grid."""

    def open(self) -> AbstractContextManager[None]:
        """All else happens in here; all work is done when it ends."""

    def buffer(self, size: int, copied: bool) -> Any:
        """New memory; `copied`: with bytes on the host."""

    def view(self, buffer: Any, offset: int, shape: tuple[int, ...], dtype: npt.DTypeLike) -> Any:
        """An array in a buffer, as kernels take it."""

    def tensor(self, buffer: Any, shape: tuple[int, ...], dtype: torch.dtype) -> torch.Tensor:
        """An array at the head of a buffer, as torch takes it."""

    def upload(self, buffer: Any, size: int) -> None:
        """The first bytes to the device, beside what is running there; what is launched later waits for them."""

    def place(self, staged: Any, size: int, buffer: Any, offset: int) -> None:
        """The same into another buffer, from its place `offset` on."""

    def download(self, buffer: Any, size: int) -> Callable[[], None]:
        """The first bytes to the host, once what was launched is done. The answer waits for it."""

    def launch(self, kernel: Any, grid: tuple[int, int], *arguments: Any) -> None:
        """A kernel."""

    def ran_out_of_memory(self, error: Exception) -> bool:
        """Whether that is what an error says."""

    def is_lost(self) -> bool:
        """Whether the device answers no more, for good."""

    def release(self) -> None:
        """Gives what nobody refers to any more back to the device."""


@dataclass(slots=True, eq=False)
class Slot:
    """The buffers of one slab at a time, by what they are for."""

    lane: Lane
    resident: Resident
    buffers: dict[str, Buffer] = field(default_factory=dict)
    kept: dict[str, Any] = field(default_factory=dict)

    def clear(self) -> None:
        """Lets all memory go."""
        self.buffers.clear()
        self.kept.clear()

    def room(self, name: str, size: int, copied: bool = False) -> Buffer:
        """At least so many bytes, with any contents; `copied`: on the host too."""
        found = self.buffers.get(name)
        if found is None or found.size < size or (copied and not found.copied):
            self.buffers.pop(name, None)  # before the larger one is asked for
            found = self.buffers[name] = self.lane.buffer(max(_ALIGNED, size + size // 8), copied)
        return found

    def array(self, name: str, shape: tuple[int, ...], dtype: npt.DTypeLike, copied: bool = False) -> Any:
        """Room for an array, as kernels take it."""
        size = np.dtype(dtype).itemsize * int(np.prod(shape))
        return self.lane.view(self.room(name, size, copied), 0, shape, dtype)

    def keep(self, name: str, array: npt.NDArray[Any]) -> Any:
        """An array that is the same for all slabs, sent once."""
        if name not in self.kept:
            buffer = self.room(name, array.nbytes, copied=True)
            buffer.bytes[: array.nbytes] = array.reshape(-1).view(np.uint8)
            self.lane.upload(buffer, array.nbytes)
            self.kept[name] = self.lane.view(buffer, 0, array.shape, array.dtype)
        return self.kept[name]

    def send(self, name: str, sheets: Sequence[tuple[Any, ...]]) -> list[Any]:
        """Sheets with their arrays on the device, in one copy."""
        arrays = [value for sheet in sheets for value in sheet if isinstance(value, np.ndarray)]
        offsets = np.cumsum([0, *(-(-array.nbytes // _ALIGNED) * _ALIGNED for array in arrays)]).tolist()
        buffer = self.room(name, offsets[-1], copied=True)
        for array, offset in zip(arrays, offsets, strict=False):
            room = buffer.bytes[offset : offset + array.nbytes]
            room.view(array.dtype).reshape(array.shape)[...] = array
        self.lane.upload(buffer, offsets[-1])
        places = iter(offsets)

        def sent(value: Any) -> Any:
            if not isinstance(value, np.ndarray):
                return value
            return self.lane.view(buffer, next(places), value.shape, value.dtype)

        return [type(sheet)(*[sent(value) for value in sheet]) for sheet in sheets]

    def send_sources(self, images: Sequence[U8]) -> tuple[Any, I64]:
        """Memory that has the pictures, and where each begins: what stays on the device, or one after the other."""
        if (found := self.resident.sent(images, lambda size: self.room("sources", size, copied=True))) is not None:
            return found
        ends = np.cumsum([image.size for image in images], dtype=np.int64)
        buffer = self.room("sources", int(ends[-1]), copied=True)
        for image, end in zip(images, ends.tolist(), strict=True):
            buffer.bytes[end - image.size : end].reshape(image.shape)[...] = image
        self.lane.upload(buffer, int(ends[-1]))
        begins = ends - np.array([image.size for image in images])
        return self.lane.view(buffer, 0, (buffer.size,), np.uint8), begins
