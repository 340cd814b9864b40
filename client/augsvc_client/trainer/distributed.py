"""Training in several processes started by torchrun: ranks, collectives, and gradient averaging.

torchrun --nproc-per-node 2 -m augsvc_client.trainer.entry … → process_group → rank, world_size → gather_rows,
broadcast_flag, average_gradients, broadcast_tensors
"""

import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from importlib import import_module

import torch
from torch import distributed, nn

from augsvc_client.loaders.ranks import find_launched_processes


@contextmanager
def process_group() -> Iterator[None]:
    """Join the process group of torchrun, or of a launcher that sets the same variables, and leave it afterwards.

    NCCL for GPU tensors, Gloo for others. Raises ValueError in one of several processes without a group.
    """
    if distributed.is_initialized() or not _is_launched():
        yield
        return
    if torch.cuda.is_available():
        torch.cuda.set_device(int(os.environ.get("LOCAL_RANK", "0")))
    # Optimizers import this module, whose functions have the group as a default argument: imported later, it would keep the
    # group past its end, and Gloo's threads abort one in some hundred processes at exit (pytorch/pytorch#190489).
    import_module("torch.distributed.nn.functional")
    distributed.init_process_group("cpu:gloo,cuda:nccl" if torch.cuda.is_available() else "gloo")
    try:
        yield
    finally:
        distributed.destroy_process_group()


def _is_launched() -> bool:
    """Whether a launcher started this process as a rank. Several processes without a group would each train the whole run
    and write to the same folder."""
    if "TORCHELASTIC_RUN_ID" in os.environ:
        return True
    launched = find_launched_processes()
    if launched is not None and not os.environ.keys() >= {"RANK", "WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT"}:
        raise ValueError(
            f"{launched}: this is one of several processes, and none of their process group: start them with torchrun"
        )
    return launched is not None


def rank() -> int:
    """This process's rank; 0 without a process group."""
    return distributed.get_rank() if _is_distributed() else 0


def world_size() -> int:
    """The number of processes; 1 without a process group."""
    return distributed.get_world_size() if _is_distributed() else 1


def is_main_process() -> bool:
    """Whether this process writes files and prints: rank 0."""
    return rank() == 0


def gather_rows(rows: torch.Tensor) -> torch.Tensor:
    """Concatenate the rows (N, …) of all ranks in rank order; N may differ between ranks and may be 0."""
    if not _is_distributed():
        return rows
    device = _communication_device()
    counts = [torch.zeros(1, dtype=torch.int64, device=device) for _ in range(world_size())]
    distributed.all_gather(counts, torch.tensor([len(rows)], device=device))
    longest = int(torch.cat(counts).max())
    padded = torch.zeros(longest, *rows.shape[1:], dtype=rows.dtype, device=device)
    padded[: len(rows)] = rows.to(device)
    gathered = [torch.empty_like(padded) for _ in counts]
    distributed.all_gather(gathered, padded)
    return torch.cat([block[: int(count)] for block, count in zip(gathered, counts, strict=True)]).cpu()


def broadcast_flag(flag: bool) -> bool:
    """Rank 0's flag, on all ranks: for decisions that depend on a clock or a signal."""
    if not _is_distributed():
        return flag
    tensor = torch.tensor([flag], dtype=torch.uint8, device=_communication_device())
    distributed.broadcast(tensor, 0)
    return bool(tensor.item())


def average_gradients(model: nn.Module) -> None:
    """Replace each gradient by its mean over the ranks, with one all-reduce in the order of the parameters.

    DistributedDataParallel rebuilds its buckets after its first step. From three ranks on, a resumed run would therefore
    sum in another order than an uninterrupted one, and the weights would differ in the last bits.
    """
    if not _is_distributed():
        return
    gradients = [parameter.grad for parameter in model.parameters() if parameter.grad is not None]
    flat = torch.cat([gradient.flatten() for gradient in gradients])
    distributed.all_reduce(flat)
    flat /= world_size()
    sizes = [gradient.numel() for gradient in gradients]
    for gradient, mean in zip(gradients, torch.split(flat, sizes), strict=True):
        gradient.copy_(mean.view(gradient.shape))


def broadcast_tensors(tensors: Iterable[torch.Tensor]) -> None:
    """Overwrite the tensors with rank 0's values on all ranks."""
    if _is_distributed():
        for tensor in tensors:
            distributed.broadcast(tensor, 0)


def _communication_device() -> torch.device:
    """The device for small tensors: the CPU, unless the process group was initialised with NCCL alone."""
    return torch.device("cuda") if distributed.get_backend() == "nccl" else torch.device("cpu")


def _is_distributed() -> bool:
    return distributed.is_available() and distributed.is_initialized()
