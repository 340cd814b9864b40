"""Tables in Markdown."""

from typing import Any


def table(head: list[str], rows: list[list[str]]) -> str:
    """A head and rows of as many cells."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines) + "\n"


def rate(row: dict[str, Any]) -> str:
    """Images a second, and the middle half."""
    low, high = row["quartiles"]
    return f"{row['images_per_s']:,.0f} ({low:,.0f}–{high:,.0f})"
