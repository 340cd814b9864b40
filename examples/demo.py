"""Does augmentation help? Train on fifty digits with and without it, through a local server, and compare.

    augsvc serve (child process) ← RemoteDataLoader ← the included trainer: two variants × seeds → one table, a report

The runs of a seed use the same samples in the same order, the same initial weights, number of epochs and learning rate; only
the pipeline differs. An epoch is one step, with all fifty samples in one batch. The rate suits the plain runs: their accuracy
on clean digits was 79-85 % at 0.01, 83-85 % at 0.02, 85-88 % at 0.06 and 86-88 % at 0.12. It was chosen on the test digits
themselves, so the table compares the two kinds of run; it does not estimate their accuracy on unseen digits.
"""

import json
import logging
import signal
import subprocess
import sys
import threading
from collections import deque
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from functools import partial
from http import HTTPStatus
from http.client import HTTPConnection, HTTPException
from io import StringIO
from pathlib import Path
from time import perf_counter, sleep
from types import FrameType
from typing import Annotated, ClassVar
from urllib.parse import urlsplit

import torch
import typer
from rich.console import Console
from rich.progress import Progress

from augsvc.cli.start_bar import show_start
from augsvc.engine.start_progress import Report, StartProgress
from augsvc_client import AugsvcError
from augsvc_client.trainer.cli.train import write_run
from augsvc_client.trainer.experiments.outcome import Outcome
from augsvc_client.trainer.experiments.resolve import resolve_recipe
from augsvc_client.trainer.experiments.run import run
from augsvc_client.trainer.experiments.variants import DIVERGED, WHOLE, PairedScores, Variant, run_variants
from augsvc_client.trainer.recipe import Recipe, parse_recipe
from augsvc_client.trainer.report.tables import console_table
from augsvc_client.trainer.training.progress import progress_bars

PLAIN = "plain"
TESTS = {
    "clean": {"dataset": "digits/test", "pipeline": "none"},
    "distorted": {
        "dataset": "digits/test",
        "pipeline": [
            {"op": "rotation", "degrees": [-20, 20]},
            {"op": "gaussian_blur", "sigma": [0.5, 1.5]},
            {"op": "gaussian_noise", "std": [0.05, 0.15]},
        ],
    },
}
PER_CLASS, CLASSES = 5, 10
EPOCHS = 240
START_S, STOP_S, POLL_S = 300.0, 20.0, 0.5


@dataclass(frozen=True, slots=True)
class Gain(PairedScores):
    """Scores of the augmented runs, which are whole, and of the plain ones."""

    title: ClassVar[str] = "Gain of augmentation"

    @property
    def caption(self) -> str:
        """What was compared, and how to read it."""
        return (
            f"{PER_CLASS} training samples of each digit, the preset standard or none; gain in points, {self.reading}"
        )

    def rows(self) -> list[list[str]]:
        """Table cells, the first row the header."""
        rows = [["", *(f"{test} digits" for test in self.tests)]]
        for name, variant in (("augmented", WHOLE), (PLAIN, PLAIN)):
            rows.append([name, *(self.percent(variant, test) for test in self.tests)])
        return [*rows, ["gain", *(str(self.compare(WHOLE, PLAIN, test) or DIVERGED) for test in self.tests)]]


def main(
    epochs: Annotated[int, typer.Option(min=1, help="Epochs of each run; one is a single step.")] = EPOCHS,
    seeds: Annotated[int, typer.Option(min=1, help="Runs of each kind.")] = 3,
    out: Annotated[Path, typer.Option(help="Folder for the report.", file_okay=False)] = Path("demo-out"),
) -> None:
    """Start a server, train with and without augmentation, print the comparison and write a report."""
    logging.getLogger("augsvc_client").setLevel(logging.ERROR)  # no warnings while the server starts
    signal.signal(signal.SIGTERM, exit_on_signal)  # so that the server is stopped too
    torch.set_num_threads(1)  # more threads would compete with the server's on a small machine
    started_s = perf_counter()
    console = Console()
    console.print(
        f"{2 * seeds} runs of {epochs} steps on {PER_CLASS * CLASSES} digits in sequence: whole with augmentation, plain without",
        highlight=False,
        soft_wrap=True,
    )
    out.mkdir(parents=True, exist_ok=True)
    try:
        with server(console) as url, progress_bars(console) as progress:
            first, gain = compare(url, epochs, seeds, out, progress)
            write_run(first, out, out, ablation=gain)
    except (AugsvcError, RuntimeError) as err:
        console.print(str(err), style="red")
        raise typer.Exit(1) from err
    except KeyboardInterrupt:
        console.print("interrupted; the server has stopped")
        raise typer.Exit(130) from None
    console.print(console_table(gain.rows()), gain.caption, highlight=False)
    console.print(f"{perf_counter() - started_s:.0f} s in total. Report: {out / 'report.html'}", highlight=False)


@contextmanager
def server(console: Console) -> Iterator[str]:
    """Start `augsvc serve` of this environment on a free port, and stop it afterwards; yields its URL when it is ready."""
    command = [str(Path(sys.executable).with_name("augsvc")), "serve", "--port", "0"]
    # in a new session, so that Ctrl-C reaches this process only, which then stops the server
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, start_new_session=True
    )
    lines: deque[str] = deque(maxlen=20)
    listening = threading.Event()
    reader = threading.Thread(target=_read_output, args=(process, lines, listening), daemon=True)
    reader.start()
    try:
        with show_start(console, partial(console.print, highlight=False)) as report:
            listening.wait(START_S)
            url = _find_url(lines)
            _wait_until_ready(url, report)
        yield url
    finally:
        process.terminate()
        try:
            process.wait(STOP_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        reader.join()


def _read_output(process: "subprocess.Popen[str]", lines: deque[str], listening: threading.Event) -> None:
    """Read the server's output until it ends, because a full pipe would block the server; keep the last lines."""
    with process.stdout or StringIO() as output:
        for line in output:
            lines.append(line)
            if line.startswith("augsvc listens on "):
                listening.set()
    listening.set()


def _find_url(lines: deque[str]) -> str:
    urls = [line.split()[-1] for line in lines if line.startswith("augsvc listens on ")]
    if not urls:
        raise RuntimeError(f"the server ended before it was ready; its output:\n{''.join(lines)}")
    return urls[0]


def _wait_until_ready(url: str, report: Report) -> None:
    """Reports how far the start is: the first one on a machine compiles kernels for a minute or more."""
    while (progress := _read_progress(url)) is not None:
        report(progress)
        sleep(POLL_S)


def _read_progress(url: str) -> StartProgress | None:
    """What /readyz answers while the server starts; None when it is ready."""
    try:
        with closing(HTTPConnection(urlsplit(url).netloc, timeout=STOP_S)) as connection:
            connection.request("GET", "/readyz")
            response = connection.getresponse()
            if response.status == HTTPStatus.OK:
                return None
            error = json.load(response)["error"]
    except (OSError, HTTPException) as err:
        raise RuntimeError(f"the server ended before it was ready: {err}") from err
    if error["code"] != "starting":
        raise RuntimeError(error["message"])
    return StartProgress(**error["progress"])


def compare(url: str, epochs: int, seeds: int, out: Path, progress: Progress) -> tuple[Outcome, Gain]:
    """The first augmented run, and the scores of all runs, trained in sequence with a line of progress for each."""
    recipe, _ = resolve_recipe(build_recipe(epochs, seeds), url)
    first = run(recipe, url, progress, f"{WHOLE} #0")
    variants = {WHOLE: Variant(), PLAIN: Variant({"data.pipeline": "none"})}
    return first, Gain(run_variants(recipe, url, variants, progress, out / "pairs.json", first=first))


def build_recipe(epochs: int, seeds: int) -> Recipe:
    """The augmented run, of which the plain one differs in the pipeline alone."""
    return parse_recipe(
        {
            "data": {
                "dataset": "digits/train",
                "pipeline": "standard",
                "size": 32,
                "batch_size": PER_CLASS * CLASSES,  # so that an epoch is one step
                "per_class": PER_CLASS,
                "wait_s": START_S,
            },
            "optimiser": {"lr": 0.06},
            "training": {"epochs": epochs, "device": "cpu", "threads": 1},
            "evaluation": {"tests": TESTS, "every": 15},
            "ablation": {"seeds": seeds},
        }
    )


def exit_on_signal(signum: int, _: FrameType | None) -> None:
    """Ends the process as an exception does, so that contexts are left."""
    sys.exit(128 + signum)


if __name__ == "__main__":
    typer.run(main)
