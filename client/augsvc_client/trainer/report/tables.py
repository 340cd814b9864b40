"""One table of text, as Markdown or for the console; its first row is the header."""

from collections.abc import Mapping, Sequence
from typing import Literal

from rich.box import SIMPLE_HEAD
from rich.table import Table
from rich.text import Text

from augsvc_client.text import printable
from augsvc_client.trainer.training.evaluate import Score

Rows = Sequence[Sequence[str]]


def format_fraction(value: float | None) -> str:
    """A fraction as "97.5%"; "no samples" for None."""
    return "no samples" if value is None else f"{value:.1%}"


def score_rows(scores: Mapping[str, Score]) -> Rows:
    """The accuracies of tests by name."""
    rows = [("test", "accuracy", "95 % interval (Wilson)", "balanced accuracy", "samples")]
    for name, score in scores.items():
        low, high = score.interval
        accuracies = [format_fraction(value) for value in (score.accuracy if score.samples else None, score.balanced)]
        rows.append((name, accuracies[0], f"{low:.1%} … {high:.1%}", accuracies[1], f"{score.samples:,}"))
    return rows


def markdown_table(rows: Rows) -> str:
    """A Markdown table, without a line break at its end."""
    header, *body = rows
    return "\n".join("| " + " | ".join(row) + " |" for row in (header, ["---"] * len(header), *body))


def console_table(
    rows: Sequence[Sequence[str | Text]], *, title: str | None = None, align: Literal["left", "right"] = "right"
) -> Table:
    """A table for a rich console; `align` applies to all columns but the first. Strings are text without markup."""
    header, *body = ([Text(printable(cell)) if isinstance(cell, str) else cell for cell in row] for row in rows)
    table = Table(title=title, title_justify="left", box=SIMPLE_HEAD)
    for i, name in enumerate(header):
        table.add_column(name, justify=align if i else "left", overflow="fold")
    for row in body:
        table.add_row(*row)
    return table


def console_list(rows: Rows) -> Text:
    """A table whose cells are sentences, for a rich console of any width: for each row the first two cells, then the others
    below, each after its header.
    """
    header, *body = rows
    lines = []
    for number, title, *cells in body:
        lines.append(f"{number:>2}  {title}")
        lines += [f"    {name}: {cell}" for name, cell in zip(header[2:], cells, strict=True) if cell]
    return Text("\n".join(map(printable, lines)))
