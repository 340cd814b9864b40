"""The commands of `augsvc-train` besides training: check a setup, evaluate or export a network, classify files with it.

--sanity → check;  --find-lr → suggest_rate
test OUT → test_folder;  export OUT → export_folder;  predict OUT PATH → predict_path
"""

from dataclasses import asdict
from itertools import islice
from pathlib import Path

from rich.console import Console
from rich.progress import track
from rich.text import Text

from augsvc_client.client.stream import Stream
from augsvc_client.text import printable
from augsvc_client.trainer.distributed import is_main_process
from augsvc_client.trainer.experiments.findings import Finding, save_findings
from augsvc_client.trainer.experiments.folder import ensemble_members, load_network, load_run_recipe, run_versions
from augsvc_client.trainer.experiments.learning_rates import find_rate
from augsvc_client.trainer.experiments.resolve import resolve_recipe
from augsvc_client.trainer.experiments.run import predict_views
from augsvc_client.trainer.experiments.sanity import build_setup, run_gates
from augsvc_client.trainer.export.card import Card
from augsvc_client.trainer.files import write_json
from augsvc_client.trainer.recipe import Pipeline, Recipe
from augsvc_client.trainer.report.tables import console_table, format_fraction, score_rows
from augsvc_client.trainer.training.data import (
    class_names,
    dataset_names,
    read_test_batches,
    test_loader,
    training_indices,
    training_loader,
)
from augsvc_client.trainer.training.device import choose_device, scale_for_device
from augsvc_client.trainer.training.evaluate import Score, predict

_CALIBRATION_BATCHES, _TEST_BATCHES = 4, 8


def check(requested: Recipe, url: str, out: Path | None, console: Console) -> bool:
    """Print each gate's finding and save the findings in `out`, if given; whether all gates passed."""
    recipe = _resolve(requested, url, console)
    findings: list[Finding] = []
    for finding in run_gates(build_setup(recipe, url)):
        findings.append(finding)
        mark = Text("passed", "green") if finding.passed else Text("failed", "red")
        console.print(mark + printable(f"  {finding.gate}: {finding.measured}"), soft_wrap=True)
        if not finding.passed:
            console.print(f"        {finding.diagnosis}", style="yellow", soft_wrap=True)
    if out is not None and is_main_process():
        save_findings(findings, recipe, out)
    passed = all(finding.passed for finding in findings)
    if passed:
        console.print("All checks passed.")
    return passed


def suggest_rate(requested: Recipe, url: str, out: Path | None, console: Console) -> None:
    """Print a peak learning rate for the recipe; rates and losses go to `out`/learning-rates.json, if given."""
    recipe = _resolve(requested, url, console)
    result = find_rate(recipe, url, console.print)
    console.print(
        f"loss lowest at a rate of {10 * result.suggestion:g}, after {len(result.rates)} steps of rising rates: try "
        f"--lr {result.suggestion:g}",
    )
    if out is not None and is_main_process():
        out.mkdir(parents=True, exist_ok=True)
        write_json(out / "learning-rates.json", asdict(result))


def _resolve(requested: Recipe, url: str, console: Console) -> Recipe:
    """The recipe on this device without open fields; notes on changed fields are printed."""
    scaled, _ = scale_for_device(requested, choose_device(requested.training.device))
    recipe, notes = resolve_recipe(scaled, url, note_duration=False)
    for line in notes:
        console.print(line)
    return recipe


def test_folder(folder: Path, url: str, dataset: str | None, pipeline: Pipeline | None, console: Console) -> None:
    """Print the accuracies of a run's network on its tests, with views as the run had, or on `dataset` through `pipeline`.

    Raises ValueError, also for datasets of other classes.
    """
    model, card = load_network(folder)
    recipe = load_run_recipe(folder).override({"training.device": "cpu"})
    if dataset is not None:
        recipe = recipe.override({"evaluation.tests": {"test": {"dataset": dataset, "pipeline": pipeline or "none"}}})
    elif pipeline is not None:
        tests = recipe.model_dump()["evaluation"]["tests"]
        recipe = recipe.override({"evaluation.tests": {n: {**t, "pipeline": pipeline} for n, t in tests.items()}})
    scores: dict[str, Score] = {}
    with training_loader(recipe, url) as training:
        _check_data(folder, recipe, card, training.stream, console)
        left_out = {name: training_indices(recipe, name, training.stream) for name in recipe.tests}
    for name in left_out:
        with test_loader(recipe, url, name) as loader:
            scores[name] = predict(model, loader, left_out[name]).score
    for name, averaged in predict_views(model, recipe, url, left_out=left_out).items():
        scores[f"{name}, {recipe.evaluation.views} views"] = averaged.score
    console.print(console_table(score_rows(scores)))


def _check_data(folder: Path, recipe: Recipe, card: Card, stream: Stream, console: Console) -> None:
    """Name the datasets that have changed since the run.

    Raises ValueError if they have other classes now, and if a test needs to know the samples that the run trained on.
    """
    served = {entry["name"]: entry for entry in stream.client.datasets()}
    if class_names(served, recipe) != list(card.classes):
        raise ValueError(
            f"{recipe.data.dataset} has other classes now than those that {folder} was trained on: give the URL of a server "
            "with the data of the run"
        )
    read = run_versions(folder)
    changed = [name for name, version in read.items() if name in served and served[name]["version"] != version]
    for name, test in recipe.tests.items():
        if test.unseen and test.dataset == recipe.data.dataset and test.dataset in changed:
            raise ValueError(
                f"{test.dataset} has changed since the run, so the test {name!r} cannot leave out the samples that it trained "
                "on: give --dataset, or the URL of a server with the data of the run"
            )
    for name in changed:
        if name in dataset_names(recipe):
            console.print(f"{name} has changed since the run", style="yellow", soft_wrap=True)


def export_folder(folder: Path, url: str, console: Console) -> None:
    """Export the network of a run, or its ensemble as one, and print size, latency and accuracy of each file.

    Raises ValueError, also if the datasets have other classes than those of the run: the accuracies would be of other labels.
    """
    from augsvc_client.trainer.export.onnx import export  # needs packages of the extra `export`

    recipe = load_run_recipe(folder).override({"training.device": "cpu"})
    name = next(iter(recipe.tests))
    model, card = load_network(folder)
    with training_loader(recipe, url) as training:
        _check_data(folder, recipe, card, training.stream, console)
        calibration = list(islice(training, _CALIBRATION_BATCHES))
        test = read_test_batches(recipe, url, name, training.stream, _TEST_BATCHES)
    with console.status("exporting and measuring"):
        files = export(folder, model, card.inputs, calibration, test)
    rows = [["", "size", "latency, CPU", f"accuracy on {name}"]]
    for file in files:
        size, latency = f"{file.n_bytes / 1000:,.0f} kB", f"{file.ms:.2f} ms"
        rows.append([file.name, size, latency, format_fraction(file.accuracy)])
    console.print(console_table(rows))
    members, limit = ensemble_members(folder), card.model.max_size
    for file in files:
        if limit is not None and file.n_bytes > members * limit:
            line = f"{file.name} has {file.n_bytes:,} bytes, more than model.max_size, {limit:,}, which counts weights alone"
            line += "" if members == 1 else f", for each of {members} networks"
            console.print(line, style="yellow", soft_wrap=True)


def predict_path(folder: Path, path: Path, out: Path | None, console: Console) -> bool:
    """Print the most probable classes of a file, or of all files in a folder; whether any file has some.

    `out`: JSON file for all probabilities.
    """
    from augsvc_client.trainer.export.predict import list_files, predict_files

    if out is not None and not out.parent.is_dir():
        raise ValueError(f"{out.parent} is not a folder")  # better now than after the work
    model, card = load_network(folder)
    paths = list_files(path, card)
    results = predict_files(model, card, paths)
    predictions = list(track(results, "reading", total=len(paths), console=console, transient=True))
    rows: list[list[str | Text]] = [["file", "class", "next"]]
    for prediction in predictions:
        ranked = [f"{name} {probability:.1%}" for name, probability in prediction.classes[:3]]
        result = ranked[0] if ranked else Text(printable(prediction.error), style="red")
        rows.append([str(prediction.path), result, ", ".join(ranked[1:])])
    console.print(console_table(rows, align="left"))
    if out is not None:
        listed = [
            {"file": str(prediction.path), "classes": dict(prediction.classes), "error": prediction.error or None}
            for prediction in predictions
        ]
        write_json(out, listed)
    return any(prediction.classes for prediction in predictions)
