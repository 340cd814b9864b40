"""One HTML page without external files, light or dark as the reader's system.

title, {heading: [sentence, Table, Figure, …]} → document → HTML
"""

import base64
import html
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from augsvc_client.text import printable
from augsvc_client.trainer.report.tables import Rows


@dataclass(frozen=True, slots=True)
class Table:
    """Rows of text, the first one the header; `wrap`: cells contain sentences."""

    rows: Rows
    wrap: bool = False


@dataclass(frozen=True, slots=True)
class Figure:
    """A PNG image; it keeps its white ground on a dark page."""

    caption: str
    png: bytes


def document(title: str, sections: Mapping[str, Sequence[str | Table | Figure]]) -> str:
    """A page of sections by heading; all text is foreign text, without markup and unprintable characters."""
    parts = [f"<h2>{_escape(heading)}</h2>{''.join(map(_render, contents))}" for heading, contents in sections.items()]
    return (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{_escape(title)}</title>'
        f'<meta name="viewport" content="width=device-width, initial-scale=1"><style>{_STYLE}</style></head><body><main>'
        f"<h1>{_escape(title)}</h1>{''.join(parts)}</main></body></html>\n"
    )


def _render(part: str | Table | Figure) -> str:
    if isinstance(part, str):
        return f"<p>{_escape(part)}</p>"
    if isinstance(part, Figure):
        data, text = base64.b64encode(part.png).decode(), _escape(part.caption)
        return f'<figure><img src="data:image/png;base64,{data}" alt="{text}"><figcaption>{text}</figcaption></figure>'
    header, *body = part.rows
    lines = "".join(f"<tr>{_cells(row, 'td')}</tr>" for row in body)
    attribute = ' class="wrap"' if part.wrap else ""
    return f"<div><table{attribute}><thead><tr>{_cells(header, 'th')}</tr></thead><tbody>{lines}</tbody></table></div>"


def _cells(row: Sequence[str], tag: str) -> str:
    return "".join(f"<{tag}>{_escape(cell)}</{tag}>" for cell in row)


def _escape(text: str) -> str:
    return html.escape(printable(text))


_STYLE = """
:root { color-scheme: light dark; --paper: #ffffff; --ink: #1f2430; --faint: #d5d9e0; }
@media (prefers-color-scheme: dark) {
  :root { --paper: #15181e; --ink: #e4e7ec; --faint: #3a404b; }
}
body { margin: 0; background: var(--paper); color: var(--ink); font: 16px/1.5 system-ui, sans-serif; }
main { max-width: 60rem; margin: 0 auto; padding: 2rem 1rem 4rem; }
h1 { font-size: 1.6rem; line-height: 1.25; }
h2 { font-size: 1.2rem; margin: 3rem 0 0; }
div { overflow-x: auto; }
table { border-collapse: collapse; margin: 1.5rem 0; font-variant-numeric: tabular-nums; }
th, td { padding: .45rem 1.4rem .45rem 0; border-bottom: 1px solid var(--faint); text-align: left; white-space: nowrap; }
.wrap td { white-space: normal; vertical-align: top; }
.wrap td:nth-child(3) { white-space: nowrap; }
figure { margin: 2.5rem 0 0; }
img { max-width: 100%; height: auto; }
figcaption { font-size: .9rem; opacity: .8; }
"""
