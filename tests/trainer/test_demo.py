"""The demo: its own server, its lines and its report. What a run shows, live in a terminal and line by line elsewhere."""

import importlib.util
import io
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from rich.console import Console

from augsvc_client import Client, ServerUnavailable
from augsvc_client.trainer.training import progress as live
from augsvc_client.trainer.training.evaluate import Score
from augsvc_client.trainer.training.loop import Epoch, Pace, Step
from augsvc_client.trainer.training.progress import progress_bars, show_progress
from tests.kernels import compile_kernels

ROOT = Path(__file__).parents[2]
FILES = {
    "model.safetensors",
    "model.json",
    "recipe.yaml",
    "result.json",
    "report.html",
    "pairs.json",
}
SCORES = "clean 88% distorted 61%"


def terminal(width=80):
    return Console(file=io.StringIO(), force_terminal=True, force_interactive=True, width=width, color_system=None)


def pipe():
    return Console(file=io.StringIO())


def shown(console):
    return console.file.getvalue()


def events(epochs=3, samples=10_000):
    """A run of one step an epoch, each tested, a second each."""
    for number in range(epochs):
        pace = Pace(samples, 1.0, 0.123)
        yield Step(number + 1, epochs, torch.tensor(0.5), pace)
        yield Epoch(number, 0.5, pace, {"clean": Score(88, 100), "distorted": Score(61, 100)})


def broken():
    raise RuntimeError("no first step")
    yield


# --- what a run shows


def test_in_a_terminal_of_80_columns_a_run_is_one_whole_line():
    console = terminal()
    with progress_bars(console) as progress:
        assert len(show_progress(events(240), progress, "augmented #0")) == 240
    last = next(line for line in reversed(shown(console).splitlines()) if "augmented #0" in line)
    for part in ("240/240", "loss 0.50", SCORES, "10,000 samples/s", "wait 12%"):
        assert part in last
    assert "…" not in last


@pytest.mark.parametrize("console", [terminal(), pipe()], ids=["terminal", "pipe"])
def test_names_with_brackets_are_no_markup(console):
    with progress_bars(console) as progress:
        show_progress(events(), progress, "[/red]cats[bold]")
    assert "[/red]cats[bold]" in shown(console)


def test_elsewhere_a_run_is_one_line_at_its_end():
    console = pipe()
    with progress_bars(console) as progress:
        show_progress(events(), progress, "plain #0")
    assert shown(console) == f"plain #0: 3/3, loss 0.50, {SCORES}, 10,000 samples/s, wait 12%\n"


def test_a_run_without_tests_has_its_line_too():
    console = pipe()
    with progress_bars(console) as progress:
        show_progress((replace(e, scores={}) if isinstance(e, Epoch) else e for e in events()), progress, "plain #0")
    assert shown(console) == "plain #0: 3/3, loss 0.50, 10,000 samples/s, wait 12%\n"


def test_a_long_run_prints_a_line_in_between(monkeypatch):
    monkeypatch.setattr(live, "PRINT_EVERY_S", 0.0)
    console = pipe()
    with progress_bars(console) as progress:
        show_progress(events(), progress, "plain #0")
    assert [line.split(",")[0] for line in shown(console).splitlines()] == [f"plain #0: {n}/3" for n in (1, 2, 3)]


@pytest.mark.parametrize("console", [terminal(), pipe()])
def test_before_the_first_step_nothing_is_shown(console):
    with pytest.raises(RuntimeError, match="no first step"), progress_bars(console) as progress:
        show_progress(broken(), progress, "plain #0")
    assert shown(console) == ""


# --- the demo


@pytest.fixture(scope="module")
def demo():
    compile_kernels()  # a server that compiles them ends when it has
    described = importlib.util.spec_from_file_location("demo", ROOT / "examples" / "demo.py")
    module = importlib.util.module_from_spec(described)
    described.loader.exec_module(module)
    return module


def test_the_demos_server_ends_with_it_also_on_an_interrupt(demo):
    with pytest.raises(KeyboardInterrupt), demo.server(pipe()) as address:
        with Client(address, wait_s=60) as client:
            assert client.datasets()
        raise KeyboardInterrupt
    with Client(address, wait_s=0.2) as client, pytest.raises(ServerUnavailable):
        client.version()


@pytest.mark.usefixtures("blank_figures")
def test_the_demo_compares_pairs_and_writes_the_report_of_a_run(demo, url, tmp_path):
    console = pipe()
    with progress_bars(console) as progress:
        outcome, gain = demo.compare(url, 2, 1, tmp_path, progress)
    assert [line.split(":")[0] for line in shown(console).splitlines()] == ["whole #0", "plain #0", "2 of 2 plain #0"]
    clean, plain = outcome.accuracy("clean"), gain.accuracy("plain", "clean")
    assert gain.rows()[3][1] == f"{100 * clean - plain:+.1f}"
    demo.write_run(outcome, tmp_path, tmp_path, ablation=gain)
    report = (tmp_path / "report.html").read_text()
    for part in ("Gain of augmentation", "<td>gain</td>", "Samples that the network saw", "distorted"):
        assert part in report


@pytest.mark.slow
def test_the_demo_leaves_its_report(tmp_path):
    command = [sys.executable, ROOT / "examples" / "demo.py", "--epochs", "4", "--seeds", "2", "--out", tmp_path]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert {path.name for path in tmp_path.iterdir()} == FILES
    assert "4 runs of 4 steps" in done.stdout.splitlines()[0]
    assert len([line for line in done.stdout.splitlines() if line.startswith(("plain #", "whole #"))]) == 4
    assert "gain" in done.stdout
