"""Checks of common arguments, and arrays as tensors on a device.

torch is imported when one of them needs it, not before.
"""

import sys
from collections.abc import Sequence
from importlib.util import find_spec
from numbers import Real
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from augsvc_client.errors import AugsvcError, NotInstalled
from augsvc_client.loaders.gpu_upload import GpuUpload
from augsvc_client.transport.buffers import Buffers
from augsvc_client.wire import Arrays

if TYPE_CHECKING:
    import torch

    Batch = dict[str, torch.Tensor]

_COPIED_FRACTION = 16  # a tensor of at most 1/16 of its batch's bytes is copied out, see to_tensors


def check_scale(scale: object) -> None:
    """Raises ValueError unless it is None or (low, high)."""
    pair = isinstance(scale, Sequence) and len(scale) == 2 and all(isinstance(limit, Real) for limit in scale)
    if scale is not None and not pair:
        raise ValueError(f"scale is (low, high), for example (-1.0, 1.0), or None, got {scale!r}")


def require_torch() -> None:
    """Raises NotInstalled if torch is not installed; does not import it, which takes seconds."""
    try:
        installed = "torch" in sys.modules or find_spec("torch") is not None
    except ModuleNotFoundError:
        installed = False
    if not installed:
        raise NotInstalled("the loaders need torch, which is not installed: pip install 'augsvc-client[torch]'")


def refuse_workers() -> None:
    """Raises AugsvcError in a worker process of a torch DataLoader.

    Each epoch's workers start as copies of the loader in the trainer's process, which never moves on: every epoch and
    every worker would get the same batches.
    """
    import torch

    if torch.utils.data.get_worker_info() is not None:
        raise AugsvcError(
            "this loader runs in a worker of a torch DataLoader, where every epoch would begin with the same batches: "
            "iterate it directly (`for batch in loader`, it prefetches by itself), or set num_workers=0"
        )


def to_tensors(
    arrays: Arrays,
    device: "torch.device | str | None",
    scale: tuple[float, float] | None,
    buffers: Buffers,
    upload: GpuUpload | None = None,
    image_dtype: str = "uint8",
) -> "Batch":
    """Tensors on the device, by `upload` if given; nothing large is copied on the CPU but an image that is scaled, to `buffers`.

    `image_dtype` is that of the output: "bfloat16" means that uint16 arrays hold its bits, a type that NumPy lacks.
    Small tensors are copied out of the shared body: a caller that collects an epoch's labels must not keep its images.
    """
    import torch

    n_bytes = sum(array.nbytes for array in arrays.values())
    batch = {}
    for name, array in arrays.items():
        if upload is None and array.nbytes * _COPIED_FRACTION <= n_bytes:
            array = array.copy()
        if _is_image(name) and image_dtype == "bfloat16":
            batch[name] = torch.from_numpy(array.view("int16")).view(torch.bfloat16)
        else:
            batch[name] = torch.from_numpy(array)
    batch = upload.send(batch) if upload else {name: tensor.to(device or "cpu") for name, tensor in batch.items()}
    for name, image in batch.items():
        if scale is not None and _is_image(name) and image.dtype in (torch.uint8, torch.uint16):
            batch[name] = _scale(image, scale, buffers)
    return batch


def _scale(image: "torch.Tensor", scale: tuple[float, float], buffers: Buffers) -> "torch.Tensor":
    """Integers as float32 from `scale[0]` (0) to `scale[1]` (white).

    In fresh memory, page faults are most of it: 0.33 ms of CPU an image of 224 × 224, of 0.10 ms in reused memory.
    """
    import torch

    low, high = scale
    white = 255.0 if image.dtype == torch.uint8 else 65535.0
    if image.device.type == "cpu":
        memory = buffers.take(4 * image.numel()).view(np.float32).reshape(tuple(image.shape))
        floats = torch.from_numpy(memory).copy_(image)
    else:
        floats = image.float()
    return floats.mul_(high - low).div_(white).add_(low)


def to_texts(rows: npt.NDArray[np.uint8]) -> list[str]:
    """The strings of UTF-8 rows (N, W) that zeros fill up."""
    return [row.tobytes().rstrip(b"\0").decode() for row in rows]


def _is_image(name: str) -> bool:
    """Whether a tensor holds images: `image`, and `image1`, … of further views."""
    return name.removeprefix("image").isdecimal() or name == "image"
