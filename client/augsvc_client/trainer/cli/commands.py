"""What `augsvc-train` does besides training: look whether a set-up is sound, export a network, and use it on files.

--sanity → check;  export OUT → forms beside the weights;  predict OUT PATH → what it says of files
"""

import json
from pathlib import Path

from rich.console import Console
from rich.progress import track
from rich.table import Table

from augsvc_client.trainer.experiments.sanity import Finding, gates, keep, setup_of
from augsvc_client.trainer.recipe import Recipe, load_recipe
from augsvc_client.trainer.training.data import some_tested, training_loader

_CALIBRATED_ON, _TESTED_ON = 4, 8  # batches


def check(recipe: Recipe, url: str, out: Path | None, console: Console) -> bool:
    """Show gate after gate, and leave what they found in `out`, if given; whether all were passed."""
    findings: list[Finding] = []
    for finding in gates(setup_of(recipe, url)):
        findings.append(finding)
        mark = "[green]passed[/]" if finding.passed else "[red]failed[/]"
        console.print(f"{mark}  {finding.gate}: {finding.measured}", highlight=False, soft_wrap=True)
        if not finding.passed:
            console.print(f"        {finding.diagnosis}", style="yellow", highlight=False, soft_wrap=True)
    if out is not None:
        keep(findings, recipe, out)
    sound = all(finding.passed for finding in findings)
    if sound:
        console.print("The set-up is sound, as far as cheap tests can tell.")
    return sound


def export_folder(folder: Path, url: str, console: Console) -> None:
    """All forms of a run's network, with their sizes, latencies and accuracies; raises ValueError, NotInstalled."""
    from augsvc_client.trainer.export.onnx import export  # what it needs is an extra of its own

    recipe = load_recipe(folder / "recipe.yaml", {"training.device": "cpu"})
    name = next(iter(recipe.evaluation.tests or {}))
    with training_loader(recipe, url) as training:
        calibration = [batch for batch, _ in zip(training, range(_CALIBRATED_ON), strict=False)]
        test = some_tested(recipe, url, name, training.stream, _TESTED_ON)
    table = Table("", "size", "one sample, CPU", f"right on {name}", box=None)
    with console.status("exporting, and measuring each form"):
        forms = export(folder, calibration, test)
    for form in forms:
        share = "no samples" if form.accuracy is None else f"{form.accuracy:.1%}"
        table.add_row(form.name, f"{form.n_bytes / 1000:,.0f} kB", f"{form.ms:.2f} ms", share)
    console.print(table)


def predict_path(folder: Path, path: Path, out: Path | None, console: Console) -> None:
    """Print the most probable classes of a file, or of all files of a folder; `out`: all of them as JSON."""
    from augsvc_client.trainer.export.onnx import load_model
    from augsvc_client.trainer.export.predict import files_of, predict_files

    model, card = load_model(folder)
    paths = files_of(path, card)
    named = list(track(predict_files(model, card, paths), "reading", total=len(paths), console=console, transient=True))
    table = Table("file", "class", "then", box=None)
    for one in named:
        ranked = [f"{name} {share:.1%}" for name, share in one.classes[:3]]
        table.add_row(str(one.path), *(ranked[:1] or [f"[red]{one.error}[/]"]), ", ".join(ranked[1:]))
    console.print(table)
    if out is not None:
        listed = [{"file": str(one.path), "classes": dict(one.classes), "error": one.error or None} for one in named]
        out.write_text(json.dumps(listed, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
