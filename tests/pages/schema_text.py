"""A step's JSON schema as a table, and values as YAML."""

import json
from collections.abc import Mapping
from typing import Any

LEFT_OUT = ("op", "id", "views", "epochs")  # fields of every step
LAST = ("p", "interpolation", "border", "fill", "mask_fill")


def parameter_table(schema: Mapping[str, Any]) -> str:
    """A row for each parameter of a step's JSON schema, those of every step last."""
    rows = ["| name | values | unit | default | drawn |", "|---|---|---|---|---|"]
    properties = {name: field for name, field in schema["properties"].items() if name not in LEFT_OUT}
    for name in sorted(properties, key=lambda name: LAST.index(name) if name in LAST else -1):
        field, required = properties[name], name in schema.get("required", ())
        default = "required" if required else default_text(field)
        cells = (f"`{name}`", values_text(field), unit_text(field), default, field.get("law", ""))
        rows.append(f"| {' | '.join(cells)} |")
    return "\n".join(rows)


def unit_text(schema: Mapping[str, Any]) -> str:
    """The unit of a parameter, or of the items of a list."""
    forms = (schema, schema.get("items", {}), *schema.get("prefixItems", ()))
    return next((form["unit"] for form in forms if "unit" in form), "")


def values_text(schema: Mapping[str, Any]) -> str:
    """The type and the range, in a few words."""
    if "enum" in schema:
        return ", ".join(f"`{value}`" for value in schema["enum"])
    if "const" in schema:
        return f"`{schema['const']}`"
    if "law" in schema:
        return f"{values_text(schema['anyOf'][0])}, or [low, high]"
    if "anyOf" in schema:
        return ", or ".join(values_text(form) for form in schema["anyOf"])
    kind = {"integer": "whole number", "boolean": "true or false", "array": "list", "null": "null", "object": "step"}
    text = kind.get(schema["type"], schema["type"])
    if schema["type"] == "array" and ("items" in schema or "prefixItems" in schema):
        item = schema["items"] if "items" in schema else schema["prefixItems"][0]
        count = f"{schema['minItems']} × " if schema.get("minItems") == schema.get("maxItems", 0) else "list of "
        return count + values_text(item)
    high = schema.get("maximum", schema.get("exclusiveMaximum", 0) - 1)
    return f"{text}, {number(schema['minimum'])} … {number(high)}" if "minimum" in schema else text


def default_text(schema: Mapping[str, Any]) -> str:
    """The default; a number for an interval of one."""
    default = schema["default"]
    if isinstance(default, str | bool) or default is None:
        return f"`{default if isinstance(default, str) else json.dumps(default)}`"
    if "law" in schema:
        low, high = default
        return number(low) if low == high else f"{number(low)} … {number(high)}"
    return f"[{', '.join(map(number, default))}]" if isinstance(default, list) else number(default)


def number(value: float) -> str:
    """At most four significant digits after a leading minus sign."""
    return f"{value:.4g}".replace("-", "−") if abs(value) < 10_000 else f"{value:g}"


def flow(value: object) -> str:
    """A value as YAML on one line; JSON is YAML."""
    if isinstance(value, float):
        return f"{value:.4g}" if abs(value) < 10_000 else f"{value:g}"
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(flow, value))}]"
    if isinstance(value, dict):
        return "{" + ", ".join(f"{key}: {flow(item)}" for key, item in value.items()) + "}"
    return value if isinstance(value, str) else json.dumps(value)
