"""The report of one run: OUT/report.html, without external files.

Outcome → measure → sections of tables and figures → HTML
"""

import numpy as np

from augsvc_client.trainer.experiments.findings import SanityResult
from augsvc_client.trainer.experiments.outcome import Outcome
from augsvc_client.trainer.experiments.variants import PairedScores
from augsvc_client.trainer.report.figures import (
    draw_confusion,
    draw_curves,
    draw_errors,
    draw_reliability,
    draw_sample_grid,
    figure_text,
)
from augsvc_client.trainer.report.html import Figure, Table, document
from augsvc_client.trainer.report.measurements import Measurements, measure
from augsvc_client.trainer.report.practices import Run, review_practices
from augsvc_client.trainer.report.tables import score_rows
from augsvc_client.trainer.training.data import read_positions, test_loader
from augsvc_client.trainer.training.evaluate import Predictions, compute_calibration

_SHOWN_ERRORS = 12


def render_run_page(
    outcome: Outcome,
    *,
    members: int = 1,
    ablation: PairedScores | None = None,
    sanity: SanityResult | None = None,
) -> str:
    """The HTML page; reads samples, the worst errors and a few batches from the run's server, so it raises the client's errors.

    `members`: size of the ensemble that the run belongs to; `sanity`: the result of an earlier `--sanity`.
    """
    measured = measure(outcome)
    ablated = "" if ablation is None else ablation.title
    run = Run(outcome=outcome, measured=measured, members=members, ablated=ablated, sanity=sanity)
    sections: dict[str, list[str | Table | Figure]] = {"Summary": _summary(outcome, measured)}
    if (grid := measured.grid) is not None:
        epochs = len(grid.augmented)
        below = "the first epoch" if epochs == 1 else f"each of the first {epochs} epochs"
        caption = f"Top row: as stored; below: in {below}. Classes of the columns: {', '.join(grid.names)}"
        sections["Samples that the network saw"] = [Figure(caption, draw_sample_grid(grid))]
    sections["Learning curves"] = [Figure("Loss and accuracy", draw_curves(outcome.history))]
    for name, predictions in outcome.predictions.items():
        sections[f"Test: {name}"] = _test(outcome, name, predictions)
    if ablation is not None:
        sections[ablation.title] = [Table(ablation.rows(), wrap=True), ablation.caption]
    practices = [(str(i), name, *review) for i, (name, review) in enumerate(review_practices(run).items(), 1)]
    sections["Best practices in this run"] = [Table([("", "practice", "in this run", "effect"), *practices], wrap=True)]
    return document(f"A run on {outcome.recipe.data.dataset}", sections)


def _summary(outcome: Outcome, measured: Measurements) -> list[str | Table | Figure]:
    facts, pace = outcome.facts, outcome.pace
    half_bytes = sum(
        tensor.numel() * (2 if tensor.is_floating_point() else tensor.element_size())
        for tensor in outcome.model.state_dict().values()
    )
    costs = [
        ("", "this network", "with 3×3 convolutions"),
        ("parameters", f"{facts.parameters:,}", f"{facts.plain_parameters:,}"),
        ("multiplications per sample", f"{facts.multiplications:,}", f"{facts.plain_multiplications:,}"),
        ("size, float32", f"{facts.bytes / 1000:,.0f} kB", ""),
        ("size, fp16", f"{half_bytes / 1000:,.0f} kB", ""),
        (f"latency of one sample on {measured.device}", f"{measured.latency_ms:.2f} ms", ""),
        ("training", f"{pace.train_s:.1f} s, {pace.images_per_s:,.0f} samples/s", ""),
        ("waiting for data", f"{pace.wait_share:.1%}", ""),
    ]
    scores = {name: result.score for name, result in outcome.predictions.items()}
    return [Table(score_rows(scores)), Table(costs)]


def _test(outcome: Outcome, name: str, predictions: Predictions) -> list[str | Table | Figure]:
    score, looks = predictions.score, outcome.best_of.get(name)
    if not score.samples:
        return ["This test has no samples."]
    calibration = compute_calibration(predictions)
    selected = (
        f"Early stopping selected the best of {looks} evaluations on this same test set: the accuracy is optimistic for other "
        "samples."
    )
    return [
        *([selected] if looks else []),
        f"{score.correct} of {score.samples} correct, {score.accuracy:.1%}. "
        f"Expected calibration error {calibration.error:.3f}.",
        Figure("Confusion: true class by row", draw_confusion(predictions.confusion(), outcome.classes)),
        Figure("Calibration: accuracy against confidence", draw_reliability(calibration)),
        *([] if outcome.inputs.rate else _worst_errors(outcome, name, predictions)),
    ]


def _worst_errors(outcome: Outcome, name: str, predictions: Predictions) -> list[Figure]:
    """The most confident errors, read from the server again."""
    rows = predictions.worst_errors(_SHOWN_ERRORS)
    if not len(rows):
        return []
    with test_loader(outcome.recipe, outcome.url, name, versions=outcome.versions) as loader:
        positions = read_positions(loader.stream, predictions.index[rows])
        images = np.concatenate([loader.stream.batch(0, position, 1)["image"] for position in positions])
    classes = outcome.classes
    captions = [
        " → ".join(figure_text(classes[indices[row]]) for indices in (predictions.label, predictions.predicted))
        + f", {predictions.confidence[row]:.0%}"
        for row in rows
    ]
    return [Figure("Worst errors: true → predicted, confidence", draw_errors(images, captions))]
