"""Names of classes and tests come from folders that others made: in a report they are text, and figures show them."""

import io

import numpy as np
import pytest
from rich.text import Text

from augsvc_client.text import printable
from augsvc_client.trainer.console import PlainConsole
from augsvc_client.trainer.report.figures import draw_confusion, draw_errors, figure_text
from augsvc_client.trainer.report.html import Figure, Table, document

MARKUP = '<img src=x onerror="alert(1)">'
HOSTILE = [MARKUP, "$x^{$", "$$", r"\$\frac{1}$", "a\x1b[2J\u202egnp\0", "x" * 10_000, "_hidden", "50 % & {a}"]


def test_the_page_has_neither_their_markup_nor_their_control_characters():
    name = f"{MARKUP}\x1b\u202e"
    page = document(name, {name: [name, Table([(name, name), (name, name)]), Figure(name, b"")]})
    assert "<img src=x" not in page
    assert page.count("&lt;img src=x onerror=&quot;alert(1)&quot;&gt;\\x1b\\u202e") == 10
    assert all(line.isprintable() for line in page.split("\n"))


def test_figures_show_names_that_are_no_formula():
    n = len(HOSTILE)
    assert draw_confusion(np.eye(n, dtype=np.int64), HOSTILE).startswith(b"\x89PNG")
    captions = [figure_text(name) for name in HOSTILE]
    assert draw_errors(np.zeros((n, 3, 8, 8), np.uint8), captions).startswith(b"\x89PNG")


@pytest.mark.parametrize(
    ("name", "shown"), [("cat", "cat"), ("x" * 10_000, "xxxxxxxx…"), ("$5", r"\$5"), ("a\u202eb", r"a\u202eb")]
)
def test_a_name_in_a_figure_is_short_and_printable(name, shown):
    assert figure_text(name) == shown


def test_the_terminal_gets_one_line_of_printable_characters():
    """Notes name datasets, folders and classes, and a server's error has its own words."""
    console = PlainConsole()
    console.file = io.StringIO()
    for name in (*HOSTILE, "a\nb", "[red]r[/red]", ":bomb:", "\udcff"):
        console.print(f"{name} has changed since the run", highlight=False, soft_wrap=True)
        console.print(Text("passed", "green") + f" {printable(name)}", soft_wrap=True)
    lines = console.file.getvalue().split("\n")
    assert all(line.isprintable() for line in lines)
    assert len(lines) == 2 * 12 + 1
    assert {"[red]r[/red] has changed since the run", ":bomb: has changed since the run"} <= set(lines)
