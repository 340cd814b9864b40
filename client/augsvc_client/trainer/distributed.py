"""Several processes as one run, started by torchrun: who this one is, arrays of all of them together, and what they agree on.

torchrun --nproc-per-node 2 -m augsvc_client.trainer.entry … → joined → rank, world size → gathered, agreed,
share_gradients, share
"""

import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

import torch
from torch import distributed, nn


@contextmanager
def joined() -> Iterator[None]:
    """Join the run that torchrun started, if one did: tensors on GPUs over NCCL, others over Gloo; leave it after."""
    if "TORCHELASTIC_RUN_ID" not in os.environ or distributed.is_initialized():
        yield
        return
    if torch.cuda.is_available():
        torch.cuda.set_device(int(os.environ["LOCAL_RANK"]))
    distributed.init_process_group("cpu:gloo,cuda:nccl" if torch.cuda.is_available() else "gloo")
    try:
        yield
    finally:
        distributed.destroy_process_group()


def rank() -> int:
    """This process's number; 0 for a run of one."""
    return distributed.get_rank() if _several() else 0


def world_size() -> int:
    """How many processes the run has."""
    return distributed.get_world_size() if _several() else 1


def is_first() -> bool:
    """Whether this process writes files and speaks."""
    return rank() == 0


def gathered(mine: torch.Tensor) -> torch.Tensor:
    """All ranks' rows (N, …) one after the other; ranks may have different numbers of rows, none included."""
    if not _several():
        return mine
    device = _device()
    rows = [torch.zeros(1, dtype=torch.int64, device=device) for _ in range(world_size())]
    distributed.all_gather(rows, torch.tensor([len(mine)], device=device))
    longest = int(torch.cat(rows).max())
    padded = torch.zeros(longest, *mine.shape[1:], dtype=mine.dtype, device=device)
    padded[: len(mine)] = mine.to(device)
    parts = [torch.empty_like(padded) for _ in rows]
    distributed.all_gather(parts, padded)
    return torch.cat([part[: int(count)] for part, count in zip(parts, rows, strict=True)]).cpu()


def agreed(mine: bool) -> bool:
    """What the first rank says, on all of them: for what depends on a clock."""
    if not _several():
        return mine
    said = torch.tensor([mine], dtype=torch.uint8, device=_device())
    distributed.broadcast(said, 0)
    return bool(said.item())


def share_gradients(model: nn.Module) -> None:
    """Each becomes the mean over the ranks, in one message that is laid out as the network is.

    DistributedDataParallel lays its messages out anew after its first step, so that of three ranks on, a resumed run added in
    another order than one that was never broken off.
    """
    if not _several():
        return
    gradients = [each.grad for each in model.parameters() if each.grad is not None]
    whole = torch.cat([each.flatten() for each in gradients])
    distributed.all_reduce(whole)
    whole /= world_size()
    for each, mean in zip(gradients, torch.split(whole, [each.numel() for each in gradients]), strict=True):
        each.copy_(mean.view(each.shape))


def share(tensors: Iterable[torch.Tensor]) -> None:
    """They become the first rank's on all of them."""
    if _several():
        for each in tensors:
            distributed.broadcast(each, 0)


def _device() -> torch.device:
    """Where small tensors travel: on the CPU, unless somebody else joined the run over NCCL alone."""
    return torch.device("cuda") if distributed.get_backend() == "nccl" else torch.device("cpu")


def _several() -> bool:
    return distributed.is_available() and distributed.is_initialized()
