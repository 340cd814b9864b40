"""`augsvc ops`: the operations, containers and presets."""

from typing import Any

from rich.console import Console
from rich.markup import escape

from augsvc.cli.common import fail, name_table, print_table, report_errors
from augsvc.ops.container import Container
from augsvc.ops.hints import suggest
from augsvc.ops.operation import Operation
from augsvc.ops.pipeline import parse_pipeline
from augsvc.ops.presets import PRESETS
from augsvc.ops.registry import containers, registry
from augsvc.settings import Settings
from augsvc.validation import nearest


def ops(name: str | None, settings: Settings) -> None:
    """Lists the operations, containers and presets, or shows one."""
    console = Console(emoji=False)
    with report_errors():
        operations: dict[str, type[Operation] | type[Container]] = {
            **registry(settings.operations),
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
        hint = suggest(name, operations) or nearest(name, PRESETS) or "; `augsvc ops` lists them"
        fail(f"unknown operation or preset: {name}{hint}")


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
    whole = "whole number, " if bounds["type"] == "integer" else ""
    interval = ", or [low, high] to draw from" if any(form.get("type") == "array" for form in forms) else ""
    nothing = ", or null" if any(form.get("type") == "null" for form in forms) else ""
    return f"{whole}{bounds['minimum']:g} … {bounds['maximum']:g}{interval}{nothing}"
