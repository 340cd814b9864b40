"""`augsvc push`: uploads a folder to servers."""

import json
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn, TransferSpeedColumn

from augsvc.cli.common import fail, safe
from augsvc_client import AugsvcError, Client


def push(folder: Path, name: str, url: str | None, format: str, option: Sequence[str], wait_s: float) -> None:
    """Uploads a folder; exits with status 2 on errors."""
    console = Console(stderr=True, emoji=False)
    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(binary_units=True), TransferSpeedColumn())
    try:
        options = dict(map(_read_option, option))
        with (
            Client(url, wait_s=wait_s) as client,
            Progress(*columns, TimeRemainingColumn(), console=console, disable=not console.is_terminal) as bar,
        ):
            answers = client.push_dataset(
                folder,
                name,
                format=format,
                options=options,
                progress=Report(bar),
            )
    except (AugsvcError, ValueError, OSError) as err:
        fail(str(err))
    out = Console(emoji=False)
    for answer in answers:
        for dataset, version in sorted(answer.get("datasets", {}).items()):
            out.print(f"{safe(dataset)} is served, version {safe(version[:12])}", highlight=False, soft_wrap=True)
        for warning in answer.get("warnings", ()):
            out.print(f"   [yellow]warning[/yellow] {safe(warning)}", highlight=False, soft_wrap=True)


class Report:
    """Shows how much is read and sent on a bar, and in a line that an upload continues, without a terminal too."""

    def __init__(self, bar: Progress) -> None:
        self._bar = bar
        self._tasks = {phase: bar.add_task(phase, total=None) for phase in ("reading", "sending")}
        self._is_sending = False  # to one of the servers

    def __call__(self, phase: str, done: int, total: int) -> None:
        """`done` of `total` bytes."""
        if phase == "sending":
            if not self._is_sending and 0 < done < total:
                self._bar.console.print(f"continues at {done:,} of {total:,} bytes", highlight=False)
            self._is_sending = done < total
        self._bar.update(self._tasks[phase], completed=done, total=total)


def _read_option(text: str) -> tuple[str, object]:
    """A name and its value: JSON, or else a text."""
    name, equals, value = text.partition("=")
    if not equals:
        raise ValueError(f"--option takes NAME=VALUE, not {text}")
    try:
        return name, json.loads(value)
    except ValueError:
        return name, value
