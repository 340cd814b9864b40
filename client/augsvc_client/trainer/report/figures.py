"""Figures of results: confusion, calibration and worst errors of a test, and the gains of operations.

Predictions, Calibration, Ablation → draw_confusion, draw_reliability, draw_errors, draw_ablation → PNG bytes, light or dark
"""

import math
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap

from augsvc_client.trainer.experiments.ablation import ALONE, NONE, WITHOUT, Ablation
from augsvc_client.trainer.experiments.interval import MeanInterval
from augsvc_client.trainer.experiments.variants import WHOLE
from augsvc_client.trainer.report.calibration import Calibration
from augsvc_client.trainer.report.theme import Theme, figure_text, new_figure, style_axes, to_png
from augsvc_client.trainer.training.sample_grid import Images

_LABELLED_CLASSES = 20  # with more, counts and names in the matrix are illegible
_COLUMNS = 6
_LEGEND_CHARACTERS = 40


def draw_confusion(confusion: npt.NDArray[np.int64], classes: Sequence[str], theme: Theme) -> bytes:
    """PNG: fractions of each true class (rows) by colour; counts and names for up to 20 classes."""
    count = len(classes)
    side = min(7.0, 1.8 + 0.32 * min(count, _LABELLED_CLASSES))
    figure = new_figure(side, side, theme)
    axes = figure.subplots()
    fractions = confusion / np.maximum(confusion.sum(axis=1, keepdims=True), 1)
    colours = LinearSegmentedColormap.from_list("fraction", [theme.paper, theme.series[0]])
    axes.imshow(fractions, cmap=colours, vmin=0, vmax=1)
    style_axes(axes, "predicted", "true", theme)
    if count > _LABELLED_CLASSES:
        return to_png(figure)
    names = [figure_text(name) for name in classes]
    axes.set_xticks(range(count), names, rotation=0 if max(map(len, names)) < 3 else 90)
    axes.set_yticks(range(count), names)
    for row, column in np.argwhere(confusion > 0):
        ink = theme.paper if fractions[row, column] > 0.5 else theme.ink
        axes.text(column, row, str(confusion[row, column]), ha="center", va="center", fontsize=8, color=ink)
    return to_png(figure)


def draw_reliability(calibration: Calibration, theme: Theme) -> bytes:
    """PNG: reliability diagram, accuracy against confidence; the area of a dot is proportional to its bin's samples."""
    figure = new_figure(4.4, 4.4, theme)
    axes = figure.subplots()
    axes.plot([0, 1], [0, 1], color=theme.ink, linewidth=1.0, linestyle=":")
    axes.plot(calibration.confidence, calibration.accuracy, color=theme.series[0], linewidth=1.2, alpha=0.6)
    area = 20 + 280 * calibration.count / max(1, calibration.count.sum())
    axes.scatter(calibration.confidence, calibration.accuracy, s=area, color=theme.series[0], zorder=3)
    axes.set(xlim=(0, 1.03), ylim=(-0.03, 1.05))
    axes.grid(color=theme.faint, linewidth=0.6)
    style_axes(axes, "confidence", "accuracy (dotted: calibrated)", theme)
    return to_png(figure)


def draw_errors(images: Images, captions: Sequence[str], theme: Theme) -> bytes:
    """PNG: images N,C,H,W, each below its caption."""
    rows = -(-len(images) // _COLUMNS)
    figure = new_figure(1.6 * _COLUMNS, 1.95 * rows, theme)
    panels = figure.subplots(rows, _COLUMNS, squeeze=False).ravel()
    for panel in panels:
        panel.set_axis_off()
    for panel, image, caption in zip(panels, images, captions, strict=False):
        pixels = image.transpose(1, 2, 0)
        panel.imshow(pixels if pixels.shape[2] == 3 else pixels[:, :, 0], cmap="gray", vmin=0, vmax=255)
        panel.set_title(caption, fontsize=10, color=theme.ink)
    return to_png(figure)


def draw_ablation(ablation: Ablation, theme: Theme) -> bytes:
    """PNG: the loss without each operation, and the gain of each alone; one bar per test, a line for its interval.

    A variant that diverged has no bar.
    """
    left_out = [name for name in ablation.scores if name != WHOLE and not name.startswith(ALONE)]
    alone = [name for name in ablation.scores if name.startswith(ALONE)]
    panels = [
        ("left out: points relative to whole", left_out),
        *([("alone: points relative to none", alone)] if alone else []),
    ]
    height = 1.2 + 0.32 * len(left_out) * max(2, len(ablation.tests)) / 2
    figure = new_figure(4.4 * len(panels), height, theme)
    for axes, (title, names) in zip(figure.subplots(1, len(panels), squeeze=False)[0], panels, strict=True):
        _draw_bars(axes, ablation, names, theme)
        labels = ["all" if name == NONE else name.removeprefix(WITHOUT).removeprefix(ALONE) for name in names]
        axes.set_yticks(range(len(names)), labels)
        axes.invert_yaxis()
        style_axes(axes, title, "", theme)
    figure.legend(
        *axes.get_legend_handles_labels(), loc="outside upper center", ncols=4, frameon=False, labelcolor=theme.ink
    )
    return to_png(figure)


def _draw_bars(axes: Axes, ablation: Ablation, names: Sequence[str], theme: Theme) -> None:
    thickness = 0.8 / len(ablation.tests)
    for i, (test, colour) in enumerate(zip(ablation.tests, theme.series, strict=False)):
        differences = [ablation.difference(name, test) or MeanInterval(math.nan, None) for name in names]
        y = np.arange(len(names)) + (i - (len(ablation.tests) - 1) / 2) * thickness
        axes.barh(
            y,
            [difference.mean for difference in differences],
            thickness,
            color=colour,
            label=figure_text(test, _LEGEND_CHARACTERS),
            xerr=[difference.half_width or 0.0 for difference in differences],
            error_kw={"ecolor": theme.ink, "elinewidth": 1.0},
        )
    axes.axvline(0, color=theme.ink, linewidth=1.0)
    axes.grid(axis="x", color=theme.faint, linewidth=0.6)
