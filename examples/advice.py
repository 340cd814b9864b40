"""The table of docs/trainer.md on the gain of each best practice, from runs with `--ablate advice`.

    RUN/result.json, RUN/advice.json → benchmarks/results/advice.json → Markdown

    python examples/advice.py digits=run-out glyphs=glyphs-out

Of a run that was interrupted, the repetitions that are whole count. A result is of the commit of this repository when it is read.
"""

import json
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from types import SimpleNamespace
from typing import Annotated, Any

import typer
from records import ROOT, read_commit, render_sources

from augsvc_client.trainer.experiments.advice import PRACTICES, AdviceAblation, Switch, list_switches
from augsvc_client.trainer.experiments.variants import WHOLE, Variant
from augsvc_client.trainer.models.build import Inputs
from augsvc_client.trainer.recipe import load_recipe
from augsvc_client.trainer.report.tables import markdown_table

RESULTS = ROOT / "benchmarks" / "results" / "advice.json"
Results = Mapping[str, Mapping[str, Any]]  # by dataset: the switches, the scores of all runs, and the source


def main(runs: Annotated[list[str], typer.Argument(help="NAME=RUN: folders of runs.")]) -> None:
    """Save the results of the runs and print their table."""
    saved = json.loads(RESULTS.read_text(encoding="utf-8")) if RESULTS.exists() else {}
    for text in runs:
        name, _, folder = text.partition("=")
        saved[name] = read_run(Path(folder))
    RESULTS.write_text(json.dumps(saved, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    print(render_table(saved))


def read_run(folder: Path) -> dict[str, Any]:
    """The switches and the scores of a run's folder, and how they were measured."""
    result = json.loads((folder / "result.json").read_text(encoding="utf-8"))
    scores = json.loads((folder / "advice.json").read_text(encoding="utf-8"))["scores"]
    whole = min(len(repetitions) for repetitions in scores.values())
    inputs = Inputs(**result["inputs"])
    recipe = load_recipe(folder / "recipe.yaml", {})
    run = SimpleNamespace(recipe=recipe, inputs=inputs, classes=result["classes"], stream=result["stream"])
    return {
        "switches": [switch if isinstance(switch, str) else asdict(switch) for switch in list_switches(run)],
        "scores": {name: repetitions[:whole] for name, repetitions in scores.items()},
        "source": {"commit": read_commit(), **result["provenance"]},
    }


def table_of(entry: Mapping[str, Any]) -> AdviceAblation:
    """The comparison of one dataset from its saved results."""
    switches = [
        switch if isinstance(switch, str) else Switch(Variant(**switch["variant"]), switch["followed"])
        for switch in entry["switches"]
    ]
    return AdviceAblation(entry["scores"], switches)


def render_table(saved: Results) -> str:
    """Markdown: one row for each practice, the gains of all datasets beside each other; their source."""
    tables = {name: table_of(entry) for name, entry in saved.items()}
    rows = [["", "practice", "compared with", *(f"{name}: {test}" for name in tables for test in tables[name].tests)]]
    columns = [table.rows()[1:] for table in tables.values()]
    for number, practice in enumerate(PRACTICES):
        cells = [column[number] for column in columns]
        changes = dict.fromkeys(row[2] for row in cells)
        rows.append([str(number + 1), practice, "; ".join(changes), *(cell for row in cells for cell in row[3:])])
    seeds = ", ".join(f"{len(table.scores[WHOLE])} seeds of {name}" for name, table in tables.items())
    sources = render_sources({name: [entry["source"]] for name, entry in saved.items()})
    return f"{markdown_table(rows)}\n\n{seeds}. {sources}"


if __name__ == "__main__":
    typer.run(main)
