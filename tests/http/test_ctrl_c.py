"""Ctrl-C while a start is shown on a terminal: the command ends at once, and the prompt begins a line."""

import io
import os
import pty
import re
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
from rich.console import Console

from augsvc.cli.start_bar import show_start
from augsvc.engine.start_progress import StartProgress
from augsvc.http.lifecycle import Lifecycle

AUGSVC = str(Path(sys.executable).with_name("augsvc"))

ON_A_TERMINAL = """
import fcntl, os, signal, sys, termios
signal.signal(signal.SIGINT, signal.SIG_DFL)  # a shell's background jobs, and their children, ignore it
fcntl.ioctl(0, termios.TIOCSCTTY, 0)  # it sends SIGINT for Ctrl-C
os.execv(sys.argv[1], sys.argv[1:])
"""


def column(shown):
    """Where the cursor is, from the left."""
    text = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", shown)
    return len(re.split(r"[\r\n]", text)[-1])


def test_a_start_that_is_not_waited_for_leaves_no_bar():
    """The process exits while the kernels are still compiled in another thread."""
    console = Console(file=io.StringIO(), force_terminal=True, width=100, _environ={"TERM": "xterm"})
    half = StartProgress("kernels", 60, 120, 40)

    def start(report):
        report(half)
        assert column(console.file.getvalue()) > 0
        assert lifecycle.hide_start() == half.stopped
        assert column(console.file.getvalue()) == 0
        report(half)
        assert column(console.file.getvalue()) == 0

    engine = SimpleNamespace(start=start, progress=half)
    lifecycle = Lifecycle(engine, SimpleNamespace(), 60.0, lambda: show_start(console, lambda line: None))
    lifecycle._start()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("arguments", "status"),
    [
        (["serve", "--port", "0"], 0),
        (["check", "digits"], 130),
        (["preview", "--dataset", "digits/train", "--size", "16", "--out", "sheet.png"], 130),
    ],
)
def test_a_command_that_compiles_the_kernels(tmp_path, arguments, status):
    """3 CPU seconds each, before the bar."""
    ours, theirs = pty.openpty()
    environment = os.environ | {"AUGSVC_KERNEL_CACHE": str(tmp_path / "kernels"), "TERM": "xterm"}
    command = [sys.executable, "-c", ON_A_TERMINAL, AUGSVC, *arguments]
    process = subprocess.Popen(
        command, stdin=theirs, stdout=theirs, stderr=theirs, env=environment, cwd=tmp_path, start_new_session=True
    )
    os.close(theirs)
    shown, is_sent = "", False
    with os.fdopen(ours, "r+b", buffering=0) as terminal:
        while True:
            try:
                data = terminal.read(65536)
            except OSError:  # the last process has closed the terminal
                break
            shown += data.decode(errors="replace")
            if not is_sent and "/2" in shown and "compiling kernels" in shown:
                terminal.write(b"\x03")
                is_sent = True
    assert process.wait() == status, shown
    assert column(shown) == 0, shown[-500:]
    assert "compiled; the next start goes on from there" in " ".join(shown.split())
    assert "Traceback" not in shown
