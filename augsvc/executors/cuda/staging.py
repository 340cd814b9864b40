"""Device memory of one chunk of samples: buffers that are reused and grow from chunk to chunk, and uploads to them.

All arrays of a launch are sent in one copy; so are all sources of a chunk that are not on the device yet.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from augsvc.arrays import I64, U8, U16
from augsvc.executors.cuda.device import Buffer, Device
from augsvc.executors.cuda.source_cache import SourceCache
from augsvc.executors.protocol import SourceKey

_ALIGNMENT = 256  # bytes: where arrays begin


@dataclass(slots=True, eq=False)
class StagingBuffer:
    """The buffers of one chunk at a time, by purpose."""

    device: Device
    sources: SourceCache
    buffers: dict[str, Buffer] = field(default_factory=dict)
    constants: dict[str, Any] = field(default_factory=dict)

    def clear(self) -> None:
        """Frees all memory."""
        self.buffers.clear()
        self.constants.clear()

    def reserve(self, name: str, size: int, copied: bool = False) -> Buffer:
        """A buffer of at least `size` bytes, with any contents; `copied`: with a host side."""
        buffer = self.buffers.get(name)
        if buffer is None or buffer.size < size or (copied and not buffer.copied):
            self.buffers.pop(name, None)  # before the larger one is allocated
            buffer = self.buffers[name] = self.device.buffer(max(_ALIGNMENT, size + size // 8), copied)
        return buffer

    def array(self, name: str, shape: tuple[int, ...], dtype: npt.DTypeLike, copied: bool = False) -> Any:
        """An array with any contents in the buffer `name`, as kernels take it."""
        size = np.dtype(dtype).itemsize * int(np.prod(shape))
        return self.device.view(self.reserve(name, size, copied), 0, shape, dtype)

    def send_constant(self, name: str, array: npt.NDArray[Any]) -> Any:
        """An array that is the same for all chunks, sent once."""
        if name not in self.constants:
            buffer = self.reserve(name, array.nbytes, copied=True)
            buffer.bytes[: array.nbytes] = array.reshape(-1).view(np.uint8)
            self.device.upload(buffer, array.nbytes)
            self.constants[name] = self.device.view(buffer, 0, array.shape, array.dtype)
        return self.constants[name]

    def send(self, name: str, groups: Sequence[tuple[Any, ...]]) -> list[Any]:
        """Uploads the arrays of named tuples in one copy."""
        arrays = [value for group in groups for value in group if isinstance(value, np.ndarray)]
        offsets = np.cumsum([0, *(-(-array.nbytes // _ALIGNMENT) * _ALIGNMENT for array in arrays)]).tolist()
        buffer = self.reserve(name, offsets[-1], copied=True)
        for array, offset in zip(arrays, offsets, strict=False):
            host = buffer.bytes[offset : offset + array.nbytes]
            host.view(array.dtype).reshape(array.shape)[...] = array
        self.device.upload(buffer, offsets[-1])
        remaining = iter(offsets)

        def on_device(value: Any) -> Any:
            if not isinstance(value, np.ndarray):
                return value
            return self.device.view(buffer, next(remaining), value.shape, value.dtype)

        return [type(group)(*[on_device(value) for value in group]) for group in groups]

    def send_sources(self, images: Sequence[U8], keys: Sequence[SourceKey | None]) -> tuple[Any, I64]:
        """Memory with the images, and each one's offset there (N,): the source cache, or a copy of this chunk's."""
        cached = self.sources.load(images, keys, lambda size: self.reserve("sources", size, copied=True))
        if cached is not None:
            return cached
        sizes = np.array([image.size for image in images], np.int64)
        ends = np.cumsum(sizes)
        buffer = self.reserve("sources", int(ends[-1]), copied=True)
        for image, end in zip(images, ends.tolist(), strict=True):
            buffer.bytes[end - image.size : end].reshape(image.shape)[...] = image
        self.device.upload(buffer, int(ends[-1]))
        return self.device.view(buffer, 0, (buffer.size,), np.uint8), ends - sizes

    def send_deep_sources(self, images: Sequence[U16]) -> Any:
        """Memory with images of 16 bits, one a row (N, C·P): the planes begin every P values, P being the largest plane's.

        They are sent with every batch: a kernel that also took offsets into the source cache needed 86 registers instead of
        80, one block less on a multiprocessor.
        """
        channels, plane = images[0].shape[2], max(image[..., 0].size for image in images)
        size = 2 * len(images) * channels * plane
        buffer = self.reserve("sources", size, copied=True)
        rows = buffer.bytes[:size].view(np.uint16).reshape(len(images), channels, plane)
        for row, image in zip(rows, images, strict=True):
            row[:, : image[..., 0].size] = image.transpose(2, 0, 1).reshape(channels, -1)
        self.device.upload(buffer, size)
        return self.device.view(buffer, 0, (len(images), channels * plane), np.uint16)
