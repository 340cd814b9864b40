"""Colours and style of all figures, and their PNG bytes.

Figures are made without pyplot: nothing is kept between calls, and no window system is needed.
"""

import io
from dataclasses import dataclass

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from augsvc_client.text import printable

DPI = 150


@dataclass(frozen=True, slots=True)
class Theme:
    """Colours of a figure; `series` in the order of the plotted series."""

    paper: str
    ink: str
    faint: str
    series: tuple[str, ...]


LIGHT = Theme("#ffffff", "#1f2430", "#d5d9e0", ("#2563c9", "#d9730d", "#0f8a6d", "#8a3fb8"))
DARK = Theme("#15181e", "#e4e7ec", "#3a404b", ("#74a7ff", "#ffae5c", "#4fd1ae", "#cf94f5"))


def new_figure(width: float, height: float, theme: Theme) -> Figure:
    """A figure of that size in inches, with automatic layout."""
    return Figure(figsize=(width, height), dpi=DPI, facecolor=theme.paper, layout="constrained")


def style_axes(axes: Axes, x_label: str, y_label: str, theme: Theme) -> None:
    """Apply the theme to axes and label them."""
    axes.set_facecolor(theme.paper)
    axes.set_axisbelow(True)
    axes.set_xlabel(x_label, fontsize=10, color=theme.ink)
    axes.set_ylabel(y_label, fontsize=10, color=theme.ink)
    axes.spines[:].set_visible(False)
    axes.tick_params(length=0, labelsize=9, colors=theme.ink)


def to_png(figure: Figure) -> bytes:
    """The figure as PNG."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png")
    return buffer.getvalue()


def figure_text(name: str, limit: int = 9) -> str:
    """Foreign text, such as a class name, for a figure: printable, at most `limit` characters, and never read as a formula."""
    text = printable(name)
    text = text if len(text) <= limit else text[: limit - 1] + "…"
    return text.replace("$", r"\$")
