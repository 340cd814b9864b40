"""`augsvc` commands forked from a process that has imported the package and loaded its kernels.

A start costs 0.3 CPU seconds here; otherwise 2.6 of imports and 1.7 of kernels and self-test more. The suite starts about
150 commands. The demo and the examples start theirs as users do.
"""

import multiprocessing
import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from multiprocessing.connection import Connection
from pathlib import Path

_context = multiprocessing.get_context("forkserver")
_context.set_forkserver_preload(["tests.forked_preload"])


class ForkedCommand:
    """`augsvc ARGUMENTS` in a process, with the methods of `subprocess.Popen` that the tests use.

    Of the variables that concern Python's start, PYTHONPATH alone has its effect.
    """

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


def run_command(
    arguments: Sequence[object], folder: Path, environment: Mapping[str, str], timeout: float
) -> subprocess.CompletedProcess[str]:
    """Runs `augsvc ARGUMENTS` in a folder to its end."""
    with tempfile.NamedTemporaryFile() as stderr:
        command = ForkedCommand([str(argument) for argument in arguments], folder, environment, Path(stderr.name))
        with command.stdout:
            stdout = command.stdout.read()
        status = command.wait(timeout)
        return subprocess.CompletedProcess(["augsvc", *arguments], status, stdout, Path(stderr.name).read_text("utf-8"))


def _run(
    arguments: Sequence[str], folder: Path, environment: Mapping[str, str], stdout: Connection, stderr: Path
) -> None:
    import tests.forked_preload  # noqa: F401  # before the fork; multiprocessing ignores an import that fails there
    from augsvc.cli.main import app

    os.dup2(stdout.fileno(), 1)
    stdout.close()
    with stderr.open("a", encoding="utf-8") as errors:
        os.dup2(errors.fileno(), 2)
    os.environ.clear()
    os.environ.update(environment)
    sys.path[:0] = filter(None, environment.get("PYTHONPATH", "").split(os.pathsep))
    os.chdir(folder)
    app(args=list(arguments), prog_name="augsvc")
