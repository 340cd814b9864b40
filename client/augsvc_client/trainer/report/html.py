"""Pictures and pages of finished runs: learning curves, what the network saw, and a page that holds both.

    Epochs, Sights → PNG bytes, light or dark → page (HTML that needs no other file)

Figures are drawn without pyplot, so nothing is kept between calls and no window system is needed.
"""

import base64
import html
from collections.abc import Sequence

from augsvc_client.trainer.report.plots import (
    DARK,
    LIGHT,
)


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


def _tagged(table: Sequence[Sequence[str]]) -> list[tuple[str, Sequence[str]]]:
    return [("td" if number else "th", row) for number, row in enumerate(table)]


def _inline(png: bytes) -> str:
    return "data:image/png;base64," + base64.b64encode(png).decode()
