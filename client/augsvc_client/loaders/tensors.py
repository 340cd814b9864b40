"""What the loaders share: arguments that mean the same in both, this process's rank, and arrays as tensors on a device.

torch is imported when one of them needs it, not before.
"""

import sys
from collections.abc import Sequence
from importlib.util import find_spec
from numbers import Real
from typing import TYPE_CHECKING

from augsvc_client.errors import AugsvcError, NotInstalled
from augsvc_client.loaders.gpu_upload import GpuUpload
from augsvc_client.wire import Arrays

if TYPE_CHECKING:
    import torch

    Batch = dict[str, torch.Tensor]

_KEPT_SHARE = 16  # a tensor below this share of its batch is copied out, see tensors


def at_least(least: int, **given: int) -> None:
    """Raises ValueError for what is no integer of at least `least`."""
    for name, value in given.items():
        if type(value) is not int or value < least:
            raise ValueError(f"{name} is an integer of at least {least}, got {value!r}")


def check_scale(scale: object) -> None:
    """Raises ValueError for what is neither None nor (low, high)."""
    pair = isinstance(scale, Sequence) and len(scale) == 2 and all(isinstance(end, Real) for end in scale)
    if scale is not None and not pair:
        raise ValueError(f"scale is (low, high), for example (-1.0, 1.0), or None, got {scale!r}")


def check_ranks(rank: int | None, world_size: int | None) -> None:
    """Raises ValueError unless both or neither are given, and fit."""
    if (rank is None) != (world_size is None):
        raise ValueError("give rank and world_size both, or neither")
    if rank is not None and world_size is not None and not 0 <= rank < world_size:
        raise ValueError(f"rank {rank} is not one of the {world_size} ranks 0 … {world_size - 1}")


def need_torch() -> None:
    """Raises NotInstalled where torch is not; does not import it, which takes seconds."""
    try:
        found = "torch" in sys.modules or find_spec("torch") is not None
    except ModuleNotFoundError:
        found = False
    if not found:
        raise NotInstalled("a loader gives torch tensors, and torch is not here: pip install 'augsvc-client[torch]'")


def refuse_several_workers() -> None:
    """Raises AugsvcError in one of several workers of a torch DataLoader."""
    import torch

    worker = torch.utils.data.get_worker_info()
    if worker is not None and worker.num_workers > 1:
        raise AugsvcError(
            "every worker of a torch DataLoader would read the same batches: use num_workers of 0 or 1 (this loader "
            "reads ahead by itself), or give each worker its own rank= and world_size="
        )


def ranks() -> tuple[int, int]:
    """Rank and world size of torch.distributed, or 0 of 1."""
    import torch

    if torch.distributed.is_available() and torch.distributed.is_initialized():
        return torch.distributed.get_rank(), torch.distributed.get_world_size()
    return 0, 1


def tensors(
    arrays: Arrays,
    device: "torch.device | str | None",
    scale: tuple[float, float] | None,
    upload: GpuUpload | None = None,
) -> "Batch":
    """Tensors on the device, by its `upload` if it has one, without a copy on the CPU, a scaled image apart.

    Small ones are copied out of the shared body: who collects an epoch's labels must not collect its images.
    """
    import torch

    n_bytes = sum(array.nbytes for array in arrays.values())
    batch = {}
    for name, array in arrays.items():
        if upload is None and array.nbytes * _KEPT_SHARE <= n_bytes:
            array = array.copy()
        if name == "image" and array.dtype.name == "uint16":  # the bits of bfloat16, which NumPy has none of
            batch[name] = torch.from_numpy(array.view("int16")).view(torch.bfloat16)
        else:
            batch[name] = torch.from_numpy(array)
    batch = upload.send(batch) if upload else {name: tensor.to(device or "cpu") for name, tensor in batch.items()}
    image = batch.get("image")
    if scale is not None and image is not None and image.dtype == torch.uint8:
        low, high = scale
        batch["image"] = image.float().mul_(high - low).div_(255.0).add_(low)
    return batch
