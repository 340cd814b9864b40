"""A real server on loopback, ended by its process id, and one thread for torch beside it."""

import resource
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from matplotlib.figure import Figure

from augsvc_client import Client
from augsvc_client.trainer.entry import main
from tests.kernels import compile_kernels

START_S = 300.0  # the self-test alone takes a minute on a busy machine
STOP_S = 30.0


@pytest.fixture(scope="session")
def url():
    """Where `augsvc serve` of this environment is ready."""
    compile_kernels()
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


@pytest.fixture(scope="module")
def blank_figures():
    """Figures are made and not drawn, which is 6 of the 8 CPU seconds of a small run; tests/trainer/test_report.py draws."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Figure, "savefig", lambda figure, file, **options: file.write(b""))
        yield


@pytest.fixture
def refused(monkeypatch, capsys):
    """Runs `augsvc-train ARGUMENTS`, which must end with status 2, in this process: its stderr.

    With `file_bytes`, writes beyond that many bytes of a file fail, as on a full disk.
    """

    def run(*arguments, file_bytes=None):
        monkeypatch.setattr(sys, "argv", ["augsvc-train", *map(str, arguments)])
        limits = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (file_bytes or limits[0], limits[1]))
        try:
            with pytest.raises(SystemExit) as end:
                main()
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        written = capsys.readouterr()
        assert end.value.code == 2, written
        assert "Traceback" not in written.err
        return written.err

    return run
