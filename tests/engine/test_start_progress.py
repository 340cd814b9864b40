"""The progress of a start: as text, in lines, and on a bar."""

import io
from types import SimpleNamespace

import pytest
from rich.console import Console

from augsvc.cli.start_bar import show_start
from augsvc.engine import start_progress
from augsvc.engine.start_progress import Lines, StartProgress
from augsvc.executors.protocol import Compilation

HALF = StartProgress("kernels", 60, 120, 40)


@pytest.fixture
def clock(monkeypatch):
    clock = SimpleNamespace(now=1000.0)
    monkeypatch.setattr(start_progress, "time", SimpleNamespace(monotonic=lambda: clock.now))
    return clock


def test_kernels_come_first_and_the_self_test_is_shown_where_nothing_is_compiled(clock):
    assert StartProgress.of(Compilation(120), 3, 80) == StartProgress("self_test", 3, 80)
    begun = Compilation(120, 0, clock.now)
    assert StartProgress.of(begun, 0, 80) == StartProgress("kernels", 0, 120)
    clock.now += 30
    assert StartProgress.of(Compilation(120, 40, 1000.0), 0, 80) == StartProgress("kernels", 40, 120, 60)
    assert StartProgress.of(Compilation(120, 9, 1000.0), 0, 80).seconds_left is None
    assert StartProgress.of(Compilation(120, 120, 1000.0), 5, 80) == StartProgress("self_test", 5, 80)


def test_lines_begin_with_the_kernels_and_come_every_ten_seconds(clock):
    lines = []
    report = Lines(lines.append)
    report(StartProgress("self_test", 1, 80))
    assert lines == []
    report(HALF)
    for _ in range(20):
        report(HALF)
        clock.now += 0.5
    report(HALF)
    assert lines == [f"{HALF.text} (once on a machine)", HALF.text]
    assert HALF.text == "compiling kernels, 60 of 120, about 40 s left"
    assert StartProgress("kernels", 60, 120, 610).text == "compiling kernels, 60 of 120, about 10 min left"


def test_a_warm_start_writes_no_line(clock):
    lines = []
    report = Lines(lines.append)
    for done in range(19):
        report(StartProgress("self_test", done, 80))
        clock.now += 0.5
    assert lines == []
    clock.now += 0.5
    report(StartProgress("self_test", 19, 80))
    assert lines == ["self-test, 19 of 80"]


def test_a_terminal_has_a_bar_and_no_lines():
    console = Console(file=io.StringIO(), force_terminal=True, width=100, _environ={"TERM": "xterm"})
    lines = []
    with show_start(console, lines.append) as report:
        report(HALF)
        console.print("augsvc listens")
    shown = console.file.getvalue()
    hidden, visible = "\x1b[?25l", "\x1b[?25h"
    assert visible in shown[shown.index(hidden) : shown.index("kernels")], (
        "an interrupted start leaves the cursor visible"
    )
    assert "compiling kernels, once on a machine" in shown
    assert "60/120" in shown
    assert "about 40 s left" in shown
    assert "augsvc listens" in shown
    assert lines == []


@pytest.mark.parametrize(
    "terminal", [{"force_terminal": False}, {"force_terminal": True, "_environ": {"TERM": "dumb"}}]
)
def test_where_no_bar_can_be_drawn_there_are_lines(terminal):
    console = Console(file=io.StringIO(), **terminal)
    lines = []
    with show_start(console, lines.append) as report:
        report(HALF)
    assert lines == [f"{HALF.text} (once on a machine)"]
    assert console.file.getvalue() == ""


def test_of_kernels_that_are_not_kept_nothing_is_said_of_later_starts(clock):
    """A folder that cannot be used: each start compiles them."""
    progress = StartProgress.of(Compilation(120, 60, 1000.0, kept=False), 0, 80)
    assert not progress.kept and progress.fields()["kept"] is False
    lines = []
    Lines(lines.append)(progress)
    console = Console(file=io.StringIO(), force_terminal=True, width=100, _environ={"TERM": "xterm"})
    with show_start(console, lines.append) as report:
        report(progress)
    said = " ".join((*lines, console.file.getvalue(), progress.stopped))
    assert said.count("at every start: they are not kept") == 2
    assert "the next start begins again" in said
    assert "once" not in said and "goes on" not in said
    assert HALF.stopped == "the kernels were being compiled; the next start goes on from there"
    assert StartProgress("self_test", 1, 80).stopped == "the self-test was running"
