"""`augsvc` commands forked from a process that has imported the package already.

Importing torch and the rest costs 2.4 of the 5 CPU seconds of a server's start, and the suite starts about a hundred servers.
"""

import multiprocessing
import os
import subprocess
from collections.abc import Mapping, Sequence
from multiprocessing.connection import Connection
from pathlib import Path

_context = multiprocessing.get_context("forkserver")
_context.set_forkserver_preload(["augsvc.cli.main"])


class ForkedCommand:
    """`augsvc ARGUMENTS` in its own process, with the methods of `subprocess.Popen` that the tests use."""

    def __init__(self, arguments: Sequence[str], folder: Path, environment: Mapping[str, str], stderr: Path) -> None:
        reader, writer = _context.Pipe(duplex=False)
        self._process = _context.Process(target=_run, args=(arguments, folder, dict(environment), writer, stderr))
        self._process.start()
        writer.close()
        self.stdout = os.fdopen(os.dup(reader.fileno()), encoding="utf-8")
        reader.close()

    @property
    def pid(self) -> int:
        return self._process.pid

    def poll(self) -> int | None:
        """The exit status, negative for a signal; None while it runs."""
        return self._process.exitcode

    def wait(self, timeout: float) -> int:
        self._process.join(timeout)
        if self._process.exitcode is None:
            raise subprocess.TimeoutExpired("augsvc", timeout)
        return self._process.exitcode

    def send_signal(self, number: int) -> None:
        if self.poll() is None:
            os.kill(self.pid, number)


def _run(
    arguments: Sequence[str], folder: Path, environment: Mapping[str, str], stdout: Connection, stderr: Path
) -> None:
    from augsvc.cli.main import app  # imported before the fork

    os.dup2(stdout.fileno(), 1)
    stdout.close()
    with stderr.open("a", encoding="utf-8") as errors:
        os.dup2(errors.fileno(), 2)
    os.environ.clear()
    os.environ.update(environment)
    os.chdir(folder)
    app(args=list(arguments), prog_name="augsvc")
