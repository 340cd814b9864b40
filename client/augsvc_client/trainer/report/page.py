"""The page of one run: OUT/report.html, which needs no other file.

Outcome → what is measured after the run (worst errors, order, diversity, latency) → figures, tables → HTML
"""

from collections.abc import Callable, Sequence

import numpy as np

from augsvc_client.trainer.experiments.ablation import Ablation
from augsvc_client.trainer.experiments.run import Outcome
from augsvc_client.trainer.experiments.sanity import Checked
from augsvc_client.trainer.models.trace import looked_into
from augsvc_client.trainer.report.advice import Measured, advice
from augsvc_client.trainer.report.cost import latency_ms, measured_orders
from augsvc_client.trainer.report.diversity import measured_diversity, measured_overlap
from augsvc_client.trainer.report.figures import (
    calibration,
    draw_ablation,
    draw_confusion,
    draw_errors,
    draw_reliability,
    worst_errors,
)
from augsvc_client.trainer.report.html import document, figure, heading, paragraph, table
from augsvc_client.trainer.report.plots import DARK, LIGHT, Theme, draw_curves, draw_sights
from augsvc_client.trainer.training.data import test_loader, training_loader
from augsvc_client.trainer.training.evaluate import Predictions

_SHOWN_ERRORS = 12


def run_page(
    outcome: Outcome, *, members: int = 1, ablation: Ablation | None = None, checked: Checked | None = None
) -> str:
    """HTML; asks the run's server for the worst errors and a few batches, so it raises what the client raises.

    `members` of the ensemble that the run is one of; `checked`: what --sanity found before.
    """
    measured = measure(outcome, members, ablation, checked)
    named = [(f"named rightly of {name}", f"{outcome.accuracy(name):.1%}") for name in outcome.predictions]
    parts = [heading("In short"), table([*named, *_costs(outcome, measured)])]
    if outcome.sights is not None:
        sights = outcome.sights
        parts += [
            heading("What the network saw"),
            _figure("stored, and as each epoch got it", lambda t: draw_sights(sights, t)),
        ]
    parts += [heading("Learning curves")]
    parts += [_figure("loss and accuracy", lambda t: draw_curves({"run": [outcome.history]}, t, outcome.floor))]
    for name, predictions in outcome.predictions.items():
        parts += _test(outcome, name, predictions)
    if ablation is not None:
        parts += [heading("What each operation gains"), table(ablation.rows()), paragraph(ablation.caption)]
        parts += [
            _figure("accuracy, with 95 % intervals where there are several seeds", lambda t: draw_ablation(ablation, t))
        ]
    parts += [heading("The advice in this run")]
    rows = [(str(row.number), row.advice, row.state, row.did) for row in advice(outcome, measured)]
    parts += [table([("", "advice", "in this run", "what it did"), *rows], wraps=True)]
    return document(f"A run on {outcome.recipe.data.dataset}", parts)


def _test(outcome: Outcome, name: str, predictions: Predictions) -> list[str]:
    score = predictions.score
    parts = [heading(f"Test: {name}")]
    if not score.samples:
        return [*parts, paragraph("No sample of it could be tested.")]
    found = calibration(predictions)
    classes = outcome.classes
    if name in outcome.looks:
        parts += [
            paragraph(
                f"Early stopping kept the best of {outcome.looks[name]} looks at this very test: expect less on other samples."
            )
        ]
    parts += [
        paragraph(
            f"{score.correct} of {score.samples} named rightly, {score.accuracy:.1%}. "
            f"Expected calibration error {found.error:.3f}."
        ),
        _figure("confusion: true class by row", lambda t: draw_confusion(predictions.confusion(), classes, t)),
        _figure("calibration: right as often as sure?", lambda t: draw_reliability(found, t)),
    ]
    worst = worst_errors(predictions, _SHOWN_ERRORS)
    if not len(worst) or outcome.inputs.rate:
        return parts
    with test_loader(outcome.recipe, outcome.url, name) as loader:
        got = [loader.stream.batch(0, int(predictions.index[row]), 1)["image"] for row in worst]
    pictures = np.concatenate(got)
    captions = [
        f"{classes[predictions.label[row]]} → {classes[predictions.named[row]]}, {predictions.confidence[row]:.0%}"
        for row in worst
    ]
    return [*parts, _figure("worst errors: true → named, how sure", lambda t: draw_errors(pictures, captions, t))]


def measure(
    outcome: Outcome, members: int = 1, ablation: Ablation | None = None, checked: Checked | None = None
) -> Measured:
    """On the run's server and its network's device; raises what the client raises."""
    with training_loader(outcome.recipe, outcome.url) as loader:
        batch = next(iter(loader))
        stream = loader.stream
        overlap, diversity = measured_overlap(stream, outcome.recipe.data.batch_size), measured_diversity(stream)
    return Measured(
        overlap=overlap,
        diversity=diversity,
        inside=looked_into(outcome.model, batch["audio"] if "audio" in batch else batch["image"]),
        ms=latency_ms(outcome),
        orders=measured_orders(outcome),
        device=next(outcome.model.parameters()).device.type,
        members=members,
        ablated=ablation is not None,
        checked=checked,
    )


def _costs(outcome: Outcome, measured: Measured) -> Sequence[Sequence[str]]:
    facts, pace = outcome.facts, outcome.pace
    half = sum(
        t.numel() * (2 if t.is_floating_point() else t.element_size()) for t in outcome.model.state_dict().values()
    )
    return [
        ("", "this network", "with 3×3 convolutions"),
        ("parameters", f"{facts.parameters:,}", f"{facts.plain_parameters:,}"),
        ("multiplications a sample", f"{facts.multiplications:,}", f"{facts.plain_multiplications:,}"),
        ("size, float32", f"{facts.bytes / 1000:,.0f} kB", ""),
        ("size, fp16", f"{half / 1000:,.0f} kB", ""),
        (f"one sample on {measured.device}", f"{measured.ms:.2f} ms", ""),
        ("training", f"{pace.train_s:.1f} s, {pace.images_per_s:,.0f} samples/s", ""),
        ("waited for data", f"{pace.wait_share:.1%}", ""),
    ]


def _figure(caption: str, draw: Callable[[Theme], bytes]) -> str:
    return figure(caption, draw(LIGHT), draw(DARK))
