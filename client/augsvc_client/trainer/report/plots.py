"""Pictures and pages of finished runs: learning curves, what the network saw, and a page that holds both.

    Epochs, Sights → PNG bytes, light or dark → page (HTML that needs no other file)

Figures are drawn without pyplot, so nothing is kept between calls and no window system is needed.
"""

import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from augsvc_client.trainer.training.data import Sights
from augsvc_client.trainer.training.loop import Epoch

Histories = Mapping[str, Sequence[Sequence[Epoch]]]  # by kind of run, its repetitions


_DPI = 150


_SAMPLE_DOTS = 96  # the width to aim at


_LONGEST_NAME = 9


@dataclass(frozen=True, slots=True)
class Theme:
    """Colours of a figure; `series` in the order of the kinds of run."""

    paper: str
    ink: str
    faint: str
    series: tuple[str, ...]


LIGHT = Theme("#ffffff", "#1f2430", "#d5d9e0", ("#2563c9", "#d9730d", "#0f8a6d", "#8a3fb8"))


DARK = Theme("#15181e", "#e4e7ec", "#3a404b", ("#74a7ff", "#ffae5c", "#4fd1ae", "#cf94f5"))


def draw_sights(sights: Sights, theme: Theme = LIGHT) -> bytes:
    """PNG: the stored samples in the top row, below it what each epoch made of them."""
    count, _, height, width = sights.original.shape
    gap = max(1, round(max(height, width) / 16))
    step_y, step_x = height + gap, width + gap
    tops = [0, *(step_y * (row + 1) + 2 * gap for row in range(len(sights.augmented)))]
    paper = np.array([int(theme.paper[i : i + 2], 16) for i in (1, 3, 5)], np.uint8)
    canvas = np.tile(paper, (tops[-1] + height, count * step_x - gap, 1))
    for top, row in zip(tops, (sights.original, *sights.augmented), strict=True):
        for column, picture in enumerate(row):
            canvas[top : top + height, column * step_x : column * step_x + width] = picture.transpose(1, 2, 0)
    inch = max(1, round(_SAMPLE_DOTS / width)) / _DPI  # whole dots a pixel, else pixels look uneven
    figure = Figure(
        figsize=(canvas.shape[1] * inch + 1.15, canvas.shape[0] * inch + 0.5), dpi=_DPI, facecolor=theme.paper
    )
    tall, wide = figure.get_figheight(), figure.get_figwidth()
    axes = figure.add_axes(
        (1.0 / wide, 0.1 / tall, canvas.shape[1] * inch / wide, canvas.shape[0] * inch / tall), frameon=False
    )
    axes.imshow(canvas, interpolation="nearest", aspect="auto")
    axes.xaxis.tick_top()
    axes.set_xticks([column * step_x + (width - 1) / 2 for column in range(count)], [short(n) for n in sights.names])
    names = ["original", *(f"epoch {number}" for number in range(len(sights.augmented)))]
    axes.set_yticks([top + (height - 1) / 2 for top in tops], names)
    axes.tick_params(length=0, pad=6, labelsize=9, colors=theme.ink)
    axes.tick_params(axis="x", labelsize=7)
    return _png(figure)


def draw_curves(histories: Histories, theme: Theme = LIGHT, floor: float = 0.0) -> bytes:
    """PNG: training loss, and accuracy on each test set; a line is the mean of repetitions, a band their range.

    `floor`: the lowest training loss that there can be; where it is above 0 a dotted line marks it.
    """
    tests = [name for name in next(iter(histories.values()))[0][-1].scores]
    figure = Figure(figsize=(4.0 * (1 + len(tests)), 3.5), dpi=_DPI, facecolor=theme.paper, layout="constrained")
    panels = figure.subplots(1, 1 + len(tests), squeeze=False)[0]
    _dress(panels[0], f"training loss{' (dotted: its floor)' if floor > 0 else ''}", theme)
    if floor > 0:
        panels[0].axhline(floor, color=theme.ink, linewidth=1.0, linestyle=":")
    for panel, test in zip(panels[1:], tests, strict=True):
        _dress(panel, f"accuracy on {test} (%)", theme)
    for (label, runs), colour in zip(histories.items(), theme.series, strict=False):
        _line(panels[0], [[(e.number + 1, e.loss) for e in run] for run in runs], label, colour)
        for panel, test in zip(panels[1:], tests, strict=True):
            points = [[(e.number + 1, 100 * e.scores[test].accuracy) for e in run if e.scores] for run in runs]
            _line(panel, points, label, colour)
    lowest = min((panel.get_ylim()[0] for panel in panels[1:]), default=0.0)
    for panel in panels[1:]:  # one scale, so that test sets can be compared by eye
        panel.set_ylim(max(0.0, lowest), 101.0)
    if len(histories) > 1:
        handles, labels = panels[0].get_legend_handles_labels()
        figure.legend(
            handles, labels, loc="outside upper center", ncols=len(labels), frameon=False, labelcolor=theme.ink
        )
    return _png(figure)


def _dress(axes: Axes, title: str, theme: Theme) -> None:
    axes.set_title(title, fontsize=11, color=theme.ink, loc="left")
    axes.set_xlabel("epoch", fontsize=10, color=theme.ink)
    axes.set_facecolor(theme.paper)
    axes.grid(color=theme.faint, linewidth=0.6)
    axes.set_axisbelow(True)
    axes.spines[:].set_visible(False)
    axes.tick_params(length=0, labelsize=9, colors=theme.ink)
    axes.xaxis.set_major_locator(MaxNLocator(6, integer=True))


def _line(axes: Axes, runs: Sequence[Sequence[tuple[int, float]]], label: str, colour: str) -> None:
    """Repetitions as [(epoch, value)] of the same epochs."""
    epochs = [epoch for epoch, _ in runs[0]]
    values = np.array([[value for _, value in run] for run in runs])
    marker = "o" if len(epochs) < 3 else ""  # a line of one point cannot be seen
    axes.plot(epochs, values.mean(axis=0), color=colour, linewidth=1.8, marker=marker, label=label)
    if len(runs) > 1:
        axes.fill_between(epochs, values.min(axis=0), values.max(axis=0), color=colour, alpha=0.2, linewidth=0)


def short(name: str) -> str:
    """A name that fits below a small picture."""
    return name if len(name) <= _LONGEST_NAME else name[: _LONGEST_NAME - 1] + "…"


def _png(figure: Figure) -> bytes:
    out = io.BytesIO()
    figure.savefig(out, format="png")
    return out.getvalue()
