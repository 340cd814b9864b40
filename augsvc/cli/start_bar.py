"""How far a start is, for the person who waits: a bar on a terminal, else a line now and then."""

import os
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn

from augsvc.engine.engine import Engine
from augsvc.engine.start_progress import Lines, Report, StartProgress


@contextmanager
def show_start(console: Console, write: Callable[[str], None]) -> Iterator[Report]:
    """Shows what is reported in this block on a bar; where the console is no terminal, lines are given to `write`."""
    if not console.is_interactive:  # nor one without a cursor that moves, TERM=dumb
        yield Lines(write)
        return
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TextColumn("{task.fields[left]}"))
    with Progress(*columns, console=console, transient=True) as bar:
        console.show_cursor()  # a start that is interrupted ends the process at once, which would leave it hidden
        yield _Bar(bar, bar.add_task("starting", total=None, left=""))


def start_engine(engine: Engine, console: Console) -> None:
    """Starts an engine and shows how far it is. Ctrl-C exits at once: a kernel that is being compiled cannot be interrupted."""
    try:
        with show_start(console, console.print) as report:
            engine.start(report)
    except KeyboardInterrupt:
        console.print(f"interrupted: {engine.progress.stopped}", highlight=False, soft_wrap=True)
        os._exit(128 + signal.SIGINT)


class _Bar:
    """Reports on a bar."""

    def __init__(self, bar: Progress, task: TaskID) -> None:
        self._bar, self._task = bar, task

    def __call__(self, progress: StartProgress) -> None:
        """A report."""
        title = f"compiling kernels, {progress.how_often}" if progress.step == "kernels" else "self-test"
        self._bar.update(
            self._task,
            description=title,
            completed=progress.done,
            total=progress.total,
            left=progress.left,
        )
