"""Names of classes and tests come from folders that others made: in a report they are text, and figures show them."""

import numpy as np
import pytest

from augsvc_client.trainer.report.figures import draw_confusion, draw_errors, figure_text
from augsvc_client.trainer.report.html import document, figure, heading, paragraph
from augsvc_client.trainer.report.tables import html_table

MARKUP = '<img src=x onerror="alert(1)">'
HOSTILE = [MARKUP, "$x^{$", "$$", r"\$\frac{1}$", "a\x1b[2J\u202egnp\0", "x" * 10_000, "_hidden", "50 % & {a}"]


def test_the_page_has_neither_their_markup_nor_their_control_characters():
    name = f"{MARKUP}\x1b\u202e"
    parts = [heading(name), paragraph(name), html_table([(name, name), (name, name)]), figure(name, b"")]
    page = document(name, parts)
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
