"""`augsvc preview` and `explain`: what a pipeline does to samples."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from augsvc.cli.common import fail, name_table, print_table, report_errors, safe
from augsvc.cli.shown import Shown
from augsvc.cli.start_bar import start_engine
from augsvc.engine.opening import find_partners
from augsvc.errors import SizeRequired
from augsvc.http.app import open_engine
from augsvc.ops.operation import Operation
from augsvc.ops.registry import registry
from augsvc.planning.spec import StreamSpec, validate_spec
from augsvc.streams.media import MEDIA
from augsvc.streams.receipts import described_operations
from augsvc.streams.stream import Range, Stream


def preview(shown: Shown, out: Path, address: tuple[int, int, int]) -> None:
    """Writes a contact sheet. `address`: epoch, first position, number of samples."""
    spec = build_spec(shown, {})
    with report_errors(), open_engine(shown.settings, catalog=shown.catalog) as engine:
        start_engine(engine, Console(stderr=True, emoji=False))
        stream = engine.open(spec)
        batch = Range(*address, 0)
        engine.check(stream, batch)
        out.write_bytes(engine.preview(stream, batch).future.result().buffer.tobytes())
    typer.echo(f"{out}: originals above, augmented below")


def explain(shown: Shown, seeds: Mapping[str, object], address: tuple[int, int, int]) -> None:
    """Prints a receipt. `address`: epoch, position, view."""
    spec = build_spec(shown, seeds)
    with report_errors(), open_engine(shown.settings, catalog=shown.catalog) as engine:
        others = find_partners(spec, shown.catalog)
        stream = Stream.open(spec, shown.catalog.get(shown.dataset), engine.executor, others=others)
        print_receipt(stream, *address, Console(emoji=False))


def build_spec(shown: Shown, more: Mapping[str, object]) -> StreamSpec:
    """A specification from options and `more` fields, filled in for its dataset; exits with status 2 on errors.

    Before an engine, whose kernels take long.
    """
    with report_errors():
        info = shown.catalog.get(shown.dataset).info
        medium = MEDIA[info.media]
        spec = {"pipeline": medium.preset, **shown.fields, **more}
        try:
            valid = validate_spec(spec, registry(shown.settings.operations), shown.catalog.media_of)
            return medium.fill(valid, info)
        except SizeRequired as err:
            option = str(err.field).replace("_", "-")
            fail(f"{shown.dataset} needs --{option}: {err.message}")


def print_receipt(stream: Stream, epoch: int, position: int, view: int, console: Console) -> None:
    """Prints one sample's receipt: the sample, and each operation's values with the ranges they were drawn from.

    Raises:
        PastTheEnd, SpecInvalid: the address does not exist.
        DatasetUnavailable, DatasetChanged, DatasetUnreadable: the sample cannot be read.
    """
    receipt: dict[str, Any] = stream.receipt(epoch, position, view)
    sample = Table(box=None, show_header=False)
    sample.add_row("dataset", f"{stream.source.info.name} ({stream.samples:,} samples)")
    sample.add_row("address", f"epoch {epoch}, position {position}, view {view}")
    sample.add_row("sample", safe(f"{receipt['index']}, {receipt['source']}"))
    if substitute := receipt.get("replaced_by"):
        text = f"{substitute['index']}, {substitute['source']} (the sample cannot be decoded)"
        sample.add_row("replaced by", safe(text))
    mix = receipt.get("mix", {})
    taken = [*mix.get("partners", []), *([mix["partner"]] if "partner" in mix else []), *receipt.get("partners", [])]
    for partner in taken:
        text = " ".join([*filter(None, [partner.get("dataset")]), f"{partner['index']}, {partner['source']}"])
        if drawn := partner.get("replaces"):
            text += f" (for {drawn['index']}, {drawn['source']}, which cannot be decoded)"
        sample.add_row(f"{partner['id']} takes" if "id" in partner else "mixed with", safe(text))
    console.print(sample, highlight=False)
    console.print()
    if not receipt["operations"]:
        console.print("no operations: the stored sample, on the canvas")
        return
    table = name_table("operation", "selected", "parameter", "value", "from")
    for leaf, entry in zip(described_operations(stream.plan), receipt["operations"], strict=True):
        rows = receipt_rows(leaf.step, entry)
        if leaf.path and not entry["selected"]:  # its name alone: a policy has up to 60 of them
            rows = [[*rows[0][:2], "", "", ""]]
        for cells in rows:
            table.add_row(*map(escape, cells), style=None if entry["selected"] else "dim")
    print_table(table)


def receipt_rows(operation: Operation, entry: dict[str, Any]) -> list[list[str]]:
    """One row for each parameter; the first names the operation by its id, and by its name where the id does not end in it."""
    selected = ("yes" if entry["selected"] else "no") + ("" if operation.p == 1.0 else f" (p {operation.p:g})")
    op, op_id = entry["op"], entry["id"]
    own_id = op_id.rpartition(".")[2]  # without those of its containers
    head = [op_id if own_id.partition("#")[0] == op else f"{op_id} ({op})", selected]
    rows = []
    for name in type(operation).model_fields:
        if name in ("op", "p", "id") or (name in ("views", "epochs") and getattr(operation, name) is None):
            continue
        if name in entry["draws"]:
            low, high = getattr(operation, name)
            origin = "fixed" if low == high else f"[{low:g}, {high:g}]"
            rows.append([name, format_value(entry["draws"][name]), origin])
        else:
            rows.append([name, format_setting(getattr(operation, name)), "setting"])
    return [(["", ""] if index else head) + row for index, row in enumerate(rows or [["", "", ""]])]


def format_setting(value: object) -> str:
    """A setting of an operation, each number in it with six significant digits."""
    if isinstance(value, tuple | list):
        return f"[{', '.join(map(format_setting, value))}]"
    return f"{value:.6g}" if isinstance(value, float) else str(value)


def format_value(value: float | list[float]) -> str:
    """Six significant digits; one number for each channel if there are several."""
    return " ".join(f"{number:.6g}" for number in (value if isinstance(value, list) else [value]))
