"""`augsvc import`: a transform of another library as a pipeline."""

import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

import typer
from rich.console import Console

from augsvc.cli.common import fail, fit_table, name_table, plain, report_errors, safe
from augsvc.cli.shown import parse_size
from augsvc.importing import Line, Verdict, import_text
from augsvc.importing.compare import Comparison, compare
from augsvc.importing.node import MAX_TEXT

_STYLES = {Verdict.EQUAL: "green", Verdict.NEAR: "yellow", Verdict.REFUSED: "red"}


def import_file(file: Path, size: str | None, compared: bool, skip_refused: bool) -> None:
    """Prints a transform as a pipeline, and what became of each step; exits with status 2 if one is refused."""
    sides = parse_size(size, None)
    if compared:
        typer.echo("comparing; the first time on a machine, kernels are compiled for a minute or two", err=True)
    with report_errors():
        result = import_text(read_input(file), (sides[0], sides[1]) if sides else None)
        comparisons = compare(result) if compared else None
    print_lines(result.lines, comparisons)
    if result.refused and not skip_refused:
        names = ", ".join(dict.fromkeys(line.name for line in result.refused))
        fail(f"refused: {names}; change them as the table says, or leave them out with --skip-refused")
    typer.echo(format_fields(result.fields()))


def read_input(file: Path) -> str:
    """The text of a file or of the standard input, at most a little more than is read.

    Raises:
        OSError: it cannot be read.
        ValueError: it is no text.
    """
    try:
        if str(file) == "-":
            return sys.stdin.read(MAX_TEXT + 1)
        with file.open(encoding="utf-8") as stream:
            return stream.read(MAX_TEXT + 1)
    except UnicodeDecodeError as err:
        raise ValueError(f"{file} is no text in UTF-8: a pickled transform is not read; print it into a file") from err


def print_lines(lines: Sequence[Line], comparisons: Mapping[int, Comparison] | None) -> None:
    """A table to the standard error: each transform, its verdict, the operations that it becomes, and what differs.

    With comparisons also the distances, of which each is a mean and a 99.9th percentile in levels of 255.
    """
    table = name_table(
        "transform", "verdict", "becomes", *(["mean, 99.9 % (levels)"] if comparisons else []), "what differs"
    )
    for index, line in enumerate(lines):
        operations = ", ".join(str(step["op"]) for step in line.steps)
        notes = "; ".join(line.notes)
        if line.verdict is Verdict.REFUSED and line.nearest:
            notes += f"; the nearest operation is {line.nearest}"
        verdict = f"[{_STYLES[line.verdict]}]{line.verdict}[/]"
        distances = [comparisons[index].text if index in comparisons else ""] if comparisons else []
        table.add_row(safe("  " * line.depth + line.name), verdict, operations, *distances, safe(notes))
    console = Console(stderr=True, emoji=False)
    fit_table(table, console)
    console.print(table, highlight=False)


def format_fields(fields: Mapping[str, object]) -> str:
    """The fields of a specification as JSON, one field or operation a line."""
    lines = []
    for name, exact in fields.items():
        value = plain(exact)
        text = json.dumps(value)
        if isinstance(value, list) and any(isinstance(entry, dict) for entry in value):
            text = "[\n" + ",\n".join(f"    {json.dumps(entry)}" for entry in value) + "\n  ]"
        lines.append(f'  "{name}": {text}')
    return "{\n" + ",\n".join(lines) + "\n}"
