"""`augsvc ops`, `recipes`, `preview`, `explain` and `datasets`: what is served, and what a pipeline does to samples."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import typer
import yaml
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from augsvc.cli.common import (
    fail,
    find_source,
    name_table,
    print_table,
    read_settings,
    report_errors,
    safe,
)
from augsvc.data.catalog import Catalog, open_catalog
from augsvc.engine.opening import find_partners
from augsvc.errors import BadJson, SizeRequired, SpecInvalid
from augsvc.http.app import open_engine
from augsvc.ops.container import Container
from augsvc.ops.hints import suggest
from augsvc.ops.operation import Operation
from augsvc.ops.pipeline import FILE_ENDINGS, parse_pipeline
from augsvc.ops.presets import PRESETS
from augsvc.ops.recipes import IMAGE_RECIPES, RECIPES
from augsvc.ops.registry import containers, registry
from augsvc.planning.spec import StreamSpec, validate_spec
from augsvc.settings import Settings
from augsvc.streams.media import MEDIA
from augsvc.streams.receipts import described_operations
from augsvc.streams.stream import Range, Stream
from augsvc.validation import nearest, parse_json
from augsvc_client.specification import read_size
from augsvc_client.strict_yaml import load_yaml


@dataclass(frozen=True, slots=True)
class Shown:
    """The options that say which samples are shown, and by which pipeline."""

    dataset: str
    pipeline: str | None
    size: str | None
    width: int | None
    seconds: float | None
    sample_rate: int | None

    def spec(self, settings: Settings, fields: Mapping[str, object]) -> tuple[StreamSpec, Catalog]:
        """The specification with further fields, and the catalog that has its dataset; exits with status 2 on errors."""
        canvas = {"size": parse_size(self.size, self.width), "seconds": self.seconds, "sample_rate": self.sample_rate}
        return build_spec(settings, self.dataset, self.pipeline, {**canvas, **fields})


def ops(name: str | None, config: Path | None) -> None:
    """Lists the operations, containers and presets, or shows one."""
    console = Console()
    with report_errors():
        operations: dict[str, type[Operation] | type[Container]] = {
            **registry(read_settings(config, {}).operations),
            **containers(),
        }
    if name is None:
        table = name_table("operation", "kind", "summary")
        for op, operation in operations.items():
            table.add_row(op, str(operation.kind), operation.summary())
        print_table(table)
        console.print(f"\npresets: {', '.join(PRESETS)}; `augsvc ops NAME` shows one in detail")
    elif name in PRESETS:
        for step in parse_pipeline(name):
            console.print_json(step.model_dump_json(exclude={"id"}), indent=None)
    elif name in operations:
        console.print(operations[name].summary())
        table = name_table("field", "default", "values")
        for field, schema in operations[name].model_json_schema()["properties"].items():
            table.add_row(field, escape(str(schema.get("default", ""))), escape(format_schema(schema)))
        print_table(table)
    else:
        fail(f"unknown operation or preset: {name}{suggest(name, operations) or nearest(name, PRESETS)}")


def recipes(name: str | None) -> None:
    """Lists the recipes, or prints one."""
    console = Console()
    if name is None:
        table = name_table("recipe", "pipeline", "source")
        for key, recipe in RECIPES.items():
            table.add_row(key, recipe.title, recipe.source)
        print_table(table)
        console.print("\n`augsvc recipes NAME` prints one as JSON, with what differs from its source")
    elif name in RECIPES:
        recipe = RECIPES[name]
        console.print_json(data=recipe.fields())
        typer.echo(f"source: {recipe.source}", err=True)
        if name in IMAGE_RECIPES:
            typer.echo("output: (v / 255 - mean) / std; without it bytes travel, and the trainer normalises", err=True)
        for difference in recipe.differences:
            typer.echo(f"differs: {difference}", err=True)
    else:
        fail(f"unknown recipe: {name}{nearest(name, RECIPES) or '; `augsvc recipes` lists them'}")


def preview(config: Path | None, shown: Shown, out: Path, address: tuple[int, int, int]) -> None:
    """Writes a contact sheet. `address`: epoch, first position, number of samples."""
    settings = read_settings(config, {})
    spec, catalog = shown.spec(settings, {})
    with report_errors(), open_engine(settings, catalog=catalog) as engine:
        engine.start()
        stream = engine.open(spec)
        batch = Range(*address, 0)
        engine.check(stream, batch)
        out.write_bytes(engine.preview(stream, batch).future.result().buffer.tobytes())
    typer.echo(f"{out}: originals above, augmented below")


def explain(config: Path | None, shown: Shown, seeds: Mapping[str, object], address: tuple[int, int, int]) -> None:
    """Prints a receipt. `address`: epoch, position, view."""
    settings = read_settings(config, {})
    spec, catalog = shown.spec(settings, seeds)
    with report_errors(), open_engine(settings, catalog=catalog) as engine:
        others = find_partners(spec, catalog)
        stream = Stream.open(spec, catalog.get(shown.dataset), engine.executor, others=others)
        print_receipt(stream, *address, Console())


def parse_size(size: str | None, width: int | None) -> list[int] | None:
    """The canvas as [height, width]; exits with status 2 if it is no size."""
    text = " ".join(str(given) for given in (size, width) if given is not None)
    sides = read_size(text)
    if text and (size is None or sides is None):
        fail(f"--size takes SIDE or HEIGHTxWIDTH in pixels, for example 96x64, got {text!r}")
    return list(sides) if sides else None


def build_spec(
    settings: Settings, dataset: str, pipeline: str | None, fields: Mapping[str, object]
) -> tuple[StreamSpec, Catalog]:
    """A specification from options, filled in for its dataset, and the catalog that has it; exits with status 2 on errors.

    The pipeline is a preset's name, JSON, or a file, whose other fields apply where `fields` has none; None takes the dataset's
    default preset. Before an engine, whose kernels take long.
    """
    with report_errors():
        catalog = open_catalog(settings.datasets, settings.cache_bytes)
        info = find_source(catalog, dataset).info
        medium = MEDIA[info.media]
        given = read_pipeline(pipeline or medium.preset)
        spec = {**given, "dataset": dataset, **{name: value for name, value in fields.items() if value is not None}}
        valid = validate_spec(spec, registry(settings.operations), catalog.media_of)
        try:
            return medium.fill(valid, info), catalog
        except SizeRequired as err:
            option = str(err.field).replace("_", "-")
            fail(f"{dataset} needs --{option}: {err.message}")


def read_pipeline(text: str) -> dict[str, object]:
    """The fields of a specification that a preset's name, a JSON list, or a file of a list or of fields gives.

    Raises:
        SpecInvalid: the file cannot be read, or is neither.
        BadJson: the text begins as a list, and is no JSON.
    """
    if text.lstrip().startswith("["):
        return {"pipeline": parse_json(text.encode(), "--pipeline")}
    if not text.endswith(FILE_ENDINGS):
        return {"pipeline": text}
    try:
        content = Path(text).read_text(encoding="utf-8")
        value = parse_json(content.encode()) if text.endswith(".json") else load_yaml(content)
    except BadJson as err:
        raise SpecInvalid(f"--pipeline {text} is not JSON: check brackets, quotes and repeated keys") from err
    except (OSError, ValueError, yaml.YAMLError) as err:
        raise SpecInvalid(f"--pipeline {text} cannot be read: {err}") from err
    if isinstance(value, list):
        return {"pipeline": value}
    if not isinstance(value, dict) or "pipeline" not in value:
        raise SpecInvalid(
            f"--pipeline {text} must hold a list of operations, or fields of a specification with `pipeline`"
        )
    return value


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
            rows.append([name, str(getattr(operation, name)), "setting"])
    return [(["", ""] if index else head) + row for index, row in enumerate(rows or [["", "", ""]])]


def format_value(value: float | list[float]) -> str:
    """Six significant digits; one number for each channel if there are several."""
    return " ".join(f"{number:.6g}" for number in (value if isinstance(value, list) else [value]))


def format_schema(schema: dict[str, Any]) -> str:
    """A JSON schema in a few words."""
    if "enum" in schema:
        return " | ".join(map(str, schema["enum"]))
    forms = schema.get("anyOf", [schema])
    if any(form.get("type") == "array" and form.get("maxItems") != 2 for form in forms):
        return "list"
    bounds = next((form for form in forms if "minimum" in form), None)
    if bounds is None:
        return str(schema.get("const", "text"))
    interval = ", or [low, high] to draw from" if "anyOf" in schema else ""
    return f"{bounds['minimum']:g} … {bounds['maximum']:g}{interval}"
