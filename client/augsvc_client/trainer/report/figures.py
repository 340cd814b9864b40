"""What a network says of a test set, in figures: confusion, calibration, worst errors; and what operations gain.

Predictions → calibration, worst_errors → draw_confusion, draw_reliability, draw_errors → PNG bytes, light or dark
Ablation → draw_ablation → PNG bytes
"""

import io
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure

from augsvc_client.trainer.experiments.ablation import ALONE, NONE, WHOLE, WITHOUT, Ablation
from augsvc_client.trainer.report.plots import Theme, short
from augsvc_client.trainer.training.data import Pictures
from augsvc_client.trainer.training.evaluate import Predictions

_DPI = 150
_BINS = 15  # as Guo et al. 2017, "On Calibration of Modern Neural Networks"
_NAMED_CLASSES = 20  # above, counts and names in the matrix could not be read
_COLUMNS = 6

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class Calibration:
    """Per bin of confidence that holds samples: how many, their mean confidence, and the share of them named rightly."""

    count: npt.NDArray[np.int64]
    confidence: Floats
    accuracy: Floats

    @property
    def error(self) -> float:
        """Expected calibration error in [0, 1]: mean |accuracy - confidence|, by samples; NaN without samples."""
        gaps = np.abs(self.accuracy - self.confidence)
        return float(np.average(gaps, weights=self.count)) if self.count.sum() else float("nan")


def calibration(predictions: Predictions, bins: int = _BINS) -> Calibration:
    """Bins of equal width over (0, 1]."""
    confidence = predictions.confidence.astype(np.float64)
    place = np.clip(np.ceil(confidence * bins).astype(np.int64) - 1, 0, bins - 1)
    count = np.bincount(place, minlength=bins)
    right = np.bincount(place, weights=predictions.named == predictions.label, minlength=bins)
    total = np.bincount(place, weights=confidence, minlength=bins)
    some = count > 0
    return Calibration(count[some], total[some] / count[some], right[some] / count[some])


def worst_errors(predictions: Predictions, most: int) -> npt.NDArray[np.int64]:
    """Rows of the predictions that are wrong, the most confident first."""
    wrong = np.flatnonzero(predictions.named != predictions.label)
    order = np.argsort(-predictions.confidence[wrong], kind="stable")
    return wrong[order][:most]


def draw_confusion(confusion: npt.NDArray[np.int64], classes: Sequence[str], theme: Theme) -> bytes:
    """PNG: shares of each true class (rows) by colour; counts and names where there is room for them."""
    count = len(classes)
    side = min(7.0, 1.8 + 0.32 * min(count, _NAMED_CLASSES))
    figure = Figure(figsize=(side, side), dpi=_DPI, facecolor=theme.paper, layout="constrained")
    axes = figure.subplots()
    shares = confusion / np.maximum(confusion.sum(axis=1, keepdims=True), 1)
    colours = LinearSegmentedColormap.from_list("share", [theme.paper, theme.series[0]])
    axes.imshow(shares, cmap=colours, vmin=0, vmax=1)
    _dress(axes, "named", "true", theme)
    if count > _NAMED_CLASSES:
        return _png(figure)
    names = [short(name) for name in classes]
    axes.set_xticks(range(count), names, rotation=0 if max(map(len, names)) < 3 else 90)
    axes.set_yticks(range(count), names)
    for row, column in np.argwhere(confusion > 0):
        ink = theme.paper if shares[row, column] > 0.5 else theme.ink
        axes.text(column, row, str(confusion[row, column]), ha="center", va="center", fontsize=8, color=ink)
    return _png(figure)


def draw_reliability(found: Calibration, theme: Theme) -> bytes:
    """PNG: how often the network is right against how sure it is; a dot's area goes with its bin's samples."""
    figure = Figure(figsize=(4.4, 4.4), dpi=_DPI, facecolor=theme.paper, layout="constrained")
    axes = figure.subplots()
    axes.plot([0, 1], [0, 1], color=theme.ink, linewidth=1.0, linestyle=":")
    axes.plot(found.confidence, found.accuracy, color=theme.series[0], linewidth=1.2, alpha=0.6)
    area = 20 + 280 * found.count / max(1, found.count.sum())
    axes.scatter(found.confidence, found.accuracy, s=area, color=theme.series[0], zorder=3)
    axes.set(xlim=(0, 1.03), ylim=(-0.03, 1.05))
    axes.grid(color=theme.faint, linewidth=0.6)
    _dress(axes, "confidence", "share named rightly (dotted: calibrated)", theme)
    return _png(figure)


def draw_errors(pictures: Pictures, captions: Sequence[str], theme: Theme) -> bytes:
    """PNG: N,C,H,W, each below its caption."""
    rows = -(-len(pictures) // _COLUMNS)
    figure = Figure(figsize=(1.6 * _COLUMNS, 1.95 * rows), dpi=_DPI, facecolor=theme.paper, layout="constrained")
    panels = figure.subplots(rows, _COLUMNS, squeeze=False).ravel()
    for panel in panels:
        panel.set_axis_off()
    for panel, picture, caption in zip(panels, pictures, captions, strict=False):
        shown = picture.transpose(1, 2, 0)
        panel.imshow(shown if shown.shape[2] == 3 else shown[:, :, 0], cmap="gray", vmin=0, vmax=255)
        panel.set_title(caption, fontsize=10, color=theme.ink)
    return _png(figure)


def draw_ablation(found: Ablation, theme: Theme) -> bytes:
    """PNG: a panel for what is lost without operations, and one for what each gains alone; a bar a test, a line its interval."""
    lost = [name for name in found.scores if name != WHOLE and not name.startswith(ALONE)]
    gained = [name for name in found.scores if name.startswith(ALONE)]
    panels = [
        ("left out: points against the whole", lost),
        *([("alone: points against none", gained)] if gained else []),
    ]
    size = (4.4 * len(panels), 1.2 + 0.32 * len(lost) * max(2, len(found.tests)) / 2)
    figure = Figure(figsize=size, dpi=_DPI, facecolor=theme.paper, layout="constrained")
    for axes, (title, names) in zip(figure.subplots(1, len(panels), squeeze=False)[0], panels, strict=True):
        thick = 0.8 / len(found.tests)
        for place, (test, colour) in enumerate(zip(found.tests, theme.series, strict=False)):
            each = [found.difference(name, test) for name in names]
            at = np.arange(len(names)) + (place - (len(found.tests) - 1) / 2) * thick
            bars = {"xerr": [d.half or 0.0 for d in each], "error_kw": {"ecolor": theme.ink, "elinewidth": 1.0}}
            axes.barh(at, [d.mean for d in each], thick, color=colour, label=test, **bars)
        axes.axvline(0, color=theme.ink, linewidth=1.0)
        axes.grid(axis="x", color=theme.faint, linewidth=0.6)
        shown = ["all" if name == NONE else name.removeprefix(WITHOUT).removeprefix(ALONE) for name in names]
        axes.set_yticks(range(len(names)), shown)
        axes.invert_yaxis()
        _dress(axes, title, "", theme)
    figure.legend(
        *axes.get_legend_handles_labels(), loc="outside upper center", ncols=4, frameon=False, labelcolor=theme.ink
    )
    return _png(figure)


def _dress(axes: Axes, x: str, y: str, theme: Theme) -> None:
    axes.set_facecolor(theme.paper)
    axes.set_axisbelow(True)
    axes.set_xlabel(x, fontsize=10, color=theme.ink)
    axes.set_ylabel(y, fontsize=10, color=theme.ink)
    axes.spines[:].set_visible(False)
    axes.tick_params(length=0, labelsize=9, colors=theme.ink)


def _png(figure: Figure) -> bytes:
    out = io.BytesIO()
    figure.savefig(out, format="png")
    return out.getvalue()
