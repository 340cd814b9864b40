"""How a run goes, while it goes: a live bar in a terminal, and lines where there is none.

events of train → watch → a line of bars that is drawn anew, or one line now and then and one at the run's end
"""

import math
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from time import perf_counter

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn

from augsvc_client.trainer.training.loop import Epoch, Pace, Step

TELL_EVERY_S = 30.0  # where no bar is drawn
LONG_WAIT_S = 3.0  # for a batch: no longer a hiccup

_COLUMNS = (  # with a short title they fit into 80 columns
    "{task.completed}/{task.total}",
    "loss {task.fields[loss]:.2f}",  # reads the tensor when the line is drawn, not every step
    "{task.fields[scores]}",
    "{task.fields[pace].images_per_s:,.0f} img/s",
    "{task.fields[wait]}",
)


@dataclass(frozen=True, slots=True)
class Wait:
    """The share of time spent waiting; while a batch is long overdue, since when. It is put into words when it is drawn.

    `stepped_s`: when the last step ended and the next batch was asked for; infinite where none was.
    """

    pace: Pace
    stepped_s: float

    def __str__(self) -> str:
        since_s = perf_counter() - self.stepped_s
        if since_s > LONG_WAIT_S:
            return f"no batch for {since_s:.0f} s"
        return f"wait {self.pace.wait_share:.0%}"


@contextmanager
def live_bars(console: Console | None = None) -> Iterator[Progress]:
    """Bars with a line a run: steps, loss, accuracies, images a second, and the share of time spent waiting for data.

    Nothing is drawn before the first step of the first run, and no bar where the console is no terminal.
    """
    progress = Progress(
        TextColumn("{task.description}"),
        BarColumn(bar_width=4),
        *map(TextColumn, _COLUMNS),
        console=console or Console(),
    )
    try:
        yield progress
    finally:
        if progress.live.is_started:
            progress.stop()


def watch(events: Iterable[Step | Epoch], progress: Progress, title: str) -> list[Epoch]:
    """Follow a run to its end, as one line of `progress`; returns its epochs."""
    task: TaskID | None = None
    history: list[Epoch] = []
    past = now = Pace()
    told_s = perf_counter()
    for event in events:
        if isinstance(event, Step):
            task = _begun(progress, title, event) if task is None else task
            waited_s, now = past.wait_s + event.pace.wait_s - now.wait_s, past + event.pace
            if waited_s > LONG_WAIT_S and history:
                progress.console.print(f"{title}: waited {waited_s:.0f} s for the server, and goes on", highlight=False)
            progress.update(task, completed=event.number, loss=event.loss, pace=now, wait=_wait(now, event))
            continue
        history.append(event)
        past += event.pace
        if task is None:  # an epoch without a step
            continue
        if event.scores:
            progress.update(task, scores=_in_words(event))
        if progress.tasks[-1].finished or perf_counter() - told_s >= TELL_EVERY_S:
            told_s = perf_counter()
            _tell(progress)
    return history


def _begun(progress: Progress, title: str, step: Step) -> TaskID:
    if progress.console.is_interactive:
        progress.start()
    wait = _wait(step.pace, step)
    return progress.add_task(title, total=step.total, loss=step.loss, scores="", pace=step.pace, wait=wait)


def _wait(pace: Pace, step: Step) -> Wait:
    return Wait(pace, perf_counter() if step.more else math.inf)


def _tell(progress: Progress) -> None:
    """The latest run's line, where no bar shows it."""
    if not progress.console.is_interactive:
        task = progress.tasks[-1]
        parts = [text.format(task=task) for text in _COLUMNS]
        progress.console.print(f"{task.description}: {', '.join(filter(None, parts))}", highlight=False, soft_wrap=True)


def _in_words(epoch: Epoch) -> str:
    return " ".join(f"{name} {score.accuracy:.0%}" for name, score in epoch.scores.items())
