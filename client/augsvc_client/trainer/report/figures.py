"""Figures of a run as PNG bytes: samples, learning curves, and of a test the confusion, calibration and worst errors.

SampleGrid, Epochs, Predictions, Calibration → draw_sample_grid, draw_curves, draw_confusion, draw_reliability, draw_errors

Figures are made without pyplot: nothing is kept between calls, and no window system is needed.
"""

import io
from collections.abc import Sequence
from itertools import cycle

import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from PIL import Image

from augsvc_client.text import printable
from augsvc_client.trainer.report.samples import Images, SampleGrid
from augsvc_client.trainer.training.evaluate import Calibration
from augsvc_client.trainer.training.loop import Epoch

INK, FAINT, BLUE = "#1f2430", "#d5d9e0", "#2563c9"
_TEST_COLORS = (BLUE, "#d55e00", "#009e73", "#cc79a7", "#e69f00")  # distinct for the colour-blind (Okabe and Ito)
_DPI = 150
_LABELLED_CLASSES = 20  # with more, counts and names in the matrix are illegible
_COLUMNS = 6  # of worst errors
_TEST_CHARACTERS = 20  # of a name in a title
_SAMPLE_DOTS = 96  # approximate width of a sample


def draw_sample_grid(grid: SampleGrid) -> bytes:
    """The stored samples in the top row, their augmented versions of each epoch below."""
    rows = np.stack((grid.original, *grid.augmented))  # rows, samples, C,H,W
    gap = max(1, max(rows.shape[3:]) // 16)
    padded = np.pad(rows, ((0, 0), (0, 0), (0, 0), (0, gap), (0, gap)), constant_values=255)
    count, samples, channels, height, width = padded.shape
    pixels = padded.transpose(0, 3, 1, 4, 2).reshape(count * height, samples * width, channels)
    image = Image.fromarray(pixels if channels == 3 else pixels[:, :, 0])
    scale = max(1, round(_SAMPLE_DOTS / width))  # a fraction would render pixels unevenly
    buffer = io.BytesIO()
    image.resize((image.width * scale, image.height * scale), Image.Resampling.NEAREST).save(buffer, "png")
    return buffer.getvalue()


def draw_curves(history: Sequence[Epoch]) -> bytes:
    """Losses, and the accuracy on each test: a colour for each test, training dashed."""
    tests = list(history[-1].scores)
    figure = _new_figure(4.0 * (1 + len(tests)), 3.5)
    panels = figure.subplots(1, 1 + len(tests), squeeze=False, sharex=True)[0]
    _style(panels[0], "epoch", "", "loss")
    _draw_line(panels[0], [(epoch.number, epoch.loss) for epoch in history], "training", INK, "--")
    trained = [(epoch.number, 100 * epoch.accuracy) for epoch in history if epoch.accuracy is not None]
    for panel, test, color in zip(panels[1:], tests, cycle(_TEST_COLORS)):
        name = figure_text(test, _TEST_CHARACTERS)
        _style(panel, "epoch", "", f"accuracy on {name} (%)")
        scores = [(epoch.number, epoch.scores[test]) for epoch in history if epoch.scores]
        _draw_line(panel, [(number, 100 * score.accuracy) for number, score in scores], name, color)
        _draw_line(panel, trained, "training", INK, "--")
        _draw_line(panels[0], [(number, score.loss) for number, score in scores if score.loss is not None], name, color)
    lowest = min((panel.get_ylim()[0] for panel in panels[1:]), default=0.0)
    for panel in panels[1:]:  # one scale, so that tests can be compared
        panel.set_ylim(max(0.0, lowest), 101.0)
        panel.legend(loc="lower right", fontsize=9, labelcolor=INK, frameon=False)
    panels[0].legend(loc="upper right", fontsize=9, labelcolor=INK, frameon=False)
    panels[0].xaxis.set_major_locator(MaxNLocator(6, integer=True))
    return _to_png(figure)


def _draw_line(axes: Axes, points: Sequence[tuple[int, float]], name: str, color: str, style: str = "-") -> None:
    if not points:
        return
    marker = "o" if len(points) < 3 else ""  # a line of one point is invisible
    numbers, values = [number + 1 for number, _ in points], [y for _, y in points]
    label = f" {name}"  # legends leave out one that begins with an underscore
    axes.plot(numbers, values, color=color, linestyle=style, marker=marker, label=label)


def draw_confusion(confusion: npt.NDArray[np.int64], classes: Sequence[str]) -> bytes:
    """Fractions of each true class (rows) by colour; counts and names for up to 20 classes."""
    count = len(classes)
    side = min(7.0, 1.8 + 0.32 * min(count, _LABELLED_CLASSES))
    figure = _new_figure(side, side)
    axes = figure.subplots()
    fractions = confusion / np.maximum(confusion.sum(axis=1, keepdims=True), 1)
    axes.imshow(fractions, cmap=LinearSegmentedColormap.from_list("fraction", ["white", BLUE]), vmin=0, vmax=1)
    _style(axes, "predicted", "true")
    axes.grid(visible=False)
    if count > _LABELLED_CLASSES:
        return _to_png(figure)
    names = [figure_text(name) for name in classes]
    axes.set_xticks(range(count), names, rotation=0 if max(map(len, names)) < 3 else 90)
    axes.set_yticks(range(count), names)
    for row, column in np.argwhere(confusion > 0):
        ink = "white" if fractions[row, column] > 0.5 else INK
        axes.text(column, row, str(confusion[row, column]), ha="center", va="center", fontsize=8, color=ink)
    return _to_png(figure)


def draw_reliability(calibration: Calibration) -> bytes:
    """Reliability diagram, accuracy against confidence; the area of a dot is proportional to its bin's samples."""
    figure = _new_figure(4.4, 4.4)
    axes = figure.subplots()
    axes.plot([0, 1], [0, 1], color=INK, linewidth=1.0, linestyle=":")
    axes.plot(calibration.confidence, calibration.accuracy, color=BLUE, linewidth=1.2, alpha=0.6)
    area = 20 + 280 * calibration.count / max(1, calibration.count.sum())
    axes.scatter(calibration.confidence, calibration.accuracy, s=area, color=BLUE, zorder=3)
    axes.set(xlim=(0, 1.03), ylim=(-0.03, 1.05))
    _style(axes, "confidence", "accuracy (dotted: calibrated)")
    return _to_png(figure)


def draw_errors(images: Images, captions: Sequence[str]) -> bytes:
    """Images N,C,H,W, each below its caption."""
    rows = -(-len(images) // _COLUMNS)
    figure = _new_figure(1.6 * _COLUMNS, 1.95 * rows)
    panels = figure.subplots(rows, _COLUMNS, squeeze=False).ravel()
    for panel in panels:
        panel.set_axis_off()
    for panel, image, caption in zip(panels, images, captions, strict=False):
        pixels = image.transpose(1, 2, 0)
        panel.imshow(pixels if pixels.shape[2] == 3 else pixels[:, :, 0], cmap="gray", vmin=0, vmax=255)
        panel.set_title(caption, fontsize=10, color=INK)
    return _to_png(figure)


def figure_text(name: str, limit: int = 9) -> str:
    """Foreign text, such as a class name, for a figure: printable, at most `limit` characters, and never read as a formula."""
    text = printable(name)
    text = text if len(text) <= limit else text[: limit - 1] + "…"
    return text.replace("$", r"\$")


def _new_figure(width: float, height: float) -> Figure:
    """A figure of that size in inches, with automatic layout."""
    return Figure(figsize=(width, height), dpi=_DPI, layout="constrained")


def _style(axes: Axes, x_label: str, y_label: str, title: str = "") -> None:
    axes.set_axisbelow(True)
    axes.set_xlabel(x_label, fontsize=10, color=INK)
    axes.set_ylabel(y_label, fontsize=10, color=INK)
    axes.set_title(title, fontsize=11, color=INK, loc="left")
    axes.spines[:].set_visible(False)
    axes.tick_params(length=0, labelsize=9, colors=INK)
    axes.grid(color=FAINT, linewidth=0.6)


def _to_png(figure: Figure) -> bytes:
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png")
    return buffer.getvalue()
