"""Progress of a run: a live bar in a terminal, plain lines elsewhere.

events of train → show_progress → a bar that is redrawn, or a line every 30 seconds and one at the end of the run
"""

import math
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from time import perf_counter

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn

from augsvc_client.text import printable
from augsvc_client.trainer.console import PlainConsole
from augsvc_client.trainer.training.loop import Epoch, Pace, Step

PRINT_EVERY_S = 30.0  # without a terminal
LONG_WAIT_S = 3.0  # from here on a wait for a batch is reported

_COLUMNS = (  # with a short title they fit into 80 columns
    "{task.description}",
    "{task.completed}/{task.total}",
    "loss {task.fields[loss]:.2f}",  # reads the tensor when the line is drawn, not every step
    "{task.fields[scores]}",
    "{task.fields[pace].images_per_s:,.0f} samples/s",
    "{task.fields[wait]}",
)


@dataclass(frozen=True, slots=True)
class Wait:
    """The waiting fraction, or, while a batch is overdue, for how long; formatted when it is drawn.

    `stepped_s`: when the last step ended and the next batch was requested; infinite if none was.
    """

    pace: Pace
    stepped_s: float

    def __str__(self) -> str:
        since_s = perf_counter() - self.stepped_s
        if since_s > LONG_WAIT_S:
            return f"no batch for {since_s:.0f} s"
        return f"wait {self.pace.wait_share:.0%}"


@contextmanager
def progress_bars(console: Console | None = None) -> Iterator[Progress]:
    """One bar per run: steps, loss, accuracies, samples per second, and the fraction of time spent waiting for data.

    Nothing is drawn before the first step of the first run, and no bar if the console is not a terminal.
    """
    progress = Progress(
        *(TextColumn(text, markup=False) for text in _COLUMNS[:1]),
        BarColumn(bar_width=4),
        *(TextColumn(text, markup=False) for text in _COLUMNS[1:]),
        console=console or PlainConsole(),
    )
    try:
        yield progress
    finally:
        if progress.live.is_started:
            progress.stop()


def show_progress(events: Iterable[Step | Epoch], progress: Progress, title: str) -> list[Epoch]:
    """Follow a run to its end, as one line of `progress`; returns its epochs."""
    title = printable(title)
    task: TaskID | None = None
    history: list[Epoch] = []
    finished = current = Pace()  # of the epochs that ended; of the run so far
    printed_s = perf_counter()
    for event in events:
        if isinstance(event, Step):
            task = _add_task(progress, title, event) if task is None else task
            waited_s, current = finished.wait_s + event.pace.wait_s - current.wait_s, finished + event.pace
            if waited_s > LONG_WAIT_S and history:
                print_line(progress, f"{title}: waited {waited_s:.0f} s for the server, continuing")
            progress.update(task, completed=event.number, loss=event.loss, pace=current, wait=_wait(current, event))
            continue
        history.append(event)
        finished += event.pace
        if task is None:  # an epoch without a step
            continue
        if event.scores:
            progress.update(task, scores=_format_scores(event))
        if progress.tasks[-1].finished or perf_counter() - printed_s >= PRINT_EVERY_S:
            printed_s = perf_counter()
            _print_columns(progress)
    return history


def _add_task(progress: Progress, title: str, step: Step) -> TaskID:
    if progress.console.is_interactive:
        progress.start()
    wait = _wait(step.pace, step)
    return progress.add_task(title, total=step.total, loss=step.loss, scores="", pace=step.pace, wait=wait)


def _wait(pace: Pace, step: Step) -> Wait:
    return Wait(pace, perf_counter() if step.more else math.inf)


def print_line(progress: Progress, line: str) -> None:
    """Print a line of text above the bars, on a console of any kind."""
    progress.console.print(line, highlight=False, markup=False, soft_wrap=True)


def _print_columns(progress: Progress) -> None:
    """Print the latest run's columns, unless a bar shows them."""
    if not progress.console.is_interactive:
        task = progress.tasks[-1]
        title, *cells = (printable(text.format(task=task)) for text in _COLUMNS)
        print_line(progress, f"{title}: {', '.join(filter(None, cells))}")


def _format_scores(epoch: Epoch) -> str:
    return " ".join(f"{printable(name)} {score.accuracy:.0%}" for name, score in epoch.scores.items())
