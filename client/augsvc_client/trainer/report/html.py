"""Building blocks of an HTML page without external files, light or dark as the reader's system."""

import base64
from collections.abc import Callable, Sequence

from augsvc_client.trainer.report.tables import escape_html
from augsvc_client.trainer.report.theme import DARK, LIGHT, Theme


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


def figure(caption: str, draw: Callable[[Theme], bytes]) -> str:
    """An image with a caption; `draw` returns its PNG in a theme and is called for light and for dark."""
    return (
        f'<figure><picture><source media="(prefers-color-scheme: dark)" srcset="{_data_url(draw(DARK))}">'
        f'<img src="{_data_url(draw(LIGHT))}" alt="{escape_html(caption)}"></picture>'
        f"<figcaption>{escape_html(caption)}</figcaption></figure>"
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
.wrap td {{ white-space: normal; vertical-align: top; }}
.wrap td:nth-child(3) {{ white-space: nowrap; }}
figure {{ margin: 2.5rem 0 0; }}
img {{ max-width: 100%; height: auto; }}
figcaption {{ font-size: .9rem; opacity: .8; }}
"""


def _data_url(png: bytes) -> str:
    return "data:image/png;base64," + base64.b64encode(png).decode()
