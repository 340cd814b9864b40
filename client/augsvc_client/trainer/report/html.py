"""Building blocks of an HTML page without external files, light or dark as the reader's system."""

import base64
from collections.abc import Sequence

from augsvc_client.trainer.report.tables import escape_html


def document(title: str, parts: Sequence[str]) -> str:
    """A page with a title and HTML fragments, such as those of the functions below and `html_table`."""
    return (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{escape_html(title)}</title>'
        f'<meta name="viewport" content="width=device-width, initial-scale=1"><style>{_STYLE}</style></head><body><main>'
        f"<h1>{escape_html(title)}</h1>{''.join(parts)}</main></body></html>\n"
    )


def heading(text: str) -> str:
    """A section heading."""
    return f"<h2>{escape_html(text)}</h2>"


def paragraph(text: str) -> str:
    """A paragraph of plain text."""
    return f"<p>{escape_html(text)}</p>"


def figure(caption: str, png: bytes) -> str:
    """An image with a caption; it keeps its white ground on a dark page."""
    data = base64.b64encode(png).decode()
    text = escape_html(caption)
    return f'<figure><img src="data:image/png;base64,{data}" alt="{text}"><figcaption>{text}</figcaption></figure>'


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
