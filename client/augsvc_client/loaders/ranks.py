"""This process's rank among those that share an epoch, and whether a launcher started several.

torch.distributed, if it is initialised → rank, world size; the launcher's variables without it → refused
"""

import os

from augsvc_client.errors import AugsvcError

# The number of processes, as torch, Open MPI, MPICH and Slurm's srun set it.
_PROCESS_COUNTS = ("WORLD_SIZE", "OMPI_COMM_WORLD_SIZE", "PMI_SIZE", "SLURM_STEP_NUM_TASKS")


def check_ranks(rank: int | None, world_size: int | None) -> None:
    """Raises ValueError unless both are None, or 0 ≤ rank < world_size."""
    if (rank is None) != (world_size is None):
        raise ValueError("set both rank and world_size, or neither")
    if rank is not None and world_size is not None and not 0 <= rank < world_size:
        raise ValueError(f"rank {rank} is not one of the {world_size} ranks 0 … {world_size - 1}")


def find_launched_processes() -> str | None:
    """The variable by which a launcher states that it started several processes, "WORLD_SIZE=2"; None for one process."""
    counts = {name: int(os.environ[name]) for name in _PROCESS_COUNTS if os.environ.get(name, "").isdecimal()}
    return next((f"{name}={count}" for name, count in counts.items() if count > 1), None)


def rank_and_world_size() -> tuple[int, int]:
    """Rank and world size of torch.distributed, or (0, 1) without it.

    Raises AugsvcError in one of several processes without a process group: every rank would read all samples.
    """
    import torch

    if torch.distributed.is_available() and torch.distributed.is_initialized():
        return torch.distributed.get_rank(), torch.distributed.get_world_size()
    if (launched := find_launched_processes()) is not None:
        raise AugsvcError(
            f"{launched}: this is one of several processes, but there is no process group: call "
            f"torch.distributed.init_process_group before the loader is used, or pass rank= and world_size= (0 and 1 if each "
            f"process is to read all samples)"
        )
    return 0, 1
