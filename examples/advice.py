"""The table of docs/trainer.md on the gain of each best practice, from runs with `--ablate advice`.

    RUN/result.json, RUN/advice.json → benchmarks/results/advice.json → Markdown

    python examples/advice.py digits=run-out glyphs=glyphs-out

Of a run that was interrupted, the repetitions that are whole count. A result is of the commit of this repository when it is read.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Annotated, Any

import typer
from records import ROOT, read_commit, render_sources

from augsvc_client.trainer.experiments.advice import PRACTICES, AdviceAblation, list_switches
from augsvc_client.trainer.models.build import Inputs
from augsvc_client.trainer.recipe import load_recipe
from augsvc_client.trainer.report.tables import markdown_table

RESULTS = ROOT / "benchmarks" / "results" / "advice.json"
Results = Mapping[str, Mapping[str, Any]]  # by dataset: scores by variant, the rows' descriptions, and the source


def main(runs: Annotated[list[str], typer.Argument(help="NAME=RUN: folders of runs.")]) -> None:
    """Save the results of the runs and print their table."""
    saved = json.loads(RESULTS.read_text(encoding="utf-8")) if RESULTS.exists() else {}
    for text in runs:
        name, _, folder = text.partition("=")
        saved[name] = read_run(Path(folder))
    RESULTS.write_text(json.dumps(saved, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    print(render_table(saved))


def read_run(folder: Path) -> dict[str, Any]:
    """The table's cells of a run's folder, and how they were measured."""
    result = json.loads((folder / "result.json").read_text(encoding="utf-8"))
    scores = json.loads((folder / "advice.json").read_text(encoding="utf-8"))["scores"]
    whole = min(len(repetitions) for repetitions in scores.values())
    inputs = Inputs(**result["inputs"])
    recipe = load_recipe(folder / "recipe.yaml", {})
    run = SimpleNamespace(recipe=recipe, inputs=inputs, classes=result["classes"], stream=result["stream"])
    table = AdviceAblation({name: repetitions[:whole] for name, repetitions in scores.items()}, list_switches(run))
    return {
        "rows": table.rows()[1:],
        "tests": table.tests,
        "seeds": whole,
        "source": {"commit": read_commit(), **result["provenance"]},
    }


def render_table(saved: Results) -> str:
    """Markdown: one row for each practice, the gains of all datasets beside each other; their source."""
    heads = [f"{name}: {test}" for name, entry in saved.items() for test in entry["tests"]]
    rows = [["", "practice", "compared with", *heads]]
    for number, practice in enumerate(PRACTICES):
        cells = [entry["rows"][number] for entry in saved.values()]
        changes = dict.fromkeys(row[2] for row in cells)
        rows.append([str(number + 1), practice, "; ".join(changes), *(cell for row in cells for cell in row[3:])])
    seeds = ", ".join(f"{entry['seeds']} seeds of {name}" for name, entry in saved.items())
    sources = render_sources({name: [entry["source"]] for name, entry in saved.items()})
    return f"{markdown_table(rows)}\n\n{seeds}. {sources}"


if __name__ == "__main__":
    typer.run(main)
