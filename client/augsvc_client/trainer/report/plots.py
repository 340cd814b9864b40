"""Plots of a training run: the sample grid and the learning curves.

SampleGrid → draw_sample_grid;  Epochs → draw_curves → PNG bytes, light or dark
"""

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from augsvc_client.trainer.report.theme import DPI, LIGHT, Theme, figure_text, new_figure, style_axes, to_png
from augsvc_client.trainer.training.loop import Epoch
from augsvc_client.trainer.training.sample_grid import SampleGrid

Histories = Mapping[str, Sequence[Sequence[Epoch]]]  # repetitions by kind of run

_TEST_CHARACTERS = 20  # of a name in a title
_SAMPLE_DOTS = 96  # approximate width of a sample
_LEFT_IN, _RIGHT_IN, _TOP_IN, _BOTTOM_IN = 1.0, 0.15, 0.4, 0.1  # margins around the grid


def draw_sample_grid(grid: SampleGrid, theme: Theme = LIGHT) -> bytes:
    """PNG: the stored samples in the top row, their augmented versions of each epoch below."""
    count, _, height, width = grid.original.shape
    gap = max(1, round(max(height, width) / 16))
    step_y, step_x = height + gap, width + gap
    tops = [0, *(step_y * (row + 1) + 2 * gap for row in range(len(grid.augmented)))]
    paper = np.array([int(theme.paper[i : i + 2], 16) for i in (1, 3, 5)], np.uint8)
    canvas = np.tile(paper, (tops[-1] + height, count * step_x - gap, 1))
    for top, row in zip(tops, (grid.original, *grid.augmented), strict=True):
        for column, image in enumerate(row):
            canvas[top : top + height, column * step_x : column * step_x + width] = image.transpose(1, 2, 0)
    figure, axes = _pixel_axes(canvas.shape[1], canvas.shape[0], max(1, round(_SAMPLE_DOTS / width)), theme)
    axes.imshow(canvas, interpolation="nearest", aspect="auto")
    axes.xaxis.tick_top()
    axes.set_xticks(
        [column * step_x + (width - 1) / 2 for column in range(count)], [figure_text(n) for n in grid.names]
    )
    names = ["original", *(f"epoch {number}" for number in range(len(grid.augmented)))]
    axes.set_yticks([top + (height - 1) / 2 for top in tops], names)
    axes.tick_params(length=0, pad=6, labelsize=9, colors=theme.ink)
    axes.tick_params(axis="x", labelsize=7)
    return to_png(figure)


def _pixel_axes(width: int, height: int, scale: int, theme: Theme) -> tuple[Figure, Axes]:
    """A new figure with axes that show width × height pixels at `scale` dots each; a fraction would render them unevenly."""
    wide, tall = width * scale / DPI, height * scale / DPI
    total = (wide + _LEFT_IN + _RIGHT_IN, tall + _TOP_IN + _BOTTOM_IN)
    figure = Figure(figsize=total, dpi=DPI, facecolor=theme.paper)
    area = (_LEFT_IN / total[0], _BOTTOM_IN / total[1], wide / total[0], tall / total[1])
    return figure, figure.add_axes(area, frameon=False)


def draw_curves(histories: Histories, theme: Theme = LIGHT, floor: float = 0.0) -> bytes:
    """PNG: losses, and accuracy on each test; a line is the mean of repetitions, a band their range.

    The loss is solid for training and dashed for tests, the accuracy solid for tests and dashed for training. `floor`: the
    lowest possible training loss; above 0 a dotted line marks it.
    """
    tests = list(next(iter(histories.values()))[0][-1].scores)
    figure = new_figure(4.0 * (1 + len(tests)), 3.5, theme)
    panels = figure.subplots(1, 1 + len(tests), squeeze=False)[0]
    _style_panel(panels[0], f"loss (dashed: tests{'; dotted: floor' if floor > 0 else ''})", theme)
    if floor > 0:
        panels[0].axhline(floor, color=theme.ink, linewidth=1.0, linestyle=":")
    for panel, test in zip(panels[1:], tests, strict=True):
        _style_panel(panel, f"accuracy on {figure_text(test, _TEST_CHARACTERS)} (%; dashed: training)", theme)
    for (label, runs), colour in zip(histories.items(), theme.series, strict=False):
        _draw_runs(panels[0], [[(e.number + 1, e.loss) for e in run] for run in runs], label, colour)
        for panel, test in zip(panels[1:], tests, strict=True):
            points = [[(e.number + 1, 100 * e.scores[test].accuracy) for e in run if e.scores] for run in runs]
            _draw_runs(panel, points, label, colour)
            trained = [[(e.number + 1, 100 * e.accuracy) for e in run if e.accuracy is not None] for run in runs]
            _draw_runs(panel, trained, "", colour, dashed=True)
            losses = [[(e.number + 1, loss) for e in run if e.scores and (loss := e.scores[test].loss)] for run in runs]
            _draw_runs(panels[0], losses, "", colour, dashed=True)
    lowest = min((panel.get_ylim()[0] for panel in panels[1:]), default=0.0)
    for panel in panels[1:]:  # one scale, so that tests can be compared
        panel.set_ylim(max(0.0, lowest), 101.0)
    if len(histories) > 1:
        handles, labels = panels[0].get_legend_handles_labels()
        figure.legend(
            handles, labels, loc="outside upper center", ncols=len(labels), frameon=False, labelcolor=theme.ink
        )
    return to_png(figure)


def _style_panel(axes: Axes, title: str, theme: Theme) -> None:
    style_axes(axes, "epoch", "", theme)
    axes.set_title(title, fontsize=11, color=theme.ink, loc="left")
    axes.grid(color=theme.faint, linewidth=0.6)
    axes.xaxis.set_major_locator(MaxNLocator(6, integer=True))


def _draw_runs(
    axes: Axes, runs: Sequence[Sequence[tuple[int, float]]], label: str, colour: str, *, dashed: bool = False
) -> None:
    """Repetitions as [(epoch, value)] of the same epochs."""
    if not all(runs):
        return
    epochs = [epoch for epoch, _ in runs[0]]
    values = np.array([[value for _, value in run] for run in runs])
    marker = "o" if len(epochs) < 3 else ""  # a line of one point is invisible
    axes.plot(
        epochs,
        values.mean(axis=0),
        color=colour,
        linewidth=1.2 if dashed else 1.8,
        linestyle="--" if dashed else "-",
        marker=marker,
        label=label or None,
    )
    if len(runs) > 1 and not dashed:
        axes.fill_between(epochs, values.min(axis=0), values.max(axis=0), color=colour, alpha=0.2, linewidth=0)
