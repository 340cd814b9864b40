"""A sample's receipt for people: what it is, and every number that was drawn for it."""

from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from augsvc.ops.operation import Operation
from augsvc.streams.stream import Stream


def explain(stream: Stream, epoch: int, position: int, view: int, console: Console) -> None:
    """Prints one sample's receipt: the sample, and each operation's values with the ranges that they were drawn from.

    Raises:
        PastTheEnd, SpecInvalid: the address does not exist.
        DatasetUnavailable, DatasetUnreadable: the sample cannot be had now.
    """
    receipt: dict[str, Any] = stream.receipt(epoch, position, view)
    sample = Table(box=None, show_header=False)
    sample.add_row("dataset", f"{stream.source.info.name} ({stream.samples:,} samples)")
    sample.add_row("address", f"epoch {epoch}, position {position}, view {view}")
    sample.add_row("sample", escape(f"{receipt['index']}, {receipt['source']}"))
    if other := receipt.get("replaced_by"):
        sample.add_row("shown instead", escape(f"{other['index']}, {other['source']} (the sample cannot be decoded)"))
    console.print(sample, highlight=False)
    console.print()
    if not receipt["operations"]:
        console.print("no operations: the sample as it is stored, on the canvas")
        return
    table = Table("operation", "selected", "parameter", "value", "from", box=None)
    for operation, entry in zip(stream.plan.operations, receipt["operations"], strict=True):
        for cells in _rows(operation, entry):
            table.add_row(*map(escape, cells), style=None if entry["selected"] else "dim")
    console.print(table, highlight=False)


def _rows(operation: Operation, entry: dict[str, Any]) -> list[list[str]]:
    """One line a parameter; the operation is named in the first, by its id, and by its name where the id hides it."""
    selected = ("yes" if entry["selected"] else "no") + ("" if operation.p == 1.0 else f" (p {operation.p:g})")
    op, own = entry["op"], entry["id"]
    head = [own if own.partition("#")[0] == op else f"{own} ({op})", selected]
    lines = []
    for name in type(operation).model_fields:
        if name in ("op", "p", "id"):
            continue
        if name in entry["draws"]:
            low, high = getattr(operation, name)
            origin = "fixed" if low == high else f"[{low:g}, {high:g}]"
            lines.append([name, _number(entry["draws"][name]), origin])
        else:
            lines.append([name, str(getattr(operation, name)), "setting"])
    return [(["", ""] if number else head) + line for number, line in enumerate(lines or [["", "", ""]])]


def _number(value: float | list[float]) -> str:
    """Six significant digits; the numbers of several channels side by side."""
    return " ".join(f"{each:.6g}" for each in (value if isinstance(value, list) else [value]))
