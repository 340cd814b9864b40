"""A real server on loopback, ended by its process id, and one thread for torch beside it."""

import resource
import sys

import pytest
import torch

from augsvc_client.trainer.entry import main
from tests.http.serving import Serving


@pytest.fixture(scope="session")
def url(tmp_path_factory):
    """Where a server is ready."""
    serving = Serving(tmp_path_factory.mktemp("server"))
    try:
        yield serving.ready().url
    finally:
        serving.stop()


@pytest.fixture(autouse=True)
def one_thread():
    """torch's threads would take turns with the server's, and sums would be split by their number."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


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
