"""A real server on loopback, ended by its process id, and one thread for torch beside it."""

import subprocess
import sys
from pathlib import Path

import pytest
import torch

from augsvc_client import Client

START_S = 60.0
STOP_S = 30.0


@pytest.fixture(scope="session")
def url():
    """Where `augsvc serve` of this environment is ready."""
    command = [str(Path(sys.executable).with_name("augsvc")), "serve", "--port", "0"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    try:
        line = process.stdout.readline()
        assert line.startswith("augsvc listens on "), line + process.stdout.read()
        address = line.split()[-1]
        with Client(address, wait_s=START_S) as client:
            client.version()
        yield address
    finally:
        process.terminate()
        process.communicate(timeout=STOP_S)


@pytest.fixture(autouse=True)
def one_thread():
    """torch's threads would take turns with the server's, and sums would be split by their number."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)
