"""The `augsvc-train` command's process."""

import os

import pytest

from augsvc_client import Client
from augsvc_client.trainer.entry import main


@pytest.mark.parametrize("given", [None, "mine"])
def test_all_clients_of_one_command_are_one_job(monkeypatch, given):
    """An ablation of 52 variants was 52 jobs on the page."""
    monkeypatch.setenv("AUGSVC_JOB", given or "")  # so that it is restored
    jobs = []

    def train():
        for _ in range(2):
            with Client("http://127.0.0.1:1") as client:
                jobs.append(client.job)

    monkeypatch.setattr("augsvc_client.trainer.cli.main.app", train)
    main()
    assert jobs == [os.environ["AUGSVC_JOB"]] * 2
    assert jobs[0] == given if given else jobs[0].startswith("train-")
