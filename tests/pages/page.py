"""A page of an operation or a container, as Markdown, and the files beside it.

A page holds two things that cannot be derived from the class: the cost, which is measured, and the digest of what its strip is
made from. Both stay as they are until that digest changes, so a test compares pages without rendering.
"""

import hashlib
import json
import re
from pathlib import Path
from typing import Any

from augsvc.ops.container import Container
from augsvc.ops.operation import Operation, Settings
from augsvc.ops.policy import Policy
from augsvc.ops.registry import containers, registry
from augsvc.streams.description import Description, describe
from tests.golden_files import FOLDER as GOLDEN
from tests.pages.costs import measure_cost
from tests.pages.schema_text import flow, number, parameter_table
from tests.pages.strips import FOLDER as STRIPS
from tests.pages.strips import PAINTER, cells, draw_strip

FOLDER = Path(__file__).parents[2] / "docs" / "operations"
Step = type[Operation] | type[Container]


def steps() -> dict[str, Step]:
    """Everything that has a page, by name."""
    return {**registry(), **containers()}


def write_pages(everything: bool = False) -> None:
    """Writes all pages; strips and costs where they are missing or out of date, or all of them. Removes those of what is gone."""
    known = steps()
    FOLDER.mkdir(exist_ok=True)
    STRIPS.mkdir(exist_ok=True)
    for path in [*FOLDER.glob("*.md"), *STRIPS.glob("*.webp")]:
        if path.stem not in known:
            path.unlink()
    for name, step in known.items():
        strip = STRIPS / f"{name}.webp"
        cost = read_cost(name, step) if strip.exists() and not everything else None
        if issubclass(step, Operation) and cost is None:
            strip.write_bytes(draw_strip(step))
            cost = f"{float(f'{measure_cost(step):.2g}'):g}"
        (FOLDER / f"{name}.md").write_text(build_page(step, cost), encoding="utf-8")


def read_cost(name: str, step: Step) -> str | None:
    """The measured cost on a page whose strip is up to date; else None."""
    path = FOLDER / f"{name}.md"
    text = path.read_text(encoding="utf-8") if path.exists() else ""
    cost = re.search(r"^\| cost \| ([\d.e+]+) ×", text, re.M)
    return cost[1] if cost and issubclass(step, Operation) and f"<!-- strip {strip_digest(step)} -->" in text else None


def strip_digest(operation: type[Operation]) -> str:
    """The digest of what a strip is made from: the painter, the settings of its cells, and the operation's golden values."""
    name = operation.model_fields["op"].default
    golden = {key: value for key, value in _golden(name).items() if key in ("draws", "lowered", "pixels")}
    made_from = json.dumps([PAINTER, cells(operation), golden], sort_keys=True)
    return hashlib.sha256(made_from.encode()).hexdigest()[:32]


def _golden(name: str) -> dict[str, Any]:
    path = GOLDEN / f"{name}.json"
    return json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}


def build_page(step: Step, cost: str | None) -> str:
    """The page; `cost` is None for a container, which costs what its operations do."""
    name, description = step.model_fields["op"].default, describe(step)
    parts = [f"# {name}", step.summary(), description.notes]
    if issubclass(step, Operation):
        parts += [strip_markdown(name), strip_caption(step), f"<!-- strip {strip_digest(step)} -->"]
    parts += [facts(step, description, cost), "## Parameters", parameter_table(step.model_json_schema()), COMMON_TEXT]
    parts += [
        "## Example",
        f"```yaml\n{example(step)}```",
        "[All operations](../operations.md) · [Gallery](../gallery.md)",
    ]
    return "\n\n".join(filter(None, parts)) + "\n"


COMMON_TEXT = (
    "Every step also has `id`, `views` and `epochs`: see "
    "[containers and policies](../operations.md#containers-and-policies)."
)


def strip_markdown(name: str, root: str = "../..") -> str:
    """The image of a strip, for a document whose root is at `root`."""
    return f"![{name} at several strengths]({root}/augsvc/http/ui/strips/{name}.webp)"


def strip_caption(operation: type[Operation]) -> str:
    """What the cells of a strip are."""
    settings = cells(operation)
    if len(settings) == 1:
        return "The original, and the result."
    values = {name: ", ".join(number(cell[name]) for cell in settings) for name in settings[0]}
    texts = [f"`{name}` {text}" for name, text in values.items()]
    return f"The original, then {'; '.join(texts)}." if texts else "The original, then five draws."


def facts(step: Step, description: Description, cost: str | None) -> str:
    """Kind, labels, numerics, cost, names in other libraries."""
    rows = [("kind", str(step.kind)), ("labels", description.labels)]
    if issubclass(step, Operation):
        rows += [
            ("numerics", numerics(step)),
            ("cost", f"{cost} × a sample without operations ([measured](../operations.md#pages))"),
        ]
    if description.elsewhere:
        names = " · ".join(f"{library} {name}" for library, name in description.elsewhere.items())
        rows.append(("elsewhere", names))
    return "\n".join(["| | |", "|---|---|", *(f"| {name} | {text} |" for name, text in rows)])


def numerics(operation: type[Operation]) -> str:
    """Whether it is continuous, and how far the executors are apart."""
    name = operation.model_fields["op"].default
    values = _golden(name).get("agreement", {}).values()
    most = max((float(value[2]) for value in values), default=0.0)
    texts = ["Continuous" if operation.continuous else "Has jumps: a small change of a value may change its level"]
    texts.append("bit-equal on all executors" if most == 0 else f"executors differ by at most {most:g} of 255 levels")
    values = "samples" if operation.media == "audio" else "pixels"
    return "; ".join([f"Opaque: computes its {values} itself"] * (str(operation.kind) == "opaque") + texts) + "."


def example(step: Step) -> str:
    """The step with what varies by default, as YAML of a specification."""
    entry: dict[str, object] = {"op": step.model_fields["op"].default, **example_settings(step)}
    lines = [f"{name}: {flow(value)}" for name, value in entry.items()]
    return "pipeline:\n  - " + "\n    ".join(lines) + "\n"


def example_settings(step: Step) -> Settings:
    """The first example of a container; of an operation its drawn ranges and a `p` of one half, if it takes one."""
    if issubclass(step, Container):
        return step.examples[0] if not issubclass(step, Policy) else {**step.examples[0], "p": 0.5}
    ranges = {name: step.model_fields[name].default for name in step.parameters()}
    bounds = {name: (mark.low, mark.high) for name, mark in step.parameters().items()}
    shown = {name: list(value) for name, value in ranges.items() if value[0] < value[1] and value != bounds[name]}
    return {**shown, "p": 0.5}
