"""Pictures and pages of finished runs: learning curves, what the network saw, and a page that holds both.

    Epochs, Sights → PNG bytes, light or dark → page (HTML that needs no other file)

Figures are drawn without pyplot, so nothing is kept between calls and no window system is needed.
"""

import base64
import html
import io
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from augsvc_client.client import Stream
from augsvc_client.trainer.loop import Epoch

Histories = Mapping[str, Sequence[Sequence[Epoch]]]  # by kind of run, its repetitions
Pictures = npt.NDArray[np.uint8]  # N,C,H,W

_DPI = 150
_CANDIDATES = 64  # looked at to find one sample of each class
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


@dataclass(frozen=True, slots=True)
class Sights:
    """The same samples as they are stored and as the network got them: `names` of N samples, rows of N,C,H,W."""

    names: tuple[str, ...]
    original: Pictures
    augmented: tuple[Pictures, ...]


def collect_sights(stream: Stream, classes: Sequence[str], epochs: int, columns: int = 10) -> Sights:
    """Up to `columns` samples of different classes where there are such, in each of the first `epochs` epochs.

    Draws belong to the sample and the epoch, not to the place in the order. So the stream in unshuffled order shows
    what the shuffled one gave the network.
    """
    seen = stream.client.stream({**stream.spec, "shuffle": False})
    plain = stream.client.stream({**stream.spec, "shuffle": False, "pipeline": "none"})
    count = min(_CANDIDATES, stream.samples)
    candidates = [number * stream.samples // count for number in range(count)]
    stored = {position: plain.batch(0, position, 1) for position in candidates}
    labels = {position: int(arrays["label"][0]) for position, arrays in stored.items()}
    chosen = _varied(labels, columns)
    return Sights(
        names=tuple(classes[labels[position]] for position in chosen),
        original=np.concatenate([stored[position]["image"] for position in chosen]),
        augmented=tuple(
            np.concatenate([seen.batch(epoch, position, 1)["image"] for position in chosen]) for epoch in range(epochs)
        ),
    )


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


def page(title: str, lead: str, rows: Sequence[Sequence[str]], pictures: Sequence[tuple[str, bytes, bytes]]) -> str:
    """HTML that needs no other file, in the reader's light or dark.

    `rows`: of cells, the first the head. `pictures`: a caption, and the PNG for light and for dark.
    """
    figures = [figure(caption, light, dark) for caption, light, dark in pictures]
    return document(title, [paragraph(lead), table(rows), *figures])


def document(title: str, parts: Sequence[str]) -> str:
    """HTML of a heading and parts that the functions below made."""
    return (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{html.escape(title)}</title>'
        f'<meta name="viewport" content="width=device-width, initial-scale=1"><style>{_STYLE}</style></head><body><main>'
        f"<h1>{html.escape(title)}</h1>{''.join(parts)}</main></body></html>\n"
    )


def heading(text: str) -> str:
    """Of a section."""
    return f"<h2>{html.escape(text)}</h2>"


def paragraph(text: str) -> str:
    """Plain text."""
    return f"<p>{html.escape(text)}</p>"


def table(rows: Sequence[Sequence[str]], wraps: bool = False) -> str:
    """Rows of cells, the first the head; `wraps`: cells hold sentences."""
    head, *body = ["".join(f"<{tag}>{html.escape(cell)}</{tag}>" for cell in row) for tag, row in _tagged(rows)]
    lines = "".join(f"<tr>{row}</tr>" for row in body)
    kind = ' class="wraps"' if wraps else ""
    return f"<div><table{kind}><thead><tr>{head}</tr></thead><tbody>{lines}</tbody></table></div>"


def figure(caption: str, light: bytes, dark: bytes) -> str:
    """A picture as PNG for light and for dark."""
    return (
        f'<figure><picture><source media="(prefers-color-scheme: dark)" srcset="{_inline(dark)}">'
        f'<img src="{_inline(light)}" alt="{html.escape(caption)}"></picture>'
        f"<figcaption>{html.escape(caption)}</figcaption></figure>"
    )


_STYLE = f"""
:root {{ color-scheme: light dark; --paper: {LIGHT.paper}; --ink: {LIGHT.ink}; --faint: {LIGHT.faint}; }}
@media (prefers-color-scheme: dark) {{
  :root {{ --paper: {DARK.paper}; --ink: {DARK.ink}; --faint: {DARK.faint}; }}
}}
body {{ margin: 0; background: var(--paper); color: var(--ink); font: 16px/1.5 system-ui, sans-serif; }}
main {{ max-width: 60rem; margin: 0 auto; padding: 2rem 1rem 4rem; }}
h1 {{ font-size: 1.6rem; line-height: 1.25; }}
h2 {{ font-size: 1.2rem; margin: 3rem 0 0; }}
div {{ overflow-x: auto; }}
table {{ border-collapse: collapse; margin: 1.5rem 0; font-variant-numeric: tabular-nums; }}
th, td {{ padding: .45rem 1.4rem .45rem 0; border-bottom: 1px solid var(--faint); text-align: left; white-space: nowrap; }}
.wraps td {{ white-space: normal; vertical-align: top; }}
.wraps td:nth-child(3) {{ white-space: nowrap; }}
figure {{ margin: 2.5rem 0 0; }}
img {{ max-width: 100%; height: auto; }}
figcaption {{ font-size: .9rem; opacity: .8; }}
"""


def _varied(labels: Mapping[int, int], count: int) -> list[int]:
    """Positions whose labels differ as much as they can, in the labels' order."""
    turns: dict[int, int] = {}  # the first of every class before the second of any
    seen = Counter[int]()
    for position, label in labels.items():
        turns[position] = seen[label]
        seen[label] += 1
    chosen = sorted(labels, key=lambda position: (turns[position], labels[position]))[:count]
    return sorted(chosen, key=lambda position: (labels[position], position))


def _tagged(table: Sequence[Sequence[str]]) -> list[tuple[str, Sequence[str]]]:
    return [("td" if number else "th", row) for number, row in enumerate(table)]


def _inline(png: bytes) -> str:
    return "data:image/png;base64," + base64.b64encode(png).decode()


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
