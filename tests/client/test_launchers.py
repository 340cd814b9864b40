"""Ranks come from the process group, also from one that is initialised late; several processes without one are noticed."""

import pytest
import torch
from replica import Replica
from torch.testing._internal.distributed.fake_pg import FakeStore

from augsvc_client import AugmentingDataLoader, AugsvcError, RemoteDataLoader

LAUNCHERS = {
    "torchrun": {"TORCHELASTIC_RUN_ID": "none", "RANK": "1", "WORLD_SIZE": "2"},
    "a script": {"RANK": "1", "WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": "29511"},
    "mpirun": {"OMPI_COMM_WORLD_SIZE": "4", "OMPI_COMM_WORLD_RANK": "1"},
    "mpiexec": {"PMI_SIZE": "2", "PMI_RANK": "1"},
    "srun": {"SLURM_STEP_NUM_TASKS": "2", "SLURM_PROCID": "1"},
}


@pytest.fixture
def loaders():
    with Replica() as replica:

        def build(**more):
            remote = RemoteDataLoader(replica.url, dataset="digits/train", batch_size=2, scale=None, **more)
            wrapped = AugmentingDataLoader([{"image": torch.zeros(2, 4, 4, 3, dtype=torch.uint8)}], replica.url, **more)
            return remote, wrapped

        yield build


@pytest.mark.parametrize("launcher", LAUNCHERS)
def test_several_processes_without_a_group_are_noticed(loaders, launcher, monkeypatch):
    for name, value in LAUNCHERS[launcher].items():
        monkeypatch.setenv(name, value)
    for loader in loaders():
        with pytest.raises(AugsvcError, match=r"init_process_group.*rank= and world_size="):
            iter(loader)
    for loader in loaders(rank=1, world_size=2):
        iter(loader)


@pytest.mark.parametrize("variables", [{"WORLD_SIZE": "1"}, {"SLURM_STEP_NUM_TASKS": "1"}, {"WORLD_SIZE": "two"}])
def test_one_process_needs_no_group(loaders, variables, monkeypatch):
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    for loader in loaders():
        iter(loader)


def test_a_process_group_counts_from_its_initialisation_on(loaders):
    remote, _ = loaders()
    first = next(iter(remote))["index"].tolist()
    torch.distributed.init_process_group("fake", store=FakeStore(), rank=1, world_size=2)
    try:
        remote.set_epoch(1)
        shared = next(iter(remote))["index"].tolist()
        own, _ = loaders(rank=1, world_size=2)
        own.set_epoch(1)
        assert shared == next(iter(own))["index"].tolist()
        assert remote.position == 4
    finally:
        torch.distributed.destroy_process_group()
    assert len(first) == 2
